/* Numbers in constants of any float type. */
#ifndef GS_OP_NUMBER_H
#define GS_OP_NUMBER_H

#include "ir/tensor.h"

/* Element i of t, in a double; false where t has no data here or is not of
 * f16, bf16, f32 or f64. */
bool gs_number_at(const gs_tensor *t, int64_t i, double *x);

#endif
