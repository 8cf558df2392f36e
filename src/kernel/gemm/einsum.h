/* The reading of an Einsum equation and its plan. */
#ifndef GS_KERNEL_EINSUM_H
#define GS_KERNEL_EINSUM_H

#include "kernel/gemm/gemm.h"
#include "kernel/core/strided.h"

/* Labels: a-z, A-Z, then the dims of the ellipsis counted from the last. */
enum { GS_EIN_ELLIPSIS = 52, GS_EIN_LABELS = GS_EIN_ELLIPSIS + GS_MAX_RANK };

typedef uint64_t gs_labels[2]; /* a set */

/* A value while it is contracted: distinct labels of size other than 1, with
 * strides in elements. */
typedef struct gs_term {
  int n;
  uint8_t label[GS_EIN_LABELS];
  int64_t stride[GS_EIN_LABELS];
  int operand;   /* >= 0: the data of that operand */
  size_t offset; /* otherwise: elements into scratch */
} gs_term;

typedef enum gs_ein_kind { GS_EIN_COPY, GS_EIN_SUM, GS_EIN_MUL, GS_EIN_GEMM }
    gs_ein_kind;

/* One step; its result is dense in the order of its labels. */
typedef struct gs_ein_step {
  gs_ein_kind kind;
  gs_term a, b;     /* b: MUL and GEMM */
  int64_t n;        /* elements of the result */
  bool last;        /* written to where the result of all is wanted */
  size_t offset;    /* otherwise: elements into scratch */
  gs_strided copy;  /* COPY */
  gs_gemm gemm;     /* GEMM */
  int rank, kept;   /* SUM, MUL: loops; the first `kept` make the result */
  int64_t dims[GS_EIN_LABELS], sa[GS_EIN_LABELS], sb[GS_EIN_LABELS];
} gs_ein_step;

typedef struct gs_ein_plan {
  gs_dtype dtype; /* that is computed in */
  bool half;      /* operands are widened first, the result rounded last */
  size_t size;    /* bytes of dtype */
  int nin;
  const size_t *widened; /* [nin] elements into scratch */
  size_t result;         /* half: elements into scratch */
  size_t scratch;        /* elements */
  GS_VEC(gs_ein_step) step;
} gs_ein_plan;

/* Plans `equation` for the operands' shapes.  Every pair (from left to right)
 * becomes a batched matrix product, a broadcast product, or both with sums
 * and transpositions before; no label is summed later than it could be. */
gs_status gs_ein_plan_make(gs_kctx *k, const char *equation, gs_ein_plan *p);
gs_status gs_ein_run(gs_kctx *k, const gs_ein_plan *p);

#endif
