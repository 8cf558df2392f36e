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

/* Memory for what is wanted nowhere in particular. */
typedef struct landing {
  char *at;
  size_t size;
  bool taken;
} landing;

typedef struct mpi_comm {
  gs_comm base;
  gs_member me;
  mpi_world *w;
  int64_t each;          /* devices per rank */
  GS_VEC(int) noted;     /* ranks that the talk knows this device to wait for */
  GS_VEC(landing) landing;
  uint32_t *out, *in; /* [ndevice] transfers made so far in which the caller
                         sends to, or receives from, that device */
} mpi_comm;

typedef struct mpi_transfer {
  gs_transfer base;
  int *out, *in; /* [n] tags of what the caller sends and receives */
  GS_VEC(MPI_Request) request;
  GS_VEC(int) peer;  /* ranks of these messages */
  int landing;       /* 1 + which of the communicator's; 0: none */
  int *seat;         /* [n] index of a member among those of this rank, or -1 */
  int nlocal;        /* these */
  gs_rendezvous *rendezvous; /* of them; NULL: only the caller */
  uint32_t turn;     /* of it, when the caller came */
  gs_pairing pair;
} mpi_transfer;

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

/* Tells the talk for which ranks this device waits: those of messages that
 * have not come. */
static void note(mpi_comm *c, mpi_transfer *t) {
  gs_mpi_lock(c->w);
  c->noted.n = 0;
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
  for (unsigned polls = 1; !s; polls++) {
    int done;
    gs_mpi_lock(c->w);
    MPI_Testall(x->request.n, x->request.at, &done, c->w->no_status);
    gs_mpi_unlock(c->w);
    if (done) break;
    if (atomic_load_explicit(&t->failed, memory_order_relaxed))
      s = gs_team_lost(e);
    if (s || polls <= POLLS) continue;
    sched_yield();
    double waited = gs_waited(&patience);
    bool late = t->timeout > 0 && waited > t->timeout;
    if (!noted && (late || waited > GS_NOTED_AFTER)) {
      note(c, x);
      noted = true;
    }
    if (late) s = waited_for(c, e);
  }
  if (s && !noted) note(c, x);
  if (s) return s;
  if (noted) unnote(c);
  x->request.n = x->peer.n = 0;
  return GS_OK;
}

/* ---- groups ---- */

static bool is_local(const mpi_comm *c, int64_t p) {
  return p / c->each == c->base.position / c->each;
}

/* Finds the members that this rank hosts. */
static void find_local(mpi_transfer *t) {
  mpi_comm *c = comm_of(t);
  const gs_group *g = &t->base.group;
  int64_t *local = GS_NEWS(c->base.arena, g->n, int64_t);
  t->seat = GS_NEWS(c->base.arena, g->n, int);
  for (int i = 0; i < g->n; i++) {
    bool here = is_local(c, g->member[i]);
    t->seat[i] = here ? t->nlocal : -1;
    if (here) local[t->nlocal++] = g->member[i];
  }
  gs_assert(g->me < 0 || t->seat[g->me] >= 0);
  if (g->me < 0)
    gs_pairing_make(&t->pair, &c->me, c->base.position, g->member[0],
                    g->member[1]);
  else if (t->nlocal > 1)
    t->rendezvous = gs_team_rendezvous(&c->me, local, t->nlocal);
}

static void make(gs_transfer *base) {
  mpi_transfer *t = (mpi_transfer *)base;
  mpi_comm *c = comm_of(t);
  const gs_group *g = &base->group;
  int64_t me = c->base.position;
  find_local(t);
  t->out = GS_NEWS(c->base.arena, g->n, int);
  t->in = GS_NEWS(c->base.arena, g->n, int);
  for (int i = 0; i < g->n; i++) {
    int64_t p = g->member[i];
    if (g->me >= 0 || i == 0) t->out[i] = tag_of(c, me, p, c->out[p]++);
    if (g->me >= 0 || i == 1) t->in[i] = tag_of(c, p, me, c->in[p]++);
  }
}

/* ---- transfers ---- */

/* The smallest free landing of n bytes; a transfer has it until its next start
 * or end. */
static char *land(mpi_transfer *t, size_t n) {
  mpi_comm *c = comm_of(t);
  gs_assert(!t->landing);
  for (int i = 0; i < c->landing.n; i++) {
    const landing *x = &c->landing.at[i];
    if (x->taken || x->size < n) continue;
    if (!t->landing || x->size < c->landing.at[t->landing - 1].size)
      t->landing = i + 1;
  }
  if (!t->landing) {
    *gs_push(c->base.arena, &c->landing) =
        (landing){.at = gs_alloc(c->base.arena, n), .size = n};
    t->landing = c->landing.n;
  }
  landing *x = &c->landing.at[t->landing - 1];
  x->taken = true;
  return x->at;
}

static void leave_landing(mpi_transfer *t) {
  if (t->landing) comm_of(t)->landing.at[t->landing - 1].taken = false;
  t->landing = 0;
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

static gs_status start(gs_transfer *base, gs_err *e) {
  mpi_transfer *t = (mpi_transfer *)base;
  const gs_piece *put = base->put[base->round];
  (void)e;
  gs_assert(!t->request.n);
  leave_landing(t);
  place_wants(t);
  post(t);
  if (base->group.me < 0) gs_pairing_start(&t->pair, put);
  else if (t->rendezvous)
    t->turn = gs_team_show(t->rendezvous, t->seat[base->group.me],
                           base->round, put);
  return GS_OK;
}

/* Copies what members in this rank have. */
static gs_status take_local(mpi_transfer *t, gs_err *e) {
  gs_transfer *base = &t->base;
  const gs_group *g = &base->group;
  if (t->rendezvous)
    GS_TRY(gs_team_await(comm_of(t)->me.team, t->rendezvous, t->turn, e));
  for (int i = 0; i < g->n; i++) {
    if (t->seat[i] < 0) continue;
    const gs_piece *list = t->rendezvous
                               ? t->rendezvous->put[base->round][t->seat[i]]
                               : base->put[base->round];
    const gs_want *want = &base->want[i];
    gs_assert(list[g->me].bytes == want->bytes);
    base->got[i] = want->to ? want->to : list[g->me].at;
    if (want->to && want->bytes) memcpy(want->to, list[g->me].at, want->bytes);
  }
  return GS_OK;
}

/* Member 1's piece of a pair, if it is of this rank. */
static gs_status take_pair(mpi_transfer *t, gs_err *e) {
  const gs_transfer *base = &t->base;
  const gs_want *want = &base->want[1];
  if (base->group.member[1] != base->comm->position)
    return gs_pairing_wait(&t->pair, comm_of(t)->me.team, want, e);
  if (want->bytes) memcpy(want->to, base->put[0][0].at, want->bytes);
  return GS_OK;
}

static gs_status wait(gs_transfer *base, gs_err *e) {
  mpi_transfer *t = (mpi_transfer *)base;
  GS_TRY(base->group.me < 0 ? take_pair(t, e) : take_local(t, e));
  return settle(t, e);
}

static gs_status end(gs_transfer *base, gs_err *e) {
  mpi_transfer *t = (mpi_transfer *)base;
  gs_team *team = comm_of(t)->me.team;
  leave_landing(t);
  if (base->group.me < 0) return gs_pairing_end(&t->pair, team, e);
  return t->rendezvous ? gs_team_meet(team, t->rendezvous, e) : GS_OK;
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
  c->each = t->n;
  c->out = GS_NEWS(a, ndevice, uint32_t);
  c->in = GS_NEWS(a, ndevice, uint32_t);
  *out = &c->base;
  return GS_OK;
}

#endif
