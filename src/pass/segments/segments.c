#include "pass/segments/segments.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/map.h"
#include "base/math.h"
#include "ir/packed.h"
#include "op/core/local.h"

enum { MAX_SEGMENTS = 16, MAX_CUTS = 8 /* nodes between product and reader */ };

/* Elements first .. first + count - 1 of the columns of a product, and who
 * takes them: result `out` of a node that copies, or operand `out` of one that
 * has them laid end to end. */
typedef struct segment {
  int64_t first, count;
  gs_node *node;
  int out;
  bool joined;
  int index; /* in the order of the columns */
} segment;

typedef struct cutter {
  gs_graph *g;
  gs_arena *tmp;
  gs_uses uses;
  gs_map part; /* "value dim first count" -> the part of a constant */
  int n;
  segment segment[MAX_SEGMENTS];
  int dim; /* of the product that is cut */
  gs_err *e;
} cutter;

/* ---- who reads segments ---- */

static bool add(cutter *c, int dim, segment s) {
  if (c->n == MAX_SEGMENTS || (c->n && c->dim != dim)) return false;
  c->dim = dim;
  c->segment[c->n++] = s;
  return true;
}

/* The use that says what result k of n copies of a dim of operand 0; NULL
 * where that is no single run. */
static const gs_window_use *run_of(const gs_rule *r, int k) {
  const gs_window_use *found = NULL;
  for (int i = 0; i < r->nuse; i++) {
    const gs_window_use *u = &r->use[i];
    if (u->out != k) continue;
    const gs_reach *e = &u->reach;
    if (found || u->in || !u->copies || e->num != 1 || e->den != 1 ||
        e->first != e->last || e->first < 0)
      return NULL;
    found = u;
  }
  return found;
}

static bool same_beside(const gs_value *a, const gs_value *b, int dim) {
  if (a->rank != b->rank) return false;
  for (int d = 0; d < a->rank; d++)
    if (d != dim && a->dims[d] != b->dims[d]) return false;
  return true;
}

/* The results of n, if they are runs of elements of its operand 0. */
static bool add_copies(cutter *c, gs_node *n) {
  gs_rule r;
  for (int i = 1; i < n->nin; i++)
    if (n->in[i] && !n->in[i]->constant) return false;
  if (gs_rule_of(c->tmp, n, &r, NULL)) return false;
  for (int k = 0; k < n->nout; k++) {
    const gs_window_use *u = n->out[k] ? run_of(&r, k) : NULL;
    if (!n->out[k]) continue;
    if (!u || !same_beside(n->in[0], n->out[k], u->dim)) return false;
    int64_t count = n->out[k]->dims[u->dim];
    if (count < 1 || u->reach.first + count > n->in[0]->dims[u->dim] ||
        !add(c, u->dim, (segment){u->reach.first, count, n, k, false, 0}))
      return false;
  }
  return c->n > 0;
}

/* The operands of n that lie in its operand 0, end to end along the last dim:
 * as many parts of it as the attributes say that its row names. */
static bool add_joined(cutter *c, gs_node *n) {
  const gs_value *y = n->in[0];
  int64_t part[MAX_SEGMENTS], all = 0, at = 0;
  int count = 0, last = y->rank - 1;
  if (last < 0) return false;
  for (const char *s = n->op->joined; *s && count < MAX_SEGMENTS;) {
    size_t length = strcspn(s, " ");
    char *name = gs_sprintf(c->tmp, "%.*s", (int)length, s);
    part[count] = gs_node_int(n, name, 0);
    if (part[count] < 1 || part[count] > y->dims[last] - all) return false;
    if (count && gs_node_in(n, count)) return false;
    all += part[count++];
    s += length + strspn(s + length, " ");
  }
  if (count > n->nin || y->dims[last] % all) return false;
  for (int k = 0; k < count; k++) {
    int64_t size = part[k] * (y->dims[last] / all);
    if (!add(c, last, (segment){at, size, n, k, true, 0})) return false;
    at += size;
  }
  return true;
}

/* Whether all that reads y are segments of it; they are in c->segment then. */
static bool find_segments(cutter *c, const gs_value *y) {
  c->n = 0;
  int first = c->uses.first[y->id], end = c->uses.first[y->id + 1];
  if (y->is_output || first == end) return false;
  for (int i = first; i < end; i++) {
    gs_node *n = c->uses.use[i].node;
    if (c->uses.use[i].index || !n->op) return false;
    bool ok = n->op->joined ? add_joined(c, n)
                            : (n->op->flags & GS_OP_MOVES) && add_copies(c, n);
    if (!ok) return false;
  }
  int64_t total = 0;
  for (int i = 0; i < c->n; i++) {
    total += c->segment[i].count;
    for (int k = 0; k < c->n; k++)
      c->segment[i].index += c->segment[k].first < c->segment[i].first;
  }
  return c->n > 1 && total <= y->dims[c->dim];
}

/* ---- what can be cut ---- */

/* The factor that is dim d of result 0 alone and passes; -1: none. */
static int passing(const gs_rule *r, int d) {
  const gs_dim_map *m = &r->out[0].dim[d];
  if (m->n != 1 || m->grown) return -1;
  return r->factor[m->f[0]].kind == GS_PASS ? m->f[0] : -1;
}

/* The dim of map t that is factor f alone; -1: f is not in it; -2: otherwise
 * than so. */
static int dim_of(const gs_tensor_map *t, int f) {
  int found = -1;
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++) {
      if (t->dim[d].f[i] != f) continue;
      if (found != -1 || t->dim[d].n != 1 || t->dim[d].grown) return -2;
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
    if (at == -2 || !can_cut(c, n->in[i], at, depth + 1, product))
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

static gs_value *part_of(cutter *c, gs_value *v, int d, const segment *s) {
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

/* The columns of s of dim d of y, made by nodes as those that make y. */
static gs_status cut(cutter *c, gs_value *y, int d, const segment *s,
                     gs_value **out) {
  if (y->constant) {
    *out = part_of(c, y, d, s);
    return GS_OK;
  }
  const gs_mesh none = {0};
  const gs_node *n = y->def;
  gs_rule r;
  GS_TRY(gs_rule_of(c->tmp, n, &r, c->e));
  int f = passing(&r, d);
  int64_t *dims = gs_memdup(c->tmp, y->dims, (size_t)y->rank * sizeof *dims);
  gs_sharding *whole = gs_sharding_new(c->tmp, y->rank, false);
  gs_local l = {.node = n, .rule = &r, .program = c->g, .mesh = &none,
                .nstage = 1, .stage = {{.reduce = n->op->combine}},
                .out = out, .out_dims = &dims, .out_sharding = &whole};
  l.factor = GS_NEWS(c->tmp, r.nfactor + 1, gs_axes);
  l.in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
  gs_form *held = GS_NEWS(c->tmp, n->nin + 1, gs_form);
  l.held = held;
  gs_assert(f >= 0);
  dims[d] = s->count;
  for (int i = 0; i < n->nin; i++) {
    if (!(l.in[i] = n->in[i])) continue;
    held[i] = gs_form_of(gs_sharding_new(c->tmp, n->in[i]->rank, false));
    int at = dim_of(&r.in[i], f);
    if (at >= 0) GS_TRY(cut(c, n->in[i], at, s, &l.in[i]));
  }
  int first = c->g->node.n;
  if (n->op->local) GS_TRY(n->op->local(&l, c->e));
  else gs_local_same(&l);
  gs_assert(*out && (*out)->dims[d] == s->count);
  (*out)->name = part_name(c, y->name, s->index);
  for (int i = first; i < c->g->node.n; i++) {
    c->g->node.at[i]->origin = n->origin;
    c->g->node.at[i]->stage = n->stage;
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
static void give(const segment *s, gs_value *y) {
  if (s->joined) {
    s->node->in[s->out] = y;
    return;
  }
  gs_value *was = s->node->out[s->out];
  s->node->out[s->out] = NULL;
  gs_node_output(y->def, 0, was);
}

/* Cuts the result of node number `at` where that is possible; true: it was. */
static gs_status cut_product(cutter *c, int at, bool *done) {
  gs_node *n = c->g->node.at[at];
  gs_value *y = gs_node_out(n, 0);
  bool product = false;
  *done = false;
  if (!n->op || !y || n->nout != 1 || gs_value_dynamic(y) ||
      !find_segments(c, y) || !can_cut(c, y, c->dim, 0, &product) || !product)
    return GS_OK;
  int first = c->g->node.n;
  gs_value *part[MAX_SEGMENTS];
  for (int i = 0; i < c->n; i++)
    GS_TRY(cut(c, y, c->dim, &c->segment[i], &part[i]));
  for (int i = 0; i < c->n; i++) give(&c->segment[i], part[i]);
  move_nodes(c->g, first, at, c->tmp);
  *done = true;
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
