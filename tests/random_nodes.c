/* Nodes of random graphs. */
#include "random_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

static bool make_unary(producer *k) {
  static const char *const exact[] = {"Abs", "Neg", "Relu", "Sign",
                                      "Identity"};
  static const char *const rough[] = {"Exp", "Tanh", "Sigmoid", "Erf", "Gelu",
                                      "Sin", "Cos", "Softplus"};
  if (random_chance(k, 60)) {
    gs_value *x = random_pick(k, NUMBERS, 0, 5, false);
    return random_simple(k, exact[random_number(k, 5)], &x, 1,
                         random_max(k, x) + 1, random_real(k, x));
  }
  gs_value *x = random_pick(k, FLOATS, 0, 5, false);
  if (random_max(k, x) > 8) return false;
  return random_simple(k, rough[random_number(k, 8)], &x, 1, 3000, true);
}

static bool make_binary(producer *k) {
  static const char *const ops[] = {"Add", "Sub", "Mul", "Max", "Min"};
  int op = random_number(k, 5);
  gs_value *in[3];
  in[0] =
      random_pick(k, NUMBERS | (op < 3 ? 0u : (unsigned)SMALL), 0, 4, false);
  in[1] = random_chance(k, 10) ? in[0] : random_partner(k, in[0], in[0]->dtype);
  if (random_chance(k, 50)) {
    gs_value *swap = in[0];
    in[0] = in[1];
    in[1] = swap;
  }
  if (random_elements(in[0]) * random_elements(in[1]) > 16 * MAX_ELEMENTS)
    return false;
  double a = random_max(k, in[0]), b = random_max(k, in[1]);
  bool is_real = random_real(k, in[0]) || random_real(k, in[1]);
  if (random_chance(k, 15)) {
    in[2] = in[1];
    return random_simple(k, random_chance(k, 50) ? "Sum" : "Max", in, 3,
                         a + b + b, is_real);
  }
  return random_simple(k, ops[op], in, 2, op == 2 ? a * b : a + b, is_real);
}

static bool make_choice(producer *k) {
  static const char *const ops[] = {"Greater", "Less", "Equal",
                                    "GreaterOrEqual", "LessOrEqual"};
  static const char *const logic[] = {"And", "Or", "Xor"};
  gs_value *in[3];
  if (random_chance(k, 40)) {
    in[0] = random_pick(k, NUMBERS, 0, 4, false);
    in[1] = random_partner(k, in[0], in[0]->dtype);
    return random_simple(k, ops[random_number(k, 5)], in, 2, 1, false);
  }
  if (random_chance(k, 40)) {
    in[0] = random_pick(k, BOOLS, 0, 4, false);
    if (random_chance(k, 30)) return random_simple(k, "Not", in, 1, 1, false);
    in[1] = random_partner(k, in[0], GS_BOOL);
    return random_simple(k, logic[random_number(k, 3)], in, 2, 1, false);
  }
  in[1] = random_pick(k, NUMBERS | SMALL | BOOLS, 0, 4, false);
  in[0] = random_partner(k, in[1], GS_BOOL);
  in[2] = random_like(k, in[1]->dtype, in[1]->rank, in[1]->dims, false);
  random_finish(k, random_begin(k, "Where", in, 3, 1),
                random_max(k, in[1]) + random_max(k, in[2]),
                random_real(k, in[1]) || random_real(k, in[2]));
  return true;
}

static bool fits_sum(producer *k, gs_value **in, double points) {
  return points * random_max(k, in[0]) * random_max(k, in[1]) <=
         random_limit(in[0]->dtype);
}

static bool make_matmul(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS, 1, 4, true);
  int64_t dims[8], n = in[0]->dims[in[0]->rank - 1];
  int rank = random_chance(k, 50) ? 2 : in[0]->rank > 1 ? in[0]->rank : 1;
  for (int d = 0; d < rank - 2; d++)
    dims[d] = random_chance(k, 30) ? 1 : in[0]->dims[d];
  if (rank > 1) dims[rank - 2] = n;
  dims[rank - 1] = rank == 1 ? n : random_chance(k, 5) ? 96 : random_size(k);
  in[1] = random_like(k, in[0]->dtype, rank, dims, true);
  if (random_chance(k, 10) && in[0]->rank > 1 &&
      in[0]->dims[in[0]->rank - 2] == n)
    in[1] = in[0];
  if (!fits_sum(k, in, (double)n)) return false;
  return random_simple(k, "MatMul", in, 2, (double)n * random_max(k, in[0]) *
                                        random_max(k, in[1]), false);
}

static bool make_gemm(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, FLOATS, 2, 2, true);
  bool ta = random_chance(k, 40), tb = random_chance(k, 40),
       third = random_chance(k, 60);
  int64_t sum = in[0]->dims[!ta], rows = in[0]->dims[ta];
  int64_t dims[2], out = random_size(k);
  dims[tb] = sum;
  dims[!tb] = out;
  in[1] = random_like(k, in[0]->dtype, 2, dims, true);
  if (!fits_sum(k, in, 3 * (double)sum)) return false;
  dims[0] = random_chance(k, 30) ? 1 : rows;
  dims[1] = random_chance(k, 20) ? 1 : out;
  int drop = random_number(k, 3) ? 0 : 1;
  in[2] = random_like(k, in[0]->dtype, 2 - drop, dims + drop, true);
  double bound = 2 * (double)sum * random_max(k, in[0]) * random_max(k, in[1]) +
                 3 * random_max(k, in[2]);
  if (bound > random_limit(in[0]->dtype)) return false;
  gs_node *n = random_begin(k, "Gemm", in, third ? 3 : 2, 1);
  if (ta) gs_node_set_int(k->g, n, "transA", 1);
  if (tb) gs_node_set_int(k->g, n, "transB", 1);
  if (random_chance(k, 30))
    gs_node_set(k->g, n, &(gs_attr){.name = "alpha", .kind = GS_ATTR_FLOAT,
                                    .f = 2});
  if (random_chance(k, 30))
    gs_node_set(k->g, n, &(gs_attr){.name = "beta", .kind = GS_ATTR_FLOAT,
                                    .f = 3});
  random_finish(k, n, bound, false);
  return true;
}

static bool make_einsum(producer *k) {
  static const char *const equations[] = {
      "ij,jk->ik",     "ij,jk->ki",      "bij,bkj->bik", "bij,bjk->bik",
      "ijk,kl->ijl",   "ij,ij->ij",      "ij,ij->i",     "ij,kj->ijk",
      "ijk,ik->j",     "bhqd,bhkd->bhqk", "ij,i->j",     "i,j->ij",
      "ijk,jk->",      "ij,jk->",        "ijk,lk->jil",  "ij,ji->ij",
      "gsm,mec->gsec", "ij,jj->i",       "ijk,ijl->ikl", "ij->ji",
      "ijk->k",        "ii->i",          "ij,k->ijk",    "ijk,ijk->jk"};
  const char *text = equations[random_number(k, 24)];
  int64_t size[128] = {0}, dims[8];
  gs_value *in[2] = {NULL, NULL};
  int rank = (int)strcspn(text, ",-");
  in[0] = random_pick(k, FLOATS, rank, rank, true);
  double points = 1;
  for (int d = 0; d < rank; d++) {
    int c = text[d];
    if (size[c] && size[c] != in[0]->dims[d]) return false;
    size[c] = in[0]->dims[d];
    points *= (double)size[c];
  }
  int nin = text[rank] == ',' ? 2 : 1;
  if (nin == 2) {
    const char *second = text + rank + 1;
    int n = (int)strcspn(second, "-");
    for (int d = 0; d < n; d++) {
      int c = second[d];
      if (!size[c]) {
        size[c] = random_size(k);
        points *= (double)size[c];
      }
      dims[d] = size[c];
    }
    if (points > MAX_ELEMENTS) return false;
    in[1] = random_like(k, in[0]->dtype, n, dims, true);
  } else in[1] = in[0];
  if (!fits_sum(k, in, points)) return false;
  gs_node *n = random_begin(k, "Einsum", in, nin, 1);
  gs_node_set_string(k->g, n, "equation", text);
  random_finish(k, n, points * random_max(k, in[0]) * random_max(k, in[1]),
                false);
  return true;
}

static bool make_reduce(producer *k) {
  static const char *const ops[] = {"ReduceSum", "ReduceMax", "ReduceMin",
                                    "ReduceMean", "ReduceSumSquare",
                                    "ReduceL2", "ReduceProd"};
  int op = random_number(k, 7);
  bool picks = op == 1 || op == 2;
  gs_value *in[2];
  bool floats = op == 3 || op == 5;
  in[0] = random_pick(k, floats ? (unsigned)FLOATS : (unsigned)NUMBERS, 1, 5,
                      !picks);
  int64_t axes[8];
  double points = 1, top = random_max(k, in[0]), product = 1;
  int n = 0;
  for (int d = 0; d < in[0]->rank; d++) {
    if (random_chance(k, 50)) continue;
    axes[n++] = random_chance(k, 30) ? d - in[0]->rank : d;
    points *= (double)in[0]->dims[d];
  }
  if (!n) points = random_elements(in[0]);
  for (double i = 0; op == 6 && i < points && product < 1e12; i++)
    product *= top > 1 ? top : 1;
  double bound = picks     ? top
                 : op == 6 ? product
                 : op >= 4 ? points * top * top
                           : points * top;
  if (!picks && bound > random_limit(in[0]->dtype)) return false;
  if (n) in[1] = random_ints(k, axes, n);
  gs_node *node = random_begin(k, ops[op], in, n ? 2 : 1, 1);
  if (random_chance(k, 50)) gs_node_set_int(k->g, node, "keepdims", 0);
  random_finish(k, node, bound, op == 3 || op == 5 || random_real(k, in[0]));
  return true;
}

static bool make_scan(producer *k) {
  int what = random_number(k, 3);
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS, 1, 4, what == 0);
  int axis = random_number(k, in[0]->rank);
  double size = (double)in[0]->dims[axis];
  if (what == 0) {
    if (size * random_max(k, in[0]) > random_limit(in[0]->dtype)) return false;
    in[1] = random_one_int(k, axis);
    gs_node *n = random_begin(k, "CumSum", in, 2, 1);
    if (random_chance(k, 30)) gs_node_set_int(k->g, n, "reverse", 1);
    if (random_chance(k, 30)) gs_node_set_int(k->g, n, "exclusive", 1);
    random_finish(k, n, size * random_max(k, in[0]), false);
    return true;
  }
  gs_node *n;
  if (what == 1) {
    in[1] = random_one_int(k, 1 + random_number(k, (int)in[0]->dims[axis]));
    n = random_begin(k, "TopK", in, 2, 2);
    if (random_chance(k, 30)) gs_node_set_int(k->g, n, "largest", 0);
  } else {
    n = random_begin(k, random_chance(k, 50) ? "ArgMax" : "ArgMin", in, 1, 1);
    if (random_chance(k, 50)) gs_node_set_int(k->g, n, "keepdims", 0);
    if (random_chance(k, 50)) gs_node_set_int(k->g, n, "select_last_index", 1);
  }
  gs_node_set_int(k->g, n, "axis", axis);
  random_finish(k, n, random_max(k, in[0]) + size, random_real(k, in[0]));
  if (what == 1) k->mark[n->out[1]->id] = (mark){.max = size};
  return true;
}

static bool make_rows(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, FLOATS, 1, 4, false);
  if (random_max(k, in[0]) > 30) return false;
  int axis = random_number(k, in[0]->rank), left = in[0]->rank - axis;
  gs_node *n;
  if (random_chance(k, 50)) {
    axis = in[0]->rank - 1; /* along others, sums may take another order */
    n = random_begin(k, random_chance(k, 70) ? "Softmax" : "LogSoftmax", in, 1,
                     1);
  } else if (random_chance(k, 60)) {
    in[1] = random_like(k, in[0]->dtype, left, in[0]->dims + axis, false);
    in[2] = random_like(k, in[0]->dtype, left, in[0]->dims + axis, false);
    n = random_begin(k, "LayerNormalization", in, random_chance(k, 50) ? 3 : 2,
                     1);
  } else {
    in[1] = random_like(k, in[0]->dtype, left, in[0]->dims + axis, false);
    n = random_begin(k, "RMSNormalization", in, 2, 1);
  }
  gs_node_set_int(k->g, n, "axis", axis);
  random_finish(k, n, 3000, true);
  return true;
}

/* ---- movement ---- */

static bool make_reshape(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS | SMALL | BOOLS, 0, 5, false);
  int64_t dims[16], left = gs_product(in[0]->dims, in[0]->rank);
  int n = 0;
  bool from_dims =
      random_chance(k, 70); /* merge and split dims, or any factors */
  for (int d = 0; from_dims && d < in[0]->rank; d++) {
    int64_t size = in[0]->dims[d];
    if (n && random_chance(k, 40)) dims[n - 1] *= size;
    else dims[n++] = size;
    for (int64_t f = 2; f < 5 && n < 6; f++)
      if (dims[n - 1] % f == 0 && dims[n - 1] > f && random_chance(k, 25)) {
        dims[n] = dims[n - 1] / f;
        dims[n - 1] = f;
        n++;
      }
    if (n < 6 && random_chance(k, 8)) dims[n++] = 1;
  }
  for (int i = 0; !from_dims && i < 20 && n < 4; i++) {
    int64_t f = 2 + random_number(k, 7);
    if (left % f) continue;
    dims[n++] = f;
    left /= f;
    if (random_chance(k, 40)) break;
  }
  if (!from_dims && left > 1) dims[n++] = left;
  if (n && random_chance(k, 20)) dims[random_number(k, n)] = -1;
  in[1] = random_ints(k, dims, n);
  return random_moved(k, random_begin(k, "Reshape", in, 2, 1));
}

static bool make_unit_dims(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS | BOOLS, 0, 4, false);
  int what = random_number(k, 3);
  if (what == 0) {
    gs_node *n = random_begin(k, "Flatten", in, 1, 1);
    gs_node_set_int(k->g, n, "axis", random_number(k, in[0]->rank + 1));
    return random_moved(k, n);
  }
  if (what == 1) return random_moved(k, random_begin(k, "Squeeze", in, 1, 1));
  in[1] = random_one_int(k, random_number(k, in[0]->rank + 1));
  return random_moved(k, random_begin(k, "Unsqueeze", in, 2, 1));
}

static bool make_transpose(producer *k) {
  gs_value *x = random_pick(k, NUMBERS | SMALL | BOOLS, 2, 5, false);
  int64_t perm[8];
  for (int i = 0; i < x->rank; i++) perm[i] = i;
  for (int i = x->rank - 1; i > 0; i--) {
    int j = random_number(k, i + 1);
    int64_t t = perm[i];
    perm[i] = perm[j];
    perm[j] = t;
  }
  gs_node *n = random_begin(k, "Transpose", &x, 1, 1);
  gs_node_set_ints(k->g, n, "perm", perm, x->rank);
  return random_moved(k, n);
}

static bool make_concat(producer *k) {
  gs_value *in[MAX_IN];
  in[0] = random_pick(k, NUMBERS | BOOLS, 1, 4, false);
  int axis = random_number(k, in[0]->rank), nin = 2 + random_number(k, 2);
  double bound = random_max(k, in[0]);
  bool is_real = random_real(k, in[0]);
  for (int i = 1; i < nin; i++) {
    int64_t dims[8];
    memcpy(dims, in[0]->dims, (size_t)in[0]->rank * sizeof *dims);
    if (random_chance(k, 40)) dims[axis] = random_size(k);
    in[i] = random_like(k, in[0]->dtype, in[0]->rank, dims, false);
    bound = bound > random_max(k, in[i]) ? bound : random_max(k, in[i]);
    is_real = is_real || random_real(k, in[i]);
  }
  gs_node *n = random_begin(k, "Concat", in, nin, 1);
  gs_node_set_int(k->g, n, "axis",
                  random_chance(k, 30) ? axis - in[0]->rank : axis);
  random_finish(k, n, bound, is_real);
  return true;
}

static bool make_split(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS | SMALL, 1, 4, false);
  int axis = random_number(k, in[0]->rank);
  int64_t n = in[0]->dims[axis], part[3];
  if (n < 2) return false;
  bool sizes = random_chance(k, 50);
  part[0] = 1 + random_number(k, (int)n - 1);
  part[1] = n - part[0];
  if (sizes) in[1] = random_ints(k, part, 2);
  gs_node *node = random_begin(k, "Split", in, sizes ? 2 : 1, 2);
  gs_node_set_int(k->g, node, "axis", axis);
  if (!sizes) gs_node_set_int(k->g, node, "num_outputs", 2);
  return random_moved(k, node);
}

static bool make_slice(producer *k) {
  gs_value *in[5];
  in[0] = random_pick(k, NUMBERS | BOOLS, 1, 4, false);
  int64_t start[8], end[8], axes[8], step[8];
  int n = 0;
  for (int d = 0; d < in[0]->rank; d++) {
    int64_t size = in[0]->dims[d];
    if (random_chance(k, 40)) continue;
    axes[n] = d;
    start[n] = random_number(k, (int)size);
    end[n] = start[n] + 1 + random_number(k, (int)(size - start[n]));
    step[n] = random_chance(k, 70) ? 1 : 2;
    if (random_chance(k, 15)) {
      start[n] = -1;
      end[n] = -size - 1;
      step[n] = -1;
    }
    if (random_chance(k, 15)) start[n] = 0, end[n] = INT64_MAX, step[n] = 1;
    n++;
  }
  in[1] = random_ints(k, start, n);
  in[2] = random_ints(k, end, n);
  in[3] = random_ints(k, axes, n);
  in[4] = random_ints(k, step, n);
  return random_moved(k, random_begin(k, "Slice", in, 5, 1));
}

static bool make_growing(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS, 1, 4, false);
  int64_t size[16];
  int rank = in[0]->rank, what = random_number(k, 4);
  if (random_elements(in[0]) > MAX_ELEMENTS / 8) return false;
  if (what == 0) {
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    int mode = random_number(k, 4);
    for (int d = 0; d < rank; d++)
      for (int side = 0; side < 2; side++)
        size[side * rank + d] = random_chance(k, 30) ? random_number(k, 3) : 0;
    for (int i = 0; i < 2 * rank; i++) /* what a reflection can give */
      if (mode && size[i] >= in[0]->dims[i % rank]) size[i] = 0;
    in[1] = random_ints(k, size, 2 * rank);
    gs_node *n = random_begin(k, "Pad", in, 2, 1);
    gs_node_set_string(k->g, n, "mode", modes[mode]);
    return random_moved(k, n);
  }
  if (what == 1) {
    for (int d = 0; d < rank; d++) size[d] = random_chance(k, 30) ? 2 : 1;
    in[1] = random_ints(k, size, rank);
    return random_moved(k, random_begin(k, "Tile", in, 2, 1));
  }
  if (what == 2) {
    int more = rank < 4 && random_chance(k, 40);
    if (more) size[0] = 1 + random_number(k, 3);
    for (int d = 0; d < rank; d++)
      size[d + more] = in[0]->dims[d] == 1 ? random_size(k) : in[0]->dims[d];
    in[1] = random_ints(k, size, rank + more);
    return random_moved(k, random_begin(k, "Expand", in, 2, 1));
  }
  if (rank < 2) return false;
  gs_node *n = random_begin(k, "Trilu", in, 1, 1);
  if (random_chance(k, 50)) gs_node_set_int(k->g, n, "upper", 0);
  return random_moved(k, n);
}

static bool make_gather(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, NUMBERS, 1, 4, false);
  int axis = random_number(k, in[0]->rank), what = random_number(k, 4),
      rank = random_number(k, 3);
  int64_t dims[8], n = in[0]->dims[axis];
  if (random_elements(in[0]) > MAX_ELEMENTS / 8) return false;
  if (what < 2) {
    for (int d = 0; d < rank; d++) dims[d] = random_size(k);
    if (rank == 2 && dims[0] * dims[1] > 16) dims[0] = 1;
    in[1] = random_indices(k, rank, dims, -n, n);
    gs_node *node = random_begin(k, "Gather", in, 2, 1);
    gs_node_set_int(k->g, node, "axis", axis);
    return random_moved(k, node);
  }
  if (what == 2) {
    memcpy(dims, in[0]->dims, (size_t)in[0]->rank * sizeof *dims);
    dims[axis] = random_size(k);
    in[1] = random_indices(k, in[0]->rank, dims, -n, n);
    gs_node *node = random_begin(k, "GatherElements", in, 2, 1);
    gs_node_set_int(k->g, node, "axis", axis);
    return random_moved(k, node);
  }
  if (random_real(k, in[0])) return false;
  in[1] = random_indices(k, in[0]->rank, in[0]->dims, 0, n);
  in[2] = random_like(k, in[0]->dtype, in[0]->rank, in[0]->dims, true);
  double bound = random_max(k, in[0]) + (double)n * random_max(k, in[2]);
  if (bound > random_limit(in[0]->dtype)) return false;
  gs_node *node = random_begin(k, "ScatterElements", in, 3, 1);
  gs_node_set_int(k->g, node, "axis", axis);
  gs_node_set_string(k->g, node, "reduction", "add");
  random_finish(k, node, bound, false);
  return true;
}

/* A weight that is too large to be read whole by every device. */
static bool make_large(producer *k) {
  static const int64_t shape[] = {128, 130};
  gs_value *in[2], *w = random_fresh(k, GS_FLOAT, 2, shape);
  k->mark[w->id].index = true;
  int what = random_number(k, 3);
  int64_t dims[2] = {random_size(k), 128};
  if (what == 0) {
    in[0] = w;
    in[1] = random_indices(k, 1, dims, -128, 128);
    return random_moved(k, random_begin(k, "Gather", in, 2, 1));
  }
  if (what == 1) {
    in[0] = random_fresh(k, GS_FLOAT, 2, dims);
    in[1] = w;
    random_finish(k, random_begin(k, "MatMul", in, 2, 1), 128 * 9, false);
    return true;
  }
  in[0] = w;
  in[1] = random_one_int(k, random_number(k, 2));
  random_finish(k, random_begin(k, "ReduceSum", in, 2, 1), 130 * 3, false);
  return true;
}

/* Indices of several dims at once. */
static bool make_points(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, NUMBERS, 1, 3, true);
  int depth = 1 + random_number(k, in[0]->rank < 2 ? in[0]->rank : 2);
  int64_t dims[8] = {random_size(k), depth}, min = in[0]->dims[0];
  for (int d = 0; d < depth; d++)
    if (in[0]->dims[d] < min) min = in[0]->dims[d];
  if (random_elements(in[0]) > MAX_ELEMENTS / 8) return false;
  bool gathers = random_chance(k, 60);
  in[1] = random_indices(k, 2, dims, gathers ? -min : 0, min);
  in[1]->dtype = GS_INT64;
  if (gathers) return random_moved(k, random_begin(k, "GatherND", in, 2, 1));
  for (int d = depth; d < in[0]->rank; d++)
    dims[1 + d - depth] = in[0]->dims[d];
  in[2] = random_like(k, in[0]->dtype, 1 + in[0]->rank - depth, dims, true);
  double bound = random_max(k, in[0]) + (double)dims[0] * random_max(k, in[2]);
  if (bound > random_limit(in[0]->dtype)) return false;
  gs_node *n = random_begin(k, "ScatterND", in, 3, 1);
  gs_node_set_string(k->g, n, "reduction", "add");
  random_finish(k, n, bound, false);
  return true;
}

static bool make_one_hot(producer *k) {
  int64_t dims[2] = {random_size(k), random_size(k)}, depth = random_size(k);
  gs_value *in[3], *two = random_ints(k, (int64_t[]){2, 5}, 2);
  int rank = 1 + random_number(k, 2);
  in[0] = random_indices(k, rank, dims, -depth, depth);
  in[1] = random_one_int(k, depth);
  in[2] = two;
  gs_node *n = random_begin(k, "OneHot", in, 3, 1);
  gs_node_set_int(k->g, n, "axis", random_number(k, rank + 2) - 1);
  random_finish(k, n, 5, false);
  return true;
}

static bool make_cast(producer *k) {
  gs_value *x = random_pick(k, NUMBERS | SMALL | BOOLS, 0, 4, true);
  gs_dtype to = random_type(k, NUMBERS | BOOLS);
  if (random_max(k, x) > random_limit(to)) return false;
  gs_node *n = random_begin(k, "Cast", &x, 1, 1);
  gs_node_set_int(k->g, n, "to", (int)to);
  random_finish(k, n, to == GS_BOOL ? 1 : random_max(k, x), false);
  return true;
}

static bool make_random(producer *k) {
  gs_value *x = random_pick(k, FLOATS, 0, 4, false);
  gs_node *n = random_begin(k, "RandomUniformLike", &x, 1, 1);
  random_finish(k, n, 1, true);
  return true;
}

static bool make_new(producer *k) {
  int64_t dims[2] = {random_size(k), random_size(k)};
  if (random_chance(k, 50)) {
    gs_node *n = random_begin(k, "RandomUniform", NULL, 0, 1);
    gs_node_set_ints(k->g, n, "shape", dims, 2);
    random_finish(k, n, 1, true);
    return true;
  }
  gs_value *shape = random_ints(k, dims, 2);
  random_finish(k, random_begin(k, "ConstantOfShape", &shape, 1, 1), 0, false);
  return true;
}

static random_make *const makers[] = {
    make_unary,  make_unary,     make_binary,  make_binary, make_binary,
    make_choice, make_matmul,    make_matmul,  make_gemm,   make_einsum,
    make_einsum, make_reduce,    make_reduce,  make_scan,   make_rows,
    make_reshape, make_reshape,  make_unit_dims, make_transpose,
    make_concat, make_split,     make_slice,   make_growing, make_gather,
    make_gather, make_cast,      make_random,  make_large,  make_points,
    make_one_hot, make_new};

static random_make *const linear[] = {
    make_binary,    make_binary,    make_matmul, make_matmul, make_gemm,
    make_einsum,    make_einsum,    make_reduce, make_reduce, make_reshape,
    make_unit_dims, make_transpose, make_concat, make_split,  make_slice,
    make_growing,   make_gather,    make_gather, make_points, make_large};
const random_kinds random_linear = {linear, sizeof linear / sizeof *linear};
const random_kinds random_all = {makers, sizeof makers / sizeof *makers};
