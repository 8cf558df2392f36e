#include "base/data/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char prefixes[] = "KMGTP";

bool gs_bytes_parse(const char *s, int64_t *out) {
  char *end;
  if (*s < '0' || *s > '9') return false;
  errno = 0;
  long long n = strtoll(s, &end, 10);
  if (errno || n < 1) return false;
  while (*end == ' ') end++;
  const char *at = *end ? strchr(prefixes, *end) : NULL;
  int steps = at ? (int)(at - prefixes) + 1 : 0;
  if (at) end++;
  bool binary = !strcmp(end, "iB") || !*end, decimal = !strcmp(end, "B");
  if (!binary && !decimal) return false;
  if (!at && !strcmp(end, "iB")) return false;
  gs_assert(steps >= 0 && steps < (int)sizeof prefixes);
  int64_t unit = at && decimal ? 1000 : 1024;
  for (int i = 0; i < steps; i++)
    if (__builtin_mul_overflow(n, unit, &n)) return false;
  *out = n;
  return true;
}

char *gs_bytes_text(gs_arena *a, double bytes) {
  int u = 0;
  gs_assert(bytes >= 0);
  while (bytes >= 1024 && u < 5) {
    bytes /= 1024;
    u++;
  }
  return u ? gs_sprintf(a, "%.1f %ciB", bytes, prefixes[u - 1])
           : gs_sprintf(a, "%.0f B", bytes);
}
