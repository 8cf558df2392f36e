#include "op/core/op.h"

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
#define K(name)
#define DYN(name)
#define FUSE(class)
#define BLOCKS(set)
#define LITERAL
#define INDEX(at, from, what)                                                  \
  .index = {.operand = (at), .of = (from), .kind = GS_INDEX_##what},
#define T(text) .types = (text),
#define POINTWISE GS_OP_POINTWISE
#define LINEAR GS_OP_LINEAR
#define ADDITIVE GS_OP_ADDITIVE
#define EARLY GS_OP_EARLY
#define VIEW GS_OP_VIEW
#define INPLACE GS_OP_INPLACE
#define MOVES GS_OP_MOVES
#define VALUES GS_OP_VALUES
#define RANDOM GS_OP_RANDOM
#define SHAPE_ONLY GS_OP_SHAPE_ONLY
#define TYPE1 GS_OP_TYPE1
#define INDEX1 GS_OP_INDEX1
#define DYNAMIC GS_OP_DYNAMIC
#define COLLECTIVE GS_OP_COLLECTIVE
#define ENTRY GS_OP_ENTRY
#define EXIT GS_OP_EXIT
#define MESH GS_OP_MESH

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
   kernel_ .id = ROW_##sym},
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

char *gs_op_types_text(gs_arena *a, uint64_t set) {
  static const struct {
    const char *name;
    uint64_t set;
  } classes[] = {
      {"floats", 1 << GS_FLOAT | 1 << GS_DOUBLE | 1 << GS_FLOAT16 |
                     1 << GS_BFLOAT16},
      {"integers", 1 << GS_INT8 | 1 << GS_INT16 | 1 << GS_INT32 |
                       1 << GS_INT64 | 1 << GS_UINT8 | 1 << GS_UINT16 |
                       1 << GS_UINT32 | 1 << GS_UINT64},
      {"complex", 1 << GS_COMPLEX64 | 1 << GS_COMPLEX128},
      {"float8", 1 << GS_FLOAT8E4M3FN | 1 << GS_FLOAT8E4M3FNUZ |
                     1 << GS_FLOAT8E5M2 | 1 << GS_FLOAT8E5M2FNUZ |
                     1 << GS_FLOAT8E8M0},
      {"packed", 1 << GS_INT4 | 1 << GS_UINT4 | 1 << GS_FLOAT4E2M1 |
                     1 << GS_INT2 | 1 << GS_UINT2},
  };
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_str(&b, "");
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if ((set & classes[i].set) == classes[i].set) {
      gs_buf_printf(&b, "%s%s", b.n ? " " : "", classes[i].name);
      set &= ~classes[i].set;
    }
  for (int t = 0; t < GS_NDTYPE; t++)
    if (set >> t & 1)
      gs_buf_printf(&b, "%s%s", b.n ? " " : "", gs_dtype_get(t)->text);
  return b.at;
}
