#include "kernel/onednn.h"

#include <dnnl.h>
#ifdef _OPENMP
#include <omp.h>
#endif

bool gs_onednn_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                     const float *a, int64_t lda, const float *b, int64_t ldb,
                     float *c, int64_t ldc) {
#ifdef _OPENMP
  /* oneDNN starts threads of its own unless it is told of only one. */
  int threads = omp_get_max_threads();
  if (threads != 1) omp_set_num_threads(1);
#endif
  dnnl_status_t s = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f,
                               a, lda, b, ldb, 0.0f, c, ldc);
#ifdef _OPENMP
  if (threads != 1) omp_set_num_threads(threads);
#endif
  return s == dnnl_success;
}
