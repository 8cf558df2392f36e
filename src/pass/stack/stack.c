#include "pass/stack/stack.h"

#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/prepare/expand.h"
#include "pass/prepare/infer.h"
#include "pass/stack/lookup.h"
#include "pass/stack/stack_select.h"
#include "pass/stack/stack_emit.h"
#include "pass/stack/stack_terms.h"

/* What stands for E values, one of each branch. */
typedef struct stacked {
  gs_value *v;
  bool shared; /* they are one value, which v is; else it has a dim of E */
  bool weighs; /* a weight was stacked for it */
} stacked;

typedef struct stacker {
  gs_graph *g;
  gs_arena *tmp;
  gs_expander *expander;
  const gs_functions *forms;
  const gs_branches *b;
  stacked of[GS_MAX_BRANCH]; /* places of the branches */
  gs_err *e;
} stacker;

/* ---- names ---- */

/* The members' name with * for the part in which they differ. */
static const char *stack_name(gs_arena *a, gs_value *const *member, int n) {
  const char *x = member[0]->name;
  size_t length = strlen(x), head = length, tail = length;
  for (int i = 1; i < n; i++) {
    const char *y = member[i]->name;
    size_t other = strlen(y), k = 0;
    while (k < head && x[k] == y[k]) k++;
    head = k;
    k = 0;
    while (k < tail && k < other && x[length - 1 - k] == y[other - 1 - k]) k++;
    tail = k;
  }
  while (head && isdigit((unsigned char)x[head - 1])) head--;
  if (head + tail > length) tail = length - head;
  while (tail && isdigit((unsigned char)x[length - tail])) tail--;
  if (!head && !tail) return gs_sprintf(a, "%s.*", x);
  return gs_sprintf(a, "%.*s*%s", (int)head, x, x + length - tail);
}

/* ---- nodes ---- */

static gs_node *emit(stacker *s, const char *op, const char *name, int nin) {
  return gs_stack_emit(s->g, s->b->sum, op, name, nin);
}

static gs_status finish(stacker *s, gs_node *n, gs_value **out) {
  *out = n->out[0];
  return gs_shape_infer(s->g, n, s->e);
}

/* x with dims of size 1 at from, from + 1, .., n of them. */
static gs_status unsqueeze(stacker *s, gs_value *x, int from, int n,
                           gs_value **out) {
  int64_t dims[GS_MAX_RANK];
  for (int i = 0; i < n; i++) dims[i] = from + i;
  gs_node *u = emit(s, "Unsqueeze", x->name, 2);
  u->in[0] = x;
  u->in[1] = gs_value_ints(s->g, NULL, dims, n);
  return finish(s, u, out);
}

/* Infers the nodes from number `from` on once more: what is constant folds. */
static gs_status infer_made(stacker *s, int from, gs_err *e) {
  int n = s->g->node.n - from;
  gs_node **made =
      gs_memdup(s->tmp, s->g->node.at + from, (size_t)n * sizeof *made);
  s->g->node.n = from;
  for (int i = 0; i < n; i++)
    GS_TRY(gs_infer_next(s->g->arena, s->g, made[i], e));
  return GS_OK;
}

static gs_status stack(stacker *s, int place, gs_value **out) {
  gs_value *const *member = s->b->member[place];
  int n = s->b->n, from = s->g->node.n;
  gs_value **row = GS_NEWS(s->tmp, n, gs_value *);
  for (int i = 0; i < n; i++)
    GS_TRY(unsqueeze(s, member[i], 0, 1, &row[i]));
  gs_node *c = emit(s, "Concat", stack_name(s->tmp, member, n), n);
  for (int i = 0; i < n; i++) c->in[i] = row[i];
  gs_node_set_int(s->g, c, "axis", 0);
  *out = c->out[0];
  return infer_made(s, from, s->e);
}

/* ---- a node over a stack ---- */

/* Dims of size 1 that stacked operand i of n needs behind its first, so that
 * it is broadcast as it was: of as many dims as the result, or none. */
static int gap(const gs_node *n, int i, bool aligned) {
  int more = aligned ? n->out[0]->rank - n->in[i]->rank : 0;
  return more > 0 ? more : 0;
}

/* Numbers of dims in attributes, with a new dim 0. */
static void shift_attributes(stacker *s, gs_node *made, const gs_node *n) {
  const gs_attr *axis = gs_node_attr(n, "axis");
  if (axis && axis->kind == GS_ATTR_INT && axis->i >= 0)
    gs_node_set_int(s->g, made, "axis", axis->i + 1);
  int count;
  const int64_t *perm = gs_node_ints(n, "perm", &count);
  int64_t shifted[GS_MAX_RANK + 1] = {0};
  if (!perm || count > GS_MAX_RANK) return;
  for (int d = 0; d < count; d++) shifted[d + 1] = perm[d] + 1;
  gs_node_set_ints(s->g, made, "perm", shifted, count + 1);
}

/* n over stacks, in the form of number `form`; its results have no shapes
 * yet. */
static gs_status attempt(stacker *s, const gs_node *n, const stacked *in,
                         int form, gs_node **out) {
  bool aligned = form & 1, shifted = form & 2;
  gs_value **x = GS_NEWS(s->tmp, n->nin + 1, gs_value *);
  for (int i = 0; i < n->nin; i++) {
    x[i] = in[i].v;
    int more = n->in[i] && !in[i].shared ? gap(n, i, aligned) : 0;
    if (more) GS_TRY(unsqueeze(s, x[i], 1, more, &x[i]));
  }
  gs_node *made = gs_node_like(s->g, n, "");
  gs_node_set_all(s->g, made, n);
  if (shifted) shift_attributes(s, made, n);
  for (int i = 0; i < n->nin; i++) made->in[i] = x[i];
  for (int i = 0; i < n->nout; i++)
    if (n->out[i])
      gs_node_output(made, i, gs_value_new(s->g, n->out[i]->name, GS_UNDEFINED,
                                           -1, NULL));
  *out = made;
  return GS_OK;
}

static bool shaped_as(const stacker *s, const gs_node *made, const gs_node *n) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *y = n->out[i], *z = made->out[i];
    if (!y) continue;
    if (gs_value_dynamic(z) || z->dtype != y->dtype || z->rank != y->rank + 1 ||
        z->dims[0] != s->b->n || !gs_same_dims(z->dims + 1, y->dims, y->rank))
      return false;
  }
  return true;
}

/* Whether the dims of t from `first` on carry the factors of those of old, as
 * `to` says or will say, and none of the dims before but 0 has any, but for
 * those of size 1. */
static bool maps_as(const gs_rule *r, const gs_tensor_map *t, int first,
                    const gs_rule *old, const gs_tensor_map *o, int *to,
                    int *back) {
  if (t->rank != o->rank + first) return false;
  for (int d = 1; d < first; d++)
    for (int k = 0; k < t->dim[d].n; k++)
      if (r->factor[t->dim[d].f[k]].size > 1) return false;
  for (int d = 0; d < o->rank; d++) {
    const gs_dim_map *x = &t->dim[d + first], *y = &o->dim[d];
    if (x->n != y->n) return false;
    for (int k = 0; k < x->n; k++) {
      int f = x->f[k], g = y->f[k];
      const gs_factor *p = &r->factor[f], *q = &old->factor[g];
      if ((to[f] >= 0 && to[f] != g) || (back[g] >= 0 && back[g] != f) ||
          p->kind != q->kind || p->size != q->size || p->reduce != q->reduce)
        return false;
      to[f] = g;
      back[g] = f;
    }
  }
  return true;
}

/* Whether the windows of r are those of old, one dim further on. */
static bool same_uses(const gs_rule *r, const gs_rule *old, const int *to,
                      const int *first) {
  if (r->nuse != old->nuse) return false;
  for (int k = 0; k < r->nuse; k++) {
    const gs_window_use *x = &r->use[k], *y = &old->use[k];
    if (to[x->factor] != y->factor || x->in != y->in ||
        x->dim != y->dim + first[x->in] || x->out != y->out ||
        x->out_dim != (x->out < 0 ? y->out_dim : y->out_dim + 1) ||
        memcmp(&x->reach, &y->reach, sizeof x->reach) ||
        x->copies != y->copies || x->fill != y->fill ||
        memcmp(&x->value, &y->value, sizeof x->value) ||
        x->fill_in != y->fill_in)
      return false;
  }
  return true;
}

/* Whether `made` does for every place of dim 0 what n does: its rule is that of
 * n, and one factor more that passes. */
static bool does_the_same(const stacker *s, const gs_node *made,
                          const gs_node *n, const stacked *in, bool aligned) {
  gs_rule *r = GS_NEW(s->tmp, gs_rule), *old = GS_NEW(s->tmp, gs_rule);
  if (gs_rule_of(s->tmp, made, r, NULL) || gs_rule_of(s->tmp, n, old, NULL) ||
      !r->nout || r->out[0].dim[0].n != 1)
    return false;
  int *dims = GS_NEWS(s->tmp, r->nin + 1, int); /* new ones of operands */
  int to[GS_MAX_FACTORS], back[GS_MAX_FACTORS], lead = r->out[0].dim[0].f[0];
  for (int f = 0; f < GS_MAX_FACTORS; f++) to[f] = back[f] = -1;
  to[lead] = GS_MAX_FACTORS; /* no factor of n */
  if (r->factor[lead].kind != GS_PASS) return false;
  for (int i = 0; i < r->nin; i++) {
    if (!gs_node_in(n, i)) continue;
    int first = dims[i] = in[i].shared ? 0 : 1 + gap(n, i, aligned);
    const gs_dim_map *d = first ? &r->in[i].dim[0] : NULL;
    if ((d && (d->n != 1 || d->f[0] != lead)) ||
        !maps_as(r, &r->in[i], first, old, &old->in[i], to, back))
      return false;
  }
  for (int i = 0; i < r->nout; i++) {
    if (!gs_node_out(n, i)) continue;
    const gs_dim_map *d = &r->out[i].dim[0];
    if (d->n != 1 || d->f[0] != lead ||
        !maps_as(r, &r->out[i], 1, old, &old->out[i], to, back))
      return false;
  }
  return same_uses(r, old, to, dims);
}

/* x, which is the same for all, with a new dim 0. */
static gs_status spread(stacker *s, gs_value *x, gs_value **out) {
  int64_t dims[GS_MAX_RANK + 1] = {s->b->n};
  GS_TRY(unsqueeze(s, x, 0, 1, out));
  for (int d = 0; d < x->rank; d++) dims[d + 1] = x->dims[d];
  gs_node *n = emit(s, "Expand", x->name, 2);
  n->in[0] = *out;
  n->in[1] = gs_value_ints(s->g, NULL, dims, x->rank + 1);
  return finish(s, n, out);
}

/* ---- a node by its text ---- */

/* Tells which operands are stacked, and the axis from the front. */
static void tell(stacker *s, gs_node *made, const gs_node *n,
                 const stacked *in) {
  static const char *const name[] = {"stacked0", "stacked1", "stacked2"};
  for (int i = 0; i < n->nin && i < 3; i++)
    gs_node_set_int(s->g, made, name[i], n->in[i] && !in[i].shared);
  const gs_attr *axis = gs_node_attr(n, "axis");
  if (axis && axis->kind == GS_ATTR_INT && axis->i < 0)
    gs_node_set_int(s->g, made, "axis", axis->i + n->in[0]->rank);
}

/* n by the lines of f, whose results have a new dim 0. */
static gs_status by_text(stacker *s, const gs_node *n, const stacked *in,
                         const gs_function *f, gs_node **out, gs_err *why) {
  int64_t dims[GS_MAX_RANK + 1] = {s->b->n};
  gs_node *made = *out = gs_node_like(s->g, n, "");
  int from = --s->g->node.n;
  gs_node_set_all(s->g, made, n);
  tell(s, made, n, in);
  for (int i = 0; i < n->nin; i++) made->in[i] = in[i].v;
  for (int i = 0; i < n->nout; i++) {
    const gs_value *y = n->out[i];
    if (!y) continue;
    for (int d = 0; d < y->rank; d++) dims[d + 1] = y->dims[d];
    gs_node_output(made, i, gs_value_new(s->g, y->name, y->dtype, y->rank + 1,
                                         dims));
  }
  GS_TRY(gs_expand_by(s->expander, s->g, made, f, why));
  return infer_made(s, from, why);
}

static gs_status over_stack(stacker *s, int place, stacked *out);

/* Whether n only looks up all of its operand 0, a constant, in order. */
static bool is_operand(stacker *s, const gs_node *n) {
  const gs_value *x = gs_node_in(n, 0), *y = gs_node_out(n, 0);
  return n->nin == 2 && n->nout == 1 && x->constant && x->rank == y->rank &&
         gs_same_dims(x->dims, y->dims, x->rank) &&
         gs_lookup_counts(s->tmp, n);
}

static void note_results(stacker *s, const gs_node *n, const gs_node *made) {
  bool same = is_operand(s, made);
  for (int i = 0; i < n->nout; i++) {
    int place = n->out[i] ? gs_branches_place(s->b, n->out[i]) : -1;
    if (place >= 0)
      s->of[place] = (stacked){.v = same ? made->in[0] : made->out[i]};
  }
}

/* The same by the text of n's operator, if there is one: first as the operands
 * are, then all of them stacked; and the operator itself over such. */
static gs_status at_once_by_text(stacker *s, const gs_node *n,
                                 const stacked *in, bool *done) {
  const gs_function *f =
      gs_form_find(s->forms, GS_FN_STACKED, n->domain, n->op_type);
  stacked *x = gs_memdup(s->tmp, in, (size_t)(n->nin + 1) * sizeof *x);
  gs_status status = GS_OK;
  for (int k = 0; k < 2 && !*done && !status; k++) {
    int before = s->g->node.n;
    gs_node *made = NULL;
    gs_err why;
    gs_err_init(&why);
    for (int i = 0; i < n->nin && k && !status; i++) {
      if (!n->in[i] || !x[i].shared) continue;
      status = spread(s, x[i].v, &x[i].v);
      x[i].shared = false;
    }
    if (!status && f)
      *done = !by_text(s, n, x, f, &made, &why) && shaped_as(s, made, n);
    for (int form = 0; form < 4 && !*done && k && !status; form++) {
      status = attempt(s, n, x, form, &made);
      if (status) break;
      *done = !gs_shape_infer(s->g, made, &why) && shaped_as(s, made, n) &&
              does_the_same(s, made, n, x, form & 1);
      if (!*done) s->g->node.n--;
    }
    gs_err_free(&why);
    if (*done) note_results(s, n, made);
    else s->g->node.n = before;
  }
  return status;
}

/* Whether n can be done at once: *done, and then its results are known. */
static gs_status at_once(stacker *s, const gs_node *n, const stacked *in,
                         bool *done) {
  enum { FORMS = 4 };
  *done = false;
  gs_err why;
  gs_err_init(&why);
  gs_status status = GS_OK;
  for (int form = 0; form < FORMS && !*done && !status; form++) {
    int before = s->g->node.n;
    gs_node *made;
    status = attempt(s, n, in, form, &made);
    if (status) break;
    *done = !gs_shape_infer(s->g, made, &why) && shaped_as(s, made, n) &&
            does_the_same(s, made, n, in, form & 1);
    if (!*done) s->g->node.n = before;
    else note_results(s, n, made);
  }
  gs_err_free(&why);
  if (*done || status) return status;
  return at_once_by_text(s, n, in, done);
}

static bool is_weight(const gs_value *v) {
  return v->constant && v->rank >= 2 &&
         gs_dtype_get((int)v->dtype)->cls == 'f';
}

/* The node that makes the values of `place`, at once for all branches, or of
 * one branch where they are the same; out->v stays NULL where it cannot be. */
static gs_status node_over_stack(stacker *s, int place, stacked *out) {
  const gs_value *v = s->b->member[place][0];
  const gs_node *n = v->def;
  stacked *in = GS_NEWS(s->tmp, n->nin + 1, stacked);
  bool shared = true, weighs = gs_lookup_of_weight(n), done;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    int at = gs_branches_place(s->b, n->in[i]);
    gs_assert(at >= 0);
    GS_TRY(over_stack(s, at, &in[i]));
    shared = shared && in[i].shared;
    weighs = weighs || in[i].weighs;
  }
  if (shared) {
    *out = (stacked){s->b->member[place][0], .shared = true};
    return GS_OK;
  }
  GS_TRY(at_once(s, n, in, &done));
  if (done) *out = (stacked){s->of[place].v, .weighs = weighs};
  return GS_OK;
}

static gs_status over_stack(stacker *s, int place, stacked *out) {
  stacked *known = &s->of[place];
  const gs_branches *b = s->b;
  bool same = true;
  for (int i = 1; i < b->n; i++)
    same = same && b->member[place][i] == b->member[place][0];
  if (same) *known = (stacked){b->member[place][0], .shared = true};
  if (!known->v && !b->leaf[place]) GS_TRY(node_over_stack(s, place, known));
  if (!known->v) {
    GS_TRY(stack(s, place, &known->v));
    known->weighs = is_weight(b->member[place][0]);
  }
  *out = *known;
  return GS_OK;
}

/* ---- a sum ---- */

/* The sum of all branches and what else it has. */
static gs_status add_up(stacker *s, gs_value *x) {
  const gs_branches *b = s->b;
  gs_value *y = b->sum->out[0], *part;
  const int64_t zero = 0;
  gs_node *r = emit(s, "ReduceSum", y->name, 2);
  r->in[0] = x;
  r->in[1] = gs_value_ints(s->g, NULL, &zero, 1);
  gs_node_set_int(s->g, r, "keepdims", 0);
  if (!b->nrest) gs_node_output(r, 0, y);
  GS_TRY(finish(s, r, &part));
  if (!b->nrest) return GS_OK;
  gs_node *sum = emit(s, "Sum", y->name, b->nrest + 1);
  for (int i = 0; i < b->nrest; i++) sum->in[i] = b->rest[i];
  sum->in[b->nrest] = part;
  gs_node_output(sum, 0, y);
  return finish(s, sum, &y);
}

typedef struct sums { /* what is done */
  int n, branches;
  GS_VEC(const gs_value *) weight;
} sums;

/* Stacks the branches of node number *at, if it is a sum of such; *at is the
 * last node that stands for it then. */
static gs_status stack_sum(gs_graph *g, gs_expander *x, const gs_reads *reads,
                           int *at, gs_arena *tmp, sums *made, gs_err *e) {
  gs_branches *b = GS_NEW(tmp, gs_branches);
  if (!gs_branches_find(reads, g->node.at[*at], tmp, b)) return GS_OK;
  stacker *s = GS_NEW(tmp, stacker);
  *s = (stacker){.g = g, .tmp = tmp, .expander = x, .b = b, .e = e};
  GS_TRY(gs_expander_functions(x, g->arena, &s->forms, e));
  int first = g->node.n;
  stacked all;
  GS_TRY(over_stack(s, 0, &all));
  if (!all.weighs) {
    g->node.n = first;
    return GS_OK;
  }
  GS_TRY(add_up(s, all.v));
  int more = g->node.n - first;
  gs_stack_place(g, *at, first, tmp);
  *at += more - 1;
  for (int i = 0; i < b->nplace; i++)
    if (s->of[i].v && !s->of[i].shared &&
        (is_weight(b->member[i][0]) ||
         gs_lookup_of_weight(b->member[i][0]->def)))
      *gs_push(g->arena, &made->weight) = s->of[i].v;
  made->n++;
  made->branches += b->n;
  return GS_OK;
}

static bool is_kept(const gs_graph *g, const gs_value *v) {
  return v->id < g->value.n && g->value.at[v->id] == v;
}

gs_status gs_pass_stack(gs_graph *g, gs_stacks *out, gs_err *e) {
  gs_arena tmp, one;
  gs_arena_init(&tmp);
  gs_arena_init(&one);
  gs_reads reads = gs_reads_of(&tmp, g);
  gs_status status = GS_OK;
  sums made = {0};
  gs_expander x = {0};
  for (int i = 0; i < g->node.n && !status; i++) {
    status = gs_select_sum(g, &reads, &i, &one, e);
    if (!status) status = stack_sum(g, &x, &reads, &i, &one, &made, e);
    gs_arena_reset(&one);
  }
  gs_arena_free(&one);
  gs_arena_free(&tmp);
  GS_TRY(status);
  gs_graph_prune(g);
  *out = (gs_stacks){.sums = made.n, .branches = made.branches};
  for (int i = 0; i < made.weight.n; i++)
    out->weights += is_kept(g, made.weight.at[i]);
  return gs_graph_check(g, e);
}
