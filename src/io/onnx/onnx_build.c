/* gs_graph to ModelProto. */
#include "io/onnx/onnx_build.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "io/onnx/onnx_model.h"

typedef struct builder {
  gs_model *m;
  gs_arena *a;
  const gs_model_info *info;
  int64_t ir; /* lowest IR version that holds what was written */
  gs_map taken;      /* names written so far */
  const char **name; /* [values] of the graph that is being written */
  const gs_mesh *mesh; /* that its attributes speak of */
  gs_err *e;
} builder;

static void need_ir(builder *b, int64_t v) {
  if (b->ir < v) b->ir = v;
}

static void need_type(builder *b, gs_dtype t) {
  if (t >= GS_UINT2) need_ir(b, 13);
  else if (t >= GS_FLOAT8E8M0) need_ir(b, 12);
  else if (t >= GS_FLOAT4E2M1) need_ir(b, 11);
  else if (t >= GS_UINT4) need_ir(b, 10);
  else if (t >= GS_FLOAT8E4M3FN) need_ir(b, 9);
}

/* ---- values ---- */

Onnx__TensorShapeProto *gs_shape_proto(gs_arena *a, const gs_value *v) {
  gs_assert(v->rank >= 0 && v->rank <= GS_MAX_RANK);
  Onnx__TensorShapeProto *s = GS_NEW(a, Onnx__TensorShapeProto);
  onnx__tensor_shape_proto__init(s);
  s->n_dim = (size_t)v->rank;
  s->dim = GS_NEWS(a, v->rank, Onnx__TensorShapeProto__Dimension *);
  Onnx__TensorShapeProto__Dimension *d =
      GS_NEWS(a, v->rank, Onnx__TensorShapeProto__Dimension);
  for (int i = 0; i < v->rank; i++) {
    onnx__tensor_shape_proto__dimension__init(&d[i]);
    s->dim[i] = &d[i];
    if (v->dims[i] >= 0) {
      d[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
      d[i].dim_value = v->dims[i];
    } else if (v->dim_names && v->dim_names[i]) {
      d[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
      d[i].dim_param = gs_strdup(a, v->dim_names[i]);
    }
  }
  return s;
}

static Onnx__TypeProto *new_type(builder *b) {
  Onnx__TypeProto *t = GS_NEW(b->a, Onnx__TypeProto);
  onnx__type_proto__init(t);
  return t;
}

/* Makes t a sequence or an optional; returns the type of its elements. */
static Onnx__TypeProto *wrap_type(builder *b, Onnx__TypeProto *t,
                                  bool optional) {
  if (optional) {
    t->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    t->optional_type = GS_NEW(b->a, Onnx__TypeProto__Optional);
    onnx__type_proto__optional__init(t->optional_type);
    return t->optional_type->elem_type = new_type(b);
  }
  t->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
  t->sequence_type = GS_NEW(b->a, Onnx__TypeProto__Sequence);
  onnx__type_proto__sequence__init(t->sequence_type);
  return t->sequence_type->elem_type = new_type(b);
}

/* v may be NULL: without a shape. */
static Onnx__TypeProto *build_type(builder *b, gs_kind kind, gs_dtype dtype,
                                   const gs_value *v) {
  Onnx__TypeProto *top = new_type(b), *t = top;
  need_type(b, dtype);
  if (kind == GS_OPTIONAL || kind == GS_OPTIONAL_SEQUENCE)
    t = wrap_type(b, t, true);
  if (kind == GS_SEQUENCE || kind == GS_OPTIONAL_SEQUENCE)
    t = wrap_type(b, t, false);
  t->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  t->tensor_type = GS_NEW(b->a, Onnx__TypeProto__Tensor);
  onnx__type_proto__tensor__init(t->tensor_type);
  t->tensor_type->has_elem_type = 1;
  t->tensor_type->elem_type = (int32_t)dtype;
  if (v && v->rank >= 0) t->tensor_type->shape = gs_shape_proto(b->a, v);
  return top;
}

static Onnx__ValueInfoProto *build_value(builder *b, const gs_value *v) {
  Onnx__ValueInfoProto *p = GS_NEW(b->a, Onnx__ValueInfoProto);
  onnx__value_info_proto__init(p);
  p->name = gs_strdup(b->a, b->name[v->id]);
  if (v->dtype != GS_UNDEFINED)
    p->type = build_type(b, v->kind, v->dtype, v);
  return p;
}

/* ---- weights ---- */

static Onnx__TensorProto *external_tensor(builder *b, const gs_tensor *t,
                                          const char *name,
                                          const char *location,
                                          uint64_t offset) {
  gs_arena *a = b->a;
  Onnx__TensorProto *p = GS_NEW(a, Onnx__TensorProto);
  onnx__tensor_proto__init(p);
  p->n_dims = (size_t)t->rank;
  p->dims = gs_memdup(a, t->dims, (size_t)t->rank * sizeof *t->dims);
  p->has_data_type = 1;
  p->data_type = (int32_t)t->dtype;
  p->name = gs_strdup(a, name);
  p->has_data_location = 1;
  p->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  p->n_external_data = 3;
  p->external_data = GS_NEWS(a, 3, Onnx__StringStringEntryProto *);
  p->external_data[0] = gs_sse_new(a, "location", location);
  p->external_data[1] =
      gs_sse_new(a, "offset", gs_sprintf(a, "%" PRIu64, offset));
  p->external_data[2] =
      gs_sse_new(a, "length", gs_sprintf(a, "%" PRIu64, t->nbytes));
  return p;
}

static gs_status build_initializer(builder *b, const gs_value *v,
                                   Onnx__TensorProto **out) {
  const gs_model_info *info = b->info;
  const gs_tensor *t = v->constant;
  gs_assert(t && b->name[v->id]);
  need_type(b, t->dtype);
  gs_extref x;
  if (t->dtype != GS_STRING && info->external &&
      info->external(info->user, v, &x)) {
    GS_TRY(gs_location_check(x.location, v->name, b->e));
    *out = external_tensor(b, t, b->name[v->id], x.location, x.offset);
    (*out)->has_raw_ref_source = 1; /* the writer leaves it as it is */
    return GS_OK;
  }
  const gs_external *from =
      info->source ? gs_model_external(info->source, t) : NULL;
  if (from) {
    *out = external_tensor(b, t, b->name[v->id], from->location, from->offset);
    return GS_OK;
  }
  return gs_tensor_export(b->m, t, b->name[v->id], out, b->e);
}

/* ---- nodes ---- */

/* n holds the graph; NULL: the main graph. */
static gs_status build_graph(builder *b, const gs_graph *g, const gs_node *n,
                             Onnx__GraphProto **out);

static ProtobufCBinaryData bytes_of(builder *b, const gs_string *s) {
  return (ProtobufCBinaryData){s->n, gs_memdup(b->a, s->at, s->n)};
}

static ProtobufCBinaryData mesh_text(const builder *b, const gs_attr *x) {
  gs_buf text;
  gs_buf_init(&text, b->a);
  gs_attr_print_text(&text, b->mesh, x);
  return (ProtobufCBinaryData){text.n, (uint8_t *)text.at};
}

static gs_status build_attr(builder *b, const gs_node *n, const gs_attr *x,
                            Onnx__AttributeProto **out) {
  Onnx__AttributeProto *p = GS_NEW(b->a, Onnx__AttributeProto);
  onnx__attribute_proto__init(p);
  *out = p;
  p->name = gs_strdup(b->a, x->name);
  p->has_type = 1;
  p->type = (Onnx__AttributeProto__AttributeType)(
      gs_attr_is_text(x) ? GS_ATTR_STRING : x->kind);
  size_t count = (size_t)x->n;
  switch (x->kind) {
  case GS_ATTR_FLOAT:
    p->has_f = 1;
    p->f = (float)x->f;
    break;
  case GS_ATTR_INT:
    p->has_i = 1;
    p->i = x->i;
    break;
  case GS_ATTR_STRING:
    p->has_s = 1;
    p->s = bytes_of(b, &x->s);
    break;
  case GS_ATTR_AXES:
  case GS_ATTR_SHARDING:
  case GS_ATTR_PLACE:
    p->has_s = 1;
    p->s = mesh_text(b, x);
    break;
  case GS_ATTR_TENSOR:
    return gs_tensor_export(b->m, x->t, x->t->name, &p->t, b->e);
  case GS_ATTR_GRAPH:
    return build_graph(b, x->g, n, &p->g);
  case GS_ATTR_TYPE:
    p->tp = build_type(b, x->of_kind, (gs_dtype)x->i, NULL);
    break;
  case GS_ATTR_FLOATS:
    p->n_floats = count;
    p->floats = gs_memdup(b->a, x->floats, count * sizeof *x->floats);
    break;
  case GS_ATTR_INTS:
    p->n_ints = count;
    p->ints = gs_memdup(b->a, x->ints, count * sizeof *x->ints);
    break;
  case GS_ATTR_STRINGS:
    p->n_strings = count;
    p->strings = GS_NEWS(b->a, count, ProtobufCBinaryData);
    for (size_t i = 0; i < count; i++)
      p->strings[i] = bytes_of(b, &x->strings[i]);
    break;
  }
  return GS_OK;
}

/* Names of operands or results; those left out at the end are dropped. */
static char **build_names(builder *b, gs_value *const *v, int n,
                          size_t *count) {
  while (n && !v[n - 1]) n--;
  char **names = GS_NEWS(b->a, n, char *);
  for (int i = 0; i < n; i++)
    names[i] = gs_strdup(b->a, v[i] ? b->name[v[i]->id] : "");
  *count = (size_t)n;
  return names;
}

static gs_status build_node(builder *b, const gs_node *n,
                            Onnx__NodeProto **out) {
  Onnx__NodeProto *p = GS_NEW(b->a, Onnx__NodeProto);
  onnx__node_proto__init(p);
  *out = p;
  p->op_type = gs_strdup(b->a, n->op_type);
  if (*n->domain) p->domain = gs_strdup(b->a, n->domain);
  if (*n->name) p->name = gs_strdup(b->a, n->name);
  p->input = build_names(b, n->in, gs_node_formal(n), &p->n_input);
  p->output = build_names(b, n->out, n->nout, &p->n_output);
  p->n_attribute = (size_t)n->nattr;
  p->attribute = GS_NEWS(b->a, n->nattr, Onnx__AttributeProto *);
  for (int i = 0; i < n->nattr; i++)
    GS_TRY(build_attr(b, n, &n->attr[i], &p->attribute[i]));
  if (n->origin && *n->origin && strcmp(n->origin, n->name)) {
    need_ir(b, 10);
    gs_sse_set(b->a, &p->metadata_props, &p->n_metadata_props, "gshard.origin",
               n->origin);
  }
  return GS_OK;
}

/* ---- graphs ---- */

/* Constants that nothing reads are left out. */
static bool *constants_used(builder *b, const gs_graph *g) {
  bool *used = GS_NEWS(b->a, g->value.n, bool);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nin; k++)
      if (n->in[k]) used[n->in[k]->id] = true;
  }
  for (int i = 0; i < g->value.n; i++)
    if (g->value.at[i]->is_output) used[i] = true;
  return used;
}

static gs_status build_values(builder *b, const gs_graph *g,
                              Onnx__GraphProto *p) {
  const bool *used = constants_used(b, g);
  p->initializer = GS_NEWS(b->a, g->value.n, Onnx__TensorProto *);
  p->value_info = GS_NEWS(b->a, g->value.n, Onnx__ValueInfoProto *);
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (v->constant && used[i])
      GS_TRY(build_initializer(b, v, &p->initializer[p->n_initializer++]));
    else if (v->def && !v->is_output && v->dtype != GS_UNDEFINED)
      p->value_info[p->n_value_info++] = build_value(b, v);
  }
  p->n_input = (size_t)g->input.n;
  p->input = GS_NEWS(b->a, g->input.n, Onnx__ValueInfoProto *);
  for (int i = 0; i < g->input.n; i++)
    p->input[i] = build_value(b, g->input.at[i]);
  p->n_output = (size_t)g->output.n;
  p->output = GS_NEWS(b->a, g->output.n, Onnx__ValueInfoProto *);
  for (int i = 0; i < g->output.n; i++)
    p->output[i] = build_value(b, g->output.at[i]);
  return GS_OK;
}

/* Names of the values of g, which node n holds: captured values have their
 * outer names, and no other value has the name of one written before. */
static const char **names_of(builder *b, const gs_graph *g,
                             const gs_node *n) {
  const char **name = GS_NEWS(b->a, g->value.n, const char *);
  for (int i = 0; i < g->capture.n && n; i++)
    if (g->capture.at[i])
      name[g->capture.at[i]->id] =
          b->name[n->in[gs_node_formal(n) + i]->id];
  for (int i = 0; i < g->value.n; i++) {
    if (name[i]) continue;
    const char *wanted = g->value.at[i]->name;
    name[i] = wanted;
    for (int k = 1; gs_map_has(&b->taken, name[i]); k++)
      name[i] = gs_sprintf(b->a, "%s.%d", wanted, k);
    gs_map_put(&b->taken, name[i], b);
  }
  return name;
}

static gs_status build_graph(builder *b, const gs_graph *g, const gs_node *n,
                             Onnx__GraphProto **out) {
  Onnx__GraphProto *p = GS_NEW(b->a, Onnx__GraphProto);
  onnx__graph_proto__init(p);
  *out = p;
  p->name = gs_strdup(b->a, g->name && *g->name ? g->name : "graph");
  const char **outer = b->name;
  b->name = names_of(b, g, n);
  GS_TRY(build_values(b, g, p));
  p->n_node = (size_t)g->node.n;
  p->node = GS_NEWS(b->a, g->node.n, Onnx__NodeProto *);
  for (int i = 0; i < g->node.n; i++)
    GS_TRY(build_node(b, g->node.at[i], &p->node[i]));
  b->name = outer;
  return GS_OK;
}

/* ---- the model ---- */

static void build_header(builder *b, const gs_model_info *info) {
  Onnx__ModelProto *p = b->m->proto;
  if (info->producer_name)
    p->producer_name = gs_strdup(b->a, info->producer_name);
  if (info->producer_version)
    p->producer_version = gs_strdup(b->a, info->producer_version);
  if (info->doc_string) p->doc_string = gs_strdup(b->a, info->doc_string);
  p->n_opset_import = (size_t)info->nopset;
  p->opset_import = GS_NEWS(b->a, info->nopset, Onnx__OperatorSetIdProto *);
  for (int i = 0; i < info->nopset; i++) {
    Onnx__OperatorSetIdProto *o = GS_NEW(b->a, Onnx__OperatorSetIdProto);
    onnx__operator_set_id_proto__init(o);
    o->domain = gs_strdup(b->a, info->opset_domain[i]);
    o->has_version = 1;
    o->version = info->opset_version[i];
    p->opset_import[i] = o;
  }
  for (int i = 0; i < info->nmeta; i++)
    gs_model_meta_set(b->m, info->meta_key[i], info->meta_value[i]);
}

gs_status gs_model_from_graph(gs_arena *a, const gs_graph *g,
                              const gs_model_info *info, gs_model **out,
                              gs_err *e) {
  gs_model *m = GS_NEW(a, gs_model);
  *out = m;
  m->arena = a;
  m->path = gs_strdup(a, g->name && *g->name ? g->name : "graph");
  m->limit = gs_model_limits_default;
  gs_map_init(&m->files, a);
  m->inputs = GS_NEW(a, gs_names);
  m->meta = GS_NEW(a, gs_names);
  gs_map_init(&m->refs, a);
  m->base = info->source;
  m->proto = GS_NEW(a, Onnx__ModelProto);
  onnx__model_proto__init(m->proto);
  builder b = {.m = m, .a = a, .info = info, .ir = 8, .mesh = g->mesh,
               .e = e};
  gs_map_init(&b.taken, a);
  build_header(&b, info);
  GS_TRY(build_graph(&b, g, NULL, &m->proto->graph));
  m->proto->has_ir_version = 1;
  m->proto->ir_version = info->ir_version ? info->ir_version : b.ir;
  return GS_OK;
}
