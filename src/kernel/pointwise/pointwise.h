/* The driver of the pointwise kernels: broadcasting, type conversion and
 * blocking around one inner loop. */
#ifndef GS_KERNEL_POINTWISE_H
#define GS_KERNEL_POINTWISE_H

#include "kernel/core/kernel.h"
#include "kernel/pointwise/loops.h"

enum { GS_PW_OPERANDS = 3 };

/* What prep decides about an operator. */
typedef struct gs_pw_spec {
  gs_loop *loop;  /* NULL: the result is a copy of operand 0 */
  gs_loop *single; /* instead of loop, where all operands but the first have
                      one element, of which it reads no more; or NULL */
  gs_loop *last;  /* applied in place to the result with param, or NULL */
  bool chain;     /* loop is binary and folds all operands from the left */
  gs_dtype want;  /* type that operands are converted to */
  gs_dtype want0; /* the same for operand 0; GS_UNDEFINED: want */
  gs_dtype made;  /* type that the loop produces (converted to out's) */
  int nop;        /* operands of the loop; 0: the node's operands 0, 1, ... */
  int op[GS_PW_OPERANDS]; /* which operands of the node they are */
  double param[2];
} gs_pw_spec;

/* Plans the node (state of k); fails with GS_DATA when the operands do not
 * broadcast to the result's shape. */
gs_status gs_pw_plan(gs_kctx *k, const gs_pw_spec *s);
gs_status gs_pw_run(gs_kctx *k);

#endif
