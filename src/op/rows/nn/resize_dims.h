/* What a Resize does to each dim; its row and its kernel read it from here. */
#ifndef GS_OP_RESIZE_H
#define GS_OP_RESIZE_H

#include "ir/mesh/form.h"
#include "op/core/op.h"

/* The operands roi, scales and sizes; NULL and 0 when left out or empty. */
typedef struct gs_resize_args {
  const double *roi, *scales;
  const int64_t *sizes;
  int nroi, nscales, nsizes;
} gs_resize_args;

typedef struct gs_resize_dim {
  int64_t in, out;
  int64_t want;      /* the size that is asked for, before any policy */
  bool exact;        /* the scale is out / in, not the number below */
  double scale;
  double start, end; /* of the region, in parts of the dim; 0 and 1 if none */
  bool touched;      /* not every element stays where it is */
} gs_resize_dim;

typedef enum gs_resize_mode {
  GS_RESIZE_NEAREST,
  GS_RESIZE_LINEAR,
  GS_RESIZE_CUBIC
} gs_resize_mode;

typedef enum gs_resize_coord { /* coordinate_transformation_mode */
  GS_RESIZE_HALF_PIXEL,
  GS_RESIZE_HALF_PIXEL_SYMMETRIC,
  GS_RESIZE_PYTORCH_HALF_PIXEL,
  GS_RESIZE_ALIGN_CORNERS,
  GS_RESIZE_ASYMMETRIC,
  GS_RESIZE_TF_CROP_AND_RESIZE,
  GS_RESIZE_TF_HALF_PIXEL_FOR_NN /* up to opset 12 */
} gs_resize_coord;

typedef enum gs_resize_round { /* nearest_mode */
  GS_RESIZE_PREFER_FLOOR,
  GS_RESIZE_PREFER_CEIL,
  GS_RESIZE_FLOOR,
  GS_RESIZE_CEIL
} gs_resize_round;

typedef struct gs_resize_how {
  gs_resize_mode mode;
  gs_resize_coord coord;
  gs_resize_round round;
  bool antialias, exclude_outside;
  double cubic_a, extrapolation;
} gs_resize_how;

/* The attributes; GS_DATA for values that ONNX does not know. */
gs_status gs_resize_attrs(gs_arena *a, const gs_node *n, gs_resize_how *how,
                          gs_err *e);

/* dim[rank] for an operand of that shape.  GS_DATA when the operands do not
 * fit it, or do not say exactly one of scales and sizes. */
gs_status gs_resize_dims(gs_arena *a, const gs_node *n, int rank,
                         const int64_t *in, const gs_resize_args *args,
                         gs_resize_dim *dim, gs_err *e);

/* The place in the operand that element i of the result is taken from. */
double gs_resize_origin(gs_resize_coord coord, const gs_resize_dim *d,
                        int64_t i);

/* How many elements lie under the kernel, which widens by 1 / gs_resize_shrink
 * where a dim is made smaller with antialias.  May be too many for any use. */
double gs_resize_taps(const gs_resize_how *how, const gs_resize_dim *d);
double gs_resize_shrink(const gs_resize_how *how, const gs_resize_dim *d);
/* The first of the `taps` elements, of a dim of n, around place *x, which is
 * brought near the dim first: far outside all is edge.  Those outside stand
 * for the edge. */
int64_t gs_resize_first(const gs_resize_how *how, int taps, int64_t n,
                        double *x);

/* Which elements of the operand each element of the result is made of; those of
 * the extrapolation value, of none.  Close for results of up to 65536 elements,
 * O(elements); then one more at either end.  False where these numbers cannot
 * say it: places that run backwards, or far outside. */
bool gs_resize_reach(const gs_resize_how *how, const gs_resize_dim *d,
                     gs_reach *r);

#endif
