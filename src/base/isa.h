/* Run-time choice of instruction set, and helpers shared by stamped code.
 *
 * Inner loops are plain C in .inc files, compiled once per instruction set
 * (kernel/core/stamp.h).  Nothing is contracted or reassociated behind their
 * back, so every vector lane and loop tail gives the same bits; the elementary
 * functions of vmath.inc ask for fused multiply-adds where they exist, all
 * else is the same on every instruction set. */
#ifndef GS_BASE_ISA_H
#define GS_BASE_ISA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { GS_ISA_BASE, GS_ISA_AVX2, GS_ISA_AVX512, GS_NISA };

#if defined __x86_64__
#define GS_HAVE_X86 1
#endif

/* The best instruction set of this processor, or a lesser one that the
 * environment's GSHARD_ISA names (base, avx2, avx512), to try those of other
 * machines.  Processors with AVX2 have F16C too.  Cost: reads a cached word. */
int gs_isa(void);
/* GS_USAGE where GSHARD_ISA names none. */
gs_status gs_isa_check(gs_err *e);

/* Whether there is VNNI beside it, in vectors as wide. */
static inline bool gs_isa_vnni(void) {
#ifdef GS_HAVE_X86
  int isa = gs_isa();
  if (isa == GS_ISA_AVX512) return __builtin_cpu_supports("avx512vnni");
  if (isa == GS_ISA_AVX2) return __builtin_cpu_supports("avxvnni");
#endif
  return false;
}

#define GS_INLINE static inline __attribute__((always_inline))

/* Says that iterations are independent even where out is exactly in[0]. */
#if defined __clang__
#define GS_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define GS_IVDEP _Pragma("GCC ivdep")
#endif

#endif
