/* Malformed .npy and .pb files. */
#include <stdio.h>
#include <string.h>

#include "malformed.h"

/* A version-1 .npy file with this header and n zero bytes of elements. */
static void npy(wire *out, int version, const char *header, size_t n) {
  static const uint8_t zeros[256];
  wire_bytes(out, "\x93NUMPY", 6);
  wire_byte(out, (unsigned)version);
  wire_byte(out, 0);
  size_t length = strlen(header);
  wire_byte(out, (unsigned)(length & 0xff));
  wire_byte(out, (unsigned)(length >> 8 & 0xff));
  if (version > 1) {
    wire_byte(out, 0);
    wire_byte(out, 0);
  }
  wire_bytes(out, header, length);
  wire_bytes(out, zeros, n);
}

#define NPY(name, version, header, n)                                          \
  static void name(wire *out) { npy(out, version, header, n); }

#define F4 "{'descr': '<f4', 'fortran_order': False, 'shape': "
NPY(good, 1, F4 "(2, 3), }", 24)
NPY(good_2, 2, F4 "(2, 3)}\n", 24)
NPY(good_scalar, 3, F4 "()}", 4)
NPY(version_9, 9, F4 "(2,)}", 8)
NPY(cut_data, 1, F4 "(2, 3)}", 23)
NPY(more_data, 1, F4 "(2, 3)}", 25)
NPY(overflow, 1, F4 "(4294967296, 4294967296)}", 16)
NPY(huge_dim, 1, F4 "(99999999999999999999,)}", 16)
NPY(negative, 1, F4 "(-2,)}", 16)
NPY(no_tuple, 1, F4 "(2)}", 8)
NPY(no_tuple_2, 1, F4 "2}", 8)
NPY(pickled, 1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 8)
NPY(record, 1,
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", 8)
NPY(void_type, 1, "{'descr': '|V4', 'fortran_order': False, 'shape': (2,)}", 8)
NPY(text, 1, "{'descr': '<U4', 'fortran_order': False, 'shape': (2,)}", 32)
NPY(no_order, 1, "{'descr': '<f4', 'shape': (2,)}", 8)
NPY(odd_order, 1, "{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}", 8)
NPY(twice, 1, F4 "(2,), 'shape': (2,)}", 8)
NPY(unknown_key, 1, F4 "(2,), 'evil': 1}", 8)
NPY(code, 1, "__import__('os').system('true')", 8)
NPY(tail, 1, F4 "(2,)} + 1", 8)
NPY(no_comma, 1, F4 "(2 3)}", 24)

static void magic(wire *out) { wire_bytes(out, "NUMPY.........", 14); }

static void nothing(wire *out) { (void)out; }

static void long_header(wire *out) {
  wire_bytes(out, "\x93NUMPY\x02\x00\xff\xff\xff\x7f{'descr'", 20);
}

static void too_long_header(wire *out) {
  char header[12001];
  memset(header, ' ', sizeof header);
  memcpy(header, F4 "(2,)}", strlen(F4 "(2,)}"));
  header[12000] = 0;
  npy(out, 1, header, 8);
}

static void rank_65(wire *out) {
  char header[600] = F4 "(";
  for (int i = 0; i < 65; i++) strcat(header, "1, ");
  strcat(header, ")}");
  npy(out, 1, header, 4);
}

/* ---- .pb: a TensorProto f32[2,2] ---- */

static void pb(wire *out, int64_t dim, int64_t type, size_t n) {
  static const uint8_t zeros[64];
  wire_int(out, 1, dim);
  wire_int(out, 1, 2);
  wire_int(out, 2, type);
  wire_str(out, 8, "t");
  wire_blob(out, 9, zeros, n);
}

static void pb_good(wire *out) { pb(out, 2, 1, 16); }
static void pb_short(wire *out) { pb(out, 2, 1, 15); }
static void pb_negative(wire *out) { pb(out, -2, 1, 16); }
static void pb_overflow(wire *out) { pb(out, INT64_MAX / 2, 1, 16); }
static void pb_type(wire *out) { pb(out, 2, 77, 16); }
static void pb_untyped(wire *out) { pb(out, 2, 0, 16); }
static void pb_cut(wire *out) {
  pb(out, 2, 1, 16);
  out->n -= 3;
}
static void pb_external(wire *out) {
  wire x = {0};
  wire_int(out, 1, 2);
  wire_int(out, 2, 1);
  wire_str(&x, 1, "location");
  wire_str(&x, 2, "w.bin");
  wire_msg(out, 13, &x);
  wire_int(out, 14, 1);
}
static void pb_text(wire *out) { wire_bytes(out, "hello world\n", 12); }

const malformed malformed_tensors[] = {
    {"good.npy", good, 0, ""},
    {"good-2.npy", good_2, 0, ""},
    {"good-scalar.npy", good_scalar, 0, ""},
    {"version-9.npy", version_9, 65, "version 9"},
    {"magic.npy", magic, 65, "not a .npy"},
    {"nothing.npy", nothing, 65, "not a .npy"},
    {"cut-data.npy", cut_data, 65, "needs 24"},
    {"more-data.npy", more_data, 65, "needs 24"},
    {"overflow.npy", overflow, 65, "overflow"},
    {"huge-dim.npy", huge_dim, 65, "too large"},
    {"negative.npy", negative, 65, "not a number"},
    {"no-tuple.npy", no_tuple, 65, "tuple"},
    {"no-tuple-2.npy", no_tuple_2, 65, "tuple"},
    {"pickled.npy", pickled, 69, "pickled"},
    {"record.npy", record, 65, "descr"},
    {"void.npy", void_type, 69, "V4"},
    {"text.npy", text, 69, "U4"},
    {"no-order.npy", no_order, 65, "missing"},
    {"odd-order.npy", odd_order, 65, "fortran_order"},
    {"twice.npy", twice, 65, "twice"},
    {"unknown-key.npy", unknown_key, 65, "unknown key"},
    {"code.npy", code, 65, "not a dictionary"},
    {"tail.npy", tail, 65, "after the dictionary"},
    {"no-comma.npy", no_comma, 65, "comma"},
    {"long-header.npy", long_header, 65, "cut short"},
    {"too-long-header.npy", too_long_header, 65, "limit"},
    {"rank-65.npy", rank_65, 65, "too many dims"},
    {"good.pb", pb_good, 0, ""},
    {"short.pb", pb_short, 65, "needs 16"},
    {"negative.pb", pb_negative, 65, "negative"},
    {"overflow.pb", pb_overflow, 65, "overflow"},
    {"type.pb", pb_type, 69, "element type 77"},
    {"untyped.pb", pb_untyped, 65, "no element type"},
    {"cut.pb", pb_cut, 65, "past the end"},
    {"external.pb", pb_external, 69, "external"},
    {"text.pb", pb_text, 65, "byte"},
};
const int malformed_ntensors =
    (int)(sizeof malformed_tensors / sizeof *malformed_tensors);
