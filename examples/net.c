#include "net.h"

#include <string.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "io/onnx/onnx_build.h"
#include "op/core/op.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Understood by runtimes of the last years; all that is used here means the
 * same in the newest. */
enum { OPSET = 21 };
/* Weights in a file of their own start at multiples of this. */
enum { PAGE = 4096 };

void net_begin(net *n, gs_arena *a, const char *name, bool weights,
               uint64_t seed, gs_err *e) {
  *n = (net){.arena = a,
             .graph = gs_graph_new(a, name),
             .scope = "",
             .weights = weights,
             .opset = OPSET,
             .seed = seed,
             .err = e};
}

const char *net_scope(net *n, const char *part) {
  return *n->scope ? gs_sprintf(n->arena, "%s/%s", n->scope, part)
                   : gs_strdup(n->arena, part);
}

static bool failed(net *n, gs_status s) {
  if (n->status == GS_OK) n->status = s;
  return s != GS_OK;
}

/* ---- leaves ---- */

gs_value *net_input(net *n, const char *name, gs_dtype dtype, int rank,
                    const int64_t *dims) {
  gs_value *v = gs_value_new(n->graph, name, dtype, rank, dims);
  v->is_input = true;
  *gs_push(n->arena, &n->graph->input) = v;
  return v;
}

gs_value *net_tokens(net *n, const char *name, int64_t rows, int64_t columns,
                     int64_t vocabulary) {
  *gs_push(n->arena, &n->range) = (net_range){
      gs_strdup(n->arena, name),
      gs_sprintf(n->arena, "0:%lld", (long long)vocabulary)};
  return net_input(n, name, GS_INT64, 2, (int64_t[]){rows, columns});
}

/* splitmix64: one step of a sequence of 64-bit numbers. */
static uint64_t next(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Uniform numbers, for these are the same on every machine; the key is made
 * from the name, so that a layer keeps its weights when others are added. */
static void fill_random(float *p, int64_t count, uint64_t key,
                        double deviation) {
  double half = 1.7320508075688772 * deviation; /* sqrt 3 */
  for (int64_t i = 0; i < count; i++) {
    double u = (double)(next(&key) >> 11) * 0x1p-53;
    p[i] = (float)((2 * u - 1) * half);
  }
}

/* A weight, zero or known by shape only; *data is NULL for the latter. */
static gs_value *new_weight(net *n, const char *name, int rank,
                            const int64_t *dims, float **data) {
  *data = NULL;
  if (n->status != GS_OK) return NULL;
  gs_tensor *t;
  if (n->weights) {
    if (failed(n, gs_tensor_new(n->arena, GS_FLOAT, rank, dims, &t, n->err)))
      return NULL;
    *data = (float *)(uintptr_t)t->data;
  } else {
    int64_t count = gs_product(dims, rank);
    int64_t bytes = count < 0 ? -1 : gs_dtype_bytes(GS_FLOAT, count);
    if (bytes < 0) {
      failed(n, gs_fail(n->err, GS_RESOURCE, name, "the weight is too large"));
      return NULL;
    }
    t = GS_NEW(n->arena, gs_tensor);
    t->dtype = GS_FLOAT;
    t->rank = rank;
    t->dims = gs_memdup(n->arena, dims, (size_t)rank * sizeof *dims);
    t->nbytes = (uint64_t)bytes;
  }
  n->parameters += gs_tensor_count(t);
  t->name = net_scope(n, name);
  return gs_value_constant(n->graph, t->name, t);
}

gs_value *net_weight(net *n, const char *name, double deviation, int rank,
                     const int64_t *dims) {
  float *data;
  gs_value *v = new_weight(n, name, rank, dims, &data);
  if (data)
    fill_random(data, gs_product(dims, rank),
                gs_hash(v->name, strlen(v->name), n->seed), deviation);
  return v;
}

gs_value *net_filled(net *n, const char *name, float x, int rank,
                     const int64_t *dims) {
  float *data;
  gs_value *v = new_weight(n, name, rank, dims, &data);
  int64_t count = data ? gs_product(dims, rank) : 0;
  for (int64_t i = 0; i < count; i++) data[i] = x;
  return v;
}

gs_value *net_ints(net *n, int count, const int64_t *v) {
  gs_buf name;
  gs_buf_init(&name, n->arena);
  gs_buf_str(&name, "ints");
  for (int i = 0; i < count; i++)
    gs_buf_printf(&name, "%c%lld", i ? ',' : '/', (long long)v[i]);
  gs_value *c = gs_graph_find(n->graph, name.at);
  return c ? c : gs_value_ints(n->graph, name.at, v, count);
}

static gs_value *scalar(net *n, const char *name, gs_dtype dtype,
                        const void *p, size_t bytes) {
  static const int64_t no_dims[1];
  gs_value *c = gs_graph_find(n->graph, name);
  if (c) return c;
  gs_tensor *t = GS_NEW(n->arena, gs_tensor);
  t->dtype = dtype;
  t->dims = no_dims;
  t->nbytes = bytes;
  t->data = gs_memdup(n->arena, p, bytes);
  return gs_value_constant(n->graph, name, t);
}

gs_value *net_int(net *n, int64_t v) {
  return scalar(n, gs_sprintf(n->arena, "int/%lld", (long long)v), GS_INT64,
                &v, sizeof v);
}

gs_value *net_float(net *n, float v) {
  return scalar(n, gs_sprintf(n->arena, "float/%.9g", (double)v), GS_FLOAT, &v,
                sizeof v);
}

/* ---- operators ---- */

gs_node *net_node(net *n, const char *op, const char *name, int nin,
                  gs_value *const *in, int nout) {
  if (n->status != GS_OK) return NULL;
  const char *full = net_scope(n, name);
  gs_node *node = gs_node_new(n->graph, "", op, full, nin, nout);
  node->op = gs_op_find("", op);
  node->opset = n->opset;
  for (int i = 0; i < nin; i++) node->in[i] = in[i];
  for (int i = 0; i < nout; i++) {
    const char *result =
        i ? gs_sprintf(n->arena, "%s.%d", full, i + 1) : full;
    gs_value *v = gs_value_new(n->graph, result, GS_UNDEFINED, -1, NULL);
    gs_node_output(node, i, v);
  }
  return node;
}

gs_value *net_result(net *n, gs_node *node) {
  if (n->status != GS_OK || !node) return NULL;
  if (failed(n, gs_shape_infer(n->graph, node, n->err))) return NULL;
  return node->out[0];
}

gs_value *net_op(net *n, const char *op, const char *name, int nin,
                 gs_value *const *in) {
  return net_result(n, net_node(n, op, name, nin, in, 1));
}

/* A node with one integer attribute. */
static gs_value *with_int(net *n, const char *op, const char *name, int nin,
                          gs_value *const *in, const char *attr, int64_t i) {
  gs_node *node = net_node(n, op, name, nin, in, 1);
  if (node) gs_node_set_int(n->graph, node, attr, i);
  return net_result(n, node);
}

gs_value *net_einsum(net *n, const char *name, const char *equation,
                     gs_value *a, gs_value *b) {
  gs_node *node = net_node(n, "Einsum", name, NET_OPERANDS(a, b), 1);
  if (node) gs_node_set_string(n->graph, node, "equation", equation);
  return net_result(n, node);
}

gs_value *net_reduce(net *n, const char *op, const char *name, gs_value *x,
                     int64_t axis, bool keep) {
  return with_int(n, op, name, NET_OPERANDS(x, net_ints(n, 1, &axis)),
                  "keepdims", keep);
}

gs_value *net_cast(net *n, const char *name, gs_value *x, gs_dtype to) {
  return with_int(n, "Cast", name, NET_OPERANDS(x), "to", (int64_t)to);
}

gs_value *net_reshape(net *n, const char *name, gs_value *x, int rank,
                      const int64_t *dims) {
  return NET_OP(n, "Reshape", name, x, net_ints(n, rank, dims));
}

gs_value *net_transpose(net *n, const char *name, gs_value *x, int rank,
                        const int64_t *perm) {
  gs_node *node = net_node(n, "Transpose", name, NET_OPERANDS(x), 1);
  if (node) gs_node_set_ints(n->graph, node, "perm", perm, rank);
  return net_result(n, node);
}

gs_value *net_unsqueeze(net *n, const char *name, gs_value *x, int64_t axis) {
  return NET_OP(n, "Unsqueeze", name, x, net_ints(n, 1, &axis));
}

gs_value *net_softmax(net *n, const char *name, gs_value *x) {
  return with_int(n, "Softmax", name, NET_OPERANDS(x), "axis", -1);
}

gs_value *net_concat(net *n, const char *name, gs_value *const *v, int count,
                     int64_t axis) {
  return with_int(n, "Concat", name, count, v, "axis", axis);
}

/* ---- the whole ---- */

void net_output(net *n, gs_value *v) {
  if (n->status != GS_OK) return;
  v->is_output = true;
  *gs_push(n->arena, &n->graph->output) = v;
}

typedef struct placing {
  const char *data;
  uint64_t end;
} placing;

/* The place of a weight without values in the file beside the model. */
static bool place_weight(void *user, const gs_value *v, gs_extref *out) {
  placing *p = user;
  const gs_tensor *t = v->constant;
  if (t->data || t->file || !t->nbytes) return false;
  *out = (gs_extref){p->data, p->end};
  p->end += (t->nbytes + PAGE - 1) / PAGE * PAGE;
  return true;
}

gs_status net_write(net *n, const gs_cli *c, const char *path, gs_err *e) {
  GS_TRY(n->status);
  GS_TRY(gs_graph_check(n->graph, e));
  double count = (double)n->parameters;
  bool large = n->parameters >= 1000000000;
  gs_cli_note(c, "%.4g %sillion weights, %d nodes",
              count / (large ? 1e9 : 1e6), large ? "b" : "m",
              n->graph->node.n);
  if (c->dry_run) return GS_OK;
  if (!path) return gs_fail(e, GS_USAGE, NULL, "no output: give -o FILE");
  if (!strcmp(path, "-")) GS_TRY(gs_cli_check_stdout(c, e));
  const char *base = strrchr(path, '/');
  base = base ? base + 1 : strcmp(path, "-") ? path : n->graph->name;
  placing place = {.data = gs_sprintf(n->arena, "%s.data", base)};
  gs_model_info info = {.producer_name = c->tool->name,
                        .producer_version = PACKAGE_VERSION,
                        /* 10: metadata of inputs */
                        .ir_version = n->opset > OPSET ? 11 : 10,
                        .nopset = 2,
                        .opset_domain = (const char *[]){"", "com.microsoft"},
                        .opset_version = (int64_t[]){n->opset, 1},
                        .external = place_weight,
                        .user = &place};
  gs_model *m;
  GS_TRY(gs_model_from_graph(n->arena, n->graph, &info, &m, e));
  for (int i = 0; i < n->range.n; i++)
    gs_model_input_meta_set(m, n->range.at[i].input, "gshard.range",
                            n->range.at[i].text);
  gs_status s = gs_model_write(m, path, e);
  gs_model_close(m);
  return s;
}

/* ---- programs ---- */

gs_status net_sizes(const gs_cli *c, const net_size *size, gs_err *e) {
  for (; size->name; size++)
    GS_TRY(gs_cli_int(c, size->name, size->min, size->max, size->at, e));
  return GS_OK;
}

gs_status net_open(net *n, const gs_cli *c, gs_arena *a, const char *name,
                   bool weights, gs_err *e) {
  const char *kind = gs_cli_get(c, "weights");
  int64_t seed = 1;
  GS_TRY(gs_cli_int(c, "seed", 0, INT64_MAX, &seed, e));
  net_begin(n, a, name, kind ? !strcmp(kind, "random") : weights,
            (uint64_t)seed, e);
  return GS_OK;
}
