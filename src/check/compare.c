#include "check/compare.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/math.h"
#include "base/text.h"
#include "kernel/core/convert.h"

enum { BLOCK = 512 }; /* even: packed types stay on byte boundaries */

/* What is compared: elements, or the parts of complex numbers. */
static gs_dtype part_type(gs_dtype t) {
  return t == GS_COMPLEX64 ? GS_FLOAT : t == GS_COMPLEX128 ? GS_DOUBLE : t;
}

static bool exact_type(gs_dtype t) {
  char c = gs_dtype_get((int)t)->cls;
  return c == 'i' || c == 'u' || c == 'b' || c == 's';
}

/* Numbers [at, at + n) as doubles.  Data in files may be unaligned. */
static void widen(gs_dtype t, const void *data, int64_t at, int64_t n,
                  double *out) {
  int64_t bits = gs_dtype_get((int)t)->bits;
  const char *from = (const char *)data + at * bits / 8;
  gs_assert(n > 0 && n <= BLOCK && at % 2 == 0);
  _Alignas(64) char copy[BLOCK * sizeof(double)];
  memcpy(copy, from, (size_t)((n * bits + 7) / 8));
  gs_convert(GS_DOUBLE, out, t, copy, n, NULL);
}

gs_tolerance gs_tolerance_of(gs_dtype t) {
  gs_tolerance tol = {.rtol = 1e-3, .scale = 1e-5};
  if (gs_dtype_get((int)t)->cls != 'f' || !gs_convert_knows(t)) return tol;
  /* The distance from 1 to the next number of the type. */
  double unit = 1;
  for (double step = 0.5; step > 1e-4; step /= 2) {
    double next = 1 + step, x;
    _Alignas(16) char bytes[16];
    gs_convert(t, bytes, GS_DOUBLE, &next, 1, NULL);
    gs_convert(GS_DOUBLE, &x, t, bytes, 1, NULL);
    if (x < next || x > next) break;
    unit = step;
  }
  if (unit < 5e-4) return tol;
  tol.rtol = tol.scale = fmin(8 * unit, 0.5);
  return tol;
}

static double largest_of(gs_dtype t, const void *want, int64_t n) {
  double x[BLOCK], max = 0;
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t m = gs_min(BLOCK, n - at);
    widen(t, want, at, m, x);
    for (int64_t i = 0; i < m; i++) {
      double v = fabs(x[i]);
      if (v <= DBL_MAX && v > max) max = v;
    }
  }
  return max;
}

/* Distance of two numbers; infinite when only one is NaN or infinite. */
static double distance_of(double got, double want) {
  if (got == want || (isnan(got) && isnan(want))) return 0;
  double d = fabs(got - want);
  return isnan(d) ? INFINITY : d;
}

static void consider(gs_comparison *c, int64_t at, double got, double want,
                     double allowed) {
  double d = distance_of(got, want);
  gs_assert(!(d < 0));
  if (d == 0) return;
  bool bad = !(d <= allowed);
  if (bad) c->bad++;
  if (isnan(allowed) || isinf(allowed)) allowed = 0;
  /* The worst is the one that is furthest past what is allowed. */
  if (c->worst >= 0 && !(d - allowed > c->distance - c->allowed)) return;
  c->worst = at;
  c->got = got;
  c->want = want;
  c->distance = d;
  c->allowed = allowed;
}

/* Integers of up to 64 bits, which a double cannot always tell apart. */
static void compare_integers(const gs_tensor *got, const gs_tensor *want,
                             gs_comparison *c) {
  gs_dtype t = got->dtype;
  bool is_signed = gs_dtype_get((int)t)->cls == 'i';
  gs_dtype wide = is_signed ? GS_INT64 : GS_UINT64;
  gs_assert(want->dtype == t);
  int64_t bits = gs_dtype_get((int)t)->bits;
  const char *x = gs_tensor_bytes(got), *y = gs_tensor_bytes(want);
  uint64_t a[BLOCK], b[BLOCK], max = 0;
  _Alignas(64) char copy[BLOCK * sizeof(uint64_t)];
  for (int64_t at = 0; at < c->n; at += BLOCK) {
    int64_t m = gs_min(BLOCK, c->n - at), bytes = (m * bits + 7) / 8;
    memcpy(copy, x + at * bits / 8, (size_t)bytes);
    gs_convert(wide, a, t, copy, m, NULL);
    memcpy(copy, y + at * bits / 8, (size_t)bytes);
    gs_convert(wide, b, t, copy, m, NULL);
    for (int64_t i = 0; i < m; i++) {
      bool more = is_signed ? (int64_t)a[i] > (int64_t)b[i] : a[i] > b[i];
      uint64_t d = more ? a[i] - b[i] : b[i] - a[i];
      c->bad += d != 0;
      if (d <= max) continue;
      max = d;
      c->worst = at + i;
      c->got_bits = a[i];
      c->want_bits = b[i];
    }
  }
  c->distance = (double)max;
  if (c->worst < 0) return;
  c->got = is_signed ? (double)(int64_t)c->got_bits : (double)c->got_bits;
  c->want = is_signed ? (double)(int64_t)c->want_bits : (double)c->want_bits;
}

static gs_status same_shape(const gs_tensor *got, const gs_tensor *want,
                            gs_err *e) {
  if (got->dtype == want->dtype && got->rank == want->rank &&
      gs_same_dims(got->dims, want->dims, got->rank))
    return GS_OK;
  gs_arena a;
  gs_arena_init(&a);
  gs_status s =
      gs_fail(e, GS_NO, got->name, "is %s, expected %s",
              gs_shape_text(&a, got->dtype, got->rank, got->dims),
              gs_shape_text(&a, want->dtype, want->rank, want->dims));
  gs_arena_free(&a);
  return s;
}

/* Strings are at distance 1 when they differ. */
static gs_status compare_strings(const gs_tensor *got, const gs_tensor *want,
                                 gs_comparison *c) {
  for (int64_t i = 0; i < c->n; i++) {
    gs_string a = got->strings[i], b = want->strings[i];
    if (a.n == b.n && (!a.n || !memcmp(a.at, b.at, a.n))) continue;
    if (!c->bad++) c->worst = i;
  }
  c->equal = c->same_bytes = c->bad == 0;
  c->distance = c->equal ? 0 : 1;
  return GS_OK;
}

gs_status gs_compare(const gs_tensor *got, const gs_tensor *want,
                     const gs_tolerance *tol, gs_comparison *c, gs_err *e) {
  *c = (gs_comparison){.worst = -1};
  GS_TRY(same_shape(got, want, e));
  gs_dtype t = part_type(got->dtype);
  int64_t n = gs_tensor_count(got) * (t == got->dtype ? 1 : 2);
  c->n = n;
  c->same_bytes = true;
  c->equal = true;
  if (!n) return GS_OK;
  if (got->dtype == GS_STRING) return compare_strings(got, want, c);
  const void *x = gs_tensor_bytes(got), *y = gs_tensor_bytes(want);
  if (!x || !y || !gs_convert_knows(t))
    return gs_fail(e, GS_UNSUPPORTED, got->name,
                   "tensors of type %s cannot be compared",
                   gs_dtype_get((int)got->dtype)->text);
  c->same_bytes = !memcmp(x, y, (size_t)got->nbytes);
  c->largest = largest_of(t, y, n);
  bool exact = exact_type(t);
  if (exact && t != GS_BOOL && !c->same_bytes) {
    compare_integers(got, want, c);
    c->equal = c->bad == 0;
    return GS_OK;
  }
  double base = exact ? 0 : tol->atol + tol->scale * c->largest;
  double a[BLOCK], b[BLOCK];
  for (int64_t at = 0; !c->same_bytes && at < n; at += BLOCK) {
    int64_t m = gs_min(BLOCK, n - at);
    widen(t, x, at, m, a);
    widen(t, y, at, m, b);
    for (int64_t i = 0; i < m; i++)
      consider(c, at + i, a[i], b[i],
               base + (exact ? 0 : tol->rtol * fabs(b[i])));
  }
  c->equal = c->bad == 0;
  return GS_OK;
}

static void print_whole(gs_buf *b, bool is_signed, uint64_t x) {
  if (is_signed) gs_buf_printf(b, "%lld", (long long)x);
  else gs_buf_printf(b, "%llu", (unsigned long long)x);
}

void gs_comparison_print(gs_buf *b, const gs_tensor *t,
                         const gs_comparison *c) {
  if (c->worst < 0) {
    gs_buf_str(b, c->same_bytes ? "the same bytes" : "equal values");
    return;
  }
  int64_t at = c->worst;
  bool complex = part_type(t->dtype) != t->dtype;
  if (complex) at /= 2;
  int64_t index[GS_MAX_RANK];
  for (int d = t->rank - 1; d >= 0; d--) {
    index[d] = at % t->dims[d];
    at /= t->dims[d];
  }
  gs_buf_str(b, "element [");
  for (int d = 0; d < t->rank; d++)
    gs_buf_printf(b, d ? ",%lld" : "%lld", (long long)index[d]);
  if (t->dtype == GS_STRING) {
    gs_string s = t->strings[c->worst];
    gs_buf_str(b, "] is not '");
    gs_text_add(b, s.n ? s.at : "", (size_t)gs_min((int64_t)s.n, 80));
    gs_buf_char(b, '\'');
    return;
  }
  char cls = gs_dtype_get((int)t->dtype)->cls;
  if (cls == 'i' || cls == 'u') {
    gs_buf_str(b, "] is ");
    print_whole(b, cls == 'i', c->got_bits);
    gs_buf_str(b, ", expected ");
    print_whole(b, cls == 'i', c->want_bits);
    return;
  }
  gs_buf_printf(b, "]%s is %.9g, expected %.9g: distance %.3g, allowed %.3g",
                !complex       ? ""
                : c->worst % 2 ? " (imaginary part)"
                               : " (real part)",
                c->got, c->want, c->distance, c->allowed);
}

uint64_t gs_tensor_digest(const gs_tensor *t) {
  int64_t head[2] = {(int64_t)t->dtype, t->rank};
  uint64_t h = gs_hash(head, sizeof head, 0);
  h = gs_hash(t->dims, (size_t)t->rank * sizeof *t->dims, h);
  for (int64_t i = 0; t->strings && i < gs_tensor_count(t); i++)
    h = gs_hash(t->strings[i].at, t->strings[i].n, h ^ t->strings[i].n);
  const void *p = t->nbytes ? gs_tensor_bytes(t) : NULL;
  return p ? gs_hash(p, (size_t)t->nbytes, h) : h;
}

/* What an optional holds, which may also be given plainly. */
static const gs_dyn *held(const gs_dyn *b) {
  return b->kind == GS_OPTIONAL && b->n ? b->item[0] : b;
}

gs_status gs_compare_dyn(const gs_dyn *got, const gs_dyn *want,
                         const gs_tolerance *tol, gs_comparison *out,
                         const gs_tensor **worst, gs_err *e) {
  *out = (gs_comparison){.equal = true, .same_bytes = true, .worst = -1};
  got = held(got);
  want = held(want);
  if (got->kind == GS_TENSOR && want->kind == GS_TENSOR) {
    if (worst) *worst = &want->t;
    return gs_compare(&got->t, &want->t, tol, out, e);
  }
  if (got->kind != want->kind || got->n != want->n)
    return gs_fail(e, GS_NO, NULL, "%s with %d elements, expected %s with %d",
                   gs_kind_text(got->kind), got->n, gs_kind_text(want->kind),
                   want->n);
  bool same = true;
  for (int i = 0; i < got->n; i++) {
    GS_TRY(gs_compare_dyn(got->item[i], want->item[i], tol, out, worst, e));
    same = same && out->same_bytes;
    if (!out->equal) break;
  }
  out->same_bytes = same;
  return GS_OK;
}

uint64_t gs_dyn_digest(const gs_dyn *b) {
  if (b->kind == GS_TENSOR) return gs_tensor_digest(&b->t);
  uint64_t h = gs_hash(&b->n, sizeof b->n, (uint64_t)b->kind);
  for (int i = 0; i < b->n; i++) {
    uint64_t one = gs_dyn_digest(b->item[i]);
    h = gs_hash(&one, sizeof one, h);
  }
  return h;
}
