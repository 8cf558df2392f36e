/* GShard's Mixture-of-Experts layer in ONNX operators (arXiv 2006.16668,
 * sections 2.2 and 3.1).  Dims: G groups, S tokens of a group, E experts,
 * C places of an expert for each group, M model, H hidden. */
#ifndef EXAMPLES_MOE_H
#define EXAMPLES_MOE_H

#include "net.h"

typedef struct moe_options {
  int64_t experts;  /* E */
  int64_t capacity; /* C */
  int64_t hidden;   /* H */
  bool random;      /* random routing of second choices */
  int64_t seed;     /* of it; exact as a float */
} moe_options;

typedef struct moe_gates {
  gs_value *combine;  /* f32[G,S,E,C]: weights of the experts' answers */
  gs_value *dispatch; /* f32[G,S,E,C]: 1 where a token takes a place, else 0 */
  gs_value *loss;     /* f32[G]: auxiliary loss */
  gs_value *dropped;  /* i64[G]: tokens that no expert takes: they pass by the
                         residual connection only */
  gs_value *overflow; /* i64[G]: choices, of two for each token, whose expert
                         was full */
  gs_value *random;   /* f32[G,S]: the numbers drawn, or NULL */
} moe_gates;

/* Algorithm 1 on gates f32[G,S,E].  Of equal gates the lower expert wins.
 * All first choices of a group come before its second choices, and a choice
 * counts against its expert also when the expert is full or when random
 * routing rejects it (lines 11 and 22). */
moe_gates moe_gating(net *n, gs_value *gates, const moe_options *o);

typedef struct moe_layer {
  gs_value *outputs; /* f32[G,S,M] */
  moe_gates gates;
} moe_layer;

/* Algorithm 2 on x f32[G,S,M].  Names below n->scope/name: wg, wi, wo,
 * dispatched, outputs and others. */
moe_layer moe_experts(net *n, const char *name, gs_value *x,
                      const moe_options *o);

#endif
