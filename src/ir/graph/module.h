/* Which module of its source a node is of: "model.layers.0.mlp.up_proj". */
#ifndef GS_IR_MODULE_H
#define GS_IR_MODULE_H

#include "ir/graph/graph.h"

/* metadata_props of nodes by PyTorch's exporter: the modules around a node, as
 * "['', 'model', 'model.mlp', 'linear']", the last one the node itself. */
#define GS_KEY_SCOPES "pkg.torch.onnx.name_scopes"

/* The innermost module of such a list; NULL where text is NULL or no list. */
const char *gs_module_of_scopes(gs_arena *a, const char *text);

/* The module of n: as its exporter says, else its name without the last
 * component, '.' for '/': "/model/mlp/MatMul" is of "model.mlp".  "" where
 * neither says. */
const char *gs_node_module(gs_arena *a, const gs_node *n);

#endif
