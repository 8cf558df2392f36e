/* Shared by the files that write and read multi-device annotations. */
#ifndef GS_IO_ONNX_SHARD_H
#define GS_IO_ONNX_SHARD_H

#include "base/buf.h"
#include "io/onnx_model.h"

/* Keys of the main graph's metadata_props, followed by a value's name. */
#define GS_KEY_SHARDING "gshard.sharding:"
#define GS_KEY_ORIGIN "gshard.origin:"
/* gshard.use:<result of a node>:<operand> for a use that stands apart */
#define GS_KEY_USE "gshard.use:"
/* gshard.rule:<result of a node>: its factor rule */
#define GS_KEY_RULE "gshard.rule:"
#define GS_CONFIGURATION "gshard"

/* ---- onnx_mesh.c ---- */
/* Removes the metadata of an earlier call. */
void gs_mesh_forget(gs_model *m);
gs_status gs_mesh_write(gs_model *m, const gs_mesh *mesh, gs_err *e);
/* *out = NULL without the metadata.  GS_DATA for metadata that is broken. */
gs_status gs_mesh_read(const gs_model *m, gs_arena *a, gs_mesh **out,
                       gs_err *e);

/* ---- onnx_infer_mesh.c ---- */

/* One tensor of one node, as the standard fields state it: for each sharded
 * dim the number of shards, and for each device which block it holds. */
typedef struct gs_stated {
  const char *place; /* "m.onnx: node 'n' (Op): tensor 't'" */
  int ndim;          /* sharded dims, in order of the list (first: outermost) */
  int *axis;         /* [ndim] normalised */
  int64_t *shards;   /* [ndim] */
  const int32_t *block; /* [ndevice] index of the block, -1: not a holder */
} gs_stated;

/* A mesh of axes d0, d1, ... over ndevice devices in row-major order in which
 * every statement is a sharding; fills *out[i] (closed dims, rank[i] of them).
 * Cost O(n * ndevice).  GS_UNSUPPORTED naming the first that has no such
 * form. */
gs_status gs_infer_mesh(gs_arena *a, const gs_stated *s, int n,
                        int64_t ndevice, const int *rank, gs_mesh **mesh,
                        gs_sharding **out, gs_err *e);

#endif
