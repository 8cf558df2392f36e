/* What holds of the numbers of an exchange, so that none of those of any
 * device overflows. */
#include "base/math.h"
#include "ir/mesh/exchange.h"

/* Elements and places lie within these, so that their differences fit; how
 * often a dim may be repeated by reflect and wrap. */
static const int64_t far = (int64_t)1 << 60, most_periods = 1 << 20;

static bool near(int64_t v) { return v > -far && v < far; }

/* *r = a * b + c, and not far. */
static bool scaled(int64_t a, int64_t b, int64_t c, int64_t *r) {
  return gs_mul(a, b, r) && gs_add(*r, c, r) && near(*r);
}

static gs_status check_axes(const gs_mesh *m, const gs_axes *a,
                            const char *name, const char *what, gs_err *e) {
  gs_subset seen = 0;
  for (int k = 0; k < a->n; k++) {
    if (m->sub[a->at[k]].order != m->sub[a->at[0]].order)
      return gs_fail(e, GS_DATA, what,
                     "'%s' names axes of two device orders", name);
    if (seen >> a->at[k] & 1)
      return gs_fail(e, GS_DATA, what, "'%s' names an axis twice", name);
    seen |= (gs_subset)1 << a->at[k];
  }
  return GS_OK;
}

static gs_status check_reach(const gs_exchange *x, int64_t devices,
                             const char *what, gs_err *e) {
  const gs_reach *r = &x->reach;
  int64_t held, last;
  if (r->count == 0) return GS_OK;
  if (r->count < 0 || x->width < 0 || !gs_mul(x->width, devices, &held) ||
      held < r->count || !near(held))
    return gs_fail(e, GS_DATA, what,
                   "%lld devices with a width of %lld do not hold %lld outputs",
                   (long long)devices, (long long)x->width,
                   (long long)r->count);
  if (r->den <= 0 || r->num == 0 || r->first > r->last)
    return gs_fail(e, GS_DATA, what,
                   "outputs cannot reach floor((%lld*o + %lld)/%lld) to "
                   "floor((%lld*o + %lld)/%lld)",
                   (long long)r->num, (long long)r->first, (long long)r->den,
                   (long long)r->num, (long long)r->last, (long long)r->den);
  if (r->apart < 0 || (r->apart > 1 && (r->num < 0 || x->step != 1)))
    return gs_fail(e, GS_DATA, what,
                   "outputs with %lld*o and step %lld cannot need elements "
                   "%lld apart",
                   (long long)r->num, (long long)x->step, (long long)r->apart);
  if (!near(r->first) || !near(r->last) || !near(r->den) || !near(r->apart) ||
      !scaled(r->num, r->count, r->first, &last) ||
      !scaled(r->num, r->count, r->last, &last))
    return gs_fail(e, GS_DATA, what, "the reach does not fit in 60 bits");
  return GS_OK;
}

static gs_status check_range(const gs_exchange *x, int64_t devices,
                             int64_t givers, const char *what, gs_err *e) {
  const gs_held_range *r = &x->range;
  int64_t all;
  if (r->c <= 0 || r->length < 0 || x->step == 0)
    return gs_fail(e, GS_DATA, what,
                   "a range of %lld places with divisor %lld and step %lld",
                   (long long)r->length, (long long)r->c, (long long)x->step);
  bool fits = scaled(r->length, givers, 0, &all) && near(x->step);
  for (int last = 0; last < 2 && fits; last++) {
    int64_t i = last ? devices - 1 : 0, end;
    fits = gs_held_range_fits(r, i) &&
           scaled(x->step, r->length, gs_held_range_first(r, i), &end) &&
           near(gs_held_range_first(r, i));
    /* What gs_exchange_needs multiplies. */
    if (fits && x->reach.count && x->step == 1)
      fits = scaled(x->reach.den, end, 0, &all) &&
             scaled(x->reach.den, gs_held_range_first(r, i), 0, &all);
  }
  if (fits) return GS_OK;
  return gs_fail(e, GS_DATA, what, "the range does not fit in 60 bits");
}

static gs_status check_source(const gs_exchange *x, int k, int64_t givers,
                              const char *what, gs_err *e) {
  const gs_exchange_source *s = &x->source[k];
  int64_t all, end;
  if (s->n < 0 || s->first < 0 || s->block < 0 ||
      !gs_add(s->first, s->n, &end) || !near(end) ||
      (s->block && (!gs_mul(s->block, givers, &all) || all < end)))
    return gs_fail(e, GS_DATA, what,
                   "source %d: %lld elements from %lld on cannot lie in blocks "
                   "of %lld on %lld devices",
                   k, (long long)s->n, (long long)s->first,
                   (long long)s->block, (long long)givers);
  if (!near(s->n) || !near(s->shift) || !near(s->shift + s->n))
    return gs_fail(e, GS_DATA, what,
                   "source %d: elements %lld to %lld + %lld do not fit in 60 "
                   "bits",
                   k, (long long)s->shift, (long long)s->shift,
                   (long long)s->n);
  if (k > 0 && s->shift < s[-1].shift + s[-1].n)
    return gs_fail(e, GS_DATA, what,
                   "source %d begins at element %lld, before source %d ends "
                   "at %lld",
                   k, (long long)s->shift, k - 1,
                   (long long)(s[-1].shift + s[-1].n));
  return GS_OK;
}

/* A fill that maps the index into [0, n). */
static gs_status check_mapped(const gs_exchange *x, int64_t devices,
                              const char *what, gs_err *e) {
  const gs_exchange_source *s = x->source;
  if (x->nsource != 1 || s->shift != 0)
    return gs_fail(e, GS_DATA, what,
                   "fill '%s' is for one source without a shift",
                   gs_fill_text(x->fill));
  if (s->n == 0 && x->range.length > 0)
    return gs_fail(e, GS_DATA, what, "fill '%s' of no elements",
                   gs_fill_text(x->fill));
  if (s->n < 2 || x->fill == GS_FILL_EDGE) return GS_OK;
  for (int last = 0; last < 2; last++) {
    int64_t first = gs_held_range_first(&x->range, last ? devices - 1 : 0);
    int64_t end = first + x->step * x->range.length;
    if (gs_max(gs_max(first, -first), gs_max(end, -end)) / s->n >
        most_periods)
      return gs_fail(e, GS_DATA, what,
                     "fill '%s' repeats %lld elements more than %lld times",
                     gs_fill_text(x->fill), (long long)s->n,
                     (long long)most_periods);
  }
  return GS_OK;
}

gs_status gs_exchange_check(const gs_mesh *m, const gs_exchange *x,
                            const char *what, gs_err *e) {
  int64_t devices = gs_axes_size(m, &x->to);
  int64_t givers = gs_axes_size(m, &x->from);
  GS_TRY(check_axes(m, &x->from, "from", what, e));
  GS_TRY(check_axes(m, &x->to, "to", what, e));
  GS_TRY(check_reach(x, devices, what, e));
  GS_TRY(check_range(x, devices, givers, what, e));
  if (x->nsource < 1)
    return gs_fail(e, GS_DATA, what, "an exchange of nothing");
  for (int k = 0; k < x->nsource; k++)
    GS_TRY(check_source(x, k, givers, what, e));
  if (x->fill == GS_FILL_EDGE || x->fill == GS_FILL_REFLECT ||
      x->fill == GS_FILL_WRAP)
    return check_mapped(x, devices, what, e);
  return GS_OK;
}
