/* What the files that know protobuf-c share. */
#ifndef GS_IO_ONNX_MODEL_H
#define GS_IO_ONNX_MODEL_H

#include "io/onnx/model.h"
#include "io/onnx/onnx.pb-c.h"

/* raw_data above this many bytes stays in its file. */
enum { GS_RAW_INLINE = 4096 };
/* A ShardingSpecProto above this many bytes stays in its file when the model
 * has its shardings as metadata.  More than a reference takes in the copy. */
enum { GS_SPEC_INLINE = 32 };
/* The key of the model's metadata_props that says so. */
#define GS_KEY_MESH "gshard.mesh"
/* IR versions: the first with metadata of graphs, the first with devices, and
 * the newest of the schema. */
enum { GS_IR_METADATA = 10, GS_IR_DEVICES = 11, GS_IR_NEWEST = 14 };

/* External data of one tensor, as the model states it. */
typedef struct gs_external {
  const char *location;
  uint64_t offset, length;
  bool has_length;
} gs_external;

/* Entries of a list of the model by their names. */
typedef struct gs_names {
  gs_map at;
  const void *list; /* what was listed; another list is listed anew */
  size_t n;
} gs_names;

struct gs_model {
  gs_arena *arena;
  const char *path; /* as named; "<stdin>" */
  gs_model_limits limit;
  Onnx__ModelProto *proto;
  gs_file *file;       /* the model's own file, or NULL */
  const uint8_t *data; /* its bytes (mapped or read) */
  size_t size;
  gs_dirs dirs;
  gs_map files; /* location -> gs_file, NULL when there is none */
  const gs_model *base; /* whose files tensors refer to (made from a graph) */
  GS_VEC(const gs_tensor *) source; /* for raw_ref_source */
  gs_names *inputs, *meta; /* of the graph */
  gs_map refs; /* address of a gs_tensor -> gs_external */
};

/* ---- onnx_scan.c ---- */

typedef struct gs_scan {
  uint8_t *data; /* the compacted copy, from malloc: the caller frees it */
  size_t n;
  int64_t memory; /* bytes that unpacking it takes, empty messages aside */
} gs_scan;

/* Checks the wire bytes of a message of type d and makes a copy in which
 * large raw_data is replaced by references; of a model with GS_KEY_MESH, also
 * the specs of the standard multi-device fields, which list every device and
 * are neither read nor checked then.  GS_DATA with offset and path. */
gs_status gs_scan_message(const char *file, const uint8_t *p, size_t n,
                          const ProtobufCMessageDescriptor *d,
                          const gs_model_limits *limit, gs_scan *out,
                          gs_err *e);
/* ---- onnx_unpack.c ---- */

/* Scan and unpack into the arena, in time linear in n.  Messages without any
 * field are shared: all of a type are the same one. */
gs_status gs_unpack(gs_arena *a, const char *file, const uint8_t *p, size_t n,
                    const ProtobufCMessageDescriptor *d,
                    const gs_model_limits *limit, ProtobufCMessage **out,
                    gs_err *e);
/* The same with *spare in place of limit->memory_base: what the message takes
 * of it is subtracted, so that many messages share one allowance. */
gs_status gs_unpack_within(gs_arena *a, const char *file, const uint8_t *p,
                           size_t n, const ProtobufCMessageDescriptor *d,
                           const gs_model_limits *limit, int64_t *spare,
                           ProtobufCMessage **out, gs_err *e);

/* ---- onnx_tensor.c ---- */

/* "tensor 'w'" in the arena; what stands for a nameless one. */
const char *gs_tensor_place(gs_arena *a, const char *file,
                            const Onnx__TensorProto *t, const char *what);
/* A copy that ends in NUL. */
gs_string gs_string_of(gs_arena *a, const ProtobufCBinaryData *s);
/* Validates keys and location of external_data. */
gs_status gs_external_parse(const Onnx__TensorProto *t, const char *place,
                            gs_external *out, gs_err *e);
/* m may be NULL (no references and external data allowed then). */
gs_status gs_tensor_import(gs_arena *a, gs_model *m,
                           const Onnx__TensorProto *t, const char *place,
                           gs_tensor **out, gs_err *e);
gs_status gs_sparse_import(gs_arena *a, gs_model *m,
                           const Onnx__SparseTensorProto *t, const char *place,
                           gs_tensor **out, gs_err *e);
/* A TensorProto with t's type and dims, and its bytes: small ones inline,
 * others as a reference into m->source. */
gs_status gs_tensor_export(gs_model *m, const gs_tensor *t, const char *name,
                           Onnx__TensorProto **out, gs_err *e);

/* ---- onnx_model.c ---- */

/* The open external file of a location; *out NULL when it does not exist. */
gs_status gs_model_file(gs_model *m, const char *location, const char *place,
                        gs_file **out, gs_err *e);
/* What the model says about a tensor's external data, or NULL. */
const gs_external *gs_model_external(const gs_model *m, const gs_tensor *t);
/* The raw bytes behind a reference, as a tensor of n bytes. */
bool gs_raw_of(void *model, const ProtobufCMessage *msg, gs_tensor *out);

/* ---- onnx_read.c ---- */

/* Calls f for every TensorProto below msg, however deep. */
typedef gs_status gs_tensor_visit(void *user, Onnx__TensorProto *t, gs_err *e);
gs_status gs_each_tensor(ProtobufCMessage *msg, gs_tensor_visit *f, void *user,
                         gs_err *e);

/* ---- onnx_pack.c ---- */

/* Where the raw bytes of a TensorProto, or all bytes of a ShardingSpecProto,
 * come from when they are no part of the message; false: it is complete. */
typedef bool gs_raw_source(void *user, const ProtobufCMessage *msg,
                           gs_tensor *out);
/* Bytes of the message on the wire. */
uint64_t gs_pack_size(const ProtobufCMessage *msg, gs_raw_source *raw,
                      void *user);
/* Streams the message.  The messages' unknown fields come last in each. */
gs_status gs_pack(const ProtobufCMessage *msg, gs_raw_source *raw, void *user,
                  gs_out *o, gs_err *e);

/* Lists of StringStringEntryProto. */
const char *gs_sse_get(Onnx__StringStringEntryProto *const *list, size_t n,
                       const char *key);
void gs_sse_set(gs_arena *a, Onnx__StringStringEntryProto ***list, size_t *n,
                const char *key, const char *value);
/* The dims of v, symbolic names where they are not known. */
Onnx__TensorShapeProto *gs_shape_proto(gs_arena *a, const gs_value *v);
Onnx__StringStringEntryProto *gs_sse_new(gs_arena *a, const char *key,
                                         const char *value);

#endif
