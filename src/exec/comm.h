/* Communication between devices.
 *
 * Every device (thread or hosted by an MPI rank) holds one gs_comm.  All
 * members of a group call the same collectives in the same order.
 * Reductions add members in ascending group index, so that every transport
 * gives the same bytes. Buffers of one call do not overlap, except that
 * out == in is allowed for all_reduce. */
#ifndef GS_EXEC_COMM_H
#define GS_EXEC_COMM_H

#include "ir/sharding.h"

/* Devices that take part in one collective, ascending along its axes. */
typedef struct gs_group {
  int n;
  const int64_t *member; /* device positions */
  int me;                /* index of the caller in member */
} gs_group;

typedef struct gs_comm gs_comm;

typedef struct gs_comm_ops {
  const char *name; /* "self", "threads", "mpi" */
  /* out[i * bytes ..] = member i's in, for all i. */
  gs_status (*all_gather)(gs_comm *c, const gs_group *g, const void *in,
                          void *out, size_t bytes, gs_err *e);
  /* out[i * bytes ..] = member i's in[me * bytes ..]. */
  gs_status (*all_to_all)(gs_comm *c, const gs_group *g, const void *in,
                          void *out, size_t bytes, gs_err *e);
  /* out[0 .. count) = reduce over members i of their in[0 .. count). */
  gs_status (*all_reduce)(gs_comm *c, const gs_group *g, const void *in,
                          void *out, int64_t count, gs_dtype t, gs_reduce r,
                          gs_err *e);
  /* out[0 .. count) = reduce over i of member i's in[me * count ..]. */
  gs_status (*reduce_scatter)(gs_comm *c, const gs_group *g, const void *in,
                              void *out, int64_t count, gs_dtype t,
                              gs_reduce r, gs_err *e);
  /* Sends in to device `to` and receives out from device `from` (either may
   * be the caller). */
  gs_status (*permute)(gs_comm *c, int64_t to, int64_t from, const void *in,
                       void *out, size_t bytes, gs_err *e);
  gs_status (*barrier)(gs_comm *c, gs_err *e);
  /* Tells the peers that this device failed; they return GS_TIMEOUT from
   * their next call instead of waiting for ever. */
  void (*fail)(gs_comm *c);
} gs_comm_ops;

struct gs_comm {
  const gs_comm_ops *ops;
  int64_t position, ndevice;
  uint64_t bytes_sent; /* payload handed to other devices so far */
};

/* acc[i] = acc[i] combined with x[i], for all types that ONNX reductions
 * allow; f16 and bf16 are combined in f32 by gs_reduce_many. */
gs_status gs_reduce_many(gs_dtype t, gs_reduce r, int n,
                         const void *const *in, void *out, int64_t count,
                         gs_err *e);

#endif
