#include "base/utf8.h"

#include <stdbool.h>

#include "base/assert.h"

size_t gs_utf8_get(const char *s, size_t n, uint32_t *c) {
  const unsigned char *u = (const unsigned char *)s;
  gs_assert(n > 0);
  static const uint32_t min[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t size = u[0] < 0x80   ? 1
                : u[0] < 0xc2 ? 0
                : u[0] < 0xe0 ? 2
                : u[0] < 0xf0 ? 3
                : u[0] < 0xf5 ? 4
                              : 0;
  *c = GS_UTF8_BAD;
  if (!size || size > n) return 1;
  uint32_t v = size == 1 ? u[0] : u[0] & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; i++) {
    if ((u[i] & 0xc0) != 0x80) return 1;
    v = v << 6 | (u[i] & 0x3f);
  }
  if (v < min[size] || v > 0x10ffff) return 1;
  *c = v;
  return size;
}

size_t gs_utf8_put(char out[4], uint32_t c) {
  gs_assert(c <= 0x10ffff);
  size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const unsigned char head[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = size; i-- > 1; c >>= 6)
    out[i] = (char)(0x80 | (c & 0x3f));
  out[0] = (char)(head[size] | c);
  return size;
}

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

int gs_utf8_printable(const char *s, size_t n) {
  uint32_t c;
  size_t len = gs_utf8_get(s, n, &c);
  bool bad = len == 1 && c == GS_UTF8_BAD;
  return bad || is_hidden(c) ? 0 : (int)len;
}
