/* Patterns for names: globs, and "re:" followed by a POSIX extended regular
 * expression.  Both must match the whole name; a pattern that equals the name
 * matches too, whatever characters it has.
 *
 *   *       any characters but '/' and '.'; as the first or the last
 *           character of the pattern: any characters at all
 *   **      any characters at all         ?       one, but '/' and '.'
 *   {a,b}   alternatives                  {0..31} a range of numbers
 *   [a-c]   one of a set, [!a-c] not      \x      x itself
 *
 * In regular expressions \d is a digit; back-references are refused, and so
 * are repetitions that multiply to more than 1,000. */
#ifndef GS_BASE_PATTERN_H
#define GS_BASE_PATTERN_H

#include "base/status.h"

typedef struct gs_pattern gs_pattern;

enum { GS_PATTERN_MAX = 4096 /* characters */ };

/* Compiles text; NULL and *why when it is malformed.  Must be closed. */
gs_pattern *gs_pattern_open(gs_arena *a, const char *text, const char **why);
void gs_pattern_close(gs_pattern *p); /* NULL is fine */
bool gs_pattern_match(const gs_pattern *p, const char *name);
/* Also tells what the wildcards stood for, as one string in the arena with
 * '\n' between them: names that agree in it belong together. */
bool gs_pattern_capture(const gs_pattern *p, gs_arena *a, const char *name,
                        const char **captured);
/* The literal text after the last wildcard ("" if none): what a misspelt
 * pattern is compared with. */
const char *gs_pattern_tail(const char *text);
/* name with a backslash before every character special in globs. */
const char *gs_pattern_quote(gs_arena *a, const char *name);

#endif
