/* Lookups of random graphs: reads and writes by indices. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "random_impl.h"

typedef enum how { NONE, ADD, MUL, MAX, MIN, NHOW } how;

static const char *const names[NHOW] = {"none", "add", "mul", "max", "min"};

/* Bound of what up to `count` updates of one place give. */
static double scattered(how h, double data, double update, double count) {
  if (h == ADD) return data + count * update;
  if (h == MUL) return data * pow(fmax(update, 1), count);
  return fmax(data, update);
}

/* Operands in[0] and in[1] of a scatter; updates of these dims. */
static bool scatter(producer *k, const char *op, gs_value **in, int rank,
                    const int64_t *dims, double count, int axis) {
  how h = (how)random_number(k, NHOW);
  bool sums = h == ADD || h == MUL;
  if (sums && random_real(k, in[0])) return false;
  in[2] = random_like(k, in[0]->dtype, rank, dims, sums);
  double bound =
      scattered(h, random_max(k, in[0]), random_max(k, in[2]), count);
  if (bound > random_limit(in[0]->dtype)) return false;
  gs_node *n = random_begin(k, op, in, 3, 1);
  if (axis >= 0) gs_node_set_int(k->g, n, "axis", axis);
  if (h != NONE || random_chance(k, 50))
    gs_node_set_string(k->g, n, "reduction", names[h]);
  random_finish(k, n, bound, random_real(k, in[0]) || random_real(k, in[2]));
  return true;
}

static bool make_elements(producer *k) {
  gs_value *in[3];
  int64_t dims[8];
  in[0] = random_pick(k, NUMBERS, 1, 4, false);
  int rank = in[0]->rank, axis = random_number(k, rank);
  if (random_elements(in[0]) > MAX_ELEMENTS / 8) return false;
  for (int d = 0; d < rank; d++)
    dims[d] = random_chance(k, 70)
                  ? in[0]->dims[d]
                  : 1 + random_number(k, (int)in[0]->dims[d]);
  dims[axis] = random_size(k);
  int64_t n = in[0]->dims[axis];
  in[1] = random_indices(k, rank, dims, -n, n);
  if (random_chance(k, 60))
    return scatter(k, "ScatterElements", in, rank, dims, (double)dims[axis],
                   axis);
  gs_node *node = random_begin(k, "GatherElements", in, 2, 1);
  gs_node_set_int(k->g, node, "axis", axis);
  return random_moved(k, node);
}

/* [dims, 1]: numbers that count dim d. */
static gs_value *counting(producer *k, int rank, const int64_t *dims, int d) {
  gs_tensor *t;
  int64_t stride = gs_product(dims + d + 1, rank - d - 1);
  if (gs_tensor_new(k->a, GS_INT64, rank, dims, &t, NULL)) return NULL;
  int64_t *to = (int64_t *)t->data;
  for (int64_t i = 0, n = gs_tensor_count(t); i < n; i++)
    to[i] = i / stride % dims[d];
  gs_value *v = gs_value_constant(k->g, NULL, t);
  k->mark[v->id].index = true;
  return v;
}

/* Index `at` of the tuples, of shape [lead, 1]: into a dim of n. */
static gs_value *component(producer *k, int nlead, const int64_t *lead,
                           int64_t n) {
  int64_t dims[8];
  memcpy(dims, lead, (size_t)nlead * sizeof *dims);
  dims[nlead] = 1;
  for (int d = 0; d < nlead; d++)
    if (lead[d] == n && random_chance(k, 50))
      return counting(k, nlead + 1, dims, d);
  gs_value *v = random_indices(k, nlead + 1, dims, -n, n);
  v->dtype = GS_INT64;
  return v;
}

/* Tuples for dims from `batch` on of x, as many as `depth`. */
static gs_value *tuples(producer *k, const gs_value *x, int batch, int depth,
                        int nlead, const int64_t *lead) {
  gs_value *part[8];
  for (int i = 0; i < depth; i++)
    part[i] = component(k, nlead, lead, x->dims[batch + i]);
  if (depth == 1) return part[0];
  gs_node *n = random_begin(k, "Concat", part, depth, 1);
  gs_node_set_int(k->g, n, "axis", random_chance(k, 50) ? -1 : nlead);
  random_finish(k, n, 99, false);
  k->mark[n->out[0]->id].index = true;
  return n->out[0];
}

static bool make_tuples(producer *k) {
  gs_value *in[3];
  int64_t dims[8];
  in[0] = random_pick(k, NUMBERS, 1, 4, false);
  const gs_value *x = in[0];
  bool writes = random_chance(k, 60);
  int batch = writes ? 0 : random_number(k, x->rank < 3 ? x->rank : 3);
  int depth = 1 + random_number(k, x->rank - batch);
  int nlead = batch + 1 + random_number(k, 2);
  if (random_elements(x) > MAX_ELEMENTS / 8) return false;
  for (int d = 0; d < nlead; d++)
    dims[d] = d < batch || random_chance(k, 50)
                  ? x->dims[d < batch ? d : random_number(k, x->rank)]
                  : random_size(k);
  double count = (double)gs_product(dims, nlead);
  if (count > 64) return false;
  in[1] = tuples(k, x, batch, depth, nlead, dims);
  if (!writes) {
    gs_node *n = random_begin(k, "GatherND", in, 2, 1);
    if (batch) gs_node_set_int(k->g, n, "batch_dims", batch);
    return random_moved(k, n);
  }
  for (int d = depth; d < x->rank; d++) dims[nlead + d - depth] = x->dims[d];
  return scatter(k, "ScatterND", in, nlead + x->rank - depth, dims, count, -1);
}

static bool make_cache(producer *k) {
  gs_value *in[3];
  int64_t dims[8];
  in[0] = random_pick(k, NUMBERS | SMALL | BOOLS, 2, 4, false);
  int rank = in[0]->rank, axis = 1 + random_number(k, rank - 1);
  bool circular = random_chance(k, 50);
  memcpy(dims, in[0]->dims, (size_t)rank * sizeof *dims);
  int64_t length = dims[axis];
  dims[axis] = 1 + random_number(k, (int)length);
  in[1] = random_like(k, in[0]->dtype, rank, dims, false);
  in[2] = random_indices(k, 1, dims, 0,
                         circular ? 3 * length : length - dims[axis] + 1);
  in[2]->dtype = GS_INT64;
  gs_node *n = random_begin(k, "TensorScatter", in, 3, 1);
  gs_node_set_int(k->g, n, "axis", random_chance(k, 50) ? axis : axis - rank);
  if (circular) gs_node_set_string(k->g, n, "mode", "circular");
  random_finish(k, n, fmax(random_max(k, in[0]), random_max(k, in[1])),
                random_real(k, in[0]) || random_real(k, in[1]));
  return true;
}

static random_make *const makers[] = {make_elements, make_elements,
                                      make_tuples, make_tuples, make_tuples,
                                      make_cache};
const random_kinds random_lookups = {makers, sizeof makers / sizeof *makers};
