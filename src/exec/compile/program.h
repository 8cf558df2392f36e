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
  GS_STORAGE_DYNAMIC /* a dynamic value (gs_value_dynamic), given or made by a
                        step */
} gs_storage;

/* Where a value lives. Values that share memory (Reshape, in-place results)
 * share the buffer of their root. */
typedef struct gs_buffer {
  int root; /* value id; its own id when it has memory itself */
  gs_storage storage;
  size_t bytes, offset;
  int last; /* the turn after which nobody reads it; -1: it is not used,
               INT_MAX: outputs */
  bool fixed; /* depends on constants alone (set for constants, their blocks
                 and GS_STORAGE_ONCE) */
} gs_buffer;

/* How a step runs: which row of gs_step_kinds (exec/step/step.h). */
typedef enum gs_step_kind {
  GS_STEP_KERNEL,
  GS_STEP_COLLECTIVE,
  GS_STEP_DYNAMIC, /* on dynamic values */
  GS_STEP_REGION,  /* likewise, with graphs within its node */
  GS_NSTEP
} gs_step_kind;

typedef struct gs_step {
  const gs_node *node;
  gs_step_kind kind;
  const gs_kernel *kernel; /* GS_STEP_KERNEL */
  struct gs_program **region; /* GS_STEP_REGION: [attributes] programs of the
                                 graphs in them, NULL for others */
  bool once;    /* all operands are constant: run when a device is prepared,
                   and not later */
  bool inplace; /* result 0 may lie over operand 0 */
  int start, wait; /* the turns (gs_program.turn) in which it starts, and in
                      which it has ended; -1: it runs once */
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

typedef struct gs_program {
  const gs_graph *g;
  GS_VEC(gs_step) step;
  GS_VEC(gs_turn) turn; /* the schedule: steps that run once have none */
  GS_VEC(gs_slice) slice;
  int *sliced;       /* [values] 1 + the first slice of it; 0: none */
  gs_gather *gather; /* [outputs] */
  gs_buffer *buffer; /* [values] */
  size_t arena_size; /* bytes per device, without scratch */
  bool dynamic;      /* there are dynamic values or steps that run on them */
  int *uses;         /* [values] operands and outputs that are it */
  int *readers; /* [values] operands of steps, and outputs, that lie in the
                   buffer of which it is the root */
  int *producer; /* [values] the step that makes it, or -1 */
  bool *any;     /* [values] all that read it take blocks of channels */
} gs_program;

/* Compiles g: checks that everything can run, orders the steps and plans the
 * memory.  Errors: GS_UNSUPPORTED (node, tensor, type).  Cost O(operands +
 * steps * live values). */
gs_status gs_program_new(gs_arena *a, const gs_graph *g, gs_program **out,
                         gs_err *e);

/* Bytes per device of p and of the largest program in each of its steps. */
size_t gs_program_size(const gs_program *p);

/* The buffer that v lives in. */
static inline gs_buffer *gs_program_buffer(const gs_program *p,
                                           const gs_value *v) {
  int i = v->id;
  while (p->buffer[i].root != i) i = p->buffer[i].root;
  return &p->buffer[i];
}

#endif
