/* The table of operators as text, from src/op/ops.def. */
#ifndef GS_TOOLS_LIST_OPS_H
#define GS_TOOLS_LIST_OPS_H

#include <stdio.h>

/* One line each: domain, name, opset, operands, results, how it shards. */
void gs_ops_list(FILE *f);
/* The same as rows of an mdoc table, ONNX's operators. */
void gs_ops_man(FILE *f);

#endif
