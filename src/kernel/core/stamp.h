/* Compiles the file that the macro GS_STAMP names once per instruction set,
 * with GS_FN(name) -> name_base, name_avx2, name_avx512; where GS_STAMP_VNNI
 * is defined also name_avxvnni and name_avx512vnni, which have sums of products
 * of bytes (VNNI) beside the second and the third.  No include guard: used once
 * per .c file.  Standard headers and isa.h must come before it, so that only
 * the stamped code is compiled for the wider sets.
 *
 * The options are given here because the loops must vectorise, and must not
 * contract or reassociate, whatever CFLAGS say. */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed" /* loops that call libm */
#else
#pragma GCC push_options
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math",                \
                     "fp-contract=off")
#endif

#define GS_ISA base
#define GS_MADD(a, b, c) ((a) * (b) + (c))
#define GS_FN_3(a, b) a##_##b
#define GS_FN_2(a, b) GS_FN_3(a, b)
#define GS_FN(name) GS_FN_2(name, GS_ISA)
#include GS_STAMP
#undef GS_ISA

#undef GS_MADD
#ifdef GS_HAVE_X86
#define GS_MADD(a, b, c) __builtin_fmaf(a, b, c)
#define GS_ISA avx2
#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))),        \
                             apply_to = function)
#include GS_STAMP
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include GS_STAMP
#pragma GCC pop_options
#endif
#undef GS_ISA

#define GS_ISA avx512
#if defined __clang__
#pragma clang attribute push(                                                 \
    __attribute__((                                                           \
        target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl"))),         \
    apply_to = function)
#include GS_STAMP
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target(                                                            \
    "avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl",                        \
    "prefer-vector-width=512")
#include GS_STAMP
#pragma GCC pop_options
#endif
#undef GS_ISA

#ifdef GS_STAMP_VNNI
#define GS_ISA avxvnni
#if defined __clang__
#pragma clang attribute push(                                                 \
    __attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#include GS_STAMP
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avxvnni")
#include GS_STAMP
#pragma GCC pop_options
#endif
#undef GS_ISA

#define GS_ISA avx512vnni
#if defined __clang__
#pragma clang attribute push(                                                 \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl," \
                          "avx512vnni"))),                                    \
    apply_to = function)
#include GS_STAMP
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target(                                                            \
    "avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni",             \
    "prefer-vector-width=512")
#include GS_STAMP
#pragma GCC pop_options
#endif
#undef GS_ISA
#endif
#undef GS_MADD
#endif

#undef GS_STAMP_VNNI
#undef GS_FN
#undef GS_FN_2
#undef GS_FN_3
#if defined __clang__
#pragma clang diagnostic pop
#else
#pragma GCC pop_options
#endif

/* The member of a family that is stamped with GS_STAMP_VNNI. */
#ifdef GS_HAVE_X86
#define GS_PICK_VNNI(name)                                                     \
  (!gs_isa_vnni()              ? GS_PICK(name)                                 \
   : gs_isa() == GS_ISA_AVX512 ? name##_avx512vnni                             \
                               : name##_avxvnni)
#else
#define GS_PICK_VNNI(name) GS_PICK(name)
#endif

/* The member of a stamped family (GS_PICK(fn) or GS_PICK(&table)) for this
 * processor. */
#ifdef GS_HAVE_X86
#define GS_PICK(name)                                                          \
  (gs_isa() == GS_ISA_AVX512 ? name##_avx512                                   \
   : gs_isa() == GS_ISA_AVX2 ? name##_avx2                                     \
                             : name##_base)
#else
#define GS_PICK(name) name##_base
#endif
