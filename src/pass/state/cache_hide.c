/* What is not filled of a cache is hidden from what looks at several places. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "op/core/op.h"
#include "pass/state/cache_live.h"
#include "pass/state/cache_size.h"

typedef struct hider {
  gs_arena *a;
  gs_graph *g, *larger;
  const gs_states *s;
  gs_cache *c;
  gs_value *limit; /* how many places are filled after the run */
  gs_map keep;     /* "size:dims behind" -> gs_value: whether it is filled */
  bool *zero;      /* [values] that are 0 in what is not filled */
  int nvalue;      /* of those */
  gs_live live;    /* what is computed from how much is filled */
  gs_err *e;
} hider;

static gs_status refuse(hider *h, const gs_node *n, const char *text) {
  gs_fail(h->e, GS_UNSUPPORTED, gs_node_place(h->a, n), "%s", text);
  gs_err_hint(h->e, "without size: in the spec the cache is an input that "
                    "grows");
  return GS_UNSUPPORTED;
}

/* ---- what depends on the size ---- */

static const gs_value *twin(const hider *h, const gs_value *v) {
  return gs_live_twin(&h->live, v);
}

static bool is_size(const hider *h, int64_t n) {
  for (int i = 0; i < h->s->n; i++)
    if (h->s->at[i].size && h->s->at[i].size == n) return true;
  return false;
}

/* Whether dim d of v grows with the size. */
static bool grows(const hider *h, const gs_value *v, int d) {
  const gs_value *w = twin(h, v);
  return w && w->rank == v->rank && w->dims[d] != v->dims[d];
}

static bool any_grows(const hider *h, const gs_value *v) {
  for (int d = 0; v && d < v->rank; d++)
    if (grows(h, v, d)) return true;
  return false;
}

/* Dims that grow do so by one place. */
static gs_status check_dims(hider *h, const gs_node *n, const gs_value *v) {
  const gs_value *w = twin(h, v);
  if (!v) return GS_OK;
  bool same = w && w->rank == v->rank && w->dtype == v->dtype;
  for (int d = 0; same && d < v->rank; d++)
    same = w->dims[d] == v->dims[d] ||
           (w->dims[d] == v->dims[d] + 1 && is_size(h, v->dims[d]));
  if (same) return GS_OK;
  const char *shape = gs_shape_text(h->a, v->dtype, v->rank, v->dims);
  return refuse(h, n, gs_sprintf(h->a, "'%s' is %s, of which a dim depends on "
                                 "the size of the cache, and is another one",
                                 v->name, shape));
}

/* ---- hiding ---- */

static gs_node *new_node(hider *h, const char *type, int nin, gs_dtype dtype,
                         int rank, const int64_t *dims, const char *name) {
  gs_node *n = gs_node_new(h->g, "", type, "", nin, 1);
  n->op = gs_op_find("", type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->origin = h->c->filled->name;
  gs_node_output(n, 0, gs_value_new(h->g, name, dtype, rank, dims));
  return n;
}

/* bool[size, 1, ...] with `behind` dims of 1: which places are filled. */
static gs_value *kept(hider *h, int64_t size, int behind) {
  char *key = gs_sprintf(h->a, "%lld:%d", (long long)size, behind);
  gs_value *v = gs_map_get(&h->keep, key);
  if (v) return v;
  int64_t *index = GS_NEWS(h->g->arena, size, int64_t);
  int64_t *dims = GS_NEWS(h->g->arena, behind + 1, int64_t);
  for (int64_t i = 0; i < size; i++) index[i] = i;
  for (int d = 1; d <= behind; d++) dims[d] = 1;
  dims[0] = size;
  gs_tensor *t = GS_NEW(h->g->arena, gs_tensor);
  *t = (gs_tensor){.dtype = GS_INT64, .rank = behind + 1, .dims = dims,
                   .data = index, .nbytes = (uint64_t)size * sizeof *index};
  int from = h->g->node.n;
  gs_node *less = new_node(h, "Less", 2, GS_BOOL, behind + 1, dims,
                           h->c->filled->name);
  less->in[0] = gs_value_constant(h->g, h->c->filled->name, t);
  less->in[1] = h->limit;
  gs_graph_move_nodes(h->g, from, h->limit->def->id + 1);
  gs_map_put(&h->keep, gs_strdup(h->g->arena, key), less->out[0]);
  return less->out[0];
}

/* A number of this type and no dims: 0, or -inf (false). */
static gs_value *number(hider *h, gs_dtype dtype, bool low) {
  gs_tensor *t = GS_NEW(h->g->arena, gs_tensor);
  uint64_t bits = 0;
  if (low && dtype == GS_FLOAT) bits = 0xFF800000u;
  if (low && dtype == GS_DOUBLE) bits = UINT64_C(0xFFF0000000000000);
  if (low && dtype == GS_FLOAT16) bits = 0xFC00;
  if (low && dtype == GS_BFLOAT16) bits = 0xFF80;
  *t = (gs_tensor){.dtype = dtype,
                   .nbytes = (uint64_t)gs_dtype_get((int)dtype)->bits / 8,
                   .dims = GS_NEWS(h->g->arena, 1, int64_t),
                   .data = gs_memdup(h->g->arena, &bits, sizeof bits)};
  return gs_value_constant(h->g, h->c->filled->name, t);
}

/* x where places of its dim d, of `size`, are filled, else `other`. */
static gs_value *hidden(hider *h, const gs_node *reader, gs_value *x, int d,
                        int64_t size, gs_value *other) {
  gs_value *keep = kept(h, size, x->rank - 1 - d);
  int64_t *dims = GS_NEWS(h->a, x->rank + 1, int64_t);
  for (int i = 0; i < x->rank; i++) dims[i] = i == d ? size : x->dims[i];
  int from = h->g->node.n;
  gs_node *where = new_node(h, "Where", 3, x->dtype, x->rank, dims,
                            gs_sprintf(h->g->arena, "%s.filled", x->name));
  where->in[0] = keep;
  where->in[1] = x;
  where->in[2] = other;
  gs_graph_move_nodes(h->g, from, reader->id);
  return where->out[0];
}

/* The operand of n from which elements are taken away; an attention that has
 * none gets one. */
static gs_value *fading(hider *h, gs_node *n, int k, gs_dtype dtype) {
  static const int64_t ones[] = {1, 1};
  if (gs_node_in(n, k)) return n->in[k];
  gs_value *zero = number(h, dtype, false);
  gs_tensor *t = gs_memdup(h->g->arena, zero->constant, sizeof *t);
  t->rank = 2;
  t->dims = ones;
  if (n->nin <= k) {
    gs_value **in = GS_NEWS(h->g->arena, k + 1, gs_value *);
    memcpy(in, n->in, (size_t)n->nin * sizeof *in);
    n->in = in;
    n->nin = k + 1;
  }
  return gs_value_constant(h->g, h->c->filled->name, t);
}

/* Takes the places that are not filled out of n, along dim d of operand k. */
static gs_status fade(hider *h, gs_node *n, int k, int d) {
  int f = n->op->fades - 1;
  gs_value *x = fading(h, n, f, n->in[0]->dtype);
  int at = k == f ? d : x->rank - 1;
  gs_value *low = number(h, x->dtype, true);
  n->in[f] = hidden(h, n, x, at, n->in[k]->dims[d], low);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && n->out[i]->id < h->nvalue) h->zero[n->out[i]->id] = true;
  return GS_OK;
}

/* Whether factor f, which is summed, adds nothing of what is not filled: one of
 * the factors of the product is 0 there. */
static gs_status cancel(hider *h, gs_node *n, const gs_rule *r, int f) {
  int first = -1, dim = -1;
  for (int k = 0; k < n->nin; k++)
    for (int d = 0; n->in[k] && d < r->in[k].rank; d++) {
      if (r->in[k].dim[d].n != 1 || r->in[k].dim[d].f[0] != f) continue;
      if (n->in[k]->id >= h->nvalue || h->zero[n->in[k]->id]) return GS_OK;
      if (first >= 0) continue;
      first = k;
      dim = d;
    }
  gs_assert(first >= 0);
  gs_value *x = n->in[first];
  n->in[first] = hidden(h, n, x, dim, x->dims[dim], number(h, x->dtype, false));
  return GS_OK;
}

/* ---- nodes ---- */

/* Whether n makes the present of a past that it reads. */
static bool keeps_cache(const hider *h, const gs_node *n) {
  for (int i = 0; i < h->s->n; i++) {
    const gs_state *s = &h->s->at[i];
    if (s->size && h->g->output.at[s->out]->def == n) return true;
  }
  return false;
}

/* The factor of dim d, which grows. */
static int factor_of(const gs_rule *r, const gs_tensor_map *t, int d) {
  int found = -1;
  for (int i = 0; i < t->dim[d].n; i++) {
    if (r->factor[t->dim[d].f[i]].size == 1) continue;
    if (found >= 0) return -1;
    found = t->dim[d].f[i];
  }
  return found;
}

/* Whether v is what `fade` has put in the place of an operand. */
static bool is_hidden(const hider *h, const gs_value *v) {
  return v && v->id >= h->nvalue && !twin(h, v);
}

/* What n makes of dim d of operand k. */
static gs_status read_dim(hider *h, gs_node *n, const gs_rule *r, int k,
                          int d) {
  int f = factor_of(r, &r->in[k], d);
  gs_factor_kind kind = f < 0 ? GS_WHOLE : r->factor[f].kind;
  if (kind == GS_PASS) return GS_OK;
  /* of places up to its own, which are filled where that is */
  if (kind == GS_SCAN && !gs_node_int(n, "reverse", 0)) return GS_OK;
  if (kind == GS_SUMMED && n->op->flags & GS_OP_PRODUCT)
    return cancel(h, n, r, f);
  if (n->op->fades && n->op->fades - 1 == k) return fade(h, n, k, d);
  gs_value *from = n->op->fades ? gs_node_in(n, n->op->fades - 1) : NULL;
  bool masked = any_grows(h, from) || is_hidden(h, from);
  if (n->op->fades && kind == GS_STATS)
    return masked ? GS_OK : fade(h, n, k, d);
  return refuse(h, n, gs_sprintf(h->a, "what is not filled of the cache cannot "
                                 "be hidden from it: it reads dim %d of '%s' "
                                 "as a whole", d, n->in[k]->name));
}

/* Operands and results that are as large as a cache, in a node of which
 * nothing is known. */
static gs_status read_unknown(hider *h, const gs_node *n) {
  for (int i = 0; i < n->nin + n->nout; i++) {
    const gs_value *v = i < n->nin ? n->in[i] : n->out[i - n->nin];
    if (any_grows(h, v) || (i < n->nin && gs_live_differs(&h->live, v)))
      return refuse(h, n, gs_sprintf(h->a, "it reads or makes '%s', which is "
                                     "as large as the cache", v->name));
  }
  return GS_OK;
}

/* A dim of a result that grows: of one that does so, or of repeated elements,
 * or a part that begins at the same place. */
static gs_status check_results(hider *h, const gs_node *n, bool alike) {
  bool from = false;
  for (int k = 0; k < n->nin; k++) from = from || any_grows(h, n->in[k]);
  for (int i = 0; i < n->nout; i++) {
    GS_TRY(check_dims(h, n, n->out[i]));
    if (any_grows(h, n->out[i]) && !from && !alike)
      return refuse(h, n, gs_sprintf(h->a, "'%s' is as large as the cache, and "
                                     "other elements with a larger one",
                                     n->out[i]->name));
  }
  return GS_OK;
}

/* Lets n read what its operand k, a constant of the last run, is in each. */
static gs_status follow(hider *h, gs_node *n, int k) {
  gs_value *x = n->in[k], *y = gs_live_value(&h->live, x);
  gs_err none;
  gs_err_init(&none);
  if (y) n->in[k] = y;
  bool good = y && !gs_shape_try(h->g, n, &none) && !gs_node_dynamic(n);
  gs_err_free(&none);
  if (good) return GS_OK;
  return refuse(h, n, gs_sprintf(h->a, "it computes with '%s', which depends "
                                 "on the size of the cache", x->name));
}

static gs_status read_node(hider *h, gs_node *n) {
  const gs_value *w = NULL;
  for (int i = 0; i < n->nout && !w; i++) w = twin(h, n->out[i]);
  gs_node *other = w ? w->def : NULL;
  if (keeps_cache(h, n)) return GS_OK;
  if (!n->op || gs_node_has_region(n) || n->dynamic || !other ||
      other->nin != n->nin)
    return read_unknown(h, n);
  gs_rule r, more;
  GS_TRY(gs_rule_of(h->a, n, &r, h->e));
  GS_TRY(gs_rule_of(h->a, other, &more, h->e));
  bool alike = gs_cache_same_rule(&r, &more);
  GS_TRY(check_results(h, n, alike));
  const gs_value *first = gs_node_in(n, 0);
  bool zero = first && first->id < h->nvalue && h->zero[first->id];
  int nin = n->nin;
  gs_value **in = gs_memdup(h->a, n->in, (size_t)nin * sizeof *in);
  for (int k = 0; k < nin; k++) {
    GS_TRY(check_dims(h, n, in[k]));
    if (gs_live_differs(&h->live, in[k]) &&
        !gs_cache_says_shape(h->larger, n, other, k, alike))
      GS_TRY(follow(h, n, k));
  }
  for (int k = 0; k < nin; k++)
    for (int d = 0; in[k] && gs_op_reads(n->op, k) && d < in[k]->rank; d++)
      if (in[k]->id < h->nvalue && grows(h, in[k], d))
        GS_TRY(read_dim(h, n, &r, k, d));
  bool passes = n->op->flags & (GS_OP_VIEW | GS_OP_VALUES) ||
                gs_node_linear(n, 0);
  if (zero && passes && n->out[0])
    h->zero[n->out[0]->id] = true;
  return GS_OK;
}

/* ---- the pass ---- */

/* How many places a run fills: as many as each cache gets. */
static gs_status find_step(hider *h, gs_states *s) {
  s->step = 0;
  for (int i = 0; i < s->n; i++) {
    const gs_value *y = h->g->output.at[s->at[i].out];
    const gs_node *n = y->def;
    if (!s->at[i].size || !n || n->nin != 3 || !n->in[2]->def ||
        n->in[2]->def->in[0] != h->c->filled)
      continue;
    int64_t axis = gs_node_int(n, "axis", -2);
    int64_t step = n->in[1]->dims[axis < 0 ? axis + y->rank : axis];
    if (!s->step) s->step = step;
    if (s->step != step)
      return refuse(h, n, gs_sprintf(h->a, "a run fills %lld places of '%s', "
                                     "but %lld of another cache",
                                     (long long)step, y->name,
                                     (long long)s->step));
  }
  gs_assert(!h->c->past.n || s->step == h->c->step);
  return GS_OK;
}

/* limit = filled + step */
static void make_limit(hider *h, int64_t step) {
  int64_t one = 1;
  int from = h->g->node.n;
  gs_node *n = new_node(h, "Add", 2, GS_INT64, 1, &one, h->c->filled->name);
  n->in[0] = h->c->filled;
  n->in[1] = gs_value_ints(h->g, h->c->filled->name, &step, 1);
  gs_graph_move_nodes(h->g, from, 0);
  h->limit = n->out[0];
}

/* Puts what bind has into the bindings of the larger graph.  along: dims that
 * are bound to a size are those of a cache. */
static gs_status bind_larger(hider *h, const gs_bindings *bind, bool along) {
  for (int i = 0; i < bind->map.n; i++) {
    const char *name = bind->map.entry[i].key;
    int64_t n, more;
    gs_bindings_get(bind, name, &n);
    bool known = gs_bindings_get(&h->c->bind, name, &more);
    if (known && (!along || more != n || !is_size(h, n))) continue;
    GS_TRY(gs_bindings_put(&h->c->bind, name, n + (along && known), h->e));
  }
  return GS_OK;
}

/* Inputs that are as long as the cache (a mask) have a dim of their own that is
 * bound to its size; whether it has to grow too, only inference can tell. */
static gs_status infer_larger(hider *h, const gs_bindings *bind) {
  gs_err mine;
  gs_graph *again = gs_graph_copy(h->a, h->larger);
  gs_value **more = gs_memdup(h->a, again->value.at,
                              (size_t)again->value.n * sizeof *more);
  GS_TRY(bind_larger(h, bind, false));
  gs_err_init(&mine);
  gs_status s = gs_pass_infer(h->a, h->larger, &h->c->bind, &mine);
  if (s) {
    gs_err none;
    GS_TRY(bind_larger(h, bind, true));
    gs_err_init(&none);
    if (!gs_pass_infer(h->a, again, &h->c->bind, &none)) {
      s = GS_OK;
      h->larger = h->c->larger = again;
      h->c->more = more;
    }
    gs_err_free(&none);
  }
  if (s)
    gs_fail(h->e, s, NULL, "the model does not take a cache of another size: "
            "%s: %s", mine.diag[0].place ? mine.diag[0].place : "",
            mine.diag[0].text);
  gs_err_free(&mine);
  return s;
}

gs_status gs_pass_cache_hide(gs_arena *a, gs_graph *g, gs_states *s,
                             gs_cache *c, const gs_bindings *bind, gs_err *e) {
  if (!c->n) return GS_OK;
  hider h = {.a = a, .g = g, .larger = c->larger, .s = s, .c = c, .e = e};
  gs_map_init(&h.keep, g->arena);
  GS_TRY(infer_larger(&h, bind));
  GS_TRY(find_step(&h, s));
  h.nvalue = g->value.n;
  h.zero = GS_NEWS(a, h.nvalue + 1, bool);
  make_limit(&h, s->step);
  gs_live_init(&h.live, a, g, s, c, h.limit->def);
  int n = g->node.n;
  gs_node **node = GS_NEWS(a, n + 1, gs_node *);
  for (int i = 0; i < n; i++) node[i] = g->node.at[i];
  for (int i = 1; i < n; i++) GS_TRY(read_node(&h, node[i]));
  gs_graph_prune(g);
  return gs_graph_check(g, e);
}
