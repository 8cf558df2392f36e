/* Functions of a model: their names, and how many nodes they make once they
 * are inlined, counted before that is done: functions that call functions
 * double at every step. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "io/onnx/onnx_import.h"

/* ---- names ---- */

static const char *text(const char *s) { return s ? s : ""; }

const char *gs_domain_name(const char *domain) {
  return !domain || !strcmp(domain, "ai.onnx") ? "" : domain;
}

const char *gs_function_key(gs_arena *a, const char *domain,
                            const char *name, const char *overload) {
  return gs_sprintf(a, "%s\x1f%s\x1f%s", gs_domain_name(domain), text(name),
                    text(overload));
}

const char *gs_node_proto_place(gs_import *im, const gs_scope *s,
                                const Onnx__NodeProto *p) {
  const char *name = text(p->name);
  if (!*name && p->n_output) name = text(p->output[0]);
  const char *prefix = s && s->prefix ? s->prefix : "";
  return gs_sprintf(im->a, "%s: node '%s%s%s' (%s)", im->m->path,
                    prefix, *prefix ? "/" : "", name, text(p->op_type));
}

/* ---- how many nodes ---- */

/* What is known of a function; counts stop at limit + 1. */
typedef struct gs_body {
  int64_t nodes;
  bool open; /* being counted: it calls itself, which inlining reports */
} gs_body;

typedef struct gs_counter {
  const gs_import *im;
  gs_map body;   /* key of a function -> gs_body */
  int64_t limit;
} gs_counter;

static int64_t in_nodes(gs_counter *c, Onnx__NodeProto *const *node, size_t n,
                        int depth);

static int64_t in_function(gs_counter *c, const Onnx__NodeProto *p,
                           int depth) {
  const gs_import *im = c->im;
  if (!im->functions.n || depth > im->m->limit.call_depth) return 0;
  const char *key =
      gs_function_key(im->a, p->domain, p->op_type, p->overload);
  const Onnx__FunctionProto *f = gs_map_get(&im->functions, key);
  if (!f) return 0;
  gs_body *b = gs_map_get(&c->body, key);
  if (b) return b->open ? 0 : b->nodes;
  gs_assert(c->limit >= 0);
  b = GS_NEW(im->a, gs_body);
  b->open = true;
  gs_map_put(&c->body, key, b);
  b->nodes = in_nodes(c, f->node, f->n_node, depth + 1);
  b->open = false;
  return b->nodes;
}

static int64_t in_graph(gs_counter *c, const Onnx__GraphProto *g, int depth) {
  return g ? in_nodes(c, g->node, g->n_node, depth) : 0;
}

/* One node with what it stands for. */
static int64_t in_node(gs_counter *c, const Onnx__NodeProto *p, int depth) {
  int64_t n = 1 + in_function(c, p, depth);
  for (size_t i = 0; i < p->n_attribute && n <= c->limit; i++) {
    const Onnx__AttributeProto *a = p->attribute[i];
    n += in_graph(c, a->g, depth);
    for (size_t k = 0; k < a->n_graphs && n <= c->limit; k++)
      n += in_graph(c, a->graphs[k], depth);
  }
  return n;
}

static int64_t in_nodes(gs_counter *c, Onnx__NodeProto *const *node, size_t n,
                        int depth) {
  int64_t sum = 0;
  for (size_t i = 0; i < n && sum <= c->limit; i++)
    sum += in_node(c, node[i], depth);
  return sum <= c->limit ? sum : c->limit + 1;
}

gs_status gs_nodes_check(gs_import *im) {
  gs_counter c = {.im = im, .limit = im->m->limit.nodes};
  gs_map_init(&c.body, im->a);
  const Onnx__GraphProto *g = im->m->proto->graph;
  int64_t sum = 0;
  for (size_t i = 0; i < g->n_node; i++) {
    sum += in_node(&c, g->node[i], 0);
    if (sum > c.limit)
      return gs_fail(im->e, GS_DATA, gs_node_proto_place(im, NULL, g->node[i]),
                     "more than %" PRId64 " nodes after inlining (limit "
                     "nodes)", c.limit);
  }
  return GS_OK;
}
