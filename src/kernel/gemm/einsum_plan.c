#include <ctype.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/gemm/einsum.h"
#include "kernel/core/support.h"

/* Elements of an intermediate value, and of all together. */
#define MAX_TERM ((int64_t)1 << 48)

/* ---- the equation ---- */

typedef struct operand {
  int n;
  uint8_t label[GS_MAX_RANK];
} operand;

typedef struct reader {
  gs_kctx *k;
  const char *equation;
  operand *in; /* [nin] */
  operand out;
  int ellipsis; /* dims of the longest ellipsis */
  int64_t size[GS_EIN_LABELS];
  int uses[GS_EIN_LABELS]; /* over the operands */
  gs_ein_plan *p;
  bool overflow; /* an intermediate value is too large */
  GS_VEC(gs_term) term; /* one per operand */
} reader;

static gs_status bad(reader *r, const char *why) {
  return gs_kernel_fail(r->k, GS_DATA, "equation '%s': %s", r->equation, why);
}

static int letter(int c) {
  return islower(c) ? c - 'a' : isupper(c) ? c - 'A' + 26 : -1;
}

static bool add(operand *o, int label) {
  if (o->n == GS_MAX_RANK) return false;
  gs_assert(label >= 0 && label < GS_EIN_LABELS);
  o->label[o->n++] = (uint8_t)label;
  return true;
}

/* Labels up to a comma, an arrow or the end.  rank -1: the result, whose
 * ellipsis has all of the dims that there are. */
static gs_status read_labels(reader *r, const char **s, int rank, operand *o) {
  int letters = 0, dots = 0;
  const char *end = *s;
  for (; *end && *end != ',' && strncmp(end, "->", 2) != 0; end++)
    letters += letter((unsigned char)*end) >= 0;
  for (const char *c = *s; c < end; c++) {
    if (isspace((unsigned char)*c)) continue;
    int l = letter((unsigned char)*c);
    if (l >= 0) {
      if (!add(o, l)) return bad(r, "too many labels");
      continue;
    }
    if (end - c < 3 || strncmp(c, "...", 3) != 0 || dots++)
      return bad(r, "letters, one '...', ',' and '->' were expected");
    c += 2;
    int n = rank < 0 ? r->ellipsis : rank - letters;
    if (n < 0) return bad(r, "an operand has fewer dims than labels");
    if (n > r->ellipsis) r->ellipsis = n;
    for (int i = n - 1; i >= 0; i--)
      if (!add(o, GS_EIN_ELLIPSIS + i)) return bad(r, "too many labels");
  }
  *s = end;
  if (rank >= 0 && o->n != rank)
    return bad(r, "an operand does not have as many dims as labels");
  return GS_OK;
}

/* Without an arrow: the ellipsis, then the letters used once, by alphabet
 * (capitals first, as in ASCII). */
static void implicit_output(reader *r) {
  for (int i = r->ellipsis - 1; i >= 0; i--)
    add(&r->out, GS_EIN_ELLIPSIS + i);
  int count[52] = {0};
  for (int i = 0; i < r->k->nin; i++)
    for (int d = 0; d < r->in[i].n; d++)
      if (r->in[i].label[d] < 52) count[r->in[i].label[d]]++;
  for (int c = 0; c < 52; c++) {
    int l = c < 26 ? c + 26 : c - 26;
    if (count[l] == 1) add(&r->out, l);
  }
}

static gs_status read_equation(reader *r) {
  const char *s = r->equation;
  for (int i = 0; i < r->k->nin; i++) {
    GS_TRY(read_labels(r, &s, r->k->in[i].rank, &r->in[i]));
    if (i + 1 < r->k->nin && *s++ != ',')
      return bad(r, "it has fewer operands than the node");
  }
  if (*s == ',') return bad(r, "it has more operands than the node");
  if (!*s) {
    implicit_output(r);
    return GS_OK;
  }
  s += 2;
  GS_TRY(read_labels(r, &s, -1, &r->out));
  return *s ? bad(r, "there is something after the result") : GS_OK;
}

static gs_status sizes(reader *r) {
  for (int l = 0; l < GS_EIN_LABELS; l++) r->size[l] = 1;
  for (int i = 0; i < r->k->nin; i++)
    for (int d = 0; d < r->in[i].n; d++) {
      int64_t n = r->k->in[i].dims[d], *s = &r->size[r->in[i].label[d]];
      if (n != 1 && *s != 1 && n != *s)
        return bad(r, "the sizes of a label differ");
      if (n != 1) *s = n;
    }
  bool seen[GS_EIN_LABELS] = {false};
  int64_t n = 1;
  for (int d = 0; d < r->out.n; d++) {
    int l = r->out.label[d];
    bool found = l >= GS_EIN_ELLIPSIS;
    for (int i = 0; i < r->k->nin; i++)
      for (int e = 0; e < r->in[i].n; e++) found |= r->in[i].label[e] == l;
    if (!found || seen[l])
      return bad(r, "a label of the result is unknown or repeated");
    seen[l] = true;
    if (!gs_mul(n, r->size[l], &n)) return bad(r, "the result is too large");
  }
  if (n != r->k->out[0].n || r->out.n != r->k->out[0].rank)
    return bad(r, "the result has a different shape");
  return GS_OK;
}

/* ---- terms ---- */

static int term_find(const gs_term *t, int label) {
  for (int i = 0; i < t->n; i++)
    if (t->label[i] == label) return i;
  return -1;
}

static int64_t term_stride(const gs_term *t, int label) {
  int i = term_find(t, label);
  return i < 0 ? 0 : t->stride[i];
}

/* The view of operand i: dims of 1 drop out (they broadcast), repeated labels
 * run along the diagonal. */
static gs_term term_of(reader *r, int i) {
  gs_term t = {.operand = i};
  const gs_view *v = &r->k->in[i];
  int64_t stride = 1;
  int64_t strides[GS_MAX_RANK];
  for (int d = v->rank - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= v->dims[d];
  }
  for (int d = 0; d < v->rank; d++) {
    if (v->dims[d] == 1) continue;
    int l = r->in[i].label[d], e = term_find(&t, l);
    if (e < 0) {
      e = t.n++;
      t.label[e] = (uint8_t)l;
    }
    t.stride[e] += strides[d];
  }
  for (int e = 0; e < t.n; e++) r->uses[t.label[e]]++;
  return t;
}

/* A dense term in scratch with these labels; *n gets its elements. */
static gs_term dense_term(reader *r, const uint8_t *label, int count,
                          int64_t *n) {
  gs_term t = {.operand = -1, .n = count};
  int64_t s = 1;
  for (int i = count - 1; i >= 0; i--) {
    t.label[i] = label[i];
    t.stride[i] = s;
    if (!gs_mul(s, r->size[label[i]], &s) || s > MAX_TERM) {
      r->overflow = true;
      s = 0;
    }
  }
  *n = s;
  t.offset = r->p->scratch;
  r->p->scratch += (size_t)(s + 15) & ~(size_t)15;
  if (r->p->scratch > (size_t)MAX_TERM) {
    r->overflow = true;
    r->p->scratch = 0;
  }
  return t;
}

static gs_ein_step *new_step(reader *r, gs_ein_kind kind, const gs_term *a,
                             const gs_term *result, int64_t n) {
  gs_ein_step *s = gs_push(r->k->arena, &r->p->step);
  memset(s, 0, sizeof *s);
  s->kind = kind;
  s->a = *a;
  s->offset = result->offset;
  s->n = n;
  return s;
}

static void loop(gs_ein_step *s, int64_t n, int64_t sa, int64_t sb) {
  gs_assert(s->rank < GS_EIN_LABELS);
  s->dims[s->rank] = n;
  s->sa[s->rank] = sa;
  s->sb[s->rank++] = sb;
}

/* Sums labels that neither the result nor another operand has. */
static gs_term sum_alone(reader *r, gs_term t, const bool *keep) {
  uint8_t kept[GS_EIN_LABELS];
  int n = 0;
  int64_t count;
  gs_assert(t.n <= GS_EIN_LABELS);
  for (int i = 0; i < t.n; i++)
    if (keep[t.label[i]] || r->uses[t.label[i]] > 1) kept[n++] = t.label[i];
  if (n == t.n) return t;
  gs_term out = dense_term(r, kept, n, &count);
  gs_ein_step *s = new_step(r, GS_EIN_SUM, &t, &out, count);
  s->kept = n;
  for (int i = 0; i < n; i++)
    loop(s, r->size[kept[i]], term_stride(&t, kept[i]), 0);
  for (int i = 0; i < t.n; i++)
    if (!keep[t.label[i]] && r->uses[t.label[i]] <= 1)
      loop(s, r->size[t.label[i]], t.stride[i], 0);
  return out;
}

/* t in the given order of its labels, without gaps. */
static gs_term reorder(reader *r, const gs_term *t, const uint8_t *label) {
  int64_t n;
  gs_term out = dense_term(r, label, t->n, &n);
  gs_ein_step *s = new_step(r, GS_EIN_COPY, t, &out, n);
  gs_strided_init(&s->copy, r->p->size);
  for (int i = 0; i < t->n; i++)
    gs_strided_dim(&s->copy, r->size[label[i]], term_stride(t, label[i]),
                   out.stride[i]);
  return out;
}

/* ---- pairs ---- */

typedef struct group {
  int n;
  uint8_t label[GS_EIN_LABELS];
} group;

static void group_add(group *g, uint8_t l) { g->label[g->n++] = l; }

/* Labels of t that are in g, by falling stride: the order in which t lies. */
static group in_order_of(const group *g, const gs_term *t) {
  group o = *g;
  for (int i = 1; i < o.n; i++)
    for (int j = i; j > 0 && term_stride(t, o.label[j]) >
                                 term_stride(t, o.label[j - 1]); j--) {
      uint8_t x = o.label[j];
      o.label[j] = o.label[j - 1];
      o.label[j - 1] = x;
    }
  return o;
}

/* The stride of g as one dim of t (that of its last label), or -1 when its
 * labels do not lie as one. An empty group has the stride 0. */
static int64_t merged(const reader *r, const gs_term *t, const group *g) {
  int64_t want = 0;
  for (int i = g->n - 1; i >= 0; i--) {
    int64_t s = term_stride(t, g->label[i]);
    if (i < g->n - 1 && s != want) return -1;
    want = s * r->size[g->label[i]];
  }
  return g->n ? term_stride(t, g->label[g->n - 1]) : 0;
}

static int64_t group_size(const reader *r, const group *g) {
  int64_t n = 1;
  for (int i = 0; i < g->n; i++) n *= r->size[g->label[i]];
  return n;
}

/* Whether t can be read as rows x cols (or its transpose) where it lies:
 * sets the leading dim. */
static bool as_matrix(const reader *r, const gs_term *t, const group *rows,
                      const group *cols, bool *trans, int64_t *ld) {
  int64_t nr = group_size(r, rows), nc = group_size(r, cols);
  int64_t sr = merged(r, t, rows), sc = merged(r, t, cols);
  if (sr < 0 || sc < 0) return false;
  if ((sc == 1 || nc == 1) && (nr == 1 || sr >= nc)) {
    *trans = false;
    *ld = nr == 1 ? gs_max(1, nc) : sr;
    return true;
  }
  if ((sr == 1 || nr == 1) && (nc == 1 || sc >= nr)) {
    *trans = true;
    *ld = nc == 1 ? gs_max(1, nr) : sc;
    return true;
  }
  return false;
}

/* t as rows x cols, copied when it must be. */
static gs_term matrix(reader *r, gs_term t, const group *batch,
                      const group *rows, const group *cols, bool *trans,
                      int64_t *ld) {
  if (as_matrix(r, &t, rows, cols, trans, ld)) return t;
  uint8_t label[GS_EIN_LABELS];
  int n = 0;
  for (int i = 0; i < batch->n; i++) label[n++] = batch->label[i];
  for (int i = 0; i < rows->n; i++) label[n++] = rows->label[i];
  for (int i = 0; i < cols->n; i++) label[n++] = cols->label[i];
  gs_term c = reorder(r, &t, label);
  *trans = false;
  *ld = gs_max(1, group_size(r, cols));
  return c;
}

typedef struct pair {
  group batch, m, n, k;
} pair;

/* keep[l]: the result or a later operand has it. */
static pair classify(const gs_term *a, const gs_term *b, const bool *keep) {
  pair p = {0};
  for (int i = 0; i < a->n; i++) {
    uint8_t l = a->label[i];
    if (term_find(b, l) < 0) group_add(&p.m, l);
    else if (keep[l]) group_add(&p.batch, l);
    else group_add(&p.k, l);
  }
  for (int i = 0; i < b->n; i++)
    if (term_find(a, b->label[i]) < 0) group_add(&p.n, b->label[i]);
  return p;
}

static int result_labels(const pair *p, uint8_t *label) {
  int n = 0;
  for (int i = 0; i < p->batch.n; i++) label[n++] = p->batch.label[i];
  for (int i = 0; i < p->m.n; i++) label[n++] = p->m.label[i];
  for (int i = 0; i < p->n.n; i++) label[n++] = p->n.label[i];
  return n;
}

/* Nothing is summed: a broadcast product, in the order of `want`. */
static gs_term multiply(reader *r, const gs_term *a, const gs_term *b,
                        const pair *p, const uint8_t *want, int nwant) {
  uint8_t label[GS_EIN_LABELS];
  int64_t count;
  int n = result_labels(p, label);
  bool same = n == nwant;
  for (int i = 0; same && i < n; i++) same = memchr(want, label[i], (size_t)n);
  gs_term out = dense_term(r, same ? want : label, n, &count);
  gs_ein_step *s = new_step(r, GS_EIN_MUL, a, &out, count);
  s->b = *b;
  s->kept = n;
  for (int i = 0; i < n; i++)
    loop(s, r->size[out.label[i]], term_stride(a, out.label[i]),
         term_stride(b, out.label[i]));
  return out;
}

static gs_term contract(reader *r, gs_term a, gs_term b, pair *p) {
  bool ta, tb;
  int64_t lda, ldb, count;
  uint8_t label[GS_EIN_LABELS];
  p->batch = in_order_of(&p->batch, &a);
  p->m = in_order_of(&p->m, &a);
  p->n = in_order_of(&p->n, &b);
  /* The order of k that spares the copy of the larger operand. */
  group ka = in_order_of(&p->k, &a), kb = in_order_of(&p->k, &b);
  bool by_b = group_size(r, &p->n) > group_size(r, &p->m) ||
              !as_matrix(r, &a, &p->m, &ka, &ta, &lda);
  p->k = by_b ? kb : ka;
  gs_term ma = matrix(r, a, &p->batch, &p->m, &p->k, &ta, &lda);
  gs_term mb = matrix(r, b, &p->batch, &p->k, &p->n, &tb, &ldb);
  int n = result_labels(p, label);
  gs_term out = dense_term(r, label, n, &count);
  gs_ein_step *s = new_step(r, GS_EIN_GEMM, &ma, &out, count);
  s->b = mb;
  s->gemm = (gs_gemm){.dtype = r->p->dtype, .m = group_size(r, &p->m),
                      .n = group_size(r, &p->n), .k = group_size(r, &p->k),
                      .ta = ta, .tb = tb, .lda = lda, .ldb = ldb, .batch = 1};
  for (int i = 0; i < p->batch.n; i++) {
    uint8_t l = p->batch.label[i];
    gs_gemm_batch(&s->gemm, r->size[l], term_stride(&ma, l),
                  term_stride(&mb, l));
  }
  return out;
}

/* Whether the result wants labels of b before those of a: then the product
 * is made with the operands exchanged, which may spare a transposition. */
static bool exchange(const pair *p, const uint8_t *want, int nwant) {
  for (int i = 0; i < nwant; i++) {
    for (int j = 0; j < p->m.n; j++)
      if (p->m.label[j] == want[i]) return false;
    for (int j = 0; j < p->n.n; j++)
      if (p->n.label[j] == want[i]) return true;
  }
  return false;
}

static gs_term join(reader *r, gs_term a, gs_term b, const bool *keep,
                    const uint8_t *want, int nwant) {
  pair p = classify(&a, &b, keep);
  if (!p.k.n) return multiply(r, &a, &b, &p, want, nwant);
  if (exchange(&p, want, nwant)) {
    pair q = classify(&b, &a, keep);
    return contract(r, b, a, &q);
  }
  return contract(r, a, b, &p);
}

/* ---- the plan ---- */

static gs_status start(reader *r) {
  gs_kctx *k = r->k;
  gs_ein_plan *p = r->p;
  size_t *widened = GS_NEWS(k->arena, k->nin, size_t);
  p->half = gs_dtype_half(k->in[0].dtype);
  p->dtype = p->half ? GS_FLOAT : k->in[0].dtype;
  if (!gs_gemm_has(p->dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  p->size = (size_t)gs_dtype_get((int)p->dtype)->bits / 8;
  p->nin = k->nin;
  p->widened = widened;
  if (!p->half) return GS_OK;
  for (int i = 0; i < k->nin; i++) {
    widened[i] = p->scratch;
    p->scratch += (size_t)(k->in[i].n + 15) & ~(size_t)15;
  }
  p->result = p->scratch;
  p->scratch += (size_t)(k->out[0].n + 15) & ~(size_t)15;
  return GS_OK;
}

/* The last step writes the result; a copy is added when its order is not the
 * one that is wanted, or when there is no step at all. */
static void finish(reader *r, const gs_term *t, const uint8_t *want,
                   int nwant) {
  bool dense = r->p->step.n > 0 && t->operand < 0 && t->n == nwant;
  for (int i = 0; dense && i < nwant; i++) dense = t->label[i] == want[i];
  if (!dense) reorder(r, t, want);
  r->p->step.at[r->p->step.n - 1].last = true;
}

gs_status gs_ein_plan_make(gs_kctx *k, const char *equation, gs_ein_plan *p) {
  reader r = {.k = k, .equation = equation, .p = p};
  uint8_t want[GS_MAX_RANK];
  int nwant = 0;
  bool keep[GS_EIN_LABELS] = {false};
  r.in = GS_NEWS(k->arena, k->nin, operand);
  GS_TRY(read_equation(&r));
  GS_TRY(sizes(&r));
  GS_TRY(start(&r));
  for (int d = 0; d < r.out.n; d++) {
    if (r.size[r.out.label[d]] == 1) continue;
    want[nwant++] = r.out.label[d];
    keep[r.out.label[d]] = true;
  }
  for (int i = 0; i < k->nin; i++)
    *gs_push(k->arena, &r.term) = term_of(&r, i);
  if (!k->out[0].n) return GS_OK;
  for (int i = 0; i < k->nin; i++)
    r.term.at[i] = sum_alone(&r, r.term.at[i], keep);
  gs_term t = r.term.at[0];
  for (int i = 1; i < k->nin; i++) {
    bool later[GS_EIN_LABELS];
    memcpy(later, keep, sizeof later);
    for (int j = i + 1; j < k->nin; j++)
      for (int e = 0; e < r.term.at[j].n; e++)
        later[r.term.at[j].label[e]] = true;
    t = join(&r, t, r.term.at[i], later, want, nwant);
  }
  finish(&r, &t, want, nwant);
  return r.overflow ? bad(&r, "an intermediate value is too large") : GS_OK;
}
