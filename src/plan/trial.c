#include "plan/trial.h"

#include <math.h>

#include "base/assert.h"

/* A part of the time is worth this many times that part of the bytes. */
static const double worth_of_time = 10;

gs_status gs_trial_price(gs_arena *a, gs_graph *g, gs_partition_memo *memo,
                         gs_trial *out, gs_err *e) {
  gs_partition made;
  gs_partition_options how = {.memo = memo, .trial = true};
  GS_TRY(gs_pass_partition_with(a, g, &how, &made, e));
  *out = (gs_trial){made.seconds, made.weight_bytes + made.peak_bytes,
                    made.flops};
  gs_assert(out->seconds >= 0 && out->bytes >= 0);
  return GS_OK;
}

gs_status gs_trial_run(gs_arena *a, gs_graph *g, const gs_propagate_input *in,
                       gs_partition_memo *memo, gs_trial *out, gs_err *e) {
  gs_propagation done;
  GS_TRY(gs_pass_propagate(a, g, in, &done, e));
  return gs_trial_price(a, g, memo, out, e);
}

double gs_trial_judged(const gs_trial *x) {
  return log(fmax(x->seconds, 1e-12)) + log(fmax(x->bytes, 1)) / worth_of_time;
}
