#include "sweep_cover.h"

#include "base/math.h"

static bool reaches(const gs_rule *r, int f) {
  if (gs_factor_unfolds(r->factor[f].kind)) return true;
  for (int i = 0; i < r->nuse; i++)
    if (r->use[i].factor == f) return true;
  return false;
}

bool sweep_reaches(const gs_rule *r) {
  for (int f = 0; f < r->nfactor; f++)
    if (reaches(r, f)) return true;
  return r->uneven;
}

static int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -gs_ceil_div(-a, b);
}

/* Whether some device needs elements that are not in the blocks next to its
 * own. */
static bool far(const gs_node *n, const gs_rule *r, const gs_window_use *u,
                int64_t m) {
  const gs_reach *w = &u->reach;
  int64_t count = r->factor[u->factor].size, size = n->in[u->in]->dims[u->dim];
  int64_t each = gs_ceil_div(count, m), block = gs_ceil_div(size, m);
  for (int64_t i = 0; i * each < count; i++) {
    int64_t last = gs_min((i + 1) * each, count) - 1;
    int64_t a = floor_div(w->num * i * each + w->first, w->den);
    int64_t b = floor_div(w->num * last + w->last, w->den);
    int64_t lo = gs_max(gs_min(a, b), 0), hi = gs_min(gs_max(a, b), size - 1);
    if (lo <= hi && (lo < (i - 1) * block || hi >= (i + 2) * block))
      return true;
  }
  return false;
}

unsigned sweep_ways(const gs_node *n, const gs_rule *r, int64_t m) {
  unsigned ways = 0;
  int dims = 0;
  for (int f = 0; f < r->nfactor; f++) {
    int64_t size = r->factor[f].size, block = gs_ceil_div(size, m);
    if (!reaches(r, f) || size < 2) continue;
    dims++;
    if (size % m == 0) ways |= 1u << SWEEP_EVEN;
    else if (gs_ceil_div(size, block) < m) ways |= 1u << SWEEP_EMPTY;
    else ways |= 1u << SWEEP_UNEVEN;
  }
  for (int i = 0; i < r->nuse; i++)
    if (r->use[i].factor >= 0 && far(n, r, &r->use[i], m))
      ways |= 1u << SWEEP_FAR;
  if (dims > 1) ways |= 1u << SWEEP_TWO;
  return ways;
}

const char *sweep_way_text(sweep_way w) {
  static const char *const text[SWEEP_NWAY] = {"even", "uneven", "empty shards",
                                               "windows past the neighbours",
                                               "two dims"};
  return text[w];
}
