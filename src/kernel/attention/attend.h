/* Attention over blocks of queries and chunks of keys, for all operators that
 * are made of it.
 *
 * For every batch b, head h of keys and row r of the group * queries rows that
 * share it: y = sum_j p[j] v[j], p = softmax(cap(scale q k[j]) + masks).  A
 * chunk of keys gives maximum, sum and weighted values of its own, which are
 * merged in the order of the chunks; so neither blocks of rows nor threads
 * change a result, and scores are never held for more than a block and a
 * chunk.  Rows that see no key become zeros, unless `plain`.  Everything is
 * computed in f32, or in f64 when the query is. */
#ifndef GS_KERNEL_ATTEND_H
#define GS_KERNEL_ATTEND_H

#include "kernel/core/kernel.h"
#include "kernel/core/strided.h"

/* A tensor of [batch, head, row, element], elements adjacent; strides in
 * elements. */
typedef struct gs_attend_side {
  gs_dtype type; /* f32 f64 f16 bf16 */
  int64_t batch, head, row;
} gs_attend_side;

/* Added to the scores [batch, head of the query, query, key]; strides in
 * elements, 0 where it is broadcast.  Bool: false is minus infinity. */
typedef struct gs_attend_mask {
  gs_dtype type;
  int64_t batch, head, query;
  int64_t keys; /* keys from here on are not seen */
} gs_attend_mask;

enum { GS_ATTEND_MASKS = 2 };

typedef enum gs_attend_scores { /* what is written of the scores */
  GS_SCORES_RAW,
  GS_SCORES_CAPPED,
  GS_SCORES_BIASED,
  GS_SCORES_SOFTMAX,
  GS_SCORES_SEEN, /* those with the masks, and 0 for what is not seen */
  GS_SCORES_NONE
} gs_attend_scores;

typedef struct gs_attend {
  gs_dtype type; /* of the computation: f32 or f64 */
  int64_t batch, kv, group, queries, keys, head, vhead;
  gs_attend_side q, k, v, y;
  gs_attend_side each; /* of the numbers max and sum, of `type` */
  bool across; /* k is [batch, head, element, row], of the computed type: k.row
                  lies between elements, keys are adjacent */
  bool plain;  /* a row that sees no key is NaN, as softmax makes it */
  double scale, cap; /* cap 0: none */
  bool causal;
  int64_t left, right; /* keys before and after the query's; -1: all */
  int nmask;
  gs_attend_mask mask[GS_ATTEND_MASKS];
  gs_attend_scores scores; /* [batch, heads, queries, keys] */
  gs_dtype scores_type;
} gs_attend;

/* What one run works on. */
typedef struct gs_attend_data {
  const void *q, *k, *v;
  void *y, *scores;
  /* [batch, heads, queries, 1]: the largest score, -inf where no key is seen,
   * and the sum of e^(score - max); y is then the sum of e^(score - max) v, for
   * those who have other keys too.  Or both are NULL. */
  void *max, *sum;
  const void *mask[GS_ATTEND_MASKS];
  /* Per batch: keys that there are, and the place of query 0 among them; NULL:
   * all, and `offset`.  Lengths are 0 .. keys. */
  const int64_t *lengths, *offsets;
  int64_t offset;
  /* [heads of the query]: e^sink is added to the sum of a row; or NULL. */
  const double *sink;
  void *scratch; /* of gs_attend_scratch bytes, aligned */
  int threads;
} gs_attend_data;

/* Bytes of scratch for parts that are computed apart and merged later. */
size_t gs_attend_scratch(const gs_attend *p);
/* False when the matrix library refuses. */
bool gs_attend_run(const gs_attend *p, const gs_attend_data *d);

/* Whether attention computes with elements of type t. */
bool gs_attend_real(gs_dtype t);

/* Heads in a dim of n of the `all` elements in which there are so many. */
int64_t gs_attend_heads(int64_t heads, int64_t all, int64_t n);

/* [batch, heads, rows, n] in one piece, or [batch, rows, heads * n]. */
gs_attend_side gs_attend_dense(gs_dtype t, bool flat, int64_t heads,
                               int64_t rows, int64_t n);

/* How a cache [batch, heads, past, n] and new rows become one
 * [batch, heads, past + rows, n], all of the type of `from`. */
typedef struct gs_attend_join {
  gs_strided old, add;
  int64_t skip; /* bytes of the past of one head */
} gs_attend_join;

void gs_attend_join_init(gs_attend_join *j, const gs_attend_side *from,
                         int64_t batch, int64_t heads, int64_t past,
                         int64_t rows, int64_t n);
/* past NULL when it has no rows. */
void gs_attend_join_run(const gs_attend_join *j, const void *past,
                        const void *from, void *to, int threads);

#endif
