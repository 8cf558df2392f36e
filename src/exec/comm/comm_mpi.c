/* Collectives between devices that MPI ranks host.
 *
 * Everything is built from messages between devices and, for devices of one
 * rank, from shared memory as in comm_thread.c.  Reductions exchange parts,
 * combine them in ascending order and gather the results, so that they give
 * the same bytes as threads do.  MPI is called by one thread at a time. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_MPI
#include "exec/comm/world_mpi.h"

#include <sched.h>
#include <string.h>

#include "base/math.h"

/* All-reduces up to this many bytes are done whole by every member. */
enum { SMALL = 4096, POLLS = 64 };

typedef struct mpi_comm {
  gs_comm base;
  gs_member me;
  mpi_world *w;
  gs_arena *arena;
  int64_t each; /* devices per rank */
  GS_VEC(MPI_Request) request;
  GS_VEC(int) peer;  /* ranks of these messages; -1: all */
  GS_VEC(int) noted; /* ranks that the talk knows this device to wait for */
  char *scratch;
  size_t scratch_size;
  const void **at;  /* [nat] operands of a reduction */
  int64_t *local;   /* [nat] members of the group in this rank */
  int nat, nlocal, me_local;
  gs_rendezvous *rendezvous; /* of the local members; NULL: only the caller */
} mpi_comm;

/* ---- messages ---- */

static MPI_Request *new_request(mpi_comm *c, int peer) {
  *gs_push(c->arena, &c->peer) = peer;
  return gs_push(c->arena, &c->request);
}

static void send_to(mpi_comm *c, int64_t to, const void *p, size_t n) {
  int tag = (int)(c->base.position % c->each * c->each + to % c->each);
  for (size_t at = 0; at < n; at += c->w->chunk) {
    size_t part = n - at < c->w->chunk ? n - at : c->w->chunk;
    MPI_Isend((const char *)p + at, (int)part, MPI_BYTE, (int)(to / c->each),
              tag, c->w->data, new_request(c, (int)(to / c->each)));
  }
  c->base.wire_bytes += n;
}

static void recv_from(mpi_comm *c, int64_t from, void *p, size_t n) {
  int tag = (int)(from % c->each * c->each + c->base.position % c->each);
  for (size_t at = 0; at < n; at += c->w->chunk) {
    size_t part = n - at < c->w->chunk ? n - at : c->w->chunk;
    MPI_Irecv((char *)p + at, (int)part, MPI_BYTE, (int)(from / c->each), tag,
              c->w->data, new_request(c, (int)(from / c->each)));
  }
}

/* ---- waiting ---- */

/* Tells the talk for which ranks this device waits: those of messages that
 * have not come. */
static void note(mpi_comm *c) {
  gs_mpi_lock(c->w);
  c->noted.n = 0;
  for (int i = 0; i < c->request.n; i++) {
    int done;
    MPI_Test(&c->request.at[i], &done, MPI_STATUS_IGNORE);
    if (!done) *gs_push(c->arena, &c->noted) = c->peer.at[i];
  }
  gs_talk_wait(c->w, c->noted.at, c->noted.n);
  gs_mpi_unlock(c->w);
}

static void unnote(mpi_comm *c) {
  gs_mpi_lock(c->w);
  gs_talk_go(c->w, c->noted.at, c->noted.n);
  gs_mpi_unlock(c->w);
}

static gs_status waited_for(mpi_comm *c, gs_err *e) {
  int peer = c->noted.n ? c->noted.at[0] : -1;
  return gs_fail(e, GS_TIMEOUT, NULL, "waited %g seconds for %s",
                 c->me.team->timeout,
                 peer < 0 ? "another rank"
                          : gs_world_name(c->arena, &c->w->base, peer));
}

/* Waits for all messages of the caller. */
static gs_status settle(mpi_comm *c, gs_err *e) {
  gs_team *t = c->me.team;
  gs_patience patience = {0};
  gs_status s = GS_OK;
  bool noted = false;
  for (unsigned polls = 1; !s; polls++) {
    int done;
    gs_mpi_lock(c->w);
    MPI_Testall(c->request.n, c->request.at, &done, c->w->no_status);
    gs_mpi_unlock(c->w);
    if (done) break;
    if (atomic_load_explicit(&t->failed, memory_order_relaxed))
      s = gs_team_lost(e);
    if (s || polls <= POLLS) continue;
    sched_yield();
    double waited = gs_waited(&patience);
    bool late = t->timeout > 0 && waited > t->timeout;
    if (!noted && (late || waited > GS_NOTED_AFTER)) {
      note(c);
      noted = true;
    }
    if (late) s = waited_for(c, e);
  }
  if (s && !noted) note(c);
  if (s) return s;
  if (noted) unnote(c);
  c->request.n = c->peer.n = 0;
  return GS_OK;
}

/* ---- groups ---- */

static bool is_local(const mpi_comm *c, int64_t p) {
  return p / c->each == c->base.position / c->each;
}

/* Finds the members that this rank hosts. */
static void find_local(mpi_comm *c, const gs_group *g) {
  if (c->nat < g->n) {
    c->at = GS_NEWS(c->arena, g->n, const void *);
    c->local = GS_NEWS(c->arena, g->n, int64_t);
    c->nat = g->n;
  }
  c->nlocal = 0;
  for (int i = 0; i < g->n; i++) {
    if (!is_local(c, g->member[i])) continue;
    if (i == g->me) c->me_local = c->nlocal;
    c->local[c->nlocal++] = g->member[i];
  }
  c->rendezvous = NULL;
  if (c->nlocal > 1)
    c->rendezvous = gs_team_rendezvous(&c->me, c->local, c->nlocal);
}

static gs_status meet(mpi_comm *c, gs_err *e) {
  return c->rendezvous ? gs_team_meet(c->me.team, c->rendezvous, e) : GS_OK;
}

/* Shows the caller's buffers to the local members. */
static gs_status publish(mpi_comm *c, const void *in, void *out, gs_err *e) {
  if (!c->rendezvous) return GS_OK;
  c->rendezvous->in[c->me_local] = in;
  c->rendezvous->out[c->me_local] = out;
  return meet(c, e);
}

static char *need_scratch(mpi_comm *c, size_t n) {
  if (c->scratch_size < n) {
    c->scratch = gs_alloc(c->arena, n);
    c->scratch_size = n;
  }
  return c->scratch;
}

/* ---- collectives ---- */

/* out[i * bytes] = member i's in[me * step]: step 0 gathers, bytes is
 * all-to-all. */
static gs_status exchange(gs_comm *base, const gs_group *g, const void *in,
                          void *out, size_t bytes, size_t step, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  find_local(c, g);
  gs_mpi_lock(c->w);
  for (int k = 1; k < g->n; k++) {
    int i = (g->me + k) % g->n, j = (g->me + g->n - k) % g->n;
    if (!is_local(c, g->member[j]))
      recv_from(c, g->member[j], (char *)out + (size_t)j * bytes, bytes);
    if (!is_local(c, g->member[i]))
      send_to(c, g->member[i], (const char *)in + (size_t)i * step, bytes);
  }
  gs_mpi_unlock(c->w);
  GS_TRY(publish(c, in, out, e));
  for (int i = 0, l = 0; i < g->n; i++) {
    if (!is_local(c, g->member[i])) continue;
    const void *from = c->rendezvous ? c->rendezvous->in[l] : in;
    l++;
    memcpy((char *)out + (size_t)i * bytes,
           (const char *)from + (size_t)g->me * step, bytes);
    if (i != g->me) base->wire_bytes += bytes;
  }
  GS_TRY(settle(c, e));
  return meet(c, e);
}

static gs_status all_gather(gs_comm *base, const gs_group *g, const void *in,
                            void *out, size_t bytes, gs_err *e) {
  return exchange(base, g, in, out, bytes, 0, e);
}

static gs_status all_to_all(gs_comm *base, const gs_group *g, const void *in,
                            void *out, size_t bytes, gs_err *e) {
  return exchange(base, g, in, out, bytes, bytes, e);
}

/* The parts of an array that members reduce: blocks of `count` elements, or
 * gs_reduce_part of `total`. */
typedef struct parts {
  int64_t total, count; /* count < 0: split total */
  gs_dtype t;
} parts;

static size_t part(const parts *p, const gs_group *g, int i, size_t *at) {
  int64_t first = i * p->count, n = p->count;
  if (p->count < 0) gs_reduce_part(p->total, g->n, i, &first, &n);
  *at = gs_span(p->t, first);
  return gs_span(p->t, n);
}

/* Sends everybody his part of in, and combines what comes for the caller
 * into `to`.  Publishes in and out; local members may not write yet. */
static gs_status reduce_parts(mpi_comm *c, const gs_group *g, const parts *p,
                              gs_reduce r, const void *in, void *out,
                              void *to, gs_err *e) {
  size_t at, mine, my_bytes = part(p, g, g->me, &mine);
  find_local(c, g);
  size_t slot = (my_bytes + 63) / 64 * 64;
  char *got = need_scratch(c, slot * (size_t)(g->n - c->nlocal) + 64);
  gs_mpi_lock(c->w);
  for (int i = 0, k = 0; i < g->n; i++) {
    if (is_local(c, g->member[i])) continue;
    recv_from(c, g->member[i], got + slot * (size_t)k, my_bytes);
    c->at[i] = got + slot * (size_t)k++;
  }
  for (int k = 1; k < g->n; k++) {
    int i = (g->me + k) % g->n;
    if (is_local(c, g->member[i])) continue;
    size_t bytes = part(p, g, i, &at);
    send_to(c, g->member[i], (const char *)in + at, bytes);
  }
  gs_mpi_unlock(c->w);
  GS_TRY(publish(c, in, out, e));
  for (int i = 0, l = 0; i < g->n; i++) {
    if (!is_local(c, g->member[i])) continue;
    const void *from = c->rendezvous ? c->rendezvous->in[l] : in;
    l++;
    c->at[i] = (const char *)from + mine;
    if (i != g->me) c->base.wire_bytes += part(p, g, i, &at);
  }
  GS_TRY(settle(c, e));
  size_t size = gs_span(p->t, 1);
  return gs_reduce_many(p->t, r, g->n, c->at, to, (int64_t)(my_bytes / size),
                        e);
}

static gs_status reduce_scatter(gs_comm *base, const gs_group *g,
                                const void *in, void *out, int64_t count,
                                gs_dtype t, gs_reduce r, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  parts p = {.count = count, .t = t};
  GS_TRY(reduce_parts(c, g, &p, r, in, out, out, e));
  return meet(c, e);
}

/* Members hold their parts of out; everybody gets all of them. */
static gs_status gather_parts(mpi_comm *c, const gs_group *g, const parts *p,
                              void *out, gs_err *e) {
  size_t at, mine, my_bytes = part(p, g, g->me, &mine);
  gs_mpi_lock(c->w);
  for (int k = 1; k < g->n; k++) {
    int i = (g->me + k) % g->n, j = (g->me + g->n - k) % g->n;
    if (!is_local(c, g->member[j])) {
      size_t bytes = part(p, g, j, &at);
      recv_from(c, g->member[j], (char *)out + at, bytes);
    }
    if (!is_local(c, g->member[i]))
      send_to(c, g->member[i], (char *)out + mine, my_bytes);
  }
  gs_mpi_unlock(c->w);
  for (int i = 0, l = 0; i < g->n; i++) {
    if (!is_local(c, g->member[i])) continue;
    size_t bytes = part(p, g, i, &at);
    if (i != g->me) {
      memcpy((char *)out + at, (const char *)c->rendezvous->out[l] + at, bytes);
      c->base.wire_bytes += my_bytes;
    }
    l++;
  }
  return settle(c, e);
}

/* Every member gets all of in and combines it itself. */
static gs_status reduce_small(mpi_comm *c, const gs_group *g, const void *in,
                              void *out, int64_t count, gs_dtype t,
                              gs_reduce r, gs_err *e) {
  size_t bytes = gs_span(t, count);
  _Alignas(64) char whole[SMALL];
  find_local(c, g);
  char *got = need_scratch(c, SMALL * (size_t)g->n);
  gs_mpi_lock(c->w);
  for (int k = 1; k < g->n; k++) {
    int i = (g->me + k) % g->n;
    if (is_local(c, g->member[i])) continue;
    recv_from(c, g->member[i], got + SMALL * (size_t)i, bytes);
    send_to(c, g->member[i], in, bytes);
  }
  gs_mpi_unlock(c->w);
  GS_TRY(publish(c, in, out, e));
  for (int i = 0, l = 0; i < g->n; i++) {
    if (!is_local(c, g->member[i])) c->at[i] = got + SMALL * (size_t)i;
    else c->at[i] = c->rendezvous ? c->rendezvous->in[l++] : in;
    if (is_local(c, g->member[i]) && i != g->me) c->base.wire_bytes += bytes;
  }
  GS_TRY(settle(c, e));
  GS_TRY(gs_reduce_many(t, r, g->n, c->at, whole, count, e));
  GS_TRY(meet(c, e));
  memcpy(out, whole, bytes);
  return GS_OK;
}

static gs_status all_reduce(gs_comm *base, const gs_group *g, const void *in,
                            void *out, int64_t count, gs_dtype t, gs_reduce r,
                            gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  size_t bytes = gs_span(t, count);
  if (bytes <= SMALL) return reduce_small(c, g, in, out, count, t, r, e);
  parts p = {.total = count, .count = -1, .t = t};
  size_t at;
  part(&p, g, g->me, &at);
  GS_TRY(reduce_parts(c, g, &p, r, in, out, (char *)out + at, e));
  GS_TRY(meet(c, e));
  GS_TRY(gather_parts(c, g, &p, out, e));
  return meet(c, e);
}

static gs_status permute(gs_comm *base, int64_t to, int64_t from,
                         const void *in, void *out, size_t bytes, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  gs_team *t = c->me.team;
  int64_t me = base->position;
  gs_mpi_lock(c->w);
  if (!is_local(c, from)) recv_from(c, from, out, bytes);
  if (!is_local(c, to)) send_to(c, to, in, bytes);
  gs_mpi_unlock(c->w);
  if (to != me && is_local(c, to)) {
    gs_team_post(t, me, to, in);
    base->wire_bytes += bytes;
  }
  if (from == me) memcpy(out, in, bytes);
  else if (is_local(c, from)) GS_TRY(gs_team_take(t, me, from, out, bytes, e));
  GS_TRY(settle(c, e));
  return gs_team_sent(t, me, e);
}

static gs_status barrier(gs_comm *base, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  gs_team *t = c->me.team;
  int64_t *all = (int64_t *)need_scratch(c, (size_t)t->n * sizeof *all);
  for (int64_t i = 0; i < t->n; i++) all[i] = t->first + i;
  gs_rendezvous *m = gs_team_rendezvous(&c->me, all, (int)t->n);
  GS_TRY(gs_team_meet(t, m, e));
  if (base->position == t->first) {
    gs_mpi_lock(c->w);
    MPI_Ibarrier(c->w->data, new_request(c, -1));
    gs_mpi_unlock(c->w);
    GS_TRY(settle(c, e));
  }
  return gs_team_meet(t, m, e);
}

static void fail(gs_comm *base) {
  gs_team_fail(((mpi_comm *)base)->me.team);
}

static const gs_comm_ops mpi_ops = {
    .name = "mpi",
    .all_gather = all_gather,
    .all_to_all = all_to_all,
    .all_reduce = all_reduce,
    .reduce_scatter = reduce_scatter,
    .permute = permute,
    .barrier = barrier,
    .fail = fail,
};

gs_status gs_comm_mpi(gs_world *base, gs_team *t, gs_arena *a,
                      int64_t position, int64_t ndevice, gs_comm **out,
                      gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  if (t->n > 1 && w->level < MPI_THREAD_SERIALIZED)
    return gs_fail(e, GS_UNSUPPORTED, NULL,
                   "this MPI is not thread-safe: start one rank per device "
                   "(%lld)",
                   (long long)ndevice);
  if (t->n * t->n - 1 > w->most_tag)
    return gs_fail(e, GS_UNSUPPORTED, NULL,
                   "%lld devices on one rank are more than this MPI's tags "
                   "allow",
                   (long long)t->n);
  mpi_comm *c = GS_NEW(a, mpi_comm);
  c->base.ops = &mpi_ops;
  c->base.position = position;
  c->base.ndevice = ndevice;
  c->me.team = t;
  c->me.arena = a;
  c->w = w;
  c->arena = a;
  c->each = t->n;
  *out = &c->base;
  return GS_OK;
}

#endif
