/* Exchanges carried out by the devices, against a model that looks at one
 * place after another; what they send; nodes that must be refused.  With the
 * argument `digest` some of them run on the ranks of an MPI job; see
 * tests/mpi.sh. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "exchange_model.h"
#include "exec/run/run.h"
#include "fixture.h"
#include "graphs.h"
#include "io/onnx/onnx_build.h"
#include "ir/packed.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"
#include "pass/partition/partition.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"
#include "pass/specialise.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static uint32_t state;

/* Also outside of tests, where check's assertions may not be used. */
static void must(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "%s\n%s", what, messages());
  abort();
}

static int64_t any(int64_t lo, int64_t hi) {
  return model_any(&state, lo, hi);
}

/* ---- a program of one exchange ---- */

/* Every device has blocks of its own: [devices, outer, block, inner], of which
 * it holds one along dim 0. */
typedef struct trial {
  gs_mesh mesh;
  gs_exchange x;
  gs_exchange_source source[4];
  gs_dtype type;
  int64_t outer, inner;
  const char *fill; /* the bits of the value; NULL: 0 */
  gs_tensor *in[5], *out;
  int nin;
} trial;

static int64_t block_of(const trial *t, int k) {
  const gs_exchange_source *s = &t->source[k];
  return s->block ? s->block : s->first + s->n;
}

static char *name_of(const char *letter, int k) {
  return gs_sprintf(&arena, "%s%d", letter, k);
}

static gs_node *append(gs_graph *g, const char *op, const char *name, int nin,
                       const gs_value *like, const int64_t *dims) {
  gs_node *n = gs_node_new(g, "ai.gshard", op, "", nin, 1);
  n->op = gs_op_find("ai.gshard", op);
  n->opset = 1;
  gs_node_output(n, 0, gs_value_new(g, name, like->dtype, like->rank, dims));
  return n;
}

static gs_value *input(gs_graph *g, const char *name, const gs_tensor *x) {
  gs_value *v = gs_value_new(g, name, x->dtype, x->rank, x->dims);
  v->is_input = true;
  *gs_push(&arena, &g->input) = v;
  return v;
}

static gs_graph *program_of(const trial *t) {
  gs_graph *g = gs_graph_new(&arena, "exchange");
  g->mesh = &t->mesh;
  gs_sharding *split = gs_sharding_new(&arena, 4, false);
  split->dim[0].axes = gs_axes_of(gs_mesh_rest(&t->mesh, 0));
  gs_value *block[5];
  for (int k = 0; k < t->nin; k++) {
    gs_value *v = input(g, name_of("x", k), t->in[k]);
    block[k] = v;
    if (k == t->x.nsource) continue; /* the fill */
    int64_t dims[] = {1, t->outer, v->dims[2], t->inner};
    gs_node *n = append(g, "Shard", name_of("b", k), 1, v, dims);
    n->in[0] = v;
    gs_node_set_sharding(g, n, "split", split);
    block[k] = n->out[0];
  }
  int64_t dims[] = {1, t->outer, t->x.range.length, t->inner};
  gs_node *n = append(g, gs_moves[GS_MOVE_EXCHANGE].name, "e", t->nin,
                      block[0], dims);
  memcpy(n->in, block, (size_t)t->nin * sizeof *n->in);
  gs_node_set_exchange(g, n, 2, &t->x);
  int64_t whole[] = {t->mesh.ndevice, t->outer, t->x.range.length, t->inner};
  n = append(g, "Unshard", "y", 1, block[0], whole);
  n->in[0] = gs_graph_find(g, "e");
  gs_node_set_sharding(g, n, "split", split);
  gs_node_set_ints(g, n, "dims", whole, 4);
  n->out[0]->is_output = true;
  *gs_push(&arena, &g->output) = n->out[0];
  return g;
}

/* Printed and read again. */
static gs_graph *read_again(const gs_graph *g) {
  gs_graph *r = NULL;
  gs_buf first, second;
  gs_buf_init(&first, &arena);
  gs_buf_init(&second, &arena);
  gs_graph_print(&first, g);
  must(!gs_graph_parse(&arena, first.at, "program", &r, &err), first.at);
  for (int i = 0; i < r->node.n; i++)
    r->node.at[i]->op =
        gs_op_find(r->node.at[i]->domain, r->node.at[i]->op_type);
  gs_graph_print(&second, r);
  must(!strcmp(first.at, second.at), second.at);
  return r;
}

static gs_tensor *some_data(const trial *t, int rank, const int64_t *dims) {
  gs_tensor *x;
  must(!gs_tensor_new(&arena, t->type, rank, dims, &x, &err), "tensor");
  uint8_t *p = (uint8_t *)(uintptr_t)x->data;
  for (uint64_t i = 0; i < x->nbytes; i++)
    p[i] = (uint8_t)any(0, t->type == GS_BOOL ? 1 : 255);
  return x;
}

static void some_inputs(trial *t) {
  t->nin = t->x.nsource + (t->x.fill == GS_FILL_OPERAND);
  for (int k = 0; k < t->x.nsource; k++) {
    int64_t dims[] = {t->mesh.ndevice, t->outer, block_of(t, k), t->inner};
    t->in[k] = some_data(t, 4, dims);
  }
  if (t->nin > t->x.nsource) t->in[t->x.nsource] = some_data(t, 0, NULL);
}

/* ---- what comes out ---- */

/* The bits of element (p, o, j, i) of a tensor of n along dim 2. */
static const char *element(const trial *t, const gs_tensor *x, int64_t p,
                           int64_t o, int64_t j, int64_t i) {
  int64_t n = x->rank ? x->dims[2] : 1;
  int64_t at = x->rank ? ((p * t->outer + o) * n + j) * t->inner + i : 0;
  int bits = gs_dtype_get((int)t->type)->bits;
  if (bits < 8) return name_of("", (int)gs_code_get(bits, x->data, at));
  char *s = gs_strdup(&arena, "");
  for (int k = 0; k < bits / 8; k++)
    s = gs_sprintf(&arena, "%s%02x", s,
                   ((const uint8_t *)x->data)[at * bits / 8 + k]);
  return s;
}

static const char *wanted_element(const trial *t, int64_t p, int64_t o,
                                  int64_t j, int64_t i) {
  model_place m = model_place_of(&t->mesh, &t->x, p, j);
  bool looked_at =
      t->x.fill == GS_FILL_VALUE || t->x.fill == GS_FILL_OPERAND;
  int64_t index = gs_axes_index(&t->mesh, &t->x.to, p);
  bool over = !m.wanted && m.source >= 0 && /* outputs pass over it */
              j < gs_exchange_wanted(&t->x, index);
  if (over || ((!m.wanted || m.source < 0) && !looked_at)) return NULL;
  if (m.wanted && m.source >= 0) {
    const gs_exchange_source *s = &t->source[m.source];
    int64_t e = s->first + m.elem;
    return element(t, t->in[m.source], m.giver < 0 ? p : m.giver, o,
                   s->block ? e % s->block : e, i);
  }
  if (t->x.fill == GS_FILL_OPERAND)
    return element(t, t->in[t->x.nsource], 0, 0, 0, 0);
  if (t->fill) return t->fill;
  gs_tensor zero = {.data = GS_NEWS(&arena, 16, char)};
  return element(t, &zero, 0, 0, 0, 0);
}

static void compare(const trial *t) {
  for (int64_t p = 0; p < t->mesh.ndevice; p++)
    for (int64_t o = 0; o < t->outer; o++)
      for (int64_t j = 0; j < t->x.range.length; j++)
        for (int64_t i = 0; i < t->inner; i++) {
          const char *want = wanted_element(t, p, o, j, i);
          if (want) must(!strcmp(element(t, t->out, p, o, j, i), want), want);
        }
}

static void run(trial *t, const gs_graph *const *g, int ngraph,
                gs_schedule schedule, gs_world *w) {
  gs_exec_config config = {.graph = g, .ngraph = ngraph, .world = w,
                           .ndevice = t->mesh.ndevice, .threads = 1,
                           .schedule = schedule, .verify = true};
  gs_exec *exec = NULL;
  gs_status s = gs_exec_new(&config, &exec, &err);
  for (int k = 0; k < t->nin && !s; k++)
    s = gs_exec_input(exec, name_of("x", k), t->in[k], &err);
  if (!s) s = gs_exec_run(exec, &err);
  if (!s) s = gs_exec_output(exec, &arena, 0, &t->out, &err);
  must(!s, "run");
  if (t->out) compare(t);
  int64_t part[] = {t->outer, gs_exchange_sent(&t->mesh, &t->x), t->inner};
  uint64_t bytes = (uint64_t)gs_dtype_bytes((int)t->type,
                                            gs_product(part, 3));
  must(gs_exec_sent(exec) == bytes, "bytes");
  if (!w && !gs_dtype_packed(t->type)) /* their pieces begin at a byte */
    must(gs_exec_wire(exec) == bytes, "bytes on the wire");
  gs_exec_free(exec);
}

/* The graphs of single devices, with their inputs and outputs whole. */
static const gs_graph *const *device_graphs(const trial *t,
                                            const gs_graph *program) {
  gs_device_form f;
  const gs_graph **g = GS_NEWS(&arena, t->mesh.ndevice, const gs_graph *);
  must(!gs_pass_device_form(&arena, program, &f, &err), "form");
  const gs_sharding *split[6] = {0};
  const int64_t *dims[6];
  for (int k = 0; k < t->nin; k++) {
    dims[k] = t->in[k]->dims;
    if (t->in[k]->rank) split[k] = f.input.at[k].sharding;
  }
  split[t->nin] = f.output.at[0].sharding;
  dims[t->nin] = f.output.at[0].value->dims;
  for (int64_t p = 0; p < t->mesh.ndevice; p++) {
    gs_graph *one;
    must(!gs_pass_specialise(&arena, &f, p, &one, &err), "specialise");
    must(!gs_pass_border(one, split, dims, split + t->nin, dims + t->nin,
                         &err), "border");
    g[p] = one;
  }
  return g;
}

/* A trial that is an exchange. */
static bool draw(trial *t, const char *mesh, gs_dtype type) {
  *t = (trial){.outer = any(1, 3), .inner = any(1, 3), .type = type};
  must(!gs_mesh_parse(mesh, &arena, &t->mesh, &err), mesh);
  t->x = model_exchange(&state, &t->mesh, t->source);
  if (gs_exchange_check(&t->mesh, &t->x, "it", NULL)) return false;
  some_inputs(t);
  return true;
}

static const char *const meshes[] = {"mesh {a=2}", "mesh {a=2, b=2}",
                                     "mesh {a=2, b=3}", "mesh {a=8}",
                                     "mesh {a=1}",
                                     "mesh {a=2, b=2, z=[3,1,0,2]}"};
static const gs_dtype types[] = {GS_FLOAT,   GS_UINT8, GS_FLOAT16,
                                 GS_DOUBLE,  GS_COMPLEX128, GS_INT4,
                                 GS_UINT2,   GS_BOOL,  GS_FLOAT8E5M2,
                                 GS_FLOAT4E2M1};

START_TEST(random_exchanges) {
  int tried = 0;
  for (int k = 0; k < 30; k++) {
    trial t;
    gs_arena_reset(&arena);
    if (!draw(&t, meshes[any(0, COUNT(meshes) - 1)], types[_i])) continue;
    const gs_graph *g = read_again(program_of(&t));
    run(&t, &g, 1, GS_WAIT_NEXT, NULL);
    run(&t, &g, 1, GS_WAIT_LATE, NULL);
    if (t.mesh.ndevice > 1)
      run(&t, device_graphs(&t, g), (int)t.mesh.ndevice, GS_WAIT_NEXT, NULL);
    tried++;
  }
  ck_assert_int_gt(tried, 20);
}
END_TEST

/* ---- as a file ---- */

/* The exchange of a program that was written as a model and read again. */
static const gs_node *through_a_file(const trial *t) {
  gs_graph *g = program_of(t);
  const char *domain[] = {"", "ai.gshard"};
  int64_t version[] = {13, 1};
  gs_model_info info = {.nopset = 2, .opset_domain = domain,
                        .opset_version = version};
  gs_model *m, *again;
  const char *path = in_dir("program.onnx");
  must(!gs_model_from_graph(&arena, g, &info, &m, &err), "build");
  gs_write_options replace = {.replace = true};
  must(!gs_model_write_with(m, path, &replace, &err), "write");
  gs_model_close(m);
  g = open_graph(path, &again);
  gs_graph_set_mesh(g, &t->mesh);
  return gs_graph_find(g, "e")->def;
}

START_TEST(files) {
  for (int k = 0; k < 20; k++) {
    trial t;
    gs_exchange x;
    int dim;
    if (!draw(&t, meshes[2], types[_i])) continue;
    const gs_node *n = through_a_file(&t);
    ck_assert_msg(!gs_node_exchange(&arena, n, &t.mesh, &x, &dim, &err), "%s",
                  messages());
    ck_assert_int_eq(dim, 2);
    ck_assert(gs_axes_equal(&x.from, &t.x.from));
    ck_assert(gs_axes_equal(&x.to, &t.x.to));
    ck_assert(gs_held_range_equal(&x.range, &t.x.range));
    ck_assert(x.step == t.x.step && x.width == t.x.width);
    ck_assert(x.fill == t.x.fill && x.nsource == t.x.nsource);
    ck_assert_mem_eq(x.source, t.source,
                     (size_t)x.nsource * sizeof *x.source);
    gs_reach none = {0}, *want = t.x.reach.count ? &t.x.reach : &none;
    ck_assert_mem_eq(&x.reach, want, sizeof none);
  }
}
END_TEST

/* ---- elements of fills ---- */

static const struct {
  gs_dtype type;
  double value;
  const char *bits; /* in memory */
} values[] = {{GS_FLOAT, -INFINITY, "000080ff"}, {GS_FLOAT, 1, "0000803f"},
              {GS_FLOAT16, -2, "00c0"},          {GS_BFLOAT16, 1, "803f"},
              {GS_INT8, -INFINITY, "80"},        {GS_UINT8, 300, "ff"},
              {GS_INT64, 3, "0300000000000000"}, {GS_BOOL, 1, "01"},
              {GS_INT4, -INFINITY, "8"},         {GS_UINT2, 9, "3"},
              {GS_INT2, 1, "1"},                 {GS_FLOAT8E5M2, 1, "3c"},
              {GS_COMPLEX64, 1, "0000803f00000000"}};

START_TEST(fill_values) {
  trial t = {.outer = 2, .inner = 3, .type = values[_i].type};
  ck_assert(!gs_mesh_parse("mesh {a=2}", &arena, &t.mesh, &err));
  gs_axes a = gs_axes_named(&t.mesh, 0);
  gs_reach r = {6, 1, 1, -1, 1, 0};
  t.x = gs_exchange_of(&t.mesh, &a, &r, false);
  t.source[0] = (gs_exchange_source){6, 3, 0, 0};
  t.x.from = a;
  t.x.nsource = 1;
  t.x.source = t.source;
  t.x.fill = GS_FILL_VALUE;
  t.x.value = values[_i].value;
  t.fill = values[_i].bits;
  some_inputs(&t);
  const gs_graph *g = read_again(program_of(&t));
  run(&t, &g, 1, GS_WAIT_NEXT, NULL);
  ck_assert_str_eq(element(&t, t.out, 0, 1, 0, 2), values[_i].bits);
  ck_assert_str_eq(element(&t, t.out, 1, 0, 4, 0), values[_i].bits);
}
END_TEST

/* ---- chains ---- */

/* Models whose exchanges follow one another, with one input; how many are
 * left. */
static const struct {
  const char *mesh, *text;
  int left;
} chains[] = {
    {"mesh {x=4}", /* turned round by one */
     "input p {x} : i32[12]\n"
     "a = Slice(p, c11, c12, c0) {~} : i32[1]\nb = Slice(p, c0, c11, c0)\n"
     "y = Concat(a, b) axis=0 {x} : i32[12]\noutput y\n", 1},
    {"mesh {x=3}", /* both ways, uneven */
     "input p {x,~} : i32[11,2]\n"
     "a = Slice(p, c7, c11, c0)\nb = Slice(p, c0, c7, c0)\n"
     "r = Concat(a, b) axis=0 {x,~} : i32[11,2]\n"
     "c = Slice(p, c1, c11, c0)\nd = Slice(p, c0, c1, c0)\n"
     "l = Concat(c, d) axis=0 {x,~} : i32[11,2]\n"
     "y = Add(r, l) {x,~} : i32[11,2]\noutput y\n", 2},
    {"mesh {x=2, z=2}", /* a pad that wraps */
     "input p {z,~} : i32[12,3]\n"
     "u = Slice(p, c11, c12, c0) {~,~} : i32[1,3]\n"
     "v = Slice(p, c0, c1, c0) {~,~} : i32[1,3]\n"
     "y = Concat(u, p, v) axis=0 {z,~} : i32[14,3]\noutput y\n", 1},
    {"mesh {x=4}", /* pad, then slice: a shift */
     "input p {x,~} : i32[12,2]\n"
     "a = Pad(p, c1000) {x,~} : i32[13,2]\n"
     "y = Slice(a, c0, c12, c0) {x,~} : i32[12,2]\n"
     "output y\n", 1},
    {"mesh {x=4}", /* what is sliced is where it was; a is an
                        output too */
     "input p {x,~} : i32[12,2]\n"
     "a = Pad(p, c1000) {x,~} : i32[13,2]\n"
     "y = Slice(a, c1, c11, c0) {x,~} : i32[10,2]\n"
     "output y\noutput a\n", 1},
    {"mesh {x=2}", /* two fills that differ, one exchange local */
     "input p {x,~} : i32[12,3]\n"
     "a = Pad(p, c1000, three) {x,~} : i32[13,3]\n"
     "y = Pad(a, c1000) {x,~} : i32[14,3]\n"
     "output y\n", 1},
};

static gs_graph *chain_graph(const char *mesh, const char *text) {
  gs_graph *g = NULL;
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_buf_printf(&b, "%s\n", mesh);
  static const int numbers[] = {0, 1, 7, 11, 12};
  for (int i = 0; i < COUNT(numbers); i++)
    gs_buf_printf(&b, "constant c%d : i64[1] = [%d]\n", numbers[i],
                  numbers[i]);
  gs_buf_str(&b, "constant c1000 : i64[4] = [1,0,0,0]\n"
                 "constant three : i32[] = [3]\n");
  gs_buf_str(&b, text);
  must(!graph_read(&arena, b.at, "chain", &g, &err), b.at);
  must(!gs_pass_infer(&arena, g, NULL, &err), "infer");
  return g;
}

static gs_tensor *run_chain(const gs_graph *g, int64_t ndevice,
                            const gs_tensor *p, uint64_t *sent) {
  gs_exec_config config = {.graph = &g, .ngraph = 1, .ndevice = ndevice,
                           .threads = 1, .verify = true};
  gs_exec *exec = NULL;
  gs_tensor *y = NULL;
  gs_status s = gs_exec_new(&config, &exec, &err);
  if (!s) s = gs_exec_input(exec, "p", p, &err);
  if (!s) s = gs_exec_run(exec, &err);
  if (!s) s = gs_exec_output(exec, &arena, 0, &y, &err);
  must(!s, "run");
  *sent = gs_exec_sent(exec);
  gs_exec_free(exec);
  return y;
}

START_TEST(joined) {
  gs_graph *whole = chain_graph(chains[_i].mesh, chains[_i].text);
  whole->mesh = NULL;
  gs_graph *g = chain_graph(chains[_i].mesh, chains[_i].text);
  gs_propagate_input none = {0};
  gs_propagation done;
  gs_partition made;
  uint64_t sent;
  ck_assert(!gs_pass_propagate(&arena, g, &none, &done, &err));
  ck_assert_msg(!gs_pass_partition(&arena, g, &made, &err), "%s", messages());
  ck_assert_int_eq(made.collective.n, chains[_i].left);
  const gs_value *p = g->input.at[0];
  trial t = {.type = GS_INT32};
  gs_tensor *x = some_data(&t, p->rank, p->dims);
  gs_tensor *want = run_chain(whole, 1, x, &sent);
  gs_tensor *got = run_chain(made.program, g->mesh->ndevice, x, &sent);
  ck_assert_uint_eq(got->nbytes, want->nbytes);
  ck_assert_mem_eq(got->data, want->data, want->nbytes);
  double bytes = 0;
  for (int i = 0; i < made.collective.n; i++)
    bytes += made.collective.at[i].bytes;
  ck_assert_double_eq(bytes, (double)sent);
}
END_TEST

/* ---- what is refused ---- */

/* Of "e = ...(b) "; what is wrong with each stands in data/moves. */
static const char *const bad[] = {
    "axes=\"a\" dim=1 to_axes=\"a\" range=[1,3,0,1,-1,5] sizes=[6] blocks=[3]",
    "axes=\"b\" dim=0 to_axes=\"a\" range=[1,3,0,1,-1,5] sizes=[6] blocks=[3]",
    "axes=\"a\" dim=0 to_axes=\"a\" sizes=[6] blocks=[3]",
    "axes=\"a\" dim=0 to_axes=\"a\" range=[1,3,0,1,-1,4] sizes=[6] blocks=[3]",
    "axes=\"a\" dim=0 to_axes=\"a\" range=[1,3,0,1,-1,5] sizes=[4] blocks=[2]",
    "axes=\"a\" dim=0 to_axes=\"a\" range=[1,3,0,1,-1,5] sizes=[6] blocks=[3] "
    "indices=[1,0]",
    "axes=\"a\" dim=0 to_axes=\"a\" range=[1,3,0,1,-1,5] sizes=[6] blocks=[3] "
    "takes=[1,0,0,0,1,4]",
    "axes=\"a\" dim=0 to_axes=\"a\" range=[1,3,0,1,-1,5] sizes=[6] blocks=[3] "
    "gives=[0,0]",
};

START_TEST(refused) {
  gs_graph *g = NULL;
  const char *text = gs_sprintf(
      &arena, "mesh {a=2}\ninput x : f32[6]\n"
      "b = ai.gshard.Shard(x) split=\"{a}\" : f32[3]\n"
      "e = ai.gshard.%s(b) %s : f32[5]\n"
      "y = ai.gshard.Unshard(e) split=\"{a}\" dims=[10] : f32[10]\n"
      "output y\n", gs_moves[GS_MOVE_EXCHANGE].name, bad[_i]);
  ck_assert_msg(!gs_graph_parse(&arena, text, "t", &g, &err), "%s%s", text,
                messages());
  for (int i = 0; i < g->node.n; i++)
    g->node.at[i]->op =
        gs_op_find(g->node.at[i]->domain, g->node.at[i]->op_type);
  const gs_graph *program = g;
  gs_exec_config config = {.graph = &program, .ngraph = 1, .ndevice = 2};
  gs_exec *exec = NULL;
  ck_assert_int_eq(gs_exec_new(&config, &exec, &err), GS_DATA);
  ck_assert_ptr_nonnull(strstr(messages(), "node 'e'"));
  gs_exec_free(exec);
}
END_TEST

/* ---- as ranks of a job ---- */

static int digest(void) {
  gs_world *w = NULL;
  setup();
  gs_arena kept;
  gs_arena_init(&kept);
  if (gs_world_launched() && (gs_world_init(&kept, 600, &w, &err) ||
                              gs_world_share(w, &kept, 0, &err)))
    return 1;
  state = 521288629u;
  for (int k = 0; k < 60; k++) {
    trial t;
    gs_arena_reset(&arena);
    if (!draw(&t, meshes[1], types[k % COUNT(types)])) continue;
    const gs_graph *g = read_again(program_of(&t));
    run(&t, &g, 1, GS_WAIT_NEXT, w);
    if (t.out) printf("exchange %d is right\n", k);
  }
  if (w && gs_world_finalize(w, &err)) return 1;
  gs_arena_free(&kept);
  teardown();
  return 0;
}

static void begin(void) {
  setup_dir();
  state = 88172645u;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "digest")) return digest();
  TCase *t = tcase_create("exchange_run");
  tcase_add_checked_fixture(t, begin, teardown_dir);
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, random_exchanges, 0, COUNT(types));
  tcase_add_loop_test(t, files, 0, 3);
  tcase_add_loop_test(t, fill_values, 0, COUNT(values));
  tcase_add_loop_test(t, joined, 0, COUNT(chains));
  tcase_add_loop_test(t, refused, 0, COUNT(bad));
  return suite_run("exchange_run", t);
}
