/* Nodes that move elements along dims, of random graphs. */
#include "random_impl.h"

#include <math.h>
#include <string.h>

#include "base/math.h"

enum { ANY = NUMBERS | SMALL | BOOLS };

/* ---- parts of dims ---- */

/* A slice of one dim of x, without its end where `open`. */
static gs_value *slice(producer *k, gs_value *x, int64_t axis, int64_t first,
                       int64_t end, int64_t step) {
  gs_value *in[5] = {x, random_one_int(k, first), random_one_int(k, end),
                     random_one_int(k, axis), random_one_int(k, step)};
  gs_node *n = random_begin(k, "Slice", in, 5, 1);
  random_moved(k, n);
  return n->out[0];
}

/* Any steps, bounds from either end, or beyond it. */
static bool make_slice(producer *k) {
  static const int64_t steps[] = {1, 1, 1, 1, 2, 3, -1, -2, -3};
  gs_value *x = random_pick(k, ANY, 1, 5, false);
  gs_value *in[5] = {x};
  int64_t start[5], end[5], axes[5], step[5];
  int n = 0;
  for (int d = 0; d < x->rank; d++) {
    int64_t size = x->dims[d], from, to;
    if (random_chance(k, 50)) continue;
    step[n] = steps[random_number(k, 9)];
    from = random_number(k, (int)size);
    to = from + random_number(k, (int)(size - from));
    if (random_chance(k, 20)) from = 0, to = size - 1;
    bool back = step[n] < 0, negative = random_chance(k, 30);
    start[n] = (back ? to : from) - (negative ? size : 0);
    end[n] = back ? from - 1 - size : to + 1;
    if (!back && negative && to + 1 < size) end[n] -= size;
    if (back && from > 0 && random_chance(k, 50)) end[n] += size;
    if (!back && to == size - 1 && random_chance(k, 40)) end[n] = INT64_MAX;
    axes[n] = random_chance(k, 20) ? d - x->rank : d;
    n++;
  }
  if (!n) return false;
  in[1] = random_ints(k, start, n);
  in[2] = random_ints(k, end, n);
  in[3] = random_ints(k, axes, n);
  in[4] = random_ints(k, step, n);
  return random_moved(k, random_begin(k, "Slice", in, 5, 1));
}

/* The elements rotated along one dim. */
static bool make_rotation(producer *k) {
  gs_value *x = random_pick(k, ANY, 1, 5, false), *in[2];
  int axis = random_number(k, x->rank);
  int64_t size = x->dims[axis];
  if (size < 2 || random_elements(x) > MAX_ELEMENTS / 2) return false;
  int64_t at = 1 + random_number(k, (int)size - 1);
  in[0] = slice(k, x, axis, at, INT64_MAX, 1);
  in[1] = slice(k, x, axis, 0, at, 1);
  gs_node *n = random_begin(k, "Concat", in, 2, 1);
  gs_node_set_int(k->g, n, "axis", axis);
  return random_moved(k, n);
}

/* Parts of any sizes; those of none are not used further. */
static bool make_split(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, ANY, 1, 5, false);
  int axis = random_number(k, in[0]->rank), parts = 2 + random_number(k, 3);
  int64_t left = in[0]->dims[axis], part[4];
  for (int i = 0; i < parts; i++) {
    part[i] = random_number(k, (int)left + 1);
    if (!part[i] && left && random_chance(k, 80)) part[i] = 1;
    if (i == parts - 1) part[i] = left;
    left -= part[i];
  }
  in[1] = random_ints(k, part, parts);
  bool sizes = in[0]->dims[axis] % parts || random_chance(k, 70);
  gs_node *n = random_begin(k, "Split", in, sizes ? 2 : 1, parts);
  gs_node_set_int(k->g, n, "axis", axis);
  if (!sizes) gs_node_set_int(k->g, n, "num_outputs", parts);
  random_moved(k, n);
  for (int i = 0; i < parts; i++)
    k->mark[n->out[i]->id].index = n->out[i]->dims[axis] == 0;
  return true;
}

/* Parts of different sizes, some of them the same value. */
static bool make_concat(producer *k) {
  gs_value *in[MAX_IN];
  in[0] = random_pick(k, ANY, 1, 5, false);
  int axis = random_number(k, in[0]->rank), nin = 2 + random_number(k, 3);
  double bound = random_max(k, in[0]);
  bool is_real = random_real(k, in[0]);
  if (random_elements(in[0]) > MAX_ELEMENTS / 4) return false;
  for (int i = 1; i < nin; i++) {
    int64_t dims[8];
    memcpy(dims, in[0]->dims, (size_t)in[0]->rank * sizeof *dims);
    if (random_chance(k, 60)) dims[axis] = 1 + random_number(k, 6);
    in[i] = random_like(k, in[0]->dtype, in[0]->rank, dims, false);
    bound = fmax(bound, random_max(k, in[i]));
    is_real = is_real || random_real(k, in[i]);
  }
  gs_node *n = random_begin(k, "Concat", in, nin, 1);
  gs_node_set_int(k->g, n, "axis", axis);
  random_finish(k, n, bound, is_real);
  return true;
}

/* A product whose columns are three results. */
static bool make_fused(producer *k) {
  gs_value *in[2], *of[1];
  in[0] = random_pick(k, FLOATS, 2, 4, true);
  int64_t dims[2] = {in[0]->dims[in[0]->rank - 1], 3 * random_size(k)};
  double bound = 3 * (double)dims[0] * random_max(k, in[0]);
  if (bound > random_limit(in[0]->dtype) ||
      random_elements(in[0]) * (double)dims[1] > 16 * MAX_ELEMENTS)
    return false;
  in[1] = random_fresh(k, in[0]->dtype, 2, dims);
  gs_node *n = random_begin(k, "MatMul", in, 2, 1);
  random_finish(k, n, bound, false);
  of[0] = n->out[0];
  n = random_begin(k, "Split", of, 1, 3);
  gs_node_set_int(k->g, n, "axis", -1);
  gs_node_set_int(k->g, n, "num_outputs", 3);
  return random_moved(k, n);
}

/* ---- more elements ---- */

static bool make_pad(producer *k) {
  static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
  int mode = random_number(k, 4), n = 0;
  gs_value *x = random_pick(k, ANY, 1, 5, false), *in[4] = {x};
  int64_t axes[5], pads[10], before[5], after[5];
  if (random_elements(x) > MAX_ELEMENTS / 4) return false;
  for (int d = 0; d < x->rank; d++) {
    int64_t size = x->dims[d];
    if (random_chance(k, 50)) continue;
    int most = random_chance(k, 20) ? 7 : 3;
    before[n] = random_number(k, most);
    after[n] = random_number(k, most);
    int64_t limit = mode == 2 ? size - 1 : mode == 3 ? size : 9;
    before[n] = gs_min(before[n], limit);
    after[n] = gs_min(after[n], limit);
    if (mode < 2 && size > 2 && random_chance(k, 20)) before[n] = -1;
    if (mode < 2 && size > 2 && random_chance(k, 20)) after[n] = -1;
    axes[n++] = d;
  }
  if (!n) return false;
  memcpy(pads, before, (size_t)n * sizeof *pads);
  memcpy(pads + n, after, (size_t)n * sizeof *pads);
  in[1] = random_ints(k, pads, 2 * n);
  if (!mode && random_chance(k, 50)) in[2] = random_fresh(k, x->dtype, 0, NULL);
  in[3] = random_ints(k, axes, n);
  gs_node *node = random_begin(k, "Pad", in, 4, 1);
  gs_node_set_string(k->g, node, "mode", modes[mode]);
  return random_try(k, node, fmax(3, random_max(k, x)), random_real(k, x));
}

/* Slice(Pad(x)). */
static bool make_shift(producer *k) {
  gs_value *x = random_pick(k, ANY, 1, 5, false), *in[2] = {x};
  int axis = random_number(k, x->rank);
  int64_t pads[10] = {0}, by = 1 + random_number(k, 3);
  bool up = random_chance(k, 50);
  pads[axis + (up ? 0 : x->rank)] = by;
  in[1] = random_ints(k, pads, 2 * x->rank);
  gs_node *n = random_begin(k, "Pad", in, 2, 1);
  random_moved(k, n);
  int64_t first = up ? 0 : by;
  slice(k, n->out[0], axis, first, first + x->dims[axis], 1);
  return true;
}

static bool make_tile(producer *k) {
  gs_value *in[2];
  in[0] = random_pick(k, ANY, 1, 5, false);
  int64_t times[8];
  if (random_elements(in[0]) > MAX_ELEMENTS / 8) return false;
  for (int d = 0; d < in[0]->rank; d++)
    times[d] = random_chance(k, 40) ? 2 + random_number(k, 2) : 1;
  in[1] = random_ints(k, times, in[0]->rank);
  return random_moved(k, random_begin(k, "Tile", in, 2, 1));
}

/* ---- other shapes ---- */

static bool reshape(producer *k, gs_value *x, const int64_t *dims, int rank) {
  gs_value *in[2] = {x, random_ints(k, dims, rank)};
  return random_moved(k, random_begin(k, "Reshape", in, 2, 1));
}

/* A factor goes from one dim to its neighbour. */
static bool make_uneven_reshape(producer *k) {
  gs_value *x = random_pick(k, ANY, 2, 5, false);
  int64_t dims[8];
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  int d = random_number(k, x->rank - 1);
  bool up = random_chance(k, 50);
  int64_t *from = &dims[up ? d + 1 : d], *to = &dims[up ? d : d + 1];
  for (int64_t f = 2 + random_number(k, 2); f < 8; f++)
    if (*from % f == 0) {
      *from /= f;
      *to *= f;
      return reshape(k, x, dims, x->rank);
    }
  return false;
}

/* Neighbours are merged; or one dim split, in one place. */
static bool make_merge(producer *k) {
  gs_value *x = random_pick(k, ANY, 1, 5, false);
  int64_t dims[8];
  int n = x->rank, d = random_number(k, n);
  memcpy(dims, x->dims, (size_t)n * sizeof *dims);
  int64_t f = 2 + random_number(k, 4);
  if (n < 5 && dims[d] % f == 0 && dims[d] > f) {
    memmove(dims + d + 1, dims + d, (size_t)(n - d) * sizeof *dims);
    dims[d] = random_chance(k, 50) ? f : dims[d] / f;
    dims[d + 1] /= dims[d];
    return reshape(k, x, dims, n + 1);
  }
  if (d == n - 1) return false;
  dims[d] *= dims[d + 1];
  memmove(dims + d + 1, dims + d + 2, (size_t)(n - d - 2) * sizeof *dims);
  return reshape(k, x, dims, n - 1);
}

/* The elements of two neighbours in rows of another length, which may fit no
 * row of the first; or these negated and back again. */
static bool make_regroup(producer *k) {
  gs_value *x = random_pick(k, ANY, 2, 5, false);
  int64_t dims[8];
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  int d = random_number(k, x->rank - 1);
  int64_t all = dims[d] * dims[d + 1], f = 2 + random_number(k, 8);
  while (f > 1 && all % f) f--;
  dims[d] = f;
  dims[d + 1] = all / f;
  if (f < 2 || f == x->dims[d] || !reshape(k, x, dims, x->rank)) return false;
  gs_value *y = k->g->node.at[k->g->node.n - 1]->out[0];
  if (gs_dtype_get((int)y->dtype)->cls == 'b' || random_chance(k, 40))
    return true;
  if (!random_simple(k, "Abs", &y, 1, random_max(k, y), random_real(k, y)))
    return true;
  y = k->g->node.at[k->g->node.n - 1]->out[0];
  reshape(k, y, x->dims, x->rank);
  return true;
}

static bool make_blocks(producer *k) {
  bool to_space = random_chance(k, 50);
  int64_t b = 2 + random_number(k, 2), dims[4];
  gs_value *x = random_pick(k, NUMBERS, 4, 4, false);
  memcpy(dims, x->dims, sizeof dims);
  if (to_space) dims[1] = b * b * gs_ceil_div(dims[1], b * b);
  for (int d = 2; d < 4 && !to_space; d++)
    dims[d] = b * gs_ceil_div(dims[d], b);
  if (gs_product(dims, 4) > MAX_ELEMENTS) return false;
  x = random_like(k, x->dtype, 4, dims, false);
  gs_node *n = random_begin(k, to_space ? "DepthToSpace" : "SpaceToDepth", &x,
                            1, 1);
  gs_node_set_int(k->g, n, "blocksize", b);
  if (random_chance(k, 50)) gs_node_set_string(k->g, n, "mode", "CRD");
  return random_moved(k, n);
}

static bool make_transpose(producer *k) {
  gs_value *x = random_pick(k, ANY, 2, 5, false);
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

static bool make_pointwise(producer *k) {
  static const char *const one[] = {"Relu", "Neg", "Abs", "Sign", "Sign"};
  static const char *const two[] = {"Add", "Sub", "Max", "Min"};
  gs_value *in[2];
  in[0] = random_pick(k, NUMBERS, 1, 5, false);
  double bound = random_max(k, in[0]);
  if (random_chance(k, 50)) {
    int op = random_number(k, 5);
    return random_simple(k, one[op], in, 1, op > 2 ? 1 : bound,
                         random_real(k, in[0]));
  }
  in[1] = random_like(k, in[0]->dtype, in[0]->rank, in[0]->dims, false);
  return random_simple(k, two[random_number(k, 4)], in, 2,
                       bound + random_max(k, in[1]),
                       random_real(k, in[0]) || random_real(k, in[1]));
}

static random_make *const makers[] = {
    make_slice,     make_slice,          make_slice,     make_rotation,
    make_split,     make_concat,         make_concat,    make_fused,
    make_pad,       make_pad,            make_shift,     make_tile,
    make_merge,     make_uneven_reshape, make_merge,     make_regroup,
    make_blocks,    make_transpose,      make_pointwise, make_pointwise,
    make_pointwise, make_pointwise};
const random_kinds random_moves = {makers, sizeof makers / sizeof *makers};
