/* Operators of ONNX on parts of their tensors: rows of GS_OP_PLACED, whose
 * attribute `place` says which. */
#include "base/assert.h"
#include "base/math.h"
#include "op/core/shape.h"
#include "op/rule/rule.h"

gs_shape_fn gs_shape_placed, gs_shape_placed_alike;

static gs_status misfit(gs_graph *g, const gs_node *n, const char *what,
                        const gs_value *v, gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "'place' does not fit %s '%s' %s", what, v->name,
                 gs_shape_text(g->arena, v->dtype, v->rank, v->dims));
}

/* The placement, with as many operands and results as the node has. */
static gs_status placement_of(gs_graph *g, const gs_node *n,
                              const gs_placement **pl, gs_err *e) {
  const char *place = gs_node_place(g->arena, n);
  if (!gs_node_attr(n, "place"))
    return gs_fail(e, GS_DATA, place, "needs the attribute 'place'");
  *pl = gs_node_placement(n);
  if (!*pl)
    return gs_fail(e, GS_DATA, place, "%s",
                   g->mesh ? "'place' is not a placement on this mesh"
                           : "needs a mesh, and the graph has none");
  if ((*pl)->nin == n->nin && (*pl)->nout == n->nout) return GS_OK;
  return gs_fail(e, GS_DATA, place, "'place' has %d operands and %d results, "
                 "the node %d and %d", (*pl)->nin, (*pl)->nout, n->nin,
                 n->nout);
}

/* Whether a device holds as much of x as the operand has. */
static bool holds(const gs_mesh *m, const gs_extent *x, const gs_value *v) {
  if (x->rank != v->rank) return false;
  for (int d = 0; d < v->rank; d++)
    if (gs_form_range(m, x->form, d, x->dims[d]).length != v->dims[d])
      return false;
  return true;
}

/* The node whose part n is, with operands of the global shapes: of another
 * domain, or of a row that may run on whole tensors too. */
static gs_status whole_node(gs_graph *g, const gs_node *n,
                            const gs_placement *pl, gs_graph *to,
                            gs_node **out, gs_err *e) {
  bool own = !(n->op->flags & GS_OP_MESH);
  const gs_op *op = own ? n->op : gs_op_placed(n->op);
  gs_assert(op); /* table: others have the name of a row elsewhere */
  gs_node *w = *out = gs_node_new(to, op->domain, n->op_type, n->name, n->nin,
                                  n->nout);
  w->op = op;
  w->opset = w->op->since;
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind != GS_ATTR_PLACE) gs_node_set(to, w, &n->attr[i]);
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    const gs_extent *x = &pl->in[i];
    if (!v && x->form)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "'place' has operand %d, which is left out", i);
    if (!v) continue;
    if (x->form && !holds(g->mesh, x, v))
      return misfit(g, n, "operand", v, e);
    w->in[i] = gs_value_new(to, v->name, v->dtype, v->rank,
                            x->form ? x->dims : v->dims);
    if (!x->form) w->in[i]->constant = v->constant;
  }
  /* Sizes that only a run knows are those that the place declares. */
  for (int i = 0; i < n->nout; i++) {
    const gs_extent *y = &pl->out[i];
    const gs_value *v = n->out[i];
    if (v)
      gs_node_output(w, i, gs_value_new(to, v->name, GS_UNDEFINED,
                                        y->form ? y->rank : v->rank,
                                        y->form ? y->dims : v->dims));
  }
  return GS_OK;
}

/* Result i is what the device holds of the global one. */
static gs_status set_result(gs_graph *g, gs_node *n, int i,
                            const gs_value *whole, const gs_extent *x,
                            gs_err *e) {
  int64_t dims[GS_MAX_RANK];
  if (!x->form)
    return gs_shape_set(g, n, i, whole->dtype, whole->rank, whole->dims, e);
  if (x->rank != whole->rank || !gs_same_dims(x->dims, whole->dims, x->rank))
    return misfit(g, n, "result", whole, e);
  gs_form_local(g->mesh, x->form, x->dims, dims);
  return gs_shape_set(g, n, i, whole->dtype, x->rank, dims, e);
}

/* ---- parts that fit each other ---- */

/* Whether a dim of n elements here, of `all`, can be one of factors of which
 * size[] is here, -1: not known yet.  The one that is not is then found. */
static bool fits_dim(const gs_dim_map *m, int64_t n, int64_t all,
                     int64_t *size) {
  if (!m->n || m->grown) return n == all;
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < m->n; i++) {
    int f = m->f[i];
    if (size[f] >= 0) known *= size[f];
    else if (open >= 0) return true; /* others will tell */
    else open = f;
  }
  if (open < 0) return known == n;
  if (!known || n % known) return false;
  size[open] = n / known;
  return true;
}

static bool fits_tensor(const gs_tensor_map *map, const gs_value *here,
                        const gs_value *whole, int64_t *size) {
  for (int d = 0; here && d < map->rank; d++)
    if (!fits_dim(&map->dim[d], here->dims[d], whole->dims[d], size))
      return false;
  return true;
}

/* Of the rule of w: a factor that is whole is held whole, and of others all
 * dims hold as much. */
static gs_status check_alike(gs_graph *g, const gs_node *n, const gs_node *w,
                             gs_arena *tmp, gs_err *e) {
  gs_rule r = {0};
  GS_TRY(gs_rule_of(tmp, w, &r, e));
  int64_t *size = GS_NEWS(tmp, r.nfactor + 1, int64_t);
  for (int f = 0; f < r.nfactor; f++)
    size[f] = gs_factor_whole(r.factor[f].kind) ? r.factor[f].size : -1;
  for (int again = 0; again < 2; again++) {
    for (int i = 0; i < r.nin; i++)
      if (!fits_tensor(&r.in[i], gs_node_in(n, i), w->in[i], size))
        return misfit(g, n, "operand", n->in[i], e);
    for (int i = 0; i < r.nout; i++)
      if (!fits_tensor(&r.out[i], gs_node_out(n, i), w->out[i], size))
        return misfit(g, n, "result", n->out[i], e);
  }
  for (int f = 0; f < r.nfactor; f++)
    if (size[f] < 0) return misfit(g, n, "operand", n->in[0], e);
  return GS_OK;
}

static gs_status shape_results(gs_graph *g, gs_node *n, gs_graph *to,
                               bool alike, gs_err *e) {
  const gs_placement *pl = NULL;
  gs_node *w;
  GS_TRY(placement_of(g, n, &pl, e));
  GS_TRY(whole_node(g, n, pl, to, &w, e));
  GS_TRY(gs_shape_try(to, w, e));
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && gs_value_dynamic(w->out[i]))
      return misfit(g, n, "result", w->out[i], e);
    else if (n->out[i])
      GS_TRY(set_result(g, n, i, w->out[i], &pl->out[i], e));
  return alike ? check_alike(g, n, w, to->arena, e) : GS_OK;
}

/* The operator's own shape function says what the whole node gives, so that
 * the kernel need not doubt the global sizes. */
static gs_status shape(gs_graph *g, gs_node *n, bool alike, gs_err *e) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_status s = shape_results(g, n, gs_graph_new(&tmp, g->name), alike, e);
  gs_arena_free(&tmp);
  return s == GS_UNKNOWN ? GS_UNSUPPORTED : s;
}

gs_status gs_shape_placed(gs_graph *g, gs_node *n, gs_err *e) {
  return shape(g, n, false, e);
}

gs_status gs_shape_placed_alike(gs_graph *g, gs_node *n, gs_err *e) {
  return shape(g, n, true, e);
}
