/* Shared by the files that write and read multi-device annotations. */
#ifndef GS_IO_ONNX_SHARD_H
#define GS_IO_ONNX_SHARD_H

#include "base/buf.h"
#include "io/onnx/onnx_model.h"

/* Keys of the main graph's metadata_props, followed by a value's name. */
#define GS_KEY_SHARDING "gshard.sharding:"
#define GS_KEY_ORIGIN "gshard.origin:"
/* gshard.use:<result of a node>:<operand> for a use with its own sharding */
#define GS_KEY_USE "gshard.use:"
/* gshard.rule:<result of a node>: its factor rule */
#define GS_KEY_RULE "gshard.rule:"
/* Of the model: how many tensors were annotated (gs_annotated_text). */
#define GS_KEY_ANNOTATED "gshard.annotated"

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

/* A mesh of axes d0, d1, ... over ndevice devices in row-major order, with
 * device orders order1, order2, ... for lists that have none there, in which
 * every statement is a sharding; fills *out[i] (closed dims, rank[i] of them).
 * Cost O(n * ndevice).  GS_UNSUPPORTED naming the first that has no such
 * form. */
gs_status gs_infer_mesh(gs_arena *a, const gs_stated *s, int n,
                        int64_t ndevice, const int *rank, gs_mesh **mesh,
                        gs_sharding **out, gs_err *e);
/* The same on a mesh that is known; false when it does not explain all. */
bool gs_fit_mesh(gs_arena *a, const gs_stated *s, int n, const gs_mesh *mesh,
                 const int *rank, gs_sharding **out);

/* ---- onnx_shard_read.c ---- */

typedef struct gs_statement { /* what a gs_stated is about */
  gs_value *v;
  bool by_producer;
} gs_statement;

typedef struct gs_shard_reader {
  gs_model *m;
  gs_graph *g;
  gs_arena *a;
  gs_map config;      /* name -> DeviceConfigurationProto */
  const char *chosen; /* the configuration that is read; NULL: none yet */
  int64_t ndevice;
  GS_VEC(gs_stated) stated;
  GS_VEC(gs_statement) what; /* parallel to stated */
  gs_map by_value;           /* name -> index in stated + 1 */
  gs_map blocks;             /* list of devices -> gs_stated.block */
  int64_t spare; /* memory for specs that were left in the file */
  gs_err *e;
} gs_shard_reader;

void gs_shard_reader_init(gs_shard_reader *r, gs_model *m, gs_graph *g,
                          gs_arena *a, gs_err *e);
/* "m.onnx: node 'n' (Op)" in the arena. */
const char *gs_fields_place(gs_arena *a, const gs_model *m,
                            const Onnx__NodeProto *n);
/* Checks the configurations of the model and fills r->config. */
gs_status gs_fields_configurations(gs_shard_reader *r);
/* One statement of node n; *v is NULL when the graph does not have the tensor
 * any more.  GS_DATA for what contradicts the standard. */
gs_status gs_fields_statement(gs_shard_reader *r, const Onnx__NodeProto *n,
                              const Onnx__ShardingSpecProto *p,
                              const Onnx__DeviceConfigurationProto *c,
                              const char *node, gs_stated *s, gs_value **v,
                              bool *is_output);
bool gs_stated_same(const gs_stated *a, const gs_stated *b, int64_t ndevice);
/* All statements of r->chosen (NULL: of the first configuration) as shardings
 * of the values, on a copy of `known` (which may be NULL) where it explains
 * them, else on a mesh that does; *mesh NULL: there are none. */
gs_status gs_fields_read(gs_shard_reader *r, const gs_mesh *known,
                         gs_mesh **mesh);

/* ---- onnx_shard_audit.c ---- */

/* What stands behind a prefix of key, or NULL. */
const char *gs_behind(const char *key, const char *prefix);
/* Compares what the model says with what gs_model_annotate has left in it, and
 * warns of what is not carried out.  r: shardings have been read with it, from
 * the metadata or from the fields. */
gs_status gs_shardings_audit(gs_shard_reader *r, bool metadata,
                             gs_shard_audit *out);
/* The value of GS_KEY_ANNOTATED.  fields: the configuration in which the
 * standard fields were written, NULL: they were not. */
const char *gs_annotated_text(gs_arena *a, int tensors, int split,
                              const char *fields);
/* What node reads as v: that value's sharding, or that of this use. */
const gs_sharding *gs_use_sharding_of(const gs_graph *g, const gs_node *node,
                                      const gs_value *v);

#endif
