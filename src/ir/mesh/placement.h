/* Places: which part of the whole tensors a local node computes on.
 *
 * A node that is not the same on every device (a pool that counts what it
 * covers, a resized dim, a scan) has to know, per dim of its operands and
 * results, the global size and the global index of element 0.  Both are in
 * the global dims and the form of the tensor, as numbers that hold for all
 * devices; gs_place_fold makes them those of one (design section 5.1). */
#ifndef GS_IR_PLACEMENT_H
#define GS_IR_PLACEMENT_H

#include "ir/mesh/form.h"

typedef struct gs_extent { /* of one tensor */
  int rank;
  const int64_t *dims; /* [rank] global */
  const gs_form *form;
} gs_extent;

typedef struct gs_placement {
  int nin, nout;
  gs_extent *in, *out; /* form NULL: the operand or result is left out */
} gs_placement;

gs_placement *gs_placement_new(gs_arena *a, int nin, int nout);
/* Element 0 of dim d on device position p, as an index of the whole. */
int64_t gs_extent_first(const gs_mesh *m, const gs_extent *x, int d,
                        int64_t p);
/* The placement on device position p alone: no axes, first elements are
 * constants. */
gs_placement *gs_placement_fold(gs_arena *a, const gs_mesh *m,
                                const gs_placement *pl, int64_t p);

/* Text: "[64,8]{tp,~} window(0:4*i-1,6), _ -> [62,8]{tp,~}"; "_" is what is
 * left out.  It reads back in.  GS_DATA. */
void gs_placement_print(gs_buf *b, const gs_mesh *m, const gs_placement *pl);
gs_status gs_placement_parse(gs_arena *a, const gs_mesh *m, const char *text,
                             gs_placement **out, gs_err *e);

#endif
