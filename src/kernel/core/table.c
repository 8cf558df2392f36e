/* The kernel column of ops.def. */
#include "kernel/core/call_dynamic.h"
#include "kernel/core/fusion.h"
#include "kernel/core/layout.h"

static const gs_kernel gs_kernel_none;

/* Prototypes; `none` above has neither prep nor run. */
#define T(types)
#define INDEX(operand, of, kind)
#define OVER(...)
#define FADES(operand)
#define JOINED(text)
#define LITERAL
#define FUSE(class)
#define APPLY(kind, loop, a, a0, b, b0)
#define BLOCKS(set)
#define FITS(name)                                                             \
  extern bool gs_fits_##name(const gs_node *n, const gs_view *y);
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
#undef FUSE
#undef APPLY
#undef BLOCKS
#undef FITS
#undef OP

static const struct {
  const gs_kernel *kernel;
  const gs_dynamic *dynamic;
  gs_fuse fuse;
  gs_fuse_number number[2];
  unsigned blocks; /* set of operands */
  bool (*fits)(const gs_node *n, const gs_view *y);
} table[] = {
#define K(name) .kernel = &gs_kernel_##name,
#define DYN(name) .dynamic = &gs_dynamic_##name,
#define FUSE(class) .fuse = GS_FUSE_##class,
#define APPLY(kind, loop, a, a0, b, b0) .number = {{a, a0}, {b, b0}},
#define BLOCKS(set) .blocks = (set),
#define FITS(name) .fits = gs_fits_##name,
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,      \
           combine, rule, shape, local, kernel)                                \
  {kernel},
#include "op/ops.def"
#undef K
#undef DYN
#undef FUSE
#undef APPLY
#undef BLOCKS
#undef FITS
#undef OP
#undef LITERAL
#undef INDEX
#undef T
};

const gs_kernel *gs_kernel_of(const gs_op *op) { return table[op->id].kernel; }

const gs_dynamic *gs_dynamic_of(const gs_op *op) {
  return table[op->id].dynamic;
}

gs_fuse gs_fuse_of(const gs_op *op) { return table[op->id].fuse; }

const gs_fuse_number *gs_fuse_numbers(const gs_op *op) {
  return table[op->id].number;
}

const gs_op *gs_fuse_row(gs_fuse class) {
  int i = 0;
  while (table[i].fuse != class) i++; /* every class has a row */
  return &gs_ops[i];
}

/* Whether blocks of 8 channels fill the groups of a convolution n, or n has a
 * group for each channel. */
static bool fills(const gs_node *n) {
  gs_fuse f = gs_fuse_of(n->op);
  int64_t groups = gs_node_int(n, "group", 1);
  if (groups == 1 || (f != GS_FUSE_CONV && f != GS_FUSE_FUSED_CONV))
    return true;
  int64_t in = n->in[1]->dims[1], out = n->in[1]->dims[0];
  return in == 1 || (in % 8 == 0 && out % (8 * groups) == 0);
}

bool gs_kernel_takes_blocks(const gs_node *n, int i) {
  /* Other results than the first are not made of blocks. */
  if (n->nout != 1 || n->in[i]->dtype != GS_FLOAT) return false;
  if (i < 32 && table[n->op->id].blocks >> i & 1) return fills(n);
  return n->in[i]->rank == n->out[0]->rank && gs_kernel_blind(n);
}

bool gs_kernel_writes_part(const gs_node *n, const gs_view *y) {
  return n->op->flags & GS_OP_PARTS &&
         (!table[n->op->id].fits || table[n->op->id].fits(n, y));
}

gs_status gs_dyncall_node(gs_dyncall *k) {
  if (!k->node->op)
    return gs_dyncall_fail(k, GS_UNSUPPORTED, "no such operator");
  const gs_dynamic *b = gs_dynamic_of(k->node->op);
  k->kernel = gs_kernel_of(k->node->op);
  GS_TRY(b && b->run ? b->run(k) : gs_dyncall_kernel(k));
  for (int i = 0; i < k->node->nout; i++)
    if (k->node->out[i] && !k->out[i])
      return gs_dyncall_fail(k, GS_INTERNAL, "result %d was not made", i);
  return GS_OK;
}
