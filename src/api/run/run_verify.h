/* Whether the files that gshard-run reads are those of the partitioner. */
#ifndef GS_API_RUN_VERIFY_H
#define GS_API_RUN_VERIFY_H

#include "io/onnx/model.h"
#include "io/file/verify.h"
#include "ir/mesh/plan.h"

/* The verification of one source: graph files and tables of hashes are
 * compared when it is opened, weights beside the first run. */
typedef struct gs_run_verify gs_run_verify;

/* For a plan in `dir`, of which it reads the table of hashes, or for a program
 * (plan NULL). GS_MISMATCH, GS_NOINPUT. */
gs_status gs_run_verify_new(gs_arena *a, const char *dir, const gs_plan *plan,
                            gs_run_verify **out, gs_err *e);
/* Adds the external files of a model that was read, and the constants of its
 * graph, from before anything was folded.  GS_MISMATCH, GS_DATA. */
gs_status gs_run_verify_model(gs_run_verify *v, const gs_model *m,
                              const gs_graph *g, gs_err *e);
/* For gs_exec_config.reads; user: the gs_run_verify.  Starts. */
void gs_run_verify_reads(void *user, const gs_tensor *t, uint64_t at,
                         uint64_t n);
/* Waits for the result.  NULL: GS_OK. */
gs_status gs_run_verify_wait(gs_run_verify *v, gs_err *e);
/* s, or GS_MISMATCH in its place when the error may come from weights that are
 * not what they should be: e then tells of that instead. */
gs_status gs_run_verify_blame(gs_run_verify *v, gs_status s, gs_err *e);
void gs_run_verify_end(gs_run_verify *v);

#endif
