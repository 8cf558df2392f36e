/* Running compiled programs on the devices of this process. */
#ifndef GS_EXEC_RUN_H
#define GS_EXEC_RUN_H

#include "exec/compile/program.h"
#include "exec/comm/world.h"

/* What becomes of an output that is an input of the next run. */
typedef enum gs_tie_way {
  GS_TIE_OVER, /* it lies where the input lies */
  GS_TIE_SWAP, /* the memory of both changes places */
  GS_TIE_COPY, /* each device copies its block */
  GS_TIE_JOIN, /* it is joined on rank 0, and given to all */
  GS_NTIE
} gs_tie_way;

struct gs_exec;
struct gs_timing;

typedef struct gs_exec_config {
  const gs_graph *const *graph; /* [ngraph] */
  int ngraph;      /* 1: one for all devices; else one per device hosted */
  int64_t ndevice; /* 1 for plain models */
  gs_world *world; /* NULL: all devices are threads of this process */
  int threads;     /* cores to use in this process; 0: all */
  gs_bind_to bind_to; /* what the threads of a device may use (pin.h) */
  double timeout;  /* seconds to wait for a peer; 0: for ever */
  gs_schedule schedule; /* when steps are waited for */
  bool verify;     /* check what was compiled (exec/compile/program_check.h) */
  bool apart;      /* no steps are fused */
  bool no_huge_pages; /* do not ask for large pages */
  bool no_prefault;   /* do not read mapped weights ahead (exec/data/ahead.h) */
  const gs_tie *tie; /* [ntie] alike in type and shape, of known sizes; the
                        inputs begin as zeros, until they are given */
  int ntie;
  /* One that was made before, for as many devices of the same world, with the
   * same ties.  Its weights, as they lie and as kernels have packed them, are
   * those of this one too, and so is its state (gs_exec_resume).  NULL: none.
   * It is freed last. */
  struct gs_exec *base;
  bool timed, traced; /* note the times of steps; of each turn of each run */
  bool to_come; /* others will have it, or what it shares, as their base */
  /* Told before weights are read: bytes [at, at + n) of t that devices of this
   * process will read, or a little more (several calls for one tensor; n 0:
   * none of it); t NULL: that was all (not `to_come`).  May be NULL. */
  void (*reads)(void *user, const gs_tensor *t, uint64_t at, uint64_t n);
  void *user;
} gs_exec_config;

typedef struct gs_exec gs_exec;

/* Compiles the graphs, loads the blocks of weights and prepares all kernels.
 * The graphs must outlive the result.  Errors name step and node; *out is there
 * to be freed after an error too. */
gs_status gs_exec_new(const gs_exec_config *config, gs_exec **out, gs_err *e);
void gs_exec_free(gs_exec *x);

/* Number of devices hosted here. */
int64_t gs_exec_count(const gs_exec *x);

/* What device i of those hosted here runs, and, where that is timed, the times
 * of its steps in all runs (exec/step/timing.h), else NULL. */
const gs_program *gs_exec_timing(const gs_exec *x, int64_t i,
                                 const struct gs_timing **out);

/* Gives graph input `name` its whole value, which must stay until the next
 * one is given; devices copy their blocks of it.  The same memory may be given
 * again with other elements: then nothing is allocated.  GS_DATA when type or
 * shape differ, GS_USAGE when there is no such input. */
gs_status gs_exec_input(gs_exec *x, const char *name, const gs_tensor *t,
                        gs_err *e);
/* The same for values of any kind. */
gs_status gs_exec_give(gs_exec *x, const char *name, const gs_dyn *b,
                       gs_err *e);
/* Runs all devices once; allocates nothing but dynamic values.  GS_NOINPUT when
 * an input was not given. */
gs_status gs_exec_run(gs_exec *x, gs_err *e);
/* All ranks, after a run: the outputs of ties become inputs, but for inputs i
 * of the graph with but[i], which are given instead.  Outputs of the last run
 * are then gone.  Allocates nothing. */
gs_status gs_exec_tie_next(gs_exec *x, const bool *but, gs_err *e);
/* Before a run, where another that shares the state of x has run last: its
 * inputs are what gs_exec_tie_next of that one has left.  No value is copied
 * but those of GS_TIE_JOIN.  Allocates nothing. */
gs_status gs_exec_resume(gs_exec *x, gs_err *e);
/* Bytes of constants that the kernels of all devices of this process read in a
 * run, but for those in which they look up a few rows. */
uint64_t gs_exec_weights(const gs_exec *x);
/* Seconds that the device of this process that was longest in collectives has
 * spent there in all runs, packing and waiting included. */
double gs_exec_collective_time(const gs_exec *x);
/* The processors that device i of this process may use, as "0-3,8"; in a. */
const char *gs_exec_cpus(const gs_exec *x, gs_arena *a, int64_t i);
/* How many ties go each way; bytes: what the others take in each device. */
void gs_exec_tie_ways(const gs_exec *x, int count[GS_NTIE]);

/* Joins graph output i from the devices' blocks (the first device that holds
 * a block gives it).  All ranks call it; only rank 0 gets a tensor, others
 * NULL.  The tensor lies in `a`. */
gs_status gs_exec_output(gs_exec *x, gs_arena *a, int i, gs_tensor **out,
                         gs_err *e);

/* The elements of output i, which is not dynamic, until the next run: where a
 * device has it whole, else joined in memory that the first call makes.  All
 * ranks call it; NULL but on rank 0. */
gs_status gs_exec_joined(gs_exec *x, int i, const void **out, gs_err *e);

/* The same for values of any kind: an uncounted dynamic value in `a`. */
gs_status gs_exec_result(gs_exec *x, gs_arena *a, int i, gs_dyn **out,
                         gs_err *e);

/* A part of a row of an output, which is its elements along the last dim. */
typedef struct gs_row_part {
  int64_t row;      /* as if all other dims were one */
  int64_t first, n; /* of the row's elements */
  gs_dtype dtype;
  const void *data; /* [n]; NULL where another process has it */
} gs_row_part;

/* What is to be found out about the rows of an output. */
typedef struct gs_row_look {
  size_t bytes; /* that are said of a part */
  void (*look)(void *user, const gs_row_part *p, void *said);
  void (*take)(void *user, const gs_row_part *p, const void *said);
  void *user;
} gs_row_look;

/* Looks at output i, of whole bytes and at least one dim, where it lies: the
 * process of the first device that holds a part calls `look`, and rank 0
 * `take` with what was said of it.  So only that is sent.  All ranks call it,
 * after a run. */
gs_status gs_exec_rows(gs_exec *x, int i, const gs_row_look *l, gs_err *e);

/* Bytes that a device has sent so far, by the formulas of its collectives
 * (gs_move_bytes): the same for all devices and transports. */
uint64_t gs_exec_sent(const gs_exec *x);
/* What the transport really handed to other devices, of the device of this
 * process that handed most. */
uint64_t gs_exec_wire(const gs_exec *x);
/* Bytes of activations per device as planned. */
size_t gs_exec_arena_size(const gs_exec *x);
/* How many weights kernels hold in a layout of their own (packed or widened),
 * in all devices of this process, and how many bytes. */
int gs_exec_packed(const gs_exec *x, size_t *bytes);

#endif
