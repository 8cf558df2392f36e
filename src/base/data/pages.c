#include "base/data/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/escape.h"

/* Gives back what lies before and after [p, p + bytes) of a mapping. */
static void trim(char *from, size_t mapped, char *p, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *end = p + (bytes + page - 1) / page * page;
  if (p > from) munmap(from, (size_t)(p - from));
  if (end < from + mapped) munmap(end, (size_t)(from + mapped - end));
}

void *gs_pages_map(size_t bytes, bool huge) {
  size_t spare = huge && bytes >= GS_LARGE_PAGE ? GS_LARGE_PAGE : 0;
  gs_assert(bytes);
  if (bytes > SIZE_MAX - spare) return NULL;
  char *from = mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (from == MAP_FAILED) return NULL;
  if (!spare) return from;
  char *p = from + (spare - (uintptr_t)from % spare) % spare;
  gs_assert((uintptr_t)p % GS_LARGE_PAGE == 0);
  trim(from, bytes + spare, p, bytes);
#ifdef MADV_HUGEPAGE
  madvise(p, bytes, MADV_HUGEPAGE); /* where it cannot, nothing is lost */
#endif
  return p;
}

void gs_pages_unmap(void *p, size_t bytes) { munmap(p, bytes); }

typedef struct piece {
  void *at;
  size_t bytes;
} piece;

static void unmap(void *p) {
  piece *x = p;
  if (x->at) gs_pages_unmap(x->at, x->bytes);
}

void *gs_pages_in(gs_arena *a, size_t bytes, bool huge) {
  piece *x = GS_NEW(a, piece);
  gs_arena_at_end(a, unmap, x);
  x->bytes = bytes;
  x->at = gs_pages_map(bytes, huge);
  if (!x->at) gs_out_of_memory(bytes);
  return x->at;
}
