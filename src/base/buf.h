/* A growable byte buffer on an arena, used to build text and files. */
#ifndef GS_BASE_BUF_H
#define GS_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct gs_buf {
  gs_arena *arena;
  char *at; /* always followed by a NUL */
  size_t n, cap;
} gs_buf;

void gs_buf_init(gs_buf *b, gs_arena *a);
void gs_buf_add(gs_buf *b, const void *p, size_t n);
void gs_buf_str(gs_buf *b, const char *s);
void gs_buf_char(gs_buf *b, char c);
void gs_buf_printf(gs_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds s as a JSON string with its quotes. */
void gs_buf_json(gs_buf *b, const char *s);

#endif
