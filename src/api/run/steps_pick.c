/* Tokens that are chosen from an output: the index of its largest element along
 * the last dim, or one that is drawn.
 *
 * Rank 0 chooses, from the joined output: in f64, elements in the order of
 * their indices, with a number that depends on the seed, on how far the run has
 * come and on the row alone.  So every mesh and transport chooses the same ones
 * where the outputs are the same. */
#include "api/run/steps.h"

#include <math.h>
#include <stdlib.h>

#include "api/run/runner.h"
#include "base/assert.h"
#include "base/math.h"
#include "exec/data/aligned.h"
#include "kernel/core/convert.h"
#include "kernel/random/random.h"

/* ---- inputs that the run makes ---- */

gs_dyn *gs_steps_new_value(gs_runner *r, const gs_value *v) {
  gs_tensor *t = GS_NEW(&r->arena, gs_tensor);
  *t = (gs_tensor){.name = v->name, .dtype = v->dtype, .rank = v->rank,
                   .dims = v->dims, .nbytes = gs_value_bytes(v)};
  t->data = gs_alloc64(&r->arena, t->nbytes);
  return gs_dyn_of(&r->arena, t);
}

void gs_steps_set_int(gs_tensor *t, int64_t i, int64_t value) {
  void *data = (void *)(uintptr_t)t->data;
  if (t->dtype == GS_INT64) ((int64_t *)data)[i] = value;
  else ((int32_t *)data)[i] = (int32_t)value;
}

int64_t gs_steps_get_int(const gs_tensor *t, int64_t i) {
  return t->dtype == GS_INT64 ? ((const int64_t *)t->data)[i]
                              : ((const int32_t *)t->data)[i];
}

/* ---- do they fit ---- */

bool gs_steps_takes_ints(const gs_value *v) {
  return v->dtype == GS_INT64 || v->dtype == GS_INT32;
}

gs_status gs_steps_check_pick(gs_runner *r, gs_step_pick *p, gs_err *e) {
  const gs_value *y = r->source.graph->output.at[p->out];
  const gs_value *x = r->source.graph->input.at[p->in];
  gs_arena *a = &r->arena;
  int64_t m = y->rank ? y->dims[y->rank - 1] : 0;
  bool fits = m > 0 && gs_dtype_get((int)y->dtype)->cls == 'f' &&
              gs_steps_takes_ints(x) &&
              gs_product(x->dims, x->rank) ==
                  gs_product(y->dims, y->rank - 1);
  if (!fits)
    return gs_fail(e, GS_DATA, NULL, "output '%s' is %s, of which the last dim "
                   "is chosen from, but the input '%s' is %s", y->name,
                   gs_shape_text(a, y->dtype, y->rank, y->dims), x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims));
  p->value = gs_steps_new_value(r, x);
  p->rows = gs_product(x->dims, x->rank);
  p->ended = GS_NEWS(a, p->rows + 1, bool);
  if (!gs_runner_first(r)) return GS_OK;
  p->x = GS_NEWS(a, m, double);
  p->order = GS_NEWS(a, m, int64_t);
  return GS_OK;
}

gs_status gs_steps_check_draw(const gs_step_draw *d, gs_err *e) {
  if (d->temperature >= 0 && d->top_k >= 0 && d->top_p > 0 && d->top_p <= 1)
    return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "the temperature %g and top-k %lld must "
                 "not be below 0, and top-p %g must be above 0 and at most 1",
                 d->temperature, (long long)d->top_k, d->top_p);
}

/* ---- the largest ---- */

/* The first of the largest; a NaN is larger than all. */
static int64_t largest(const double *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 0; i < n; i++) {
    if (isnan(x[i])) return i;
    if (x[i] > x[best]) best = i;
  }
  return best;
}

/* ---- drawing ---- */

/* A number in [0, 1) for a row, `far` into the run. */
static double uniform(uint64_t seed, int64_t far, int64_t row) {
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, out[4];
  uint32_t counter[4] = {(uint32_t)far, (uint32_t)((uint64_t)far >> 32),
                         (uint32_t)row, 0x746f6b65}; /* none of a kernel's */
  gs_philox(counter, key, out);
  uint64_t bits = (uint64_t)out[0] << 32 | out[1];
  return (double)(bits >> 11) * 0x1p-53;
}

/* Whether element i comes before k: the larger, else the first. */
static bool before(const double *w, int64_t i, int64_t k) {
  return w[i] > w[k] || (w[i] >= w[k] && i < k);
}

/* Sorts places [0, n) of `order` by weight, by heaps: no worst case. */
static void sort(const double *w, int64_t *order, int64_t n) {
  for (int64_t size = n, i = n / 2; size > 1;) {
    int64_t at, moved;
    if (i > 0) {
      moved = order[at = --i];
    } else {
      moved = order[--size];
      order[size] = order[at = 0];
    }
    for (int64_t child; (child = 2 * at + 1) < size; at = child) {
      if (child + 1 < size && before(w, order[child], order[child + 1]))
        child++;
      if (!before(w, moved, order[child])) break;
      order[at] = order[child];
    }
    order[at] = moved;
  }
}

/* Keeps the weights that may be drawn, in `order`, and returns how many. */
static int64_t keep(const gs_step_draw *d, const double *w, int64_t n,
                    double sum, int64_t *order) {
  bool limit = d->top_k && d->top_k < n;
  int64_t kept = 0, most = limit ? d->top_k : n;
  /* What is lighter than this is lighter in all than what may be left out. */
  double least = limit ? 0 : (1 - d->top_p) * sum / (double)n;
  for (int64_t i = 0; i < n; i++)
    if (w[i] > 0 && w[i] >= least) order[kept++] = i;
  if (!limit && d->top_p >= 1) return kept;
  sort(w, order, kept);
  most = gs_min(most, kept);
  double all = limit ? 0 : sum, have = 0;
  for (int64_t i = 0; i < most && limit; i++) all += w[order[i]];
  for (int64_t i = 0; i < most; i++) {
    have += w[order[i]];
    if (have >= d->top_p * all) return i + 1;
  }
  return most;
}

/* An index with the probability that softmax(x / temperature) gives it; x is
 * overwritten. */
static int64_t draw(const gs_step_draw *d, double *x, int64_t n,
                    int64_t *order, int64_t far, int64_t row) {
  int64_t top = largest(x, n);
  double max = x[top], sum = 0;
  if (d->temperature <= 0 || !isfinite(max)) return top;
  for (int64_t i = 0; i < n; i++)
    sum += x[i] = exp((x[i] - max) / d->temperature);
  int64_t kept = keep(d, x, n, sum, order);
  gs_assert(kept > 0 && kept <= n);
  sum = 0;
  for (int64_t i = 0; i < kept; i++) sum += x[order[i]];
  double at = uniform(d->seed, far, row) * sum;
  for (int64_t i = 0; i < kept; i++) {
    at -= x[order[i]];
    if (at < 0) return order[i];
  }
  return order[kept - 1];
}

/* How far the run has come: places of the state, or what --count counts, or
 * steps; so a run that goes on from a saved state draws as one that did not
 * end. */
static int64_t how_far(const gs_steps *s) {
  if (s->filled >= 0) return s->count[s->filled].next;
  return s->ncount ? s->count[0].next : s->begun;
}

static void choose(gs_runner *r, gs_step_pick *p, const char *data) {
  const gs_steps *s = r->steps;
  const gs_value *y = r->source.graph->output.at[p->out];
  int64_t m = y->dims[y->rank - 1];
  int64_t row = m * gs_dtype_get((int)y->dtype)->bits / 8;
  for (int64_t i = 0; i < p->rows; i++) {
    gs_convert(GS_DOUBLE, p->x, y->dtype, data + i * row, m, NULL);
    gs_steps_set_int(&p->value->t, i,
                     p->draws
                         ? draw(&s->draw, p->x, m, p->order, how_far(s), i)
                         : largest(p->x, m));
  }
}

gs_status gs_steps_choose(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  for (int k = 0; k < s->npick; k++) {
    const void *data;
    GS_TRY(gs_exec_joined(r->exec, s->pick[k].out, &data, e));
    if (data) choose(r, &s->pick[k], data);
  }
  return GS_OK;
}

gs_status gs_steps_share_chosen(gs_runner *r, gs_err *e) {
  const gs_steps *s = r->steps;
  for (int k = 0; k < s->npick && gs_runner_many(r); k++) {
    const gs_tensor *t = &s->pick[k].value->t;
    if (s->fresh[s->pick[k].in]) continue;
    GS_TRY(gs_world_bcast(r->w, (void *)(uintptr_t)t->data, t->nbytes, e));
  }
  return GS_OK;
}

/* ---- the end ---- */

static bool stops(const gs_steps *s, int64_t token) {
  for (int i = 0; i < s->nstop_at; i++)
    if (s->stop_at[i] == token) return true;
  return false;
}

bool gs_steps_stopped(gs_steps *s) {
  for (int k = 0; k < s->npick && s->nstop_at && s->done; k++) {
    gs_step_pick *p = &s->pick[k];
    bool all = p->rows > 0;
    for (int64_t i = 0; i < p->rows; i++) {
      if (s->fresh[p->in]) p->ended[i] = false; /* a prompt goes on */
      else if (stops(s, gs_steps_get_int(&p->value->t, i))) p->ended[i] = true;
      all = all && p->ended[i];
    }
    if (all) return true;
  }
  return false;
}
