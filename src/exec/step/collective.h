/* A collective of one device: dims are packed around the contiguous calls of
 * comm.h. */
#ifndef GS_EXEC_COLLECTIVE_H
#define GS_EXEC_COLLECTIVE_H

#include "exec/comm/comm.h"
#include "exec/compile/program.h"

/* What a ranged exchange keeps (collective_exchange.c). */
typedef struct gs_coll_exchange gs_coll_exchange;

/* A collective node compiled for one device. */
typedef struct gs_coll {
  const gs_node *node;
  const gs_mesh *mesh;
  int64_t position; /* of the device */
  const struct gs_role *role;
  const gs_value *x, *y;
  gs_group group;    /* of a permutation: the pair */
  gs_transfer *transfer;
  gs_reduce reduce;
  int dim, dim2;     /* dim; all-to-all: split_dim, concat_dim */
  gs_coll_exchange *exchange;
  int64_t sent;      /* of an exchange: gs_exchange_sent */
  int threads;       /* for copies */
  int block;         /* of channels that x and y lie in, see gs_view; an
                        exchange of which gs_exchange_takes_blocks says so */
  const void **operand; /* [nin] of the node */
  const void **run; /* [members] of a direct reduction */
  const int64_t *place; /* of an exchange: see gs_step */
  gs_view view;         /* and how its result lies, in runs of what stands
                           behind the dim: run, pitch */
  const void *in;    /* operand 0 */
  void *out;
  bool pack, unpack; /* through scratch before, after the transfer; */
  bool direct;       /* or not: others read what they want in the operand */
  size_t half;       /* bytes of scratch that packing takes */
  size_t scratch_size;
  void *scratch;     /* its own from start to wait */
  uint64_t bytes;    /* gs_move_bytes */
} gs_coll;

/* The checks and the plan of an exchange; what scratch it wants. */
gs_status gs_coll_exchange_prep(gs_arena *a, gs_coll *c, gs_err *e);
gs_status gs_coll_exchange_start(const gs_coll *c, gs_err *e);
gs_status gs_coll_exchange_wait(const gs_coll *c, gs_err *e);

/* An all-to-all of several dims (collective_dims.c). */
gs_status gs_coll_dims_prep(gs_arena *a, gs_coll *c, gs_err *e);
gs_status gs_coll_dims_start(const gs_coll *c, gs_err *e);
gs_status gs_coll_dims_wait(const gs_coll *c, gs_err *e);

/* Where all devices are of one process, blocks that are no run of memory need
 * no packing: each member offers its whole operand, and the others read their
 * parts there (collective_direct.c).  `bytes` are those of a part. */
gs_status gs_coll_direct_start(const gs_coll *c, size_t bytes, gs_err *e);
gs_status gs_coll_direct_gather(const gs_coll *c, gs_err *e);
gs_status gs_coll_direct_to_all(const gs_coll *c, gs_err *e);
gs_status gs_coll_direct_reduce(const gs_coll *c, gs_err *e);

/* The type as which *n elements are reduced, and how many they are then. */
gs_dtype gs_coll_reduced_as(const gs_coll *c, int64_t *n);

/* Compiles the collective s of a program for device position p; what it asks
 * for in scratch_size follows from these alone.  The number of threads is the
 * caller's to set. */
gs_status gs_coll_new(gs_arena *a, const gs_program *program, const gs_step *s,
                      int64_t p, gs_coll **out, gs_err *e);
/* Begins it on c->operand, c->in, c->out and c->scratch, over c->transfer. */
gs_status gs_coll_start(const gs_coll *c, gs_err *e);
/* Returns when c->out is there and the buffers may be written again. */
gs_status gs_coll_wait(const gs_coll *c, gs_err *e);

#endif
