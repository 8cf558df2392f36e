/* See exchange_model.h. */
#include "exchange_model.h"

#include "base/math.h"

int64_t model_any(uint32_t *state, int64_t lo, int64_t hi) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return lo + (int64_t)(*state % (uint32_t)(hi - lo + 1));
}

/* Index e, outside of [0, n) mapped into it; -1: there is none. */
static int64_t mapped(int64_t e, int64_t n, gs_fill f) {
  if (e >= 0 && e < n) return e;
  if (n == 0) return -1;
  if (f == GS_FILL_EDGE) return e < 0 ? 0 : n - 1;
  if (f == GS_FILL_WRAP) return ((e % n) + n) % n;
  if (f != GS_FILL_REFLECT) return -1;
  int64_t p = n > 1 ? 2 * (n - 1) : 1, at = ((e % p) + p) % p;
  return at < n ? at : p - at;
}

static bool needs(const gs_reach *r, int64_t o, int64_t e) {
  return e >= gs_floor_div(r->num * o + r->first, r->den) &&
         e <= gs_floor_div(r->num * o + r->last, r->den) &&
         (!r->apart || (r->num * o + r->last - r->den * e) % r->apart == 0);
}

/* Whether a device has outputs that need place j or, with another step than 1,
 * one after it. */
static bool is_wanted(const gs_exchange *x, int64_t i, int64_t j) {
  const gs_reach *r = &x->reach;
  int64_t first = gs_held_range_first(&x->range, i), last = 0;
  int64_t e = first + x->step * j;
  bool real = false, back = r->num < 0 && x->step > 0;
  if (r->count == 0) return j < x->range.length;
  for (int64_t o = x->width * i; o < x->width * (i + 1) && o < r->count; o++) {
    if (!back || o == x->width * i)
      last = gs_floor_div(r->num * o + r->last, r->den);
    real = real || x->step != 1 || needs(r, o, e);
  }
  return real && j < x->range.length && (x->step > 0 ? e <= last : e >= last);
}

model_place model_place_of(const gs_mesh *mesh, const gs_exchange *x, int64_t p,
                           int64_t j) {
  int64_t i = gs_axes_index(mesh, &x->to, p);
  int64_t e = gs_held_range_first(&x->range, i) + x->step * j;
  model_place at = {.giver = -1, .source = -1, .wanted = is_wanted(x, i, j)};
  for (int k = 0; k < x->nsource; k++) {
    const gs_exchange_source *s = &x->source[k];
    int64_t elem = mapped(e - s->shift, s->n, x->fill);
    if (elem < 0) continue;
    at.source = k;
    at.elem = elem;
    if (s->block)
      at.giver = gs_axes_peer(mesh, &x->from, p, (s->first + elem) / s->block);
  }
  return at;
}

/* ---- random numbers ---- */

gs_axes model_axes(uint32_t *state, const gs_mesh *mesh) {
  gs_axes a = {0};
  int order = (int)model_any(state, 0, mesh->norder);
  for (int s = 0; s < mesh->nsub; s++) {
    if (mesh->sub[s].order != order) continue;
    if (model_any(state, 0, 2) == 0) continue;
    int at = (int)model_any(state, 0, a.n);
    for (int k = a.n; k > at; k--) a.at[k] = a.at[k - 1];
    a.at[at] = (uint8_t)s;
    a.n++;
  }
  return a;
}

static void some_sources(uint32_t *state, const gs_mesh *mesh, gs_exchange *x,
                         gs_exchange_source *s) {
  int64_t givers = gs_axes_size(mesh, &x->from);
  int64_t shift = model_any(state, -6, 3);
  bool one = x->fill >= GS_FILL_EDGE;
  x->nsource = one ? 1 : (int)model_any(state, 1, 4);
  x->source = s;
  for (int k = 0; k < x->nsource; k++) {
    s[k].n = model_any(state, 0, 20);
    s[k].block = gs_ceil_div(s[k].n, givers);
    if (!model_any(state, 0, 2)) s[k].block += model_any(state, 0, 4);
    if (!model_any(state, 0, 4)) s[k].block = 0;
    s[k].first = 0;
    if (!model_any(state, 0, 3)) { /* a part */
      s[k].first = model_any(state, 0, s[k].n);
      s[k].n -= s[k].first;
    }
    s[k].shift = one ? 0 : shift;
    shift += s[k].n + (model_any(state, 0, 1) ? 0 : model_any(state, 0, 3));
  }
}

gs_exchange model_exchange(uint32_t *state, const gs_mesh *mesh,
                           gs_exchange_source s[4]) {
  gs_exchange x = {.fill = (gs_fill)model_any(state, 0, GS_NFILL - 1)};
  x.from = model_axes(state, mesh);
  x.to = model_any(state, 0, 2) ? model_axes(state, mesh) : x.from;
  gs_reach *r = &x.reach;
  r->count = model_any(state, 0, 5) ? model_any(state, 1, 30) : 0;
  r->num = model_any(state, 1, 4);
  r->den = model_any(state, 1, 3);
  r->first = r->last = model_any(state, -6, 6);
  r->last += model_any(state, 0, 4);
  r->apart = model_any(state, 0, 1) ? 0 : model_any(state, 2, 3);
  int64_t devices = gs_axes_size(mesh, &x.to);
  x.width = gs_ceil_div(r->count, devices);
  if (!model_any(state, 0, 3)) x.width += model_any(state, 0, 2);
  int64_t step = model_any(state, 1, 5);
  x.step = model_any(state, 0, 1) ? 1 : model_any(state, 0, 1) ? step : -step;
  if (!model_any(state, 0, 4)) r->num = -r->num;
  if (x.step != 1 || r->num < 0) r->apart = 0;
  int64_t m = model_any(state, 0, 1) ? 1 : model_any(state, -3, 3);
  int64_t a = model_any(state, -6, 6), b = model_any(state, -9, 9);
  int64_t c = model_any(state, 1, 4), e = model_any(state, -4, 4);
  x.range = gs_held_range_of(m, a, b, c, e, model_any(state, 0, 40));
  some_sources(state, mesh, &x, s);
  return x;
}
