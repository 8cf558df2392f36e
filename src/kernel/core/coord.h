/* Where a device stands on the mesh, for the operators of ai.gshard. */
#ifndef GS_KERNEL_COORD_H
#define GS_KERNEL_COORD_H

#include "kernel/core/kernel.h"

/* Index of the device over the axes of attribute `axes`: attribute `index`
 * when the graph is specialised for a device, else from mesh and position. */
gs_status gs_kctx_index(gs_kctx *k, int64_t *idx);
/* Index along each of `rank` dims under attribute `split` (a sharding); a
 * specialised graph has them as a list in attribute `index`, or as one
 * integer, which then holds for the dims that are smaller in `local` than in
 * `global`. */
gs_status gs_kctx_split_index(gs_kctx *k, int rank, const int64_t *global,
                              const int64_t *local, int64_t *idx);

/* The global sizes of an operand or result, and the global index of its first
 * element, which is negative where a window begins before the tensor. */
typedef struct gs_kextent {
  int rank;
  int64_t dims[GS_MAX_RANK], first[GS_MAX_RANK];
} gs_kextent;

/* Those of operand or result i, as the attribute `place` says; without it, or
 * where it leaves that one out, the tensor is the whole.  In prep or run.
 * GS_DATA when it does not fit the tensor. */
gs_status gs_kctx_operand(gs_kctx *k, int i, gs_kextent *x);
gs_status gs_kctx_result(gs_kctx *k, int i, gs_kextent *x);
/* Whether elements [lo, hi] of dim d, as far as they are of the whole, are
 * among its n local ones. */
bool gs_kctx_has(const gs_kextent *x, int d, int64_t n, int64_t lo,
                 int64_t hi);

/* Whether dim d of x and dim e of y are the same elements of dims of one
 * size, of which each has n[d] and m[e] here. */
bool gs_kctx_alike(const gs_kextent *x, int d, const int64_t *n,
                   const gs_kextent *y, int e, const int64_t *m);

#endif
