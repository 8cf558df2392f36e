/* Softmax and norms along split dims, over links so slow that bytes decide: as
 * near to what f64 gives as the whole is, for elements that are large and
 * alike, infinities, NaN, rows of which all is -inf, and blocks that are short
 * or empty. */
#include <math.h>

#include "base/math.h"
#include "exec/run/run.h"
#include "fixture.h"
#include "kernel/core/convert.h"
#include "graphs.h"
#include "kernel_harness.h"
#include "pass/partition/partition.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"

static const double slow = 1e-6; /* Gbit/s */
enum { MAX_IN = 5, MAX_OUT = 3 };

/* $: the element type, N: the size of the split dim, P: its axes. */
static const char *const subjects[] = {
    "input x {~,P,~} : $[2,N,3]\ny = Softmax(x) axis=1\noutput y\n",
    "input x {~,P} : $[5,N]\ny = Softmax(x)\noutput y\n",
    "input x {~,P,~} : $[2,N,3]\ny = LogSoftmax(x) axis=1\noutput y\n",
    "input x {~,P} : $[5,N]\ny = LogSoftmax(x)\noutput y\n",
    "input x {~,P,~} : $[4,N,3]\ninput s {P,~} : $[N,3]\ninput b : $[3]\n"
    "y = LayerNormalization(x, s, b) axis=1 epsilon=0.0009765625\noutput y\n",
    "input x {~,P} : $[4,N]\ninput s {P} : $[N]\n"
    "y, m, d = LayerNormalization(x, s) epsilon=0.0009765625 : ?[...], "
    ": ?[...], : ?[...]\noutput y\noutput m\noutput d\n",
    "input x {~,P} : $[4,N]\ninput s {P} : $[N]\n"
    "y = RMSNormalization(x, s) epsilon=0.0009765625\noutput y\n",
    "input x {~,~,P} : $[2,4,N]\ninput s : $[4]\ninput b : $[4]\n"
    "y = InstanceNormalization(x, s, b) epsilon=0.0009765625\noutput y\n",
    "input x {~,~,P,~} : $[2,6,N,2]\ninput s : $[6]\ninput b : $[6]\n"
    "y = GroupNormalization(x, s, b) num_groups=3 "
    "epsilon=0.0009765625\noutput y\n",
    "input x {~,P,~} : $[2,24,N]\ninput s {P} : $[24]\ninput b {P} : $[24]\n"
    "y = GroupNormalization(x, s, b) num_groups=2 "
    "epsilon=0.0009765625\noutput y\n",
    "input x {P,~,~} : $[N,4,3]\ninput s : $[4]\ninput b : $[4]\n"
    "input m : $[4]\ninput v : $[4]\n"
    "y, n, w = BatchNormalization(x, s, b, m, v) training_mode=1 momentum=0.5 "
    "epsilon=0.0009765625 : ?[...], "
    ": ?[...], : ?[...]\noutput y\noutput n\noutput w\n",
    "input x {~,P} : $[4,N]\ny = LpNormalization(x) p=1\noutput y\n",
    "input x {~,P,~} : $[2,N,3]\ny = LpNormalization(x) axis=1\noutput y\n",
    "input x {~,P,~} : $[2,N,3]\ny = MeanVarianceNormalization(x) axes=[1]\n"
    "output y\n",
    "input x {P,~,~,~} : $[N,2,3,2]\ny = MeanVarianceNormalization(x)\n"
    "output y\n",
    "input x {~,~,P} : $[2,3,N]\ny = GlobalLpPool(x)\noutput y\n",
    "input x {~,~,P} : $[2,3,N]\ny = GlobalLpPool(x) p=1\noutput y\n",
};
enum { NSUBJECT = sizeof subjects / sizeof *subjects };

static const int64_t sizes[] = {3, 5, 9, 64, 2100};
static const char *const types[] = {"f32", "f64", "f16", "bf16"};
static const struct {
  const char *mesh, *axes;
} meshes[] = {{"{p=2}", "p"}, {"{p=4}", "p"}, {"{p=2, q=2}", "[p,q]"},
              {"{p=4, z=[0,3,1,2]}", "z"}, {"{p=8}", "p"}};
enum { NSIZE = 5, NTYPE = 4, NMESH = 5 };

/* What the elements of x are like. */
enum { PLAIN, LARGE, SPECIAL, LEAST, MILLION, NKIND }; /* MILLION: mean 1e6,
                                                    deviation 1 */

/* ---- graphs ---- */

static gs_graph *graph_of(gs_arena *a, const char *subject, const char *type,
                          int64_t n, int mesh) {
  gs_graph *g;
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_printf(&b, "mesh %s\n", meshes[mesh].mesh);
  for (const char *s = subject; *s; s++) {
    bool alone = s[1] == ',' || s[1] == '}' || s[1] == ']';
    if (*s == '$') gs_buf_str(&b, type);
    else if (*s == 'N' && alone) gs_buf_printf(&b, "%lld", (long long)n);
    else if (*s == 'P' && alone) gs_buf_str(&b, meshes[mesh].axes);
    else gs_buf_printf(&b, "%c", *s);
  }
  gs_status bad = gs_graph_parse(a, b.at, "case", &g, &err);
  for (int i = 0; !bad && i < g->node.n; i++) {
    g->node.at[i]->op = gs_op_find("", g->node.at[i]->op_type);
    g->node.at[i]->opset = g->node.at[i]->op->since;
  }
  if (!bad) bad = gs_pass_infer(a, g, NULL, &err);
  ck_assert_msg(!bad, "%s\n%s", b.at, messages());
  return g;
}

static gs_graph *whole_of(gs_arena *a, const char *subject, const char *type,
                          int64_t n, int mesh) {
  gs_graph *g = graph_of(a, subject, type, n, mesh);
  for (int i = 0; i < g->value.n; i++) g->value.at[i]->sharding = NULL;
  g->mesh = NULL;
  return g;
}

static void execute(gs_arena *a, const gs_graph *g, int64_t devices,
                    gs_tensor *const *in, gs_tensor **out) {
  gs_exec_config config = {.graph = &g, .ngraph = 1, .ndevice = devices,
                           .threads = 1, .verify = true};
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, &err);
  for (int i = 0; i < g->input.n && !s; i++)
    s = gs_exec_input(x, g->input.at[i]->name, in[i], &err);
  if (!s) s = gs_exec_run(x, &err);
  if (!s) s = graph_take_outputs(a, g, x, out, &err);
  gs_exec_free(x);
  ck_assert_msg(!s, "%s", messages());
}

/* Returns whether statistics of blocks are taken. */
static bool run_split(gs_arena *a, gs_graph *g, gs_tensor *const *in,
                      gs_tensor **out) {
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  gs_propagate_input none = {0};
  gs_propagation done;
  gs_partition made;
  *mesh = *g->mesh;
  for (int i = 0; i < mesh->naxis; i++) mesh->axis[i].gbps = slow;
  g->mesh = mesh;
  gs_status s = gs_pass_propagate(a, g, &none, &done, &err);
  if (!s) s = gs_pass_partition(a, g, &made, &err);
  ck_assert_msg(!s, "%s", messages());
  execute(a, made.program, mesh->ndevice, in, out);
  for (int i = 0; i < made.program->node.n; i++)
    if (strstr(made.program->node.at[i]->op_type, "Blocks")) return true;
  return false;
}

/* ---- operands ---- */

static double element(uint64_t *state, int kind, gs_dtype t) {
  double d = h_random(state) * 4 - 2, pick = h_random(state);
  if (kind == MILLION) return 1e6 + d * sqrt(0.75);
  if (kind == LARGE)
    return (gs_dtype_get((int)t)->bits < 32 ? 100 : 1e5) + d / 8;
  if (kind == LEAST && pick < 0.8) return -(double)INFINITY;
  if (kind != SPECIAL || pick > 0.02) return d;
  return pick < 0.005   ? (double)NAN
         : pick < 0.01 ? (double)INFINITY
                       : -(double)INFINITY;
}

/* Numbers of type t, and the same in f64. */
static void fill(gs_arena *a, const gs_value *v, int kind, uint64_t *state,
                 gs_tensor **x, gs_tensor **wide) {
  ck_assert(!gs_tensor_new(a, v->dtype, v->rank, v->dims, x, NULL));
  ck_assert(!gs_tensor_new(a, GS_DOUBLE, v->rank, v->dims, wide, NULL));
  int size = gs_dtype_get((int)v->dtype)->bits / 8;
  int64_t n = gs_tensor_count(*x), row = v->rank ? v->dims[v->rank - 1] : 1;
  bool least = false;
  for (int64_t i = 0; i < n; i++) {
    if (i % row == 0) least = kind == LEAST && h_random(state) < 0.5;
    double d = least ? -(double)INFINITY : element(state, kind, v->dtype);
    char *to = (char *)(*x)->data + i * size;
    gs_convert(v->dtype, to, GS_DOUBLE, &d, 1, NULL);
    gs_convert(GS_DOUBLE, (char *)(*wide)->data + i * 8, v->dtype, to, 1, NULL);
  }
}

static double at(const gs_tensor *t, int64_t i) {
  double d;
  int size = gs_dtype_get((int)t->dtype)->bits / 8;
  gs_convert(GS_DOUBLE, &d, t->dtype,
             (const char *)gs_tensor_bytes(t) + i * size, 1, NULL);
  return d;
}

/* What is next to 1, less 1. */
static double epsilon(gs_dtype t) {
  return t == GS_DOUBLE ? 0x1p-52 : t == GS_FLOAT ? 0x1p-23
         : t == GS_FLOAT16 ? 0x1p-10 : 0x1p-7;
}

/* got is as near to exact as want is, give or take some last digits, of x too:
 * elements that are large and alike have few digits of distance from a mean. */
static void compare(const gs_tensor *got, const gs_tensor *want,
                    const gs_tensor *exact, double x, const char *what) {
  double off = 0, largest = 0;
  int64_t n = gs_tensor_count(want);
  ck_assert_int_eq(gs_tensor_count(got), n);
  for (int64_t i = 0; i < n; i++) {
    double e = at(exact, i), w = at(want, i);
    if (isfinite(e) && isfinite(w)) {
      off = fmax(off, fabs(w - e));
      largest = fmax(largest, fabs(e));
    }
  }
  double last = 16 * epsilon(want->dtype);
  if (want->dtype == GS_DOUBLE) last *= 8; /* exact is no wider */
  if (x > 1) largest = fmax(largest, 1) * x;
  if (x > 1 && want->dtype == GS_FLOAT) last /= 16; /* what a sum is sent in */
  double allowed = 2 * off + last * largest;
  for (int64_t i = 0; i < n; i++) {
    double g = at(got, i), w = at(want, i), e = at(exact, i);
    bool same = isnan(w) ? isnan(g)
                : isinf(w) ? isinf(g) && (g > 0) == (w > 0)
                           : fabs(g - (isfinite(e) ? e : w)) <= allowed;
    ck_assert_msg(same, "%s: element %lld is %.17g, whole %.17g, exact %.17g, "
                  "allowed %g", what, (long long)i, g, w, e, allowed);
  }
}

/* ---- the test ---- */

static bool try(const char *subject, const char *type, int64_t n, int mesh,
                int kind, uint64_t *state) {
  gs_tensor *in[MAX_IN], *wide[MAX_IN];
  gs_tensor *got[MAX_OUT], *want[MAX_OUT], *exact[MAX_OUT];
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g = graph_of(&a, subject, type, n, mesh);
  for (int i = 0; i < g->input.n; i++)
    fill(&a, g->input.at[i], i ? PLAIN : kind, state, &in[i], &wide[i]);
  bool taken = run_split(&a, g, in, got);
  execute(&a, whole_of(&a, subject, type, n, mesh), 1, in, want);
  execute(&a, whole_of(&a, subject, "f64", n, mesh), 1, wide, exact);
  for (int i = 0; i < g->output.n; i++)
    compare(got[i], want[i], exact[i],
            kind == LARGE || kind == MILLION ? at(in[0], 0) : 0,
            gs_sprintf(&a, "%s%s, %lld over %s, kind %d, output %d", subject,
                       type, (long long)n, meshes[mesh].mesh, kind, i));
  gs_arena_free(&a);
  return taken;
}

START_TEST(near_to_exact) {
  uint64_t state = 5 + (uint64_t)_i;
  suite_sample sample = suite_sample_of(5);
  unsigned long at_case = 0;
  int taken = 0;
  for (int t = 0; t < NTYPE; t++)
    for (int n = 0; n < NSIZE; n++)
      for (int kind = 0; kind < NKIND; kind++)
        if (suite_chosen(sample, at_case++))
          taken += try(subjects[_i], types[t], sizes[n],
                       (_i + t + 2 * n + kind) % NMESH, kind, &state);
  ck_assert_int_gt(taken, sample.of == 1 ? 30 : 0);
}
END_TEST

int main(int argc, char **argv) {
  suite_arguments(argc, argv);
  TCase *t = tcase_create("stats");
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, near_to_exact, 0, NSUBJECT);
  return suite_run("stats", t);
}
