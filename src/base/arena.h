/* Arenas: memory that is freed all at once.
 *
 * Nothing here returns NULL: when memory runs out gs_out_of_memory() ends the
 * process with GS_RESOURCE after one message, so that callers have no cleanup
 * paths. */
#ifndef GS_BASE_ARENA_H
#define GS_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/ending.h"

typedef struct gs_arena_block gs_arena_block;

typedef struct gs_arena_end gs_arena_end;

typedef struct gs_arena {
  gs_arena_block *head;
  gs_arena_end *end; /* what gs_arena_at_end was told */
  size_t used, size; /* bytes used and usable in head */
  size_t total;      /* bytes handed out since init */
} gs_arena;

void gs_arena_init(gs_arena *a);
void gs_arena_free(gs_arena *a);
/* As freed and initialised, but keeps a block: for loops whose steps each need
 * some memory, which then stays in the cache. */
void gs_arena_reset(gs_arena *a);
/* fn(p) is called when the arena is freed or reset, in the opposite order of
 * these calls and before any memory goes: for objects of libraries. */
void gs_arena_at_end(gs_arena *a, void (*fn)(void *p), void *p);
/* n zeroed bytes, aligned to 16; not NULL for n = 0 either. */
void *gs_alloc(gs_arena *a, size_t n);
/* n * size zeroed bytes; overflow counts as out of memory. */
void *gs_calloc(gs_arena *a, size_t n, size_t size);
void *gs_memdup(gs_arena *a, const void *p, size_t n);
char *gs_strdup(gs_arena *a, const char *s);
char *gs_strndup(gs_arena *a, const char *s, size_t n);
char *gs_sprintf(gs_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
char *gs_vsprintf(gs_arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

#define GS_NEW(arena, type) ((type *)gs_alloc((arena), sizeof(type)))
#define GS_NEWS(arena, n, type)                                                \
  ((type *)gs_calloc((arena), (size_t)(n), sizeof(type)))

/* A vector whose storage lies in an arena:
 *   GS_VEC(int) v = {0};  *gs_push(arena, &v) = 3;  v.at[0], v.n          */
#define GS_VEC(type)                                                           \
  struct {                                                                     \
    type *at;                                                                  \
    int n, cap;                                                                \
  }
void *gs_vec_grow(gs_arena *a, void *at, int n, int *cap, size_t size);
#define gs_push(arena, v)                                                      \
  (((v)->n == (v)->cap                                                         \
        ? (void)((v)->at = gs_vec_grow((arena), (v)->at, (v)->n, &(v)->cap,    \
                                       sizeof *(v)->at))                       \
        : (void)0),                                                            \
   &(v)->at[(v)->n++])

#endif
