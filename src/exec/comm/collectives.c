/* Transfers, and the collectives that are made of them. */
#include <string.h>

#include "base/assert.h"
#include "exec/comm/comm.h"

/* ---- transfers ---- */

void gs_comm_begin(gs_comm *c, const gs_group *g) {
  gs_assert(!c->open || c->group.n == g->n);
  c->round = c->open ? !c->round : 0;
  c->open = true;
  c->group = *g;
  if (c->room < g->n) {
    for (int r = 0; r < 2; r++) c->put[r] = GS_NEWS(c->arena, g->n, gs_piece);
    c->want = GS_NEWS(c->arena, g->n, gs_want);
    c->got = GS_NEWS(c->arena, g->n, const void *);
    c->room = g->n;
  }
  memset(c->put[c->round], 0, (size_t)g->n * sizeof **c->put);
  memset(c->want, 0, (size_t)g->n * sizeof *c->want);
}

void gs_comm_put(gs_comm *c, int i, const void *p, size_t n) {
  gs_assert(c->open && i < c->group.n);
  c->put[c->round][i] = (gs_piece){p, n};
  if (c->group.member[i] != c->position) c->wire_bytes += n;
}

void gs_comm_get(gs_comm *c, int i, void *p, size_t n) {
  gs_assert(c->open && i < c->group.n);
  c->want[i] = (gs_want){p, n};
}

gs_status gs_comm_end(gs_comm *c, gs_err *e) {
  c->open = false;
  return c->ops->end(c, e);
}

static gs_status carry_out(gs_comm *c, gs_err *e) {
  GS_TRY(gs_comm_start(c, e));
  GS_TRY(gs_comm_wait(c, e));
  return gs_comm_end(c, e);
}

/* ---- what moves ---- */

/* out[i * bytes] = member i's in[me * step]: step 0 gathers.  Each member
 * begins with another peer. */
static gs_status exchange(gs_comm *c, const gs_group *g, const void *in,
                          void *out, size_t bytes, size_t step, gs_err *e) {
  gs_comm_begin(c, g);
  for (int i = 0; i < g->n; i++) {
    gs_comm_put(c, i, (const char *)in + (size_t)i * step, bytes);
    gs_comm_get(c, i, (char *)out + (size_t)i * bytes, bytes);
  }
  return carry_out(c, e);
}

gs_status gs_comm_all_gather(gs_comm *c, const gs_group *g, const void *in,
                             void *out, size_t bytes, gs_err *e) {
  return exchange(c, g, in, out, bytes, 0, e);
}

gs_status gs_comm_all_to_all(gs_comm *c, const gs_group *g, const void *in,
                             void *out, size_t bytes, gs_err *e) {
  return exchange(c, g, in, out, bytes, bytes, e);
}

gs_status gs_comm_permute(gs_comm *c, int64_t to, int64_t from, const void *in,
                          void *out, size_t bytes, gs_err *e) {
  int64_t pair[2] = {to, from};
  gs_group g = {2, pair, -1};
  gs_comm_begin(c, &g);
  gs_comm_put(c, 0, in, bytes);
  gs_comm_get(c, 1, out, bytes);
  return carry_out(c, e);
}

/* ---- what reduces ---- */

/* All-reduces up to this many bytes are done whole by every member: less
 * waiting for more bytes. */
enum { SMALL = 4096 };

gs_status gs_comm_reduce_scatter(gs_comm *c, const gs_group *g, const void *in,
                                 void *out, int64_t count, gs_dtype t,
                                 gs_reduce r, gs_err *e) {
  size_t bytes = gs_span(t, count);
  if (g->n == 1) {
    memcpy(out, in, bytes);
    return GS_OK;
  }
  gs_comm_begin(c, g);
  for (int i = 0; i < g->n; i++) {
    gs_comm_put(c, i, (const char *)in + (size_t)i * bytes, bytes);
    gs_comm_get(c, i, NULL, bytes);
  }
  GS_TRY(gs_comm_start(c, e));
  GS_TRY(gs_comm_wait(c, e));
  GS_TRY(gs_reduce_many(t, r, g->n, c->got, out, count, e));
  return gs_comm_end(c, e);
}

/* Every member gets all of in and combines it itself. */
static gs_status reduce_small(gs_comm *c, const gs_group *g, const void *in,
                              void *out, int64_t count, gs_dtype t,
                              gs_reduce r, gs_err *e) {
  _Alignas(64) char whole[SMALL];
  size_t bytes = gs_span(t, count);
  gs_comm_begin(c, g);
  for (int i = 0; i < g->n; i++) {
    gs_comm_put(c, i, in, bytes);
    gs_comm_get(c, i, NULL, bytes);
  }
  GS_TRY(gs_comm_start(c, e));
  GS_TRY(gs_comm_wait(c, e));
  GS_TRY(gs_reduce_many(t, r, g->n, c->got, whole, count, e));
  GS_TRY(gs_comm_end(c, e));
  memcpy(out, whole, bytes); /* out may be in, which peers have read now */
  return GS_OK;
}

/* Bytes of member i's part of `count` elements, and where they begin. */
static size_t part(const gs_group *g, int i, int64_t count, gs_dtype t,
                   size_t *at) {
  int64_t first, n;
  gs_reduce_part(count, g->n, i, &first, &n);
  *at = gs_span(t, first);
  return gs_span(t, n);
}

/* Members combine a part each, and then gather the parts. */
static gs_status reduce_parts(gs_comm *c, const gs_group *g, const void *in,
                              void *out, int64_t count, gs_dtype t,
                              gs_reduce r, gs_err *e) {
  size_t at, mine, my_bytes = part(g, g->me, count, t, &mine);
  char *result = (char *)out + mine;
  gs_comm_begin(c, g);
  for (int i = 0; i < g->n; i++) {
    size_t bytes = part(g, i, count, t, &at);
    gs_comm_put(c, i, (const char *)in + at, bytes);
    gs_comm_get(c, i, NULL, my_bytes);
  }
  GS_TRY(gs_comm_start(c, e));
  GS_TRY(gs_comm_wait(c, e));
  GS_TRY(gs_reduce_many(t, r, g->n, c->got, result,
                        (int64_t)(my_bytes / gs_span(t, 1)), e));
  gs_comm_begin(c, g);
  for (int i = 0; i < g->n; i++) {
    if (i == g->me) continue;
    size_t bytes = part(g, i, count, t, &at);
    gs_comm_put(c, i, result, my_bytes);
    gs_comm_get(c, i, (char *)out + at, bytes);
  }
  return carry_out(c, e);
}

gs_status gs_comm_all_reduce(gs_comm *c, const gs_group *g, const void *in,
                             void *out, int64_t count, gs_dtype t, gs_reduce r,
                             gs_err *e) {
  size_t bytes = gs_span(t, count);
  if (g->n == 1) {
    if (out != in) memcpy(out, in, bytes);
    return GS_OK;
  }
  if (bytes <= SMALL) return reduce_small(c, g, in, out, count, t, r, e);
  return reduce_parts(c, g, in, out, count, t, r, e);
}
