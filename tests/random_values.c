/* Values of random graphs, and where their nodes begin and end. */
#include "random_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

int random_below(random_source *r, int n) {
  r->state ^= r->state << 13;
  r->state ^= r->state >> 17;
  r->state ^= r->state << 5;
  return (int)((r->state >> 3) % (uint32_t)n);
}

int random_number(producer *k, int n) { return random_below(&k->r, n); }
bool random_chance(producer *k, int percent) {
  return random_number(k, 100) < percent;
}
int64_t random_size(producer *k) { return k->size[random_number(k, 4)]; }


static unsigned set_of(gs_dtype t) {
  switch (gs_dtype_get((int)t)->cls) {
    case 'f': return FLOATS;
    case 'b': return BOOLS;
    default: return gs_dtype_get((int)t)->bits == 8 ? SMALL : INTS;
  }
}

gs_dtype random_type(producer *k, unsigned set) {
  static const gs_dtype types[] = {
      GS_FLOAT, GS_FLOAT, GS_FLOAT,    GS_FLOAT, GS_DOUBLE, GS_FLOAT16,
      GS_INT32, GS_INT64, GS_BFLOAT16, GS_BOOL,  GS_UINT8,  GS_INT8};
  for (;;) {
    gs_dtype t = types[random_number(k, 12)];
    if (k->plain && set_of(t) == FLOATS) t = GS_FLOAT;
    if (set_of(t) & set) return t;
  }
}

/* Integers up to this are exact, sums of them too. */
double random_limit(gs_dtype t) {
  switch (t) {
    case GS_FLOAT16: return 1000;
    case GS_BFLOAT16: return 120;
    case GS_INT8: return 100;
    case GS_UINT8: return 200;
    case GS_FLOAT: return 1 << 22;
    default: return 1 << 30;
  }
}

double random_elements(const gs_value *v) {
  return (double)gs_product(v->dims, v->rank);
}
double random_max(const producer *k, const gs_value *v) {
  return k->mark[v->id].max;
}
bool random_real(const producer *k, const gs_value *v) {
  return k->mark[v->id].real;
}

/* An input, or a weight without data. */
gs_value *random_fresh(producer *k, gs_dtype t, int rank, const int64_t *dims) {
  gs_value *v;
  char name[20];
  snprintf(name, sizeof name, "v%d", k->g->value.n);
  if (random_chance(k, 35)) {
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

gs_value *random_any_fresh(producer *k, unsigned set, int low, int high) {
  int64_t dims[8], n = 1;
  int rank = low + random_number(k, high - low + 1);
  for (int d = 0; d < rank; d++) {
    dims[d] = random_size(k);
    if (n * dims[d] > MAX_ELEMENTS / 4) dims[d] = 1;
    n *= dims[d];
  }
  return random_fresh(k, random_type(k, set), rank, dims);
}

/* Any node may read it. */
static bool is_free(const producer *k, const gs_value *v) {
  return !k->mark[v->id].index && !k->mark[v->id].special;
}

/* Some value of these types and ranks; an exact one if asked. */
gs_value *random_pick(producer *k, unsigned set, int low, int high,
                      bool exact) {
  for (int try = 0; try < 20; try++) {
    int last = k->g->value.n - 1;
    bool newest = k->chain && !try && k->g->value.at[last]->def;
    gs_value *v = k->g->value.at[newest ? last : random_number(k, last + 1)];
    if (!is_free(k, v) || !(set_of(v->dtype) & set) || v->rank < low ||
        v->rank > high || (exact && random_real(k, v)) ||
        (!v->def && random_chance(k, 70)))
      continue;
    return v;
  }
  return random_any_fresh(k, set, low, high);
}

/* A value of that type and shape, at hand or new. */
gs_value *random_like(producer *k, gs_dtype t, int rank, const int64_t *dims,
                      bool exact) {
  int first = random_number(k, k->g->value.n);
  for (int i = 0; i < k->g->value.n; i++) {
    gs_value *v = k->g->value.at[(first + i) % k->g->value.n];
    if (is_free(k, v) && v->dtype == t && v->rank == rank &&
        !memcmp(v->dims, dims, (size_t)rank * sizeof *dims) &&
        (!exact || !random_real(k, v)))
      return v;
  }
  return random_fresh(k, t, rank, dims);
}

/* A partner of x for a broadcasting operator. */
gs_value *random_partner(producer *k, const gs_value *x, gs_dtype t) {
  int64_t dims[8];
  int drop = random_chance(k, 40) ? random_number(k, x->rank + 1) : 0;
  for (int d = drop; d < x->rank; d++)
    dims[d - drop] = random_chance(k, 15)      ? 1
                     : x->dims[d] != 1  ? x->dims[d]
                     : random_chance(k, 50)    ? 1
                                        : random_size(k);
  return random_like(k, t, x->rank - drop, dims, false);
}

gs_value *random_ints(producer *k, const int64_t *v, int n) {
  gs_value *c = gs_value_ints(k->g, NULL, v, n);
  k->mark[c->id].index = true;
  return c;
}

gs_value *random_one_int(producer *k, int64_t v) {
  return random_ints(k, &v, 1);
}

gs_value *random_floats(producer *k, const float *v, int n) {
  gs_tensor *t = GS_NEW(k->a, gs_tensor);
  int64_t dims[1] = {n};
  *t = (gs_tensor){.dtype = GS_FLOAT, .rank = 1};
  t->dims = gs_memdup(k->a, dims, sizeof dims);
  t->nbytes = (uint64_t)n * sizeof *v;
  t->data = gs_memdup(k->a, v, (size_t)t->nbytes);
  gs_value *c = gs_value_constant(k->g, NULL, t);
  k->mark[c->id].index = true;
  return c;
}

gs_value *random_special(producer *k, gs_dtype t, int rank,
                         const int64_t *dims) {
  gs_value *v = random_fresh(k, t, rank, dims);
  k->mark[v->id].special = true;
  gs_buf_printf(&k->ranges, "# special %s\n", v->name);
  return v;
}

/* Indices from low up to high, for one use. */
gs_value *random_indices(producer *k, int rank, const int64_t *dims,
                         int64_t low, int64_t high) {
  char name[20];
  snprintf(name, sizeof name, "v%d", k->g->value.n);
  gs_value *v = gs_value_new(
      k->g, name, random_chance(k, 50) ? GS_INT64 : GS_INT32, rank, dims);
  v->is_input = true;
  *gs_push(k->a, &k->g->input) = v;
  k->mark[v->id] = (mark){.max = (double)high, .index = true};
  gs_buf_printf(&k->ranges, "# range %s %lld %lld\n", v->name, (long long)low,
                (long long)high);
  return v;
}

/* ---- nodes ---- */

gs_node *random_begin(producer *k, const char *op, gs_value **in, int nin,
                      int nout) {
  gs_node *n = gs_node_new(k->g, "", op, "", nin, nout);
  n->op = gs_op_find("", op);
  n->opset = n->op ? n->op->since : 13;
  for (int i = 0; i < nin; i++) n->in[i] = in[i];
  return n;
}

bool random_try(producer *k, gs_node *n, double bound, bool is_real) {
  for (int i = 0; i < n->nout; i++) {
    char name[32];
    snprintf(name, sizeof name, "v%d", k->g->value.n);
    if (k->failed) snprintf(name, sizeof name, "v%d_%d", k->g->value.n,
                            k->failed);
    gs_value *v = gs_value_new(k->g, name, GS_UNDEFINED, -1, NULL);
    gs_node_output(n, i, v);
    k->mark[v->id] = (mark){.max = bound, .real = is_real};
  }
  if (!gs_shape_infer(k->g, n, &k->e)) return true;
  k->g->node.n--;
  k->g->value.n -= n->nout;
  k->failed++;
  return false;
}

void random_known(producer *k, gs_node *n, gs_dtype t, int rank,
                  const int64_t *dims) {
  char name[20];
  snprintf(name, sizeof name, "v%d", k->g->value.n);
  gs_value *v = gs_value_new(k->g, name, t, rank, dims);
  gs_node_output(n, 0, v);
  k->mark[v->id] = (mark){.max = random_limit(t), .real = true};
}

void random_finish(producer *k, gs_node *n, double bound, bool is_real) {
  if (random_try(k, n, bound, is_real)) return;
  gs_err_print(&k->e, stderr, "random graph", false);
  abort();
}

bool random_moved(producer *k, gs_node *n) {
  random_finish(k, n, random_max(k, n->in[0]), random_real(k, n->in[0]));
  return true;
}

bool random_simple(producer *k, const char *op, gs_value **in, int nin,
                   double bound, bool is_real) {
  if (!is_real && bound > random_limit(in[0]->dtype)) return false;
  random_finish(k, random_begin(k, op, in, nin, 1), bound, is_real);
  return true;
}
