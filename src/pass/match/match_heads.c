/* Dims that are cut between heads only, or between other elements that belong
 * together. */
#include "base/assert.h"
#include "op/core/op.h"
#include "pass/match/match_state.h"

/* How many devices may share n things so that each has as many: those of the
 * major sub-axes; *axes becomes these. */
static void take_major(const gs_mesh *mesh, int64_t n, gs_axes *axes) {
  while (axes->n && n % gs_axes_size(mesh, axes)) axes->n--;
}

static gs_status no_multiple(gs_matching *m, const gs_place *at,
                             const gs_value *v, int d, const char *what,
                             int64_t n) {
  return gs_fail_at(m->err, GS_SPEC, at, "dim %d (%lld) of '%s' is not a "
                    "multiple of %s %lld", d, (long long)v->dims[d], v->name,
                    what, (long long)n);
}

gs_status gs_match_fit_heads(gs_matching *m, const gs_spec_rule *r,
                             const gs_place *at, const gs_value *v, int d,
                             int64_t heads, gs_axes *axes) {
  int64_t n = heads, size = gs_axes_size(m->mesh, axes);
  const char *what = "heads";
  if (!axes->n || v->dims[d] < 0) return GS_OK;
  if (heads && v->dims[d] % heads)
    return no_multiple(m, at, v, d, "the heads,", heads);
  if (!heads && r->interleave) {
    if (v->dims[d] % r->interleave)
      return no_multiple(m, at, v, d, "interleave,", r->interleave);
    n = v->dims[d] / r->interleave;
    what = "groups of interleave";
  }
  if (!n || n % size == 0) return GS_OK;
  bool repeat = heads && (r->kv == GS_KV_DUPLICATE || (r->kv < 0 && n < size));
  if (repeat) {
    take_major(m->mesh, n, axes);
    return GS_OK;
  }
  gs_fail_at(m->err, GS_SPEC, at,
             "dim %d of '%s' is %lld %s, which cannot be shared by %lld "
             "devices", d, v->name, (long long)n, what, (long long)size);
  if (heads) gs_err_hint(m->err, "kv: duplicate lets devices have the same");
  return GS_SPEC;
}

/* The dim of map t whose major factor is f; -1: none. */
static int dim_with(const gs_tensor_map *t, int f) {
  for (int d = 0; d < t->rank; d++)
    if (t->dim[d].n && t->dim[d].f[0] == f) return d;
  return -1;
}

/* How many heads dim d of y is, for whoever reads it: where that takes the dim
 * apart, all its factors but the last one.  0: nobody says. */
static int64_t heads_for(gs_matching *m, const gs_value *y, int d, int depth) {
  enum { MAX_DEPTH = 8 };
  for (int i = m->uses.first[y->id];
       i < m->uses.first[y->id + 1] && depth < MAX_DEPTH; i++) {
    const gs_use *u = &m->uses.use[i];
    gs_rule r;
    if (gs_rule_of(m->arena, u->node, &r, NULL) || u->index >= r.nin) continue;
    const gs_dim_map *dim = &r.in[u->index].dim[d];
    int64_t heads = 1;
    for (int k = 0; k + 1 < dim->n; k++) heads *= r.factor[dim->f[k]].size;
    if (dim->n > 1) return heads;
    int to = dim->n && r.nout && u->node->out[0]
                 ? dim_with(&r.out[0], dim->f[0])
                 : -1;
    heads = to < 0 || r.out[0].dim[to].n != 1
                ? 0
                : heads_for(m, u->node->out[0], to, depth + 1);
    if (heads) return heads;
  }
  return 0;
}

int64_t gs_match_heads(gs_matching *m, const gs_node *n, int k, int d) {
  gs_rule r;
  if (gs_rule_of(m->arena, n, &r, NULL) || k >= r.nin || !r.nout) return 0;
  const gs_dim_map *dim = &r.in[k].dim[d];
  int to = dim->n && n->out[0] ? dim_with(&r.out[0], dim->f[0]) : -1;
  return to < 0 ? 0 : heads_for(m, n->out[0], to, 0);
}
