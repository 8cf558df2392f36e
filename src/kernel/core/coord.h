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

#endif
