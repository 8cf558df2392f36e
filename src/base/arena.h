/* Arenas: memory that is freed all at once.
 *
 * Nothing here returns NULL, so that callers have no cleanup paths: when memory
 * runs out gs_out_of_memory() leaves for the call of gshard.h (base/escape.h),
 * or ends the process (base/ending.h). */
#ifndef GS_BASE_ARENA_H
#define GS_BASE_ARENA_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/ending.h"

typedef struct gs_arena_block gs_arena_block;

typedef struct gs_arena_end gs_arena_end;

/* The blocks of all arenas that the calls of one object have filled: what an
 * arena cannot free any more, because it was left by the way of base/escape.h,
 * is freed with the object. */
typedef struct gs_blocks {
  pthread_mutex_t lock;
  gs_arena_block *first;
} gs_blocks;

void gs_blocks_init(gs_blocks *b);
/* Frees what is left. */
void gs_blocks_free(gs_blocks *b);
/* New blocks of the calling thread go there (NULL: nowhere) from now on;
 * returns what it was before. */
gs_blocks *gs_blocks_use(gs_blocks *b);
gs_blocks *gs_blocks_used(void);

typedef struct gs_arena {
  gs_arena_block *head;
  gs_arena_end *end; /* what gs_arena_at_end was told */
  size_t used, size; /* bytes used and usable in head */
  size_t total;      /* bytes handed out since init */
  bool apart; /* its blocks are in no gs_blocks: it may outlive the object */
} gs_arena;

void gs_arena_init(gs_arena *a);
void gs_arena_free(gs_arena *a);
/* As freed and initialised, but keeps a block that has room for as much as was
 * used, 16 MiB at most: for loops whose steps each need some memory, which then
 * stays in the cache. */
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
