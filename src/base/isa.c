#include "base/isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char *const names[GS_NISA] = {"base", "avx2", "avx512"};

static int of_processor(void) {
  int isa = GS_ISA_BASE;
#ifdef GS_HAVE_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    isa = GS_ISA_AVX2;
  if (isa && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    isa = GS_ISA_AVX512;
#endif
  return isa;
}

/* What GSHARD_ISA says; GS_NISA: nothing that is known. */
static int asked_for(void) {
  const char *s = getenv("GSHARD_ISA");
  int isa = 0;
  while (isa < GS_NISA && (!s || strcmp(s, names[isa]) != 0)) isa++;
  return isa;
}

int gs_isa(void) {
  static atomic_int known; /* 1 more: whoever looks first finds the same */
  int isa = atomic_load_explicit(&known, memory_order_relaxed) - 1;
  if (isa < 0) {
    int asked = asked_for();
    isa = of_processor();
    if (asked < isa) isa = asked;
    atomic_store_explicit(&known, isa + 1, memory_order_relaxed);
  }
  gs_assert(isa >= 0 && isa < GS_NISA);
  return isa;
}

gs_status gs_isa_check(gs_err *e) {
  const char *s = getenv("GSHARD_ISA");
  if (!s || asked_for() < GS_NISA) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL,
                 "GSHARD_ISA is '%s', not one of base, avx2, avx512", s);
}
