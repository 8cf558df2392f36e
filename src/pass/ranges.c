#include "pass/ranges.h"

#include "base/math.h"

static bool is_integer(const gs_value *v) {
  char c = gs_dtype_get((int)v->dtype)->cls;
  return c == 'i' || c == 'u';
}

/* v has at most n values; 0 says nothing. */
static void lower(int64_t *most, const gs_value *v, int64_t n) {
  if (!v || !n || !is_integer(v)) return;
  int64_t *m = &most[v->id];
  *m = *m ? gs_min(*m, n) : n;
}

/* Whether elements of operand i come back in the results. */
static bool passes(const gs_node *n, int i) {
  if (!n->op || !(n->op->flags & (GS_OP_MOVES | GS_OP_VALUES))) return false;
  return i == 0 || n->op->flags & GS_OP_ADDITIVE; /* Concat moves all */
}

static int64_t *find(gs_arena *a, const gs_graph *g);

/* What graphs in the attributes do with the values that they capture. */
static void look_inside(gs_arena *a, const gs_node *n, int64_t *most) {
  for (int k = 0; n->ncapture && k < n->nattr; k++) {
    const gs_graph *g = n->attr[k].g;
    if (!g) continue;
    const int64_t *inside = find(a, g);
    for (int i = 0; i < g->capture.n; i++)
      if (g->capture.at[i])
        lower(most, n->in[n->nin - n->ncapture + i],
              inside[g->capture.at[i]->id]);
  }
}

/* [values] From the last node to the first: results are known before
 * operands. */
static int64_t *find(gs_arena *a, const gs_graph *g) {
  int64_t *most = GS_NEWS(a, g->value.n + 1, int64_t);
  for (int k = g->node.n - 1; k >= 0; k--) {
    const gs_node *n = g->node.at[k];
    for (int i = 0; i < n->nin; i++) {
      lower(most, n->in[i], gs_index_count(n, i));
      for (int o = 0; passes(n, i) && o < n->nout; o++)
        if (n->out[o]) lower(most, n->in[i], most[n->out[o]->id]);
    }
    look_inside(a, n, most);
  }
  return most;
}

/* Numbers of the type from 0 on. */
static int64_t held(const gs_value *v) {
  const gs_dtype_info *t = gs_dtype_get((int)v->dtype);
  int bits = t->bits - (t->cls == 'i');
  return bits >= 63 ? INT64_MAX : (int64_t)1 << bits;
}

int64_t *gs_pass_ranges(gs_arena *a, const gs_graph *g) {
  const int64_t *most = find(a, g);
  int64_t *out = GS_NEWS(a, g->input.n + 1, int64_t);
  for (int i = 0; i < g->input.n; i++) {
    const gs_value *v = g->input.at[i];
    if (most[v->id]) out[i] = gs_min(most[v->id], held(v));
  }
  return out;
}
