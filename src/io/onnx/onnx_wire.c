#include "io/onnx/onnx_wire.h"

#include "base/assert.h"

int gs_wire_varint(const uint8_t *p, size_t at, size_t end, int max,
                   uint64_t *value) {
  gs_assert(at <= end && max <= 10);
  uint64_t v = 0;
  for (int i = 0; i < max && at + (size_t)i < end; i++) {
    uint8_t b = p[at + (size_t)i];
    if (i == 9 && b > 1) return 0;
    v |= (uint64_t)(b & 0x7f) << (7 * i);
    if (!(b & 0x80)) {
      *value = v;
      return i + 1;
    }
  }
  return 0;
}

size_t gs_wire_put(uint8_t *p, uint64_t v) {
  size_t n = 0;
  while (v >= 0x80) {
    p[n++] = (uint8_t)(v | 0x80);
    v >>= 7;
  }
  p[n++] = (uint8_t)v;
  gs_assert(n <= 10);
  return n;
}

bool gs_wire_next(const uint8_t *p, size_t *at, size_t end, uint64_t *tag,
                  size_t *from, size_t *n) {
  uint64_t v;
  int k = gs_wire_varint(p, *at, end, 5, tag);
  *from = *at + (size_t)k;
  if (!k) return false;
  int wire = (int)(*tag & 7);
  if (wire == 3 || wire == 4 || wire > 5) return false;
  *n = wire == PROTOBUF_C_WIRE_TYPE_32BIT ? 4 : 8;
  if (wire == PROTOBUF_C_WIRE_TYPE_VARINT ||
      wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
    k = gs_wire_varint(p, *from, end, 10, &v);
    if (!k) return false;
    if (wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) *from += (size_t)k;
    else v = (uint64_t)k;
    if (v > SIZE_MAX / 2) return false;
    *n = (size_t)v;
  }
  if (*n > end - *from) return false;
  *at = *from + *n;
  gs_assert(*at <= end);
  return true;
}

int gs_wire_type(const ProtobufCFieldDescriptor *f) {
  switch (f->type) {
  case PROTOBUF_C_TYPE_FLOAT:
  case PROTOBUF_C_TYPE_FIXED32:
  case PROTOBUF_C_TYPE_SFIXED32:
    return PROTOBUF_C_WIRE_TYPE_32BIT;
  case PROTOBUF_C_TYPE_DOUBLE:
  case PROTOBUF_C_TYPE_FIXED64:
  case PROTOBUF_C_TYPE_SFIXED64:
    return PROTOBUF_C_WIRE_TYPE_64BIT;
  case PROTOBUF_C_TYPE_STRING:
  case PROTOBUF_C_TYPE_BYTES:
  case PROTOBUF_C_TYPE_MESSAGE:
    return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
  default:
    return PROTOBUF_C_WIRE_TYPE_VARINT;
  }
}

size_t gs_wire_size(const ProtobufCFieldDescriptor *f) {
  switch (f->type) {
  case PROTOBUF_C_TYPE_INT32:
  case PROTOBUF_C_TYPE_ENUM:
  case PROTOBUF_C_TYPE_FLOAT:
    return 4;
  case PROTOBUF_C_TYPE_INT64:
  case PROTOBUF_C_TYPE_UINT64:
  case PROTOBUF_C_TYPE_DOUBLE:
    return 8;
  case PROTOBUF_C_TYPE_STRING:
  case PROTOBUF_C_TYPE_MESSAGE:
    return sizeof(void *);
  case PROTOBUF_C_TYPE_BYTES:
    return sizeof(ProtobufCBinaryData);
  default:
    return 0;
  }
}
