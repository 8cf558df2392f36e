/* Text from files that people are shown.
 *
 * Names in models, paths and the like may hold anything: control characters
 * that a terminal obeys, line ends that forge lines, marks that turn the
 * direction of writing, bytes that are not UTF-8.  Where they are put into
 * text, gs_text makes them harmless; messages and the tools' print function do
 * so again, for whatever was forgotten. */
#ifndef GS_BASE_TEXT_H
#define GS_BASE_TEXT_H

#include "base/buf.h"

/* s, with all bytes of what is not printable as \xNN; s itself where there is
 * none. */
const char *gs_text(gs_arena *a, const char *s);
/* Adds n bytes in the same way. */
void gs_text_add(gs_buf *b, const char *s, size_t n);
/* The same for several lines: line ends stay. */
void gs_text_lines(gs_buf *b, const char *s, size_t n);

#endif
