/* The plan: what stands in plan.yaml beside the graphs (gshard-plan(5)). It is
 * the only contract between the partitioner and the runner. */
#ifndef GS_IR_PLAN_H
#define GS_IR_PLAN_H

#include "ir/mesh/sharding.h"

/* Versions of the plan directory, and of programs (metadata gshard.program).
 * Macros, since they also stand in texts. */
#define GS_PLAN_VERSION 2
#define GS_PROGRAM_VERSION 1
#define GS_TEXT_OF_(x) #x
#define GS_TEXT_OF(x) GS_TEXT_OF_(x) /* GS_TEXT_OF(GS_PLAN_VERSION): "2" */

typedef enum gs_plan_kind {
  GS_PLAN_SPMD,  /* one program for all devices */
  GS_PLAN_DEVICE /* one graph per device position */
} gs_plan_kind;

typedef struct gs_plan_io { /* a graph input or output */
  const char *name;
  gs_dtype dtype;
  int rank;              /* -1: a tensor of no fixed size, or no tensor */
  const int64_t *dims;   /* [rank] of the whole tensor */
  gs_sharding *sharding; /* how it is split over the devices, or joined */
  const char *state; /* of an input: the output of the run before that it is; or
                        NULL */
  int64_t size;      /* of such an input: of the dim that would grow; or 0 */
  int64_t filled;    /* of an input that counts the places of the state that are
                        filled: how many a run adds; or 0 */
} gs_plan_io;

enum { GS_PIECE_NUMBERS = 6 };

/* What the device of a graph gives and takes in an exchange: six numbers for
 * each piece, as in its node (op/core/exchange_node.h). */
typedef struct gs_plan_exchange {
  const char *tensor; /* its result in the graph */
  int ngive, ntake;
  const int64_t *gives, *takes;
} gs_plan_exchange;

typedef struct gs_plan_file { /* a graph */
  const char *name; /* in the plan's directory */
  uint64_t size;    /* bytes */
  uint64_t hash;    /* gs_hash of them */
  int nexchange;
  const gs_plan_exchange *exchange; /* [nexchange] of a graph of one device */
} gs_plan_file;

typedef struct gs_plan_weights { /* a file of weights */
  const char *file;   /* in the plan's directory */
  uint64_t size;      /* bytes */
  const char
      *hashes; /* the file of the hashes of its blocks (io/file/sums.h) */
  uint64_t hash;      /* gs_hash of that file */
  int64_t devices;    /* how many positions read it, after those of the file
                         before it in the list */
} gs_plan_weights;

typedef struct gs_plan_collective {
  const char *op;     /* its name in moves.def */
  gs_axes axes;
  const char *tensor; /* its result in the program */
  int64_t bytes;      /* sent by each device */
  const char *origin; /* rule of the spec and chain of nodes, for people */
} gs_plan_collective;

typedef struct gs_plan_size { /* of a symbolic dim */
  const char *name;
  int64_t size;
} gs_plan_size;

/* The program of one binding, and what all have in common. */
typedef struct gs_plan {
  const char *producer; /* "gshard 1.2" */
  gs_plan_kind kind;
  gs_mesh mesh;
  const char *binding;       /* its name; NULL: there is one program */
  GS_VEC(gs_plan_size) bind; /* with `binding`: its sizes */
  GS_VEC(gs_plan_file) file; /* one (spmd), or one per position (device) */
  GS_VEC(gs_plan_io) input;
  GS_VEC(gs_plan_io) output;
  GS_VEC(gs_plan_weights) weights; /* none, one of all devices, or (device) one
                                      for each so many of them */
  GS_VEC(gs_plan_collective) collective; /* in order of execution */
  struct gs_plan *next; /* the program of the next binding, with the same mesh
                           and weights; its inputs and outputs differ from ours
                           in sizes alone */
  uint64_t hash; /* of all of the above; set by gs_plan_write and _read */
} gs_plan;

#endif
