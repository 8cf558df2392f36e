#include "plan/auto_shard.h"
#include "plan/auto_price.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/data/map.h"
#include "base/math.h"
#include "plan/trial.h"

/* Less than this part of the time is no reason to split a tensor. */
static const double least_gain = 1e-3;

typedef struct candidate {
  gs_auto_shard_choice choice;
  gs_auto_shard_score alone; /* with nothing else chosen */
  gs_auto_shard_score score; /* when it was last looked at */
  bool cannot;               /* be made alone: what `failed` begins as */
  bool taken, failed, barred;
} candidate;

typedef struct filler {
  gs_arena *a;
  gs_graph *g;
  const gs_propagate_input *in;
  const gs_auto_shard_options *opt;
  gs_uses uses;
  gs_sharding **base; /* [nvalue] what the user said, with taken choices */
  gs_map family;      /* key -> candidate; one mesh axis each */
  GS_VEC(candidate *) list;
  GS_VEC(candidate *) taken; /* those of the choices, in their order */
  gs_map known; /* what was tried -> outcome */
  gs_auto_price price;
  gs_arena tmp;           /* for one */
} filler;

/* ---- what may be chosen ---- */

/* The text with every number replaced by '#'. */
static void fold_digits(gs_buf *b, const char *s) {
  while (*s) {
    if (isdigit((unsigned char)*s)) {
      gs_buf_char(b, '#');
      while (isdigit((unsigned char)*s)) s++;
    } else {
      gs_buf_char(b, *s++);
    }
  }
}

/* Tensors of one family: the same dim of tensors that look alike and whose
 * first use looks alike. */
static char *weight_key(filler *f, const gs_value *v, int d, int axis) {
  gs_buf b;
  gs_buf_init(&b, f->a);
  gs_buf_printf(&b, "weight %d %d %s ", axis, d,
                gs_shape_text(f->a, v->dtype, v->rank, v->dims));
  fold_digits(&b, v->name);
  int first = f->uses.first[v->id];
  if (first < f->uses.first[v->id + 1]) {
    const gs_use *u = &f->uses.use[first];
    gs_buf_printf(&b, " %s %d ", u->node->op_type, u->index);
    fold_digits(&b, u->node->name);
    if (u->node->module) fold_digits(&b, u->node->module);
  }
  return b.at;
}

/* Dims of inputs that are one dim of the problem: the same name or size. */
static char *input_key(filler *f, const gs_value *v, int d, int axis) {
  const char *name = v->dim_names ? v->dim_names[d] : NULL;
  if (name && *name)
    return gs_sprintf(f->a, "input %d name %s", axis, name);
  return gs_sprintf(f->a, "input %d %lld", axis, (long long)v->dims[d]);
}

static bool may_split(const filler *f, const gs_value *v, int d, int axis) {
  const gs_sharding *s = f->base[v->id];
  gs_axes axes = gs_axes_named(f->g->mesh, axis);
  int64_t size = f->g->mesh->axis[axis].size;
  if (size < 2 || v->dims[d] < size) return false;
  if (gs_auto_least_dim(&f->price, v, d) < size) return false;
  if (f->opt->even && v->dims[d] % size) return false;
  if (!s) return true;
  gs_subset taken = gs_mesh_barred(
      f->g->mesh, gs_sharding_used(s) | s->replicated | s->partial);
  return s->dim[d].open && !(taken & gs_axes_set(&axes));
}

static void add_to(filler *f, const char *key, gs_value *v, int d, int axis) {
  candidate *c = gs_map_get(&f->family, key);
  if (!c) {
    c = GS_NEW(f->a, candidate);
    c->choice.axis = axis;
    gs_map_put(&f->family, key, c);
    *gs_push(f->a, &f->list) = c;
  }
  for (int i = 0; i < c->choice.n; i++) /* one dim of a tensor is enough */
    if (c->choice.value[i] == v) return;
  int n = c->choice.n++;
  gs_value **value = GS_NEWS(f->a, n + 1, gs_value *);
  int *dim = GS_NEWS(f->a, n + 1, int);
  for (int i = 0; i < n; i++) {
    value[i] = c->choice.value[i];
    dim[i] = c->choice.dim[i];
  }
  value[n] = v;
  dim[n] = d;
  c->choice.value = value;
  c->choice.dim = dim;
}

/* Vectors such as biases follow what they are added to, and small ones are
 * read as needed. */
static bool is_weight(const gs_value *v) {
  return v->constant && v->rank > 0 &&
         gs_dtype_get((int)v->dtype)->cls == 'f' &&
         gs_product(v->dims, v->rank) > 1 &&
         (v->rank > 1 || v->constant->nbytes > GS_SMALL_CONSTANT);
}

/* v, or the constant of which it is a view. */
static const gs_value *viewed(const gs_value *v) {
  const gs_node *n = v ? v->def : NULL;
  bool view = n && n->op && n->op->flags & GS_OP_VIEW && n->nin;
  return view ? n->in[0] : v;
}

/* Weights joined to one, such as a stack: none of them has the dim. */
static bool joins_weights(const gs_value *v) {
  const gs_node *n = v->def;
  bool all = !v->constant && n && n->op && n->op->flags & GS_OP_MOVES &&
             n->nin > 1;
  for (int i = 0; all && i < n->nin; i++) {
    const gs_value *x = viewed(n->in[i]);
    all = x && is_weight(x);
  }
  return all;
}

static void find_candidates(filler *f) {
  const gs_mesh *m = f->g->mesh;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < f->g->value.n; i++) {
      gs_value *v = f->g->value.at[i];
      if (pass == 0 ? !v->is_input : !is_weight(v) && !joins_weights(v))
        continue;
      for (int d = 0; d < v->rank; d++)
        for (int axis = 0; axis < m->naxis; axis++)
          if (may_split(f, v, d, axis))
            add_to(f, pass ? weight_key(f, v, d, axis)
                           : input_key(f, v, d, axis), v, d, axis);
    }
}

/* ---- trying ---- */

/* Appends the axis to the dims of the choice, where it is still free. */
static void apply(filler *f, gs_arena *a, const gs_auto_shard_choice *c) {
  gs_axes axes = gs_axes_named(f->g->mesh, c->axis);
  for (int i = 0; i < c->n; i++) {
    gs_value *v = c->value[i];
    if (!may_split(f, v, c->dim[i], c->axis)) continue;
    gs_sharding *s = v->sharding ? gs_sharding_copy(a, v->sharding)
                                 : gs_sharding_new(a, v->rank, true);
    gs_axes *to = &s->dim[c->dim[i]].axes;
    gs_assert(c->dim[i] >= 0 && c->dim[i] < s->rank);
    *to = gs_axes_cat(to, &axes);
    v->sharding = s;
  }
}

static void restore(filler *f) {
  for (int i = 0; i < f->g->value.n; i++)
    f->g->value.at[i]->sharding = f->base[i];
}

/* What the graph costs as its values are sharded now. */
typedef struct outcome {
  gs_status status;
  gs_auto_shard_score score;
} outcome;

/* The shardings of all values that have one, and what is priced. */
static char *shardings_key(filler *f, gs_arena *a) {
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_printf(&b, "%d:", f->price.only);
  for (int i = 0; i < f->g->value.n; i++) {
    const gs_sharding *s = f->g->value.at[i]->sharding;
    if (!s) continue;
    gs_buf_printf(&b, "%d", i);
    gs_sharding_print(&b, f->g->mesh, s);
  }
  return b.at;
}

/* What the graph costs with the taken choices, and c (or NULL).  Different ways
 * lead over the same choices: each set of them is tried once. */
static gs_status attempt(filler *f, const gs_auto_shard_choice *c,
                         gs_auto_shard_score *out, gs_err *e) {
  gs_arena *a = &f->tmp;
  restore(f);
  if (c) apply(f, a, c);
  const char *key = shardings_key(f, a);
  outcome *o = gs_map_get(&f->known, key);
  if (!o) {
    o = GS_NEW(f->a, outcome);
    gs_map_put(&f->known, key, o);
    o->status = gs_auto_price_now(&f->price, a, &o->score, e);
  } else if (o->status) { /* for its message */
    o->status = gs_auto_price_now(&f->price, a, &o->score, e);
  }
  if (!o->status) *out = o->score;
  restore(f);
  gs_arena_reset(a);
  return o->status;
}

/* What a score is judged by past the excess. */
static double judged(const gs_auto_shard_score *x) {
  const gs_trial t = {x->time, x->bytes, x->flops};
  return gs_trial_judged(&t);
}

/* Fewer bytes past the limit, or else better by more than `least`. */
static bool beats(const gs_auto_shard_score *x, const gs_auto_shard_score *y,
                  double least) {
  if (x->excess < y->excess || x->excess > y->excess)
    return x->excess < y->excess;
  return judged(x) < judged(y) - least;
}

bool gs_auto_shard_better(const gs_auto_shard_score *x,
                          const gs_auto_shard_score *y) {
  return beats(x, y, least_gain);
}

/* A choice that the passes refuse is one that cannot be made. */
static void look(filler *f, candidate *c) {
  gs_err none;
  gs_err_init(&none);
  c->failed = attempt(f, &c->choice, &c->score, &none) != GS_OK;
  gs_err_free(&none);
}

/* The untaken candidate that scored best when it was last looked at. */
static candidate *most_promising(const filler *f, const candidate *but) {
  candidate *best = NULL;
  for (int i = 0; i < f->list.n; i++) {
    candidate *c = f->list.at[i];
    if (c->taken || c->failed || c->barred || c == but) continue;
    if (!best || beats(&c->score, &best->score, 0)) best = c;
  }
  return best;
}

/* Makes a choice part of what stands. */
static void take(filler *f, candidate *c) {
  gs_assert(!c->taken && !c->failed);
  restore(f);
  apply(f, f->a, &c->choice);
  for (int i = 0; i < c->choice.n; i++)
    f->base[c->choice.value[i]->id] = c->choice.value[i]->sharding;
  c->taken = true;
}

/* Takes candidates while one helps.  A score of an earlier round is looked at
 * again before it is believed; gains mostly shrink, so few need to be. */
static bool take_while_better(filler *f, gs_auto_shard *out) {
  bool any = false;
  for (;;) {
    candidate *c = most_promising(f, NULL);
    if (!c || !gs_auto_shard_better(&c->score, &out->after)) return any;
    look(f, c);
    const candidate *next = most_promising(f, c);
    if (c->failed || !gs_auto_shard_better(&c->score, &out->after)) continue;
    if (next && gs_auto_shard_better(&next->score, &c->score)) continue;
    take(f, c);
    any = true;
    out->after = c->score;
    c->choice.after = c->score;
    *gs_push(f->a, &f->taken) = c;
  }
}

/* ---- the pass ---- */

/* Puts back what the user said, then all that is taken but number `but`. */
static void take_all_but(filler *f, gs_sharding *const *said, int but) {
  memcpy(f->base, said, (size_t)f->g->value.n * sizeof *said);
  for (int i = 0; i < f->list.n; i++) f->list.at[i]->taken = false;
  for (int i = 0; i < f->taken.n; i++)
    if (i != but) take(f, f->taken.at[i]);
}

static void look_again(filler *f) {
  for (int i = 0; i < f->list.n; i++)
    if (!f->list.at[i]->taken && !f->list.at[i]->barred)
      look(f, f->list.at[i]);
}

/* Takes what helps, from what the user said on. */
static void climb(filler *f, gs_sharding *const *said, gs_auto_shard *out) {
  f->taken.n = 0;
  out->after = out->before;
  take_all_but(f, said, -1);
  for (int i = 0; i < f->list.n; i++) {
    candidate *c = f->list.at[i];
    c->score = c->alone;
    c->failed = c->cannot;
  }
  while (take_while_better(f, out)) /* what did not help alone may help now */
    look_again(f);
}

/* Bars what propagation would split if c alone were chosen: the way that c
 * leads on, whichever of them is its first step. */
static gs_status bar_way(filler *f, gs_sharding *const *said, candidate *c,
                         gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_propagation done;
  memcpy(f->base, said, (size_t)f->g->value.n * sizeof *said);
  restore(f);
  apply(f, &a, &c->choice);
  gs_status s = gs_pass_propagate(&a, f->g, f->in, &done, e);
  for (int i = 0; i < f->list.n && !s; i++) {
    candidate *x = f->list.at[i];
    const gs_value *v = x->choice.value[0];
    gs_axes axes = gs_axes_named(f->g->mesh, x->choice.axis);
    const gs_axes *have = &v->sharding->dim[x->choice.dim[0]].axes;
    if (gs_axes_set(&axes) & gs_axes_set(have)) x->barred = true;
  }
  restore(f);
  gs_arena_free(&a);
  return s;
}

/* A way that was climbed: its choices, and how high it leads. */
typedef struct way {
  int n;
  candidate **taken;
  gs_auto_shard_score after;
} way;

/* Notes the way that was climbed in *best, if it leads higher. */
static void note_way(filler *f, const gs_auto_shard *out, way *best) {
  if (best->taken && !beats(&out->after, &best->after, least_gain / 10))
    return;
  size_t size = (size_t)f->taken.n * sizeof *best->taken;
  *best = (way){f->taken.n, gs_memdup(f->a, f->taken.at, size), out->after};
}

static void go_way(filler *f, gs_sharding *const *said, const way *w,
                   gs_auto_shard *out) {
  f->taken.n = 0;
  for (int i = 0; i < w->n; i++) *gs_push(f->a, &f->taken) = w->taken[i];
  out->after = w->after;
  take_all_but(f, said, -1);
}

/* Takes what helps, from what is taken on. */
static void climb_on(filler *f, gs_auto_shard *out) {
  do look_again(f);
  while (take_while_better(f, out));
}

/* What helps most at first may lead away from what is best: split rows of one
 * product, and every product is split, at the price of a sum behind each; split
 * columns help one product at a time, and need fewer sums once all have been
 * split.  So other ways are climbed too, and each to its end without bars. */
static gs_status climb_around(filler *f, gs_sharding *const *said,
                              gs_auto_shard *out, gs_err *e) {
  enum { WAYS = 3 };
  way best = {0};
  bool *barred = GS_NEWS(f->a, f->list.n + 1, bool);
  for (int k = 0; k < WAYS; k++) {
    for (int i = 0; i < f->list.n; i++) f->list.at[i]->barred = barred[i];
    climb(f, said, out);
    candidate *first = f->taken.n ? f->taken.at[0] : NULL;
    for (int i = 0; i < f->list.n; i++) f->list.at[i]->barred = false;
    if (k) climb_on(f, out);
    note_way(f, out, &best);
    if (!first || k + 1 == WAYS) break;
    GS_TRY(bar_way(f, said, first, e));
    for (int i = 0; i < f->list.n; i++)
      barred[i] = barred[i] || f->list.at[i]->barred;
  }
  for (int i = 0; i < f->list.n; i++) f->list.at[i]->barred = false;
  go_way(f, said, &best, out);
  return GS_OK;
}

/* Climbs for one size, or for all; then out->after says what the end of the way
 * is for all.  False: no program of some size can be made so. */
static gs_status climb_for(filler *f, gs_sharding *const *said, int only,
                           gs_auto_shard *out, bool *fits, gs_err *e) {
  gs_auto_shard part = {0};
  f->price.only = only;
  take_all_but(f, said, -1);
  GS_TRY(attempt(f, NULL, &part.before, e));
  for (int i = 0; i < f->list.n; i++) {
    candidate *c = f->list.at[i];
    look(f, c);
    c->alone = c->score;
    c->cannot = c->failed;
  }
  GS_TRY(climb_around(f, said, &part, e));
  f->price.only = -1;
  gs_err none;
  gs_err_init(&none);
  *fits = attempt(f, NULL, &out->after, &none) == GS_OK;
  gs_err_free(&none);
  return GS_OK;
}

/* Of several sizes one is climbed for at a time, which is quicker, and what is
 * best for all is often on no way that helps all at each step; from what is
 * best of these they go on together. */
static gs_status climb_all(filler *f, gs_sharding *const *said,
                           gs_auto_shard *out, gs_err *e) {
  way best = {0};
  bool fits;
  int more = f->opt->nmore;
  for (int k = 0; k <= more; k++) {
    f->taken.n = 0;
    GS_TRY(climb_for(f, said, more ? k : -1, out, &fits, e));
    if (fits) note_way(f, out, &best);
  }
  go_way(f, said, &best, out);
  if (more) climb_on(f, out);
  return GS_OK;
}

/* Puts others in the place of choices that do much the same, where that is
 * better: first steps are taken before it is known what comes after. */
static void exchange(filler *f, gs_sharding *const *said, gs_auto_shard *out) {
  const double alike = 0.05;
  for (int i = 0; i < f->taken.n; i++) {
    candidate *was = f->taken.at[i];
    take_all_but(f, said, i);
    for (int k = 0; k < f->list.n; k++) {
      candidate *c = f->list.at[k];
      double apart = judged(&c->alone) - judged(&was->alone);
      if (c->taken || c == was || c->cannot || fabs(apart) > alike) continue;
      look(f, c);
      if (c->failed || !beats(&c->score, &out->after, least_gain / 10))
        continue;
      out->after = c->score;
      f->taken.at[i] = c;
    }
    take_all_but(f, said, -1);
  }
}

/* Drops choices without which it is no worse. */
static gs_status drop_idle(filler *f, gs_sharding *const *said,
                           gs_auto_shard *out, gs_err *e) {
  for (int i = f->taken.n - 1; i >= 0 && f->taken.n > 1; i--) {
    gs_auto_shard_score without;
    take_all_but(f, said, i);
    GS_TRY(attempt(f, NULL, &without, e));
    if (gs_auto_shard_better(&out->after, &without)) continue;
    out->after = without;
    for (int k = i; k + 1 < f->taken.n; k++)
      f->taken.at[k] = f->taken.at[k + 1];
    gs_assert(f->taken.n > 1);
    f->taken.n--;
  }
  memcpy(f->base, said, (size_t)f->g->value.n * sizeof *said);
  for (int i = 0; i < f->list.n; i++) f->list.at[i]->taken = false;
  for (int i = 0; i < f->taken.n; i++) {
    gs_auto_shard_choice *c = &f->taken.at[i]->choice;
    take(f, f->taken.at[i]);
    GS_TRY(attempt(f, NULL, &c->after, e));
    *gs_push(f->a, &out->choice) = *c;
  }
  return GS_OK;
}

static gs_status check_fit(const filler *f, const gs_auto_shard *out,
                           gs_err *e) {
  if (out->after.excess <= 0) return GS_OK;
  gs_fail(e, GS_SPEC, NULL,
          "no sharding was found that fits %.0f bytes per device: the best "
          "takes %.0f", f->opt->memory, out->after.bytes);
  gs_err_hint(e, "more devices, or a higher memory_per_device");
  return GS_SPEC;
}

/* Weighs sizes by the work of one run, as the user has split it. */
static gs_status weigh(filler *f, gs_err *e) {
  for (int k = 0; k <= f->opt->nmore; k++) {
    gs_auto_shard_score x = {0};
    f->price.weight[k] = 1;
    if (!f->opt->nmore) break;
    f->price.only = k;
    GS_TRY(attempt(f, NULL, &x, e));
    f->price.weight[k] = 1e9 / fmax(x.flops, 1);
  }
  f->price.only = -1;
  gs_map_init(&f->known, f->a); /* what is there was not weighed */
  return GS_OK;
}

/* Chooses; f->base holds the shardings with the choices then. */
static gs_status fill(filler *f, gs_sharding *const *said, gs_auto_shard *out,
                      gs_err *e) {
  GS_TRY(weigh(f, e));
  GS_TRY(attempt(f, NULL, &out->before, e));
  find_candidates(f);
  GS_TRY(climb_all(f, said, out, e));
  exchange(f, said, out);
  return drop_idle(f, said, out, e);
}

gs_status gs_pass_auto_shard(gs_arena *a, gs_graph *g,
                             const gs_propagate_input *in,
                             const gs_auto_shard_options *opt,
                             gs_auto_shard *out, gs_err *e) {
  filler f = {.a = a, .g = g, .in = in, .opt = opt};
  int n = g->value.n;
  gs_sharding **said = GS_NEWS(a, n + 1, gs_sharding *);
  f.base = GS_NEWS(a, n + 1, gs_sharding *);
  for (int i = 0; i < n; i++) said[i] = f.base[i] = g->value.at[i]->sharding;
  f.uses = gs_graph_uses(a, g);
  gs_map_init(&f.family, a);
  gs_map_init(&f.known, a);
  gs_auto_price_init(&f.price, a, g, in, opt);
  gs_arena_init(&f.tmp);
  *out = (gs_auto_shard){.filled = GS_NEWS(a, n + 1, gs_subset)};
  gs_status s = fill(&f, said, out, e);
  gs_arena_free(&f.tmp);
  GS_TRY(s);
  restore(&f);
  for (int i = 0; i < n; i++)
    if (f.base[i] != said[i])
      out->filled[i] = gs_sharding_used(f.base[i]) &
                       ~(said[i] ? gs_sharding_used(said[i]) : 0);
  GS_TRY(gs_graph_check(g, e));
  return check_fit(&f, out, e);
}
