/* RNN, GRU and LSTM.
 *
 * The inputs of all steps are multiplied by W at once, then every step
 * multiplies the state of all batches by R and combines the gates, batches in
 * parallel.  Where the hidden dim is split (Recurrence) a device has its rows
 * of every gate, `hidden` of `whole`, and gathers the others' part of the state
 * before it multiplies.  f16 and bf16 are computed in f32, results rounded
 * once.  A batch shorter than the sequence stops at its length: its results
 * from there on are zeros, its last state is that of its last step. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/coord.h"
#include "kernel/core/par.h"
#include "kernel/core/share.h"
#include "kernel/core/support.h"
#include "kernel/pointwise/vmath.h"
#include "op/core/moves.h"

enum { X, W, R, B, LENGTHS, H0, C0, P };
enum { NACT = 11, MAX_ACT = 3 };

typedef void act_fn(void *x, double alpha, double beta, int64_t n);

typedef struct gate_loops {
  act_fn *act[NACT];
  void (*add3)(void *o, const void *a, const void *b, const void *c,
               int64_t n);
  void (*add_product)(void *o, const void *a, const void *b, int64_t n);
  void (*product)(void *o, const void *a, const void *b, int64_t n);
  void (*rest)(void *o, const void *a, int64_t n);
  void (*mix)(void *o, const void *z, const void *a, int64_t n);
  void (*clip)(void *o, double by, int64_t n);
} gate_loops;

#define GS_STAMP "kernel/attention/recurrent.inc"
#include "kernel/core/stamp.h"

/* In the order of gate_loops.act, with ONNX's defaults. */
static const struct {
  const char *name;
  int nparam; /* alpha, or alpha and beta */
  double alpha, beta;
} acts[NACT] = {
    {"relu", 0, 0, 0},          {"tanh", 0, 0, 0},
    {"sigmoid", 0, 0, 0},       {"affine", 2, 1, 0},
    {"leakyrelu", 1, 0.01, 0},  {"thresholdedrelu", 1, 1, 0},
    {"scaledtanh", 2, 1, 1},    {"hardsigmoid", 2, 0.2, 0.5},
    {"elu", 1, 1, 0},           {"softsign", 0, 0, 0},
    {"softplus", 0, 0, 0},
};

typedef struct act {
  act_fn *fn;
  double alpha, beta;
} act;

typedef enum cell { RNN, GRU, LSTM } cell;
static const int ngates[] = {1, 3, 4};

typedef struct plan {
  cell cell;
  gs_dtype type; /* of the computation */
  int wide;
  const gate_loops *loop;
  bool batch_first, coupled, linear_first;
  bool reverse[2];
  double clip; /* 0: none */
  int64_t steps, batch, input, hidden, gates;
  int64_t whole, from; /* of the state: elements, and the first of here */
  int64_t width;        /* elements between the rows that R multiplies */
  bool split;           /* hidden is a part of whole */
  int64_t dirs, first, all; /* directions here, from which on; in all */
  act act[2][MAX_ACT];
  const char *kept[P + 1]; /* constants in the computed type, or NULL */
  gs_gemm wx[2], rh[2], rh2[2]; /* x W, h R, and GRU's (r h) R */
  size_t at[P + 1]; /* where run widens an operand, from scratch */
  size_t xw, hr, hr2, h, c, bias, rows; /* places in scratch */
  size_t state, got; /* of a split one: all of it, and as it comes */
} plan;

/* What the steps of one direction work on. */
typedef struct job {
  gs_kctx *k;
  const plan *p;
  int dir;
  int64_t t;
  const char *in[P + 1]; /* operands in the computed type */
  char *xw, *hr, *hr2, *h, *c, *bias, *rows, *state, *got;
} job;

/* ---- prep ---- */

static gs_status activation(gs_kctx *k, plan *p, const gs_attr *names, int i,
                            const char *otherwise, int used[2], act *a) {
  const char *s = names && i < names->n ? names->strings[i].at : otherwise;
  const gs_attr *al = gs_node_attr(k->node, "activation_alpha");
  const gs_attr *be = gs_node_attr(k->node, "activation_beta");
  for (int j = 0; j < NACT; j++) {
    if (strcasecmp(acts[j].name, s)) continue;
    *a = (act){p->loop->act[j], acts[j].alpha, acts[j].beta};
    if (acts[j].nparam > 0 && al && used[0] < al->n)
      a->alpha = (double)al->floats[used[0]++];
    if (acts[j].nparam > 1 && be && used[1] < be->n)
      a->beta = (double)be->floats[used[1]++];
    return GS_OK;
  }
  return gs_kernel_fail(k, GS_DATA, "there is no activation '%s'", s);
}

static gs_status activations(gs_kctx *k, plan *p) {
  static const char *const defaults[][MAX_ACT] = {
      {"tanh"}, {"sigmoid", "tanh"}, {"sigmoid", "tanh", "tanh"}};
  const gs_attr *names = gs_node_attr(k->node, "activations");
  int each = (int)p->cell + 1, used[2] = {0, 0};
  gs_assert(each <= MAX_ACT);
  if (names && names->n != each * p->all)
    return gs_kernel_fail(k, GS_DATA,
                          "%d activations given, %lld expected", names->n,
                          (long long)(each * p->all));
  act of[2][MAX_ACT] = {{{NULL, 0, 0}}};
  for (int d = 0; d < p->all; d++)
    for (int i = 0; i < each; i++)
      GS_TRY(activation(k, p, names, d * each + i, defaults[p->cell][i], used,
                        &of[d][i]));
  for (int64_t d = 0; d < p->dirs; d++)
    memcpy(p->act[d], of[gs_min(p->first + d, p->all - 1)], sizeof of[0]);
  return GS_OK;
}

/* Which there are here; past the last of all, any. */
static gs_status direction(gs_kctx *k, plan *p) {
  const char *how = gs_node_string(k->node, "direction", "forward");
  gs_kextent r;
  GS_TRY(gs_kctx_operand(k, R, &r));
  p->dirs = k->in[R].dims[0];
  p->first = r.first[0];
  p->all = r.dims[0];
  gs_assert(p->dirs <= p->all && p->all <= 2);
  for (int64_t d = 0; d < p->dirs; d++)
    p->reverse[d] = p->first + d > 0 || !strcmp(how, "reverse");
  return GS_OK;
}

typedef struct widening {
  const gs_view *v;
  gs_dtype type;
} widening;

static bool convert(void *ctx, void *to) {
  const widening *w = ctx;
  gs_convert(w->type, to, w->v->dtype, w->v->data, w->v->n, NULL);
  return true;
}

/* Operands of 16 bits are widened: constants now, others in scratch. */
static void widen(gs_kctx *k, plan *p, size_t *top) {
  for (int i = 0; i < k->nin; i++) {
    const gs_view *v = &k->in[i];
    if (i == LENGTHS || v->rank < 0 || v->dtype == p->type) continue;
    size_t bytes = (size_t)v->n * (size_t)p->wide;
    if (v->fixed) {
      widening w = {v, p->type};
      p->kept[i] = gs_kernel_once(
          k, gs_sprintf(k->arena, "wide %p %d", v->fixed, (int)p->type),
          bytes, convert, &w);
    } else {
      p->at[i] = *top;
      *top += (bytes + 63) / 64 * 64;
    }
  }
}

static void products(gs_kctx *k, plan *p) {
  int64_t h = p->hidden, all = p->gates * h;
  int64_t part = p->cell == GRU && !p->linear_first ? 2 * h : all;
  gs_assert(p->dirs >= 1 && p->dirs <= 2 && part <= all);
  bool w = true, r = true;
  for (int64_t d = 0; d < p->dirs; d++) {
    gs_gemm g = {.dtype = p->type, .tb = true, .batch = 1};
    g.k = p->input;
    g.n = all;
    g.m = p->steps * p->batch;
    g.lda = g.ldb = gs_max(1, g.k);
    p->wx[d] = g;
    gs_gemm_keep(&p->wx[d], k, W, d * all * p->input);
    g.m = p->batch;
    g.k = p->whole;
    g.lda = gs_max(1, p->width);
    g.ldb = gs_max(1, g.k);
    g.n = part;
    p->rh[d] = g;
    gs_gemm_keep(&p->rh[d], k, R, d * all * g.k);
    g.n = all - part;
    p->rh2[d] = g;
    if (g.n) gs_gemm_keep(&p->rh2[d], k, R, (d * all + part) * g.k);
    w = w && p->wx[d].packed;
    r = r && p->rh[d].packed && (!g.n || p->rh2[d].packed);
  }
  k->in[W].unread = w;
  k->in[R].unread = r;
}

/* Which elements of the state are here.  The blocks of the members, one after
 * another, are all of it. */
static gs_status part_of_state(gs_kctx *k, plan *p) {
  const gs_view *w = &k->in[R];
  const gs_kgroup *g = k->group;
  gs_kextent x;
  GS_TRY(gs_kctx_operand(k, R, &x));
  p->hidden = w->dims[2];
  p->whole = p->width = w->dims[w->rank - 1];
  if (w->rank < 4) p->hidden = p->whole; /* else dim 2 is without the gates */
  p->from = w->rank < 4 ? 0 : x.first[2];
  p->split = p->hidden != p->whole;
  if (g) p->width = g->n * p->hidden;
  if (g && (p->width < p->whole || p->from != g->me * p->hidden))
    return gs_kernel_fail(k, GS_DATA, "the %d blocks of %lld that its members "
                          "gather, of which it has that from %lld on, do not "
                          "make a state of %lld", g->n, (long long)p->hidden,
                          (long long)p->from, (long long)p->whole);
  p->split = p->split || p->width != p->whole;
  if (g || !p->split || !gs_node_gathers(k->node).times) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "has %lld of %lld elements of the state, "
                        "and no 'axes' to gather the others along",
                        (long long)p->hidden, (long long)p->whole);
}

static size_t take(const plan *p, size_t *top, int64_t n) {
  size_t at = *top;
  *top += ((size_t)n * (size_t)p->wide + 63) / 64 * 64;
  return at;
}

static gs_status prep(gs_kctx *k, cell c) {
  const gs_view *x = &k->in[X];
  gs_dtype t = x->dtype;
  if (t != GS_FLOAT && t != GS_DOUBLE && !gs_dtype_half(t))
    return gs_kernel_no_type(k, t);
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  p->cell = c;
  p->type = t == GS_DOUBLE ? t : GS_FLOAT;
  p->wide = t == GS_DOUBLE ? 8 : 4;
  p->loop = t == GS_DOUBLE ? GS_PICK(&gates_f64) : GS_PICK(&gates_f32);
  p->batch_first = gs_node_int(k->node, "layout", 0) != 0;
  p->coupled = gs_node_int(k->node, "input_forget", 0) != 0;
  p->linear_first = gs_node_int(k->node, "linear_before_reset", 0) != 0;
  p->clip = gs_node_float(k->node, "clip", 0);
  p->steps = x->dims[p->batch_first];
  p->batch = x->dims[!p->batch_first];
  p->input = x->dims[2];
  p->gates = ngates[c];
  GS_TRY(part_of_state(k, p));
  GS_TRY(direction(k, p));
  GS_TRY(activations(k, p));
  size_t top = 0;
  widen(k, p, &top);
  products(k, p);
  int64_t all = p->gates * p->hidden;
  p->xw = take(p, &top, p->steps * p->batch * all);
  p->hr = take(p, &top, p->batch * all);
  p->hr2 = take(p, &top, p->batch * p->hidden);
  p->h = take(p, &top, p->batch * p->hidden);
  p->c = take(p, &top, p->batch * p->hidden);
  p->bias = take(p, &top, 2 * all);
  p->rows = take(p, &top, p->batch * (all + p->hidden));
  if (p->split) p->state = take(p, &top, p->batch * p->width);
  if (p->split) p->got = take(p, &top, p->batch * p->width);
  k->scratch_size = top;
  return GS_OK;
}

static gs_status rnn_prep(gs_kctx *k) { return prep(k, RNN); }
static gs_status gru_prep(gs_kctx *k) { return prep(k, GRU); }
static gs_status lstm_prep(gs_kctx *k) { return prep(k, LSTM); }

/* The number of gates, a dim of the weights, says which. */
static gs_status recurrence_prep(gs_kctx *k) {
  int c = RNN;
  while (c < LSTM && ngates[c] != k->in[R].dims[1]) c++;
  return prep(k, (cell)c);
}

/* ---- one step of one batch ---- */

static void activate(const job *j, int i, char *x, int64_t n) {
  const act *a = &j->p->act[j->dir][i];
  if (j->p->clip > 0) j->p->loop->clip(x, j->p->clip, n);
  a->fn(x, a->alpha, a->beta, n);
}

static void rnn_row(const job *j, char *g, const char *xw, const char *hr,
                    char *h) {
  const plan *p = j->p;
  int64_t n = p->hidden;
  p->loop->add3(g, xw, hr, j->bias, n);
  activate(j, 0, g, n);
  memcpy(h, g, (size_t)(n * p->wide));
}

/* Gates z and r, into the rows; before the second product. */
static void gru_first(const job *j, char *g, const char *xw, const char *hr) {
  const plan *p = j->p;
  int64_t n = p->hidden;
  p->loop->add3(g, xw, hr, j->bias, 2 * n);
  activate(j, 0, g, 2 * n);
}

/* g: z, r, room for the hidden gate; again: what R makes of the state. */
static void gru_second(const job *j, char *g, const char *xw,
                       const char *again, char *h) {
  const plan *p = j->p;
  int64_t n = p->hidden, w = n * p->wide;
  char *z = g, *r = g + w, *t = r + w, *u = t + w;
  const char *wb = j->bias + 2 * w;
  const char *rb = j->bias + (p->gates + 2) * w; /* recurrent part alone */
  if (p->linear_first) {
    memset(u, 0, (size_t)w);
    p->loop->add3(t, again, rb, u, n);
    p->loop->product(t, t, r, n);
    p->loop->add3(t, t, xw + 2 * w, wb, n);
  } else {
    p->loop->add3(t, again, xw + 2 * w, wb, n);
    memset(u, 0, (size_t)w);
    p->loop->add3(t, t, rb, u, n);
  }
  activate(j, 1, t, n);
  p->loop->mix(h, z, t, n);
}

/* Gates i, o, f, c. */
static void lstm_row(const job *j, char *g, const char *xw, const char *hr,
                     char *h, char *c) {
  const plan *p = j->p;
  int64_t n = p->hidden, w = n * p->wide;
  const gate_loops *l = p->loop;
  char *i = g, *o = g + w, *f = o + w, *t = f + w;
  const char *peep = j->in[P] ? j->in[P] + j->dir * 3 * w : NULL;
  l->add3(g, xw, hr, j->bias, 4 * n);
  if (peep) l->add_product(i, peep, c, n);
  if (peep) l->add_product(f, peep + 2 * w, c, n);
  activate(j, 0, i, n);
  if (p->coupled) l->rest(f, i, n);
  else activate(j, 0, f, n);
  activate(j, 1, t, n);
  l->product(c, c, f, n);
  l->add_product(c, i, t, n);
  if (peep) l->add_product(o, peep + w, c, n);
  activate(j, 0, o, n);
  memcpy(t, c, (size_t)w); /* not clipped: clip is about gates */
  const act *a = &p->act[j->dir][2];
  a->fn(t, a->alpha, a->beta, n);
  l->product(h, o, t, n);
}

/* ---- all batches ---- */

static int64_t length_of(const job *j, int64_t b) {
  return gs_kernel_has(j->k, LENGTHS) ? gs_view_int(&j->k->in[LENGTHS], b)
                                      : j->p->steps;
}

/* The place in time of step t of batch b; -1: past its end. */
static int64_t time_of(const job *j, int64_t b) {
  int64_t n = length_of(j, b);
  if (j->t >= n) return -1;
  return j->p->reverse[j->dir] ? n - 1 - j->t : j->t;
}

static const char *xw_of(const job *j, int64_t b, int64_t s) {
  const plan *p = j->p;
  int64_t row = p->batch_first ? b * p->steps + s : s * p->batch + b;
  return j->xw + row * p->gates * p->hidden * p->wide;
}

/* Row of a state [dirs, batch, hidden] or batch first. */
static int64_t state_row(const job *j, int64_t b) {
  const plan *p = j->p;
  return p->batch_first ? b * p->dirs + j->dir : j->dir * p->batch + b;
}

static void write(const job *j, int i, int64_t at, const char *from) {
  const gs_view *y = &j->k->out[i];
  if (i >= j->k->nout || !y->data) return;
  gs_convert(y->dtype, (char *)y->data + gs_dtype_bytes((int)y->dtype, at),
             j->p->type, from, j->p->hidden, NULL);
}

static void write_step(const job *j, int64_t b, int64_t s) {
  const plan *p = j->p;
  int64_t row = p->batch_first ? (b * p->steps + s) * p->dirs + j->dir
                               : (s * p->dirs + j->dir) * p->batch + b;
  write(j, 0, row * p->hidden, j->h + b * p->hidden * p->wide);
}

static char *row_of(const job *j, int64_t b) {
  return j->rows + b * (j->p->gates + 1) * j->p->hidden * j->p->wide;
}

static void first_half(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  int64_t n = p->hidden, w = n * p->wide;
  int64_t part = p->linear_first ? 3 : 2; /* gates in hr */
  for (int64_t b = lo; b < hi; b++) {
    int64_t s = time_of(j, b);
    char *g = row_of(j, b);
    if (s >= 0) gru_first(j, g, xw_of(j, b, s), j->hr + b * part * w);
    if (s < 0) memset(g, 0, (size_t)(2 * w));
    /* GRU has no cell state: the reset state of all batches goes there. */
    if (!p->linear_first)
      p->loop->product(j->c + b * w, g + w, j->h + b * w, n);
  }
}

static void step(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  int64_t w = p->hidden * p->wide;
  for (int64_t b = lo; b < hi; b++) {
    int64_t s = time_of(j, b);
    if (s < 0) continue;
    char *g = row_of(j, b), *h = j->h + b * w, *c = j->c + b * w;
    const char *xw = xw_of(j, b, s), *hr = j->hr + b * p->gates * w;
    if (p->cell == RNN) rnn_row(j, g, xw, hr, h);
    else if (p->cell == LSTM) lstm_row(j, g, xw, hr, h, c);
    else
      gru_second(j, g, xw, p->linear_first ? hr + 2 * w : j->hr2 + b * w, h);
    write_step(j, b, s);
  }
}

/* Operand i from row `row` of `width` elements on; NULL: it is packed. */
static const char *matrix(const job *j, int i, int64_t row, int64_t width) {
  return j->in[i] ? j->in[i] + row * width * j->p->wide : NULL;
}

/* Rows of all of the state, of which each member has its part. */
static gs_status gather(const job *j, const char *part) {
  const plan *p = j->p;
  gs_kgroup *g = j->k->group;
  size_t w = (size_t)(p->hidden * p->wide), all = (size_t)(p->width * p->wide);
  size_t rows = (size_t)p->batch;
  char *to = rows == 1 ? j->state : j->got; /* one row needs no other order */
  gs_assert(g && p->split);
  GS_TRY(g->gather(g, part, to, rows * w, j->k->err));
  for (size_t i = 0; to != j->state && i < (size_t)g->n; i++)
    for (size_t b = 0; b < rows; b++)
      memcpy(j->state + b * all + i * w, to + (i * rows + b) * w, w);
  return GS_OK;
}

/* hr = what R's rows from `row` on make of the state, of which `part` is here;
 * `there`: all of it lies in j->state. */
static gs_status recur(const job *j, const gs_gemm *g, int64_t row,
                       const char *part, bool there, char *hr) {
  const plan *p = j->p;
  row += j->dir * p->gates * p->hidden;
  if (p->split && !there) GS_TRY(gather(j, part));
  if (gs_gemm_run(g, p->split ? j->state : part,
                  matrix(j, R, row, p->whole), hr, j->k->threads))
    return GS_OK;
  return gs_kernel_fail(j->k, GS_INTERNAL,
                        "oneDNN cannot compute the product");
}

static gs_status steps(job *j) {
  const plan *p = j->p;
  const gs_kctx *k = j->k;
  int64_t h = p->hidden, all = p->gates * h, d = j->dir;
  for (j->t = 0; j->t < p->steps; j->t++) {
    GS_TRY(recur(j, &p->rh[d], 0, j->h, !j->t, j->hr));
    if (p->cell == GRU)
      gs_parallel(k->threads, p->batch, 2 * all, first_half, j);
    if (p->cell == GRU && !p->linear_first)
      GS_TRY(recur(j, &p->rh2[d], 2 * h, j->c, false, j->hr2));
    gs_parallel(k->threads, p->batch, 4 * all, step, j);
  }
  return GS_OK;
}

/* ---- run ---- */

/* bias[0..all) is added before the gates, bias[all..2 all) the recurrent part
 * alone. Where GRU needs both apart, the first has W's part only. */
static void load_bias(const job *j) {
  const plan *p = j->p;
  int64_t all = p->gates * p->hidden;
  size_t bytes = (size_t)(all * p->wide);
  memset(j->bias, 0, 2 * bytes);
  if (!j->in[B]) return;
  const char *b = j->in[B] + 2 * j->dir * all * p->wide;
  int64_t both = p->cell == GRU ? 2 * p->hidden : all;
  memcpy(j->bias, b, 2 * bytes);
  char *zero = j->rows;
  memset(zero, 0, (size_t)(both * p->wide));
  p->loop->add3(j->bias, b, b + bytes, zero, both);
}

/* Rows of operand i, which has `width` elements in each, of which those from
 * `first` on, to rows of n; zeros for what it does not have. */
static void load_state(const job *j, int i, int64_t width, int64_t first,
                       char *to, int64_t n) {
  const plan *p = j->p;
  bool given = i < j->k->nin && j->in[i];
  int64_t have = given ? gs_max(0, gs_min(width - first, n)) : 0;
  size_t bytes = (size_t)(have * p->wide), all = (size_t)(n * p->wide);
  for (int64_t b = 0; b < p->batch; b++, to += all) {
    if (bytes)
      memcpy(to, j->in[i] + (state_row(j, b) * width + first) * p->wide,
             bytes);
    memset(to + bytes, 0, all - bytes);
  }
}

static gs_status check_lengths(gs_kctx *k, const plan *p) {
  for (int64_t b = 0; gs_kernel_has(k, LENGTHS) && b < p->batch; b++) {
    int64_t n = gs_view_int(&k->in[LENGTHS], b);
    if (n < 0 || n > p->steps)
      return gs_kernel_fail(k, GS_DATA, "sequence_lens[%lld] is %lld, outside "
                            "of a sequence of %lld", (long long)b,
                            (long long)n, (long long)p->steps);
  }
  return GS_OK;
}

static void operands(gs_kctx *k, const plan *p, job *j) {
  for (int i = 0; i < k->nin; i++) {
    const gs_view *v = &k->in[i];
    if (i == LENGTHS || v->rank < 0) continue;
    j->in[i] = p->kept[i] ? p->kept[i] : v->data;
    if (p->kept[i] || v->dtype == p->type) continue;
    char *to = (char *)k->scratch + p->at[i];
    gs_half_widen(v->dtype, v->n, v->data, (float *)(void *)to, k->threads);
    j->in[i] = to;
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  char *s = k->scratch;
  job j = {.k = k, .p = p, .xw = s + p->xw, .hr = s + p->hr,
           .hr2 = s + p->hr2, .h = s + p->h, .c = s + p->c,
           .bias = s + p->bias, .rows = s + p->rows, .state = s + p->state,
           .got = s + p->got};
  if (!p->batch) return GS_OK;
  GS_TRY(check_lengths(k, p));
  operands(k, p, &j);
  if (k->out[0].data && gs_kernel_has(k, LENGTHS))
    memset(k->out[0].data, 0,
           (size_t)gs_dtype_bytes((int)k->out[0].dtype, k->out[0].n));
  int64_t all = p->gates * p->hidden;
  for (j.dir = 0; j.dir < p->dirs; j.dir++) {
    load_bias(&j);
    load_state(&j, H0, p->whole, p->from, j.h, p->hidden);
    load_state(&j, C0, p->hidden, 0, j.c, p->hidden);
    if (p->split) load_state(&j, H0, p->whole, 0, j.state, p->width);
    if (!gs_gemm_run(&p->wx[j.dir], j.in[X],
                     matrix(&j, W, j.dir * all, p->input), j.xw, k->threads))
      return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the "
                            "product");
    GS_TRY(steps(&j));
    for (int64_t b = 0; b < p->batch; b++) {
      int64_t at = state_row(&j, b) * p->hidden;
      write(&j, 1, at, j.h + b * p->hidden * p->wide);
      write(&j, 2, at, j.c + b * p->hidden * p->wide);
    }
  }
  return GS_OK;
}

extern const gs_kernel gs_kernel_rnn, gs_kernel_gru, gs_kernel_lstm,
    gs_kernel_recurrence;
const gs_kernel gs_kernel_rnn = {rnn_prep, run};
const gs_kernel gs_kernel_gru = {gru_prep, run};
const gs_kernel gs_kernel_lstm = {lstm_prep, run};
const gs_kernel gs_kernel_recurrence = {recurrence_prep, run};
