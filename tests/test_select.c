/* Selection and scans along a split dim, over links so slow that bytes decide:
 * the split form gives the bytes of the whole, for ties, NaN, infinities, the
 * ends of the integers, and blocks that are short or empty.  Scans have small
 * whole numbers, so that sums and products are exact in any order. */
#include "base/math.h"
#include "check/compare.h"
#include "exec/run/run.h"
#include "fixture.h"
#include "kernel/core/convert.h"
#include "graphs.h"
#include "kernel_harness.h"
#include "pass/partition/partition.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"

static const double slow = 1e-6; /* Gbit/s */

typedef struct subject {
  const char *node;  /* of x to y, or to y and z; behind others */
  enum { ANY, SUMS, CLOSE } data; /* any numbers; small ones; those, and results
                                     are equal within the tolerance */
  const char *types;
} subject;

#define NUMBERS "f32 f64 f16 bf16 i8 i16 i32 i64 u8 u16 u32 u64"
#define FLOATS "f32 f64 f16 bf16"

#define STATES(past, decay, rule)                                              \
  "y, z = LinearAttention(x, x, x, " past ", " decay ") q_num_heads=1 "        \
  "kv_num_heads=1 update_rule=\"" rule "\""

static const subject subjects[] = {
    {"y = ArgMax(x) axis=1", ANY, NUMBERS},
    {"y = ArgMax(x) axis=-2 keepdims=0 select_last_index=1", ANY, NUMBERS},
    {"y = ArgMin(x) axis=1 keepdims=0", ANY, NUMBERS},
    {"y = ArgMin(x) axis=1 select_last_index=1", ANY, NUMBERS},
    {"y = Hardmax(x) axis=1", ANY, FLOATS},
    {"y, z = TopK(x, one) axis=1", ANY, NUMBERS},
    {"y, z = TopK(x, three) axis=-2 largest=0", ANY, NUMBERS},
    {"y, z = TopK(x, three) axis=1 sorted=0", ANY, NUMBERS},
    {"y = CumSum(x, axis)", SUMS, NUMBERS},
    {"y = CumSum(x, axis) exclusive=1 reverse=1", SUMS, NUMBERS},
    {"y = CumSum(x, axis) reverse=1", SUMS, NUMBERS},
    {"y = CumProd(x, axis)", SUMS, NUMBERS},
    {"y = CumProd(x, axis) exclusive=1", SUMS, NUMBERS},
    {"y = CumProd(x, axis) exclusive=1 reverse=1", SUMS, NUMBERS},
    {STATES("_", "_", "linear"), SUMS, "f32 f16 bf16"},
    {"past = Expand(half, state)\n" STATES("past", "x", "gated"), CLOSE,
     "f32 f16 bf16"},
    {"f = CastLike(half, x)\nh = Mul(x, f)\nd = Log(h)\n" /* -inf among them */
     "past = Expand(half, state)\n" STATES("past", "d", "gated"), CLOSE,
     "f32 f16 bf16"},
    {"d = ReduceMin(x, last)\n" STATES("_", "d", "gated"), CLOSE, "f32 f16"},
};
enum { NSUBJECT = sizeof subjects / sizeof *subjects };

static const int64_t sizes[] = {3, 4, 5, 7, 33, 64};
static const char *const meshes[] = {"{p=2}", "{p=3}", "{p=4}", "{p=2, q=2}",
                                     "{p=8}", "{p=4, z=[0,3,1,2]}"};
enum { NMESH = sizeof meshes / sizeof *meshes };

/* ---- operands ---- */

/* The first or last of the numbers of type t, without NaN. */
static void extreme(gs_dtype t, bool last, char *to) {
  const gs_dtype_info *info = gs_dtype_get((int)t);
  uint64_t ones = UINT64_MAX >> (64 - info->bits);
  double end = last ? (double)INFINITY : -(double)INFINITY;
  if (info->cls == 'f') gs_convert(t, to, GS_DOUBLE, &end, 1, NULL);
  else if (info->cls == 'u') ones = last ? ones : 0;
  else ones = last ? ones >> 1 : ~(ones >> 1);
  if (info->cls != 'f') memcpy(to, &ones, (size_t)info->bits / 8);
}

/* Numbers that repeat, and special ones. */
static void fill(uint64_t *state, gs_dtype t, bool sums, char *to) {
  char cls = gs_dtype_get((int)t)->cls;
  int kind = (int)(h_random(state) * 8);
  double d = (double)(int)(h_random(state) * 2.5);
  if (!sums && cls != 'u') d--;
  if (!sums && kind < 2) {
    extreme(t, kind, to);
    return;
  }
  if (!sums && kind < 4 && cls == 'f') d = kind == 2 ? (double)NAN : -0.0;
  gs_convert(t, to, GS_DOUBLE, &d, 1, NULL);
}

/* One of five is the same everywhere, and first or last. */
static gs_tensor *operand(gs_arena *a, const subject *s, const gs_value *v,
                          uint64_t *state) {
  gs_tensor *t;
  int size = gs_dtype_get((int)v->dtype)->bits / 8;
  bool alike = s->data == ANY && h_random(state) < 0.2;
  bool last = h_random(state) < 0.5;
  ck_assert_int_eq(gs_tensor_new(a, v->dtype, v->rank, v->dims, &t, NULL), 0);
  for (int64_t i = 0, n = gs_tensor_count(t); i < n; i++) {
    char *to = (char *)t->data + i * size;
    if (alike) extreme(v->dtype, last, to);
    else fill(state, v->dtype, s->data != ANY, to);
  }
  return t;
}

/* ---- runs ---- */

static gs_graph *graph_of(gs_arena *a, const subject *s, const char *type,
                          const char *mesh, int64_t n, gs_err *e) {
  gs_graph *g;
  bool two = strchr(s->node, ',') && strstr(s->node, "y, z");
  bool order = strstr(mesh, "z="), both = strstr(mesh, "q=");
  const char *text = gs_sprintf(
      a, "mesh %s\ninput x {~,%s,~} : %s[2,%lld,3]\n"
         "constant one : i64[1] = [1]\nconstant three : i64[1] = [3]\n"
         "constant axis : i64[] = [1]\nconstant last : i64[1] = [2]\n"
         "constant half : f32[] = [0.5]\nconstant state : i64[4] = [2,1,3,3]\n"
         "%s%s\noutput y\n%s",
      mesh, order ? "z" : both ? "[p,q]" : "p", type, (long long)n, s->node,
      two ? " : ?[...], : ?[...]" : "", two ? "output z\n" : "");
  gs_status bad = gs_graph_parse(a, text, "case", &g, e);
  for (int i = 0; !bad && i < g->node.n; i++) {
    g->node.at[i]->op = gs_op_find("", g->node.at[i]->op_type);
    g->node.at[i]->opset = g->node.at[i]->op->since;
  }
  if (!bad) bad = gs_pass_infer(a, g, NULL, e);
  if (bad) gs_err_print(e, stderr, text, false);
  ck_assert_int_eq(bad, GS_OK);
  return g;
}

static gs_status execute(gs_arena *a, const gs_graph *g, int64_t devices,
                         const gs_tensor *x, gs_tensor **out, gs_err *e) {
  gs_exec_config config = {.graph = &g, .ngraph = 1, .ndevice = devices,
                           .threads = 1, .verify = true};
  gs_exec *run;
  gs_status s = gs_exec_new(&config, &run, e);
  if (!s) s = gs_exec_input(run, "x", x, e);
  if (!s) s = gs_exec_run(run, e);
  if (!s) s = graph_take_outputs(a, g, run, out, e);
  gs_exec_free(run);
  return s;
}

static gs_status split(gs_arena *a, gs_graph *g, gs_partition *made,
                       gs_err *e) {
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  *mesh = *g->mesh;
  for (int i = 0; i < mesh->naxis; i++) mesh->axis[i].gbps = slow;
  g->mesh = mesh;
  gs_propagate_input none = {0};
  gs_propagation done;
  GS_TRY(gs_pass_propagate(a, g, &none, &done, e));
  return gs_pass_partition(a, g, made, e);
}

static bool same(const subject *s, const gs_tensor *x, const gs_tensor *y) {
  gs_comparison c;
  gs_tolerance close = gs_tolerance_of(x->dtype);
  if (s->data == CLOSE)
    return !gs_compare(y, x, &close, &c, NULL) && c.equal;
  return x->nbytes == y->nbytes &&
         !memcmp(gs_tensor_bytes(x), gs_tensor_bytes(y), x->nbytes);
}

/* Returns whether a split form was taken. */
static bool try(const subject *s, const char *type, const char *mesh,
                int64_t n, uint64_t *state) {
  gs_tensor *want[2], *got[2];
  gs_partition made;
  gs_err e;
  gs_err_init(&e);
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g = graph_of(&a, s, type, mesh, n, &e);
  const gs_tensor *x = operand(&a, s, g->input.at[0], state);
  gs_status bad = split(&a, g, &made, &e);
  if (!bad) bad = execute(&a, made.program, g->mesh->ndevice, x, got, &e);
  gs_graph *w = graph_of(&a, s, type, mesh, n, &e);
  for (int i = 0; i < w->value.n; i++) w->value.at[i]->sharding = NULL;
  w->mesh = NULL;
  if (!bad) bad = execute(&a, w, 1, x, want, &e);
  if (bad) gs_err_print(&e, stderr, s->node, false);
  for (int i = 0; i < g->output.n; i++)
    ck_assert_msg(!bad && same(s, want[i], got[i]),
                  "%s: %s, %lld elements over %s: output %d differs", s->node,
                  type, (long long)n, mesh, i);
  bool form = false; /* those have a dim cut into blocks */
  for (int i = 0; i < made.program->node.n; i++)
    form |= !strcmp(made.program->node.at[i]->op_type, "Reshape");
  gs_err_free(&e);
  gs_arena_free(&a);
  return form;
}

START_TEST(equals_whole) {
  const subject *s = &subjects[_i];
  uint64_t state = 11 + (uint64_t)_i;
  suite_sample sample = suite_sample_of(5);
  unsigned long at_case = 0;
  int taken = 0;
  char types[100], *at = types, *type;
  strcpy(types, s->types);
  for (int k = _i; (type = strtok_r(at, " ", &at)); k++)
    for (int n = 0; n < (int)(sizeof sizes / sizeof *sizes); n++)
      for (int m = (k + n) % 3; m < NMESH; m += 3)
        if (suite_chosen(sample, at_case++))
          taken += try(s, type, meshes[m], sizes[n], &state);
  ck_assert_int_gt(taken, sample.of == 1 ? 10 : 0);
}
END_TEST

int main(int argc, char **argv) {
  suite_arguments(argc, argv);
  TCase *t = tcase_create("select");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, equals_whole, 0, NSUBJECT);
  return suite_run("select", t);
}
