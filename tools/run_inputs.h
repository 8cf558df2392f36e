/* The inputs of a run: files, test data, and what is made up. */
#ifndef TOOLS_RUN_INPUTS_H
#define TOOLS_RUN_INPUTS_H

#include "cli.h"
#include "check/random_input.h"
#include "pass/prepare/ranges.h"
#include "run_source.h"

typedef struct gs_run_inputs {
  gs_cli *c;
  gs_arena *a;
  gs_source *source;
  bool many;        /* several ranks: none has standard input for all */
  bool made_up;     /* --random */
  gs_random random; /* its seed */
  const gs_range *indexed; /* gs_pass_ranges of a plain model; NULL: not yet */
} gs_run_inputs;

/* Puts what -i and --test-data name into source->input, and checks that each
 * --range names an input. */
gs_status gs_run_give_inputs(gs_run_inputs *in, gs_err *e);
/* Makes up what is not given, with --random; GS_NOINPUT without.
 * requires  shapes inferred */
gs_status gs_run_make_missing(gs_run_inputs *in, gs_err *e);
/* A made-up tensor for input i; integers: small whole numbers. */
gs_status gs_run_make_up(gs_run_inputs *in, int i, bool integers, gs_dyn **out,
                         gs_err *e);
/* PREFIX_N.pb of --test-data. */
gs_status gs_run_test_data(gs_run_inputs *in, const char *prefix, int n,
                           gs_kind kind, gs_dtype dtype, gs_dyn **out,
                           gs_err *e);

#endif
