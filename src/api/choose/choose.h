/* Choosing indices along the last dim of an output: tokens.
 *
 * The output is looked at where it lies: of each block of a row the best
 * candidates are found and only these are joined, on rank 0.  What is sent does
 * not depend on how many elements there are.
 *
 * Every mesh and transport chooses the same, where the outputs are the same.
 * Candidates are ordered by value and then by index, as if a row were not
 * split.  An index is drawn as the largest of x + T g (Gumbel-max: that draws
 * from softmax(x / T)), g being a number of the seed, of how far the run has
 * come, of row and index alone; no sum is needed for that.  Where one is, for
 * top-p, weights are whole numbers, which add up in any order. */
#ifndef GS_API_CHOOSE_H
#define GS_API_CHOOSE_H

#include "exec/run/run.h"

/* How indices are drawn. */
typedef struct gs_draw {
  double temperature, top_p;
  int64_t top_k; /* 0: all */
  uint64_t seed;
} gs_draw;

typedef struct gs_candidate {
  double x;   /* by which it is judged: the larger, else the lower index */
  int64_t at; /* the index; -1: none */
} gs_candidate;

typedef struct gs_choice {
  gs_arena *arena;
  gs_exec *x;
  gs_world *w; /* NULL: one process */
  int out;
  int64_t rows, n;    /* that are chosen from; n: elements of a row */
  int64_t places, last; /* of `places` along the last dim but one these last
                           ones are such rows */
  gs_candidate *best; /* [rows, k], the best first; rank 0 */
  int64_t k, most;    /* candidates of a row; for how many there is room */
  double *top;        /* [rows] the largest element */
  uint64_t *sum;      /* [rows] of weights; rank 0 */
  const gs_draw *draw; /* of this search; NULL: the largest */
  int64_t far;
  double *element;    /* [n] of a part of a row */
  int64_t *order;     /* [n] */
  gs_candidate *merged; /* [most] */
  int64_t more; /* how many have to be looked for next; 0: none */
} gs_choice;

/* GS_USAGE: no distribution. */
gs_status gs_draw_check(const gs_draw *d, gs_err *e);

/* Output `out` of x is floats of whole bytes, its last dim not 0.  Of its last
 * dim but one the `last` last places are looked at, at least one. */
void gs_choice_init(gs_choice *c, gs_arena *a, gs_exec *x, gs_world *w,
                    const gs_value *v, int out, int64_t last);
/* All ranks, after a run: c->best, the k best of each row. */
gs_status gs_choice_best(gs_choice *c, int64_t k, gs_err *e);
/* All ranks: the largest of each row with noise added, in c->best. */
gs_status gs_choice_noisy(gs_choice *c, const gs_draw *d, int64_t far,
                          gs_err *e);

/* All ranks, after gs_choice_best: c->top on all ranks and c->sum on rank 0, of
 * exp((x - top) / temperature) in units of gs_choice_unit. */
gs_status gs_choice_weigh(gs_choice *c, double temperature, gs_err *e);
static inline double gs_choice_unit(void) { return 0x1p-36; }

/* exp((x - top) / temperature) as a whole number of gs_choice_unit; x is at
 * most top. */
uint64_t gs_choice_weight(double x, double top, double temperature);

/* All ranks: one index for each row, on rank 0; draw NULL: of the largest. */
gs_status gs_choose(gs_choice *c, const gs_draw *draw, int64_t far,
                    int64_t *chosen, gs_err *e);

#endif
