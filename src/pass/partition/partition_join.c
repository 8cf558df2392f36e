/* What an exchange makes, and another takes: one instead of the two, where that
 * sends no more.  Slices that are concatenated to turn a tensor round, a pad
 * before a window, a shift and its undoing are chains of them. */
#include <string.h>

#include "base/assert.h"
#include "op/core/exchange_node.h"
#include "pass/partition/partition_impl.h"

/* An exchange of the program. */
typedef struct link {
  gs_node *n;
  gs_exchange x;
  int dim;
  gs_axes axes; /* of both sides */
  double seconds, bytes;
} link;

typedef struct joiner {
  gs_partitioner *p;
  gs_arena tmp;
  int *uses;   /* [values of the program] */
  link **made; /* [values] the exchange that makes it, or NULL */
} joiner;

static void price(const joiner *j, link *k) {
  const gs_value *in = k->n->in[0];
  gs_exchange_price c = gs_cost_exchange(j->p->m, &k->x, in->dtype, in->rank,
                                         in->dims, k->dim);
  k->axes = c.axes;
  k->bytes = c.bytes;
  k->seconds = c.seconds;
}

static link *read_link(joiner *j, gs_node *n) {
  const gs_move_info *move = gs_move_of(n->op);
  if (!move || move->effect != GS_EFFECT_EXCHANGE) return NULL;
  link *k = GS_NEW(&j->tmp, link);
  k->n = n;
  if (gs_node_exchange(&j->tmp, n, j->p->m, &k->x, &k->dim, NULL)) return NULL;
  price(j, k);
  return k;
}

/* The operand that fills the gaps; NULL: none. */
static gs_value *fill_of(const link *k) {
  return k->x.fill == GS_FILL_OPERAND ? k->n->in[k->x.nsource] : NULL;
}

/* The exchange k with that of its operand i done along with it, as a node that
 * is in no graph; NULL: there is none. */
static link *join(joiner *j, const link *k, int i, const link *inner) {
  gs_exchange_origin *origin;
  link *both = GS_NEW(&j->tmp, link);
  gs_value *fill = fill_of(k), *inner_fill = fill_of(inner);
  if (inner->dim != k->dim || (fill && inner_fill && fill != inner_fill) ||
      !gs_exchange_join(&j->tmp, j->p->m, &k->x, i, &inner->x, &both->x,
                        &origin))
    return NULL;
  both->dim = k->dim;
  both->n = gs_memdup(&j->tmp, k->n, sizeof *k->n);
  both->n->in = GS_NEWS(&j->tmp, both->x.nsource + 1, gs_value *);
  both->n->nin = both->x.nsource;
  for (int s = 0; s < both->x.nsource; s++) {
    const gs_node *from = origin[s].inner ? inner->n : k->n;
    both->n->in[s] = from->in[origin[s].source];
  }
  if (both->x.fill == GS_FILL_OPERAND)
    both->n->in[both->n->nin++] = fill ? fill : inner_fill;
  price(j, both);
  return both;
}

/* What operand i of k is a local split of along the dim, and is whole there
 * because an exchange made it so; NULL: it is no such split. */
static gs_value *unsplit(const joiner *j, const link *k, int i) {
  const gs_exchange_source *s = &k->x.source[i];
  const gs_node *n = k->n->in[i]->def;
  const gs_move_info *move = n ? gs_move_of(n->op) : NULL;
  if (!move || move->effect != GS_EFFECT_SPLIT || !j->made[n->in[0]->id])
    return NULL;
  const gs_sharding *split = gs_node_sharding(n, "split");
  for (int d = 0; d < split->rank; d++) {
    const gs_axes *axes = &split->dim[d].axes;
    if (d == k->dim ? !gs_axes_equal(axes, &k->x.from) : axes->n) return NULL;
  }
  return n->in[0]->dims[k->dim] >= s->first + s->n ? n->in[0] : NULL;
}

/* The exchange k that takes operand i from what is whole; NULL: it cannot. */
static link *join_split(joiner *j, const link *k, int i) {
  gs_value *whole = unsplit(j, k, i);
  if (!whole) return NULL;
  link *both = gs_memdup(&j->tmp, k, sizeof *k);
  gs_exchange_source *s = gs_memdup(
      &j->tmp, k->x.source, (size_t)k->x.nsource * sizeof *k->x.source);
  s[i].block = 0;
  both->x.source = s;
  both->n = gs_memdup(&j->tmp, k->n, sizeof *k->n);
  both->n->in = gs_memdup(&j->tmp, k->n->in,
                          (size_t)k->n->nin * sizeof *k->n->in);
  both->n->in[i] = whole;
  price(j, both);
  gs_assert(both->bytes <= k->bytes);
  return both;
}

static void count(joiner *j, const gs_node *n, int by) {
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) j->uses[n->in[i]->id] += by;
}

/* Where n stands, or would, in the list of collectives. */
static int record_of(const joiner *j, const gs_node *n, bool *there) {
  const gs_partition *out = j->p->out;
  int i = 0;
  for (; i < out->collective.n; i++) {
    const char *result = out->collective.at[i].result;
    const gs_value *v = gs_graph_find(out->program, result);
    if (v && v->def && v->def->id >= n->id) break;
  }
  *there = i < out->collective.n &&
           !strcmp(out->collective.at[i].result, n->out[0]->name);
  return i;
}

/* The collective that k becomes; what it sends, one of the two has sent. */
static void record(joiner *j, const link *k, const link *both,
                   const link *inner) {
  gs_partition *out = j->p->out;
  bool there, other;
  int at = record_of(j, k->n, &there);
  out->seconds += both->seconds - k->seconds;
  gs_collective *c = out->collective.at;
  if (both->bytes <= 0) {
    if (!there) return;
    out->collective.n--;
    memmove(c + at, c + at + 1,
            (size_t)(out->collective.n - at) * sizeof *c);
    return;
  }
  if (!there) {
    gs_collective one = c[record_of(j, inner->n, &other)];
    gs_assert(other);
    one.result = k->n->out[0]->name;
    one.to = gs_sharding_text(j->p->a, j->p->m, k->n->out[0]->sharding);
    gs_push(j->p->a, &out->collective);
    c = out->collective.at;
    memmove(c + at + 1, c + at,
            (size_t)(out->collective.n - 1 - at) * sizeof *c);
    c[at] = one;
  }
  c[at].axes = both->axes;
  c[at].seconds = both->seconds;
  c[at].bytes = both->bytes;
}

/* Makes the node of k what `both` says. */
static void replace(joiner *j, link *k, const link *both, const link *inner) {
  gs_graph *g = j->p->program;
  gs_node *n = k->n;
  count(j, n, -1);
  n->nin = both->n->nin;
  n->in = gs_memdup(g->arena, both->n->in, (size_t)n->nin * sizeof *n->in);
  count(j, n, 1);
  while (n->nattr) gs_node_drop(n, n->attr[0].name);
  gs_node_set_exchange(g, n, k->dim, &both->x);
  record(j, k, both, inner);
  k->x = both->x;
  k->axes = both->axes;
  k->seconds = both->seconds;
  k->bytes = both->bytes;
}

/* Whether `both` takes less than k and what it joins; that stays where others
 * read it. */
static bool better(const joiner *j, const link *both, const link *k,
                   const link *inner) {
  bool last = j->uses[inner->n->out[0]->id] == 1;
  return both->seconds <= k->seconds + (last ? inner->seconds : 0) &&
         both->bytes <= k->bytes + (last ? inner->bytes : 0);
}

/* Joins k with one of its operands. */
static bool improve(joiner *j, link *k) {
  for (int i = 0; i < k->x.nsource; i++) {
    const link *inner = j->made[k->n->in[i]->id];
    const link *both = inner ? join(j, k, i, inner) : join_split(j, k, i);
    if (!both || (inner && !better(j, both, k, inner))) continue;
    replace(j, k, both, inner);
    return true;
  }
  return false;
}

void gs_partitioner_join(gs_partitioner *p) {
  joiner j = {.p = p};
  gs_graph *g = p->program;
  gs_arena_init(&j.tmp);
  j.uses = GS_NEWS(&j.tmp, g->value.n + 1, int);
  j.made = GS_NEWS(&j.tmp, g->value.n + 1, link *);
  for (int i = 0; i < g->node.n; i++) count(&j, g->node.at[i], 1);
  for (int i = 0; i < g->output.n; i++) j.uses[g->output.at[i]->id]++;
  for (int i = 0; i < g->node.n; i++) {
    link *k = read_link(&j, g->node.at[i]);
    if (!k) continue;
    while (improve(&j, k)) continue;
    j.made[k->n->out[0]->id] = k;
  }
  gs_arena_free(&j.tmp);
}
