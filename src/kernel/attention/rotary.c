/* RotaryEmbedding of ai.onnx and com.microsoft: computed in f32 (f64 in f64)
 * and rounded once. */
#include "kernel/attention/rotary.h"

#include "base/assert.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"

typedef struct job {
  const gs_rotary *p;
  const char *x, *cos, *sin;
  char *y;
  const int64_t *at;
} job;

/* One head: a[i], b[i] the elements of pair i, `step` apart from the next. */
#define TURN(name, T)                                                          \
  static void name(const T *x, T *y, const T *c, const T *s, int64_t n,        \
                   bool interleaved) {                                         \
    if (interleaved) {                                                         \
      for (int64_t i = 0; i < n; i++) {                                        \
        T a = x[2 * i], b = x[2 * i + 1];                                      \
        y[2 * i] = c[i] * a - s[i] * b;                                        \
        y[2 * i + 1] = s[i] * a + c[i] * b;                                    \
      }                                                                        \
      return;                                                                  \
    }                                                                          \
    for (int64_t i = 0; i < n; i++) {                                          \
      T a = x[i], b = x[n + i];                                                \
      y[i] = c[i] * a - s[i] * b;                                              \
      y[n + i] = s[i] * a + c[i] * b;                                          \
    }                                                                          \
  }
TURN(turn_f32, float)
TURN(turn_f64, double)
#undef TURN

static void scale(float *x, int64_t n, double by) {
  for (int64_t i = 0; by != 1 && i < n; i++) x[i] *= (float)by;
}

/* Row r of batch b, all heads. */
static void one_row(const job *j, int64_t b, int64_t r, float *wide) {
  const gs_rotary *p = j->p;
  int64_t size = gs_dtype_get((int)p->type)->bits / 8, half = p->turn / 2;
  int64_t angle = j->at[b * p->rows + r] * half * size;
  gs_assert(j->at[b * p->rows + r] >= 0 && p->turn <= p->head);
  bool f64 = p->type == GS_DOUBLE;
  float *c = wide, *s = c + half, *x = s + half, *y = x + p->turn;
  if (!f64) {
    gs_convert(GS_FLOAT, c, p->type, j->cos + angle, half, NULL);
    gs_convert(GS_FLOAT, s, p->type, j->sin + angle, half, NULL);
    scale(c, 2 * half, p->scale);
  }
  for (int64_t h = 0; h < p->heads; h++) {
    const char *from = j->x + (b * p->xb + h * p->xh + r * p->xr) * size;
    char *to = j->y + (b * p->yb + h * p->yh + r * p->yr) * size;
    if (f64) {
      turn_f64((const double *)(const void *)from, (double *)(void *)to,
               (const double *)(const void *)(j->cos + angle),
               (const double *)(const void *)(j->sin + angle), half,
               p->interleaved);
    } else {
      gs_convert(GS_FLOAT, x, p->type, from, p->turn, NULL);
      turn_f32(x, y, c, s, half, p->interleaved);
      gs_convert(p->type, to, GS_FLOAT, y, p->turn, NULL);
    }
    if (p->head > p->turn)
      memcpy(to + p->turn * size, from + p->turn * size,
             (size_t)((p->head - p->turn) * size));
  }
}

static void rows(void *ctx, int64_t first, int64_t last) {
  const job *j = ctx;
  gs_arena a;
  gs_arena_init(&a);
  float *wide = GS_NEWS(&a, 3 * j->p->turn + 1, float);
  for (int64_t i = first; i < last; i++)
    one_row(j, i / j->p->rows, i % j->p->rows, wide);
  gs_arena_free(&a);
}

void gs_rotary_run(const gs_rotary *p, const void *x, void *y,
                   const void *cos, const void *sin, const int64_t *at,
                   int threads) {
  job j = {p, x, cos, sin, y, at};
  gs_parallel(threads, p->batch * p->rows, p->heads * p->head * 2, rows, &j);
}

/* ---- ai.onnx ---- */

enum { X, COS, SIN, IDS };

/* What both forms say alike of operand 0; `flat`: heads lie in its last dim. */
static gs_status begin(gs_kctx *k, gs_rotary **out, bool *flat) {
  const gs_view *x = &k->in[X];
  if (x->dtype != GS_FLOAT && x->dtype != GS_DOUBLE &&
      !gs_dtype_half(x->dtype))
    return gs_kernel_no_type(k, x->dtype);
  gs_rotary *p = *out = GS_NEW(k->arena, gs_rotary);
  k->state = p;
  *flat = x->rank == 3;
  *p = (gs_rotary){.type = x->dtype, .batch = x->dims[0], .scale = 1};
  p->interleaved = gs_node_int(k->node, "interleaved", 0) != 0;
  p->turn = gs_node_int(k->node, "rotary_embedding_dim", 0);
  p->rows = x->dims[*flat ? 1 : 2];
  return GS_OK;
}

/* Where heads and rows lie, once their numbers are known. */
static void lay_out(gs_kctx *k, gs_rotary *p, bool flat) {
  if (!p->turn) p->turn = p->head;
  p->xb = p->yb = p->heads * p->rows * p->head;
  p->xh = p->yh = flat ? p->head : p->rows * p->head;
  p->xr = p->yr = flat ? p->heads * p->head : p->head;
  k->scratch_size = (size_t)(p->batch * p->rows) * sizeof(int64_t) + 64;
}

static gs_status prep(gs_kctx *k) {
  const gs_view *x = &k->in[X];
  gs_rotary *p;
  bool flat;
  GS_TRY(begin(k, &p, &flat));
  p->heads = flat ? gs_node_int(k->node, "num_heads", 1) : x->dims[1];
  p->head = flat ? x->dims[2] / p->heads : x->dims[3];
  lay_out(k, p, flat);
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  const gs_rotary *p = k->state;
  int64_t *at = k->scratch, n = p->batch * p->rows;
  bool ids = gs_kernel_has(k, IDS);
  for (int64_t i = 0; i < n; i++) {
    at[i] = ids ? gs_view_int(&k->in[IDS], i) : i;
    if (ids && (at[i] < 0 || at[i] >= k->in[COS].dims[0]))
      return gs_kernel_fail(k, GS_DATA,
                            "position %lld is outside of %lld angles",
                            (long long)at[i], (long long)k->in[COS].dims[0]);
  }
  gs_rotary_run(p, k->in[X].data, k->out[0].data, k->in[COS].data,
                k->in[SIN].data, at, k->threads);
  return GS_OK;
}

extern const gs_kernel gs_kernel_rotary;
const gs_kernel gs_kernel_rotary = {prep, run};

/* ---- com.microsoft ---- */

enum { MS_X, MS_IDS, MS_COS, MS_SIN };

static gs_status ms_prep(gs_kctx *k) {
  const gs_view *x = &k->in[MS_X];
  gs_rotary *p;
  bool flat;
  GS_TRY(begin(k, &p, &flat));
  p->scale = gs_node_float(k->node, "scale", 1);
  int64_t heads = gs_node_int(k->node, "num_heads", 0);
  int64_t angles = 2 * k->in[MS_COS].dims[1];
  if (!flat) p->heads = x->dims[1];
  else p->heads = heads > 0 ? heads : angles > 0 ? x->dims[2] / angles : 0;
  p->head = !flat ? x->dims[3] : p->heads ? x->dims[2] / p->heads : 0;
  if (x->dtype == GS_DOUBLE && p->scale != 1)
    return gs_kernel_fail(k, GS_UNSUPPORTED, "a scale of angles in f64");
  lay_out(k, p, flat);
  return GS_OK;
}

static gs_status ms_run(gs_kctx *k) {
  const gs_rotary *p = k->state;
  int64_t *at = k->scratch, n = p->batch * p->rows;
  int64_t table = k->in[MS_COS].dims[0];
  bool base = k->in[MS_IDS].rank == 1;
  for (int64_t i = 0; i < n; i++) {
    at[i] = base ? gs_view_int(&k->in[MS_IDS], 0) + i % p->rows
                 : gs_view_int(&k->in[MS_IDS], i);
    if (at[i] < 0 || at[i] >= table)
      return gs_kernel_fail(k, GS_DATA,
                            "position %lld is outside of %lld angles",
                            (long long)at[i], (long long)table);
  }
  gs_rotary_run(p, k->in[MS_X].data, k->out[0].data, k->in[MS_COS].data,
                k->in[MS_SIN].data, at, k->threads);
  return GS_OK;
}

extern const gs_kernel gs_kernel_ms_rotary;
const gs_kernel gs_kernel_ms_rotary = {ms_prep, ms_run};
