#include "api/choose/choose.h"

#include <math.h>
#include <string.h>

#include "api/choose/noise.h"
#include "base/assert.h"
#include "base/math.h"

gs_status gs_draw_check(const gs_draw *d, gs_err *e) {
  if (d->temperature >= 0 && d->top_k >= 0 && d->top_p > 0 && d->top_p <= 1)
    return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "the temperature %g and top-k %lld must "
                 "not be below 0, and top-p %g must be above 0 and at most 1",
                 d->temperature, (long long)d->top_k, d->top_p);
}

/* ---- drawing of the best ---- */

/* Draws from the first n candidates, which have finite elements. */
static int64_t draw_from(const gs_draw *d, int64_t far, int64_t row,
                         const gs_candidate *c, int64_t n) {
  double most = -INFINITY;
  int64_t chosen = c[0].at;
  for (int64_t i = 0; i < n; i++) {
    double x = c[i].x;
    gs_noise_add(d, far, row, c[i].at, 1, &x);
    if (x > most || (x >= most && c[i].at < chosen)) {
      most = x;
      chosen = c[i].at;
    }
  }
  return chosen;
}

/* How many of the k best have the weight top_p * all, or 0: more than these. */
static int64_t nucleus(const gs_draw *d, const gs_candidate *c, int64_t k,
                       uint64_t all) {
  uint64_t have = 0;
  for (int64_t i = 0; i < k && c[i].at >= 0; i++) {
    have += gs_choice_weight(c[i].x, c[0].x, d->temperature);
    if ((double)have >= d->top_p * (double)all) return i + 1;
  }
  return 0;
}

static uint64_t weight_of(const gs_draw *d, const gs_candidate *c, int64_t k) {
  uint64_t all = 0;
  for (int64_t i = 0; i < k && c[i].at >= 0; i++)
    all += gs_choice_weight(c[i].x, c[0].x, d->temperature);
  return all;
}

/* Rank 0: draws each row from c->best, or says that more are needed. */
static bool draw_rows(gs_choice *c, const gs_draw *d, int64_t far,
                      int64_t *chosen) {
  bool limit = d->top_k && d->top_k < c->n;
  for (int64_t r = 0; r < c->rows; r++) {
    const gs_candidate *best = c->best + r * c->k;
    chosen[r] = best->at;
    if (!isfinite(best->x)) continue;
    uint64_t all = limit ? weight_of(d, best, c->k) : c->sum[r];
    int64_t n = nucleus(d, best, c->k, all);
    if (!n && c->k < c->n && !limit) return false;
    chosen[r] = draw_from(d, far, r, best, n ? n : c->k);
  }
  return true;
}

/* The likeliest that have top_p of the weight of all: as many candidates as
 * that takes. */
static gs_status draw_likeliest(gs_choice *c, const gs_draw *d, int64_t far,
                                int64_t *chosen, gs_err *e) {
  bool first = !c->w || c->w->rank == 0;
  for (int64_t k = 32; k;) {
    GS_TRY(gs_choice_best(c, k, e));
    if (k == 32) GS_TRY(gs_choice_weigh(c, d->temperature, e));
    c->more = first && !draw_rows(c, d, far, chosen) ? 8 * c->k : 0;
    if (c->w && c->w->nrank > 1)
      GS_TRY(gs_world_bcast(c->w, &c->more, sizeof c->more, e));
    k = c->more;
  }
  return GS_OK;
}

/* ---- the whole ---- */

gs_status gs_choose(gs_choice *c, const gs_draw *d, int64_t far,
                    int64_t *chosen, gs_err *e) {
  bool limit = d && d->top_k && d->top_k < c->n;
  bool draws = d && d->temperature > 0;
  if (draws && !limit && d->top_p < 1)
    return draw_likeliest(c, d, far, chosen, e);
  if (draws && !limit) GS_TRY(gs_choice_noisy(c, d, far, e));
  else GS_TRY(gs_choice_best(c, draws ? d->top_k : 1, e));
  if (c->w && c->w->rank) return GS_OK;
  if (draws && limit) {
    draw_rows(c, d, far, chosen);
    return GS_OK;
  }
  for (int64_t r = 0; r < c->rows; r++) chosen[r] = c->best[r].at;
  return GS_OK;
}
