/* Communication between devices.
 *
 * Every device (thread or hosted by an MPI rank) holds one gs_comm.  All
 * communication is transfers: members of a group put pieces for one another,
 * get theirs, start, wait and end.  A transport carries out these; what a
 * collective does is written once, over them (collectives.c).
 *
 * A transfer is made once and carried out as often as wanted; several may be
 * open at a time.  The members of a group make its transfers in the same order,
 * and start in the same order those in which they send to each other.
 * Reductions add members in ascending group index, so that every transport
 * gives the same bytes. */
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

/* One device's part in a transfer; transports add what is theirs. Lists are by
 * member of the group. */
typedef struct gs_transfer {
  gs_comm *comm;
  gs_group group;
  bool open;        /* begun, and not ended */
  bool kept;        /* see gs_transfer_wait */
  int round;        /* 0, 1, 0 ... in a chain */
  gs_piece *put[2]; /* by round: peers read the last one's until the next */
  gs_want *want;
  const void **got; /* where what was wanted lies */
} gs_transfer;

/* What a transport does. */
typedef struct gs_comm_ops {
  const char *name; /* "self", "threads", "mpi" */
  size_t size;      /* of its transfers, of which the first member is one */
  /* Finds the peers of a new transfer. */
  void (*make)(gs_transfer *t);
  /* Hands over the pieces that were put; does not wait for others.  Ends the
   * transfer before it in the same chain. */
  gs_status (*start)(gs_transfer *t, gs_err *e);
  /* Returns when all that is wanted is there; sets t->got. */
  gs_status (*wait)(gs_transfer *t, gs_err *e);
  /* Returns when nobody reads what the caller has put. */
  gs_status (*end)(gs_transfer *t, gs_err *e);
  /* Tells the peers that this device failed; they return GS_TIMEOUT from
   * their next call instead of waiting for ever. */
  void (*fail)(gs_comm *c);
  /* Memory, zeros, as long as c->arena, of which others can read what is put
   * without a copy; NULL: there is none that would be better than any. */
  void *(*memory)(gs_comm *c, size_t bytes);
} gs_comm_ops;

struct gs_comm {
  const gs_comm_ops *ops;
  int64_t position, ndevice;
  uint64_t wire_bytes; /* payload handed to other devices so far, the trades
                          of bytes for latency included */
  gs_arena *arena;     /* for transfers */
};

/* ---- transfers ---- */

/* A transfer between the members of g, which is copied; it lives as long as c.
 * g->me < 0: between pairs; the caller puts for member 0 only and gets from
 * member 1, and waits for nobody else.  Cost O(members). */
gs_transfer *gs_transfer_new(gs_comm *c, const gs_group *g);
/* Begins.  When t has not ended since it began, this makes a chain: its next
 * start ends what was started before. */
void gs_transfer_begin(gs_transfer *t);
/* The n bytes at p are for member i (also the caller itself). */
void gs_transfer_put(gs_transfer *t, int i, const void *p, size_t n);
/* Member i reads n of the `all` bytes at p, and gets them all.  Only where all
 * members read each other's memory. */
void gs_transfer_show(gs_transfer *t, int i, const void *p, size_t all,
                      size_t n);
/* n bytes of member i are wanted at p; NULL: at t->got[i], which is there from
 * gs_transfer_wait to the next start or end, and may not be written. */
void gs_transfer_get(gs_transfer *t, int i, void *p, size_t n);
static inline gs_status gs_transfer_start(gs_transfer *t, gs_err *e) {
  return t->comm->ops->start(t, e);
}
/* Where t->kept is set then, nobody reads what the caller has put itself: it
 * may be written.  So it is where the caller put at most GS_KEPT bytes (the
 * same bytes for several members counted once). */
enum { GS_KEPT = 32 << 10 };
static inline gs_status gs_transfer_wait(gs_transfer *t, gs_err *e) {
  return t->comm->ops->wait(t, e);
}
gs_status gs_transfer_end(gs_transfer *t, gs_err *e);
/* Waits for t and ends it. */
gs_status gs_transfer_finish(gs_transfer *t, gs_err *e);

/* ---- collectives ---- */

/* Each is a start, which waits for nobody, and the rest, with the same
 * arguments, over a transfer that only it has open.  Buffers do not overlap,
 * except that out == in is allowed for all_reduce; they are the collective's
 * own until the rest returns. */

/* out[i * bytes ..] = member i's in, for all i; then gs_transfer_finish. */
gs_status gs_all_gather_start(gs_transfer *t, const void *in, void *out,
                              size_t bytes, gs_err *e);
/* out[i * bytes ..] = member i's in[me * bytes ..]; then gs_transfer_finish. */
gs_status gs_all_to_all_start(gs_transfer *t, const void *in, void *out,
                              size_t bytes, gs_err *e);
/* out[0 .. bytes) = in[0 .. bytes) of member 0; out == in is allowed. */
gs_status gs_broadcast_start(gs_transfer *t, const void *in, void *out,
                             size_t bytes, gs_err *e);
gs_status gs_broadcast_finish(gs_transfer *t, void *out, size_t bytes,
                              gs_err *e);
/* Over a pair: sends in, and receives out (from the caller itself, when it is
 * its own peer); then gs_transfer_finish. */
gs_status gs_permute_start(gs_transfer *t, const void *in, void *out,
                           size_t bytes, gs_err *e);

/* What is reduced. */
typedef struct gs_reduction {
  const void *in;
  void *out;
  int64_t count; /* elements of out */
  gs_dtype type;
  gs_reduce how;
} gs_reduction;

/* out[0 .. count) = reduce over members i of their in[0 .. count). */
gs_status gs_all_reduce_start(gs_transfer *t, const gs_reduction *r,
                              gs_err *e);
gs_status gs_all_reduce_finish(gs_transfer *t, const gs_reduction *r,
                               gs_err *e);
/* out[0 .. count) = reduce over i of member i's in[me * count ..]. */
gs_status gs_reduce_scatter_start(gs_transfer *t, const gs_reduction *r,
                                  gs_err *e);
gs_status gs_reduce_scatter_finish(gs_transfer *t, const gs_reduction *r,
                                   gs_err *e);

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
