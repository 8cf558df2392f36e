/* Protobuf's wire format: numbers and fields. */
#ifndef GS_IO_ONNX_WIRE_H
#define GS_IO_ONNX_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fields that a message may have in the schema. */
enum { GS_WIRE_FIELDS = 32 };

/* Reads a varint of at most max bytes in [at, end) of p; the number of bytes,
 * or 0 for a malformed or truncated one. */
int gs_wire_varint(const uint8_t *p, size_t at, size_t end, int max,
                   uint64_t *value);
/* Writes at most 10 bytes; how many. */
size_t gs_wire_put(uint8_t *p, uint64_t value);
/* The next field in [*at, end) of p: its content is the n bytes at *from.
 * false: there is none, or it is malformed. */
bool gs_wire_next(const uint8_t *p, size_t *at, size_t end, uint64_t *tag,
                  size_t *from, size_t *n);
/* The wire type of one element. */
int gs_wire_type(const ProtobufCFieldDescriptor *f);
/* Bytes that one element takes in the struct of its message: 8, 4, or a
 * ProtobufCBinaryData; 0 for a type that ONNX does not use. */
size_t gs_wire_size(const ProtobufCFieldDescriptor *f);

#endif
