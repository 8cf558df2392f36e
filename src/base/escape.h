/* Out of memory as a status.
 *
 * Functions that allocate return no error (base/arena.h).  What is called from
 * outside stands in GS_CALL, which they leave by a jump when there is no
 * memory: the call then returns GS_RESOURCE.  The jump passes functions of our
 * own only, and puts three things right: locks taken with gs_lock are opened,
 * blocks of arenas are freed with the object, whose gs_blocks they are in, and
 * what was told to gs_arena_at_end happens with the arena. */
#ifndef GS_BASE_ESCAPE_H
#define GS_BASE_ESCAPE_H

#include <pthread.h>

#include "base/jump.h"
#include "base/status.h"

enum { GS_MAX_LOCKS = 8 };

typedef struct gs_escape {
  gs_jump jump; /* first: the innermost jump is the innermost escape */
  gs_blocks *blocks; /* what the thread had before */
  const char *busy;  /* likewise */
  pthread_mutex_t *lock[GS_MAX_LOCKS];
  int nlock;
} gs_escape;

/* Out of memory comes here from now on, and blocks of arenas go to `blocks`
 * (NULL: nowhere), until gs_escape_leave.  Returns x. */
gs_escape *gs_escape_enter(gs_escape *x, gs_blocks *blocks);
void gs_escape_leave(gs_escape *x);
/* After the jump: puts things right and tells e. */
gs_status gs_escape_caught(gs_escape *x, gs_err *e);
/* Tells e, which needs no memory for it. */
void gs_err_no_memory(gs_err *e, const char *text);

/* A lock under which memory may be wanted. */
void gs_lock(pthread_mutex_t *m);
void gs_unlock(pthread_mutex_t *m);

/* The body of a function of gshard.h: returns what `call` does. */
#define GS_CALL(blocks, e, call)                                               \
  do {                                                                         \
    gs_escape escape_;                                                         \
    if (setjmp(gs_escape_enter(&escape_, blocks)->jump.at))                    \
      return gs_escape_caught(&escape_, e);                                    \
    gs_status status_ = (call);                                                \
    gs_escape_leave(&escape_);                                                 \
    return status_;                                                            \
  } while (0)

#endif
