#include "exec/comm/tray.h"

#include <emmintrin.h>
#include <string.h>

#include "base/assert.h"

enum { STREAMED = 512 }; /* bytes from which caches are passed by */

void *gs_lines_in(gs_arena *a, size_t n) {
  if (n > SIZE_MAX - 64) gs_out_of_memory(n);
  uintptr_t at = (uintptr_t)gs_alloc(a, n + 64);
  return (void *)((at + 63) / 64 * 64);
}

static void *take(void *of, size_t bytes) { return gs_lines_in(of, bytes); }

gs_trays gs_trays_in(gs_arena *a) {
  return (gs_trays){.room = {.take = take, .of = a}, .arena = a};
}

int gs_tray_take(gs_trays *s, size_t n) {
  int best = 0;
  for (int i = 0; i < s->all.n; i++) {
    const gs_tray *x = &s->all.at[i];
    if (x->taken || x->size < n) continue;
    if (!best || x->size < s->all.at[best - 1].size) best = i + 1;
  }
  if (!best) {
    char *at = s->room.take(s->room.of, n);
    if (!at) return 0;
    *gs_push(s->arena, &s->all) = (gs_tray){.at = at, .size = n};
    best = s->all.n;
  }
  s->all.at[best - 1].taken = true;
  return best;
}

char *gs_tray_at(const gs_trays *s, int which) {
  gs_assert(which > 0 && which <= s->all.n);
  return s->all.at[which - 1].at;
}

void gs_tray_leave(gs_trays *s, int *which) {
  if (*which) s->all.at[*which - 1].taken = false;
  *which = 0;
}

void gs_tray_copy(char *to, const void *from, size_t n) {
  const char *p = from;
  size_t i = 0;
  gs_assert((uintptr_t)to % 64 == 0);
  for (; n >= STREAMED && i + 64 <= n; i += 64) {
    __m128i x[4];
    memcpy(x, p + i, sizeof x);
    for (int k = 0; k < 4; k++)
      _mm_stream_si128((__m128i *)(void *)(to + i) + k, x[k]);
  }
  memcpy(to + i, p + i, n - i);
}

void gs_tray_done(void) { _mm_sfence(); }
