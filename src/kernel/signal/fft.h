/* Discrete Fourier transforms of any length, O(n log n), in doubles.
 *
 * Lengths whose prime factors are at most 31 are taken apart into them
 * (Stockham's autosorting form: C. Van Loan, Computational Frameworks for the
 * FFT, 1992, section 1.7); others are a convolution of a longer one
 * (L. Bluestein, 1970).  Several transforms run side by side, in lanes; what
 * a lane gives does not depend on the others. */
#ifndef GS_KERNEL_FFT_H
#define GS_KERNEL_FFT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct gs_fft gs_fft;

/* A plan for length n >= 1, in the arena; GS_UNSUPPORTED past 2^30. */
gs_status gs_fft_new(gs_arena *a, int64_t n, const gs_fft **out, gs_err *e);

/* Doubles that gs_fft_run wants as `work` for each lane. */
int64_t gs_fft_work(const gs_fft *f);

/* In place: x[k][lane] = sum over j of x[j][lane] e^(-2 pi i j k / n), with
 * real parts in re and imaginary ones in im.  Swap re and im for the
 * inverse, which is not divided by n. */
void gs_fft_run(const gs_fft *f, int lanes, double *re, double *im,
                double *work);

#endif
