#include "pass/reshard/cost.h"

#include <math.h>

#include "base/assert.h"

double gs_cost_local(const gs_mesh *m, double flops, double bytes) {
  gs_machine machine = gs_machine_or(&m->machine, &gs_machine_default);
  return flops / machine.flops + bytes / (machine.memory_gbs * 1e9);
}

/* The slower of a link so far and that of an axis: what an axis does not say,
 * the machine does. */
static void slower(const gs_axis *axis, const gs_machine *machine,
                   double *alpha_us, double *gbs) {
  double alpha = axis->alpha_us > 0 ? axis->alpha_us : machine->alpha_us;
  double speed = axis->gbps > 0 ? axis->gbps / 8 : machine->link_gbs;
  if (alpha > *alpha_us) *alpha_us = alpha;
  if (speed < *gbs) *gbs = speed;
}

/* The slowest link of the axes; an order goes over all axes of the mesh. */
static void link_of(const gs_mesh *m, const gs_axes *axes, double *alpha_us,
                    double *gbs) {
  gs_machine machine = gs_machine_or(&m->machine, &gs_machine_default);
  *alpha_us = 0;
  *gbs = INFINITY;
  for (int i = 0; i < axes->n; i++) {
    const gs_sub *s = &m->sub[axes->at[i]];
    if (!s->order) slower(&m->axis[s->axis], &machine, alpha_us, gbs);
    for (int k = 0; s->order && k < m->naxis; k++)
      if (m->axis[k].size > 1) slower(&m->axis[k], &machine, alpha_us, gbs);
  }
  if (axes->n) return;
  *alpha_us = machine.alpha_us;
  *gbs = machine.link_gbs;
}

double gs_cost_move(const gs_mesh *m, gs_move_kind k, const gs_axes *axes,
                    double bytes) {
  int steps = gs_moves[k].steps;
  /* A local move costs next to nothing, but more than none. */
  if (!steps) return 1e-9;
  double alpha_us, gbs;
  gs_assert(bytes >= 0);
  link_of(m, axes, &alpha_us, &gbs);
  return steps * (alpha_us * 1e-6) + bytes / (gbs * 1e9);
}

void gs_cost_least(const gs_mesh *m, const gs_axes *axes, double *latency,
                   double *per_byte) {
  *latency = *per_byte = INFINITY;
  for (int i = 0; i < axes->n; i++) {
    gs_axes one = {1, {axes->at[i]}};
    double alpha_us, gbs;
    link_of(m, &one, &alpha_us, &gbs);
    *latency = fmin(*latency, alpha_us * 1e-6); /* one message or more */
    *per_byte = fmin(*per_byte, 1 / (gbs * 1e9));
  }
}

gs_exchange_price gs_cost_exchange(const gs_mesh *m, const gs_exchange *x,
                                   gs_dtype t, int rank, const int64_t *local,
                                   int d) {
  gs_axes apart = gs_axes_of(gs_axes_set(&x->to) & ~gs_axes_set(&x->from));
  gs_exchange_price c = {.axes = gs_axes_cat(&x->from, &apart)};
  c.bytes = gs_move_bytes(GS_MOVE_EXCHANGE, t, rank, local, local, d,
                          gs_axes_size(m, &x->from), gs_exchange_sent(m, x));
  /* One that sends nothing is a local copy. */
  gs_move_kind kind = c.bytes > 0 ? GS_MOVE_EXCHANGE : GS_MOVE_SHARD;
  c.seconds = gs_cost_move(m, kind, &c.axes, c.bytes);
  return c;
}
