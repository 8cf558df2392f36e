/* Random small graphs with random shardings, for test_random.c.
 *
 * What they compute is exact: magnitudes of integers are tracked, so that no
 * sum is ever rounded, and results of transcendental functions only go where
 * no order of operations can show. */
#ifndef GS_TESTS_RANDOM_GRAPH_H
#define GS_TESTS_RANDOM_GRAPH_H

#include "op/core/op.h"

typedef struct random_source { /* xorshift */
  uint32_t state;
} random_source;

/* 0 .. n - 1 */
int random_below(random_source *r, int n);

/* Which operators a graph is of. */
typedef enum random_family {
  RANDOM_ANY,
  RANDOM_WINDOWS, /* mostly those with windows, and those that move elements */
  RANDOM_PARTIAL, /* chains through which partial sums may travel, over slow
                     links */
  RANDOM_LOOKUPS, /* mostly reads and writes by indices */
  RANDOM_STATS,   /* mostly what needs all of a dim, over slow links */
  RANDOM_NFAMILY
} random_family;

/* A graph for this seed, with mesh and annotations, in text form.  A line
 * "# range NAME LO HI" says which numbers an input must have; other inputs,
 * and constants without data, take any small integers.  "# special NAME" puts
 * NaN and infinities among them, "# lowest NAME" only -infinity; "# close NAME"
 * says that a value need only be close to that of the whole graph.  "# slow
 * links" is for the mesh. */
char *random_graph_text(gs_arena *a, random_family family, uint32_t seed);

#endif
