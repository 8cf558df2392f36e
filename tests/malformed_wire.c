/* A minimal encoder of the wire format. */
#include <stdlib.h>
#include <string.h>

#include "malformed.h"

void wire_free(wire *w) {
  free(w->at);
  *w = (wire){0};
}

void wire_bytes(wire *w, const void *p, size_t n) {
  if (n > w->cap - w->n) {
    w->cap = w->cap * 2 + n + 64;
    w->at = realloc(w->at, w->cap);
    if (!w->at) abort();
  }
  if (n) memcpy(w->at + w->n, p, n);
  w->n += n;
}

void wire_byte(wire *w, unsigned b) {
  uint8_t c = (uint8_t)b;
  wire_bytes(w, &c, 1);
}

void wire_varint(wire *w, uint64_t v) {
  while (v >= 0x80) {
    wire_byte(w, (unsigned)(v & 0x7f) | 0x80);
    v >>= 7;
  }
  wire_byte(w, (unsigned)v);
}

void wire_tag(wire *w, uint32_t field, unsigned type) {
  wire_varint(w, (uint64_t)field << 3 | type);
}

void wire_int(wire *w, uint32_t field, int64_t v) {
  wire_tag(w, field, 0);
  wire_varint(w, (uint64_t)v);
}

void wire_blob(wire *w, uint32_t field, const void *p, size_t n) {
  wire_tag(w, field, 2);
  wire_varint(w, n);
  wire_bytes(w, p, n);
}

void wire_str(wire *w, uint32_t field, const char *s) {
  wire_blob(w, field, s, strlen(s));
}

void wire_msg(wire *w, uint32_t field, wire *sub) {
  wire_blob(w, field, sub->at, sub->n);
  wire_free(sub);
}
