/* NonMaxSuppression: per batch and class, boxes by falling score, without
 * those that overlap a chosen one too much. */
#include <stdlib.h>

#include "kernel/core/call_dynamic.h"

typedef struct candidate {
  float score;
  int64_t at;
} candidate;

typedef struct corners {
  float low[2], high[2];
} corners;

typedef struct suppression {
  const float *boxes, *scores;
  int64_t batches, classes, n;
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
                      int64_t *chosen) {
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
    chosen[n++] = list[i].at;
  }
  return n;
}

static gs_status one_float(gs_dyncall *k, int i, float *out, bool *given) {
  gs_dyn *b;
  *given = i < k->node->nin && k->in[i];
  if (!*given) return GS_OK;
  GS_TRY(gs_dyncall_tensor(k, i, &b));
  if (b->t.dtype != GS_FLOAT || gs_tensor_count(&b->t) != 1)
    return gs_dyncall_fail(k, GS_DATA, "operand %d is %s, not one f32", i,
                          gs_dyn_text(k->arena, b));
  memcpy(out, b->t.data, sizeof *out);
  return GS_OK;
}

static gs_status begin(gs_dyncall *k, suppression *s) {
  gs_dyn *b, *c;
  bool given;
  GS_TRY(gs_dyncall_tensor(k, 0, &b));
  GS_TRY(gs_dyncall_tensor(k, 1, &c));
  const gs_tensor *x = &b->t, *y = &c->t;
  if (x->dtype != GS_FLOAT || y->dtype != GS_FLOAT || x->rank != 3 ||
      y->rank != 3 || x->dims[2] != 4 || x->dims[0] != y->dims[0] ||
      x->dims[1] != y->dims[2])
    return gs_dyncall_fail(k, GS_DATA, "boxes %s and scores %s do not fit",
                          gs_dyn_text(k->arena, b), gs_dyn_text(k->arena, c));
  *s = (suppression){.boxes = x->data,
                     .scores = y->data,
                     .batches = x->dims[0],
                     .classes = y->dims[1],
                     .n = x->dims[1],
                     .centered =
                         gs_node_int(k->node, "center_point_box", 0) != 0};
  GS_TRY(gs_dyncall_int(k, 2, 0, &s->max));
  GS_TRY(one_float(k, 3, &s->overlap, &given));
  GS_TRY(one_float(k, 4, &s->min, &s->scored));
  if (!(s->overlap >= 0 && s->overlap <= 1))
    return gs_dyncall_fail(k, GS_DATA, "iou_threshold %g is not in [0, 1]",
                          (double)s->overlap);
  s->max = gs_max(0, gs_min(s->max, s->n));
  return GS_OK;
}

static gs_status run_non_max(gs_dyncall *k) {
  suppression s;
  GS_VEC(int64_t) out = {0};
  GS_TRY(begin(k, &s));
  candidate *list = GS_NEWS(k->arena, s.n + 1, candidate);
  corners *kept = GS_NEWS(k->arena, s.max + 1, corners);
  int64_t *chosen = GS_NEWS(k->arena, s.max + 1, int64_t);
  for (int64_t b = 0; b < s.batches; b++)
    for (int64_t c = 0; c < s.classes; c++) {
      int64_t n = choose(&s, s.boxes + b * s.n * 4,
                         s.scores + (b * s.classes + c) * s.n, list, kept,
                         chosen);
      if (out.n > INT32_MAX / 2 - 3 * n)
        return gs_dyncall_fail(k, GS_RESOURCE, "too many boxes are chosen");
      for (int64_t i = 0; i < n; i++) {
        *gs_push(k->arena, &out) = b;
        *gs_push(k->arena, &out) = c;
        *gs_push(k->arena, &out) = chosen[i];
      }
    }
  int64_t dims[2] = {out.n / 3, 3};
  gs_dyn *y;
  GS_TRY(gs_dyncall_result(k, 0, GS_INT64, 2, dims, &y));
  if (out.n) memcpy(y->block, out.at, (size_t)out.n * sizeof *out.at);
  return GS_OK;
}

GS_DYNAMIC(non_max, run_non_max)
