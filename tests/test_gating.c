/* GShard's Algorithm 1, written here in C from the paper, against the gating
 * of examples/moe.c in ONNX operators, token by token; and Algorithm 2 against
 * equation (3) of the paper. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../examples/moe.h"
#include "exec/run/run.h"
#include "suite.h"

/* ---- Algorithm 1 (arXiv 2006.16668, section 2.2) ------------------------ */

enum { MAX_S = 64, MAX_E = 16 };

typedef struct reference {
  float weight[MAX_S][MAX_E]; /* G_{s,e} */
  int64_t place[MAX_S][MAX_E]; /* the counter c when e was chosen; -1: not */
  double loss;
  int64_t dropped, overflow;
} reference;

static void top_2(const float *g, int64_t experts, int64_t *e1, int64_t *e2) {
  *e1 = *e2 = -1;
  for (int64_t e = 0; e < experts; e++)
    if (*e1 < 0 || g[e] > g[*e1]) *e1 = e;
  for (int64_t e = 0; e < experts; e++)
    if (e != *e1 && (*e2 < 0 || g[e] > g[*e2])) *e2 = e;
}

/* One group: gates g [S][E]; rnd [S] are the numbers of line 17, or NULL when
 * every second choice is wanted. */
static void algorithm_1(int64_t tokens, int64_t experts, int64_t capacity,
                        const float *g, const float *rnd, reference *r) {
  int64_t counter[MAX_E] = {0};
  memset(r, 0, sizeof *r);
  memset(r->place, 0xff, sizeof r->place);
  for (int64_t s = 0; s < tokens; s++) {
    int64_t e1, e2;
    top_2(g + s * experts, experts, &e1, &e2);
    float g1 = g[s * experts + e1], g2 = g[s * experts + e2];
    int64_t c = counter[e1];
    if (c < capacity) {
      r->weight[s][e1] = g1 / (g1 + g2);
      r->place[s][e1] = c;
    } else {
      r->overflow++;
    }
    counter[e1] = c + 1;
  }
  for (int64_t e = 0; e < experts; e++) {
    double mean = 0;
    for (int64_t s = 0; s < tokens; s++) mean += (double)g[s * experts + e];
    mean /= (double)tokens;
    r->loss += (double)counter[e] / (double)tokens * mean / (double)experts;
  }
  for (int64_t s = 0; s < tokens; s++) {
    int64_t e1, e2;
    top_2(g + s * experts, experts, &e1, &e2);
    float g1 = g[s * experts + e1], g2 = g[s * experts + e2];
    float share = g2 / (g1 + g2);
    int64_t c = counter[e2];
    bool wanted = !rnd || 2 * share > rnd[s];
    if (c < capacity && wanted) {
      r->weight[s][e2] = share;
      r->place[s][e2] = c;
    }
    if (c >= capacity) r->overflow++;
    counter[e2] = c + 1;
    if (r->place[s][e1] < 0 && r->place[s][e2] < 0) r->dropped++;
  }
}

/* Worked by hand: 4 tokens, 3 experts, 2 places. */
START_TEST(test_reference) {
  const float g[] = {.6f, .3f, .1f, .6f, .3f, .1f,
                     .6f, .3f, .1f, .3f, .6f, .1f};
  const float rnd[] = {.9f, .1f, .1f, .1f};
  reference r;
  algorithm_1(4, 3, 2, g, rnd, &r);
  /* Expert 0: tokens 0 and 1, then it is full for the third. */
  ck_assert_int_eq((int)r.place[0][0], 0);
  ck_assert_int_eq((int)r.place[1][0], 1);
  ck_assert_int_eq((int)r.place[2][0], -1);
  /* Expert 1: the first choice of token 3 comes before all second choices;
   * token 0 is not wanted (2/3 < 0.9) but counts, so that 1 is full. */
  ck_assert_int_eq((int)r.place[3][1], 0);
  for (int s = 0; s < 3; s++) ck_assert_int_eq((int)r.place[s][1], -1);
  ck_assert_int_eq((int)r.dropped, 1);
  ck_assert_int_eq((int)r.overflow, 4);
  ck_assert_double_eq_tol(r.loss, (.75 * .525 + .25 * .375) / 3, 1e-7);
}
END_TEST

/* ---- the same in ONNX operators ----------------------------------------- */

typedef enum kind { RANDOM, EQUAL, COARSE, SURE, SKEWED, NKIND } kind;

typedef struct sizes {
  int64_t g, s, e, c;
} sizes;

static uint64_t state;

static double uniform(void) { /* in [0, 1) */
  state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-53;
}

static double logit(kind k, int64_t s, int64_t e) {
  switch (k) {
  case EQUAL: return 0;
  case COARSE: return floor(uniform() * 3); /* many ties */
  case SURE: return (s * 7) % 5 == e ? 200 : 0; /* the second gate is 0 */
  case SKEWED: return (e == 1 ? 3 : 0) + uniform();
  default: return 4 * uniform();
  }
}

/* Rows that sum to 1. */
static void make_gates(kind k, const sizes *z, float *g) {
  for (int64_t row = 0; row < z->g * z->s; row++) {
    double x[MAX_E], sum = 0;
    for (int64_t e = 0; e < z->e; e++) sum += x[e] = exp(logit(k, row, e));
    for (int64_t e = 0; e < z->e; e++)
      g[row * z->e + e] = (float)(x[e] / sum);
  }
}

typedef struct machine {
  gs_arena arena;
  gs_err err;
  net net;
  gs_exec *exec;
} machine;

static void begin(machine *m) {
  gs_arena_init(&m->arena);
  gs_err_init(&m->err);
  net_begin(&m->net, &m->arena, "gating", true, 7, &m->err);
}

static void end(machine *m) {
  gs_exec_free(m->exec);
  gs_err_free(&m->err);
  gs_arena_free(&m->arena);
}

static void must(machine *m, gs_status s) {
  if (s != GS_OK) gs_err_print(&m->err, stderr, "test_gating", false);
  ck_assert_int_eq((int)s, GS_OK);
}

/* Runs the graph with one input. */
static void run(machine *m, const char *input, const gs_tensor *t) {
  must(m, m->net.status);
  must(m, gs_graph_check(m->net.graph, &m->err));
  const gs_graph *g = m->net.graph;
  gs_exec_config c = {.graph = &g, .ngraph = 1, .ndevice = 1, .threads = 1,
                      .verify = true};
  must(m, gs_exec_new(&c, &m->exec, &m->err));
  must(m, gs_exec_input(m->exec, input, t, &m->err));
  must(m, gs_exec_run(m->exec, &m->err));
}

/* The data of a graph output. */
static const void *result(machine *m, const gs_value *v) {
  const gs_graph *g = m->net.graph;
  int i = 0;
  while (i < g->output.n && g->output.at[i] != v) i++;
  ck_assert_int_lt(i, g->output.n);
  gs_tensor *t;
  must(m, gs_exec_output(m->exec, &m->arena, i, &t, &m->err));
  return t->data;
}

static gs_tensor *new_tensor(machine *m, int rank, const int64_t *dims) {
  gs_tensor *t;
  must(m, gs_tensor_new(&m->arena, GS_FLOAT, rank, dims, &t, &m->err));
  return t;
}

static void outputs(machine *m, const moe_gates *r) {
  gs_value *all[] = {r->combine, r->dispatch, r->loss,
                     r->dropped, r->overflow, r->random};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) net_output(&m->net, all[i]);
}

/* Every element of a token's [E,C]; all are exact, for both sides divide the
 * same two numbers. */
static void compare_token(const sizes *z, const reference *r, int64_t s,
                          const float *combine, const float *dispatch) {
  int taken = 0;
  for (int64_t e = 0; e < z->e; e++)
    for (int64_t c = 0; c < z->c; c++) {
      float want = r->place[s][e] == c ? r->weight[s][e] : 0;
      ck_assert_msg(combine[e * z->c + c] == want,
                    "token %d expert %d place %d: %.9g, not %.9g", (int)s,
                    (int)e, (int)c, (double)combine[e * z->c + c],
                    (double)want);
      ck_assert(dispatch[e * z->c + c] == (want != 0 ? 1.0f : 0.0f));
      taken += want != 0;
    }
  ck_assert_int_le(taken, 2);
}

/* No place is given twice. */
static void check_places(const sizes *z, const float *dispatch) {
  for (int64_t i = 0; i < z->e * z->c; i++) {
    float sum = 0;
    for (int64_t s = 0; s < z->s; s++) sum += dispatch[s * z->e * z->c + i];
    ck_assert(sum <= 1);
  }
}

static void compare(machine *m, const sizes *z, const float *gates,
                    const moe_gates *r) {
  const float *combine = result(m, r->combine);
  const float *dispatch = result(m, r->dispatch);
  const float *loss = result(m, r->loss);
  const int64_t *dropped = result(m, r->dropped);
  const int64_t *overflow = result(m, r->overflow);
  const float *random = r->random ? result(m, r->random) : NULL;
  for (int64_t g = 0; g < z->g; g++) {
    reference ref;
    algorithm_1(z->s, z->e, z->c, gates + g * z->s * z->e,
                random ? random + g * z->s : NULL, &ref);
    int64_t token = z->e * z->c;
    for (int64_t s = 0; s < z->s; s++)
      compare_token(z, &ref, s, combine + (g * z->s + s) * token,
                    dispatch + (g * z->s + s) * token);
    check_places(z, dispatch + g * z->s * token);
    ck_assert_double_eq_tol((double)loss[g], ref.loss, 1e-6);
    ck_assert_int_eq((int)dropped[g], (int)ref.dropped);
    ck_assert_int_eq((int)overflow[g], (int)ref.overflow);
  }
}

static void check_random(const sizes *z, const float *rnd) {
  double sum = 0;
  for (int64_t i = 0; i < z->g * z->s; i++) {
    ck_assert(rnd[i] >= 0 && rnd[i] < 1);
    sum += (double)rnd[i];
  }
  ck_assert_double_eq_tol(sum / (double)(z->g * z->s), .5, .25);
}

static void check_gating(kind k, const sizes *z, bool random) {
  machine m;
  begin(&m);
  int64_t dims[] = {z->g, z->s, z->e};
  gs_value *x = net_input(&m.net, "gates", GS_FLOAT, 3, dims);
  moe_options o = {
      .experts = z->e, .capacity = z->c, .random = random, .seed = 5};
  moe_gates r = moe_gating(&m.net, x, &o);
  must(&m, m.net.status);
  ck_assert_int_eq(r.random != NULL, random);
  outputs(&m, &r);
  gs_tensor *t = new_tensor(&m, 3, dims);
  make_gates(k, z, (float *)(uintptr_t)t->data);
  run(&m, "gates", t);
  compare(&m, z, t->data, &r);
  if (random) check_random(z, result(&m, r.random));
  end(&m);
}

static const sizes cases[] = {
    {2, 32, 4, 16}, /* C = 2 S / E */
    {3, 40, 5, 3},  /* overflow */
    {1, 64, 16, 1}, /* one place for each */
    {2, 16, 2, 2},  /* two experts: all choose both */
    {2, 24, 6, 48}, /* no overflow */
};

START_TEST(test_gating) {
  state = (uint64_t)_i;
  kind k = (kind)(_i % NKIND);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check_gating(k, &cases[i], _i >= NKIND);
}
END_TEST

/* The cases above must reach what they are there for. */
START_TEST(test_reached) {
  int64_t dropped = 0, kept = 0, rejected = 0;
  state = 1;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float g[MAX_S * MAX_E], rnd[MAX_S];
    sizes z = cases[i];
    z.g = 1;
    make_gates(RANDOM, &z, g);
    for (int64_t s = 0; s < z.s; s++) rnd[s] = (float)uniform();
    reference all, some;
    algorithm_1(z.s, z.e, z.c, g, NULL, &all);
    algorithm_1(z.s, z.e, z.c, g, rnd, &some);
    dropped += all.dropped;
    for (int64_t s = 0; s < z.s; s++)
      for (int64_t e = 0; e < z.e; e++) {
        kept += all.place[s][e] >= 0;
        rejected += all.place[s][e] >= 0 && some.place[s][e] < 0;
      }
  }
  ck_assert_int_gt((int)dropped, 10);
  ck_assert_int_gt((int)kept, 100);
  ck_assert_int_gt((int)rejected, 10);
}
END_TEST

/* ---- Algorithm 2 -------------------------------------------------------- */

static const float *weight(machine *m, const char *name) {
  const gs_value *v = gs_graph_find(m->net.graph, name);
  ck_assert_ptr_nonnull(v);
  return v->constant->data;
}

/* y += share * wo . relu(wi . x) of expert e. */
static void add_expert(machine *m, const moe_options *o, int64_t width,
                       int64_t e, double share, const float *x, double *y) {
  const float *wi = weight(m, "moe/wi") + e * width * o->hidden;
  const float *wo = weight(m, "moe/wo") + e * width * o->hidden;
  for (int64_t h = 0; h < o->hidden; h++) {
    double sum = 0;
    for (int64_t i = 0; i < width; i++)
      sum += (double)x[i] * (double)wi[i * o->hidden + h];
    if (sum <= 0) continue;
    for (int64_t i = 0; i < width; i++)
      y[i] += share * sum * (double)wo[h * width + i];
  }
}

static void check_softmax(machine *m, const sizes *z, int64_t width,
                          const float *x, const float *gates) {
  const float *wg = weight(m, "moe/wg");
  double p[MAX_E], sum = 0;
  for (int64_t e = 0; e < z->e; e++) {
    double dot = 0;
    for (int64_t i = 0; i < width; i++)
      dot += (double)x[i] * (double)wg[i * z->e + e];
    sum += p[e] = exp(dot);
  }
  for (int64_t e = 0; e < z->e; e++)
    ck_assert_double_eq_tol((double)gates[e], p[e] / sum, 1e-6);
}

static void compare_layer(machine *m, const sizes *z, const moe_options *o,
                          int64_t width, const float *x, const float *gates,
                          const float *rnd, const float *y) {
  for (int64_t g = 0; g < z->g; g++) {
    reference ref;
    algorithm_1(z->s, z->e, z->c, gates + g * z->s * z->e, rnd + g * z->s,
                &ref);
    for (int64_t s = 0; s < z->s; s++) {
      int64_t row = g * z->s + s;
      double want[64] = {0};
      check_softmax(m, z, width, x + row * width, gates + row * z->e);
      for (int64_t e = 0; e < z->e; e++)
        if (ref.weight[s][e] != 0)
          add_expert(m, o, width, e, (double)ref.weight[s][e],
                     x + row * width, want);
      for (int64_t i = 0; i < width; i++)
        ck_assert_double_eq_tol((double)y[row * width + i], want[i], 1e-5);
    }
  }
}

START_TEST(test_layer) {
  enum { WIDTH = 24 };
  sizes z = {3, 20, 5, 5};
  moe_options o = {.experts = z.e,
                   .capacity = z.c,
                   .hidden = 40,
                   .random = true,
                   .seed = 9};
  machine m;
  begin(&m);
  int64_t dims[] = {z.g, z.s, WIDTH};
  gs_value *x = net_input(&m.net, "x", GS_FLOAT, 3, dims);
  moe_layer r = moe_experts(&m.net, "moe", x, &o);
  must(&m, m.net.status);
  gs_value *gates = gs_graph_find(m.net.graph, "moe/gates");
  net_output(&m.net, r.outputs);
  net_output(&m.net, gates);
  net_output(&m.net, r.gates.random);
  gs_tensor *t = new_tensor(&m, 3, dims);
  float *data = (float *)(uintptr_t)t->data;
  state = 3;
  for (int64_t i = 0; i < z.g * z.s * WIDTH; i++)
    data[i] = (float)(4 * uniform() - 2);
  run(&m, "x", t);
  compare_layer(&m, &z, &o, WIDTH, data, result(&m, gates),
                result(&m, r.gates.random), result(&m, r.outputs));
  end(&m);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("gating");
  tcase_add_test(t, test_reference);
  tcase_add_test(t, test_reached);
  tcase_add_loop_test(t, test_gating, 0, 2 * NKIND);
  tcase_add_test(t, test_layer);
  return suite_run("gating", t);
}
