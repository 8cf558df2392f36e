/* A graph compiled for execution.
 *
 * A gs_program is what all devices of one graph share: the steps in order,
 * where each value lives, and the plan of the memory that every device
 * allocates once.  A gs_device is one device's instance of it. */
#ifndef GS_EXEC_PROGRAM_H
#define GS_EXEC_PROGRAM_H

#include "exec/comm/comm.h"
#include "kernel/core/kernel.h"
#include "op/core/moves.h"

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
  int last; /* last step that reads it; INT_MAX: outputs */
  bool fixed; /* depends on constants alone (set for constants, their blocks
                 and GS_STORAGE_ONCE) */
} gs_buffer;

typedef struct gs_coll gs_coll;

/* A step: a kernel, a collective, or a node that runs on dynamic values. */
typedef struct gs_step {
  const gs_node *node;
  const gs_kernel *kernel;      /* NULL: collective, or dynamic */
  const struct gs_role *role;   /* NULL: kernel, or dynamic */
  bool dynamic;
  struct gs_program **body; /* dynamic: [attributes] programs of the graphs in
                               them, NULL for others; NULL: there are none */
  bool once; /* all operands are constant: run when it is prepared, not later */
} gs_step;

/* A Shard node that reads a constant or an input. */
typedef struct gs_load {
  const gs_node *node;
  const gs_value *from, *to;
  const gs_sharding *split;
  int next; /* 1 + the next load from the same value; 0: none */
} gs_load;

/* How an output leaves the devices. */
typedef struct gs_exit {
  const gs_value *value;    /* the graph output */
  const gs_value *block;    /* what each device holds of it */
  const gs_sharding *split; /* NULL: every device holds the whole */
} gs_exit;

typedef struct gs_program {
  const gs_graph *g;
  GS_VEC(gs_step) step;
  GS_VEC(gs_load) load;
  int *loaded; /* [values] 1 + the first load from it; 0: none */
  gs_exit *exit;   /* [outputs] */
  gs_buffer *buffer;   /* [values] */
  size_t arena_size; /* bytes per device, without scratch */
  bool dynamic;        /* there are dynamic values or steps */
  int *uses;  /* [values] operands and outputs that are it */
  int *readers; /* [values] operands of steps, and outputs, that lie in the
                   buffer of which it is the root */
  int *producer; /* [values] the step that makes it, or -1 */
  bool *any;  /* [values] all that read it take blocks of channels */
} gs_program;

/* Compiles g: checks that everything can run, orders the steps and plans the
 * memory.  Errors: GS_UNSUPPORTED (node, tensor, type), GS_NOINPUT for
 * constants without data.  Cost O(operands +
 * steps * live values). */
gs_status gs_program_new(gs_arena *a, const gs_graph *g, gs_program **out,
                         gs_err *e);

/* Bytes per device of p and of the largest program in each of its steps. */
size_t gs_program_size(const gs_program *p);
/* Parts of gs_program_new (fuse.c).  gs_program_uses fills p->uses.
 * gs_program_fuse gives the node to make a step of for n: n itself, or one
 * that also does what the step before it does, which then has node NULL;
 * gs_program_close drops such steps and fills p->any. */
void gs_program_uses(gs_arena *a, gs_program *p);
const gs_node *gs_program_fuse(gs_program *p, gs_arena *a, const gs_node *n);
void gs_program_close(gs_arena *a, gs_program *p);
/* Lifetimes to offsets; part of gs_program_new (memory.c). */
void gs_program_memory(gs_arena *a, gs_program *p);
/* The buffer that v lives in. */
gs_buffer *gs_program_buffer(const gs_program *p, const gs_value *v);

/* ---- collectives (collective.c) ---- */

/* A collective node compiled for one device. */
struct gs_coll {
  const gs_node *node;
  const struct gs_role *role;
  const gs_value *x, *y;
  gs_group group;
  gs_reduce reduce;
  int dim, dim2;     /* dim; all-to-all: split_dim, concat_dim */
  int64_t to, from;  /* of a permutation */
  const void *in;
  void *out;
  bool pack, unpack; /* through scratch before, after the call */
  size_t half;       /* bytes of scratch that packing takes */
  size_t scratch_size;
  uint64_t bytes;    /* gs_move_bytes */
};

typedef enum gs_role_kind {
  GS_ROLE_STEP, /* a collective that devices execute */
  GS_ROLE_LOAD, /* Shard */
  GS_ROLE_EXIT  /* Unshard */
} gs_role_kind;

typedef struct gs_role {
  gs_role_kind kind;
  gs_move_kind move;
  bool inplace; /* out may be in */
  gs_status (*prep)(gs_arena *a, gs_coll *c, gs_err *e);
  gs_status (*run)(const gs_coll *c, gs_comm *comm, void *scratch, gs_err *e);
} gs_role;

/* The role of a row, NULL for those that are kernels only. */
const gs_role *gs_role_of(const gs_op *op);
/* Compiles the collective n for device position p. */
gs_status gs_coll_new(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                      int64_t p, gs_coll **out, gs_err *e);

#endif
