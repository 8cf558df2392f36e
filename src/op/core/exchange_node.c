#include "op/core/exchange_node.h"

#include "base/assert.h"
#include "base/math.h"
#include "op/core/moves.h"

/* A node that is read. */
typedef struct reader {
  gs_arena *a;
  const gs_node *n;
  const gs_mesh *m;
  gs_err *e;
} reader;

static const char *place(const reader *r) {
  return gs_node_place(r->a, r->n);
}

static gs_status missing(const reader *r, const char *name) {
  return gs_fail(r->e, GS_DATA, place(r), "needs the attribute '%s'", name);
}

static gs_status read_axes(const reader *r, const char *name, gs_axes *out) {
  const gs_axes *axes = gs_node_axes(r->n, name);
  if (!gs_node_attr(r->n, name)) return missing(r, name);
  if (!r->m)
    return gs_fail(r->e, GS_DATA, place(r),
                   "needs a mesh, and the graph has none");
  if (!axes)
    return gs_fail(r->e, GS_DATA, place(r),
                   "attribute '%s': '%s' names no axes of the mesh", name,
                   gs_node_string(r->n, name, "?"));
  *out = *axes;
  return GS_OK;
}

/* A list of `count` numbers; NULL where it may be left out and is. */
static gs_status read_list(const reader *r, const char *name, int count,
                           bool needed, const int64_t **out) {
  int n;
  *out = gs_node_ints(r->n, name, &n);
  if (!*out && !gs_node_attr(r->n, name))
    return needed ? missing(r, name) : GS_OK;
  if (*out && n == count) return GS_OK;
  return gs_fail(r->e, GS_DATA, place(r),
                 "attribute '%s' has %d numbers instead of %d", name, n,
                 count);
}

gs_status gs_node_range(gs_arena *a, const gs_node *n, const char *name,
                        gs_held_range *r, gs_err *e) {
  reader me = {a, n, NULL, e};
  const int64_t *v;
  GS_TRY(read_list(&me, name, 6, true, &v));
  *r = (gs_held_range){v[0], v[1], v[2], v[3], v[4], v[5]};
  if (r->c > 0 && r->length >= 0 && gs_held_range_fits(r, 0)) return GS_OK;
  return gs_fail(e, GS_DATA, place(&me),
                 "attribute '%s': a range of %lld places with divisor %lld",
                 name, (long long)r->length, (long long)r->c);
}

/* The last number may be left out. */
static gs_status read_reach(const reader *r, gs_reach *out) {
  const int64_t *v;
  int n;
  gs_node_ints(r->n, "reach", &n);
  GS_TRY(read_list(r, "reach", n == 6 ? 6 : 5, false, &v));
  if (v) *out = (gs_reach){v[0], v[1], v[2], v[3], v[4], n == 6 ? v[5] : 0};
  return GS_OK;
}

static gs_status read_range(const reader *r, gs_exchange *x) {
  GS_TRY(gs_node_range(r->a, r->n, "range", &x->range, r->e));
  x->step = gs_node_int(r->n, "step", 1);
  x->width = gs_node_int(r->n, "width", 0);
  return read_reach(r, &x->reach);
}

static gs_status read_fill(const reader *r, gs_exchange *x) {
  const char *text = gs_node_string(r->n, "fill", gs_fill_text(GS_FILL_ANY));
  if (!gs_fill_parse(text, &x->fill))
    return gs_fail(r->e, GS_DATA, place(r),
                   "attribute 'fill': '%.40s' is not a fill", text);
  x->value = gs_node_float(r->n, "value", 0);
  return GS_OK;
}

/* One for each operand; without `shifts` they lie end to end from 0 on. */
static gs_status read_sources(const reader *r, gs_exchange *x) {
  const int64_t *sizes, *blocks, *shifts, *firsts;
  int64_t shift = 0;
  x->nsource = r->n->nin - (x->fill == GS_FILL_OPERAND);
  if (x->nsource < 1)
    return gs_fail(r->e, GS_DATA, place(r),
                   "has no operand beside the fill");
  GS_TRY(read_list(r, "sizes", x->nsource, true, &sizes));
  GS_TRY(read_list(r, "blocks", x->nsource, true, &blocks));
  GS_TRY(read_list(r, "shifts", x->nsource, false, &shifts));
  GS_TRY(read_list(r, "firsts", x->nsource, false, &firsts));
  gs_exchange_source *s = GS_NEWS(r->a, x->nsource, gs_exchange_source);
  for (int k = 0; k < x->nsource; k++) {
    s[k] = (gs_exchange_source){sizes[k], blocks[k],
                                shifts ? shifts[k] : shift,
                                firsts ? firsts[k] : 0};
    if (!shifts && !gs_add(shift, sizes[k], &shift))
      return gs_fail(r->e, GS_DATA, place(r),
                     "attribute 'sizes': the sum does not fit");
  }
  x->source = s;
  return GS_OK;
}

/* Operands are alike but along the dim, where they have their blocks. */
static gs_status check_operand(const reader *r, const gs_exchange *x, int k,
                               int dim) {
  const gs_value *first = r->n->in[0], *v = r->n->in[k];
  if (!v)
    return gs_fail(r->e, GS_DATA, place(r), "operand %d is left out", k);
  if (v->dtype != first->dtype)
    return gs_fail(r->e, GS_DATA, place(r), "'%s' is of type %s, '%s' of %s",
                   first->name, gs_dtype_get((int)first->dtype)->text, v->name,
                   gs_dtype_get((int)v->dtype)->text);
  if (k == x->nsource) {
    if (gs_product(v->dims, v->rank) == 1) return GS_OK;
    return gs_fail(r->e, GS_DATA, place(r),
                   "the fill '%s' does not have one element", v->name);
  }
  if (v->rank != first->rank)
    return gs_fail(r->e, GS_DATA, place(r),
                   "'%s' has rank %d, '%s' rank %d", first->name, first->rank,
                   v->name, v->rank);
  for (int d = 0; d < v->rank; d++) {
    const gs_exchange_source *s = &x->source[k];
    int64_t want = first->dims[d];
    if (d == dim) want = s->block ? s->block : s->first + s->n;
    bool more = d == dim && !s->block && v->dims[d] > want; /* of a part */
    if (v->dims[d] != want && !more)
      return gs_fail(r->e, GS_DATA, place(r),
                     "dim %d of '%s' is %lld instead of %lld", d, v->name,
                     (long long)v->dims[d], (long long)want);
  }
  return GS_OK;
}

gs_status gs_node_exchange(gs_arena *a, const gs_node *n, const gs_mesh *m,
                           gs_exchange *x, int *dim, gs_err *e) {
  reader r = {a, n, m, e};
  *x = (gs_exchange){0};
  GS_TRY(read_axes(&r, "axes", &x->from));
  GS_TRY(read_axes(&r, "to_axes", &x->to));
  GS_TRY(read_range(&r, x));
  GS_TRY(read_fill(&r, x));
  GS_TRY(read_sources(&r, x));
  GS_TRY(gs_exchange_check(m, x, place(&r), e));
  int64_t d = gs_node_int(n, "dim", -1);
  if (!gs_node_attr(n, "dim")) return missing(&r, "dim");
  if (!n->in[0])
    return gs_fail(e, GS_DATA, place(&r), "operand 0 is left out");
  if (d < 0 || d >= n->in[0]->rank)
    return gs_fail(e, GS_DATA, place(&r),
                   "dim %lld is out of range for '%s' of rank %d",
                   (long long)d, n->in[0]->name, n->in[0]->rank);
  *dim = (int)d;
  for (int k = 0; k < n->nin; k++) GS_TRY(check_operand(&r, x, k, *dim));
  return GS_OK;
}

/* ---- writing ---- */

void gs_node_set_range(gs_graph *g, gs_node *n, const char *name,
                       const gs_held_range *r) {
  int64_t v[] = {r->m, r->a, r->b, r->c, r->e, r->length};
  gs_node_set_ints(g, n, name, v, 6);
}

static void set_sources(gs_graph *g, gs_node *n, const gs_exchange *x) {
  int64_t *list[4], end = 0;
  bool side_by_side = true, parts = false;
  for (int i = 0; i < 4; i++)
    list[i] = GS_NEWS(g->arena, x->nsource, int64_t);
  for (int k = 0; k < x->nsource; k++) {
    const gs_exchange_source *s = &x->source[k];
    list[0][k] = s->n;
    list[1][k] = s->block;
    list[2][k] = s->shift;
    list[3][k] = s->first;
    parts = parts || s->first;
    side_by_side = side_by_side && s->shift == end;
    end += s->n;
  }
  gs_node_set_ints(g, n, "sizes", list[0], x->nsource);
  gs_node_set_ints(g, n, "blocks", list[1], x->nsource);
  if (!side_by_side) gs_node_set_ints(g, n, "shifts", list[2], x->nsource);
  if (parts) gs_node_set_ints(g, n, "firsts", list[3], x->nsource);
}

void gs_node_set_exchange(gs_graph *g, gs_node *n, int dim,
                          const gs_exchange *x) {
  const gs_reach *r = &x->reach;
  int64_t reach[] = {r->count, r->num,  r->den,
                     r->first, r->last, r->apart};
  gs_assert(x->nsource == n->nin - (x->fill == GS_FILL_OPERAND));
  gs_assert(x->fill != GS_FILL_VALUE || !(x->value < (double)(float)x->value ||
                                          x->value > (double)(float)x->value));
  gs_node_set_axes(g, n, "axes", &x->from);
  gs_node_set_int(g, n, "dim", dim);
  gs_node_set_axes(g, n, "to_axes", &x->to);
  gs_node_set_range(g, n, "range", &x->range);
  if (x->step != 1) gs_node_set_int(g, n, "step", x->step);
  if (r->count) gs_node_set_ints(g, n, "reach", reach, r->apart > 1 ? 6 : 5);
  if (x->width) gs_node_set_int(g, n, "width", x->width);
  set_sources(g, n, x);
  if (x->fill != GS_FILL_ANY)
    gs_node_set_string(g, n, "fill", gs_fill_text(x->fill));
  if (x->fill == GS_FILL_VALUE)
    gs_node_set(g, n, &(gs_attr){.name = "value", .kind = GS_ATTR_FLOAT,
                                 .f = x->value});
}

bool gs_exchange_takes_blocks(const gs_node *n) {
  return gs_move_of(n->op) &&
         gs_move_of(n->op)->effect == GS_EFFECT_EXCHANGE && n->nin == 1 &&
         n->in[0]->dtype == GS_FLOAT && gs_node_int(n, "dim", -1) > 1;
}

bool gs_exchange_is_local(const gs_node *n) {
  const gs_axes *axes = gs_node_axes(n, "axes");
  return gs_move_of(n->op) &&
         gs_move_of(n->op)->effect == GS_EFFECT_EXCHANGE && axes && !axes->n;
}

/* ---- the pieces of one device ---- */

static int64_t *list_of(gs_arena *a, const gs_mesh *m, const gs_exchange *x,
                        const gs_exchange_peer *peer, int npeer,
                        int64_t position, int *n) {
  int count = 0;
  for (int i = 0; i < npeer; i++) count += peer[i].n;
  int64_t *list = GS_NEWS(a, 6 * count, int64_t), *at = list;
  for (int i = 0; i < npeer; i++)
    for (int k = 0; k < peer[i].n; k++) {
      const gs_exchange_piece *p = &peer[i].piece[k];
      int64_t who =
          npeer > 1 ? gs_axes_peer(m, &x->from, position, i) : position;
      int64_t six[] = {who, p->source, p->at, p->delta, p->count, p->place};
      for (int j = 0; j < 6; j++) *at++ = six[j];
    }
  *n = 6 * count;
  gs_assert(at == list + *n);
  return list;
}

gs_exchange_lists gs_exchange_lists_of(gs_arena *a, const gs_mesh *m,
                                       const gs_exchange *x,
                                       const gs_exchange_plan *plan,
                                       int64_t position) {
  gs_exchange_lists l;
  gs_assert(!plan->give[plan->me].n);
  l.gives = list_of(a, m, x, plan->give, plan->npeer, position, &l.ngive);
  l.takes = list_of(a, m, x, plan->take, plan->npeer, position, &l.ntake);
  return l;
}
