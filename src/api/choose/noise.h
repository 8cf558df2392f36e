/* What makes the largest element one that is drawn. */
#ifndef GS_API_NOISE_H
#define GS_API_NOISE_H

#include "api/choose/choose.h"

/* x[i] += T g for elements first .. first + n of a row, g drawn from Gumbel's
 * distribution; only what may become the largest need be right, others may be
 * -infinity. */
void gs_noise_add(const gs_draw *d, int64_t far, int64_t row, int64_t first,
                  int64_t n, double *x);

#endif
