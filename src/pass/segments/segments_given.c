/* Constants that are several tensors end to end, as somebody says. */
#include "pass/segments/segments.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ir/packed.h"
#include "pass/segments/segments_impl.h"

/* What a value is made of, end to end along a dim. */
typedef struct parts {
  int dim, n;
  int64_t *size;
  gs_value **part; /* of a constant NULL until it is asked for */
  const gs_segment_sizes *from; /* of a constant, else NULL */
  bool used;                    /* a constant: of some reader */
  bool whole;                   /* it is there again, joined */
} parts;

typedef struct giver {
  gs_cutter c;
  parts **of; /* [nvalue] of the graph before; NULL: it is one */
  int nvalue;
} giver;

static parts *of(const giver *v, const gs_value *x) {
  return x && x->id < v->nvalue ? v->of[x->id] : NULL;
}

static parts *new_parts(giver *v, int dim, int n) {
  parts *p = GS_NEW(v->c.tmp, parts);
  *p = (parts){.dim = dim, .n = n};
  p->size = GS_NEWS(v->c.tmp, n, int64_t);
  p->part = GS_NEWS(v->c.tmp, n, gs_value *);
  return p;
}

/* ---- making parts ---- */

/* Part i of a constant or of what was cut. */
static gs_value *part(giver *v, gs_value *x, int i) {
  parts *p = of(v, x);
  gs_segment s = {.count = p->size[i], .index = i};
  if (p->part[i]) return p->part[i];
  for (int k = 0; k < i; k++) s.first += p->size[k];
  return p->part[i] = gs_segments_part(&v->c, x, p->dim, &s);
}

static gs_node *new_node(giver *v, const char *type, int nin,
                         const gs_node *by) {
  gs_node *n = gs_node_new(v->c.g, "", type, "", nin, 1);
  n->op = gs_op_find("", type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->origin = by->origin;
  n->module = by->module;
  n->stage = by->stage;
  return n;
}

/* As x, of `count` places in dim d; nodes make it. */
static gs_value *like(giver *v, const gs_value *x, int d, int64_t count) {
  int64_t *dims = gs_memdup(v->c.tmp, x->dims, (size_t)x->rank * sizeof *dims);
  dims[d] = count;
  return gs_value_new(v->c.g, gs_segments_name(&v->c, x->name, 0), x->dtype,
                      x->rank, dims);
}

/* y = what `n` of these values are end to end along dim; by: for whom. */
static void join(giver *v, gs_value *const *x, int n, int dim, gs_value *y,
                 const gs_node *by) {
  gs_node *c = new_node(v, n > 1 ? "Concat" : "Identity", n, by);
  if (n > 1) gs_node_set_int(v->c.g, c, "axis", dim);
  for (int i = 0; i < n; i++) c->in[i] = x[i];
  gs_node_output(c, 0, y);
}

/* Makes x, which has been cut, whole again. */
static void make_whole(giver *v, gs_value *x) {
  parts *p = of(v, x);
  gs_node *def = x->def;
  if (p->whole || x->constant) return;
  p->whole = true;
  def->out[x->def_index] = NULL;
  join(v, p->part, p->n, p->dim, x, def);
}

/* ---- nodes that do to parts what they do to the whole ---- */

/* A factor, and the places of each part along it. */
typedef struct cut {
  int factor, n;
  int64_t *size; /* of parts of the factor */
} cut;

static bool same_sizes(const cut *a, const parts *p, int64_t inner) {
  bool same = a->n == p->n;
  for (int i = 0; same && i < a->n; i++)
    same = a->size[i] * inner == p->size[i];
  return same;
}

/* The cut that operand k of n asks for; false: in the middle of something. */
static bool cut_of(giver *v, const gs_node *n, const gs_rule *r, int k,
                   cut *out) {
  const parts *p = of(v, n->in[k]);
  const gs_dim_map *d = &r->in[k].dim[p->dim];
  if (!d->n || d->grown) return false;
  *out = (cut){d->f[0], p->n, GS_NEWS(v->c.tmp, p->n, int64_t)};
  int64_t inner = n->in[k]->dims[p->dim] / r->factor[d->f[0]].size;
  for (int i = 0; i < p->n; i++) {
    if (p->size[i] % inner) return false;
    out->size[i] = p->size[i] / inner;
  }
  return true;
}

/* Whether operand k, which has the factor, can be taken in those parts. */
static bool takes(giver *v, const gs_node *n, const gs_rule *r, const cut *c,
                  int k, int d) {
  gs_value *x = n->in[k];
  const parts *p = of(v, x);
  if (p)
    return p->dim == d &&
           same_sizes(c, p, x->dims[d] / r->factor[c->factor].size);
  return x->constant && !gs_dtype_packed(x->dtype) && x->dtype != GS_STRING;
}

/* The operands of part i. */
static gs_value **operands(giver *v, const gs_node *n, const gs_rule *r,
                           const cut *c, int i) {
  gs_value **in = GS_NEWS(v->c.tmp, n->nin + 1, gs_value *);
  gs_segment s = {.index = i};
  for (int k = 0; k < i; k++) s.first += c->size[k];
  for (int k = 0; k < r->nin; k++) {
    int d = gs_node_in(n, k) ? gs_segments_dim(&r->in[k], c->factor) : -1;
    if (d < 0) continue;
    int64_t inner = n->in[k]->dims[d] / r->factor[c->factor].size;
    gs_segment of_k = s;
    of_k.first *= inner;
    of_k.count = c->size[i] * inner;
    in[k] = of(v, n->in[k]) ? part(v, n->in[k], i)
                            : gs_segments_part(&v->c, n->in[k], d, &of_k);
    if (of(v, n->in[k])) of(v, n->in[k])->used = true;
  }
  return in;
}

/* The dim of result 0 that is the factor alone, if all operands that have it
 * can be taken in parts; -1: not so. */
static int passes(giver *v, const gs_node *n, const gs_rule *r, const cut *c) {
  int dim = -1;
  for (int d = 0; d < r->out[0].rank; d++)
    if (gs_segments_passing(r, d) == c->factor) dim = d;
  for (int k = 0; k < r->nin && dim >= 0; k++) {
    int d = gs_node_in(n, k) ? gs_segments_dim(&r->in[k], c->factor) : -1;
    if (d == -2 || (d >= 0 && !takes(v, n, r, c, k, d))) dim = -1;
  }
  for (int u = 0; u < r->nuse && dim >= 0; u++)
    if (r->use[u].factor == c->factor || r->use[u].copies) dim = -1;
  return dim;
}

static gs_status pass_on(giver *v, const gs_node *n, const gs_rule *r,
                         const cut *c, int dim) {
  gs_value *y = n->out[0];
  parts *made = new_parts(v, dim, c->n);
  for (int i = 0; i < c->n; i++) {
    gs_value **in = operands(v, n, r, c, i);
    made->size[i] = c->size[i];
    GS_TRY(gs_segments_make(&v->c, n, r, in, dim, c->size[i],
                            &made->part[i]));
    made->part[i]->name = gs_segments_name(&v->c, y->name, i);
  }
  v->of[y->id] = made;
  return GS_OK;
}

/* ---- nodes that sum along the dim ---- */

/* x itself where it is made of such parts, else a Slice of it. */
static gs_value *slice(giver *v, const gs_node *by, gs_value *x, int d,
                       int64_t first, int64_t count) {
  const gs_node *made = x->def;
  bool joins = made && made->op && made->op->flags & GS_OP_JOINS;
  int64_t axis = joins ? gs_node_int(made, "axis", 0) : 0, at = 0;
  if (joins && (axis < 0 ? axis + x->rank : axis) == d)
    for (int i = 0; i < made->nin; at += made->in[i++]->dims[d])
      if (at == first && made->in[i]->dims[d] == count) return made->in[i];
  int64_t range[3] = {first, first + count, d};
  gs_node *n = new_node(v, "Slice", 4, by);
  n->in[0] = x;
  for (int i = 0; i < 3; i++)
    n->in[i + 1] = gs_value_ints(v->c.g, x->name, &range[i], 1);
  gs_node_output(n, 0, like(v, x, d, count));
  return n->out[0];
}

/* Places first .. of dim d of x: its part i, where it is cut. */
static gs_value *term_of(giver *v, const gs_node *by, gs_value *x, int d, int i,
                         int64_t first, int64_t count) {
  gs_segment s = {.first = first, .count = count, .index = i};
  if (of(v, x)) {
    of(v, x)->used = true;
    return part(v, x, i);
  }
  bool bytes = !gs_dtype_packed(x->dtype) && x->dtype != GS_STRING;
  if (x->constant && bytes) return gs_segments_part(&v->c, x, d, &s);
  return slice(v, by, x, d, first, count);
}

/* Whether n is a sum along the factor of a product of two operands that both
 * have it, and of nothing else. */
static bool sums_parts(giver *v, const gs_node *n, const gs_rule *r,
                       const cut *c) {
  int have = 0;
  if (r->factor[c->factor].kind != GS_SUMMED || r->nuse ||
      n->op->combine != GS_REDUCE_SUM)
    return false;
  for (int k = 0; k < r->nin; k++) {
    if (!gs_node_in(n, k)) continue;
    int d = gs_segments_dim(&r->in[k], c->factor);
    if (d < 0 || r->in[k].dim[d].n != 1) return false;
    if (of(v, n->in[k]) && !takes(v, n, r, c, k, d)) return false;
    have++;
  }
  return have > 1 && !(n->op->flags & GS_OP_MOVES);
}

static gs_status sum_up(giver *v, gs_node *n, const gs_rule *r, const cut *c) {
  gs_value *y = n->out[0], *sum = NULL;
  int64_t first = 0;
  for (int i = 0; i < c->n; first += c->size[i++]) {
    gs_value **in = GS_NEWS(v->c.tmp, n->nin + 1, gs_value *), *term;
    for (int k = 0; k < r->nin; k++) {
      if (!gs_node_in(n, k)) continue;
      int d = gs_segments_dim(&r->in[k], c->factor);
      in[k] = term_of(v, n, n->in[k], d, i, first, c->size[i]);
    }
    GS_TRY(gs_segments_make(&v->c, n, r, in, -1, 0, &term));
    term->name = gs_segments_name(&v->c, y->name, i);
    if (!sum) {
      sum = term;
      continue;
    }
    gs_node *add = new_node(v, "Add", 2, n);
    add->in[0] = sum;
    add->in[1] = term;
    sum = i + 1 < c->n ? like(v, y, 0, y->dims[0]) : y;
    if (sum == y) n->out[0] = NULL;
    gs_node_output(add, 0, sum);
  }
  return GS_OK;
}

/* ---- nodes that take segments ---- */

/* The parts that s is, from *first on: how many; 0: it cuts some. */
static int parts_in(const parts *p, const gs_segment *s, int *first) {
  int64_t at = 0;
  int i = 0, n = 0;
  while (i < p->n && at < s->first) at += p->size[i++];
  *first = i;
  if (at != s->first) return 0;
  while (i < p->n && at < s->first + s->count) {
    at += p->size[i++];
    n++;
  }
  return at == s->first + s->count ? n : 0;
}

/* Gives n, of what was x, the segment s. */
static gs_status give(giver *v, gs_node *n, gs_value *x,
                      const gs_segment *s) {
  parts *p = of(v, x);
  int first, count = parts_in(p, s, &first);
  for (int i = 0; i < count; i++) part(v, x, first + i);
  if (s->how == GS_TAKEN_COPY) {
    gs_value *was = n->out[s->at];
    parts *made = new_parts(v, p->dim, count);
    for (int i = 0; i < count; i++) {
      made->size[i] = p->size[first + i];
      made->part[i] = p->part[first + i];
    }
    v->of[was->id] = made;
    return GS_OK;
  }
  gs_value *one = p->part[first];
  if (count > 1) {
    one = like(v, x, p->dim, s->count);
    join(v, p->part + first, count, p->dim, one, n);
  }
  n->in[s->at] = one;
  return s->how == GS_TAKEN_INDEX ? gs_segments_take_first(&v->c, n) : GS_OK;
}

/* Gives n the segments that it takes, if each is some of the parts: *done. */
static gs_status try_to_give(giver *v, gs_node *n, bool *done) {
  gs_segments *s = &v->c.segment;
  gs_value *x = n->in[0];
  const parts *p = of(v, x);
  int first;
  *done = p && !x->constant && gs_segments_taken(v->c.tmp, x, p->dim, n, s);
  for (int i = 0; *done && i < s->n; i++)
    *done = parts_in(p, &s->at[i], &first) > 0;
  for (int i = 0; *done && i < s->n; i++) GS_TRY(give(v, n, x, &s->at[i]));
  return GS_OK;
}

/* ---- all ---- */

/* A part that is all of a value stands for it. */
static void put_single(giver *v, gs_node *n) {
  for (int k = 0; k < n->nin; k++) {
    parts *p = of(v, n->in[k]);
    if (p && p->n == 1) n->in[k] = p->part[0];
  }
}

static gs_status push_through(giver *v, gs_node *n) {
  gs_rule r;
  cut c = {0};
  int first = -1, dim;
  bool done = false;
  put_single(v, n);
  for (int k = 0; k < n->nin && first < 0; k++)
    if (of(v, n->in[k])) first = k;
  if (first < 0) return GS_OK;
  if (first == 0 && n->op) GS_TRY(try_to_give(v, n, &done));
  if (done) return GS_OK;
  if (gs_segments_may_repeat(n) && !gs_rule_of(v->c.tmp, n, &r, NULL) &&
      first < r.nin && cut_of(v, n, &r, first, &c)) {
    if ((dim = passes(v, n, &r, &c)) >= 0) return pass_on(v, n, &r, &c, dim);
    if (sums_parts(v, n, &r, &c)) return sum_up(v, n, &r, &c);
  }
  for (int k = 0; k < n->nin; k++)
    if (of(v, n->in[k])) make_whole(v, n->in[k]);
  return GS_OK;
}

static gs_status check_used(giver *v) {
  for (int i = 0; i < v->nvalue; i++) {
    const parts *p = v->of[i];
    const gs_value *x = v->c.g->value.at[i];
    if (!p || !p->from || p->used || !x->constant) continue;
    const char *text = gs_sprintf(v->c.tmp, "nothing that reads '%s' takes its "
                                  "segments one by one", x->name);
    return p->from->at ? gs_fail_at(v->c.e, GS_SPEC, p->from->at, "%s", text)
                       : gs_fail(v->c.e, GS_SPEC, x->name, "%s", text);
  }
  return GS_OK;
}

static gs_status walk(giver *v) {
  gs_graph *g = v->c.g;
  int n = g->node.n;
  gs_node **all = gs_memdup(v->c.tmp, g->node.at, (size_t)n * sizeof *all);
  for (int i = 0, at = 0; i < n; i++) {
    while (g->node.at[at] != all[i]) at++;
    int first = g->node.n;
    GS_TRY(push_through(v, all[i]));
    gs_segments_move(g, first, at, v->c.tmp);
  }
  for (int i = 0; i < g->output.n; i++)
    if (of(v, g->output.at[i])) make_whole(v, g->output.at[i]);
  return check_used(v);
}

gs_status gs_pass_segments_given(gs_graph *g, const gs_segment_list *l,
                                 gs_err *e) {
  gs_arena tmp;
  if (!l->n) return GS_OK;
  gs_arena_init(&tmp);
  giver *v = GS_NEW(&tmp, giver);
  *v = (giver){.c = {.g = g, .tmp = &tmp, .e = e}, .nvalue = g->value.n};
  v->of = GS_NEWS(&tmp, v->nvalue + 1, parts *);
  gs_map_init(&v->c.part, &tmp);
  for (int i = 0; i < l->n; i++) {
    const gs_segment_sizes *s = &l->at[i];
    const gs_value *x = gs_graph_find(g, s->name);
    gs_assert(x && x->constant && s->dim < x->rank && s->n);
    parts *p = v->of[x->id] = new_parts(v, s->dim, s->n);
    memcpy(p->size, s->size, (size_t)s->n * sizeof *s->size);
    p->from = s;
  }
  gs_status status = walk(v);
  gs_arena_free(&tmp);
  GS_TRY(status);
  gs_graph_prune(g);
  return gs_graph_check(g, e);
}

/* ---- as text ---- */

char *gs_segments_text(gs_arena *a, const gs_segment_list *l) {
  gs_buf b;
  gs_buf_init(&b, a);
  for (int i = 0; i < l->n; i++) {
    const gs_segment_sizes *s = &l->at[i];
    gs_buf_printf(&b, "%s%d ", i ? "\n" : "", s->dim);
    for (int k = 0; k < s->n; k++)
      gs_buf_printf(&b, "%s%lld", k ? "," : "", (long long)s->size[k]);
    gs_buf_printf(&b, " %s", s->name);
  }
  return b.at;
}

bool gs_segments_fit(const gs_value *x, const gs_segment_sizes *s) {
  if (!x || !x->constant || s->dim >= x->rank || gs_dtype_packed(x->dtype) ||
      x->dtype == GS_STRING)
    return false;
  int64_t left = x->dims[s->dim];
  for (int i = 0; i < s->n; i++) {
    if (s->size[i] < 1 || s->size[i] > left) return false;
    left -= s->size[i];
  }
  return !left && s->n > 0;
}

/* The line at *text, which becomes the next one. */
static bool parse_line(gs_arena *a, const gs_graph *g, const char **text,
                       gs_segment_list *out) {
  gs_segment_sizes s = {.size = GS_NEWS(a, strlen(*text) + 1, int64_t)};
  char *end;
  long dim = strtol(*text, &end, 10);
  if (end == *text || *end != ' ' || dim < 0 || dim > GS_MAX_RANK) return false;
  s.dim = (int)dim;
  do {
    const char *at = end + 1;
    s.size[s.n++] = strtoll(at, &end, 10);
    if (end == at) return false;
  } while (*end == ',');
  if (*end != ' ') return false;
  size_t n = strcspn(end + 1, "\n");
  s.name = gs_strndup(a, end + 1, n);
  *text = end + 1 + n;
  *text += **text == '\n';
  *gs_push(a, out) = s;
  return gs_segments_fit(gs_graph_find(g, s.name), &s);
}

bool gs_segments_parse(gs_arena *a, const gs_graph *g, const char *text,
                       gs_segment_list *out) {
  *out = (gs_segment_list){0};
  while (*text)
    if (!parse_line(a, g, &text, out)) return false;
  return true;
}
