/* Programs built by hand and run on threads and, started by mpirun, on MPI
 * ranks.  With the argument `digest` prints a hash of the outputs of each
 * program; see tests/mpi.sh. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "exec/compile/memory.h"
#include "exec/compile/program_check.h"
#include "exec/run/run.h"
#include "exec/step/step.h"
#include "suite.h"

typedef struct fixture {
  gs_arena arena;
  gs_err err;
  gs_world *w;
} fixture;

static const gs_compile how = {.kinds = gs_step_kinds, .n = 1};

static void start(fixture *f) {
  gs_arena_init(&f->arena);
  gs_err_init(&f->err);
  f->w = NULL;
}

static void stop(fixture *f) {
  gs_arena_free(&f->arena);
  gs_err_free(&f->err);
}

/* Also outside of tests, where check's assertions may not be used. */
static void must(bool ok) {
  if (!ok) abort();
}

/* ---- building ---- */

typedef struct shape {
  int rank;
  int64_t dim[4];
} shape;

#define SHAPE(...)                                                             \
  (shape) {                                                                    \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}   \
  }

static gs_value *input(gs_graph *g, const char *name, shape s) {
  gs_value *v = gs_value_new(g, name, GS_FLOAT, s.rank, s.dim);
  v->is_input = true;
  *gs_push(g->arena, &g->input) = v;
  return v;
}

static gs_value *weight(gs_graph *g, const char *name, shape s, int seed) {
  gs_tensor *t;
  must(!gs_tensor_new(g->arena, GS_FLOAT, s.rank, s.dim, &t, NULL));
  t->name = name;
  float *x = (float *)(uintptr_t)t->data;
  for (int64_t i = 0; i < gs_tensor_count(t); i++)
    x[i] = (float)((i * 7 + seed) % 5 - 2);
  return gs_value_constant(g, name, t);
}

static gs_node *node(gs_graph *g, const char *domain, const char *op,
                     const char *name, gs_value *x, gs_value *y, shape s) {
  gs_node *n = gs_node_new(g, domain, op, name, y ? 2 : x ? 1 : 0, 1);
  n->op = gs_op_find(domain, op);
  must(n->op != NULL);
  n->opset = n->op->since;
  if (x) n->in[0] = x;
  if (y) n->in[1] = y;
  gs_value *out = gs_value_new(g, name, x ? x->dtype : GS_FLOAT, s.rank,
                               s.dim);
  gs_node_output(n, 0, out);
  return n;
}

static gs_value *op(gs_graph *g, const char *name, const char *type,
                    gs_value *x, gs_value *y, shape s) {
  return node(g, "", type, name, x, y, s)->out[0];
}

static gs_value *shard(gs_graph *g, gs_value *x, const char *name,
                       const char *split, shape s) {
  gs_node *n = node(g, "ai.gshard", "Shard", name, x, NULL, s);
  gs_node_set_string(g, n, "split", split);
  return n->out[0];
}

static gs_value *output(gs_graph *g, gs_value *v) {
  v->is_output = true;
  *gs_push(g->arena, &g->output) = v;
  return v;
}

static gs_value *unshard(gs_graph *g, gs_value *y, const char *name,
                         const char *split, shape s) {
  gs_node *n = node(g, "ai.gshard", "Unshard", name, y, NULL, s);
  gs_node_set_string(g, n, "split", split);
  gs_node_set_ints(g, n, "dims", s.dim, s.rank);
  return output(g, n->out[0]);
}

static void set_mesh(gs_graph *g, const char *text) {
  gs_mesh *m = GS_NEW(g->arena, gs_mesh);
  must(!gs_mesh_parse(text, g->arena, m, NULL));
  g->mesh = m;
}

/* ---- the two-layer perceptron, whole and partitioned ---- */

enum { B = 8, I = 8, H = 16 };

static gs_graph *mlp(gs_arena *a) {
  gs_graph *g = gs_graph_new(a, "mlp");
  gs_value *x = input(g, "x", SHAPE(B, I));
  gs_value *w1 = weight(g, "w1", SHAPE(I, H), 1);
  gs_value *w2 = weight(g, "w2", SHAPE(H, I), 3);
  gs_value *h = op(g, "h", "MatMul", x, w1, SHAPE(B, H));
  gs_value *r = op(g, "r", "Relu", h, NULL, SHAPE(B, H));
  output(g, op(g, "y", "MatMul", r, w2, SHAPE(B, I)));
  return g;
}

static gs_graph *mlp_program(gs_arena *a) {
  gs_graph *g = gs_graph_new(a, "mlp");
  set_mesh(g, "mesh {dp=2, tp=2}");
  gs_value *x = input(g, "x", SHAPE(B, I));
  gs_value *w1 = weight(g, "w1", SHAPE(I, H), 1);
  gs_value *w2 = weight(g, "w2", SHAPE(H, I), 3);
  gs_value *x0 = shard(g, x, "x.0", "{dp,~}", SHAPE(B / 2, I));
  gs_value *u1 = shard(g, w1, "w1.0", "{~,tp}", SHAPE(I, H / 2));
  gs_value *u2 = shard(g, w2, "w2.0", "{tp,~}", SHAPE(H / 2, I));
  gs_value *h = op(g, "h", "MatMul", x0, u1, SHAPE(B / 2, H / 2));
  gs_value *r = op(g, "r", "Relu", h, NULL, SHAPE(B / 2, H / 2));
  gs_value *p = op(g, "p", "MatMul", r, u2, SHAPE(B / 2, I));
  gs_node *y = node(g, "ai.gshard", "AllReduce", "y.0", p, NULL,
                    SHAPE(B / 2, I));
  gs_node_set_string(g, y, "axes", "tp");
  gs_node_set_string(g, y, "reduce", "sum");
  unshard(g, y->out[0], "y", "{dp,~}", SHAPE(B, I));
  return g;
}

/* The same with the middle over an uneven 3-way axis, every collective that
 * moves data, and back to where it was: y = relu(x) of shape [5,7]. */
static gs_graph *moves_program(gs_arena *a) {
  gs_graph *g = gs_graph_new(a, "moves");
  set_mesh(g, "mesh {a=2, b=2}");
  gs_value *x = input(g, "x", SHAPE(5, 7));
  gs_value *v = shard(g, x, "x.0", "{a,~}", SHAPE(3, 7));
  v = op(g, "r", "Relu", v, NULL, SHAPE(3, 7));
  gs_node *n = node(g, "ai.gshard", "AllToAll", "t", v, NULL, SHAPE(5, 4));
  gs_node_set_string(g, n, "axes", "a");
  gs_node_set_int(g, n, "split_dim", 1);
  gs_node_set_int(g, n, "concat_dim", 0);
  gs_node_set_int(g, n, "size", 5);
  n = node(g, "ai.gshard", "CollectivePermute", "q", n->out[0], NULL,
           SHAPE(5, 4));
  gs_node_set_string(g, n, "from", "{~,a}");
  gs_node_set_string(g, n, "to", "{~,b}");
  n = node(g, "ai.gshard", "AllGather", "w", n->out[0], NULL, SHAPE(5, 7));
  gs_node_set_string(g, n, "axes", "b");
  gs_node_set_int(g, n, "dim", 1);
  gs_node_set_int(g, n, "size", 7);
  gs_value *whole = n->out[0];
  n = node(g, "ai.gshard", "ReduceScatter", "s", whole, NULL, SHAPE(5, 2));
  gs_node_set_string(g, n, "axes", "[a,b]");
  gs_node_set_string(g, n, "reduce", "max");
  gs_node_set_int(g, n, "dim", 1);
  unshard(g, n->out[0], "y", "{~,[a,b]}", SHAPE(5, 7));
  output(g, op(g, "z", "Relu", whole, NULL, SHAPE(5, 7)));
  return g;
}

static gs_tensor *data(gs_arena *a, shape s) {
  gs_tensor *t;
  must(!gs_tensor_new(a, GS_FLOAT, s.rank, s.dim, &t, NULL));
  float *x = (float *)(uintptr_t)t->data;
  for (int64_t i = 0; i < gs_tensor_count(t); i++)
    x[i] = (float)((i * 5) % 11 - 5);
  return t;
}

/* Runs g with x twice and returns output i of the second run. */
static gs_tensor *run_as(fixture *f, const gs_graph *g, int64_t ndevice,
                         const gs_tensor *x, int i, gs_schedule schedule) {
  gs_exec_config c = {.graph = &g,
                      .schedule = schedule,
                      .ngraph = 1,
                      .ndevice = ndevice,
                      .world = f->w,
                      .threads = 2,
                      .verify = true,
                      .timeout = 1200};
  gs_exec *exec;
  gs_tensor *y = NULL;
  gs_status s = gs_exec_new(&c, &exec, &f->err);
  shape same = {x->rank, {x->dims[0], x->dims[1]}};
  gs_tensor *other = data(&f->arena, same);
  memset((void *)(uintptr_t)other->data, 0, other->nbytes);
  if (!s) s = gs_exec_input(exec, "x", other, &f->err);
  if (!s) s = gs_exec_run(exec, &f->err);
  if (!s) s = gs_exec_input(exec, "x", x, &f->err);
  if (!s) s = gs_exec_run(exec, &f->err);
  if (!s) s = gs_exec_output(exec, &f->arena, i, &y, &f->err);
  gs_exec_free(exec);
  if (s) {
    gs_err_print(&f->err, stderr, "test_exec", false);
    if (f->w) gs_world_abort(f->w, (int)s);
    exit(1);
  }
  return y;
}

static gs_tensor *run_graph(fixture *f, const gs_graph *g, int64_t ndevice,
                            const gs_tensor *x, int i) {
  return run_as(f, g, ndevice, x, i, GS_WAIT_NEXT);
}

START_TEST(test_mlp) {
  fixture f;
  start(&f);
  gs_tensor *x = data(&f.arena, SHAPE(B, I));
  gs_tensor *want = run_graph(&f, mlp(&f.arena), 1, x, 0);
  gs_tensor *got = run_graph(&f, mlp_program(&f.arena), 4, x, 0);
  gs_tensor *late =
      run_as(&f, mlp_program(&f.arena), 4, x, 0, GS_WAIT_LATE);
  /* By hand, in integers. */
  for (int i = 0; i < B; i++)
    for (int j = 0; j < I; j++) {
      int64_t sum = 0;
      for (int k = 0; k < H; k++) {
        int64_t h = 0;
        for (int l = 0; l < I; l++)
          h += ((i * I + l) * 5 % 11 - 5) * (((l * H + k) * 7 + 1) % 5 - 2);
        sum += gs_max(h, 0) * (((k * I + j) * 7 + 3) % 5 - 2);
      }
      ck_assert(((const float *)want->data)[i * I + j] == (float)sum);
    }
  ck_assert_int_eq((long)got->nbytes, (long)want->nbytes);
  ck_assert_mem_eq(got->data, want->data, want->nbytes);
  ck_assert_mem_eq(late->data, want->data, want->nbytes);
  stop(&f);
}
END_TEST

static void check_relu(const gs_tensor *x, const gs_tensor *y) {
  const float *p = x->data, *q = y->data;
  for (int64_t i = 0; i < gs_tensor_count(x); i++)
    ck_assert_msg(q[i] == (p[i] > 0 ? p[i] : 0), "element %d", (int)i);
}

START_TEST(test_moves) {
  fixture f;
  start(&f);
  gs_tensor *x = data(&f.arena, SHAPE(5, 7));
  gs_graph *g = moves_program(&f.arena);
  for (int i = 0; i < 2; i++) {
    check_relu(x, run_graph(&f, g, 4, x, i));
    check_relu(x, run_as(&f, g, 4, x, i, GS_WAIT_LATE));
  }
  stop(&f);
}
END_TEST

/* Views and in-place results share memory, and only where nobody reads it
 * again. */
START_TEST(test_memory) {
  fixture f;
  start(&f);
  gs_graph *g = gs_graph_new(&f.arena, "memory");
  gs_value *x = input(g, "x", SHAPE(4, 6));
  gs_value *a = op(g, "a", "Relu", x, NULL, SHAPE(4, 6));
  int64_t flat[] = {24};
  gs_value *to = gs_value_ints(g, "to", flat, 1);
  gs_value *b = op(g, "b", "Reshape", a, to, SHAPE(24));
  gs_value *c = op(g, "c", "Neg", b, NULL, SHAPE(24)); /* a is read below */
  gs_value *d = op(g, "d", "Neg", c, NULL, SHAPE(24)); /* over c */
  int64_t back[] = {4, 6};
  gs_value *to2 = gs_value_ints(g, "to2", back, 2);
  gs_value *h = op(g, "h", "Reshape", d, to2, SHAPE(4, 6));
  gs_value *y = op(g, "y", "Add", h, a, SHAPE(4, 6));
  output(g, y);
  output(g, op(g, "i", "Identity", x, NULL, SHAPE(4, 6)));
  gs_program *p;
  ck_assert(!gs_program_new(&f.arena, g, &how, &p, &f.err));
  ck_assert_int_eq(p->step.n, 4);
  ck_assert_ptr_eq(gs_program_buffer(p, a), gs_program_buffer(p, b));
  ck_assert_ptr_ne(gs_program_buffer(p, c), gs_program_buffer(p, b));
  ck_assert_ptr_eq(gs_program_buffer(p, c), gs_program_buffer(p, d));
  ck_assert_ptr_eq(gs_program_buffer(p, y), gs_program_buffer(p, d));
  ck_assert_int_eq((long)p->arena_size, 2 * 128);
  gs_tensor *t = data(&f.arena, SHAPE(4, 6));
  gs_tensor *r = run_graph(&f, g, 1, t, 0), *same = run_graph(&f, g, 1, t, 1);
  for (int i = 0; i < 24; i++) {
    float v = ((const float *)t->data)[i];
    ck_assert(((const float *)r->data)[i] == (v > 0 ? 2 * v : 0));
  }
  ck_assert_mem_eq(same->data, t->data, t->nbytes);
  stop(&f);
}
END_TEST

/* A long chain needs two buffers, not one per value. */
START_TEST(test_reuse) {
  fixture f;
  start(&f);
  gs_graph *g = gs_graph_new(&f.arena, "chain");
  gs_value *v = input(g, "x", SHAPE(8, 8));
  gs_value *w = weight(g, "w", SHAPE(8, 8), 1);
  for (int i = 0; i < 50; i++) v = op(g, "v", "MatMul", v, w, SHAPE(8, 8));
  output(g, v);
  gs_program *p;
  ck_assert(!gs_program_new(&f.arena, g, &how, &p, &f.err));
  ck_assert_int_eq((long)p->arena_size, 2 * 256);
  stop(&f);
}
END_TEST

static bool overlap(const gs_program *p, const gs_value *v,
                    const gs_value *w) {
  const gs_buffer *a = gs_program_buffer(p, v), *b = gs_program_buffer(p, w);
  return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* A collective starts and is waited for in turns of its own; what it reads and
 * makes is not given away between them. */
START_TEST(test_schedule) {
  fixture f;
  start(&f);
  gs_graph *g = gs_graph_new(&f.arena, "schedule");
  set_mesh(g, "mesh {a=2}");
  gs_value *x = input(g, "x", SHAPE(4, 6));
  gs_value *x0 = shard(g, x, "x.0", "{a,~}", SHAPE(2, 6));
  gs_value *r = op(g, "r", "Relu", x0, NULL, SHAPE(2, 6));
  gs_node *c = node(g, "ai.gshard", "AllGather", "c", r, NULL, SHAPE(4, 6));
  gs_node_set_string(g, c, "axes", "a");
  gs_node_set_int(g, c, "dim", 0);
  gs_node_set_int(g, c, "size", 4);
  gs_value *n = op(g, "n", "Neg", x0, NULL, SHAPE(2, 6));
  output(g, c->out[0]);
  unshard(g, n, "y", "{a,~}", SHAPE(4, 6));
  gs_program *p;
  ck_assert(!gs_program_new(&f.arena, g, &how, &p, &f.err));
  const gs_step *s = p->step.at;
  ck_assert_int_eq(p->step.n, 3);
  ck_assert_int_eq(p->turn.n, 4);
  ck_assert(s[0].start == 0 && s[0].wait == 0);
  ck_assert(s[1].start == 1 && s[1].wait == 2 && p->turn.at[2].wait);
  ck_assert(s[2].start == 3 && s[2].wait == 3);
  ck_assert(overlap(p, n, r));
  ck_assert(!overlap(p, r, c->out[0]) && !overlap(p, n, c->out[0]));
  /* Neg while the blocks are gathered. */
  p->turn.at[2] = (gs_turn){2, false};
  p->turn.at[3] = (gs_turn){1, true};
  p->step.at[2].start = p->step.at[2].wait = 2;
  p->step.at[1].wait = 3;
  for (int i = 0; i < g->value.n; i++)
    if (p->buffer[i].last != INT_MAX) p->buffer[i].last = -1;
  gs_program_memory(&f.arena, p);
  ck_assert(!overlap(p, n, r));
  ck_assert(!overlap(p, r, c->out[0]) && !overlap(p, n, c->out[0]));
  const gs_program *one = p;
  ck_assert(!gs_program_check(&one, 1, 0, 2, &f.err));
  gs_program_buffer(p, n)->offset = gs_program_buffer(p, r)->offset;
  ck_assert_int_eq(gs_program_check(&one, 1, 0, 2, &f.err), GS_INTERNAL);
  stop(&f);
}
END_TEST

/* What depends on weights alone is computed when the program is loaded. */
START_TEST(test_once) {
  fixture f;
  start(&f);
  gs_graph *g = gs_graph_new(&f.arena, "once");
  set_mesh(g, "mesh {a=2}");
  gs_value *x = input(g, "x", SHAPE(4, 6));
  gs_value *x0 = shard(g, x, "x.0", "{a,~}", SHAPE(2, 6));
  gs_value *w = weight(g, "w", SHAPE(6, 4), 2);
  gs_value *w0 = shard(g, w, "w.0", "{~,a}", SHAPE(6, 2));
  gs_value *t = op(g, "t", "Transpose", w0, NULL, SHAPE(2, 6));
  gs_value *u = op(g, "u", "Neg", t, NULL, SHAPE(2, 6));
  gs_value *y = op(g, "y.0", "Add", x0, u, SHAPE(2, 6));
  unshard(g, y, "y", "{a,~}", SHAPE(4, 6));
  unshard(g, u, "z", "{a,~}", SHAPE(4, 6));
  gs_program *p;
  ck_assert(!gs_program_new(&f.arena, g, &how, &p, &f.err));
  ck_assert_int_eq(p->step.n, 3);
  ck_assert(p->step.at[0].once && p->step.at[1].once && !p->step.at[2].once);
  gs_tensor *in = data(&f.arena, SHAPE(4, 6));
  gs_tensor *r = run_graph(&f, g, 2, in, 0), *z = run_graph(&f, g, 2, in, 1);
  const float *c = w->constant->data;
  for (int i = 0; i < 24; i++) {
    float want = -c[i % 6 * 4 + i / 6];
    ck_assert(((const float *)z->data)[i] == want);
    ck_assert(((const float *)r->data)[i] ==
              ((const float *)in->data)[i] + want);
  }
  stop(&f);
}
END_TEST

/* A weight takes its packed form once, however many nodes and devices read
 * it; once for each block where it is split. */
static void packed_copies(int64_t ndevice, const char *split, int want) {
  fixture f;
  start(&f);
  gs_graph *g = gs_graph_new(&f.arena, "uses");
  if (ndevice > 1) set_mesh(g, "mesh {a=4}");
  gs_value *v = input(g, "x", SHAPE(4, 512));
  gs_value *w = weight(g, "w", SHAPE(512, 512), 1);
  int64_t n = split ? 128 : 512;
  if (split) {
    w = shard(g, w, "w.0", split, SHAPE(512, 128));
    v = op(g, "cut", "MatMul", v, w, SHAPE(4, 128));
    w = shard(g, weight(g, "u", SHAPE(128, 512), 2), "u.0", "{~,a}",
              SHAPE(128, 128));
  }
  for (int i = 0; i < 20; i++) v = op(g, "v", "MatMul", v, w, SHAPE(4, n));
  output(g, v);
  const gs_graph *graph = g;
  gs_exec_config c = {.graph = &graph, .ngraph = 1, .ndevice = ndevice,
                      .threads = 2, .verify = true};
  gs_exec *x;
  size_t bytes;
  ck_assert(!gs_exec_new(&c, &x, &f.err));
  ck_assert_int_eq(gs_exec_packed(x, &bytes), want);
  size_t whole = (size_t)(split ? 512 + 128 : 512) * 512 * sizeof(float);
  ck_assert(bytes >= whole && bytes < whole + whole / 4);
  gs_exec_free(x);
  stop(&f);
}

START_TEST(test_packed_once) {
  packed_copies(1, NULL, 1);
  packed_copies(4, NULL, 1);
  packed_copies(4, "{~,a}", 8);
}
END_TEST

/* A device that waits for one that never comes gives up. */
START_TEST(test_timeout) {
  fixture f;
  start(&f);
  gs_team team;
  gs_team_init(&team, 0, 2, 0.05);
  gs_member m = {.team = &team, .arena = &f.arena};
  int64_t both[] = {0, 1};
  gs_visit v = {.at = gs_team_meeting(&m, both, 2)};
  gs_visit_come(&v, true);
  ck_assert_int_eq(gs_visit_await(&v, &team.waiter, &f.err), GS_TIMEOUT);
  ck_assert_int_eq(f.err.n, 1);
  ck_assert_int_eq((int)GS_TIMEOUT, 75);
  gs_team_free(&team);
  stop(&f);
}
END_TEST

/* Errors of a device name it, the step and the node, once. */
START_TEST(test_error) {
  fixture f;
  start(&f);
  gs_graph *g = gs_graph_new(&f.arena, "bad");
  set_mesh(g, "mesh {a=4}");
  gs_value *x = input(g, "x", SHAPE(4, 2));
  int64_t four[] = {9, 0};
  gs_value *i = gs_value_ints(g, "i", four, 2);
  gs_node *n = node(g, "ai.gshard", "AllReduce", "s", x, NULL, SHAPE(4, 2));
  gs_node_set_string(g, n, "axes", "a");
  n = node(g, "", "Gather", "take", n->out[0], i, SHAPE(2, 2));
  gs_node_set_int(g, n, "axis", 0);
  n = node(g, "ai.gshard", "AllReduce", "t", n->out[0], NULL, SHAPE(2, 2));
  gs_node_set_string(g, n, "axes", "a");
  output(g, n->out[0]);
  const gs_graph *graph = g;
  gs_exec_config c = {.graph = &graph, .ngraph = 1, .ndevice = 4,
                      .timeout = 1200};
  gs_exec *exec;
  gs_status s = gs_exec_new(&c, &exec, &f.err);
  if (!s)
    s = gs_exec_input(exec, "x", data(&f.arena, SHAPE(4, 2)), &f.err);
  if (!s) s = gs_exec_run(exec, &f.err);
  ck_assert_int_eq(s, GS_DATA);
  ck_assert_int_eq(f.err.n, 1);
  const char *place = f.err.diag[0].place;
  ck_assert_msg(strstr(place, "device ") && strstr(place, "step 2") &&
                    strstr(place, "'take' (Gather)"),
                "%s", place);
  gs_exec_free(exec);
  stop(&f);
}
END_TEST

START_TEST(test_refused) {
  fixture f;
  start(&f);
  gs_graph *g = mlp_program(&f.arena);
  const gs_graph *graph = g;
  gs_exec_config c = {.graph = &graph, .ngraph = 1, .ndevice = 3};
  gs_exec *exec;
  ck_assert_int_eq(gs_exec_new(&c, &exec, &f.err), GS_MISMATCH);
  gs_exec_free(exec);
  c.ndevice = 4;
  ck_assert_int_eq(gs_exec_new(&c, &exec, &f.err), GS_OK);
  ck_assert_int_eq(gs_exec_run(exec, &f.err), GS_NOINPUT);
  gs_tensor *x = data(&f.arena, SHAPE(B, I + 1));
  ck_assert_int_eq(gs_exec_input(exec, "x", x, &f.err), GS_DATA);
  ck_assert_int_eq(gs_exec_input(exec, "q", x, &f.err), GS_USAGE);
  gs_exec_free(exec);
  g->node.at[3]->op = NULL; /* an operator without a row */
  ck_assert_int_eq(gs_exec_new(&c, &exec, &f.err), GS_UNSUPPORTED);
  gs_exec_free(exec);
  stop(&f);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("exec");
  TCase *t = tcase_create("exec");
  tcase_set_timeout(t, 1200);
  tcase_add_test(t, test_mlp);
  tcase_add_test(t, test_moves);
  tcase_add_test(t, test_memory);
  tcase_add_test(t, test_reuse);
  tcase_add_test(t, test_schedule);
  tcase_add_test(t, test_once);
  tcase_add_test(t, test_packed_once);
  tcase_add_test(t, test_timeout);
  tcase_add_test(t, test_error);
  tcase_add_test(t, test_refused);
  suite_add_tcase(s, t);
  return s;
}

static void print_digest(const char *name, const gs_tensor *t) {
  if (t)
    printf("%s: %016llx\n", name,
           (unsigned long long)gs_hash(t->data, t->nbytes, 0));
}

static int print_digests(void) {
  fixture f;
  start(&f);
  if (gs_world_launched()) {
    gs_status s = gs_world_init(&f.arena, 600, &f.w, &f.err);
    if (!s) s = gs_world_share(f.w, &f.arena, 0, &f.err);
    if (s) return (int)s;
  }
  for (int late = 0; late < 2; late++) {
    gs_schedule s = late ? GS_WAIT_LATE : GS_WAIT_NEXT;
    gs_tensor *x = data(&f.arena, SHAPE(B, I));
    print_digest("mlp", run_as(&f, mlp_program(&f.arena), 4, x, 0, s));
    x = data(&f.arena, SHAPE(5, 7));
    for (int i = 0; i < 2; i++)
      print_digest(i ? "moves z" : "moves y",
                   run_as(&f, moves_program(&f.arena), 4, x, i, s));
  }
  if (f.w && gs_world_finalize(f.w, &f.err)) return 1;
  stop(&f);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "digest")) return print_digests();
  SRunner *r = srunner_create(suite());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
