/* Malformed models: external data and multi-device annotations. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "malformed_pieces.h"

/* ---- external data ---- */

static void add_key(wire *t, const char *key, const char *v) {
  wire x = {0};
  wire_str(&x, 1, key);
  wire_str(&x, 2, v);
  wire_msg(t, TENSOR_EXTERNAL, &x);
}

static wire external(const char *location, const char *offset,
                     const char *length) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  if (location) add_key(&w, "location", location);
  if (offset) add_key(&w, "offset", offset);
  if (length) add_key(&w, "length", length);
  wire_int(&w, TENSOR_LOCATION, 1);
  return w;
}

static void at(wire *out, const char *location, const char *offset,
               const char *length) {
  wire w = external(location, offset, length);
  piece_with_weight(out, &w);
}

void bad_ext_parent(wire *out) { at(out, "../x", "0", "16"); }
void bad_ext_hidden_parent(wire *out) { at(out, "a/../../x", "0", "16"); }
void bad_ext_absolute(wire *out) { at(out, "/etc/passwd", "0", "16"); }
void bad_ext_empty(wire *out) { at(out, "", "0", "16"); }
void bad_ext_none(wire *out) { at(out, NULL, "0", "16"); }
void bad_ext_link(wire *out) { at(out, "link", "0", "16"); }
void bad_ext_dir_link(wire *out) { at(out, "dirlink/passwd", "0", "16"); }
void bad_ext_fifo(wire *out) { at(out, "fifo", "0", "16"); }
void bad_ext_dir(wire *out) { at(out, "sub", "0", "16"); }
void bad_ext_dot(wire *out) { at(out, ".", "0", "16"); }
void bad_ext_hard(wire *out) { at(out, "hard", "0", "16"); }
void bad_ext_memory(wire *out) {
  at(out, "*/_ORT_MEM_ADDR_/*", "140000000000000", "16");
}
void bad_ext_offset(wire *out) { at(out, "w.bin", "60", NULL); }
void bad_ext_negative(wire *out) { at(out, "w.bin", "-4", "16"); }
void bad_ext_wrapping(wire *out) {
  at(out, "w.bin", "18446744073709551624", "16");
}
void bad_ext_wrapping_sum(wire *out) {
  at(out, "w.bin", "18446744073709551608", "16");
}
void bad_ext_length(wire *out) {
  at(out, "w.bin", "0", "9223372036854775807");
}
void bad_ext_other_length(wire *out) { at(out, "w.bin", "0", "8"); }
void bad_ext_good(wire *out) { at(out, "w.bin", "16", "16"); }
void bad_ext_sub(wire *out) { at(out, "sub/w.bin", NULL, NULL); }
void bad_ext_back(wire *out) { at(out, "sub/../w.bin", "0", "16"); }
void bad_ext_dots(wire *out) { at(out, "w..bin", "0", "16"); }
void bad_ext_missing(wire *out) { at(out, "not-there.bin", "0", "16"); }

void bad_ext_key(wire *out) {
  wire w = external("w.bin", "0", "16");
  add_key(&w, "__class__", "x");
  piece_with_weight(out, &w);
}

void bad_ext_attribute(wire *out) {
  wire n = piece_node("Constant", "c", NULL, NULL, "q"), a = {0};
  wire t = external("../x", "0", "16");
  wire_str(&a, ATTR_NAME, "value");
  wire_msg(&a, ATTR_T, &t);
  wire_int(&a, ATTR_TYPE, 4);
  wire_msg(&n, NODE_ATTR, &a);
  piece_with_node(out, &n);
}

void bad_ext_function(wire *out) {
  wire n = piece_node("Constant", "c", NULL, NULL, "q"), a = {0}, f = {0};
  wire t = external("link", "0", "16");
  wire_str(&a, ATTR_NAME, "value");
  wire_msg(&a, ATTR_T, &t);
  wire_int(&a, ATTR_TYPE, 4);
  wire_msg(&n, NODE_ATTR, &a);
  wire_str(&f, FUNCTION_NAME, "unused");
  wire_msg(&f, FUNCTION_NODE, &n);
  *out = base_model();
  wire_msg(out, MODEL_FUNCTION, &f);
}

void bad_ext_sparse(wire *out) {
  wire g = {0}, s = {0}, v = external("/etc/passwd", "0", "16"),
       i = piece_tensor("i", 7, 1, (const int64_t[]){4});
  wire_msg(&s, 1, &v);
  wire_msg(&s, 2, &i);
  wire_int(&s, 3, 4);
  wire_msg(&g, GRAPH_SPARSE, &s);
  piece_add_nodes(&g);
  piece_with_graph(out, &g);
}

int malformed_setup(const char *dir) {
  char from[4096], to[4096];
  static const char data[64] = "weights";
  const char *const files[] = {"w.bin", "w..bin", "sub/w.bin", "hard"};
  snprintf(to, sizeof to, "%s/sub", dir);
  mkdir(to, 0777);
  for (size_t i = 0; i < 4; i++) {
    snprintf(to, sizeof to, "%s/%s", dir, files[i]);
    FILE *f = fopen(to, "wb");
    if (!f) return -1;
    fwrite(data, 1, i == 2 ? 16 : sizeof data, f);
    if (fclose(f)) return -1;
  }
  snprintf(from, sizeof from, "%s/hard", dir);
  snprintf(to, sizeof to, "%s/hard2", dir);
  unlink(to);
  if (link(from, to)) return -1;
  snprintf(to, sizeof to, "%s/link", dir);
  unlink(to);
  if (symlink("/etc/passwd", to)) return -1;
  snprintf(to, sizeof to, "%s/dirlink", dir);
  unlink(to);
  if (symlink("/etc", to)) return -1;
  snprintf(to, sizeof to, "%s/fifo", dir);
  unlink(to);
  return mkfifo(to, 0666);
}

/* ---- multi-device annotations ---- */

typedef struct claim {
  const char *config, *tensor;
  int64_t axis, shards;
  int ndevice;
  const int64_t *device;
} claim;

static void add_config(wire *model, int devices) {
  wire c = {0};
  wire_str(&c, 1, "c");
  wire_int(&c, 2, devices);
  wire_msg(model, MODEL_CONFIG, &c);
}

static wire spec_of(const claim *k) {
  wire s = {0}, d = {0}, x = {0};
  wire_str(&s, 1, k->tensor);
  for (int i = 0; i < k->ndevice; i++) wire_int(&s, 2, k->device[i]);
  wire_int(&x, 3, k->shards);
  wire_int(&d, 1, k->axis);
  wire_msg(&d, 2, &x);
  wire_msg(&s, 4, &d);
  return s;
}

/* The base model whose first node makes the claim `times` times. */
static void claimed(wire *out, const claim *k, int times) {
  wire g = {0}, n = piece_node("Relu", "relu", "x", NULL, "y"), c = {0};
  wire_str(&c, 1, k->config);
  for (int i = 0; i < times; i++) {
    wire s = spec_of(k);
    wire_msg(&c, 2, &s);
  }
  wire_msg(&n, NODE_DEVICES, &c);
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_node(&g, "Add", "add", "y", "w", "z");
  piece_with_graph(out, &g);
  add_config(out, 4);
}

static const int64_t four[] = {0, 1, 2, 3};

void bad_dev_good(wire *out) {
  claimed(out, &(claim){"c", "x", -1, 4, 4, four}, 1);
}
void bad_dev_axis(wire *out) {
  claimed(out, &(claim){"c", "x", 9, 4, 4, four}, 1);
}
void bad_dev_axis_negative(wire *out) {
  claimed(out, &(claim){"c", "x", -3, 4, 4, four}, 1);
}
void bad_dev_shards_0(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 0, 4, four}, 1);
}
void bad_dev_shards_huge(wire *out) {
  claimed(out, &(claim){"c", "x", 0, INT64_C(1) << 40, 4, four}, 1);
}
void bad_dev_product(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 2, 4, four}, 1);
}
void bad_dev_id(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 2, 2, (const int64_t[]){0, 7}}, 1);
}
void bad_dev_twice(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 2, 2, (const int64_t[]){1, 1}}, 1);
}
void bad_dev_unknown(wire *out) {
  claimed(out, &(claim){"d", "x", 0, 4, 4, four}, 1);
}
void bad_dev_foreign(wire *out) {
  claimed(out, &(claim){"c", "w", 0, 4, 4, four}, 1);
}
void bad_dev_repeated(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 4, 4, four}, 2);
}
void bad_dev_order(wire *out) {
  claimed(out,
          &(claim){"c", "x", 0, 4, 4, (const int64_t[]){0, 1, 3, 2}}, 1);
}
void bad_dev_partial(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 2, 2, four}, 1);
}
void bad_dev_group(wire *out) {
  claimed(out, &(claim){"c", "x", 0, 2, 2, (const int64_t[]){-1, -2}}, 1);
}
void bad_dev_two_configs(wire *out) {
  bad_dev_good(out);
  add_config(out, 4);
}
void bad_dev_no_devices(wire *out) {
  *out = base_model();
  add_config(out, 0);
}
