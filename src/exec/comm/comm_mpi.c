/* Transfers between devices that MPI ranks host: messages between ranks and,
 * within one, shared memory as in comm_thread.c.  One thread at a time calls
 * MPI. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_MPI
#include "exec/comm/world_mpi.h"

#include <sched.h>
#include <string.h>

#include "base/assert.h"

enum { POLLS = 64 };

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
  int64_t *local;   /* [room] members of the group in this rank */
  int room, nlocal, me_local;
  gs_rendezvous *rendezvous; /* of the local members; NULL: only the caller */
  uint32_t turn;    /* of it, when the caller came */
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
  if (c->room < g->n) {
    c->local = GS_NEWS(c->arena, g->n, int64_t);
    c->room = g->n;
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

static char *need_scratch(mpi_comm *c, size_t n) {
  if (c->scratch_size < n) {
    c->scratch = gs_alloc(c->arena, n);
    c->scratch_size = n;
  }
  return c->scratch;
}

/* ---- transfers ---- */

/* Gives every piece of another rank a place; those without one lie in the
 * scratch memory. */
static void place_wants(mpi_comm *c) {
  const gs_group *g = &c->base.group;
  size_t slot = 0, at = 0;
  for (int i = 0; i < g->n; i++)
    if (!c->base.want[i].to && c->base.want[i].bytes > slot)
      slot = c->base.want[i].bytes;
  slot = (slot + 63) / 64 * 64;
  char *all = slot ? need_scratch(c, slot * (size_t)g->n) : NULL;
  for (int i = 0; i < g->n; i++) {
    if (is_local(c, g->member[i])) continue;
    c->base.got[i] = c->base.want[i].to;
    if (c->base.want[i].to || !c->base.want[i].bytes) continue;
    c->base.got[i] = all + at;
    at += slot;
  }
}

/* Messages to and from other ranks; each member begins with another peer. */
static void post(mpi_comm *c) {
  const gs_group *g = &c->base.group;
  const gs_piece *put = c->base.put[c->base.round];
  int me = g->me < 0 ? 0 : g->me;
  gs_mpi_lock(c->w);
  for (int k = 0; k < g->n; k++) {
    int j = (me + g->n - k) % g->n;
    if (!is_local(c, g->member[j]))
      recv_from(c, g->member[j], (void *)(uintptr_t)c->base.got[j],
                c->base.want[j].bytes);
  }
  for (int k = 0; k < g->n; k++) {
    int i = (me + k) % g->n;
    if (!is_local(c, g->member[i]))
      send_to(c, g->member[i], put[i].at, put[i].bytes);
  }
  gs_mpi_unlock(c->w);
}

static gs_status start(gs_comm *base, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  const gs_group *g = &base->group;
  (void)e;
  place_wants(c);
  post(c);
  if (g->me < 0) {
    int64_t to = g->member[0];
    if (to != base->position && is_local(c, to))
      gs_team_post(c->me.team, base->position, to, base->put[0][0].at);
    return GS_OK;
  }
  find_local(c, g);
  if (!c->rendezvous) return GS_OK;
  c->rendezvous->put[base->round][c->me_local] = base->put[base->round];
  c->turn = gs_team_come(c->rendezvous);
  return GS_OK;
}

/* Copies what members in this rank have. */
static gs_status take_local(mpi_comm *c, gs_err *e) {
  gs_comm *base = &c->base;
  const gs_group *g = &base->group;
  if (c->rendezvous)
    GS_TRY(gs_team_await(c->me.team, c->rendezvous, c->turn, e));
  for (int i = 0, l = 0; i < g->n; i++) {
    if (!is_local(c, g->member[i])) continue;
    const gs_piece *list = c->rendezvous
                               ? c->rendezvous->put[base->round][l]
                               : base->put[base->round];
    const gs_want *want = &base->want[i];
    l++;
    gs_assert(list[g->me].bytes == want->bytes);
    base->got[i] = want->to ? want->to : list[g->me].at;
    if (want->to && want->bytes) memcpy(want->to, list[g->me].at, want->bytes);
  }
  return GS_OK;
}

/* Member 1's piece of a pair, if it is of this rank. */
static gs_status take_pair(mpi_comm *c, gs_err *e) {
  const gs_want *want = &c->base.want[1];
  int64_t me = c->base.position, from = c->base.group.member[1];
  if (!is_local(c, from)) return GS_OK;
  if (from != me)
    return gs_team_take(c->me.team, me, from, want->to, want->bytes, e);
  memcpy(want->to, c->base.put[0][0].at, want->bytes);
  return GS_OK;
}

static gs_status wait(gs_comm *base, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  GS_TRY(base->group.me < 0 ? take_pair(c, e) : take_local(c, e));
  return settle(c, e);
}

static gs_status end(gs_comm *base, gs_err *e) {
  mpi_comm *c = (mpi_comm *)base;
  if (base->group.me < 0) return gs_team_sent(c->me.team, base->position, e);
  return c->rendezvous ? gs_team_meet(c->me.team, c->rendezvous, e) : GS_OK;
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

static const gs_comm_ops mpi_ops = {.name = "mpi",
                                    .start = start,
                                    .wait = wait,
                                    .end = end,
                                    .barrier = barrier,
                                    .fail = fail};

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
  c->base.arena = a;
  c->me.team = t;
  c->me.arena = a;
  c->w = w;
  c->arena = a;
  c->each = t->n;
  *out = &c->base;
  return GS_OK;
}

#endif
