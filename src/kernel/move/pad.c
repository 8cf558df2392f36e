/* Pad and Trilu. */
#include "kernel/core/coord.h"
#include "base/assert.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

/* For every dim: which element of the operand each place reads, -1 where the
 * constant goes.  [lo, hi) of the last dim reads consecutive elements. */
typedef struct pad_plan {
  size_t size;
  int rank;
  int64_t *at[GS_MAX_RANK];
  int64_t stride[GS_MAX_RANK];
  int64_t lo, hi;
} pad_plan;

/* Paddings beyond this would overflow. */
#define LIMIT ((int64_t)1 << 60)

typedef enum pad_mode { CONSTANT, REFLECT, EDGE, WRAP } pad_mode;

static gs_status pad_mode_of(gs_kctx *k, pad_mode *mode) {
  static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
  const char *s = gs_node_string(k->node, "mode", "constant");
  for (int i = 0; i < 4; i++)
    if (!strcmp(s, names[i])) {
      *mode = (pad_mode)i;
      return GS_OK;
    }
  return gs_kernel_fail(k, GS_UNSUPPORTED, "padding mode '%s'", s);
}

/* Where place i, counted from the first element of n, reads. */
static int64_t pad_from(pad_mode mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  if (mode == CONSTANT) return -1;
  if (mode == EDGE) return i < 0 ? 0 : n - 1;
  int64_t period = mode == WRAP ? n : gs_max(1, 2 * (n - 1));
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - i;
}

static gs_status pads_of(gs_kctx *k, int rank, int64_t *before) {
  int64_t pads[2 * GS_MAX_RANK], axes[GS_MAX_RANK];
  int np, na;
  GS_TRY(gs_kernel_ints(k, 1, pads, 2 * GS_MAX_RANK, &np));
  GS_TRY(gs_kernel_ints(k, 3, axes, GS_MAX_RANK, &na));
  int n = na < 0 ? rank : na;
  if (np != 2 * n)
    return gs_kernel_fail(k, GS_DATA, "%d pads for %d dims", np, n);
  for (int d = 0; d < rank; d++) before[d] = 0;
  for (int i = 0; i < n; i++) {
    int d = i;
    if (na >= 0) GS_TRY(gs_kernel_axis(k, axes[i], rank, &d));
    before[d] = pads[i];
    if (pads[i] < -LIMIT || pads[i] > LIMIT)
      return gs_kernel_fail(k, GS_DATA, "a padding of %lld",
                            (long long)pads[i]);
  }
  return GS_OK;
}

static gs_status pad_plan_make(gs_kctx *k, gs_arena *a, pad_plan *p) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t before[GS_MAX_RANK], stride = 1;
  pad_mode mode = CONSTANT;
  GS_TRY(gs_kernel_esize(k, x->dtype, &p->size));
  GS_TRY(pad_mode_of(k, &mode));
  GS_TRY(pads_of(k, x->rank, before));
  p->rank = x->rank;
  if (!y->n) return GS_OK; /* no tables for dims that nobody reads */
  for (int d = x->rank - 1; d >= 0; d--) {
    int64_t n = x->dims[d];
    if (n == 0 && mode != CONSTANT)
      return gs_kernel_fail(k, GS_DATA, "dim %d is empty: nothing to pad with",
                            d);
    p->stride[d] = stride;
    stride *= n;
    p->at[d] = GS_NEWS(a, y->dims[d], int64_t);
    for (int64_t i = 0; i < y->dims[d]; i++)
      p->at[d][i] = pad_from(mode, i - before[d], n);
    if (d == x->rank - 1) {
      p->lo = gs_min(gs_max(0, before[d]), y->dims[d]);
      p->hi = gs_max(p->lo, gs_min(y->dims[d], before[d] + n));
    }
  }
  return GS_OK;
}

/* One row of the last dim; `from` is its row of the operand, or NULL. */
static void pad_row(const pad_plan *p, int64_t n, const char *from, char *to,
                    const void *value) {
  if (!from) {
    gs_fill_elements(to, n, p->size, value);
    return;
  }
  gs_assert(p->rank > 0 && p->lo <= p->hi && p->hi <= n);
  const int64_t *at = p->at[p->rank - 1];
  for (int64_t i = 0; i < n; i++) {
    if (i == p->lo && p->hi > p->lo) {
      memcpy(to + i * (int64_t)p->size, from + at[i] * (int64_t)p->size,
             (size_t)(p->hi - p->lo) * p->size);
      i = p->hi - 1;
      continue;
    }
    memcpy(to + i * (int64_t)p->size,
           at[i] < 0 ? value : from + at[i] * (int64_t)p->size, p->size);
  }
}

static void pad_all(gs_kctx *k, const pad_plan *p, const void *value) {
  const gs_view *y = &k->out[0];
  int last = p->rank - 1;
  int64_t n = y->dims[last], rows = y->n / n, size = (int64_t)p->size;
  int nt = gs_kernel_threads(k, y->n * size);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t r = 0; r < rows; r++) {
    int64_t rest = r, off = 0;
    for (int d = last - 1; d >= 0 && off >= 0; d--) {
      int64_t at = p->at[d][rest % y->dims[d]];
      rest /= y->dims[d];
      off = at < 0 ? -1 : off + at * p->stride[d];
    }
    const char *x = k->in[0].data;
    pad_row(p, n, off < 0 ? NULL : x + off * size,
            (char *)y->data + r * n * size, value);
  }
}

static gs_status pad_prep(gs_kctx *k) {
  if (!gs_kernel_known(k, 1) || !gs_kernel_known(k, 3)) return GS_OK;
  pad_plan *p = GS_NEW(k->arena, pad_plan);
  k->state = p;
  return pad_plan_make(k, k->arena, p);
}

static gs_status pad_run(gs_kctx *k) {
  static const char zero[16];
  const void *value = gs_kernel_has(k, 2) && k->in[2].n ? k->in[2].data : zero;
  pad_plan own = {0};
  const pad_plan *p = k->state;
  gs_arena a;
  gs_status s = GS_OK;
  gs_arena_init(&a);
  if (!p) {
    s = pad_plan_make(k, &a, &own);
    p = &own;
  }
  if (s == GS_OK && k->out[0].n) {
    if (p->rank == 0) memcpy(k->out[0].data, k->in[0].data, p->size);
    else pad_all(k, p, value);
  }
  gs_arena_free(&a);
  return s;
}

const gs_kernel gs_kernel_pad = {pad_prep, pad_run};

static gs_status trilu_run(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  size_t size;
  int64_t diag = 0;
  int n;
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  GS_TRY(gs_kernel_ints(k, 1, &diag, 1, &n));
  if (x->rank < 2) return gs_kernel_fail(k, GS_DATA, "rank %d", x->rank);
  bool upper = gs_node_int(k->node, "upper", 1) != 0;
  gs_kextent whole; /* of operand and result */
  GS_TRY(gs_kctx_operand(k, 0, &whole));
  diag = gs_max(gs_min(diag, whole.dims[x->rank - 1]),
                -whole.dims[x->rank - 2]);
  diag += whole.first[x->rank - 2] - whole.first[x->rank - 1];
  int64_t rows = x->dims[x->rank - 2], cols = x->dims[x->rank - 1];
  int64_t all = x->n ? x->n / cols : 0;
  int nt = gs_kernel_threads(k, x->n * (int64_t)size);
  (void)nt;
  gs_assert(n <= 1);
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t r = 0; r < all; r++) {
    const char *a = (const char *)x->data + (size_t)(r * cols) * size;
    char *b = (char *)k->out[0].data + (size_t)(r * cols) * size;
    /* Upper keeps columns from r + diag, lower those up to it. */
    int64_t cut = r % rows + diag + (upper ? 0 : 1);
    size_t at = (size_t)gs_min(cols, gs_max(0, cut)) * size;
    size_t end = (size_t)cols * size;
    if (upper) {
      memset(b, 0, at);
      if (b != a) memcpy(b + at, a + at, end - at);
    } else {
      memset(b + at, 0, end - at);
      if (b != a) memcpy(b, a, at);
    }
  }
  return GS_OK;
}

const gs_kernel gs_kernel_trilu = {NULL, trilu_run};
