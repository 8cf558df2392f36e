/* What is asked of a model that was read: its limits, files and metadata. */
#include "io/onnx/onnx_model.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"

const gs_model_limits gs_model_limits_default = {
#define X(name, value, text) .name = value,
    GS_MODEL_LIMITS(X)
#undef X
};

void gs_model_options_init(gs_model_options *o) {
  *o = (gs_model_options){.limit = gs_model_limits_default};
}

/* ---- external data ---- */

gs_status gs_model_file(gs_model *m, const char *location, const char *place,
                        gs_file **out, gs_err *e) {
  if (gs_map_has(&m->files, location)) {
    *out = gs_map_get(&m->files, location);
    return GS_OK;
  }
  GS_TRY(gs_dirs_file(m->arena, &m->dirs, location, place, out, e));
  gs_map_put(&m->files, location, *out);
  return GS_OK;
}

const gs_external *gs_model_external(const gs_model *m, const gs_tensor *t) {
  char key[32];
  snprintf(key, sizeof key, "%p", (const void *)t);
  const gs_external *x = gs_map_get(&m->refs, key);
  return x || !m->base ? x : gs_model_external(m->base, t);
}

/* ---- raw bytes behind references ---- */

static bool raw_of_spec(const gs_model *m, const Onnx__ShardingSpecProto *p,
                        gs_tensor *out) {
  if (!p->has_raw_ref_length) return false;
  *out = (gs_tensor){.name = p->tensor_name, .nbytes = p->raw_ref_length};
  gs_assert(p->raw_ref_length <= m->size && p->raw_ref_offset <= m->size -
            p->raw_ref_length);
  out->data = m->data + p->raw_ref_offset;
  return true;
}

bool gs_raw_of(void *model, const ProtobufCMessage *msg, gs_tensor *out) {
  const gs_model *m = model;
  if (msg->descriptor == &onnx__sharding_spec_proto__descriptor)
    return raw_of_spec(m, (const Onnx__ShardingSpecProto *)msg, out);
  const Onnx__TensorProto *t = (const Onnx__TensorProto *)msg;
  if (!t->has_raw_ref_length) return false;
  uint64_t k = t->has_raw_ref_source ? t->raw_ref_source : 0;
  gs_assert(k <= (uint64_t)m->source.n);
  if (k) {
    *out = *m->source.at[k - 1];
    out->nbytes = t->raw_ref_length;
    return true;
  }
  *out = (gs_tensor){.name = t->name, .nbytes = t->raw_ref_length};
  if (m->file) {
    out->file = m->file;
    out->offset = t->raw_ref_offset;
  } else {
    out->data = m->data + t->raw_ref_offset;
  }
  return true;
}

/* ---- access ---- */

const char *gs_model_path(const gs_model *m) { return m->path; }

uint64_t gs_model_hash(const gs_model *m) {
  return gs_hash(m->data, m->size, 0);
}

bool gs_model_file_at(const gs_model *m, int i, const char **location,
                      gs_file **file) {
  if (i >= m->files.n) return false;
  *location = m->files.entry[i].key;
  *file = m->files.entry[i].value;
  return true;
}

int64_t gs_model_ir_version(const gs_model *m) { return m->proto->ir_version; }

int64_t gs_model_opset(const gs_model *m, const char *domain) {
  if (!strcmp(domain, "ai.onnx")) domain = "";
  for (size_t i = 0; i < m->proto->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *o = m->proto->opset_import[i];
    const char *d = o->domain ? o->domain : "";
    if (!strcmp(d, "ai.onnx")) d = "";
    if (!strcmp(d, domain)) return o->version;
  }
  return 0;
}

const char *gs_sse_get(Onnx__StringStringEntryProto *const *list, size_t n,
                       const char *key) {
  while (n--)
    if (list[n]->key && !strcmp(list[n]->key, key))
      return list[n]->value ? list[n]->value : "";
  return NULL;
}

Onnx__StringStringEntryProto *gs_sse_new(gs_arena *a, const char *key,
                                         const char *value) {
  Onnx__StringStringEntryProto *x = GS_NEW(a, Onnx__StringStringEntryProto);
  onnx__string_string_entry_proto__init(x);
  x->key = gs_strdup(a, key);
  x->value = gs_strdup(a, value);
  return x;
}

void gs_sse_set(gs_arena *a, Onnx__StringStringEntryProto ***list, size_t *n,
                const char *key, const char *value) {
  size_t k = 0;
  for (size_t i = 0; i < *n; i++)
    if (!(*list)[i]->key || strcmp((*list)[i]->key, key))
      (*list)[k++] = (*list)[i];
  *n = k;
  if (!value) return;
  Onnx__StringStringEntryProto **bigger =
      GS_NEWS(a, k + 1, Onnx__StringStringEntryProto *);
  if (k) memcpy(bigger, *list, k * sizeof *bigger);
  bigger[(*n)++] = gs_sse_new(a, key, value);
  *list = bigger;
}

const char *gs_model_meta(const gs_model *m, const char *key) {
  return gs_sse_get(m->proto->metadata_props, m->proto->n_metadata_props, key);
}

void gs_model_meta_set(gs_model *m, const char *key, const char *value) {
  gs_sse_set(m->arena, &m->proto->metadata_props, &m->proto->n_metadata_props,
             key, value);
}

/* Whether `names` lists what now stands in the model; if not it is empty. */
static bool is_listed(const gs_model *m, gs_names *names, const void *list,
                      size_t n) {
  if (names->list == list && names->n == n) return true;
  names->list = list;
  names->n = n;
  gs_map_init(&names->at, m->arena);
  return false;
}

const char *gs_model_graph_meta(const gs_model *m, const char *key) {
  const Onnx__GraphProto *g = m->proto->graph;
  if (!is_listed(m, m->meta, g->metadata_props, g->n_metadata_props))
    for (size_t i = 0; i < g->n_metadata_props; i++) /* the last one counts */
      if (g->metadata_props[i]->key)
        gs_map_put(&m->meta->at, g->metadata_props[i]->key,
                   g->metadata_props[i]);
  const Onnx__StringStringEntryProto *x = gs_map_get(&m->meta->at, key);
  return !x ? NULL : x->value ? x->value : "";
}

void gs_model_graph_meta_set(gs_model *m, const char *key, const char *value) {
  Onnx__GraphProto *g = m->proto->graph;
  gs_sse_set(m->arena, &g->metadata_props, &g->n_metadata_props, key, value);
}

static Onnx__ValueInfoProto *find_input(const gs_model *m,
                                        const char *input) {
  const Onnx__GraphProto *g = m->proto->graph;
  if (!is_listed(m, m->inputs, g->input, g->n_input))
    for (size_t i = 0; i < g->n_input; i++)
      if (g->input[i]->name && !gs_map_has(&m->inputs->at, g->input[i]->name))
        gs_map_put(&m->inputs->at, g->input[i]->name, g->input[i]);
  return gs_map_get(&m->inputs->at, input);
}

const char *gs_model_input_meta(const gs_model *m, const char *input,
                                const char *key) {
  const Onnx__ValueInfoProto *v = find_input(m, input);
  const char *text =
      v ? gs_sse_get(v->metadata_props, v->n_metadata_props, key) : NULL;
  return text ? text
              : gs_model_meta(m, gs_sprintf(m->arena, "%s:%s", key, input));
}

bool gs_model_update(const gs_model *m, int k, const char **key,
                     const char **value) {
  for (size_t i = 0; i < m->proto->n_training_info; i++) {
    const Onnx__TrainingInfoProto *t = m->proto->training_info[i];
    for (size_t j = 0; j < t->n_update_binding; j++, k--) {
      if (k) continue;
      *key = t->update_binding[j]->key;
      *value = t->update_binding[j]->value;
      return *key && *value;
    }
  }
  return false;
}

void gs_model_input_meta_set(gs_model *m, const char *input, const char *key,
                             const char *value) {
  Onnx__ValueInfoProto *v = find_input(m, input);
  if (v)
    gs_sse_set(m->arena, &v->metadata_props, &v->n_metadata_props, key, value);
}

static bool is_missing(const gs_tensor *t) {
  if (t && t->whole) t = t->whole;
  return t && !t->data && !t->file && t->dtype != GS_STRING && t->nbytes;
}

gs_status gs_model_need_data(const gs_model *m, const gs_graph *g,
                             gs_err *e) {
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (!is_missing(v->constant)) continue;
    const gs_external *x = gs_model_external(m, v->constant);
    return gs_fail(e, GS_NOINPUT, m->path, "the weights of tensor '%s' are "
                   "missing%s%s%s", v->name, x ? ": there is no file '" : "",
                   x ? x->location : "", x ? "'" : "");
  }
  return GS_OK;
}
