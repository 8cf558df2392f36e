/* Shared by the files of gs_pass_segments; not for others. */
#ifndef GS_PASS_SEGMENTS_IMPL_H
#define GS_PASS_SEGMENTS_IMPL_H

#include "op/core/op.h"

enum { GS_MAX_SEGMENTS = 16, GS_MAX_VIAS = 8 };

/* A node between a product and who reads its segments, in which a dim of
 * operand 0 becomes one of the result, or the major part of it does: the
 * columns of [.., 3*H*D] in a Reshape to [.., 3, H, D]. */
typedef struct gs_via {
  gs_node *node;
  int dim;      /* of the result */
  int64_t unit; /* columns of the product for each place of that dim */
} gs_via;

typedef enum gs_taking {
  GS_TAKEN_COPY,  /* result `at` of the node is the segment */
  GS_TAKEN_JOINED, /* it becomes operand `at` */
  GS_TAKEN_INDEX  /* all that there is for a node with one index */
} gs_taking;

/* Columns first .. first + count - 1 of a product, and who takes them. */
typedef struct gs_segment {
  int64_t first, count;
  gs_node *node;
  int at;
  gs_taking how;
  int index; /* in the order of the columns */
  int nvia;  /* on the way, that of the product first */
  gs_via via[GS_MAX_VIAS];
} gs_segment;

typedef struct gs_segments {
  int n;
  gs_segment at[GS_MAX_SEGMENTS];
} gs_segments;

/* The segments of dim d of y, if all that reads y takes some; false: not so. */
bool gs_segments_find(gs_arena *tmp, const gs_uses *uses, const gs_value *y,
                      int d, gs_segments *out);

#endif
