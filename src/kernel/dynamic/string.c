/* String tensors: comparison, casts, joining, splitting, normalising. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <wctype.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "kernel/core/call_dynamic.h"
#include "kernel/dynamic/regex.h"
#include "op/core/shape.h"

static gs_status strings_of(gs_dyncall *k, int i, gs_dyn **b) {
  GS_TRY(gs_dyncall_tensor(k, i, b));
  if ((*b)->t.dtype == GS_STRING) return GS_OK;
  return gs_dyncall_fail(k, GS_DATA, "operand %d is %s, not of strings", i,
                        gs_dyn_text(k->arena, *b));
}

static bool same(gs_string a, gs_string b) {
  return a.n == b.n && (!a.n || !memcmp(a.at, b.at, a.n));
}

/* ---- broadcast operands ---- */

typedef struct joint {
  gs_dyn *b[3];
  int nb, rank;
  int64_t dims[GS_MAX_RANK], n;
} joint;

/* Adds operand i; all together are broadcast. */
static gs_status join(gs_dyncall *k, joint *p, int i) {
  gs_assert(p->nb < 3 && k->in[i]->kind == GS_TENSOR);
  gs_dyn *b = p->b[p->nb++] = k->in[i];
  if (!gs_shape_merge(&p->rank, p->dims, b->t.rank, b->t.dims))
    return gs_dyncall_fail(k, GS_DATA, "%s does not broadcast with %s",
                          gs_dyn_text(k->arena, b),
                          gs_shape_text(k->arena, b->t.dtype, p->rank,
                                        p->dims));
  p->n = gs_product(p->dims, p->rank);
  return GS_OK;
}

static gs_status join_strings(gs_dyncall *k, joint *p, int first) {
  for (int i = first; i < first + 2; i++) {
    GS_TRY(strings_of(k, i, &k->in[i]));
    GS_TRY(join(k, p, i));
  }
  return GS_OK;
}

/* The place in operand j of what belongs to element i of the result. */
static int64_t place_of(const joint *p, int j, int64_t i) {
  gs_assert(j >= 0 && j < p->nb && i >= 0 && i < p->n);
  const gs_tensor *t = &p->b[j]->t;
  int64_t at = 0, stride = 1;
  for (int d = p->rank - 1; d >= 0; d--) {
    int64_t c = i % p->dims[d];
    int e = d - p->rank + t->rank;
    i /= p->dims[d];
    if (e < 0) continue;
    if (t->dims[e] != 1) at += c * stride;
    stride *= t->dims[e];
  }
  return at;
}

static gs_string string_at(const joint *p, int j, int64_t i) {
  return p->b[j]->t.strings[place_of(p, j, i)];
}

static gs_status run_equal(gs_dyncall *k) {
  gs_dyn *x, *out;
  joint p = {.nb = 0};
  GS_TRY(gs_dyncall_tensor(k, 0, &x));
  if (x->t.dtype != GS_STRING) return gs_dyncall_kernel(k);
  GS_TRY(join_strings(k, &p, 0));
  GS_TRY(gs_dyncall_result(k, 0, GS_BOOL, p.rank, p.dims, &out));
  uint8_t *to = out->block;
  for (int64_t i = 0; i < p.n; i++)
    to[i] = same(string_at(&p, 0, i), string_at(&p, 1, i));
  return GS_OK;
}

static gs_status run_where(gs_dyncall *k) {
  gs_dyn *c, *x, *out;
  joint p = {.nb = 0};
  GS_TRY(gs_dyncall_tensor(k, 0, &c));
  GS_TRY(gs_dyncall_tensor(k, 1, &x));
  if (x->t.dtype != GS_STRING) return gs_dyncall_kernel(k);
  GS_TRY(join_strings(k, &p, 1));
  GS_TRY(join(k, &p, 0));
  if (c->t.dtype != GS_BOOL)
    return gs_dyncall_fail(k, GS_DATA, "the condition is %s",
                          gs_dyn_text(k->arena, c));
  GS_TRY(gs_dyncall_result(k, 0, GS_STRING, p.rank, p.dims, &out));
  gs_string *to = out->block;
  const uint8_t *on = c->t.data;
  for (int64_t i = 0; i < p.n; i++)
    to[i] = string_at(&p, !on[place_of(&p, 2, i)], i);
  gs_dyn_own_strings(out);
  return GS_OK;
}

static gs_status run_concat(gs_dyncall *k) {
  gs_dyn *out;
  joint p = {.nb = 0};
  GS_TRY(join_strings(k, &p, 0));
  GS_TRY(gs_dyncall_result(k, 0, GS_STRING, p.rank, p.dims, &out));
  gs_string *to = out->block;
  for (int64_t i = 0; i < p.n; i++) {
    gs_string a = string_at(&p, 0, i), b = string_at(&p, 1, i);
    char *text = gs_alloc(k->arena, a.n + b.n + 1);
    if (a.n) memcpy(text, a.at, a.n);
    if (b.n) memcpy(text + a.n, b.at, b.n);
    to[i] = (gs_string){text, a.n + b.n};
  }
  gs_dyn_own_strings(out);
  return GS_OK;
}

/* ---- Cast ---- */

/* The shortest decimal that reads back to the same number of type t. */
static const char *float_text(gs_arena *a, gs_dtype t, const void *at) {
  double f, back;
  char text[64];
  int digits = 0, exponent = 0;
  gs_convert(GS_DOUBLE, &f, t, at, 1, NULL);
  if (isnan(f)) return "NaN";
  if (isinf(f)) return f < 0 ? "-INF" : "INF";
  do {
    double narrow;
    char bits[8];
    snprintf(text, sizeof text, "%.*e", digits, f);
    back = strtod(text, NULL);
    gs_convert(t, bits, GS_DOUBLE, &back, 1, NULL);
    gs_convert(GS_DOUBLE, &narrow, t, bits, 1, NULL);
    if (narrow == f) break;
  } while (++digits < 17);
  exponent = atoi(strchr(text, 'e') + 1);
  if (exponent < -4 || exponent >= 16) return gs_strdup(a, text);
  return gs_sprintf(a, "%.*f", digits > exponent ? digits - exponent : 1, f);
}

static gs_status to_strings(gs_dyncall *k, const gs_dyn *x) {
  gs_dyn *out;
  gs_dtype t = x->t.dtype;
  const gs_dtype_info *info = gs_dtype_get((int)t);
  if (info->bits < 8 || !gs_convert_knows(t))
    return gs_dyncall_fail(k, GS_UNSUPPORTED, "no kernel for %s", info->text);
  GS_TRY(gs_dyncall_result(k, 0, GS_STRING, x->t.rank, x->t.dims, &out));
  gs_string *to = out->block;
  gs_view v = {.dtype = t, .data = gs_dyn_data(x)};
  int64_t n = gs_tensor_count(&x->t);
  for (int64_t i = 0; i < n; i++) {
    const char *s;
    if (info->cls == 'f')
      s = float_text(k->arena, t, (char *)v.data + i * info->bits / 8);
    else if (t == GS_UINT64)
      s = gs_sprintf(k->arena, "%llu",
                     ((const unsigned long long *)v.data)[i]);
    else
      s = gs_sprintf(k->arena, "%lld", (long long)gs_view_int(&v, i));
    to[i] = (gs_string){s, strlen(s)};
  }
  gs_dyn_own_strings(out);
  return GS_OK;
}

static gs_status from_strings(gs_dyncall *k, const gs_dyn *x, gs_dtype t) {
  gs_dyn *out;
  const gs_dtype_info *info = gs_dtype_get((int)t);
  if (info->bits < 8 || info->cls == 'b' || !gs_convert_knows(t))
    return gs_dyncall_fail(k, GS_UNSUPPORTED, "no cast from strings to %s",
                          info->text);
  GS_TRY(gs_dyncall_result(k, 0, t, x->t.rank, x->t.dims, &out));
  int64_t n = gs_tensor_count(&x->t);
  for (int64_t i = 0; i < n; i++) {
    gs_string s = x->t.strings[i];
    char *text = gs_strndup(k->arena, s.n ? s.at : "", s.n), *end;
    char *to = (char *)out->block + i * info->bits / 8;
    bool whole = info->cls != 'f' && !text[strspn(text, "+-0123456789")];
    errno = 0;
    double f = strtod(text, &end);
    while (isspace((unsigned char)*end)) end++;
    if (!s.n || *end || end == text)
      return gs_dyncall_fail(k, GS_DATA, "element %lld, '%.40s', is not a "
                             "number",
                            (long long)i, text);
    if (whole && t == GS_UINT64) {
      uint64_t u = strtoull(text, NULL, 10);
      memcpy(to, &u, sizeof u);
    } else if (whole) { /* doubles do not hold all of them */
      int64_t v = strtoll(text, NULL, 10);
      gs_convert(t, to, GS_INT64, &v, 1, NULL);
    } else {
      gs_convert(t, to, GS_DOUBLE, &f, 1, NULL);
    }
  }
  return GS_OK;
}

static gs_status run_cast(gs_dyncall *k) {
  gs_dyn *x, *like;
  GS_TRY(gs_dyncall_tensor(k, 0, &x));
  gs_dtype t = (gs_dtype)gs_node_int(k->node, "to", GS_UNDEFINED);
  if (k->node->nin > 1) {
    GS_TRY(gs_dyncall_tensor(k, 1, &like));
    t = like->t.dtype;
  }
  if (x->t.dtype == t) {
    k->out[0] = gs_dyn_keep(k->heap, x);
    return GS_OK;
  }
  if (t == GS_STRING) return to_strings(k, x);
  if (x->t.dtype == GS_STRING) return from_strings(k, x, t);
  return gs_dyncall_kernel(k);
}

/* ---- StringSplit ---- */

typedef GS_VEC(gs_string) parts;

/* By blanks; those at the start and end count for nothing. */
static void split_blanks(gs_arena *a, gs_string s, int64_t max, parts *out) {
  const char *at = s.at, *end = s.n ? at + s.n : at;
  for (;;) {
    while (at < end && isspace((unsigned char)*at)) at++;
    if (at == end) return;
    const char *from = at;
    if (max >= 0 && out->n >= max) at = end;
    while (at < end && !isspace((unsigned char)*at)) at++;
    *gs_push(a, out) = (gs_string){from, (size_t)(at - from)};
  }
}

static void split_at(gs_arena *a, gs_string s, const char *by, size_t n,
                     int64_t max, parts *out) {
  const char *at = s.at, *end = s.n ? at + s.n : at;
  while (max < 0 || out->n < max) {
    const char *hit = s.n ? memmem(at, (size_t)(end - at), by, n) : NULL;
    if (!hit) break;
    *gs_push(a, out) = (gs_string){at, (size_t)(hit - at)};
    at = hit + n;
  }
  *gs_push(a, out) = (gs_string){at, s.n ? (size_t)(end - at) : 0};
}

static gs_status run_split(gs_dyncall *k) {
  gs_dyn *x, *y, *z;
  GS_TRY(strings_of(k, 0, &x));
  const gs_attr *by = gs_node_attr(k->node, "delimiter");
  int64_t max = gs_node_int(k->node, "maxsplit", -1);
  int64_t n = gs_tensor_count(&x->t), widest = 0, dims[GS_MAX_RANK + 1];
  parts *part = GS_NEWS(k->arena, n, parts);
  for (int64_t i = 0; i < n; i++) {
    gs_string s = x->t.strings[i];
    if (by && by->s.n)
      split_at(k->arena, s, by->s.at, by->s.n, max, &part[i]);
    else split_blanks(k->arena, s, max, &part[i]);
    widest = gs_max(widest, part[i].n);
  }
  int rank = x->t.rank;
  if (rank >= GS_MAX_RANK)
    return gs_dyncall_fail(k, GS_UNSUPPORTED, "the result has rank %d",
                          rank + 1);
  for (int d = 0; d < rank; d++) dims[d] = x->t.dims[d];
  dims[rank] = widest;
  GS_TRY(gs_dyncall_result(k, 0, GS_STRING, rank + 1, dims, &y));
  GS_TRY(gs_dyncall_result(k, 1, GS_INT64, rank, dims, &z));
  gs_string *to = y->block;
  for (int64_t i = 0; i < n; i++) {
    ((int64_t *)z->block)[i] = part[i].n;
    for (int j = 0; j < part[i].n; j++) to[i * widest + j] = part[i].at[j];
  }
  gs_dyn_own_strings(y);
  if (!gs_node_out(k->node, 1)) gs_dyn_drop(z);
  return GS_OK;
}

/* ---- StringNormalizer ---- */

typedef wint_t fold_fn(wint_t c, locale_t l);

/* s with every character folded, in the language-neutral way. */
static gs_string folded(gs_arena *a, gs_string s, fold_fn *fold, locale_t l) {
  gs_buf b;
  gs_buf_init(&b, a);
  for (size_t i = 0; i < s.n;) {
    uint32_t c;
    size_t n = gs_utf8_get(s.at + i, s.n - i, &c);
    char out[4];
    if (c == GS_UTF8_BAD) { /* stays as it is */
      gs_buf_char(&b, s.at[i]);
    } else {
      size_t m = gs_utf8_put(out, (uint32_t)fold((wint_t)c, l));
      for (size_t j = 0; j < m; j++) gs_buf_char(&b, out[j]);
    }
    i += n;
  }
  return (gs_string){b.at, b.n};
}

typedef struct normaliser {
  const gs_attr *stop;
  bool exact;     /* stop words are told apart by case */
  fold_fn *fold;  /* of what is left, or NULL */
  locale_t l;
} normaliser;

static gs_status normaliser_of(gs_dyncall *k, normaliser *f) {
  const char *how = gs_node_string(k->node, "case_change_action", "NONE");
  f->stop = gs_node_attr(k->node, "stopwords");
  f->exact = gs_node_int(k->node, "is_case_sensitive", 0) != 0;
  f->fold = !strcmp(how, "LOWER")   ? towlower_l
            : !strcmp(how, "UPPER") ? towupper_l
                                    : NULL;
  if (!f->fold && strcmp(how, "NONE"))
    return gs_dyncall_fail(k, GS_DATA, "case_change_action is '%.40s'", how);
  f->l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  if (f->l) return GS_OK;
  return gs_dyncall_fail(k, GS_RESOURCE, "the locale C.UTF-8 is missing");
}

static bool is_stopped(gs_arena *a, const normaliser *f, gs_string s) {
  gs_string low = f->exact ? s : folded(a, s, towlower_l, f->l);
  for (int i = 0; f->stop && i < f->stop->n; i++) {
    gs_string w = f->stop->strings[i];
    if (same(low, f->exact ? w : folded(a, w, towlower_l, f->l))) return true;
  }
  return false;
}

static gs_status run_normalizer(gs_dyncall *k) {
  gs_dyn *x, *y;
  normaliser f;
  GS_TRY(strings_of(k, 0, &x));
  const gs_tensor *t = &x->t;
  if (t->rank < 1 || t->rank > 2 || (t->rank == 2 && t->dims[0] != 1))
    return gs_dyncall_fail(k, GS_DATA, "the operand is %s, not [C] or [1,C]",
                          gs_dyn_text(k->arena, x));
  GS_TRY(normaliser_of(k, &f));
  int64_t n = gs_tensor_count(t), left = 0;
  gs_string *keep = GS_NEWS(k->arena, n + 1, gs_string);
  for (int64_t i = 0; i < n; i++) {
    if (is_stopped(k->arena, &f, t->strings[i])) continue;
    keep[left++] = f.fold ? folded(k->arena, t->strings[i], f.fold, f.l)
                          : t->strings[i];
  }
  freelocale(f.l);
  int64_t dims[2] = {1, 1};
  dims[t->rank - 1] = gs_max(left, 1); /* one empty string if none is left */
  GS_TRY(gs_dyncall_result(k, 0, GS_STRING, t->rank, dims, &y));
  if (left) memcpy(y->block, keep, (size_t)left * sizeof *keep);
  gs_dyn_own_strings(y);
  return GS_OK;
}

/* ---- RegexFullMatch ---- */

static gs_status run_regex(gs_dyncall *k) {
  gs_dyn *x, *y;
  gs_regex *r;
  GS_TRY(strings_of(k, 0, &x));
  const gs_attr *p = gs_node_attr(k->node, "pattern");
  if (!p || p->kind != GS_ATTR_STRING)
    return gs_dyncall_fail(k, GS_DATA, "attribute 'pattern' is missing");
  const char *place = gs_node_place(k->arena, k->node);
  GS_TRY(gs_regex_new(k->arena, p->s.at, p->s.n, place, &r, k->err));
  GS_TRY(gs_dyncall_result(k, 0, GS_BOOL, x->t.rank, x->t.dims, &y));
  int64_t n = gs_tensor_count(&x->t);
  gs_arena tmp;
  gs_arena_init(&tmp);
  for (int64_t i = 0; i < n; i++) {
    gs_string s = x->t.strings[i];
    ((uint8_t *)y->block)[i] = gs_regex_full(r, &tmp, s.at, s.n);
    gs_arena_reset(&tmp);
  }
  gs_arena_free(&tmp);
  return GS_OK;
}

GS_DYNAMIC(regex_full_match, run_regex)
GS_DYNAMIC(equal, run_equal)
GS_DYNAMIC(where, run_where)
GS_DYNAMIC(cast, run_cast)
GS_DYNAMIC(string_concat, run_concat)
GS_DYNAMIC(string_split, run_split)
GS_DYNAMIC(string_normalizer, run_normalizer)
