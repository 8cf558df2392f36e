/* Models read under guard: the file, the message, its external data. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/data/hash.h"
#include "io/onnx/onnx_model.h"

/* ---- every TensorProto ---- */

/* Recursion is bounded by the scan's limit of depth. */
gs_status gs_each_tensor(ProtobufCMessage *msg, gs_tensor_visit *f, void *user,
                         gs_err *e) {
  const ProtobufCMessageDescriptor *d = msg->descriptor;
  if (d == &onnx__tensor_proto__descriptor)
    return f(user, (Onnx__TensorProto *)msg, e);
  for (unsigned i = 0; i < d->n_fields; i++) {
    const ProtobufCFieldDescriptor *x = &d->fields[i];
    if (x->type != PROTOBUF_C_TYPE_MESSAGE) continue;
    char *at = (char *)msg + x->offset, *quantifier = (char *)msg +
                                                      x->quantifier_offset;
    ProtobufCMessage **list = (ProtobufCMessage **)(void *)at;
    size_t n = 1;
    if (x->label == PROTOBUF_C_LABEL_REPEATED) {
      n = *(size_t *)(void *)quantifier;
      list = *(ProtobufCMessage ***)(void *)at;
    } else if ((x->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
               *(uint32_t *)(void *)quantifier != x->id) {
      continue;
    }
    for (size_t k = 0; k < n; k++)
      if (list[k]) GS_TRY(gs_each_tensor(list[k], f, user, e));
  }
  return GS_OK;
}

/* ---- external data ---- */

static gs_status check_tensor(void *user, Onnx__TensorProto *t, gs_err *e) {
  gs_model *m = user;
  bool external = t->has_data_location &&
                  t->data_location ==
                      ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  if (!external && !t->n_external_data) return GS_OK;
  const char *place = gs_tensor_place(m->arena, m->path, t, NULL);
  gs_external x;
  GS_TRY(gs_external_parse(t, place, &x, e));
  gs_file *f;
  GS_TRY(gs_model_file(m, x.location, place, &f, e));
  if (!f || !x.has_length) return GS_OK;
  if (x.length > f->size || x.offset > f->size - x.length)
    return gs_fail(e, GS_IO, place, "external data: %s has %" PRIu64
                   " bytes; %" PRIu64 " at offset %" PRIu64 " are needed",
                   f->path, f->size, x.length, x.offset);
  return GS_OK;
}

/* ---- what kind of file is it? ---- */

static bool starts(const uint8_t *p, size_t n, const char *with) {
  size_t k = strlen(with);
  if (n < k) return false;
  for (size_t i = 0; i < k; i++)
    if (tolower(p[i]) != tolower((unsigned char)with[i])) return false;
  return true;
}

static gs_status check_kind(const char *path, const uint8_t *p, size_t n,
                            gs_err *e) {
  if (!n) return gs_fail(e, GS_DATA, path, "the file is empty");
  if (starts(p, n, "version https://git-lfs")) {
    gs_fail(e, GS_DATA, path, "is a Git LFS pointer, not a model");
    gs_err_hint(e, "run `git lfs pull`");
    return GS_DATA;
  }
  size_t i = 0;
  while (i < n && i < 512 && isspace(p[i])) i++;
  if (starts(p + i, n - i, "<!doctype") || starts(p + i, n - i, "<html") ||
      starts(p + i, n - i, "<?xml"))
    return gs_fail(e, GS_DATA, path, "is an HTML or XML page, not a model");
  return GS_OK;
}

static gs_status check_opsets(const gs_model *m, gs_err *e) {
  const Onnx__ModelProto *p = m->proto;
  if (!p->n_opset_import)
    return gs_fail(e, GS_DATA, m->path, "has no opset_import: not an ONNX "
                   "model, or cut short");
  gs_map seen;
  gs_arena a;
  gs_arena_init(&a);
  gs_map_init(&seen, &a);
  gs_status st = GS_OK;
  for (size_t i = 0; i < p->n_opset_import && !st; i++) {
    const Onnx__OperatorSetIdProto *o = p->opset_import[i];
    const char *d = o->domain ? o->domain : "";
    if (!strcmp(d, "ai.onnx")) d = "";
    if (gs_map_has(&seen, d))
      st = gs_fail(e, GS_DATA, m->path, "imports domain '%s' twice", d);
    else if (!o->has_version || o->version < 1 || o->version > INT32_MAX)
      st = gs_fail(e, GS_DATA, m->path, "imports domain '%s' at version "
                   "%" PRId64, d, o->has_version ? o->version : 0);
    gs_map_put(&seen, d, (void *)(uintptr_t)o);
  }
  gs_arena_free(&a);
  return st;
}

static gs_status check_model(const gs_model *m, gs_err *e) {
  const Onnx__ModelProto *p = m->proto;
  if (!p->has_ir_version)
    return gs_fail(e, GS_DATA, m->path, "has no ir_version: not an ONNX "
                   "model");
  if (p->ir_version < 3)
    return gs_fail(e, GS_UNSUPPORTED, m->path, "has ir_version %" PRId64
                   "; the oldest supported is 3", p->ir_version);
  if (p->ir_version > GS_IR_NEWEST)
    return gs_fail(e, GS_UNSUPPORTED, m->path, "has ir_version %" PRId64
                   "; the newest supported is %d", p->ir_version,
                   GS_IR_NEWEST);
  if (!p->graph) return gs_fail(e, GS_DATA, m->path, "has no graph");
  GS_TRY(check_opsets(m, e));
  if (p->base.n_unknown_fields)
    gs_warn(e, m->path, "%u fields of a newer or foreign format are kept but "
            "not understood", p->base.n_unknown_fields);
  return GS_OK;
}

static gs_status check_sum(const gs_model *m, const gs_model_sum *sum,
                           gs_err *e) {
  if (!sum || (m->size == sum->size && gs_model_hash(m) == sum->hash))
    return GS_OK;
  gs_fail(e, GS_MISMATCH, m->path, "is not the file that was written with the "
          "plan");
  gs_err_hint(e, "it is damaged, was changed, or belongs to another plan: "
              "partition again; --no-verify runs it as it is");
  return GS_MISMATCH;
}

static gs_status read_message(gs_model *m, const char *dir_of,
                              const gs_model_options *opt, gs_err *e) {
  GS_TRY(check_sum(m, opt->sum, e));
  GS_TRY(check_kind(m->path, m->data, m->size, e));
  ProtobufCMessage *msg;
  GS_TRY(gs_unpack(m->arena, m->path, m->data, m->size,
                   &onnx__model_proto__descriptor, &m->limit, &msg, e));
  m->proto = (Onnx__ModelProto *)msg;
  GS_TRY(check_model(m, e));
  GS_TRY(gs_dirs_open(m->arena, dir_of, opt->data_dirs, opt->ndata_dirs,
                      &m->dirs, e));
  m->dirs.allow_hardlinks = opt->allow_hardlinks;
  return gs_each_tensor(msg, check_tensor, m, e);
}

static void close_at_end(void *m) { gs_model_close(m); }

static gs_model *new_model(gs_arena *a, const char *path,
                           const gs_model_options *opt) {
  gs_model *m = GS_NEW(a, gs_model);
  m->arena = a;
  m->path = gs_strdup(a, path);
  m->limit = opt->limit;
  gs_map_init(&m->files, a);
  m->inputs = GS_NEW(a, gs_names);
  m->meta = GS_NEW(a, gs_names);
  gs_map_init(&m->refs, a);
  gs_arena_at_end(a, close_at_end, m);
  return m;
}

gs_status gs_model_parse(gs_arena *a, const char *name, const void *data,
                         size_t n, const gs_model_options *opt,
                         gs_model **out, gs_err *e) {
  gs_model_options defaults;
  gs_model_options_init(&defaults);
  if (!opt) opt = &defaults;
  gs_model *m = new_model(a, name, opt);
  m->data = data;
  m->size = n;
  gs_status st = read_message(m, "-", opt, e);
  if (st) gs_model_close(m);
  else *out = m;
  return st;
}

gs_status gs_model_read(gs_arena *a, const char *path,
                        const gs_model_options *opt, gs_model **out,
                        gs_err *e) {
  gs_model_options defaults;
  gs_model_options_init(&defaults);
  if (!opt) opt = &defaults;
  gs_model *m = new_model(a, strcmp(path, "-") ? path : "<stdin>", opt);
  gs_status st;
  if (!strcmp(path, "-")) {
    st = gs_slurp(a, path, (size_t)opt->limit.file_bytes, &m->data, &m->size,
                  e);
  } else {
    st = gs_file_open(a, path, &m->file, e);
    if (!st && m->file->size && !m->file->map)
      st = gs_file_unmapped(m->file, e);
    if (!st) {
      m->data = m->file->map;
      m->size = m->file->size;
    }
  }
  if (!st) st = read_message(m, path, opt, e);
  if (st) gs_model_close(m);
  else *out = m;
  return st;
}

void gs_model_close(gs_model *m) {
  if (!m) return;
  for (int i = 0; i < m->files.n; i++) gs_file_close(m->files.entry[i].value);
  m->files.n = 0;
  m->files.nslot = 0;
  m->files.cap = 0;
  gs_file_close(m->file);
  m->file = NULL;
  gs_dirs_close(&m->dirs);
}
