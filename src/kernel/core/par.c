#include "kernel/core/par.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/assert.h"

/* Elements below which a team costs more than it saves (about 10 us). */
enum { GRAIN = 32768 };

void gs_parallel(int threads, int64_t n, int64_t cost,
                 void (*fn)(void *ctx, int64_t lo, int64_t hi), void *ctx) {
  if (n <= 0) return;
  if (cost < 1) cost = 1;
  gs_assert(fn);
#ifdef _OPENMP
  int64_t units = n > INT64_MAX / cost ? INT64_MAX : n * cost;
  int64_t max = units / GRAIN;
  if (max > n) max = n;
  if (threads > max) threads = (int)max;
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    {
      int64_t nt = omp_get_num_threads(), t = omp_get_thread_num();
      int64_t each = n / nt, rest = n % nt;
      int64_t lo = t * each + (t < rest ? t : rest);
      int64_t hi = lo + each + (t < rest);
      gs_assert(lo >= 0 && hi <= n);
      if (lo < hi) fn(ctx, lo, hi);
    }
    return;
  }
#else
  (void)threads;
#endif
  fn(ctx, 0, n);
}
