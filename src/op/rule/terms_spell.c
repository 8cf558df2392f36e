/* Terms against ranks: what stands for several dims, or for none. */
#include <stdlib.h>
#include <string.h>

#include "op/core/shape.h"
#include "op/rule/terms.h"

/* How many dims the groups stand for; -1: not known yet.  What "_*" and "!*"
 * stand for is another number in every term. */
typedef struct groups {
  int batch; /* of the longest "..." */
  int length['z' + 1];
} groups;

/* ---- as many terms as there are operands and results ---- */

static gs_rule_term term_copy(gs_terms *t, const gs_rule_term *from) {
  gs_rule_term w = *from;
  w.at = gs_memdup(t->arena, from->at, (size_t)from->n * sizeof *from->at);
  w.cap = from->n;
  return w;
}

/* Repeats the last of *count terms, or drops those that may be left out, so
 * that there are `want`; false when that cannot be. */
static bool terms_fit(gs_terms *t, gs_rule_term **at, int *count, int want,
                      gs_value *const *v) {
  const gs_rule_term *last = *count ? &(*at)[*count - 1] : NULL;
  if (last && last->repeated && want >= *count - 1) {
    gs_rule_term *all = GS_NEWS(t->arena, want, gs_rule_term);
    for (int i = 0; i < want; i++)
      all[i] = term_copy(t, i < *count - 1 ? &(*at)[i] : last);
    *at = all;
    *count = want;
    return true;
  }
  for (int i = want; i < *count; i++)
    if (!(*at)[i].maybe) return false;
  if (want > *count) { /* left-out operands at the end */
    gs_rule_term *all = GS_NEWS(t->arena, want, gs_rule_term);
    for (int i = 0; i < want; i++) {
      if (i < *count) all[i] = (*at)[i];
      else if (v[i]) return false;
    }
    *at = all;
  }
  *count = want;
  return true;
}

/* "mk^transA": the dims the other way round. */
static void turn(const gs_node *n, gs_rule_term *w) {
  if (!w->turned || !gs_node_int(n, w->turned, 0)) return;
  for (int i = 0, j = w->n - 1; i < j; i++, j--) {
    gs_rule_term_dim swap = w->at[i];
    w->at[i] = w->at[j];
    w->at[j] = swap;
  }
}

static gs_status match_terms(gs_terms *t, gs_err *e) {
  const gs_node *n = t->node;
  int nin = t->nin, nout = t->nout;
  if (!terms_fit(t, &t->in, &t->nin, n->nin, n->in) ||
      !terms_fit(t, &t->out, &t->nout, n->nout, n->out))
    return gs_terms_fail(t, e, "it has %d operands and %d results, the node "
                         "has %d and %d", nin, nout, n->nin, n->nout);
  for (int i = 0; i < t->nin + t->nout; i++) turn(n, gs_terms_at(t, i));
  return GS_OK;
}

/* ---- how long the groups are ---- */

static int *length_of(groups *g, const gs_rule_term_dim *d, int *own) {
  return strchr("_!1", d->many) ? own
         : d->many == '.'       ? &g->batch
                                : &g->length[(int)d->many];
}

/* Dims at [from, to) that are written one by one, or of groups of known
 * length; *open is the one of unknown length, *nopen how many there are.
 * "..." counts as open: in each term it is as long as the rank allows. */
static int count_dims(groups *g, const gs_rule_term *w, int from, int to,
                      int *own, int **open, int *nopen) {
  int sum = 0;
  *nopen = 0;
  for (int i = from; i < to; i++) {
    const gs_rule_term_dim *d = &w->at[i];
    if (!d->many) {
      sum++;
      continue;
    }
    int *length = length_of(g, d, own);
    if (d->many != '.' && *length >= 0) {
      sum += *length;
      continue;
    }
    *open = length;
    ++*nopen;
  }
  return sum;
}

/* An attribute tells the place of a dim, and so how long a group before it
 * is. */
static gs_status place(gs_terms *t, groups *g, const gs_rule_term *w,
                       const gs_value *v, int i, gs_err *e) {
  int own = -1, nopen, *open;
  int64_t at = gs_node_int(t->node, w->at[i].attr, w->at[i].otherwise);
  if (at < -v->rank || at >= v->rank)
    return gs_fail(e, GS_DATA, gs_node_place(t->arena, t->node),
                   "axis %lld is out of range for '%s' %s", (long long)at,
                   v->name, gs_shape_text(t->arena, v->dtype, v->rank,
                                          v->dims));
  if (at < 0) at += v->rank;
  int before = count_dims(g, w, 0, i, &own, &open, &nopen);
  if (nopen == 1 && before <= at) *open = (int)at - before;
  else if (nopen || before != at)
    return gs_terms_fail(t, e, "%d dims of '%s' are written before that of "
                         "'%s', which is %lld", before, v->name,
                         w->at[i].attr, (long long)at);
  return GS_OK;
}

static gs_status measure(gs_terms *t, groups *g, int i, gs_err *e) {
  const gs_rule_term *w = gs_terms_at(t, i);
  const gs_value *v = gs_terms_value(t, i);
  if (!v) return GS_OK;
  for (int k = 0; k < w->n; k++)
    if (w->at[k].attr && !w->at[k].many) GS_TRY(place(t, g, w, v, k, e));
  int own = -1, nopen, *open = NULL;
  int more = v->rank - count_dims(g, w, 0, w->n, &own, &open, &nopen);
  if (open == &g->batch && nopen == 1) {
    if (more > g->batch) g->batch = more;
  } else if (nopen == 1 && more >= 0) {
    *open = more;
  }
  return GS_OK;
}

/* ---- every dim by itself ---- */

/* Label b of "..." or of a group. */
static gs_status group_label(gs_terms *t, char group, int b, int *label,
                             gs_err *e) {
  char name[16];
  snprintf(name, sizeof name, "%s%d", group == '.' ? "." : "A.", b);
  if (group != '.') name[0] = group;
  *label = gs_terms_label(t, name, strlen(name));
  return *label < 0 ? gs_terms_fail(t, e, "too many factors") : GS_OK;
}

static bool is_permutation(const int64_t *perm, int n, int count) {
  bool seen[GS_MAX_RANK] = {false};
  if (n != count || n > GS_MAX_RANK) return false;
  for (int i = 0; i < n; i++) {
    int64_t at = perm[i] < 0 ? perm[i] + n : perm[i];
    if (at < 0 || at >= n || seen[at]) return false;
    seen[at] = true;
  }
  return true;
}

/* Which of `count` dims of a group stands at place b of a permuted one: as
 * the attribute says, or the other way round. */
static gs_status permuted(const gs_terms *t, const char *name, int count,
                          int *b, gs_err *e) {
  int n;
  const int64_t *perm = gs_node_ints(t->node, name, &n);
  if (!gs_node_attr(t->node, name)) {
    *b = count - 1 - *b;
    return GS_OK;
  }
  if (t->code == GS_SPEC && !is_permutation(perm, n, count))
    return gs_terms_fail(t, e, "attribute '%s' is not a permutation of %d dims",
                         name, count);
  const gs_value *x = t->node->in[0];
  bool seen[GS_MAX_RANK] = {false};
  if (n != count)
    return gs_fail(e, GS_DATA, gs_node_place(t->arena, t->node),
                   "%s has %d entries, '%s' has rank %d", name, n, x->name,
                   count);
  GS_TRY(gs_shape_axis_set(t->arena, t->node, x, count, perm, n, seen, e));
  int64_t at = perm[*b];
  *b = (int)(at < 0 ? at + count : at);
  return GS_OK;
}

static gs_status push(gs_terms *t, gs_rule_term *w, const gs_rule_term_dim *d,
                      gs_err *e) {
  if (w->n == GS_MAX_TERM_DIMS)
    return gs_terms_fail(t, e, "more than %d dims", GS_MAX_TERM_DIMS);
  *gs_push(t->arena, w) = *d;
  return GS_OK;
}

/* Puts `count` dims in place of d; "..." of fewer dims than others is the
 * last of them. */
static gs_status spell_many(gs_terms *t, const groups *g, gs_rule_term *w,
                            const gs_rule_term_dim *d, int count, gs_err *e) {
  int skip = d->many == '.' ? g->batch - count : 0;
  for (int b = 0; b < count; b++) {
    gs_rule_term_dim one = {.n = 1};
    int at = b + skip;
    if (d->attr) GS_TRY(permuted(t, d->attr, count, &at, e));
    if (d->many == '_') one.label[0] = GS_TERM_WHOLE;
    else if (d->many == '!') one.label[0] = GS_TERM_IGNORED;
    else if (d->many == '1') one.n = 0;
    else GS_TRY(group_label(t, d->many, at, &one.label[0], e));
    GS_TRY(push(t, w, &one, e));
  }
  return GS_OK;
}

/* Whether dim d of a result is there: some operand has it. */
static bool found(const gs_terms *t, const gs_rule_term_dim *d) {
  for (int k = 0; k < d->n; k++)
    if (d->label[k] >= 0 && t->label[d->label[k]].operand) return true;
  return false;
}

/* Marks the labels of operand or result i, unless that is left out. */
static void note(gs_terms *t, const gs_rule_term *w, int i) {
  const gs_node *n = t->node;
  bool result = i >= t->nin;
  if (!(result ? n->out[i - t->nin] : n->in[i])) return;
  for (int k = 0; k < w->n; k++)
    for (int j = 0; j < w->at[k].n; j++) {
      if (w->at[k].label[j] < 0) continue;
      gs_label *l = &t->label[w->at[k].label[j]];
      *(result ? &l->result : &l->operand) = true;
    }
}

static gs_status spell_term(gs_terms *t, groups *g, int i, gs_err *e) {
  gs_rule_term *w = gs_terms_at(t, i), out = *w;
  const gs_value *v = gs_terms_value(t, i);
  int own = -1, nopen, *open = NULL;
  int sum = count_dims(g, w, 0, w->n, &own, &open, &nopen);
  bool result = i >= t->nin;
  for (int k = 0; k < w->n && result; k++)
    if (w->at[k].maybe && !found(t, &w->at[k])) sum--;
  int more = v ? v->rank - sum : g->batch, skip = v && more < 0 ? -more : 0;
  out.at = NULL;
  out.n = out.cap = 0;
  for (int k = 0; k < w->n; k++) {
    gs_rule_term_dim *d = &w->at[k];
    if (d->many) {
      int *length = length_of(g, d, &own);
      int count = length == &own || d->many == '.' ? more : *length;
      if (count < 0) count = 0;
      GS_TRY(spell_many(t, g, &out, d, count, e));
    } else if (d->maybe && result) {
      if (found(t, d)) GS_TRY(push(t, &out, d, e));
    } else if (d->maybe && skip) {
      skip--;
    } else {
      GS_TRY(push(t, &out, d, e));
    }
  }
  *w = out;
  if (v && w->n != v->rank)
    return gs_terms_fail(t, e, "'%s' has rank %d, %d dims are written",
                         v->name, v->rank, sum);
  note(t, w, i);
  return GS_OK;
}

gs_status gs_terms_spell(gs_terms *t, gs_err *e) {
  groups g = {.batch = 0};
  memset(g.length, -1, sizeof g.length);
  GS_TRY(match_terms(t, e));
  int all = t->nin + t->nout;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < all; i++) GS_TRY(measure(t, &g, i, e));
  for (int i = 0; i < all; i++) GS_TRY(spell_term(t, &g, i, e));
  return GS_OK;
}
