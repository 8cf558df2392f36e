/* Moves to and from windows: exchanges before and behind the search between
 * blocks. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/reshard/reshard.h"

/* One way from a form to another. */
typedef struct way {
  gs_resharder *r;
  gs_arena *a; /* of what the path points to */
  gs_dtype dtype;
  int rank;
  const int64_t *dims;
  const gs_form *to;
  gs_form at; /* so far */
  GS_VEC(gs_move) move;
  double seconds;
} way;

/* ---- single exchanges ---- */

gs_move gs_reshard_exchange(gs_resharder *r, gs_dtype dtype,
                            const int64_t *dims, const gs_form *before, int d,
                            const gs_exchange *x, const gs_form *after) {
  int64_t local[GS_MAX_RANK];
  gs_form_local(r->mesh, before, dims, local);
  gs_exchange_price c = gs_cost_exchange(r->mesh, x, dtype,
                                         before->sharding->rank, local, d);
  return (gs_move){.kind = GS_MOVE_EXCHANGE,
                   .axes = c.axes,
                   .dim = d,
                   .to = -1,
                   .after = gs_sharding_copy(r->arena, after->sharding),
                   .exchange = x,
                   .form = gs_form_copy(r->arena, after),
                   .bytes = c.bytes,
                   .seconds = c.seconds};
}

/* Elements of dim d that a device holds and no other: 0 where it is held in
 * windows that overlap or that not all is held of. */
static int64_t block_of(const way *w, int d) {
  gs_held_range r = gs_form_range(w->r->mesh, &w->at, d, w->dims[d]);
  bool all = !w->at.need || !w->at.need[d].reach.count;
  if (!w->at.sharding->dim[d].axes.n)
    return all && r.length >= w->dims[d] && !gs_held_range_first(&r, 0)
               ? gs_max(w->dims[d], 1)
               : 0;
  return all && gs_held_range_tiles(&r) ? r.length : 0;
}

/* What the exchange leaves: dim d along x->to, in this window (c 0: a block).
 * Elements move as they are, padding of other dims too. */
static gs_form form_after(const way *w, int d, const gs_axes *to,
                          const gs_held_range *range, const gs_need *need,
                          const gs_padding *fill) {
  gs_form f = gs_form_hold_block(w->a, &w->at, d);
  gs_sharding *s = gs_sharding_copy(w->a, f.sharding);
  s->dim[d].axes = *to;
  f.sharding = s;
  if (range->c)
    f = gs_form_hold_for(w->a, w->r->mesh, &f, d, w->dims[d], range, need);
  uint64_t bit = (uint64_t)1 << d;
  f.padding.dims &= ~bit;
  if (fill->dims & bit) {
    if (f.padding.dims && f.padding.value != fill->value) f.padding.dims = 0;
    f.padding.dims |= bit;
    f.padding.value = fill->value;
  }
  if (!f.padding.dims) f.padding.value = 0;
  return f;
}

/* Dim d to the blocks along `to`, or to the window that the goal has there. */
static bool exchange(way *w, int d, const gs_axes *to, bool window) {
  const gs_mesh *m = w->r->mesh;
  int64_t block = block_of(w, d);
  gs_subset others = gs_sharding_used(w->at.sharding) &
                     ~gs_axes_set(&w->at.sharding->dim[d].axes);
  const gs_axes *from = &w->at.sharding->dim[d].axes;
  bool orders = from->n && to->n && gs_mesh_order_of(m, gs_axes_set(from)) !=
                                        gs_mesh_order_of(m, gs_axes_set(to));
  if (!block || orders || (gs_mesh_barred(m, others) & gs_axes_set(to)))
    return false;
  gs_exchange *x = GS_NEW(w->a, gs_exchange);
  *x = gs_exchange_blocks(m, to, w->dims[d]);
  gs_need need = {0};
  gs_padding fill = {0};
  gs_held_range range = {0};
  if (window) {
    range = x->range = w->to->window[d];
    fill = w->to->padding;
    if (w->to->need) need = w->to->need[d];
    x->reach = need.reach;
    x->width = need.width;
    x->fill = fill.dims >> d & 1 ? GS_FILL_VALUE : GS_FILL_ANY;
    x->value = fill.value;
  }
  gs_exchange_source *source = GS_NEW(w->a, gs_exchange_source);
  *source = (gs_exchange_source){.n = w->dims[d], .block = block};
  x->from = *from;
  if (!x->from.n) source->block = 0;
  x->nsource = 1;
  x->source = source;
  gs_form after = form_after(w, d, to, &range, &need, &fill);
  gs_move mv = gs_reshard_exchange(w->r, w->dtype, w->dims, &w->at, d, x,
                                   &after);
  w->at = after;
  *gs_push(w->a, &w->move) = mv;
  w->seconds += mv.seconds;
  return true;
}

/* ---- ways ---- */

static bool search(way *w, const gs_sharding *to) {
  gs_form goal = gs_form_of(to);
  gs_form start = gs_form_of(w->at.sharding);
  const gs_path *p =
      gs_reshard(w->r, w->dtype, w->rank, w->dims, &start, &goal);
  for (int i = 0; i < p->n; i++) *gs_push(w->a, &w->move) = p->move[i];
  w->seconds += p->seconds;
  if (!gs_sharding_equal(w->at.sharding, to)) w->at = goal;
  return isfinite(p->seconds);
}

/* By blocks along base: exchanges to blocks, the search, exchanges to the
 * windows. */
static bool go(way *w, const gs_sharding *base) {
  for (int d = 0; d < w->rank; d++)
    if ((gs_form_windows(&w->at) >> d & 1) &&
        !exchange(w, d, &w->at.sharding->dim[d].axes, false))
      return false;
  if (!search(w, base)) return false;
  for (int d = 0; d < w->rank; d++)
    if ((gs_form_windows(w->to) >> d & 1) &&
        !exchange(w, d, &w->to->sharding->dim[d].axes, true))
      return false;
  return true;
}

/* By one exchange for each dim that differs, where nothing else does. */
static bool go_directly(way *w) {
  if (w->at.sharding->partial != w->to->sharding->partial) return false;
  uint64_t from = gs_form_windows(&w->at), to = gs_form_windows(w->to);
  for (int d = 0; d < w->rank; d++) {
    const gs_axes *axes = &w->to->sharding->dim[d].axes;
    bool same = gs_axes_equal(&w->at.sharding->dim[d].axes, axes);
    if (!((from | to) >> d & 1)) {
      if (!same) return false;
      continue;
    }
    if (!exchange(w, d, axes, to >> d & 1)) return false;
  }
  return true;
}

static void take_better(way *best, const way *w) {
  if (w->seconds < best->seconds) *best = *w;
}

/* The axes that split dim d before the exchange to its window: those that it
 * has, those that it will have, or none. */
enum { NBASE = 3 };

static gs_axes base_axes(const gs_form *from, const gs_form *to, int d,
                         int choice) {
  if (choice == 0) return to->sharding->dim[d].axes;
  return choice == 1 ? from->sharding->dim[d].axes : (gs_axes){0};
}

/* Number `k` of the bases of `to`; false where an axis would be used twice. */
static bool base_of(gs_arena *a, const gs_mesh *m, const gs_form *from,
                    const gs_form *to, int k, gs_sharding **out) {
  gs_sharding *s = *out = gs_sharding_copy(a, to->sharding);
  uint64_t windows = gs_form_windows(to);
  for (int d = 0; d < s->rank; d++)
    if (windows >> d & 1) s->dim[d].axes = (gs_axes){0};
  for (int d = 0; d < s->rank; d++) {
    if (!(windows >> d & 1)) continue;
    gs_axes axes = base_axes(from, to, d, k % NBASE);
    k /= NBASE;
    gs_subset used = gs_sharding_used(s) | s->partial;
    if (gs_axes_set(&axes) & gs_mesh_barred(m, used)) return false;
    s->dim[d].axes = axes;
  }
  return true;
}

static int bases(const gs_form *to) {
  int n = 1;
  for (uint64_t set = gs_form_windows(to); set; set &= set - 1)
    if (n < 100) n *= NBASE;
  return n;
}

static gs_path *find_path(gs_resharder *r, gs_dtype dtype, int rank,
                          const int64_t *dims, const gs_form *from,
                          const gs_form *to) {
  const way start = {.r = r,
                     .a = r->arena,
                     .dtype = dtype,
                     .rank = rank,
                     .dims = dims,
                     .to = to,
                     .at = *from};
  way best = {.seconds = INFINITY}, w = start;
  if (go_directly(&w)) take_better(&best, &w);
  for (int k = 0; k < bases(to); k++) {
    gs_sharding *base;
    w = start;
    if (base_of(r->arena, r->mesh, from, to, k, &base) && go(&w, base))
      take_better(&best, &w);
  }
  gs_path *p = GS_NEW(r->arena, gs_path);
  *p = (gs_path){best.move.n, best.move.at, best.seconds};
  return p;
}

/* ---- the public side ---- */

static void print_form(gs_buf *b, const gs_mesh *m, const gs_form *f) {
  gs_form_print(b, m, f);
  for (int d = 0; f->need && d < f->sharding->rank; d++) {
    const gs_reach *x = &f->need[d].reach;
    gs_buf_printf(b, "/%lld %lld %lld %lld %lld %lld %lld",
                  (long long)x->count, (long long)x->num, (long long)x->den,
                  (long long)x->first, (long long)x->last, (long long)x->apart,
                  (long long)f->need[d].width);
  }
}

const gs_path *gs_reshard_forms(gs_resharder *r, gs_dtype dtype, int rank,
                                const int64_t *dims, const gs_form *from,
                                const gs_form *to) {
  if (gs_form_is_blocks(from) && gs_form_is_blocks(to))
    return gs_reshard(r, dtype, rank, dims, from, to);
  static const gs_path nothing;
  if (gs_form_serves(r->mesh, from, to, dims)) return &nothing;
  gs_buf b;
  gs_buf_init(&b, r->arena);
  gs_buf_printf(&b, "w%d", (int)gs_dtype_get((int)dtype)->bits);
  for (int d = 0; d < rank; d++) gs_buf_printf(&b, ",%lld", (long long)dims[d]);
  print_form(&b, r->mesh, from);
  gs_buf_char(&b, '>');
  print_form(&b, r->mesh, to);
  gs_path *path = gs_map_get(&r->cache, b.at);
  if (!path) {
    gs_form goal = *gs_form_copy(r->arena, to);
    gs_form start = *gs_form_copy(r->arena, from);
    int64_t *size = gs_memdup(r->arena, dims, (size_t)rank * sizeof *dims);
    path = find_path(r, dtype, rank, size, &start, &goal);
    gs_map_put(&r->cache, b.at, path);
  }
  return path;
}
