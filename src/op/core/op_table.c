/* The rows of ops.def as a table: nothing but data. */
#include <limits.h>

#include "op/core/op.h"
#include "op/core/shape.h"
#include "op/core/signature.h"

/* Prototypes of every function that a row names. */
#define EIN(text)
#define R(fn)
#define SPAN(fn, around) gs_span_fn gs_span_##fn;
#define S(fn) gs_shape_fn gs_shape_##fn;
#define SN(fn, n) gs_shape_fn gs_shape_##fn;
#define SIG(text)
#define RULED(text)
#define SIGNED(fn, text) gs_shape_fn gs_shape_##fn;
#define BY_RULE
#define L(fn) gs_local_fn gs_local_##fn;
#define GATHERS(fn) gs_gathers_fn gs_gathers_##fn;
#define SAME
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,      \
           combine, rule, shape, local, kernel)                                \
  rule shape local
#include "op/ops.def"
#undef EIN
#undef R
#undef SPAN
#undef S
#undef SN
#undef SIG
#undef RULED
#undef SIGNED
#undef BY_RULE
#undef L
#undef GATHERS
#undef SAME
#undef OP

/* Families; one that no row is of does not compile (unused). */
#define RULE(fn, text) RULE_OF(fn, fn, WHOLE, text)
#define RULE_OF(name, fn, kind, text)                                          \
  gs_rule_fn gs_rule_##fn;                                                     \
  static const gs_rule_family family_##name = {gs_rule_##fn, GS_##kind, text};
#include "op/rules.def"
#undef RULE
#undef RULE_OF

/* Row cells. */
#define EIN(rule_text) .text = (rule_text)
#define R(fn) .family = &family_##fn
#define SPAN(fn, around_)                                                      \
  .family = &family_span, .span = gs_span_##fn, .around = GS_AROUND_##around_
#define S(fn) .shape = gs_shape_##fn
#define SN(fn, n) .shape = gs_shape_##fn, .number = (n)
#define RULED(text) .shape = gs_shape_by_rule, .signature = (text)
#define SIG(text) .shape = gs_shape_signed, .signature = (text)
#define SIGNED(fn, text) .shape = gs_shape_##fn, .signature = (text)
#define BY_RULE .shape = gs_shape_by_rule
#define L(fn) .local = gs_local_##fn
#define GATHERS(fn) , .gathers = gs_gathers_##fn
#define SAME .local = NULL
#define K(name)
#define DYN(name)
#define FUSE(class)
#define APPLY(kind, loop, a, a0, b, b0)
#define BLOCKS(set)
#define FITS(name)
#define LITERAL
#define INDEX(at, from, what)                                                  \
  .index = {.operand = (at), .of = (from), .kind = GS_INDEX_##what},
#define OVER(...) .over = {__VA_ARGS__},
#define FADES(operand) .fades = 1 + (operand),
#define JOINED(text) .joined = (text),
#define T(text) .types = (text),
#define POINTWISE GS_OP_POINTWISE
#define LINEAR GS_OP_LINEAR
#define ADDITIVE GS_OP_ADDITIVE
#define PRODUCT GS_OP_PRODUCT
#define TOTAL GS_OP_TOTAL
#define EARLY GS_OP_EARLY
#define VIEW GS_OP_VIEW
#define INPLACE GS_OP_INPLACE
#define MOVES GS_OP_MOVES
#define PARTS GS_OP_PARTS
#define VALUES GS_OP_VALUES
#define RANDOM GS_OP_RANDOM
#define JOINS GS_OP_JOINS
#define PLACES GS_OP_PLACES
#define SHAPE_ONLY GS_OP_SHAPE_ONLY
#define TYPE1 GS_OP_TYPE1
#define INDEX1 GS_OP_INDEX1
#define DISTINCT GS_OP_DISTINCT
#define EQUALS GS_OP_EQUALS
#define SELECTS GS_OP_SELECTS
#define DYNAMIC GS_OP_DYNAMIC
#define COLLECTIVE GS_OP_COLLECTIVE
#define ENTRY GS_OP_ENTRY
#define EXIT GS_OP_EXIT
#define MESH GS_OP_MESH
#define PLACED GS_OP_PLACED

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
