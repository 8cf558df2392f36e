/* Multi-device annotations out of the standard fields, every claim checked. */
#include <inttypes.h>
#include <string.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "io/onnx/onnx_shard.h"

typedef Onnx__NodeDeviceConfigurationProto node_config;
typedef Onnx__ShardingSpecProto spec;
typedef gs_shard_reader reader;

static const char *text(const char *s) { return s ? s : ""; }

void gs_shard_reader_init(gs_shard_reader *r, gs_model *m, gs_graph *g,
                          gs_arena *a, gs_err *e) {
  *r = (gs_shard_reader){.m = m, .g = g, .a = a, .e = e};
  r->spare = m->limit.memory_base;
  gs_map_init(&r->config, a);
  gs_map_init(&r->by_value, a);
  gs_map_init(&r->blocks, a);
}

/* ---- configurations ---- */

gs_status gs_fields_configurations(gs_shard_reader *r) {
  const Onnx__ModelProto *p = r->m->proto;
  for (size_t i = 0; i < p->n_configuration; i++) {
    const Onnx__DeviceConfigurationProto *c = p->configuration[i];
    const char *name = text(c->name), *path = r->m->path;
    if (!*name)
      return gs_fail(r->e, GS_DATA, path, "configuration %zu has no name", i);
    if (gs_map_has(&r->config, name))
      return gs_fail(r->e, GS_DATA, path, "two configurations '%s'", name);
    if (!c->has_num_devices || c->num_devices < 1 ||
        c->num_devices > GS_MAX_DEVICES)
      return gs_fail(r->e, GS_DATA, path, "configuration '%s' has %d devices",
                     name, c->has_num_devices ? c->num_devices : 0);
    if (c->n_device && c->n_device != (size_t)c->num_devices)
      return gs_fail(r->e, GS_DATA, path, "configuration '%s' has %d devices "
                     "but names %zu", name, c->num_devices, c->n_device);
    gs_map_put(&r->config, name, (void *)(uintptr_t)c);
  }
  return GS_OK;
}

/* ---- one statement ---- */

static bool names_tensor(const Onnx__NodeProto *n, const char *name,
                         bool *is_output) {
  *is_output = true;
  for (size_t i = 0; i < n->n_output; i++)
    if (!strcmp(n->output[i], name)) return true;
  *is_output = false;
  for (size_t i = 0; i < n->n_input; i++)
    if (!strcmp(n->input[i], name)) return true;
  return false;
}

/* The parts of a fused dim, as far as their sizes are known, make up the dim,
 * and the first, which may be split, has shards of one size: else blocks of the
 * whole are others. */
static gs_status check_fused(const reader *r, const char *place,
                             const Onnx__ShardedDimProto *p, int axis,
                             const gs_value *v) {
  int64_t product = 1, dim = v && v->rank >= 0 ? v->dims[axis] : -1;
  for (size_t i = 0; i < p->n_simple_sharding; i++) {
    const Onnx__SimpleShardedDimProto *x = p->simple_sharding[i];
    if (x->dim_case != ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_VALUE)
      return GS_OK;
    if (x->dim_value < 0 || !gs_mul(product, x->dim_value, &product))
      return gs_fail(r->e, GS_DATA, place, "axis %d: dim_value is %" PRId64,
                     axis, x->dim_value);
  }
  if (dim >= 0 && product != dim)
    return gs_fail(r->e, GS_DATA, place, "axis %d: its parts are %" PRId64
                   " elements, the dim has %" PRId64, axis, product, dim);
  const Onnx__SimpleShardedDimProto *x = p->simple_sharding[0];
  if (x->dim_value % x->num_shards == 0) return GS_OK;
  return gs_fail(r->e, GS_UNSUPPORTED, place, "axis %d is a fused dim whose "
                 "first part of %" PRId64 " is sharded unevenly", axis,
                 x->dim_value);
}

/* A dim cut in several parts (one that was fused by a reshape) is a plain one
 * as long as only its first part is sharded. */
static gs_status read_shards(const reader *r, const char *place,
                             const Onnx__ShardedDimProto *p, int axis,
                             const gs_value *v, int64_t *shards) {
  *shards = 1;
  if (!p->n_simple_sharding)
    return gs_fail(r->e, GS_DATA, place, "axis %d has no simple_sharding",
                   axis);
  bool last = true;
  for (size_t i = p->n_simple_sharding; i-- > 0;) {
    const Onnx__SimpleShardedDimProto *x = p->simple_sharding[i];
    int64_t n = x->num_shards;
    if (!x->has_num_shards || n < 1 || n > GS_MAX_DEVICES)
      return gs_fail(r->e, GS_DATA, place, "axis %d: num_shards is %" PRId64,
                     axis, x->has_num_shards ? n : 0);
    if (i && n > 1) last = false;
    *shards *= n;
    if (*shards > GS_MAX_DEVICES)
      return gs_fail(r->e, GS_DATA, place, "axis %d has too many shards",
                     axis);
  }
  if (!last)
    return gs_fail(r->e, GS_UNSUPPORTED, place, "axis %d is a fused dim that "
                   "is sharded inside", axis);
  if (p->n_simple_sharding > 1) return check_fused(r, place, p, axis, v);
  if (!v || v->rank < 0) return GS_OK;
  const Onnx__SimpleShardedDimProto *x = p->simple_sharding[0];
  int64_t dim = v->dims[axis];
  const char *symbol = v->dim_names ? v->dim_names[axis] : NULL;
  if (x->dim_case == ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_VALUE &&
      dim >= 0 && x->dim_value != dim)
    return gs_fail(r->e, GS_DATA, place, "axis %d: dim_value is %" PRId64
                   ", the dim has %" PRId64, axis, x->dim_value, dim);
  if (x->dim_case == ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_PARAM &&
      dim < 0 && symbol && strcmp(symbol, text(x->dim_param)))
    return gs_fail(r->e, GS_DATA, place, "axis %d: dim_param is '%s', the dim "
                   "is '%s'", axis, text(x->dim_param), symbol);
  if (x->dim_case == ONNX__SIMPLE_SHARDED_DIM_PROTO__DIM_DIM_PARAM &&
      !*text(x->dim_param))
    return gs_fail(r->e, GS_DATA, place, "axis %d: empty dim_param", axis);
  return GS_OK;
}

static gs_status read_dims(const reader *r, const spec *p, const gs_value *v,
                           gs_stated *s, int64_t *product) {
  int rank = v && v->rank >= 0 ? v->rank : -1;
  bool seen[2 * GS_MAX_RANK] = {false};
  s->axis = GS_NEWS(r->a, p->n_sharded_dim, int);
  s->shards = GS_NEWS(r->a, p->n_sharded_dim, int64_t);
  *product = 1;
  for (size_t i = 0; i < p->n_sharded_dim; i++) {
    const Onnx__ShardedDimProto *d = p->sharded_dim[i];
    int64_t max = rank >= 0 ? rank : GS_MAX_RANK, axis = d->axis, shards;
    if (!d->has_axis || axis < -max || axis >= max)
      return gs_fail(r->e, GS_DATA, s->place, "axis %" PRId64 " is out of "
                     "range for rank %" PRId64, d->has_axis ? axis : 0, max);
    if (axis < 0) axis += max;
    if (seen[axis])
      return gs_fail(r->e, GS_DATA, s->place, "axis %" PRId64 " is given "
                     "twice", axis);
    seen[axis] = true;
    GS_TRY(read_shards(r, s->place, d, (int)axis, rank >= 0 ? v : NULL,
                       &shards));
    *product *= shards;
    if (*product > GS_MAX_DEVICES)
      return gs_fail(r->e, GS_DATA, s->place, "more than %d shards",
                     (int)GS_MAX_DEVICES);
    if (shards == 1) continue;
    s->axis[s->ndim] = (int)axis;
    s->shards[s->ndim++] = shards;
  }
  return GS_OK;
}

/* Device id holds block i. */
static gs_status put_device(const reader *r, const gs_stated *s, int64_t n,
                            int32_t *block, int64_t id, int64_t i) {
  if (id < 0 || id >= n)
    return gs_fail(r->e, GS_DATA, s->place, "device %" PRId64 " is neither one "
                   "of the %" PRId64 " devices nor a group", id, n);
  if (block[id] >= 0)
    return gs_fail(r->e, GS_DATA, s->place, "device %" PRId64 " is listed "
                   "twice", id);
  block[id] = (int32_t)i;
  return GS_OK;
}

static gs_status check_groups(const reader *r, const spec *p,
                              const gs_stated *s, gs_map *groups) {
  char key[32];
  gs_map_init(groups, r->a);
  for (size_t i = 0; i < p->n_index_to_device_group_map; i++) {
    const Onnx__IntIntListEntryProto *x = p->index_to_device_group_map[i];
    snprintf(key, sizeof key, "%" PRId64, x->key);
    if (!x->has_key || gs_map_has(groups, key))
      return gs_fail(r->e, GS_DATA, s->place, "group %s is given twice or has "
                     "no key", key);
    if (!x->n_value)
      return gs_fail(r->e, GS_DATA, s->place, "group %s is empty", key);
    gs_map_put(groups, key, (void *)(uintptr_t)x);
  }
  return GS_OK;
}

static gs_status read_devices(reader *r, const spec *p, const gs_stated *s,
                              int64_t n, int64_t product, int32_t *block) {
  gs_map groups;
  GS_TRY(check_groups(r, p, s, &groups));
  bool loose = product == 1 && p->n_device > 1;
  if (!loose && p->n_device != (size_t)product)
    return gs_fail(r->e, GS_DATA, s->place, "lists %zu devices for %" PRId64
                   " shards", p->n_device, product);
  if (loose)
    gs_warn(r->e, s->place, "several devices without a sharded axis: taken as "
            "replicated");
  for (int64_t d = 0; d < n; d++) block[d] = -1;
  for (size_t i = 0; i < p->n_device; i++) {
    char key[32];
    snprintf(key, sizeof key, "%" PRId64, p->device[i]);
    int64_t b = loose ? 0 : (int64_t)i;
    const Onnx__IntIntListEntryProto *x = gs_map_get(&groups, key);
    if (!x) {
      GS_TRY(put_device(r, s, n, block, p->device[i], b));
      continue;
    }
    for (size_t k = 0; k < x->n_value; k++) {
      if (x->value[k] < 0)
        return gs_fail(r->e, GS_DATA, s->place, "group %s holds %" PRId64
                       ": groups do not nest", key, x->value[k]);
      GS_TRY(put_device(r, s, n, block, x->value[k], b));
    }
  }
  return GS_OK;
}

/* Many tensors state few different lists: what a list says is worked out once
 * for each, found again by 128 bits of hash. */
static const char *list_key(const reader *r, const spec *p, int64_t n,
                            int64_t product) {
  uint64_t h[2] = {(uint64_t)n, ~(uint64_t)product};
  for (int k = 0; k < 2; k++) {
    h[k] = gs_hash(p->device, p->n_device * sizeof *p->device, h[k]);
    for (size_t i = 0; i < p->n_index_to_device_group_map; i++) {
      const Onnx__IntIntListEntryProto *x = p->index_to_device_group_map[i];
      h[k] = gs_hash(&x->key, sizeof x->key, h[k] + (uint64_t)x->has_key);
      h[k] = gs_hash(x->value, x->n_value * sizeof *x->value, h[k]);
    }
  }
  return gs_sprintf(r->a, "%" PRIx64 ",%" PRIx64, h[0], h[1]);
}

/* block[device] = index of the block it holds, -1: none. */
static gs_status blocks_of(reader *r, const spec *p, const gs_stated *s,
                           int64_t n, int64_t product,
                           const int32_t **block) {
  const char *key = list_key(r, p, n, product);
  *block = gs_map_get(&r->blocks, key);
  if (*block) return GS_OK;
  int32_t *fresh = GS_NEWS(r->a, n, int32_t);
  GS_TRY(read_devices(r, p, s, n, product, fresh));
  gs_map_put(&r->blocks, key, fresh);
  *block = fresh;
  return GS_OK;
}

/* ---- collecting ---- */

bool gs_stated_same(const gs_stated *a, const gs_stated *b, int64_t n) {
  return a->ndim == b->ndim &&
         !memcmp(a->axis, b->axis, (size_t)a->ndim * sizeof *a->axis) &&
         !memcmp(a->shards, b->shards, (size_t)a->ndim * sizeof *a->shards) &&
         !memcmp(a->block, b->block, (size_t)n * sizeof *a->block);
}

/* A value has one sharding: its producer's word counts, then the first
 * consumer's.  Others are hints to reshard, which partitioning decides. */
static gs_status collect(reader *r, const gs_stated *s, gs_value *v,
                         bool by_producer) {
  intptr_t i = (intptr_t)gs_map_get(&r->by_value, v->name);
  if (!i) {
    *gs_push(r->a, &r->stated) = *s;
    *gs_push(r->a, &r->what) = (gs_statement){v, by_producer};
    gs_map_put(&r->by_value, v->name, (void *)(intptr_t)r->stated.n);
    return GS_OK;
  }
  gs_stated *old = &r->stated.at[i - 1];
  bool differ = !gs_stated_same(old, s, r->ndevice);
  if (differ)
    gs_warn(r->e, s->place, "another node states a different sharding; %s is "
            "used",
            by_producer ? "this one" : "the other one");
  if (by_producer) {
    *old = *s;
    r->what.at[i - 1].by_producer = true;
  }
  return GS_OK;
}

gs_status gs_fields_statement(gs_shard_reader *r, const Onnx__NodeProto *n,
                              const Onnx__ShardingSpecProto *p,
                              const Onnx__DeviceConfigurationProto *c,
                              const char *node, gs_stated *s, gs_value **v,
                              bool *is_output) {
  const char *name = text(p->tensor_name);
  *s = (gs_stated){.place = gs_sprintf(r->a, "%s: tensor '%s'", node, name)};
  if (!*name || !names_tensor(n, name, is_output))
    return gs_fail(r->e, GS_DATA, node, "a sharding of '%s', which is neither "
                   "an operand nor a result of the node", name);
  *v = gs_graph_find(r->g, name);
  int64_t product;
  GS_TRY(read_dims(r, p, *v, s, &product));
  return blocks_of(r, p, s, c->num_devices, product, &s->block);
}

static gs_status read_spec(reader *r, const Onnx__NodeProto *n,
                           const spec *p,
                           const Onnx__DeviceConfigurationProto *c,
                           const char *node) {
  gs_stated s;
  gs_value *v;
  bool is_output;
  GS_TRY(gs_fields_statement(r, n, p, c, node, &s, &v, &is_output));
  return v && !strcmp(c->name, r->chosen) ? collect(r, &s, v, is_output)
                                          : GS_OK;
}

/* Specs are still in the file when the model had metadata as it was read. */
static gs_status load_specs(reader *r, const node_config *p,
                            const char *node) {
  for (size_t i = 0; i < p->n_sharding_spec; i++) {
    const ProtobufCMessage *msg = &p->sharding_spec[i]->base;
    gs_tensor raw;
    if (!gs_raw_of(r->m, msg, &raw)) continue;
    ProtobufCMessage *whole;
    const char *place = gs_sprintf(r->a, "%s: sharding_spec[%zu]", node, i);
    GS_TRY(gs_unpack_within(r->m->arena, place, raw.data, raw.nbytes,
                            msg->descriptor, &r->m->limit, &r->spare, &whole,
                            r->e));
    p->sharding_spec[i] = (spec *)whole;
  }
  return GS_OK;
}

static gs_status read_config(reader *r, const Onnx__NodeProto *n,
                             const node_config *p, const char *node) {
  const char *id = text(p->configuration_id);
  const Onnx__DeviceConfigurationProto *c = gs_map_get(&r->config, id);
  if (!c)
    return gs_fail(r->e, GS_DATA, node, "configuration '%s' is not declared by "
                   "the model", id);
  GS_TRY(load_specs(r, p, node));
  if (!r->chosen && p->n_sharding_spec) {
    r->chosen = c->name;
    r->ndevice = c->num_devices;
  }
  for (size_t i = 0; i < p->n_sharding_spec; i++) {
    const char *name = text(p->sharding_spec[i]->tensor_name);
    for (size_t k = 0; k < i; k++)
      if (!strcmp(name, text(p->sharding_spec[k]->tensor_name)))
        return gs_fail(r->e, GS_DATA, node, "two shardings of tensor '%s'",
                       name);
    GS_TRY(read_spec(r, n, p->sharding_spec[i], c, node));
  }
  return GS_OK;
}

const char *gs_fields_place(gs_arena *a, const gs_model *m,
                            const Onnx__NodeProto *n) {
  const char *name = text(n->name);
  if (!*name && n->n_output) name = n->output[0];
  return gs_sprintf(a, "%s: node '%s' (%s)", m->path, name, text(n->op_type));
}

static gs_status read_nodes(reader *r) {
  const Onnx__GraphProto *g = r->m->proto->graph;
  for (size_t i = 0; i < g->n_node; i++) {
    const Onnx__NodeProto *n = g->node[i];
    for (size_t k = 0; k < n->n_device_configurations; k++) {
      const node_config *p = n->device_configurations[k];
      const char *node = gs_fields_place(r->a, r->m, n);
      for (size_t j = 0; j < k; j++)
        if (!strcmp(text(p->configuration_id),
                    text(n->device_configurations[j]->configuration_id)))
          return gs_fail(r->e, GS_DATA, node, "two entries of configuration "
                         "'%s'", text(p->configuration_id));
      GS_TRY(read_config(r, n, p, node));
    }
  }
  return GS_OK;
}

static gs_status choose(reader *r) {
  if (!r->chosen) return GS_OK;
  const Onnx__DeviceConfigurationProto *c = gs_map_get(&r->config, r->chosen);
  if (c) {
    r->ndevice = c->num_devices;
    return GS_OK;
  }
  gs_fail(r->e, GS_DATA, r->m->path, "the model does not have a configuration "
          "'%s'", r->chosen);
  if (r->config.n) gs_err_hint(r->e, "it has '%s'", r->config.entry[0].key);
  return GS_DATA;
}

gs_status gs_fields_read(gs_shard_reader *r, const gs_mesh *known,
                         gs_mesh **mesh) {
  const char *asked = r->chosen;
  *mesh = NULL;
  GS_TRY(gs_fields_configurations(r));
  GS_TRY(choose(r));
  GS_TRY(read_nodes(r));
  int n = r->stated.n;
  if (!n && asked)
    return gs_fail(r->e, GS_DATA, r->m->path, "configuration '%s' does not "
                   "shard anything", asked);
  if (!n) return GS_OK;
  int *rank = GS_NEWS(r->a, n, int);
  gs_sharding **s = GS_NEWS(r->a, n, gs_sharding *);
  for (int i = 0; i < n; i++) {
    rank[i] = r->what.at[i].v->rank;
    if (rank[i] < 0)
      return gs_fail(r->e, GS_UNSUPPORTED, r->stated.at[i].place, "its rank is "
                     "not known");
  }
  if (known && known->ndevice == r->ndevice &&
      gs_fit_mesh(r->a, r->stated.at, n, known, rank, s))
    *mesh = gs_memdup(r->a, known, sizeof *known);
  else
    GS_TRY(gs_infer_mesh(r->a, r->stated.at, n, r->ndevice, rank, mesh, s,
                         r->e));
  for (int i = 0; i < n; i++) r->what.at[i].v->sharding = s[i];
  return GS_OK;
}
