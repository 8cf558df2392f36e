#include "edit_model.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/onnx/onnx.pb-c.h"

typedef Onnx__ModelProto model;
typedef Onnx__NodeProto node;
typedef Onnx__NodeDeviceConfigurationProto config;

/* The memory of a model ends with the process: an edited message points into
 * what was unpacked and into what is not.  All of it hangs on a list. */
typedef struct block {
  struct block *next;
  max_align_t data[];
} block;
static block *blocks;

static void *some(size_t n) {
  block *b = calloc(1, sizeof *b + n);
  if (!b) exit(1);
  b->next = blocks;
  blocks = b;
  return b->data;
}

static void *take(void *unused, size_t n) {
  (void)unused;
  return some(n);
}

static void give(void *unused, void *p) {
  (void)unused;
  (void)p;
}

static char *prefixed(const char *s) {
  char *t = some(strlen(s) + 3);
  sprintf(t, "p/%s", s);
  return t;
}

/* Simplifiers and converters keep the metadata of the model alone. */
static void lose_metadata(model *m) { m->graph->n_metadata_props = 0; }

static void lose_fields(model *m) {
  for (size_t i = 0; i < m->graph->n_node; i++)
    m->graph->node[i]->n_device_configurations = 0;
}

static void lose_all(model *m) {
  lose_metadata(m);
  lose_fields(m);
}

static void lose_node(model *m) {
  m->graph->node[0]->n_device_configurations = 0;
}

static void lose_configuration(model *m) { m->n_configuration = 0; }

/* Of every second tensor: each has a sharding and an origin. */
static void lose_half(model *m) {
  size_t k = 0;
  for (size_t i = 0; i < m->graph->n_metadata_props; i += 4)
    m->graph->metadata_props[k++] = m->graph->metadata_props[i];
  m->graph->n_metadata_props = k;
}

/* As written by a version that did not count tensors. */
static void lose_count(model *m) {
  size_t k = 0;
  for (size_t i = 0; i < m->n_metadata_props; i++)
    if (strcmp(m->metadata_props[i]->key, "gshard.annotated"))
      m->metadata_props[k++] = m->metadata_props[i];
  m->n_metadata_props = k;
}

static void lose_all_and_count(model *m) {
  lose_all(m);
  lose_count(m);
}

static void rename_all(model *m) {
  Onnx__GraphProto *g = m->graph;
  for (size_t i = 0; i < g->n_initializer; i++)
    g->initializer[i]->name = prefixed(g->initializer[i]->name);
  for (size_t i = 0; i < g->n_input; i++)
    g->input[i]->name = prefixed(g->input[i]->name);
  for (size_t i = 0; i < g->n_output; i++)
    g->output[i]->name = prefixed(g->output[i]->name);
  for (size_t i = 0; i < g->n_node; i++) {
    node *n = g->node[i];
    for (size_t k = 0; k < n->n_input; k++)
      if (*n->input[k]) n->input[k] = prefixed(n->input[k]);
    for (size_t k = 0; k < n->n_output; k++)
      n->output[k] = prefixed(n->output[k]);
  }
}

static void rename_input(model *m) {
  Onnx__GraphProto *g = m->graph;
  const char *old = g->input[0]->name;
  char *name = prefixed(old);
  for (size_t i = 0; i < g->n_node; i++) {
    node *n = g->node[i];
    for (size_t k = 0; k < n->n_input; k++)
      if (!strcmp(n->input[k], old)) n->input[k] = name;
    n->n_device_configurations = 0;
  }
  g->input[0]->name = name;
}

/* The first sharded dim of the first statement that has one. */
static Onnx__ShardedDimProto *first_dim(model *m) {
  for (size_t i = 0; i < m->graph->n_node; i++) {
    node *n = m->graph->node[i];
    for (size_t k = 0; k < n->n_device_configurations; k++) {
      config *c = n->device_configurations[k];
      for (size_t s = 0; s < c->n_sharding_spec; s++)
        if (c->sharding_spec[s]->n_sharded_dim)
          return c->sharding_spec[s]->sharded_dim[0];
    }
  }
  exit(1);
}

static void move_axis(model *m) {
  Onnx__ShardedDimProto *d = first_dim(m);
  d->axis = !d->axis;
  d->simple_sharding[0]->dim_case =
      ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM__NOT_SET;
}

/* Other devices for every block, as many as before. */
static void turn_devices(model *m) {
  for (size_t i = 0; i < m->graph->n_node; i++) {
    node *n = m->graph->node[i];
    for (size_t k = 0; k < n->n_device_configurations; k++) {
      config *c = n->device_configurations[k];
      for (size_t s = 0; s < c->n_sharding_spec; s++) {
        Onnx__ShardingSpecProto *p = c->sharding_spec[s];
        for (size_t a = 0, b = p->n_device; a + 1 < b--; a++) {
          int64_t swap = p->device[a];
          p->device[a] = p->device[b];
          p->device[b] = swap;
        }
      }
    }
  }
}

static void more_devices(model *m) { m->configuration[0]->num_devices *= 2; }

static void add_names(model *m) {
  Onnx__DeviceConfigurationProto *c = m->configuration[0];
  c->device = some((size_t)c->num_devices * sizeof *c->device);
  c->n_device = (size_t)c->num_devices;
  for (size_t i = 0; i < c->n_device; i++) c->device[i] = prefixed("cuda");
}

static void declare(model *m, const char *name, int32_t devices) {
  Onnx__DeviceConfigurationProto *c = some(sizeof *c),
                                 **list = some((m->n_configuration + 1) *
                                               sizeof *list);
  onnx__device_configuration_proto__init(c);
  c->name = prefixed(name);
  c->has_num_devices = 1;
  c->num_devices = devices;
  for (size_t i = 0; i < m->n_configuration; i++)
    list[i] = m->configuration[i];
  list[m->n_configuration++] = c;
  m->configuration = list;
}

static config *add_config(node *n, const char *name) {
  config *c = some(sizeof *c),
         **list = some((n->n_device_configurations + 1) * sizeof *list);
  onnx__node_device_configuration_proto__init(c);
  c->configuration_id = prefixed(name);
  for (size_t i = 0; i < n->n_device_configurations; i++)
    list[i] = n->device_configurations[i];
  list[n->n_device_configurations++] = c;
  n->device_configurations = list;
  return c;
}

static void add_stages(model *m) {
  declare(m, "pipe", 2);
  for (size_t i = 0; i < m->graph->n_node; i++) {
    config *c = add_config(m->graph->node[i], "pipe");
    c->has_pipeline_stage = 1;
    c->pipeline_stage = (int32_t)i;
  }
}

/* The same shardings once more, of a configuration "p/twin". */
static void add_twin(model *m) {
  declare(m, "twin", m->configuration[0]->num_devices);
  for (size_t i = 0; i < m->graph->n_node; i++) {
    node *n = m->graph->node[i];
    if (!n->n_device_configurations) continue;
    config *c = add_config(n, "twin"), *old = n->device_configurations[0];
    c->n_sharding_spec = old->n_sharding_spec;
    c->sharding_spec = old->sharding_spec;
  }
}

static void add_inner(model *m) {
  declare(m, "inner", 2);
  for (size_t i = 0; i < m->n_functions; i++)
    add_config(m->functions[i]->node[0], "inner");
}

static const struct {
  const char *name;
  void (*edit)(model *m);
} kinds[] = {
    {"lose-metadata", lose_metadata},
    {"lose-fields", lose_fields},
    {"lose-all", lose_all},
    {"lose-all-and-count", lose_all_and_count},
    {"lose-node", lose_node},
    {"lose-configuration", lose_configuration},
    {"lose-half", lose_half},
    {"lose-count", lose_count},
    {"rename-all", rename_all},
    {"rename-input", rename_input},
    {"move-axis", move_axis},
    {"turn-devices", turn_devices},
    {"more-devices", more_devices},
    {"add-names", add_names},
    {"add-stages", add_stages},
    {"add-twin", add_twin},
    {"add-inner", add_inner},
};

static int fail(const char *what, const char *name) {
  fprintf(stderr, "%s: %s\n", name, what);
  return 1;
}

int edit_model(const char *kind, const char *in, const char *out) {
  FILE *f = fopen(in, "rb");
  if (!f || fseek(f, 0, SEEK_END)) return fail("cannot be read", in);
  long n = ftell(f);
  rewind(f);
  uint8_t *p = some((size_t)n);
  if (fread(p, 1, (size_t)n, f) != (size_t)n) return fail("is short", in);
  fclose(f);
  ProtobufCAllocator keep = {take, give, NULL};
  model *m = onnx__model_proto__unpack(&keep, (size_t)n, p);
  if (!m) return fail("is no model", in);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, kind)) continue;
    kinds[i].edit(m);
    size_t size = onnx__model_proto__get_packed_size(m);
    uint8_t *q = some(size);
    onnx__model_proto__pack(m, q);
    f = fopen(out, "wb");
    if (!f || fwrite(q, 1, size, f) != size || fclose(f))
      return fail("cannot be written", out);
    return 0;
  }
  return fail("no such edit", kind);
}
