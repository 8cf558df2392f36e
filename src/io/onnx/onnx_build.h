/* Models made from graphs: SPMD programs, device graphs, examples. */
#ifndef GS_IO_ONNX_BUILD_H
#define GS_IO_ONNX_BUILD_H

#include "io/onnx/model.h"

/* Bytes of an initializer in a file beside the model. */
typedef struct gs_extref {
  const char *location; /* relative to the model; chosen by the caller */
  uint64_t offset;
} gs_extref;

typedef struct gs_model_info {
  const char *producer_name, *producer_version, *doc_string;
  int64_t ir_version; /* 0: the lowest that holds what the graph uses */
  int nopset;         /* domains; "" is ai.onnx */
  const char *const *opset_domain;
  const int64_t *opset_version;
  int nmeta; /* metadata_props of the model */
  const char *const *meta_key, *const *meta_value;
  /* The model that the graph was imported from, or NULL.  With it, weights
   * that lie in its external files are referenced there, also those whose
   * file does not exist. */
  const gs_model *source;
  /* Whether and where an initializer's bytes lie in a file that the caller
   * writes; false: in the model (streamed from their file), or as `source`
   * says.  May be NULL. */
  bool (*external)(void *user, const gs_value *v, gs_extref *out);
  void *user;
} gs_model_info;

/* The values' dims, types and symbolic names become inputs, outputs and
 * value_info; constants become initializers; global_dims and shardings are
 * not written.  The graph and its tensors must outlive the model.
 * GS_NOINPUT for a constant without bytes and without a reference. */
gs_status gs_model_from_graph(gs_arena *a, const gs_graph *g,
                              const gs_model_info *info, gs_model **out,
                              gs_err *e);

#endif
