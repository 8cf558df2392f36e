/* Attention of com.microsoft in random graphs, over keys, caches and what is
 * packed; the norm behind a residual; the loss of probabilities. */
#include <string.h>

#include "random_impl.h"

typedef struct sizes {
  gs_dtype type;
  int64_t batch, kv, group, queries, keys, past, rows; /* rows: of the cache */
} sizes;

enum { HEAD = 4 };

static sizes any_sizes(producer *k, bool grouped) {
  sizes s = {.type = random_chance(k, 75) ? GS_FLOAT : random_type(k, FLOATS),
             .batch = 1 + random_number(k, 2), .kv = 1 + random_number(k, 3),
             .group = 1, .queries = random_size(k), .past = random_size(k)};
  if (grouped) s.group = 1 + random_number(k, 2);
  s.keys = grouped || random_chance(k, 50) ? s.queries : random_size(k);
  return s;
}

static gs_node *microsoft(producer *k, const char *op, gs_value **in, int nin,
                          int nout) {
  gs_node *n = random_begin(k, op, in, nin, nout);
  n->domain = "com.microsoft";
  n->op = gs_op_find(n->domain, op);
  n->opset = n->op ? n->op->since : 1;
  return n;
}

static void set_float(producer *k, gs_node *n, const char *name, double f) {
  gs_node_set(k->g, n, &(gs_attr){.name = name, .kind = GS_ATTR_FLOAT,
                                  .f = f});
}

/* The results are near what the whole gives, and rows that see nothing are
 * NaN. */
static bool seen_close(producer *k, gs_node *n) {
  if (!random_try(k, n, 3000, true)) return false;
  for (int i = 0; i < n->nout; i++) {
    k->mark[n->out[i]->id].special = true;
    gs_buf_printf(&k->ranges, "# close %s\n", n->out[i]->name);
  }
  return true;
}

/* A constant of i32: `count` numbers from low to high, both included. */
static gs_value *numbers(producer *k, int rank, int64_t count, int64_t low,
                         int64_t high) {
  gs_tensor *t;
  if (gs_tensor_new(k->a, GS_INT32, rank, &count, &t, NULL)) return NULL;
  for (int64_t i = 0; i < count; i++)
    ((int32_t *)(uintptr_t)t->data)[i] =
        (int32_t)(low + random_number(k, (int)(high - low + 1)));
  gs_value *v = gs_value_constant(k->g, NULL, t);
  k->mark[v->id].index = true;
  return v;
}

static gs_value *of(producer *k, const sizes *s, int64_t rows, int64_t width) {
  return random_fresh(k, s->type, 3, (int64_t[]){s->batch, rows, width});
}

static gs_value *cache(producer *k, const sizes *s, int64_t rows) {
  return random_fresh(k, s->type, 4, (int64_t[]){s->batch, s->kv, rows, HEAD});
}

/* Something for all pairs of queries and keys: a number or, of some, -inf. */
static gs_value *bias(producer *k, const sizes *s, int64_t all) {
  int64_t dims[] = {random_chance(k, 50) ? 1 : s->batch,
                    random_chance(k, 50) ? 1 : s->kv * s->group, s->queries,
                    all};
  gs_value *v = random_special(k, s->type, 4, dims);
  gs_buf_printf(&k->ranges, "# lowest %s\n", v->name);
  return v;
}

/* ---- GroupQueryAttention ---- */

/* Angles of as many positions as the cache may have. */
static void add_rotation(producer *k, const sizes *s, gs_value **in,
                         gs_node *n) {
  int64_t dims[] = {s->rows, HEAD / 2};
  for (int i = 7; i < 9; i++) in[i] = random_fresh(k, s->type, 2, dims);
  if (random_chance(k, 40)) {
    in[9] = random_indices(k, 2, (int64_t[]){s->batch, s->queries}, 0, s->rows);
    in[9]->dtype = GS_INT64;
  }
  gs_node_set_int(k->g, n, "do_rotary", 1);
  if (random_chance(k, 50)) gs_node_set_int(k->g, n, "rotary_interleaved", 1);
}

static bool make_group_query(producer *k) {
  gs_value *in[12] = {NULL};
  sizes s = any_sizes(k, true);
  int64_t heads = s.kv * s.group;
  bool packed = random_chance(k, 30), past = random_chance(k, 60);
  s.rows = past ? s.queries + random_number(k, (int)s.past + 1) : s.queries;
  in[0] = of(k, &s, s.queries, (packed ? heads + 2 * s.kv : heads) * HEAD);
  for (int i = 1; i < 3 && !packed; i++)
    in[i] = of(k, &s, s.queries, s.kv * HEAD);
  for (int i = 3; i < 5 && past; i++) in[i] = cache(k, &s, s.past);
  in[6] = numbers(k, 1, 1, s.rows, s.rows);
  if (past && s.rows < s.past) s.rows = s.past;
  int64_t most = past && s.rows > s.past + s.queries ? s.past + s.queries
                                                     : s.rows;
  in[5] = numbers(k, 1, s.batch, s.queries - 1, most - 1);
  if (random_chance(k, 30)) in[10] = bias(k, &s, s.rows);
  if (random_chance(k, 30)) in[11] = random_fresh(k, s.type, 1, &heads);
  gs_node *n = microsoft(k, "GroupQueryAttention", in, 12, past ? 3 : 1);
  if (random_chance(k, 40)) add_rotation(k, &s, n->in, n);
  gs_node_set_int(k->g, n, "num_heads", heads);
  gs_node_set_int(k->g, n, "kv_num_heads", s.kv);
  if (random_chance(k, 30))
    gs_node_set_int(k->g, n, "local_window_size", 1 + random_number(k, 5));
  else if (random_chance(k, 20)) gs_node_set_int(k->g, n, "causal", 0);
  if (random_chance(k, 20)) set_float(k, n, "softcap", 2);
  if (random_chance(k, 20)) gs_node_set_int(k->g, n, "smooth_softmax", 1);
  return seen_close(k, n);
}

/* ---- MultiHeadAttention ---- */

static gs_value *padding(producer *k, const sizes *s, int64_t all) {
  if (random_chance(k, 40)) return numbers(k, 1, s->batch, 1, all);
  int64_t dims[] = {s->batch, s->queries, all};
  bool rows = random_chance(k, 50);
  if (!rows) dims[1] = all;
  gs_value *v = random_indices(k, rows ? 3 : 2, dims, 0, 2);
  v->dtype = GS_INT32;
  return v;
}

static bool make_multi_head(producer *k) {
  gs_value *in[8] = {NULL};
  sizes s = any_sizes(k, false);
  int64_t hidden = s.kv * HEAD;
  bool past = random_chance(k, 40), pairs = !past && random_chance(k, 25);
  int64_t all = s.keys + (past ? s.past : 0);
  in[0] = of(k, &s, s.queries, hidden);
  if (pairs)
    in[1] = random_fresh(k, s.type, 5,
                         (int64_t[]){s.batch, s.keys, s.kv, 2, HEAD});
  for (int i = 1; i < 3 && !pairs; i++) in[i] = of(k, &s, s.keys, hidden);
  if (!pairs && random_chance(k, 30))
    in[3] = random_fresh(k, s.type, 1, (int64_t[]){3 * hidden});
  if (random_chance(k, 40)) in[4] = padding(k, &s, all);
  if (random_chance(k, 30)) in[5] = bias(k, &s, all);
  for (int i = 6; i < 8 && past; i++) in[i] = cache(k, &s, s.past);
  gs_node *n = microsoft(k, "MultiHeadAttention", in, 8, past ? 3 : 1);
  gs_node_set_int(k->g, n, "num_heads", s.kv);
  if (random_chance(k, 40)) gs_node_set_int(k->g, n, "unidirectional", 1);
  if (random_chance(k, 30)) set_float(k, n, "scale", 0.25);
  return seen_close(k, n);
}

/* ---- functions over rows ---- */

static bool make_skip_norm(producer *k) {
  gs_value *in[5] = {NULL};
  in[0] = random_pick(k, FLOATS, 2, 3, true);
  if (random_max(k, in[0]) > 100) return false;
  gs_dtype t = in[0]->dtype;
  bool layer = random_chance(k, 50);
  int rank = in[0]->rank;
  in[1] = random_like(k, t, rank, in[0]->dims, true);
  for (int i = 2; i < (layer ? 5 : 4); i++)
    if (i == 2 || random_chance(k, 50))
      in[i] = random_fresh(k, t, 1, in[0]->dims + rank - 1);
  gs_node *n = microsoft(
      k, layer ? "SkipLayerNormalization" : "SkipSimplifiedLayerNormalization",
      in, layer ? 5 : 4, 1);
  set_float(k, n, "epsilon", 1e-3);
  random_known(k, n, t, rank, in[0]->dims);
  gs_buf_printf(&k->ranges, "# close %s\n", n->out[0]->name);
  return true;
}

static bool make_likelihood(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, FLOATS, 2, 4, true);
  int64_t dims[8], classes = in[0]->dims[1];
  int rank = in[0]->rank;
  dims[0] = in[0]->dims[0];
  for (int d = 2; d < rank; d++) dims[d - 1] = in[0]->dims[d];
  in[1] = random_indices(k, rank - 1, dims, 0, classes);
  in[2] = random_fresh(k, in[0]->dtype, 1, &classes);
  static const char *const how[] = {"none", "sum", "mean"};
  int which = random_number(k, 3);
  k->mark[in[2]->id].index = true;
  gs_buf_printf(&k->ranges, "# range %s 1 3\n", in[2]->name);
  gs_node *n = random_begin(k, "NegativeLogLikelihoodLoss", in,
                            random_chance(k, 50) ? 3 : 2, 1);
  gs_node_set_string(k->g, n, "reduction", how[which]);
  if (random_chance(k, 30)) gs_node_set_int(k->g, n, "ignore_index", 0);
  random_known(k, n, in[0]->dtype, which ? 0 : rank - 1, dims);
  k->mark[n->out[0]->id].special = true; /* where all are ignored */
  gs_buf_printf(&k->ranges, "# close %s\n", n->out[0]->name);
  return true;
}

static random_make *const makers[] = {
    make_group_query, make_group_query, make_group_query, make_multi_head,
    make_multi_head,  make_skip_norm,   make_likelihood};
const random_kinds random_attention = {makers, sizeof makers / sizeof *makers};
