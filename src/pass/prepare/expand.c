#include "pass/prepare/expand.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"

enum { MAX_DEPTH = 8 };

/* One line of the function, for one tensor of the "X*" kind. */
typedef struct step {
  const gs_fn_line *line;
  int index;
  bool needed;
} step;

typedef struct slot { /* a value of the function */
  gs_value *value; /* NULL: left out, or not made yet */
  int target;      /* 1 + which result of the node it is, or 0 */
  int producer;       /* 1 + the step that makes it, or 0 for operands */
  bool needed;
} slot;

typedef struct expansion {
  gs_expander *x;
  gs_graph *g;
  const gs_node *n;
  const gs_function *f;
  const char *base; /* of new names */
  int count;        /* tensors of the "X*" kind */
  int depth;
  gs_map slots; /* "name" or "name.index" -> slot */
  GS_VEC(step) step;
  gs_err *e;
} expansion;

static gs_status expand(gs_expander *x, gs_graph *g, gs_node *n, int depth,
                        bool *done, gs_err *e);

/* ---- messages ---- */

static bool is_gradient(const gs_function *f) { return !f->since; }

static const char *place(const expansion *x) {
  return gs_node_place(x->g->arena, x->n);
}

/* The data file is wrong. */
static gs_status fault(const expansion *x, const gs_fn_line *l,
                       const char *what) {
  return gs_fail(x->e, GS_INTERNAL, place(x), "%s:%d: %s",
                 l->file, l->number, what);
}

/* ---- values by name ---- */

static const char *key_of(const expansion *x, const char *name, bool each,
                          int index) {
  return each ? gs_sprintf(x->g->arena, "%s.%d", name, index) : name;
}

static slot *slot_of(const expansion *x, const char *name, bool each,
                     int index) {
  return gs_map_get(&x->slots, key_of(x, name, each, index));
}

static slot *slot_new(expansion *x, const char *name, bool each, int index) {
  slot *s = GS_NEW(x->g->arena, slot);
  gs_map_put(&x->slots, key_of(x, name, each, index), s);
  return s;
}

/* ---- operands, results, attributes of the node ---- */

/* How many of the values are plain, and how many are any number. */
static int plain_of(const gs_fn_value *v, int n) {
  int plain = 0;
  while (plain < n && !v[plain].each) plain++;
  return plain;
}

/* The number of tensors of the "X*" kind, from the number of operands. */
static gs_status count_tensors(expansion *x) {
  const gs_function *f = x->f;
  int plain = plain_of(f->in.at, f->in.n), kinds = f->in.n - plain;
  int given = gs_node_formal(x->n), more = given - plain;
  int min, max;
  gs_function_arity(f, false, &min, &max);
  if (given > max)
    return gs_fail(x->e, GS_DATA, place(x), "has %d operands, but takes %d",
                   given, max);
  if (!kinds) return GS_OK;
  if (more < kinds || more % kinds)
    return gs_fail(x->e, GS_DATA, place(x),
                   "has %d operands, but takes %d and then %d for each tensor",
                   given, plain, kinds);
  x->count = more / kinds;
  return GS_OK;
}

static gs_status bind_operands(expansion *x) {
  const gs_function *f = x->f;
  int at = 0;
  for (int i = 0; i < f->in.n; i++) {
    const gs_fn_value *v = &f->in.at[i];
    for (int k = 0; k < (v->each ? x->count : 1); k++, at++) {
      slot *s = slot_new(x, v->name, v->each, k);
      s->value = at < gs_node_formal(x->n) ? x->n->in[at] : NULL;
      if (!s->value && !v->optional)
        return gs_fail(x->e, GS_DATA, place(x), "operand %d (%s) is missing",
                       at, v->name);
    }
  }
  return GS_OK;
}

static gs_status bind_results(expansion *x) {
  const gs_function *f = x->f;
  int plain = plain_of(f->out.at, f->out.n), at = 0;
  int max = plain + (f->out.n - plain) * x->count;
  if (x->n->nout > max)
    return gs_fail(x->e, GS_DATA, place(x), "has %d results, but gives %d",
                   x->n->nout, max);
  for (int i = 0; i < f->out.n; i++)
    for (int k = 0; k < (f->out.at[i].each ? x->count : 1); k++, at++) {
      if (!gs_node_out(x->n, at)) continue;
      slot *s = slot_new(x, f->out.at[i].name, f->out.at[i].each, k);
      s->target = at + 1;
      s->needed = true;
    }
  return GS_OK;
}

/* The attribute that the node has, or its default, or NULL. */
static const gs_attr *attr_of(const expansion *x, const char *name) {
  const gs_attr *a = gs_node_attr(x->n, name);
  return a ? a : x->f->attr.at[gs_function_attr(x->f, name)].value;
}

/* The same, or one element of the list that it is, or NULL when the list is
 * shorter; `add` to its integers.  What is new is made in *one. */
static const gs_attr *element_of(const expansion *x, const char *name,
                                 int index, int add, gs_attr *one) {
  const gs_attr *a = attr_of(x, name);
  if (!a || (index < 0 && !add)) return a;
  if (index >= a->n && index >= 0) return NULL;
  bool list = index < 0 && a->kind == GS_ATTR_INTS;
  *one = *a;
  if (index >= 0 && a->kind == GS_ATTR_FLOATS)
    *one = (gs_attr){.kind = GS_ATTR_FLOAT, .f = (double)a->floats[index]};
  else if (index >= 0)
    *one = (gs_attr){.kind = GS_ATTR_INT, .i = a->ints[index]};
  one->i += add;
  if (!list) return one;
  int64_t *ints = GS_NEWS(x->g->arena, a->n + 1, int64_t);
  for (int i = 0; i < a->n; i++) ints[i] = a->ints[i] + add;
  one->ints = ints;
  return one;
}

static gs_status check_attributes(const expansion *x) {
  for (int i = 0; i < x->f->attr.n; i++) {
    const gs_fn_attr *at = &x->f->attr.at[i];
    const gs_attr *a = gs_node_attr(x->n, at->name);
    if (!a && !at->value && !at->optional)
      return gs_fail(x->e, GS_DATA, place(x), "attribute '%s' is missing",
                     at->name);
    if (a && a->kind != at->kind)
      return gs_fail(x->e, GS_DATA, place(x),
                     "attribute '%s' is of the wrong kind", at->name);
  }
  return GS_OK;
}

/* No line gives the value of that name, with these attributes. */
static gs_status not_made(const expansion *x, const char *name) {
  if (is_gradient(x->f))
    return gs_fail(x->e, GS_UNSUPPORTED, place(x),
                   "the gradient '%s' has no rule for these attributes", name);
  return gs_fail(x->e, GS_UNSUPPORTED, place(x),
                 "'%s' has no expansion for these attributes", name);
}

/* ---- the lines that apply ---- */

static bool same(const gs_attr *a, const gs_attr *b) {
  switch (a->kind) {
  case GS_ATTR_INT: return a->i == b->i;
  case GS_ATTR_FLOAT: return (float)a->f == (float)b->f;
  case GS_ATTR_STRING:
    return a->s.n == b->s.n && !memcmp(a->s.at, b->s.at, a->s.n);
  default: return false;
  }
}

/* Whether i32 can number its elements. */
static bool is_small(const gs_value *v) {
  return v && gs_value_shaped(v) && gs_product(v->dims, v->rank) <= INT32_MAX;
}

static bool holds(const expansion *x, const gs_fn_test *t) {
  bool there;
  if (t->name) {
    int in = gs_function_in(x->f, t->name);
    int out = gs_function_out(x->f, t->name);
    gs_value *v = gs_node_in(x->n, in);
    if (t->rank && v) v->relied = true;
    if (t->rank) there = v && v->rank == t->equal->i;
    else if (t->type) there = v && (int64_t)v->dtype == t->equal->i;
    else if (t->small) there = is_small(v);
    else there = in >= 0 ? gs_node_in(x->n, in) : gs_node_out(x->n, out);
  } else {
    const gs_attr *a = attr_of(x, t->attr);
    there = a && (!t->equal || same(a, t->equal));
  }
  return there != t->no;
}

static gs_status add_line(expansion *x, const gs_fn_line *l) {
  for (int k = 0; k < (l->each ? x->count : 1); k++) {
    *gs_push(x->g->arena, &x->step) = (step){.line = l, .index = k};
    for (int i = 0; i < l->out.n; i++) {
      if (!l->out.at[i].name) continue;
      slot *s = slot_of(x, l->out.at[i].name, l->each, k);
      if (!s) s = slot_new(x, l->out.at[i].name, l->each, k);
      if (s->producer) return fault(x, l, "a value is set twice");
      s->producer = x->step.n;
    }
  }
  return GS_OK;
}

static gs_status choose_lines(expansion *x) {
  bool before = false;
  for (int b = 0; b < x->f->block.n; b++) {
    const gs_fn_block *k = &x->f->block.at[b];
    bool all = !k->otherwise || !before;
    for (int i = 0; i < k->test.n; i++) all = all && holds(x, &k->test.at[i]);
    before = all || (k->otherwise && before);
    for (int i = 0; all && i < k->line.n; i++)
      GS_TRY(add_line(x, &k->line.at[i]));
  }
  for (int i = 0; i < x->slots.n; i++) {
    const slot *s = x->slots.entry[i].value;
    if (s->target && !s->producer) return not_made(x, x->slots.entry[i].key);
  }
  return GS_OK;
}

/* The graph that a line "y = $body(x)" stands for, or NULL. */
static const gs_graph *body_of(const expansion *x, const gs_fn_line *l) {
  const gs_attr *a = l->graph ? gs_node_attr(x->n, l->graph) : NULL;
  return a ? a->g : NULL;
}

/* A result that is another name for a value takes the place of that value,
 * where a line makes it that is not a result itself. */
static void join_names(expansion *x) {
  for (int i = x->step.n - 1; i >= 0; i--) {
    const gs_fn_line *l = x->step.at[i].line;
    int index = x->step.at[i].index;
    if (l->op_type || !l->in.at[0].name || body_of(x, l)) continue;
    slot *to = slot_of(x, l->out.at[0].name, l->each, index);
    slot *from = slot_of(x, l->in.at[0].name, l->each, index);
    if (!to->target || !from || !from->producer || from->target) continue;
    from->target = to->target;
    from->needed = true;
    to->target = 0;
  }
}

static void need(const expansion *x, const char *name, bool each, int index) {
  slot *s = name ? slot_of(x, name, each, index) : NULL;
  if (s) s->needed = true;
}

/* Backwards from the results: the steps that something needs. */
static void mark_needed(expansion *x) {
  for (int i = x->step.n - 1; i >= 0; i--) {
    step *s = &x->step.at[i];
    const gs_fn_line *l = s->line;
    for (int k = 0; k < l->out.n; k++)
      if (l->out.at[k].name &&
          slot_of(x, l->out.at[k].name, l->each, s->index)->needed)
        s->needed = true;
    for (int k = 0; s->needed && k < l->in.n; k++) {
      const gs_fn_term *t = &l->in.at[k];
      need(x, t->name, t->each, s->index);
      need(x, t->like, t->like_each, s->index);
    }
  }
}

/* ---- nodes ---- */

static const char *new_name(const expansion *x, const step *s) {
  const gs_fn_result *r = &s->line->out.at[0];
  if (!r->name) return x->base;
  const char *key = key_of(x, r->name, r->each, s->index);
  return gs_sprintf(x->g->arena, "%s/%s", x->base, key);
}

static gs_node *new_node(const expansion *x, const char *domain,
                         const char *op_type, const char *name, int nin,
                         int nout) {
  gs_node *n = gs_node_new(x->g, domain, op_type, name, nin, nout);
  const gs_domain *d = gs_domain_find(n->domain);
  n->op = gs_op_find(n->domain, op_type);
  n->opset = d ? d->newest : 1;
  n->origin = x->n->origin;
  n->stage = x->n->stage;
  return n;
}

static gs_value *new_tensor(const expansion *x, const char *name, gs_dtype t,
                            const void *data, size_t size) {
  gs_tensor *c = GS_NEW(x->g->arena, gs_tensor);
  c->dtype = t;
  c->nbytes = size;
  c->dims = GS_NEWS(x->g->arena, 1, int64_t); /* rank 0, but not NULL */
  c->data = gs_memdup(x->g->arena, data, size);
  return gs_value_constant(x->g, name, c);
}

/* A scalar of the type of `like` (NULL: i64 or f32), by a conversion in the
 * graph where that type is not known here, or is a small one. */
static gs_value *new_scalar(const expansion *x, const char *name,
                            const gs_attr *v, gs_value *like) {
  bool real = v->kind == GS_ATTR_FLOAT;
  double wide = real ? v->f : (double)v->i;
  float narrow = (float)wide;
  int32_t small = (int32_t)v->i;
  gs_dtype t = like ? like->dtype : real ? GS_FLOAT : GS_INT64;
  if (t == GS_FLOAT) return new_tensor(x, name, t, &narrow, sizeof narrow);
  if (t == GS_DOUBLE) return new_tensor(x, name, t, &wide, sizeof wide);
  if (t == GS_INT64 && !real) return new_tensor(x, name, t, &v->i, 8);
  if (t == GS_INT32 && !real && small == v->i)
    return new_tensor(x, name, t, &small, sizeof small);
  const char *raw = gs_sprintf(x->g->arena, "%s/raw", name);
  gs_value *c = real ? new_tensor(x, raw, GS_DOUBLE, &wide, sizeof wide)
                     : new_tensor(x, raw, GS_INT64, &v->i, 8);
  gs_node *n = new_node(x, "", "CastLike", name, 2, 1);
  n->in[0] = c;
  n->in[1] = like;
  gs_node_output(n, 0, gs_value_new(x->g, name, t, -1, NULL));
  return n->out[0];
}

/* "@x[1]", NULL when it is left out; of split forms, which know dims. */
static gs_status dims_of(const expansion *x, const gs_fn_line *l,
                         const gs_fn_term *t, const char *label,
                         gs_value **out) {
  int in = gs_function_in(x->f, t->dims), to = gs_function_out(x->f, t->dims);
  const gs_value *v = in >= 0 ? gs_node_in(x->n, in) : gs_node_out(x->n, to);
  gs_attr one = {.kind = GS_ATTR_INT};
  if (!v) return GS_OK;
  if (!gs_value_shaped(v) || t->index >= v->rank)
    return fault(x, l, "there is no such dim");
  if (t->index >= 0) one.i = v->dims[t->index];
  *out = t->index < 0 ? gs_value_ints(x->g, label, v->dims, v->rank)
                      : new_scalar(x, label, &one, NULL);
  return GS_OK;
}

/* Operand `at` of a step, NULL when it is left out. */
static gs_status operand(const expansion *x, const step *s, int at,
                         gs_value **out) {
  const gs_fn_term *t = &s->line->in.at[at];
  const char *name = t->name ? t->name : t->like;
  gs_value *v = NULL;
  *out = NULL;
  if (name) {
    const slot *made =
        slot_of(x, name, t->name ? t->each : t->like_each, s->index);
    if (!made) return not_made(x, name);
    v = made->value;
    *out = t->name ? v : NULL;
    if (t->name) return GS_OK;
    if (!v) return fault(x, s->line, "the type of an absent operand");
  }
  const char *label = gs_sprintf(x->g->arena, "%s.%d", new_name(x, s), at);
  if (t->dims) return dims_of(x, s->line, t, label, out);
  gs_attr one;
  const gs_attr *c =
      t->attr ? element_of(x, t->attr, t->index, t->add, &one) : t->literal;
  if (!c) return GS_OK;
  if (c->kind == GS_ATTR_INTS)
    *out = gs_value_ints(x->g, label, c->ints, c->n);
  else if (c->kind == GS_ATTR_INT || c->kind == GS_ATTR_FLOAT)
    *out = new_scalar(x, label, c, v);
  else return fault(x, s->line, "this attribute cannot be an operand");
  return GS_OK;
}

/* The list as a permutation, turned around. */
static gs_status inverse(const expansion *x, gs_attr *a) {
  int64_t *list = GS_NEWS(x->g->arena, a->n + 1, int64_t);
  a->ints = gs_inverse(a->ints, a->n, list) ? list : NULL;
  return a->ints ? GS_OK
                 : gs_fail(x->e, GS_DATA, place(x),
                           "'%s' is not a permutation", a->name);
}

static gs_status set_attributes(const expansion *x, const step *s,
                                gs_node *n) {
  for (int i = 0; i < s->line->attr.n; i++) {
    const gs_fn_set *set = &s->line->attr.at[i];
    gs_attr mine;
    const gs_attr *from = &set->value;
    if (set->from)
      from = element_of(x, set->from, set->index, set->add, &mine);
    if (!from) continue;
    mine = *from;
    mine.name = set->value.name;
    if (set->inverse) GS_TRY(inverse(x, &mine));
    gs_node_set(x->g, n, &mine);
  }
  return GS_OK;
}

/* Joins the node with the values that it makes; those that nobody needs are
 * left out. */
static void set_results(const expansion *x, const step *s, gs_node *n) {
  int last = 0;
  for (int i = 0; i < s->line->out.n; i++) {
    const gs_fn_result *r = &s->line->out.at[i];
    slot *to = r->name ? slot_of(x, r->name, r->each, s->index) : NULL;
    if (!to || !to->needed) continue;
    if (to->target)
      to->value = x->n->out[to->target - 1];
    else
      to->value = gs_value_new(
          x->g, gs_sprintf(x->g->arena, "%s/%s", x->base,
                           key_of(x, r->name, r->each, s->index)),
          GS_UNDEFINED, -1, NULL);
    gs_node_output(n, i, to->value);
    last = i + 1;
  }
  gs_assert(last <= n->nout);
  n->nout = last;
}

static bool makes_first(const expansion *x, const step *s) {
  for (int i = 0; i < s->line->out.n; i++) {
    const gs_fn_result *r = &s->line->out.at[i];
    if (r->name && slot_of(x, r->name, r->each, s->index)->target == 1)
      return true;
  }
  return false;
}

/* A value of a graph in an attribute: its input, one from outside, or new. */
static gs_value *body_value(const expansion *x, const gs_graph *body,
                            const gs_value *v, const char *base,
                            gs_value *in) {
  if (v == body->input.at[0]) return in;
  for (int i = 0; i < body->capture.n; i++)
    if (body->capture.at[i] == v)
      return x->n->in[gs_node_formal(x->n) + i];
  const char *name = gs_sprintf(x->g->arena, "%s/%s", base, v->name);
  if (v->constant) return gs_value_constant(x->g, name, v->constant);
  gs_value *c = gs_value_new(x->g, name, v->dtype, -1, NULL);
  c->kind = v->kind;
  return c;
}

/* The nodes of a graph in an attribute, with one input and one output. */
static gs_status inline_body(const expansion *x, const step *s,
                             const gs_graph *body, gs_value **v) {
  gs_arena *a = x->g->arena;
  const char *base = new_name(x, s);
  if (body->input.n != 1 || body->output.n != 1)
    return gs_fail(x->e, GS_DATA, place(x),
                   "graph '%s' has %d inputs and %d outputs, not one of each",
                   s->line->graph, body->input.n, body->output.n);
  gs_value **map = GS_NEWS(a, body->value.n + 1, gs_value *);
  for (int i = 0; i < body->value.n; i++)
    map[i] = body_value(x, body, body->value.at[i], base, *v);
  for (int i = 0; i < body->node.n; i++) {
    const gs_node *from = body->node.at[i];
    gs_node *n =
        gs_node_like(x->g, from, gs_sprintf(a, "%s/%s", base, from->name));
    n->stage = x->n->stage;
    for (int k = 0; k < from->nin; k++)
      if (from->in[k]) n->in[k] = map[from->in[k]->id];
    for (int k = 0; k < from->nout; k++)
      if (from->out[k]) gs_node_output(n, k, map[from->out[k]->id]);
    for (int k = 0; k < from->nattr; k++) {
      gs_attr at = from->attr[k];
      if (at.kind == GS_ATTR_GRAPH) at.g = gs_graph_copy(a, at.g);
      gs_node_set(x->g, n, &at);
    }
  }
  *v = map[body->output.at[0]->id];
  return GS_OK;
}

static gs_status emit(const expansion *x, const step *s) {
  const gs_fn_line *l = s->line;
  bool alias = !l->op_type, done; /* another name: a copy only if it must */
  int nin = 0;
  gs_value **in = GS_NEWS(x->g->arena, l->in.n + 1, gs_value *);
  for (int i = 0; i < l->in.n; i++) {
    GS_TRY(operand(x, s, i, &in[i]));
    if (in[i]) nin = i + 1;
  }
  if (body_of(x, l)) GS_TRY(inline_body(x, s, body_of(x, l), &in[0]));
  if (alias) {
    slot *to = slot_of(x, l->out.at[0].name, l->each, s->index);
    to->value = in[0];
    if (!to->target) return GS_OK;
    if (!in[0] && is_gradient(x->f)) {
      x->n->out[to->target - 1] = NULL;
      return GS_OK;
    }
    if (!in[0]) return fault(x, l, "a result that is left out");
  }
  gs_node *n = new_node(x, alias ? "" : l->domain,
                        alias ? "Identity" : l->op_type,
                        makes_first(x, s) ? x->n->name : new_name(x, s), nin,
                        l->out.n);
  if (nin) memcpy(n->in, in, (size_t)nin * sizeof *in);
  GS_TRY(set_attributes(x, s, n));
  set_results(x, s, n);
  if (n->op) return GS_OK;
  gs_assert(x->g->node.at[x->g->node.n - 1] == n);
  x->g->node.n--; /* its own lines take its place */
  GS_TRY(expand(x->x, x->g, n, x->depth + 1, &done, x->e));
  return done ? GS_OK : fault(x, l, "no such operator");
}

/* ---- the node ---- */

const char *gs_node_base(const gs_node *n) {
  if (*n->name) return n->name;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) return n->out[i]->name;
  return n->op_type;
}

static gs_status run(expansion *x) {
  GS_TRY(check_attributes(x));
  GS_TRY(count_tensors(x));
  GS_TRY(bind_operands(x));
  GS_TRY(bind_results(x));
  GS_TRY(choose_lines(x));
  join_names(x);
  mark_needed(x);
  for (int i = 0; i < x->step.n; i++)
    if (x->step.at[i].needed) GS_TRY(emit(x, &x->step.at[i]));
  return GS_OK;
}

static gs_status expand_by(gs_expander *x, gs_graph *g, gs_node *n,
                           const gs_function *f, int depth, gs_err *e) {
  expansion me = {.x = x, .g = g, .n = n, .f = f, .depth = depth, .e = e};
  me.base = gs_node_base(n);
  gs_map_init(&me.slots, g->arena);
  return run(&me);
}

gs_status gs_expander_functions(gs_expander *x, gs_arena *a,
                                const gs_functions **out, gs_err *e) {
  if (!x->functions) {
    x->functions = GS_NEW(a, gs_functions);
    GS_TRY(gs_functions_index(a, gs_functions_text, x->functions, e));
  }
  *out = x->functions;
  return GS_OK;
}

static gs_status expand(gs_expander *x, gs_graph *g, gs_node *n, int depth,
                        bool *done, gs_err *e) {
  const gs_functions *all;
  *done = false;
  GS_TRY(gs_expander_functions(x, g->arena, &all, e));
  const gs_function *f = gs_function_find(all, n->domain, n->op_type);
  if (!f) return GS_OK;
  if (depth > MAX_DEPTH)
    return gs_fail(e, GS_INTERNAL, gs_node_place(g->arena, n),
                   "the function calls itself");
  if (n->opset < f->first)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "opset %d; the operator was added in opset %d", n->opset,
                   f->first);
  *done = true;
  gs_assert(!f->derive || x->derive);
  if (f->derive) return x->derive(x, g, n, e);
  return expand_by(x, g, n, f, depth, e);
}

gs_status gs_expand_node(gs_expander *x, gs_graph *g, gs_node *n, bool *done,
                         gs_err *e) {
  return expand(x, g, n, 0, done, e);
}

gs_status gs_expand_by(gs_expander *x, gs_graph *g, gs_node *n,
                       const gs_function *f, gs_err *e) {
  return expand_by(x, g, n, f, 0, e);
}
