/* Collective steps: dims are packed around the contiguous calls of comm.h. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "exec/comm/group.h"
#include "exec/data/subarray.h"
#include "exec/step/collective.h"
#include "exec/step/step.h"
#include "ir/packed.h"
#include "op/core/moves.h"

static gs_status place_fail(gs_arena *a, const gs_coll *c, const char *text,
                            gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(a, c->node), "%s", text);
}

/* Attribute `name` as a dim of a tensor of that rank. */
static gs_status dim_of(gs_arena *a, const gs_coll *c, const char *name,
                        int rank, int *out, gs_err *e) {
  int64_t d = gs_node_int(c->node, name, -1);
  if (d < 0 || d >= rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                   "attribute '%s' is out of range for rank %d", name,
                   rank);
  *out = (int)d;
  return GS_OK;
}

static gs_status reduce_of(gs_arena *a, gs_coll *c, gs_err *e) {
  const char *text = gs_node_string(c->node, "reduce", "sum");
  if (!gs_reduce_parse(text, &c->reduce))
    return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                   "unknown reduction '%s'", text);
  return GS_OK;
}

/* Whether blocks along d lie one after another, in bytes of their own. */
static bool outermost(const gs_value *v, int d) {
  return gs_product(v->dims, d) == 1 && !gs_dtype_packed(v->dtype);
}

/* Same rank and dims, but for dim d. */
static bool alike(const gs_value *x, const gs_value *y, int d) {
  if (x->rank != y->rank || x->dtype != y->dtype) return false;
  for (int i = 0; i < x->rank; i++)
    if (i != d && x->dims[i] != y->dims[i]) return false;
  return true;
}

/* dims of v with dim d = n. */
static void with_dim(const gs_value *v, int d, int64_t n, int64_t *dims) {
  memcpy(dims, v->dims, (size_t)v->rank * sizeof *dims);
  dims[d] = n;
}

/* Cuts x along d into m blocks of b, one after another in `to`; what lies
 * past the end is zero. */
static void cut(const gs_value *v, const void *x, int d, int m, int64_t b,
                void *to) {
  int64_t block[GS_MAX_RANK], count[GS_MAX_RANK], first[GS_MAX_RANK] = {0};
  with_dim(v, d, b, block);
  with_dim(v, d, b, count);
  size_t bytes = gs_span(v->dtype, gs_product(block, v->rank));
  for (int j = 0; j < m; j++) {
    char *at = (char *)to + (size_t)j * bytes;
    first[d] = j * b;
    count[d] = gs_max(0, gs_min(b, v->dims[d] - first[d]));
    if (count[d] < b || gs_dtype_packed(v->dtype)) memset(at, 0, bytes);
    gs_subarray_move(v->dtype, v->rank, count, x, v->dims, first, at, block,
                     NULL);
  }
}

/* Concatenates m blocks of b along d of y; cut to y's dim. */
static void join(const gs_value *v, void *y, int d, int m, int64_t b,
                 const void *from) {
  int64_t block[GS_MAX_RANK], count[GS_MAX_RANK], first[GS_MAX_RANK] = {0};
  with_dim(v, d, b, block);
  with_dim(v, d, b, count);
  size_t bytes = gs_span(v->dtype, gs_product(block, v->rank));
  if (gs_dtype_packed(v->dtype)) memset(y, 0, gs_value_bytes(v));
  for (int j = 0; j < m; j++) {
    first[d] = j * b;
    count[d] = gs_max(0, gs_min(b, v->dims[d] - first[d]));
    gs_subarray_move(v->dtype, v->rank, count,
                     (const char *)from + (size_t)j * bytes, block, NULL, y,
                     v->dims, first);
  }
}

/* ---- all-reduce ---- */

/* The type and number of elements that a value is reduced as.  No operator
 * adds numbers of 8 bits or less but integers of whole bytes: partial sums of
 * the others come from lookups, where all devices but one hold zero bits, so
 * that their bytes are added. */
static gs_dtype summed_as(const gs_coll *c, const gs_value *v, int64_t *n) {
  const gs_dtype_info *d = gs_dtype_get((int)v->dtype);
  *n = gs_product(v->dims, v->rank);
  if (c->reduce != GS_REDUCE_SUM || d->bits > 8 ||
      (d->bits == 8 && d->cls != 'f'))
    return v->dtype;
  *n = (int64_t)gs_span(v->dtype, *n);
  return GS_UINT8;
}

static gs_status prep_all_reduce(gs_arena *a, gs_coll *c, gs_err *e) {
  if (!alike(c->x, c->y, -1)) return place_fail(a, c, "shapes differ", e);
  return reduce_of(a, c, e);
}

static gs_status run_all_reduce(const gs_coll *c, gs_comm *comm,
                                void *scratch, gs_err *e) {
  (void)scratch;
  int64_t n;
  gs_dtype t = summed_as(c, c->x, &n);
  return gs_comm_all_reduce(comm, &c->group, c->in, c->out, n, t,
                               c->reduce, e);
}

/* ---- reduce-scatter ---- */

static gs_status prep_reduce_scatter(gs_arena *a, gs_coll *c, gs_err *e) {
  GS_TRY(dim_of(a, c, "dim", c->x->rank, &c->dim, e));
  GS_TRY(reduce_of(a, c, e));
  int64_t n = c->x->dims[c->dim], m = c->group.n;
  if (!alike(c->x, c->y, c->dim) || c->y->dims[c->dim] != gs_ceil_div(n, m))
    return place_fail(a, c, "the result does not have the shape of a block", e);
  c->pack = !outermost(c->x, c->dim) || n % m != 0;
  c->scratch_size = c->pack ? gs_value_bytes(c->y) * (size_t)m : 0;
  return GS_OK;
}

static gs_status run_reduce_scatter(const gs_coll *c, gs_comm *comm,
                                    void *scratch, gs_err *e) {
  const void *in = c->in;
  if (c->pack) {
    cut(c->x, in, c->dim, c->group.n, c->y->dims[c->dim], scratch);
    in = scratch;
  }
  int64_t count;
  gs_dtype t = summed_as(c, c->y, &count);
  return gs_comm_reduce_scatter(comm, &c->group, in, c->out, count, t,
                                   c->reduce, e);
}

/* ---- all-gather ---- */

static gs_status prep_all_gather(gs_arena *a, gs_coll *c, gs_err *e) {
  GS_TRY(dim_of(a, c, "dim", c->x->rank, &c->dim, e));
  int64_t all, size = gs_node_int(c->node, "size", -1);
  if (!gs_mul(c->x->dims[c->dim], c->group.n, &all) || size < 0 ||
      size > all || !alike(c->x, c->y, c->dim) ||
      c->y->dims[c->dim] != size)
    return place_fail(a, c, "attribute 'size' does not fit the shapes", e);
  c->unpack = !outermost(c->x, c->dim) || size != all;
  c->scratch_size =
      c->unpack ? gs_value_bytes(c->x) * (size_t)c->group.n : 0;
  return GS_OK;
}

static gs_status run_all_gather(const gs_coll *c, gs_comm *comm,
                                void *scratch, gs_err *e) {
  GS_TRY(gs_comm_all_gather(comm, &c->group, c->in,
                               c->unpack ? scratch : c->out,
                               gs_value_bytes(c->x), e));
  if (c->unpack)
    join(c->y, c->out, c->dim, c->group.n, c->x->dims[c->dim], scratch);
  return GS_OK;
}

/* ---- all-to-all ---- */

/* Dim `concat` of the blocks that are sent. */
static int64_t block_dim(const gs_coll *c) {
  return c->dim2 == c->dim
             ? gs_ceil_div(c->x->dims[c->dim], c->group.n)
             : c->x->dims[c->dim2];
}

static gs_status prep_all_to_all(gs_arena *a, gs_coll *c, gs_err *e) {
  GS_TRY(dim_of(a, c, "split_dim", c->x->rank, &c->dim, e));
  GS_TRY(dim_of(a, c, "concat_dim", c->x->rank, &c->dim2, e));
  int64_t m = c->group.n, n = c->x->dims[c->dim], all;
  int64_t size = gs_node_int(c->node, "size", -1);
  int64_t b = gs_ceil_div(n, m), expect[GS_MAX_RANK];
  if (c->x->rank != c->y->rank || !gs_mul(block_dim(c), m, &all) ||
      size < 0 || size > all)
    return place_fail(a, c, "attribute 'size' does not fit the shapes", e);
  with_dim(c->x, c->dim, b, expect);
  int64_t bytes;
  if (!gs_mul((int64_t)gs_span(c->x->dtype, gs_product(expect, c->x->rank)),
              m, &bytes))
    return place_fail(a, c, "the blocks are too large", e);
  expect[c->dim2] = size;
  for (int d = 0; d < c->x->rank; d++)
    if (c->y->dims[d] != expect[d])
      return place_fail(a, c, "the result does not have the expected shape", e);
  c->pack = !outermost(c->x, c->dim) || n % m != 0;
  c->unpack = !outermost(c->y, c->dim2) || size != all;
  c->half = c->pack ? ((size_t)bytes + 63) / 64 * 64 : 0;
  c->scratch_size = c->half + (c->unpack ? (size_t)bytes : 0);
  return GS_OK;
}

static gs_status run_all_to_all(const gs_coll *c, gs_comm *comm,
                                void *scratch, gs_err *e) {
  int m = c->group.n;
  int64_t b = gs_ceil_div(c->x->dims[c->dim], m), block[GS_MAX_RANK];
  with_dim(c->x, c->dim, b, block);
  size_t bytes = gs_span(c->x->dtype, gs_product(block, c->x->rank));
  const void *in = c->in;
  void *out = c->unpack ? (char *)scratch + c->half : c->out;
  if (c->pack) {
    cut(c->x, in, c->dim, m, b, scratch);
    in = scratch;
  }
  GS_TRY(gs_comm_all_to_all(comm, &c->group, in, out, bytes, e));
  if (c->unpack) join(c->y, c->out, c->dim2, m, block_dim(c), out);
  return GS_OK;
}

/* ---- permutation ---- */

static gs_status prep_permute(gs_arena *a, gs_coll *c, gs_err *e) {
  if (!alike(c->x, c->y, -1)) return place_fail(a, c, "shapes differ", e);
  return GS_OK;
}

static gs_status run_permute(const gs_coll *c, gs_comm *comm, void *scratch,
                             gs_err *e) {
  (void)scratch;
  return gs_comm_permute(comm, c->to, c->from, c->in, c->out,
                            gs_value_bytes(c->x), e);
}

/* ---- ranged exchange ---- */

static gs_status prep_exchange(gs_arena *a, gs_coll *c, gs_err *e) {
  return gs_coll_exchange_prep(a, c, e);
}

static gs_status run_exchange(const gs_coll *c, gs_comm *comm, void *scratch,
                              gs_err *e) {
  return gs_coll_exchange_run(c, comm, scratch, e);
}

/* ---- roles ---- */

typedef struct gs_role {
  gs_status (*prep)(gs_arena *a, gs_coll *c, gs_err *e);
  gs_status (*run)(const gs_coll *c, gs_comm *comm, void *scratch, gs_err *e);
} gs_role;

#define LOCAL
#define COMM(name) .prep = prep_##name, .run = run_##name

/* Of local moves: nothing. */
static const gs_role roles[GS_NMOVE] = {
#define MOVE(sym, name, operands, effect, flags, attributes, device, bytes,    \
             steps, kernel, how, prose)                                        \
  [GS_MOVE_##sym] = {how},
#include "op/moves.def"
#undef MOVE
};

gs_status gs_coll_new(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                      int64_t p, gs_coll **out, gs_err *e) {
  gs_coll *c = GS_NEW(a, gs_coll);
  const gs_move_info *info = gs_move_of(n->op);
  gs_assert(info && (info->flags & GS_OP_COLLECTIVE));
  gs_move_kind move = (gs_move_kind)(info - gs_moves);
  c->node = n;
  c->mesh = mesh;
  c->position = p;
  c->threads = 1;
  c->operand = GS_NEWS(a, n->nin, const void *);
  c->role = &roles[move];
  c->x = n->in[0];
  c->y = n->out[0];
  if (info->effect == GS_EFFECT_PERMUTE)
    GS_TRY(gs_permute_of(a, n, mesh, p, &c->to, &c->from, e));
  else
    GS_TRY(gs_group_of(a, n, mesh, p, &c->group, e));
  *out = c;
  GS_TRY(c->role->prep(a, c, e));
  c->bytes = (uint64_t)gs_move_bytes(move, c->x->dtype, c->x->rank,
                                     c->x->dims, c->y->dims, c->dim,
                                     c->group.n, c->sent);
  return GS_OK;
}

gs_status gs_coll_run(const gs_coll *c, gs_comm *comm, void *scratch,
                      gs_err *e) {
  return c->role->run(c, comm, scratch, e);
}

/* ---- the kind of step ---- */

static gs_status prepare(gs_device *d, int s) {
  gs_coll *c;
  GS_TRY(gs_coll_new(&d->arena, d->p->step.at[s].node, d->p->g->mesh,
                     d->position, &c, &d->err));
  c->threads = d->threads;
  d->state[s] = c;
  gs_device_want_scratch(d, c->scratch_size);
  return GS_OK;
}

static void bind(gs_device *d, int s) {
  gs_coll *c = d->state[s];
  for (int i = 0; i < c->node->nin; i++)
    c->operand[i] = gs_device_data(d, c->node->in[i]);
  c->in = c->operand[0];
  c->out = gs_device_data(d, c->y);
}

static gs_status start(gs_device *d, int s) {
  const gs_coll *c = d->state[s];
  gs_assert(c->scratch_size <= d->scratch_size);
  d->bytes_sent += c->bytes;
  return gs_coll_run(c, d->comm, d->scratch, &d->err);
}

const gs_step_ops gs_step_collective = {
    .name = "collective", .prepare = prepare, .bind = bind, .start = start};
