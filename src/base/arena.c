#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/status.h"

struct gs_arena_block {
  gs_arena_block *next;
  gs_blocks *in; /* or NULL */
  gs_arena_block *after, *before; /* in there */
};
_Static_assert(sizeof(gs_arena_block) % 16 == 0, "data is aligned to 16");

struct gs_arena_end {
  gs_arena_end *next;
  void (*fn)(void *p);
  void *p;
};

enum { BLOCK = 64 * 1024, MAX_KEPT = 16 << 20, ALIGN = 16 };

/* ---- blocks ---- */

static _Thread_local gs_blocks *used;

void gs_blocks_init(gs_blocks *b) {
  pthread_mutex_init(&b->lock, NULL);
  b->first = NULL;
}

void gs_blocks_free(gs_blocks *b) {
  for (gs_arena_block *x = b->first, *after; x; x = after) {
    after = x->after;
    free(x);
  }
  pthread_mutex_destroy(&b->lock);
}

gs_blocks *gs_blocks_use(gs_blocks *b) {
  gs_blocks *old = used;
  used = b;
  return old;
}

gs_blocks *gs_blocks_used(void) { return used; }

static void put_in(gs_blocks *in, gs_arena_block *b) {
  b->in = in;
  b->before = NULL;
  if (!in) return;
  pthread_mutex_lock(&in->lock);
  b->after = in->first;
  if (b->after) b->after->before = b;
  in->first = b;
  pthread_mutex_unlock(&in->lock);
}

static void free_block(gs_arena_block *b) {
  gs_blocks *in = b->in;
  if (in) {
    pthread_mutex_lock(&in->lock);
    if (b->before) b->before->after = b->after;
    else in->first = b->after;
    if (b->after) b->after->before = b->before;
    pthread_mutex_unlock(&in->lock);
  }
  free(b);
}

/* ---- arenas ---- */

void gs_arena_init(gs_arena *a) { *a = (gs_arena){0}; }

static void run_ends(gs_arena *a) {
  for (gs_arena_end *e = a->end; e; e = e->next) e->fn(e->p);
  a->end = NULL;
}

void gs_arena_at_end(gs_arena *a, void (*fn)(void *p), void *p) {
  gs_assert(fn);
  gs_arena_end *e = GS_NEW(a, gs_arena_end);
  *e = (gs_arena_end){a->end, fn, p};
  a->end = e;
}

void gs_arena_free(gs_arena *a) {
  run_ends(a);
  for (gs_arena_block *b = a->head, *next; b; b = next) {
    next = b->next;
    free_block(b);
  }
  *a = (gs_arena){.apart = a->apart};
}

static void *new_block(const gs_arena *a, size_t size) {
  gs_arena_block *b = NULL;
  if (size <= SIZE_MAX - sizeof *b) b = malloc(sizeof *b + size);
  if (!b) gs_out_of_memory(size);
  put_in(a->apart ? NULL : used, b);
  return b;
}

void gs_arena_reset(gs_arena *a) {
  size_t want = a->total < MAX_KEPT ? a->total : MAX_KEPT;
  run_ends(a);
  if (!a->head) return;
  if (want > a->size) {
    gs_arena_free(a);
    gs_arena_block *one = new_block(a, want);
    one->next = NULL;
    a->head = one;
    a->size = want;
  } else {
    gs_arena rest = {.head = a->head->next};
    gs_arena_free(&rest);
    a->head->next = NULL;
  }
  a->used = a->total = 0;
}

void *gs_alloc(gs_arena *a, size_t n) {
  if (n > SIZE_MAX - ALIGN) gs_out_of_memory(n);
  n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  a->total += n;
  if (!a->head || n > a->size - a->used) {
    /* A large piece gets a block of its own behind the head, so that the
     * room left in the head stays usable. */
    bool own = n > BLOCK / 4 && a->head;
    size_t size = n > BLOCK ? n : own ? n : BLOCK;
    gs_arena_block *b = new_block(a, size);
    if (own) {
      b->next = a->head->next;
      a->head->next = b;
      return memset(b + 1, 0, n);
    }
    b->next = a->head;
    a->head = b;
    a->size = size;
    a->used = 0;
  }
  char *p = (char *)(a->head + 1) + a->used;
  a->used += n;
  gs_assert(a->used <= a->size);
  gs_assert((uintptr_t)p % ALIGN == 0);
  return memset(p, 0, n);
}

void *gs_calloc(gs_arena *a, size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) gs_out_of_memory(SIZE_MAX);
  return gs_alloc(a, bytes);
}

void *gs_memdup(gs_arena *a, const void *p, size_t n) {
  void *q = gs_alloc(a, n);
  if (n) memcpy(q, p, n);
  return q;
}

char *gs_strndup(gs_arena *a, const char *s, size_t n) {
  char *q = gs_alloc(a, n + 1);
  if (n) memcpy(q, s, n);
  return q;
}

char *gs_strdup(gs_arena *a, const char *s) {
  return gs_strndup(a, s, strlen(s));
}

char *gs_vsprintf(gs_arena *a, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  size_t size = n < 0 ? 1 : (size_t)n + 1;
  char *s = gs_alloc(a, size);
  vsnprintf(s, size, fmt, again);
  va_end(again);
  return s;
}

char *gs_sprintf(gs_arena *a, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *s = gs_vsprintf(a, fmt, ap);
  va_end(ap);
  return s;
}

void *gs_vec_grow(gs_arena *a, void *at, int n, int *cap, size_t size) {
  gs_assert(n >= 0 && n <= *cap && size > 0);
  if (*cap > INT32_MAX / 2) gs_out_of_memory(SIZE_MAX);
  int more = *cap ? *cap * 2 : 8;
  void *bigger = gs_calloc(a, (size_t)more, size);
  *cap = more;
  if (n) memcpy(bigger, at, (size_t)n * size);
  return bigger;
}
