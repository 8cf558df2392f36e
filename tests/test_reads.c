/* Which bytes of weights a process says that its devices read: all that they
 * read, and of large weights not much more. */
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "exec/run/exec.h"
#include "exec/step/step.h"
#include "suite.h"

static gs_arena arena;
static gs_err err;
static bool *told;     /* [bytes of the weight] */
static int ends, calls;

static void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
  ends = calls = 0;
}

static void teardown(void) {
  gs_err_free(&err);
  gs_arena_free(&arena);
}

static void ok(gs_status s) {
  ck_assert_msg(s == GS_OK, "%s", err.n ? err.diag[0].text : "?");
}

static void reads(void *user, const gs_tensor *t, uint64_t at, uint64_t n) {
  if (!t) {
    ends++;
    return;
  }
  ck_assert_ptr_eq(t, user);
  ck_assert_uint_le(at, t->nbytes);
  ck_assert_uint_le(n, t->nbytes - at);
  memset(told + at, 1, n);
  calls++;
}

static gs_node *add(gs_graph *g, const char *domain, const char *type,
                    gs_value *x, int rank, const int64_t *dims) {
  gs_node *n = gs_node_new(g, domain, type, type, 1, 1);
  n->op = gs_op_find(domain, type);
  n->opset = n->op->since;
  n->in[0] = x;
  gs_node_output(n, 0, gs_value_new(g, type, x->dtype, rank, dims));
  n->out[0]->is_output = true;
  *gs_push(&arena, &g->output) = n->out[0];
  return n;
}

/* A weight of which every device of the mesh reads its block; `whole` also all
 * of it.  Only type and shape of the weight matter. */
static gs_exec *exec_of(const char *mesh, const char *split, gs_dtype dtype,
                        int rank, const int64_t *dims, bool whole) {
  gs_graph *g = gs_graph_new(&arena, "reads");
  gs_mesh *m = GS_NEW(&arena, gs_mesh);
  ok(gs_mesh_parse(mesh, &arena, m, &err));
  g->mesh = m;
  gs_tensor *t = GS_NEW(&arena, gs_tensor);
  *t = (gs_tensor){.dtype = dtype, .rank = rank, .dims = dims};
  t->nbytes = (uint64_t)gs_dtype_bytes((int)dtype, gs_product(dims, rank));
  gs_value *w = gs_value_constant(g, "w", t);
  gs_sharding *s;
  int64_t *block = GS_NEWS(&arena, rank, int64_t);
  ok(gs_sharding_parse(&arena, g->mesh, split, &s, &err));
  gs_sharding_local(g->mesh, s, dims, block);
  gs_node *n = add(g, "ai.gshard", "Shard", w, rank, block);
  gs_node_set_string(g, n, "split", split);
  if (whole) add(g, "", "Neg", w, rank, dims);
  gs_exec *x = GS_NEW(&arena, gs_exec);
  x->program = GS_NEW(&arena, gs_program *);
  gs_compile how = {.kinds = gs_step_kinds, .n = g->mesh->ndevice};
  ok(gs_program_new(&arena, g, &how, &x->program[0], &err));
  x->config = (gs_exec_config){
      .ngraph = 1, .reads = reads, .user = t, .no_prefault = true};
  told = GS_NEWS(&arena, t->nbytes, bool);
  return x;
}

/* Marks what devices first.. of x read; the share of bytes that were told. */
static double tell(gs_exec *x, int64_t first, int64_t n) {
  const gs_tensor *t = x->config.user;
  memset(told, 0, t->nbytes);
  x->first = first;
  x->n = n;
  ends = 0;
  gs_exec_tell_reads(x);
  ck_assert_int_eq(ends, 1);
  int64_t count = 0;
  for (uint64_t i = 0; i < t->nbytes; i++) count += told[i];
  return (double)count / (double)t->nbytes;
}

/* Every byte of the block of device p is told. */
static void check_block(const gs_exec *x, int64_t p) {
  const gs_slice *l = &x->program[0]->slice.at[0];
  const gs_tensor *t = l->from->constant;
  size_t size = gs_span(t->dtype, 1);
  int64_t index[8] = {0}, first[8], count[8];
  for (int d = 0; d < t->rank; d++) {
    gs_sharding_range(x->program[0]->g->mesh, l->split, d, t->dims[d], p,
                      &first[d], &count[d]);
    if (!count[d]) return;
  }
  for (;;) {
    int64_t at = 0;
    for (int d = 0; d < t->rank; d++)
      at = at * t->dims[d] + first[d] + index[d];
    for (size_t i = 0; i < size; i++)
      ck_assert(told[(size_t)at * size + i]);
    int d = t->rank - 1;
    while (d >= 0 && ++index[d] == count[d]) index[d--] = 0;
    if (d < 0) return;
  }
}

typedef struct shape {
  const char *mesh, *split;
  int rank;
  int64_t dims[4];
  double max; /* share of the bytes that one device may be told to read */
} shape;

static const shape shapes[] = {
    {"mesh {a=4}", "{a,~}", 2, {8, 6}, 0.25},
    {"mesh {a=4}", "{a,~}", 2, {9, 6}, 0.34}, /* uneven: 3 3 3 0 */
    {"mesh {a=4}", "{~,a}", 2, {8, 6}, 1},    /* rows are close together */
    {"mesh {a=4}", "{~,a}", 2, {4, 100000}, 0.25},
    {"mesh {a=2,b=2}", "{a,b}", 2, {6, 40000}, 0.25},
    {"mesh {a=2}", "{~,a,~}", 3, {3, 5, 20000}, 0.6},
    {"mesh {a=2,b=3}", "{b,~,a}", 3, {7, 3, 50000}, 0.22},
    {"mesh {a=2}", "{~,a}", 2, {1, 2}, 1},
    {"mesh {a=4}", "{a}", 1, {3}, 0.34}, /* the last device has nothing */
};

START_TEST(blocks) {
  const shape *s = &shapes[_i];
  gs_exec *x = exec_of(s->mesh, s->split, GS_FLOAT, s->rank, s->dims, false);
  int64_t n = x->program[0]->g->mesh->ndevice;
  for (int64_t p = 0; p < n; p++) {
    double share = tell(x, p, 1);
    ck_assert_msg(share <= s->max, "device %d: %g", (int)p, share);
    check_block(x, p);
  }
  ck_assert(tell(x, 0, n) == 1);
  calls = 0;
  tell(x, n - 1, 1); /* also who reads nothing of it says so */
  ck_assert_int_ge(calls, 1);
}
END_TEST

/* What something else than a Shard reads is read whole, and so are types of
 * several elements to a byte. */
START_TEST(wholes) {
  const int64_t dims[2] = {8, 100000};
  ck_assert(tell(exec_of("mesh {a=4}", "{a,~}", GS_FLOAT, 2, dims, true), 1,
                 1) == 1);
  ck_assert(tell(exec_of("mesh {a=4}", "{a,~}", GS_INT4, 2, dims, false), 1,
                 1) == 1);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("reads");
  tcase_set_timeout(t, 300);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, blocks, 0, (int)(sizeof shapes / sizeof *shapes));
  tcase_add_test(t, wholes);
  return suite_run("reads", t);
}
