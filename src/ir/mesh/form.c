#include "ir/mesh/form.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* ---- ranges ---- */

bool gs_held_range_normal(gs_held_range *r) {
  int64_t shift;
  if (r->c == 0 || r->c == INT64_MIN || r->a == INT64_MIN ||
      r->b == INT64_MIN)
    return false;
  if (r->c < 0) {
    r->a = -r->a;
    r->b = -r->b;
    r->c = -r->c;
  }
  if (r->m == 0) r->a = r->b = 0;
  int64_t g = gs_gcd(r->c, r->a);
  r->a /= g;
  r->b = gs_floor_div(r->b, g);
  r->c /= g;
  int64_t whole = gs_floor_div(r->b, r->c);
  r->b -= whole * r->c; /* fits: it is the remainder */
  if (!gs_mul(r->m, whole, &shift) || !gs_add(r->e, shift, &r->e))
    return false;
  if (r->c > 1) return true;
  if (!gs_mul(r->a, r->m, &r->a)) return false;
  r->m = 1;
  return true;
}

gs_held_range gs_held_range_of(int64_t m, int64_t a, int64_t b, int64_t c,
                               int64_t e, int64_t length) {
  gs_held_range r = {m, a, b, c, e, length};
  bool fits = gs_held_range_normal(&r);
  gs_assert(fits);
  return r;
}

int64_t gs_held_range_first(const gs_held_range *r, int64_t i) {
  return r->m * gs_floor_div(r->a * i + r->b, r->c) + r->e;
}

bool gs_held_range_tiles(const gs_held_range *r) {
  return r->m == 1 && r->c == 1 && !r->b && !r->e && r->a == r->length;
}

bool gs_held_range_equal(const gs_held_range *a,
                         const gs_held_range *b) {
  return a->m == b->m && a->a == b->a && a->b == b->b && a->c == b->c &&
         a->e == b->e && a->length == b->length;
}

bool gs_held_range_fits(const gs_held_range *r, int64_t i) {
  int64_t x;
  return gs_mul(r->a, i, &x) && gs_add(x, r->b, &x) &&
         gs_mul(r->m, gs_floor_div(x, r->c), &x) && gs_add(x, r->e, &x) &&
         gs_add(x, r->length, &x);
}

/* ---- forms ---- */

static uint64_t all_dims(int rank) {
  gs_assert(rank <= 64);
  return rank >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << rank) - 1;
}

gs_form gs_form_of(const gs_sharding *s) { return (gs_form){.sharding = s}; }

gs_form gs_form_zeros(const gs_sharding *s) {
  return (gs_form){.sharding = s, .padding = {all_dims(s->rank), 0}};
}

gs_form *gs_form_copy(gs_arena *a, const gs_form *f) {
  gs_form *c = gs_memdup(a, f, sizeof *f);
  c->sharding = gs_sharding_copy(a, f->sharding);
  if (f->window)
    c->window = gs_memdup(a, f->window,
                          (size_t)f->sharding->rank * sizeof *f->window);
  if (f->need)
    c->need = gs_memdup(a, f->need,
                        (size_t)f->sharding->rank * sizeof *f->need);
  return c;
}

static bool is_window(const gs_form *f, int d) {
  return f->window && f->window[d].c != 0;
}

static gs_held_range block_of(const gs_mesh *m, const gs_sharding *s, int d,
                         int64_t n) {
  int64_t block = gs_sharding_block(m, s, d, n);
  return (gs_held_range){.m = 1, .a = block, .c = 1, .length = block};
}

/* The same places on every one of so many devices. */
static bool same_places(const gs_held_range *a, const gs_held_range *b,
                        int64_t shards) {
  if (a->length != b->length) return false;
  if (gs_held_range_equal(a, b)) return true;
  return shards == 1 && gs_held_range_first(a, 0) == gs_held_range_first(b, 0);
}

static void copy_windows(gs_arena *a, gs_form *f, gs_held_range **window,
                         gs_need **need) {
  size_t rank = (size_t)f->sharding->rank;
  *window = GS_NEWS(a, rank, gs_held_range);
  *need = GS_NEWS(a, rank, gs_need);
  if (f->window) memcpy(*window, f->window, rank * sizeof **window);
  if (f->need) memcpy(*need, f->need, rank * sizeof **need);
  f->window = *window;
  f->need = *need;
}

/* Blocks everywhere, and needs of every place, have no lists. */
static gs_form tidy(gs_form f) {
  bool needs = false;
  for (int d = 0; d < f.sharding->rank; d++)
    needs |= f.need && f.need[d].reach.count;
  if (!needs) f.need = NULL;
  if (!gs_form_windows(&f)) f.window = NULL;
  gs_assert(f.window || !f.need);
  return f;
}

gs_form gs_form_hold_for(gs_arena *a, const gs_mesh *m, const gs_form *f, int d,
                         int64_t n, const gs_held_range *r,
                         const gs_need *need) {
  gs_assert(d >= 0 && d < f->sharding->rank);
  gs_form made = *f;
  gs_held_range *window;
  gs_need *needs;
  copy_windows(a, &made, &window, &needs);
  gs_held_range block = block_of(m, f->sharding, d, n);
  int64_t shards = gs_axes_size(m, &f->sharding->dim[d].axes);
  bool is_block = same_places(r, &block, shards);
  window[d] = is_block ? (gs_held_range){0} : *r;
  needs[d] = is_block ? (gs_need){0} : *need;
  return tidy(made);
}

gs_form gs_form_hold(gs_arena *a, const gs_mesh *m, const gs_form *f, int d,
                     int64_t n, const gs_held_range *r) {
  return gs_form_hold_for(a, m, f, d, n, r, &(gs_need){0});
}

gs_form gs_form_hold_block(gs_arena *a, const gs_form *f, int d) {
  gs_assert(d >= 0 && d < f->sharding->rank);
  gs_form made = *f;
  gs_held_range *window;
  gs_need *needs;
  copy_windows(a, &made, &window, &needs);
  window[d] = (gs_held_range){0};
  needs[d] = (gs_need){0};
  return tidy(made);
}

uint64_t gs_form_windows(const gs_form *f) {
  uint64_t set = 0;
  for (int d = 0; d < f->sharding->rank; d++)
    if (is_window(f, d)) set |= (uint64_t)1 << d;
  return set;
}

static bool same_need(const gs_form *a, const gs_form *b, int d) {
  static const gs_need all;
  const gs_need *x = a->need ? &a->need[d] : &all;
  const gs_need *y = b->need ? &b->need[d] : &all;
  return x->width == y->width &&
         !memcmp(&x->reach, &y->reach, sizeof x->reach);
}

/* Whether what `have` needs of dim d is all that `want` needs. */
static bool covers_need(const gs_form *have, const gs_form *want, int d) {
  if (!have->need || !have->need[d].reach.count) return true;
  if (!want->need) return false;
  gs_need x = have->need[d], y = want->need[d];
  if (!x.reach.apart) y.reach.apart = 0;
  return x.width == y.width && !memcmp(&x.reach, &y.reach, sizeof x.reach);
}

bool gs_form_is_blocks(const gs_form *f) { return !gs_form_windows(f); }

typedef bool need_fn(const gs_form *a, const gs_form *b, int d);

static bool same_places_for(const gs_form *a, const gs_form *b,
                            need_fn *needs) {
  if (!gs_sharding_equal(a->sharding, b->sharding)) return false;
  for (int d = 0; d < a->sharding->rank; d++) {
    bool window = is_window(a, d);
    if (window != is_window(b, d)) return false;
    if (window && (!gs_held_range_equal(&a->window[d], &b->window[d]) ||
                   !needs(a, b, d)))
      return false;
  }
  return true;
}

bool gs_form_same_elements(const gs_form *a, const gs_form *b) {
  return same_places_for(a, b, same_need);
}

bool gs_form_equal(const gs_form *a, const gs_form *b) {
  return gs_form_same_elements(a, b) && a->padding.dims == b->padding.dims &&
         (!a->padding.dims || a->padding.value == b->padding.value);
}

gs_held_range gs_form_range(const gs_mesh *m, const gs_form *f, int d,
                            int64_t n) {
  return is_window(f, d) ? f->window[d] : block_of(m, f->sharding, d, n);
}

void gs_form_held(const gs_mesh *m, const gs_form *f, int d, int64_t n,
                  int64_t p, int64_t *first, int64_t *length) {
  gs_held_range r = gs_form_range(m, f, d, n);
  int64_t i = gs_axes_index(m, &f->sharding->dim[d].axes, p);
  *first = gs_held_range_first(&r, i);
  *length = r.length;
}

void gs_form_local(const gs_mesh *m, const gs_form *f, const int64_t *dims,
                   int64_t *local) {
  for (int d = 0; d < f->sharding->rank; d++)
    local[d] = gs_form_range(m, f, d, dims[d]).length;
}

/* first(i) rises or falls with i, so that the outermost devices have padding
 * if any has. */
static bool has_padding(const gs_held_range *r, int64_t shards, int64_t n) {
  for (int last = 0; last < 2; last++) {
    int64_t first = gs_held_range_first(r, last ? shards - 1 : 0);
    if (r->length && (first < 0 || first + r->length > n)) return true;
  }
  return false;
}

uint64_t gs_form_padded(const gs_mesh *m, const gs_form *f,
                        const int64_t *dims) {
  uint64_t set = 0;
  for (int d = 0; d < f->sharding->rank; d++) {
    gs_held_range r = gs_form_range(m, f, d, dims[d]);
    if (has_padding(&r, gs_axes_size(m, &f->sharding->dim[d].axes), dims[d]))
      set |= (uint64_t)1 << d;
  }
  return set;
}

bool gs_form_serves(const gs_mesh *m, const gs_form *have, const gs_form *want,
                    const int64_t *dims) {
  if (!same_places_for(have, want, covers_need)) return false;
  uint64_t asked = want->padding.dims;
  if (asked) asked &= gs_form_padded(m, have, dims);
  return !asked || (!(asked & ~have->padding.dims) &&
                    have->padding.value == want->padding.value);
}

/* ---- invariants ---- */

static gs_status check_window(const gs_mesh *m, const gs_form *f, int d,
                              int64_t n, const char *what, gs_err *e) {
  const gs_held_range *r = &f->window[d];
  int64_t shards = gs_axes_size(m, &f->sharding->dim[d].axes);
  if (r->c < 0 || r->length < 0)
    return gs_fail(e, GS_INTERNAL, what,
                   "dim %d is held with length %lld and divisor %lld", d,
                   (long long)r->length, (long long)r->c);
  if (!gs_held_range_fits(r, 0) || !gs_held_range_fits(r, shards - 1))
    return gs_fail(e, GS_INTERNAL, what,
                   "the range held of dim %d does not fit in 64 bits", d);
  gs_held_range normal = *r, block = block_of(m, f->sharding, d, n);
  if (!gs_held_range_normal(&normal) || !gs_held_range_equal(&normal, r))
    return gs_fail(e, GS_INTERNAL, what,
                   "the range held of dim %d is not in its normal spelling",
                   d);
  if (same_places(r, &block, shards))
    return gs_fail(e, GS_INTERNAL, what,
                   "dim %d is held as a window that is the block", d);
  return GS_OK;
}

gs_status gs_form_check(const gs_mesh *m, const gs_form *f, int rank,
                        const int64_t *dims, const char *what, gs_err *e) {
  GS_TRY(gs_sharding_check(m, f->sharding, rank, what, e));
  if (f->padding.dims & ~all_dims(f->sharding->rank))
    return gs_fail(e, GS_INTERNAL, what,
                   "padding is given for dims that a tensor of rank %d does "
                   "not have",
                   f->sharding->rank);
  if (!f->padding.dims && f->padding.value != 0)
    return gs_fail(e, GS_INTERNAL, what,
                   "padding along no dim holds a value");
  for (int d = 0; d < f->sharding->rank; d++)
    if (is_window(f, d)) GS_TRY(check_window(m, f, d, dims[d], what, e));
  return GS_OK;
}
