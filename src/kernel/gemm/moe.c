/* MoE and QMoE of com.microsoft, and the forms of ai.gshard that hold some of
 * the experts.
 *
 * Tokens are sorted by the experts that they are sent to.  The rows of an
 * expert go through its two or three products, ROWS at a time; then every
 * token adds up what its experts made, in the order of their scores.  16-bit
 * floats are computed in f32 and rounded once. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "ir/packed.h"
#include "kernel/core/coord.h"
#include "kernel/gemm/gemm.h"
#include "kernel/narrow/narrow.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/pointwise/vmath.h"
#include "op/rows/nn/moe_shapes.h"

enum {
  X, ROUTER, W1, B1, W2, B2, W3, B3,
  ROWS = 256,
  LEVEL_INT8 = 4 /* the accuracy_level that allows rows of i8 */
};

typedef struct moe_loops {
  void (*relu)(float *x, int64_t n);
  void (*silu)(float *x, int64_t n);
  void (*gelu)(float *x, int64_t n);
  void (*swiglu)(float *g, const float *l, int64_t n, const float *p);
} moe_loops;

#define GS_STAMP "kernel/gemm/moe.inc"
#include "kernel/core/stamp.h"

/* Operands of one of the layers: weights and bias; with bits also scales and
 * zero points. */
typedef struct layer_plan {
  int w, b, s, z;
  int bits;      /* 0: floats */
  int64_t block; /* 0: one scale for a row */
  int64_t rows, cols; /* of the weights of an expert */
  const gs_narrow *packed; /* [experts], or NULL: they may change */
} layer_plan;

typedef struct plan {
  layer_plan fc[3];
  const moe_loops *loop;
  void (*act)(float *x, int64_t n); /* NULL: none, or swiglu */
  bool swiglu, normalize, ints;
  int64_t fusion; /* 0: no gates in fc1; 1: side by side; 2: in two halves */
  float param[3]; /* alpha, beta, limit */
  int64_t tokens, k, all;       /* all: experts of the router */
  int64_t experts, first;       /* those that are here */
  int64_t in, up, inner, out;   /* up: rows of fc1 */
  size_t chosen, weight, order, start, x, a, b, y, wide, line, zeros;
} plan;

typedef struct job {
  gs_kctx *k;
  const plan *p;
  int64_t *chosen; /* [tokens, k] experts */
  float *weight;   /* [tokens, k] */
  int64_t *order;  /* [tokens * k] places (token * k + slot) by expert */
  int64_t *start;  /* [experts + 1] in order */
  float *x, *a, *b, *y, *wide, *line;
  uint8_t *zeros;  /* zero points of the rows of a layer, one to a byte */
  int64_t expert, from, n; /* the rows at hand */
} job;

/* ---- prep ---- */

static size_t take(size_t *top, int64_t n, int64_t size) {
  size_t at = *top;
  *top += (size_t)(n * size + 63) / 64 * 64;
  return at;
}

static void activation(gs_kctx *k, plan *p) {
  const char *s = gs_node_string(k->node, "activation_type", "relu");
  p->loop = GS_PICK(&loops);
  p->swiglu = !strcmp(s, "swiglu");
  p->fusion = p->swiglu ? gs_node_int(k->node, "swiglu_fusion", 0) : 0;
  switch (*s) { /* the shape function knows the names */
  case 'r': p->act = p->loop->relu; break;
  case 'g': p->act = p->loop->gelu; break;
  case 's': p->act = p->swiglu ? NULL : p->loop->silu; break;
  default: p->act = NULL;
  }
  p->param[0] = (float)gs_node_float(k->node, "activation_alpha", 1);
  p->param[1] = (float)gs_node_float(k->node, "activation_beta", 0);
  p->param[2] = (float)gs_node_float(k->node, "swiglu_limit",
                                     (double)INFINITY);
}

/* ---- weights of few bits ---- */

/* Those of expert e; zeros: room for a zero point of each row. */
static gs_nbits codes_of(const gs_kctx *k, const layer_plan *fc, int64_t e,
                         uint8_t *zeros) {
  const gs_view *s = &k->in[fc->s];
  int64_t rows = fc->rows, blob = fc->cols * fc->bits / 8;
  gs_nbits w = {.bits = fc->bits, .n = rows, .k = fc->cols, .packed = true,
                .block = fc->block ? fc->block : fc->cols, .type = s->dtype};
  w.blocks = w.block ? fc->cols / w.block : 0;
  w.codes = (const uint8_t *)k->in[fc->w].data + e * rows * blob;
  w.scales = (const char *)s->data +
             e * rows * w.blocks * (s->dtype == GS_FLOAT ? 4 : 2);
  if (gs_kernel_has(k, fc->z) && fc->block) {
    w.zeros = (const uint8_t *)k->in[fc->z].data +
              e * rows * gs_ceil_div(w.blocks * fc->bits, 8);
  } else if (gs_kernel_has(k, fc->z)) {
    const uint8_t *z = (const uint8_t *)k->in[fc->z].data +
                       e * gs_ceil_div(rows * fc->bits, 8);
    if (fc->bits == 8) memcpy(zeros, z, (size_t)rows);
    else gs_codes_unpack(fc->bits, false, zeros, z, 0, rows);
    w.zeros = zeros;
  }
  return w;
}

/* Packs the experts of a layer, once, where they are constant. */
static void keep_layer(gs_kctx *k, const plan *p, layer_plan *fc) {
  bool zeros = gs_kernel_has(k, fc->z);
  if (!k->in[fc->w].data || !k->in[fc->s].data || !p->experts ||
      (zeros && !k->in[fc->z].data))
    return;
  gs_narrow *all = GS_NEWS(k->arena, p->experts, gs_narrow);
  uint8_t *room = GS_NEWS(k->arena, fc->rows + 1, uint8_t);
  for (int64_t e = 0; e < p->experts; e++) {
    gs_nbits w = codes_of(k, fc, e, room);
    gs_narrow_keep_codes(&all[e], k,
                         (gs_narrow_from){fc->w, fc->s, zeros ? fc->z : -1},
                         e, &w);
    if (!all[e].packed) return;
  }
  fc->packed = all;
  k->in[fc->w].unread = k->in[fc->s].unread = true;
  if (zeros) k->in[fc->z].unread = true;
}

/* Bytes of scratch that the products take. */
static size_t wide_size(gs_kctx *k, const plan *p, int64_t rows) {
  if (!p->fc[0].bits) {
    if (!gs_dtype_half(k->in[X].dtype)) return 0;
    return (size_t)gs_max(p->up * p->in, p->out * p->inner) * sizeof(float);
  }
  size_t most = 0;
  for (int i = 0; i < 3; i++) {
    const layer_plan *fc = &p->fc[i];
    if (!gs_kernel_has(k, fc->w)) continue;
    size_t one = fc->packed
                     ? gs_narrow_scratch(fc->packed, p->ints, rows)
                     : gs_nbits_scratch(fc->cols, rows, k->threads);
    if (one > most) most = one;
  }
  return most;
}

/* ---- sizes ---- */

static void layer_sizes(plan *p) {
  int64_t rows[3] = {p->up, p->out, p->inner};
  int64_t cols[3] = {p->in, p->inner, p->in};
  for (int i = 0; i < 3; i++) {
    p->fc[i].rows = rows[i];
    p->fc[i].cols = cols[i];
  }
}

static gs_status prep_layers(gs_kctx *k, plan *p) {
  const gs_view *x = &k->in[X];
  const gs_view *w1 = &k->in[p->fc[0].w], *w2 = &k->in[p->fc[1].w];
  if (x->dtype != GS_FLOAT && !gs_dtype_half(x->dtype))
    return gs_kernel_no_type(k, x->dtype);
  activation(k, p);
  p->normalize =
      gs_node_int(k->node, "normalize_routing_weights", 0) != 0;
  p->tokens = k->in[ROUTER].dims[0];
  p->all = k->in[ROUTER].dims[1];
  p->k = gs_node_int(k->node, "k", 1);
  p->in = x->dims[x->rank - 1];
  p->up = w1->dims[1];
  p->experts = w2->dims[0];
  p->out = w2->dims[1];
  p->inner = w2->dims[2];
  if (p->fc[1].bits) p->inner *= 8 / p->fc[1].bits;
  if (gs_node_attr(k->node, "axes") || gs_node_attr(k->node, "index")) {
    GS_TRY(gs_kctx_index(k, &p->first));
    p->first *= p->experts;
  }
  layer_sizes(p);
  int64_t sent = p->tokens * p->k, rows = gs_min(ROWS, sent);
  gs_assert(p->tokens >= 0 && p->k >= 1 && p->k <= p->all);
  size_t top = 0;
  p->chosen = take(&top, sent, 8);
  p->weight = take(&top, sent, 4);
  p->order = take(&top, sent, 8);
  p->start = take(&top, p->experts + 2, 8);
  p->x = take(&top, rows * p->in, 4);
  p->a = take(&top, rows * p->up, 4);
  p->b = take(&top, rows * p->inner, 4);
  p->y = take(&top, sent * p->out, 4);
  p->line = take(&top, gs_max(p->up, p->out), 4);
  p->zeros = take(&top, gs_max(p->up, p->out), 1);
  if (p->fc[0].bits)
    for (int i = 0; i < 3; i++)
      if (gs_kernel_has(k, p->fc[i].w)) keep_layer(k, p, &p->fc[i]);
  p->wide = take(&top, (int64_t)wide_size(k, p, rows), 1);
  k->scratch_size = top;
  return GS_OK;
}

static gs_status prep(gs_kctx *k) {
  static const layer_plan fc[3] = {
      {.w = W1, .b = B1}, {.w = W2, .b = B2}, {.w = W3, .b = B3}};
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  memcpy(p->fc, fc, sizeof fc);
  return prep_layers(k, p);
}

static gs_status prep_qmoe(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  for (int i = 0; i < 3; i++)
    p->fc[i] = (layer_plan){.w = GS_QMOE_W1 + 3 * i,
                            .b = GS_QMOE_B1 + 3 * i,
                            .s = GS_QMOE_S1 + 3 * i,
                            .z = GS_QMOE_Z1 + i,
                            .bits = (int)gs_qmoe_bits(k->node, i + 1),
                            .block = gs_node_int(k->node, "block_size", 0)};
  p->ints = gs_node_int(k->node, "accuracy_level", 0) == LEVEL_INT8;
  GS_TRY(prep_layers(k, p));
  /* As ONNX Runtime, which here takes the softmax over the chosen experts
   * whatever normalize_routing_weights says. */
  p->normalize = true;
  return GS_OK;
}

/* ---- gating ---- */

static float number(const gs_view *v, int64_t i) {
  float f;
  int64_t size = v->dtype == GS_FLOAT ? 4 : 2;
  gs_convert(GS_FLOAT, &f, v->dtype, (const char *)v->data + i * size, 1,
             NULL);
  return f;
}

/* The k best experts of a token, the best first; softmax over all of them, or
 * over the chosen ones. */
static void gate(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  for (int64_t t = lo; t < hi; t++) {
    int64_t *to = j->chosen + t * p->k;
    float *w = j->weight + t * p->k;
    for (int64_t s = 0; s < p->k; s++) {
      int64_t best = -1;
      float max = 0;
      for (int64_t e = 0; e < p->all; e++) {
        bool used = false;
        for (int64_t i = 0; i < s; i++) used = used || to[i] == e;
        float r = number(&j->k->in[ROUTER], t * p->all + e);
        if (used || (best >= 0 && !(r > max))) continue;
        best = e;
        max = r;
      }
      to[s] = best;
      w[s] = max;
    }
    float sum = 0, top = w[0];
    for (int64_t e = 0; e < p->all && !p->normalize; e++)
      sum += expf(number(&j->k->in[ROUTER], t * p->all + e) - top);
    for (int64_t s = 0; s < p->k; s++) {
      w[s] = expf(w[s] - top);
      if (p->normalize) sum += w[s];
    }
    for (int64_t s = 0; s < p->k; s++) w[s] /= sum;
  }
}

/* Counting sort by expert; others' come not in. */
static void sort(job *j) {
  const plan *p = j->p;
  int64_t sent = p->tokens * p->k, *start = j->start;
  memset(start, 0, (size_t)(p->experts + 2) * sizeof *start);
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t i = 0; i < sent; i++) {
      int64_t e = j->chosen[i] - p->first;
      if (e < 0 || e >= p->experts) continue;
      if (pass) j->order[start[e + 1]++] = i;
      else start[e + 2]++;
    }
    for (int64_t e = 0; e < p->experts && !pass; e++)
      start[e + 2] += start[e + 1];
  }
}

/* ---- the experts ---- */

static void gather(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  const gs_view *x = &j->k->in[X];
  int64_t size = x->dtype == GS_FLOAT ? 4 : 2;
  for (int64_t i = lo; i < hi; i++) {
    int64_t token = j->order[j->from + i] / p->k;
    gs_convert(GS_FLOAT, j->x + i * p->in, x->dtype,
               (const char *)x->data + token * p->in * size, p->in, NULL);
  }
}

/* to[n, rows] = from[n, cols] W^T with weights of few bits. */
static bool quantised(job *j, const layer_plan *fc, const float *from,
                      float *to) {
  int threads = j->k->threads;
  if (fc->packed) {
    gs_narrow_product(&fc->packed[j->expert], j->p->ints, j->n, from,
                      fc->cols, to, fc->rows, j->wide, threads);
    return true;
  }
  gs_nbits w = codes_of(j->k, fc, j->expert, j->zeros);
  return gs_nbits_product(&w, j->n, from, fc->cols, to, fc->rows, j->wide,
                          threads);
}

/* The same with weights of floats. */
static bool product(job *j, const layer_plan *fc, const float *from,
                    float *to) {
  gs_kctx *k = j->k;
  int64_t rows = fc->rows, cols = fc->cols;
  const gs_view *v = &k->in[fc->w];
  int64_t n = rows * cols, size = v->dtype == GS_FLOAT ? 4 : 2;
  const void *at = (const char *)v->data + j->expert * n * size;
  if (gs_dtype_half(v->dtype)) {
    gs_half_widen(v->dtype, n, at, j->wide, k->threads);
    at = j->wide;
  }
  gs_gemm g = {.dtype = GS_FLOAT, .tb = true, .m = j->n, .n = rows,
               .k = cols, .lda = gs_max(1, cols), .ldb = gs_max(1, cols),
               .batch = 1};
  return gs_gemm_run(&g, from, at, to, k->threads);
}

/* Either, plus the bias. */
static bool layer(job *j, int i, const float *from, float *to) {
  gs_kctx *k = j->k;
  const layer_plan *fc = &j->p->fc[i];
  int64_t rows = fc->rows;
  if (!(fc->bits ? quantised : product)(j, fc, from, to)) return false;
  if (!gs_kernel_has(k, fc->b)) return true;
  const gs_view *b = &k->in[fc->b];
  int64_t size = b->dtype == GS_FLOAT ? 4 : 2;
  gs_convert(GS_FLOAT, j->line, b->dtype,
             (const char *)b->data + j->expert * rows * size, rows, NULL);
  for (int64_t r = 0; r < j->n; r++)
    for (int64_t c = 0; c < rows; c++) to[r * rows + c] += j->line[c];
  return true;
}

/* What fc1 and fc3 made -> the operand of fc2, in its place [n, inner]. */
static void activate(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  int64_t n = p->inner;
  for (int64_t i = lo; i < hi; i++) {
    float *a = j->a + i * p->up, *b = j->b + i * n;
    if (p->fusion == 1)
      for (int64_t c = 0; c < n; c++) {
        b[c] = a[2 * c + 1];
        j->a[i * p->up + c] = a[2 * c];
      }
    if (p->fusion == 2) memcpy(b, a + n, (size_t)n * sizeof *b);
    if (p->swiglu) p->loop->swiglu(a, b, n, p->param);
    if (p->act) p->act(a, n);
    if (!p->swiglu && gs_kernel_has(j->k, p->fc[2].w))
      for (int64_t c = 0; c < n; c++) a[c] *= b[c];
    if (p->fusion) memcpy(b, a, (size_t)n * sizeof *b);
  }
}

static bool rows_of_expert(job *j) {
  const plan *p = j->p;
  int64_t cost = p->in + p->up;
  gs_parallel(j->k->threads, j->n, cost, gather, j);
  if (!layer(j, 0, j->x, j->a)) return false;
  if (gs_kernel_has(j->k, p->fc[2].w) && !layer(j, 2, j->x, j->b))
    return false;
  gs_parallel(j->k->threads, j->n, cost * 4, activate, j);
  return layer(j, 1, p->fusion ? j->b : j->a, j->y + j->from * p->out);
}

/* ---- the sum over a token's experts ---- */

static void combine(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  const gs_view *out = &j->k->out[0];
  gs_arena a;
  gs_arena_init(&a);
  float *sum = GS_NEWS(&a, p->out + 1, float);
  for (int64_t t = lo; t < hi; t++) {
    memset(sum, 0, (size_t)p->out * sizeof *sum);
    for (int64_t s = 0; s < p->k; s++) {
      int64_t row = j->chosen[t * p->k + s]; /* see place_rows */
      if (row < 0) continue;
      const float *y = j->y + row * p->out, w = j->weight[t * p->k + s];
      for (int64_t c = 0; c < p->out; c++) sum[c] += w * y[c];
    }
    gs_convert(out->dtype,
               (char *)out->data + gs_dtype_bytes((int)out->dtype,
                                                  t * p->out),
               GS_FLOAT, sum, p->out, NULL);
  }
  gs_arena_free(&a);
}

/* chosen becomes the row of y that holds the result; -1: not here. */
static void place_rows(job *j) {
  const plan *p = j->p;
  int64_t sent = p->tokens * p->k;
  for (int64_t i = 0; i < sent; i++) j->chosen[i] = -1;
  for (int64_t i = 0; i < j->start[p->experts]; i++)
    j->chosen[j->order[i]] = i;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  char *s = k->scratch;
  job j = {.k = k, .p = p};
  j.chosen = (int64_t *)(void *)(s + p->chosen);
  j.weight = (float *)(void *)(s + p->weight);
  j.order = (int64_t *)(void *)(s + p->order);
  j.start = (int64_t *)(void *)(s + p->start);
  j.x = (float *)(void *)(s + p->x);
  j.a = (float *)(void *)(s + p->a);
  j.b = (float *)(void *)(s + p->b);
  j.y = (float *)(void *)(s + p->y);
  j.line = (float *)(void *)(s + p->line);
  j.wide = (float *)(void *)(s + p->wide);
  j.zeros = (uint8_t *)(s + p->zeros);
  gs_parallel(k->threads, p->tokens, p->all * p->k, gate, &j);
  sort(&j);
  for (j.expert = 0; j.expert < p->experts; j.expert++) {
    int64_t end = j.start[j.expert + 1];
    for (j.from = j.start[j.expert]; j.from < end; j.from += j.n) {
      j.n = gs_min(ROWS, end - j.from);
      if (!rows_of_expert(&j))
        return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the "
                              "product");
    }
  }
  place_rows(&j);
  gs_parallel(k->threads, p->tokens, p->k * p->out, combine, &j);
  return GS_OK;
}

extern const gs_kernel gs_kernel_moe, gs_kernel_qmoe;
const gs_kernel gs_kernel_moe = {prep, run};
const gs_kernel gs_kernel_qmoe = {prep_qmoe, run};
