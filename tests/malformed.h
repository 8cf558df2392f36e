/* Malformed inputs, made byte by byte, with what is expected of a reader. */
#ifndef GS_TESTS_MALFORMED_H
#define GS_TESTS_MALFORMED_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes on the wire. */
typedef struct wire {
  uint8_t *at;
  size_t n, cap;
} wire;

void wire_free(wire *w);
void wire_bytes(wire *w, const void *p, size_t n);
void wire_byte(wire *w, unsigned b);
void wire_varint(wire *w, uint64_t v);
void wire_tag(wire *w, uint32_t field, unsigned type);
void wire_int(wire *w, uint32_t field, int64_t v);
void wire_str(wire *w, uint32_t field, const char *s);
void wire_blob(wire *w, uint32_t field, const void *p, size_t n);
/* A sub-message; frees it. */
void wire_msg(wire *w, uint32_t field, wire *sub);

typedef struct malformed {
  const char *name; /* file name: .onnx, .npy or .pb */
  void (*make)(wire *out);
  int code;             /* expected status, 0: must be accepted */
  const char *fragment; /* of the message */
} malformed;

extern const malformed malformed_bytes[]; /* as a file, on the wire */
extern const int malformed_nbytes;
extern const malformed malformed_models[];
extern const int malformed_nmodels;
extern const malformed malformed_devices[]; /* annotations */
extern const int malformed_ndevices;
extern const malformed malformed_tensors[];
extern const int malformed_ntensors;

/* Files, links and a FIFO that the models' external data refer to. */
int malformed_setup(const char *dir);

/* Writes all files into DIR and prints a line `file code fragment` for each;
 * `test_onnx --malformed DIR` does this. */
int malformed_write(const char *dir);

/* Writes one file, and prints its line. */
typedef int malformed_put(const char *dir, const char *name, const wire *w,
                          int code, const char *fragment);

/* Models with external data in every place, and models that want memory. */
int malformed_places(malformed_put *put, const char *dir);
/* Models with nodes that their operator's schema does not allow. */
int malformed_nodes(malformed_put *put, const char *dir);

/* The pieces of the base model: z = Add(Relu(x), w) on f32[2,2]. */
wire base_model(void);

#endif
