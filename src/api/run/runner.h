/* What the files of gs_runner share; see gshard.h. */
#ifndef GS_API_RUNNER_H
#define GS_API_RUNNER_H

#include "api/call.h"
#include "api/run/run_inputs.h"
#include "api/run/run_output.h"
#include "api/run/run_source.h"

/* The program of one binding. */
typedef struct gs_run_program {
  gs_source source;
  gs_exec *exec;
} gs_run_program;

struct gs_runner {
  gs_blocks own_blocks, *blocks; /* own, or those of its sharder */
  gs_arena arena;
  gs_runner_options o;
  gs_world *w; /* NULL: threads */
  gs_source source;
  gs_run_program *program; /* [nprogram] of a plan with several bindings */
  int nprogram;            /* 0: there is `source` alone */
  int now;                 /* which of them `source` and `exec` are */
  bool opened, prepared;
  gs_bindings bind;
  gs_run_inputs in;
  int64_t runs; /* so far */
  double ran;   /* seconds of all of them */
  double weights; /* bytes that kernels of this process read in them */
  bool torn;   /* ranks have stopped at different places */
  bool silent; /* another rank tells what all know */
  gs_exec *exec;
  gs_arena results;  /* of the last run */
  gs_dyn **output;   /* [outputs]; rank 0 only; NULL: not collected */
  gs_run_output out;
  struct gs_steps *steps; /* NULL: one run at a time */
  gs_buf text, json; /* what was said */
};

/* Several ranks. */
static inline bool gs_runner_many(const gs_runner *r) {
  return r->w && r->w->nrank > 1;
}
static inline bool gs_runner_first(const gs_runner *r) {
  return !r->w || r->w->rank == 0;
}

/* Under MPI all ranks go on, or all return the status of the lowest that
 * failed, which alone speaks. */
gs_status gs_runner_all(gs_runner *r, gs_status s, gs_err *e);
#define GS_AGREE(r, expr)                                                      \
  do {                                                                         \
    gs_status agreed_ = gs_runner_all(r, expr, e);                             \
    if (agreed_ != GS_OK) return agreed_;                                      \
  } while (0)

/* Makes program k of several the one that `source` and `exec` are. */
void gs_runner_switch(gs_runner *r, int k);
/* Of program k; the only one where there are not several. */
static inline const gs_source *gs_runner_source(const gs_runner *r, int k) {
  return k == r->now ? &r->source : &r->program[k].source;
}
/* Dims of input i, -1 where the bindings differ. */
const int64_t *gs_runner_common_dims(gs_arena *a, const gs_runner *r, int i);
/* Fails with GS_DATA: no binding has t as input i. */
gs_status gs_runner_no_binding(gs_runner *r, int i, const gs_tensor *t,
                               gs_err *e);
/* The graph compiled, with its inputs: of the source, or of a whole model
 * (w NULL). */
gs_status gs_runner_exec(gs_runner *r, const gs_source *s, gs_world *w,
                         gs_exec **out, gs_err *e);
/* GS_USAGE before compile: `what` comes after it. */
gs_status gs_runner_need_exec(const gs_runner *r, const char *what, gs_err *e);
/* Runs; seconds may be NULL. */
gs_status gs_runner_once(gs_runner *r, double *seconds, gs_err *e);
/* All outputs of x. */
gs_status gs_runner_collect(gs_exec *x, gs_arena *a, const gs_graph *g,
                            gs_dyn ***out, gs_err *e);
/* Adds an output, of which the name is still to be written, to r->json. */
void gs_runner_describe_json(gs_runner *r, const char *name, const gs_dyn *b,
                             unsigned long long digest);
/* Those of the last run, unless they were collected; all ranks agree. */
gs_status gs_runner_results(gs_runner *r, gs_err *e);

#endif
