/* Regions are files without a name (memfd_create), which the others open by
 * way of /proc, and map as a whole.  A header says whose it is.  The region of
 * the first rank also has the meetings, in a table of offsets in which members
 * look for theirs and put it where it is not there. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_MPI
#include "exec/comm/world_mpi.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/data/pages.h"
#include "base/escape.h"

enum {
  HEAD = 4096,
  SLOTS = 1 << 18,         /* of the table */
  MEETINGS = 1 << 30,      /* bytes for header, table and meetings */
  LINE = 64
};

/* What a rank tells of its region. */
typedef struct card {
  uint64_t cookie, pid, size;
  const char *at; /* there */
  int32_t fd;     /* -1: there is none */
} card;

typedef struct head {
  uint64_t cookie;
  _Atomic uint64_t used; /* bytes of MEETINGS */
} head;

/* A piece of the region. */
typedef struct piece {
  size_t at, size;
  bool used;
} piece;

/* A rank that shares. */
typedef struct neighbour {
  int rank;
  char *here;        /* its region as this rank sees it */
  const char *there; /* as itself does */
  size_t size;
} neighbour;

struct gs_commons {
  gs_arena arena;
  card mine;
  char *region;
  int n, nrank;
  neighbour *at;  /* [n] ascending, this rank among them */
  int *of;        /* [nrank] 1 + which of these; 0: none */
  head *meetings; /* of the first */
  pthread_mutex_t lock; /* guards the pieces */
  GS_VEC(piece) piece;  /* ascending, from MEETINGS on, without gaps */
};

/* ---- joining ---- */

/* As much address space as this host has memory, and no more than what all
 * ranks together can map. */
static size_t region_size(int nrank) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t size = (size_t)sysconf(_SC_PHYS_PAGES) * page;
  size_t most = ((size_t)1 << 45) / (size_t)nrank;
  size = MEETINGS + (size < most ? size : most);
  return size / GS_LARGE_PAGE * GS_LARGE_PAGE;
}

static char *map(int fd, size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                 fd, 0);
  if (p == MAP_FAILED) return NULL;
  madvise(p, size, MADV_DONTDUMP);
  return p;
}

/* This rank's region; without one fd is -1. */
static void make_region(gs_commons *c) {
  struct rlimit files;
  card *x = &c->mine;
  x->fd = -1;
  x->pid = (uint64_t)getpid();
  x->size = region_size(c->nrank);
  /* Beyond this limit the system sends a signal. */
  if (getrlimit(RLIMIT_FSIZE, &files) || files.rlim_cur < x->size) return;
  if (getrandom(&x->cookie, sizeof x->cookie, 0) != sizeof x->cookie) return;
  int fd = memfd_create("gshard", MFD_CLOEXEC);
  if (fd < 0) return;
  if (!ftruncate(fd, (off_t)x->size)) c->region = map(fd, x->size);
  if (!c->region) {
    close(fd);
    return;
  }
  x->fd = fd;
  x->at = c->region;
  head *h = (head *)(void *)c->region;
  h->cookie = x->cookie;
  atomic_init(&h->used, HEAD + SLOTS * sizeof(uint64_t));
}

/* The region of another rank; NULL: it cannot be seen from here. */
static char *map_other(const card *x) {
  char path[64];
  if (x->fd < 0) return NULL;
  snprintf(path, sizeof path, "/proc/%llu/fd/%d", (unsigned long long)x->pid,
           x->fd);
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return NULL;
  uint64_t cookie = 0;
  struct stat st; /* of any file, where that process is not our peer */
  bool same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
              st.st_size == (off_t)x->size &&
              pread(fd, &cookie, sizeof cookie, 0) == sizeof cookie &&
              cookie == x->cookie;
  char *p = same ? map(fd, x->size) : NULL;
  close(fd);
  return p;
}

/* The ranks of a rank's group: those of its host, next to each other. */
static bool together(const gs_world *w, int a, int b, int most) {
  if (strcmp(w->host[a], w->host[b])) return false;
  if (!most) return true;
  int before[2] = {0}, rank[2] = {a, b};
  for (int k = 0; k < 2; k++)
    for (int r = 0; r < rank[k]; r++)
      before[k] += !strcmp(w->host[r], w->host[a]);
  return before[0] / most == before[1] / most;
}

/* Sees all that are to share; whether it can. */
static bool see_others(gs_commons *c, const gs_world *w, int most,
                       const card *all) {
  bool can = c->region != NULL;
  for (int r = 0; r < w->nrank; r++) {
    if (!together(w, w->rank, r, most)) continue;
    neighbour *x = &c->at[c->n++];
    *x = (neighbour){r, c->region, all[r].at, all[r].size};
    if (r != w->rank) x->here = can ? map_other(&all[r]) : NULL;
    can = can && x->here;
    c->of[r] = c->n;
  }
  return can;
}

static void leave(void *p) {
  gs_commons *c = p;
  for (int i = 0; i < c->n; i++)
    if (c->at[i].here && c->at[i].here != c->region)
      munmap(c->at[i].here, c->at[i].size);
  if (c->region) munmap(c->region, c->mine.size);
  if (c->mine.fd >= 0) close(c->mine.fd);
  pthread_mutex_destroy(&c->lock);
  gs_arena_free(&c->arena);
}

gs_status gs_world_share(gs_world *base, gs_arena *a, int most, gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  gs_commons *c = GS_NEW(a, gs_commons);
  int n = base->nrank;
  gs_assert(!w->commons && !w->made);
  gs_arena_init(&c->arena);
  pthread_mutex_init(&c->lock, NULL);
  c->nrank = n;
  c->at = GS_NEWS(a, n, neighbour);
  c->of = GS_NEWS(a, n, int);
  card *all = GS_NEWS(a, n, card);
  char *can = GS_NEWS(a, n + 1, char);
  make_region(c);
  gs_arena_at_end(a, leave, c);
  GS_TRY(gs_world_gather(base, &c->mine, sizeof c->mine, all, e));
  can[n] = see_others(c, base, most, all);
  GS_TRY(gs_world_gather(base, &can[n], 1, can, e));
  for (int i = 0; i < c->n; i++)
    if (!can[c->at[i].rank]) return GS_OK;
  if (c->n == 1) return GS_OK;
  c->meetings = (head *)(void *)c->at[0].here;
  *gs_push(&c->arena, &c->piece) =
      (piece){MEETINGS, c->mine.size - MEETINGS, false};
  w->commons = c;
  return GS_OK;
}

bool gs_world_shares(const gs_world *base) {
  const mpi_world *w = (const mpi_world *)base;
  return base->nrank == 1 || (w->commons && w->commons->n == base->nrank);
}

int gs_commons_count(const gs_commons *c) { return c->n; }

bool gs_commons_has(const gs_commons *c, int rank) {
  return c && c->of[rank];
}

/* ---- memory ---- */

/* The first free piece that has n bytes; -1: none. */
static int find_free(const gs_commons *c, size_t n) {
  for (int i = 0; i < c->piece.n; i++)
    if (!c->piece.at[i].used && c->piece.at[i].size >= n) return i;
  return -1;
}

/* Piece i becomes one of n bytes, and one of the rest. */
static void split(gs_commons *c, int i, size_t n) {
  if (c->piece.at[i].size == n) return;
  (void)gs_push(&c->arena, &c->piece);
  piece *p = &c->piece.at[i];
  memmove(p + 2, p + 1, (size_t)(c->piece.n - i - 2) * sizeof *p);
  p[1] = (piece){p->at + n, p->size - n, false};
  p->size = n;
}

/* Pages that are there, so that writing to them cannot fail. */
static bool back(const gs_commons *c, size_t at, size_t n) {
  return !fallocate(c->mine.fd, 0, (off_t)at, (off_t)n);
}

void *gs_commons_take(gs_commons *c, size_t n) {
  size_t unit = n >= GS_LARGE_PAGE ? GS_LARGE_PAGE : LINE;
  n = (n + unit - 1) / unit * unit;
  if (!n) n = LINE;
  gs_lock(&c->lock);
  int i = find_free(c, n + unit);
  char *p = NULL;
  if (i >= 0) {
    size_t at = c->piece.at[i].at;
    size_t skip = (at + unit - 1) / unit * unit - at;
    if (skip) split(c, i++, skip);
    split(c, i, n);
    c->piece.at[i].used = true;
    if (back(c, c->piece.at[i].at, n)) p = c->region + c->piece.at[i].at;
    else c->piece.at[i].used = false;
  }
  gs_unlock(&c->lock);
  return p;
}

/* Joins piece i and the next, if both are free. */
static void merge(gs_commons *c, int i) {
  if (i < 0 || i + 1 >= c->piece.n) return;
  piece *p = &c->piece.at[i];
  if (p[0].used || p[1].used) return;
  p->size += p[1].size;
  memmove(p + 1, p + 2, (size_t)(c->piece.n - i - 2) * sizeof *p);
  c->piece.n--;
}

void gs_commons_give(gs_commons *c, void *p) {
  size_t at = (size_t)((char *)p - c->region);
  gs_lock(&c->lock);
  int i = 0;
  while (i < c->piece.n && c->piece.at[i].at != at) i++;
  gs_assert(i < c->piece.n && c->piece.at[i].used);
  c->piece.at[i].used = false;
  size_t n = c->piece.at[i].size;
  if (n >= HEAD)
    fallocate(c->mine.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
              (off_t)n);
  else
    memset(p, 0, n);
  merge(c, i);
  merge(c, i - 1);
  gs_unlock(&c->lock);
}

bool gs_commons_holds(const gs_commons *c, const void *p, size_t n) {
  const char *at = p;
  return c && at >= c->region && at < c->region + c->mine.size &&
         n <= (size_t)(c->region + c->mine.size - at);
}

const void *gs_commons_see(const gs_commons *c, int rank, const void *p) {
  const neighbour *x = &c->at[c->of[rank] - 1];
  gs_assert((const char *)p >= x->there);
  gs_assert((const char *)p < x->there + x->size);
  return x->here + ((const char *)p - x->there);
}

/* ---- meetings ---- */

/* Room for a meeting that others do not see yet. */
static gs_meeting *new_meeting(gs_commons *c, const uint64_t key[2], int n,
                               uint64_t *at) {
  size_t bytes = gs_meeting_bytes(n);
  *at = atomic_fetch_add(&c->meetings->used, bytes);
  if (*at + bytes > MEETINGS) return NULL;
  gs_meeting *m = (gs_meeting *)(void *)((char *)c->meetings + *at);
  gs_meeting_init(m, n);
  memcpy(m->key, key, sizeof m->key);
  return m;
}

gs_meeting *gs_commons_meeting(gs_commons *c, const uint64_t key[2], int n) {
  char *base = (char *)c->meetings;
  _Atomic uint64_t *slot = (_Atomic uint64_t *)(void *)(base + HEAD);
  gs_meeting *made = NULL;
  uint64_t at = 0;
  for (uint64_t k = 0; k < SLOTS; k++) {
    _Atomic uint64_t *s = &slot[(key[0] + k) % SLOTS];
    uint64_t there = atomic_load(s);
    if (!there && !made && !(made = new_meeting(c, key, n, &at))) return NULL;
    /* Who is first has made it; the room of others is lost. */
    if (!there && atomic_compare_exchange_strong(s, &there, at)) return made;
    gs_meeting *m = (gs_meeting *)(void *)(base + there);
    if (memcmp(m->key, key, sizeof m->key)) continue;
    gs_assert(m->n == (uint32_t)n);
    return m;
  }
  return NULL;
}

#endif
