/* Transfers, and the collectives that are made of them. */
#include <string.h>

#include "base/assert.h"
#include "exec/comm/comm.h"

/* ---- transfers ---- */

gs_transfer *gs_transfer_new(gs_comm *c, const gs_group *g) {
  gs_arena *a = c->arena;
  gs_assert(g->n > 0 && g->me < g->n && c->ops->size >= sizeof(gs_transfer));
  gs_transfer *t = gs_alloc(a, c->ops->size);
  t->comm = c;
  t->group = *g;
  t->group.member = gs_memdup(a, g->member, (size_t)g->n * sizeof *g->member);
  for (int r = 0; r < 2; r++) t->put[r] = GS_NEWS(a, g->n, gs_piece);
  t->want = GS_NEWS(a, g->n, gs_want);
  t->got = GS_NEWS(a, g->n, const void *);
  c->ops->make(t);
  return t;
}

void gs_transfer_begin(gs_transfer *t) {
  gs_assert(!t->open || t->group.me >= 0); /* pairs make no chains */
  size_t n = (size_t)t->group.n;
  t->round = t->open ? !t->round : 0;
  t->open = true;
  memset(t->put[t->round], 0, n * sizeof **t->put);
  memset(t->want, 0, n * sizeof *t->want);
}

void gs_transfer_show(gs_transfer *t, int i, const void *p, size_t all,
                      size_t n) {
  gs_comm *c = t->comm;
  gs_assert(t->open && i < t->group.n && n <= all);
  t->put[t->round][i] = (gs_piece){p, all};
  if (t->group.member[i] != c->position) c->wire_bytes += n;
}

void gs_transfer_put(gs_transfer *t, int i, const void *p, size_t n) {
  gs_transfer_show(t, i, p, n, n);
}

void gs_transfer_get(gs_transfer *t, int i, void *p, size_t n) {
  gs_assert(t->open && i < t->group.n);
  t->want[i] = (gs_want){p, n};
}

gs_status gs_transfer_end(gs_transfer *t, gs_err *e) {
  gs_assert(t->open);
  t->open = false;
  return t->comm->ops->end(t, e);
}

gs_status gs_transfer_finish(gs_transfer *t, gs_err *e) {
  GS_TRY(gs_transfer_wait(t, e));
  return gs_transfer_end(t, e);
}

/* ---- what moves ---- */

/* out[i * bytes] = member i's in[me * step]: step 0 gathers.  Each member
 * begins with another peer. */
static gs_status exchange(gs_transfer *t, const void *in, void *out,
                          size_t bytes, size_t step, gs_err *e) {
  gs_transfer_begin(t);
  for (int i = 0; i < t->group.n; i++) {
    gs_transfer_put(t, i, (const char *)in + (size_t)i * step, bytes);
    gs_transfer_get(t, i, (char *)out + (size_t)i * bytes, bytes);
  }
  return gs_transfer_start(t, e);
}

gs_status gs_all_gather_start(gs_transfer *t, const void *in, void *out,
                              size_t bytes, gs_err *e) {
  return exchange(t, in, out, bytes, 0, e);
}

gs_status gs_all_to_all_start(gs_transfer *t, const void *in, void *out,
                              size_t bytes, gs_err *e) {
  return exchange(t, in, out, bytes, bytes, e);
}

gs_status gs_permute_start(gs_transfer *t, const void *in, void *out,
                           size_t bytes, gs_err *e) {
  gs_assert(t->group.me < 0);
  gs_transfer_begin(t);
  gs_transfer_put(t, 0, in, bytes);
  gs_transfer_get(t, 1, out, bytes);
  return gs_transfer_start(t, e);
}

/* ---- what reduces ---- */

/* Whether every member reduces the whole: for more bytes it waits once, not
 * twice.  Bytes that each reads, measured on two cores, 2 and 4 devices. */
static bool is_small(const gs_transfer *t, size_t bytes) {
  enum { READ = 64 << 10 };
  return bytes <= GS_KEPT && bytes * (size_t)t->group.n <= READ;
}

/* Every member i has `step` * i further the bytes that member i reduces. */
static gs_status offer(gs_transfer *t, const void *in, size_t bytes,
                       size_t step, gs_err *e) {
  gs_transfer_begin(t);
  for (int i = 0; i < t->group.n; i++) {
    gs_transfer_put(t, i, (const char *)in + (size_t)i * step, bytes);
    gs_transfer_get(t, i, NULL, bytes);
  }
  return gs_transfer_start(t, e);
}

/* out = what all have offered to the caller. */
static gs_status combine(gs_transfer *t, const gs_reduction *r, void *out,
                         int64_t count, gs_err *e) {
  GS_TRY(gs_transfer_wait(t, e));
  return gs_reduce_many(r->type, r->how, t->group.n, t->got, out, count, e);
}

gs_status gs_reduce_scatter_start(gs_transfer *t, const gs_reduction *r,
                                  gs_err *e) {
  size_t bytes = gs_span(r->type, r->count);
  if (t->group.n > 1) return offer(t, r->in, bytes, bytes, e);
  memcpy(r->out, r->in, bytes);
  return GS_OK;
}

gs_status gs_reduce_scatter_finish(gs_transfer *t, const gs_reduction *r,
                                   gs_err *e) {
  if (t->group.n == 1) return GS_OK;
  GS_TRY(combine(t, r, r->out, r->count, e));
  return gs_transfer_end(t, e);
}

/* Bytes of member i's part of all elements, and where they begin. */
static size_t part(const gs_transfer *t, int i, const gs_reduction *r,
                   size_t *at) {
  int64_t first, n;
  gs_reduce_part(r->count, t->group.n, i, &first, &n);
  *at = gs_span(r->type, first);
  return gs_span(r->type, n);
}

/* Every member has for every other its part. */
static gs_status offer_parts(gs_transfer *t, const gs_reduction *r,
                             gs_err *e) {
  size_t at, my_bytes = part(t, t->group.me, r, &at);
  gs_transfer_begin(t);
  for (int i = 0; i < t->group.n; i++) {
    size_t bytes = part(t, i, r, &at);
    gs_transfer_put(t, i, (const char *)r->in + at, bytes);
    gs_transfer_get(t, i, NULL, my_bytes);
  }
  return gs_transfer_start(t, e);
}

/* Every member got all of in and combines it itself; out may be in, of which
 * others read a copy. */
static gs_status reduce_small(gs_transfer *t, const gs_reduction *r,
                              gs_err *e) {
  GS_TRY(gs_transfer_wait(t, e));
  gs_assert(t->kept);
  GS_TRY(gs_reduce_many(r->type, r->how, t->group.n, t->got, r->out, r->count,
                        e));
  return gs_transfer_end(t, e);
}

/* Members combine a part each, and then gather the parts. */
static gs_status reduce_parts(gs_transfer *t, const gs_reduction *r,
                              gs_err *e) {
  size_t at, mine, my_bytes = part(t, t->group.me, r, &mine);
  char *result = (char *)r->out + mine;
  GS_TRY(combine(t, r, result, (int64_t)(my_bytes / gs_span(r->type, 1)), e));
  gs_transfer_begin(t);
  for (int i = 0; i < t->group.n; i++) {
    if (i == t->group.me) continue;
    size_t bytes = part(t, i, r, &at);
    gs_transfer_put(t, i, result, my_bytes);
    gs_transfer_get(t, i, (char *)r->out + at, bytes);
  }
  GS_TRY(gs_transfer_start(t, e));
  return gs_transfer_finish(t, e);
}

/* Bytes of part i of a broadcast, which goes by way of member i, and where it
 * begins. */
static size_t share_of(const gs_transfer *t, int i, size_t bytes, size_t *at) {
  size_t share = (bytes + (size_t)t->group.n - 1) / (size_t)t->group.n;
  *at = share * (size_t)i < bytes ? share * (size_t)i : bytes;
  return share < bytes - *at ? share : bytes - *at;
}

/* The first member gives each its part. */
gs_status gs_broadcast_start(gs_transfer *t, const void *in, void *out,
                             size_t bytes, gs_err *e) {
  int me = t->group.me;
  size_t at, n = share_of(t, me, bytes, &at);
  if (!me && out != in) memcpy(out, in, bytes);
  gs_transfer_begin(t);
  if (me) gs_transfer_get(t, 0, (char *)out + at, n);
  for (int i = 1; i < t->group.n && !me; i++) {
    n = share_of(t, i, bytes, &at);
    gs_transfer_put(t, i, (char *)out + at, n);
  }
  return gs_transfer_start(t, e);
}

/* Each gives its part to all but the first. */
gs_status gs_broadcast_finish(gs_transfer *t, void *out, size_t bytes,
                              gs_err *e) {
  int me = t->group.me;
  size_t mine, at, my_bytes = share_of(t, me, bytes, &mine);
  GS_TRY(gs_transfer_wait(t, e));
  gs_transfer_begin(t);
  for (int i = 0; i < t->group.n; i++) {
    size_t n = share_of(t, i, bytes, &at);
    if (i == me) continue;
    if (i) gs_transfer_put(t, i, (char *)out + mine, my_bytes);
    if (me) gs_transfer_get(t, i, (char *)out + at, n);
  }
  GS_TRY(gs_transfer_start(t, e));
  return gs_transfer_finish(t, e);
}

gs_status gs_all_reduce_start(gs_transfer *t, const gs_reduction *r,
                              gs_err *e) {
  size_t bytes = gs_span(r->type, r->count);
  if (t->group.n == 1) {
    if (r->out != r->in) memcpy(r->out, r->in, bytes);
    return GS_OK;
  }
  return is_small(t, bytes) ? offer(t, r->in, bytes, 0, e)
                            : offer_parts(t, r, e);
}

gs_status gs_all_reduce_finish(gs_transfer *t, const gs_reduction *r,
                               gs_err *e) {
  if (t->group.n == 1) return GS_OK;
  return is_small(t, gs_span(r->type, r->count)) ? reduce_small(t, r, e)
                                                 : reduce_parts(t, r, e);
}
