/* Run-time choice of instruction set, and helpers shared by stamped code.
 *
 * Inner loops are plain C in .inc files, compiled once per instruction set
 * (kernel/core/stamp.h).  Nothing is contracted or reassociated behind their
 * back, so every vector lane and loop tail gives the same bits; the elementary
 * functions of vmath.inc ask for fused multiply-adds where they exist, all
 * else is the same on every instruction set. */
#ifndef GS_KERNEL_ISA_H
#define GS_KERNEL_ISA_H

#include <stdbool.h>
#include <stdint.h>

enum { GS_ISA_BASE, GS_ISA_AVX2, GS_ISA_AVX512, GS_NISA };

#if defined __x86_64__
#define GS_HAVE_X86 1
#endif

/* The best instruction set of this processor; reads a cached word.
 * Processors with AVX2 have F16C too.  GS_ISA_LIMIT (compile time) caps it, to
 * test the others. */
#ifndef GS_ISA_LIMIT
#define GS_ISA_LIMIT GS_ISA_AVX512
#endif
static inline int gs_isa(void) {
  int isa = GS_ISA_BASE;
#ifdef GS_HAVE_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    isa = GS_ISA_AVX2;
  if (isa && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    isa = GS_ISA_AVX512;
#endif
  return isa > GS_ISA_LIMIT ? GS_ISA_LIMIT : isa;
}

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
