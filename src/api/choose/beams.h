/* Flat beam search (appendix A.1 of GShard, arXiv 2006.16668).
 *
 * A sequence has K hypotheses, which lie interleaved: a step has a token of
 * each, and what the model keeps of step t of hypothesis j is at place t K + j
 * of its caches.  A mask says which places a hypothesis sees: its own, and
 * those of its ancestors.  Hypotheses that go on from others take over their
 * rows of the mask; caches stay where they are.
 *
 * The score of a hypothesis is the sum of the logarithms of its tokens'
 * probabilities, in f64; hypotheses are compared by score, then by the place of
 * their ancestor, then by token. */
#ifndef GS_API_BEAMS_H
#define GS_API_BEAMS_H

#include "api/choose/choose.h"

typedef struct gs_beams_options {
  int64_t beams;  /* K */
  double penalty; /* a score is divided by ((5 + length) / 6)^penalty when
                     hypotheses of different lengths are compared */
  const int64_t *stop; /* [nstop] tokens that end a hypothesis */
  int nstop;
} gs_beams_options;

typedef struct gs_beams gs_beams;

/* A hypothesis at the end. */
typedef struct gs_beam {
  double score; /* divided by the penalty */
  int64_t n;
  const int64_t *token; /* [n] what was chosen, the end included */
} gs_beam;

/* Of c->rows / K sequences, in caches of that many places. */
void gs_beams_new(gs_arena *a, const gs_beams_options *o, gs_choice *c,
                  int64_t places, gs_beams **out);
/* All ranks, after a step: what could follow. */
gs_status gs_beams_look(gs_beams *b, gs_err *e);
/* Rank 0, before the next: its tokens are given, and all hypotheses are alike;
 * or they are chosen, token[rows]. */
void gs_beams_begin(gs_beams *b);
void gs_beams_expand(gs_beams *b, int64_t *token);
/* Rank 0: every sequence has K hypotheses that ended. */
bool gs_beams_done(const gs_beams *b);
/* All ranks, then: shares which hypothesis goes on from which, and moves to the
 * next step, for which there must be room. */
gs_status gs_beams_step(gs_beams *b, gs_err *e);
bool gs_beams_room(const gs_beams *b);
/* What hypothesis `row` sees: [places] of 0 and 1. */
const uint8_t *gs_beams_mask(const gs_beams *b, int64_t row);

/* Rank 0: the K best of a sequence, the best first; at most K. */
int64_t gs_beams_best(gs_beams *b, int64_t sequence, gs_beam *best);

#endif
