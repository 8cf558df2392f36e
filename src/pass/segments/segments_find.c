/* Who reads segments of the columns of a product. */
#include <string.h>

#include "base/assert.h"
#include "pass/segments/segments_impl.h"

typedef struct finder {
  gs_arena *tmp;
  const gs_uses *uses;
  gs_segments *out;
  int nvia;
  gs_via via[GS_MAX_VIAS];
} finder;

/* Where the columns are: dim of v, and how many a place of it stands for. */
typedef struct where {
  const gs_value *v;
  int dim;
  int64_t unit;
} where;

/* Places first .. first + count - 1 of w, for what s says takes them. */
static bool add(finder *f, const where *w, int64_t first, int64_t count,
                gs_segment s) {
  if (f->out->n == GS_MAX_SEGMENTS) return false;
  s.first = first * w->unit;
  s.count = count * w->unit;
  s.nvia = f->nvia;
  memcpy(s.via, f->via, sizeof s.via);
  f->out->at[f->out->n++] = s;
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

/* The results of n, if they are runs of w. */
static bool add_copies(finder *f, const where *w, gs_node *n,
                       const gs_rule *r) {
  for (int k = 0; k < n->nout; k++) {
    const gs_window_use *u = n->out[k] ? run_of(r, k) : NULL;
    if (!n->out[k]) continue;
    if (!u || u->dim != w->dim || !same_beside(w->v, n->out[k], u->dim))
      return false;
    int64_t count = n->out[k]->dims[u->dim];
    if (count < 1 || u->reach.first + count > w->v->dims[u->dim] ||
        !add(f, w, u->reach.first, count,
             (gs_segment){.node = n, .at = k, .how = GS_TAKEN_COPY}))
      return false;
  }
  return true;
}

/* The operands of n that lie in its operand 0, end to end along the last dim:
 * as many parts of it as the attributes say that its row names. */
static bool add_joined(finder *f, const where *w, gs_node *n) {
  int64_t part[GS_MAX_SEGMENTS], all = 0, at = 0;
  int count = 0, last = w->v->rank - 1;
  if (w->dim != last) return false;
  for (const char *s = n->op->joined; *s && count < GS_MAX_SEGMENTS;) {
    size_t length = strcspn(s, " ");
    char *name = gs_sprintf(f->tmp, "%.*s", (int)length, s);
    part[count] = gs_node_int(n, name, 0);
    if (part[count] < 1 || part[count] > w->v->dims[last] - all) return false;
    if (count && gs_node_in(n, count)) return false;
    all += part[count++];
    s += length + strspn(s + length, " ");
  }
  if (count > n->nin || w->v->dims[last] % all) return false;
  for (int k = 0; k < count; k++) {
    int64_t size = part[k] * (w->v->dims[last] / all);
    if (!add(f, w, at, size,
             (gs_segment){.node = n, .at = k, .how = GS_TAKEN_JOINED}))
      return false;
    at += size;
  }
  return true;
}

/* The place of w that n looks up, if its one index is constant. */
static bool add_index(finder *f, const where *w, gs_node *n) {
  const gs_index *x = &n->op->index;
  const gs_value *i = gs_node_in(n, 1);
  if (x->kind != GS_INDEX_AXIS || x->operand != 1 || x->of || n->nin != 2)
    return false;
  int64_t axis = gs_node_int(n, "axis", 0), at, size = w->v->dims[w->dim];
  if (!i->constant || i->rank > 1 || (axis < 0 ? axis + w->v->rank : axis) !=
                                         w->dim ||
      gs_tensor_ints(i->constant, &at, 1) != 1)
    return false;
  if (at < 0) at += size;
  return at >= 0 && at < size &&
         add(f, w, at, 1, (gs_segment){.node = n, .how = GS_TAKEN_INDEX});
}

/* The dim of result 0 that is dim d of operand 0, or the major part of it: that
 * has some of its factors from the first on, and no others.  -1: none. */
static int passed_to(const gs_rule *r, int d) {
  const gs_dim_map *from = &r->in[0].dim[d];
  for (int o = 0; o < r->out[0].rank; o++) {
    const gs_dim_map *to = &r->out[0].dim[o];
    if (!to->n || to->n > from->n || to->f[0] != from->f[0]) continue;
    for (int i = 0; i < to->n; i++)
      if (to->f[i] != from->f[i] || r->factor[to->f[i]].kind != GS_PASS)
        return -1;
    return from->grown || to->grown ? -1 : o;
  }
  return -1;
}

static bool find(finder *f, const where *w);

/* What reads the result of n, which only moves elements. */
static bool pass_through(finder *f, const where *w, gs_node *n,
                         const gs_rule *r) {
  const gs_value *y = n->out[0];
  int d = r->nuse || n->nout != 1 ? -1 : passed_to(r, w->dim);
  if (d < 0 || f->nvia == GS_MAX_VIAS || y->dims[d] < 1) return false;
  int64_t unit = w->unit * (w->v->dims[w->dim] / y->dims[d]);
  f->via[f->nvia++] = (gs_via){n, d, unit};
  bool ok = find(f, &(where){y, d, unit});
  f->nvia--;
  return ok;
}

/* Whether n looks at no element of its operands but the first, and not at a
 * dim of that but as constants say. */
static bool moves(const gs_node *n) {
  if (!(n->op->flags & (GS_OP_MOVES | GS_OP_VIEW))) return false;
  for (int i = 1; i < n->nin; i++)
    if (n->in[i] && !n->in[i]->constant) return false;
  return true;
}

static bool add_reader(finder *f, const where *w, gs_node *n) {
  gs_rule r;
  if (n->op->joined) return add_joined(f, w, n);
  if (!moves(n)) return false;
  if (add_index(f, w, n)) return true;
  if (gs_rule_of(f->tmp, n, &r, NULL)) return false;
  return r.nuse ? add_copies(f, w, n, &r) : pass_through(f, w, n, &r);
}

static bool find(finder *f, const where *w) {
  int first = f->uses->first[w->v->id], end = f->uses->first[w->v->id + 1];
  if (w->v->is_output || first == end) return false;
  for (int i = first; i < end; i++) {
    const gs_use *u = &f->uses->use[i];
    if (u->index || !u->node->op || !gs_node_out(u->node, 0) ||
        !add_reader(f, w, u->node))
      return false; /* also where a cut has taken the node's result over */
  }
  return true;
}

bool gs_segments_find(gs_arena *tmp, const gs_uses *uses, const gs_value *y,
                      int d, gs_segments *out) {
  finder f = {.tmp = tmp, .uses = uses, .out = out};
  int64_t total = 0;
  out->n = 0;
  gs_assert(d >= 0 && d < y->rank);
  if (!find(&f, &(where){y, d, 1})) return false;
  for (int i = 0; i < out->n; i++) {
    total += out->at[i].count;
    for (int k = 0; k < out->n; k++)
      out->at[i].index += out->at[k].first < out->at[i].first;
  }
  return out->n > 1 && total <= y->dims[d];
}

bool gs_segments_taken(gs_arena *tmp, const gs_value *v, int d, gs_node *n,
                       gs_segments *out) {
  finder f = {.tmp = tmp, .out = out};
  where w = {v, d, 1};
  gs_rule r;
  out->n = 0;
  gs_assert(n->nin && n->in[0] == v && d >= 0 && d < v->rank);
  if (!n->op || !gs_node_out(n, 0)) return false;
  if (n->op->joined) return add_joined(&f, &w, n);
  if (!moves(n)) return false;
  if (add_index(&f, &w, n)) return true;
  return !gs_rule_of(tmp, n, &r, NULL) && r.nuse && add_copies(&f, &w, n, &r);
}
