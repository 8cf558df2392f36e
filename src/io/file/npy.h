/* NumPy's .npy files. */
#ifndef GS_IO_NPY_H
#define GS_IO_NPY_H

#include "io/file/io.h"

/* Reads format versions 1 to 3 from a file or "-".  Fortran order is
 * transposed, big-endian numbers are swapped; other data in files is mapped,
 * not copied, when it is aligned (close t->file if not NULL).  GS_DATA naming
 * the file; GS_UNSUPPORTED for types without an ONNX counterpart. */
gs_status gs_npy_read(gs_arena *a, const char *path, gs_tensor **out,
                      gs_err *e);
/* Into one more file of the set, or to standard output ("-").
 * GS_UNSUPPORTED for types that .npy does not know (bf16, float8, 4 and 2
 * bits, strings). */
gs_status gs_npy_write(gs_out_set *files, const char *path, const gs_tensor *t,
                       gs_err *e);

/* By the name's ending: .pb is a TensorProto, all else .npy. */
gs_status gs_tensor_load(gs_arena *a, const char *path, gs_tensor **out,
                         gs_err *e);
/* The same for values of any kind: what is no tensor needs a .pb file. */
gs_status gs_dyn_load(gs_arena *a, const char *path, gs_kind kind,
                      gs_dyn **out, gs_err *e);
gs_status gs_dyn_save(gs_out_set *files, const char *path, const gs_dyn *b,
                      gs_err *e);

#endif
