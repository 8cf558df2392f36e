#include "pass/prepare/gradient.h"

#include <string.h>

#include "base/assert.h"

typedef struct derivation {
  gs_expander *x;
  gs_graph *g;
  gs_node *n;
  const char *base; /* of new names */
  const gs_attr *xs, *zs;
  gs_value *y;
  int count;      /* nodes before n */
  bool *between;  /* [count] those that y is made by, from xs and zs on */
  gs_map free;    /* by name of a value: in xs or zs */
  gs_map moved;   /* -> what stands for it at the given point, if another */
  gs_map depends; /* it depends on xs */
  gs_map slope;   /* -> its gradient */
  gs_err *e;
} derivation;

static const char *place(const derivation *d) {
  return gs_node_place(d->g->arena, d->n);
}

/* What stands for v at the given point. */
static gs_value *at_point(const derivation *d, gs_value *v) {
  gs_value *m = v ? gs_map_get(&d->moved, v->name) : NULL;
  return m ? m : v;
}

/* ---- attributes ---- */

static gs_status name_list(derivation *d, const char *name,
                           const gs_attr **out) {
  static const gs_attr none = {.kind = GS_ATTR_STRINGS};
  const gs_attr *a = gs_node_attr(d->n, name);
  *out = a ? a : &none;
  if ((*out)->kind == GS_ATTR_STRINGS) return GS_OK;
  return gs_fail(d->e, GS_DATA, place(d), "attribute '%s' is not a list of "
                 "strings",
                 name);
}

static gs_status find_value(derivation *d, const char *name, const char *of,
                            gs_value **v) {
  *v = gs_graph_find(d->g, name);
  if (*v) return GS_OK;
  return gs_fail(d->e, GS_DATA, place(d),
                 "the graph has no tensor '%s', which '%s' names", name, of);
}

/* Operand i of n stands for the tensor of that name. */
static gs_status bind(derivation *d, const char *name, int i, bool is_x) {
  gs_value *v, *given = gs_node_in(d->n, i);
  GS_TRY(find_value(d, name, is_x ? "xs" : "zs", &v));
  if (gs_map_has(&d->free, name))
    return gs_fail(d->e, GS_DATA, place(d), "xs and zs name '%s' twice", name);
  if (!given)
    return gs_fail(d->e, GS_DATA, place(d),
                   "operand %d, in the place of '%s', is left out", i, name);
  if (is_x && given->dtype != GS_UNDEFINED &&
      gs_dtype_get((int)given->dtype)->cls != 'f')
    return gs_fail(d->e, GS_DATA, place(d),
                   "xs names '%s', whose type is %s, not a float", name,
                   gs_dtype_get((int)given->dtype)->text);
  gs_map_put(&d->free, name, v);
  if (given != v) gs_map_put(&d->moved, name, given);
  if (is_x) gs_map_put(&d->depends, name, v);
  return GS_OK;
}

static gs_status read_attributes(derivation *d) {
  const char *y = gs_node_string(d->n, "y", NULL);
  GS_TRY(name_list(d, "xs", &d->xs));
  GS_TRY(name_list(d, "zs", &d->zs));
  int nx = d->xs->n, want = nx + d->zs->n;
  if (!nx || !y)
    return gs_fail(d->e, GS_DATA, place(d), "attribute '%s' is missing",
                   nx ? "y" : "xs");
  if (d->n->nin != want || d->n->nout > nx)
    return gs_fail(d->e, GS_DATA, place(d),
                   "has %d operands and %d results; xs and zs name %d tensors, "
                   "xs %d", d->n->nin, d->n->nout, want, nx);
  for (int i = 0; i < nx; i++)
    GS_TRY(bind(d, d->xs->strings[i].at, i, true));
  for (int i = nx; i < want; i++)
    GS_TRY(bind(d, d->zs->strings[i - nx].at, i, false));
  return find_value(d, y, "y", &d->y);
}

/* ---- the graph between ---- */

static bool is_input(const gs_graph *g, const gs_value *v) {
  for (int i = 0; i < g->input.n; i++)
    if (g->input.at[i] == v) return true;
  return false;
}

static gs_status need(derivation *d, gs_map *needed, gs_value *v) {
  if (!v || gs_map_has(&d->free, v->name)) return GS_OK;
  if (is_input(d->g, v))
    return gs_fail(d->e, GS_DATA, place(d),
                   "'%s' depends on the input '%s', which neither xs nor zs "
                   "names", d->y->name, v->name);
  gs_map_put(needed, v->name, v);
  return GS_OK;
}

/* Backwards from y to xs and zs. */
static gs_status find_between(derivation *d) {
  gs_map needed;
  bool made = !d->y->def || gs_map_has(&d->free, d->y->name);
  gs_map_init(&needed, d->g->arena);
  d->count = d->g->node.n;
  d->between = GS_NEWS(d->g->arena, d->count + 1, bool);
  GS_TRY(need(d, &needed, d->y));
  for (int i = d->count - 1; i >= 0; i--) {
    const gs_node *n = d->g->node.at[i];
    made = made || n == d->y->def;
    for (int k = 0; k < n->nout; k++)
      if (n->out[k] && gs_map_has(&needed, n->out[k]->name))
        d->between[i] = true;
    for (int k = 0; d->between[i] && k < n->nin; k++)
      GS_TRY(need(d, &needed, n->in[k]));
  }
  if (made) return GS_OK;
  return gs_fail(d->e, GS_UNSUPPORTED, place(d),
                 "comes before the node that makes '%s'", d->y->name);
}

/* n once more, at the given point. */
static void repeat(derivation *d, const gs_node *n) {
  gs_graph *g = d->g;
  gs_node *c =
      gs_node_like(g, n, gs_sprintf(g->arena, "%s/%s", d->base, n->name));
  c->origin = d->n->origin;
  c->stage = d->n->stage;
  for (int i = 0; i < n->nin; i++) c->in[i] = at_point(d, n->in[i]);
  for (int i = 0; i < n->nattr; i++) {
    gs_attr a = n->attr[i];
    if (a.kind == GS_ATTR_GRAPH) a.g = gs_graph_copy(g->arena, a.g);
    gs_node_set(g, c, &a);
  }
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v) continue;
    const char *name = gs_sprintf(g->arena, "%s/%s", d->base, v->name);
    gs_node_output(c, i, gs_value_new(g, name, v->dtype, -1, NULL));
    c->out[i]->kind = v->kind;
    if (!gs_map_has(&d->free, v->name))
      gs_map_put(&d->moved, v->name, c->out[i]);
  }
}

/* Whether a line of the gradient f gives operand i one that is not 0. */
static bool passes(const gs_function *f, int i) {
  const char *name = f->out.at[i < f->out.n ? i : f->out.n - 1].name;
  for (int b = 0; b < f->block.n; b++)
    for (int k = 0; k < f->block.at[b].line.n; k++) {
      const gs_fn_line *l = &f->block.at[b].line.at[k];
      const gs_fn_term *t = l->op_type ? NULL : &l->in.at[0];
      if (t && !t->name && !t->literal && !t->attr) continue;
      for (int j = 0; j < l->out.n; j++)
        if (l->out.at[j].name && !strcmp(l->out.at[j].name, name)) return true;
    }
  return false;
}

/* Whether operand i of n depends on xs, and its results do by it.  A gradient
 * that says nothing of the operand is an error later. */
static bool depends_by(const derivation *d, const gs_node *n, int i) {
  if (!n->in[i] || !gs_map_has(&d->depends, n->in[i]->name)) return false;
  const gs_function *f =
      gs_gradient_find(d->x->functions, n->domain, n->op_type);
  return !f || passes(f, i);
}

static void go_forwards(derivation *d) {
  for (int i = 0; i < d->count; i++) {
    const gs_node *n = d->g->node.at[i];
    bool moves = false, depends = false;
    for (int k = 0; d->between[i] && k < n->nin; k++) {
      if (!n->in[k]) continue;
      moves = moves || gs_map_has(&d->moved, n->in[k]->name);
      depends = depends || depends_by(d, n, k);
    }
    if (moves) repeat(d, n);
    for (int k = 0; depends && k < n->nout; k++)
      if (n->out[k] && !gs_map_has(&d->free, n->out[k]->name))
        gs_map_put(&d->depends, n->out[k]->name, n->out[k]);
  }
}

/* ---- backwards ---- */

/* A node like `of` that an expansion replaces; it is in no graph. */
static gs_node *call(derivation *d, const gs_node *of, const char *name,
                     int nin, int nout) {
  gs_node *n = gs_node_new(d->g, of->domain, of->op_type, name, nin, nout);
  gs_assert(d->g->node.at[d->g->node.n - 1] == n);
  d->g->node.n--;
  n->origin = d->n->origin;
  n->stage = d->n->stage;
  return n;
}

static gs_value *new_slope(derivation *d, const gs_value *of) {
  const char *name =
      gs_sprintf(d->g->arena, "%s/d.%s", d->base, of->name);
  return gs_value_new(d->g, name, GS_UNDEFINED, -1, NULL);
}

/* *out, or a new value where it is NULL, by a helper of
 * op/functions/gradient.txt. */
static gs_status help(derivation *d, const char *helper, const gs_value *of,
                      const char *name, gs_value *a, gs_value *b,
                      gs_value **out) {
  const gs_function *f = gs_function_find(d->x->functions, "helper", helper);
  if (!*out) *out = new_slope(d, of);
  gs_node *n = call(d, d->n, name ? name : (*out)->name, b ? 2 : 1, 1);
  n->in[0] = a;
  if (b) n->in[1] = b;
  gs_node_output(n, 0, *out);
  if (!f)
    return gs_fail(d->e, GS_INTERNAL, place(d),
                   "gradient.txt has no helper '%s'", helper);
  return gs_expand_by(d->x, d->g, n, f, d->e);
}

/* `part` is added to the gradient of v. */
static gs_status accumulate(derivation *d, const gs_value *v,
                            gs_value *part) {
  gs_value *before = gs_map_get(&d->slope, v->name), *sum = NULL;
  if (before) GS_TRY(help(d, "Total", v, NULL, before, part, &sum));
  gs_map_put(&d->slope, v->name, before ? sum : part);
  return GS_OK;
}

static gs_status rule_of(derivation *d, const gs_node *n,
                         const gs_function **out) {
  const gs_function *f =
      gs_gradient_find(d->x->functions, n->domain, n->op_type);
  *out = f;
  if (!f)
    return gs_fail(d->e, GS_UNSUPPORTED, gs_node_place(d->g->arena, n),
                   "this operator has no rule for its gradient, which %s needs",
                   place(d));
  for (int i = 0; i < n->nattr; i++)
    if (gs_function_attr(f, n->attr[i].name) < 0)
      return gs_fail(d->e, GS_UNSUPPORTED, gs_node_place(d->g->arena, n),
                     "the rule for its gradient does not know attribute '%s'",
                     n->attr[i].name);
  return GS_OK;
}

/* From the gradients of n's results to those of its operands. */
static gs_status go_back(derivation *d, const gs_node *n) {
  const gs_function *f;
  GS_TRY(rule_of(d, n, &f));
  int results = (f->in.n - f->out.n) / 2;
  gs_assert(f->in.n >= f->out.n && results >= 0);
  int operands = n->nin > f->out.n ? n->nin : f->out.n;
  if (f->out.n && f->out.at[f->out.n - 1].each) operands = n->nin;
  const char *name =
      gs_sprintf(d->g->arena, "%s/d.%s", d->base, gs_node_base(n));
  gs_node *c = call(d, n, name, 2 * results + operands, operands);
  for (int i = 0; i < results; i++) {
    gs_value *y = gs_node_out(n, i);
    c->in[2 * i] = at_point(d, y);
    c->in[2 * i + 1] = y ? gs_map_get(&d->slope, y->name) : NULL;
  }
  for (int i = 0; i < n->nin; i++) {
    c->in[2 * results + i] = at_point(d, n->in[i]);
    if (n->in[i] && gs_map_has(&d->depends, n->in[i]->name))
      gs_node_output(c, i, new_slope(d, n->in[i]));
  }
  c->attr = n->attr;
  c->nattr = n->nattr;
  GS_TRY(gs_expand_by(d->x, d->g, c, f, d->e));
  for (int i = 0; i < n->nin; i++)
    if (c->out[i]) GS_TRY(accumulate(d, n->in[i], c->out[i]));
  return GS_OK;
}

static gs_status go_backwards(derivation *d) {
  gs_value *one = NULL;
  if (!gs_map_has(&d->depends, d->y->name)) return GS_OK;
  GS_TRY(help(d, "Ones", d->y, NULL, at_point(d, d->y), NULL, &one));
  gs_map_put(&d->slope, d->y->name, one);
  for (int i = d->count - 1; i >= 0; i--) {
    const gs_node *n = d->g->node.at[i];
    bool reached = false;
    for (int k = 0; d->between[i] && k < n->nout; k++)
      reached = reached || (n->out[k] && !gs_map_has(&d->free,
                                                     n->out[k]->name) &&
                            gs_map_has(&d->slope, n->out[k]->name));
    if (reached) GS_TRY(go_back(d, n));
  }
  return GS_OK;
}

static gs_status set_results(derivation *d) {
  const char *name = d->n->name;
  for (int i = 0; i < d->n->nout; i++) {
    gs_value *y = d->n->out[i];
    if (!y) continue;
    gs_value *x = gs_map_get(&d->free, d->xs->strings[i].at);
    gs_value *slope = gs_map_get(&d->slope, x->name);
    const char *mine =
        name ? name : gs_sprintf(d->g->arena, "%s/%s", d->base, y->name);
    GS_TRY(help(d, slope ? "Same" : "Zeros", x, mine,
                slope ? slope : d->n->in[i], NULL, &y));
    name = NULL;
  }
  return GS_OK;
}

gs_status gs_gradient_expand(gs_expander *x, gs_graph *g, gs_node *n,
                             gs_err *e) {
  derivation d = {.x = x, .g = g, .n = n, .e = e};
  gs_map *maps[] = {&d.free, &d.moved, &d.depends, &d.slope};
  d.base = gs_node_base(n);
  for (int i = 0; i < 4; i++) gs_map_init(maps[i], g->arena);
  GS_TRY(read_attributes(&d));
  GS_TRY(find_between(&d));
  go_forwards(&d);
  GS_TRY(go_backwards(&d));
  return set_results(&d);
}
