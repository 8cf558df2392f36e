/* The places that the threads have to leave for without memory: the jumps
 * themselves, of which base/escape.h makes calls that return. */
#ifndef GS_BASE_JUMP_H
#define GS_BASE_JUMP_H

#include <setjmp.h>

enum { GS_JUMP_TEXT = 256 };

typedef struct gs_jump {
  jmp_buf at;
  struct gs_jump *outer;
  char text[GS_JUMP_TEXT]; /* why */
} gs_jump;

/* From now on the calling thread leaves for x (set by setjmp), then again for
 * the one before. */
void gs_jump_push(gs_jump *x);
void gs_jump_pop(gs_jump *x);
/* The innermost one of the thread; NULL: there is none. */
gs_jump *gs_jump_last(void);
/* Leaves for it; returns where there is none. */
void gs_jump_now(const char *text);

#endif
