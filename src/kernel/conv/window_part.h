/* Windows of which a device has a part: of pools and convolutions that know
 * their place (kernel/core/coord.h). */
#ifndef GS_KERNEL_WINDOW_PART_H
#define GS_KERNEL_WINDOW_PART_H

#include "kernel/core/coord.h"
#include "op/rule/window.h"

typedef struct gs_window_part {
  gs_window whole;
  gs_window w;     /* on this device: `in` and `out` of its tensors, `begin`
                      from their first elements, so that it may be negative */
  gs_kextent x, y; /* the place of operand and result */
  int64_t low[GS_MAX_RANK], high[GS_MAX_RANK]; /* elements of the operand that
                                                  are none of its padding */
} gs_window_part;

/* That of result 0 over operand 0; `size` as in gs_window_read.  GS_DATA where
 * elements that the windows cover are not there, or those of the batch are
 * others. */
gs_status gs_window_part_get(gs_kctx *k, const int64_t *size,
                             gs_window_part *p);

#endif
