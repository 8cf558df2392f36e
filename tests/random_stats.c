/* Operators of random graphs that need all of a dim: statistics, selections,
 * scans.  Some of their operands hold NaN and infinities; no other node reads
 * those, or what is made of them. */
#include <string.h>

#include "base/math.h"
#include "random_impl.h"

/* An operand: of elements up to `top` in magnitude, or with NaN and
 * infinities. */
static gs_value *operand(producer *k, unsigned set, int low, int high,
                         double top) {
  gs_value *v = random_pick(k, set, low, high, true);
  if (random_max(k, v) > top) v = random_any_fresh(k, set, low, high);
  bool is_float = gs_dtype_get((int)v->dtype)->cls == 'f';
  if (is_float && random_chance(k, 25))
    v = random_special(k, v->dtype, v->rank, v->dims);
  return v;
}

/* The node's results, of which those that are computed are close to what the
 * whole gives, not equal. */
static bool close_to(producer *k, gs_node *n, double bound) {
  bool special = k->mark[n->in[0]->id].special;
  if (!random_try(k, n, bound, true)) return false;
  for (int i = 0; i < n->nout; i++) {
    k->mark[n->out[i]->id].special = special;
    gs_buf_printf(&k->ranges, "# close %s\n", n->out[i]->name);
  }
  return true;
}

static bool exactly(producer *k, gs_node *n, double bound) {
  bool special = k->mark[n->in[0]->id].special;
  random_finish(k, n, bound, false);
  for (int i = 0; i < n->nout; i++) k->mark[n->out[i]->id].special = special;
  return true;
}

static gs_value *weights(producer *k, gs_dtype t, int rank,
                         const int64_t *dims) {
  return random_like(k, t, rank, dims, true);
}

static void set_float(producer *k, gs_node *n, const char *name, double f) {
  gs_node_set(k->g, n, &(gs_attr){.name = name, .kind = GS_ATTR_FLOAT,
                                  .f = f});
}

/* ---- statistics ---- */

static bool make_softmax(producer *k) {
  gs_value *x = operand(k, FLOATS, 1, 4, 1000);
  int axis = random_number(k, x->rank);
  gs_node *n = random_begin(
      k, random_chance(k, 50) ? "Softmax" : "LogSoftmax", &x, 1, 1);
  gs_node_set_int(k->g, n, "axis",
                  random_chance(k, 30) ? axis - x->rank : axis);
  return close_to(k, n, 2000);
}

static bool make_row_norm(producer *k) {
  gs_value *in[3];
  in[0] = operand(k, FLOATS, 1, 4, 100);
  int axis = random_number(k, in[0]->rank), left = in[0]->rank - axis;
  bool layer = random_chance(k, 60), shift = layer && random_chance(k, 50);
  for (int i = 1; i < 3; i++)
    in[i] = weights(k, in[0]->dtype, left, in[0]->dims + axis);
  gs_node *n = random_begin(
      k, layer ? "LayerNormalization" : "RMSNormalization", in,
      shift ? 3 : 2, layer && random_chance(k, 40) ? 3 : 1);
  gs_node_set_int(k->g, n, "axis", axis);
  return close_to(k, n, 3000);
}

static bool make_channel_norm(producer *k) {
  gs_value *in[5];
  in[0] = operand(k, FLOATS, 3, 4, 100);
  int64_t channels = in[0]->dims[1], groups = 1 + random_number(k, 4);
  int what = random_number(k, 3);
  for (int i = 1; i < 5; i++)
    in[i] = weights(k, in[0]->dtype, 1, &channels);
  if (what == 0)
    return close_to(k, random_begin(k, "InstanceNormalization", in, 3, 1),
                    3000);
  if (what == 1) {
    if (channels % groups) return false;
    gs_node *n = random_begin(k, "GroupNormalization", in, 3, 1);
    gs_node_set_int(k->g, n, "num_groups", groups);
    return close_to(k, n, 3000);
  }
  gs_node *n = random_begin(k, "BatchNormalization", in, 5, 3);
  gs_node_set_int(k->g, n, "training_mode", 1);
  set_float(k, n, "momentum", 0.75);
  return close_to(k, n, 3000);
}

static bool make_other_norm(producer *k) {
  gs_value *x = operand(k, FLOATS, 1, 4, 100);
  int what = random_number(k, 4);
  int64_t axes[8];
  int count = 0;
  for (int d = 0; d < x->rank; d++)
    if (random_chance(k, 50)) axes[count++] = d;
  if (what == 0) {
    gs_node *n = random_begin(k, "LpNormalization", &x, 1, 1);
    gs_node_set_int(k->g, n, "axis", random_number(k, x->rank));
    gs_node_set_int(k->g, n, "p", 1 + random_number(k, 2));
    return close_to(k, n, 1);
  }
  if (what == 1) {
    if (!count) return false;
    gs_node *n = random_begin(k, "MeanVarianceNormalization", &x, 1, 1);
    gs_node_set_ints(k->g, n, "axes", axes, count);
    return close_to(k, n, 3000);
  }
  if (what == 2) {
    if (x->rank < 3) return false;
    gs_node *n = random_begin(k, "GlobalLpPool", &x, 1, 1);
    gs_node_set_int(k->g, n, "p", 1 + random_number(k, 3));
    return close_to(k, n, 3000);
  }
  if (!count) return false;
  gs_value *in[2] = {x, random_ints(k, axes, count)};
  gs_node *n = random_begin(k, "ReduceLogSumExp", in, 2, 1);
  if (random_chance(k, 50)) gs_node_set_int(k->g, n, "keepdims", 0);
  return close_to(k, n, 3000);
}

static bool make_loss(producer *k) {
  gs_value *in[3];
  in[0] = operand(k, FLOATS, 2, 4, 100);
  int64_t dims[8], classes = in[0]->dims[1];
  int rank = in[0]->rank;
  dims[0] = in[0]->dims[0];
  for (int d = 2; d < rank; d++) dims[d - 1] = in[0]->dims[d];
  in[1] = random_indices(k, rank - 1, dims, 0, classes);
  in[2] = random_fresh(k, in[0]->dtype, 1, &classes);
  k->mark[in[2]->id].index = true;
  gs_buf_printf(&k->ranges, "# range %s 1 3\n", in[2]->name);
  static const char *const how[] = {"none", "sum", "mean"};
  int which = random_number(k, 3);
  gs_node *n = random_begin(k, "SoftmaxCrossEntropyLoss", in,
                            random_chance(k, 50) ? 3 : 2, 1);
  gs_node_set_string(k->g, n, "reduction", how[which]);
  if (random_chance(k, 30)) gs_node_set_int(k->g, n, "ignore_index", 0);
  random_known(k, n, in[0]->dtype, which ? 0 : rank - 1, dims);
  k->mark[n->out[0]->id].special = true;
  gs_buf_printf(&k->ranges, "# close %s\n", n->out[0]->name);
  return true;
}

/* softmax(q k^T) v, as exporters write it: q[b,h,q,d], k[b,h,d,k]. */
static bool make_scores(producer *k) {
  gs_value *in[2], *v;
  in[0] = random_pick(k, FLOATS, 3, 4, true);
  if (random_max(k, in[0]) > 3 || in[0]->dtype != GS_FLOAT) return false;
  int64_t dims[8], keys = random_size(k);
  int rank = in[0]->rank;
  memcpy(dims, in[0]->dims, (size_t)rank * sizeof *dims);
  dims[rank - 2] = in[0]->dims[rank - 1];
  dims[rank - 1] = keys;
  in[1] = random_like(k, GS_FLOAT, rank, dims, true);
  if (random_max(k, in[1]) > 3) return false;
  gs_node *n = random_begin(k, "MatMul", in, 2, 1);
  random_finish(k, n, 9 * 12, false);
  n = random_begin(k, "Softmax", n->out, 1, 1);
  close_to(k, n, 1);
  dims[rank - 2] = keys;
  dims[rank - 1] = random_size(k);
  v = random_like(k, GS_FLOAT, rank, dims, true);
  if (random_max(k, v) > 100) return true;
  in[0] = n->out[0];
  in[1] = v;
  return close_to(k, random_begin(k, "MatMul", in, 2, 1), 3000);
}

/* Q[b,h,q,d], K[b,g,k,d], V[b,g,k,e], a mask, or past keys and values. */
static bool make_attention(producer *k) {
  gs_value *in[6];
  int64_t batch = 1 + random_number(k, 2), kv = 1 + random_number(k, 2);
  int64_t heads = kv * (1 + random_number(k, 2)), past = random_size(k);
  int64_t queries = random_size(k), keys = random_size(k), d = 4;
  bool has_past = random_chance(k, 40), has_mask = random_chance(k, 50);
  gs_dtype t = random_chance(k, 75) ? GS_FLOAT : random_type(k, FLOATS);
  in[0] = random_fresh(k, t, 4, (int64_t[]){batch, heads, queries, d});
  in[1] = random_fresh(k, t, 4, (int64_t[]){batch, kv, keys, d});
  in[2] = random_fresh(k, t, 4, (int64_t[]){batch, kv, keys, 3});
  int64_t seen[] = {queries, keys + (has_past ? past : 0)};
  in[3] = !has_mask ? NULL
          : random_chance(k, 50) ? random_fresh(k, GS_BOOL, 2, seen)
                                 : random_special(k, t, 2, seen);
  if (in[3] && in[3]->dtype != GS_BOOL)
    gs_buf_printf(&k->ranges, "# lowest %s\n", in[3]->name);
  in[4] = random_fresh(k, t, 4, (int64_t[]){batch, kv, past, d});
  in[5] = random_fresh(k, t, 4, (int64_t[]){batch, kv, past, 3});
  gs_node *n = random_begin(k, "Attention", in, has_past ? 6 : 4,
                            has_past ? 3 : 1);
  if (random_chance(k, 40)) gs_node_set_int(k->g, n, "is_causal", 1);
  if (random_chance(k, 20)) set_float(k, n, "softcap", 2);
  if (!close_to(k, n, 3000)) return false;
  k->mark[n->out[0]->id].special = true; /* rows that see nothing */
  return true;
}

/* ---- selections ---- */

static bool make_best(producer *k) {
  gs_value *in[2];
  in[0] = operand(k, NUMBERS, 1, 4, 1e9);
  int axis = random_number(k, in[0]->rank);
  double size = (double)in[0]->dims[axis];
  in[1] = random_one_int(k, 1 + random_number(k, (int)size));
  gs_node *n = random_begin(k, "TopK", in, 2, 2);
  gs_node_set_int(k->g, n, "axis", axis);
  if (random_chance(k, 40)) gs_node_set_int(k->g, n, "largest", 0);
  exactly(k, n, random_max(k, in[0]));
  k->mark[n->out[1]->id] = (mark){.max = size};
  return true;
}

static bool make_first(producer *k) {
  gs_value *x = operand(k, NUMBERS, 1, 4, 1e9);
  int axis = random_number(k, x->rank);
  gs_node *n =
      random_begin(k, random_chance(k, 50) ? "ArgMax" : "ArgMin", &x, 1, 1);
  gs_node_set_int(k->g, n, "axis", axis);
  if (random_chance(k, 50)) gs_node_set_int(k->g, n, "keepdims", 0);
  if (random_chance(k, 50)) gs_node_set_int(k->g, n, "select_last_index", 1);
  random_finish(k, n, (double)x->dims[axis], false);
  return true;
}

static bool make_hardmax(producer *k) {
  gs_value *x = operand(k, FLOATS, 1, 4, 1e9);
  gs_node *n = random_begin(k, "Hardmax", &x, 1, 1);
  gs_node_set_int(k->g, n, "axis", random_number(k, x->rank));
  random_finish(k, n, 1, false);
  return true;
}

/* ---- scans ---- */

static bool make_sums(producer *k) {
  gs_value *in[2];
  in[0] = operand(k, NUMBERS, 1, 4, 1000);
  int axis = random_number(k, in[0]->rank);
  double bound = random_max(k, in[0]) * (double)in[0]->dims[axis];
  if (bound > random_limit(in[0]->dtype)) return false;
  in[1] = random_one_int(k, random_chance(k, 30) ? axis - in[0]->rank : axis);
  gs_node *n = random_begin(k, "CumSum", in, 2, 1);
  if (random_chance(k, 30)) gs_node_set_int(k->g, n, "reverse", 1);
  if (random_chance(k, 30)) gs_node_set_int(k->g, n, "exclusive", 1);
  return exactly(k, n, bound);
}

static bool make_products(producer *k) {
  gs_value *in[2];
  in[0] = operand(k, NUMBERS, 1, 4, 3);
  int axis = random_number(k, in[0]->rank);
  double bound = 1;
  for (int64_t i = 0; i < in[0]->dims[axis]; i++) bound *= random_max(k, in[0]);
  if (bound > random_limit(in[0]->dtype)) return false;
  in[1] = random_one_int(k, axis);
  gs_node *n = random_begin(k, "CumProd", in, 2, 1);
  if (random_chance(k, 30)) gs_node_set_int(k->g, n, "reverse", 1);
  if (random_chance(k, 30)) gs_node_set_int(k->g, n, "exclusive", 1);
  return exactly(k, n, bound);
}

/* query[b,t,h*2], key[b,t,g*2], value[b,t,g*3], state[b,g,2,3], decay. */
static bool make_state(producer *k) {
  gs_value *in[5];
  int64_t b = 1 + random_number(k, 3), t = random_size(k);
  int64_t kv = 1 + random_number(k, 2), q = kv * (1 + random_number(k, 2));
  bool state = random_chance(k, 50), decays = random_chance(k, 50);
  in[0] = random_fresh(k, GS_FLOAT, 3, (int64_t[]){b, t, q * 2});
  in[1] = random_fresh(k, GS_FLOAT, 3, (int64_t[]){b, t, kv * 2});
  in[2] = random_fresh(k, GS_FLOAT, 3, (int64_t[]){b, t, kv * 3});
  in[3] = state ? random_fresh(k, GS_FLOAT, 4, (int64_t[]){b, kv, 2, 3})
                : NULL;
  in[4] = NULL;
  if (decays) {
    int64_t each = random_chance(k, 50) ? kv : kv * 2;
    in[4] = random_fresh(k, GS_FLOAT, 3, (int64_t[]){b, t, each});
    k->mark[in[4]->id].index = true;
    gs_buf_printf(&k->ranges, "# range %s -2 1\n", in[4]->name);
  }
  int nin = decays ? 5 : state ? 4 : 3;
  gs_node *n = random_begin(k, "LinearAttention", in, nin,
                            random_chance(k, 50) ? 2 : 1);
  gs_node_set_int(k->g, n, "q_num_heads", q);
  gs_node_set_int(k->g, n, "kv_num_heads", kv);
  gs_node_set_string(k->g, n, "update_rule", decays ? "gated" : "linear");
  set_float(k, n, "scale", 1);
  return close_to(k, n, 1e6);
}

/* Boxes [b,n,4] with scores [b,c,n]: which are kept, of each class alone. */
static bool make_boxes(producer *k) {
  gs_value *in[4];
  int64_t b = 1 + random_number(k, 3), c = random_size(k), n = random_size(k);
  float overlap = 0.25f;
  bool odd = random_chance(k, 25);
  in[0] = random_fresh(k, GS_FLOAT, 3, (int64_t[]){b, n, 4});
  in[1] = (odd ? random_special : random_fresh)(k, GS_FLOAT, 3,
                                                (int64_t[]){b, c, n});
  in[2] = random_one_int(k, 1 + random_number(k, 4));
  in[3] = random_floats(k, &overlap, 1);
  gs_node *node = random_begin(k, "NonMaxSelect", in, 4, 1);
  node->domain = "ai.gshard";
  node->op = gs_op_find(node->domain, node->op_type);
  node->opset = node->op->since;
  gs_node_set_int(k->g, node, "center_point_box", random_number(k, 2));
  return exactly(k, node, (double)n);
}

static random_make *const makers[] = {
    make_softmax,    make_softmax, make_row_norm, make_row_norm,
    make_channel_norm, make_channel_norm, make_other_norm, make_other_norm,
    make_loss,       make_scores,  make_attention, make_attention,
    make_best,       make_best,    make_first,    make_first, make_hardmax,
    make_sums,       make_sums,    make_products, make_state,   make_boxes};
const random_kinds random_stats = {makers, sizeof makers / sizeof *makers};
