/* What runs whole or gathers much, and why: nothing of it is silent. */
#include <math.h>
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

/* Whether an operand that is split like `has` along dim d is so in c. */
static bool keeps(const gs_node_choice *c, int i, int d, const gs_axes *has) {
  const gs_sharding *s = c->in[i].sharding;
  return s && gs_axes_equal(&s->dim[d].axes, has);
}

/* What it would take to leave dim d of operand i split: by another choice, or
 * in the split form; INFINITY where nothing can be computed so. */
static double split_seconds(gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, int i, int d, gs_arena *tmp) {
  const gs_axes *has = &n->in[i]->sharding->dim[d].axes;
  double least = INFINITY;
  if (p->o->force) return least; /* there is no choice */
  gs_choices all = gs_partitioner_choices(p, n, r, tmp, true);
  for (int k = 0; k < all.n; k++)
    if (keeps(all.at[k], i, d, has)) least = fmin(least, all.at[k]->seconds);
  gs_split_form *form;
  gs_partitioner q;
  gs_err why;
  gs_err_init(&why);
  gs_err *e = p->e;
  p->e = &why; /* a form that cannot be made is none */
  if (!gs_partitioner_split(p, n, r, &form) && form &&
      !gs_partitioner_try(p, form, tmp, &q))
    least = fmin(least, gs_partitioner_tried(&q, -1));
  p->e = e;
  gs_err_free(&why);
  return least;
}

/* Whether a dim of an operand or a result is made of that factor and others. */
static bool is_joined(const gs_rule *r, int f) {
  for (int i = 0; i < r->nin + r->nout; i++) {
    const gs_tensor_map *t = i < r->nin ? &r->in[i] : &r->out[i - r->nin];
    for (int d = 0; d < t->rank; d++)
      for (int k = 0; k < t->dim[d].n && t->dim[d].n > 1; k++)
        if (t->dim[d].f[k] == f) return true;
  }
  return false;
}

/* Why dim d of operand i is wanted less split than its sharding says. */
static const char *reason_at(gs_partitioner *p, const gs_node *n,
                             const gs_rule *r, const gs_node_choice *c, int i,
                             int d, gs_arena *tmp, gs_kept *kept) {
  const gs_value *v = n->in[i];
  const gs_dim_map *map = &r->in[i].dim[d];
  gs_factor_kind kind = kept_by(r, map);
  long long size = v->dims[d];
  const char *what = gs_sprintf(p->a, "dim %d of '%s'", d, v->name);
  *kept = GS_KEPT_SIZES;
  if (size == 1) return gs_sprintf(p->a, "%s has one element", what);
  double t = kind == GS_WHOLE ? INFINITY : split_seconds(p, n, r, i, d, tmp);
  if (t < INFINITY) {
    *kept = GS_KEPT_PRICE;
    return gs_sprintf(p->a, "to split %s%s%s%s takes %.3g ms, this %.3g ms",
                      what, kind == GS_PASS ? "" : " (",
                      kind == GS_PASS ? "" : gs_factor_text(kind),
                      kind == GS_PASS ? "" : ")", t * 1e3, c->seconds * 1e3);
  }
  if (kind == GS_PASS)
    return gs_sprintf(p->a, "%s (%lld)%s has no such blocks", what, size,
                      map->n == 1 && is_joined(r, map->f[0])
                          ? ", which is a part of another dim," : "");
  *kept = GS_KEPT_ALL;
  if (kind == GS_WHOLE) return gs_sprintf(p->a, "it needs all of %s", what);
  return gs_sprintf(p->a, "it needs all of %s (%s)", what,
                    gs_factor_text(kind));
}

/* Why operand i of n is wanted less split than its sharding says. */
static const char *reason_of(gs_partitioner *p, const gs_node *n,
                             const gs_rule *r, const gs_node_choice *c, int i,
                             gs_arena *tmp, gs_kept *kept) {
  const gs_value *v = n->in[i];
  *kept = GS_KEPT_RUN;
  if (gs_node_has_region(n)) return "its graphs run whole on every device";
  if (gs_node_dynamic(n)) return "its sizes are known only in a run";
  if (!n->op) return "nothing is known of the operator";
  for (int d = 0; d < v->rank && d < r->in[i].rank; d++)
    if (c->in[i].sharding->dim[d].axes.n < v->sharding->dim[d].axes.n)
      return reason_at(p, n, r, c, i, d, tmp, kept);
  *kept = GS_KEPT_SIZES;
  return gs_sprintf(p->a, "'%s' is wanted in other blocks", v->name);
}

/* The same, told of the forms that were at hand before it was computed. */
static const char *reason_then(gs_partitioner *p, const gs_node *n,
                               const gs_rule *r, const gs_node_choice *c, int i,
                               gs_held_form *const *before, gs_arena *tmp,
                               gs_kept *kept) {
  gs_held_form **now = GS_NEWS(tmp, n->nin + 1, gs_held_form *);
  for (int k = 0; k < n->nin; k++) {
    if (!n->in[k]) continue;
    now[k] = p->held[n->in[k]->id];
    p->held[n->in[k]->id] = before[k];
  }
  const char *reason = reason_of(p, n, r, c, i, tmp, kept);
  for (int k = 0; k < n->nin; k++)
    if (n->in[k]) p->held[n->in[k]->id] = now[k];
  return reason;
}

static int operand_of(const gs_node *n, const gs_value *v) {
  int i = 0;
  while (i < n->nin && n->in[i] != v) i++;
  return i;
}

void gs_partitioner_note(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                         const gs_node_choice *c, int first,
                         gs_held_form *const *before, gs_arena *tmp) {
  if (p->trial) return;
  traffic t = traffic_from(p, first);
  const gs_value *split = NULL;
  /* What a split form gathers is the little that it is for. */
  bool whole = t.all > 0 && !p->form && runs_whole(n, c, &split);
  if (!whole && t.gathered <= GS_LARGE_GATHER) return;
  const gs_value *v = t.most ? t.most : split;
  int i = operand_of(n, v);
  if (i == n->nin && whole) i = operand_of(n, v = split); /* on a way to it */
  bool known = i < n->nin && i < r->nin;
  gs_kept kept = GS_KEPT_SIZES;
  const char *reason =
      known ? reason_then(p, n, r, c, i, before, tmp, &kept) : "";
  *gs_push(p->a, &p->out->fallback) = (gs_fallback){
      .node = gs_partitioner_told_node(p, n),
      .operand = known ? i : -1,
      .kept = kept,
      .value = v ? gs_partitioner_told(p, v) : NULL,
      .whole = whole,
      .reason = reason,
      .bytes = whole ? t.all : t.gathered};
}

void gs_partitioner_note_output(gs_partitioner *p, const gs_value *v,
                                int first) {
  traffic t = traffic_from(p, first);
  if (p->trial || t.gathered <= GS_LARGE_GATHER) return;
  *gs_push(p->a, &p->out->fallback) = (gs_fallback){
      .operand = -1,
      .kept = GS_KEPT_SIZES,
      .value = v,
      .reason = gs_sprintf(p->a, "the output's sharding is %s",
                           gs_sharding_text(p->a, p->m, v->sharding)),
      .bytes = t.gathered};
}
