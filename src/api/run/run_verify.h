/* Whether the files that gshard-run reads are those of the partitioner. */
#ifndef GS_API_RUN_VERIFY_H
#define GS_API_RUN_VERIFY_H

#include "io/onnx/model.h"
#include "io/file/verify.h"
#include "ir/mesh/plan.h"

/* The verification of one source: graph files and tables of hashes are
 * compared when it is opened, weights beside the first run. */
typedef struct gs_run_verify gs_run_verify;

/* Positions [first, first + n) of the mesh. */
typedef struct gs_devices_here {
  int64_t first, n;
} gs_devices_here;

/* For a plan in `dir`, of which it reads the tables of hashes of the weights of
 * these devices, or for a program (plan NULL).  Without `verify` *out is NULL,
 * and files of a plan only have to be there.  GS_MISMATCH; GS_NOINPUT names a
 * missing file and the devices that want it. */
gs_status gs_run_verify_new(gs_arena *a, const char *dir, const gs_plan *plan,
                            gs_devices_here here, bool verify,
                            gs_run_verify **out, gs_err *e);
/* GS_NOINPUT, which names devices [first, first + n), unless the file is in
 * dir. */
gs_status gs_run_need_file(gs_arena *a, const char *dir, const char *name,
                           int64_t first, int64_t n, gs_err *e);
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
