/* TensorProto files, as in ONNX test data. */
#include <string.h>

#include "io/onnx_model.h"

/* A model that holds nothing but the bytes of the file: large raw_data refers
 * to it. */
static gs_model *holder(gs_arena *a, const char *path, const uint8_t *p,
                        size_t n) {
  gs_model *m = GS_NEW(a, gs_model);
  m->arena = a;
  m->path = path;
  m->limit = gs_model_limits_default;
  m->data = p;
  m->size = n;
  gs_map_init(&m->files, a);
  gs_map_init(&m->refs, a);
  return m;
}

gs_status gs_pb_read(gs_arena *a, const char *path, gs_tensor **out,
                     gs_err *e) {
  const uint8_t *p;
  size_t n;
  GS_TRY(gs_slurp(a, path, INT32_MAX, &p, &n, e));
  if (!strcmp(path, "-")) path = "<stdin>";
  ProtobufCMessage *msg;
  GS_TRY(gs_unpack(a, path, p, n, &onnx__tensor_proto__descriptor,
                   &gs_model_limits_default, &msg, e));
  const Onnx__TensorProto *t = (const Onnx__TensorProto *)msg;
  if (t->n_external_data || (t->has_data_location && t->data_location))
    return gs_fail(e, GS_UNSUPPORTED, path, "refers to external data");
  return gs_tensor_import(a, holder(a, path, p, n), t, path, out, e);
}

static gs_status write_pb(gs_arena *a, const char *path, const gs_tensor *t,
                          gs_err *e) {
  gs_model *m = holder(a, path, NULL, 0);
  Onnx__TensorProto *p;
  GS_TRY(gs_tensor_export(m, t, t->name, &p, e));
  gs_out o;
  GS_TRY(gs_out_open(a, path, &o, e));
  gs_status st = gs_pack(a, &p->base, gs_raw_of, m, &o, e);
  if (!st) return gs_out_commit(&o, e);
  gs_out_abort(&o);
  return st;
}

gs_status gs_pb_write(const char *path, const gs_tensor *t, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_status st = write_pb(&a, path, t, e);
  gs_arena_free(&a);
  return st;
}
