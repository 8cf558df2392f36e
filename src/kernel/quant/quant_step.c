/* QuantizedMatMul and QuantizedConv of ai.gshard: products of bytes with what
 * stands around them, DequantizeLinear of both operands, a bias, Relu and
 * QuantizeLinear.  Sums are exact integers; x = sum * scale + bias is rounded
 * to f32 three times, and then as QuantizeLinear does. */
#include <string.h>

#include "kernel/conv/conv_bytes.h"
#include "kernel/core/share.h"
#include "kernel/quant/quant.h"

/* Operands: zero points, bias and what it is quantised with may be left
 * out. */
enum { X, X_SCALE, W, W_SCALE, X_ZERO, W_ZERO, BIAS, Y_SCALE, Y_ZERO };

typedef struct plan {
  gs_conv_bytes *conv; /* or a product: */
  int64_t m, n, k;
  bool transposed;     /* w is [n, k] */
  const void *packed;  /* constant w; NULL: packed in each run */
  int64_t lines;       /* scales: channels or columns */
  gs_finish finish;
  size_t scale, bias, a, b, zeros; /* places in scratch */
} plan;

static bool is_byte(gs_dtype t) { return t == GS_INT8 || t == GS_UINT8; }

static size_t place(gs_kctx *k, size_t bytes) {
  size_t at = k->scratch_size;
  k->scratch_size += (bytes + 63) / 64 * 64;
  return at;
}

/* Operand i, where it is there, has one number, or one for each line. */
static gs_status check_list(gs_kctx *k, int i, int64_t lines) {
  if (!gs_kernel_has(k, i) || k->in[i].n == 1 || k->in[i].n == lines)
    return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "operand %d has %lld numbers instead of "
                        "%lld", i, (long long)k->in[i].n, (long long)lines);
}

static gs_status check(gs_kctx *k, plan *p) {
  static const int bytes[] = {X, W}, floats[] = {X_SCALE, W_SCALE, BIAS,
                                                 Y_SCALE};
  for (int i = 0; i < 2; i++)
    if (!is_byte(k->in[bytes[i]].dtype))
      return gs_kernel_no_type(k, k->in[bytes[i]].dtype);
  for (int i = 0; i < 4; i++)
    if (gs_kernel_has(k, floats[i]) && k->in[floats[i]].dtype != GS_FLOAT)
      return gs_kernel_no_type(k, k->in[floats[i]].dtype);
  for (int i = X_SCALE; i <= Y_ZERO; i++) {
    bool by_line = i == W_SCALE || i == W_ZERO || i == BIAS;
    if (i != W) GS_TRY(check_list(k, i, by_line ? p->lines : 1));
  }
  p->finish.to = k->out[0].dtype;
  p->finish.relu = gs_node_int(k->node, "relu", 0) != 0;
  if (is_byte(p->finish.to) == gs_kernel_has(k, Y_SCALE)) return GS_OK;
  return gs_kernel_no_type(k, p->finish.to);
}

/* 32 floats more than there are lines may be read. */
static void place_lines(gs_kctx *k, plan *p) {
  size_t bytes = (size_t)(p->lines + GS_IGEMM_COLS) * sizeof(float);
  p->scale = place(k, bytes);
  p->bias = place(k, bytes);
}

/* The factors and biases of all lines. */
static gs_finish lines(const gs_kctx *k, const plan *p) {
  char *s = k->scratch;
  gs_finish f = p->finish;
  float *scale = (float *)(void *)(s + p->scale);
  float *bias = (float *)(void *)(s + p->bias);
  const float *x = k->in[X_SCALE].data, *w = k->in[W_SCALE].data;
  const gs_view *b = gs_kernel_has(k, BIAS) ? &k->in[BIAS] : NULL;
  for (int64_t i = 0; i < p->lines + GS_IGEMM_COLS; i++) {
    bool in = i < p->lines;
    scale[i] = in ? *x * w[k->in[W_SCALE].n == 1 ? 0 : i] : 0;
    bias[i] = in && b ? ((const float *)b->data)[b->n == 1 ? 0 : i] : 0;
  }
  f.scale = scale;
  f.bias = bias;
  if (!gs_kernel_has(k, Y_SCALE)) return f;
  f.by = *(const float *)k->in[Y_SCALE].data;
  if (gs_kernel_has(k, Y_ZERO))
    f.zero = (float)gs_view_int(&k->in[Y_ZERO], 0);
  return f;
}

/* ---- products ---- */

/* Zero points of operand i for n lines; NULL: they are left out. */
static const int32_t *zeros(const gs_kctx *k, int i, int32_t *to,
                            int64_t *step) {
  *step = 0;
  if (!gs_kernel_has(k, i)) return NULL;
  *step = k->in[i].n > 1;
  for (int64_t j = 0; j < k->in[i].n; j++)
    to[j] = (int32_t)gs_view_int(&k->in[i], j);
  return to;
}

static void pack_b(const gs_kctx *k, const plan *p, int32_t *zero, void *to,
                   int threads) {
  const gs_view *w = &k->in[W];
  gs_bytes b = {.data = w->data, .sign = w->dtype == GS_INT8,
                .row = p->transposed ? 1 : p->n,
                .col = p->transposed ? p->k : 1};
  b.zero = zeros(k, W_ZERO, zero, &b.step);
  gs_igemm_pack_b(&b, p->n, p->k, to, threads);
}

typedef struct packing {
  const gs_kctx *k;
  const plan *p;
} packing;

static bool pack(void *ctx, void *to) {
  const packing *j = ctx;
  gs_arena a;
  gs_arena_init(&a);
  pack_b(j->k, j->p, GS_NEWS(&a, gs_max(1, j->p->n), int32_t), to, 1);
  gs_arena_free(&a);
  return true;
}

static void keep_weight(gs_kctx *k, plan *p) {
  gs_view *w = &k->in[W];
  bool zero = gs_kernel_has(k, W_ZERO);
  if (!w->fixed || !w->n || (zero && !k->in[W_ZERO].fixed)) return;
  const char *key = gs_sprintf(
      k->arena, "step bytes %p %p %d %d %lld %lld", w->fixed,
      zero ? k->in[W_ZERO].fixed : NULL, (int)w->dtype, p->transposed,
      (long long)p->n, (long long)p->k);
  packing job = {k, p};
  p->packed = gs_kernel_once(k, key, gs_igemm_b_size(p->n, p->k), pack, &job);
  w->unread = p->packed != NULL;
}

static gs_status prep_matmul(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *x = &k->in[X], *w = &k->in[W];
  k->state = p;
  p->transposed = gs_node_int(k->node, "transB", 0) != 0;
  if (x->rank < 1 || w->rank != 2)
    return gs_kernel_fail(k, GS_DATA, "the operands are not matrices");
  p->k = x->dims[x->rank - 1];
  p->n = w->dims[!p->transposed];
  p->m = gs_dims_count(x->dims, 0, x->rank - 1);
  if (w->dims[p->transposed] != p->k)
    return gs_kernel_fail(k, GS_DATA, "inner dims %lld and %lld differ",
                          (long long)p->k,
                          (long long)w->dims[p->transposed]);
  p->lines = p->n;
  GS_TRY(check(k, p));
  keep_weight(k, p);
  place_lines(k, p);
  p->a = place(k, gs_igemm_a_size(p->m, p->k));
  p->b = place(k, p->packed ? 0 : gs_igemm_b_size(p->n, p->k));
  p->zeros = place(k, (size_t)gs_max(1, p->n) * sizeof(int32_t));
  return GS_OK;
}

typedef struct job {
  gs_finish f;
  char *y;
  int64_t size, pitch, image; /* bytes of an element; elements of a row and of
                                 an image of y */
} job;

static void finish(void *ctx, int64_t i, int64_t m, int64_t j, int64_t n,
                   const int32_t *c) {
  const job *b = ctx;
  gs_quant_finish(&b->f, i, m, j, n, c, b->y + (i * b->pitch + j) * b->size,
                  b->pitch);
}

static gs_status run_matmul(gs_kctx *k) {
  const plan *p = k->state;
  char *s = k->scratch;
  int32_t *zero = (int32_t *)(void *)(s + p->zeros);
  if (!k->out[0].n) return GS_OK;
  job j = {lines(k, p), k->out[0].data, p->finish.to == GS_FLOAT ? 4 : 1,
           p->n, 0};
  const void *b = p->packed;
  if (!b) {
    pack_b(k, p, zero, s + p->b, k->threads);
    b = s + p->b;
  }
  gs_bytes x = {.data = k->in[X].data, .sign = k->in[X].dtype == GS_INT8,
                .row = p->k, .col = 1};
  x.zero = zeros(k, X_ZERO, zero, &x.step);
  gs_igemm_pack_a(&x, p->m, p->k, s + p->a, k->threads);
  gs_igemm_each(p->m, p->n, p->k, s + p->a, b, finish, &j, k->threads);
  return GS_OK;
}

extern const gs_kernel gs_kernel_quant_matmul, gs_kernel_quant_conv;
const gs_kernel gs_kernel_quant_matmul = {prep_matmul, run_matmul};

/* ---- convolutions ---- */

static gs_status prep_conv(gs_kctx *k) {
  static const gs_conv_operands at = {X, X_ZERO, W, W_ZERO};
  plan *p = GS_NEW(k->arena, plan);
  gs_conv_shape s;
  k->state = p;
  GS_TRY(gs_conv_shape_get(k, X, W, false, &s));
  p->lines = s.group * s.out;
  p->finish.by_row = true;
  GS_TRY(check(k, p));
  if (!gs_conv_bytes_fits(k->node->in[X], k->node->in[W]))
    return gs_kernel_fail(k, GS_UNSUPPORTED, "no convolution of bytes for "
                          "such weights");
  if (!k->out[0].n) return GS_OK;
  p->conv = gs_conv_bytes_new(k, &s, &at);
  place_lines(k, p);
  p->a = place(k, gs_conv_bytes_scratch(p->conv, k->threads));
  return GS_OK;
}

static void finish_image(void *ctx, int64_t image, int64_t channel, int64_t m,
                         int64_t place, int64_t n, const int32_t *c) {
  const job *b = ctx;
  int64_t at = image * b->image + channel * b->pitch + place;
  gs_quant_finish(&b->f, channel, m, place, n, c, b->y + at * b->size,
                  b->pitch);
}

static gs_status run_conv(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  if (!y->n) return GS_OK;
  int64_t places = gs_dims_count(y->dims, 2, y->rank);
  job j = {lines(k, p), y->data, p->finish.to == GS_FLOAT ? 4 : 1, places,
           places * p->lines};
  gs_conv_bytes_run(p->conv, k, finish_image, &j, (char *)k->scratch + p->a);
  return GS_OK;
}

const gs_kernel gs_kernel_quant_conv = {prep_conv, run_conv};
