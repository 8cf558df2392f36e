/* Communication between devices.
 *
 * Every device (thread or hosted by an MPI rank) holds one gs_comm.  All
 * members of a group call the same collectives in the same order.
 * Reductions add members in ascending group index, so that every transport
 * gives the same bytes. Buffers of one call do not overlap, except that
 * out == in is allowed for all_reduce.  A call returns when the caller may
 * write its buffers again. */
#ifndef GS_EXEC_COMM_H
#define GS_EXEC_COMM_H

#include "ir/mesh/sharding.h"

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
  uint64_t wire_bytes; /* payload handed to other devices so far, the trades
                          of bytes for latency included */
};

/* Bytes of n elements of a type of whole bytes; the size is known to fit. */
static inline size_t gs_span(gs_dtype t, int64_t n) {
  return (size_t)gs_dtype_bytes((int)t, n);
}

/* out[i] = in[0][i] combined with in[1][i], ... in ascending order; f16 and
 * bf16 are combined in f32 and rounded once.  NaN wins over numbers in max and
 * min; for bool, sum and max are or, prod and min are and.  out may be one of
 * in.  GS_UNSUPPORTED for types without a reduction. */
gs_status gs_reduce_many(gs_dtype t, gs_reduce r, int n,
                         const void *const *in, void *out, int64_t count,
                         gs_err *e);

/* The only device of a run. */
gs_comm *gs_comm_self(gs_arena *a);

/* Member i's part [*first, *first + *count) of the elements that an
 * all-reduce over n members splits between them. */
void gs_reduce_part(int64_t total, int n, int i, int64_t *first,
                    int64_t *count);

#endif
