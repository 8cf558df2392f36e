/* Characters of UTF-8 text. */
#ifndef GS_BASE_UTF8_H
#define GS_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { GS_UTF8_BAD = 0xfffd }; /* what is no UTF-8, byte by byte */

/* The character at s, which has n > 0 bytes; returns the bytes it takes. */
size_t gs_utf8_get(const char *s, size_t n, uint32_t *c);
/* Writes c, returns the bytes written (1 to 4). */
size_t gs_utf8_put(char out[4], uint32_t c);

/* Length of the sequence at s, whose n > 0 bytes may be read, when it is one
 * printable character of UTF-8; else 0. */
int gs_utf8_printable(const char *s, size_t n);

#endif
