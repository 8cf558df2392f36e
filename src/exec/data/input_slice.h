/* The blocks of constants and graph inputs that a device holds. */
#ifndef GS_EXEC_INPUT_SLICE_H
#define GS_EXEC_INPUT_SLICE_H

#include "exec/compile/program.h"

/* The block of `whole` that the device at `position` holds by slice l: a
 * pointer into whole where it lies there as it is, else NULL. */
const void *gs_slice_inside(const gs_program *p, const gs_slice *l,
                            int64_t position, const void *whole);
/* Copies it to `block`, zeroes past the end. */
void gs_slice_copy(const gs_program *p, const gs_slice *l, int64_t position,
                   const void *whole, void *block);

#endif
