#include "plan/auto_price.h"

#include <math.h>

#include "base/assert.h"
#include "base/math.h"
#include "plan/trial.h"

static void find_values(gs_auto_price *p, gs_arena *a, gs_auto_sized *z) {
  gs_assert(z->g->mesh == p->g->mesh);
  z->of = GS_NEWS(a, z->g->value.n + 1, gs_value *);
  z->to = GS_NEWS(a, p->g->value.n + 1, gs_value *);
  for (int i = 0; i < z->g->value.n; i++) {
    gs_value *v = z->g->value.at[i], *w = gs_graph_find(p->g, v->name);
    if (!w || w->rank != v->rank) continue;
    z->of[i] = w;
    z->to[w->id] = v;
  }
}

void gs_auto_price_init(gs_auto_price *p, gs_arena *a, gs_graph *g,
                        const gs_propagate_input *in,
                        const gs_auto_shard_options *opt) {
  *p = (gs_auto_price){.g = g, .in = in, .opt = opt, .only = -1};
  gs_partition_memo_init(&p->memo, a, g);
  p->more = GS_NEWS(a, opt->nmore + 1, gs_auto_sized);
  p->weight = GS_NEWS(a, opt->nmore + 1, double);
  p->weight[0] = 1;
  for (int i = 0; i < opt->nmore; i++) {
    p->weight[i + 1] = 1;
    p->more[i].g = opt->more[i];
    find_values(p, a, &p->more[i]);
    gs_partition_memo_init(&p->more[i].memo, a, opt->more[i]);
  }
}

int64_t gs_auto_least_dim(const gs_auto_price *p, const gs_value *v, int d) {
  gs_assert(d >= 0 && d < v->rank);
  int64_t n = v->dims[d];
  for (int i = 0; i < p->opt->nmore; i++) {
    const gs_value *w = p->more[i].to[v->id];
    if (w) n = gs_min(n, w->dims[d]);
  }
  return n;
}

/* Adds what size k costs, of which all values that matter have a sharding. */
static gs_status add(gs_auto_price *p, gs_arena *tmp, int k,
                     gs_auto_shard_score *x, gs_err *e) {
  gs_assert(k >= 0 && k <= p->opt->nmore);
  gs_graph *g = k ? p->more[k - 1].g : p->g;
  gs_partition_memo *memo = k ? &p->more[k - 1].memo : &p->memo;
  gs_trial t;
  GS_TRY(gs_trial_price(tmp, g, memo, &t, e));
  x->seconds += t.seconds;
  x->time += t.seconds * p->weight[k];
  x->flops += t.flops;
  x->bytes = fmax(x->bytes, t.bytes);
  return GS_OK;
}

/* The same of a graph with other sizes, under the shardings of g. */
static gs_status add_more(gs_auto_price *p, gs_arena *tmp, int k,
                          gs_auto_shard_score *x, gs_err *e) {
  const gs_auto_sized *z = &p->more[k - 1];
  gs_propagate_input in = {0};
  gs_propagation done;
  for (int i = 0; i < z->g->value.n; i++) {
    const gs_value *w = z->of[i];
    z->g->value.at[i]->sharding =
        w && w->sharding ? gs_sharding_copy(tmp, w->sharding) : NULL;
  }
  gs_status s = gs_pass_propagate(tmp, z->g, &in, &done, e);
  if (!s) s = add(p, tmp, k, x, e);
  for (int i = 0; i < z->g->value.n; i++) z->g->value.at[i]->sharding = NULL;
  return s;
}

gs_status gs_auto_price_now(gs_auto_price *p, gs_arena *tmp,
                            gs_auto_shard_score *x, gs_err *e) {
  gs_propagation done;
  *x = (gs_auto_shard_score){0};
  GS_TRY(gs_pass_propagate(tmp, p->g, p->in, &done, e));
  if (p->only <= 0) GS_TRY(add(p, tmp, 0, x, e));
  for (int k = 1; k <= p->opt->nmore; k++)
    if (p->only < 0 || p->only == k) GS_TRY(add_more(p, tmp, k, x, e));
  if (p->opt->memory > 0) x->excess = fmax(0, x->bytes - p->opt->memory);
  return GS_OK;
}
