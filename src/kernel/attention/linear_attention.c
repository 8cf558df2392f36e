/* LinearAttention and CausalConvWithState, in f32.
 *
 * A head's state s[key, value] is updated step by step.  Its columns do not
 * meet, so that heads and COLUMNS columns of them are one thread's work, and
 * what it holds stays in the nearest cache. */
#include <math.h>
#include <string.h>

#include "kernel/core/coord.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/pointwise/vmath.h"

enum { COLUMNS = 64 };

typedef struct state_loops {
  void (*recall)(float *s, float *got, float decay, float k, int64_t n);
  void (*store)(float *s, const float *v, float decay, float k, int64_t n);
  void (*read)(float *o, const float *s, float q, int64_t n);
  void (*exps)(float *x, int64_t n);
  void (*silu)(float *x, int64_t n);
} state_loops;

#define GS_STAMP "kernel/attention/linear_attention.inc"
#include "kernel/core/stamp.h"

static gs_status check_types(gs_kctx *k) {
  for (int i = 0; i < k->nin; i++) {
    gs_dtype t = k->in[i].dtype;
    if (k->in[i].rank >= 0 && t != GS_FLOAT && !gs_dtype_half(t))
      return gs_kernel_no_type(k, t);
  }
  return GS_OK;
}

/* n elements of v from `at` on. */
static void load(const gs_view *v, int64_t at, int64_t n, float *to) {
  int size = v->dtype == GS_FLOAT ? 4 : 2;
  gs_convert(GS_FLOAT, to, v->dtype, (const char *)v->data + at * size, n,
             NULL);
}
static void save(const gs_view *v, int64_t at, int64_t n, const float *from) {
  int size = v->dtype == GS_FLOAT ? 4 : 2;
  gs_convert(v->dtype, (char *)v->data + at * size, GS_FLOAT, from, n, NULL);
}

/* ---- LinearAttention ---- */

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };

typedef struct plan {
  bool gated, delta;
  bool each;  /* a decay per element of the key, not one per head */
  bool alone; /* a beta per head */
  int64_t batch, steps, kv, group, key, value, parts;
  float scale;
  const state_loops *loop;
} plan;

static gs_status linear_prep(gs_kctx *k) {
  GS_TRY(check_types(k));
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  int64_t heads = gs_node_int(k->node, "q_num_heads", 1);
  /* The shape function has compared the rule with the operands. */
  p->gated = gs_kernel_has(k, DECAY);
  p->delta = gs_kernel_has(k, BETA);
  p->kv = gs_node_int(k->node, "kv_num_heads", 1);
  p->group = heads / p->kv;
  p->batch = k->in[QUERY].dims[0];
  p->steps = k->in[QUERY].dims[1];
  p->key = k->in[QUERY].dims[2] / heads;
  p->value = k->in[VALUE].dims[2] / p->kv;
  p->each = p->gated && k->in[DECAY].dims[2] != p->kv;
  p->alone = p->delta && k->in[BETA].dims[2] == p->kv;
  p->parts = gs_ceil_div(p->value, COLUMNS);
  double scale = gs_node_float(k->node, "scale", 0);
  p->scale = (float)(scale != 0 ? scale : 1 / sqrt((double)gs_max(p->key, 1)));
  p->loop = GS_PICK(&loops);
  return GS_OK;
}

/* One head's columns [c, c + n) of batch b, and what a step reads. */
typedef struct slot {
  int64_t b, h, c, n;
  float *s;                /* [key, n] */
  float *q, *k, *v, *g, *o; /* q: [group, key] */
} slot;

static void load_step(const gs_kctx *k, const slot *w, int64_t row,
                      float *beta) {
  const plan *p = k->state;
  load(&k->in[QUERY], (row * p->kv + w->h) * p->group * p->key,
       p->group * p->key, w->q);
  load(&k->in[KEY], (row * p->kv + w->h) * p->key, p->key, w->k);
  load(&k->in[VALUE], (row * p->kv + w->h) * p->value + w->c, w->n, w->v);
  if (p->gated && p->each)
    load(&k->in[DECAY], (row * p->kv + w->h) * p->key, p->key, w->g);
  if (p->gated && !p->each) load(&k->in[DECAY], row * p->kv + w->h, 1, w->g);
  if (p->gated) p->loop->exps(w->g, p->each ? p->key : 1);
  if (p->delta)
    load(&k->in[BETA], p->alone ? row * p->kv + w->h : row, 1, beta);
}

static void one_step(const gs_kctx *k, const slot *w, int64_t t) {
  const plan *p = k->state;
  int64_t row = w->b * p->steps + t, n = w->n;
  float beta = 1;
  load_step(k, w, row, &beta);
  float *got = w->o;
  if (p->delta) {
    memset(got, 0, (size_t)n * sizeof *got);
    for (int64_t d = 0; d < p->key; d++)
      p->loop->recall(w->s + d * n, got,
                      p->gated ? w->g[p->each ? d : 0] : 1, w->k[d], n);
    for (int64_t i = 0; i < n; i++) w->v[i] = beta * (w->v[i] - got[i]);
  }
  memset(w->o, 0, (size_t)(p->group * n) * sizeof *w->o);
  for (int64_t d = 0; d < p->key; d++) {
    float decay = p->gated && !p->delta ? w->g[p->each ? d : 0] : 1;
    p->loop->store(w->s + d * n, w->v, decay, w->k[d], n);
    for (int64_t i = 0; i < p->group; i++)
      p->loop->read(w->o + i * n, w->s + d * n, w->q[i * p->key + d], n);
  }
  for (int64_t i = 0; i < p->group * n; i++) w->o[i] *= p->scale;
  for (int64_t i = 0; i < p->group; i++)
    save(&k->out[0],
         ((row * p->kv + w->h) * p->group + i) * p->value + w->c, n,
         w->o + i * n);
}

static void slots(void *ctx, int64_t first, int64_t last) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  gs_arena a;
  gs_arena_init(&a);
  slot w = {0};
  w.s = GS_NEWS(&a, p->key * COLUMNS + 1, float);
  w.q = GS_NEWS(&a, p->group * p->key + 1, float);
  w.k = GS_NEWS(&a, p->key + 1, float);
  w.g = GS_NEWS(&a, p->key + 1, float);
  w.v = GS_NEWS(&a, COLUMNS, float);
  w.o = GS_NEWS(&a, p->group * COLUMNS, float);
  for (int64_t i = first; i < last; i++) {
    w.c = i % p->parts * COLUMNS;
    w.h = i / p->parts % p->kv;
    w.b = i / p->parts / p->kv;
    w.n = gs_min(COLUMNS, p->value - w.c);
    int64_t at = (w.b * p->kv + w.h) * p->key * p->value + w.c;
    memset(w.s, 0, (size_t)(p->key * w.n) * sizeof *w.s);
    for (int64_t d = 0; gs_kernel_has(k, PAST) && d < p->key; d++)
      load(&k->in[PAST], at + d * p->value, w.n, w.s + d * w.n);
    for (int64_t t = 0; t < p->steps; t++) one_step(k, &w, t);
    for (int64_t d = 0; k->nout > 1 && k->out[1].data && d < p->key; d++)
      save(&k->out[1], at + d * p->value, w.n, w.s + d * w.n);
  }
  gs_arena_free(&a);
}

static gs_status linear_run(gs_kctx *k) {
  const plan *p = k->state;
  gs_parallel(k->threads, p->batch * p->kv * p->parts,
              (p->steps + 1) * p->key * gs_min(p->value, COLUMNS), slots, k);
  return GS_OK;
}

/* ---- CausalConvWithState ---- */

enum { INPUT, WEIGHT, BIAS, STATE };

typedef struct conv_plan {
  int64_t first, n;     /* elements of the result along the last dim */
  int64_t x_first, x_n; /* those that the operand has */
  int64_t whole;        /* elements of all devices */
  bool act;
} conv_plan;

/* The result needs as many elements as there are taps, but one, before its
 * own; the state, which is of the end, as many of the whole. */
static gs_status conv_prep(gs_kctx *k) {
  conv_plan *p = GS_NEW(k->arena, conv_plan);
  gs_kextent x, y;
  k->state = p;
  GS_TRY(check_types(k));
  GS_TRY(gs_kctx_operand(k, INPUT, &x));
  GS_TRY(gs_kctx_result(k, 0, &y));
  p->first = y.first[2];
  p->n = gs_max(0, gs_min(k->out[0].dims[2], y.dims[2] - p->first));
  p->x_first = x.first[2];
  p->x_n = k->in[INPUT].dims[2];
  p->whole = x.dims[2];
  const char *act = gs_node_string(k->node, "activation", "none");
  p->act = strcmp(act, "none") != 0;
  int64_t lead = k->in[WEIGHT].dims[2] - 1;
  bool state = k->nout > 1 && k->out[1].rank >= 0;
  if ((p->n > 0 && !gs_kctx_has(&x, 2, p->x_n, p->first - lead,
                                p->first + p->n - 1)) ||
      (state && !gs_kctx_has(&x, 2, p->x_n, p->whole - lead, p->whole - 1)))
    return gs_kernel_fail(k, GS_DATA, "elements before those of the result are "
                          "missing");
  return GS_OK;
}

/* Elements [from, from + n) of a row of the whole, those before it from the
 * state: zero where none is given. */
static void conv_load(const gs_kctx *k, int64_t row, int64_t from, int64_t n,
                      float *to) {
  const conv_plan *p = k->state;
  int64_t lead = k->in[WEIGHT].dims[2] - 1, before = gs_max(0, -from);
  before = gs_min(before, n);
  memset(to, 0, (size_t)before * sizeof *to);
  if (gs_kernel_has(k, STATE) && before)
    load(&k->in[STATE], row * lead + lead + from, before, to);
  if (before < n)
    load(&k->in[INPUT], row * p->x_n + from + before - p->x_first, n - before,
         to + before);
}

static void channels(void *ctx, int64_t first, int64_t last) {
  const gs_kctx *k = ctx;
  const conv_plan *p = k->state;
  const state_loops *l = GS_PICK(&loops);
  int64_t count = k->in[INPUT].dims[1], n = p->n, all = k->out[0].dims[2];
  int64_t taps = k->in[WEIGHT].dims[2], lead = taps - 1;
  gs_arena a;
  gs_arena_init(&a);
  float *x = GS_NEWS(&a, n + lead + 1, float);
  float *y = GS_NEWS(&a, all + 1, float), *w = GS_NEWS(&a, taps, float);
  for (int64_t i = first; i < last; i++) {
    int64_t c = i % count;
    float bias = 0;
    if (n) conv_load(k, i, p->first - lead, n + lead, x);
    load(&k->in[WEIGHT], c * taps, taps, w);
    if (gs_kernel_has(k, BIAS)) load(&k->in[BIAS], c, 1, &bias);
    for (int64_t t = 0; t < n; t++) y[t] = bias;
    for (int64_t j = 0; j < taps; j++) l->read(y, x + j, w[j], n);
    if (p->act) l->silu(y, n);
    save(&k->out[0], i * all, all, y); /* zero past the end */
    if (k->nout < 2 || !k->out[1].data) continue;
    conv_load(k, i, p->whole - lead, lead, x);
    save(&k->out[1], i * lead, lead, x);
  }
  gs_arena_free(&a);
}

static gs_status conv_run(gs_kctx *k) {
  const gs_view *x = &k->in[INPUT];
  gs_parallel(k->threads, x->dims[0] * x->dims[1],
              (k->out[0].dims[2] + 1) * k->in[WEIGHT].dims[2], channels, k);
  return GS_OK;
}

extern const gs_kernel gs_kernel_linear_attention, gs_kernel_causal_conv;
const gs_kernel gs_kernel_linear_attention = {linear_prep, linear_run};
const gs_kernel gs_kernel_causal_conv = {conv_prep, conv_run};
