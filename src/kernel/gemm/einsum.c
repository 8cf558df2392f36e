/* Einsum: the steps of the plan in einsum_plan.c.  f16 and bf16 are widened,
 * contracted in f32 and rounded once; integers wrap. */
#include "kernel/gemm/einsum.h"

#include "base/math.h"
#include "kernel/core/support.h"

/* Offsets of loop index i over dims[first .. end) in a and b. */
static void offsets(const gs_ein_step *s, int first, int end, int64_t i,
                    int64_t *a, int64_t *b) {
  *a = *b = 0;
  for (int d = end - 1; d >= first; d--) {
    int64_t j = i % s->dims[d];
    i /= s->dims[d];
    *a += j * s->sa[d];
    *b += j * s->sb[d];
  }
}

/* Sums over all labels past the kept ones, in row-major order of those. */
#define SUM(name, type, wide)                                                  \
  static void name(const gs_ein_step *s, const void *vx, void *vy, int nt) {   \
    const type *x = vx;                                                        \
    type *y = vy;                                                              \
    int last = s->rank - 1;                                                    \
    int64_t n = s->dims[last], step = s->sa[last];                             \
    int64_t rows = gs_dims_count(s->dims, s->kept, last);                      \
    (void)nt;                                                                  \
    _Pragma("omp parallel for num_threads(nt) schedule(static) if (nt > 1)")   \
    for (int64_t i = 0; i < s->n; i++) {                                       \
      int64_t a, b, c;                                                         \
      wide sum = 0;                                                            \
      offsets(s, 0, s->kept, i, &a, &b);                                       \
      for (int64_t r = 0; r < rows; r++) {                                     \
        offsets(s, s->kept, last, r, &c, &b);                                  \
        for (int64_t j = 0; j < n; j++) sum += (wide)x[a + c + j * step];      \
      }                                                                        \
      y[i] = (type)sum;                                                        \
    }                                                                          \
  }

/* Products over the kept labels. */
#define MUL(name, type, wide)                                                  \
  static void name(const gs_ein_step *s, const void *va, const void *vb,       \
                   void *vy, int nt) {                                         \
    const type *x = va, *z = vb;                                               \
    type *y = vy;                                                              \
    int last = s->rank - 1;                                                    \
    int64_t n = last < 0 ? 1 : s->dims[last];                                  \
    int64_t sa = last < 0 ? 0 : s->sa[last], sb = last < 0 ? 0 : s->sb[last];  \
    int64_t rows = s->n / n;                                                   \
    (void)nt;                                                                  \
    _Pragma("omp parallel for num_threads(nt) schedule(static) if (nt > 1)")   \
    for (int64_t i = 0; i < rows; i++) {                                       \
      int64_t a, b;                                                            \
      offsets(s, 0, last, i, &a, &b);                                          \
      for (int64_t j = 0; j < n; j++)                                          \
        y[i * n + j] = (type)((wide)x[a + j * sa] * (wide)z[b + j * sb]);      \
    }                                                                          \
  }

#define TYPES(X)                                                               \
  X(f32, float, float)                                                         \
  X(f64, double, double)                                                       \
  X(u8, uint8_t, uint32_t)                                                     \
  X(u16, uint16_t, uint32_t)                                                   \
  X(u32, uint32_t, uint32_t)                                                   \
  X(u64, uint64_t, uint64_t)
#define X(s, type, wide) SUM(sum_##s, type, wide) MUL(mul_##s, type, wide)
TYPES(X)
#undef X

static void sum_step(gs_dtype t, const gs_ein_step *s, const void *a, void *y,
                     int nt) {
  switch (t) {
  case GS_FLOAT: sum_f32(s, a, y, nt); break;
  case GS_DOUBLE: sum_f64(s, a, y, nt); break;
  case GS_INT8: case GS_UINT8: sum_u8(s, a, y, nt); break;
  case GS_INT16: case GS_UINT16: sum_u16(s, a, y, nt); break;
  case GS_INT32: case GS_UINT32: sum_u32(s, a, y, nt); break;
  default: sum_u64(s, a, y, nt); break;
  }
}

static void mul_step(gs_dtype t, const gs_ein_step *s, const void *a,
                     const void *b, void *y, int nt) {
  switch (t) {
  case GS_FLOAT: mul_f32(s, a, b, y, nt); break;
  case GS_DOUBLE: mul_f64(s, a, b, y, nt); break;
  case GS_INT8: case GS_UINT8: mul_u8(s, a, b, y, nt); break;
  case GS_INT16: case GS_UINT16: mul_u16(s, a, b, y, nt); break;
  case GS_INT32: case GS_UINT32: mul_u32(s, a, b, y, nt); break;
  default: mul_u64(s, a, b, y, nt); break;
  }
}

static const void *data_of(gs_kctx *k, const gs_ein_plan *p,
                           const gs_term *t) {
  const char *scratch = k->scratch;
  if (t->operand < 0) return scratch + t->offset * p->size;
  if (p->half) return scratch + p->widened[t->operand] * p->size;
  return k->in[t->operand].data;
}

static bool run_step(gs_kctx *k, const gs_ein_plan *p, const gs_ein_step *s) {
  const void *a = data_of(k, p, &s->a);
  char *scratch = k->scratch;
  void *y = !s->last ? scratch + s->offset * p->size
            : p->half ? scratch + p->result * p->size
                      : k->out[0].data;
  int64_t bytes = s->n * (int64_t)p->size;
  int nt = gs_kernel_threads(k, bytes);
  if (!s->n) return true;
  switch (s->kind) {
  case GS_EIN_COPY: gs_strided_run(&s->copy, a, y, nt); return true;
  case GS_EIN_SUM:
    nt = gs_kernel_threads(k, gs_dims_count(s->dims, 0, s->rank) * 4);
    sum_step(p->dtype, s, a, y, nt);
    return true;
  case GS_EIN_MUL:
    mul_step(p->dtype, s, a, data_of(k, p, &s->b), y, nt);
    return true;
  case GS_EIN_GEMM:
    return gs_gemm_run(&s->gemm, a, data_of(k, p, &s->b), y, k->threads);
  }
  return false;
}

gs_status gs_ein_run(gs_kctx *k, const gs_ein_plan *p) {
  const gs_view *y = &k->out[0];
  if (!y->n) return GS_OK;
  if (p->half)
    for (int i = 0; i < p->nin; i++)
      gs_half_widen(k->in[i].dtype, k->in[i].n, k->in[i].data,
                    (float *)k->scratch + p->widened[i], k->threads);
  for (int i = 0; i < p->step.n; i++)
    if (!run_step(k, p, &p->step.at[i]))
      return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute a product");
  if (p->half)
    gs_half_narrow(y->dtype, y->n, (float *)k->scratch + p->result, y->data,
                   k->threads);
  return GS_OK;
}

static gs_status prep(gs_kctx *k) {
  gs_ein_plan *p = GS_NEW(k->arena, gs_ein_plan);
  const char *equation = gs_node_string(k->node, "equation", NULL);
  if (!equation)
    return gs_kernel_fail(k, GS_DATA, "attribute equation is missing");
  for (int i = 1; i < k->nin; i++)
    if (k->in[i].dtype != k->in[0].dtype)
      return gs_kernel_fail(k, GS_DATA, "the operands differ in type");
  GS_TRY(gs_ein_plan_make(k, equation, p));
  k->scratch_size = p->scratch * p->size;
  k->state = p;
  return GS_OK;
}

static gs_status run(gs_kctx *k) { return gs_ein_run(k, k->state); }

const gs_kernel gs_kernel_einsum = {prep, run};
