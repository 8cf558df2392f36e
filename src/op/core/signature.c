#include "op/core/signature.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "op/core/shape.h"

typedef struct type_class {
  const char *name, *of; /* of: gs_dtype_info.cls */
  int bits;              /* at least */
  const char *want;      /* of an operand: "but must be" */
  const char *bad;       /* of an attribute: "which is" */
  bool same_bits;        /* as operand 0 */
} type_class;

static const type_class classes[] = {
    {"float", "f", 0, "of a floating-point type",
     "not a floating-point type", false},
    {"integer", "iu", 0, "an integer type",
     "not an integer type", false},
    {"number", "fiub", 0, "a number",
     "not a numeric type", false},
    {"wide", "f", 16, "a float of 16 bits or more",
     "not a floating-point type", false},
    {"bits", "fiubc", 0, NULL, "not an element type", true},
    {NULL, "fiubcs", 0, NULL,
     "not an element type", false}};

/* One operand or result. */
typedef struct term {
  char name[24], attr[24]; /* "": none */
  const char *shape;
  char letter, other; /* of type variables, else 0; `other` where the type of
                         the first is not known */
  gs_dtype type;                   /* else this one; GS_UNDEFINED: any */
  const type_class *of;
  bool sequence, repeated;
} term;

typedef struct reader {
  gs_graph *g;
  gs_node *n;
  const char *s; /* what is not read yet */
  const gs_value *bound[26]; /* the operand that a letter's type is of */
  gs_err *e;
} reader;

static const char *place(const reader *r) {
  return gs_node_place(r->g->arena, r->n);
}

static bool fits(const type_class *c, int64_t t) {
  if (t <= GS_UNDEFINED || t >= GS_NDTYPE) return false;
  const gs_dtype_info *info = gs_dtype_get((int)t);
  return strchr(c->of, info->cls) && info->bits >= c->bits;
}

/* ---- reading ---- */

static bool eat(reader *r, const char *mark) {
  size_t n = strlen(mark);
  while (*r->s == ' ') r->s++;
  if (strncmp(r->s, mark, n)) return false;
  r->s += n;
  return true;
}

static const char *word(reader *r, char out[24]) {
  size_t n = 0;
  for (; isalnum((unsigned char)*r->s) || *r->s == '_'; r->s++) {
    gs_assert(n < 23);
    out[n++] = *r->s;
  }
  out[n] = 0;
  return out;
}

static void letter_or_type(reader *r, term *t) {
  if (isupper((unsigned char)*r->s)) {
    t->letter = *r->s++;
    if (eat(r, "|")) t->other = *r->s++;
    return;
  }
  char text[24];
  t->type = gs_dtype_parse(word(r, text));
  gs_assert(t->type != GS_UNDEFINED);
}

static const type_class *class_of(reader *r) {
  const type_class *c = classes;
  if (!eat(r, ":")) return &classes[sizeof classes / sizeof *classes - 1];
  char name[24];
  word(r, name);
  while (c->name && strcmp(c->name, name)) c++;
  gs_assert(c->name);
  return c;
}

static void type_of(reader *r, term *t) {
  if (eat(r, ".")) return;
  t->sequence = eat(r, "seq(");
  if (eat(r, "@")) word(r, t->attr);
  if (!*t->attr || eat(r, "=")) letter_or_type(r, t);
  if (t->sequence) eat(r, ")");
}

/* The next operand or result; false where there is none. */
static bool next_term(reader *r, term *t) {
  *t = (term){0};
  eat(r, ",");
  if (!*r->s || *r->s == ';' || eat(r, "->")) return false;
  size_t lower = strspn(r->s, "abcdefghijklmnopqrstuvwxyz_");
  if (lower && r->s[lower] == ' ' && r->s[lower + 1] != '-') word(r, t->name);
  while (*r->s == ' ') r->s++;
  type_of(r, t);
  t->of = class_of(r);
  t->shape = r->s;
  while (*r->s == '[') r->s += strcspn(r->s, "]") + 1;
  t->repeated = eat(r, "*");
  return true;
}

/* ---- operands ---- */

static const char *shape_of(const reader *r, const gs_value *v) {
  return gs_shape_text(r->g->arena, v->dtype, v->rank, v->dims);
}

static gs_status wrong_type(reader *r, int i, const gs_value *v,
                            const char *want) {
  return gs_fail(r->e, GS_DATA, place(r),
                 "operand %d '%s' is %s, but must be %s", i, v->name,
                 gs_dtype_get((int)v->dtype)->text, want);
}

/* "[2+]" */
static bool is_min_rank(const char *s) {
  return *s == '[' && s[1 + strspn(s + 1, "0123456789")] == '+' && s[1] != '+';
}

static gs_status check_type(reader *r, const term *t, int i) {
  const gs_value *v = r->n->in[i];
  if (t->sequence && v->kind == GS_TENSOR && gs_value_shaped(v))
    return gs_fail(r->e, GS_DATA, place(r),
                   "operand '%s' is %s, not a sequence", v->name,
                   shape_of(r, v));
  if (v->dtype == GS_UNDEFINED) return GS_OK;
  if (t->type && v->dtype != t->type && t->type == GS_STRING)
    return gs_fail(r->e, GS_DATA, place(r),
                   "operand '%s' is %s, not of strings", v->name,
                   shape_of(r, v));
  if (t->type && v->dtype != t->type)
    return wrong_type(r, i, v, gs_dtype_get(t->type)->text);
  if (!t->letter) return GS_OK;
  const gs_value **first = &r->bound[t->letter - 'A'];
  if (!*first) *first = v;
  if ((*first)->dtype != v->dtype)
    return gs_fail(r->e, GS_DATA, place(r),
                   "operands '%s' (%s) and '%s' (%s) must be of one type",
                   (*first)->name, gs_dtype_get((int)(*first)->dtype)->text,
                   v->name, gs_dtype_get((int)v->dtype)->text);
  long rank = is_min_rank(t->shape) ? strtol(t->shape + 1, NULL, 10) : 0;
  if (fits(t->of, v->dtype) && (!t->of->want || v->rank >= rank)) return GS_OK;
  if (!is_min_rank(t->shape)) return wrong_type(r, i, v, t->of->want);
  return gs_fail(r->e, GS_DATA, place(r),
                 "operand %d '%s' %s must be %s and of rank %ld or more", i,
                 v->name, shape_of(r, v), t->of->want, rank);
}

static bool is_like(const gs_value *v, const gs_value *x, bool stretch) {
  if (v->rank > x->rank || (!stretch && v->rank < x->rank)) return false;
  for (int d = 0; d < v->rank; d++)
    if (v->dims[d] != x->dims[x->rank - v->rank + d] &&
        !(stretch && v->dims[d] == 1))
      return false;
  return true;
}

/* "[2]", "[2+]" */
static gs_status check_rank(reader *r, const char *s, int i) {
  const gs_value *v = r->n->in[i];
  char *end;
  long rank = strtol(s, &end, 10);
  if (*end == '+' && v->rank < rank)
    return gs_fail(r->e, GS_DATA, place(r),
                   "'%s' has rank %d, needs %ld or more", v->name, v->rank,
                   rank);
  if (*end != '+' && v->rank != rank)
    return gs_fail(r->e, GS_DATA, place(r),
                   "operand %d '%s' must have rank %ld, not %d", i, v->name,
                   rank, v->rank);
  return GS_OK;
}

/* Constant v is one axis of operand 0; one that is not constant may be. */
static gs_status check_axis(reader *r, const gs_value *v) {
  int count;
  const int64_t *list = gs_value_int_list(r->g->arena, v, &count);
  if (!list) return GS_OK;
  if (count != 1)
    return gs_fail(r->e, GS_DATA, place(r),
                   "axis '%s' must be one number, not %d", v->name, count);
  int64_t at = *list;
  const gs_value *x = r->n->in[0];
  return gs_shape_axis(r->g->arena, r->n, x, x->rank, &at, r->e);
}

/* "square]", "channels]" */
static gs_status check_form(reader *r, const char *s, int i) {
  const gs_value *v = r->n->in[i], *x = r->n->in[0];
  if (*s == 's') {
    if (v->rank >= 2 && v->dims[v->rank - 1] == v->dims[v->rank - 2])
      return GS_OK;
    return gs_fail(r->e, GS_DATA, place(r),
                   "'%s' %s does not end in square matrices", v->name,
                   shape_of(r, v));
  }
  if (v->rank == 1 && v->dims[0] == x->dims[1]) return GS_OK;
  return gs_fail(r->e, GS_DATA, place(r),
                 "operand %d '%s' %s does not hold one element for each "
                 "channel (dim 1) of '%s' %s", i, v->name, shape_of(r, v),
                 x->name, shape_of(r, x));
}

/* "axes=0,2,3]" */
static gs_status check_axes(reader *r, const char *s, const gs_value *v) {
  int64_t otherwise[GS_MAX_RANK];
  bool seen[GS_MAX_RANK] = {false};
  int count = 0;
  for (s += 4; *s != ']' && count < GS_MAX_RANK;) {
    char *end;
    otherwise[count++] = strtoll(s + 1, &end, 10);
    s = end;
  }
  const int64_t *axes = otherwise;
  if (gs_node_attr(r->n, "axes")) axes = gs_node_ints(r->n, "axes", &count);
  return gs_shape_axis_set(r->g->arena, r->n, v, v->rank, axes, count, seen,
                           r->e);
}

/* One condition on the shape of operand i, past its '['. */
static gs_status check_shape(reader *r, const term *t, const char *s, int i) {
  const gs_value *v = r->n->in[i], *x = r->n->in[0];
  gs_arena *a = r->g->arena;
  if (*s == ']') {
    if (v->rank == 0 || (v->rank == 1 && v->dims[0] == 1)) return GS_OK;
    return gs_fail(r->e, GS_DATA, place(r),
                   "operand %d '%s' must be a scalar, not %s", i, v->name,
                   shape_of(r, v));
  }
  if (*s == '=') {
    if (is_like(v, x, false)) return GS_OK;
    return gs_fail(r->e, GS_DATA, place(r),
                   "operands '%s' %s and '%s' %s differ in shape", x->name,
                   shape_of(r, x), v->name, shape_of(r, v));
  }
  if (*s == '<') {
    if (is_like(v, x, true)) return GS_OK;
    return gs_fail(r->e, GS_DATA, place(r),
                   "%s '%s' %s does not broadcast to '%s' %s",
                   *t->name ? t->name : gs_sprintf(a, "operand %d", i),
                   v->name, shape_of(r, v), x->name, shape_of(r, x));
  }
  if (isdigit((unsigned char)*s)) return check_rank(r, s, i);
  if (!strncmp(s, "square]", 7) || !strncmp(s, "channels]", 9))
    return check_form(r, s, i);
  if (!strncmp(s, "axes=", 5)) return check_axes(r, s, v);
  if (!strncmp(s, "axis]", 5)) return check_axis(r, v);
  gs_assert(!strncmp(s, "axis=", 5));
  int64_t at = gs_node_int(r->n, "axis", strtol(s + 5, NULL, 10));
  return gs_shape_axis(a, r->n, v, v->rank, &at, r->e);
}

static gs_status check_operand(reader *r, const term *t, int i) {
  if (!gs_node_in(r->n, i)) return GS_OK;
  GS_TRY(check_type(r, t, i));
  if (!gs_value_shaped(r->n->in[i])) return GS_OK;
  for (const char *s = t->shape; *s == '['; s = strchr(s, ']') + 1)
    GS_TRY(check_shape(r, t, s + 1, i));
  return GS_OK;
}

/* ---- attributes ---- */

/* "1|2", "LEFT|RIGHT" to "1 nor 2". */
static const char *choices(gs_arena *a, const char *s, size_t n) {
  gs_buf b;
  gs_buf_init(&b, a);
  for (size_t i = 0; i < n; i++)
    if (s[i] == '|') gs_buf_str(&b, " nor ");
    else gs_buf_char(&b, s[i]);
  return b.at;
}

/* Whether `text` is one of "LEFT|RIGHT". */
static bool chosen(const char *s, size_t n, const char *text) {
  size_t length = strlen(text);
  for (const char *end = s + n; s < end; s += strcspn(s, "|;") + 1)
    if (strcspn(s, "|;") == length && !strncmp(s, text, length)) return true;
  return false;
}

/* "size>=1", "p=1|2"; an attribute that is left out has its default. */
static gs_status check_attribute(reader *r) {
  gs_arena *a = r->g->arena;
  char name[24];
  eat(r, " ");
  word(r, name);
  const gs_attr *at = gs_node_attr(r->n, name);
  bool text = !at || at->kind == GS_ATTR_STRING;
  if (eat(r, ">=")) {
    char *end;
    int64_t min = strtoll(r->s, &end, 10);
    r->s = end;
    int64_t x = gs_node_int(r->n, name, 0);
    if (x >= min) return GS_OK;
    return gs_fail(r->e, GS_DATA, place(r),
                   "attribute '%s' is %lld, but must be %lld or more", name,
                   (long long)x, (long long)min);
  }
  bool found = eat(r, "=");
  gs_assert(found);
  const char *s = r->s;
  size_t n = strcspn(s, ";");
  r->s += n;
  if (!at && isdigit((unsigned char)*s)) return GS_OK;
  const char *is = text ? gs_node_string(r->n, name, "")
                        : gs_sprintf(a, "%lld",
                                     (long long)gs_node_int(r->n, name, 0));
  if (chosen(s, n, is)) return GS_OK;
  return gs_fail(r->e, GS_DATA, place(r),
                 text ? "attribute '%s' is '%s', neither %s"
                      : "attribute '%s' is %s, neither %s",
                 name, is, choices(a, s, n));
}

/* All operands; leaves r at the results. */
static gs_status check_operands(reader *r) {
  int i = 0, formal = gs_node_formal(r->n);
  term t;
  for (; next_term(r, &t); i++) {
    if (i < formal) GS_TRY(check_operand(r, &t, i));
    while (t.repeated && ++i < formal) GS_TRY(check_operand(r, &t, i));
  }
  return GS_OK;
}

gs_status gs_signature_check(gs_graph *g, gs_node *n, gs_err *e) {
  reader r = {.g = g, .n = n, .s = n->op->signature, .e = e};
  return check_operands(&r);
}

/* ---- results ---- */

static gs_status result_type(reader *r, const term *t, gs_dtype *out) {
  const gs_value *v = t->letter ? r->bound[t->letter - 'A'] : NULL;
  if (!v && t->other) v = r->bound[t->other - 'A'];
  *out = t->letter ? v ? v->dtype : GS_UNDEFINED : t->type;
  if (!*t->attr) return GS_OK;
  int64_t said = gs_node_int(r->n, t->attr, *out);
  *out = (gs_dtype)said;
  const gs_value *x = gs_node_in(r->n, 0);
  bool ok = fits(t->of, said);
  if (ok && t->of->same_bits &&
      gs_dtype_get((int)said)->bits != gs_dtype_get((int)x->dtype)->bits)
    return gs_fail(r->e, GS_DATA, place(r),
                   "'%s' is %s, which does not have as many bits as %s",
                   x->name,
                   gs_dtype_get((int)x->dtype)->text,
                   gs_dtype_get((int)said)->text);
  if (ok) return GS_OK;
  return gs_fail(r->e, GS_DATA, place(r),
                 t->of->bits ? "%s %lld is %s"
                             : "attribute '%s' is %lld, which is %s",
                 t->attr, (long long)said, t->of->bad);
}

gs_status gs_signature_type(gs_graph *g, gs_node *n, int i, gs_dtype *out,
                            gs_err *e) {
  reader r = {.g = g, .n = n, .s = n->op->signature, .e = e};
  GS_TRY(check_operands(&r));
  term t;
  while (next_term(&r, &t) && i > 0) i--;
  return result_type(&r, &t, out);
}

static gs_status set_result(reader *r, const term *t, int i) {
  gs_node *n = r->n;
  const gs_value *x = gs_node_in(n, 0);
  gs_dtype type;
  GS_TRY(result_type(r, t, &type));
  if (t->sequence) return gs_shape_dynamic(r->g, n, i, GS_SEQUENCE, type, r->e);
  if (!strncmp(t->shape, "[]", 2))
    return gs_shape_set(r->g, n, i, type, 0, NULL, r->e);
  bool all = t->shape[0] == '[' && t->shape[1] == '+';
  bool known = t->shape[0] != '[' ? gs_value_shaped(x) : all;
  for (int k = 0; all && k < n->nin; k++)
    if (n->in[k] && !gs_value_shaped(n->in[k])) known = false;
  if (!known) return gs_shape_dynamic(r->g, n, i, GS_TENSOR, type, r->e);
  if (!all) return gs_shape_set(r->g, n, i, type, x->rank, x->dims, r->e);
  int64_t dims[GS_MAX_RANK];
  int rank;
  GS_TRY(gs_shape_broadcast(r->g->arena, n, 0, n->nin, &rank, dims, r->e));
  return gs_shape_set(r->g, n, i, type, rank, dims, r->e);
}

gs_status gs_shape_signed(gs_graph *g, gs_node *n, gs_err *e) {
  reader r = {.g = g, .n = n, .s = n->op->signature, .e = e};
  GS_TRY(check_operands(&r));
  reader conditions = r;
  conditions.s += strcspn(r.s, ";");
  while (eat(&conditions, ";")) GS_TRY(check_attribute(&conditions));
  term t;
  for (int i = 0; next_term(&r, &t); i++) {
    GS_TRY(set_result(&r, &t, i));
    while (t.repeated && ++i < n->nout) GS_TRY(set_result(&r, &t, i));
  }
  return GS_OK;
}
