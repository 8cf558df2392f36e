#include "exec/data/ahead.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/math.h"

enum {
  PIECE = 4 << 20, /* bytes that a thread asks for at a time */
  LEAST = 32 << 20, /* in all: less is there before threads are */
  MOST = 16 /* threads: disks are busy with fewer */
};

typedef struct range {
  const gs_file *file;
  uint64_t at, n;
} range;

struct gs_ahead {
  gs_arena *arena;
  GS_VEC(range) range;
  uint64_t total;
  int threads, started;
  pthread_t thread[MOST];
  _Atomic uint64_t next; /* the first byte that nobody has taken, of `total` */
};

gs_ahead *gs_ahead_new(gs_arena *a, int threads) {
  gs_ahead *x = GS_NEW(a, gs_ahead);
  x->arena = a;
  x->threads = (int)gs_min(threads, MOST);
  return x;
}

void gs_ahead_add(gs_ahead *x, const gs_file *f, uint64_t at, uint64_t n) {
  gs_assert(!x->started);
  if (!f || at >= f->size || !n) return;
  if (n > f->size - at) n = f->size - at;
  *gs_push(x->arena, &x->range) = (range){f, at, n};
  x->total += n;
}

/* Bytes [at, at + n) of all ranges, laid end to end. */
static void read_piece(const gs_ahead *x, uint64_t at, uint64_t n) {
  for (int i = 0; i < x->range.n && n; i++) {
    const range *r = &x->range.at[i];
    if (at >= r->n) {
      at -= r->n;
      continue;
    }
    uint64_t now = r->n - at < n ? r->n - at : n;
    readahead(r->file->fd, (off64_t)(r->at + at), (size_t)now);
    n -= now;
    at = 0;
  }
}

static void *work(void *user) {
  gs_ahead *x = user;
  for (;;) {
    uint64_t at = atomic_fetch_add(&x->next, PIECE);
    if (at >= x->total) return NULL;
    uint64_t left = x->total - at;
    read_piece(x, at, left < PIECE ? left : PIECE);
  }
}

void gs_ahead_start(gs_ahead *x) {
  sigset_t all, before; /* signals are for the threads of the program */
  if (x->total < LEAST) return;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  /* Without threads weights are read when they are needed. */
  while (x->started < x->threads &&
         !pthread_create(&x->thread[x->started], NULL, work, x))
    x->started++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void gs_ahead_end(gs_ahead *x) {
  if (!x) return;
  atomic_store(&x->next, x->total);
  while (x->started) pthread_join(x->thread[--x->started], NULL);
}

void gs_ahead_map(const gs_file *f, const void *p, size_t n) {
  const uint8_t *from = p;
  if (!f || !f->map || !n || from < f->map || from >= f->map + f->size) return;
#ifdef MADV_POPULATE_READ /* Linux 5.14; older ones map as they read */
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t first = (size_t)(from - f->map) / page * page;
  size_t bytes = (size_t)(from - f->map) + n - first;
  madvise((void *)(uintptr_t)(f->map + first), bytes, MADV_POPULATE_READ);
#endif
}
