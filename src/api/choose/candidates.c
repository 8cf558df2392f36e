/* The best elements of rows, and sums of weights, of all parts of a row. */
#include "api/choose/choose.h"

#include <math.h>
#include <string.h>

#include "api/choose/noise.h"
#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/convert.h"

void gs_choice_init(gs_choice *c, gs_arena *a, gs_exec *x, gs_world *w,
                    const gs_value *v, int out, int64_t last) {
  *c = (gs_choice){.arena = a, .x = x, .w = w, .out = out, .last = last};
  c->n = v->dims[v->rank - 1];
  c->places = v->rank > 1 ? v->dims[v->rank - 2] : 1;
  gs_assert(last > 0 && last <= c->places);
  c->rows = gs_product(v->dims, v->rank - 1) / c->places * last;
  c->top = GS_NEWS(a, c->rows + 1, double);
  c->sum = GS_NEWS(a, c->rows + 1, uint64_t);
  c->element = GS_NEWS(a, c->n + 1, double);
  c->order = GS_NEWS(a, c->n + 1, int64_t);
}

/* ---- order ---- */

/* Whether element i comes before k: the larger, else the first; a NaN is
 * larger than all. */
static bool before(double x, int64_t i, double y, int64_t k) {
  if (isnan(x) || isnan(y)) return isnan(x) && (!isnan(y) || i < k);
  return x > y || (x >= y && i < k);
}

/* Sorts places [0, n) of `order`, by heaps: no worst case. */
static void sort(const double *x, int64_t *order, int64_t n) {
  for (int64_t size = n, i = n / 2; size > 1;) {
    int64_t at, moved;
    if (i > 0) {
      moved = order[at = --i];
    } else {
      moved = order[--size];
      order[size] = order[at = 0];
    }
    for (int64_t child; (child = 2 * at + 1) < size; at = child) {
      int64_t next = order[child];
      if (child + 1 < size &&
          before(x[next], next, x[order[child + 1]], order[child + 1]))
        next = order[++child];
      if (!before(x[moved], moved, x[next], next)) break;
      order[at] = next;
    }
    order[at] = moved;
  }
}

enum { FEW = 64 }; /* to be found by insertion */

/* The k best of n elements, in `order`; returns how many there are. */
static int64_t select_best(const double *x, int64_t n, int64_t k,
                           int64_t *order) {
  int64_t have = 0;
  if (k > FEW) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    sort(x, order, n);
    return gs_min(k, n);
  }
  for (int64_t i = 0; i < n; i++) {
    if (have == k && !before(x[i], i, x[order[k - 1]], order[k - 1])) continue;
    int64_t at = have < k ? have++ : k - 1;
    for (; at > 0 && before(x[i], i, x[order[at - 1]], order[at - 1]); at--)
      order[at] = order[at - 1];
    order[at] = i;
  }
  return have;
}

/* ---- candidates ---- */

/* Which of the rows that are chosen from this is; -1: none.  Others are of
 * places before the last ones. */
static int64_t row_of(const gs_choice *c, const gs_row_part *p) {
  int64_t place = p->row % c->places - (c->places - c->last);
  return place < 0 ? -1 : p->row / c->places * c->last + place;
}

static void find(void *user, const gs_row_part *p, void *said) {
  gs_choice *c = user;
  gs_candidate *to = said;
  int64_t row = row_of(c, p);
  if (row < 0) {
    memset(said, 0, (size_t)c->k * sizeof *to);
    return;
  }
  gs_convert(GS_DOUBLE, c->element, p->dtype, p->data, p->n, NULL);
  if (c->draw)
    gs_noise_add(c->draw, c->far, row, p->first, p->n, c->element);
  int64_t n = select_best(c->element, p->n, c->k, c->order);
  for (int64_t i = 0; i < c->k; i++) {
    to[i] = (gs_candidate){0, -1};
    if (i < n)
      to[i] = (gs_candidate){c->element[c->order[i]], p->first + c->order[i]};
  }
}

static bool wins(const gs_candidate *a, const gs_candidate *b) {
  if (a->at < 0 || b->at < 0) return a->at >= 0;
  return before(a->x, a->at, b->x, b->at);
}

static void join(void *user, const gs_row_part *p, const void *said) {
  gs_choice *c = user;
  const gs_candidate *b = said;
  int64_t row = row_of(c, p);
  if (row < 0) return;
  gs_candidate *a = c->best + row * c->k;
  size_t bytes = (size_t)c->k * sizeof *a;
  for (int64_t i = 0, k = 0, m = 0; m < c->k; m++)
    c->merged[m] = wins(&b[k], &a[i]) ? b[k++] : a[i++];
  memcpy(a, c->merged, bytes);
}

static gs_status search(gs_choice *c, int64_t k, gs_err *e) {
  gs_arena *a = c->arena;
  c->k = gs_min(k, c->n);
  if (c->k > c->most) {
    c->most = c->k;
    c->best = GS_NEWS(a, c->rows * c->most + 1, gs_candidate);
    c->merged = GS_NEWS(a, c->most, gs_candidate);
  }
  for (int64_t i = 0; i < c->rows * c->k; i++) c->best[i].at = -1;
  gs_row_look l = {(size_t)c->k * sizeof *c->best, find, join, c};
  return gs_exec_rows(c->x, c->out, &l, e);
}

gs_status gs_choice_best(gs_choice *c, int64_t k, gs_err *e) {
  c->draw = NULL;
  return search(c, k, e);
}

gs_status gs_choice_noisy(gs_choice *c, const gs_draw *d, int64_t far,
                          gs_err *e) {
  c->draw = d;
  c->far = far;
  return search(c, 1, e);
}

/* ---- weights ---- */

uint64_t gs_choice_weight(double x, double top, double temperature) {
  return (uint64_t)(exp((x - top) / temperature) / gs_choice_unit());
}

static void weigh(void *user, const gs_row_part *p, void *said) {
  gs_choice *c = user;
  int64_t row = row_of(c, p);
  double top = row < 0 ? INFINITY : c->top[row];
  uint64_t sum = 0;
  if (row >= 0)
    gs_convert(GS_DOUBLE, c->element, p->dtype, p->data, p->n, NULL);
  for (int64_t i = 0; i < p->n && isfinite(top); i++)
    sum += gs_choice_weight(c->element[i], top, c->draw->temperature);
  memcpy(said, &sum, sizeof sum);
}

static void add(void *user, const gs_row_part *p, const void *said) {
  gs_choice *c = user;
  uint64_t sum;
  memcpy(&sum, said, sizeof sum);
  if (row_of(c, p) >= 0) c->sum[row_of(c, p)] += sum;
}

gs_status gs_choice_weigh(gs_choice *c, double temperature, gs_err *e) {
  gs_draw d = {.temperature = temperature};
  for (int64_t r = 0; r < c->rows; r++) {
    c->sum[r] = 0;
    if (!c->w || !c->w->rank) c->top[r] = c->best[r * c->k].x;
  }
  if (c->w && c->w->nrank > 1)
    GS_TRY(gs_world_bcast(c->w, c->top,
                          (uint64_t)c->rows * sizeof *c->top, e));
  c->draw = &d;
  gs_row_look l = {sizeof(uint64_t), weigh, add, c};
  gs_status s = gs_exec_rows(c->x, c->out, &l, e);
  c->draw = NULL;
  return s;
}
