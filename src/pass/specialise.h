/* Device graphs: an SPMD program with the coordinates of one device folded
 * in (design section 5).
 *
 * Blocks of weights become constants that say which part of which tensor they
 * are; graph inputs and outputs become the device's blocks where every use
 * agrees; masks that clear nothing disappear; collectives list their groups.
 * Cost: O(nodes) for each device. */
#ifndef GS_PASS_SPECIALISE_H
#define GS_PASS_SPECIALISE_H

#include "op/core/op.h"

/* How a value at the border of the program lies on the devices. */
typedef struct gs_border {
  const gs_value *value;       /* of the program: whole */
  const gs_sharding *sharding; /* of the device graphs' input or output */
} gs_border;

/* A weight that enters device graphs in blocks. */
typedef struct gs_block_use {
  const gs_value *weight;      /* of the program: whole, constant */
  const gs_value *block;       /* of the program: the Shard's result */
  const gs_sharding *split;
} gs_block_use;

typedef struct gs_device_form {
  const gs_graph *program;
  GS_VEC(gs_border) input, output; /* in the program's order */
  GS_VEC(gs_block_use) block;
} gs_device_form;

/* What is common to all devices. */
gs_status gs_pass_device_form(gs_arena *a, const gs_graph *program,
                              gs_device_form *out, gs_err *e);

/* The graph of device position p.  A block of a weight is a constant without
 * data, named as the Shard's result in the program. */
gs_status gs_pass_specialise(gs_arena *a, const gs_device_form *f, int64_t p,
                             gs_graph **out, gs_err *e);

/* The reverse at the borders, for execution: gives a device graph whole inputs
 * and outputs again, by Shard and Unshard nodes.  split[i] are how the
 * inputs (outputs) are split, NULL for those that are whole; dims[i] the global
 * dims. */
gs_status gs_pass_border(gs_graph *g, const gs_sharding *const *in_split,
                         const int64_t *const *in_dims,
                         const gs_sharding *const *out_split,
                         const int64_t *const *out_dims, gs_err *e);

#endif
