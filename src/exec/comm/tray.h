/* Copies of what a device puts for others. */
#ifndef GS_EXEC_TRAY_H
#define GS_EXEC_TRAY_H

#include "base/arena.h"

/* Where copies lie: memory that all who read them see. */
typedef struct gs_room {
  void *(*take)(void *of, size_t bytes); /* NULL: there is no more */
  /* Whether others see n bytes at p themselves; NULL: they see all. */
  bool (*seen)(void *of, const void *p, size_t n);
  void *of;
} gs_room;

/* A piece of it that is used again and again. */
typedef struct gs_tray {
  char *at;
  size_t size;
  bool taken;
} gs_tray;

typedef struct gs_trays {
  gs_room room;
  gs_arena *arena; /* of the list */
  GS_VEC(gs_tray) all;
} gs_trays;

/* n zeros on lines of their own. */
void *gs_lines_in(gs_arena *a, size_t n);
/* In memory of this process, all of which everybody sees. */
gs_trays gs_trays_in(gs_arena *a);
/* The smallest free tray of at least n bytes: 1 + which; 0: no more room. */
int gs_tray_take(gs_trays *s, size_t n);
char *gs_tray_at(const gs_trays *s, int which);
/* Frees it, if it is one; *which becomes 0. */
void gs_tray_leave(gs_trays *s, int *which);

/* Copies n bytes for another processor to read, to a line of their own, past
 * the caches: where others have a line in theirs, to write to it means to wait
 * until they have given it up (25 ns a line on a Zen 4, ten times what it takes
 * to read it there).  gs_tray_done: these are there before what is written
 * next. */
void gs_tray_copy(char *to, const void *from, size_t n);
void gs_tray_done(void);

#endif
