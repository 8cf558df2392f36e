/* What cutting along a dim takes: parts of constants, and nodes as another one
 * over parts. */
#include <string.h>

#include "base/assert.h"
#include "op/core/local.h"
#include "pass/segments/segments_impl.h"

int gs_segments_passing(const gs_rule *r, int d) {
  const gs_dim_map *m = &r->out[0].dim[d];
  if (m->n != 1 || m->grown) return -1;
  return r->factor[m->f[0]].kind == GS_PASS ? m->f[0] : -1;
}

int gs_segments_dim(const gs_tensor_map *t, int f) {
  int found = -1;
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++) {
      if (t->dim[d].f[i] != f) continue;
      if (found != -1 || i || t->dim[d].grown) return -2;
      found = d;
    }
  return found;
}

bool gs_segments_may_repeat(const gs_node *n) {
  const unsigned no = GS_OP_RANDOM | GS_OP_MESH | GS_OP_DYNAMIC |
                      GS_OP_COLLECTIVE | GS_OP_ENTRY | GS_OP_EXIT;
  return n->op && !(n->op->flags & no) && !n->rule && !gs_node_has_region(n) &&
         !gs_node_dynamic(n) && n->nout == 1 && n->out[0];
}

const char *gs_segments_name(gs_cutter *c, const char *name, int index) {
  char *made = gs_sprintf(c->g->arena, "%s:%d", name, index);
  while (gs_graph_find(c->g, made)) made = gs_sprintf(c->g->arena, "%s'", made);
  return made;
}

gs_value *gs_segments_part(gs_cutter *c, gs_value *v, int d,
                           const gs_segment *s) {
  char *key = gs_sprintf(c->tmp, "%d %d %lld %lld", v->id, d,
                         (long long)s->first, (long long)s->count);
  gs_value *part = gs_map_get(&c->part, key);
  if (part) return part;
  gs_tensor *t =
      gs_tensor_part(c->g->arena, v->constant, d, s->first, s->count);
  if (!t->part_of || !*t->part_of) t->part_of = v->name;
  t->name = gs_segments_name(c, v->name, s->index);
  part = gs_value_constant(c->g, t->name, t);
  gs_map_put(&c->part, key, part);
  return part;
}

gs_status gs_segments_make(gs_cutter *c, const gs_node *n, const gs_rule *r,
                      gs_value *const *in, int d, int64_t count,
                      gs_value **out) {
  const gs_mesh none = {0};
  const gs_value *y = n->out[0];
  int64_t *dims = gs_memdup(c->tmp, y->dims, (size_t)y->rank * sizeof *dims);
  gs_sharding *whole = gs_sharding_new(c->tmp, y->rank, false);
  gs_local l = {.node = n, .rule = r, .program = c->g, .mesh = &none,
                .nstage = 1, .stage = {{.reduce = n->op->combine}},
                .out = out, .out_dims = &dims, .out_sharding = &whole};
  l.factor = GS_NEWS(c->tmp, r->nfactor + 1, gs_axes);
  l.in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
  gs_form *held = GS_NEWS(c->tmp, n->nin + 1, gs_form);
  l.held = held;
  if (d >= 0) dims[d] = count;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    l.in[i] = in[i] ? in[i] : n->in[i];
    held[i] = gs_form_of(gs_sharding_new(c->tmp, n->in[i]->rank, false));
  }
  int first = c->g->node.n;
  if (n->op->local) GS_TRY(n->op->local(&l, c->e));
  else gs_local_same(&l);
  gs_assert(*out && (d < 0 || (*out)->dims[d] == count));
  for (int i = first; i < c->g->node.n; i++) {
    c->g->node.at[i]->origin = n->origin;
    c->g->node.at[i]->module = n->module;
    c->g->node.at[i]->stage = n->stage;
  }
  return GS_OK;
}

void gs_segments_move(gs_graph *g, int first, int at, gs_arena *tmp) {
  int n = g->node.n - first, later = first - at;
  gs_node **made = gs_memdup(tmp, g->node.at + first,
                             (size_t)n * sizeof *made);
  memmove(g->node.at + at + n, g->node.at + at,
          (size_t)later * sizeof *g->node.at);
  memcpy(g->node.at + at, made, (size_t)n * sizeof *made);
}

gs_status gs_segments_take_first(gs_cutter *c, gs_node *n) {
  const gs_tensor *was = n->in[1]->constant;
  gs_tensor *zero;
  GS_TRY(gs_tensor_new(c->g->arena, was->dtype, was->rank, was->dims, &zero,
                       c->e));
  zero->name = gs_segments_name(c, n->in[1]->name, 0);
  n->in[1] = gs_value_constant(c->g, zero->name, zero);
  return GS_OK;
}
