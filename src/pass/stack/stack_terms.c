#include "pass/stack/stack_terms.h"

#include <string.h>

#include "base/math.h"
#include "pass/stack/lookup.h"

enum { MAX_TERMS = 4096, MAX_SMALL = 1024 /* bytes */ };

gs_reads gs_reads_of(gs_arena *a, const gs_graph *g) {
  int *nuse = GS_NEWS(a, g->value.n + 1, int);
  const gs_node **reader = GS_NEWS(a, g->value.n + 1, const gs_node *);
  for (int i = 0; i < g->node.n; i++)
    for (int k = 0; k < g->node.at[i]->nin; k++) {
      const gs_value *v = g->node.at[i]->in[k];
      if (!v) continue;
      nuse[v->id]++;
      reader[v->id] = g->node.at[i];
    }
  for (int i = 0; i < g->output.n; i++) nuse[g->output.at[i]->id]++;
  return (gs_reads){g->value.n, nuse, reader};
}

/* ---- terms ---- */

static bool is_sum(const gs_node *n) {
  return n && n->op && (n->op->flags & GS_OP_TOTAL) && !gs_node_dynamic(n);
}

/* Whether v is only a part of the sum that reads it. */
static bool is_part(const gs_reads *s, const gs_value *v) {
  if (v->id >= s->nvalue || s->nuse[v->id] != 1 || !is_sum(v->def))
    return false;
  const gs_node *n = s->reader[v->id];
  const gs_value *y = n ? n->out[0] : NULL;
  return is_sum(n) && y->rank == v->rank &&
         gs_same_dims(y->dims, v->dims, v->rank);
}

/* Whether v is operand 0 of its node, element by element. */
static bool is_same(const gs_value *v) {
  const gs_op *op = v->def ? v->def->op : NULL;
  return op && (op->flags & GS_OP_POINTWISE) && (op->flags & GS_OP_VIEW) &&
         !gs_node_dynamic(v->def);
}

typedef struct terms {
  int n;
  gs_value *at[MAX_TERMS];
} terms;

/* The terms of n from left to right; false when they are too many. */
static bool collect(const gs_reads *s, const gs_node *n, gs_arena *tmp,
                    terms *t) {
  GS_VEC(gs_value *) todo = {0};
  for (int i = n->nin - 1; i >= 0; i--) *gs_push(tmp, &todo) = n->in[i];
  while (todo.n) {
    gs_value *v = todo.at[--todo.n];
    while (is_same(v)) v = v->def->in[0];
    if (is_part(s, v)) {
      for (int i = v->def->nin - 1; i >= 0; i--)
        *gs_push(tmp, &todo) = v->def->in[i];
      continue;
    }
    if (t->n == MAX_TERMS) return false;
    t->at[t->n++] = v;
  }
  return true;
}

/* ---- two branches ---- */

static bool same_list(const void *a, const void *b, int n, size_t size) {
  return !n || !memcmp(a, b, (size_t)n * size);
}

/* Of attributes that operators of ONNX have, graphs and tensors left out. */
static bool same_attr(const gs_attr *a, const gs_attr *b) {
  if (strcmp(a->name, b->name) || a->kind != b->kind || a->n != b->n)
    return false;
  switch (a->kind) {
    case GS_ATTR_INT: return a->i == b->i;
    case GS_ATTR_FLOAT: return !memcmp(&a->f, &b->f, sizeof a->f);
    case GS_ATTR_STRING:
      return a->s.n == b->s.n && same_list(a->s.at, b->s.at, (int)a->s.n, 1);
    case GS_ATTR_INTS:
      return same_list(a->ints, b->ints, a->n, sizeof *a->ints);
    case GS_ATTR_FLOATS:
      return same_list(a->floats, b->floats, a->n, sizeof *a->floats);
    default: return false;
  }
}

static bool same_node(const gs_node *a, const gs_node *b) {
  if (!a || !b || !a->op || a->op != b->op || a->nin != b->nin ||
      a->nout != b->nout || a->nattr != b->nattr || a->rule || b->rule ||
      (a->op->flags & GS_OP_RANDOM) || gs_node_dynamic(a) ||
      gs_node_dynamic(b) || gs_node_has_region(a))
    return false;
  for (int i = 0; i < a->nin; i++)
    if (!a->in[i] != !b->in[i]) return false;
  for (int i = 0; i < a->nattr; i++)
    if (!same_attr(&a->attr[i], &b->attr[i])) return false;
  return true;
}

static bool same_shape(const gs_value *a, const gs_value *b) {
  return !gs_value_dynamic(a) && !gs_value_dynamic(b) && a->dtype == b->dtype &&
         a->rank == b->rank && a->rank >= 0 && a->rank < GS_MAX_RANK &&
         gs_same_dims(a->dims, b->dims, a->rank);
}

static int output_index(const gs_value *v) {
  int i = 0;
  while (v->def->out[i] != v) i++;
  return i;
}

/* A walk through a branch and another at once. */
typedef struct walk {
  gs_branches *b;
  gs_value *other[GS_MAX_BRANCH]; /* places; NULL: not met yet */
  bool weight;                    /* they differ in one, or in which part */
} walk;

int gs_branches_place(const gs_branches *b, const gs_value *v) {
  for (int i = 0; i < b->nplace; i++)
    if (b->member[i][0] == v) return i;
  return -1;
}

/* A place for v of the first branch; -1: the branch is too large. */
static int place_of(walk *w, gs_value *v, gs_arena *tmp) {
  int at = gs_branches_place(w->b, v);
  if (at >= 0 || w->b->nplace == GS_MAX_BRANCH) return at;
  at = w->b->nplace++;
  w->b->member[at] = GS_NEWS(tmp, w->b->n, gs_value *);
  w->b->member[at][0] = v;
  return at;
}

/* Small constants, such as lists of dims, and folded ones, that say the same;
 * weights stay apart. */
static bool same_constant(const gs_value *v, const gs_value *x) {
  const gs_tensor *a = v->constant, *b = x->constant;
  if (!a || !b || !same_shape(v, x) || a->nbytes != b->nbytes || !a->data ||
      !b->data)
    return false;
  bool small = v->rank < 2 && a->nbytes <= MAX_SMALL;
  return (small || (v->computed && x->computed)) &&
         !memcmp(a->data, b->data, (size_t)a->nbytes);
}

/* Whether x of the other branch can stand where v stands. */
static bool match(walk *w, gs_value *v, gs_value *x, gs_arena *tmp) {
  int at = place_of(w, v, tmp);
  if (at < 0) return false;
  if (same_constant(v, x)) x = v;
  if (w->other[at]) return w->other[at] == x;
  w->other[at] = x;
  if (v == x) return true;
  if (!same_shape(v, x)) return false;
  bool constants = v->constant && x->constant;
  if (constants && v->rank >= 2 && !v->computed) w->weight = true;
  bool inside = !constants && same_node(v->def, x->def) &&
                output_index(v) == output_index(x);
  if (!inside) {
    w->b->leaf[at] = true;
    return at != 0;
  }
  for (int i = 0; i < v->def->nin; i++)
    if (v->def->in[i] && !match(w, v->def->in[i], x->def->in[i], tmp))
      return false;
  if (gs_lookup_of_weight(v->def) && v->def->in[0] == x->def->in[0] &&
      w->other[gs_branches_place(w->b, v->def->in[1])] != v->def->in[1])
    w->weight = true;
  return true;
}

/* Puts the terms from number `first` on that are like it into a group of that
 * number, as branches; how many. */
static int branches_from(const terms *t, int first, const gs_value *y,
                         int *group, gs_arena *tmp, gs_branches *b) {
  b->n = t->n; /* room */
  walk *w = GS_NEW(tmp, walk);
  int n = 1;
  for (int i = first + 1; i < t->n; i++) {
    if (group[i] >= 0 || !same_shape(t->at[first], y)) continue;
    *w = (walk){.b = b};
    int places = b->nplace;
    bool leaf[GS_MAX_BRANCH];
    memcpy(leaf, b->leaf, sizeof leaf);
    if (!match(w, t->at[first], t->at[i], tmp) || !w->weight) {
      b->nplace = places;
      memcpy(b->leaf, leaf, sizeof leaf);
      continue;
    }
    for (int k = 0; k < b->nplace; k++)
      b->member[k][n] = w->other[k] ? w->other[k] : b->member[k][0];
    group[i] = first;
    n++;
  }
  group[first] = first;
  return b->n = n;
}

bool gs_branches_alike(gs_value *const *term, int n, gs_arena *tmp) {
  gs_branches *b = GS_NEW(tmp, gs_branches);
  terms *t = GS_NEW(tmp, terms);
  int *group = GS_NEWS(tmp, n + 1, int);
  if (n > MAX_TERMS) return false;
  for (int i = 0; i < n; i++) group[i] = -1;
  t->n = n;
  memcpy(t->at, term, (size_t)n * sizeof *term);
  return branches_from(t, 0, term[0], group, tmp, b) == n;
}

bool gs_branches_find(const gs_reads *s, const gs_node *n, gs_arena *tmp,
                      gs_branches *out) {
  if (!is_sum(n) || is_part(s, n->out[0])) return false;
  terms *t = GS_NEW(tmp, terms);
  if (!collect(s, n, tmp, t)) return false;
  int *group = GS_NEWS(tmp, t->n + 1, int), most = 0;
  for (int i = 0; i < t->n; i++) group[i] = -1;
  out->n = 1;
  for (int i = 0; i < t->n; i++) {
    if (group[i] >= 0) continue;
    gs_branches *b = GS_NEW(tmp, gs_branches);
    if (branches_from(t, i, n->out[0], group, tmp, b) <= out->n) continue;
    *out = *b;
    most = i;
  }
  if (out->n < 2) return false;
  out->sum = n;
  out->rest = GS_NEWS(tmp, t->n + 1, gs_value *);
  for (int i = 0; i < t->n; i++)
    if (group[i] != most) out->rest[out->nrest++] = t->at[i];
  return true;
}
