#include "exec/data/held.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/data/pages.h"
#include "base/escape.h"
#include "exec/data/ahead.h"
#include "exec/data/aligned.h"
#include "exec/data/input_slice.h"
#include "kernel/core/par.h"

/* Copies of at least so many bytes are mapped, to be given back. */
enum { LARGE = 1 << 15 };

struct gs_held {
  pthread_mutex_t lock;
  const gs_tensor *t;   /* what it is, or is a block of; NULL: a result */
  const gs_program *p;  /* with l: how it is cut */
  const gs_slice *l;     /* NULL: whole */
  int64_t position;
  const char *name;
  size_t size;
  void *data;           /* NULL: to be copied, or given back */
  void *own;            /* a copy; NULL: it lies in t, or is not made yet */
  bool mapped;          /* own is a mapping */
  bool huge;            /* of large pages */
  bool there;           /* gs_held_map was called */
  _Atomic int64_t readers;
};

void gs_holdings_init(gs_holdings *h, gs_arena *a, bool join, bool huge) {
  *h = (gs_holdings){.arena = a, .join = join, .huge = huge};
  gs_map_init(&h->held, a);
  gs_map_init(&h->same, a);
}

static void give_back(gs_held *h) {
  if (!h->mapped || !h->own) return;
  gs_pages_unmap(h->own, h->size);
  h->data = h->own = NULL;
}

static void destroy(void *p) {
  gs_held *h = p;
  give_back(h);
  pthread_mutex_destroy(&h->lock);
}

static gs_held *held_new(gs_arena *a, const gs_value *v, bool huge) {
  gs_held *h = GS_NEW(a, gs_held);
  pthread_mutex_init(&h->lock, NULL);
  h->name = v->name;
  h->size = gs_value_bytes(v);
  h->mapped = h->size >= LARGE;
  h->huge = huge;
  gs_arena_at_end(a, destroy, h);
  return h;
}

static void map_own(gs_held *h) {
  h->own = gs_pages_map(h->size, h->huge);
  if (h->own) return;
  gs_busy_with(h->name);
  gs_out_of_memory(h->size);
}

/* ---- making them ---- */

/* Graphs of a plan open its files each for itself: what lies at one place of
 * a file is one constant. */
static const gs_tensor *same_tensor(gs_holdings *h, const gs_tensor *t) {
  struct stat st;
  if (!h->join || t->data || !t->file || fstat(t->file->fd, &st)) return t;
  char key[96];
  snprintf(key, sizeof key, "%llx %llx %llx %llx",
           (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
           (unsigned long long)t->offset, (unsigned long long)t->nbytes);
  const gs_tensor *first = gs_map_get(&h->same, key);
  if (!first) gs_map_put(&h->same, key, (void *)(uintptr_t)t);
  return first ? first : t;
}

gs_status gs_holdings_tensor(gs_holdings *h, const gs_value *v,
                             const gs_tensor **out, gs_err *e) {
  *out = same_tensor(h, v->constant);
  if (gs_data_of(*out)) return GS_OK;
  return gs_data_missing(v, *out, e);
}

static gs_held *find(gs_holdings *hs, const char *key, const gs_value *v,
                     const gs_tensor *t, bool *fresh) {
  gs_held *h = gs_map_get(&hs->held, key);
  *fresh = !h;
  if (h) return h;
  h = held_new(hs->arena, v, hs->huge);
  h->t = t;
  gs_map_put(&hs->held, key, h);
  return h;
}

/* It lies at `at`, or has to be copied.  Large copies are mapped when they are
 * made; small ones stay, so that a process does not have thousands of
 * mappings. */
static void place(gs_holdings *hs, gs_held *h, const void *at) {
  /* Views are not const, but only arena memory is ever written. */
  h->data = (void *)(uintptr_t)at;
  if (!at && !h->mapped) h->own = gs_alloc64(hs->arena, h->size);
}

static gs_held *more_readers(gs_held *h, const gs_program *p,
                             const gs_value *v) {
  h->readers += p->readers[v->id];
  return h;
}

gs_held *gs_held_whole(gs_holdings *hs, const gs_program *p,
                       const gs_value *v, const gs_tensor *t) {
  const void *bytes = gs_data_of(t);
  char key[32];
  bool fresh;
  snprintf(key, sizeof key, "%p", bytes);
  gs_held *h = find(hs, key, v, t, &fresh);
  if (fresh) place(hs, h, gs_data_fits(v->dtype, bytes) ? bytes : NULL);
  return more_readers(h, p, v);
}

gs_held *gs_held_block(gs_holdings *hs, const gs_program *p,
                       const gs_slice *l, int64_t position,
                       const gs_tensor *t) {
  gs_arena a;
  gs_buf key;
  bool fresh;
  gs_arena_init(&a);
  gs_buf_init(&key, &a);
  gs_buf_printf(&key, "%p", gs_data_of(t));
  for (int i = 0; i < l->from->rank; i++) {
    int64_t first, count;
    gs_sharding_range(p->g->mesh, l->split, i, l->from->dims[i], position,
                      &first, &count);
    gs_buf_printf(&key, " %lld+%lld/%lld", (long long)first,
                  (long long)count, (long long)l->to->dims[i]);
  }
  gs_held *h = find(hs, key.at, l->to, t, &fresh);
  gs_arena_free(&a);
  if (fresh) {
    h->name = l->from->name;
    h->p = p;
    h->l = l;
    h->position = position;
    place(hs, h, gs_slice_inside(p, l, position, gs_data_of(t)));
  }
  return more_readers(h, p, l->to);
}

gs_held *gs_held_result(gs_arena *a, const gs_program *p, const gs_value *v,
                        bool huge) {
  gs_held *h = held_new(a, v, huge);
  if (h->mapped) map_own(h);
  else h->own = gs_alloc64(a, h->size);
  h->data = h->own;
  return more_readers(h, p, v);
}

/* ---- using them ---- */

static void copy(gs_held *h) {
  const void *bytes = gs_data_of(h->t);
  gs_assert(!h->data && h->t);
  if (h->mapped) map_own(h);
  if (h->l) gs_slice_copy(h->p, h->l, h->position, bytes, h->own);
  else if (h->size) memcpy(h->own, bytes, h->size);
  h->data = h->own;
  gs_file_release(h->t->file, bytes, (size_t)h->t->nbytes);
}

void *gs_held_get(gs_held *h) {
  gs_lock(&h->lock);
  if (!h->data) copy(h);
  void *p = h->data;
  gs_assert(p);
  gs_unlock(&h->lock);
  return p;
}

enum { MAPPED_AT_ONCE = 8 << 20 };

static void map_pieces(void *ctx, int64_t from, int64_t to) {
  const gs_held *h = ctx;
  size_t first = (size_t)from * MAPPED_AT_ONCE;
  size_t last = (size_t)to * MAPPED_AT_ONCE;
  if (last > h->size) last = h->size;
  gs_ahead_map(h->t->file, (const char *)h->data + first, last - first);
}

void gs_held_map(gs_held *h, int threads) {
  gs_lock(&h->lock);
  bool in_file = h->size && h->t && h->t->file && h->data && !h->own;
  bool wanted = in_file && !h->there && h->readers > 0;
  h->there = true;
  if (wanted)
    gs_parallel(threads, (int64_t)((h->size - 1) / MAPPED_AT_ONCE) + 1,
                MAPPED_AT_ONCE, map_pieces, h);
  gs_unlock(&h->lock);
}

void gs_held_done(gs_held *h) {
  int64_t readers = atomic_fetch_sub(&h->readers, 1);
  gs_assert(readers > 0); /* each says it once */
  if (readers != 1) return;
  if (h->own) give_back(h);
  else if (h->t) gs_file_release(h->t->file, h->data, h->size);
}
