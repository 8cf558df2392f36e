/* The tables of options as a sequence: a tool's own, then the common ones. */
#ifndef GS_TOOLS_OPTIONS_H
#define GS_TOOLS_OPTIONS_H

#include "cli.h"

extern const gs_option gs_common_options[];

/* Row i of the tool's table followed by the common one; NULL past the end. */
const gs_option *gs_option_at(const gs_tool *t, int i);
/* The row of a long name (NULL: no such option) or of a letter. */
const gs_option *gs_option_find(const gs_tool *t, const char *name);
const gs_option *gs_option_letter(const gs_tool *t, char letter);

/* The visible row whose name starts with `name`, and another one where there
 * are several; NULL: none. */
const gs_option *gs_option_short_for(const gs_tool *t, const char *name,
                                     const gs_option **other);

#endif
