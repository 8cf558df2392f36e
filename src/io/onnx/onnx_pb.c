/* Files of single values, as in ONNX test data. */
#include <string.h>

#include "io/onnx/onnx_model.h"

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
  m->inputs = GS_NEW(a, gs_names);
  m->meta = GS_NEW(a, gs_names);
  gs_map_init(&m->refs, a);
  return m;
}

/* A file being read. */
typedef struct source {
  gs_arena *a;
  gs_model *m;
  const char *path;
  gs_err *e;
} source;

static gs_status read_tensor(const source *f, const Onnx__TensorProto *t,
                             gs_dyn **out) {
  gs_tensor *made;
  if (t->n_external_data || (t->has_data_location && t->data_location))
    return gs_fail(f->e, GS_UNSUPPORTED, f->path, "refers to external data");
  GS_TRY(gs_tensor_import(f->a, f->m, t, f->path, &made, f->e));
  *out = gs_dyn_of(f->a, made);
  return GS_OK;
}

static gs_status read_sequence(const source *f, const Onnx__SequenceProto *p,
                               gs_dyn **out) {
  if (p->n_sparse_tensor_values || p->n_sequence_values || p->n_map_values ||
      p->n_optional_values || p->n_tensor_values > INT32_MAX)
    return gs_fail(f->e, GS_UNSUPPORTED, f->path,
                   "is a sequence of something other than tensors");
  gs_dyn *b = *out = GS_NEW(f->a, gs_dyn);
  b->kind = GS_SEQUENCE;
  b->n = b->cap = (int)p->n_tensor_values;
  b->item = GS_NEWS(f->a, b->n, gs_dyn *);
  for (int i = 0; i < b->n; i++) {
    GS_TRY(read_tensor(f, p->tensor_values[i], &b->item[i]));
    b->t.dtype = b->item[i]->t.dtype;
  }
  return GS_OK;
}

static gs_status read_optional(const source *f, const Onnx__OptionalProto *p,
                               gs_dyn **out) {
  if (p->sparse_tensor_value || p->map_value || p->optional_value)
    return gs_fail(f->e, GS_UNSUPPORTED, f->path,
                   "is an optional of something other than tensors");
  gs_dyn *b = *out = GS_NEW(f->a, gs_dyn), *item = NULL;
  b->kind = GS_OPTIONAL;
  if (p->tensor_value) GS_TRY(read_tensor(f, p->tensor_value, &item));
  else if (p->sequence_value)
    GS_TRY(read_sequence(f, p->sequence_value, &item));
  if (!item) return GS_OK;
  b->n = b->cap = 1;
  b->item = gs_memdup(f->a, &item, sizeof item);
  b->t.dtype = item->t.dtype;
  return GS_OK;
}

gs_status gs_pb_read_dyn(gs_arena *a, const char *path, gs_kind kind,
                         gs_dyn **out, gs_err *e) {
  static const ProtobufCMessageDescriptor *const message[] = {
      &onnx__tensor_proto__descriptor, &onnx__sequence_proto__descriptor,
      &onnx__optional_proto__descriptor, &onnx__optional_proto__descriptor};
  const uint8_t *p;
  size_t n;
  GS_TRY(gs_slurp(a, path, INT32_MAX, &p, &n, e));
  if (!strcmp(path, "-")) path = "<stdin>";
  ProtobufCMessage *msg;
  GS_TRY(gs_unpack(a, path, p, n, message[kind], &gs_model_limits_default,
                   &msg, e));
  source f = {a, holder(a, path, p, n), path, e};
  if (kind == GS_TENSOR)
    return read_tensor(&f, (const Onnx__TensorProto *)msg, out);
  if (kind == GS_SEQUENCE)
    return read_sequence(&f, (const Onnx__SequenceProto *)msg, out);
  return read_optional(&f, (const Onnx__OptionalProto *)msg, out);
}

gs_status gs_pb_read(gs_arena *a, const char *path, gs_tensor **out,
                     gs_err *e) {
  gs_dyn *b;
  GS_TRY(gs_pb_read_dyn(a, path, GS_TENSOR, &b, e));
  *out = &b->t;
  return GS_OK;
}

/* ---- writing ---- */

enum { ONNX_TENSOR = 1, ONNX_SEQUENCE = 3 }; /* elem_type of lists */

static gs_status build_sequence(gs_model *m, const gs_dyn *b,
                                Onnx__SequenceProto **out, gs_err *e) {
  Onnx__SequenceProto *p = *out = GS_NEW(m->arena, Onnx__SequenceProto);
  onnx__sequence_proto__init(p);
  p->has_elem_type = 1;
  p->elem_type = ONNX_TENSOR;
  p->n_tensor_values = (size_t)b->n;
  p->tensor_values = GS_NEWS(m->arena, b->n, Onnx__TensorProto *);
  for (int i = 0; i < b->n; i++)
    GS_TRY(gs_tensor_export(m, &b->item[i]->t, NULL, &p->tensor_values[i], e));
  return GS_OK;
}

static gs_status build_optional(gs_model *m, const gs_dyn *b,
                                Onnx__OptionalProto **out, gs_err *e) {
  Onnx__OptionalProto *p = *out = GS_NEW(m->arena, Onnx__OptionalProto);
  onnx__optional_proto__init(p);
  p->has_elem_type = 1;
  if (!b->n) return GS_OK;
  const gs_dyn *x = b->item[0];
  p->elem_type = x->kind == GS_SEQUENCE ? ONNX_SEQUENCE : ONNX_TENSOR;
  if (x->kind == GS_SEQUENCE)
    return build_sequence(m, x, &p->sequence_value, e);
  return gs_tensor_export(m, &x->t, NULL, &p->tensor_value, e);
}

static gs_status build_dyn(gs_model *m, const gs_dyn *b,
                           ProtobufCMessage **out, gs_err *e) {
  if (b->kind == GS_TENSOR) {
    Onnx__TensorProto *p;
    GS_TRY(gs_tensor_export(m, &b->t, b->t.name, &p, e));
    *out = &p->base;
  } else if (b->kind == GS_SEQUENCE) {
    Onnx__SequenceProto *p;
    GS_TRY(build_sequence(m, b, &p, e));
    *out = &p->base;
  } else {
    Onnx__OptionalProto *p;
    GS_TRY(build_optional(m, b, &p, e));
    *out = &p->base;
  }
  return GS_OK;
}

gs_status gs_pb_write_dyn(gs_out_set *files, const char *path,
                          const gs_dyn *b, gs_err *e) {
  gs_arena *a = files->arena;
  gs_model *m = holder(a, path, NULL, 0);
  ProtobufCMessage *p;
  GS_TRY(build_dyn(m, b, &p, e));
  gs_out *o;
  GS_TRY(gs_out_set_open(files, path, &o, e));
  GS_TRY(gs_pack(p, gs_raw_of, m, o, e));
  return gs_out_finish(o, e);
}

gs_status gs_pb_write(const char *path, const gs_tensor *t, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_out_set files;
  gs_out_set_init(&files, &a, true);
  gs_dyn b = {.kind = GS_TENSOR, .t = *t};
  gs_status s = gs_pb_write_dyn(&files, path, &b, e);
  if (!s) s = gs_out_set_commit(&files, e);
  else gs_out_set_abort(&files);
  gs_arena_free(&a);
  return s;
}
