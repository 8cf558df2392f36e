/* Rules and shapes of RNN, GRU and LSTM.
 *
 * Batches are independent, and so are directions: where these are split, each
 * device asks for its place.  The hidden dim is not split: every step needs
 * the whole state of the one before. */
#include <string.h>

#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_recurrent;
gs_local_fn gs_local_recurrent;

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

gs_status gs_shape_recurrent(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[X], *lens = gs_node_in(n, LENGTHS);
  int64_t dirs, h = 0;
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
  GS_TRY(directions(a, n, &dirs, e));
  GS_TRY(check_weights(a, n, n->op->number, dirs, x->dims[2], &h, e));
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

gs_status gs_local_recurrent(gs_local *l, gs_err *e) {
  (void)e;
  gs_local_mask(l, LENGTHS);
  const gs_dim_map *dirs = &l->rule->in[R].dim[0];
  if (dirs->n && l->factor[dirs->f[0]].n) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}
