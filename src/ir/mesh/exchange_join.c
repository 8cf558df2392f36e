/* Two exchanges that follow one another as one. */
#include "base/assert.h"
#include "base/math.h"
#include "ir/mesh/exchange.h"

static bool is_split(const gs_exchange *x, int except) {
  for (int k = 0; k < x->nsource; k++)
    if (k != except && x->source[k].block) return true;
  return false;
}

/* Whether what y makes lies as source k of x says; element e of that is element
 * *base + e of y then. */
static bool delivers(const gs_mesh *m, const gs_exchange *y,
                     const gs_exchange *x, int k, int64_t *base) {
  const gs_exchange_source *s = &x->source[k];
  const gs_held_range *r = &y->range;
  int64_t devices = gs_axes_size(m, &y->to);
  *base = gs_held_range_first(r, 0) + s->first;
  if (y->step != 1) return false;
  if (!s->block) return devices == 1 || r->a == 0 || r->m == 0;
  return gs_axes_equal(&y->to, &x->from) && r->length == s->block &&
         (devices == 1 || (r->c == 1 && r->m * r->a == s->block));
}

/* The part of source j of y that is in source k of x. */
static bool part_of(const gs_exchange *x, int k, const gs_exchange *y, int j,
                    int64_t base, gs_exchange_source *part) {
  const gs_exchange_source *s = &x->source[k], *t = &y->source[j];
  int64_t lo = gs_max(base, t->shift);
  int64_t hi = gs_min(base + s->n, t->shift + t->n);
  *part = (gs_exchange_source){.n = hi - lo,
                               .block = t->block,
                               .shift = s->shift + lo - base,
                               .first = t->first + lo - t->shift};
  return hi > lo;
}

static bool maps(gs_fill f) {
  return f == GS_FILL_EDGE || f == GS_FILL_REFLECT || f == GS_FILL_WRAP;
}

/* What fills the places of both; `gaps`: y has some. */
static bool join_fills(const gs_exchange *y, bool gaps, gs_exchange *out) {
  if (!gaps) return true;
  if (maps(y->fill) || maps(out->fill)) return false;
  if (y->fill == GS_FILL_ANY) return true;
  if (out->fill == GS_FILL_ANY) {
    out->fill = y->fill;
    out->value = y->value;
  }
  return out->fill == y->fill &&
         (y->fill != GS_FILL_VALUE ||
          (out->value <= y->value && out->value >= y->value));
}

/* Whether all places of x that any output needs are elements of its one
 * source, so that its fill does not matter. */
static bool is_inside(const gs_exchange *x) {
  const gs_reach *r = &x->reach;
  const gs_exchange_source *s = x->source;
  int64_t low = gs_held_range_first(&x->range, 0) - s->shift;
  if (x->nsource != 1 || r->count == 0 || r->num <= 0 || x->step != 1 ||
      x->range.a < 0 || x->range.m < 0)
    return false;
  int64_t high =
      gs_floor_div(r->num * (r->count - 1) + r->last, r->den) - s->shift;
  return low >= 0 && high < s->n;
}

/* Of y, which maps what is outside, x takes elements alone: those of y's source
 * that these are, `base` further on. */
static bool join_mapped(gs_arena *a, const gs_exchange *x,
                        const gs_exchange *y, int64_t base, gs_exchange *out,
                        gs_exchange_origin **origin) {
  int64_t by = base - x->source[0].shift;
  gs_held_range r = x->range;
  if (!is_inside(x) || y->nsource != 1 || y->source[0].shift) return false;
  *out = *x;
  r.e += by;
  out->range = r;
  if (!gs_held_range_normal(&out->range)) return false;
  out->reach.first += by * x->reach.den;
  out->reach.last += by * x->reach.den;
  out->fill = y->fill;
  out->value = 0;
  out->from = y->from;
  out->source = y->source;
  *origin = GS_NEW(a, gs_exchange_origin);
  **origin = (gs_exchange_origin){true, 0};
  return true;
}

bool gs_exchange_join(gs_arena *a, const gs_mesh *m, const gs_exchange *x,
                      int k, const gs_exchange *y, gs_exchange *out,
                      gs_exchange_origin **origin) {
  int64_t base, covered = 0;
  int n = 0;
  bool others = is_split(x, k);
  gs_assert(k >= 0 && k < x->nsource);
  if (!delivers(m, y, x, k, &base)) return false;
  if (maps(y->fill) && join_mapped(a, x, y, base, out, origin)) return true;
  if (is_split(y, -1) && others && !gs_axes_equal(&x->from, &y->from))
    return false;
  gs_exchange_source *s =
      GS_NEWS(a, x->nsource + y->nsource, gs_exchange_source);
  *origin = GS_NEWS(a, x->nsource + y->nsource, gs_exchange_origin);
  for (int i = 0; i < x->nsource; i++) {
    for (int j = 0; i == k && j < y->nsource; j++) {
      if (!part_of(x, k, y, j, base, &s[n])) continue;
      covered += s[n].n;
      (*origin)[n++] = (gs_exchange_origin){true, j};
    }
    if (i == k) continue;
    s[n] = x->source[i];
    (*origin)[n++] = (gs_exchange_origin){false, i};
  }
  *out = *x;
  if (!others) out->from = y->from;
  out->nsource = n;
  out->source = s;
  gs_assert(covered <= x->source[k].n);
  return n > 0 && join_fills(y, covered < x->source[k].n, out) &&
         (!maps(out->fill) || n == 1);
}
