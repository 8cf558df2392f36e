/* Messages made from the scan's compacted copy.  The scan has checked every
 * byte and added up what the structs, lists and strings take, so that they
 * lie side by side in one block: no list grows, and nothing is allocated that
 * does not stay.  protobuf_c_message_unpack() keeps 40 bytes for each field
 * besides, and makes a struct of up to 300 bytes from an empty message of two:
 * here all empty messages of a type are one. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "io/onnx/onnx_model.h"
#include "io/onnx/onnx_wire.h"

enum { MAX_TYPES = 64 };

typedef ProtobufCMessageDescriptor message_type;
typedef ProtobufCFieldDescriptor field_type;

typedef struct unpacker {
  gs_arena *arena;
  const uint8_t *p;
  uint8_t *low, *high; /* what is left of the block; strings come from high */
  struct {
    const message_type *d;
    ProtobufCMessage *msg;
  } empty[MAX_TYPES];
  int nempty;
} unpacker;

/* Space for objects; NULL: the scan counted otherwise. */
static void *take(unpacker *u, size_t n) {
  n = (n + 7) & ~(size_t)7;
  if (n > (size_t)(u->high - u->low)) return NULL;
  void *at = u->low;
  u->low += n;
  gs_assert(u->low <= u->high);
  return at;
}

/* A copy that ends in NUL; empty ones are not copied. */
static char *text(unpacker *u, size_t at, size_t n) {
  static char none[1];
  if (!n) return none;
  if (n + 1 > (size_t)(u->high - u->low)) return NULL;
  u->high -= n + 1;
  memcpy(u->high, u->p + at, n);
  return (char *)u->high;
}

static ProtobufCMessage *empty_message(unpacker *u, const message_type *d) {
  for (int i = 0; i < u->nempty; i++)
    if (u->empty[i].d == d) return u->empty[i].msg;
  ProtobufCMessage *m = gs_alloc(u->arena, d->sizeof_message);
  d->message_init(m);
  if (u->nempty < MAX_TYPES) {
    u->empty[u->nempty].d = d;
    u->empty[u->nempty++].msg = m;
  }
  return m;
}

static bool message(unpacker *u, const message_type *d, size_t at, size_t end,
                    ProtobufCMessage **out);

/* One element with content [at, at + n). */
static bool element(unpacker *u, const field_type *f, size_t at, size_t n,
                    void *to) {
  uint64_t v = 0;
  const char *s;
  switch (f->type) {
  case PROTOBUF_C_TYPE_FLOAT:
  case PROTOBUF_C_TYPE_DOUBLE:
    memcpy(to, u->p + at, n);
    return true;
  case PROTOBUF_C_TYPE_INT32:
  case PROTOBUF_C_TYPE_ENUM:
  case PROTOBUF_C_TYPE_INT64:
  case PROTOBUF_C_TYPE_UINT64:
    gs_wire_varint(u->p, at, at + n, 10, &v);
    memcpy(to, &v, gs_wire_size(f)); /* the low bytes come first */
    return true;
  case PROTOBUF_C_TYPE_STRING:
    s = text(u, at, n);
    memcpy(to, &s, sizeof s);
    return s != NULL;
  case PROTOBUF_C_TYPE_BYTES:
    *(ProtobufCBinaryData *)to =
        (ProtobufCBinaryData){n, (uint8_t *)text(u, at, n)};
    return ((ProtobufCBinaryData *)to)->data != NULL;
  case PROTOBUF_C_TYPE_MESSAGE:
    return message(u, f->descriptor, at, at + n, to);
  default:
    return false;
  }
}

static bool is_packed(const field_type *f, uint64_t tag) {
  return (tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
         gs_wire_type(f) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* Elements in the content [at, at + n) of a repeated field. */
static size_t elements(const unpacker *u, const field_type *f, uint64_t tag,
                       size_t at, size_t n) {
  if (!is_packed(f, tag)) return 1;
  if (gs_wire_type(f) != PROTOBUF_C_WIRE_TYPE_VARINT)
    return n / gs_wire_size(f);
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += u->p[at + i] < 0x80;
  return count;
}

/* Appends to list, which has room. */
static bool append(unpacker *u, const field_type *f, uint64_t tag, size_t at,
                   size_t n, uint8_t *list, size_t *have) {
  size_t size = gs_wire_size(f), end = at + n, k = 4;
  if (!is_packed(f, tag))
    return element(u, f, at, n, list + size * (*have)++);
  for (; at < end; at += k) {
    uint64_t v;
    if (gs_wire_type(f) != PROTOBUF_C_WIRE_TYPE_VARINT) k = size;
    else k = (size_t)gs_wire_varint(u->p, at, end, 10, &v);
    if (!k || !element(u, f, at, k, list + size * (*have)++)) return false;
  }
  return true;
}

static size_t *count_of(const field_type *f, char *m) {
  return (size_t *)(void *)(m + f->quantifier_offset);
}

static void **list_of(const field_type *f, char *m) {
  return (void **)(void *)(m + f->offset);
}

/* Finds how long the lists are, and makes them. */
static bool make_lists(unpacker *u, const message_type *d, size_t at,
                       size_t end, ProtobufCMessage *m) {
  size_t count[GS_WIRE_FIELDS] = {0}, unknown = 0, from, n;
  uint64_t tag;
  while (gs_wire_next(u->p, &at, end, &tag, &from, &n)) {
    const field_type *f =
        protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
    if (!f) unknown++;
    else if (f->label == PROTOBUF_C_LABEL_REPEATED)
      count[f - d->fields] += elements(u, f, tag, from, n);
  }
  gs_assert(d->n_fields <= GS_WIRE_FIELDS);
  for (unsigned i = 0; i < d->n_fields; i++) {
    if (!count[i]) continue;
    void *list = take(u, count[i] * gs_wire_size(&d->fields[i]));
    if (!list) return false;
    *list_of(&d->fields[i], (char *)m) = list;
  }
  if (!unknown) return at == end;
  m->unknown_fields = take(u, unknown * sizeof *m->unknown_fields);
  return m->unknown_fields && at == end;
}

/* A field that starts at `start`; the data of a delimited one begins with its
 * length. */
static bool keep_unknown(unpacker *u, size_t start, size_t end,
                         ProtobufCMessage *m) {
  uint64_t tag;
  start += (size_t)gs_wire_varint(u->p, start, end, 5, &tag);
  size_t n = end - start;
  m->unknown_fields[m->n_unknown_fields++] = (ProtobufCMessageUnknownField){
      (uint32_t)(tag >> 3), (ProtobufCWireType)(tag & 7), n,
      (uint8_t *)text(u, start, n)};
  return m->unknown_fields[m->n_unknown_fields - 1].data != NULL;
}

static bool singular(unpacker *u, const field_type *f, size_t from, size_t n,
                     char *m) {
  if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
    *(uint32_t *)(void *)(m + f->quantifier_offset) = f->id;
  else if (f->quantifier_offset)
    *(protobuf_c_boolean *)(void *)(m + f->quantifier_offset) = 1;
  return element(u, f, from, n, m + f->offset);
}

static bool message(unpacker *u, const message_type *d, size_t at, size_t end,
                    ProtobufCMessage **out) {
  size_t from, n;
  uint64_t tag;
  if (at == end) {
    *out = empty_message(u, d);
    return true;
  }
  ProtobufCMessage *m = *out = take(u, d->sizeof_message);
  if (!m) return false;
  d->message_init(m);
  if (!make_lists(u, d, at, end, m)) return false;
  for (size_t start = at; gs_wire_next(u->p, &at, end, &tag, &from, &n);
       start = at) {
    const field_type *f =
        protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
    char *p = (char *)m;
    bool ok;
    if (!f) ok = keep_unknown(u, start, at, m);
    else if (f->label == PROTOBUF_C_LABEL_REPEATED)
      ok = append(u, f, tag, from, n, *list_of(f, p), count_of(f, p));
    else ok = singular(u, f, from, n, p);
    if (!ok) return false;
  }
  return true;
}

gs_status gs_unpack_within(gs_arena *a, const char *file, const uint8_t *p,
                           size_t n, const ProtobufCMessageDescriptor *d,
                           const gs_model_limits *limit, int64_t *spare,
                           ProtobufCMessage **out, gs_err *e) {
  gs_scan scan;
  gs_model_limits now = *limit;
  now.memory_base = *spare;
  GS_TRY(gs_scan_message(file, p, n, d, &now, &scan, e));
  int64_t max;
  if (gs_mul((int64_t)scan.n, limit->memory_factor, &max) &&
      scan.memory > max)
    *spare -= scan.memory - max;
  unpacker u = {.arena = a, .p = scan.data};
  u.low = gs_alloc(a, (size_t)scan.memory);
  u.high = u.low + scan.memory;
  bool made = message(&u, d, 0, scan.n, out);
  free(scan.data);
  if (!made)
    return gs_fail(e, GS_INTERNAL, file, "the size of %s was not foreseen",
                   d->short_name);
  return GS_OK;
}

gs_status gs_unpack(gs_arena *a, const char *file, const uint8_t *p, size_t n,
                    const ProtobufCMessageDescriptor *d,
                    const gs_model_limits *limit, ProtobufCMessage **out,
                    gs_err *e) {
  int64_t spare = limit->memory_base;
  return gs_unpack_within(a, file, p, n, d, limit, &spare, out, e);
}
