#include "kernel/core/layout.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

/* How many elements of v there are before a gap, among which are those of a
 * dim that are s apart where it is row-major; 0: none bounds them. */
static int64_t bound(const gs_view *v, int64_t s) {
  if (!v->pitch) return 0;
  if (s < v->run) return v->run;
  return v->apart && s < v->run * v->runs ? v->run * v->runs : 0;
}

/* Appends a dim of v, of n, that is read with stride `from` and of which
 * consecutive elements are `s` apart in v: those of a part are further. */
static void add_dim(gs_strided *copy, const gs_view *v, int64_t n,
                    int64_t from, int64_t s) {
  int64_t all = bound(v, s), some = all ? gs_min(n, all / s) : n;
  gs_assert(some == n || (some > 0 && n % some == 0));
  if (some != n) add_dim(copy, v, n / some, from * some, s * some);
  gs_strided_dim(copy, some, from, gs_part_stride(v, s));
}

void gs_unblock(const gs_view *v, int block, const float *from, float *to,
                int threads) {
  int64_t places = gs_dims_count(v->dims, 2, v->rank);
  gs_assert(block >= 1 && v->rank >= 2 && v->dims[1] % block == 0);
  int64_t groups = v->dims[1] / block;
  gs_strided s;
  gs_strided_init(&s, sizeof *from);
  if (!v->n) return;
  add_dim(&s, v, v->dims[0], v->dims[1] * places, v->dims[1] * places);
  add_dim(&s, v, groups, block * places, block * places);
  add_dim(&s, v, block, 1, places);
  add_dim(&s, v, places, block, 1);
  gs_strided_run(&s, from, to, threads);
}

void gs_part_put(const gs_view *v, size_t size, int64_t i, int64_t n,
                 const void *from) {
  const char *p = from;
  gs_assert(i >= 0 && n >= 0);
  for (int64_t some; n > 0; n -= some) {
    some = gs_part_run(v, i, n);
    memcpy((char *)v->data + (size_t)gs_part_place(v, i) * size, p,
           (size_t)some * size);
    p += (size_t)some * size;
    i += some;
  }
}

static bool one_shape(const gs_value *x, const gs_value *y) {
  return x->rank == y->rank && gs_same_dims(x->dims, y->dims, x->rank);
}

/* Whether x has a number for each channel of y, of all images or of each. */
static bool per_channel(const gs_value *x, const gs_value *y) {
  int d = x->rank - y->rank; /* of y's dim 0 in x */
  if (d > 0 || d + 1 < 0 || x->dims[d + 1] != y->dims[1] ||
      gs_dims_count(x->dims, d + 2, x->rank) != 1)
    return false;
  return d < 0 || x->dims[0] == 1 || x->dims[0] == y->dims[0];
}

bool gs_kernel_blind(const gs_node *n) {
  const gs_value *y = gs_node_out(n, 0);
  if (!y || n->nout != 1 || y->dtype != GS_FLOAT || y->rank < 3) return false;
  int64_t axis = gs_node_int(n, "axis", 0);
  bool joins = n->op->flags & GS_OP_JOINS && (axis == 1 || axis == 1 - y->rank);
  unsigned elementwise = GS_OP_POINTWISE | GS_OP_INPLACE;
  if (!joins && (n->op->flags & elementwise) != elementwise) return false;
  for (int i = 0; i < n->nin; i++) {
    const gs_value *x = n->in[i];
    if (x && !joins && !one_shape(x, y) && !per_channel(x, y) &&
        gs_product(x->dims, x->rank) != 1)
      return false;
  }
  return true;
}
