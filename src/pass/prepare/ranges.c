#include "pass/prepare/ranges.h"

#include "base/math.h"

static bool is_integer(const gs_value *v) {
  char c = gs_dtype_get((int)v->dtype)->cls;
  return c == 'i' || c == 'u';
}

/* The elements of v lie in r too.  Where that leaves none, the upper end is
 * kept: an index past it would be an error. */
static void narrow(gs_range *range, const gs_value *v, gs_range r) {
  if (!v || !r.high || !is_integer(v)) return;
  gs_range *m = &range[v->id];
  m->high = m->high ? gs_min(m->high, r.high) : r.high;
  m->low = gs_min(gs_max(m->low, r.low), m->high - 1);
}

/* Whether elements of operand i come back in the results. */
static bool passes(const gs_node *n, int i) {
  if (!n->op || !(n->op->flags & (GS_OP_MOVES | GS_OP_VALUES))) return false;
  return i == 0 || n->op->flags & GS_OP_ADDITIVE; /* Concat moves all */
}

static gs_range *find(gs_arena *a, const gs_graph *g);

/* What graphs in the attributes do with the values that they capture. */
static void look_inside(gs_arena *a, const gs_node *n, gs_range *range) {
  for (int k = 0; n->ncapture && k < n->nattr; k++) {
    const gs_graph *g = n->attr[k].g;
    if (!g) continue;
    const gs_range *inside = find(a, g);
    for (int i = 0; i < g->capture.n; i++)
      if (g->capture.at[i])
        narrow(range, n->in[n->nin - n->ncapture + i],
              inside[g->capture.at[i]->id]);
  }
}

/* [values] From the last node to the first: results are known before
 * operands. */
static gs_range *find(gs_arena *a, const gs_graph *g) {
  gs_range *range = GS_NEWS(a, g->value.n + 1, gs_range);
  for (int k = g->node.n - 1; k >= 0; k--) {
    const gs_node *n = g->node.at[k];
    for (int i = 0; i < n->nin; i++) {
      narrow(range, n->in[i], gs_index_range(n, i));
      for (int o = 0; passes(n, i) && o < n->nout; o++)
        if (n->out[o]) narrow(range, n->in[i], range[n->out[o]->id]);
    }
    look_inside(a, n, range);
  }
  return range;
}

/* Numbers of the type from 0 on. */
static int64_t held(const gs_value *v) {
  const gs_dtype_info *t = gs_dtype_get((int)v->dtype);
  int bits = t->bits - (t->cls == 'i');
  return bits >= 63 ? INT64_MAX : (int64_t)1 << bits;
}

gs_range *gs_pass_ranges(gs_arena *a, const gs_graph *g) {
  const gs_range *range = find(a, g);
  gs_range *out = GS_NEWS(a, g->input.n + 1, gs_range);
  for (int i = 0; i < g->input.n; i++) {
    const gs_value *v = g->input.at[i];
    gs_range *r = &out[i];
    *r = range[v->id];
    if (!r->high) continue;
    r->high = gs_min(r->high, held(v));
    r->low = gs_min(r->low, r->high - 1);
  }
  return out;
}
