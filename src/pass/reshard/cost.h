/* The cost model: seconds of compute and of communication.
 *
 * Communication is steps * alpha + bytes / bandwidth per move, with the link of
 * the mesh axis (spec: mesh.link), else that of the machine (spec: machine,
 * ir/mesh/machine.h); over several axes, the slowest of them.  Only ratios
 * matter to the choices made here. */
#ifndef GS_PASS_COST_H
#define GS_PASS_COST_H

#include "ir/mesh/exchange.h"
#include "op/core/moves.h"

/* Seconds of so many operations on so many bytes of a device's memory. */
double gs_cost_local(const gs_mesh *m, double flops, double bytes);
/* Seconds of one move over these axes that sends so many bytes. */
double gs_cost_move(const gs_mesh *m, gs_move_kind k, const gs_axes *axes,
                    double bytes);
/* What every collective over some of these axes takes at least: seconds, and
 * seconds for each byte. */
void gs_cost_least(const gs_mesh *m, const gs_axes *axes, double *latency,
                   double *per_byte);

/* What exchange x along dim d costs, of an operand with these local dims. */
typedef struct gs_exchange_price {
  gs_axes axes; /* that it goes over: those of both sides */
  double bytes, seconds;
} gs_exchange_price;
gs_exchange_price gs_cost_exchange(const gs_mesh *m, const gs_exchange *x,
                                   gs_dtype t, int rank, const int64_t *local,
                                   int d);

#endif
