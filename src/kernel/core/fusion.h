/* Steps of a program that one kernel does. */
#ifndef GS_KERNEL_FUSE_H
#define GS_KERNEL_FUSE_H

#include "kernel/core/kernel.h"

/* What a row is to gs_kernel_fuse: the cell FUSE of ops.def. */
typedef enum gs_fuse {
  GS_FUSE_NONE,
  GS_FUSE_CONV,
  GS_FUSE_FUSED_CONV, /* a convolution and what has been fused with it */
  GS_FUSE_ADD,
  GS_FUSE_MUL,
  GS_FUSE_DIV,
  GS_FUSE_MATMUL,
  GS_FUSE_GEMM,
  GS_FUSE_SOFTMAX,
  GS_FUSE_ATTENTION, /* products, what is between them, and a softmax */
  GS_FUSE_DEQUANTIZE,
  GS_FUSE_QUANTIZE,
  GS_FUSE_DEQUANT_MATMUL, /* a product with what is dequantised for it */
  GS_FUSE_BYTES_MATMUL, /* products of bytes with what stands around them */
  GS_FUSE_BYTES_CONV,
  GS_FUSE_FUSED_NORM, /* such a normalisation and what follows it */
  GS_FUSE_SCALE, /* normalisation by given statistics: a factor and a sum */
  /* From here on activations, with a cell APPLY. */
  GS_FUSE_ACTIVATION,
  GS_FUSE_RELU,       /* also of quantised products */
  GS_FUSE_CLIP,       /* its numbers are operands 1 and 2 */
  GS_FUSE_GATE,       /* times its operand it is GATED */
  GS_FUSE_HARD_GATE,  /* with some numbers it is HARD_GATED */
  GS_FUSE_GATED,
  GS_FUSE_HARD_GATED
} gs_fuse;

/* A number of an activation: an attribute, or without a name always this. */
typedef struct gs_fuse_number {
  const char *name;
  double value;
} gs_fuse_number;

gs_fuse gs_fuse_of(const gs_op *op);
/* The two numbers of an activation. */
const gs_fuse_number *gs_fuse_numbers(const gs_op *op);
/* The first row of a class, not GS_FUSE_NONE. */
const gs_op *gs_fuse_row(gs_fuse class);

/* What the caller knows of a value. */
typedef struct gs_fuse_facts {
  const void *ctx;
  /* Its data is there when kernels are prepared, and never changes. */
  bool (*fixed)(const void *ctx, const gs_value *v);
  /* The node that makes v, of which v is the only result and has one reader; or
   * NULL. */
  const gs_node *(*before)(const void *ctx, const gs_value *v);
} gs_fuse_facts;

/* Whether what n does may be part of several kernels: each of its readers may
 * do it for itself, and it may be a node that would run once. */
bool gs_kernel_repeats(const gs_node *n);

/* A node, in arena a, that does what `first` does and then `next`, whose
 * operand i is the only use of first's only result, unless gs_kernel_repeats
 * says that there may be others.  It has the operands of
 * both and the results of `next`.  NULL: no kernel does that. */
const gs_node *gs_kernel_fuse(gs_arena *a, const gs_node *first,
                              const gs_node *next, int i,
                              const gs_fuse_facts *facts);

/* The node, in arena a, that does `first` and then `next`, of which operand i
 * is the only use of first's result and the other is what `first` reads: x *
 * Sigmoid(x) and x * HardSigmoid(x).  NULL: it is neither. */
const gs_node *gs_kernel_fuse_gate(gs_arena *a, const gs_node *first,
                                   const gs_node *next, int i);
enum { GS_FUSE_MOST = 5 }; /* nodes before the last that become one with it */

/* Softmax attention that ends in the product n, as one node in arena a
 * (kernel/attention/fuse_attention.c); gone[*ngone] are the nodes before n that
 * it does too.  NULL: it is none. */
const gs_node *gs_kernel_fuse_attention(gs_arena *a, const gs_node *n,
                                        const gs_fuse_facts *facts,
                                        const gs_node **gone, int *ngone);

/* Gives n, a node of its own in arena a, one more attribute; the list that it
 * had may be that of another node. */
void gs_fuse_set(gs_arena *a, gs_node *n, gs_attr attr);
void gs_fuse_set_int(gs_arena *a, gs_node *n, const char *name, int64_t i);

/* Whether the kernel of n reads operand i, which is there, also in blocks of
 * channels, of f32: the cell BLOCKS of ops.def says so, or it is one that
 * blocks do not concern (gs_kernel_blind). */
bool gs_kernel_takes_blocks(const gs_node *n, int i);

#endif
