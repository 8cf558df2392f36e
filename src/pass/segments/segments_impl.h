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

/* The segments of dim d of v that n, which has it as operand 0, takes as they
 * are; false: it reads other than segments. */
bool gs_segments_taken(gs_arena *tmp, const gs_value *v, int d, gs_node *n,
                       gs_segments *out);
/* The segments of dim d of y, if all that reads y takes some; false: not so. */
bool gs_segments_find(gs_arena *tmp, const gs_uses *uses, const gs_value *y,
                      int d, gs_segments *out);

/* ---- cutting ---- */

typedef struct gs_cutter {
  gs_graph *g;
  gs_arena *tmp;
  gs_arena rules; /* of the nodes that are looked at, for one dim of one */
  gs_uses uses;
  gs_map part; /* "value dim first count" -> the part of a constant */
  gs_segments segment;
  gs_err *e;
} gs_cutter;

/* The factor that is dim d of result 0 alone and passes; -1: none. */
int gs_segments_passing(const gs_rule *r, int d);
/* The dim of map t that is factor f, or the major part of which it is; -1: f is
 * not in it; -2: otherwise than so. */
int gs_segments_dim(const gs_tensor_map *t, int f);
/* Whether n may be made several times, over parts of its operands. */
bool gs_segments_may_repeat(const gs_node *n);
/* The name of part number `index` of what has that name. */
const char *gs_segments_name(gs_cutter *c, const char *name, int index);
/* Places s->first .. of dim d of a constant, as a constant. */
gs_value *gs_segments_part(gs_cutter *c, gs_value *v, int d,
                           const gs_segment *s);
/* As n, with result 0 of `count` places in dim d (d < 0: as large as it is), of
 * operands in (those of n where they are NULL).  The name of the result is
 * free. */
gs_status gs_segments_make(gs_cutter *c, const gs_node *n, const gs_rule *r,
                           gs_value *const *in, int d, int64_t count,
                           gs_value **out);
/* Lets n, which looks up one place by its operand 1, look up place 0. */
gs_status gs_segments_take_first(gs_cutter *c, gs_node *n);
/* Moves the nodes from number `first` on in front of those from `at` on. */
void gs_segments_move(gs_graph *g, int first, int at, gs_arena *tmp);

#endif
