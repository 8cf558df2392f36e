/* Collectives between devices: microseconds and ratios.
 *
 * Without arguments devices are threads, and the peer is memcpy: every device
 * copies as many bytes as the collective leaves it.  Under mpirun each rank has
 * one device, and the peer is the MPI library's own collective in the same job.
 *
 * Method: ours and the peer's run in turns, for at least 5 ms each; printed are
 * the least and the median of eleven rounds, and the median of the peer's time
 * by ours (above 1: ours is faster).  BYTES is what an all-reduce, a broadcast
 * and a permutation hold, what all-to-all and reduce-scatter begin with and
 * what an all-gather ends with.  Before each call a device writes what it
 * begins with, as a program does; the time that this takes alone is taken off.
 * With -n nothing is written.
 * usage: collectives [-n] [-d DEVICES,..] [-b BYTES,..] [NAME]...            */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/clock.h"
#include "exec/comm/world.h"
#include "exec/data/aligned.h"
#ifdef HAVE_MPI
#include "exec/comm/world_mpi.h"
#endif

enum { MOST = 64, ROUNDS = 11, LISTED = 32 };

typedef struct device {
  gs_arena arena;
  gs_comm *comm;
  gs_group group;
  pthread_t thread;
  bool ranks;       /* the peer is MPI */
  char *in, *out;   /* of the most bytes */
  gs_transfer *t;   /* of the collective being measured */
  size_t bytes;
  void (*fn)(struct device *d); /* the collective */
  int turn;
} device;

static bool idle; /* nothing is written between the calls */

static size_t sizes[LISTED] = {4096,   16384,   32768,   65536,
                               262144, 1 << 20, 16 << 20};
static int nsize = 7;
static size_t most = 16 << 20;

static void must(gs_status s) {
  if (!s) return;
  fprintf(stderr, "collectives: %s\n", gs_status_text(s));
  exit(1);
}

/* ---- what is measured ---- */

static gs_reduction reduction(const device *d, int parts) {
  int64_t n = (int64_t)(d->bytes / sizeof(float)) / parts;
  return (gs_reduction){d->in, d->out, n, GS_FLOAT, GS_REDUCE_MAX};
}

static void all_reduce(device *d) {
  gs_reduction r = reduction(d, 1);
  must(gs_all_reduce_start(d->t, &r, NULL));
  must(gs_all_reduce_finish(d->t, &r, NULL));
}

static void reduce_scatter(device *d) {
  gs_reduction r = reduction(d, d->group.n);
  must(gs_reduce_scatter_start(d->t, &r, NULL));
  must(gs_reduce_scatter_finish(d->t, &r, NULL));
}

static void all_gather(device *d) {
  size_t part = d->bytes / (size_t)d->group.n;
  must(gs_all_gather_start(d->t, d->in, d->out, part, NULL));
  must(gs_transfer_finish(d->t, NULL));
}

static void all_to_all(device *d) {
  size_t part = d->bytes / (size_t)d->group.n;
  must(gs_all_to_all_start(d->t, d->in, d->out, part, NULL));
  must(gs_transfer_finish(d->t, NULL));
}

static void broadcast(device *d) {
  must(gs_broadcast_start(d->t, d->in, d->out, d->bytes, NULL));
  must(gs_broadcast_finish(d->t, d->out, d->bytes, NULL));
}

static void permute(device *d) {
  must(gs_permute_start(d->t, d->in, d->out, d->bytes, NULL));
  must(gs_transfer_finish(d->t, NULL));
}

/* What the device begins with, anew. */
static void write_in(device *d) {
  bool gathers = d->fn == all_gather;
  size_t n = gathers ? d->bytes / (size_t)d->group.n : d->bytes;
  memset(d->in, d->turn++ & 1, n);
  __asm__ volatile("" : : "r"(d->in) : "memory");
}

/* ---- the peers ---- */

/* What a device has in the end. */
static void copy(device *d, size_t bytes) {
  memcpy(d->out, d->in, bytes);
  __asm__ volatile("" : : "r"(d->out) : "memory");
}

#ifdef HAVE_MPI
static MPI_Comm mpi_data = MPI_COMM_NULL;
#define PEER(name, left, call)                                                 \
  static void peer_##name(device *d) {                                         \
    int all = (int)d->bytes, part = all / d->group.n;                          \
    (void)all, (void)part;                                                     \
    if (d->ranks) call;                                                        \
    else copy(d, left);                                                        \
  }
#else
#define PEER(name, left, call)                                                 \
  static void peer_##name(device *d) { copy(d, left); }
#endif
PEER(all_reduce, d->bytes,
     MPI_Allreduce(d->in, d->out, all / 4, MPI_FLOAT, MPI_MAX, mpi_data))
PEER(reduce_scatter, d->bytes / (size_t)d->group.n,
     MPI_Reduce_scatter_block(d->in, d->out, part / 4, MPI_FLOAT, MPI_MAX,
                              mpi_data))
PEER(all_gather, d->bytes,
     MPI_Allgather(d->in, part, MPI_BYTE, d->out, part, MPI_BYTE, mpi_data))
PEER(all_to_all, d->bytes,
     MPI_Alltoall(d->in, part, MPI_BYTE, d->out, part, MPI_BYTE, mpi_data))
PEER(broadcast, d->bytes, MPI_Bcast(d->out, all, MPI_BYTE, 0, mpi_data))
PEER(permute, d->bytes,
     MPI_Sendrecv(d->in, all, MPI_BYTE, (d->group.me + 1) % d->group.n, 0,
                  d->out, all, MPI_BYTE,
                  (d->group.me + d->group.n - 1) % d->group.n, 0, mpi_data,
                  MPI_STATUS_IGNORE))

typedef struct subject {
  const char *name;
  void (*ours)(device *d), (*peer)(device *d);
  bool pair;
} subject;

static const subject subjects[] = {
    {"all-reduce", all_reduce, peer_all_reduce, false},
    {"reduce-scatter", reduce_scatter, peer_reduce_scatter, false},
    {"all-gather", all_gather, peer_all_gather, false},
    {"all-to-all", all_to_all, peer_all_to_all, false},
    {"broadcast", broadcast, peer_broadcast, false},
    {"permute", permute, peer_permute, true},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };
static bool wanted[SUBJECTS];

/* ---- measuring ---- */

/* Seconds of a call, by n of them. */
static double repeat(device *d, void (*fn)(device *), int n) {
  double from = gs_now();
  for (int i = 0; i < n; i++) {
    if (!idle) write_in(d);
    if (fn) fn(d);
  }
  return (gs_now() - from) / n;
}

/* The largest x of all. */
static float agreed(gs_transfer *t, float x) {
  gs_reduction r = {&x, &x, 1, GS_FLOAT, GS_REDUCE_MAX};
  must(gs_all_reduce_start(t, &r, NULL));
  must(gs_all_reduce_finish(t, &r, NULL));
  return x;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *x) {
  qsort(x, ROUNDS, sizeof *x, by_size);
  return x[ROUNDS / 2];
}

static void measure(device *d, gs_transfer *all, const subject *s) {
  double ours[ROUNDS], peer[ROUNDS], ratio[ROUNDS];
  int64_t n = d->group.n, me = d->group.me;
  int64_t pair[2] = {(me + 1) % n, (me + n - 1) % n};
  gs_group two = {2, pair, -1};
  d->fn = s->ours;
  d->t = gs_transfer_new(d->comm, s->pair ? &two : &d->group);
  int count[2];
  for (int k = 0; k < 2; k++) {
    void (*fn)(device *) = k ? s->peer : s->ours;
    repeat(d, fn, 2);
    count[k] = (int)agreed(all, (float)(1 + 0.005 / repeat(d, fn, 3)));
    if (count[k] > 3000) count[k] = 3000;
  }
  for (int i = 0; i < ROUNDS; i++) {
    agreed(all, 0);
    ours[i] = repeat(d, s->ours, count[0]);
    agreed(all, 0);
    peer[i] = repeat(d, s->peer, count[1]);
    agreed(all, 0);
    double alone = idle ? 0 : repeat(d, NULL, count[0]);
    ours[i] -= alone;
    peer[i] -= alone;
    ratio[i] = peer[i] / ours[i];
  }
  if (me) return;
  double middle = median(ours), other = median(peer);
  printf("%-15s %d %9zu  ours %9.2f %9.2f  peer %9.2f %9.2f  ratio %5.2f"
         " (of the least %5.2f)\n",
         s->name, d->group.n, d->bytes, ours[0] * 1e6, middle * 1e6,
         peer[0] * 1e6, other * 1e6, median(ratio), peer[0] / ours[0]);
  fflush(stdout);
}

static void *on_thread(void *p) {
  device *d = p;
  char **buffer[2] = {&d->in, &d->out};
  for (int i = 0; i < 2; i++) { /* as devices have it */
    const gs_comm_ops *ops = d->comm->ops;
    *buffer[i] = ops->memory ? ops->memory(d->comm, most) : NULL;
    if (!*buffer[i]) *buffer[i] = gs_alloc64(&d->arena, most);
  }
  memset(d->in, 0, most);
  memset(d->out, 0, most);
  gs_transfer *all = gs_transfer_new(d->comm, &d->group);
  for (int s = 0; s < SUBJECTS; s++)
    for (int i = 0; i < nsize && wanted[s]; i++) {
      d->bytes = sizes[i];
      measure(d, all, &subjects[s]);
    }
  return NULL;
}

static void on_threads(int n) {
  device *d = calloc((size_t)n, sizeof *d);
  int64_t member[MOST];
  gs_team team;
  gs_team_init(&team, 0, n, 0);
  for (int i = 0; i < n; i++) member[i] = i;
  for (int i = 0; i < n; i++) {
    gs_arena_init(&d[i].arena);
    d[i].comm = gs_comm_thread(&team, &d[i].arena, i);
    d[i].group = (gs_group){n, member, i};
  }
  for (int i = 0; i < n; i++)
    if (pthread_create(&d[i].thread, NULL, on_thread, &d[i])) abort();
  for (int i = 0; i < n; i++) pthread_join(d[i].thread, NULL);
  gs_team_free(&team);
  for (int i = 0; i < n; i++) gs_arena_free(&d[i].arena);
  free(d);
}

static void on_ranks(void) {
  device d = {.ranks = true};
  gs_world *w;
  gs_team team;
  gs_arena_init(&d.arena);
  must(gs_world_init(&d.arena, 60, &w, NULL));
  must(gs_world_share(w, &d.arena, 0, NULL));
  gs_team_init(&team, w->rank, 1, 60);
  must(gs_comm_mpi(w, &team, &d.arena, w->rank, w->nrank, &d.comm, NULL));
  int64_t *member = GS_NEWS(&d.arena, w->nrank, int64_t);
  for (int i = 0; i < w->nrank; i++) member[i] = i;
  d.group = (gs_group){w->nrank, member, w->rank};
#ifdef HAVE_MPI
  MPI_Comm_dup(MPI_COMM_WORLD, &mpi_data);
#endif
  on_thread(&d);
  must(gs_world_finalize(w, NULL));
  gs_team_free(&team);
  gs_arena_free(&d.arena);
}

/* The numbers of a list, by commas. */
static int numbers(char *text, size_t *to) {
  int n = 0;
  for (char *p = strtok(text, ","); p && n < LISTED; p = strtok(NULL, ","))
    to[n++] = strtoul(p, NULL, 10);
  return n;
}

int main(int argc, char **argv) {
  size_t devices[LISTED] = {2, 4};
  int ndevice = 2, chosen = 0;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "-n")) idle = true;
    else if (!strcmp(argv[i], "-d") && i + 1 < argc)
      ndevice = numbers(argv[++i], devices);
    else if (!strcmp(argv[i], "-b") && i + 1 < argc)
      nsize = numbers(argv[++i], sizes);
    else {
      int s = 0;
      while (s < SUBJECTS && strcmp(argv[i], subjects[s].name) != 0) s++;
      if (s == SUBJECTS) {
        fprintf(stderr, "there is no '%s': see the head of collectives.c\n",
                argv[i]);
        return 64;
      }
      wanted[s] = ++chosen;
    }
  }
  for (int s = 0; s < SUBJECTS && !chosen; s++) wanted[s] = true;
  most = 4096;
  for (int i = 0; i < nsize; i++)
    if (sizes[i] > most) most = sizes[i];
  if (gs_world_launched()) on_ranks();
  else
    for (int i = 0; i < ndevice; i++)
      if (devices[i] > 1 && devices[i] <= MOST) on_threads((int)devices[i]);
  return 0;
}
