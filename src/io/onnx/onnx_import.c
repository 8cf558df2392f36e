/* ModelProto to gs_graph: functions inlined, constants gathered, every name
 * checked. */
#include <inttypes.h>
#include <string.h>

#include "ir/graph/module.h"
#include "io/onnx/onnx_import.h"

static const char *text(const char *s) { return s ? s : ""; }

/* ---- names ---- */

static void scope_init(gs_import *im, gs_scope *s, gs_graph *g) {
  *s = (gs_scope){.g = g};
  gs_map_init(&s->names, im->a);
  gs_map_init(&s->types, im->a);
  gs_map_init(&s->bound, im->a);
}

/* Inside functions names get the call's prefix, and are made different from
 * all names of the main graph, which come first. */
static const char *scoped_name(gs_import *im, const gs_scope *s,
                               const char *name) {
  if (!s->prefix) return name;
  const char *long_name = gs_sprintf(im->a, "%s/%s", s->prefix, name);
  const char *unique = long_name;
  while (gs_map_has(&im->reserved, unique) || gs_map_has(&s->g->by_name,
                                                         unique))
    unique = gs_sprintf(im->a, "%s.%d", long_name, im->fresh++);
  return unique;
}

/* Makes the value that `name` stands for in scope s. */
static gs_status declare(gs_import *im, gs_scope *s, const char *name,
                        const char *place, gs_value **out) {
  if (gs_map_has(&s->names, name))
    return gs_fail(im->e, GS_DATA, place, "tensor '%s' is defined twice",
                   name);
  gs_value *v = gs_map_get(&s->bound, name);
  if (!v) {
    const char *unique = scoped_name(im, s, name);
    if (gs_graph_find(s->g, unique))
      return gs_fail(im->e, GS_DATA, place, "tensor '%s' is defined twice",
                     name);
    v = gs_value_new(s->g, unique, GS_UNDEFINED, -1, NULL);
  }
  gs_map_put(&s->names, name, v);
  *out = v;
  return GS_OK;
}

/* The same for the result of a node, with what value_info says of it.  Inputs
 * and constants say themselves what they are. */
static gs_status define(gs_import *im, gs_scope *s, const char *name,
                        const char *place, gs_value **out) {
  GS_TRY(declare(im, s, name, place, out));
  const Onnx__TypeProto *type = gs_map_get(&s->types, name);
  return type ? gs_type_apply(im, s->g, *out, type, false) : GS_OK;
}

/* The scope that knows name, and its value there; NULL: none does. */
static gs_scope *lookup(gs_scope *s, const char *name, gs_value **v) {
  for (; s; s = s->outer) {
    if (!gs_map_has(&s->names, name)) continue;
    *v = gs_map_get(&s->names, name);
    return s;
  }
  return NULL;
}

/* The value of an operand; a value of an enclosing graph gets a stand-in of
 * the same name here. */
static gs_status use(gs_import *im, gs_scope *s, const char *name,
                     const char *place, gs_value **out) {
  *out = NULL;
  gs_value *outer = NULL;
  const gs_scope *where = lookup(s, name, &outer);
  if (where == s || (where && !outer)) { /* NULL: an input left out */
    *out = outer;
    return GS_OK;
  }
  if (!outer) {
    bool later = !s->prefix && gs_map_has(&im->reserved, name);
    return gs_fail(im->e, GS_DATA, place, later
                       ? "operand '%s' is used before it is defined: the nodes "
                         "are not in topological order, or form a cycle"
                       : "operand '%s' is not defined",
                   name);
  }
  GS_TRY(use(im, s->outer, name, place, &outer));
  if (gs_graph_find(s->g, outer->name))
    return gs_fail(im->e, GS_DATA, place, "tensor '%s' hides a tensor of an "
                   "enclosing graph", outer->name);
  gs_value *v = gs_value_new(s->g, outer->name, outer->dtype, outer->rank,
                             outer->dims);
  v->kind = outer->kind;
  v->dim_names = outer->dim_names;
  gs_map_put(&s->names, name, v);
  *gs_push(im->a, &s->outer->made) = (gs_captured){s->g, v, outer};
  *out = v;
  return GS_OK;
}

/* ---- nodes ---- */

static int64_t find_opset(Onnx__OperatorSetIdProto *const *list, size_t n,
                          const char *domain) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(gs_domain_name(list[i]->domain), domain))
      return list[i]->version;
  return 0;
}

static gs_status opset_of(gs_import *im, const gs_scope *s,
                          const Onnx__NodeProto *p, const char *place,
                          int *out) {
  const char *domain = gs_domain_name(p->domain);
  int64_t v = 0;
  if (s->call)
    v = find_opset(s->call->f->opset_import, s->call->f->n_opset_import,
                   domain);
  if (!v) v = gs_model_opset(im->m, domain);
  if (v < 1 || v > INT32_MAX)
    return gs_fail(im->e, GS_DATA, place, "domain '%s' is not imported at a "
                   "valid version", domain);
  *out = (int)v;
  return GS_OK;
}

/* Has an attribute before the i-th its name?  A map is only worth its memory
 * where there are many. */
static bool is_repeated(const Onnx__NodeProto *p, size_t i, gs_map *seen) {
  enum { FEW = 16 };
  const char *name = p->attribute[i]->name;
  if (p->n_attribute > FEW) {
    bool had = gs_map_has(seen, name);
    gs_map_put(seen, name, seen);
    return had;
  }
  while (i--)
    if (!strcmp(p->attribute[i]->name, name)) return true;
  return false;
}

static gs_status import_attrs(gs_import *im, gs_scope *s,
                              const Onnx__NodeProto *p, const char *place,
                              gs_attr **attr, int *nattr) {
  gs_map seen;
  gs_map_init(&seen, im->a);
  *attr = GS_NEWS(im->a, p->n_attribute, gs_attr);
  *nattr = 0;
  for (size_t i = 0; i < p->n_attribute; i++) {
    const Onnx__AttributeProto *x = p->attribute[i];
    if (is_repeated(p, i, &seen))
      return gs_fail(im->e, GS_DATA, place, "attribute '%s' is given twice",
                     x->name);
    GS_TRY(gs_attr_resolve(im, s->call, x, place, &x, im->e));
    if (x) GS_TRY(gs_attr_import(im, s, x, place, &(*attr)[(*nattr)++]));
  }
  return GS_OK;
}

/* Whether the node's row is LITERAL: it has no operand and its value stands in
 * its attribute, whatever the attribute is called. */
static bool is_literal(const Onnx__NodeProto *p) {
  static const struct {
    const char *name, *domain;
    bool literal;
  } row[] = {
#define K(kernel)
#define DYN(name)
#define FUSE(class)
#define APPLY(kind, loop, a, a0, b, b0)
#define BLOCKS(set)
#define FITS(name)
#define INDEX(operand, of, kind)
#define OVER(...)
#define FADES(operand)
#define JOINED(text)
#define T(types)
#define LITERAL .literal = true
#define OP(sym, op, of, since, in0, in1, out0, out1, flags, flops, combine,    \
           rule, shape, local, kernel)                                         \
  {.name = op, .domain = of, kernel},
#include "op/ops.def"
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++)
    if (row[i].literal && !strcmp(row[i].name, text(p->op_type)) &&
        !strcmp(row[i].domain, gs_domain_name(p->domain)))
      return true;
  return false;
}

/* Its attribute is named after its type. */
static gs_status check_constant(gs_import *im, const gs_attr *attr,
                                const char *place) {
  static const struct {
    gs_attr_kind kind;
    const char *name;
  } names[] = {
      {GS_ATTR_TENSOR, "value"},        {GS_ATTR_TENSOR, "sparse_value"},
      {GS_ATTR_FLOAT, "value_float"},   {GS_ATTR_FLOATS, "value_floats"},
      {GS_ATTR_INT, "value_int"},       {GS_ATTR_INTS, "value_ints"},
      {GS_ATTR_STRING, "value_string"}, {GS_ATTR_STRINGS, "value_strings"},
  };
  gs_nearest near = gs_nearest_to(attr->name);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i].kind == attr->kind && !strcmp(names[i].name, attr->name))
      return GS_OK;
    gs_nearest_try(&near, names[i].name);
  }
  gs_fail(im->e, GS_DATA, place, near.best && !strcmp(near.best, attr->name)
                                     ? "attribute '%.80s' has the wrong type"
                                     : "unknown attribute '%.80s'",
          attr->name);
  if (near.best && strcmp(near.best, attr->name))
    gs_err_hint(im->e, "did you mean '%s'?", near.best);
  return GS_DATA;
}

static gs_status import_constant(gs_import *im, gs_scope *s,
                                 const Onnx__NodeProto *p,
                                 const char *place) {
  gs_attr *attr;
  int n;
  GS_TRY(import_attrs(im, s, p, place, &attr, &n));
  if (n != 1 || p->n_output != 1 || p->n_input)
    return gs_fail(im->e, GS_DATA, place, "has %d attributes, %zu operands and "
                   "%zu results instead of 1, 0 and 1", n, p->n_input,
                   p->n_output);
  const gs_tensor *t;
  GS_TRY(check_constant(im, &attr[0], place));
  GS_TRY(gs_attr_tensor(im, &attr[0], place, &t));
  gs_value *v;
  GS_TRY(declare(im, s, text(p->output[0]), place, &v));
  v->constant = t;
  v->dtype = t->dtype;
  gs_value_shape(s->g, v, t->rank, t->dims);
  v->dim_names = NULL;
  return GS_OK;
}

static gs_status define_outputs(gs_import *im, gs_scope *s,
                                const Onnx__NodeProto *p, const char *place,
                                gs_value **out) {
  for (size_t i = 0; i < p->n_output; i++) {
    out[i] = NULL;
    if (*p->output[i])
      GS_TRY(define(im, s, p->output[i], place, &out[i]));
  }
  return GS_OK;
}

static gs_status import_operator(gs_import *im, gs_scope *s,
                                 const Onnx__NodeProto *p,
                                 const char *place) {
  gs_attr *attr;
  int nattr, opset = 0;
  s->made.n = 0;
  GS_TRY(opset_of(im, s, p, place, &opset));
  gs_value **in = GS_NEWS(im->a, p->n_input, gs_value *);
  gs_value **out = GS_NEWS(im->a, p->n_output, gs_value *);
  for (size_t i = 0; i < p->n_input; i++)
    if (*p->input[i]) GS_TRY(use(im, s, p->input[i], place, &in[i]));
  GS_TRY(import_attrs(im, s, p, place, &attr, &nattr));
  GS_TRY(define_outputs(im, s, p, place, out));
  const char *name = text(p->name);
  if (s->prefix && *name) name = gs_sprintf(im->a, "%s/%s", s->prefix, name);
  gs_node *n = gs_node_new(s->g, gs_domain_name(p->domain), p->op_type, name,
                           (int)p->n_input, (int)p->n_output);
  memcpy(n->in, in, p->n_input * sizeof *in);
  for (size_t i = 0; i < p->n_output; i++)
    if (out[i]) gs_node_output(n, (int)i, out[i]);
  n->attr = attr;
  n->nattr = nattr;
  n->opset = opset;
  for (int i = 0; i < s->made.n; i++) {
    const gs_captured *c = &s->made.at[i];
    gs_node_capture(s->g, n, c->reader, c->inner, c->outer);
  }
  s->made.n = 0;
  const char *origin = gs_sse_get(p->metadata_props, p->n_metadata_props,
                                  "gshard.origin");
  n->origin = origin         ? origin
              : *name        ? n->name
              : s->prefix    ? s->prefix
              : p->n_output  ? gs_strdup(im->a, p->output[0])
                             : n->name;
  n->module = gs_module_of_scopes(
      im->a, gs_sse_get(p->metadata_props, p->n_metadata_props,
                        GS_KEY_SCOPES));
  for (size_t i = 0; i < p->n_device_configurations; i++)
    if (n->stage < 0 && p->device_configurations[i]->has_pipeline_stage)
      n->stage = p->device_configurations[i]->pipeline_stage;
  return GS_OK;
}

static gs_status import_nodes(gs_import *im, gs_scope *s,
                              Onnx__NodeProto *const *node, size_t n);

/* ---- functions ---- */

static gs_status check_formal(gs_import *im, const Onnx__FunctionProto *f,
                              const char *name, const char *place) {
  gs_nearest near = gs_nearest_to(name);
  if (!strncmp(name, "__", 2)) return GS_OK; /* another program's */
  for (size_t i = 0; i < f->n_attribute + f->n_attribute_proto; i++) {
    const char *formal = i < f->n_attribute
                             ? f->attribute[i]
                             : f->attribute_proto[i - f->n_attribute]->name;
    if (!strcmp(formal, name)) return GS_OK;
    gs_nearest_try(&near, formal);
  }
  gs_fail(im->e, GS_DATA, place, "function '%s' has no attribute '%.80s'",
          f->name, name);
  if (near.best) gs_err_hint(im->e, "did you mean '%s'?", near.best);
  return GS_DATA;
}

static gs_status bind_attrs(gs_import *im, gs_scope *s,
                            const Onnx__NodeProto *p, const char *place,
                            gs_call *call) {
  const Onnx__FunctionProto *f = call->f;
  gs_map_init(&call->attr, im->a);
  for (size_t i = 0; i < f->n_attribute_proto; i++)
    if (f->attribute_proto[i]->name)
      gs_map_put(&call->attr, f->attribute_proto[i]->name,
                 f->attribute_proto[i]);
  for (size_t i = 0; i < p->n_attribute; i++) {
    const Onnx__AttributeProto *x = p->attribute[i];
    GS_TRY(check_formal(im, f, x->name, place));
    GS_TRY(gs_attr_resolve(im, s->call, x, place, &x, im->e));
    if (x) gs_map_put(&call->attr, x->name, (void *)(uintptr_t)x);
  }
  return GS_OK;
}

static gs_status check_call(gs_import *im, const gs_scope *s,
                            const Onnx__FunctionProto *f,
                            const Onnx__NodeProto *p, const char *place) {
  for (const gs_call *c = s->call; c; c = c->caller)
    if (c->f == f)
      return gs_fail(im->e, GS_DATA, place, "function '%s' calls itself",
                     text(f->name));
  if (s->call && s->call->depth >= im->m->limit.call_depth)
    return gs_fail(im->e, GS_DATA, place, "functions call each other deeper "
                   "than %" PRId64 " (limit call_depth)",
                   im->m->limit.call_depth);
  if (p->n_input > f->n_input || p->n_output > f->n_output)
    return gs_fail(im->e, GS_DATA, place, "function '%s' has %zu inputs and "
                   "%zu outputs; %zu and %zu are used", text(f->name),
                   f->n_input, f->n_output, p->n_input, p->n_output);
  return GS_OK;
}

/* A result that the body passes through, or names twice, is copied. */
static gs_status finish_output(gs_import *im, gs_scope *body, gs_value *out,
                               const char *formal, const char *place) {
  if (out->def || out->constant) return GS_OK;
  gs_value *v = gs_map_get(&body->names, formal);
  if (!v)
    return gs_fail(im->e, GS_DATA, place, "function '%s' does not define its "
                   "output '%s'", text(body->call->f->name), formal);
  gs_node *n = gs_node_new(body->g, "", "Identity", NULL, 1, 1);
  n->in[0] = v;
  gs_node_output(n, 0, out);
  n->origin = body->prefix;
  n->opset = (int)gs_model_opset(im->m, "");
  return GS_OK;
}

/* Function inputs stand for the caller's values; missing ones for nothing. */
static gs_status bind_inputs(gs_import *im, gs_scope *s, gs_scope *body,
                             const Onnx__FunctionProto *f,
                             const Onnx__NodeProto *p, const char *place) {
  for (size_t i = 0; i < f->n_input; i++) {
    if (gs_map_has(&body->names, f->input[i]))
      return gs_fail(im->e, GS_DATA, place, "function '%s' has two inputs "
                     "'%s'", text(f->name), f->input[i]);
    gs_value *v = NULL;
    if (i < p->n_input && *p->input[i])
      GS_TRY(use(im, s, p->input[i], place, &v));
    gs_map_put(&body->names, f->input[i], v);
  }
  return GS_OK;
}

static gs_status inline_call(gs_import *im, gs_scope *s,
                             const Onnx__FunctionProto *f,
                             const Onnx__NodeProto *p, const char *place) {
  GS_TRY(check_call(im, s, f, p, place));
  gs_call call = {.f = f, .caller = s->call};
  call.depth = s->call ? s->call->depth + 1 : 1;
  GS_TRY(bind_attrs(im, s, p, place, &call));
  gs_scope body;
  scope_init(im, &body, s->g);
  body.call = &call;
  body.depth = s->depth;
  const char *name = text(p->name);
  if (!*name) name = p->n_output && *p->output[0] ? p->output[0] : f->name;
  body.prefix = s->prefix ? gs_sprintf(im->a, "%s/%s", s->prefix, name) : name;
  GS_TRY(bind_inputs(im, s, &body, f, p, place));
  gs_value **out = GS_NEWS(im->a, p->n_output, gs_value *);
  GS_TRY(define_outputs(im, s, p, place, out));
  for (size_t i = 0; i < p->n_output; i++)
    if (out[i] && !gs_map_has(&body.bound, f->output[i]) &&
        !gs_map_has(&body.names, f->output[i]))
      gs_map_put(&body.bound, f->output[i], out[i]);
  GS_TRY(import_nodes(im, &body, f->node, f->n_node));
  for (size_t i = 0; i < p->n_output; i++)
    if (out[i])
      GS_TRY(finish_output(im, &body, out[i], f->output[i], place));
  return GS_OK;
}

/* The function that p calls, or NULL. */
static const Onnx__FunctionProto *function_of(const gs_import *im,
                                              const Onnx__NodeProto *p) {
  if (!im->functions.n) return NULL;
  return gs_map_get(&im->functions, gs_function_key(im->a, p->domain,
                                                    p->op_type, p->overload));
}

static gs_status import_nodes(gs_import *im, gs_scope *s,
                              Onnx__NodeProto *const *node, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const Onnx__NodeProto *p = node[i];
    const char *place = gs_node_proto_place(im, s, p);
    if (++im->nodes > im->m->limit.nodes) /* graphs passed as attributes */
      return gs_fail(im->e, GS_DATA, place, "more than %" PRId64 " nodes after "
                     "inlining (limit nodes)", im->m->limit.nodes);
    const Onnx__FunctionProto *f = function_of(im, p);
    if (f) GS_TRY(inline_call(im, s, f, p, place));
    else if (is_literal(p)) GS_TRY(import_constant(im, s, p, place));
    else GS_TRY(import_operator(im, s, p, place));
  }
  return GS_OK;
}

/* ---- graphs ---- */

static gs_status import_initializer(gs_import *im, gs_scope *s,
                                    gs_tensor *t, const char *name,
                                    const char *place) {
  if (!*name) return gs_fail(im->e, GS_DATA, place, "without a name");
  gs_value *v;
  GS_TRY(declare(im, s, name, place, &v));
  t->name = v->name;
  v->constant = t;
  v->dtype = t->dtype;
  gs_value_shape(s->g, v, t->rank, t->dims);
  v->dim_names = NULL;
  return GS_OK;
}

static gs_status import_initializers(gs_import *im, gs_scope *s,
                                     const Onnx__GraphProto *p) {
  gs_tensor *t;
  for (size_t i = 0; i < p->n_initializer; i++) {
    const Onnx__TensorProto *x = p->initializer[i];
    const char *place = gs_tensor_place(im->a, im->m->path, x,
                                        gs_sprintf(im->a, "%zu", i));
    GS_TRY(gs_tensor_import(im->a, im->m, x, place, &t, im->e));
    GS_TRY(import_initializer(im, s, t, text(x->name), place));
  }
  for (size_t i = 0; i < p->n_sparse_initializer; i++) {
    const Onnx__SparseTensorProto *x = p->sparse_initializer[i];
    const char *name = x->values ? text(x->values->name) : "";
    const char *place = gs_sprintf(im->a, "%s: sparse tensor '%s'",
                                   im->m->path, name);
    GS_TRY(gs_sparse_import(im->a, im->m, x, place, &t, im->e));
    GS_TRY(import_initializer(im, s, t, name, place));
  }
  return GS_OK;
}

static gs_status import_inputs(gs_import *im, gs_scope *s,
                               const Onnx__GraphProto *p) {
  gs_map seen;
  gs_map_init(&seen, im->a);
  for (size_t i = 0; i < p->n_input; i++) {
    const char *name = text(p->input[i]->name);
    if (gs_map_has(&seen, name))
      return gs_fail(im->e, GS_DATA, im->m->path, "input '%s' is given twice",
                     name);
    gs_map_put(&seen, name, s);
    gs_value *v = gs_map_get(&s->names, name);
    if (v && v->constant) continue; /* a default value, taken as constant */
    GS_TRY(declare(im, s, name, im->m->path, &v));
    v->is_input = true;
    /* Only the main graph's inputs must say what they are. */
    GS_TRY(gs_type_apply(im, s->g, v, p->input[i]->type, !s->outer));
    *gs_push(im->a, &s->g->input) = v;
  }
  return GS_OK;
}

static gs_status import_outputs(gs_import *im, gs_scope *s,
                                const Onnx__GraphProto *p) {
  for (size_t i = 0; i < p->n_output; i++) {
    const char *name = text(p->output[i]->name);
    gs_value *v = NULL;
    if (s->outer) GS_TRY(use(im, s, name, im->m->path, &v));
    else v = gs_map_get(&s->names, name);
    if (!v)
      return gs_fail(im->e, GS_DATA, im->m->path, "output '%s' is not defined",
                     name);
    GS_TRY(gs_type_apply(im, s->g, v, p->output[i]->type, false));
    v->is_output = true;
    *gs_push(im->a, &s->g->output) = v;
  }
  return GS_OK;
}

static gs_status import_graph(gs_import *im, gs_scope *s,
                              const Onnx__GraphProto *p) {
  for (size_t i = 0; i < p->n_value_info; i++)
    if (p->value_info[i]->name && p->value_info[i]->type)
      gs_map_put(&s->types, p->value_info[i]->name, p->value_info[i]->type);
  GS_TRY(import_initializers(im, s, p));
  GS_TRY(import_inputs(im, s, p));
  GS_TRY(import_nodes(im, s, p->node, p->n_node));
  return import_outputs(im, s, p);
}

static gs_status import_subgraph(gs_import *im, gs_scope *s,
                                 const Onnx__GraphProto *p,
                                 const char *place, gs_graph **out) {
  if (s->depth >= im->m->limit.subgraph_depth)
    return gs_fail(im->e, GS_DATA, place, "graphs nest deeper than %" PRId64
                   " (limit subgraph_depth)", im->m->limit.subgraph_depth);
  gs_scope inner;
  *out = gs_graph_new(im->a, text(p->name));
  scope_init(im, &inner, *out);
  inner.outer = s;
  inner.call = s->call;
  inner.prefix = s->prefix;
  inner.depth = s->depth + 1;
  return import_graph(im, &inner, p);
}

/* ---- the model ---- */

static gs_status list_functions(gs_import *im) {
  const Onnx__ModelProto *p = im->m->proto;
  for (size_t i = 0; i < p->n_functions; i++) {
    const Onnx__FunctionProto *f = p->functions[i];
    const char *key = gs_function_key(im->a, f->domain, f->name, f->overload);
    if (gs_map_has(&im->functions, key))
      return gs_fail(im->e, GS_DATA, im->m->path, "function '%s' is defined "
                     "twice", f->name);
    gs_map_put(&im->functions, key, (void *)(uintptr_t)f);
  }
  return GS_OK;
}

static void reserve(gs_import *im, const char *name) {
  if (name && *name) gs_map_put(&im->reserved, name, im);
}

static void reserve_names(gs_import *im, const Onnx__GraphProto *p) {
  for (size_t i = 0; i < p->n_input; i++) reserve(im, p->input[i]->name);
  for (size_t i = 0; i < p->n_initializer; i++)
    reserve(im, p->initializer[i]->name);
  for (size_t i = 0; i < p->n_sparse_initializer; i++)
    if (p->sparse_initializer[i]->values)
      reserve(im, p->sparse_initializer[i]->values->name);
  for (size_t i = 0; i < p->n_node; i++)
    for (size_t k = 0; k < p->node[i]->n_output; k++)
      reserve(im, p->node[i]->output[k]);
}

gs_status gs_model_import(gs_model *m, gs_graph **out, gs_err *e) {
  gs_import im = {.m = m, .a = m->arena, .e = e};
  im.subgraph = import_subgraph;
  gs_map_init(&im.functions, im.a);
  gs_map_init(&im.reserved, im.a);
  GS_TRY(list_functions(&im));
  const Onnx__GraphProto *p = m->proto->graph;
  GS_TRY(gs_nodes_check(&im));
  reserve_names(&im, p);
  gs_graph *g = gs_graph_new(im.a, text(p->name));
  gs_scope s;
  scope_init(&im, &s, g);
  GS_TRY(import_graph(&im, &s, p));
  *out = g;
  return GS_OK;
}
