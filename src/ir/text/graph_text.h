/* What the printer and the parser of the text form share. */
#ifndef GS_IR_TEXT_H
#define GS_IR_TEXT_H

#include <stdbool.h>

/* Constants of up to this many elements are printed with their data. */
enum { GS_TEXT_MAX_DATA = 32 };

/* Characters of a name that needs no quotes. */
bool gs_text_is_name_char(char c);

/* Is it an attribute's name that needs no quotes? */
bool gs_text_is_attribute(const char *name);

#endif
