/* Collective steps: dims are packed around the contiguous transfers of comm.h.
 * start packs and begins the transfer, wait waits, reduces and unpacks. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "exec/comm/group.h"
#include "exec/compile/part.h"
#include "exec/data/subarray.h"
#include "exec/step/collective.h"
#include "exec/step/step.h"
#include "ir/packed.h"
#include "op/core/exchange_node.h"
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

static gs_status prep_all_reduce(gs_arena *a, gs_coll *c, gs_err *e) {
  if (!alike(c->x, c->y, -1)) return place_fail(a, c, "shapes differ", e);
  return reduce_of(a, c, e);
}

/* What reduces `n` elements of v, which are in `in`. */
static gs_reduction reduction_of(const gs_coll *c, const gs_value *v,
                                 const void *in) {
  gs_reduction r = {.in = in, .out = c->out, .how = c->reduce};
  r.count = gs_product(v->dims, v->rank);
  r.type = gs_coll_reduced_as(c, &r.count);
  return r;
}

static gs_status start_all_reduce(const gs_coll *c, gs_err *e) {
  gs_reduction r = reduction_of(c, c->x, c->in);
  return gs_all_reduce_start(c->transfer, &r, e);
}

static gs_status wait_all_reduce(const gs_coll *c, gs_err *e) {
  gs_reduction r = reduction_of(c, c->x, c->in);
  return gs_all_reduce_finish(c->transfer, &r, e);
}

/* ---- reduce-scatter ---- */

static gs_status prep_reduce_scatter(gs_arena *a, gs_coll *c, gs_err *e) {
  GS_TRY(dim_of(a, c, "dim", c->x->rank, &c->dim, e));
  GS_TRY(reduce_of(a, c, e));
  int64_t n = c->x->dims[c->dim], m = c->group.n;
  if (!alike(c->x, c->y, c->dim) || c->y->dims[c->dim] != gs_ceil_div(n, m))
    return place_fail(a, c, "the result does not have the shape of a block", e);
  c->pack = !outermost(c->x, c->dim) || n % m != 0;
  c->direct = c->direct && c->pack;
  c->run = GS_NEWS(a, m, const void *);
  c->scratch_size =
      c->pack && !c->direct ? gs_value_bytes(c->y) * (size_t)m : 0;
  return GS_OK;
}

static gs_status start_reduce_scatter(const gs_coll *c, gs_err *e) {
  if (c->direct) return gs_coll_direct_start(c, gs_value_bytes(c->y), e);
  if (c->pack)
    cut(c->x, c->in, c->dim, c->group.n, c->y->dims[c->dim], c->scratch);
  gs_reduction r = reduction_of(c, c->y, c->pack ? c->scratch : c->in);
  return gs_reduce_scatter_start(c->transfer, &r, e);
}

static gs_status wait_reduce_scatter(const gs_coll *c, gs_err *e) {
  if (c->direct) return gs_coll_direct_reduce(c, e);
  gs_reduction r = reduction_of(c, c->y, c->pack ? c->scratch : c->in);
  return gs_reduce_scatter_finish(c->transfer, &r, e);
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
  c->direct = c->direct && c->unpack;
  c->scratch_size = c->unpack && !c->direct
                        ? gs_value_bytes(c->x) * (size_t)c->group.n
                        : 0;
  return GS_OK;
}

static gs_status start_all_gather(const gs_coll *c, gs_err *e) {
  if (c->direct) return gs_coll_direct_start(c, gs_value_bytes(c->x), e);
  return gs_all_gather_start(c->transfer, c->in,
                             c->unpack ? c->scratch : c->out,
                             gs_value_bytes(c->x), e);
}

static gs_status wait_all_gather(const gs_coll *c, gs_err *e) {
  if (c->direct) return gs_coll_direct_gather(c, e);
  GS_TRY(gs_transfer_finish(c->transfer, e));
  if (c->unpack)
    join(c->y, c->out, c->dim, c->group.n, c->x->dims[c->dim], c->scratch);
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
  c->direct = c->direct && (c->pack || c->unpack);
  if (c->direct) return GS_OK;
  c->half = c->pack ? ((size_t)bytes + 63) / 64 * 64 : 0;
  c->scratch_size = c->half + (c->unpack ? (size_t)bytes : 0);
  return GS_OK;
}

/* Where the blocks that come are put. */
static void *landing(const gs_coll *c) {
  return c->unpack ? (char *)c->scratch + c->half : c->out;
}

static gs_status start_all_to_all(const gs_coll *c, gs_err *e) {
  int m = c->group.n;
  int64_t b = gs_ceil_div(c->x->dims[c->dim], m), block[GS_MAX_RANK];
  with_dim(c->x, c->dim, b, block);
  size_t bytes = gs_span(c->x->dtype, gs_product(block, c->x->rank));
  if (c->direct) return gs_coll_direct_start(c, bytes, e);
  if (c->pack) cut(c->x, c->in, c->dim, m, b, c->scratch);
  return gs_all_to_all_start(c->transfer, c->pack ? c->scratch : c->in,
                             landing(c), bytes, e);
}

static gs_status wait_all_to_all(const gs_coll *c, gs_err *e) {
  if (c->direct) return gs_coll_direct_to_all(c, e);
  GS_TRY(gs_transfer_finish(c->transfer, e));
  if (c->unpack)
    join(c->y, c->out, c->dim2, c->group.n, block_dim(c), landing(c));
  return GS_OK;
}

/* ---- all-to-all of several dims ---- */

static gs_status prep_all_to_all_dims(gs_arena *a, gs_coll *c, gs_err *e) {
  return gs_coll_dims_prep(a, c, e);
}

static gs_status start_all_to_all_dims(const gs_coll *c, gs_err *e) {
  return gs_coll_dims_start(c, e);
}

static gs_status wait_all_to_all_dims(const gs_coll *c, gs_err *e) {
  return gs_coll_dims_wait(c, e);
}

/* ---- broadcast ---- */

static gs_status prep_broadcast(gs_arena *a, gs_coll *c, gs_err *e) {
  if (!alike(c->x, c->y, -1)) return place_fail(a, c, "shapes differ", e);
  return GS_OK;
}

static gs_status start_broadcast(const gs_coll *c, gs_err *e) {
  return gs_broadcast_start(c->transfer, c->in, c->out, gs_value_bytes(c->x),
                            e);
}

static gs_status wait_broadcast(const gs_coll *c, gs_err *e) {
  return gs_broadcast_finish(c->transfer, c->out, gs_value_bytes(c->x), e);
}

/* ---- permutation ---- */

static gs_status prep_permute(gs_arena *a, gs_coll *c, gs_err *e) {
  if (!alike(c->x, c->y, -1)) return place_fail(a, c, "shapes differ", e);
  return GS_OK;
}

static gs_status start_permute(const gs_coll *c, gs_err *e) {
  return gs_permute_start(c->transfer, c->in, c->out, gs_value_bytes(c->x), e);
}

static gs_status wait_permute(const gs_coll *c, gs_err *e) {
  return gs_transfer_finish(c->transfer, e);
}

/* ---- ranged exchange ---- */

static gs_status prep_exchange(gs_arena *a, gs_coll *c, gs_err *e) {
  return gs_coll_exchange_prep(a, c, e);
}

static gs_status start_exchange(const gs_coll *c, gs_err *e) {
  return gs_coll_exchange_start(c, e);
}

static gs_status wait_exchange(const gs_coll *c, gs_err *e) {
  return gs_coll_exchange_wait(c, e);
}

/* ---- roles ---- */

typedef struct gs_role {
  /* Checks the node, and says what scratch it wants. */
  gs_status (*prep)(gs_arena *a, gs_coll *c, gs_err *e);
  gs_status (*start)(const gs_coll *c, gs_err *e);
  gs_status (*wait)(const gs_coll *c, gs_err *e);
} gs_role;

#define LOCAL
#define COMM(name)                                                             \
  .prep = prep_##name, .start = start_##name, .wait = wait_##name

/* Of local moves: nothing. */
static const gs_role roles[GS_NMOVE] = {
#define MOVE(sym, name, operands, effect, flags, attributes, device, bytes,    \
             steps, kernel, how, prose)                                        \
  [GS_MOVE_##sym] = {how},
#include "op/moves.def"
#undef MOVE
};

/* Whom device p sends to and gets from, as a group of comm.h. */
static gs_status pair_of(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                         int64_t p, gs_coll *c, gs_err *e) {
  int64_t *pair = GS_NEWS(a, 2, int64_t);
  c->group = (gs_group){2, pair, -1};
  return gs_permute_of(a, n, mesh, p, &pair[0], &pair[1], e);
}

gs_status gs_coll_new(gs_arena *a, const gs_program *program, const gs_step *s,
                      int64_t p, gs_coll **out, gs_err *e) {
  const gs_mesh *mesh = program->g->mesh;
  const gs_node *n = s->node;
  gs_coll *c = GS_NEW(a, gs_coll);
  const gs_move_info *info = gs_move_of(n->op);
  gs_assert(info && (info->flags & GS_OP_COLLECTIVE));
  gs_move_kind move = (gs_move_kind)(info - gs_moves);
  c->node = n;
  c->mesh = mesh;
  c->position = p;
  c->threads = 1;
  c->place = s->place;
  c->view = gs_program_view(program, n->out[0]);
  c->operand = GS_NEWS(a, n->nin, const void *);
  c->role = &roles[move];
  c->x = n->in[0];
  c->y = n->out[0];
  c->direct = program->one_memory && !gs_dtype_packed(c->x->dtype);
  if (info->effect == GS_EFFECT_PERMUTE) GS_TRY(pair_of(a, n, mesh, p, c, e));
  else GS_TRY(gs_group_of(a, n, mesh, p, &c->group, e));
  *out = c;
  GS_TRY(c->role->prep(a, c, e));
  c->bytes = (uint64_t)gs_move_bytes(move, c->x->dtype, c->x->rank,
                                     c->x->dims, c->y->dims, c->dim,
                                     c->group.n, c->sent);
  return GS_OK;
}

gs_status gs_coll_start(const gs_coll *c, gs_err *e) {
  gs_assert(c->scratch || !c->scratch_size);
  return c->role->start(c, e);
}

gs_status gs_coll_wait(const gs_coll *c, gs_err *e) {
  return c->role->wait(c, e);
}

/* ---- the kind of step ---- */

static gs_status plan(const gs_program *p, const gs_step *step,
                      int64_t position, size_t *scratch, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_coll *c;
  gs_status s = gs_coll_new(&a, p, step, position, &c, e);
  if (!s) *scratch = c->scratch_size;
  gs_arena_free(&a);
  return s;
}

/* An exchange of constants that every device has whole. */
static gs_status run_once(gs_device *d, gs_coll *c) {
  const gs_node *n = c->node;
  gs_assert(c->group.n == 1 && !c->scratch_size);
  gs_device_hold(d, c->y);
  for (int i = 0; i < n->nin; i++)
    c->operand[i] = gs_device_data(d, n->in[i]);
  c->in = c->operand[0];
  c->out = gs_device_data(d, c->y);
  GS_TRY(gs_coll_start(c, &d->err));
  GS_TRY(gs_coll_wait(c, &d->err));
  for (int i = 0; i < n->nin; i++) gs_device_let_go(d, n->in[i]);
  return GS_OK;
}

static gs_status prepare(gs_device *d, int s) {
  gs_coll *c;
  GS_TRY(gs_coll_new(&d->arena, d->p, &d->p->step.at[s], d->position, &c,
                     &d->err));
  c->threads = d->threads;
  c->block = d->block[c->x->id];
  gs_assert(!c->block || gs_exchange_takes_blocks(c->node));
  d->block[c->y->id] = c->block;
  d->state[s] = c;
  if (d->p->step.at[s].once) return run_once(d, c);
  c->transfer = gs_transfer_new(d->comm, &c->group);
  return GS_OK;
}

static void bind(gs_device *d, int s) {
  gs_coll *c = d->state[s];
  for (int i = 0; i < c->node->nin; i++)
    c->operand[i] = gs_device_data(d, c->node->in[i]);
  c->in = c->operand[0];
  c->out = gs_device_data(d, c->y);
  gs_assert(c->scratch_size <= d->p->step.at[s].scratch);
  c->scratch = d->mem + d->p->step.at[s].scratch_at;
}

static gs_status start(gs_device *d, int s) {
  const gs_coll *c = d->state[s];
  d->bytes_sent += c->bytes;
  return gs_coll_start(c, &d->err);
}

static gs_status wait(gs_device *d, int s) {
  return gs_coll_wait(d->state[s], &d->err);
}

const gs_step_ops gs_step_collective = {.name = "collective",
                                        .plan = plan,
                                        .prepare = prepare,
                                        .bind = bind,
                                        .start = start,
                                        .wait = wait};
