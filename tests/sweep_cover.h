/* Which ways to split a dim the cases of the sweep have, for each operator that
 * needs more than its own block of it. */
#ifndef GS_TESTS_SWEEP_COVER_H
#define GS_TESTS_SWEEP_COVER_H

#include "op/core/op.h"

typedef enum sweep_way {
  SWEEP_EVEN,   /* all blocks full */
  SWEEP_UNEVEN, /* the last one short */
  SWEEP_EMPTY,  /* some without elements */
  SWEEP_FAR,    /* a window past the blocks of the neighbours */
  SWEEP_TWO,    /* two such dims at once */
  SWEEP_NWAY
} sweep_way;

/* Whether node n of rule r may be split where it needs elements of other
 * blocks, or numbers for rows, candidates, a prefix, rows of an owner. */
bool sweep_reaches(const gs_rule *r);
/* Bits 1 << way that its factors are split in, over m devices. */
unsigned sweep_ways(const gs_node *n, const gs_rule *r, int64_t m);
const char *sweep_way_text(sweep_way w);

#endif
