/* Where in an arena lies what is in memory for a time; a part of
 * gs_program_memory. */
#ifndef GS_EXEC_ARRANGE_H
#define GS_EXEC_ARRANGE_H

#include "base/arena.h"

typedef struct gs_arrange_item {
  size_t size;
  int from, to; /* turns, both included */
  size_t at;    /* the result: an offset, of 64 bytes or several */
} gs_arrange_item;

/* Places n items, which are in the order of `from`, so that none overlap that
 * have a turn in common.  Returns the size of the arena: that of the smallest
 * of some plans, of which one goes by time and the others by size.  Cost O(n *
 * those with turns in common), up to 200 times of few items; of many by time
 * alone. */
size_t gs_arrange(gs_arena *a, gs_arrange_item *item, int n);

#endif
