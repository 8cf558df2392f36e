/* Communication between devices.
 *
 * Every device (thread or hosted by an MPI rank) holds one gs_comm.  All
 * communication is transfers: members of a group put pieces for one another,
 * get theirs, start, wait and end.  A transport carries out these; what a
 * collective does is written once, over them (collectives.c).
 *
 * All members of a group make the same transfers in the same order; a gs_comm
 * has one at a time.  Reductions add members in ascending group index, so that
 * every transport gives the same bytes. */
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

/* What one member has for another. */
typedef struct gs_piece {
  const void *at;
  size_t bytes;
} gs_piece;

/* What one member wants of another. */
typedef struct gs_want {
  void *to; /* NULL: wherever the transport has it */
  size_t bytes;
} gs_want;

/* What a transport does with the transfer that stands in c. */
typedef struct gs_comm_ops {
  const char *name; /* "self", "threads", "mpi" */
  /* Hands over the pieces that were put; does not wait for others.  Ends the
   * transfer before it in the same chain. */
  gs_status (*start)(gs_comm *c, gs_err *e);
  /* Returns when all that is wanted is there; sets c->got. */
  gs_status (*wait)(gs_comm *c, gs_err *e);
  /* Returns when nobody reads what the caller has put. */
  gs_status (*end)(gs_comm *c, gs_err *e);
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
  gs_arena *arena;
  /* The transfer. Lists are by member of the group. */
  gs_group group;
  bool open;        /* started, and not ended */
  int round;        /* 0, 1, 0 ... in a chain */
  int room;         /* of the lists */
  gs_piece *put[2]; /* by round: peers read the last one's until the next */
  gs_want *want;
  const void **got; /* where what was wanted lies */
};

/* ---- transfers ---- */

/* Begins a transfer between the members of g.  A transfer that begins before
 * the last one over the same group has ended makes a chain with it: its start
 * ends that.  g->me < 0: between pairs; the caller puts for member 0 only and
 * gets from member 1, and waits for nobody else. */
void gs_comm_begin(gs_comm *c, const gs_group *g);
/* The n bytes at p are for member i (also the caller itself). */
void gs_comm_put(gs_comm *c, int i, const void *p, size_t n);
/* n bytes of member i are wanted at p; NULL: at c->got[i], which is there from
 * gs_comm_wait to the next start or end, and may not be written. */
void gs_comm_get(gs_comm *c, int i, void *p, size_t n);
static inline gs_status gs_comm_start(gs_comm *c, gs_err *e) {
  return c->ops->start(c, e);
}
static inline gs_status gs_comm_wait(gs_comm *c, gs_err *e) {
  return c->ops->wait(c, e);
}
gs_status gs_comm_end(gs_comm *c, gs_err *e);

/* ---- collectives ---- */

/* Buffers of one call do not overlap, except that out == in is allowed for
 * all_reduce.  A call returns when the caller may write its buffers again. */

/* out[i * bytes ..] = member i's in, for all i. */
gs_status gs_comm_all_gather(gs_comm *c, const gs_group *g, const void *in,
                             void *out, size_t bytes, gs_err *e);
/* out[i * bytes ..] = member i's in[me * bytes ..]. */
gs_status gs_comm_all_to_all(gs_comm *c, const gs_group *g, const void *in,
                             void *out, size_t bytes, gs_err *e);
/* out[0 .. count) = reduce over members i of their in[0 .. count). */
gs_status gs_comm_all_reduce(gs_comm *c, const gs_group *g, const void *in,
                             void *out, int64_t count, gs_dtype t, gs_reduce r,
                             gs_err *e);
/* out[0 .. count) = reduce over i of member i's in[me * count ..]. */
gs_status gs_comm_reduce_scatter(gs_comm *c, const gs_group *g, const void *in,
                                 void *out, int64_t count, gs_dtype t,
                                 gs_reduce r, gs_err *e);
/* Sends in to device `to` and receives out from device `from` (either may be
 * the caller). */
gs_status gs_comm_permute(gs_comm *c, int64_t to, int64_t from, const void *in,
                          void *out, size_t bytes, gs_err *e);

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
