/* Messages to wire bytes, streamed: the writer's counterpart of the scan.
 *
 * protobuf-c's own packer wants every byte of a message in memory; this one
 * is driven by the same descriptors and takes the bytes of large tensors from
 * where they lie. Sizes are computed once, in the order in which they are
 * needed. Depth is bounded because what the reader accepts is. */
#include <string.h>

#include "base/assert.h"
#include "io/onnx/onnx_model.h"
#include "io/onnx/onnx_wire.h"

enum { RAW_DATA = 9, PRIVATE_FIRST = 400000001 };

typedef struct packer {
  gs_arena *arena;
  gs_raw_source *raw;
  void *user;
  GS_VEC(uint64_t) size; /* of the messages, in order of their start */
  int next;
  gs_out *o;
  gs_err *e;
} packer;

static unsigned varint_size(uint64_t v) {
  unsigned n = 1;
  while (v >>= 7) n++;
  return n;
}

static void put_varint(packer *p, uint64_t v) {
  uint8_t b[10];
  gs_out_write(p->o, b, gs_wire_put(b, v));
}

static void put_tag(packer *p, uint32_t id, unsigned wire) {
  put_varint(p, (uint64_t)id << 3 | wire);
}

static bool is_fixed(const ProtobufCFieldDescriptor *f) {
  return f->type == PROTOBUF_C_TYPE_FLOAT || f->type == PROTOBUF_C_TYPE_DOUBLE;
}

/* The number that goes on the wire; negative int32 are sign-extended. */
static uint64_t scalar(const ProtobufCFieldDescriptor *f, const void *at) {
  if (gs_wire_size(f) == 8) {
    uint64_t v;
    memcpy(&v, at, 8);
    return v;
  }
  gs_assert(gs_wire_size(f) == 4);
  int32_t v;
  memcpy(&v, at, 4);
  return (uint64_t)(int64_t)v;
}

static uint64_t scalar_size(const ProtobufCFieldDescriptor *f,
                            const void *at) {
  return is_fixed(f) ? gs_wire_size(f) : varint_size(scalar(f, at));
}

static void put_scalar(packer *p, const ProtobufCFieldDescriptor *f,
                       const void *at) {
  if (is_fixed(f)) gs_out_write(p->o, at, gs_wire_size(f));
  else put_varint(p, scalar(f, at));
}

/* The values of field f in msg; false: the field is absent or private. */
static bool values_of(const ProtobufCMessage *msg,
                      const ProtobufCFieldDescriptor *f, const char **at,
                      size_t *n) {
  const char *quantifier = (const char *)msg + f->quantifier_offset;
  *at = (const char *)msg + f->offset;
  *n = 1;
  if (f->id >= PRIVATE_FIRST) return false;
  if (f->label == PROTOBUF_C_LABEL_REPEATED) {
    *n = *(const size_t *)(const void *)quantifier;
    *at = *(const char *const *)(const void *)*at;
    return *n > 0;
  }
  if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
    return *(const uint32_t *)(const void *)quantifier == f->id;
  if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
    return *(const void *const *)(const void *)*at != NULL;
  return *(const protobuf_c_boolean *)(const void *)quantifier;
}

static const char *string_at(const void *at) {
  const char *s = *(const char *const *)at;
  return s ? s : "";
}

static const ProtobufCMessage *message_at(const void *at) {
  return *(const ProtobufCMessage *const *)at;
}

/* ---- sizes ---- */

static uint64_t message_size(packer *p, const ProtobufCMessage *msg);

static uint64_t item_size(packer *p, const ProtobufCFieldDescriptor *f,
                          const void *at) {
  uint64_t n;
  switch (f->type) {
  case PROTOBUF_C_TYPE_STRING:
    n = strlen(string_at(at));
    break;
  case PROTOBUF_C_TYPE_BYTES:
    n = ((const ProtobufCBinaryData *)at)->len;
    break;
  case PROTOBUF_C_TYPE_MESSAGE:
    n = message_size(p, message_at(at));
    break;
  default:
    return scalar_size(f, at);
  }
  return n + varint_size(n);
}

static uint64_t packed_size(const ProtobufCFieldDescriptor *f, const char *at,
                            size_t n) {
  uint64_t size = 0;
  for (size_t i = 0; i < n; i++)
    size += scalar_size(f, at + i * gs_wire_size(f));
  return size;
}

static uint64_t field_size(packer *p, const ProtobufCMessage *msg,
                           const ProtobufCFieldDescriptor *f) {
  const char *at;
  size_t n;
  if (!values_of(msg, f, &at, &n)) return 0;
  uint64_t tag = varint_size((uint64_t)f->id << 3);
  if (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) {
    uint64_t size = packed_size(f, at, n);
    return tag + varint_size(size) + size;
  }
  uint64_t size = 0;
  for (size_t i = 0; i < n; i++)
    size += tag + item_size(p, f, at + i * gs_wire_size(f));
  return size;
}

/* Raw bytes behind the message, if it is a TensorProto with such. */
static bool raw_of(const packer *p, const ProtobufCMessage *msg,
                   gs_tensor *out) {
  return msg->descriptor == &onnx__tensor_proto__descriptor &&
         p->raw(p->user, msg, out);
}

/* All bytes of the message, if it is a spec that was not read. */
static bool all_of(const packer *p, const ProtobufCMessage *msg,
                   gs_tensor *out) {
  return msg->descriptor == &onnx__sharding_spec_proto__descriptor &&
         p->raw(p->user, msg, out);
}

static uint64_t message_size(packer *p, const ProtobufCMessage *msg) {
  const ProtobufCMessageDescriptor *d = msg->descriptor;
  int slot = p->size.n;
  gs_tensor raw;
  *gs_push(p->arena, &p->size) = 0;
  if (all_of(p, msg, &raw)) return p->size.at[slot] = raw.nbytes;
  uint64_t size = 0;
  for (unsigned i = 0; i < d->n_fields; i++)
    size += field_size(p, msg, &d->fields[i]);
  if (raw_of(p, msg, &raw)) size += 1 + varint_size(raw.nbytes) + raw.nbytes;
  for (unsigned i = 0; i < msg->n_unknown_fields; i++) {
    const ProtobufCMessageUnknownField *u = &msg->unknown_fields[i];
    size += varint_size((uint64_t)u->tag << 3) + u->len;
  }
  p->size.at[slot] = size;
  return size;
}

uint64_t gs_pack_size(const ProtobufCMessage *msg, gs_raw_source *raw,
                      void *user) {
  gs_arena a;
  gs_arena_init(&a);
  packer p = {.arena = &a, .raw = raw, .user = user};
  uint64_t size = message_size(&p, msg);
  gs_arena_free(&a);
  return size;
}

/* ---- bytes ---- */

static gs_status put_message(packer *p, const ProtobufCMessage *msg);

static gs_status put_item(packer *p, const ProtobufCFieldDescriptor *f,
                          const void *at) {
  const ProtobufCBinaryData *b = at;
  switch (f->type) {
  case PROTOBUF_C_TYPE_STRING: {
    const char *s = string_at(at);
    put_tag(p, f->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    put_varint(p, strlen(s));
    gs_out_write(p->o, s, strlen(s));
    return GS_OK;
  }
  case PROTOBUF_C_TYPE_BYTES:
    put_tag(p, f->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    put_varint(p, b->len);
    gs_out_write(p->o, b->data, b->len);
    return GS_OK;
  case PROTOBUF_C_TYPE_MESSAGE:
    put_tag(p, f->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    gs_assert(p->next < p->size.n);
    put_varint(p, p->size.at[p->next]);
    return put_message(p, message_at(at));
  default:
    put_tag(p, f->id, (unsigned)gs_wire_type(f));
    put_scalar(p, f, at);
    return GS_OK;
  }
}

static gs_status put_field(packer *p, const ProtobufCMessage *msg,
                           const ProtobufCFieldDescriptor *f) {
  const char *at;
  size_t n;
  if (!values_of(msg, f, &at, &n)) return GS_OK;
  size_t width = gs_wire_size(f);
  if (!(f->flags & PROTOBUF_C_FIELD_FLAG_PACKED)) {
    for (size_t i = 0; i < n; i++) GS_TRY(put_item(p, f, at + i * width));
    return GS_OK;
  }
  put_tag(p, f->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
  put_varint(p, packed_size(f, at, n));
  for (size_t i = 0; i < n; i++) put_scalar(p, f, at + i * width);
  return GS_OK;
}

static gs_status put_raw(packer *p, const gs_tensor *raw) {
  put_tag(p, RAW_DATA, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
  put_varint(p, raw->nbytes);
  return gs_out_tensor(p->o, raw, 0, raw->nbytes, p->e);
}

static gs_status put_message(packer *p, const ProtobufCMessage *msg) {
  const ProtobufCMessageDescriptor *d = msg->descriptor;
  p->next++;
  gs_tensor raw;
  if (all_of(p, msg, &raw)) {
    gs_out_write(p->o, raw.data, raw.nbytes);
    return GS_OK;
  }
  bool pending = raw_of(p, msg, &raw);
  for (unsigned i = 0; i < d->n_fields; i++) {
    if (pending && d->fields[i].id >= RAW_DATA) { /* in the usual order */
      GS_TRY(put_raw(p, &raw));
      pending = false;
    }
    GS_TRY(put_field(p, msg, &d->fields[i]));
  }
  for (unsigned i = 0; i < msg->n_unknown_fields; i++) {
    const ProtobufCMessageUnknownField *u = &msg->unknown_fields[i];
    put_tag(p, u->tag, (unsigned)u->wire_type);
    gs_out_write(p->o, u->data, u->len);
  }
  return GS_OK;
}

gs_status gs_pack(const ProtobufCMessage *msg, gs_raw_source *raw, void *user,
                  gs_out *o, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  packer p = {.arena = &a, .raw = raw, .user = user, .o = o, .e = e};
  message_size(&p, msg);
  gs_status s = put_message(&p, msg);
  gs_assert(s || p.next == p.size.n);
  gs_arena_free(&a);
  return s;
}
