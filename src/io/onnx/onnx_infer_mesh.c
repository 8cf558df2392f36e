/* A mesh from lists of devices.
 *
 * On a row-major mesh the shard that a device holds along one dim is a sum of
 * digits of the device's number: sum of weight * (device / stride % size).
 * The digits of every dim of every tensor are found from its list; their
 * boundaries, if each divides the next, are the strides of a mesh whose axes
 * explain all lists. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "io/onnx/onnx_shard.h"

enum { MAX_DIGITS = 32, MAX_EDGES = 40 };

typedef struct digit {
  int64_t stride, size, weight;
} digit;

typedef struct digits {
  int n;
  digit at[MAX_DIGITS];
} digits;

typedef struct edges { /* ascending strides, each dividing the next */
  int n;
  int64_t at[MAX_EDGES];
} edges;

/* Coordinate of device d along listed dim j: its digit of the block. */
static int64_t coordinate(const gs_stated *s, int j, int64_t d) {
  int64_t b = s->block[d];
  gs_assert(j >= 0 && j < s->ndim && b >= 0);
  for (int k = s->ndim - 1; k > j; k--) b /= s->shards[k];
  return b % s->shards[j];
}

static int64_t sum_of(const digits *g, int64_t d) {
  int64_t v = 0;
  for (int i = 0; i < g->n; i++)
    v += g->at[i].weight * (d / g->at[i].stride % g->at[i].size);
  return v;
}

static int by_weight(const void *a, const void *b) {
  const digit *x = a, *y = b;
  return (x->weight < y->weight) - (x->weight > y->weight);
}

/* Weights must be those of a number with these digits: 1, k0, k0 * k1 ... */
static bool is_mixed_radix(digits *g, int64_t shards) {
  qsort(g->at, (size_t)g->n, sizeof *g->at, by_weight);
  int64_t w = 1;
  for (int i = g->n - 1; i >= 0; i--) {
    if (g->at[i].weight != w) return false;
    w *= g->at[i].size;
  }
  return w == shards;
}

/* The digits of dim j, largest weight first; false: it has none. */
static bool find_digits(const gs_stated *s, int j, int64_t n, digits *g) {
  g->n = 0;
  for (int64_t d = 0; d < n; d++)
    if (s->block[d] < 0) return false;
  if (coordinate(s, j, 0)) return false;
  for (int64_t stride = 1; stride < n;) {
    int64_t t = stride, w = 0, k = 1;
    while (t < n && !(w = coordinate(s, j, t))) t += stride;
    if (t >= n) break;
    while (k * t < n && coordinate(s, j, k * t) == k * w) k++;
    if (n % (t * k) || g->n == MAX_DIGITS) return false;
    g->at[g->n++] = (digit){t, k, w};
    stride = t * k;
  }
  for (int64_t d = 0; d < n; d++)
    if (sum_of(g, d) != coordinate(s, j, d)) return false;
  return is_mixed_radix(g, s->shards[j]);
}

static bool add_edge(edges *x, int64_t v) {
  int i = 0;
  while (i < x->n && x->at[i] < v) i++;
  if (i < x->n && x->at[i] == v) return true;
  if (x->n == MAX_EDGES || (i && v % x->at[i - 1]) ||
      (i < x->n && x->at[i] % v))
    return false;
  memmove(&x->at[i + 1], &x->at[i], (size_t)(x->n - i) * sizeof *x->at);
  x->at[i] = v;
  x->n++;
  gs_assert(x->n <= MAX_EDGES);
  return true;
}

static gs_status irregular(const gs_stated *s, gs_err *e) {
  gs_fail(e, GS_UNSUPPORTED, s->place, "its list of devices does not come from "
          "any mesh");
  gs_err_hint(e, "a mesh numbers the devices row by row; every dim of a "
              "tensor follows some of its axes");
  return GS_UNSUPPORTED;
}

static gs_status make_mesh(gs_arena *a, const edges *x, gs_mesh **out,
                           gs_err *e) {
  gs_mesh *m = GS_NEW(a, gs_mesh);
  for (int i = x->n - 2; i >= 0; i--)
    GS_TRY(gs_mesh_add(m, gs_sprintf(a, "d%d", m->naxis),
                       x->at[i + 1] / x->at[i], e));
  if (x->n < 2) GS_TRY(gs_mesh_add(m, "d0", 1, e));
  *out = m;
  return gs_mesh_finish(m, e);
}

/* The mesh axes that a digit covers, major first. */
static void append_axes(const gs_mesh *m, const edges *x, const digit *g,
                        gs_axes *axes) {
  for (int i = x->n - 2; i >= 0; i--) {
    if (x->at[i] < g->stride || x->at[i] >= g->stride * g->size) continue;
    gs_axes one = gs_axes_named(m, x->n - 2 - i);
    *axes = gs_axes_cat(axes, &one);
  }
}

/* The sub-axes of a device order of m whose strides a digit covers, major
 * first. */
static bool fit_digit(const gs_mesh *m, int order, const digit *g,
                      gs_axes *axes) {
  int64_t size = 1, last = 0;
  for (int i = 0; i < m->nsub; i++) {
    const gs_sub *sub = &m->sub[i];
    if (sub->order != order || sub->stride < g->stride ||
        sub->stride >= g->stride * g->size)
      continue;
    gs_assert(axes->n < GS_MAX_SUBS);
    axes->at[axes->n++] = (uint8_t)i;
    size *= sub->size;
    last = sub->stride;
  }
  return size == g->size && last == g->stride;
}

static bool fit_order(gs_arena *a, const gs_stated *s, const gs_mesh *m,
                      int order, gs_sharding *out) {
  gs_stated at = *s; /* by place in place of device */
  const int64_t *position = m->order[order].position;
  int32_t *block = GS_NEWS(a, m->ndevice, int32_t);
  for (int64_t i = 0; i < m->ndevice; i++) {
    int64_t p = position ? position[i] : i;
    block[i] = s->block[m->device_ids ? m->device_ids[p] : p];
  }
  at.block = block;
  digits g;
  for (int d = 0; d < out->rank; d++) out->dim[d].axes.n = 0;
  for (int j = 0; j < s->ndim; j++) {
    if (!find_digits(&at, j, m->ndevice, &g)) return false;
    for (int k = 0; k < g.n; k++)
      if (!fit_digit(m, order, &g.at[k], &out->dim[s->axis[j]].axes))
        return false;
  }
  return true;
}

static bool fit_one(gs_arena *a, const gs_stated *s, const gs_mesh *m,
                    gs_sharding *out) {
  bool fits = false;
  for (int k = 0; k <= m->norder && !fits; k++)
    fits = fit_order(a, s, m, k, out);
  return fits;
}

bool gs_fit_mesh(gs_arena *a, const gs_stated *s, int n, const gs_mesh *mesh,
                 const int *rank, gs_sharding **out) {
  gs_arena temp;
  gs_arena_init(&temp);
  bool fits = true;
  for (int i = 0; fits && i < n; i++) {
    out[i] = gs_sharding_new(a, rank[i], false);
    fits = fit_one(&temp, &s[i], mesh, out[i]) &&
           !gs_sharding_check(mesh, out[i], rank[i], s[i].place, NULL);
  }
  gs_arena_free(&temp);
  return fits;
}

gs_status gs_infer_mesh(gs_arena *a, const gs_stated *s, int n,
                        int64_t ndevice, const int *rank, gs_mesh **mesh,
                        gs_sharding **out, gs_err *e) {
  edges x = {0};
  add_edge(&x, 1);
  add_edge(&x, ndevice);
  digits g;
  for (int i = 0; i < n; i++) {
    for (int64_t d = 0; d < ndevice; d++)
      if (s[i].block[d] < 0) return irregular(&s[i], e);
    for (int j = 0; j < s[i].ndim; j++) {
      if (!find_digits(&s[i], j, ndevice, &g)) return irregular(&s[i], e);
      for (int k = 0; k < g.n; k++)
        if (!add_edge(&x, g.at[k].stride) ||
            !add_edge(&x, g.at[k].stride * g.at[k].size))
          return irregular(&s[i], e);
    }
  }
  GS_TRY(make_mesh(a, &x, mesh, e));
  for (int i = 0; i < n; i++) {
    out[i] = gs_sharding_new(a, rank[i], false);
    for (int j = 0; j < s[i].ndim; j++) {
      find_digits(&s[i], j, ndevice, &g);
      for (int k = 0; k < g.n; k++)
        append_axes(*mesh, &x, &g.at[k], &out[i]->dim[s[i].axis[j]].axes);
    }
    GS_TRY(gs_sharding_check(*mesh, out[i], rank[i], s[i].place, e));
  }
  return GS_OK;
}
