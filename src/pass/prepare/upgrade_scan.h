/* Scan of opset 8. */
#ifndef GS_PASS_UPGRADE_SCAN_H
#define GS_PASS_UPGRADE_SCAN_H

#include "op/core/op.h"

/* n scans the sequences of a batch: dim 0 of every operand and result is the
 * batch, dim 1 of those that are scanned the sequence.  It becomes a Scan over
 * the batch, in whose body a Scan over the sequence holds n's body.
 *
 * errors: GS_DATA for attributes and operands that do not fit;
 *         GS_UNSUPPORTED where sequence_lens is given. */
gs_status gs_upgrade_batched_scan(gs_graph *g, gs_node *n, gs_err *e);

#endif
