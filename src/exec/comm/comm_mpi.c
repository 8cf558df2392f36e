/* Transfers between devices that MPI ranks host: through shared memory, as in
 * comm_thread.c, with those that are near, and by messages with the others.
 * Near are devices of the same rank and of ranks that have memory in common
 * (commons.h).  One thread at a time calls MPI. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_MPI
#include "exec/comm/world_mpi.h"

#include <sched.h>
#include <string.h>

#include "base/assert.h"
#include "base/data/cpus.h"
#include "base/data/hash.h"

enum { POLLS = 64 };

/* How often the caller has met certain members. */
typedef struct counter {
  uint64_t members; /* their hash */
  uint64_t n;
} counter;

typedef struct mpi_transfer mpi_transfer;

typedef struct mpi_comm {
  gs_comm base;
  gs_member me;
  mpi_world *w;
  int64_t each;          /* devices per rank */
  GS_VEC(int) noted;     /* ranks that the talk knows this device to wait for */
  gs_trays landing;      /* for what is wanted nowhere in particular */
  gs_trays copy, shared; /* for what is put: here; in the commons */
  uint32_t *out, *in; /* [ndevice] transfers made so far in which the caller
                         sends to, or receives from, that device */
  uint64_t made;      /* which of this rank's communicators this is */
  GS_VEC(counter) met;
  gs_waiter waiter;   /* for the commons; the first of the next three: */
  mpi_transfer *late; /* what is waited for, and whether it is noted */
  bool is_noted;
} mpi_comm;

struct mpi_transfer {
  gs_transfer base;
  int *out, *in; /* [n] tags of what the caller sends and receives */
  GS_VEC(MPI_Request) request;
  GS_VEC(int) peer; /* ranks of these messages */
  int landing;      /* 1 + which of the communicator's; 0: none */
  int *seat;        /* [n] index of a member among the near ones, or -1 */
  int nnear;        /* these */
  bool shared;      /* some of them are in other ranks */
  bool lost;        /* there was no room for the meeting */
  gs_visit visit;   /* of them, where they are more than the caller */
  bool again;       /* it meets again to end */
  gs_pairing pair;
  bool pair_shared[2]; /* out, in */
};

static mpi_comm *comm_of(const mpi_transfer *t) {
  return (mpi_comm *)t->base.comm;
}

/* ---- messages ---- */

/* The tag of the k-th transfer in which device `from` sends to `to`: both
 * count alike.  Where tags are used again, messages are told apart by their
 * order. */
static int tag_of(const mpi_comm *c, int64_t from, int64_t to, uint32_t k) {
  int64_t pairs = c->each * c->each;
  int64_t kinds = ((int64_t)c->w->most_tag + 1) / pairs;
  gs_assert(kinds > 0);
  return (int)(from % c->each * c->each + to % c->each + k % kinds * pairs);
}

static MPI_Request *new_request(mpi_transfer *t, int peer) {
  *gs_push(t->base.comm->arena, &t->peer) = peer;
  return gs_push(t->base.comm->arena, &t->request);
}

static void send_to(mpi_transfer *t, int i, const void *p, size_t n) {
  const mpi_comm *c = comm_of(t);
  int rank = (int)(t->base.group.member[i] / c->each);
  for (size_t at = 0; at < n; at += c->w->chunk) {
    size_t part = n - at < c->w->chunk ? n - at : c->w->chunk;
    MPI_Isend((const char *)p + at, (int)part, MPI_BYTE, rank, t->out[i],
              c->w->data, new_request(t, rank));
  }
}

static void recv_from(mpi_transfer *t, int i, void *p, size_t n) {
  const mpi_comm *c = comm_of(t);
  int rank = (int)(t->base.group.member[i] / c->each);
  for (size_t at = 0; at < n; at += c->w->chunk) {
    size_t part = n - at < c->w->chunk ? n - at : c->w->chunk;
    MPI_Irecv((char *)p + at, (int)part, MPI_BYTE, rank, t->in[i], c->w->data,
              new_request(t, rank));
  }
}

/* ---- waiting ---- */

/* Of which near members that are in other ranks it is not known that they have
 * come. */
static void note_near(mpi_comm *c, const mpi_transfer *t) {
  const gs_group *g = &t->base.group;
  for (int i = 0; i < g->n; i++) {
    int rank = (int)(g->member[i] / c->each);
    bool other = t->seat[i] >= 0 && rank != c->w->base.rank;
    if (other && t->visit.at && gs_visit_came(&t->visit, t->seat[i]))
      other = false;
    if (other) *gs_push(c->base.arena, &c->noted) = rank;
  }
}

/* Tells the talk for which ranks this device waits: those of messages that
 * have not come, and where it meets others (`meets`) those. */
static void note(mpi_comm *c, mpi_transfer *t, bool meets) {
  gs_mpi_lock(c->w);
  c->noted.n = 0;
  if (meets) note_near(c, t);
  for (int i = 0; i < t->request.n; i++) {
    int done;
    MPI_Test(&t->request.at[i], &done, MPI_STATUS_IGNORE);
    if (!done) *gs_push(c->base.arena, &c->noted) = t->peer.at[i];
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
                          : gs_world_name(c->base.arena, &c->w->base, peer));
}

/* Waits for all messages of the transfer. */
static gs_status settle(mpi_transfer *x, gs_err *e) {
  mpi_comm *c = comm_of(x);
  gs_team *t = c->me.team;
  gs_patience patience = {0};
  gs_status s = GS_OK;
  bool noted = false;
  if (!x->request.n) return GS_OK;
  for (unsigned polls = 1; !s; polls++) {
    int done;
    gs_mpi_lock(c->w);
    MPI_Testall(x->request.n, x->request.at, &done, c->w->no_status);
    gs_mpi_unlock(c->w);
    if (done) break;
    if (atomic_load_explicit(&t->failed, memory_order_relaxed))
      s = gs_waiter_lost(e);
    if (s || polls <= POLLS) continue;
    sched_yield();
    double waited = gs_waited(&patience);
    bool late = t->timeout > 0 && waited > t->timeout;
    if (!noted && (late || waited > GS_NOTED_AFTER)) {
      note(c, x, false);
      noted = true;
    }
    if (late) s = waited_for(c, e);
  }
  if (s && !noted) note(c, x, false);
  if (s) return s;
  if (noted) unnote(c);
  x->request.n = x->peer.n = 0;
  return GS_OK;
}

/* Before a device sleeps that waits for near ones: MPI goes on, and the talk is
 * told. */
static gs_status is_late(const gs_waiter *w, double waited, gs_err *e) {
  mpi_comm *c = (mpi_comm *)((uintptr_t)w - offsetof(mpi_comm, waiter));
  mpi_transfer *x = c->late;
  int done;
  if (x->request.n) {
    gs_mpi_lock(c->w);
    MPI_Testall(x->request.n, x->request.at, &done, c->w->no_status);
    gs_mpi_unlock(c->w);
  }
  bool late = w->timeout > 0 && waited > w->timeout;
  if (!c->is_noted && (late || waited > GS_NOTED_AFTER)) {
    note(c, x, true);
    c->is_noted = true;
  }
  return late ? waited_for(c, e) : GS_OK;
}

/* Waits at a meeting of near devices, of a group or a pair. */
static gs_waiter *waiter_of(mpi_transfer *x, bool shared) {
  mpi_comm *c = comm_of(x);
  if (!shared) return &c->me.team->waiter;
  c->late = x;
  return &c->waiter;
}

/* After waits; a failure stays noted, so that others know whom to blame. */
static gs_status waited(mpi_transfer *x, gs_status s) {
  mpi_comm *c = comm_of(x);
  if (s && !c->is_noted && x->shared) note(c, x, true);
  if (!s && c->is_noted) unnote(c);
  c->is_noted = false;
  return s;
}

/* ---- groups ---- */

static int rank_of(const mpi_comm *c, int64_t p) { return (int)(p / c->each); }

static bool is_local(const mpi_comm *c, int64_t p) {
  return rank_of(c, p) == c->w->base.rank;
}

static bool is_near(const mpi_comm *c, int64_t p) {
  return is_local(c, p) || gs_commons_has(c->w->commons, rank_of(c, p));
}

/* The meeting of these near devices for the caller's next transfer between
 * them. */
static gs_meeting *meeting_of(mpi_transfer *t, const int64_t *member, int n,
                              bool *shared) {
  mpi_comm *c = comm_of(t);
  *shared = false;
  for (int i = 0; i < n; i++) *shared |= !is_local(c, member[i]);
  if (!*shared) return gs_team_meeting(&c->me, member, n);
  size_t bytes = (size_t)n * sizeof *member;
  uint64_t hash = gs_hash(member, bytes, 0), key[2];
  counter *met = NULL;
  for (int i = 0; i < c->met.n && !met; i++)
    if (c->met.at[i].members == hash) met = &c->met.at[i];
  if (!met) {
    met = gs_push(c->base.arena, &c->met);
    *met = (counter){hash, 0};
  }
  uint64_t which[2] = {c->made, met->n++};
  key[0] = gs_hash(member, bytes, gs_hash(which, sizeof which, 1));
  key[1] = gs_hash(member, bytes, gs_hash(which, sizeof which, 2));
  gs_meeting *m = gs_commons_meeting(c->w->commons, key, n);
  t->lost |= !m;
  return m;
}

/* Finds the members that are near. */
static void find_near(mpi_transfer *t) {
  mpi_comm *c = comm_of(t);
  const gs_group *g = &t->base.group;
  int64_t *near = GS_NEWS(c->base.arena, g->n, int64_t);
  int64_t me = c->base.position;
  t->seat = GS_NEWS(c->base.arena, g->n, int);
  for (int i = 0; i < g->n; i++) {
    bool here = is_near(c, g->member[i]);
    t->seat[i] = here ? t->nnear : -1;
    if (here) near[t->nnear++] = g->member[i];
  }
  gs_assert(g->me < 0 || t->seat[g->me] >= 0);
  if (g->me >= 0) {
    t->visit.me = t->seat[g->me];
    if (t->nnear > 1)
      t->visit.at = meeting_of(t, near, t->nnear, &t->shared);
    return;
  }
  int64_t out[2] = {me, g->member[0]}, in[2] = {g->member[1], me};
  t->pair.in.me = 1;
  if (out[1] != me && t->seat[0] >= 0)
    t->pair.out.at = meeting_of(t, out, 2, &t->pair_shared[0]);
  if (in[0] != me && t->seat[1] >= 0)
    t->pair.in.at = meeting_of(t, in, 2, &t->pair_shared[1]);
  t->shared = t->pair_shared[0] || t->pair_shared[1];
}

static void make(gs_transfer *base) {
  mpi_transfer *t = (mpi_transfer *)base;
  mpi_comm *c = comm_of(t);
  const gs_group *g = &base->group;
  int64_t me = c->base.position;
  find_near(t);
  t->out = GS_NEWS(c->base.arena, g->n, int);
  t->in = GS_NEWS(c->base.arena, g->n, int);
  for (int i = 0; i < g->n; i++) {
    int64_t p = g->member[i];
    if (g->me >= 0 || i == 0) t->out[i] = tag_of(c, me, p, c->out[p]++);
    if (g->me >= 0 || i == 1) t->in[i] = tag_of(c, p, me, c->in[p]++);
  }
}

/* ---- transfers ---- */

/* A transfer has its landing until its next start or end. */
static void leave_landing(mpi_transfer *t) {
  gs_tray_leave(&comm_of(t)->landing, &t->landing);
}

static char *land(mpi_transfer *t, size_t n) {
  gs_trays *all = &comm_of(t)->landing;
  gs_assert(!t->landing);
  t->landing = gs_tray_take(all, n);
  return gs_tray_at(all, t->landing);
}

/* Gives every piece of another rank a place; those without one lie in a
 * landing. */
static void place_wants(mpi_transfer *t) {
  gs_transfer *base = &t->base;
  size_t slot = 0, at = 0;
  int n = 0;
  for (int i = 0; i < base->group.n; i++) {
    const gs_want *want = &base->want[i];
    if (t->seat[i] >= 0 || want->to || !want->bytes) continue;
    n++;
    if (want->bytes > slot) slot = want->bytes;
  }
  slot = (slot + 63) / 64 * 64;
  char *all = slot ? land(t, slot * (size_t)n) : NULL;
  for (int i = 0; i < base->group.n; i++) {
    const gs_want *want = &base->want[i];
    if (t->seat[i] >= 0) continue;
    base->got[i] = want->to;
    if (want->to || !want->bytes) continue;
    base->got[i] = all + at;
    at += slot;
  }
}

/* Messages to and from other ranks; each member begins with another peer. */
static void post(mpi_transfer *t) {
  const gs_transfer *base = &t->base;
  const gs_group *g = &base->group;
  const gs_piece *put = base->put[base->round];
  int me = g->me < 0 ? 0 : g->me;
  gs_mpi_lock(comm_of(t)->w);
  for (int k = 0; k < g->n; k++) {
    int j = (me + g->n - k) % g->n;
    if (t->seat[j] < 0)
      recv_from(t, j, (void *)(uintptr_t)base->got[j], base->want[j].bytes);
  }
  for (int k = 0; k < g->n; k++) {
    int i = (me + k) % g->n;
    if (t->seat[i] < 0) send_to(t, i, put[i].at, put[i].bytes);
  }
  gs_mpi_unlock(comm_of(t)->w);
}

static gs_trays *pool_of(mpi_transfer *t, bool shared) {
  return shared ? &comm_of(t)->shared : &comm_of(t)->copy;
}

static gs_status start(gs_transfer *base, gs_err *e) {
  mpi_transfer *t = (mpi_transfer *)base;
  const gs_piece *put = base->put[base->round];
  gs_assert(!t->request.n);
  if (t->lost)
    return gs_fail(e, GS_RESOURCE, NULL,
                   "too many collectives between the ranks of a host");
  leave_landing(t);
  base->kept = true;
  if (t->nnear < base->group.n) {
    place_wants(t);
    post(t);
  }
  if (base->group.me < 0)
    return gs_pairing_start(&t->pair, put, pool_of(t, t->pair_shared[0]),
                            &base->kept, e);
  if (!t->visit.at) return GS_OK;
  return gs_visit_show(&t->visit, put, t->seat, base->group.n,
                       pool_of(t, t->shared), &base->kept, e);
}

/* A piece of device p, as the caller sees it. */
static const void *seen(const mpi_transfer *t, int64_t p, bool shared,
                        const gs_piece *piece) {
  const mpi_comm *c = comm_of(t);
  if (!shared || !piece->bytes) return piece->at;
  return gs_commons_see(c->w->commons, rank_of(c, p), piece->at);
}

/* Copies what near members have. */
static gs_status take_near(mpi_transfer *t, gs_err *e) {
  gs_transfer *base = &t->base;
  const gs_group *g = &base->group;
  t->again = false;
  if (t->visit.at)
    GS_TRY(waited(t, gs_visit_await(&t->visit, waiter_of(t, t->shared), e)));
  for (int k = 0; k < g->n; k++) {
    int i = (g->me + k) % g->n; /* not all at the same peer */
    if (t->seat[i] < 0) continue;
    const gs_piece *piece = &base->put[base->round][g->me];
    const gs_sheet *sheet =
        t->visit.at ? gs_visit_sheet(&t->visit, t->seat[i]) : NULL;
    if (sheet) t->again |= !sheet->kept;
    if (i != g->me) piece = &sheet->piece[t->seat[g->me]];
    const gs_want *want = &base->want[i];
    gs_assert(piece->bytes == want->bytes);
    const void *at = seen(t, g->member[i], t->shared && i != g->me, piece);
    base->got[i] = want->to ? want->to : at;
    if (want->to && want->bytes) memcpy(want->to, at, want->bytes);
  }
  return GS_OK;
}

/* Member 1's piece of a pair, if it is near. */
static gs_status take_pair(mpi_transfer *t, gs_err *e) {
  const gs_transfer *base = &t->base;
  const gs_want *want = &base->want[1];
  const gs_piece *piece = &base->put[0][0]; /* of a device with itself */
  bool self = base->group.member[1] == base->comm->position;
  bool shared = t->pair_shared[1];
  if (t->pair.in.at)
    GS_TRY(waited(t, gs_pairing_await(&t->pair, waiter_of(t, shared), &piece,
                                      e)));
  else if (!self)
    return GS_OK;
  gs_assert(piece->bytes == want->bytes);
  if (want->bytes)
    memcpy(want->to, seen(t, base->group.member[1], shared, piece),
           want->bytes);
  return GS_OK;
}

static gs_status wait(gs_transfer *base, gs_err *e) {
  mpi_transfer *t = (mpi_transfer *)base;
  GS_TRY(base->group.me < 0 ? take_pair(t, e) : take_near(t, e));
  return settle(t, e);
}

static gs_status end(gs_transfer *base, gs_err *e) {
  mpi_transfer *t = (mpi_transfer *)base;
  gs_waiter *w = waiter_of(t, t->shared);
  leave_landing(t);
  if (base->group.me < 0)
    return waited(t, gs_pairing_end(&t->pair, w, pool_of(t, t->pair_shared[0]),
                                    e));
  if (!t->again) return GS_OK;
  return waited(t, gs_visit_end(&t->visit, w, pool_of(t, t->shared), e));
}

/* ---- memory ---- */

/* Until the world ends: others may be slow to read the last copies. */
static void *take_room(void *of, size_t bytes) {
  return gs_commons_take(of, bytes);
}

static bool is_seen(void *of, const void *p, size_t n) {
  return gs_commons_holds(of, p, n);
}

typedef struct lent {
  mpi_world *w;
  void *at;
} lent;

static void give_back(void *p) {
  lent *l = p;
  if (l->w->commons) gs_commons_give(l->w->commons, l->at);
}

/* What lies there when its readers have met again is free: device memory, not
 * copies that are kept. */
static void *memory(gs_comm *base, size_t bytes) {
  mpi_comm *c = (mpi_comm *)base;
  if (!c->w->commons) return NULL;
  lent *l = GS_NEW(base->arena, lent);
  *l = (lent){c->w, gs_commons_take(c->w->commons, bytes)};
  if (l->at) gs_arena_at_end(base->arena, give_back, l);
  return l->at;
}

static void fail(gs_comm *base) {
  gs_team_fail(((mpi_comm *)base)->me.team);
}

static const gs_comm_ops mpi_ops = {.name = "mpi",
                                    .size = sizeof(mpi_transfer),
                                    .make = make,
                                    .start = start,
                                    .wait = wait,
                                    .end = end,
                                    .fail = fail,
                                    .memory = memory};

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
  c->each = t->n;
  c->out = GS_NEWS(a, ndevice, uint32_t);
  c->in = GS_NEWS(a, ndevice, uint32_t);
  w->made += position == t->first;
  c->made = w->made;
  c->landing = c->copy = gs_trays_in(a);
  c->shared = (gs_trays){{take_room, is_seen, w->commons}, a, {0}};
  c->waiter = t->waiter;
  c->waiter.late = is_late;
  c->waiter.nap = w->commons && gs_commons_count(w->commons) < base->nrank
                      ? 0.0005
                      : t->waiter.nap;
  gs_cpus cpus = gs_cpus_allowed(a);
  gs_waiter_spin(&c->waiter, t->n * base->nsharer, gs_cpus_count(&cpus));
  *out = &c->base;
  return GS_OK;
}

#endif
