/* What MoE and QMoE of com.microsoft share. */
#ifndef GS_OP_MOE_H
#define GS_OP_MOE_H

#include "op/core/op.h"

/* Operands of QMoE. */
enum {
  GS_QMOE_X,
  GS_QMOE_ROUTER,
  GS_QMOE_W1, /* weights, scales, bias of fc1, fc2, fc3 */
  GS_QMOE_S1,
  GS_QMOE_B1,
  GS_QMOE_W2,
  GS_QMOE_S2,
  GS_QMOE_B2,
  GS_QMOE_W3,
  GS_QMOE_S3,
  GS_QMOE_B3,
  GS_QMOE_Z1, /* zero points */
  GS_QMOE_Z2,
  GS_QMOE_Z3
};

/* Checks the attributes that both have; operand fc3 holds the weights of
 * fc3. */
gs_status gs_moe_attributes(gs_arena *a, const gs_node *n, int fc3,
                            gs_err *e);

/* Result 0: that of operand 0 with `out` elements in the last dim.  Also checks
 * attribute k against the experts. */
gs_status gs_moe_result(gs_graph *g, gs_node *n, int64_t experts, int64_t out,
                        gs_err *e);

/* Devices that share the experts: those of attribute `axes` of a node of
 * ai.gshard. */
gs_status gs_moe_shards(const gs_graph *g, const gs_node *n, int64_t *shards,
                        gs_err *e);

/* Bits of the weights of fc1, fc2 or fc3 (1, 2, 3) of a QMoE node. */
int64_t gs_qmoe_bits(const gs_node *n, int fc);

#endif
