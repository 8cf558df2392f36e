/* Attributes and types of ONNX made into the IR's. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "io/onnx/onnx_import.h"

/* The type, also where an old writer left it out. */
static int kind_of(const Onnx__AttributeProto *p) {
  if (p->has_type && p->type) return (int)p->type;
  if (p->has_f) return GS_ATTR_FLOAT;
  if (p->has_i) return GS_ATTR_INT;
  if (p->has_s) return GS_ATTR_STRING;
  if (p->t) return GS_ATTR_TENSOR;
  if (p->g) return GS_ATTR_GRAPH;
  if (p->n_floats) return GS_ATTR_FLOATS;
  if (p->n_ints) return GS_ATTR_INTS;
  if (p->n_strings) return GS_ATTR_STRINGS;
  if (p->sparse_tensor)
    return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR;
  return 0;
}

gs_status gs_attr_resolve(gs_import *im, const gs_call *call,
                          const Onnx__AttributeProto *p, const char *place,
                          const Onnx__AttributeProto **out, gs_err *e) {
  *out = p;
  if (!p->ref_attr_name || !*p->ref_attr_name) return GS_OK;
  if (!call)
    return gs_fail(e, GS_DATA, place, "attribute '%s' refers to '%s' outside "
                   "of a function", p->name ? p->name : "", p->ref_attr_name);
  const Onnx__AttributeProto *bound =
      gs_map_get(&call->attr, p->ref_attr_name);
  if (!bound) {
    *out = NULL;
    return GS_OK;
  }
  if (p->has_type && p->type && kind_of(bound) != (int)p->type)
    return gs_fail(e, GS_DATA, place, "attribute '%s' has a different type "
                   "from '%s' passed to function '%s'", p->name ? p->name : "",
                   p->ref_attr_name, call->f->name);
  if (kind_of(bound) == GS_ATTR_GRAPH)
    return gs_fail(e, GS_UNSUPPORTED, place, "graph '%s' cannot be an argument "
                   "of a function", p->ref_attr_name);
  Onnx__AttributeProto *copy = GS_NEW(im->a, Onnx__AttributeProto);
  *copy = *bound;
  copy->name = p->name;
  copy->ref_attr_name = NULL;
  *out = copy;
  return GS_OK;
}

static gs_status import_list(gs_import *im, const Onnx__AttributeProto *p,
                             const char *place, gs_attr *out) {
  size_t n = out->kind == GS_ATTR_FLOATS ? p->n_floats
             : out->kind == GS_ATTR_INTS ? p->n_ints
                                         : p->n_strings;
  if (n > INT32_MAX)
    return gs_fail(im->e, GS_DATA, place, "attribute '%s' has %zu elements",
                   out->name, n);
  out->n = (int)n;
  if (out->kind == GS_ATTR_FLOATS)
    out->floats = gs_memdup(im->a, p->floats, n * sizeof *p->floats);
  if (out->kind == GS_ATTR_INTS)
    out->ints = gs_memdup(im->a, p->ints, n * sizeof *p->ints);
  if (out->kind != GS_ATTR_STRINGS) return GS_OK;
  gs_string *s = GS_NEWS(im->a, n, gs_string);
  for (size_t i = 0; i < n; i++) s[i] = gs_string_of(im->a, &p->strings[i]);
  out->strings = s;
  return GS_OK;
}

static gs_status import_tensor(gs_import *im, const Onnx__AttributeProto *p,
                               const char *place, gs_attr *out) {
  const char *where = gs_sprintf(im->a, "%s: attribute '%s'", place,
                                 out->name);
  out->kind = GS_ATTR_TENSOR;
  if (p->t) return gs_tensor_import(im->a, im->m, p->t, where, &out->t, im->e);
  if (p->sparse_tensor)
    return gs_sparse_import(im->a, im->m, p->sparse_tensor, where, &out->t,
                            im->e);
  return gs_fail(im->e, GS_DATA, where, "has no tensor");
}

static const Onnx__TypeProto *kind_type(const Onnx__TypeProto *t,
                                        gs_kind *kind);

static gs_status import_type(gs_import *im, const Onnx__AttributeProto *p,
                             const char *place, gs_attr *out) {
  const Onnx__TypeProto *t = p->tp ? kind_type(p->tp, &out->of_kind) : NULL;
  out->i = t ? t->tensor_type->elem_type : 0;
  if (out->i > 0 && out->i < GS_NDTYPE) return GS_OK;
  return gs_fail(im->e, GS_UNSUPPORTED, place,
                 "attribute '%s' is not a tensor type", p->name);
}

gs_status gs_attr_import(gs_import *im, gs_scope *s,
                         const Onnx__AttributeProto *p, const char *place,
                         gs_attr *out) {
  *out = (gs_attr){.name = gs_strdup(im->a, p->name)};
  int kind = kind_of(p);
  out->kind = (gs_attr_kind)kind;
  switch (kind) {
  case GS_ATTR_FLOAT:
    out->f = (double)p->f;
    return GS_OK;
  case GS_ATTR_INT:
    out->i = p->i;
    return GS_OK;
  case GS_ATTR_STRING:
    out->s = gs_string_of(im->a, &p->s);
    return GS_OK;
  case GS_ATTR_TENSOR:
  case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR:
    return import_tensor(im, p, place, out);
  case GS_ATTR_GRAPH:
    if (!p->g)
      return gs_fail(im->e, GS_DATA, place, "attribute '%s' has no graph",
                     p->name);
    return im->subgraph(im, s, p->g, place, &out->g);
  case GS_ATTR_FLOATS:
  case GS_ATTR_INTS:
  case GS_ATTR_STRINGS:
    return import_list(im, p, place, out);
  case GS_ATTR_TYPE:
    return import_type(im, p, place, out);
  case 0:
    return gs_fail(im->e, GS_DATA, place, "attribute '%s' has no type",
                   p->name);
  default:
    return gs_fail(im->e, GS_UNSUPPORTED, place, "attribute '%s' has type %d",
                   p->name, kind);
  }
}

gs_status gs_attr_tensor(gs_import *im, const gs_attr *attr,
                         const char *place, const gs_tensor **out) {
  gs_arena *a = im->a;
  if (attr->kind == GS_ATTR_TENSOR) {
    *out = attr->t;
    return GS_OK;
  }
  gs_tensor *t = GS_NEW(a, gs_tensor);
  bool list = attr->kind >= GS_ATTR_FLOATS;
  int64_t n = list ? attr->n : 1;
  t->rank = list ? 1 : 0;
  t->dims = gs_memdup(a, &n, sizeof n);
  float f = (float)attr->f;
  const void *from = NULL;
  switch (attr->kind) {
  case GS_ATTR_FLOAT:
  case GS_ATTR_FLOATS:
    t->dtype = GS_FLOAT;
    from = list ? attr->floats : &f;
    break;
  case GS_ATTR_INT:
  case GS_ATTR_INTS:
    t->dtype = GS_INT64;
    from = list ? attr->ints : &attr->i;
    break;
  case GS_ATTR_STRING:
  case GS_ATTR_STRINGS:
    t->dtype = GS_STRING;
    t->strings = list ? attr->strings
                      : gs_memdup(a, &attr->s, sizeof attr->s);
    break;
  default:
    return gs_fail(im->e, GS_DATA, place, "attribute '%s' cannot be a constant",
                   attr->name);
  }
  if (t->dtype != GS_STRING) {
    gs_assert(from || !n);
    t->nbytes = (uint64_t)gs_dtype_bytes(t->dtype, n);
    uint8_t *bytes = gs_alloc(a, t->nbytes + 1);
    if (t->nbytes) memcpy(bytes, from, t->nbytes);
    t->data = bytes;
  }
  *out = t;
  return GS_OK;
}

static gs_status apply_shape(gs_import *im, gs_graph *g, gs_value *v,
                             const Onnx__TensorShapeProto *s) {
  if (s->n_dim > GS_MAX_RANK)
    return gs_fail(im->e, GS_DATA, im->m->path, "tensor '%s' has rank %zu; the "
                   "limit is %d", v->name, s->n_dim, GS_MAX_RANK);
  int64_t dims[GS_MAX_RANK];
  gs_assert(s->n_dim <= GS_MAX_RANK);
  const char **names = GS_NEWS(im->a, s->n_dim, const char *);
  bool named = false;
  for (size_t i = 0; i < s->n_dim; i++) {
    const Onnx__TensorShapeProto__Dimension *d = s->dim[i];
    dims[i] = -1;
    if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
      dims[i] = d->dim_value;
    if (dims[i] < -1)
      return gs_fail(im->e, GS_DATA, im->m->path, "tensor '%s': dim %zu is "
                     "negative (%" PRId64 ")", v->name, i, dims[i]);
    /* Exporters write "?" for every dim of which they know nothing. */
    if (d->value_case ==
            ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
        d->dim_param && *d->dim_param && strcmp(d->dim_param, "?")) {
      names[i] = gs_strdup(im->a, d->dim_param);
      named = true;
    }
  }
  gs_value_shape(g, v, (int)s->n_dim, dims);
  v->dim_names = named ? names : NULL;
  return GS_OK;
}

/* The kind and, for what is no tensor, the type of its tensors; NULL when
 * this type is not supported. */
static const Onnx__TypeProto *kind_type(const Onnx__TypeProto *t,
                                        gs_kind *kind) {
  *kind = GS_TENSOR;
  bool optional = t->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
  if (optional) t = t->optional_type->elem_type;
  if (!t) return NULL;
  bool list = t->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
  if (list) t = t->sequence_type->elem_type;
  if (!t || t->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) return NULL;
  *kind = optional ? (list ? GS_OPTIONAL_SEQUENCE : GS_OPTIONAL)
                   : (list ? GS_SEQUENCE : GS_TENSOR);
  return t;
}

gs_status gs_type_apply(gs_import *im, gs_graph *g, gs_value *v,
                        const Onnx__TypeProto *t, bool is_input) {
  gs_kind kind;
  if (is_input && (!t || !t->value_case))
    return gs_fail(im->e, GS_DATA, im->m->path, "input '%s' has no type",
                   v->name);
  if (!t || !t->value_case) return GS_OK;
  t = kind_type(t, &kind);
  if (!t && !is_input) return GS_OK;
  if (!t)
    return gs_fail(im->e, GS_UNSUPPORTED, im->m->path, "input '%s' is not a "
                   "dense tensor, or a sequence or optional of dense tensors",
                   v->name);
  int type = t->tensor_type->elem_type;
  if (type < 0 || type >= GS_NDTYPE)
    return gs_fail(im->e, GS_UNSUPPORTED, im->m->path, "tensor '%s': unknown "
                   "element type %d", v->name, type);
  if (is_input && type == GS_UNDEFINED)
    return gs_fail(im->e, GS_DATA, im->m->path, "input '%s' has no element "
                   "type", v->name);
  if (v->kind == GS_TENSOR && v->rank < 0) v->kind = kind;
  if (v->dtype == GS_UNDEFINED) v->dtype = (gs_dtype)type;
  if (v->kind != GS_TENSOR || v->rank >= 0 || !t->tensor_type->shape)
    return GS_OK;
  return apply_shape(im, g, v, t->tensor_type->shape);
}
