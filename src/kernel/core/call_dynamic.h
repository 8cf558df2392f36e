/* What dynamic forms of rows share. */
#ifndef GS_KERNEL_DYNAMIC_H
#define GS_KERNEL_DYNAMIC_H

#include "kernel/core/support.h"

/* By the kernel: the row's shape function sees the operands as constants. */
gs_status gs_dyncall_kernel(gs_dyncall *k);
/* GS_DATA and the like, naming the node. */
gs_status gs_dyncall_fail(gs_dyncall *k, gs_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Operand i as a tensor of numbers or strings; an optional that holds one is
 * opened.  GS_DATA when it is left out or something else. */
gs_status gs_dyncall_tensor(gs_dyncall *k, int i, gs_dyn **out);
/* Operand i as a sequence, likewise. */
gs_status gs_dyncall_list(gs_dyncall *k, int i, gs_dyn **out);
/* The only element of an integer operand; `otherwise` when it is left out. */
gs_status gs_dyncall_int(gs_dyncall *k, int i, int64_t otherwise, int64_t *out);
/* A new tensor as result i (b may be NULL). */
gs_status gs_dyncall_result(gs_dyncall *k, int i, gs_dtype dtype, int rank,
                           const int64_t *dims, gs_dyn **b);
/* Bytes of one element: of a gs_string for strings.  GS_UNSUPPORTED for types
 * that are packed several to a byte. */
gs_status gs_dyncall_esize(gs_dyncall *k, const gs_dyn *b, size_t *size);

/* Defines the dynamic form of a row without graphs. */
#define GS_DYNAMIC(name, run)                                                  \
  extern const gs_dynamic gs_dynamic_##name;                                   \
  const gs_dynamic gs_dynamic_##name = {run, NULL};

#endif
