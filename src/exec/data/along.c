#include "exec/data/along.h"

#include "base/assert.h"
#include "exec/data/subarray.h"
#include "ir/packed.h"
#include "kernel/core/strided.h"

static int bits_of(const gs_along *a) {
  int bits = gs_dtype_get((int)a->type)->bits;
  gs_assert(bits > 0);
  return bits;
}

size_t gs_along_bytes(const gs_along *a, int64_t n) {
  return (size_t)gs_dtype_bytes((int)a->type, a->outer * n * a->inner);
}

bool gs_along_is_run(const gs_along *a, const gs_stretch *s, bool alone,
                     size_t *at) {
  int64_t bits = bits_of(a), first = s->first * a->inner * bits;
  int64_t length = s->count * a->inner * bits;
  bool all = s->first == 0 && s->count == s->n;
  bool joined = s->count == 1 || s->step == 1;
  *at = (size_t)(first / 8);
  return joined && !s->spread && (a->outer == 1 || all) && first % 8 == 0 &&
         (!alone || length % 8 == 0 || all);
}

/* Whether s and t are stretches of their tensors, for a copy. */
static bool are_within(const gs_stretch *s, const gs_stretch *t) {
  return s->first >= 0 && t->first >= 0 && t->step > 0 &&
         s->count == t->count && t->first + (t->count - 1) * t->step < t->n;
}

/* Elements from one of n to the next. */
static int64_t unit(const gs_along *a, const gs_stretch *s) {
  return s->spread ? a->inner / a->run * a->pitch : a->inner;
}

/* Appends what stands behind the dim; consecutive elements are `read` apart in
 * one tensor, `write` in the other. */
static void add_inner(gs_strided *copy, const gs_along *a, const gs_stretch *s,
                      int64_t read, const gs_stretch *t, int64_t write) {
  int64_t run = s->spread || t->spread ? a->run : a->inner;
  gs_assert(run > 0 && a->inner % run == 0);
  gs_strided_dim(copy, a->inner / run, (s->spread ? a->pitch : run) * read,
                 (t->spread ? a->pitch : run) * write);
  gs_strided_dim(copy, run, read, write);
}

static void copy_codes(const gs_along *a, const gs_stretch *s,
                       const void *from, const gs_stretch *t, void *to) {
  int64_t sdims[] = {a->outer, s->n, a->inner};
  int64_t ddims[] = {a->outer, t->n, a->inner};
  bool joined = s->step == 1 && t->step == 1;
  int64_t count[] = {a->outer, joined ? s->count : 1, a->inner};
  for (int64_t k = 0; k < s->count; k += count[1]) {
    int64_t sfirst[] = {0, s->first + k * s->step, 0};
    int64_t dfirst[] = {0, t->first + k * t->step, 0};
    gs_subarray_move(a->type, 3, count, from, sdims, sfirst, to, ddims,
                     dfirst);
  }
}

void gs_along_copy(const gs_along *a, const gs_stretch *s, const void *from,
                   const gs_stretch *t, void *to, int threads) {
  gs_assert(are_within(s, t));
  if (a->outer * a->inner * s->count == 0) return;
  if (gs_dtype_packed(a->type)) {
    gs_assert(!s->spread && !t->spread);
    copy_codes(a, s, from, t, to);
    return;
  }
  size_t size = (size_t)bits_of(a) / 8;
  if (gs_along_bytes(a, s->count) < 1 << 17) threads = 1;
  gs_strided copy;
  gs_strided_init(&copy, size);
  int64_t in = unit(a, s), out = unit(a, t);
  gs_strided_dim(&copy, a->outer, s->n * in, t->n * out);
  gs_strided_dim(&copy, s->count, s->step * in, t->step * out);
  add_inner(&copy, a, s, 1, t, 1);
  gs_strided_run(&copy, (const char *)from + (size_t)(s->first * in) * size,
                 (char *)to + (size_t)(t->first * out) * size, threads);
}

void gs_along_reblock(const gs_along *a, int block, bool into,
                      const gs_stretch *s, const void *from,
                      const gs_stretch *t, void *to, int threads) {
  gs_assert(a->type == GS_FLOAT && block > 0 && a->between > 0 &&
            a->outer % (block * a->between) == 0);
  gs_assert(are_within(s, t));
  if (a->outer * a->inner * s->count == 0) return;
  int64_t in = s->n * unit(a, s), out = t->n * unit(a, t);
  int64_t read = into ? 1 : block, write = into ? block : 1;
  if (gs_along_bytes(a, s->count) < 1 << 17) threads = 1;
  gs_strided copy;
  gs_strided_init(&copy, sizeof(float));
  int64_t all = block * a->between;
  gs_strided_dim(&copy, a->outer / all, in * all, out * all);
  gs_strided_dim(&copy, block, into ? in * a->between : 1,
                 into ? 1 : out * a->between);
  gs_strided_dim(&copy, a->between, in * read, out * write);
  gs_strided_dim(&copy, s->count, s->step * unit(a, s) * read,
                 t->step * unit(a, t) * write);
  add_inner(&copy, a, s, read, t, write);
  gs_strided_run(&copy, (const float *)from + s->first * unit(a, s) * read,
                 (float *)to + t->first * unit(a, t) * write, threads);
}

void gs_along_fill(const gs_along *a, const gs_stretch *s, const void *value,
                   void *to) {
  gs_assert(s->first >= 0 && s->step == 1 && s->first + s->count <= s->n);
  int bits = bits_of(a);
  int64_t rows = s->spread ? s->count * (a->inner / a->run) : 1;
  int64_t all = s->spread ? a->run : s->count * a->inner;
  for (int64_t r = 0; r < a->outer * rows; r++) {
    int64_t at = (r / rows * s->n + s->first) * unit(a, s) +
                 r % rows * a->pitch;
    if (bits >= 8)
      gs_fill_elements((char *)to + (size_t)at * (size_t)(bits / 8), all,
                       (size_t)(bits / 8), value);
    else
      for (int64_t i = 0; i < all; i++)
        gs_code_put(bits, to, at + i, gs_code_get(bits, value, 0));
  }
}
