/* The ranged exchange of one device: one message for each pair of devices,
 * with the pieces of all operands in the order of the receiver's places, each
 * a tensor of its own from a whole byte on.  Messages are row-major, also where
 * operand and result lie in blocks of channels: devices need not agree. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "exec/data/along.h"
#include "exec/step/collective.h"
#include "kernel/core/convert.h"
#include "op/core/exchange_node.h"

/* A message to or from one member. */
typedef struct message {
  size_t bytes;
  bool lies;     /* in the block, or where it goes, as one run at `at`; */
  size_t at;     /* and not in blocks of channels; */
  size_t packed; /* else where it is packed in the scratch */
} message;

struct gs_coll_exchange {
  gs_exchange x;
  const gs_exchange_plan *plan;
  gs_along along;
  int64_t places;
  message *put, *got; /* [npeer] */
  uint64_t value[2];  /* of the fill */
};

/* Where source k lies in the result; -1: elsewhere. */
static int64_t place_of(const gs_coll *c, int k) {
  return c->place ? c->place[k] : -1;
}

/* A piece of its source, or of the result in which that lies. */
static gs_stretch stretch_of(const gs_coll *c, const gs_exchange_piece *p) {
  int64_t n = c->node->in[p->source]->dims[c->dim];
  int64_t place = place_of(c, p->source);
  if (place < 0) return (gs_stretch){n, p->at, p->delta, p->count, false};
  return (gs_stretch){c->y->dims[c->dim], place + p->at, p->delta, p->count,
                      c->view.pitch != 0};
}

/* Where a piece goes in the result. */
static gs_stretch places_of(const gs_coll *c, const gs_coll_exchange *q,
                            const gs_exchange_piece *p) {
  return (gs_stretch){q->places, p->place, gs_exchange_apart(&q->x, p),
                      p->count, c->view.pitch != 0};
}

/* Elements on their own, one after another. */
static gs_stretch packed_of(const gs_exchange_piece *p) {
  return (gs_stretch){p->count, 0, 1, p->count, false};
}

/* The tensor of which that is a stretch. */
static const void *tensor_of(const gs_coll *c, const gs_exchange_piece *p) {
  return place_of(c, p->source) < 0 ? c->operand[p->source] : c->out;
}

static size_t bytes_of(const gs_coll_exchange *q, const gs_exchange_peer *p) {
  size_t bytes = 0;
  for (int k = 0; k < p->n; k++)
    bytes += gs_along_bytes(&q->along, p->piece[k].count);
  return bytes;
}

/* What is read where it lies, and what is packed into the scratch. */
static void plan_put(gs_coll *c, gs_coll_exchange *q, int peer) {
  const gs_exchange_peer *give = &q->plan->give[peer];
  message *m = &q->put[peer];
  m->bytes = bytes_of(q, give);
  if (!m->bytes) return;
  gs_stretch s = stretch_of(c, &give->piece[0]);
  m->lies = give->n == 1 && gs_along_is_run(&q->along, &s, false, &m->at);
  if (m->lies && !gs_exchange_takes_blocks(c->node)) return;
  m->packed = c->scratch_size;
  c->scratch_size += (m->bytes + 63) / 64 * 64;
}

/* What is received where it goes. */
static void plan_got(const gs_coll *c, gs_coll_exchange *q, int peer) {
  const gs_exchange_peer *take = &q->plan->take[peer];
  message *m = &q->got[peer];
  m->bytes = bytes_of(q, take);
  if (take->n != 1) return;
  gs_stretch s = places_of(c, q, &take->piece[0]);
  m->lies = gs_along_is_run(&q->along, &s, true, &m->at);
}

static gs_status check_result(gs_arena *a, const gs_coll *c,
                              const gs_exchange *x, gs_err *e) {
  bool alike = c->x->rank == c->y->rank && c->x->dtype == c->y->dtype;
  for (int d = 0; d < c->x->rank && alike; d++)
    alike = c->y->dims[d] == (d == c->dim ? x->range.length : c->x->dims[d]);
  if (alike) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                 "the result is not the operand with %lld elements along dim "
                 "%d",
                 (long long)x->range.length, c->dim);
}

/* Attribute `indices`: what the members have over `to_axes`. */
static gs_status check_indices(gs_arena *a, const gs_coll *c,
                               const gs_exchange *x, gs_err *e) {
  int n;
  const int64_t *list = gs_node_ints(c->node, "indices", &n);
  bool same = !list || n == c->group.n;
  for (int i = 0; list && same && i < n; i++)
    same = list[i] == gs_axes_index(c->mesh, &x->to, c->group.member[i]);
  if (same) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                 "attribute 'indices' is not what the group has over "
                 "'to_axes'");
}

static gs_status check_list(gs_arena *a, const gs_coll *c, const char *name,
                            const int64_t *want, int count, gs_err *e) {
  int n;
  const int64_t *list = gs_node_ints(c->node, name, &n);
  if (!gs_node_attr(c->node, name)) return GS_OK;
  if (n == count &&
      (!n || !memcmp(list, want, (size_t)n * sizeof *list)))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                 "attribute '%s' is not what follows from the range", name);
}

/* Attributes `gives` and `takes` say again what the numbers say. */
static gs_status check_pieces(gs_arena *a, const gs_coll *c,
                              const gs_coll_exchange *q, gs_err *e) {
  gs_exchange_lists l =
      gs_exchange_lists_of(a, c->mesh, &q->x, q->plan, c->position);
  GS_TRY(check_list(a, c, "gives", l.gives, l.ngive, e));
  return check_list(a, c, "takes", l.takes, l.ntake, e);
}

gs_status gs_coll_exchange_prep(gs_arena *a, gs_coll *c, gs_err *e) {
  gs_coll_exchange *q = GS_NEW(a, gs_coll_exchange);
  GS_TRY(gs_node_exchange(a, c->node, c->mesh, &q->x, &c->dim, e));
  GS_TRY(check_result(a, c, &q->x, e));
  GS_TRY(check_indices(a, c, &q->x, e));
  gs_dtype t = c->x->dtype;
  if (!gs_dtype_get((int)t)->bits || !gs_element_of(t, q->x.value, q->value))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, c->node),
                   "elements of type %s are not exchanged",
                   gs_dtype_get((int)t)->text);
  q->along = (gs_along){t, gs_product(c->x->dims, c->dim),
                        gs_product(c->x->dims + c->dim + 1,
                                   c->x->rank - c->dim - 1),
                        c->dim > 1 ? gs_product(c->x->dims + 2, c->dim - 2)
                                   : 0,
                        c->view.run, c->view.pitch};
  gs_assert(!c->view.pitch || (!c->view.apart && c->view.run > 0 &&
                               q->along.inner % c->view.run == 0));
  q->places = q->x.range.length;
  q->plan = gs_exchange_plan_of(a, c->mesh, &q->x, c->position);
  GS_TRY(check_pieces(a, c, q, e));
  gs_assert(q->plan->npeer == 1 || q->plan->npeer == c->group.n);
  q->put = GS_NEWS(a, q->plan->npeer, message);
  q->got = GS_NEWS(a, q->plan->npeer, message);
  for (int i = 0; i < q->plan->npeer; i++) {
    if (i == q->plan->me) continue;
    plan_put(c, q, i);
    plan_got(c, q, i);
  }
  c->sent = gs_exchange_sent(c->mesh, &q->x);
  c->exchange = q;
  return GS_OK;
}

/* ---- running ---- */

static void pack(const gs_coll *c, const gs_exchange_peer *p, char *to) {
  const gs_coll_exchange *q = c->exchange;
  for (int k = 0; k < p->n; k++) {
    gs_stretch s = stretch_of(c, &p->piece[k]), t = packed_of(&p->piece[k]);
    size_t bytes = gs_along_bytes(&q->along, s.count);
    if (bytes) to[bytes - 1] = 0; /* bits of no element */
    const void *from = tensor_of(c, &p->piece[k]);
    if (c->block)
      gs_along_reblock(&q->along, c->block, false, &s, from, &t, to,
                       c->threads);
    else
      gs_along_copy(&q->along, &s, from, &t, to, c->threads);
    to += bytes;
  }
}

static void unpack(const gs_coll *c, const gs_exchange_peer *p,
                   const char *from) {
  const gs_coll_exchange *q = c->exchange;
  for (int k = 0; k < p->n; k++) {
    gs_stretch s = packed_of(&p->piece[k]), t = places_of(c, q, &p->piece[k]);
    if (c->block)
      gs_along_reblock(&q->along, c->block, true, &s, from, &t, c->out,
                       c->threads);
    else
      gs_along_copy(&q->along, &s, from, &t, c->out, c->threads);
    from += gs_along_bytes(&q->along, s.count);
  }
}

/* Whether the elements of a piece, the device's own, are where they go. */
static bool is_there(const gs_coll *c, const gs_exchange_piece *p) {
  int64_t place = place_of(c, p->source);
  return place >= 0 && p->place == place + p->at &&
         (p->delta == 1 || p->count == 1);
}

/* What needs nobody else: its own elements, and the fill. */
static void make_own(const gs_coll *c) {
  const gs_coll_exchange *q = c->exchange;
  const gs_exchange_peer *own = &q->plan->take[q->plan->me];
  const void *value = q->value;
  gs_along along = q->along;
  if (c->block) {
    along.outer /= c->block;
    along.inner *= c->block;
    along.run *= c->block;
    along.pitch *= c->block;
  }
  for (int k = 0; k < own->n; k++) {
    const gs_exchange_piece *p = &own->piece[k];
    gs_stretch s = stretch_of(c, p), t = places_of(c, q, p);
    if (!is_there(c, p))
      gs_along_copy(&along, &s, tensor_of(c, p), &t, c->out, c->threads);
  }
  if (q->x.fill == GS_FILL_ANY) return;
  if (q->x.fill == GS_FILL_OPERAND) value = c->operand[q->x.nsource];
  for (int k = 0; k < q->plan->nfill; k++) {
    gs_stretch s = {q->places, q->plan->fill[k].place, 1,
                    q->plan->fill[k].count, c->view.pitch != 0};
    gs_along_fill(&along, &s, value, c->out);
  }
}

static void put_and_get(const gs_coll *c) {
  const gs_coll_exchange *q = c->exchange;
  gs_transfer_begin(c->transfer);
  for (int i = 0; i < q->plan->npeer; i++) {
    const message *put = &q->put[i], *got = &q->got[i];
    const gs_exchange_peer *give = &q->plan->give[i];
    if (put->bytes && put->lies && !c->block) {
      const char *tensor = tensor_of(c, &give->piece[0]);
      gs_transfer_put(c->transfer, i, tensor + put->at, put->bytes);
    } else if (put->bytes) {
      char *packed = (char *)c->scratch + put->packed;
      pack(c, give, packed);
      gs_transfer_put(c->transfer, i, packed, put->bytes);
    }
    if (got->bytes)
      gs_transfer_get(c->transfer, i,
                      got->lies && !c->block ? (char *)c->out + got->at : NULL,
                      got->bytes);
  }
}

gs_status gs_coll_exchange_start(const gs_coll *c, gs_err *e) {
  if (c->exchange->plan->npeer > 1) {
    put_and_get(c);
    GS_TRY(gs_transfer_start(c->transfer, e));
  }
  make_own(c);
  return GS_OK;
}

gs_status gs_coll_exchange_wait(const gs_coll *c, gs_err *e) {
  const gs_coll_exchange *q = c->exchange;
  if (q->plan->npeer == 1) return GS_OK;
  GS_TRY(gs_transfer_wait(c->transfer, e));
  for (int i = 0; i < q->plan->npeer; i++)
    if (q->got[i].bytes && (!q->got[i].lies || c->block))
      unpack(c, &q->plan->take[i], c->transfer->got[i]);
  return gs_transfer_end(c->transfer, e);
}
