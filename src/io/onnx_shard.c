/* Shardings into the model: ONNX's multi-device fields (IR 11) for what they
 * can say, metadata for the rest.  Conventions where the standard leaves a
 * choice: dims ascending, blocks row-major over the listed dims, group keys
 * -1, -2, ... for blocks that several devices hold, device lists as long as
 * the product of the shards. */
#include <inttypes.h>
#include <string.h>

#include "io/onnx_shard.h"

typedef struct annotator {
  gs_model *m;
  const gs_graph *g;
  const gs_mesh *mesh;
  const gs_annotate_options *opt;
  const char *configuration;
  gs_map lists; /* axes -> device list: values split alike share theirs */
  gs_err *e;
} annotator;

/* The devices of every block. */
typedef struct devices {
  size_t n, ngroup;
  int64_t *device;
  Onnx__IntIntListEntryProto **group;
} devices;

static int64_t device_id(const gs_mesh *m, int64_t position) {
  return m->device_ids ? m->device_ids[position] : position;
}

/* Cost O(devices). */
static devices *list_devices(annotator *w, const gs_axes *axes) {
  gs_arena *a = w->m->arena;
  const gs_mesh *mesh = w->mesh;
  int64_t blocks = gs_axes_size(mesh, axes), each = mesh->ndevice / blocks;
  devices *d = GS_NEW(a, devices);
  d->n = (size_t)blocks;
  d->device = GS_NEWS(a, blocks, int64_t);
  if (each == 1) {
    for (int64_t p = 0; p < mesh->ndevice; p++)
      d->device[gs_axes_index(mesh, axes, p)] = device_id(mesh, p);
    return d;
  }
  d->ngroup = d->n;
  d->group = GS_NEWS(a, blocks, Onnx__IntIntListEntryProto *);
  for (int64_t i = 0; i < blocks; i++) {
    Onnx__IntIntListEntryProto *x = GS_NEW(a, Onnx__IntIntListEntryProto);
    onnx__int_int_list_entry_proto__init(x);
    x->has_key = 1;
    x->key = d->device[i] = -1 - i;
    x->value = GS_NEWS(a, each, int64_t);
    d->group[i] = x;
  }
  for (int64_t p = 0; p < mesh->ndevice; p++) {
    Onnx__IntIntListEntryProto *x = d->group[gs_axes_index(mesh, axes, p)];
    x->value[x->n_value++] = device_id(mesh, p);
  }
  return d;
}

static const devices *devices_of(annotator *w, const gs_axes *axes) {
  char key[GS_MAX_SUBS + 1];
  for (int i = 0; i < axes->n; i++) key[i] = (char)('A' + axes->at[i]);
  key[axes->n] = 0;
  devices *d = gs_map_get(&w->lists, key);
  if (!d) gs_map_put(&w->lists, key, d = list_devices(w, axes));
  return d;
}

static Onnx__ShardedDimProto *sharded_dim(annotator *w, const gs_value *v,
                                          int d) {
  gs_arena *a = w->m->arena;
  Onnx__ShardedDimProto *p = GS_NEW(a, Onnx__ShardedDimProto);
  onnx__sharded_dim_proto__init(p);
  p->has_axis = 1;
  p->axis = d;
  Onnx__SimpleShardedDimProto *s = GS_NEW(a, Onnx__SimpleShardedDimProto);
  onnx__simple_sharded_dim_proto__init(s);
  s->has_num_shards = 1;
  s->num_shards = gs_axes_size(w->mesh, &v->sharding->dim[d].axes);
  if (v->rank > d && v->dims[d] >= 0) {
    s->dim_case = ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_VALUE;
    s->dim_value = v->dims[d];
  } else if (v->rank > d && v->dim_names && v->dim_names[d]) {
    s->dim_case = ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_PARAM;
    s->dim_param = gs_strdup(a, v->dim_names[d]);
  }
  p->n_simple_sharding = 1;
  p->simple_sharding = GS_NEWS(a, 1, Onnx__SimpleShardedDimProto *);
  p->simple_sharding[0] = s;
  return p;
}

static Onnx__ShardingSpecProto *sharding_spec(annotator *w, const char *name,
                                              const gs_value *v) {
  gs_arena *a = w->m->arena;
  Onnx__ShardingSpecProto *p = GS_NEW(a, Onnx__ShardingSpecProto);
  onnx__sharding_spec_proto__init(p);
  p->tensor_name = gs_strdup(a, name);
  const gs_sharding *s = v->sharding;
  gs_axes all = {0};
  p->sharded_dim = GS_NEWS(a, s->rank, Onnx__ShardedDimProto *);
  for (int d = 0; d < s->rank; d++) {
    if (!s->dim[d].axes.n) continue;
    all = gs_axes_cat(&all, &s->dim[d].axes);
    p->sharded_dim[p->n_sharded_dim++] = sharded_dim(w, v, d);
  }
  const devices *list = devices_of(w, &all);
  p->n_device = list->n;
  p->device = list->device;
  p->n_index_to_device_group_map = list->ngroup;
  p->index_to_device_group_map = list->group;
  return p;
}

/* Adds the tensor unless it is there (a node may use it twice). */
static void add_spec(annotator *w, Onnx__NodeDeviceConfigurationProto *c,
                     const char *name) {
  const gs_value *v = *name ? gs_graph_find(w->g, name) : NULL;
  if (!v || !v->sharding) return;
  for (size_t i = 0; i < c->n_sharding_spec; i++)
    if (!strcmp(c->sharding_spec[i]->tensor_name, name)) return;
  c->sharding_spec[c->n_sharding_spec++] = sharding_spec(w, name, v);
}

/* Drops the configuration that an earlier call wrote. */
static void drop_old(const char *name, Onnx__NodeProto *n) {
  size_t k = 0;
  for (size_t i = 0; i < n->n_device_configurations; i++) {
    Onnx__NodeDeviceConfigurationProto *c = n->device_configurations[i];
    if (!c->configuration_id || strcmp(c->configuration_id, name))
      n->device_configurations[k++] = c;
  }
  n->n_device_configurations = k;
}

static void annotate_node(annotator *w, Onnx__NodeProto *n) {
  gs_arena *a = w->m->arena;
  drop_old(w->configuration, n);
  Onnx__NodeDeviceConfigurationProto *c =
      GS_NEW(a, Onnx__NodeDeviceConfigurationProto);
  onnx__node_device_configuration_proto__init(c);
  c->configuration_id = gs_strdup(a, w->configuration);
  c->sharding_spec =
      GS_NEWS(a, n->n_input + n->n_output, Onnx__ShardingSpecProto *);
  for (size_t i = 0; i < n->n_input; i++) add_spec(w, c, n->input[i]);
  for (size_t i = 0; i < n->n_output; i++) add_spec(w, c, n->output[i]);
  const gs_value *v = n->n_output ? gs_graph_find(w->g, n->output[0]) : NULL;
  if (v && v->def && v->def->stage >= 0) {
    c->has_pipeline_stage = 1;
    c->pipeline_stage = v->def->stage;
  }
  if (!c->n_sharding_spec && !c->has_pipeline_stage) return;
  size_t k = n->n_device_configurations;
  Onnx__NodeDeviceConfigurationProto **list =
      GS_NEWS(a, k + 1, Onnx__NodeDeviceConfigurationProto *);
  if (k) memcpy(list, n->device_configurations, k * sizeof *list);
  list[k] = c;
  n->device_configurations = list;
  n->n_device_configurations = k + 1;
}

static void add_configuration(annotator *w) {
  gs_arena *a = w->m->arena;
  Onnx__ModelProto *p = w->m->proto;
  size_t k = 0;
  for (size_t i = 0; i < p->n_configuration; i++)
    if (!p->configuration[i]->name ||
        strcmp(p->configuration[i]->name, w->configuration))
      p->configuration[k++] = p->configuration[i];
  int64_t n = w->mesh->ndevice;
  for (int64_t i = 0; i < w->mesh->ndevice; i++)
    if (device_id(w->mesh, i) >= n) n = device_id(w->mesh, i) + 1;
  Onnx__DeviceConfigurationProto *c =
      GS_NEW(a, Onnx__DeviceConfigurationProto);
  onnx__device_configuration_proto__init(c);
  c->name = gs_strdup(a, w->configuration);
  c->has_num_devices = 1;
  c->num_devices = (int32_t)n;
  Onnx__DeviceConfigurationProto **list =
      GS_NEWS(a, k + 1, Onnx__DeviceConfigurationProto *);
  if (k) memcpy(list, p->configuration, k * sizeof *list);
  list[k] = c;
  p->configuration = list;
  p->n_configuration = k + 1;
}

/* The metadata of an earlier call is dropped, then written anew. */
static gs_status write_values(annotator *w) {
  gs_arena *a = w->m->arena;
  Onnx__GraphProto *p = w->m->proto->graph;
  size_t k = 0, most = p->n_metadata_props + 2 * (size_t)w->g->value.n;
  Onnx__StringStringEntryProto **list =
      GS_NEWS(a, most, Onnx__StringStringEntryProto *);
  for (size_t i = 0; i < p->n_metadata_props; i++) {
    const char *key = p->metadata_props[i]->key;
    if (key && (!strncmp(key, GS_KEY_SHARDING, strlen(GS_KEY_SHARDING)) ||
                !strncmp(key, GS_KEY_ORIGIN, strlen(GS_KEY_ORIGIN))))
      continue;
    list[k++] = p->metadata_props[i];
  }
  for (int i = 0; i < w->g->value.n && !w->opt->standard_only; i++) {
    const gs_value *v = w->g->value.at[i];
    if (!v->sharding) continue;
    list[k++] = gs_sse_new(a, gs_sprintf(a, GS_KEY_SHARDING "%s", v->name),
                           gs_sharding_text(a, w->mesh, v->sharding));
    const char *from = w->opt->origin ? w->opt->origin(w->opt->user, v) : NULL;
    if (from)
      list[k++] = gs_sse_new(a, gs_sprintf(a, GS_KEY_ORIGIN "%s", v->name),
                             from);
  }
  p->metadata_props = list;
  p->n_metadata_props = k;
  return GS_OK;
}

static void write_binds(annotator *w) {
  gs_buf b;
  gs_buf_init(&b, w->m->arena);
  for (int i = 0; i < w->opt->nbind; i++)
    gs_buf_printf(&b, "%s=%" PRId64 "\n", w->opt->bind_name[i],
                  w->opt->bind_value[i]);
  bool none = !b.n || w->opt->standard_only;
  gs_model_meta_set(w->m, "gshard.bind", none ? NULL : b.at);
}

gs_status gs_model_annotate(gs_model *m, const gs_graph *g,
                            const gs_annotate_options *opt, gs_err *e) {
  gs_annotate_options defaults = {0};
  if (!opt) opt = &defaults;
  if (!g->mesh)
    return gs_fail(e, GS_INTERNAL, m->path, "annotations without a mesh");
  annotator w = {.m = m, .g = g, .mesh = g->mesh, .opt = opt, .e = e};
  w.configuration = opt->configuration ? opt->configuration : GS_CONFIGURATION;
  gs_map_init(&w.lists, m->arena);
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (v->sharding)
      GS_TRY(gs_sharding_check(g->mesh, v->sharding, v->rank, v->name, e));
  }
  add_configuration(&w);
  for (size_t i = 0; i < m->proto->graph->n_node; i++)
    annotate_node(&w, m->proto->graph->node[i]);
  GS_TRY(write_values(&w));
  write_binds(&w);
  gs_mesh_forget(m);
  if (!opt->standard_only) GS_TRY(gs_mesh_write(m, g->mesh, e));
  if (m->proto->ir_version < 11) m->proto->ir_version = 11;
  return GS_OK;
}
