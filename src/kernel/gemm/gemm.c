#include "kernel/gemm/gemm.h"

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/layout.h"
#include "kernel/onednn/onednn.h"
#include "kernel/core/share.h"
#include "kernel/core/strided.h"
#include "kernel/gemm/tiles.h"

/* Bytes before the panels, which say how many there are: of products that have
 * different numbers of rows (prefill and decode), the first that is prepared
 * says it for all, so that the matrix is packed once.  All devices prepare them
 * in one order. */
enum { HEAD = 64 };
/* Columns, rows times columns, and terms of products that need no library. */
enum { LITTLE = 8, LITTLE_MN = 1 << 15, LITTLE_K = 128 };
enum { MANY_TILES = 8, SMALL_TILE = 128, PANEL = 512 };

bool gs_gemm_has(gs_dtype t) {
  switch (t) {
  case GS_FLOAT: case GS_DOUBLE:
  case GS_INT8: case GS_INT16: case GS_INT32: case GS_INT64:
  case GS_UINT8: case GS_UINT16: case GS_UINT32: case GS_UINT64:
    return true;
  default:
    return false;
  }
}

void gs_gemm_batch(gs_gemm *g, int64_t n, int64_t sa, int64_t sb) {
  g->batch *= n;
  if (n == 1) return;
  int last = g->nbatch - 1;
  if (last >= 0 && n > 0 && g->sa[last] == sa * n && g->sb[last] == sb * n) {
    g->dims[last] *= n;
    g->sa[last] = sa;
    g->sb[last] = sb;
    return;
  }
  g->dims[g->nbatch] = n;
  g->sa[g->nbatch] = sa;
  g->sb[g->nbatch++] = sb;
}

/* Elements between rows of a panel of n columns: never a multiple of a power
 * of two that would put them all into the same places of the caches. */
static int64_t panel_row(int64_t n) { return (n + 31) / 16 * 16; }

int64_t gs_gemm_row(const gs_gemm *g) {
  return g->pitch && g->run == g->n ? g->pitch : g->n;
}

static gs_view part_of(const gs_gemm *g) {
  return (gs_view){.run = g->run, .pitch = g->pitch};
}

/* Whether a piece is done here: so little work that the library would spend
 * its time on preparing it. */
static bool is_little(const gs_gemm *g, int64_t m, int64_t n) {
  return g->dtype == GS_FLOAT && !g->packed && !g->ta && m >= GS_TILE_ROWS &&
         n >= LITTLE && g->k <= LITTLE_K && m * n <= LITTLE_MN;
}

static bool tile(const gs_gemm *g, int64_t m, int64_t n, const void *a,
                 const void *b, void *c) {
  bool rows = g->packed || !g->tb; /* of b, not columns */
  if (m == 1 && rows && g->dtype == GS_FLOAT && (!g->ta || g->lda == 1)) {
    gs_gemm_vector(n, g->k, a, b, g->packed ? panel_row(n) : g->ldb, c);
    return true;
  }
  if (g->packed)
    return gs_onednn_sgemm(g->ta, false, m, n, g->k, a, g->lda, b,
                           panel_row(n), c, gs_gemm_row(g));
  if (is_little(g, m, n)) {
    float panel[LITTLE_K * GS_TILE_COLUMNS];
    gs_tiles t = {m, n, g->k, g->tb, g->lda, g->ldb, gs_gemm_row(g), 1};
    gs_tiles_run(&t, a, b, c, panel);
    return true;
  }
  if (g->dtype == GS_FLOAT)
    return gs_onednn_sgemm(g->ta, g->tb, m, n, g->k, a, g->lda, b, g->ldb, c,
                           gs_gemm_row(g));
  gs_gemm_own(g, m, n, a, b, c, gs_gemm_row(g));
  return true;
}

/* Pieces of m and n: halved until there are enough for any thread count that
 * is likely, but never by what the thread count is. */
static void grid(const gs_gemm *g, bool packed, int64_t *gm, int64_t *gn) {
  *gm = *gn = 1;
  gs_assert(g->batch >= 0 && g->m >= 0 && g->n >= 0 && g->k >= 0);
  while (g->batch * *gm * *gn < MANY_TILES) {
    int64_t m = g->m / *gm, n = g->n / *gn;
    if (gs_max(m, n) < 2 * SMALL_TILE || (double)m * (double)n *
        (double)g->k < 4e6)
      break;
    if (m >= n) *gm *= 2;
    else *gn *= 2;
  }
  while (packed && g->n / *gn > PANEL) *gn *= 2;
}

/* Elements of the panels before column n0, which starts one. */
static int64_t panels_before(const gs_gemm *g, int64_t gn, int64_t jn) {
  int64_t rows = 0;
  for (int64_t j = 0; j < jn; j++)
    rows += panel_row(g->n * (j + 1) / gn - g->n * j / gn);
  return rows * g->k;
}

/* The panels of a product that they shall be made for. */
typedef struct packing {
  const gs_gemm *g;
  const gs_view *b;
  int64_t first; /* element of b */
} packing;

/* The matrix, f32, in panels of n / gn columns. */
static void panels(const gs_gemm *g, int64_t gn, const float *b, float *p) {
  for (int64_t jn = 0; jn < gn; jn++) {
    int64_t n0 = g->n * jn / gn, n = g->n * (jn + 1) / gn - n0;
    gs_strided s;
    gs_strided_init(&s, sizeof *b);
    gs_strided_dim(&s, g->k, g->tb ? 1 : g->ldb, panel_row(n));
    gs_strided_dim(&s, n, g->tb ? g->ldb : 1, 1);
    gs_strided_run(&s, b + n0 * (g->tb ? g->ldb : 1), p, 1);
    p += g->k * panel_row(n);
  }
}

static bool pack(void *ctx, void *to) {
  const packing *p = ctx;
  const gs_gemm *g = p->g;
  size_t size = (size_t)gs_dtype_get((int)p->b->dtype)->bits / 8;
  const void *from = (const char *)p->b->data + (size_t)p->first * size;
  int64_t gn = g->panels;
  memcpy(to, &gn, sizeof gn);
  to = (char *)to + HEAD;
  if (!gs_dtype_half(p->b->dtype)) {
    panels(g, gn, from, to);
    return true;
  }
  gs_arena a;
  gs_arena_init(&a);
  gs_assert(g->dtype == GS_FLOAT && g->n > 0 && g->k > 0);
  int64_t n = g->ldb * ((g->tb ? g->n : g->k) - 1) + (g->tb ? g->k : g->n);
  float *wide = gs_alloc(&a, (size_t)n * sizeof *wide);
  gs_half_widen(p->b->dtype, n, from, wide, 1);
  panels(g, gn, wide, to);
  gs_arena_free(&a);
  return true;
}

void gs_gemm_keep(gs_gemm *g, gs_kctx *k, int i, int64_t first) {
  const gs_view *b = &k->in[i];
  int64_t gm;
  if (!b->fixed || !b->n || g->dtype != GS_FLOAT || g->batch != 1 ||
      g->n < SMALL_TILE || !g->k)
    return;
  grid(g, true, &gm, &g->panels);
  const char *key = gs_sprintf(
      k->arena, "panels %p %lld %lld %lld %d %lld", b->fixed,
      (long long)first, (long long)g->n, (long long)g->k,
      g->tb, (long long)g->ldb);
  packing p = {g, b, first};
  const void *at = gs_kernel_once(
      k, key, HEAD + sizeof(float) *
      (size_t)panels_before(g, g->panels, g->panels), pack, &p);
  if (!at) return;
  memcpy(&g->panels, at, sizeof g->panels);
  g->packed = (const float *)(const void *)((const char *)at + HEAD);
}

static bool piece(const gs_gemm *g, int64_t item, int64_t gm, int64_t gn,
                  size_t size, const char *a, const char *b, char *c) {
  int64_t jn = item % gn, im = item / gn % gm, batch = item / gn / gm;
  int64_t m0 = g->m * im / gm, m1 = g->m * (im + 1) / gm;
  gs_assert(im < gm && jn < gn && batch < g->batch);
  int64_t n0 = g->n * jn / gn, n1 = g->n * (jn + 1) / gn;
  int64_t oa = m0 * (g->ta ? 1 : g->lda), ob = n0 * (g->tb ? g->ldb : 1);
  gs_view part = part_of(g);
  int64_t oc = gs_part_place(&part, (batch * g->m + m0) * g->n) + n0;
  for (int d = g->nbatch - 1; d >= 0; d--) {
    oa += batch % g->dims[d] * g->sa[d];
    ob += batch % g->dims[d] * g->sb[d];
    batch /= g->dims[d];
  }
  if (g->packed) {
    b = (const char *)(g->packed + panels_before(g, gn, jn));
    ob = 0;
  }
  return tile(g, m1 - m0, n1 - n0, a + oa * (int64_t)size,
              b + ob * (int64_t)size, c + oc * (int64_t)size);
}

bool gs_gemm_run(const gs_gemm *g, const void *a, const void *b, void *c,
                 int threads) {
  size_t size = (size_t)gs_dtype_get((int)g->dtype)->bits / 8;
  int64_t total = g->batch * g->m * g->n;
  if (!total) return true;
  gs_view part = part_of(g);
  gs_assert(!g->pitch || g->run == g->n || g->run % (g->m * g->n) == 0);
  for (int64_t i = 0, n; !g->k && i < total; i += n) {
    n = gs_part_run(&part, i, total - i);
    memset((char *)c + (size_t)gs_part_place(&part, i) * size, 0,
           (size_t)n * size);
  }
  if (!g->k) return true;
  int64_t gm, gn;
  grid(g, g->packed != NULL, &gm, &gn);
  if (g->packed) gn = g->panels;
  int64_t items = g->batch * gm * gn;
  bool small = (double)total * (double)g->k < 5e5;
  int nt = small || threads < 1 ? 1 : (int)gs_min(threads, items);
  int bad = 0;
  if (nt == 1) { /* a region of one thread takes time too */
    for (int64_t i = 0; i < items; i++)
      bad += !piece(g, i, gm, gn, size, a, b, c);
    return !bad;
  }
#pragma omp parallel for num_threads(nt) schedule(static) reduction(+ : bad)
  for (int64_t i = 0; i < items; i++)
    bad += !piece(g, i, gm, gn, size, a, b, c);
  return !bad;
}

void gs_half_widen(gs_dtype t, int64_t n, const void *from, float *to,
                   int threads) {
  const uint16_t *h = from;
  int64_t parts = n < 1 << 15 || threads < 1 ? 1 : threads;
#pragma omp parallel for num_threads((int)parts) schedule(static)              \
    if (parts > 1)
  for (int64_t p = 0; p < parts; p++) {
    int64_t i = n * p / parts, m = n * (p + 1) / parts - i;
    if (t == GS_FLOAT16) gs_f16_to_f32(to + i, h + i, m);
    else if (t == GS_BFLOAT16) gs_bf16_to_f32(to + i, h + i, m);
  }
}

void gs_half_narrow(gs_dtype t, int64_t n, const float *from, void *to,
                    int threads) {
  uint16_t *h = to;
  int64_t parts = n < 1 << 15 || threads < 1 ? 1 : threads;
#pragma omp parallel for num_threads((int)parts) schedule(static)              \
    if (parts > 1)
  for (int64_t p = 0; p < parts; p++) {
    int64_t i = n * p / parts, m = n * (p + 1) / parts - i;
    if (t == GS_FLOAT16) gs_f32_to_f16(h + i, from + i, m);
    else if (t == GS_BFLOAT16) gs_f32_to_bf16(h + i, from + i, m);
  }
}

void gs_half_narrow_to(const gs_view *v, const float *from, int threads) {
  uint16_t *y = v->data;
  for (int64_t i = 0, n; i < v->n; i += n) {
    n = gs_part_run(v, i, v->n - i);
    gs_half_narrow(v->dtype, n, from + i, y + gs_part_place(v, i), threads);
  }
}
