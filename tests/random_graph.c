#include "random_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

enum { MAX_VALUES = 200, MAX_ELEMENTS = 4096, MAX_IN = 4 };

typedef struct mark {
  double max; /* no element is larger in magnitude */
  bool real;   /* not integers: order of summation shows */
  bool index;  /* made for one use only */
} mark;

typedef struct producer {
  gs_arena *a;
  gs_graph *g;
  random_source r;
  mark mark[MAX_VALUES];
  int64_t size[4]; /* of dims: few, so that values go together */
  int dense;       /* percent of values that are annotated */
  bool plain;      /* floats are f32 */
  gs_buf ranges;
  gs_err e;
} producer;

int random_below(random_source *r, int n) {
  r->state ^= r->state << 13;
  r->state ^= r->state >> 17;
  r->state ^= r->state << 5;
  return (int)((r->state >> 3) % (uint32_t)n);
}

static int below(producer *k, int n) { return random_below(&k->r, n); }
static bool chance(producer *k, int percent) { return below(k, 100) < percent; }
static int64_t random_size(producer *k) { return k->size[below(k, 4)]; }

/* ---- values ---- */

enum { /* sets of types */
  FLOATS = 1, INTS = 2, BOOLS = 4, SMALL = 8, /* 8-bit integers */
  NUMBERS = FLOATS | INTS
};

static unsigned set_of(gs_dtype t) {
  switch (gs_dtype_get((int)t)->cls) {
    case 'f': return FLOATS;
    case 'b': return BOOLS;
    default: return gs_dtype_get((int)t)->bits == 8 ? SMALL : INTS;
  }
}

static gs_dtype random_type(producer *k, unsigned set) {
  static const gs_dtype types[] = {
      GS_FLOAT, GS_FLOAT, GS_FLOAT,    GS_FLOAT, GS_DOUBLE, GS_FLOAT16,
      GS_INT32, GS_INT64, GS_BFLOAT16, GS_BOOL,  GS_UINT8,  GS_INT8};
  for (;;) {
    gs_dtype t = types[below(k, 12)];
    if (k->plain && set_of(t) == FLOATS) t = GS_FLOAT;
    if (set_of(t) & set) return t;
  }
}

/* Integers up to this are exact, sums of them too. */
static double limit(gs_dtype t) {
  switch (t) {
    case GS_FLOAT16: return 1000;
    case GS_BFLOAT16: return 120;
    case GS_INT8: return 100;
    case GS_UINT8: return 200;
    case GS_FLOAT: return 1 << 22;
    default: return 1 << 30;
  }
}

static double elements(const gs_value *v) {
  return (double)gs_product(v->dims, v->rank);
}
static double max(const producer *k, const gs_value *v) {
  return k->mark[v->id].max;
}
static bool real(const producer *k, const gs_value *v) {
  return k->mark[v->id].real;
}

/* An input, or a weight without data. */
static gs_value *fresh(producer *k, gs_dtype t, int rank, const int64_t *dims) {
  gs_value *v;
  char name[20];
  snprintf(name, sizeof name, "v%d", k->g->value.n);
  if (chance(k, 35)) {
    gs_tensor *c = GS_NEW(k->a, gs_tensor);
    *c = (gs_tensor){.dtype = t, .rank = rank};
    c->dims = gs_memdup(k->a, dims, (size_t)rank * sizeof *dims);
    c->nbytes = (uint64_t)gs_dtype_bytes((int)t, gs_product(dims, rank));
    v = gs_value_constant(k->g, name, c);
  } else {
    v = gs_value_new(k->g, name, t, rank, dims);
    v->is_input = true;
    *gs_push(k->a, &k->g->input) = v;
  }
  k->mark[v->id].max = t == GS_BOOL ? 1 : 3;
  return v;
}

static gs_value *any_fresh(producer *k, unsigned set, int low, int high) {
  int64_t dims[8], n = 1;
  int rank = low + below(k, high - low + 1);
  for (int d = 0; d < rank; d++) {
    dims[d] = random_size(k);
    if (n * dims[d] > MAX_ELEMENTS / 4) dims[d] = 1;
    n *= dims[d];
  }
  return fresh(k, random_type(k, set), rank, dims);
}

/* Some value of these types and ranks; an exact one if asked. */
static gs_value *pick(producer *k, unsigned set, int low, int high,
                      bool exact) {
  for (int try = 0; try < 20; try++) {
    gs_value *v = k->g->value.at[below(k, k->g->value.n)];
    if (k->mark[v->id].index || !(set_of(v->dtype) & set) || v->rank < low ||
        v->rank > high || (exact && real(k, v)) || (!v->def && chance(k, 70)))
      continue;
    return v;
  }
  return any_fresh(k, set, low, high);
}

/* A value of that type and shape, at hand or new. */
static gs_value *like(producer *k, gs_dtype t, int rank, const int64_t *dims,
                      bool exact) {
  int first = below(k, k->g->value.n);
  for (int i = 0; i < k->g->value.n; i++) {
    gs_value *v = k->g->value.at[(first + i) % k->g->value.n];
    if (!k->mark[v->id].index && v->dtype == t && v->rank == rank &&
        !memcmp(v->dims, dims, (size_t)rank * sizeof *dims) &&
        (!exact || !real(k, v)))
      return v;
  }
  return fresh(k, t, rank, dims);
}

/* A partner of x for a broadcasting operator. */
static gs_value *partner(producer *k, const gs_value *x, gs_dtype t) {
  int64_t dims[8];
  int drop = chance(k, 40) ? below(k, x->rank + 1) : 0;
  for (int d = drop; d < x->rank; d++)
    dims[d - drop] = chance(k, 15)      ? 1
                     : x->dims[d] != 1  ? x->dims[d]
                     : chance(k, 50)    ? 1
                                        : random_size(k);
  return like(k, t, x->rank - drop, dims, false);
}

static gs_value *ints(producer *k, const int64_t *v, int n) {
  gs_value *c = gs_value_ints(k->g, NULL, v, n);
  k->mark[c->id].index = true;
  return c;
}

static gs_value *one_int(producer *k, int64_t v) { return ints(k, &v, 1); }

/* Indices from low up to high, for one use. */
static gs_value *indices(producer *k, int rank, const int64_t *dims,
                         int64_t low, int64_t high) {
  char name[20];
  snprintf(name, sizeof name, "v%d", k->g->value.n);
  gs_value *v =
      gs_value_new(k->g, name, chance(k, 50) ? GS_INT64 : GS_INT32, rank, dims);
  v->is_input = true;
  *gs_push(k->a, &k->g->input) = v;
  k->mark[v->id] = (mark){(double)high, false, true};
  gs_buf_printf(&k->ranges, "# range %s %lld %lld\n", v->name, (long long)low,
                (long long)high);
  return v;
}

/* ---- nodes ---- */

static gs_node *begin(producer *k, const char *op, gs_value **in, int nin,
                      int nout) {
  gs_node *n = gs_node_new(k->g, "", op, "", nin, nout);
  n->op = gs_op_find("", op);
  n->opset = n->op->since;
  for (int i = 0; i < nin; i++) n->in[i] = in[i];
  return n;
}

static void finish(producer *k, gs_node *n, double bound, bool is_real) {
  for (int i = 0; i < n->nout; i++) {
    char name[20];
    snprintf(name, sizeof name, "v%d", k->g->value.n);
    gs_value *v = gs_value_new(k->g, name, GS_UNDEFINED, -1, NULL);
    gs_node_output(n, i, v);
    k->mark[v->id] = (mark){bound, is_real, false};
  }
  if (!gs_shape_infer(k->g, n, &k->e)) return;
  gs_err_print(&k->e, stderr, "random graph", false);
  abort();
}

static bool simple(producer *k, const char *op, gs_value **in, int nin,
                   double bound, bool is_real) {
  if (!is_real && bound > limit(in[0]->dtype)) return false;
  finish(k, begin(k, op, in, nin, 1), bound, is_real);
  return true;
}

static bool make_unary(producer *k) {
  static const char *const exact[] = {"Abs", "Neg", "Relu", "Sign",
                                      "Identity"};
  static const char *const rough[] = {"Exp", "Tanh", "Sigmoid", "Erf", "Gelu",
                                      "Sin", "Cos", "Softplus"};
  if (chance(k, 60)) {
    gs_value *x = pick(k, NUMBERS, 0, 5, false);
    return simple(k, exact[below(k, 5)], &x, 1, max(k, x) + 1, real(k, x));
  }
  gs_value *x = pick(k, FLOATS, 0, 5, false);
  if (max(k, x) > 8) return false;
  return simple(k, rough[below(k, 8)], &x, 1, 3000, true);
}

static bool make_binary(producer *k) {
  static const char *const ops[] = {"Add", "Sub", "Mul", "Max", "Min"};
  int op = below(k, 5);
  gs_value *in[3];
  in[0] = pick(k, NUMBERS | (op < 3 ? 0u : (unsigned)SMALL), 0, 4, false);
  in[1] = chance(k, 10) ? in[0] : partner(k, in[0], in[0]->dtype);
  if (chance(k, 50)) {
    gs_value *swap = in[0];
    in[0] = in[1];
    in[1] = swap;
  }
  if (elements(in[0]) * elements(in[1]) > 16 * MAX_ELEMENTS) return false;
  double a = max(k, in[0]), b = max(k, in[1]);
  bool is_real = real(k, in[0]) || real(k, in[1]);
  if (chance(k, 15)) {
    in[2] = in[1];
    return simple(k, chance(k, 50) ? "Sum" : "Max", in, 3, a + b + b, is_real);
  }
  return simple(k, ops[op], in, 2, op == 2 ? a * b : a + b, is_real);
}

static bool make_choice(producer *k) {
  static const char *const ops[] = {"Greater", "Less", "Equal",
                                    "GreaterOrEqual", "LessOrEqual"};
  static const char *const logic[] = {"And", "Or", "Xor"};
  gs_value *in[3];
  if (chance(k, 40)) {
    in[0] = pick(k, NUMBERS, 0, 4, false);
    in[1] = partner(k, in[0], in[0]->dtype);
    return simple(k, ops[below(k, 5)], in, 2, 1, false);
  }
  if (chance(k, 40)) {
    in[0] = pick(k, BOOLS, 0, 4, false);
    if (chance(k, 30)) return simple(k, "Not", in, 1, 1, false);
    in[1] = partner(k, in[0], GS_BOOL);
    return simple(k, logic[below(k, 3)], in, 2, 1, false);
  }
  in[1] = pick(k, NUMBERS | SMALL | BOOLS, 0, 4, false);
  in[0] = partner(k, in[1], GS_BOOL);
  in[2] = like(k, in[1]->dtype, in[1]->rank, in[1]->dims, false);
  finish(k, begin(k, "Where", in, 3, 1), max(k, in[1]) + max(k, in[2]),
         real(k, in[1]) || real(k, in[2]));
  return true;
}

static bool fits_sum(producer *k, gs_value **in, double points) {
  return points * max(k, in[0]) * max(k, in[1]) <= limit(in[0]->dtype);
}

static bool make_matmul(producer *k) {
  gs_value *in[2];
  in[0] = pick(k, NUMBERS, 1, 4, true);
  int64_t dims[8], n = in[0]->dims[in[0]->rank - 1];
  int rank = chance(k, 50) ? 2 : in[0]->rank > 1 ? in[0]->rank : 1;
  for (int d = 0; d < rank - 2; d++)
    dims[d] = chance(k, 30) ? 1 : in[0]->dims[d];
  if (rank > 1) dims[rank - 2] = n;
  dims[rank - 1] = rank == 1 ? n : chance(k, 5) ? 96 : random_size(k);
  in[1] = like(k, in[0]->dtype, rank, dims, true);
  if (chance(k, 10) && in[0]->rank > 1 && in[0]->dims[in[0]->rank - 2] == n)
    in[1] = in[0];
  if (!fits_sum(k, in, (double)n)) return false;
  return simple(k, "MatMul", in, 2, (double)n * max(k, in[0]) *
                                        max(k, in[1]), false);
}

static bool make_gemm(producer *k) {
  gs_value *in[3];
  in[0] = pick(k, FLOATS, 2, 2, true);
  bool ta = chance(k, 40), tb = chance(k, 40), third = chance(k, 60);
  int64_t sum = in[0]->dims[!ta], rows = in[0]->dims[ta];
  int64_t dims[2], out = random_size(k);
  dims[tb] = sum;
  dims[!tb] = out;
  in[1] = like(k, in[0]->dtype, 2, dims, true);
  if (!fits_sum(k, in, 3 * (double)sum)) return false;
  dims[0] = chance(k, 30) ? 1 : rows;
  dims[1] = chance(k, 20) ? 1 : out;
  int drop = below(k, 3) ? 0 : 1;
  in[2] = like(k, in[0]->dtype, 2 - drop, dims + drop, true);
  double bound = 2 * (double)sum * max(k, in[0]) * max(k, in[1]) +
                 3 * max(k, in[2]);
  if (bound > limit(in[0]->dtype)) return false;
  gs_node *n = begin(k, "Gemm", in, third ? 3 : 2, 1);
  if (ta) gs_node_set_int(k->g, n, "transA", 1);
  if (tb) gs_node_set_int(k->g, n, "transB", 1);
  if (chance(k, 30))
    gs_node_set(k->g, n, &(gs_attr){.name = "alpha", .kind = GS_ATTR_FLOAT,
                                    .f = 2});
  if (chance(k, 30))
    gs_node_set(k->g, n, &(gs_attr){.name = "beta", .kind = GS_ATTR_FLOAT,
                                    .f = 3});
  finish(k, n, bound, false);
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
  const char *text = equations[below(k, 24)];
  int64_t size[128] = {0}, dims[8];
  gs_value *in[2] = {NULL, NULL};
  int rank = (int)strcspn(text, ",-");
  in[0] = pick(k, FLOATS, rank, rank, true);
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
    in[1] = like(k, in[0]->dtype, n, dims, true);
  } else in[1] = in[0];
  if (!fits_sum(k, in, points)) return false;
  gs_node *n = begin(k, "Einsum", in, nin, 1);
  gs_node_set_string(k->g, n, "equation", text);
  finish(k, n, points * max(k, in[0]) * max(k, in[1]), false);
  return true;
}

static bool make_reduce(producer *k) {
  static const char *const ops[] = {"ReduceSum", "ReduceMax", "ReduceMin",
                                    "ReduceMean", "ReduceSumSquare",
                                    "ReduceL2", "ReduceProd"};
  int op = below(k, 7);
  bool picks = op == 1 || op == 2;
  gs_value *in[2];
  bool floats = op == 3 || op == 5;
  in[0] = pick(k, floats ? (unsigned)FLOATS : (unsigned)NUMBERS, 1, 5, !picks);
  int64_t axes[8];
  double points = 1, top = max(k, in[0]), product = 1;
  int n = 0;
  for (int d = 0; d < in[0]->rank; d++) {
    if (chance(k, 50)) continue;
    axes[n++] = chance(k, 30) ? d - in[0]->rank : d;
    points *= (double)in[0]->dims[d];
  }
  if (!n) points = elements(in[0]);
  for (double i = 0; op == 6 && i < points && product < 1e12; i++)
    product *= top > 1 ? top : 1;
  double bound = picks     ? top
                 : op == 6 ? product
                 : op >= 4 ? points * top * top
                           : points * top;
  if (!picks && bound > limit(in[0]->dtype)) return false;
  if (n) in[1] = ints(k, axes, n);
  gs_node *node = begin(k, ops[op], in, n ? 2 : 1, 1);
  if (chance(k, 50)) gs_node_set_int(k->g, node, "keepdims", 0);
  finish(k, node, bound, op == 3 || op == 5 || real(k, in[0]));
  return true;
}

static bool make_scan(producer *k) {
  int what = below(k, 3);
  gs_value *in[2];
  in[0] = pick(k, NUMBERS, 1, 4, what == 0);
  int axis = below(k, in[0]->rank);
  double size = (double)in[0]->dims[axis];
  if (what == 0) {
    if (size * max(k, in[0]) > limit(in[0]->dtype)) return false;
    in[1] = one_int(k, axis);
    gs_node *n = begin(k, "CumSum", in, 2, 1);
    if (chance(k, 30)) gs_node_set_int(k->g, n, "reverse", 1);
    if (chance(k, 30)) gs_node_set_int(k->g, n, "exclusive", 1);
    finish(k, n, size * max(k, in[0]), false);
    return true;
  }
  gs_node *n;
  if (what == 1) {
    in[1] = one_int(k, 1 + below(k, (int)in[0]->dims[axis]));
    n = begin(k, "TopK", in, 2, 2);
    if (chance(k, 30)) gs_node_set_int(k->g, n, "largest", 0);
  } else {
    n = begin(k, chance(k, 50) ? "ArgMax" : "ArgMin", in, 1, 1);
    if (chance(k, 50)) gs_node_set_int(k->g, n, "keepdims", 0);
    if (chance(k, 50)) gs_node_set_int(k->g, n, "select_last_index", 1);
  }
  gs_node_set_int(k->g, n, "axis", axis);
  finish(k, n, max(k, in[0]) + size, real(k, in[0]));
  if (what == 1) k->mark[n->out[1]->id] = (mark){size, false, false};
  return true;
}

static bool make_rows(producer *k) {
  gs_value *in[3];
  in[0] = pick(k, FLOATS, 1, 4, false);
  if (max(k, in[0]) > 30) return false;
  int axis = below(k, in[0]->rank), left = in[0]->rank - axis;
  gs_node *n;
  if (chance(k, 50)) {
    axis = in[0]->rank - 1; /* along others, sums may take another order */
    n = begin(k, chance(k, 70) ? "Softmax" : "LogSoftmax", in, 1, 1);
  } else if (chance(k, 60)) {
    in[1] = like(k, in[0]->dtype, left, in[0]->dims + axis, false);
    in[2] = like(k, in[0]->dtype, left, in[0]->dims + axis, false);
    n = begin(k, "LayerNormalization", in, chance(k, 50) ? 3 : 2, 1);
  } else {
    in[1] = like(k, in[0]->dtype, left, in[0]->dims + axis, false);
    n = begin(k, "RMSNormalization", in, 2, 1);
  }
  gs_node_set_int(k->g, n, "axis", axis);
  finish(k, n, 3000, true);
  return true;
}

/* ---- movement ---- */

static bool moved(producer *k, gs_node *n) {
  finish(k, n, max(k, n->in[0]), real(k, n->in[0]));
  return true;
}

static bool make_reshape(producer *k) {
  gs_value *in[2];
  in[0] = pick(k, NUMBERS | SMALL | BOOLS, 0, 5, false);
  int64_t dims[16], left = gs_product(in[0]->dims, in[0]->rank);
  int n = 0;
  bool from_dims = chance(k, 70); /* merge and split dims, or any factors */
  for (int d = 0; from_dims && d < in[0]->rank; d++) {
    int64_t size = in[0]->dims[d];
    if (n && chance(k, 40)) dims[n - 1] *= size;
    else dims[n++] = size;
    for (int64_t f = 2; f < 5 && n < 6; f++)
      if (dims[n - 1] % f == 0 && dims[n - 1] > f && chance(k, 25)) {
        dims[n] = dims[n - 1] / f;
        dims[n - 1] = f;
        n++;
      }
    if (n < 6 && chance(k, 8)) dims[n++] = 1;
  }
  for (int i = 0; !from_dims && i < 20 && n < 4; i++) {
    int64_t f = 2 + below(k, 7);
    if (left % f) continue;
    dims[n++] = f;
    left /= f;
    if (chance(k, 40)) break;
  }
  if (!from_dims && left > 1) dims[n++] = left;
  if (n && chance(k, 20)) dims[below(k, n)] = -1;
  in[1] = ints(k, dims, n);
  return moved(k, begin(k, "Reshape", in, 2, 1));
}

static bool make_unit_dims(producer *k) {
  gs_value *in[2];
  in[0] = pick(k, NUMBERS | BOOLS, 0, 4, false);
  int what = below(k, 3);
  if (what == 0) {
    gs_node *n = begin(k, "Flatten", in, 1, 1);
    gs_node_set_int(k->g, n, "axis", below(k, in[0]->rank + 1));
    return moved(k, n);
  }
  if (what == 1) return moved(k, begin(k, "Squeeze", in, 1, 1));
  in[1] = one_int(k, below(k, in[0]->rank + 1));
  return moved(k, begin(k, "Unsqueeze", in, 2, 1));
}

static bool make_transpose(producer *k) {
  gs_value *x = pick(k, NUMBERS | SMALL | BOOLS, 2, 5, false);
  int64_t perm[8];
  for (int i = 0; i < x->rank; i++) perm[i] = i;
  for (int i = x->rank - 1; i > 0; i--) {
    int j = below(k, i + 1);
    int64_t t = perm[i];
    perm[i] = perm[j];
    perm[j] = t;
  }
  gs_node *n = begin(k, "Transpose", &x, 1, 1);
  gs_node_set_ints(k->g, n, "perm", perm, x->rank);
  return moved(k, n);
}

static bool make_concat(producer *k) {
  gs_value *in[MAX_IN];
  in[0] = pick(k, NUMBERS | BOOLS, 1, 4, false);
  int axis = below(k, in[0]->rank), nin = 2 + below(k, 2);
  double bound = max(k, in[0]);
  bool is_real = real(k, in[0]);
  for (int i = 1; i < nin; i++) {
    int64_t dims[8];
    memcpy(dims, in[0]->dims, (size_t)in[0]->rank * sizeof *dims);
    if (chance(k, 40)) dims[axis] = random_size(k);
    in[i] = like(k, in[0]->dtype, in[0]->rank, dims, false);
    bound = bound > max(k, in[i]) ? bound : max(k, in[i]);
    is_real = is_real || real(k, in[i]);
  }
  gs_node *n = begin(k, "Concat", in, nin, 1);
  gs_node_set_int(k->g, n, "axis", chance(k, 30) ? axis - in[0]->rank : axis);
  finish(k, n, bound, is_real);
  return true;
}

static bool make_split(producer *k) {
  gs_value *in[2];
  in[0] = pick(k, NUMBERS | SMALL, 1, 4, false);
  int axis = below(k, in[0]->rank);
  int64_t n = in[0]->dims[axis], part[3];
  if (n < 2) return false;
  bool sizes = chance(k, 50);
  part[0] = 1 + below(k, (int)n - 1);
  part[1] = n - part[0];
  if (sizes) in[1] = ints(k, part, 2);
  gs_node *node = begin(k, "Split", in, sizes ? 2 : 1, 2);
  gs_node_set_int(k->g, node, "axis", axis);
  if (!sizes) gs_node_set_int(k->g, node, "num_outputs", 2);
  return moved(k, node);
}

static bool make_slice(producer *k) {
  gs_value *in[5];
  in[0] = pick(k, NUMBERS | BOOLS, 1, 4, false);
  int64_t start[8], end[8], axes[8], step[8];
  int n = 0;
  for (int d = 0; d < in[0]->rank; d++) {
    int64_t size = in[0]->dims[d];
    if (chance(k, 40)) continue;
    axes[n] = d;
    start[n] = below(k, (int)size);
    end[n] = start[n] + 1 + below(k, (int)(size - start[n]));
    step[n] = chance(k, 70) ? 1 : 2;
    if (chance(k, 15)) {
      start[n] = -1;
      end[n] = -size - 1;
      step[n] = -1;
    }
    if (chance(k, 15)) start[n] = 0, end[n] = INT64_MAX, step[n] = 1;
    n++;
  }
  in[1] = ints(k, start, n);
  in[2] = ints(k, end, n);
  in[3] = ints(k, axes, n);
  in[4] = ints(k, step, n);
  return moved(k, begin(k, "Slice", in, 5, 1));
}

static bool make_growing(producer *k) {
  gs_value *in[2];
  in[0] = pick(k, NUMBERS, 1, 4, false);
  int64_t size[16];
  int rank = in[0]->rank, what = below(k, 4);
  if (elements(in[0]) > MAX_ELEMENTS / 8) return false;
  if (what == 0) {
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    int mode = below(k, 4);
    for (int d = 0; d < rank; d++)
      for (int side = 0; side < 2; side++)
        size[side * rank + d] = chance(k, 30) ? below(k, 3) : 0;
    for (int i = 0; i < 2 * rank; i++) /* what a reflection can give */
      if (mode && size[i] >= in[0]->dims[i % rank]) size[i] = 0;
    in[1] = ints(k, size, 2 * rank);
    gs_node *n = begin(k, "Pad", in, 2, 1);
    gs_node_set_string(k->g, n, "mode", modes[mode]);
    return moved(k, n);
  }
  if (what == 1) {
    for (int d = 0; d < rank; d++) size[d] = chance(k, 30) ? 2 : 1;
    in[1] = ints(k, size, rank);
    return moved(k, begin(k, "Tile", in, 2, 1));
  }
  if (what == 2) {
    int more = rank < 4 && chance(k, 40);
    if (more) size[0] = 1 + below(k, 3);
    for (int d = 0; d < rank; d++)
      size[d + more] = in[0]->dims[d] == 1 ? random_size(k) : in[0]->dims[d];
    in[1] = ints(k, size, rank + more);
    return moved(k, begin(k, "Expand", in, 2, 1));
  }
  if (rank < 2) return false;
  gs_node *n = begin(k, "Trilu", in, 1, 1);
  if (chance(k, 50)) gs_node_set_int(k->g, n, "upper", 0);
  return moved(k, n);
}

static bool make_gather(producer *k) {
  gs_value *in[3];
  in[0] = pick(k, NUMBERS, 1, 4, false);
  int axis = below(k, in[0]->rank), what = below(k, 4), rank = below(k, 3);
  int64_t dims[8], n = in[0]->dims[axis];
  if (elements(in[0]) > MAX_ELEMENTS / 8) return false;
  if (what < 2) {
    for (int d = 0; d < rank; d++) dims[d] = random_size(k);
    if (rank == 2 && dims[0] * dims[1] > 16) dims[0] = 1;
    in[1] = indices(k, rank, dims, -n, n);
    gs_node *node = begin(k, "Gather", in, 2, 1);
    gs_node_set_int(k->g, node, "axis", axis);
    return moved(k, node);
  }
  if (what == 2) {
    memcpy(dims, in[0]->dims, (size_t)in[0]->rank * sizeof *dims);
    dims[axis] = random_size(k);
    in[1] = indices(k, in[0]->rank, dims, -n, n);
    gs_node *node = begin(k, "GatherElements", in, 2, 1);
    gs_node_set_int(k->g, node, "axis", axis);
    return moved(k, node);
  }
  if (real(k, in[0])) return false;
  in[1] = indices(k, in[0]->rank, in[0]->dims, 0, n);
  in[2] = like(k, in[0]->dtype, in[0]->rank, in[0]->dims, true);
  double bound = max(k, in[0]) + (double)n * max(k, in[2]);
  if (bound > limit(in[0]->dtype)) return false;
  gs_node *node = begin(k, "ScatterElements", in, 3, 1);
  gs_node_set_int(k->g, node, "axis", axis);
  gs_node_set_string(k->g, node, "reduction", "add");
  finish(k, node, bound, false);
  return true;
}

/* A weight that is too large to be read whole by every device. */
static bool make_large(producer *k) {
  static const int64_t shape[] = {128, 130};
  gs_value *in[2], *w = fresh(k, GS_FLOAT, 2, shape);
  k->mark[w->id].index = true;
  int what = below(k, 3);
  int64_t dims[2] = {random_size(k), 128};
  if (what == 0) {
    in[0] = w;
    in[1] = indices(k, 1, dims, -128, 128);
    return moved(k, begin(k, "Gather", in, 2, 1));
  }
  if (what == 1) {
    in[0] = fresh(k, GS_FLOAT, 2, dims);
    in[1] = w;
    finish(k, begin(k, "MatMul", in, 2, 1), 128 * 9, false);
    return true;
  }
  in[0] = w;
  in[1] = one_int(k, below(k, 2));
  finish(k, begin(k, "ReduceSum", in, 2, 1), 130 * 3, false);
  return true;
}

/* Indices of several dims at once. */
static bool make_points(producer *k) {
  gs_value *in[3];
  in[0] = pick(k, NUMBERS, 1, 3, true);
  int depth = 1 + below(k, in[0]->rank < 2 ? in[0]->rank : 2);
  int64_t dims[8] = {random_size(k), depth}, min = in[0]->dims[0];
  for (int d = 0; d < depth; d++)
    if (in[0]->dims[d] < min) min = in[0]->dims[d];
  if (elements(in[0]) > MAX_ELEMENTS / 8) return false;
  bool gathers = chance(k, 60);
  in[1] = indices(k, 2, dims, gathers ? -min : 0, min);
  in[1]->dtype = GS_INT64;
  if (gathers) return moved(k, begin(k, "GatherND", in, 2, 1));
  for (int d = depth; d < in[0]->rank; d++)
    dims[1 + d - depth] = in[0]->dims[d];
  in[2] = like(k, in[0]->dtype, 1 + in[0]->rank - depth, dims, true);
  double bound = max(k, in[0]) + (double)dims[0] * max(k, in[2]);
  if (bound > limit(in[0]->dtype)) return false;
  gs_node *n = begin(k, "ScatterND", in, 3, 1);
  gs_node_set_string(k->g, n, "reduction", "add");
  finish(k, n, bound, false);
  return true;
}

static bool make_one_hot(producer *k) {
  int64_t dims[2] = {random_size(k), random_size(k)}, depth = random_size(k);
  gs_value *in[3], *two = ints(k, (int64_t[]){2, 5}, 2);
  int rank = 1 + below(k, 2);
  in[0] = indices(k, rank, dims, -depth, depth);
  in[1] = one_int(k, depth);
  in[2] = two;
  gs_node *n = begin(k, "OneHot", in, 3, 1);
  gs_node_set_int(k->g, n, "axis", below(k, rank + 2) - 1);
  finish(k, n, 5, false);
  return true;
}

static bool make_cast(producer *k) {
  gs_value *x = pick(k, NUMBERS | SMALL | BOOLS, 0, 4, true);
  gs_dtype to = random_type(k, NUMBERS | BOOLS);
  if (max(k, x) > limit(to)) return false;
  gs_node *n = begin(k, "Cast", &x, 1, 1);
  gs_node_set_int(k->g, n, "to", (int)to);
  finish(k, n, to == GS_BOOL ? 1 : max(k, x), false);
  return true;
}

static bool make_random(producer *k) {
  gs_value *x = pick(k, FLOATS, 0, 4, false);
  gs_node *n = begin(k, "RandomUniformLike", &x, 1, 1);
  finish(k, n, 1, true);
  return true;
}

static bool make_new(producer *k) {
  int64_t dims[2] = {random_size(k), random_size(k)};
  if (chance(k, 50)) {
    gs_node *n = begin(k, "RandomUniform", NULL, 0, 1);
    gs_node_set_ints(k->g, n, "shape", dims, 2);
    finish(k, n, 1, true);
    return true;
  }
  gs_value *shape = ints(k, dims, 2);
  finish(k, begin(k, "ConstantOfShape", &shape, 1, 1), 0, false);
  return true;
}

typedef bool make_fn(producer *k);
static make_fn *const makers[] = {
    make_unary,  make_unary,     make_binary,  make_binary, make_binary,
    make_choice, make_matmul,    make_matmul,  make_gemm,   make_einsum,
    make_einsum, make_reduce,    make_reduce,  make_scan,   make_rows,
    make_reshape, make_reshape,  make_unit_dims, make_transpose,
    make_concat, make_split,     make_slice,   make_growing, make_gather,
    make_gather, make_cast,      make_random,  make_large,  make_points,
    make_one_hot, make_new};

/* ---- shardings ---- */

static gs_sharding *random_sharding(producer *k, int rank) {
  const gs_mesh *m = k->g->mesh;
  gs_sharding *s = gs_sharding_new(k->a, rank, false);
  int order[GS_MAX_SUBS];
  for (int i = 0; i < m->nsub; i++) order[i] = i;
  for (int i = m->nsub - 1; i > 0; i--) {
    int j = below(k, i + 1), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (int i = 0; i < m->nsub; i++) {
    int d = below(k, rank + 1);
    gs_axes one = {1, {(uint8_t)order[i]}};
    if (d < rank) s->dim[d].axes = gs_axes_cat(&s->dim[d].axes, &one);
    else if (chance(k, 15)) s->replicated |= (gs_subset)1 << order[i];
  }
  for (int d = 0; d < rank; d++) {
    s->dim[d].open = chance(k, 40);
    if (s->dim[d].axes.n && chance(k, 10)) s->dim[d].priority = 1;
  }
  return s;
}

static void annotate(producer *k) {
  gs_graph *g = k->g;
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    bool border = v->is_input || v->is_output || v->constant;
    if (chance(k, border ? k->dense : k->dense / 2))
      v->sharding = random_sharding(k, v->rank);
  }
}

static void choose_outputs(producer *k) {
  gs_graph *g = k->g;
  bool *used = GS_NEWS(k->a, g->value.n + 1, bool);
  for (int i = 0; i < g->node.n; i++)
    for (int j = 0; j < g->node.at[i]->nin; j++)
      used[g->node.at[i]->in[j]->id] = true;
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (k->mark[i].index || (used[i] && !chance(k, 10)) ||
        (!used[i] && !v->def && !chance(k, 20)))
      continue;
    v->is_output = true;
    *gs_push(k->a, &g->output) = v;
  }
}

char *random_graph_text(gs_arena *a, uint32_t seed) {
  static const char *const meshes[] = {
      "{p=2, q=2, r=2}", "{p=2}",           "{p=3}",      "{p=4}",
      "{p=5}",           "{p=6}",           "{p=7}",      "{p=8}",
      "{p=2, q=2}",      "{p=2, q=3}",      "{p=3, q=2}", "{p=4, q=2}",
      "{p=2, q=2, r=2}", "{p=2, q=1, r=3}", "{p=2, q=4}", "{p=2, q=2}"};
  producer *k = GS_NEW(a, producer);
  k->a = a;
  k->r.state = 2463534242u ^ (seed * 2654435761u);
  if (!k->r.state) k->r.state = 1;
  for (int i = 0; i < 8; i++) below(k, 2);
  gs_err_init(&k->e);
  gs_buf_init(&k->ranges, a);
  gs_mesh *m = GS_NEW(a, gs_mesh);
  if (gs_mesh_parse(meshes[below(k, 16)], a, m, &k->e)) abort();
  k->g = gs_graph_new(a, "random");
  k->g->mesh = m;
  static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 12};
  for (int i = 0; i < 4; i++) k->size[i] = sizes[below(k, 8)];
  k->plain = chance(k, 60);
  k->dense = (int[]){10, 30, 60, 100}[below(k, 4)];
  any_fresh(k, FLOATS, 2, 3);
  int nodes = 3 + below(k, 10);
  for (int i = 0; k->g->node.n < nodes && i < 100; i++) {
    make_fn *make = makers[below(k, (int)(sizeof makers / sizeof *makers))];
    if (k->g->value.n > MAX_VALUES - 20) break;
    make(k);
    if (k->g->node.n) {
      const gs_node *last = k->g->node.at[k->g->node.n - 1];
      if (elements(last->out[0]) > MAX_ELEMENTS)
        for (int o = 0; o < last->nout; o++)
          k->mark[last->out[o]->id].index = true; /* not used again */
    }
  }
  choose_outputs(k);
  annotate(k);
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_add(&b, k->ranges.at ? k->ranges.at : "", k->ranges.n);
  gs_graph_print(&b, k->g);
  gs_err_free(&k->e);
  return b.at;
}
