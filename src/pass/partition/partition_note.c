/* What runs whole or gathers much, and why: nothing of it is silent. */
#include <string.h>

#include "pass/partition/partition_impl.h"

static bool gathers(const gs_collective *c) {
  for (int k = 0; k < GS_NMOVE; k++)
    if (gs_moves[k].effect == GS_EFFECT_JOIN &&
        !strcmp(gs_moves[k].name, c->op))
      return true;
  return false;
}

/* What the collectives from number `first` on send, and of that by gathers;
 * the tensor of which most is gathered. */
typedef struct traffic {
  double all, gathered;
  const gs_value *most;
} traffic;

static traffic traffic_from(const gs_partitioner *p, int first) {
  traffic t = {0};
  double max = 0;
  for (int i = first; i < p->out->collective.n; i++) {
    const gs_collective *c = &p->out->collective.at[i];
    t.all += c->bytes;
    if (!gathers(c)) continue;
    t.gathered += c->bytes;
    if (c->bytes <= max) continue;
    max = c->bytes;
    t.most = c->value;
  }
  return t;
}

/* Whether n runs whole although an operand is split: *split is the first. */
static bool runs_whole(const gs_node *n, const gs_node_choice *c,
                       const gs_value **split) {
  *split = NULL;
  for (int i = 0; i < n->nin; i++) {
    const gs_sharding *s = c->in[i].sharding;
    if (s && !gs_sharding_is_replicated(s)) return false;
    if (s && !*split && gs_sharding_used(n->in[i]->sharding))
      *split = n->in[i];
  }
  return *split != NULL;
}

/* The kind of factor that keeps a dim whole; GS_PASS: none does. */
static gs_factor_kind kept_by(const gs_rule *r, const gs_dim_map *d) {
  if (!d->n) return GS_WHOLE;
  for (int i = 0; i < d->n; i++) {
    gs_factor_kind kind = r->factor[d->f[i]].kind;
    if (gs_factor_whole(kind)) return kind;
  }
  return GS_PASS;
}

/* Why operand i of n is wanted less split than its sharding says. */
static const char *reason_of(gs_partitioner *p, const gs_node *n,
                             const gs_rule *r, const gs_node_choice *c, int i) {
  const gs_value *v = n->in[i];
  if (gs_node_has_region(n)) return "its graphs run whole on every device";
  if (gs_node_dynamic(n)) return "its sizes are known only in a run";
  if (!n->op) return "nothing is known of the operator";
  for (int d = 0; d < v->rank && d < r->in[i].rank; d++) {
    const gs_axes *has = &v->sharding->dim[d].axes;
    if (c->in[i].sharding->dim[d].axes.n >= has->n) continue;
    gs_factor_kind kind = kept_by(r, &r->in[i].dim[d]);
    if (kind == GS_PASS)
      return gs_sprintf(p->a, "that is cheaper than to split dim %d of '%s'", d,
                        v->name);
    if (kind == GS_WHOLE)
      return gs_sprintf(p->a, "it needs all of dim %d of '%s'", d, v->name);
    return gs_sprintf(p->a, "it needs all of dim %d of '%s' (%s)", d, v->name,
                      gs_factor_text(kind));
  }
  return gs_sprintf(p->a, "'%s' is wanted in other blocks", v->name);
}

void gs_partitioner_note(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                         const gs_node_choice *c, int first) {
  traffic t = traffic_from(p, first);
  const gs_value *split = NULL;
  /* What a split form gathers is the little that it is for. */
  bool whole = t.all > 0 && !p->form && runs_whole(n, c, &split);
  if (!whole && t.gathered <= GS_LARGE_GATHER) return;
  const gs_value *v = t.most ? t.most : split;
  int i = 0;
  while (i < n->nin && n->in[i] != v) i++;
  *gs_push(p->a, &p->out->fallback) = (gs_fallback){
      .node = gs_partitioner_told_node(p, n),
      .value = v ? gs_partitioner_told(p, v) : NULL,
      .whole = whole,
      .reason = i < n->nin && i < r->nin ? reason_of(p, n, r, c, i) : "",
      .bytes = whole ? t.all : t.gathered};
}

void gs_partitioner_note_output(gs_partitioner *p, const gs_value *v,
                                int first) {
  traffic t = traffic_from(p, first);
  if (t.gathered <= GS_LARGE_GATHER) return;
  *gs_push(p->a, &p->out->fallback) = (gs_fallback){
      .value = v,
      .reason = gs_sprintf(p->a, "the output's sharding is %s",
                           gs_sharding_text(p->a, p->m, v->sharding)),
      .bytes = t.gathered};
}
