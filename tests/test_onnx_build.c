/* Models made from graphs, and multi-device annotations in them. */
#include <string.h>

#include "fixture.h"
#include "io/onnx/onnx_build.h"

/* ---- building ---- */

static const char graph_text[] =
    "graph \"graph\"\n"
    "input x : f32[4,8]\n"
    "constant w : f32[8] = [1, 2, 3, 4, 5, 6, 7, 8]\n"
    "h = Add(x, w) : f32[4,8]\n"
    "y = Relu(h) : f32[4,8]\n"
    "output y\n";

static gs_graph *parse_graph(const char *s) {
  gs_graph *g = NULL;
  gs_status st = gs_graph_parse(&arena, s, "text", &g, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  return g;
}

static const char *print_graph(const gs_graph *g) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_graph_print(&b, g);
  return b.at;
}

START_TEST(build) {
  gs_graph *g = parse_graph(print_graph(parse_graph(graph_text)));
  gs_tensor *big;
  int64_t dims[2] = {100, 100};
  ck_assert_int_eq(gs_tensor_new(&arena, GS_DOUBLE, 2, dims, &big, &err), 0);
  ((double *)(uintptr_t)big->data)[9999] = 42;
  gs_value *v = gs_value_constant(g, "big", big);
  gs_node *n = gs_node_new(g, "ai.gshard", "Thing", "thing", 1, 1);
  n->in[0] = v;
  gs_node_output(n, 0, gs_value_new(g, "t", GS_DOUBLE, 2, dims));
  gs_node_set_string(g, n, "axes", "[dp,tp]");
  gs_node_set_ints(g, n, "group", (const int64_t[]){0, 2}, 2);
  n->origin = "why";
  gs_node_out(n, 0)->is_output = true;
  *gs_push(&arena, &g->output) = gs_node_out(n, 0);
  const char *domains[] = {"", "ai.gshard"};
  const int64_t versions[] = {22, 1};
  const char *key = "gshard.mesh", *value = "mesh {dp=2}";
  gs_model_info info = {.producer_name = "gshard", .nopset = 2,
                        .opset_domain = domains, .opset_version = versions,
                        .nmeta = 1, .meta_key = &key, .meta_value = &value};
  gs_model *m, *m2;
  ck_assert_int_eq(gs_model_from_graph(&arena, g, &info, &m, &err), 0);
  ck_assert_str_eq(gs_model_meta(m, "gshard.mesh"), "mesh {dp=2}");
  ck_assert_int_eq(gs_model_write(m, in_dir("p.onnx"), &err), 0);
  gs_graph *back = open_graph(in_dir("p.onnx"), &m2);
  const gs_tensor *t = gs_graph_find(back, "big")->constant;
  ck_assert_ptr_nonnull(t->file);
  ck_assert_mem_eq(gs_tensor_bytes(t), big->data, big->nbytes);
  ck_assert_str_eq(gs_node_string(back->node.at[2], "axes", ""), "[dp,tp]");
  ck_assert_str_eq(back->node.at[2]->origin, "why");
  ck_assert_int_eq(back->node.at[2]->opset, 1);
  ck_assert_str_eq(print_graph(back), print_graph(g));
  gs_model_close(m2);
}
END_TEST

/* ---- multi-device annotations ---- */

static const char *hex(const ProtobufCMessage *msg) {
  size_t n = protobuf_c_message_get_packed_size(msg);
  uint8_t *p = gs_alloc(&arena, n);
  protobuf_c_message_pack(msg, p);
  gs_buf b;
  gs_buf_init(&b, &arena);
  for (size_t i = 0; i < n; i++) gs_buf_printf(&b, "%02x", p[i]);
  return b.at;
}

/* Devices of the sharding as "device;key:values;..." */
static const char *devices(const char *mesh, const char *sharding) {
  gs_model *m;
  gs_graph *g = annotated(&m, mesh, sharding);
  ck_assert_msg(!gs_model_annotate(m, g, NULL, &err), "%s", messages());
  const Onnx__ShardingSpecProto *s =
      m->proto->graph->node[0]->device_configurations[0]->sharding_spec[0];
  gs_buf b;
  gs_buf_init(&b, &arena);
  for (size_t i = 0; i < s->n_sharded_dim; i++)
    gs_buf_printf(&b, "%lldx%lld ", (long long)s->sharded_dim[i]->axis,
                  (long long)s->sharded_dim[i]->simple_sharding[0]->num_shards);
  for (size_t i = 0; i < s->n_device; i++)
    gs_buf_printf(&b, "%s%lld", i ? "," : "", (long long)s->device[i]);
  for (size_t i = 0; i < s->n_index_to_device_group_map; i++) {
    const Onnx__IntIntListEntryProto *x = s->index_to_device_group_map[i];
    gs_buf_printf(&b, " %lld:", (long long)x->key);
    for (size_t k = 0; k < x->n_value; k++)
      gs_buf_printf(&b, "%s%lld", k ? "," : "", (long long)x->value[k]);
  }
  return b.at;
}

START_TEST(encodings) {
  const char *mesh = "mesh {dp=2, tp=4}";
  ck_assert_str_eq(devices(mesh, "{~,tp}"),
                   "1x4 -1,-2,-3,-4 -1:0,4 -2:1,5 -3:2,6 -4:3,7");
  ck_assert_str_eq(devices(mesh, "{dp,tp}"), "0x2 1x4 0,1,2,3,4,5,6,7");
  ck_assert_str_eq(devices(mesh, "{[dp,tp],~}"), "0x8 0,1,2,3,4,5,6,7");
  ck_assert_str_eq(devices(mesh, "{[tp,dp],~}"), "0x8 0,4,1,5,2,6,3,7");
  ck_assert_str_eq(devices(mesh, "{~,~}"), "-1 -1:0,1,2,3,4,5,6,7");
}
END_TEST

START_TEST(golden_bytes) {
  gs_model *m;
  gs_graph *g = annotated(&m, "mesh {tp=2, x=2}", "{~,tp}");
  for (int i = 0; i < g->value.n; i++) g->value.at[i]->rank = -1;
  for (int i = 0; i < g->value.n; i++) g->value.at[i]->sharding->rank = 2;
  gs_annotate_options opt = {.configuration = "c"};
  /* The dims are not known: no dim_value is written. */
  g->value.at[0]->name = "w";
  ck_assert_int_eq(gs_model_annotate(m, g, &opt, &err), 0);
  const Onnx__NodeProto *add = m->proto->graph->node[1];
  ck_assert_str_eq(
      hex(&add->device_configurations[0]->sharding_spec[1]->base),
      "0a0177" /* "w" where the golden has "W" */
      "10ffffffffffffffffff0110feffffffffffffffff01"
      "1a0f08ffffffffffffffffff0110001001"
      "1a0f08feffffffffffffffff0110021003"
      "22060801"
      "12021802");
  Onnx__SimpleShardedDimProto x = ONNX__SIMPLE_SHARDED_DIM_PROTO__INIT;
  Onnx__SimpleShardedDimProto *xs = &x;
  Onnx__ShardedDimProto d = ONNX__SHARDED_DIM_PROTO__INIT, *ds = &d;
  Onnx__ShardingSpecProto s = ONNX__SHARDING_SPEC_PROTO__INIT, *ss = &s;
  Onnx__NodeDeviceConfigurationProto c =
      ONNX__NODE_DEVICE_CONFIGURATION_PROTO__INIT;
  int64_t ids[] = {0, 1};
  x.dim_case = ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_VALUE;
  x.dim_value = 4;
  x.has_num_shards = d.has_axis = c.has_pipeline_stage = 1;
  x.num_shards = 2;
  d.n_simple_sharding = s.n_sharded_dim = c.n_sharding_spec = 1;
  d.simple_sharding = &xs;
  s.sharded_dim = &ds;
  s.tensor_name = (char *)(uintptr_t) "W";
  s.n_device = 2;
  s.device = ids;
  c.sharding_spec = &ss;
  c.configuration_id = (char *)(uintptr_t) "c";
  ck_assert_str_eq(hex(&c.base), "0a0163"
                                 "12110a0157100010012208080012040804"
                                 "1802"
                                 "1800");
}
END_TEST

static const char *origin(void *user, const gs_value *v) {
  return gs_sprintf(user, "spec.yaml:3 for %s", v->name);
}

/* Writes, reads from the file, and returns the text of x's sharding. */
static const char *through_file(const char *mesh_text, const char *sharding,
                                bool standard_only) {
  gs_model *m;
  gs_graph *g = annotated(&m, mesh_text, sharding);
  const char *name = "batch";
  const int64_t sixteen = 16;
  gs_annotate_options opt = {.standard_only = standard_only, .origin = origin,
                             .user = &arena, .nbind = 1, .bind_name = &name,
                             .bind_value = &sixteen};
  for (int i = 0; i < 2; i++) /* the second call replaces the first */
    ck_assert_msg(!gs_model_annotate(m, g, &opt, &err), "%s", messages());
  ck_assert_int_eq(gs_model_write(m, in_dir("a.onnx"), &err), 0);
  gs_mesh *mesh;
  g = open_graph(in_dir("a.onnx"), &m);
  for (int i = 0; i < g->value.n; i++) /* as shape inference would */
    gs_value_shape(g, g->value.at[i], 2, (const int64_t[]){2, 2});
  ck_assert_int_ge(gs_model_ir_version(m), 11);
  gs_status read = gs_model_shardings(m, g, &arena, NULL, &mesh, NULL, &err);
  ck_assert_msg(!read, "%s", messages());
  ck_assert_uint_eq(m->proto->graph->node[0]->n_device_configurations, 1);
  ck_assert_uint_eq(m->proto->n_configuration, 1);
  const char *const *names;
  const int64_t *values;
  int nbind;
  ck_assert_int_eq(gs_model_binds(m, &arena, &names, &values, &nbind, &err),
                   0);
  ck_assert_int_eq(nbind, !standard_only);
  if (nbind) ck_assert_str_eq(names[0], "batch");
  if (nbind) ck_assert_int_eq(values[0], 16);
  if (!standard_only)
    ck_assert_str_eq(gs_model_graph_meta(m, "gshard.origin:x"),
                     "spec.yaml:3 for x");
  ck_assert_ptr_eq(g->mesh, mesh);
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_mesh_print(&b, mesh);
  gs_buf_char(&b, ' ');
  gs_sharding_print(&b, mesh, gs_graph_find(g, "x")->sharding);
  gs_model_close(m);
  return b.at;
}

START_TEST(annotations_back) {
  const char *const texts[] = {"{dp,tp}", "{dp?,~}", "{tp:(1)2!1,?}",
                               "{~,tp} partial(sum,dp)", "{[tp,dp],~}"};
  for (int i = 0; i < 5; i++)
    ck_assert_str_eq(through_file("mesh {dp=2, tp=4}", texts[i], false),
                     gs_sprintf(&arena, "mesh {dp=2, tp=4} %s", texts[i]));
}
END_TEST

START_TEST(inferred_mesh) {
  ck_assert_str_eq(through_file("mesh {dp=2, tp=4}", "{dp,tp}", true),
                   "mesh {d0=2, d1=4} {d0,d1}");
  ck_assert_str_eq(through_file("mesh {dp=2, tp=4}", "{[tp,dp],~}", true),
                   "mesh {d0=2, d1=4} {[d1,d0],~}");
  ck_assert_str_eq(through_file("mesh {a=3, b=2, c=2}", "{c,a}", true),
                   "mesh {d0=3, d1=2, d2=2} {d2,d0}");
  ck_assert_str_eq(through_file("mesh {a=3, b=2, c=2}", "{[a,c],b}", true),
                   "mesh {d0=3, d1=2, d2=2} {[d0,d2],d1}");
  ck_assert_str_eq(through_file("mesh {a=8}", "{~,~}", true),
                   "mesh {d0=8} {~,~}");
  ck_assert_str_eq(through_file("mesh {a=6}", "{a:(2)3,~}", true),
                   "mesh {d0=2, d1=3} {d1,~}");
}
END_TEST

int main(void) {
  TCase *t = tcase_create("onnx_build");
  tcase_add_checked_fixture(t, setup_dir, teardown_dir);
  tcase_add_test(t, build);
  tcase_add_test(t, encodings);
  tcase_add_test(t, golden_bytes);
  tcase_add_test(t, annotations_back);
  tcase_add_test(t, inferred_mesh);
  return suite_run("onnx_build", t);
}
