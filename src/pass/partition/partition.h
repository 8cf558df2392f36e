/* From an annotated graph to one SPMD program for all devices (GShard
 * section 3.3; design section 5).
 *
 * requires  n->op set, every value has a sharding (gs_pass_propagate)
 * ensures   a program graph with local shapes; collectives name mesh axes;
 *           operands of split summed factors are masked in their padding
 * Cost: O(nodes); nothing here loops over devices. */
#ifndef GS_PASS_PARTITION_H
#define GS_PASS_PARTITION_H

#include "op/core/op.h"
#include "pass/prepare/expand.h"
#include "pass/propagate/project.h"
#include "pass/reshard/reshard.h"

/* Bytes of a constant that is read whole wherever it is used otherwise than its
 * sharding says; larger ones stay in blocks and are gathered. */
enum { GS_SMALL_CONSTANT = 64 * 1024 };

typedef struct gs_collective {
  const char *op;         /* its name in moves.def */
  gs_axes axes;
  const gs_value *value;  /* of the model: the tensor that is moved */
  const gs_node *node;    /* of the model: the consumer that needs it, or
                             NULL for an output of the graph */
  const char *result;     /* name in the program */
  const char *from, *to;  /* sharding texts */
  double bytes;           /* sent per device */
  double seconds;         /* of the cost model */
} gs_collective;

/* Gathers of fewer bytes per device are not worth a word, unless the node runs
 * whole. */
enum { GS_LARGE_GATHER = 1 << 20 };

/* Why an operand is gathered. */
typedef enum gs_kept {
  GS_KEPT_RUN,   /* the node is one that runs whole: a region, a dynamic node */
  GS_KEPT_ALL,   /* it needs all of the dim, and has no split form */
  GS_KEPT_SIZES, /* the dim has no blocks that would do */
  GS_KEPT_PRICE  /* it could be computed so, which takes longer */
} gs_kept;

/* A node that runs whole on every device although an operand is split, or for
 * which much is gathered. */
typedef struct gs_fallback {
  const gs_node *node;   /* NULL: an output of the graph */
  int operand;           /* of it, that `value` is; -1: none */
  gs_kept kept;
  const gs_value *value; /* that is gathered, most of them if there are more */
  bool whole;            /* the node runs whole */
  const char *reason;    /* "it needs all of dim 1 of 'x' (stats)" */
  double bytes;          /* sent for it, per device */
} gs_fallback;

typedef struct gs_partition {
  gs_graph *program;
  GS_VEC(gs_collective) collective; /* in order of execution */
  GS_VEC(gs_fallback) fallback;
  bool *whole; /* [values of the model] constants that their shardings split,
                  but that are small and held whole */
  double flops;        /* per device */
  double seconds;      /* of one run by the cost model, nothing overlapped */
  double weight_bytes; /* per device: blocks of constants and nothing else */
  double peak_bytes;   /* per device: most bytes of values alive at once,
                          inputs, constants and their blocks left out */
} gs_partition;

gs_status gs_pass_partition(gs_arena *a, const gs_graph *g, gs_partition *out,
                            gs_err *e);

/* For tests that try other assignments than the cheapest. */
/* What does not depend on how a graph is sharded: found once for all that
 * share it, while its nodes, its mesh and the arena stay as they are. */
typedef struct gs_partition_memo {
  gs_arena *arena;
  const gs_graph *graph;
  gs_resharder resharder;
  gs_expander expander;
  const gs_rule **rule; /* [nnode] NULL: not asked for yet */
} gs_partition_memo;
void gs_partition_memo_init(gs_partition_memo *m, gs_arena *a,
                            const gs_graph *g);

typedef struct gs_partition_options {
  /* Sets the assignment of node n; false: it is chosen.  GS_UNSUPPORTED from
   * the pass when the node cannot be computed so. */
  bool (*force)(void *user, const gs_node *n, const gs_rule *r,
                gs_assignment *as);
  void *user;
  bool as_split; /* constants are read as they are split, small ones too */
  bool trial;    /* only prices are asked for: nothing stands in `fallback` */
  gs_partition_memo *memo; /* of the graph; NULL: one for this time */
} gs_partition_options;

gs_status gs_pass_partition_with(gs_arena *a, const gs_graph *g,
                                 const gs_partition_options *o,
                                 gs_partition *out, gs_err *e);

#endif
