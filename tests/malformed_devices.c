/* Malformed models: multi-device annotations and gshard's metadata. */
#include <stdio.h>
#include <string.h>

#include "malformed_pieces.h"

enum { MODEL_META = 14, GRAPH_META = 16 };

/* ---- the standard's fields ---- */

static void add_config(wire *model, const char *name, int64_t devices,
                       int named) {
  wire c = {0};
  wire_str(&c, 1, name);
  wire_int(&c, 2, devices);
  for (int i = 0; i < named; i++) wire_str(&c, 3, "cpu");
  wire_msg(model, MODEL_CONFIG, &c);
}

static void add_devices(wire *spec, int n, const int64_t *id) {
  for (int i = 0; i < n; i++) wire_int(spec, 2, id[i]);
}

/* One entry of the group map; no key when `key` is 0. */
static void add_group(wire *spec, int64_t key, int n, const int64_t *id) {
  wire x = {0};
  if (key) wire_int(&x, 1, key);
  for (int i = 0; i < n; i++) wire_int(&x, 2, id[i]);
  wire_msg(spec, 3, &x);
}

/* A dim of one part; `symbol` or `size` (if not negative) say what it is. */
static void add_dim(wire *spec, int64_t axis, int64_t shards,
                    const char *symbol, int64_t size) {
  wire d = {0}, x = {0};
  if (size >= 0) wire_int(&x, 1, size);
  if (symbol) wire_str(&x, 2, symbol);
  wire_int(&x, 3, shards);
  wire_int(&d, 1, axis);
  wire_msg(&d, 2, &x);
  wire_msg(spec, 4, &d);
}

/* The base model whose first node says `spec` of configuration c. */
static void with_spec(wire *out, wire *spec) {
  wire g = {0}, n = piece_node("Relu", "relu", "x", NULL, "y"), c = {0};
  wire_str(&c, 1, "c");
  wire_msg(&c, 2, spec);
  wire_msg(&n, NODE_DEVICES, &c);
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_node(&g, "Add", "add", "y", "w", "z");
  piece_with_graph(out, &g);
  add_config(out, "c", 4, 0);
}

static const int64_t order[] = {0, 1, 2, 3};

static wire spec_of(const char *tensor) {
  wire s = {0};
  wire_str(&s, 1, tensor);
  return s;
}

/* x with one sharded dim over all devices. */
static void one_dim(wire *out, int64_t axis, int64_t shards,
                    const char *symbol, int64_t size) {
  wire s = spec_of("x");
  add_devices(&s, 4, order);
  add_dim(&s, axis, shards, symbol, size);
  with_spec(out, &s);
}

static void axis_minus_9(wire *out) { one_dim(out, -9, 4, NULL, -1); }
static void axis_rank(wire *out) { one_dim(out, 2, 4, NULL, -1); }
static void axis_huge(wire *out) { one_dim(out, INT64_MAX, 4, NULL, -1); }
static void axis_least(wire *out) { one_dim(out, INT64_MIN, 4, NULL, -1); }
static void shards_minus_1(wire *out) { one_dim(out, 0, -1, NULL, -1); }
static void shards_least(wire *out) { one_dim(out, 0, INT64_MIN, NULL, -1); }
static void size_differs(wire *out) { one_dim(out, 0, 4, NULL, 3); }
static void symbol_empty(wire *out) { one_dim(out, 0, 4, "", -1); }

static void ids(wire *out, int n, const int64_t *id) {
  wire s = spec_of("x");
  add_devices(&s, n, id);
  add_dim(&s, 0, n, NULL, -1);
  with_spec(out, &s);
}
static void id_minus_1(wire *out) { ids(out, 2, (const int64_t[]){0, -1}); }
static void id_4(wire *out) { ids(out, 2, (const int64_t[]){0, 4}); }
static void id_least(wire *out) {
  ids(out, 2, (const int64_t[]){0, INT64_MIN});
}
static void id_most(wire *out) {
  ids(out, 2, (const int64_t[]){0, INT64_MAX});
}

static void no_devices(wire *out) {
  wire s = spec_of("x");
  add_dim(&s, 0, 2, NULL, -1);
  with_spec(out, &s);
}

static void axis_given_twice(wire *out) {
  wire s = spec_of("x");
  add_devices(&s, 4, order);
  add_dim(&s, 0, 2, NULL, -1);
  add_dim(&s, -2, 2, NULL, -1);
  with_spec(out, &s);
}

static void product_overflows(wire *out) {
  wire s = spec_of("x");
  add_devices(&s, 4, order);
  add_dim(&s, 0, 4096, NULL, -1);
  add_dim(&s, 1, 4096, NULL, -1);
  with_spec(out, &s);
}

static void no_simple(wire *out) {
  wire s = spec_of("x"), d = {0};
  add_devices(&s, 4, order);
  wire_int(&d, 1, 0);
  wire_msg(&s, 4, &d);
  with_spec(out, &s);
}

static void no_shards(wire *out) {
  wire s = spec_of("x"), d = {0}, x = {0};
  add_devices(&s, 4, order);
  wire_int(&d, 1, 0);
  wire_int(&x, 1, 2);
  wire_msg(&d, 2, &x);
  wire_msg(&s, 4, &d);
  with_spec(out, &s);
}

static void fused_inside(wire *out) {
  wire s = spec_of("x"), d = {0};
  add_devices(&s, 4, order);
  wire_int(&d, 1, 0);
  for (int i = 0; i < 2; i++) {
    wire x = {0};
    wire_int(&x, 3, 2);
    wire_msg(&d, 2, &x);
  }
  wire_msg(&s, 4, &d);
  with_spec(out, &s);
}

/* Dim 0 as two parts, the first of which is sharded. */
static void fused(wire *out, int64_t first, int64_t second) {
  wire s = spec_of("x"), d = {0};
  add_devices(&s, 2, order);
  wire_int(&d, 1, 0);
  for (int i = 0; i < 2; i++) {
    wire x = {0};
    wire_int(&x, 1, i ? second : first);
    wire_int(&x, 3, i ? 1 : 2);
    wire_msg(&d, 2, &x);
  }
  wire_msg(&s, 4, &d);
  with_spec(out, &s);
}
static void fused_uneven(wire *out) { fused(out, 1, 2); }
static void fused_product(wire *out) { fused(out, 2, 2); }
static void fused_negative(wire *out) { fused(out, -2, -1); }

/* Two groups of which the first holds `member`. */
static void groups(wire *out, int64_t key, int64_t key2, int n,
                   int64_t member) {
  wire s = spec_of("x");
  add_devices(&s, 2, (const int64_t[]){-1, -2});
  add_group(&s, key, n, (const int64_t[]){0, member});
  add_group(&s, key2, 2, (const int64_t[]){2, 3});
  add_dim(&s, 0, 2, NULL, -1);
  with_spec(out, &s);
}
static void group_itself(wire *out) { groups(out, -1, -2, 2, -1); }
static void group_cycle(wire *out) { groups(out, -1, -2, 2, -2); }
static void group_twice(wire *out) { groups(out, -1, -1, 2, 1); }
static void group_keyless(wire *out) { groups(out, -1, 0, 2, 1); }
static void group_empty(wire *out) { groups(out, -1, -2, 0, 1); }
static void group_overlap(wire *out) { groups(out, -1, -2, 2, 2); }
static void group_outside(wire *out) { groups(out, -1, -2, 2, 9); }

static void tensorless(wire *out) {
  wire s = {0};
  add_devices(&s, 4, order);
  add_dim(&s, 0, 4, NULL, -1);
  with_spec(out, &s);
}

static void config_nameless(wire *out) {
  *out = base_model();
  add_config(out, "", 4, 0);
}
static void config_huge(wire *out) {
  *out = base_model();
  add_config(out, "c", INT32_MAX, 0);
}
static void config_negative(wire *out) {
  *out = base_model();
  add_config(out, "c", -4, 0);
}
static void config_names(wire *out) {
  *out = base_model();
  add_config(out, "c", 4, 3);
}

static void config_repeated(wire *out) {
  wire g = {0}, n = piece_node("Relu", "relu", "x", NULL, "y");
  for (int i = 0; i < 2; i++) {
    wire c = {0};
    wire_str(&c, 1, "c");
    wire_msg(&n, NODE_DEVICES, &c);
  }
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_node(&g, "Add", "add", "y", "w", "z");
  piece_with_graph(out, &g);
  add_config(out, "c", 4, 0);
}

/* ---- metadata ---- */

static void add_meta(wire *w, uint32_t field, const char *key,
                     const char *text) {
  wire p = {0};
  wire_str(&p, 1, key);
  wire_str(&p, 2, text);
  wire_msg(w, field, &p);
}

/* The base model with a mesh, a sharding of x and one more key. */
static void noted(wire *out, const char *mesh, const char *sharding,
                  const char *key, const char *text) {
  wire g = {0};
  piece_add_nodes(&g);
  if (sharding) add_meta(&g, GRAPH_META, "gshard.sharding:x", sharding);
  piece_with_graph(out, &g);
  add_meta(out, MODEL_META, "gshard.mesh", mesh);
  if (key) add_meta(out, MODEL_META, key, text);
}

#define MESH "mesh {dp=2, tp=2}"
#define NOTED(name, mesh, sharding, key, text)                                 \
  static void name(wire *out) { noted(out, mesh, sharding, key, text); }

NOTED(mesh_text, "dp by tp", NULL, NULL, NULL)
NOTED(mesh_zero, "mesh {dp=0}", NULL, NULL, NULL)
NOTED(mesh_twice, "mesh {dp=2, dp=2}", NULL, NULL, NULL)
NOTED(mesh_huge, "mesh {dp=99999999999}", NULL, NULL, NULL)
NOTED(mesh_product, "mesh {a=4096, b=4096}", NULL, NULL, NULL)
NOTED(order_twice, "mesh {d=4, z=[0,1,1,2]}", NULL, NULL, NULL)
NOTED(order_outside, "mesh {d=4, z=[0,1,2,4]}", NULL, NULL, NULL)
NOTED(order_short, "mesh {d=4, z=[0,1,2]}", NULL, NULL, NULL)
NOTED(order_open, "mesh {d=4, z=[0,1,2,3", NULL, NULL, NULL)
NOTED(order_empty, "mesh {d=4, z=[]}", NULL, NULL, NULL)
NOTED(order_cut, "mesh {d=4, z=[0,1,3,2]:3}", NULL, NULL, NULL)
NOTED(order_first, "mesh {z=[0], d=4}", NULL, NULL, NULL)
NOTED(orders_mixed, "mesh {d=4, z=[0,1,3,2]}", "{d:(1)2,z:(2)2}", NULL, NULL)
NOTED(axis_unknown, MESH, "{ep,~}", NULL, NULL)
NOTED(axis_used_twice, MESH, "{dp,dp}", NULL, NULL)
NOTED(rank_differs, MESH, "{dp}", NULL, NULL)
NOTED(no_sharding, MESH, "{dp,~", NULL, NULL)
NOTED(sub_axis, MESH, "{tp:(1)3,~}", NULL, NULL)
NOTED(ids_twice, MESH, "{dp,~}", "gshard.device_ids", "0,1,1,2")
NOTED(ids_outside, MESH, "{dp,~}", "gshard.device_ids", "0,1,2,9")
NOTED(ids_short, MESH, "{dp,~}", "gshard.device_ids", "0,1")
NOTED(ids_text, MESH, "{dp,~}", "gshard.device_ids", "0,1,x,3")
NOTED(cut_text, MESH, "{dp,~}", "gshard.cuts", "tp")
NOTED(cut_odd, MESH, "{dp,~}", "gshard.cuts", "tp:3")
NOTED(link_negative, MESH, "{dp,~}", "gshard.link", "tp:-1:2")
NOTED(link_nan, MESH, "{dp,~}", "gshard.link", "tp:nan:2")
NOTED(bind_text, MESH, "{dp,~}", "gshard.bind", "n=many")
NOTED(bind_negative, MESH, "{dp,~}", "gshard.bind", "n=-7")

const malformed malformed_devices[] = {
    {"dev-axis-minus-9.onnx", axis_minus_9, 65, "node 'relu'"},
    {"dev-axis-rank.onnx", axis_rank, 65, "axis 2 is out of range"},
    {"dev-axis-huge.onnx", axis_huge, 65, "node 'relu'"},
    {"dev-axis-least.onnx", axis_least, 65, "node 'relu'"},
    {"dev-axis-twice.onnx", axis_given_twice, 65, "axis 0 is given twice"},
    {"dev-shards-minus-1.onnx", shards_minus_1, 65, "num_shards is -1"},
    {"dev-shards-least.onnx", shards_least, 65, "num_shards is"},
    {"dev-shards-none.onnx", no_shards, 65, "num_shards is 0"},
    {"dev-shards-product.onnx", product_overflows, 65, "more than"},
    {"dev-size.onnx", size_differs, 65, "dim_value is 3, the dim has 2"},
    {"dev-symbol.onnx", symbol_empty, 65, "empty dim_param"},
    {"dev-id-minus-1.onnx", id_minus_1, 65, "device -1"},
    {"dev-id-4.onnx", id_4, 65, "device 4"},
    {"dev-id-least.onnx", id_least, 65, "node 'relu'"},
    {"dev-id-most.onnx", id_most, 65, "node 'relu'"},
    {"dev-ids-none.onnx", no_devices, 65, "lists 0 devices for 2"},
    {"dev-no-simple.onnx", no_simple, 65, "no simple_sharding"},
    {"dev-fused.onnx", fused_inside, 69, "sharded inside"},
    {"dev-fused-uneven.onnx", fused_uneven, 69, "first part of 1 is sharded"},
    {"dev-fused-size.onnx", fused_product, 65, "its parts are 4 elements"},
    {"dev-fused-negative.onnx", fused_negative, 65, "dim_value is -2"},
    {"dev-group-itself.onnx", group_itself, 65, "groups do not nest"},
    {"dev-group-cycle.onnx", group_cycle, 65, "groups do not nest"},
    {"dev-group-twice.onnx", group_twice, 65, "group -1 is given twice"},
    {"dev-group-keyless.onnx", group_keyless, 65, "no key"},
    {"dev-group-empty.onnx", group_empty, 65, "group -1 is empty"},
    {"dev-group-overlap.onnx", group_overlap, 65, "device 2 is listed twice"},
    {"dev-group-outside.onnx", group_outside, 65, "device 9"},
    {"dev-tensorless.onnx", tensorless, 65, "node 'relu'"},
    {"dev-config-nameless.onnx", config_nameless, 65, "has no name"},
    {"dev-config-huge.onnx", config_huge, 65, "devices"},
    {"dev-config-negative.onnx", config_negative, 65, "-4 devices"},
    {"dev-config-names.onnx", config_names, 65, "names 3"},
    {"dev-config-repeated.onnx", config_repeated, 65, "two entries"},
    {"dev-mesh-text.onnx", mesh_text, 65, "gshard.mesh"},
    {"dev-mesh-zero.onnx", mesh_zero, 65, "gshard.mesh"},
    {"dev-mesh-twice.onnx", mesh_twice, 65, "gshard.mesh"},
    {"dev-mesh-huge.onnx", mesh_huge, 65, "gshard.mesh"},
    {"dev-mesh-product.onnx", mesh_product, 65, "gshard.mesh"},
    {"dev-order-twice.onnx", order_twice, 65, "gshard.mesh"},
    {"dev-order-outside.onnx", order_outside, 65, "gshard.mesh"},
    {"dev-order-short.onnx", order_short, 65, "gshard.mesh"},
    {"dev-order-open.onnx", order_open, 65, "gshard.mesh"},
    {"dev-order-empty.onnx", order_empty, 65, "gshard.mesh"},
    {"dev-order-cut.onnx", order_cut, 65, "gshard.mesh"},
    {"dev-order-first.onnx", order_first, 65, "gshard.mesh"},
    {"dev-orders-mixed.onnx", orders_mixed, 65, "gshard.sharding:x"},
    {"dev-axis-unknown.onnx", axis_unknown, 65, "gshard.sharding:x"},
    {"dev-axis-used-twice.onnx", axis_used_twice, 65, "gshard.sharding:x"},
    {"dev-rank.onnx", rank_differs, 65, "gshard.sharding:x"},
    {"dev-sharding.onnx", no_sharding, 65, "gshard.sharding:x"},
    {"dev-sub-axis.onnx", sub_axis, 65, "gshard.sharding:x"},
    {"dev-ids-twice.onnx", ids_twice, 65, "gshard.device_ids"},
    {"dev-ids-outside.onnx", ids_outside, 65, "gshard.device_ids"},
    {"dev-ids-short.onnx", ids_short, 65, "gshard.device_ids"},
    {"dev-ids-text.onnx", ids_text, 65, "gshard.device_ids"},
    {"dev-cut-text.onnx", cut_text, 65, "gshard.cuts"},
    {"dev-cut-odd.onnx", cut_odd, 65, "gshard.mesh"},
    {"dev-link-negative.onnx", link_negative, 65, "gshard.link"},
    {"dev-link-nan.onnx", link_nan, 65, "gshard.link"},
    {"dev-bind-text.onnx", bind_text, 65, "gshard.bind"},
    {"dev-bind-negative.onnx", bind_negative, 65, "gshard.bind"},
};
const int malformed_ndevices =
    (int)(sizeof malformed_devices / sizeof *malformed_devices);
