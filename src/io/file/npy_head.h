/* What stands before the elements of an .npy file or record. */
#ifndef GS_IO_NPY_HEAD_H
#define GS_IO_NPY_HEAD_H

#include "base/buf.h"
#include "ir/tensor.h"

typedef struct gs_npy_head {
  gs_dtype dtype;
  bool swap;    /* elements are big-endian */
  bool fortran; /* and lie column-major */
  int rank;
  int64_t dims[GS_MAX_RANK];
  unsigned seen; /* 1 descr, 2 fortran_order, 4 shape */
} gs_npy_head;

/* Bytes up to the elements, as the first 12 bytes (or all n, where there are
 * fewer) say: at most 10,012; 0: this does not begin like .npy, or has a header
 * that gs_npy_head_read refuses. */
size_t gs_npy_head_size(const uint8_t *p, size_t n);
/* *at gets the offset of the elements.  GS_DATA naming path, GS_UNSUPPORTED
 * for types without an ONNX counterpart. */
gs_status gs_npy_head_read(const char *path, const uint8_t *p, size_t n,
                           gs_npy_head *h, size_t *at, gs_err *e);
/* Of all elements.  GS_DATA when the size overflows. */
gs_status gs_npy_head_bytes(const char *path, const gs_npy_head *h,
                            uint64_t *out, gs_err *e);
/* Whether elements change places on their way to row-major order. */
bool gs_npy_head_moves(const gs_npy_head *h);
/* Brings n bytes of elements into ONNX's order; `from` may be `to` where they
 * keep their places. */
void gs_npy_elements(const gs_npy_head *h, const void *from, void *to,
                     size_t n);

/* Appends the header of a row-major tensor, of a type that .npy knows. */
void gs_npy_head_write(gs_buf *b, gs_dtype dtype, int rank,
                       const int64_t *dims);

#endif
