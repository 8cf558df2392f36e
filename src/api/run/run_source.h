/* What gshard-run runs: a plain model or a program, its inputs, and how their
 * sizes bind the symbolic dims. */
#ifndef GS_API_RUN_SOURCE_H
#define GS_API_RUN_SOURCE_H

#include "check/random_input.h"
#include "exec/run/run.h"
#include "io/onnx/model.h"
#include "io/plan/plan_io.h"
#include "pass/state/cache.h"
#include "api/run/run_verify.h"

typedef struct gs_source {
  const char *path;
  const char *dir;   /* as it was opened */
  gs_model *model;   /* of graph */
  gs_graph *graph;   /* of the model or program; the first of device graphs */
  const gs_plan *plan; /* NULL: a file */
  const gs_graph **device; /* [ndevice_here] device graphs, NULL: none */
  int ndevice_here;
  int64_t ndevice;   /* 1 for plain models */
  bool of_sharder;   /* a program in memory; all shapes are known */
  bool no_verify;    /* files may be others than those that were written */
  gs_run_verify *verify; /* NULL: a plain model, or no_verify */
  gs_bindings bind;
  const gs_dyn **input; /* [inputs] NULL: not given */
  bool *varies; /* [inputs] it will have other values: it decides no shape */
  bool *made;   /* [inputs] it needs no value: the run makes it */
  gs_states state; /* what is an output of the run before */
  gs_cache cache;  /* of a plain model */
  bool fixed; /* inputs keep their values: also floats may decide shapes */
} gs_source;

/* Reads and imports path; with w, rank 0 reads standard input for all.
 * A model with metadata gshard.program becomes an SPMD program on its mesh.
 * A directory is a plan, from which each rank reads the graphs of its devices.
 * Shapes are not inferred yet (but for device graphs).  With `verify`,
 * GS_MISMATCH for files of a plan that are not those that were written with
 * it; weights are left to out->verify. */
gs_status gs_source_open(gs_arena *a, gs_world *w, const char *path,
                         bool verify, gs_source *out, gs_err *e);
/* The program of another binding of the plan that `first` is of. */
gs_status gs_source_open_next(gs_arena *a, gs_world *w, const gs_source *first,
                              const gs_plan *plan, gs_source *out, gs_err *e);
/* The input `name` (NULL: the only one). */
gs_status gs_source_find(const gs_source *s, const char *name, int *out,
                         gs_err *e);
/* Gives it its value. */
gs_status gs_source_give(gs_source *s, const char *name, const gs_dyn *b,
                         gs_err *e);
/* Binds symbolic dims by `more`, the model's own bindings and the tensors
 * that were given, and infers all shapes.  Small integer inputs of a plain
 * model that were given count as constants, since they may decide shapes (the
 * axes of a ReduceSum, the k of a TopK).  GS_DATA when they contradict. */
gs_status gs_source_infer(gs_arena *a, gs_source *s, const gs_bindings *more,
                          gs_err *e);
/* One number for all that ranks must have in common of what they read: two
 * sources have the same digest when their plans, graphs and weights are equal.
 * Of a plan: plan.yaml, and so the graphs and the hashes of all weights; with
 * no_verify also its program as it is, and the size of the weights.  Of a
 * file: all its bytes, sizes of external files, and their first and last MiB
 * where the file does not have hashes of them; with no_verify its graph and
 * the sizes.  Reads what it hashes: at most 2 GiB and 2 MiB for each external
 * file.  GS_IO. */
gs_status gs_source_digest(const gs_source *s, uint64_t *out, gs_err *e);

#endif
