/* Kernels: what operators compute on one device's tensors. */
#ifndef GS_KERNEL_KERNEL_H
#define GS_KERNEL_KERNEL_H

#include <pthread.h>

#include "base/data/map.h"
#include "ir/dynamic.h"
#include "op/core/op.h"

/* One operand or result: row-major, contiguous.  An operand that was left out
 * has data NULL, rank -1 and n 0.
 *
 * f32 tensors between kernels that agree on it may lie in blocks of channels
 * instead: [d0, d1 / block, d2, ..., block], where block divides d1.  Kernels
 * of which gs_kernel_takes_blocks says so see it in `block` of an operand (set
 * before prep); and may, in prep, set it for a result to what `any` offers. */
typedef struct gs_view {
  gs_dtype dtype;
  int rank;
  const int64_t *dims;
  int64_t n; /* elements */
  void *data; /* of gs_string for strings, which only dynamic values hold;
                 operands are not written, except where in[0].data equals
                 out[0].data (GS_OP_INPLACE rows) */
  const void *fixed; /* operands, prep only: which constant it is, the same
                        for all that have its elements; NULL: it may change
                        from one run to the next */
  bool unread; /* operands: prep has made of the constant what run reads */
  int block; /* 0: row-major */
  /* Result 0 of rows with GS_OP_PARTS, where it is a part of a larger tensor:
   * elements run * i .. run * i + run - 1 lie one behind another from element
   * pitch * i on; in blocks of channels `block` times as many.  0: all lie so.
   * Where two dims are parts, `runs` of them are a group, and group i begins at
   * element apart * i; 0: there is one.  What lies between the runs, the last
   * pitch and group included that begin `lead` elements before the first of
   * them, is of nobody until the kernel has run.  See kernel/core/layout.h. */
  int64_t run, pitch, runs, apart, lead;
  int any;   /* results: what `block` may be set to; 0: it may not */
} gs_view;

typedef struct gs_kshare gs_kshare; /* kernel/core/share.h */

/* The devices with which the kernel of a row that gathers works: n members, of
 * which this is number `me`.  gather, in run only, sets out[i * bytes ..] =
 * member i's in; all members call it equally often, with as many bytes as the
 * row says (gs_op.gathers).  `in` may be written again when it returns. */
typedef struct gs_kgroup gs_kgroup;
struct gs_kgroup {
  int n, me;
  gs_status (*gather)(gs_kgroup *g, const void *in, void *out, size_t bytes,
                      gs_err *e);
};

typedef struct gs_kctx {
  const gs_node *node;
  int nin, nout;
  gs_view *in, *out; /* out past the node's own: data NULL, rank -1 */
  const gs_mesh *mesh; /* NULL for plain models */
  int64_t position;    /* device position on the mesh */
  gs_kgroup *group;    /* NULL: it gathers nothing */
  gs_arena *arena;     /* prep only; lives as long as the compiled program */
  void *state;         /* what prep left for run, or NULL */
  size_t scratch_size; /* prep sets how many bytes run wants */
  void *scratch;       /* 64-aligned, shared between steps */
  void *between;       /* what gs_kernel_prep has put before the kernel; NULL:
                          nothing */
  int threads;         /* OpenMP threads that run may use */
  gs_kshare *share;    /* prep only; NULL: nobody else makes the same */
  gs_err *err;
} gs_kctx;

/* prep (may be NULL) runs once when the program is compiled: shapes and
 * types are final, in[i].data is set for constants only. It decodes
 * attributes, packs weights (kernel/core/share.h), and rejects what run cannot
 * do (GS_UNSUPPORTED, naming the type). run executes; it may fail on bad data
 * (index out of range: GS_DATA). */
typedef struct gs_kernel {
  gs_status (*prep)(gs_kctx *k);
  gs_status (*run)(gs_kctx *k);
} gs_kernel;

/* The kernel of a row; its run is NULL for collectives. */
const gs_kernel *gs_kernel_of(const gs_op *op);

/* Whether the kernel of n writes a result 0 with the run, pitch and lead of y,
 * and does so at no more cost than a copy: GS_OP_PARTS and the cell FITS. */
bool gs_kernel_writes_part(const gs_node *n, const gs_view *y);

/* Kernels are called through these.  They let rows of GS_OP_MOVES, whose
 * kernels know whole bytes only, have operands of 4 and 2 bits: in scratch
 * these take a byte per element. */
gs_status gs_kernel_prep(const gs_kernel *kernel, gs_kctx *k);
gs_status gs_kernel_run(const gs_kernel *kernel, gs_kctx *k);

/* One run of a node on dynamic values. */
typedef struct gs_dyncall gs_dyncall;
struct gs_dyncall {
  const gs_node *node;
  const gs_kernel *kernel; /* of the node's row; set by gs_dyncall_node */
  gs_dyn **in;   /* [nin] NULL: left out; not owned */
  gs_dyn *
      *out; /* [nout] to be set to kept dynamic values where the node has one */
  void **place;  /* [nout] where a result of known size shall lie, or NULL;
                    only gs_dyncall_kernel heeds it */
  gs_heap *heap;
  gs_arena *arena; /* for the time of the call */
  const gs_mesh *mesh;
  int64_t position;
  int threads;
  /* Runs graph i of the node's attributes (in their order) on its inputs;
   * captured values come from `in`.  out[] gets kept dynamic values.  NULL at
   * compile time, when no node with graphs is run. */
  gs_status (*body)(gs_dyncall *k, int i, gs_dyn *const *in, gs_dyn **out);
  void *user; /* of body */
  gs_err *err;
};

/* How a row runs on dynamic values. */
typedef struct gs_dynamic {
  /* NULL: by its kernel, once its operands tell the shapes. */
  gs_status (*run)(gs_dyncall *k);
  /* Rows with graphs: gives the inputs of the graphs their types, before
   * these are inferred and the row's shape function is called.  It is called
   * again with round 1, 2, ... until it leaves *again false; `before` of an
   * attribute is the graph as inferred in the last round.  *pick >= 0: that
   * graph alone runs, and only once: it takes the node's place. */
  gs_status (*enter)(gs_graph *g, gs_node *n, int round, gs_graph **before,
                     bool *again, int *pick, gs_err *e);
} gs_dynamic;

/* NULL when the row has nothing to add to its kernel. */
const gs_dynamic *gs_dynamic_of(const gs_op *op);
/* Runs a node on dynamic values: by its row's dynamic form, else by its kernel.
 */
gs_status gs_dyncall_node(gs_dyncall *k);
/* Runs n once on constants (all operands given have `constant`) and stores
 * the results as constants of its outputs. */
gs_status gs_kernel_eval(gs_graph *g, gs_node *n, gs_err *e);

/* Fails with GS_UNSUPPORTED: "node 'x' (Op): no kernel for f8e5m2". */
gs_status gs_kernel_no_type(gs_kctx *k, gs_dtype t);

#endif
