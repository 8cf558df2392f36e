/* The inputs of a run: files, test data, and what is made up. */
#ifndef GS_API_RUN_INPUTS_H
#define GS_API_RUN_INPUTS_H

#include "check/random_input.h"
#include "pass/prepare/ranges.h"
#include "api/run/run_source.h"

typedef struct gs_run_inputs {
  gs_arena *a;
  gs_source *source;
  bool many;        /* several ranks: none has standard input for all */
  bool made_up;     /* what is not given */
  gs_random random; /* its seed */
  const gs_pair *range; /* [nrange] input, "LO:HI" */
  int nrange;
  const gs_range *indexed; /* gs_pass_ranges of a plain model; NULL: not yet */
} gs_run_inputs;

/* Puts what lies in a file into source->input (name NULL: the only one). */
gs_status gs_run_input_file(gs_run_inputs *in, const char *name,
                            const char *file, gs_err *e);
/* Puts input_N.pb of dir there, for all N. */
gs_status gs_run_input_folder(gs_run_inputs *in, const char *dir, gs_err *e);
/* GS_USAGE for a range of an input that there is not. */
gs_status gs_run_check_ranges(gs_run_inputs *in, gs_err *e);
/* Makes up what is not given, with made_up; GS_NOINPUT without.
 * requires  shapes inferred */
gs_status gs_run_make_missing(gs_run_inputs *in, gs_err *e);
/* A made-up tensor for input i; integers: small whole numbers. */
gs_status gs_run_make_up(gs_run_inputs *in, int i, bool integers, gs_dyn **out,
                         gs_err *e);
/* PREFIX_N.pb of a folder of test data. */
gs_status gs_run_test_data(gs_run_inputs *in, const char *dir,
                           const char *prefix, int n, gs_kind kind,
                           gs_dtype dtype, gs_dyn **out, gs_err *e);

#endif
