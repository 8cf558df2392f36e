/* NonMaxSelect of ai.gshard, all of NonMaxSuppression but to count: per batch
 * and class, boxes by falling score, without those that overlap a chosen one
 * too much; -1 behind the last. */
#include <stdlib.h>

#include "kernel/core/par.h"
#include "kernel/core/support.h"

enum { BOXES, SCORES, MAX, OVERLAP, LEAST };

typedef struct candidate {
  float score;
  int64_t at;
} candidate;

typedef struct corners {
  float low[2], high[2];
} corners;

typedef struct suppression {
  const float *boxes, *scores;
  int32_t *chosen; /* [batches, classes, room] */
  int64_t batches, classes, n, room;
  int64_t max;      /* per batch and class */
  float overlap;     /* more than this suppresses */
  float min;       /* lowest score */
  bool scored;       /* there is a lowest score */
  bool centered;
} suppression;

static corners corners_of(const suppression *s, const float *b) {
  corners c;
  for (int d = 0; d < 2; d++) {
    float from = b[d], to = b[d + 2];
    if (s->centered) { /* middle and extent */
      from = b[d] - b[d + 2] / 2;
      to = b[d] + b[d + 2] / 2;
    }
    c.low[d] = from < to ? from : to;
    c.high[d] = from < to ? to : from;
  }
  return c;
}

static float area(const corners *c) {
  return (c->high[0] - c->low[0]) * (c->high[1] - c->low[1]);
}

static bool overlaps(const suppression *s, const corners *a,
                     const corners *b) {
  float both = 1;
  for (int d = 0; d < 2; d++) {
    float low = a->low[d] > b->low[d] ? a->low[d] : b->low[d];
    float high = a->high[d] < b->high[d] ? a->high[d] : b->high[d];
    if (!(high > low)) return false;
    both *= high - low;
  }
  float all = area(a) + area(b) - both;
  return all > 0 && both / all > s->overlap;
}

/* Falling scores; equal ones by place. */
static int by_score(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return (x->at > y->at) - (x->at < y->at);
}

/* Chooses among the boxes of one batch and class.  A score that equals the
 * threshold is dropped, as ONNX's reference does, though its text says "less
 * than". */
static int64_t choose(const suppression *s, const float *boxes,
                      const float *scores, candidate *list, corners *kept,
                      int32_t *chosen) {
  int64_t m = 0, n = 0;
  for (int64_t i = 0; i < s->n; i++)
    if (scores[i] == scores[i] && (!s->scored || scores[i] > s->min))
      list[m++] = (candidate){scores[i], i};
  if (m) qsort(list, (size_t)m, sizeof *list, by_score);
  for (int64_t i = 0; i < m && n < s->max; i++) {
    corners c = corners_of(s, boxes + 4 * list[i].at);
    int64_t j = 0;
    while (j < n && !overlaps(s, &c, &kept[j])) j++;
    if (j < n) continue;
    kept[n] = c;
    chosen[n++] = (int32_t)list[i].at;
  }
  return n;
}

static void each_class(void *ctx, int64_t first, int64_t last) {
  const suppression *s = ctx;
  gs_arena a;
  gs_arena_init(&a);
  candidate *list = GS_NEWS(&a, s->n + 1, candidate);
  corners *kept = GS_NEWS(&a, s->max + 1, corners);
  for (int64_t i = first; i < last; i++) {
    int32_t *to = s->chosen + i * s->room;
    int64_t m = choose(s, s->boxes + i / s->classes * s->n * 4,
                       s->scores + i * s->n, list, kept, to);
    while (m < s->room) to[m++] = -1;
  }
  gs_arena_free(&a);
}

static float one_float(const gs_kctx *k, int i) {
  return gs_kernel_has(k, i) ? *(const float *)k->in[i].data : 0;
}

static gs_status prep(gs_kctx *k) {
  if (k->in[BOXES].n / 4 < INT32_MAX) return GS_OK;
  return gs_kernel_fail(k, GS_RESOURCE, "there are too many boxes");
}

static gs_status run(gs_kctx *k) {
  const gs_view *x = &k->in[BOXES], *y = &k->out[0];
  suppression s = {.boxes = x->data, .scores = k->in[SCORES].data,
                   .chosen = y->data, .batches = x->dims[0],
                   .classes = y->dims[1], .n = x->dims[1],
                   .room = y->dims[2], .overlap = one_float(k, OVERLAP),
                   .min = one_float(k, LEAST),
                   .scored = gs_kernel_has(k, LEAST)};
  s.centered = gs_node_int(k->node, "center_point_box", 0) != 0;
  if (!(s.overlap >= 0 && s.overlap <= 1))
    return gs_kernel_fail(k, GS_DATA, "iou_threshold %g is not in [0, 1]",
                          (double)s.overlap);
  if (gs_kernel_has(k, MAX)) s.max = gs_view_int(&k->in[MAX], 0);
  s.max = gs_max(0, gs_min(s.max, s.room));
  gs_parallel(k->threads, s.batches * s.classes, 64 * (s.n + 1), each_class,
              &s);
  return GS_OK;
}

extern const gs_kernel gs_kernel_non_max_select;
const gs_kernel gs_kernel_non_max_select = {prep, run};
