/* Are the annotations of a model still what gshard-annotate wrote?  Other tools
 * drop them, rename tensors, or edit the standard fields, which only repeat
 * the metadata. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/onnx/onnx_shard.h"

typedef Onnx__NodeDeviceConfigurationProto node_config;

static const char *text(const char *s) { return s ? s : ""; }

const char *gs_behind(const char *key, const char *prefix) {
  size_t n = strlen(prefix);
  return strncmp(key, prefix, n) ? NULL : key + n;
}

/* ---- what was written ---- */

const char *gs_annotated_text(gs_arena *a, int tensors, int split,
                              const char *fields) {
  return gs_sprintf(a, "tensors=%d split=%d fields=%s", tensors, split,
                    fields ? fields : "");
}

/* *fields NULL: none were written, or that is not known. */
static gs_status read_annotated(const gs_model *m, gs_shard_audit *out,
                                const char **fields, gs_err *e) {
  const char *s = gs_model_meta(m, GS_KEY_ANNOTATED);
  int n = 0;
  out->tensors = out->split = -1;
  *fields = NULL;
  if (!s) return GS_OK;
  if (sscanf(s, "tensors=%9d split=%9d fields=%n", &out->tensors, &out->split,
             &n) != 2 || !n || out->tensors < 0 || out->split < 0)
    return gs_fail(e, GS_DATA, m->path, "metadata " GS_KEY_ANNOTATED ": "
                   "'%.80s' is not valid", s);
  if (s[n]) *fields = s + n;
  return GS_OK;
}

static void count_values(const gs_shard_reader *r, gs_shard_audit *out) {
  const Onnx__GraphProto *g = r->m->proto->graph;
  for (size_t i = 0; i < g->n_metadata_props; i++) {
    const char *name = gs_behind(text(g->metadata_props[i]->key),
                                 GS_KEY_SHARDING);
    const gs_value *v = name ? gs_graph_find(r->g, name) : NULL;
    if (name && !v && !out->gone) out->gone = gs_strdup(r->a, name);
    if (!v || !v->sharding) continue;
    out->found++;
    out->found_split += !gs_sharding_is_replicated(v->sharding);
  }
}

/* ---- the standard fields against the metadata ---- */

const gs_sharding *gs_use_sharding_of(const gs_graph *g, const gs_node *node,
                                      const gs_value *v) {
  for (int i = 0; node && i < g->use_sharding.n; i++) {
    const gs_use_sharding *u = &g->use_sharding.at[i];
    if (u->node == node && u->value == v)
      return u->own ? u->own->sharding : u->sharding;
  }
  return v->sharding;
}

typedef struct comparison {
  gs_shard_reader *r;
  const gs_mesh *mesh;
  const Onnx__DeviceConfigurationProto *config;
  gs_map blocks;  /* axes -> block of every device */
  size_t *stated; /* [nvalue] 1 + the last node with a statement of it */
  gs_shard_audit *out;
} comparison;

/* Which block every device holds when these axes split a tensor. */
static const int32_t *expected_blocks(comparison *c, const gs_axes *axes) {
  char key[GS_MAX_SUBS + 1];
  for (int i = 0; i < axes->n; i++) key[i] = (char)('A' + axes->at[i]);
  key[axes->n] = 0;
  int32_t *block = gs_map_get(&c->blocks, key);
  if (block) return block;
  const gs_mesh *m = c->mesh;
  block = GS_NEWS(c->r->a, m->ndevice, int32_t);
  for (int64_t p = 0; p < m->ndevice; p++)
    block[m->device_ids ? m->device_ids[p] : p] =
        (int32_t)gs_axes_index(m, axes, p);
  gs_map_put(&c->blocks, key, block);
  return block;
}

static gs_stated expected(comparison *c, const gs_sharding *s) {
  gs_stated x = {.axis = GS_NEWS(c->r->a, s->rank, int),
                 .shards = GS_NEWS(c->r->a, s->rank, int64_t)};
  gs_axes all = {0};
  for (int d = 0; d < s->rank; d++) {
    if (!s->dim[d].axes.n) continue;
    all = gs_axes_cat(&all, &s->dim[d].axes);
    x.axis[x.ndim] = d;
    x.shards[x.ndim++] = gs_axes_size(c->mesh, &s->dim[d].axes);
  }
  x.block = expected_blocks(c, &all);
  return x;
}

/* "2 x 1": the parts of every dim. */
static const char *parts_text(gs_arena *a, const gs_stated *s, int rank) {
  gs_buf b;
  gs_buf_init(&b, a);
  for (int d = 0; d < rank; d++) {
    int64_t parts = 1;
    for (int i = 0; i < s->ndim; i++)
      if (s->axis[i] == d) parts = s->shards[i];
    gs_buf_printf(&b, "%s%" PRId64, d ? " x " : "", parts);
  }
  return b.n ? b.at : "1";
}

static void differ(comparison *c, const char *place, const char *why) {
  if (!c->out->differ++) {
    c->out->place = gs_strdup(c->r->a, place);
    c->out->why = why;
  }
}

static gs_status compare_statement(comparison *c, const Onnx__NodeProto *n,
                                   const gs_node *node, size_t number,
                                   const Onnx__ShardingSpecProto *p,
                                   const char *place) {
  gs_stated s;
  gs_value *v;
  bool is_output;
  GS_TRY(gs_fields_statement(c->r, n, p, c->config, place, &s, &v,
                             &is_output));
  if (!v) return GS_OK;
  c->stated[v->id] = number;
  const gs_sharding *want =
      gs_use_sharding_of(c->r->g, is_output ? NULL : node, v);
  gs_arena *a = c->r->a;
  if (!want) return GS_OK; /* gs_shard_audit.found tells */
  gs_stated x = expected(c, want);
  if (gs_stated_same(&s, &x, c->mesh->ndevice)) return GS_OK;
  differ(c, s.place,
         gs_sprintf(a, "they say %s parts%s, the metadata %s",
                    parts_text(a, &s, want->rank),
                    strcmp(parts_text(a, &s, want->rank),
                           parts_text(a, &x, want->rank))
                        ? ""
                        : " on other devices",
                    gs_sharding_text(a, c->mesh, want)));
  return GS_OK;
}

/* The statement p, unpacked into `temp` when it was left in the file. */
static gs_status unpacked(comparison *c, gs_arena *temp, const char *place,
                          const Onnx__ShardingSpecProto **p) {
  gs_tensor raw;
  ProtobufCMessage *whole;
  int64_t spare = c->r->m->limit.memory_base;
  if (!gs_raw_of(c->r->m, &(*p)->base, &raw)) return GS_OK;
  GS_TRY(gs_unpack_within(temp, place, raw.data, raw.nbytes,
                          (*p)->base.descriptor, &c->r->m->limit, &spare,
                          &whole, c->r->e));
  *p = (const Onnx__ShardingSpecProto *)whole;
  return GS_OK;
}

static void expect_statement(comparison *c, size_t number, const char *place,
                             const char *name) {
  const gs_value *v = *name ? gs_graph_find(c->r->g, name) : NULL;
  if (!v || !v->sharding || c->stated[v->id] == number) return;
  c->stated[v->id] = number;
  if (!c->out->missing++)
    c->out->bare = gs_sprintf(c->r->a, "%s: tensor '%s'", place, name);
}

static gs_status compare_node(comparison *c, const Onnx__NodeProto *n,
                              size_t number) {
  const gs_value *y = n->n_output ? gs_graph_find(c->r->g, n->output[0]) : NULL;
  const gs_node *node = y ? y->def : NULL;
  const char *place = gs_fields_place(c->r->a, c->r->m, n);
  gs_arena temp;
  gs_status st = GS_OK;
  gs_arena_init(&temp);
  for (size_t i = 0; i < n->n_device_configurations && !st; i++) {
    const node_config *d = n->device_configurations[i];
    if (strcmp(text(d->configuration_id), c->config->name)) continue;
    for (size_t k = 0; k < d->n_sharding_spec && !st; k++) {
      const Onnx__ShardingSpecProto *p = d->sharding_spec[k];
      st = unpacked(c, &temp, place, &p);
      if (!st) st = compare_statement(c, n, node, number, p, place);
    }
  }
  gs_arena_free(&temp);
  for (size_t i = 0; i < n->n_input; i++)
    expect_statement(c, number, place, n->input[i]);
  for (size_t i = 0; i < n->n_output; i++)
    expect_statement(c, number, place, n->output[i]);
  return st;
}

static gs_status compare_fields(gs_shard_reader *r, const char *fields,
                                gs_shard_audit *out) {
  comparison c = {.r = r, .mesh = r->g->mesh, .out = out};
  GS_TRY(gs_fields_configurations(r));
  c.config = gs_map_get(&r->config, fields);
  if (!c.config) {
    out->missing = 1;
    out->bare = gs_sprintf(r->a, "%s: configuration '%s'", r->m->path, fields);
    return GS_OK;
  }
  if (c.config->num_devices != c.mesh->ndevice) {
    differ(&c, gs_sprintf(r->a, "%s: configuration '%s'", r->m->path, fields),
           gs_sprintf(r->a, "it has %d devices, the mesh of the metadata "
                      "%" PRId64, c.config->num_devices, c.mesh->ndevice));
    return GS_OK;
  }
  gs_map_init(&c.blocks, r->a);
  c.stated = GS_NEWS(r->a, r->g->value.n + 1, size_t);
  const Onnx__GraphProto *g = r->m->proto->graph;
  for (size_t i = 0; i < g->n_node; i++)
    GS_TRY(compare_node(&c, g->node[i], i + 1));
  return GS_OK;
}

/* ---- what is not carried out ---- */

static void warn_stages(const gs_shard_reader *r) {
  const Onnx__GraphProto *g = r->m->proto->graph;
  const Onnx__NodeProto *first = NULL;
  int nodes = 0;
  for (size_t i = 0; i < g->n_node; i++) {
    const Onnx__NodeProto *n = g->node[i];
    bool staged = false;
    for (size_t k = 0; k < n->n_device_configurations; k++)
      staged |= n->device_configurations[k]->has_pipeline_stage;
    if (staged && !first) first = n;
    nodes += staged;
  }
  if (!first) return;
  gs_warn(r->e, gs_fields_place(r->a, r->m, first), "pipeline_stage is ignored "
          "(%d node%s): every device runs all stages", nodes,
          nodes == 1 ? "" : "s");
  gs_err_hint(r->e, "split tensors over the axes of a mesh instead");
}

/* Other configurations that shard something, and names of devices. */
static void warn_configurations(const gs_shard_reader *r, const char *read) {
  const Onnx__ModelProto *p = r->m->proto;
  gs_map told;
  gs_map_init(&told, r->a);
  for (size_t i = 0; i < p->graph->n_node; i++) {
    const Onnx__NodeProto *n = p->graph->node[i];
    for (size_t k = 0; k < n->n_device_configurations; k++) {
      const node_config *d = n->device_configurations[k];
      const char *id = text(d->configuration_id);
      if (!d->n_sharding_spec || !strcmp(id, read) || gs_map_has(&told, id))
        continue;
      gs_map_put(&told, id, (void *)(uintptr_t)d);
      gs_warn(r->e, gs_fields_place(r->a, r->m, n), "the shardings of "
              "configuration '%s' are ignored; those of '%s' are used",
              id, read);
      gs_err_hint(r->e, "--configuration chooses");
    }
  }
  for (size_t i = 0; i < p->n_configuration; i++)
    if (!strcmp(text(p->configuration[i]->name), read) &&
        p->configuration[i]->n_device)
      gs_warn(r->e, r->m->path, "configuration '%s': names of devices ('%s', "
              "...) are not used; devices are numbered in their order", read,
              p->configuration[i]->device[0]);
}

static const Onnx__NodeProto *annotated_node(Onnx__NodeProto *const *node,
                                             size_t n);

static const Onnx__NodeProto *annotated_inside(const Onnx__NodeProto *n) {
  for (size_t i = 0; i < n->n_attribute; i++) {
    const Onnx__AttributeProto *a = n->attribute[i];
    const Onnx__NodeProto *x =
        a->g ? annotated_node(a->g->node, a->g->n_node) : NULL;
    for (size_t k = 0; !x && k < a->n_graphs; k++)
      x = annotated_node(a->graphs[k]->node, a->graphs[k]->n_node);
    if (x) return x;
  }
  return NULL;
}

/* A node with device_configurations, in these or in graphs inside of them. */
static const Onnx__NodeProto *annotated_node(Onnx__NodeProto *const *node,
                                             size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (node[i]->n_device_configurations) return node[i];
    const Onnx__NodeProto *x = annotated_inside(node[i]);
    if (x) return x;
  }
  return NULL;
}

static void warn_inner(const gs_shard_reader *r) {
  const Onnx__ModelProto *p = r->m->proto;
  const Onnx__NodeProto *x = NULL;
  for (size_t i = 0; !x && i < p->graph->n_node; i++)
    x = annotated_inside(p->graph->node[i]);
  for (size_t i = 0; !x && i < p->n_functions; i++)
    x = annotated_node(p->functions[i]->node, p->functions[i]->n_node);
  if (!x) return;
  gs_warn(r->e, gs_fields_place(r->a, r->m, x), "device_configurations inside "
          "of functions and inner graphs are not used");
  gs_err_hint(r->e, "shard what the main graph passes to them");
}

gs_status gs_shardings_audit(gs_shard_reader *r, bool metadata,
                             gs_shard_audit *out) {
  const char *fields = NULL;
  *out = (gs_shard_audit){.metadata = metadata};
  if (metadata) {
    GS_TRY(read_annotated(r->m, out, &fields, r->e));
    count_values(r, out);
    if (fields && out->found) GS_TRY(compare_fields(r, fields, out));
  }
  warn_stages(r);
  warn_inner(r);
  if (r->chosen || metadata)
    warn_configurations(r, r->chosen ? r->chosen
                           : fields  ? fields
                                     : GS_CONFIGURATION);
  return GS_OK;
}
