/* TensorProto to gs_tensor and back: all 26 types, all places of the data. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "io/onnx/onnx_model.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "raw_data is little-endian; big-endian hosts are not handled");

const char *gs_tensor_place(gs_arena *a, const char *file,
                            const Onnx__TensorProto *t, const char *what) {
  if (t->name && *t->name)
    return gs_sprintf(a, "%s: tensor '%s'", file, t->name);
  return gs_sprintf(a, "%s: tensor %s", file, what ? what : "without a name");
}

/* ---- external data ---- */

/* A decimal number without sign; false if it is none or too large. */
static bool parse_u64(const char *s, uint64_t *out) {
  uint64_t v = 0;
  if (!*s) return false;
  for (; *s; s++) {
    if (*s < '0' || *s > '9') return false;
    if (__builtin_mul_overflow(v, 10u, &v)) return false;
    if (__builtin_add_overflow(v, (uint64_t)(*s - '0'), &v)) return false;
  }
  *out = v;
  return true;
}

static gs_status external_entry(const char *key, const char *value,
                                const char *place, gs_external *x,
                                gs_err *e) {
  if (!strcmp(key, "location")) {
    if (x->location)
      return gs_fail(e, GS_DATA, place, "external data: two locations");
    x->location = value;
    return GS_OK;
  }
  bool offset = !strcmp(key, "offset");
  if (offset || !strcmp(key, "length")) {
    if (!parse_u64(value, offset ? &x->offset : &x->length))
      return gs_fail(e, GS_DATA, place, "external data: %s '%.40s' is not a "
                     "byte count", key, value);
    if (!offset) x->has_length = true;
    return GS_OK;
  }
  if (!strcmp(key, "checksum") || !strcmp(key, "basepath")) return GS_OK;
  return gs_fail(e, GS_DATA, place, "external data: unknown key '%.40s'",
                 key);
}

gs_status gs_external_parse(const Onnx__TensorProto *t, const char *place,
                            gs_external *out, gs_err *e) {
  *out = (gs_external){0};
  for (size_t i = 0; i < t->n_external_data; i++) {
    const Onnx__StringStringEntryProto *x = t->external_data[i];
    GS_TRY(external_entry(x->key ? x->key : "", x->value ? x->value : "",
                          place, out, e));
  }
  if (!out->location)
    return gs_fail(e, GS_DATA, place, "external data without a location");
  return gs_location_check(out->location, place, e);
}

/* The bytes of a tensor in an external file, checked against its size. */
static gs_status import_external(gs_arena *a, gs_model *m,
                                 const Onnx__TensorProto *t,
                                 const char *place, gs_tensor *out,
                                 gs_err *e) {
  if (!m)
    return gs_fail(e, GS_UNSUPPORTED, place, "external data in a file that is "
                   "not a model");
  gs_external *x = GS_NEW(m->arena, gs_external);
  GS_TRY(gs_external_parse(t, place, x, e));
  if (out->dtype == GS_STRING)
    return gs_fail(e, GS_DATA, place, "strings cannot be external data");
  if (x->has_length && x->length != out->nbytes)
    return gs_fail(e, GS_DATA, place, "%s needs %" PRIu64 " bytes, its "
                   "external data has length %" PRIu64,
                   gs_shape_text(a, out->dtype, out->rank, out->dims),
                   out->nbytes, x->length);
  gs_file *f;
  GS_TRY(gs_model_file(m, x->location, place, &f, e));
  gs_map_put(&m->refs, gs_sprintf(m->arena, "%p", (void *)out), x);
  if (!f) return GS_OK;
  if (out->nbytes > f->size || x->offset > f->size - out->nbytes)
    return gs_fail(e, GS_IO, place, "external data: %s has %" PRIu64
                   " bytes; %" PRIu64 " at offset %" PRIu64 " are needed",
                   f->path, f->size, out->nbytes, x->offset);
  out->file = f;
  out->offset = x->offset;
  return GS_OK;
}

/* ---- typed fields ---- */

typedef struct payload {
  const char *field; /* NULL: none is present */
  size_t count;
} payload;

/* The one field that holds the elements; two are an error. */
static gs_status find_payload(const Onnx__TensorProto *t, const char *place,
                              payload *out, gs_err *e) {
  const payload all[] = {
      {"raw_data", t->has_raw_data ? t->raw_data.len : 0},
      {"raw_data", t->has_raw_ref_length ? (size_t)t->raw_ref_length : 0},
      {"float_data", t->n_float_data},
      {"int32_data", t->n_int32_data},
      {"string_data", t->n_string_data},
      {"int64_data", t->n_int64_data},
      {"double_data", t->n_double_data},
      {"uint64_data", t->n_uint64_data},
  };
  *out = (payload){0};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (!all[i].count) continue;
    if (out->field)
      return gs_fail(e, GS_DATA, place, "both %s and %s hold values",
                     out->field, all[i].field);
    *out = all[i];
  }
  return GS_OK;
}

/* The typed field for a type, by the schema. */
static const char *field_of(gs_dtype t) {
  switch (t) {
  case GS_FLOAT:
  case GS_COMPLEX64:
    return "float_data";
  case GS_DOUBLE:
  case GS_COMPLEX128:
    return "double_data";
  case GS_INT64:
    return "int64_data";
  case GS_UINT32:
  case GS_UINT64:
    return "uint64_data";
  case GS_STRING:
    return "string_data";
  default:
    return "int32_data";
  }
}

/* How many entries of its typed field n elements take. */
static int64_t entries_of(gs_dtype t, int64_t n) {
  int bits = gs_dtype_get(t)->bits;
  if (t == GS_COMPLEX64 || t == GS_COMPLEX128) return n * 2;
  return bits && bits < 8 ? gs_ceil_div(n, 8 / bits) : n;
}

/* int32_data holds every type of up to 32 bits; narrow ones are cut. */
static gs_status narrow(const Onnx__TensorProto *t, const char *place,
                        gs_tensor *out, uint8_t *to, gs_err *e) {
  int bits = gs_dtype_get(out->dtype)->bits;
  size_t width = bits <= 8 ? 1 : (size_t)bits / 8;
  int64_t low = width == 1 ? -128 : -32768, high = width == 1 ? 255 : 65535;
  for (size_t i = 0; i < t->n_int32_data; i++) {
    int32_t v = t->int32_data[i];
    if (width < 4 && (v < low || v > high))
      return gs_fail(e, GS_DATA, place, "int32_data[%zu] = %d does not fit %s",
                     i, v, gs_dtype_get(out->dtype)->text);
    memcpy(to + i * width, &v, width);
  }
  return GS_OK;
}

gs_string gs_string_of(gs_arena *a, const ProtobufCBinaryData *s) {
  if (!s->len) return (gs_string){"", 0};
  return (gs_string){gs_strndup(a, (const char *)s->data, s->len), s->len};
}

static gs_status strings_of(gs_arena *a, const Onnx__TensorProto *t,
                            gs_tensor *out) {
  gs_string *s = GS_NEWS(a, t->n_string_data, gs_string);
  for (size_t i = 0; i < t->n_string_data; i++)
    s[i] = gs_string_of(a, &t->string_data[i]);
  out->strings = s;
  return GS_OK;
}

static gs_status import_typed(gs_arena *a, const Onnx__TensorProto *t,
                              const char *place, const payload *p,
                              gs_tensor *out, gs_err *e) {
  const char *want = field_of(out->dtype);
  int64_t n = gs_tensor_count(out), entries = entries_of(out->dtype, n);
  const char *shape = gs_shape_text(a, out->dtype, out->rank, out->dims);
  if (p->field && strcmp(p->field, want))
    return gs_fail(e, GS_DATA, place, "%s cannot be held by %s", shape,
                   p->field);
  if ((uint64_t)entries != p->count)
    return gs_fail(e, GS_DATA, place, "%s needs %" PRId64 " entries, %s has "
                   "%zu", shape, entries, want, p->count);
  if (out->dtype == GS_STRING) return strings_of(a, t, out);
  uint8_t *to = gs_alloc(a, out->nbytes + 1);
  out->data = to;
  if (!p->count) return GS_OK;
  if (t->n_float_data) memcpy(to, t->float_data, out->nbytes);
  else if (t->n_double_data) memcpy(to, t->double_data, out->nbytes);
  else if (t->n_int64_data) memcpy(to, t->int64_data, out->nbytes);
  else if (t->n_int32_data) return narrow(t, place, out, to, e);
  else if (out->dtype == GS_UINT64) memcpy(to, t->uint64_data, out->nbytes);
  for (size_t i = 0; out->dtype == GS_UINT32 && i < t->n_uint64_data; i++) {
    if (t->uint64_data[i] > UINT32_MAX)
      return gs_fail(e, GS_DATA, place, "uint64_data[%zu] does not fit u32",
                     i);
    uint32_t v = (uint32_t)t->uint64_data[i];
    memcpy(to + 4 * i, &v, 4);
  }
  return GS_OK;
}

static gs_status import_raw(gs_arena *a, gs_model *m,
                            const Onnx__TensorProto *t, const char *place,
                            const payload *p, gs_tensor *out, gs_err *e) {
  if (out->dtype == GS_STRING)
    return gs_fail(e, GS_DATA, place, "strings cannot be held by raw_data");
  if (p->count != out->nbytes)
    return gs_fail(e, GS_DATA, place, "%s needs %" PRIu64 " bytes, raw_data "
                   "has %zu", gs_shape_text(a, out->dtype, out->rank,
                                            out->dims), out->nbytes,
                   p->count);
  if (!t->has_raw_ref_length) {
    /* Copied: bytes inside the message are not aligned for their type. */
    out->data = gs_memdup(a, t->raw_data.data, t->raw_data.len);
    return GS_OK;
  }
  gs_tensor from;
  if (!m || !gs_raw_of(m, &t->base, &from))
    return gs_fail(e, GS_INTERNAL, place, "raw_data without a source");
  out->data = from.data;
  out->file = from.file;
  out->offset = from.offset;
  return GS_OK;
}

/* ---- the whole tensor ---- */

static gs_status import_shape(gs_arena *a, const Onnx__TensorProto *t,
                              const char *place, gs_tensor *out, gs_err *e) {
  if (t->n_dims > GS_MAX_RANK)
    return gs_fail(e, GS_DATA, place, "rank %zu; the limit is %d", t->n_dims,
                   GS_MAX_RANK);
  for (size_t i = 0; i < t->n_dims; i++)
    if (t->dims[i] < 0)
      return gs_fail(e, GS_DATA, place, "dim %zu is negative (%" PRId64 ")", i,
                     t->dims[i]);
  int type = t->has_data_type ? t->data_type : 0;
  if (type == GS_UNDEFINED)
    return gs_fail(e, GS_DATA, place, "has no element type");
  if (type < 0 || type >= GS_NDTYPE)
    return gs_fail(e, GS_UNSUPPORTED, place, "unknown element type %d", type);
  out->dtype = (gs_dtype)type;
  out->rank = (int)t->n_dims;
  out->dims = gs_memdup(a, t->dims, t->n_dims * sizeof *t->dims);
  int64_t n = gs_product(out->dims, out->rank), bytes = 0;
  if (n >= 0 && type != GS_STRING) bytes = gs_dtype_bytes(type, n);
  if (n < 0 || bytes < 0 || n > INT64_MAX / 2)
    return gs_fail(e, GS_DATA, place, "the size of %s overflows",
                   gs_shape_text(a, out->dtype, out->rank, out->dims));
  out->nbytes = (uint64_t)bytes;
  return GS_OK;
}

static gs_status import_tensor(gs_arena *a, gs_model *m,
                               const Onnx__TensorProto *t, const char *place,
                               gs_tensor *out, gs_err *e) {
  if (t->name) out->name = gs_strdup(a, t->name);
  GS_TRY(import_shape(a, t, place, out, e));
  if (t->segment)
    return gs_fail(e, GS_UNSUPPORTED, place, "is a segment of a tensor");
  payload p;
  GS_TRY(find_payload(t, place, &p, e));
  if (t->has_data_location &&
      t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
    if (p.field)
      return gs_fail(e, GS_DATA, place, "has external data and %s", p.field);
    return import_external(a, m, t, place, out, e);
  }
  if (t->n_external_data)
    return gs_fail(e, GS_DATA, place, "has external_data but is not marked as "
                   "external");
  if (p.field && !strcmp(p.field, "raw_data"))
    return import_raw(a, m, t, place, &p, out, e);
  return import_typed(a, t, place, &p, out, e);
}

gs_status gs_tensor_import(gs_arena *a, gs_model *m,
                           const Onnx__TensorProto *t, const char *place,
                           gs_tensor **result, gs_err *e) {
  gs_tensor *out = *result = GS_NEW(a, gs_tensor);
  GS_TRY(import_tensor(a, m, t, place, out, e));
  if (gs_tensor_clean_bools(a, out) && m) /* no longer that of the file */
    gs_map_put(&m->refs, gs_sprintf(a, "%p", (void *)out), NULL);
  return GS_OK;
}

/* ---- sparse tensors, made dense ---- */

/* Element i of indices at any address. */
static int64_t index_at(const uint8_t *idx, int64_t i) {
  int64_t k;
  memcpy(&k, idx + (size_t)i * sizeof k, sizeof k);
  return k;
}

/* Flat index of entry i, by either form of indices; -1 when out of range. */
static int64_t flat_index(const gs_tensor *out, const uint8_t *idx, int64_t i,
                          bool tuples, int64_t total) {
  if (!tuples) {
    int64_t k = index_at(idx, i);
    return k >= 0 && k < total ? k : -1;
  }
  int64_t flat = 0;
  for (int d = 0; d < out->rank; d++) {
    int64_t k = index_at(idx, i * out->rank + d);
    if (k < 0 || k >= out->dims[d]) return -1;
    flat = flat * out->dims[d] + k;
  }
  return flat;
}

static gs_status scatter(const gs_tensor *values, const gs_tensor *indices,
                         const char *place, gs_tensor *out, gs_err *e) {
  int64_t nnz = gs_tensor_count(values), total = gs_tensor_count(out);
  bool tuples = indices->rank == 2;
  bool fits = values->rank == 1 && indices->dtype == GS_INT64 &&
              indices->rank >= 1 && indices->rank <= 2 &&
              indices->dims[0] == nnz &&
              (!tuples || indices->dims[1] == out->rank);
  if (!fits)
    return gs_fail(e, GS_DATA, place, "indices and values of the sparse "
                   "tensor do not fit together");
  size_t width = (size_t)gs_dtype_get(out->dtype)->bits / 8;
  const uint8_t *from = gs_tensor_bytes(values);
  const uint8_t *idx = gs_tensor_bytes(indices);
  uint8_t *to = (uint8_t *)(uintptr_t)out->data;
  if (nnz && (!from || !idx))
    return gs_fail(e, GS_NOINPUT, place, "the data of the sparse tensor is "
                   "missing");
  int64_t last = -1;
  for (int64_t i = 0; i < nnz; i++) {
    int64_t at = flat_index(out, idx, i, tuples, total);
    if (at <= last)
      return gs_fail(e, GS_DATA, place, "index %" PRId64 " of the sparse "
                     "tensor is out of range or not ascending", i);
    gs_assert(at < total);
    memcpy(to + (size_t)at * width, from + (size_t)i * width, width);
    last = at;
  }
  return GS_OK;
}

gs_status gs_sparse_import(gs_arena *a, gs_model *m,
                           const Onnx__SparseTensorProto *t, const char *place,
                           gs_tensor **result, gs_err *e) {
  if (!t->values || !t->indices)
    return gs_fail(e, GS_DATA, place, "sparse tensor without values or "
                   "indices");
  gs_tensor *values, *indices;
  GS_TRY(gs_tensor_import(a, m, t->values, place, &values, e));
  GS_TRY(gs_tensor_import(a, m, t->indices, place, &indices, e));
  Onnx__TensorProto shape = ONNX__TENSOR_PROTO__INIT;
  shape.n_dims = t->n_dims;
  shape.dims = t->dims;
  shape.has_data_type = 1;
  shape.data_type = (int32_t)values->dtype;
  gs_tensor *out = GS_NEW(a, gs_tensor);
  GS_TRY(import_shape(a, &shape, place, out, e));
  int64_t max = m ? m->limit.sparse_bytes
                   : gs_model_limits_default.sparse_bytes;
  if (gs_dtype_get(out->dtype)->bits < 8)
    return gs_fail(e, GS_UNSUPPORTED, place, "sparse tensor of type %s",
                   gs_dtype_get(out->dtype)->text);
  if (out->nbytes > (uint64_t)max)
    return gs_fail(e, GS_UNSUPPORTED, place, "sparse tensor of %" PRIu64
                   " bytes when dense; the limit is %" PRId64
                   " (sparse_bytes)", out->nbytes, max);
  out->name = values->name;
  out->data = gs_alloc(a, out->nbytes + 1);
  GS_TRY(scatter(values, indices, place, out, e));
  *result = out;
  return GS_OK;
}

/* ---- export ---- */

gs_status gs_tensor_export(gs_model *m, const gs_tensor *t, const char *name,
                           Onnx__TensorProto **out, gs_err *e) {
  gs_arena *a = m->arena;
  Onnx__TensorProto *p = GS_NEW(a, Onnx__TensorProto);
  onnx__tensor_proto__init(p);
  *out = p;
  p->n_dims = (size_t)t->rank;
  p->dims = gs_memdup(a, t->dims, (size_t)t->rank * sizeof *t->dims);
  p->has_data_type = 1;
  p->data_type = (int32_t)t->dtype;
  if (name) p->name = gs_strdup(a, name);
  if (t->dtype == GS_STRING) {
    int64_t n = gs_tensor_count(t);
    p->n_string_data = (size_t)n;
    p->string_data = GS_NEWS(a, n, ProtobufCBinaryData);
    for (int64_t i = 0; i < n; i++)
      p->string_data[i] = (ProtobufCBinaryData){
          t->strings[i].n, (uint8_t *)(uintptr_t)t->strings[i].at};
    return GS_OK;
  }
  if (t->whole) (void)gs_tensor_bytes(t); /* which the copy has then */
  if (!t->data && !t->file)
    return gs_fail(e, GS_NOINPUT, m->path, "tensor '%s' has no data",
                   name ? name : "");
  if (t->nbytes <= GS_RAW_INLINE) {
    uint8_t *bytes = gs_alloc(a, t->nbytes + 1);
    if (t->data) memcpy(bytes, t->data, t->nbytes);
    else GS_TRY(gs_tensor_read(t, 0, bytes, t->nbytes, e));
    p->has_raw_data = 1;
    p->raw_data = (ProtobufCBinaryData){t->nbytes, bytes};
    return GS_OK;
  }
  *gs_push(a, &m->source) = t;
  p->has_raw_ref_offset = p->has_raw_ref_length = p->has_raw_ref_source = 1;
  p->raw_ref_length = t->nbytes;
  p->raw_ref_source = (uint64_t)m->source.n;
  gs_assert(m->source.at[m->source.n - 1] == t);
  return GS_OK;
}
