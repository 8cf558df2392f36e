#include <string.h>

#include "base/isa.h"
#include "base/math.h"
#include "kernel/gemm/gemm.h"

enum { KB = 256, ROWS = 4 };

#define GS_STAMP "kernel/gemm/gemm_own.inc"
#include "kernel/core/stamp.h"

void gs_gemm_own(const gs_gemm *g, int64_t m, int64_t n, const void *a,
                 const void *b, void *c, int64_t ldc) {
  switch (g->dtype) {
  case GS_DOUBLE: GS_PICK(own_f64)(g, m, n, a, b, c, ldc); break;
  case GS_INT8: case GS_UINT8: GS_PICK(own_u8)(g, m, n, a, b, c, ldc); break;
  case GS_INT16: case GS_UINT16:
    GS_PICK(own_u16)(g, m, n, a, b, c, ldc);
    break;
  case GS_INT32: case GS_UINT32:
    GS_PICK(own_u32)(g, m, n, a, b, c, ldc);
    break;
  default: GS_PICK(own_u64)(g, m, n, a, b, c, ldc); break;
  }
}

enum { STREAMS = 8, COLUMNS = 2048 }; /* c stays in L1 */

void gs_gemm_vector(int64_t n, int64_t k, const float *a, const float *b,
                    int64_t ldb, float *c) {
  for (int64_t j = 0; j < n; j += COLUMNS) {
    int64_t some = gs_min(COLUMNS, n - j), p = 0;
    memset(c + j, 0, (size_t)some * sizeof *c);
    for (; p + STREAMS <= k; p += STREAMS)
      GS_PICK(add_rows)(some, a + p, b + p * ldb + j, ldb, c + j);
    for (; p < k; p++)
      GS_PICK(add_row)(some, a + p, b + p * ldb + j, ldb, c + j);
  }
}
