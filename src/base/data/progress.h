/* How far work has come, for someone who looks on from another thread. */
#ifndef GS_BASE_PROGRESS_H
#define GS_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#include "gshard.h"

struct gs_progress {
  _Atomic uint64_t done, total; /* bytes; total 0: not known */
};

/* So many bytes more are to be done, or are done.  NULL: nobody looks. */
static inline void gs_progress_expect(gs_progress *p, uint64_t n) {
  if (p) atomic_fetch_add_explicit(&p->total, n, memory_order_relaxed);
}
static inline void gs_progress_add(gs_progress *p, uint64_t n) {
  if (p) atomic_fetch_add_explicit(&p->done, n, memory_order_relaxed);
}

#endif
