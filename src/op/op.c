#include "op/op.h"

#include <limits.h>
#include <string.h>

/* Prototypes of every function that a row names. */
#define EIN(text)
#define R(fn) gs_rule_fn gs_rule_##fn;
#define S(fn) gs_shape_fn gs_shape_##fn;
#define BY_RULE
#define L(fn) gs_local_fn gs_local_##fn;
#define SAME
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,      \
           combine, rule, shape, local, kernel)                                \
  rule shape local
#include "op/ops.def"
#undef EIN
#undef R
#undef S
#undef BY_RULE
#undef L
#undef SAME
#undef OP

/* Row cells. */
#define EIN(text) .einsum = (text)
#define R(fn) .rule = gs_rule_##fn
#define S(fn) .shape = gs_shape_##fn
#define BY_RULE .shape = gs_shape_by_rule
#define L(fn) .local = gs_local_##fn
#define SAME .local = NULL
#define POINTWISE GS_OP_POINTWISE
#define LINEAR GS_OP_LINEAR
#define ADDITIVE GS_OP_ADDITIVE
#define RANDOM GS_OP_RANDOM
#define SHAPE_ONLY GS_OP_SHAPE_ONLY
#define INPLACE GS_OP_INPLACE
#define COLLECTIVE GS_OP_COLLECTIVE
#define INDEX1 GS_OP_INDEX1
#define ENTRY GS_OP_ENTRY
#define EXIT GS_OP_EXIT
#define MESH GS_OP_MESH
#define MOVES GS_OP_MOVES
#define TYPE1 GS_OP_TYPE1
#define OPEN GS_OP_OPEN

enum {
#define OP(sym, ...) ROW_##sym,
#include "op/ops.def"
#undef OP
  NROW
};

const gs_op gs_ops[] = {
#define OP(sym, opname, dom, opset, in0, in1, out0, out1, bits, work, how,     \
           rule_, shape_, local_, kernel_)                                     \
  {.name = opname,                                                             \
   .domain = dom,                                                              \
   .since = opset,                                                             \
   .min_in = in0,                                                              \
   .max_in = in1,                                                              \
   .min_out = out0,                                                            \
   .max_out = out1,                                                            \
   .flags = bits,                                                              \
   .flops = work,                                                              \
   .combine = GS_REDUCE_##how,                                                 \
   rule_,                                                                      \
   shape_,                                                                     \
   local_,                                                                     \
   .id = ROW_##sym},
#include "op/ops.def"
#undef OP
};

const int gs_nop = NROW;

const gs_op *gs_op_find(const char *domain, const char *name) {
  if (!strcmp(domain, "ai.onnx")) domain = "";
  for (int i = 0; i < NROW; i++)
    if (!strcmp(gs_ops[i].name, name) && !strcmp(gs_ops[i].domain, domain))
      return &gs_ops[i];
  return NULL;
}

static const gs_domain domains[] = {
    {"", 7, 28},
    {"ai.gshard", 1, 1},
    {"com.microsoft", 1, 1},
    {"ai.onnx.preview", 1, 1},
    {"ai.onnx.preview.training", 1, 1},
};

const gs_domain *gs_domain_find(const char *name) {
  for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
    if (!strcmp(domains[i].name, name)) return &domains[i];
  return NULL;
}
