/* GridSample: X[N, C, in...], grid[N, out..., r] -> Y[N, C, out...].
 *
 * For a run of places the elements around each of them and their weights are
 * found once, for all channels.  Coordinates are listed innermost dim first
 * (PyTorch's order). */
#include <math.h>
#include <stdbool.h>

#include "base/assert.h"
#include "kernel/core/coord.h"
#include "base/isa.h"
#include "kernel/core/par.h"
#include "kernel/image/resample.h"
#include "kernel/core/support.h"

typedef enum padding {
  GS_SAMPLE_ZEROS,
  GS_SAMPLE_BORDER,
  GS_SAMPLE_REFLECTION
} padding;

typedef struct gs_sample_dim { /* one dim of X */
  int64_t size;
  int64_t first, n; /* elements of it that are here */
  bool align, nearest;
  padding pad;
  double low, high; /* where reflection turns */
} gs_sample_dim;

typedef struct gs_sample_loops {
  void (*place)(void *x, int64_t n, const gs_sample_dim *d);
  void (*part)(const void *x, int64_t n, int before, int32_t *first,
               void *past);
  void (*linear)(const void *past, int64_t n, void *w);
  void (*cubic)(const void *past, int64_t n, void *w);
  void (*times)(void *o, const void *a, const void *b, int64_t n);
} gs_sample_loops;

#define GS_STAMP "kernel/image/grid_sample.inc"
#include "kernel/core/stamp.h"

enum { RUN = GS_PICK_MOST, MAX_DIMS = 6 };

typedef struct plan {
  int r;       /* sampled dims */
  int each;    /* elements around a place along one dim: 1, 2, 4 */
  int taps;    /* each^r */
  gs_dtype type; /* of the computation */
  int wide;      /* bytes of it */
  gs_sample_dim dim[MAX_DIMS];
  int64_t stride[MAX_DIMS];
  int64_t plane, places; /* elements of one channel, places of one batch */
  size_t x_bytes;        /* of X in the computed type; 0: as it is */
  gs_kextent y;          /* of the result: others than these are padding */
} plan;

typedef struct job {
  const gs_kctx *k;
  const plan *p;
  const gs_resample *sum;
  const gs_sample_loops *loop;
  const char *x; /* in the computed type */
  bool *missing; /* an element that is not here was wanted */
} job;

/* ---- attributes ---- */

static gs_status choose(gs_kctx *k, const char *attr, const char *otherwise,
                        const char *const *names, int count, int *out) {
  const char *s = gs_node_string(k->node, attr, otherwise);
  for (int i = 0; i < count; i++)
    if (!strcmp(s, names[i])) {
      *out = i;
      return GS_OK;
    }
  return gs_kernel_fail(k, GS_DATA, "%s '%s' is not known", attr, s);
}

static bool is_number(gs_dtype t) {
  char cls = gs_dtype_get((int)t)->cls;
  return cls == 'f' || cls == 'i' || cls == 'u';
}

static gs_status check_types(gs_kctx *k, size_t *size) {
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, size));
  if (!is_number(k->in[0].dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  if (gs_dtype_get((int)k->in[1].dtype)->cls != 'f')
    return gs_kernel_no_type(k, k->in[1].dtype);
  return GS_OK;
}

/* Image, grid and result are of the same batch, channels and places. */
static gs_status check_parts(gs_kctx *k, const gs_kextent *x, plan *p) {
  const gs_view *image = &k->in[0], *grid = &k->in[1], *y = &k->out[0];
  gs_kextent g;
  GS_TRY(gs_kctx_operand(k, 1, &g));
  GS_TRY(gs_kctx_result(k, 0, &p->y));
  bool alike = gs_kctx_alike(x, 0, image->dims, &g, 0, grid->dims) &&
               gs_kctx_alike(x, 0, image->dims, &p->y, 0, y->dims) &&
               gs_kctx_alike(x, 1, image->dims, &p->y, 1, y->dims) &&
               grid->dims[grid->rank - 1] == p->r;
  for (int d = 2; alike && d < y->rank; d++)
    alike = gs_kctx_alike(&g, d - 1, grid->dims, &p->y, d, y->dims);
  if (alike) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "image, grid and result are not of the "
                        "same batch, channels and places");
}

static gs_status prep(gs_kctx *k) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const pads[] = {"zeros", "border", "reflection"};
  const gs_view *x = &k->in[0], *grid = &k->in[1];
  int mode, pad;
  size_t size;
  gs_kextent all;
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  GS_TRY(choose(k, "mode", "linear", modes, 3, &mode));
  GS_TRY(choose(k, "padding_mode", "zeros", pads, 3, &pad));
  GS_TRY(check_types(k, &size));
  GS_TRY(gs_kctx_operand(k, 0, &all));
  p->r = x->rank - 2;
  GS_TRY(check_parts(k, &all, p));
  if (p->r > (mode == 2 ? 4 : MAX_DIMS))
    return gs_kernel_fail(k, GS_UNSUPPORTED, "%d sampled dims, of mode %s",
                          p->r, modes[mode]);
  gs_assert(p->r >= 1 && p->r <= MAX_DIMS);
  p->type = gs_resample_type(x->dtype);
  if (grid->dtype == GS_DOUBLE) p->type = GS_DOUBLE;
  p->wide = p->type == GS_DOUBLE ? 8 : 4;
  p->each = 1 << mode;
  p->taps = 1;
  p->plane = p->places = 1;
  bool align = gs_node_int(k->node, "align_corners", 0) != 0;
  for (int d = p->r - 1; d >= 0; d--) {
    double n = (double)all.dims[d + 2];
    p->dim[d] = (gs_sample_dim){.size = all.dims[d + 2], .align = align,
                                .first = all.first[d + 2],
                                .n = x->dims[d + 2],
                                .nearest = mode == 0, .pad = (padding)pad,
                                .low = align ? 0 : -0.5,
                                .high = align ? n - 1 : n - 0.5};
    p->stride[d] = p->plane;
    p->plane *= x->dims[d + 2];
    p->places *= grid->dims[d + 1];
    p->taps *= p->each;
  }
  if (p->plane > INT32_MAX - 16)
    return gs_kernel_fail(k, GS_UNSUPPORTED, "%lld elements per channel",
                          (long long)p->plane);
  if (x->dtype != p->type) p->x_bytes = (size_t)(x->n * p->wide);
  k->scratch_size = p->x_bytes;
  return GS_OK;
}

/* ---- running ---- */

typedef struct space { /* of one thread */
  char *coord;         /* [RUN][r], then [RUN] of one dim */
  char *x, *past;      /* [RUN] */
  int32_t *first;      /* [RUN] */
  char *w1;            /* [each][RUN] weights of one dim */
  char *w;             /* [taps][RUN] */
  int32_t *at;         /* [taps][RUN]; -1: outside, an element of 0 */
  char *sum;           /* [RUN] */
  char *all;           /* [RUN] sums with those of places that are left out */
  int32_t *live;       /* [RUN] places that are not left out */
} space;

/* The element of the whole that index i of a dim stands for; -1: none. */
static int64_t mapped(const gs_sample_dim *d, int64_t i) {
  if (i >= 0 && i < d->size) return i;
  if (d->pad == GS_SAMPLE_ZEROS) return -1;
  if (d->pad == GS_SAMPLE_BORDER) return i < 0 ? 0 : d->size - 1;
  /* Aligned: mirrored about the last elements, which come once; else about
   * the edges after them, so that they come twice. */
  int64_t edge = d->align ? 0 : 1, span = 2 * (d->size - 1 + edge);
  if (span == 0) return 0;
  if (i < 0) i = -i - edge;
  i %= span;
  return i < d->size ? i : span - edge - i;
}

enum { OUTSIDE = -1, MISSING = -2 };

/* Where the element that index i of a dim stands for is here; OUTSIDE: there
 * is none, MISSING: it is not here. */
static int64_t inside(const gs_sample_dim *d, int64_t i) {
  if (i < 0 || i >= d->size) i = mapped(d, i);
  int64_t at = i - d->first;
  if (i < 0) return OUTSIDE;
  return at < 0 || at >= d->n ? MISSING : at;
}

/* Whether place `at` of the grid of all batches is one of the whole. */
static bool is_place(const plan *p, const gs_view *y, int64_t at) {
  for (int d = p->r + 1; d >= 0; d--) {
    if (d == 1) continue; /* channels */
    int64_t i = p->y.first[d] + at % y->dims[d];
    if (i < 0 || i >= p->y.dims[d]) return false;
    at /= y->dims[d];
  }
  return true;
}

static void report_missing(const job *j) {
#pragma omp atomic write
  *j->missing = true;
}

/* The indices of an element past others of which the dim is whole, and none
 * lies outside but is 0: to[i] = from[i] + v stride, or OUTSIDE. */
static bool spread_whole(const gs_sample_dim *dim, int64_t stride, int e,
                         const int32_t *first, const int32_t *from,
                         int32_t *to, int64_t n) {
  uint32_t size = (uint32_t)dim->size;
  int32_t step = (int32_t)stride, outside = 0;
  gs_assert(dim->first == 0 && dim->n == dim->size);
  for (int64_t i = 0; i < n; i++) {
    int32_t v = first[i] + e;
    int32_t out = -(int32_t)((uint32_t)v >= size) | from[i] >> 31;
    outside |= out;
    to[i] = (from[i] + (v & ~out) * step) | out;
  }
  return outside != 0;
}

/* Multiplies the elements around the places of dim d, the first of which is
 * `at`, into s->at and s->w, which hold `taps` of them; from the last to keep
 * those that are read. */
static bool spread(const job *j, space *s, int d, int taps, int64_t at,
                   int64_t n) {
  const plan *p = j->p;
  const gs_sample_dim *dim = &p->dim[d];
  int64_t here = dim->first < 0 ? 0 : gs_min(dim->n, dim->size - dim->first);
  bool outside = false, whole = dim->pad == GS_SAMPLE_ZEROS &&
                                dim->first == 0 && dim->n == dim->size;
  for (int e = p->each - 1; e >= 0; e--)
    for (int t = taps - 1; t >= 0; t--) {
      const int32_t *from = s->at + t * n;
      int32_t *to = s->at + (e * taps + t) * n;
      if (whole)
        outside |= spread_whole(dim, p->stride[d], e, s->first, from, to, n);
      for (int64_t i = 0; i < n && !whole; i++) {
        int64_t v = s->first[i] + e - dim->first;
        if (v < 0 || v >= here) v = inside(dim, v + dim->first);
        if (v == MISSING && is_place(p, &j->k->out[0], at + i))
          report_missing(j);
        bool out = v < 0 || from[i] < 0;
        outside |= out;
        to[i] = out ? -1 : (int32_t)(from[i] + v * p->stride[d]);
      }
      j->loop->times(s->w + (e * taps + t) * n * p->wide,
                     s->w + t * n * p->wide, s->w1 + e * n * p->wide, n);
    }
  return outside;
}

static void ones(const plan *p, void *w, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (p->wide == 8) ((double *)w)[i] = 1;
    else ((float *)w)[i] = 1;
}

/* Dim d's coordinate of each place, of the listed last to first. */
static void unlist(const plan *p, const space *s, int d, int64_t n) {
  int at = p->r - 1 - d;
  for (int64_t i = 0; i < n; i++)
    if (p->wide == 8)
      ((double *)(void *)s->x)[i] =
          ((const double *)(const void *)s->coord)[i * p->r + at];
    else
      ((float *)(void *)s->x)[i] =
          ((const float *)(const void *)s->coord)[i * p->r + at];
}

/* Leaves out the places that are all outside; returns how many remain, and
 * says whether those have elements outside. */
static int64_t compress(const plan *p, space *s, int64_t n, bool *outside) {
  int64_t live = 0;
  *outside = false;
  for (int64_t i = 0; i < n; i++) {
    int32_t any = -1, every = 0; /* signs: none inside, one outside */
    for (int t = 0; t < p->taps; t++) {
      any &= s->at[t * n + i];
      every |= s->at[t * n + i];
    }
    if (any < 0) continue;
    *outside |= every < 0;
    s->live[live++] = (int32_t)i;
  }
  if (live == n) return n;
  for (int t = 0; t < p->taps; t++)
    for (int64_t j = 0; j < live; j++) {
      int64_t from = t * n + s->live[j], to = t * live + j;
      s->at[to] = s->at[from];
      if (p->wide == 8)
        ((double *)(void *)s->w)[to] = ((double *)(void *)s->w)[from];
      else ((float *)(void *)s->w)[to] = ((float *)(void *)s->w)[from];
    }
  return live;
}

/* Spreads the sums of the live places over all n, with 0 between. */
static void expand(const plan *p, const space *s, int64_t live, int64_t n,
                   void *o) {
  memset(o, 0, (size_t)(n * p->wide));
  for (int64_t j = 0; j < live; j++)
    if (p->wide == 8)
      ((double *)o)[s->live[j]] = ((const double *)(const void *)s->sum)[j];
    else ((float *)o)[s->live[j]] = ((const float *)(const void *)s->sum)[j];
}

/* Places [at, at + n) of the grid of all batches; true: some lie outside. */
static bool find(const job *j, space *s, int64_t at, int64_t n) {
  const plan *p = j->p;
  const gs_view *grid = &j->k->in[1];
  bool outside = false;
  gs_convert(p->type, s->coord, grid->dtype,
             (const char *)grid->data +
                 gs_dtype_bytes((int)grid->dtype, at * p->r),
             n * p->r, NULL);
  memset(s->at, 0, (size_t)n * sizeof *s->at);
  ones(p, s->w, n);
  int taps = 1;
  for (int d = 0; d < p->r; d++) {
    unlist(p, s, d, n);
    j->loop->place(s->x, n, &p->dim[d]);
    j->loop->part(s->x, n, p->each == 4, s->first, s->past);
    if (p->each == 1) ones(p, s->w1, n);
    else if (p->each == 2) j->loop->linear(s->past, n, s->w1);
    else j->loop->cubic(s->past, n, s->w1);
    outside |= spread(j, s, d, taps, at, n);
    taps *= p->each;
  }
  return outside;
}

static void sample(const job *j, space *s, int64_t batch, int64_t at,
                   int64_t n) {
  const plan *p = j->p;
  const gs_view *y = &j->k->out[0];
  int64_t channels = y->dims[1];
  int size = gs_dtype_get((int)y->dtype)->bits / 8;
  bool same = y->dtype == p->type;
  bool outside = find(j, s, batch * p->places + at, n);
  int64_t live = outside ? compress(p, s, n, &outside) : n;
  for (int64_t c = 0; c < channels; c++) {
    int64_t plane = batch * channels + c;
    char *to = (char *)y->data + (plane * p->places + at) * size;
    void *o = same ? to : s->all;
    (outside ? j->sum->pick0 : j->sum->pick)(
        live == n ? o : s->sum, j->x + plane * p->plane * p->wide, s->at, s->w,
        p->taps, live);
    if (live < n) expand(p, s, live, n, o);
    if (!same) gs_resample_store(y->dtype, to, p->type, o, n, true);
  }
}

static void runs(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  size_t one = (size_t)(RUN * p->wide);
  int64_t each = gs_ceil_div(p->places, RUN); /* runs of one batch */
  gs_arena a;
  gs_arena_init(&a);
  space s = {.coord = gs_alloc(&a, one * (size_t)p->r),
             .x = gs_alloc(&a, one),
             .past = gs_alloc(&a, one),
             .first = GS_NEWS(&a, RUN, int32_t),
             .w1 = gs_alloc(&a, one * (size_t)p->each),
             .w = gs_alloc(&a, one * (size_t)p->taps),
             .at = GS_NEWS(&a, RUN * p->taps, int32_t),
             .sum = gs_alloc(&a, one),
             .all = gs_alloc(&a, one),
             .live = GS_NEWS(&a, RUN, int32_t)};
  for (int64_t u = lo; u < hi; u++) {
    int64_t at = u % each * RUN;
    sample(j, &s, u / each, at, gs_min(RUN, p->places - at));
  }
  gs_arena_free(&a);
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  bool missing = false;
  job j = {.k = k, .p = p, .sum = gs_resample_get(p->type), .x = x->data,
           .missing = &missing};
  j.loop = p->type == GS_DOUBLE ? GS_PICK(&loops_f64) : GS_PICK(&loops_f32);
  if (!y->n) return GS_OK;
  if (p->x_bytes) {
    gs_convert(p->type, k->scratch, x->dtype, x->data, x->n, NULL);
    j.x = k->scratch;
  }
  gs_parallel(k->threads, x->dims[0] * gs_ceil_div(p->places, RUN),
              RUN * p->taps * (x->dims[1] + 4), runs, &j);
  if (missing)
    return gs_kernel_fail(k, GS_DATA, "elements of the image that the grid "
                          "asks for are missing");
  return GS_OK;
}

extern const gs_kernel gs_kernel_grid_sample;
const gs_kernel gs_kernel_grid_sample = {prep, run};
