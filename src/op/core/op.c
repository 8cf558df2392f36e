#include "op/core/op.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"

const gs_op *gs_op_find(const char *domain, const char *name) {
  if (!strcmp(domain, "ai.onnx")) domain = "";
  for (int i = 0; i < gs_nop; i++)
    if (!strcmp(gs_ops[i].name, name) && !strcmp(gs_ops[i].domain, domain))
      return &gs_ops[i];
  return NULL;
}

const gs_op *gs_op_placed(const gs_op *op) {
  gs_assert(op->flags & GS_OP_PLACED);
  const gs_op *whole = gs_op_find("", op->name);
  return whole ? whole : gs_op_find("com.microsoft", op->name);
}

bool gs_node_additive(const gs_node *n) {
  if (!n->op || !(n->op->flags & GS_OP_ADDITIVE)) return false;
  const char *how = gs_node_string(n, "reduction", "none");
  return !strcmp(how, "none") || !strcmp(how, "add");
}

bool gs_node_linear(const gs_node *n, int i) {
  if (!n->op) return false;
  unsigned flags = n->op->flags;
  const gs_index *index = &n->op->index;
  if (flags & GS_OP_ADDITIVE)
    return gs_node_additive(n) && !(index->kind && index->operand == i);
  return ((flags & GS_OP_LINEAR) && i == 0) ||
         ((flags & GS_OP_PRODUCT) && (i < 2 || n->op->max_in == INT_MAX));
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
