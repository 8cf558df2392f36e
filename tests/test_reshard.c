/* Resharding: random pairs of shardings, carried out on the devices, must
 * leave the value as it was; known pairs must cost what they should. */
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "cases.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "pass/partition/partition.h"
#include "pass/reshard/reshard.h"
#include "suite.h"

static uint32_t next_random(uint32_t *state) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static gs_sharding *random_sharding(gs_arena *a, const gs_mesh *m, int rank,
                                    uint32_t *state) {
  gs_sharding *s = gs_sharding_new(a, rank, false);
  uint32_t which = next_random(state) % (uint32_t)(m->norder + 1);
  gs_axes from = gs_axes_of(m->order[which].subs);
  for (int i = from.n - 1; i > 0; i--) {
    int k = (int)(next_random(state) % (uint32_t)(i + 1));
    uint8_t t = from.at[i];
    from.at[i] = from.at[k];
    from.at[k] = t;
  }
  for (int i = 0; i < from.n; i++) {
    int d = (int)(next_random(state) % (uint32_t)(rank + 1));
    if (d == rank) continue;
    gs_axes one = {1, {from.at[i]}};
    s->dim[d].axes = gs_axes_cat(&s->dim[d].axes, &one);
  }
  return s;
}

static gs_value *add_input(gs_arena *a, gs_graph *g, int rank,
                           const int64_t *dims, gs_sharding *s) {
  gs_value *x = gs_value_new(g, "x", GS_INT32, rank, dims);
  x->is_input = true;
  x->sharding = s;
  *gs_push(a, &g->input) = x;
  return x;
}

static gs_value *apply(gs_graph *g, const char *op, const char *name,
                       gs_value *x, gs_value *axes, int rank,
                       const int64_t *dims, gs_sharding *s) {
  gs_node *n = gs_node_new(g, "", op, "", axes ? 2 : 1, 1);
  n->op = gs_op_find("", op);
  n->in[0] = x;
  if (axes) {
    n->in[1] = axes;
    gs_node_set_int(g, n, "keepdims", 0);
  }
  gs_value *y = gs_value_new(g, name, GS_INT32, rank, dims);
  y->sharding = s;
  gs_node_output(n, 0, y);
  return y;
}

/* Runs the program of g on x; its output. NULL: it failed. */
static gs_tensor *run_graph(gs_arena *a, gs_graph *g, gs_value *y,
                            const gs_tensor *x) {
  gs_err e;
  gs_err_init(&e);
  y->is_output = true;
  *gs_push(a, &g->output) = y;
  gs_partition made;
  gs_tensor *out = NULL;
  gs_status s = gs_pass_partition(a, g, &made, &e);
  const gs_graph *program = made.program;
  gs_exec_config config = {
      .graph = &program, .ngraph = 1, .ndevice = g->mesh->ndevice,
      .threads = 1, .verify = true};
  gs_exec *exec = NULL;
  if (!s) s = gs_exec_new(&config, &exec, &e);
  if (!s) s = gs_exec_input(exec, "x", x, &e);
  if (!s) s = gs_exec_run(exec, &e);
  if (!s) s = gs_exec_output(exec, a, 0, &out, &e);
  if (s) gs_err_print(&e, stderr, "reshard", false);
  gs_exec_free(exec);
  gs_err_free(&e);
  return s ? NULL : out;
}

static gs_tensor *random_input(gs_arena *a, int rank, const int64_t *dims) {
  gs_random r = {.seed = 3, .ranged = true, .low = -1000, .high = 1000};
  gs_tensor *x;
  gs_err e;
  gs_err_init(&e);
  ck_assert_int_eq(
      gs_random_tensor(a, "x", GS_INT32, rank, dims, &r, &x, &e), GS_OK);
  gs_err_free(&e);
  return x;
}

static void must_equal(gs_arena *a, const gs_mesh *m, const gs_tensor *got,
                       const gs_tensor *want, const gs_sharding *from,
                       const gs_sharding *to) {
  gs_comparison c = {.equal = false};
  gs_tolerance exact = {0};
  gs_err e;
  gs_err_init(&e);
  bool equal = got && !gs_compare(got, want, &exact, &c, &e) && c.equal;
  ck_assert_msg(equal, "%s -> %s", gs_sharding_text(a, m, from),
                gs_sharding_text(a, m, to));
  gs_err_free(&e);
}

static gs_graph *graph_on(gs_arena *a, const gs_mesh *m) {
  gs_graph *g = gs_graph_new(a, "pair");
  g->mesh = m;
  return g;
}

static void run_pair(gs_arena *a, const gs_mesh *m, const int64_t *dims,
                     int rank, gs_sharding *from, gs_sharding *to) {
  gs_graph *g = graph_on(a, m);
  gs_tensor *x = random_input(a, rank, dims);
  gs_value *y = add_input(a, g, rank, dims, from);
  y = apply(g, "Neg", "y", y, NULL, rank, dims, from);
  y = apply(g, "Neg", "z", y, NULL, rank, dims, to);
  must_equal(a, m, run_graph(a, g, y, x), x, from, to);
}

/* The first dim of x is summed: its axes are what the result is partial
 * over. */
static void run_sum(gs_arena *a, const gs_mesh *m, const int64_t *dims,
                    int rank, gs_sharding *from, gs_sharding *to) {
  gs_graph *g = graph_on(a, m);
  gs_tensor *x = random_input(a, rank, dims), *sum, *axes;
  int64_t one = 1, n = gs_product(dims + 1, rank - 1);
  ck_assert(!gs_tensor_new(a, GS_INT64, 1, &one, &axes, NULL));
  ck_assert(!gs_tensor_new(a, GS_INT32, rank - 1, dims + 1, &sum, NULL));
  *(int64_t *)axes->data = 0;
  for (int64_t i = 0; i < n; i++) {
    int32_t *at = (int32_t *)sum->data + i;
    *at = 0;
    for (int64_t k = 0; k < dims[0]; k++)
      *at += ((const int32_t *)x->data)[k * n + i];
  }
  gs_value *y = add_input(a, g, rank, dims, from);
  gs_value *along = gs_value_constant(g, "axes", axes);
  along->sharding = gs_sharding_new(a, 1, false);
  y = apply(g, "ReduceSum", "y", y, along, rank - 1, dims + 1, to);
  must_equal(a, m, run_graph(a, g, y, x), sum, from, to);
}

static const char *const meshes[] = {"{a=2}", "{a=3}", "{a=2, b=2}",
                                     "{a=2, b=3}", "{a=4, b=2}",
                                     "{a=2, b=2, c=2}",
                                     "{a=2, b=2, y=[0,3,1,2], z=[1,3,2,0]}",
                                     "{a=2, b=3, z=[4,0,3,5,1,2]:3}",
                                     "{a=4, b=2, z=[0,7,1,6,2,5,3,4]}"};
enum { MESHES = sizeof meshes / sizeof *meshes };
static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 12};

/* Each _i is a seed: mesh, shape and both shardings follow from it. */
START_TEST(random_pairs) {
  uint32_t state = 2463534242u + (uint32_t)_i * 7919u;
  for (int k = 0; k < 20; k++) {
    gs_arena a;
    gs_err e;
    gs_mesh m;
    gs_arena_init(&a);
    gs_err_init(&e);
    const char *text = meshes[next_random(&state) % MESHES];
    ck_assert_int_eq(gs_mesh_parse(text, &a, &m, &e), GS_OK);
    int rank = 1 + (int)(next_random(&state) % 3);
    int64_t dims[3];
    for (int d = 0; d < rank; d++) dims[d] = sizes[next_random(&state) % 8];
    gs_sharding *from = random_sharding(&a, &m, rank, &state);
    gs_sharding *to = random_sharding(&a, &m, rank, &state);
    run_pair(&a, &m, dims, rank, from, to);
    gs_err_free(&e);
    gs_arena_free(&a);
  }
}
END_TEST

/* The same of sums, where bytes decide and where messages do. */
START_TEST(random_sums) {
  uint32_t state = 3141592653u + (uint32_t)_i * 7919u;
  for (int k = 0; k < 20; k++) {
    gs_arena a;
    gs_err e;
    gs_mesh m;
    gs_arena_init(&a);
    gs_err_init(&e);
    const char *text = meshes[next_random(&state) % 6];
    ck_assert_int_eq(gs_mesh_parse(text, &a, &m, &e), GS_OK);
    if (k % 2)
      for (int i = 0; i < m.naxis; i++) m.axis[i].gbps = 1e-3;
    int rank = 2 + (int)(next_random(&state) % 2);
    int64_t dims[3] = {24};
    for (int d = 1; d < rank; d++) dims[d] = sizes[next_random(&state) % 8];
    gs_sharding *from = random_sharding(&a, &m, rank, &state);
    gs_sharding *to = random_sharding(&a, &m, rank - 1, &state);
    run_sum(&a, &m, dims, rank, from, to);
    gs_err_free(&e);
    gs_arena_free(&a);
  }
}
END_TEST

typedef struct known {
  const char *mesh, *from, *to, *moves;
  int64_t dims[3];
} known;
static const known pairs[] = {
    {"{x=4}", "{x,~}", "{~,x}", "AllToAll", {8, 8}},
    {"{x=4}", "{x,~}", "{~,~}", "AllGather", {8, 8}},
    {"{x=4}", "{~,~}", "{~,x}", "Shard", {8, 8}},
    {"{x=4}", "{~,~} partial(sum,x)", "{~,~}", "AllReduce", {8, 8}},
    {"{x=4}", "{~,~} partial(sum,x)", "{x,~}", "ReduceScatter", {8, 8}},
    {"{x=2, y=2}", "{x,~}", "{y,~}", "CollectivePermute", {8, 8}},
    {"{x=2, y=2}", "{[x,y],~}", "{[y,x],~}", "CollectivePermute", {8, 8}},
    {"{x=2, y=2}", "{[x,y],~}", "{x,y}", "AllToAll", {8, 8}},
    {"{x=2, y=2}", "{x,~}", "{~,y}", "Shard AllGather", {8, 8}},
    /* Blocks of 5 over 4 do not nest in those of 5 over 2. */
    {"{x=2, y=2}", "{[x,y],~}", "{x,~}", "Exchange", {5, 8}},
    {"{x=2, y=2}", "{~,~}", "{[x,y],~}", "Shard", {5, 8}},
    /* What a ladder of cases solves by gathering everything. */
    {"{x=2, y=4}", "{y,~,x}", "{~,[x,y],~}", "AllToAllDims", {16, 16, 16}},
    /* Between two device orders: one permute, of the smaller blocks. */
    {"{x=4, z=[0,3,1,2]}", "{x,~}", "{z,~}", "CollectivePermute", {8, 8}},
    {"{x=4, z=[0,3,1,2]}", "{z:(1)2,z:(2)2}", "{x:(1)2,x:(2)2}",
     "CollectivePermute", {8, 8}},
    {"{x=4, z=[0,3,1,2]}", "{z:(1)2,~}", "{x,~}", "Shard CollectivePermute",
     {8, 8}},
    {"{x=4, z=[0,3,1,2]}", "{x,~}", "{~,z}", "AllToAll CollectivePermute",
     {4096, 4096}},
    {"{x=4, z=[0,3,1,2]}", "{~,~} partial(sum,z)", "{x,~}",
     "ReduceScatter CollectivePermute", {4096, 4096}},
    {"{x=4, z=[0,3,1,2]}", "{x,~}", "{~,~}", "AllGather", {8, 8}},
    {"{x=4, z=[0,3,1,2]}", "{~,~}", "{z,~}", "Shard", {8, 8}},
    /* What has to be searched for. */
    {"{a=2, b=2, c=2, d=2}", "{[a,b],c,~}", "{d,[b,c],a}",
     "CollectivePermute AllToAllDims Shard", {64, 96, 32}},
    {"{a=2, b=2, c=2, d=2, e=2}", "{d,b,[a,e,c]}", "{~,[c,d],e}",
     "AllToAll CollectivePermute Exchange", {64, 96, 32}},
    {"{a=2, b=2, c=2, d=2, e=2}", "{[e,b],c,[d,a]}", "{[d,a],[e,c],b}",
     "AllToAll AllToAll AllToAll CollectivePermute", {64, 96, 32}},
};

START_TEST(known_pairs) {
  const known *k = &pairs[_i];
  gs_arena a;
  gs_err e;
  gs_mesh m;
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_sharding *from, *to;
  ck_assert_int_eq(gs_mesh_parse(k->mesh, &a, &m, &e), GS_OK);
  ck_assert_int_eq(gs_sharding_parse(&a, &m, k->from, &from, &e), GS_OK);
  ck_assert_int_eq(gs_sharding_parse(&a, &m, k->to, &to, &e), GS_OK);
  gs_resharder r;
  gs_resharder_init(&r, &a, &m);
  gs_form x = gs_form_of(from), y = gs_form_of(to);
  const gs_path *p = gs_reshard(&r, GS_FLOAT, from->rank, k->dims, &x, &y);
  gs_buf b;
  gs_buf_init(&b, &a);
  for (int i = 0; i < p->n; i++)
    gs_buf_printf(&b, "%s%s", i ? " " : "", gs_moves[p->move[i].kind].name);
  ck_assert_str_eq(b.at, k->moves);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

/* Shardings that scramble all sub-axes of 2048 devices: a path is found
 * without looking at all the states there are. */
START_TEST(scrambled) {
  uint32_t state = 88172645u + (uint32_t)_i;
  gs_arena a;
  gs_err e;
  gs_mesh m;
  gs_arena_init(&a);
  gs_err_init(&e);
  ck_assert_int_eq(gs_mesh_parse("{a=16, b=8, c=16}", &a, &m, &e), GS_OK);
  int64_t dims[3] = {4096, 4096, 4096};
  gs_sharding *from = random_sharding(&a, &m, 3, &state);
  gs_sharding *to = random_sharding(&a, &m, 3, &state);
  gs_resharder r;
  gs_resharder_init(&r, &a, &m);
  gs_form x = gs_form_of(from), y = gs_form_of(to);
  const gs_path *p = gs_reshard(&r, GS_FLOAT, 3, dims, &x, &y);
  ck_assert_int_gt(p->n, 0);
  ck_assert(gs_sharding_equal(p->move[p->n - 1].after, to));
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("pairs");
  tcase_add_loop_test(t, random_pairs, 0, 50);
  tcase_add_loop_test(t, random_sums, 0, 20);
  tcase_add_loop_test(t, known_pairs, 0, (int)(sizeof pairs / sizeof *pairs));
  tcase_add_loop_test(t, scrambled, 0, 3);
  return suite_run("reshard", t);
}
