/* Where the outputs of a run go. */
#ifndef GS_API_RUN_OUTPUT_H
#define GS_API_RUN_OUTPUT_H

#include "ir/dynamic.h"
#include "ir/graph/graph.h"

typedef struct gs_output_dir {
  const char *path;
  bool fresh; /* it does not exist yet */
} gs_output_dir;

typedef struct gs_output_file {
  int output;       /* of the graph */
  const char *path; /* "-" is standard output */
  int dir;          /* index of its directory, -1: it was named itself */
} gs_output_file;

typedef struct gs_run_output {
  gs_arena *arena; /* set by the caller, like these: */
  bool replace, dry_run;
  GS_VEC(gs_output_dir) dir;
  GS_VEC(gs_output_file) file;
} gs_run_output;

/* A name as that of a file, without an ending. */
const char *gs_run_file_name(gs_arena *a, const char *name);
/* Finds out what goes where, before the work.  Errors: GS_USAGE for names that
 * the graph does not have or two outputs in one file, GS_CANTCREATE for what
 * exists without `replace` or cannot be created. */
gs_status gs_run_output_plan(gs_run_output *out, const gs_pair *to, int n,
                             const gs_graph *g, gs_err *e);
/* Writes them, dynamic value[i] being output i: all files appear or none, and a
 * new directory only when it is complete. */
gs_status gs_run_output_save(const gs_run_output *r, gs_dyn *const *dyn,
                             gs_err *e);

#endif
