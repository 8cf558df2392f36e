/* Shardings into the model: ONNX's multi-device fields (IR 11) for what they
 * can say, metadata for the rest.  Conventions where the standard leaves a
 * choice: dims ascending, blocks row-major over the listed dims, group keys
 * -1, -2, ... for blocks that several devices hold, device lists as long as
 * the product of the shards. */
#include <inttypes.h>
#include <string.h>

#include "io/onnx/onnx_shard.h"

#include "base/assert.h"

typedef struct annotator {
  gs_model *m;
  const gs_graph *g;
  const gs_mesh *mesh;
  const gs_annotate_options *opt;
  const char *configuration;
  bool fields;    /* write the standard fields */
  int tensors, split; /* with metadata; of those, not replicated */
  bool any;       /* the configuration is used by a node */
  size_t *stated; /* [nvalue] 1 + the last node that states it */
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
  gs_assert(blocks * each == mesh->ndevice);
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
    gs_assert(x->n_value < (size_t)each);
    x->value[x->n_value++] = device_id(mesh, p);
  }
  return d;
}

static const devices *devices_of(annotator *w, const gs_axes *axes) {
  char key[GS_MAX_SUBS + 1];
  gs_assert(axes->n <= GS_MAX_SUBS);
  for (int i = 0; i < axes->n; i++) key[i] = (char)('A' + axes->at[i]);
  key[axes->n] = 0;
  devices *d = gs_map_get(&w->lists, key);
  if (!d) gs_map_put(&w->lists, key, d = list_devices(w, axes));
  return d;
}

static Onnx__ShardedDimProto *sharded_dim(annotator *w, const gs_value *v,
                                          int d, int64_t shards) {
  gs_arena *a = w->m->arena;
  Onnx__ShardedDimProto *p = GS_NEW(a, Onnx__ShardedDimProto);
  onnx__sharded_dim_proto__init(p);
  p->has_axis = 1;
  p->axis = d;
  Onnx__SimpleShardedDimProto *s = GS_NEW(a, Onnx__SimpleShardedDimProto);
  onnx__simple_sharded_dim_proto__init(s);
  s->has_num_shards = 1;
  s->num_shards = shards;
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

static Onnx__ShardingSpecProto *sharding_spec(annotator *w, const gs_value *v,
                                              const gs_sharding *s) {
  gs_arena *a = w->m->arena;
  Onnx__ShardingSpecProto *p = GS_NEW(a, Onnx__ShardingSpecProto);
  onnx__sharding_spec_proto__init(p);
  p->tensor_name = gs_strdup(a, v->name);
  gs_axes all = {0};
  p->sharded_dim = GS_NEWS(a, s->rank, Onnx__ShardedDimProto *);
  for (int d = 0; d < s->rank; d++) {
    if (!s->dim[d].axes.n) continue;
    all = gs_axes_cat(&all, &s->dim[d].axes);
    p->sharded_dim[p->n_sharded_dim++] =
        sharded_dim(w, v, d, gs_axes_size(w->mesh, &s->dim[d].axes));
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
                     size_t number, const gs_node *node, const char *name) {
  const gs_value *v = *name ? gs_graph_find(w->g, name) : NULL;
  if (!v || !v->sharding || w->stated[v->id] == number) return;
  gs_assert(w->stated[v->id] < number);
  w->stated[v->id] = number;
  c->sharding_spec[c->n_sharding_spec++] =
      sharding_spec(w, v, gs_use_sharding_of(w->g, node, v));
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

static void annotate_node(annotator *w, Onnx__NodeProto *n, size_t number) {
  gs_arena *a = w->m->arena;
  drop_old(w->configuration, n);
  Onnx__NodeDeviceConfigurationProto *c =
      GS_NEW(a, Onnx__NodeDeviceConfigurationProto);
  onnx__node_device_configuration_proto__init(c);
  c->configuration_id = gs_strdup(a, w->configuration);
  c->sharding_spec =
      GS_NEWS(a, n->n_input + n->n_output, Onnx__ShardingSpecProto *);
  const gs_value *v = n->n_output ? gs_graph_find(w->g, n->output[0]) : NULL;
  const gs_node *node = v ? v->def : NULL;
  for (size_t i = 0; w->fields && i < n->n_input; i++)
    add_spec(w, c, number, node, n->input[i]);
  for (size_t i = 0; w->fields && i < n->n_output; i++)
    add_spec(w, c, number, NULL, n->output[i]);
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
  w->any = true;
}

/* Declares the configuration in place of an older one. */
static void set_configuration(annotator *w) {
  gs_arena *a = w->m->arena;
  Onnx__ModelProto *p = w->m->proto;
  size_t k = 0;
  for (size_t i = 0; i < p->n_configuration; i++)
    if (!p->configuration[i]->name ||
        strcmp(p->configuration[i]->name, w->configuration))
      p->configuration[k++] = p->configuration[i];
  p->n_configuration = k;
  if (!w->any) return;
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

/* ---- metadata ---- */

typedef struct props {
  size_t n;
  Onnx__StringStringEntryProto **at;
} props;

static bool is_ours(const char *key) {
  static const char *const prefix[] = {GS_KEY_SHARDING, GS_KEY_ORIGIN,
                                       GS_KEY_USE, GS_KEY_RULE};
  for (size_t i = 0; key && i < sizeof prefix / sizeof *prefix; i++)
    if (!strncmp(key, prefix[i], strlen(prefix[i]))) return true;
  return false;
}

static bool is_replica(const gs_graph *g, const gs_value *v) {
  for (int i = 0; i < g->use_sharding.n; i++)
    if (g->use_sharding.at[i].own == v) return true;
  return false;
}

static const char *sharding_text(annotator *w, const gs_value *v) {
  return gs_sharding_text(w->m->arena, w->mesh, v->sharding);
}

static void put_value(annotator *w, props *to, const gs_value *v) {
  gs_arena *a = w->m->arena;
  if (!v->sharding || is_replica(w->g, v)) return;
  w->tensors++;
  w->split += !gs_sharding_is_replicated(v->sharding);
  to->at[to->n++] = gs_sse_new(
      a, gs_sprintf(a, GS_KEY_SHARDING "%s", v->name), sharding_text(w, v));
  const char *from = w->opt->origin ? w->opt->origin(w->opt->user, v) : NULL;
  if (from)
    to->at[to->n++] =
        gs_sse_new(a, gs_sprintf(a, GS_KEY_ORIGIN "%s", v->name), from);
}

/* The name of a node's first result, which names the node; NULL: none. */
static const char *result_name(const gs_node *n) {
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) return n->out[i]->name;
  return NULL;
}

static void put_uses(annotator *w, props *to) {
  gs_arena *a = w->m->arena;
  for (int i = 0; i < w->g->use_sharding.n; i++) {
    const gs_use_sharding *u = &w->g->use_sharding.at[i];
    const char *name = result_name(u->node);
    if (!u->own || !name) continue;
    to->at[to->n++] =
        gs_sse_new(a, gs_sprintf(a, GS_KEY_USE "%s:%d", name, u->operand),
                   sharding_text(w, u->own));
  }
  for (int i = 0; i < w->g->node.n; i++) {
    const gs_node *n = w->g->node.at[i];
    const char *name = result_name(n);
    if (n->rule && name)
      to->at[to->n++] =
          gs_sse_new(a, gs_sprintf(a, GS_KEY_RULE "%s", name), n->rule);
  }
}

/* The metadata of an earlier call is dropped, then written anew. */
static void write_values(annotator *w) {
  Onnx__GraphProto *p = w->m->proto->graph;
  size_t max = p->n_metadata_props + 2 * (size_t)w->g->value.n +
                (size_t)w->g->use_sharding.n + (size_t)w->g->node.n;
  props to = {0, GS_NEWS(w->m->arena, max, Onnx__StringStringEntryProto *)};
  for (size_t i = 0; i < p->n_metadata_props; i++)
    if (!is_ours(p->metadata_props[i]->key))
      to.at[to.n++] = p->metadata_props[i];
  if (!w->opt->standard_only) {
    for (int i = 0; i < w->g->value.n; i++)
      put_value(w, &to, w->g->value.at[i]);
    put_uses(w, &to);
  }
  gs_assert(to.n <= max);
  p->metadata_props = to.at;
  p->n_metadata_props = to.n;
}

/* Declared shapes that did not come out become those that did, or go. */
static void correct_value(annotator *w, Onnx__ValueInfoProto *p, bool inner) {
  if (!p->name || !p->type || !gs_map_has(w->g->stale, p->name)) return;
  if (p->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) return;
  const gs_value *v = inner ? NULL : gs_graph_find(w->g, p->name);
  p->type->tensor_type->shape =
      v && v->rank >= 0 ? gs_shape_proto(w->m->arena, v) : NULL;
}

static void correct_shapes(annotator *w, Onnx__GraphProto *p, bool inner) {
  for (size_t i = 0; i < p->n_value_info; i++)
    correct_value(w, p->value_info[i], inner);
  for (size_t i = 0; i < p->n_output; i++)
    correct_value(w, p->output[i], inner);
  for (size_t i = 0; i < p->n_node; i++)
    for (size_t k = 0; k < p->node[i]->n_attribute; k++) {
      const Onnx__AttributeProto *at = p->node[i]->attribute[k];
      if (at->g) correct_shapes(w, at->g, true);
    }
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

static gs_status write_mesh(annotator *w) {
  GS_TRY(gs_mesh_write(w->m, w->mesh, w->e));
  gs_model_meta_set(w->m, GS_KEY_ANNOTATED,
                    gs_annotated_text(w->m->arena, w->tensors, w->split,
                                      w->fields && w->any ? w->configuration
                                                         : NULL));
  return GS_OK;
}

gs_status gs_model_annotate(gs_model *m, const gs_graph *g,
                            const gs_annotate_options *opt, gs_err *e) {
  gs_annotate_options defaults = {0};
  if (!opt) opt = &defaults;
  if (!g->mesh)
    return gs_fail(e, GS_INTERNAL, m->path, "annotations without a mesh");
  annotator w = {.m = m, .g = g, .mesh = g->mesh, .opt = opt, .e = e};
  w.configuration = opt->configuration ? opt->configuration : GS_CONFIGURATION;
  w.fields = opt->standard_only || opt->fields == GS_FIELDS_YES ||
             (opt->fields == GS_FIELDS_AUTO &&
              g->mesh->ndevice <= GS_FIELDS_DEVICES);
  w.stated = GS_NEWS(m->arena, g->value.n + 1, size_t);
  gs_map_init(&w.lists, m->arena);
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (v->sharding)
      GS_TRY(gs_sharding_check(g->mesh, v->sharding, v->rank, v->name, e));
  }
  for (size_t i = 0; i < m->proto->graph->n_node; i++)
    annotate_node(&w, m->proto->graph->node[i], i + 1);
  set_configuration(&w);
  write_values(&w);
  write_binds(&w);
  if (g->stale && g->stale->n) correct_shapes(&w, m->proto->graph, false);
  gs_mesh_forget(m);
  if (!opt->standard_only) GS_TRY(write_mesh(&w));
  int64_t min = w.any ? GS_IR_DEVICES : GS_IR_METADATA;
  if (m->proto->ir_version < min) m->proto->ir_version = min;
  return GS_OK;
}
