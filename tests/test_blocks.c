/* Local forms against the whole: for every case, every factor that may be
 * split and 2, 3 and 4 devices, the node's local form on each device's blocks
 * must give the blocks of the node's result.  Needs no partitioner: one factor
 * at a time is split, over one axis.
 *
 * Cases (see cases.h) are graphs of one node, whose inputs get numbers;
 * expected is how often it was split. */
#include "cases.h"
#include "kernel/core/kernel.h"

enum { MAX_DEVICES = 4 };

/* One factor of one node, split over m devices. */
typedef struct trial {
  gs_arena *a;
  const gs_node *node;
  const gs_rule *rule;
  const gs_mesh *mesh;
  gs_axes *factor; /* of gs_local */
  int split, m;
  bool summed;
} trial;

/* ---- values ---- */

/* Small whole numbers, so that sums are exact; indices are 0 or 1. */
static void fill(gs_value *v, gs_arena *a) {
  gs_tensor *t;
  char cls = gs_dtype_get((int)v->dtype)->cls;
  must(gs_tensor_new(a, v->dtype, v->rank, v->dims, &t, NULL) == GS_OK,
       "memory");
  int64_t n = gs_tensor_count(t), size = gs_dtype_get((int)v->dtype)->bits / 8;
  for (int64_t i = 0; i < n; i++) {
    float f = (float)(i * 7 % 11) - 3;
    int64_t small = i * 5 / 3 % 2;
    char *at = (char *)t->data + i * size;
    must(cls != 'f' || v->dtype == GS_FLOAT, "inputs of type f32");
    if (cls == 'f') memcpy(at, &f, sizeof f);
    else memcpy(at, &small, (size_t)size);
  }
  v->constant = t;
}

static double element(const gs_tensor *t, int64_t i) {
  gs_tensor one = *t;
  int64_t n, dims[1] = {1};
  float f;
  double d;
  int size = gs_dtype_get((int)t->dtype)->bits / 8;
  one.data = (const char *)gs_tensor_bytes(t) + i * size;
  one.rank = 1;
  one.dims = dims;
  if (t->dtype == GS_FLOAT) {
    memcpy(&f, one.data, sizeof f);
    return (double)f;
  }
  if (t->dtype == GS_DOUBLE) {
    memcpy(&d, one.data, sizeof d);
    return d;
  }
  must(gs_tensor_ints(&one, &n, 1) == 1, "a result of a common type");
  return (double)n;
}

/* ---- blocks ---- */

/* Dims that the split factor is in. */
static void cut_dims(const trial *t, const gs_tensor_map *map, bool *cut) {
  for (int d = 0; d < map->rank; d++) {
    cut[d] = false;
    for (int i = 0; i < map->dim[d].n; i++)
      cut[d] |= map->dim[d].f[i] == t->split;
  }
}

/* Element i of block p: its index in the whole; false for padding. */
static bool whole_index(int rank, const int64_t *whole, const int64_t *local,
                        const bool *cut, int p, int64_t i, int64_t *index) {
  int64_t stride = 1;
  bool inside = true;
  *index = 0;
  for (int d = rank - 1; d >= 0; d--) {
    int64_t c = i % local[d];
    i /= local[d];
    if (cut[d]) c += p * local[d];
    if (c >= whole[d]) inside = false;
    *index += c * stride;
    stride *= whole[d];
  }
  return inside;
}

/* Block p of an operand.  Padding is zero where a factor is summed (as the
 * partitioner masks it) or holds indices, else a number that would show. */
static gs_tensor *operand_block(const trial *t, const gs_tensor *x,
                                const gs_tensor_map *map, int p, bool zero) {
  bool cut[GS_MAX_RANK];
  int64_t dims[GS_MAX_RANK], from;
  gs_tensor *y;
  size_t size = (size_t)gs_dtype_get((int)x->dtype)->bits / 8;
  cut_dims(t, map, cut);
  for (int d = 0; d < x->rank; d++)
    dims[d] = cut[d] ? (x->dims[d] + t->m - 1) / t->m : x->dims[d];
  must(gs_tensor_new(t->a, x->dtype, x->rank, dims, &y, NULL) == GS_OK,
       "memory");
  for (int64_t i = 0, n = gs_tensor_count(y); i < n; i++) {
    char *at = (char *)y->data + i * (int64_t)size;
    if (whole_index(x->rank, x->dims, dims, cut, p, i, &from))
      memcpy(at, (const char *)gs_tensor_bytes(x) + from * (int64_t)size,
             size);
    else if (!zero) memset(at, x->dtype == GS_FLOAT ? 0x45 : 1, size);
  }
  return y;
}

/* ---- one device ---- */

static void local_start(const trial *t, gs_local *l, int p) {
  const gs_node *n = t->node;
  bool cut[GS_MAX_RANK];
  l->program = gs_graph_new(t->a, "");
  l->program->mesh = t->mesh;
  l->in = GS_NEWS(t->a, n->nin + 1, gs_value *);
  l->out = GS_NEWS(t->a, n->nout, gs_value *);
  l->out_dims = GS_NEWS(t->a, n->nout, int64_t *);
  l->out_sharding = GS_NEWS(t->a, n->nout, gs_sharding *);
  if (t->summed) l->partial = gs_axes_set(&t->factor[t->split]);
  for (int i = 0; i < n->nin; i++) {
    bool index = i == 1 && (n->op->flags & GS_OP_INDEX1);
    if (n->in[i])
      l->in[i] = gs_value_constant(
          l->program, n->in[i]->name,
          operand_block(t, n->in[i]->constant, &t->rule->in[i], p,
                        index || t->summed));
  }
  for (int i = 0; i < n->nout; i++) {
    l->out_dims[i] = GS_NEWS(t->a, GS_MAX_RANK, int64_t);
    if (!n->out[i]) continue;
    l->out_sharding[i] = gs_sharding_new(t->a, n->out[i]->rank, false);
    cut_dims(t, &t->rule->out[i], cut);
    for (int d = 0; d < n->out[i]->rank; d++)
      if (cut[d]) l->out_sharding[i]->dim[d].axes = t->factor[t->split];
    gs_sharding_local(t->mesh, l->out_sharding[i], n->out[i]->dims,
                      l->out_dims[i]);
  }
}

/* The local form on device p, evaluated. */
static void local_run(const trial *t, gs_local *l, int p) {
  gs_err e;
  gs_status s = GS_OK;
  gs_err_init(&e);
  *l = (gs_local){.node = t->node,
                  .rule = t->rule,
                  .factor = t->factor,
                  .mesh = t->mesh,
                  .nstage = 1,
                  .stage = {{.reduce = GS_REDUCE_SUM}}};
  local_start(t, l, p);
  if (t->node->op->local) s = t->node->op->local(l, &e);
  else gs_local_same(l);
  for (int i = 0; i < l->program->node.n && !s; i++) {
    gs_node *n = l->program->node.at[i];
    const gs_placement *pl = gs_node_placement(n);
    if (pl)
      gs_node_set_placement(l->program, n,
                            gs_placement_fold(t->a, t->mesh, pl, p));
    if (*n->domain && (!pl || gs_node_attr(n, "axes")))
      gs_node_set_int(l->program, n, "index", p);
    s = gs_shape_infer(l->program, n, &e);
    if (!s) s = gs_kernel_eval(l->program, n, &e);
  }
  if (s) ck_abort_msg("%s: %s", e.diag[0].place, e.diag[0].text);
  gs_err_free(&e);
}

/* ---- comparison ---- */

static void differs(const trial *t, int p, int64_t i, double got,
                    double want) {
  gs_buf b;
  gs_buf_init(&b, t->a);
  gs_rule_print(&b, t->rule);
  ck_abort_msg("%s %s\nfactor %d over %d devices, device %d, element %d: "
               "%g, expected %g",
               t->node->op_type, b.at, t->split, t->m, p, (int)i, got, want);
}

static void compare_block(const trial *t, const gs_local *l, int o, int p) {
  const gs_tensor *want = t->node->out[o]->constant;
  const gs_tensor *got = l->out[o]->constant;
  bool cut[GS_MAX_RANK];
  int64_t at;
  cut_dims(t, &t->rule->out[o], cut);
  for (int64_t i = 0, n = gs_tensor_count(got); i < n; i++) {
    if (!whole_index(want->rank, want->dims, got->dims, cut, p, i, &at))
      continue;
    double x = element(got, i), y = element(want, at);
    if (!(x - y <= 1e-5 && y - x <= 1e-5) && !(x != x && y != y) &&
        memcmp(&x, &y, sizeof x) != 0)
      differs(t, p, i, x, y);
  }
}

/* Adds what device p contributes; compares after the last one. */
static void compare_sum(const trial *t, const gs_local *l, int p,
                        double *sum) {
  const gs_tensor *want = t->node->out[0]->constant;
  for (int64_t i = 0, n = gs_tensor_count(want); i < n; i++) {
    sum[i] += element(l->out[0]->constant, i);
    double y = element(want, i), d = sum[i] - y;
    if (p == t->m - 1 && !(d <= 1e-5 && d >= -1e-5))
      differs(t, p, i, sum[i], y);
  }
}

/* A factor can be split alone when it is the major one of its dims, evenly
 * where it is not the only one. */
static bool may_split(const gs_rule *r, int f, int m) {
  const gs_factor *k = &r->factor[f];
  bool ok = k->size > 0 && !k->blocked &&
            (k->kind == GS_PASS ||
             (k->kind == GS_SUMMED && k->reduce == GS_REDUCE_SUM));
  for (int i = 0; i < r->nin + r->nout; i++) {
    const gs_tensor_map *map = i < r->nin ? &r->in[i] : &r->out[i - r->nin];
    for (int d = 0; d < map->rank; d++)
      for (int j = 0; j < map->dim[d].n; j++)
        if (map->dim[d].f[j] == f)
          ok = ok && j == 0 && (map->dim[d].n == 1 || k->size % m == 0);
  }
  return ok;
}

static bool run_trial(trial *t) {
  gs_mesh *mesh = GS_NEW(t->a, gs_mesh);
  gs_local l;
  double *sum =
      GS_NEWS(t->a, gs_tensor_count(t->node->out[0]->constant) + 1, double);
  must(gs_mesh_add(mesh, "x", t->m, NULL) == GS_OK &&
           gs_mesh_finish(mesh, NULL) == GS_OK,
       "the mesh");
  t->mesh = mesh;
  t->factor = GS_NEWS(t->a, t->rule->nfactor, gs_axes);
  t->factor[t->split] = gs_axes_named(mesh, 0);
  for (int p = 0; p < t->m; p++) {
    local_run(t, &l, p);
    if (l.stage[0].finish)
      return false; /* needs the reduced value: partition's test */
    if (t->summed) compare_sum(t, &l, p, sum);
    for (int o = 0; o < t->node->nout && !t->summed; o++)
      if (t->node->out[o]) compare_block(t, &l, o, p);
  }
  return true;
}

/* All factors of the node. */
static void run_case(gs_arena *a, char *text, gs_buf *b) {
  gs_graph *g;
  gs_err e;
  gs_rule *r = GS_NEW(a, gs_rule);
  int trials = 0;
  gs_err_init(&e);
  if (gs_graph_parse(a, text, "case", &g, &e)) must(false, e.diag[0].text);
  gs_node *n = g->node.at[0];
  n->op = gs_op_find(n->domain, n->op_type);
  for (int i = 0; i < g->input.n; i++) fill(g->input.at[i], a);
  if (gs_shape_infer(g, n, &e) || gs_rule_of(a, n, r, &e) ||
      gs_kernel_eval(g, n, &e))
    must(false, e.diag[0].text);
  for (int f = 0; f < r->nfactor; f++)
    for (int m = 2; m <= MAX_DEVICES; m++) {
      trial t = {.a = a, .node = n, .rule = r, .split = f, .m = m};
      t.summed = r->factor[f].kind == GS_SUMMED;
      if (may_split(r, f, m)) trials += run_trial(&t);
    }
  must(trials > 0, "something is split");
  gs_buf_printf(b, "split %d times\n", trials);
  gs_err_free(&e);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "blocks", run_case, NULL);
}
