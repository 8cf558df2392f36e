#include "kernel/conv/conv_bytes.h"

#include <string.h>

#include "base/assert.h"
#include "kernel/core/par.h"
#include "kernel/core/share.h"

enum { SPATIAL = 3, TAPS = 1 << 12, LEAST = 3 /* channels of a group */ };

struct gs_conv_bytes {
  gs_conv_shape s;
  gs_conv_operands at;
  int64_t units, words; /* words of a place's channels, of a column: a group */
  int64_t taps, in, out; /* taps; places of the operand, of the result */
  const void *packed;    /* [group] packed weights; NULL: made at each run */
  size_t group, panel, image, weights; /* bytes: of a group's packed weights,
                                          of a panel, of an image of words */
};

static size_t up(size_t n) { return (n + 63) / 64 * 64; }

static bool has(const gs_kctx *k, int i) {
  return i >= 0 && gs_kernel_has(k, i) && k->in[i].n;
}

/* ---- weights ---- */

/* Rows of group g as [out][units][taps][channels of a word]: what a word has
 * too many becomes 0 where it is packed as a byte. */
static void order_weights(const gs_conv_bytes *c, const gs_view *w, int64_t g,
                          uint8_t *to) {
  int64_t wide = gs_igemm_word(), row = c->words * wide;
  const gs_conv_shape *s = &c->s;
  memset(to, w->dtype == GS_INT8 ? 0x80 : 0, (size_t)(s->out * row));
  const uint8_t *from = (const uint8_t *)w->data +
                        g * s->out * s->in * c->taps;
  for (int64_t o = 0; o < s->out; o++)
    for (int64_t i = 0; i < s->in; i++)
      for (int64_t t = 0; t < c->taps; t++)
        to[o * row + (i / wide * c->taps + t) * wide + i % wide] = *from++;
}

static void pack_weights(const gs_conv_bytes *c, const gs_kctx *k, char *to,
                         int threads) {
  const gs_view *w = &k->in[c->at.w];
  int64_t wide = gs_igemm_word(), n = c->words * wide;
  bool zeros = has(k, c->at.w_zero);
  const gs_view *z = zeros ? &k->in[c->at.w_zero] : NULL;
  gs_arena a;
  gs_arena_init(&a);
  uint8_t *rows = gs_alloc(&a, (size_t)(c->s.out * n));
  int32_t *zero = GS_NEWS(&a, c->s.out, int32_t);
  for (int64_t g = 0; g < c->s.group; g++) {
    order_weights(c, w, g, rows);
    for (int64_t o = 0; z && o < c->s.out; o++)
      zero[o] = (int32_t)gs_view_int(z, z->n == 1 ? 0 : g * c->s.out + o);
    gs_bytes x = {.data = rows, .sign = w->dtype == GS_INT8, .row = n,
                  .col = 1, .zero = zeros ? zero : NULL, .step = 1};
    gs_igemm_pack_a(&x, c->s.out, n, to + (size_t)g * c->group, threads);
  }
  gs_arena_free(&a);
}

typedef struct packing {
  const gs_conv_bytes *c;
  const gs_kctx *k;
} packing;

static bool pack(void *ctx, void *to) {
  const packing *p = ctx;
  pack_weights(p->c, p->k, to, 1);
  return true;
}

static void keep_weights(gs_conv_bytes *c, gs_kctx *k) {
  gs_view *w = &k->in[c->at.w];
  bool zero = has(k, c->at.w_zero);
  if (!w->fixed || !w->n || (zero && !k->in[c->at.w_zero].fixed)) return;
  const char *key = gs_sprintf(
      k->arena, "conv bytes %p %p %d %lld %lld %lld %lld", w->fixed,
      zero ? k->in[c->at.w_zero].fixed : NULL, (int)w->dtype,
      (long long)c->s.group, (long long)c->s.out, (long long)c->s.in,
      (long long)c->taps);
  packing p = {c, k};
  c->packed = gs_kernel_once(k, key, c->weights, pack, &p);
  w->unread = c->packed != NULL;
}

bool gs_conv_bytes_fits(const gs_value *x, const gs_value *w) {
  int64_t taps = gs_dims_count(w->dims, 2, w->rank);
  return x->rank >= 3 && x->rank <= 2 + SPATIAL && w->rank == x->rank &&
         w->dims[1] >= LEAST && taps <= TAPS;
}

gs_conv_bytes *gs_conv_bytes_new(gs_kctx *k, const gs_conv_shape *s,
                                 const gs_conv_operands *at) {
  int64_t taps = gs_conv_taps(s), in = gs_conv_places_in(s);
  int64_t out = gs_conv_places_out(s);
  gs_assert(gs_conv_bytes_fits(k->node->in[at->x], k->node->in[at->w]));
  gs_conv_bytes *c = GS_NEW(k->arena, gs_conv_bytes);
  *c = (gs_conv_bytes){.s = *s, .at = *at, .taps = taps, .in = in,
                       .out = out};
  int64_t wide = gs_igemm_word();
  c->units = gs_ceil_div(s->in, wide);
  c->words = c->units * taps;
  c->group = up(gs_igemm_a_size(s->out, c->words * wide));
  c->weights = c->group * (size_t)s->group;
  c->panel = up(gs_igemm_panel_size(c->words));
  c->image = up((size_t)(s->group * c->units * in) * 4);
  keep_weights(c, k);
  return c;
}

/* ---- panels ---- */

/* Columns of a panel that one tap reads from one run of an image: n words,
 * `stride` of the last dim apart, from word `from` on; or padding, from -1. */
typedef struct run {
  int32_t at, n;
  int64_t from;
} run;

/* A panel, where the runs of each tap begin, and the runs. */
static size_t firsts_size(const gs_conv_bytes *c) {
  return up((size_t)(c->taps + 1) * sizeof(int32_t));
}

static size_t room_size(const gs_conv_bytes *c) {
  return c->panel + firsts_size(c) +
         up((size_t)(c->taps * gs_igemm_cols()) * sizeof(run));
}

size_t gs_conv_bytes_scratch(const gs_conv_bytes *c, int threads) {
  return (c->packed ? 0 : c->weights) + c->image +
         room_size(c) * (size_t)gs_max(threads, 1);
}

typedef struct job {
  const gs_conv_bytes *c;
  const gs_view *x;
  int32_t zero;
  int64_t image, panels, parts;
  uint32_t *words; /* of the image */
  const char *weights;
  char *rooms; /* [parts] a panel and its runs */
  size_t room;
  gs_conv_use *use;
  void *ctx;
} job;

/* Where the places of a row of results from o (coordinates) on are for a tap:
 * the start of its row in the operand, or -1. */
static int64_t row_of(const gs_conv_shape *s, const int64_t *o,
                      const int64_t *tap) {
  int64_t at = 0;
  for (int d = 0; d < s->w.n - 1; d++) {
    int64_t i = o[d] * s->w.stride[d] + tap[d] * s->w.dilation[d] -
                s->w.begin[d];
    if (i < s->low[d] || i >= s->high[d]) return -1;
    at = at * s->w.in[d] + i;
  }
  return at * s->w.in[s->w.n - 1];
}

/* Adds n columns from `at` on, which read row `row` from place i on. */
static int add_runs(const gs_conv_shape *s, int64_t row, int64_t i, int32_t at,
                    int32_t n, run *to) {
  int last = s->w.n - 1;
  int64_t step = s->w.stride[last], low = s->low[last], high = s->high[last];
  int64_t before = row < 0 ? n : i >= low ? 0 : gs_ceil_div(low - i, step);
  before = gs_min(before, n);
  int64_t in = i + before * step, some = 0;
  if (before < n && in < high)
    some = gs_min(n - before, gs_ceil_div(high - in, step));
  int r = 0;
  if (before) to[r++] = (run){at, (int32_t)before, -1};
  if (some) to[r++] = (run){at + (int32_t)before, (int32_t)some, row + in};
  if (before + some < n)
    to[r++] = (run){at + (int32_t)(before + some),
                    n - (int32_t)(before + some), -1};
  return r;
}

/* The runs of all taps for columns [j, j + n): first[t] is where those of tap
 * t begin. */
static void find_runs(const gs_conv_bytes *c, int64_t j, int64_t n,
                      int32_t *first, run *to) {
  const gs_conv_shape *s = &c->s;
  int last = s->w.n - 1, made = 0;
  int64_t tap[SPATIAL] = {0};
  for (int64_t t = 0; t < c->taps; t++) {
    first[t] = made;
    for (int64_t at = 0, some; at < n; at += some) {
      int64_t o[SPATIAL], rest = j + at;
      for (int d = last; d >= 0; d--) {
        o[d] = rest % s->w.out[d];
        rest /= s->w.out[d];
      }
      some = gs_min(n - at, s->w.out[last] - o[last]);
      int64_t i = o[last] * s->w.stride[last] +
                  tap[last] * s->w.dilation[last] - s->w.begin[last];
      made += add_runs(s, row_of(s, o, tap), i, (int32_t)at, (int32_t)some,
                       to + made);
    }
    for (int d = last; d >= 0 && ++tap[d] == s->w.size[d]; d--) tap[d] = 0;
  }
  first[c->taps] = made;
  gs_assert(made <= n * c->taps); /* each has a column */
}

static void copy_run(const run *r, int64_t step, uint32_t pad,
                     const uint32_t *plane, uint32_t *to) {
  to += r->at;
  if (r->from < 0) {
    for (int32_t i = 0; i < r->n; i++) to[i] = pad;
    return;
  }
  plane += r->from;
  if (step == 1)
    for (int32_t i = 0; i < r->n; i++) to[i] = plane[i];
  else
    for (int32_t i = 0; i < r->n; i++) to[i] = plane[i * step];
}

/* A word of padding, which is the zero point; of `have` channels. */
static uint32_t padding(const job *p, int64_t have) {
  uint8_t zero[4], code[4] = {0};
  bool sign = p->x->dtype == GS_INT8;
  memset(zero, p->zero, sizeof zero);
  gs_igemm_codes(zero, sign, p->zero, gs_min(have, gs_igemm_word()), code);
  uint32_t word;
  memcpy(&word, code, sizeof word);
  return word;
}

static void fill(const job *p, int64_t g, int64_t j, int64_t n, char *room) {
  const gs_conv_bytes *c = p->c;
  int cols = gs_igemm_cols();
  int64_t step = c->s.w.stride[c->s.w.n - 1];
  int32_t *first = (int32_t *)(void *)(room + c->panel);
  run *runs = (run *)(void *)((char *)first + firsts_size(c));
  uint32_t *to = (uint32_t *)(void *)room;
  find_runs(c, j, n, first, runs);
  for (int64_t u = 0; u < c->units; u++) {
    const uint32_t *plane = p->words + (g * c->units + u) * c->in;
    uint32_t pad = padding(p, c->s.in - u * gs_igemm_word());
    for (int64_t t = 0; t < c->taps; t++, to += cols) {
      for (int32_t r = first[t]; r < first[t + 1]; r++)
        copy_run(&runs[r], step, pad, plane, to);
      for (int64_t i = n; i < cols; i++) to[i] = 0;
    }
  }
  gs_igemm_close(room, c->words, c->s.in * c->taps, p->x->dtype == GS_INT8,
                 p->zero);
}

/* ---- running ---- */

typedef struct group {
  const job *p;
  int64_t first; /* its first channel */
} group;

static void hand_on(void *ctx, int64_t i, int64_t m, int64_t j, int64_t n,
                    const int32_t *c) {
  const group *g = ctx;
  g->p->use(g->p->ctx, g->p->image, g->first + i, m, j, n, c);
}

/* Panels of all groups, one part of them for each room. */
static void parts(void *ctx, int64_t lo, int64_t hi) {
  const job *p = ctx;
  const gs_conv_bytes *c = p->c;
  int64_t all = p->panels * c->s.group, cols = gs_igemm_cols();
  for (int64_t part = lo; part < hi; part++) {
    char *room = p->rooms + (size_t)part * p->room;
    int64_t end = all * (part + 1) / p->parts;
    for (int64_t i = all * part / p->parts; i < end; i++) {
      int64_t g = i / p->panels, j = i % p->panels * cols;
      int64_t n = gs_min(cols, c->out - j);
      group of = {p, g * c->s.out};
      fill(p, g, j, n, room);
      gs_igemm_panel(c->s.out, j, n, c->words,
                     p->weights + (size_t)g * c->group, room, hand_on, &of);
    }
  }
}

/* Words [lo, hi) of an image's places. */
static void lay_out(void *ctx, int64_t lo, int64_t hi) {
  const job *p = ctx;
  const gs_conv_bytes *c = p->c;
  int64_t wide = gs_igemm_word();
  bool sign = p->x->dtype == GS_INT8;
  const uint8_t *x = (const uint8_t *)p->x->data +
                     p->image * c->s.group * c->s.in * c->in;
  for (int64_t w = lo; w < hi; w++) {
    int64_t g = w / c->units, first = w % c->units * wide;
    int64_t have = gs_min(wide, c->s.in - first);
    const uint8_t *from = x + (g * c->s.in + first) * c->in;
    gs_igemm_zip(from, c->in, have, sign, p->zero, c->in,
                 p->words + w * c->in);
  }
}

void gs_conv_bytes_run(const gs_conv_bytes *c, gs_kctx *k, gs_conv_use *use,
                       void *ctx, void *scratch) {
  char *at = scratch;
  job p = {.c = c, .x = &k->in[c->at.x], .weights = c->packed, .use = use,
           .ctx = ctx, .parts = gs_max(1, k->threads)};
  gs_assert(c->out > 0);
  if (has(k, c->at.x_zero))
    p.zero = (int32_t)gs_view_int(&k->in[c->at.x_zero], 0);
  if (!c->packed) {
    pack_weights(c, k, at, k->threads);
    p.weights = at;
    at += c->weights;
  }
  p.words = (uint32_t *)(void *)at;
  p.rooms = at + c->image;
  p.room = room_size(c);
  p.panels = gs_ceil_div(c->out, gs_igemm_cols());
  int64_t macs = c->words * c->s.out * c->s.group * c->out / p.parts;
  for (p.image = 0; p.image < c->s.batch; p.image++) {
    gs_parallel(k->threads, c->s.group * c->units, 4 * c->in, lay_out, &p);
    gs_parallel(k->threads, p.parts, gs_max(1, macs / 4), parts, &p);
  }
}
