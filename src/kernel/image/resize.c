/* Resize: dim by dim, the last two that are adjacent in one step.  Results
 * do not depend on how the untouched dims are split. */
#include "kernel/image/resize.h"

#include <math.h>

#include "base/assert.h"
#include "kernel/core/coord.h"
#include "kernel/core/layout.h"
#include "kernel/core/support.h"
#include "kernel/image/resample.h"

enum { LONG = 8 }; /* elements after a dim that are worth a loop */

typedef struct plan {
  gs_resize_how how;
  gs_dtype type; /* of the computation */
  size_t size;   /* of an element */
  gs_resize_table table[GS_MAX_RANK];
  int nstep;
  gs_resize_step step[GS_MAX_RANK];
  size_t between; /* bytes of the largest result between steps */
} plan;

/* ---- operands ---- */

/* Operand i as doubles in the arena. */
static gs_status floats(gs_kctx *k, gs_arena *a, int i, const double **list,
                        int *count) {
  *list = NULL;
  *count = 0;
  if (!gs_kernel_has(k, i) || !k->in[i].n) return GS_OK;
  const gs_view *v = &k->in[i];
  if (v->n > 2 * GS_MAX_RANK || gs_dtype_get((int)v->dtype)->cls != 'f')
    return gs_kernel_fail(k, GS_DATA, "operand %d is not a list of floats", i);
  double *x = GS_NEWS(a, v->n, double);
  gs_convert(GS_DOUBLE, x, v->dtype, v->data, v->n, NULL);
  *list = x;
  *count = (int)v->n;
  return GS_OK;
}

/* Every dim as a whole, and the part of it that the device has. */
static gs_status read_dims(gs_kctx *k, gs_arena *a, gs_resize_dim *dim,
                           gs_resize_part *part) {
  gs_resize_args args = {0};
  int64_t sizes[GS_MAX_RANK];
  gs_kextent x, y;
  GS_TRY(gs_kctx_operand(k, 0, &x));
  GS_TRY(gs_kctx_result(k, 0, &y));
  GS_TRY(floats(k, a, 1, &args.roi, &args.nroi));
  GS_TRY(floats(k, a, 2, &args.scales, &args.nscales));
  GS_TRY(gs_kernel_ints(k, 3, sizes, GS_MAX_RANK, &args.nsizes));
  if (args.nsizes < 0) args.nsizes = 0;
  args.sizes = sizes;
  GS_TRY(gs_resize_dims(a, k->node, x.rank, x.dims, &args, dim, k->err));
  for (int d = 0; d < x.rank; d++) {
    part[d] = (gs_resize_part){x.first[d], k->in[0].dims[d], y.first[d],
                               k->out[0].dims[d]};
    if (dim[d].out != y.dims[d])
      return gs_kernel_fail(k, GS_DATA,
                            "dim %d becomes %lld, but the result has %lld", d,
                            (long long)dim[d].out, (long long)y.dims[d]);
    if (!dim[d].touched && (x.first[d] != y.first[d] ||
                            part[d].in != part[d].out))
      return gs_kernel_fail(k, GS_DATA, "operand and result have other parts "
                            "of dim %d, which is not resized", d);
  }
  return GS_OK;
}

/* ---- steps ---- */

/* Whether the indices of t over rows of inner elements fit their type. */
static bool fits(const gs_resize_table *t, int64_t inner) {
  int64_t n;
  return gs_mul(t->in, inner, &n) && n <= INT32_MAX &&
         gs_mul(t->out * t->taps, inner, &n) && n <= INT32_MAX;
}

/* Dim d and `more` (0 or 1) after it, as one step. */
static void add_step(gs_kctx *k, gs_arena *a, plan *p, int64_t *dims, int d,
                     int more) {
  int rank = k->in[0].rank;
  gs_assert(p->nstep < GS_MAX_RANK && d + more < rank);
  gs_resize_step *s = &p->step[p->nstep];
  s->type = p->type;
  s->in_t = p->nstep ? p->type : k->in[0].dtype;
  s->out_t = p->type;
  s->outer = gs_dims_count(dims, 0, d);
  s->inner = gs_dims_count(dims, d + 1 + more, rank);
  /* A lone dim before many elements is mixed row by row; the last of two is
   * taken element by element, or in blocks of as many. */
  s->blocks = s->inner > LONG || !fits(&p->table[d + more], s->inner);
  bool row = more || !s->blocks;
  s->a = more || !row ? &p->table[d] : NULL;
  s->b = row ? &p->table[d + more] : NULL;
  if (s->b) gs_resize_step_widen(a, s);
  for (int i = d; i <= d + more; i++) dims[i] = p->table[i].out;
  p->nstep++;
}

static void add_steps(gs_kctx *k, gs_arena *a, plan *p,
                      const gs_resize_dim *dim) {
  int rank = k->in[0].rank, last = rank - 1;
  int64_t dims[GS_MAX_RANK];
  for (int d = 0; d < rank; d++) dims[d] = k->in[0].dims[d];
  gs_assert(rank <= GS_MAX_RANK);
  while (last >= 0 && !dim[last].touched) last--;
  bool pair = last > 0 && dim[last - 1].touched;
  for (int d = 0; d <= last; d++) {
    if (!dim[d].touched) continue;
    add_step(k, a, p, dims, d, pair && d == last - 1);
    if (pair && d == last - 1) break;
    if (d < last)
      p->between = (size_t)gs_max((int64_t)p->between,
                                  gs_dims_count(dims, 0, rank) *
                                      (p->type == GS_DOUBLE ? 8 : 4));
  }
  if (p->nstep) p->step[p->nstep - 1].out_t = k->out[0].dtype;
}

static gs_status make(gs_kctx *k, gs_arena *a, plan *p) {
  gs_resize_dim dim[GS_MAX_RANK];
  gs_resize_part part[GS_MAX_RANK];
  GS_TRY(gs_resize_attrs(a, k->node, &p->how, k->err));
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, &p->size));
  GS_TRY(read_dims(k, a, dim, part));
  p->type = gs_resample_type(k->in[0].dtype);
  for (int d = 0; d < k->in[0].rank; d++) {
    p->table[d] = (gs_resize_table){.in = part[d].in, .out = part[d].out};
    if (dim[d].touched && k->out[0].n)
      GS_TRY(gs_resize_table_make(k, a, &p->how, &dim[d], &part[d], p->type,
                                  &p->table[d]));
  }
  if (p->how.mode != GS_RESIZE_NEAREST && k->in[0].n && k->out[0].n)
    add_steps(k, a, p, dim);
  return GS_OK;
}

static gs_status prep(gs_kctx *k) {
  for (int i = 1; i < k->nin; i++)
    if (!gs_kernel_known(k, i)) return GS_OK;
  plan *p = GS_NEW(k->arena, plan);
  GS_TRY(make(k, k->arena, p));
  k->state = p;
  k->scratch_size = p->nstep > 2 ? 2 * p->between : p->between;
  return GS_OK;
}

/* ---- running ---- */

/* The extrapolation value, wherever a dim's place lies outside. */
static void extrapolate(gs_kctx *k, const plan *p) {
  const gs_view *y = &k->out[0];
  double value = p->how.extrapolation;
  _Alignas(16) char one[16] = {0};
  if (gs_dtype_get((int)y->dtype)->cls == 'c')
    gs_convert(y->dtype == GS_COMPLEX64 ? GS_FLOAT : GS_DOUBLE, one, GS_DOUBLE,
               &value, 1, NULL);
  else if (y->dtype == GS_BOOL) one[0] = value != 0;
  else gs_resample_store(y->dtype, one, GS_DOUBLE, &value, 1, false);
  for (int d = 0; d < y->rank; d++) {
    const bool *outside = p->table[d].outside;
    if (!outside) continue;
    int64_t outer = gs_dims_count(y->dims, 0, d);
    int64_t inner = gs_dims_count(y->dims, d + 1, y->rank);
    for (int64_t r = 0; r < outer * y->dims[d]; r++)
      for (int64_t i = 0; i < inner && outside[r % y->dims[d]]; i++)
        gs_part_put(y, p->size, r * inner + i, 1, one);
  }
}

static void run_steps(gs_kctx *k, const plan *p, char *buf) {
  const void *from = k->in[0].data;
  for (int i = 0; i < p->nstep; i++) {
    bool last = i == p->nstep - 1;
    void *to = last ? k->out[0].data : buf + (i % 2 ? p->between : 0);
    gs_resize_step_run(&p->step[i], from, to, last ? &k->out[0] : NULL,
                       k->threads);
    from = to;
  }
}

static void clear(const gs_view *y, size_t size) {
  for (int64_t i = 0, some; i < y->n; i += some) {
    some = gs_part_run(y, i, y->n - i);
    memset((char *)y->data + (size_t)gs_part_place(y, i) * size, 0,
           (size_t)some * size);
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  gs_arena a;
  gs_arena_init(&a);
  gs_status s = GS_OK;
  char *buf = k->scratch;
  if (!p) {
    plan *own = GS_NEW(&a, plan);
    s = make(k, &a, own);
    p = own;
    buf = s || !p->between ? NULL : gs_alloc(&a, 2 * p->between);
  }
  if (!s && k->out[0].n) {
    if (!k->in[0].n) /* all is past the end, or of the extrapolation value */
      clear(&k->out[0], p->size);
    else if (p->nstep) run_steps(k, p, buf);
    else
      gs_resize_nearest(p->table, k->in[0].rank, p->size, k->in[0].data,
                        &k->out[0], k->threads);
    if (p->how.coord == GS_RESIZE_TF_CROP_AND_RESIZE) extrapolate(k, p);
  }
  gs_arena_free(&a);
  return s;
}

extern const gs_kernel gs_kernel_resize;
const gs_kernel gs_kernel_resize = {prep, run};
