#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

void gs_buf_init(gs_buf *b, gs_arena *a) {
  *b = (gs_buf){.arena = a, .at = gs_alloc(a, 64), .cap = 63};
}

static void reserve(gs_buf *b, size_t n) {
  if (n <= b->cap - b->n) return;
  if (n > SIZE_MAX / 4) gs_out_of_memory(n);
  size_t cap = b->cap * 2 + n;
  char *at = gs_alloc(b->arena, cap + 1);
  memcpy(at, b->at, b->n);
  b->at = at;
  b->cap = cap;
  gs_assert(b->n + n <= b->cap && b->cap + 1 > b->cap);
}

void gs_buf_add(gs_buf *b, const void *p, size_t n) {
  gs_assert(b->arena && (p || !n));
  reserve(b, n);
  if (n) memcpy(b->at + b->n, p, n);
  b->n += n;
  b->at[b->n] = 0;
}

void gs_buf_str(gs_buf *b, const char *s) { gs_buf_add(b, s, strlen(s)); }

void gs_buf_char(gs_buf *b, char c) { gs_buf_add(b, &c, 1); }

void gs_buf_printf(gs_buf *b, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n > 0) {
    reserve(b, (size_t)n);
    vsnprintf(b->at + b->n, (size_t)n + 1, fmt, again);
    b->n += (size_t)n;
  }
  va_end(again);
}

/* Adds what is not shown as \uNNNN; bytes that are not UTF-8, which JSON cannot
 * hold, as U+FFFD.  YAML does not know the pairs that JSON has for what lies
 * beyond: that stays as it is.  The bytes that it took. */
static size_t json_escape(gs_buf *b, const char *s, size_t n) {
  uint32_t c;
  size_t k = gs_utf8_get(s, n, &c);
  if (c >= 0xd800 && c < 0xe000) c = 0xfffd;
  if (c > 0xffff) gs_buf_add(b, s, k);
  else gs_buf_printf(b, "\\u%04x", c);
  return k;
}

void gs_buf_json(gs_buf *b, const char *s) {
  const char *end = s + strlen(s);
  gs_buf_char(b, '"');
  while (s < end) {
    int n = gs_utf8_printable(s, (size_t)(end - s));
    if (*s == '"' || *s == '\\') gs_buf_char(b, '\\');
    if (n) {
      gs_buf_add(b, s, (size_t)n);
      s += n;
    } else if (*s == '\n') {
      gs_buf_str(b, "\\n");
      s++;
    } else {
      s += json_escape(b, s, (size_t)(end - s));
    }
  }
  gs_buf_char(b, '"');
}
