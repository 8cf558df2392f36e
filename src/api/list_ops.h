/* The table of operators as text, from src/op/ops.def and functions/. */
#ifndef GS_API_LIST_OPS_H
#define GS_API_LIST_OPS_H

#include <stdio.h>

/* One line each: domain, name, opset, operands, results, how it shards. */
void gs_ops_list(FILE *f);
/* The same as an array of objects. */
void gs_ops_list_json(FILE *f);
/* The same in mdoc, without those of ai.gshard. */
void gs_ops_man(FILE *f);
/* The moves of moves.def in mdoc: what each does, and its attributes. */
void gs_moves_man(FILE *f);

#endif
