/* The kernel column of ops.def. */
#include "kernel/core/kernel.h"

static const gs_kernel gs_kernel_none;

/* Prototypes; `none` above has neither prep nor run.  A cell is K(kernel), or
 * K(kernel) BOX(how it runs on dynamic values), then INDEX(..) and T(types). */
#define T(types)
#define INDEX(operand, of, kind)
#define K(name) extern const gs_kernel gs_kernel_##name;
#define DYN(name) extern const gs_dynamic gs_dynamic_##name;
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,      \
           combine, rule, shape, local, kernel)                                \
  kernel
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include "op/ops.def"
#pragma GCC diagnostic pop
#undef K
#undef DYN
#undef OP

static const struct {
  const gs_kernel *kernel;
  const gs_dynamic *dynamic;
} table[] = {
#define K(name) .kernel = &gs_kernel_##name,
#define DYN(name) .dynamic = &gs_dynamic_##name
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,      \
           combine, rule, shape, local, kernel)                                \
  {kernel},
#include "op/ops.def"
#undef K
#undef DYN
#undef OP
#undef INDEX
#undef T
};

const gs_kernel *gs_kernel_of(const gs_op *op) { return table[op->id].kernel; }

const gs_dynamic *gs_dynamic_of(const gs_op *op) {
  return table[op->id].dynamic;
}

gs_status gs_kernel_no_type(gs_kctx *k, gs_dtype t) {
  gs_arena a;
  gs_arena_init(&a);
  gs_status s =
      gs_fail(k->err, GS_UNSUPPORTED, gs_node_place(&a, k->node),
              "no kernel for %s", gs_dtype_get((int)t)->text);
  gs_arena_free(&a);
  return s;
}
