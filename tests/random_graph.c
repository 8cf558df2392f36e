#include "random_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

/* ---- shardings ---- */

static gs_sharding *random_sharding(producer *k, int rank) {
  const gs_mesh *m = k->g->mesh;
  gs_sharding *s = gs_sharding_new(k->a, rank, false);
  int which = m->norder ? random_number(k, m->norder + 1) : 0;
  gs_axes from = gs_axes_of(m->order[which].subs);
  for (int i = from.n - 1; i > 0; i--) {
    int j = random_number(k, i + 1);
    uint8_t t = from.at[i];
    from.at[i] = from.at[j];
    from.at[j] = t;
  }
  for (int i = 0; i < from.n; i++) {
    int d = random_number(k, rank + 1);
    gs_axes one = {1, {from.at[i]}};
    if (d < rank) s->dim[d].axes = gs_axes_cat(&s->dim[d].axes, &one);
    else if (random_chance(k, 15)) s->replicated |= gs_axes_set(&one);
  }
  for (int d = 0; d < rank; d++) {
    s->dim[d].open = random_chance(k, 40);
    if (s->dim[d].axes.n && random_chance(k, 10)) s->dim[d].priority = 1;
  }
  return s;
}

static void annotate(producer *k) {
  gs_graph *g = k->g;
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    bool border = v->is_input || v->is_output || v->constant;
    if (random_chance(k, border      ? k->dense
                         : k->chain ? k->dense / 10
                                    : k->dense / 2))
      v->sharding = random_sharding(k, v->rank);
  }
}

static void choose_outputs(producer *k) {
  gs_graph *g = k->g;
  bool *used = GS_NEWS(k->a, g->value.n + 1, bool);
  for (int i = 0; i < g->node.n; i++)
    for (int j = 0; j < g->node.at[i]->nin; j++)
      if (g->node.at[i]->in[j]) used[g->node.at[i]->in[j]->id] = true;
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    bool told = k->mark[i].special || k->mark[i].real;
    if (k->mark[i].index || (!v->def && k->mark[i].special) ||
        (used[i] && !(k->rows && told) && !random_chance(k, 10)) ||
        (!used[i] && !v->def && !random_chance(k, 20)))
      continue;
    v->is_output = true;
    *gs_push(k->a, &g->output) = v;
  }
}

static const char *const meshes[] = {
    "{p=2, q=2, r=2}", "{p=2}",           "{p=3}",      "{p=4}",
    "{p=5}",           "{p=6}",           "{p=7}",      "{p=8}",
    "{p=2, q=2}",      "{p=2, q=3}",      "{p=3, q=2}", "{p=4, q=2}",
    "{p=2, q=2, r=2}", "{p=2, q=1, r=3}", "{p=2, q=4}", "{p=2, q=2}"};

/* The same with device orders. */
static const char *const ordered_meshes[] = {
    "{p=2, q=2, r=2, z=[6,3,1,0,7,2,5,4], u=[7,5,2,0,1,4,3,6]}",
    "{p=2, z=[1,0]}",
    "{p=3, z=[1,0,2]}",
    "{p=4, z=[1,3,2,0], u=[2,1,3,0]}",
    "{p=5, z=[4,2,0,1,3]}",
    "{p=6, z=[1,2,0,3,5,4]:3}",
    "{p=7, z=[3,2,5,4,1,6,0], u=[4,6,3,1,2,0,5]}",
    "{p=8, z=[1,4,5,3,7,0,2,6]}",
    "{p=2, q=2, z=[3,1,0,2]}",
    "{p=2, q=3, z=[3,1,5,0,4,2]:3, u=[2,0,1,4,5,3]}",
    "{p=3, q=2, z=[0,4,3,1,2,5]}",
    "{p=4, q=2, z=[0,7,1,6,2,5,3,4]}",
    "{p=2, q=2, r=2, z=[7,5,1,0,4,3,2,6], u=[2,6,0,3,7,5,4,1]}",
    "{p=2, q=1, r=3, z=[3,0,1,5,2,4]:3}",
    "{p=2, q=4, z=[1,7,4,3,0,2,6,5]}",
    "{p=2, q=2, z=[0,1,3,2], u=[0,3,2,1]}"};

/* What the next node may be. */
static const random_kinds *kinds_of(producer *k, random_family family) {
  int which = 0;
  switch (family) {
  case RANDOM_PARTIAL: return &random_linear;
  case RANDOM_WINDOWS:
    which = random_number(k, 10);
    return which < 4 ? &random_windows : which < 8 ? &random_moves
                                                   : &random_all;
  case RANDOM_LOOKUPS:
    return random_chance(k, 60) ? &random_lookups : &random_all;
  case RANDOM_STATS:
    which = random_number(k, 100);
    return which < 45 ? &random_stats : which < 70 ? &random_attention
                                                   : &random_all;
  case RANDOM_ANY:
  case RANDOM_NFAMILY: break;
  }
  return &random_all;
}

static void add_nodes(producer *k, random_family family) {
  int nodes = 3 + random_number(k, 10);
  for (int i = 0; k->g->node.n < nodes && i < 100; i++) {
    const random_kinds *from = kinds_of(k, family);
    if (k->g->value.n > MAX_VALUES - 20) break;
    from->make[random_number(k, from->n)](k);
    if (!k->g->node.n) continue;
    const gs_node *last = k->g->node.at[k->g->node.n - 1];
    if (random_elements(last->out[0]) <= MAX_ELEMENTS) continue;
    for (int o = 0; o < last->nout; o++)
      k->mark[last->out[o]->id].index = true; /* not used again */
  }
}

char *random_graph_text(gs_arena *a, random_family family, uint32_t seed) {
  producer *k = GS_NEW(a, producer);
  k->a = a;
  k->r.state = 2463534242u ^ (seed * 2654435761u);
  if (!k->r.state) k->r.state = 1;
  for (int i = 0; i < 8; i++) random_number(k, 2);
  gs_err_init(&k->e);
  gs_buf_init(&k->ranges, a);
  gs_mesh *m = GS_NEW(a, gs_mesh);
  const char *const *all = seed % 4 == 3 ? ordered_meshes : meshes;
  if (gs_mesh_parse(all[random_number(k, 16)], a, m, &k->e)) abort();
  k->g = gs_graph_new(a, "random");
  k->g->mesh = m;
  static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 12, 6, 9, 11, 16};
  for (int i = 0; i < 4; i++)
    k->size[i] = sizes[random_number(k, family == RANDOM_WINDOWS ? 12 : 8)];
  k->plain = random_chance(k, 60);
  k->chain = family == RANDOM_PARTIAL;
  k->rows = family == RANDOM_STATS;
  if ((k->chain || k->rows) && random_chance(k, 80))
    gs_buf_printf(&k->ranges, "# slow links\n");
  k->dense = (int[]){10, 30, 60, 100}[random_number(k, 4)];
  random_any_fresh(k, FLOATS, 2, 3);
  add_nodes(k, family);
  choose_outputs(k);
  annotate(k);
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_add(&b, k->ranges.at ? k->ranges.at : "", k->ranges.n);
  gs_graph_print(&b, k->g);
  gs_err_free(&k->e);
  return b.at;
}
