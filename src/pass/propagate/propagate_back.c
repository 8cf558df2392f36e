/* Backward: from all uses of a value together; and groups of values. */
#include <string.h>

#include "base/assert.h"
#include "pass/propagate/propagate_impl.h"

static bool follows(const gs_axes *longer, const gs_axes *shorter) {
  return shorter->n <= longer->n &&
         !memcmp(longer->at, shorter->at, shorter->n);
}

/* Who asks for an axis with the largest tensor behind it. */
typedef struct bid {
  double weight;
  const gs_use *by;
} bid;

/* What uses of a value would make of it: those that want the same together,
 * so that memory does not grow with their number. */
typedef struct proposal {
  gs_axes *wanted; /* [rank] */
  bid *bid;        /* [nsub] of the axes that the value does not have */
} proposal;

typedef struct proposals {
  proposal *at;
  int n, cap;
} proposals;

/* ---- what all uses say ---- */

static bool same_wish(const gs_axes *a, const gs_axes *b, int rank) {
  for (int d = 0; d < rank; d++)
    if (!gs_axes_equal(&a[d], &b[d])) return false;
  return true;
}

static proposal *find_proposal(prop *p, proposals *all, const gs_axes *wanted,
                               int rank) {
  for (int i = 0; i < all->n; i++)
    if (same_wish(all->at[i].wanted, wanted, rank)) return &all->at[i];
  proposal *q = gs_push(&p->kept, all);
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  q->wanted = gs_memdup(&p->kept, wanted, (size_t)rank * sizeof *wanted);
  q->bid = GS_NEWS(&p->kept, p->m->nsub, bid);
  for (int x = 0; x < p->m->nsub; x++) q->bid[x].weight = -1;
  return q;
}

/* Adds what one use wants. */
static void propose(prop *p, proposals *all, const gs_value *v,
                    const gs_use *use, const visit *at) {
  gs_axes wanted[GS_MAX_RANK];
  gs_prop_extend(p, at, use->index, wanted);
  proposal *q = find_proposal(p, all, wanted, v->rank);
  for (int d = 0; d < v->rank; d++)
    for (int i = v->sharding->dim[d].axes.n; i < wanted[d].n; i++) {
      int axis = wanted[d].at[i];
      double w = gs_prop_weight(at, use->index, d, axis);
      if (w > q->bid[axis].weight) q->bid[axis] = (bid){w, use};
    }
}

/* The bid of the largest tensor that puts `axis` at place i of dim d. */
static bid strongest(const proposals *all, int d, int i, int axis) {
  bid best = {-1, NULL};
  for (int k = 0; k < all->n; k++) {
    const proposal *q = &all->at[k];
    if (q->wanted[d].n > i && q->wanted[d].at[i] == axis &&
        q->bid[axis].weight > best.weight)
      best = q->bid[axis];
  }
  return best;
}

/* The next axis of dim d behind `have`: what all uses agree on, or, where
 * conflicts are decided, what the largest tensor says; equals by the order of
 * the mesh. */
static int agreed_axis(const prop *p, const proposals *all, int d,
                       const gs_axes *have) {
  int next = -1;
  double weight = -1;
  for (int k = 0; k < all->n; k++) {
    const gs_axes *w = &all->at[k].wanted[d];
    if (w->n <= have->n || !follows(w, have)) continue;
    int axis = w->at[have->n];
    if (axis == next) continue;
    if (next >= 0 && !p->level.decide) return -1;
    double claimed = strongest(all, d, have->n, axis).weight;
    if (next < 0 || claimed > weight || (claimed >= weight && axis < next)) {
      next = axis;
      weight = claimed;
    }
  }
  return next;
}

/* Must dim d leave the axis at its place i to another dim? */
static bool conflicts(const prop *p, const proposals *all, const gs_value *v,
                   const gs_axes *merged, int d, int i) {
  int axis = merged[d].at[i];
  gs_subset barred = gs_mesh_barred(p->m, (gs_subset)1 << axis);
  gs_assert(i < merged[d].n);
  double mine = strongest(all, d, i, axis).weight;
  for (int e = 0; e < v->rank; e++)
    for (int k = v->sharding->dim[e].axes.n; k < merged[e].n; k++) {
      if (e == d || !(barred >> merged[e].at[k] & 1)) continue;
      if (!p->level.decide) return true;
      double theirs = strongest(all, e, k, merged[e].at[k]).weight;
      if (mine < theirs || (mine <= theirs && e < d)) return true;
    }
  return false;
}

/* Gives v what its uses agree on; true if it grew. */
static bool resolve(prop *p, gs_value *v, const proposals *all) {
  gs_axes merged[GS_MAX_RANK];
  bool grew = false;
  for (int d = 0; d < v->rank; d++) {
    merged[d] = v->sharding->dim[d].axes;
    for (int axis; (axis = agreed_axis(p, all, d, &merged[d])) >= 0;)
      merged[d].at[merged[d].n++] = (uint8_t)axis;
  }
  int keep[GS_MAX_RANK];
  for (int d = 0; d < v->rank; d++) {
    keep[d] = v->sharding->dim[d].axes.n;
    while (keep[d] < merged[d].n && !conflicts(p, all, v, merged, d, keep[d]))
      keep[d]++;
  }
  for (int d = 0; d < v->rank; d++) {
    gs_axes *have = &v->sharding->dim[d].axes;
    for (; have->n < keep[d]; grew = true) {
      gs_assert(have->n < merged[d].n);
      int axis = merged[d].at[have->n];
      bid b = strongest(all, d, have->n, axis);
      if (!b.by) break;
      gs_prop_remember(p, b.by->node, b.by->index, d, axis);
      have->at[have->n++] = (uint8_t)axis;
    }
  }
  return grew;
}

gs_status gs_prop_back(prop *p, gs_value *v, bool *changed) {
  int first = p->uses.first[v->id], end = p->uses.first[v->id + 1];
  proposals all = {0};
  gs_arena_reset(&p->kept);
  gs_status status = GS_OK;
  visit at = {0};
  for (int i = first; i < end && !status; i++) {
    const gs_use *use = &p->uses.use[i];
    if (!gs_prop_is_due(p, use->node)) continue;
    if (at.node != use->node) { /* the uses of a node follow each other */
      gs_arena_reset(&p->tmp);
      status = gs_prop_project(p, use->node, &at);
    }
    if (!status) propose(p, &all, v, use, &at);
  }
  if (!status && resolve(p, v, &all)) {
    gs_prop_mark(p, v);
    *changed = true;
  }
  return status;
}

/* ---- groups ---- */

/* Takes over what `from` has on dim d; true if v grew. */
static bool tie_dim(prop *p, gs_value *v, const gs_value *from, int d) {
  gs_split *dim = &v->sharding->dim[d];
  const gs_axes *more = &gs_prop_visible(p, from, d)->axes;
  gs_axes rest = gs_axes_tail(more, dim->axes.n);
  if (!dim->open || dim->priority > p->priority || !rest.n ||
      !follows(more, &dim->axes) || gs_axes_size(p->m, more) > v->dims[d] ||
      (gs_axes_set(&rest) & gs_prop_taken(p, v->sharding)))
    return false;
  gs_origin *o = gs_prop_origin(p, v);
  gs_assert(gs_prop_taken(p, v->sharding) >> GS_MAX_SUBS == 0);
  for (int x = 0; x < rest.n; x++)
    o[rest.at[x]] = (gs_origin){-1, NULL, from};
  dim->axes = *more;
  gs_prop_mark(p, v);
  return true;
}

static bool alike(const prop *p, const gs_value *a, const gs_value *b) {
  if (a->rank != b->rank) return false;
  for (int d = 0; d < a->rank; d++)
    if (!gs_axes_equal(&gs_prop_visible(p, a, d)->axes,
                       &gs_prop_visible(p, b, d)->axes))
      return false;
  return true;
}

void gs_prop_group(prop *p, const gs_tensor_group *t, bool *changed) {
  /* One member stands for all that look like it: they have the same to give. */
  GS_VEC(const gs_value *) giver = {0};
  gs_arena_reset(&p->tmp);
  for (int i = 0; i < t->n; i++) {
    int k = 0;
    while (k < giver.n && !alike(p, giver.at[k], t->value[i])) k++;
    if (k == giver.n) *gs_push(&p->tmp, &giver) = t->value[i];
  }
  for (int i = 0; i < t->n; i++)
    for (int k = 0; k < giver.n; k++) {
      if (t->value[i]->rank != giver.at[k]->rank) continue;
      for (int d = 0; d < t->value[i]->rank; d++)
        if (tie_dim(p, t->value[i], giver.at[k], d)) *changed = true;
    }
}
