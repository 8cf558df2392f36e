#include "kernel/pointwise/joined.h"

#include "base/assert.h"
#include "kernel/pointwise/activations.h"
#include "op/core/op.h"

static gs_loop *act(int id) { return gs_act_get((gs_act_id)id, GS_FLOAT); }
static gs_loop *loop(int id) { return gs_loop_get((gs_loop_id)id, GS_FLOAT); }

/* Rows of ops.def that can follow; others have no `get`. */
static const struct {
  gs_loop *(*get)(int id);
  int id;
} rows[] = {
#define K(name)
#define DYN(name)
#define FUSE(class)
#define BLOCKS(set)
#define FITS(name)
#define T(types)
#define INDEX(operand, of, kind)
#define OVER(...)
#define FADES(operand)
#define JOINED(text)
#define LITERAL
#define GET_ACT act
#define GET_LOOP loop
#define APPLY(kind, loop, a, a0, b, b0) GET_##kind, GS_##kind##_##loop
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,      \
           combine, rule, shape, local, kernel)                                \
  {kernel},
#include "op/ops.def"
};

gs_joined gs_joined_get(const gs_node *n) {
  gs_joined j = {0};
  const char *name = gs_node_string(n, "activation", NULL);
  if (!name) return j;
  const gs_attr *given = gs_node_attr(n, "activation_params");
  for (int i = 0; i < 2 && given && i < given->n; i++)
    j.param[i] = given->floats[i];
  const gs_op *op = gs_op_find("", name);
  gs_assert(op && rows[op->id].get); /* the schema knows no other names */
  j.loop = rows[op->id].get(rows[op->id].id);
  gs_assert(j.loop);
  return j;
}
