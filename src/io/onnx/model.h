/* ONNX models: read under guard, kept whole, imported, annotated, written. */
#ifndef GS_IO_MODEL_H
#define GS_IO_MODEL_H

#include "io/file/io.h"
#include "ir/graph/graph.h"

/* What a reader accepts; every limit stands in the manual.
 *  name, default, meaning */
#define GS_MODEL_LIMITS(X)                                                     \
  X(file_bytes, INT64_C(2147483647), "bytes of a model file")                  \
  X(depth, 100, "nested messages")                                             \
  X(nodes, 1000000, "nodes, also after functions are inlined")                 \
  X(attributes, 1000, "attributes of one node")                                \
  X(name_bytes, 65536, "bytes of a name")                                      \
  X(functions, 10000, "model-local functions")                                 \
  X(call_depth, 100, "functions that call functions")                          \
  X(subgraph_depth, 32, "graphs inside graphs")                                \
  X(unknown_fields, 100000, "fields that the schema does not know")            \
  X(memory_factor, 20, "bytes of memory per byte of structure")                \
  X(memory_base, INT64_C(67108864), "bytes of memory allowed besides")         \
  X(sparse_bytes, INT64_C(67108864), "bytes of a sparse tensor made dense")

typedef struct gs_model_limits {
#define X(name, value, text) int64_t name;
  GS_MODEL_LIMITS(X)
#undef X
} gs_model_limits;

extern const gs_model_limits gs_model_limits_default;

typedef struct gs_model_sum {
  uint64_t size, hash; /* gs_hash of the file */
} gs_model_sum;

typedef struct gs_model_options {
  gs_model_limits limit;
  const char *const *data_dirs; /* more directories of external data */
  int ndata_dirs;               /* at most 16 */
  bool allow_hardlinks; /* external data with more than one link */
  const gs_model_sum *sum; /* what the file was when it was written; NULL:
                              not known */
} gs_model_options;

typedef struct gs_model gs_model;

void gs_model_options_init(gs_model_options *o);

/* Reads a model from a file, or from standard input ("-").  Its memory is
 * that of its structure: raw_data above 4 KiB and external data stay in their
 * files.  opt NULL: defaults.  GS_NOINPUT, GS_DATA (malformed, over a limit),
 * GS_UNSUPPORTED (newer IR version, types), GS_MISMATCH (opt->sum differs).
 * Close with gs_model_close. */
gs_status gs_model_read(gs_arena *a, const char *path,
                        const gs_model_options *opt, gs_model **out,
                        gs_err *e);
/* The same from bytes that the caller keeps alive; `name` is for messages. */
gs_status gs_model_parse(gs_arena *a, const char *name, const void *data,
                         size_t n, const gs_model_options *opt,
                         gs_model **out, gs_err *e);
/* Closes the files of the model; tensors in files can not be read then. */
void gs_model_close(gs_model *m);

/* Binding k of the model's training information: what `value` is after a step
 * `key` is in the next one.  False: there is no such one. */
bool gs_model_update(const gs_model *m, int k, const char **key,
                     const char **value);

const char *gs_model_path(const gs_model *m);
/* gs_hash of all bytes of the model's file, which reads them. */
uint64_t gs_model_hash(const gs_model *m);
/* The i-th external file of the model and its location, in the order of first
 * use; false past the last.  *file is NULL when it does not exist. */
bool gs_model_file_at(const gs_model *m, int i, const char **location,
                      gs_file **file);
int64_t gs_model_ir_version(const gs_model *m);
/* Version at which a domain is imported, 0 if it is not. */
int64_t gs_model_opset(const gs_model *m, const char *domain);
/* Value of a metadata_props key, NULL if absent (the last one wins). */
const char *gs_model_meta(const gs_model *m, const char *key);
/* Replaces or adds; value NULL removes. */
void gs_model_meta_set(gs_model *m, const char *key, const char *value);
/* The same for the main graph's metadata_props. */
const char *gs_model_graph_meta(const gs_model *m, const char *key);
void gs_model_graph_meta_set(gs_model *m, const char *key, const char *value);
/* metadata_props of a graph input, e.g. "gshard.range"; else the model's
 * metadata_props KEY:INPUT, which is how programs carry it.  NULL if absent. */
const char *gs_model_input_meta(const gs_model *m, const char *input,
                                const char *key);
/* Replaces or adds; an input that does not exist is left alone. */
void gs_model_input_meta_set(gs_model *m, const char *input, const char *key,
                             const char *value);

/* The main graph with functions inlined.  Values of the main graph keep their
 * names; those of functions get fresh ones.  Initializers and Constant nodes
 * become constants.  Symbolic dims stay -1 with their names.  Graphs in
 * attributes become gs_graphs; what they read of the graphs around them becomes
 * captured operands of their node.  n->op is NULL.
 * GS_DATA naming node or tensor; GS_UNSUPPORTED for inputs that are neither
 * tensors nor sequences or optionals of them. */
gs_status gs_model_import(gs_model *m, gs_graph **out, gs_err *e);

/* Weights whose external file does not exist are known by shape only (data
 * and file NULL): this says which, with GS_NOINPUT. */
gs_status gs_model_need_data(const gs_model *m, const gs_graph *g, gs_err *e);

/* ---- multi-device annotations (ONNX IR 11; reference: interop 1.1) ---- */

/* The configuration of the standard fields that is ours. */
#define GS_CONFIGURATION "gshard"

/* Whether the standard fields are written beside the metadata.  They list every
 * device at every use of a tensor. */
enum { GS_FIELDS_DEVICES = 64 };

typedef struct gs_annotate_options {
  const char *configuration; /* name of the configuration; NULL: "gshard" */
  bool standard_only;        /* no gshard.* metadata, fields in any case */
  gs_fields fields;
  /* Where the sharding of a value comes from, or NULL. */
  const char *(*origin)(void *user, const gs_value *v);
  void *user;
  int nbind; /* symbolic dims that were bound */
  const char *const *bind_name;
  const int64_t *bind_value;
} gs_annotate_options;

/* Writes g->mesh and the shardings of g's values into the model: the standard
 * fields for every operand and result of the main graph's nodes, and metadata
 * (gshard.mesh, gshard.device_ids, gshard.machine, gshard.annotated and
 * gshard.bind of the model; gshard.sharding:V, gshard.origin:V,
 * gshard.use:RESULT:OPERAND and gshard.rule:RESULT of the graph) for what those
 * cannot hold.  Replaces what an earlier call wrote; nothing else of the model
 * changes.  Without the fields, size and cost do not depend on the number of
 * devices. */
gs_status gs_model_annotate(gs_model *m, const gs_graph *g,
                            const gs_annotate_options *opt, gs_err *e);

/* What has become of the annotations that gs_model_annotate wrote. */
typedef struct gs_shard_audit {
  bool metadata;      /* they were read from the metadata */
  int tensors, split; /* that were annotated, and not replicated; -1: unknown */
  int found, found_split; /* of those, that are in the graph */
  const char *gone; /* an annotated tensor that is not in the graph, or NULL */
  int missing;        /* statements of the standard fields that are gone */
  const char *bare;   /* place of the first of them */
  int differ;         /* those that contradict the metadata */
  const char *place, *why; /* of the first of them */
} gs_shard_audit;

/* Reads annotations into g (imported from m): sets value->sharding, g->mesh
 * and *mesh_out.  Those of the metadata of gs_model_annotate, if there are any;
 * else, or when a configuration is named, those of the standard fields, of that
 * or of the first configuration.  They need ranks to be known, and give a mesh
 * of axes d0, d1, ... inferred from the lists of devices, unless gshard.mesh
 * explains them.  *mesh_out = NULL when there are no annotations.
 * audit, unless NULL, tells how the model has changed since, and what is not
 * carried out becomes a warning; cost O(bytes of the standard fields).
 * GS_DATA with the node's name for fields that contradict the standard or each
 * other, and for a configuration that is not there; GS_UNSUPPORTED for device
 * lists that no mesh explains. */
gs_status gs_model_shardings(gs_model *m, gs_graph *g, gs_arena *a,
                             const char *configuration, gs_mesh **mesh_out,
                             gs_shard_audit *audit, gs_err *e);
/* Symbolic dims bound by the annotator: *count pairs in the arena.  GS_DATA
 * when the note is malformed. */
gs_status gs_model_binds(const gs_model *m, gs_arena *a,
                         const char *const **names, const int64_t **values,
                         int *count, gs_err *e);

/* ---- writing ---- */

typedef struct gs_write_options {
  bool replace; /* a file that exists */
  /* Every external file that the written model refers to gets an entry
   * GS_KEY_FILE of the model's metadata with its hashes: of its first and last
   * block, or with all_blocks of all of it, which is then read. */
  bool file_sums, all_blocks;
  gs_progress *progress; /* of what is written and hashed; or NULL */
  uint64_t size, hash; /* of the model's file: results */
} gs_write_options;
/* metadata_props "gshard.file:LOCATION" holds gs_sums_print. */
#define GS_KEY_FILE "gshard.file:"

/* Writes the model to a file (by rename) or to standard output ("-").
 * Weights are streamed.  Unknown fields, functions and doc strings are kept.
 * External data below the output's directory stays where it is; other data
 * is copied into the file, or, past 1.5 GiB in all, into PATH.data.
 * GS_CANTCREATE for a file that exists where it is not to be replaced, and
 * always for one that the model's weights lie in.  m keeps new entries of its
 * metadata. */
gs_status gs_model_write_with(gs_model *m, const char *path,
                              gs_write_options *opt, gs_err *e);
/* Replaces a file; no other options. */
gs_status gs_model_write(gs_model *m, const char *path, gs_err *e);

#endif
