#include "kernel/core/strided.h"

#include "base/assert.h"
#include "base/math.h"

enum { TILE = 32 };

typedef struct u128 {
  uint64_t lo, hi;
} u128;

#define SIZES(X) X(1, uint8_t) X(2, uint16_t) X(4, uint32_t)                   \
  X(8, uint64_t) X(16, u128)

void gs_strided_init(gs_strided *s, size_t size) {
  gs_assert(size == 1 || size == 2 || size == 4 || size == 8 || size == 16);
  s->rank = 0;
  s->size = size;
  s->n = 1;
}

void gs_strided_dim(gs_strided *s, int64_t n, int64_t from, int64_t to) {
  s->n *= n;
  if (n == 1) return;
  int last = s->rank - 1;
  if (last >= 0 && n > 0 && s->from[last] == from * n &&
      s->to[last] == to * n) {
    s->dims[last] *= n;
    s->from[last] = from;
    s->to[last] = to;
    return;
  }
  gs_assert(s->rank < GS_STRIDED_RANK);
  s->dims[s->rank] = n;
  s->from[s->rank] = from;
  s->to[s->rank++] = to;
}

bool gs_strided_is_run(const gs_strided *s) {
  return s->rank == 0 || (s->rank == 1 && s->from[0] == 1 && s->to[0] == 1);
}

void gs_fill_elements(void *to, int64_t n, size_t size, const void *value) {
  switch (size) {
#define X(bytes, type)                                                         \
  case bytes: {                                                                \
    type v, *p = to;                                                           \
    memcpy(&v, value, sizeof v);                                               \
    for (int64_t i = 0; i < n; i++) p[i] = v;                                  \
    break;                                                                     \
  }
    SIZES(X)
#undef X
  default: break;
  }
}

/* One row of n elements. */
static void copy_row(size_t size, int64_t n, const char *from, int64_t fs,
                     char *to, int64_t ts) {
  if (fs == 1 && ts == 1) {
    memcpy(to, from, (size_t)n * size);
    return;
  }
  switch (size) {
#define X(bytes, type)                                                         \
  case bytes: {                                                                \
    const type *a = (const type *)(const void *)from;                          \
    type *b = (type *)(void *)to;                                              \
    if (fs == 0 && ts == 1)                                                    \
      for (int64_t i = 0; i < n; i++) b[i] = a[0];                             \
    else                                                                       \
      for (int64_t i = 0; i < n; i++) b[i * ts] = a[i * fs];                   \
    break;                                                                     \
  }
    SIZES(X)
#undef X
  default: break;
  }
}

typedef uint32_t lanes4 __attribute__((vector_size(16)));

static lanes4 load4(const uint32_t *p) {
  lanes4 v;
  memcpy(&v, p, sizeof v);
  return v;
}
static void store4(uint32_t *p, lanes4 v) { memcpy(p, &v, sizeof v); }

/* b[i * ts + j] = a[i + j * fs] for 4 x 4 elements, in registers. */
static void turn4(const uint32_t *a, int64_t fs, uint32_t *b, int64_t ts) {
  lanes4 r0 = load4(a), r1 = load4(a + fs), r2 = load4(a + 2 * fs),
         r3 = load4(a + 3 * fs);
  lanes4 t0 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
  lanes4 t1 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
  lanes4 t2 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
  lanes4 t3 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
  store4(b, __builtin_shufflevector(t0, t1, 0, 1, 4, 5));
  store4(b + ts, __builtin_shufflevector(t0, t1, 2, 3, 6, 7));
  store4(b + 2 * ts, __builtin_shufflevector(t2, t3, 0, 1, 4, 5));
  store4(b + 3 * ts, __builtin_shufflevector(t2, t3, 2, 3, 6, 7));
}

/* copy_tile for four bytes, in squares; what is left over is done by one. */
static void copy_tile4(int64_t m, int64_t n, const uint32_t *a, int64_t fs,
                       uint32_t *b, int64_t ts) {
  int64_t m4 = m - m % 4, n4 = n - n % 4;
  for (int64_t j0 = 0; j0 < n4; j0 += TILE) {
    int64_t j1 = gs_min(n4, j0 + TILE);
    for (int64_t i = 0; i < m4; i += 4)
      for (int64_t j = j0; j < j1; j += 4)
        turn4(a + i + j * fs, fs, b + i * ts + j, ts);
  }
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = i < m4 ? n4 : 0; j < n; j++)
      b[i * ts + j] = a[i + j * fs];
}

/* m x n elements: the source runs along m, the target along n. */
static void copy_tile(size_t size, int64_t m, int64_t n, const char *from,
                      int64_t fs, char *to, int64_t ts) {
  if (size == 4) {
    copy_tile4(m, n, (const uint32_t *)(const void *)from, fs,
               (uint32_t *)(void *)to, ts);
    return;
  }
  switch (size) {
#define X(bytes, type)                                                         \
  case bytes: {                                                                \
    const type *a = (const type *)(const void *)from;                          \
    type *b = (type *)(void *)to;                                              \
    for (int64_t j0 = 0; j0 < n; j0 += TILE) {                                 \
      int64_t j1 = gs_min(n, j0 + TILE);                                       \
      for (int64_t i = 0; i < m; i++)                                          \
        for (int64_t j = j0; j < j1; j++) b[i * ts + j] = a[i + j * fs];       \
    }                                                                          \
    break;                                                                     \
  }
    SIZES(X)
#undef X
  default: break;
  }
}

/* The iteration space without what the inner loop does. */
typedef struct walk {
  int rank;
  int64_t n; /* inner loops in all */
  int64_t dims[GS_STRIDED_RANK + 1], from[GS_STRIDED_RANK + 1],
      to[GS_STRIDED_RANK + 1];
  bool tiled;
  int64_t m, mto;     /* tiled: the dim along which the source runs */
  int64_t len, fs, ts; /* the last dim */
} walk;

static void walk_add(walk *w, int64_t n, int64_t from, int64_t to) {
  gs_assert(w->rank <= GS_STRIDED_RANK);
  w->dims[w->rank] = n;
  w->from[w->rank] = from;
  w->to[w->rank++] = to;
  w->n *= n;
}

static void walk_init(walk *w, const gs_strided *s) {
  w->rank = 0;
  w->n = 1;
  w->tiled = false;
  w->m = w->mto = 0;
  int last = s->rank - 1, run = -1;
  w->len = last < 0 ? 1 : s->dims[last];
  w->fs = last < 0 ? 1 : s->from[last];
  w->ts = last < 0 ? 1 : s->to[last];
  if (w->ts == 1 && w->fs != 1 && w->fs != 0)
    for (int d = 0; d < last; d++)
      if (s->from[d] == 1 && s->dims[d] > 1) run = d;
  for (int d = 0; d < last; d++)
    if (d != run) walk_add(w, s->dims[d], s->from[d], s->to[d]);
  if (run < 0) return;
  w->tiled = true;
  w->m = s->dims[run];
  w->mto = s->to[run];
  walk_add(w, gs_ceil_div(w->m, TILE), TILE, TILE * w->mto);
}

/* Inner loops first .. end. */
static void walk_range(const walk *w, size_t size, int64_t first, int64_t end,
                       const char *from, char *to) {
  int64_t at[GS_STRIDED_RANK + 1];
  int64_t f = 0, t = 0, rest = first;
  gs_assert(first >= 0 && end <= w->n);
  for (int d = w->rank - 1; d >= 0; d--) {
    at[d] = rest % w->dims[d];
    rest /= w->dims[d];
    f += at[d] * w->from[d];
    t += at[d] * w->to[d];
  }
  for (int64_t i = first; i < end; i++) {
    const char *a = from + f * (int64_t)size;
    char *b = to + t * (int64_t)size;
    if (w->tiled) {
      int64_t m = gs_min(TILE, w->m - at[w->rank - 1] * TILE);
      copy_tile(size, m, w->len, a, w->fs, b, w->mto);
    } else {
      copy_row(size, w->len, a, w->fs, b, w->ts);
    }
    for (int d = w->rank - 1; d >= 0; d--) {
      f += w->from[d];
      t += w->to[d];
      if (++at[d] < w->dims[d]) break;
      f -= at[d] * w->from[d];
      t -= at[d] * w->to[d];
      at[d] = 0;
    }
  }
}

void gs_strided_run(const gs_strided *s, const void *from, void *to,
                    int threads) {
  if (s->n <= 0) return;
  walk w;
  walk_init(&w, s);
  gs_assert(threads >= 1);
  int64_t parts = gs_min(w.n, threads);
  if (parts == 1) { /* a region of one thread takes time too */
    walk_range(&w, s->size, 0, w.n, from, to);
    return;
  }
#pragma omp parallel for num_threads((int)parts) schedule(static)
  for (int64_t p = 0; p < parts; p++)
    walk_range(&w, s->size, w.n * p / parts, w.n * (p + 1) / parts, from, to);
}
