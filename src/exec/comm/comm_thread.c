/* Collectives between devices of one process, through shared memory.
 *
 * Each call is: publish pointers, meet, read the peers' memory, meet again so
 * that nobody writes what others still read. */
#include <string.h>

#include "exec/comm/team.h"

/* All-reduces up to this many bytes are done whole by every member: two
 * rendezvous instead of three. */
enum { SMALL = 4096 };

typedef struct thread_comm {
  gs_comm base;
  gs_member me;
  int64_t *all;    /* [ndevice] everybody, for the barrier */
  const void **at; /* [nat] operands of a reduction */
  int nat;
} thread_comm;

static gs_status publish(thread_comm *c, const gs_group *g, const void *in,
                         void *out, gs_rendezvous **m, gs_err *e) {
  *m = gs_team_rendezvous(&c->me, g->member, g->n);
  (*m)->in[g->me] = in;
  (*m)->out[g->me] = out;
  return gs_team_meet(c->me.team, *m, e);
}

static gs_status all_gather(gs_comm *base, const gs_group *g, const void *in,
                            void *out, size_t bytes, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_rendezvous *m;
  GS_TRY(publish(c, g, in, out, &m, e));
  for (int k = 0; k < g->n; k++) {
    int i = (g->me + k) % g->n; /* not all at the same peer */
    memcpy((char *)out + (size_t)i * bytes, m->in[i], bytes);
  }
  base->wire_bytes += bytes * (size_t)(g->n - 1);
  return gs_team_meet(c->me.team, m, e);
}

static gs_status all_to_all(gs_comm *base, const gs_group *g, const void *in,
                            void *out, size_t bytes, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_rendezvous *m;
  GS_TRY(publish(c, g, in, out, &m, e));
  for (int k = 0; k < g->n; k++) {
    int i = (g->me + k) % g->n;
    memcpy((char *)out + (size_t)i * bytes,
           (const char *)m->in[i] + (size_t)g->me * bytes, bytes);
  }
  base->wire_bytes += bytes * (size_t)(g->n - 1);
  return gs_team_meet(c->me.team, m, e);
}

/* Reduces elements [first, first + count) of all members' in to out. */
static gs_status reduce_range(thread_comm *c, const gs_rendezvous *m,
                              int64_t first, int64_t count, gs_dtype t,
                              gs_reduce r, void *out, gs_err *e) {
  if (c->nat < m->n) {
    c->at = GS_NEWS(c->me.arena, m->n, const void *);
    c->nat = m->n;
  }
  size_t skip = gs_span(t, first);
  for (int i = 0; i < m->n; i++) c->at[i] = (const char *)m->in[i] + skip;
  return gs_reduce_many(t, r, m->n, c->at, out, count, e);
}

static gs_status all_reduce(gs_comm *base, const gs_group *g, const void *in,
                            void *out, int64_t count, gs_dtype t, gs_reduce r,
                            gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_team *team = c->me.team;
  size_t bytes = gs_span(t, count);
  gs_rendezvous *m;
  GS_TRY(publish(c, g, in, out, &m, e));
  if (bytes <= SMALL) {
    _Alignas(64) char whole[SMALL];
    GS_TRY(reduce_range(c, m, 0, count, t, r, whole, e));
    GS_TRY(gs_team_meet(team, m, e));
    memcpy(out, whole, bytes);
    base->wire_bytes += bytes * (size_t)(g->n - 1);
    return GS_OK;
  }
  int64_t first, n;
  gs_reduce_part(count, g->n, g->me, &first, &n);
  char *mine = (char *)out + gs_span(t, first);
  /* All parts but its own, then its own to all. */
  base->wire_bytes += bytes - gs_span(t, n);
  base->wire_bytes += gs_span(t, n) * (size_t)(g->n - 1);
  GS_TRY(reduce_range(c, m, first, n, t, r, mine, e));
  GS_TRY(gs_team_meet(team, m, e));
  for (int k = 1; k < g->n; k++) {
    int i = (g->me + k) % g->n;
    gs_reduce_part(count, g->n, i, &first, &n);
    size_t at = gs_span(t, first);
    memcpy((char *)out + at, (const char *)m->out[i] + at,
           gs_span(t, n));
  }
  return gs_team_meet(team, m, e);
}

static gs_status reduce_scatter(gs_comm *base, const gs_group *g,
                                const void *in, void *out, int64_t count,
                                gs_dtype t, gs_reduce r, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_rendezvous *m;
  GS_TRY(publish(c, g, in, out, &m, e));
  GS_TRY(reduce_range(c, m, g->me * count, count, t, r, out, e));
  base->wire_bytes +=
      gs_span(t, count) * (size_t)(g->n - 1);
  return gs_team_meet(c->me.team, m, e);
}

static gs_status permute(gs_comm *base, int64_t to, int64_t from,
                         const void *in, void *out, size_t bytes, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_team *t = c->me.team;
  int64_t me = base->position;
  if (to != me) {
    gs_team_post(t, me, to, in);
    base->wire_bytes += bytes;
  }
  if (from == me) memcpy(out, in, bytes);
  else GS_TRY(gs_team_take(t, me, from, out, bytes, e));
  return gs_team_sent(t, me, e);
}

static gs_status barrier(gs_comm *base, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_rendezvous *m = gs_team_rendezvous(&c->me, c->all, (int)base->ndevice);
  return gs_team_meet(c->me.team, m, e);
}

static void fail(gs_comm *base) {
  gs_team_fail(((thread_comm *)base)->me.team);
}

static const gs_comm_ops thread_ops = {
    .name = "threads",
    .all_gather = all_gather,
    .all_to_all = all_to_all,
    .all_reduce = all_reduce,
    .reduce_scatter = reduce_scatter,
    .permute = permute,
    .barrier = barrier,
    .fail = fail,
};

gs_comm *gs_comm_thread(gs_team *t, gs_arena *a, int64_t position) {
  thread_comm *c = GS_NEW(a, thread_comm);
  c->base.ops = &thread_ops;
  c->base.position = position;
  c->base.ndevice = t->n;
  c->me.team = t;
  c->me.arena = a;
  c->all = GS_NEWS(a, t->n, int64_t);
  for (int64_t i = 0; i < t->n; i++) c->all[i] = i;
  return &c->base;
}
