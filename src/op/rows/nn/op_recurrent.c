/* Rules and shapes of RNN, GRU and LSTM.
 *
 * Batches are independent, and so are directions: where these are split, each
 * device asks for its place.  Where the hidden dim is split the node becomes
 * Recurrence, whose weights have the gates as a dim of their own: each step
 * makes a block of the state and gathers that of the one before. */
#include <string.h>

#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_recurrent, gs_shape_recurrence;
gs_local_fn gs_local_recurrent, gs_local_recurrence;
gs_gathers_fn gs_gathers_recurrence;
extern gs_shape_fn gs_shape_placed_alike;

enum { X, W, R, B, LENGTHS, H0, C0, P };

static gs_status directions(gs_arena *a, const gs_node *n, int64_t *count,
                            gs_err *e) {
  const char *d = gs_node_string(n, "direction", "forward");
  *count = !strcmp(d, "bidirectional") ? 2 : 1;
  if (*count == 2 || !strcmp(d, "forward") || !strcmp(d, "reverse"))
    return GS_OK;
  return gs_heads_bad(a, n, e, "direction '%s' is not forward, reverse or "
                      "bidirectional", d);
}

static gs_status check_weights(gs_arena *a, const gs_node *n, int64_t gates,
                               int64_t dirs, int64_t input, int64_t *hidden,
                               gs_err *e) {
  const gs_value *r = n->in[R];
  if (r->rank != 3)
    return gs_heads_bad(a, n, e, "R '%s' is of rank %d, not 3", r->name,
                        r->rank);
  int64_t h = r->dims[2], rows;
  *hidden = h;
  if (!gs_mul(h, 2 * gates, &rows))
    return gs_heads_bad(a, n, e, "hidden size %lld is too large",
                        (long long)h);
  rows /= 2;
  if (gs_node_int(n, "hidden_size", h) != h)
    return gs_heads_bad(a, n, e, "hidden_size is %lld, but R '%s' is for %lld",
                        (long long)gs_node_int(n, "hidden_size", h), r->name,
                        (long long)h);
  GS_TRY(gs_heads_expect(a, n, R, 3, (int64_t[]){dirs, rows, h}, e));
  GS_TRY(gs_heads_expect(a, n, W, 3, (int64_t[]){dirs, rows, input}, e));
  GS_TRY(gs_heads_expect(a, n, B, 2, (int64_t[]){dirs, 2 * rows}, e));
  return gs_heads_expect(a, n, P, 2, (int64_t[]){dirs, 3 * h}, e);
}

/* What is the same whether the gates are a dim or not. */
static gs_status check_operands(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_value *x = n->in[X], *lens = gs_node_in(n, LENGTHS);
  for (int i = 1; i <= P; i++)
    if (i != LENGTHS) GS_TRY(gs_shape_same_type(a, n, X, i, e));
  if (x->rank != 3)
    return gs_heads_bad(a, n, e, "X '%s' is of rank %d, not 3", x->name,
                        x->rank);
  int64_t layout = gs_node_int(n, "layout", 0);
  if (layout != 0 && layout != 1)
    return gs_heads_bad(a, n, e, "layout is %lld, neither 0 nor 1",
                        (long long)layout);
  if (lens && lens->dtype != GS_INT32)
    return gs_heads_bad(a, n, e, "sequence_lens '%s' are of type %s, not i32",
                        lens->name, gs_dtype_get((int)lens->dtype)->text);
  return GS_OK;
}

/* Of the operands that the hidden size h says, then the results. */
static gs_status set_results(gs_graph *g, gs_node *n, int64_t dirs, int64_t h,
                             gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[X];
  int64_t layout = gs_node_int(n, "layout", 0);
  int64_t steps = x->dims[layout], batch = x->dims[!layout];
  int64_t state[2][3] = {{dirs, batch, h}, {batch, dirs, h}};
  int64_t all[2][4] = {{steps, dirs, batch, h}, {batch, steps, dirs, h}};
  GS_TRY(gs_heads_expect(a, n, LENGTHS, 1, &batch, e));
  GS_TRY(gs_heads_expect(a, n, H0, 3, state[layout], e));
  GS_TRY(gs_heads_expect(a, n, C0, 3, state[layout], e));
  GS_TRY(gs_shape_set(g, n, 0, x->dtype, 4, all[layout], e));
  GS_TRY(gs_shape_set(g, n, 1, x->dtype, 3, state[layout], e));
  return gs_shape_set(g, n, 2, x->dtype, 3, state[layout], e);
}

gs_status gs_shape_recurrent(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int64_t dirs, h = 0;
  GS_TRY(check_operands(a, n, e));
  GS_TRY(directions(a, n, &dirs, e));
  GS_TRY(check_weights(a, n, n->op->number, dirs, n->in[X]->dims[2], &h, e));
  return set_results(g, n, dirs, h, e);
}

gs_status gs_local_recurrent(gs_local *l, gs_err *e) {
  (void)e;
  gs_local_mask(l, LENGTHS);
  const gs_dim_map *dirs = &l->rule->in[R].dim[0];
  if (dirs->n && l->factor[dirs->f[0]].n) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}

/* ---- weights of which the gates are a dim ---- */

/* How many gates there are says which cell it is. */
enum { SIMPLE = 1, WITH_RESET = 3, WITH_MEMORY = 4 };

static gs_status check_gated(gs_arena *a, const gs_node *n, int64_t dirs,
                             gs_err *e) {
  const gs_value *x = n->in[X], *r = n->in[R];
  if (r->rank != 4)
    return gs_heads_bad(a, n, e, "R '%s' is of rank %d, not 4", r->name,
                        r->rank);
  int64_t h = r->dims[3], gates = r->dims[1];
  if (gates != SIMPLE && gates != WITH_RESET && gates != WITH_MEMORY)
    return gs_heads_bad(a, n, e, "R '%s' has %lld gates, not 1, 3 or 4",
                        r->name, (long long)gates);
  GS_TRY(gs_heads_expect(a, n, R, 4, (int64_t[]){dirs, gates, h, h}, e));
  GS_TRY(gs_heads_expect(a, n, W, 4,
                         (int64_t[]){dirs, gates, h, x->dims[2]}, e));
  GS_TRY(gs_heads_expect(a, n, B, 4, (int64_t[]){dirs, 2, gates, h}, e));
  GS_TRY(gs_heads_expect(a, n, P, 3, (int64_t[]){dirs, 3, h}, e));
  for (int i = C0; gates != WITH_MEMORY && i <= P; i++)
    if (gs_node_in(n, i))
      return gs_heads_bad(a, n, e, "operand %d '%s' is for four gates", i,
                          n->in[i]->name);
  if (gates != WITH_MEMORY && gs_node_out(n, 2))
    return gs_heads_bad(a, n, e, "result 2 '%s' is of four gates",
                        n->out[2]->name);
  return GS_OK;
}

/* The axes that blocks are gathered along are those that split R; in the graph
 * of one device the kernel compares the members with its place. */
static gs_status check_axes(gs_graph *g, const gs_node *n, gs_err *e) {
  const gs_axes *axes = gs_node_axes(n, "axes");
  const gs_placement *pl = gs_node_placement(n);
  if (gs_node_attr(n, "axes") && !axes)
    return gs_heads_bad(g->arena, n, e, "'axes' are not of the mesh");
  if (!axes || gs_node_attr(n, "group")) return GS_OK; /* of one device */
  const gs_form *form = pl && pl->nin > R ? pl->in[R].form : NULL;
  if (form && gs_axes_equal(&form->sharding->dim[2].axes, axes)) return GS_OK;
  return gs_heads_bad(g->arena, n, e, "'axes' are not those that split dim 2 "
                      "of R '%s'", n->in[R]->name);
}

gs_status gs_shape_recurrence(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int64_t dirs;
  if (gs_node_attr(n, "place")) {
    GS_TRY(gs_shape_placed_alike(g, n, e));
    return check_axes(g, n, e);
  }
  GS_TRY(check_operands(a, n, e));
  GS_TRY(directions(a, n, &dirs, e));
  GS_TRY(check_gated(a, n, dirs, e));
  return set_results(g, n, dirs, n->in[R]->dims[3], e);
}

/* Between two steps the state, and within each what a GRU resets of it unless
 * it multiplies first.  Halves are gathered as they are computed: in f32. */
void gs_gathers_recurrence(const gs_node *n, const int64_t *const *dims,
                           gs_gathers *out) {
  int64_t layout = gs_node_int(n, "layout", 0) != 0;
  int64_t steps = dims[X][layout], batch = dims[X][!layout];
  bool resets = dims[R][1] == WITH_RESET &&
                !gs_node_int(n, "linear_before_reset", 0);
  *out = (gs_gathers){.in = R, .dim = 2, .count = batch * dims[R][2]};
  out->type = n->in[X]->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  if (!out->count || !steps) return;
  out->times = dims[R][0] * (steps - 1 + (resets ? steps : 0));
}

gs_status gs_local_recurrence(gs_local *l, gs_err *e) {
  (void)e;
  const gs_dim_map *rows = &l->rule->in[R].dim[2];
  const int64_t *dims[P + 1] = {0};
  gs_gathers x;
  gs_local_mask(l, LENGTHS);
  gs_node *n = gs_local_placed(l);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) dims[i] = n->in[i]->dims;
  gs_gathers_recurrence(n, dims, &x);
  const gs_axes *axes = rows->n ? &l->factor[rows->f[0]] : NULL;
  if (axes && axes->n && x.times)
    gs_node_set_axes(l->program, n, "axes", axes);
  return GS_OK;
}
