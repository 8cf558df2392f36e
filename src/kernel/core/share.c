#include "kernel/core/share.h"

#include "base/assert.h"
#include "base/data/pages.h"
#include "base/escape.h"

/* Something that is made by one thread while others that want it wait; other
 * things are made meanwhile. */
typedef struct made {
  pthread_mutex_t lock;
  bool tried;
  void *at; /* NULL: could not be made */
} made;

void gs_kshare_init(gs_kshare *s, bool huge) {
  *s = (gs_kshare){.huge = huge};
  pthread_mutex_init(&s->lock, NULL);
  gs_arena_init(&s->arena);
  gs_map_init(&s->made, &s->arena);
}

void gs_kshare_free(gs_kshare *s) {
  for (int i = 0; i < s->made.n; i++) {
    made *m = s->made.entry[i].value;
    pthread_mutex_destroy(&m->lock);
  }
  pthread_mutex_destroy(&s->lock);
  gs_arena_free(&s->arena);
}

static void *aligned(gs_arena *a, size_t bytes) {
  gs_assert(bytes <= SIZE_MAX - 63);
  return (void *)(((uintptr_t)gs_alloc(a, bytes + 63) + 63) & ~(uintptr_t)63);
}

static made *find(gs_kshare *s, const char *key) {
  gs_lock(&s->lock);
  made *m = gs_map_get(&s->made, key);
  if (!m) {
    m = GS_NEW(&s->arena, made);
    pthread_mutex_init(&m->lock, NULL);
    gs_map_put(&s->made, key, m);
  }
  gs_unlock(&s->lock);
  return m;
}

/* Weights are read from one end to the other in every run: they lie side by
 * side in large pages, where the system has such, so that few translations of
 * addresses are missed. */
enum {
  SMALL = 1 << 16,
  LEAST = 4 << 20, /* pieces grow with what there is */
  MOST = 64 << 20
};

static void new_piece(gs_kshare *s, size_t bytes) {
  size_t want = s->bytes < LEAST ? LEAST : s->bytes < MOST ? s->bytes : MOST;
  if (want < bytes) want = bytes;
  gs_assert(want <= SIZE_MAX / 2);
  want = (want + GS_LARGE_PAGE - 1) / GS_LARGE_PAGE * GS_LARGE_PAGE;
  s->at = gs_pages_in(&s->arena, want, s->huge);
  s->left = want;
}

static void *place(gs_kshare *s, size_t bytes) {
  gs_lock(&s->lock);
  void *to;
  if (bytes < SMALL) {
    to = aligned(&s->arena, bytes);
  } else {
    bytes = (bytes + 63) / 64 * 64;
    if (bytes > s->left) new_piece(s, bytes);
    to = s->at;
    s->at += bytes;
    s->left -= bytes;
  }
  gs_unlock(&s->lock);
  return to;
}

static void count(gs_kshare *s, size_t bytes) {
  gs_lock(&s->lock);
  s->n++;
  s->bytes += bytes;
  gs_unlock(&s->lock);
}

const void *gs_kernel_once(gs_kctx *k, const char *key, size_t bytes,
                           bool (*make)(void *ctx, void *to), void *ctx) {
  if (!k->share) {
    void *to = aligned(k->arena, bytes);
    return make(ctx, to) ? to : NULL;
  }
  made *m = find(k->share, key);
  gs_lock(&m->lock);
  if (!m->tried) {
    void *to = place(k->share, bytes);
    m->tried = true;
    if (make(ctx, to)) {
      m->at = to;
      count(k->share, bytes);
    }
  }
  gs_unlock(&m->lock);
  return m->at;
}
