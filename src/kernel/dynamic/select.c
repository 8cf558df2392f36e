/* NonZero, Compress and Unique. */
#include <stdlib.h>

#include "base/assert.h"
#include "kernel/core/call_dynamic.h"

/* ---- NonZero ---- */

/* Whether an element of `size` bytes is zero; the sign of a float is none. */
static bool is_zero(const char *at, gs_dtype t, size_t size) {
  const gs_dtype_info *info = gs_dtype_get((int)t);
  if (t == GS_STRING) {
    gs_string s;
    memcpy(&s, at, sizeof s);
    return s.n == 0;
  }
  size_t part = info->cls == 'c' ? size / 2 : size;
  bool sign = info->cls == 'f' || info->cls == 'c';
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)at[i];
    if (sign && (i + 1) % part == 0) c &= 0x7f;
    if (c) return false;
  }
  return true;
}

static gs_status run_non_zero(gs_dyncall *k) {
  gs_dyn *x, *y;
  size_t size;
  GS_TRY(gs_dyncall_tensor(k, 0, &x));
  GS_TRY(gs_dyncall_esize(k, x, &size));
  const gs_tensor *t = &x->t;
  const char *data = gs_dyn_data(x);
  int64_t n = gs_tensor_count(t), count = 0;
  for (int64_t i = 0; i < n; i++)
    count += !is_zero(data + (size_t)i * size, t->dtype, size);
  int64_t dims[2] = {t->rank, count}, at = 0;
  GS_TRY(gs_dyncall_result(k, 0, GS_INT64, 2, dims, &y));
  gs_assert(count <= n);
  int64_t *to = y->block;
  for (int64_t i = 0; i < n; i++) {
    if (is_zero(data + (size_t)i * size, t->dtype, size)) continue;
    int64_t rest = i;
    for (int d = t->rank - 1; d >= 0; d--) {
      to[d * count + at] = rest % t->dims[d];
      rest /= t->dims[d];
    }
    at++;
  }
  return GS_OK;
}

/* ---- slices along an axis ---- */

/* A tensor as `outer` rows of `n` slices of `run` bytes; without an axis all
 * elements are slices. */
typedef struct slices {
  const char *data;
  gs_dtype dtype;
  int axis; /* -1: flattened */
  int64_t outer, n;
  size_t run, size;
} slices;

static gs_status slices_of(gs_dyncall *k, const gs_dyn *x, slices *s) {
  const gs_tensor *t = &x->t;
  *s = (slices){.data = gs_dyn_data(x), .dtype = t->dtype, .axis = -1};
  GS_TRY(gs_dyncall_esize(k, x, &s->size));
  s->outer = 1;
  s->n = gs_tensor_count(t);
  s->run = s->size;
  if (!gs_node_attr(k->node, "axis")) return GS_OK;
  int64_t axis = gs_node_int(k->node, "axis", 0);
  if (axis < -t->rank || axis >= t->rank)
    return gs_dyncall_fail(k, GS_DATA, "axis %lld is out of range for %s",
                          (long long)axis, gs_dyn_text(k->arena, x));
  s->axis = (int)(axis < 0 ? axis + t->rank : axis);
  s->n = t->dims[s->axis];
  s->outer = gs_dims_count(t->dims, 0, s->axis);
  s->run = s->size * (size_t)gs_dims_count(t->dims, s->axis + 1, t->rank);
  return GS_OK;
}

/* Result 0: the slices at[0 .. count). */
static gs_status take(gs_dyncall *k, const gs_dyn *x, const slices *s,
                      const int64_t *at, int64_t count) {
  int64_t dims[GS_MAX_RANK];
  int rank = s->axis < 0 ? 1 : x->t.rank;
  for (int d = 0; d < rank && s->axis >= 0; d++) dims[d] = x->t.dims[d];
  gs_assert(count >= 0 && rank <= GS_MAX_RANK);
  dims[s->axis < 0 ? 0 : s->axis] = count;
  gs_dyn *y;
  GS_TRY(gs_dyncall_result(k, 0, x->t.dtype, rank, dims, &y));
  char *to = y->block;
  for (int64_t o = 0; o < s->outer && s->run; o++)
    for (int64_t i = 0; i < count; i++, to += s->run)
      memcpy(to, s->data + (size_t)(o * s->n + at[i]) * s->run, s->run);
  gs_dyn_own_strings(y);
  return GS_OK;
}

/* ---- Compress ---- */

static gs_status run_compress(gs_dyncall *k) {
  gs_dyn *x, *c;
  slices s;
  GS_TRY(gs_dyncall_tensor(k, 0, &x));
  GS_TRY(gs_dyncall_tensor(k, 1, &c));
  GS_TRY(slices_of(k, x, &s));
  int64_t n = gs_tensor_count(&c->t), count = 0;
  if (c->t.dtype != GS_BOOL || c->t.rank != 1 || n > s.n)
    return gs_dyncall_fail(k, GS_DATA,
                          "the condition is %s where at most %lld booleans "
                          "are needed", gs_dyn_text(k->arena, c),
                          (long long)s.n);
  const uint8_t *on = c->t.data;
  int64_t *at = GS_NEWS(k->arena, n + 1, int64_t);
  for (int64_t i = 0; i < n; i++)
    if (on[i]) at[count++] = i;
  return take(k, x, &s, at, count);
}

/* ---- Unique ---- */

static int order_float(double a, double b) {
  bool na = a != a, nb = b != b; /* NaN is last, and all are alike */
  if (na || nb) return na - nb;
  return (a > b) - (a < b);
}

static int order_int(const char *a, const char *b, const gs_dtype_info *t) {
  uint64_t x = 0, y = 0;
  size_t size = (size_t)t->bits / 8;
  memcpy(&x, a, size);
  memcpy(&y, b, size);
  if (t->cls != 'i') return (x > y) - (x < y);
  int shift = 64 - t->bits;
  int64_t u = (int64_t)(x << shift) >> shift;
  int64_t v = (int64_t)(y << shift) >> shift;
  return (u > v) - (u < v);
}

static int order_string(const char *a, const char *b) {
  gs_string x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  size_t n = x.n < y.n ? x.n : y.n;
  int c = n ? memcmp(x.at, y.at, n) : 0;
  return c ? c : (x.n > y.n) - (x.n < y.n);
}

static int order_element(gs_dtype t, const char *a, const char *b) {
  const gs_dtype_info *info = gs_dtype_get((int)t);
  double x[2], y[2];
  if (t == GS_STRING) return order_string(a, b);
  if (info->cls != 'f' && info->cls != 'c') return order_int(a, b, info);
  bool pair = info->cls == 'c'; /* by the real part, then the other */
  gs_dtype part = !pair ? t : t == GS_COMPLEX64 ? GS_FLOAT : GS_DOUBLE;
  gs_convert(GS_DOUBLE, x, part, a, 1 + pair, NULL);
  gs_convert(GS_DOUBLE, y, part, b, 1 + pair, NULL);
  int c = order_float(x[0], y[0]);
  return c || !pair ? c : order_float(x[1], y[1]);
}

static int order_slices(const slices *s, int64_t i, int64_t j) {
  for (int64_t o = 0; o < s->outer; o++) {
    const char *a = s->data + (size_t)(o * s->n + i) * s->run;
    const char *b = s->data + (size_t)(o * s->n + j) * s->run;
    for (size_t at = 0; at < s->run; at += s->size) {
      int c = order_element(s->dtype, a + at, b + at);
      if (c) return c;
    }
  }
  return 0;
}

/* Sorts list by value, equal ones by place: merges of doubled runs. */
static void sort_slices(const slices *s, int64_t *list, int64_t *tmp,
                        int64_t n) {
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t lo = 0; lo < n; lo += 2 * width) {
      int64_t mid = gs_min(lo + width, n), hi = gs_min(lo + 2 * width, n);
      for (int64_t i = lo, j = mid, at = lo; at < hi; at++) {
        bool left = i < mid &&
                    (j >= hi || order_slices(s, list[i], list[j]) <= 0);
        tmp[at] = left ? list[i++] : list[j++];
      }
    }
    memcpy(list, tmp, (size_t)n * sizeof *list);
  }
}

typedef struct groups { /* of equal slices */
  int64_t n;
  int64_t *first, *count; /* [n] first slice, and how many */
  int64_t *of;            /* [slices] group of each */
} groups;

static int by_place(const void *a, const void *b) {
  int64_t x = **(int64_t *const *)a, y = **(int64_t *const *)b;
  return (x > y) - (x < y);
}

/* Renumbers the groups in the order of their first slices. */
static void by_first(gs_arena *a, groups *g, int64_t total) {
  int64_t **order = GS_NEWS(a, g->n + 1, int64_t *);
  int64_t *now = GS_NEWS(a, g->n + 1, int64_t);
  groups old = *g;
  for (int64_t i = 0; i < g->n; i++) order[i] = &old.first[i];
  if (g->n) qsort(order, (size_t)g->n, sizeof *order, by_place);
  g->first = GS_NEWS(a, g->n + 1, int64_t);
  g->count = GS_NEWS(a, g->n + 1, int64_t);
  for (int64_t i = 0; i < g->n; i++) {
    int64_t from = order[i] - old.first;
    now[from] = i;
    g->first[i] = old.first[from];
    g->count[i] = old.count[from];
  }
  for (int64_t i = 0; i < total; i++) g->of[i] = now[g->of[i]];
}

static void group_slices(gs_arena *a, const slices *s, groups *g) {
  int64_t *list = GS_NEWS(a, s->n + 1, int64_t);
  int64_t *tmp = GS_NEWS(a, s->n + 1, int64_t);
  for (int64_t i = 0; i < s->n; i++) list[i] = i;
  sort_slices(s, list, tmp, s->n);
  *g = (groups){.first = GS_NEWS(a, s->n + 1, int64_t),
                .count = GS_NEWS(a, s->n + 1, int64_t),
                .of = GS_NEWS(a, s->n + 1, int64_t)};
  for (int64_t i = 0; i < s->n; i++) {
    if (!i || order_slices(s, list[i - 1], list[i]))
      g->first[g->n++] = list[i];
    g->count[g->n - 1]++;
    g->of[list[i]] = g->n - 1;
  }
}

static gs_status put_ints(gs_dyncall *k, int i, const int64_t *v, int64_t n) {
  gs_dyn *y;
  if (!gs_node_out(k->node, i)) return GS_OK;
  GS_TRY(gs_dyncall_result(k, i, GS_INT64, 1, &n, &y));
  if (n) memcpy(y->block, v, (size_t)n * sizeof *v);
  return GS_OK;
}

static gs_status run_unique(gs_dyncall *k) {
  gs_dyn *x;
  slices s;
  groups g;
  GS_TRY(gs_dyncall_tensor(k, 0, &x));
  GS_TRY(slices_of(k, x, &s));
  char cls = gs_dtype_get((int)s.dtype)->cls;
  gs_dtype part = s.dtype == GS_COMPLEX64    ? GS_FLOAT
                  : s.dtype == GS_COMPLEX128 ? GS_DOUBLE
                                             : s.dtype;
  if ((cls == 'f' || cls == 'c') && !gs_convert_knows(part))
    return gs_dyncall_fail(k, GS_UNSUPPORTED, "no kernel for %s",
                          gs_dtype_get((int)s.dtype)->text);
  group_slices(k->arena, &s, &g);
  if (!gs_node_int(k->node, "sorted", 1)) by_first(k->arena, &g, s.n);
  GS_TRY(take(k, x, &s, g.first, g.n));
  GS_TRY(put_ints(k, 1, g.first, g.n));
  GS_TRY(put_ints(k, 2, g.of, s.n));
  return put_ints(k, 3, g.count, g.n);
}

GS_DYNAMIC(non_zero, run_non_zero)
GS_DYNAMIC(compress, run_compress)
GS_DYNAMIC(unique, run_unique)
