#include "pass/segments/segments.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/map.h"
#include "base/math.h"
#include "ir/packed.h"
#include "op/core/local.h"
#include "pass/segments/segments_impl.h"

enum { MAX_CUTS = 8 /* nodes that make a product of its constants */ };

typedef struct cutter {
  gs_graph *g;
  gs_arena *tmp;
  gs_uses uses;
  gs_map part; /* "value dim first count" -> the part of a constant */
  gs_segments segment;
  gs_err *e;
} cutter;

/* ---- what can be cut ---- */

/* The factor that is dim d of result 0 alone and passes; -1: none. */
static int passing(const gs_rule *r, int d) {
  const gs_dim_map *m = &r->out[0].dim[d];
  if (m->n != 1 || m->grown) return -1;
  return r->factor[m->f[0]].kind == GS_PASS ? m->f[0] : -1;
}

/* The dim of map t that is factor f, or the major part of which it is; -1: f is
 * not in it; -2: otherwise than so. */
static int dim_of(const gs_tensor_map *t, int f) {
  int found = -1;
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++) {
      if (t->dim[d].f[i] != f) continue;
      if (found != -1 || i || t->dim[d].grown) return -2;
      found = d;
    }
  return found;
}

static bool may_repeat(const gs_node *n) {
  const unsigned no = GS_OP_RANDOM | GS_OP_MESH | GS_OP_DYNAMIC |
                      GS_OP_COLLECTIVE | GS_OP_ENTRY | GS_OP_EXIT;
  return n->op && !(n->op->flags & no) && !n->rule && !gs_node_has_region(n) &&
         !gs_node_dynamic(n) && n->nout == 1 && n->out[0];
}

static bool sums(const gs_rule *r, int k) {
  for (int d = 0; d < r->in[k].rank; d++)
    for (int i = 0; i < r->in[k].dim[d].n; i++)
      if (r->factor[r->in[k].dim[d].f[i]].kind == GS_SUMMED) return true;
  return false;
}

/* Whether dim d of y can be cut where it is made; *product: of a node on the
 * way a constant is cut that is multiplied with what comes in. */
static bool can_cut(cutter *c, const gs_value *y, int d, int depth,
                    bool *product) {
  if (y->constant)
    return !gs_dtype_packed(y->dtype) && y->dtype != GS_STRING;
  const gs_node *n = y->def;
  int readers = c->uses.first[y->id + 1] - c->uses.first[y->id];
  gs_rule r;
  if (!n || depth == MAX_CUTS || !may_repeat(n) || y->is_output ||
      (depth && readers != 1) || gs_rule_of(c->tmp, n, &r, NULL) || r.nuse)
    return false;
  int f = passing(&r, d), cuts = 0;
  for (int i = 0; i < r.nin && f >= 0; i++) {
    int at = gs_node_in(n, i) ? dim_of(&r.in[i], f) : -1;
    if (at == -1) continue;
    if (at == -2 || (r.in[i].dim[at].n > 1 && !n->in[i]->constant) ||
        !can_cut(c, n->in[i], at, depth + 1, product))
      return false;
    cuts++;
    if (n->in[i]->constant && sums(&r, i)) *product = true;
  }
  return f >= 0 && cuts;
}

/* ---- cutting ---- */

/* The name of part number `index` of what has that name. */
static const char *part_name(cutter *c, const char *name, int index) {
  char *made = gs_sprintf(c->g->arena, "%s:%d", name, index);
  while (gs_graph_find(c->g, made)) made = gs_sprintf(c->g->arena, "%s'", made);
  return made;
}

static gs_value *part_of(cutter *c, gs_value *v, int d, const gs_segment *s) {
  char *key = gs_sprintf(c->tmp, "%d %d %lld %lld", v->id, d,
                         (long long)s->first, (long long)s->count);
  gs_value *part = gs_map_get(&c->part, key);
  if (part) return part;
  gs_tensor *t =
      gs_tensor_part(c->g->arena, v->constant, d, s->first, s->count);
  if (!t->part_of || !*t->part_of) t->part_of = v->name;
  t->name = part_name(c, v->name, s->index);
  part = gs_value_constant(c->g, t->name, t);
  gs_map_put(&c->part, key, part);
  return part;
}

/* As n, with result 0 of `count` places in dim d, of operands in (those of n
 * where they are NULL).  The name of the result is free. */
static gs_status make(cutter *c, const gs_node *n, const gs_rule *r,
                      gs_value *const *in, int d, int64_t count,
                      gs_value **out) {
  const gs_mesh none = {0};
  const gs_value *y = n->out[0];
  int64_t *dims = gs_memdup(c->tmp, y->dims, (size_t)y->rank * sizeof *dims);
  gs_sharding *whole = gs_sharding_new(c->tmp, y->rank, false);
  gs_local l = {.node = n, .rule = r, .program = c->g, .mesh = &none,
                .nstage = 1, .stage = {{.reduce = n->op->combine}},
                .out = out, .out_dims = &dims, .out_sharding = &whole};
  l.factor = GS_NEWS(c->tmp, r->nfactor + 1, gs_axes);
  l.in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
  gs_form *held = GS_NEWS(c->tmp, n->nin + 1, gs_form);
  l.held = held;
  dims[d] = count;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    l.in[i] = in[i] ? in[i] : n->in[i];
    held[i] = gs_form_of(gs_sharding_new(c->tmp, n->in[i]->rank, false));
  }
  int first = c->g->node.n;
  if (n->op->local) GS_TRY(n->op->local(&l, c->e));
  else gs_local_same(&l);
  gs_assert(*out && (*out)->dims[d] == count);
  for (int i = first; i < c->g->node.n; i++) {
    c->g->node.at[i]->origin = n->origin;
    c->g->node.at[i]->module = n->module;
    c->g->node.at[i]->stage = n->stage;
  }
  return GS_OK;
}

/* The columns of s of dim d of y, made by nodes as those that make y. */
static gs_status cut(cutter *c, gs_value *y, int d, const gs_segment *s,
                     gs_value **out) {
  if (y->constant) {
    *out = part_of(c, y, d, s);
    return GS_OK;
  }
  const gs_node *n = y->def;
  gs_rule r;
  GS_TRY(gs_rule_of(c->tmp, n, &r, c->e));
  int f = passing(&r, d);
  gs_assert(f >= 0);
  gs_value **in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
  for (int i = 0; i < n->nin; i++) {
    int at = n->in[i] ? dim_of(&r.in[i], f) : -1;
    if (at < 0) continue;
    int64_t inner = n->in[i]->dims[at] / y->dims[d]; /* of flat scales */
    gs_segment of = *s;
    of.first *= inner;
    of.count *= inner;
    GS_TRY(cut(c, n->in[i], at, &of, &in[i]));
  }
  GS_TRY(make(c, n, &r, in, d, s->count, out));
  (*out)->name = part_name(c, y->name, s->index);
  return GS_OK;
}

/* The columns y of s, after the nodes between product and reader. */
static gs_status follow(cutter *c, const gs_segment *s, gs_value **y) {
  for (int i = 0; i < s->nvia; i++) {
    const gs_via *v = &s->via[i];
    const gs_node *n = v->node;
    gs_rule r;
    GS_TRY(gs_rule_of(c->tmp, n, &r, c->e));
    gs_value **in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
    in[0] = *y;
    GS_TRY(make(c, n, &r, in, v->dim, s->count / v->unit, y));
    (*y)->name = part_name(c, n->out[0]->name, s->index);
  }
  return GS_OK;
}

/* Moves the nodes from number `first` on in front of those from `at` on. */
static void move_nodes(gs_graph *g, int first, int at, gs_arena *tmp) {
  int n = g->node.n - first, later = first - at;
  gs_node **made = gs_memdup(tmp, g->node.at + first,
                             (size_t)n * sizeof *made);
  memmove(g->node.at + at + n, g->node.at + at,
          (size_t)later * sizeof *g->node.at);
  memcpy(g->node.at + at, made, (size_t)n * sizeof *made);
}

/* Gives what is cut to who takes it; what nobody reads is pruned. */
static gs_status give(cutter *c, const gs_segment *s, gs_value *y) {
  if (s->how == GS_TAKEN_COPY) {
    gs_value *was = s->node->out[s->at];
    s->node->out[s->at] = NULL;
    gs_node_output(y->def, 0, was);
    return GS_OK;
  }
  s->node->in[s->at] = y;
  if (s->how == GS_TAKEN_JOINED) return GS_OK;
  const gs_tensor *was = s->node->in[1]->constant;
  gs_tensor *zero;
  GS_TRY(gs_tensor_new(c->g->arena, was->dtype, was->rank, was->dims, &zero,
                       c->e));
  zero->name = part_name(c, s->node->in[1]->name, 0);
  s->node->in[1] = gs_value_constant(c->g, zero->name, zero);
  return GS_OK;
}

/* Cuts dim d of the result of node number `at` where that is possible; true: it
 * was. */
static gs_status cut_dim(cutter *c, int at, int d, bool *done) {
  gs_value *y = c->g->node.at[at]->out[0];
  bool product = false;
  if (!can_cut(c, y, d, 0, &product) || !product ||
      !gs_segments_find(c->tmp, &c->uses, y, d, &c->segment))
    return GS_OK;
  int first = c->g->node.n;
  gs_value *part[GS_MAX_SEGMENTS];
  for (int i = 0; i < c->segment.n; i++) {
    GS_TRY(cut(c, y, d, &c->segment.at[i], &part[i]));
    GS_TRY(follow(c, &c->segment.at[i], &part[i]));
  }
  for (int i = 0; i < c->segment.n; i++)
    GS_TRY(give(c, &c->segment.at[i], part[i]));
  move_nodes(c->g, first, at, c->tmp);
  *done = true;
  return GS_OK;
}

/* Cuts the result of node number `at` where that is possible; true: it was. */
static gs_status cut_product(cutter *c, int at, bool *done) {
  const gs_node *n = c->g->node.at[at];
  const gs_value *y = gs_node_out(n, 0);
  *done = false;
  if (!n->op || !y || n->nout != 1 || gs_value_dynamic(y)) return GS_OK;
  for (int d = y->rank - 1; d >= 0 && !*done; d--)
    GS_TRY(cut_dim(c, at, d, done));
  return GS_OK;
}

gs_status gs_pass_segments(gs_graph *g, int *count, gs_err *e) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  cutter *c = GS_NEW(&tmp, cutter);
  *c = (cutter){.g = g, .tmp = &tmp, .e = e, .uses = gs_graph_uses(&tmp, g)};
  gs_map_init(&c->part, &tmp);
  gs_status status = GS_OK;
  *count = 0;
  int n = g->node.n;
  gs_node **all = gs_memdup(&tmp, g->node.at, (size_t)n * sizeof *all);
  for (int i = 0, at = 0; i < n && !status; i++) {
    bool done;
    while (g->node.at[at] != all[i]) at++;
    status = cut_product(c, at, &done);
    *count += !status && done;
  }
  gs_arena_free(&tmp);
  GS_TRY(status);
  if (!*count) return GS_OK;
  gs_graph_prune(g);
  return gs_graph_check(g, e);
}
