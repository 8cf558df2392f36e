#include "kernel/reduce/block_rows.h"

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/support.h"

/* Results are as large as they must be for what is read of operand 0: a program
 * may have been edited. */
static gs_status check(gs_kctx *k, const gs_row_plan *p,
                       const gs_kextent *from, const gs_kextent *to) {
  for (int d = 0; d < p->rank; d++) {
    int64_t lo = to->first[d], hi = lo + p->y[d] - 1;
    if (!p->along[d] && (p->x[d] != p->y[d] || lo != from->first[d]))
      return gs_kernel_fail(k, GS_DATA, "dim %d of operand and result differ",
                            d);
    if (p->along[d] && p->y[d] &&
        !gs_kctx_has(from, d, p->x[d], lo * p->block[d],
                     (hi + 1) * p->block[d] - 1))
      return gs_kernel_fail(k, GS_DATA, "elements of blocks of dim %d are "
                            "missing", d);
  }
  for (int i = 1; i < k->nout; i++)
    if (k->out[i].rank >= 0 &&
        k->out[i].n != (i == 1 ? k->out[0].n : p->boxes))
      return gs_kernel_fail(k, GS_DATA, "result %d is not for the blocks of "
                            "result 0", i);
  return GS_OK;
}

gs_status gs_row_plan_read(gs_kctx *k, gs_row_plan *p) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  gs_kextent from, to;
  int ndim;
  const int64_t *dims = gs_node_ints(k->node, "dims", &ndim);
  GS_TRY(gs_kctx_operand(k, 0, &from));
  GS_TRY(gs_kctx_result(k, 0, &to));
  *p = (gs_row_plan){.rank = x->rank, .boxes = 1, .elements = 1};
  for (int i = 0; i < ndim; i++)
    p->along[dims[i] < 0 ? dims[i] + x->rank : dims[i]] = true;
  for (int d = 0; d < x->rank; d++) {
    p->x[d] = x->dims[d];
    p->y[d] = y->dims[d];
    p->global[d] = from.dims[d];
    p->x_first[d] = from.first[d];
    p->y_first[d] = to.first[d];
    p->block[d] = gs_ceil_div(from.dims[d], gs_max(to.dims[d], 1));
    if (!p->along[d]) continue;
    p->boxes *= y->dims[d];
    p->elements *= (double)from.dims[d];
  }
  return check(k, p, &from, &to);
}

static void add_loop(gs_row_loop *loop, int *n, const gs_row_loop *l) {
  gs_row_loop *last = *n ? &loop[*n - 1] : NULL;
  if (l->n == 1) return;
  if (last && last->x == l->n * l->x && last->y == l->n * l->y) {
    *last = (gs_row_loop){last->n * l->n, l->x, l->y}; /* one with it */
    return;
  }
  loop[(*n)++] = *l;
}

/* The elements of block `at` of dim d that are here: from *first on. */
static int64_t block_of(const gs_row_plan *p, int d, int64_t at,
                        int64_t *first) {
  int64_t lo = gs_min((at + p->y_first[d]) * p->block[d], p->global[d]);
  int64_t hi = gs_min(lo + p->block[d], p->global[d]);
  *first = gs_max(0, gs_min(lo - p->x_first[d], p->x[d]));
  hi = gs_max(*first, gs_min(hi - p->x_first[d], p->x[d]));
  return hi - *first;
}

void gs_row_box_of(const gs_row_plan *p, int64_t i, gs_row_box *b) {
  int64_t at[GS_MAX_RANK] = {0}, sx[GS_MAX_RANK], sy[GS_MAX_RANK];
  int64_t x = 1, y = 1;
  gs_assert(i >= 0 && i < p->boxes);
  *b = (gs_row_box){.rows = 1, .n = 1, .side = 1};
  for (int d = p->rank - 1; d >= 0; d--) {
    sx[d] = x;
    sy[d] = y;
    x *= p->x[d];
    y *= p->y[d];
    if (!p->along[d]) continue;
    at[d] = i % p->y[d];
    i /= p->y[d];
  }
  int64_t inner = INT64_MAX; /* the step of the innermost loop */
  for (int d = 0; d < p->rank; d++) {
    gs_row_loop l = {p->x[d], sx[d], p->along[d] ? 0 : sy[d]};
    if (p->along[d]) {
      int64_t first;
      l.n = block_of(p, d, at[d], &first);
      b->x += first * sx[d];
      b->y += at[d] * sy[d];
      b->n *= l.n;
      add_loop(b->along, &b->nalong, &l);
    } else {
      b->rows *= l.n;
      add_loop(b->kept, &b->nkept, &l);
    }
    if (l.n > 1) inner = sx[d];
  }
  b->columns = b->nkept && b->kept[b->nkept - 1].x == inner;
  if (b->columns) b->side = b->kept[b->nkept - 1].n;
}

int64_t gs_row_loops_x(const gs_row_loop *loop, int n, int64_t i) {
  int64_t at = 0;
  for (int d = n; d-- > 0; i /= loop[d].n) at += i % loop[d].n * loop[d].x;
  return at;
}

int64_t gs_row_loops_y(const gs_row_loop *loop, int n, int64_t i) {
  int64_t at = 0;
  for (int d = n; d-- > 0; i /= loop[d].n) at += i % loop[d].n * loop[d].y;
  return at;
}
