/* A mesh from lists of devices.
 *
 * On a row-major mesh the shard that a device holds along one dim is a sum of
 * digits of the device's number: sum of weight * (device / stride % size).
 * The digits of every dim of every tensor are found from its list; their
 * boundaries, if each divides the next, are the strides of a mesh whose axes
 * explain all lists.  A list that they do not explain is a device order of its
 * own, if all blocks have as many devices. */
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
  gs_err_hint(e, "every device holds one block, and all blocks lie on as many "
              "devices");
  return GS_UNSUPPORTED;
}

/* What is found: the strides of the mesh, and orders for what is left. */
typedef struct found {
  gs_arena *a;
  int64_t ndevice;
  edges mesh;
  int norder;
  struct found_order {
    int64_t *device; /* by place */
    edges cuts;
  } order[GS_MAX_ORDERS];
  int *of; /* [statements] 0: of the mesh, else 1 + its order */
  int64_t *device, *have; /* [ndevice] of the statement that is looked at */
} found;

/* Adds the boundaries of all digits of a statement; false: the mesh cannot have
 * them. */
static bool explain(found *f, const gs_stated *s) {
  edges all = f->mesh;
  digits g;
  for (int j = 0; j < s->ndim; j++) {
    if (!find_digits(s, j, f->ndevice, &g)) return false;
    for (int k = 0; k < g.n; k++)
      if (!add_edge(&all, g.at[k].stride) ||
          !add_edge(&all, g.at[k].stride * g.at[k].size))
        return false;
  }
  f->mesh = all;
  return true;
}

/* Sorts the devices by their blocks, into f->device; false unless all blocks
 * have as many. */
static bool sort_by_block(const found *f, const gs_stated *s) {
  int64_t n = f->ndevice, blocks = 1;
  for (int j = 0; j < s->ndim; j++) blocks *= s->shards[j];
  if (blocks > n || n % blocks) return false;
  int64_t each = n / blocks;
  memset(f->have, 0, (size_t)blocks * sizeof *f->have);
  for (int64_t d = 0; d < n; d++) {
    int64_t b = s->block[d];
    if (b < 0 || f->have[b] == each) return false;
    gs_assert(b < blocks);
    f->device[b * each + f->have[b]++] = d;
  }
  return true;
}

/* Adds the boundaries of a statement to those of an order; false: they do not
 * nest. */
static bool cut_order(struct found_order *o, const gs_stated *s) {
  edges cuts = o->cuts;
  int64_t pre = 1;
  for (int j = 0; j < s->ndim; j++)
    if (!add_edge(&cuts, pre *= s->shards[j])) return false;
  o->cuts = cuts;
  return true;
}

/* The order of a statement, one that is known or a new one; false: it has
 * none. */
static bool find_order(found *f, const gs_stated *s, int *of) {
  size_t bytes = (size_t)f->ndevice * sizeof *f->device;
  if (!sort_by_block(f, s)) return false;
  for (*of = 1; *of <= f->norder; ++*of) {
    struct found_order *o = &f->order[*of - 1];
    if (!memcmp(o->device, f->device, bytes) && cut_order(o, s)) return true;
  }
  if (f->norder == GS_MAX_ORDERS) return false;
  struct found_order *o = &f->order[f->norder++];
  o->device = gs_memdup(f->a, f->device, bytes);
  add_edge(&o->cuts, 1);
  add_edge(&o->cuts, f->ndevice);
  return cut_order(o, s);
}

static gs_status make_mesh(const found *f, gs_mesh **out, gs_err *e) {
  gs_mesh *m = GS_NEW(f->a, gs_mesh);
  const edges *x = &f->mesh;
  for (int i = x->n - 2; i >= 0; i--)
    GS_TRY(gs_mesh_add(m, gs_sprintf(f->a, "d%d", m->naxis),
                       x->at[i + 1] / x->at[i], e));
  if (x->n < 2) GS_TRY(gs_mesh_add(m, "d0", 1, e));
  for (int k = 0; k < f->norder; k++) {
    const struct found_order *o = &f->order[k];
    GS_TRY(gs_mesh_add_order(m, f->a, gs_sprintf(f->a, "order%d", k + 1),
                             o->device, e));
    for (int i = 0; i < o->cuts.n; i++)
      GS_TRY(gs_mesh_cut(m, m->naxis + k, o->cuts.at[i], e));
  }
  *out = m;
  return gs_mesh_finish(m, e);
}

/* The sub-axes of the order of a statement that split its dims. */
static void append_order(const gs_mesh *m, const gs_stated *s, int order,
                         gs_sharding *out) {
  int64_t pre = 1;
  for (int j = 0; j < s->ndim; j++) {
    gs_axes *axes = &out->dim[s->axis[j]].axes;
    for (int i = 0; i < m->nsub; i++)
      if (m->sub[i].order == order && m->sub[i].pre >= pre &&
          m->sub[i].pre < pre * s->shards[j])
        axes->at[axes->n++] = (uint8_t)i;
    pre *= s->shards[j];
  }
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
  found *f = GS_NEW(a, found);
  f->a = a;
  f->ndevice = ndevice;
  f->of = GS_NEWS(a, n, int);
  f->device = GS_NEWS(a, ndevice, int64_t);
  f->have = GS_NEWS(a, ndevice, int64_t);
  add_edge(&f->mesh, 1);
  add_edge(&f->mesh, ndevice);
  for (int i = 0; i < n; i++)
    if (!explain(f, &s[i]) && !find_order(f, &s[i], &f->of[i]))
      return irregular(&s[i], e);
  GS_TRY(make_mesh(f, mesh, e));
  digits g;
  for (int i = 0; i < n; i++) {
    out[i] = gs_sharding_new(a, rank[i], false);
    if (f->of[i]) append_order(*mesh, &s[i], f->of[i], out[i]);
    for (int j = 0; !f->of[i] && j < s[i].ndim; j++) {
      find_digits(&s[i], j, ndevice, &g);
      for (int k = 0; k < g.n; k++)
        append_axes(*mesh, &f->mesh, &g.at[k],
                    &out[i]->dim[s[i].axis[j]].axes);
    }
    GS_TRY(gs_sharding_check(*mesh, out[i], rank[i], s[i].place, e));
  }
  return GS_OK;
}
