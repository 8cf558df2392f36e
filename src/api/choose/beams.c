#include "api/choose/beams.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* A hypothesis that has ended, or may go on. */
typedef struct ended {
  double score;         /* divided by the penalty */
  int64_t depth;        /* tokens that were chosen */
  int64_t from, token;  /* the last one, and whose it is */
} ended;

/* A token that could follow a hypothesis. */
typedef struct follower {
  double score;
  int64_t from, token; /* from: 0 .. K - 1 */
} follower;

struct gs_beams {
  gs_beams_options o;
  gs_choice *choice;
  int64_t rows, places, sequences;
  int64_t step;        /* of the model, from 0 */
  int64_t depth;       /* expansions since the tokens were last given */
  uint8_t *mask;       /* [rows, places] */
  uint8_t *before;     /* [K, places] */
  int64_t *parent;     /* [rows] 0 .. K - 1, of the step that comes */
  double *score;       /* [rows]; rank 0, as all below */
  int64_t *token;      /* [most, rows] of each expansion */
  int64_t *ancestor;   /* [most, rows] */
  int64_t most;        /* steps for which there is room */
  ended *end;          /* [sequences, K], the best first */
  int64_t *nend;       /* [sequences] */
  follower *follower;  /* [K * candidates] of a sequence */
};

static void set_own(gs_beams *b) {
  int64_t k = b->o.beams;
  for (int64_t r = 0; r < b->rows; r++)
    b->mask[r * b->places + b->step * k + r % k] = 1;
}

void gs_beams_begin(gs_beams *b) {
  int64_t k = b->o.beams;
  b->depth = 0;
  for (int64_t r = 0; r < b->rows; r++) {
    b->parent[r] = r % k;
    b->score[r] = r % k ? -INFINITY : 0; /* they are one, so far */
  }
  for (int64_t s = 0; s < b->sequences; s++) b->nend[s] = 0;
}

void gs_beams_new(gs_arena *a, const gs_beams_options *o, gs_choice *c,
                  int64_t places, gs_beams **out) {
  gs_beams *b = *out = GS_NEW(a, gs_beams);
  int64_t k = o->beams, wanted = gs_min(k + o->nstop, c->n);
  gs_assert(k > 0 && c->rows % k == 0 && places >= k);
  *b = (gs_beams){.o = *o, .choice = c, .rows = c->rows, .places = places,
                  .sequences = c->rows / k, .most = places / k + 1};
  b->mask = GS_NEWS(a, b->rows * places, uint8_t);
  b->before = GS_NEWS(a, k * places, uint8_t);
  b->parent = GS_NEWS(a, b->rows, int64_t);
  b->score = GS_NEWS(a, b->rows, double);
  b->token = GS_NEWS(a, b->most * b->rows, int64_t);
  b->ancestor = GS_NEWS(a, b->most * b->rows, int64_t);
  b->end = GS_NEWS(a, b->rows, ended);
  b->nend = GS_NEWS(a, b->sequences, int64_t);
  b->follower = GS_NEWS(a, k * wanted, follower);
  gs_beams_begin(b);
  set_own(b);
}

gs_status gs_beams_look(gs_beams *b, gs_err *e) {
  GS_TRY(gs_choice_best(b->choice, b->o.beams + b->o.nstop, e));
  return gs_choice_weigh(b->choice, 1, e);
}

/* ---- choosing ---- */

static double penalised(const gs_beams *b, double score, int64_t depth) {
  return score / pow((5 + (double)depth) / 6, b->o.penalty);
}

static bool is_stop(const gs_beams *b, int64_t token) {
  for (int i = 0; i < b->o.nstop; i++)
    if (b->o.stop[i] == token) return true;
  return false;
}

static bool better(const follower *x, const follower *y) {
  if (x->score > y->score || x->score < y->score) return x->score > y->score;
  if (x->from != y->from) return x->from < y->from;
  return x->token < y->token;
}

/* All that could follow in a sequence, the best first. */
static int64_t list_followers(gs_beams *b, int64_t sequence) {
  const gs_choice *c = b->choice;
  int64_t k = b->o.beams, n = 0;
  for (int64_t j = 0; j < k; j++) {
    int64_t row = sequence * k + j;
    double sum = log((double)c->sum[row] * gs_choice_unit()) + c->top[row];
    for (int64_t i = 0; i < c->k; i++) {
      const gs_candidate *x = &c->best[row * c->k + i];
      follower f = {b->score[row] + x->x - sum, j, x->at};
      if (isnan(f.score)) f.score = -INFINITY;
      int64_t at = n++;
      for (; at > 0 && better(&f, &b->follower[at - 1]); at--)
        b->follower[at] = b->follower[at - 1];
      b->follower[at] = f;
    }
  }
  return n;
}

/* Keeps the K best. */
static void keep_ended(gs_beams *b, ended *list, int64_t *n, const ended *x) {
  int64_t k = b->o.beams;
  if (*n == k && !(x->score > list[k - 1].score)) return;
  int64_t at = *n < k ? (*n)++ : k - 1;
  for (; at > 0 && x->score > list[at - 1].score; at--) list[at] = list[at - 1];
  list[at] = *x;
}

static void expand(gs_beams *b, int64_t sequence, int64_t *token) {
  int64_t k = b->o.beams, first = sequence * k, taken = 0;
  int64_t n = list_followers(b, sequence);
  bool over = b->nend[sequence] == k; /* only others still search */
  for (int64_t i = 0; i < n && taken < k; i++) {
    const follower *f = &b->follower[i];
    bool stops = is_stop(b, f->token);
    ended x = {penalised(b, f->score, b->depth + 1), b->depth + 1, f->from,
               f->token};
    if (stops && !over && f->score > -INFINITY)
      keep_ended(b, &b->end[first], &b->nend[sequence], &x);
    if (stops) continue;
    token[first + taken] = f->token;
    b->parent[first + taken] = f->from;
    b->score[first + taken++] = f->score;
  }
  for (; taken < k; taken++) { /* all that there is are stops */
    token[first + taken] = b->choice->best[first * b->choice->k].at;
    b->parent[first + taken] = 0;
    b->score[first + taken] = -INFINITY;
  }
}

void gs_beams_expand(gs_beams *b, int64_t *token) {
  gs_assert(b->depth < b->most);
  for (int64_t s = 0; s < b->sequences; s++) expand(b, s, token);
  size_t bytes = (size_t)b->rows * sizeof *token;
  memcpy(b->token + b->depth * b->rows, token, bytes);
  memcpy(b->ancestor + b->depth * b->rows, b->parent, bytes);
  b->depth++;
}

bool gs_beams_done(const gs_beams *b) {
  for (int64_t s = 0; s < b->sequences; s++)
    if (b->nend[s] < b->o.beams) return false;
  return true;
}

/* ---- the mask ---- */

bool gs_beams_room(const gs_beams *b) {
  return (b->step + 2) * b->o.beams <= b->places;
}

gs_status gs_beams_step(gs_beams *b, gs_err *e) {
  gs_world *w = b->choice->w;
  int64_t k = b->o.beams, bytes = k * b->places;
  if (w && w->nrank > 1)
    GS_TRY(gs_world_bcast(w, b->parent, (uint64_t)b->rows * sizeof *b->parent,
                          e));
  gs_assert(gs_beams_room(b));
  b->step++;
  for (int64_t s = 0; s < b->sequences; s++) {
    uint8_t *mask = b->mask + s * bytes;
    memcpy(b->before, mask, (size_t)bytes);
    for (int64_t j = 0; j < k; j++)
      memcpy(mask + j * b->places, b->before + b->parent[s * k + j] * b->places,
             (size_t)b->places);
  }
  set_own(b);
  return GS_OK;
}

const uint8_t *gs_beams_mask(const gs_beams *b, int64_t row) {
  return b->mask + row * b->places;
}

/* ---- the end ---- */

/* The tokens of a hypothesis, from its last one back. */
static const int64_t *trace(gs_beams *b, int64_t sequence, const ended *x) {
  int64_t *token = GS_NEWS(b->choice->arena, x->depth + 1, int64_t);
  int64_t j = x->from, at = x->depth - 1;
  token[at] = x->token;
  while (--at >= 0) {
    int64_t i = at * b->rows + sequence * b->o.beams + j;
    token[at] = b->token[i];
    j = b->ancestor[i];
  }
  return token;
}

int64_t gs_beams_best(gs_beams *b, int64_t sequence, gs_beam *best) {
  int64_t k = b->o.beams, first = sequence * k, n = b->nend[sequence];
  ended *list = GS_NEWS(b->choice->arena, k, ended);
  memcpy(list, b->end + first, (size_t)n * sizeof *list);
  bool open = n < k && b->depth; /* those that may go on count as well */
  for (int64_t j = 0; j < k && open; j++) {
    if (b->score[first + j] <= -INFINITY) continue;
    int64_t i = (b->depth - 1) * b->rows + first + j;
    ended x = {penalised(b, b->score[first + j], b->depth), b->depth,
               b->ancestor[i], b->token[i]};
    keep_ended(b, list, &n, &x);
  }
  for (int64_t j = 0; j < n; j++)
    best[j] = (gs_beam){list[j].score, list[j].depth,
                        trace(b, sequence, &list[j])};
  return n;
}
