/* Shared by the files of the partitioner; see partition.h. */
#ifndef GS_PASS_PARTITION_IMPL_H
#define GS_PASS_PARTITION_IMPL_H

#include "pass/partition/partition.h"
#include "pass/propagate/project.h"
#include "pass/partition/reshard.h"

typedef struct mask { /* a version whose padding was cleared */
  uint64_t dims; /* bit d: dim d was masked */
  double fill;
  gs_value *masked;
  struct mask *next;
} mask;

/* One form in which a value is at hand in the program. */
typedef struct version {
  gs_sharding *sharding;
  gs_value *local;
  bool zero_tail; /* its padding is known to be zero */
  mask *masks;
  struct version *next;
} version;

typedef struct part {
  gs_arena *a;
  const gs_graph *g;
  const gs_mesh *m;
  gs_graph *program;
  gs_partition *out;
  gs_resharder resharder;
  gs_sharding **home; /* [nvalue] see gs_part_home; NULL: not asked for yet */
  version **versions; /* [nvalue] newest first */
  int *nuse;          /* [nvalue] operands and outputs that read it */
  const gs_node **reader; /* [nvalue] the last node that reads it */
  const gs_node *node; /* being partitioned; NULL for outputs */
  gs_err *e;
} part;

/* The choice for one node. */
typedef struct choice {
  gs_assignment as;
  gs_sharding **in;  /* what each operand must have; NULL: absent */
  gs_sharding **out; /* what each result gets */
  gs_subset deferred; /* axes over which partial operands are passed on */
  double compute; /* seconds of the node's own work */
  double seconds; /* with what brings the operands and results in place */
} choice;

/* Seconds to bring v to `want`; the version to start from in *from. */
double gs_part_price(part *p, const gs_value *v, const gs_sharding *want,
                     version **from);
/* Emits what is needed to have v as `want` and returns that version. */
version *gs_part_need(part *p, const gs_value *v,
                            const gs_sharding *want);
/* Registers a new version. */
version *gs_part_add(part *p, const gs_value *v, gs_sharding *s,
                     gs_value *local, bool zero_tail);
/* Emits the moves of the cheapest path from x (a form of v) to want. */
version *gs_part_move(part *p, const gs_value *v, const version *x,
                      const gs_sharding *want);
/* v's sharding in the model without partial axes. */
const gs_sharding *gs_part_home(part *p, const gs_value *v);
/* The local value of x with padding of the dims in `dims` set to fill. */
gs_value *gs_part_masked(part *p, const gs_value *v, version *x,
                         uint64_t dims, double fill);

/* x where the index over `axes` is 0, zeros elsewhere: a partial sum. */
gs_value *gs_part_spread(part *p, const gs_value *v, gs_value *x,
                         const gs_sharding *s, gs_subset axes);

/* Axes over which v is a partial sum that only one operand reads; 0: none. */
gs_subset gs_part_partial(const part *p, const gs_value *v);
/* Axes over which partial operands of n should be passed on: through movement
 * and sums whose results are no larger, so that the later reduction moves no
 * more bytes.  Operands of a sum that are whole are spread first, if that
 * saves a reduction. */
gs_subset gs_part_deferred(const part *p, const gs_node *n);

/* Picks the factor assignment of a node: the cheapest of those that its
 * operands and results suggest. */
void gs_part_choose(part *p, const gs_node *n, const gs_rule *r, gs_arena *tmp,
                    choice *best);

#endif
