#include "base/text.h"

#include <stdbool.h>

#include "base/utf8.h"

/* Control characters, and those that are not seen or change how others are:
 * direction, joining, line and paragraph ends, annotations, tags. */
static bool is_hidden(uint32_t c) {
  static const uint32_t range[][2] = {
      {0, 0x1f},         {0x7f, 0x9f},       {0xad, 0xad},
      {0x61c, 0x61c},    {0x180e, 0x180e},   {0x200b, 0x200f},
      {0x2028, 0x202e},  {0x2060, 0x206f},   {0xd800, 0xdfff},
      {0xfeff, 0xfeff},  {0xfff0, 0xfffb},   {0xfffe, 0xffff},
      {0xe0000, 0xe0fff}};
  for (size_t i = 0; i < sizeof range / sizeof *range; i++)
    if (c >= range[i][0] && c <= range[i][1]) return true;
  return false;
}

int gs_text_printable(const char *s, size_t n) {
  uint32_t c;
  size_t len = gs_utf8_get(s, n, &c);
  bool bad = len == 1 && c == GS_UTF8_BAD;
  return bad || is_hidden(c) ? 0 : (int)len;
}

/* The length of what starts s and is printable. */
static size_t plain(const char *s, size_t n) {
  size_t at = 0;
  for (int k; at < n && (k = gs_text_printable(s + at, n - at)) > 0;)
    at += (size_t)k;
  return at;
}

void gs_text_add(gs_buf *b, const char *s, size_t n) {
  for (;;) {
    size_t k = plain(s, n);
    gs_buf_add(b, s, k);
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
