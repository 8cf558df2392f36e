/* Writing what the partitioner made: an SPMD program as one ONNX file, or a
 * plan directory (gshard-plan(5)). */
#ifndef GS_API_EMIT_H
#define GS_API_EMIT_H

#include "io/onnx/model.h"
#include "pass/partition/partition.h"
#include "pass/state/state.h"
#include "api/shard/bindings.h"
#include "api/shard/report.h"

typedef struct gs_emit_options {
  gs_model *model;               /* that the program was made from */
  const gs_graph *graph;         /* annotated, global shapes */
  const gs_partition *partition;
  const gs_states *state;        /* of graph */
  const gs_report *report;       /* for the origins of collectives */
  const gs_binding *binding; /* NULL: it is the only program */
  bool device;                   /* one graph per device */
  int64_t shards_per_file; /* with `device`: devices that share a file of
                              weights; 0: all */
  bool force;                    /* replace an existing directory */
  gs_progress *progress; /* of what is written; or NULL */
  bool hash_weights; /* all blocks of files that a program refers to */
} gs_emit_options;

/* The program with its weights in one file, or on standard output ("-"). */
gs_status gs_emit_program(gs_arena *a, const gs_emit_options *o,
                          const char *path, gs_err *e);

struct gs_model_info;
/* What all graphs made by the tool say about themselves. */
void gs_emit_info(gs_arena *a, const gs_emit_options *o,
                  struct gs_model_info *info);

/* A directory with plan.yaml, the graphs of all n programs, of which the mesh
 * is one, and one weights.data, or one file of weights for each so many
 * devices, with the blocks that these read; it appears by
 * rename when it is complete.  GS_CANTCREATE if it exists already and
 * `force` is not given, or if it holds files that are not of its plan. */
gs_status gs_emit_plan(gs_arena *a, const gs_emit_options *o, int n,
                       const char *dir, gs_err *e);
/* Whether dir may be made, for telling so before the work. */
gs_status gs_emit_check(gs_arena *a, const char *dir, bool force, gs_err *e);

/* Compiles what would be written, as one program or a graph for each device,
 * and states what gs_program_check does.  A warning where operators cannot be
 * run here.  GS_INTERNAL.  Cost: that of compiling, times devices in device
 * form. */
gs_status gs_emit_verify(const gs_emit_options *o, gs_err *e);

#endif
