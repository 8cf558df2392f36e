/* What boxed forms of rows share. */
#ifndef GS_KERNEL_BOXED_H
#define GS_KERNEL_BOXED_H

#include "kernel/core/support.h"

/* By the kernel: the row's shape function sees the operands as constants. */
gs_status gs_boxrun_kernel(gs_boxrun *k);
/* GS_DATA and the like, naming the node. */
gs_status gs_boxrun_fail(gs_boxrun *k, gs_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Operand i as a tensor of numbers or strings; an optional that holds one is
 * opened.  GS_DATA when it is left out or something else. */
gs_status gs_boxrun_tensor(gs_boxrun *k, int i, gs_box **out);
/* Operand i as a sequence, likewise. */
gs_status gs_boxrun_list(gs_boxrun *k, int i, gs_box **out);
/* The only element of an integer operand; `otherwise` when it is left out. */
gs_status gs_boxrun_int(gs_boxrun *k, int i, int64_t otherwise, int64_t *out);
/* A new tensor as result i (b may be NULL). */
gs_status gs_boxrun_result(gs_boxrun *k, int i, gs_dtype dtype, int rank,
                           const int64_t *dims, gs_box **b);
/* Bytes of one element: of a gs_string for strings.  GS_UNSUPPORTED for types
 * that are packed several to a byte. */
gs_status gs_boxrun_esize(gs_boxrun *k, const gs_box *b, size_t *size);

/* Defines the boxed form of a row without graphs. */
#define GS_BOXED(name, run)                                                    \
  extern const gs_boxed gs_boxed_##name;                                       \
  const gs_boxed gs_boxed_##name = {run, NULL};

#endif
