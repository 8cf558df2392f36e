/* A graph compiled for execution.
 *
 * A gs_program is what all devices of one graph share: the steps in order,
 * where each value lives, and the plan of the memory that every device
 * allocates once.  A gs_device is one device's instance of it. */
#ifndef GS_EXEC_PROGRAM_H
#define GS_EXEC_PROGRAM_H

#include "kernel/core/kernel.h"

typedef enum gs_storage {
  GS_STORAGE_NONE,     /* not computed (only its shape is known) */
  GS_STORAGE_CONSTANT, /* the constant's own memory, shared by all devices */
  GS_STORAGE_INPUT,    /* the graph input as given by the user */
  GS_STORAGE_SLICE,  /* block of a constant or input, made when it is loaded */
  GS_STORAGE_ONCE,   /* computed from constants when a device is prepared */
  GS_STORAGE_ARENA,  /* the device's arena, at offset */
  GS_STORAGE_KEPT,   /* memory of the device's own that outlives a run */
  GS_STORAGE_DYNAMIC /* a dynamic value (gs_value_dynamic), given or made by a
                        step */
} gs_storage;

/* Where a value lives. Values that share memory (Reshape, in-place results)
 * share the buffer of their root; a block may be a part of the window that an
 * exchange makes of it (margins.h). */
typedef struct gs_buffer {
  int root; /* value id; its own id when it has memory itself */
  size_t at; /* bytes from the root's beginning on (in blocks of channels
                `block` times as many); */
  int64_t run, pitch; /* and how it lies there: see gs_view */
  gs_storage storage;
  size_t bytes, offset;
  int last; /* the turn after which nobody reads it; -1: it is not used,
               INT_MAX: outputs */
  bool fixed; /* depends on constants alone (set for constants, their blocks
                 and GS_STORAGE_ONCE) */
} gs_buffer;

/* How a step runs: which row of the kinds (exec/step/step.h). */
typedef enum gs_step_kind {
  GS_STEP_KERNEL,
  GS_STEP_COLLECTIVE,
  GS_STEP_GROUP,   /* a kernel that gathers while it runs */
  GS_STEP_DYNAMIC, /* on dynamic values */
  GS_STEP_REGION,  /* likewise, with graphs within its node */
  GS_NSTEP
} gs_step_kind;

/* All work on step s of device d, on the device's thread.  Errors go to
 * d->err; the caller adds device and step. */
struct gs_device;
struct gs_program;
struct gs_step;
typedef struct gs_step_ops {
  const char *name;
  /* What scratch a step of p wants on a device position, from start to wait;
   * rejects what cannot run.  NULL: none. */
  gs_status (*plan)(const struct gs_program *p, const struct gs_step *s,
                    int64_t position, size_t *scratch, gs_err *e);
  /* Once, in the order of the steps: makes d->state[s], rejects what it cannot
   * run, and raises d->scratch_size to what it wants within `start`.  Steps
   * that run once run now.  d->mem is not there yet. */
  gs_status (*prepare)(struct gs_device *d, int s);
  /* The places of values are known, or have changed; not for steps that run
   * once.  NULL: it looks them up when it starts. */
  void (*bind)(struct gs_device *d, int s);
  /* Runs it, or begins to.  Operands, results and the scratch that it has
   * planned are its own until it is waited for (the memory plan sees to that);
   * the device's scratch only until `start` returns, for the next step has the
   * same. */
  gs_status (*start)(struct gs_device *d, int s);
  /* Returns when it has ended.  NULL: it has when `start` returns. */
  gs_status (*wait)(struct gs_device *d, int s);
} gs_step_ops;

typedef struct gs_step {
  const gs_node *node;
  gs_step_kind kind;
  const gs_kernel *kernel; /* GS_STEP_KERNEL, GS_STEP_GROUP */
  struct gs_program **region; /* GS_STEP_REGION: [attributes] programs of the
                                 graphs in them, NULL for others */
  bool once;    /* all operands are constant: run when a device is prepared,
                   and not later */
  bool inplace; /* result 0 may lie over operand 0 */
  size_t kept;  /* of gs_program.kept_bytes */
  int start, wait; /* the turns (gs_program.turn) in which it starts, and in
                      which it has ended; -1: it runs once */
  int64_t *place; /* of an exchange: [operands] the place of its result from
                     which on the block of the operand lies there already, or
                     -1; NULL: none does */
  size_t scratch, scratch_at; /* bytes from start to wait, and their offset in
                                 the arena */
} gs_step;

/* Something to do in a run. */
typedef struct gs_turn {
  int step;
  bool wait; /* wait for a step that was started in an earlier turn */
} gs_turn;

/* A Shard node that reads a constant or an input: its block is sliced off when
 * this is given, before any step runs. */
typedef struct gs_slice {
  const gs_node *node;
  const gs_value *from, *to;
  const gs_sharding *split;
  int next; /* 1 + the next slice of the same value; 0: none */
} gs_slice;

/* How an output is gathered from the devices. */
typedef struct gs_gather {
  const gs_value *value;    /* the graph output */
  const gs_value *block;    /* what each device holds of it */
  const gs_sharding *split; /* NULL: every device holds the whole */
} gs_gather;

typedef enum gs_schedule {
  GS_WAIT_NEXT, /* before the next step that is not waited for itself, or
                   reads it: collectives that follow one another are open
                   together */
  GS_WAIT_LATE  /* just before its first reader starts */
} gs_schedule;

/* An output that is an input of the next run: their places in the graph's
 * lists. */
typedef struct gs_tie {
  int out, in;
} gs_tie;

/* How to compile. */
typedef struct gs_compile {
  const gs_step_ops *const *kinds; /* [GS_NSTEP] gs_step_kinds */
  int64_t first, n; /* device positions [first, first + n) share the program */
  gs_schedule schedule;
  bool one_memory; /* devices read what others hold where it lies */
  bool apart;      /* every node is a step of its own: none are fused */
  const gs_tie *tie; /* [ntie] of no dynamic values */
  int ntie;
} gs_compile;

typedef struct gs_program {
  const gs_graph *g;
  const gs_step_ops *const *kinds; /* [GS_NSTEP] how steps run */
  const gs_node **node; /* [nodes of g] what is to be done for each; NULL: that
                           is done with another */
  GS_VEC(gs_step) step;
  GS_VEC(gs_turn) turn; /* the schedule: steps that run once have none */
  GS_VEC(gs_slice) slice;
  int *sliced;       /* [values] 1 + the first slice of it; 0: none */
  gs_gather *gather; /* [outputs] */
  gs_buffer *buffer; /* [values] */
  size_t arena_size; /* bytes per device, without scratch of kernels */
  size_t kept_bytes; /* of steps that run once, where these are much more than
                        what they are made of */
  bool one_memory, apart; /* see gs_compile */
  bool dynamic;      /* there are dynamic values or steps that run on them */
  int *uses;         /* [values] operands and outputs that are it, or a copy
                        as Identity makes them */
  int *readers; /* [values] operands of steps, and outputs, that lie in the
                   buffer of which it is the root */
  int *producer; /* [values] the step that makes it, or -1 */
  const gs_value **over; /* [values] kept outputs: what a device has of the
                            input that they become */
  int *any;      /* [values] the blocks of channels that all that read it take
                    and in which it should lie; 0: row-major */
} gs_program;

/* Whether s runs a kernel in every run. */
static inline bool gs_step_runs_kernel(const gs_step *s) {
  return s->kind == GS_STEP_KERNEL && !s->once;
}

/* Compiles g: checks that everything can run, orders the steps and plans the
 * memory.  Errors: GS_UNSUPPORTED (node, tensor, type), GS_DATA (a node of a
 * program that does not fit its tensors).  Cost O(operands + steps * live
 * values + collectives * devices * members). */
gs_status gs_program_new(gs_arena *a, const gs_graph *g, const gs_compile *how,
                         gs_program **out, gs_err *e);

/* Bytes per device of p and of the largest program in each of its steps. */
size_t gs_program_size(const gs_program *p);

/* The buffer that v lives in. */
static inline gs_buffer *gs_program_buffer(const gs_program *p,
                                           const gs_value *v) {
  int i = v->id;
  while (p->buffer[i].root != i) i = p->buffer[i].root;
  return &p->buffer[i];
}

/* The value whose elements v is, in its own shape or another: the root of its
 * buffer, or what of that is a part of a window. */
static inline int gs_program_part(const gs_program *p, const gs_value *v) {
  int i = v->id;
  while (p->buffer[i].root != i && !p->buffer[i].run) i = p->buffer[i].root;
  return i;
}

#endif
