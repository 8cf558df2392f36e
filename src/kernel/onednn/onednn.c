#include "kernel/onednn/onednn.h"

#include "base/ending.h"
#include "kernel/onednn/onednn_compat.h"

bool gs_onednn_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                     const float *a, int64_t lda, const float *b, int64_t ldb,
                     float *c, int64_t ldc) {
  int threads = gs_dnn_one_thread();
  dnnl_status_t s = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f,
                               a, lda, b, ldb, 0.0f, c, ldc);
  gs_dnn_old_threads(threads);
  if (s == dnnl_out_of_memory) gs_out_of_memory(0);
  return s == dnnl_success;
}

int gs_onednn_block(void) {
  int wide = dnnl_cpu_isa_avx512_core;
  int threads = gs_dnn_one_thread();
  int isa = (int)dnnl_get_effective_cpu_isa();
  gs_dnn_old_threads(threads);
  return (isa & wide) == wide ? 16 : 8;
}

const char *gs_onednn_version(gs_arena *a) {
  const dnnl_version_t *v = dnnl_version();
  return gs_sprintf(a, "%d.%d.%d", v->major, v->minor, v->patch);
}
