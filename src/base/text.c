#include "base/text.h"

#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

/* The length of what starts s and is printable. */
static size_t plain(const char *s, size_t n) {
  size_t at = 0;
  for (int k; at < n && (k = gs_utf8_printable(s + at, n - at)) > 0;)
    at += (size_t)k;
  return at;
}

void gs_text_add(gs_buf *b, const char *s, size_t n) {
  for (;;) {
    size_t k = plain(s, n);
    gs_buf_add(b, s, k);
    gs_assert(k <= n);
    if (k == n) return;
    gs_buf_printf(b, "\\x%02x", (unsigned char)s[k]);
    s += k + 1;
    n -= k + 1;
  }
}

const char *gs_text(gs_arena *a, const char *s) {
  size_t n = strlen(s);
  if (plain(s, n) == n) return s;
  gs_buf b;
  gs_buf_init(&b, a);
  gs_text_add(&b, s, n);
  return b.at;
}

void gs_text_lines(gs_buf *b, const char *s, size_t n) {
  for (size_t at = 0; at < n;) {
    const char *end = memchr(s + at, '\n', n - at);
    size_t k = end ? (size_t)(end - s) - at : n - at;
    gs_text_add(b, s + at, k);
    if (end) gs_buf_char(b, '\n');
    at += k + 1;
  }
}
