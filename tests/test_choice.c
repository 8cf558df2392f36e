/* What the partitioner chooses against all there is to choose: on random
 * chains of up to six nodes it takes at most 1.02 of the time of the best of
 * all assignments of all nodes, with the links of the machine and with slow
 * ones, where bytes decide.  Constants are read as they are split: who splits a
 * tensor wants it split.
 *
 * GSHARD_CHOICE=N tries chain N alone and prints it. */
#include <math.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "pass/partition/partition.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"
#include "graphs.h"
#include "suite.h"

enum { CHAINS = 200, MAX_NODES = 6, MAX_WAYS = 64 };

static const double slow = 1e-6; /* Gbit/s: no latency shows beside it */

/* ---- random chains ---- */

typedef struct maker {
  uint64_t state;
  gs_buf text;
  int rows, cols; /* of the value so far */
  int nweight;
} maker;

static int draw(maker *m, int n) {
  m->state = m->state * 6364136223846793005u + 1442695040888963407u;
  return (int)(m->state >> 33) % n;
}

static int size_of(maker *m) {
  static const int sizes[] = {6, 16, 64, 256, 1024, 4096};
  return sizes[draw(m, 6)];
}

/* A sharding of rank 2 over the axes of the mesh; "" where none is given. */
static const char *sharding(maker *m, bool two) {
  static const char *const one[] = {"{a,~} ", "{~,a} ", "{~,~} "};
  static const char *const both[] = {"{a,b} ", "{b,a} ", "{~,[a,b]} ",
                                     "{a,~} ", "{~,b} ", "{~,~} "};
  return two ? both[draw(m, 6)] : one[draw(m, 3)];
}

/* Appends a node that makes v<k> of v<k-1>, `given` a sharding for it. */
static void add_node(maker *m, int k, const char *given) {
  gs_buf *b = &m->text;
  char x[8];
  snprintf(x, sizeof x, "v%d", k - 1);
  int kind = draw(m, 8), n;
  switch (kind) {
    case 0:
    case 1:
      n = size_of(m);
      gs_buf_printf(b, "constant w%d : f32[%d,%d]\nv%d = MatMul(%s, w%d)", k,
                    m->cols, n, k, x, k);
      m->cols = n;
      break;
    case 2:
      n = size_of(m);
      gs_buf_printf(b, "constant w%d : f32[%d,%d]\nv%d = MatMul(w%d, %s)", k, n,
                    m->rows, k, k, x);
      m->rows = n;
      break;
    case 3:
      gs_buf_printf(b, "v%d = Transpose(%s) perm=[1,0]", k, x);
      n = m->rows;
      m->rows = m->cols;
      m->cols = n;
      break;
    case 4: gs_buf_printf(b, "v%d = Softmax(%s) axis=%d", k, x, draw(m, 2));
      break;
    case 5:
      gs_buf_printf(b, "constant w%d : f32[%d]\nv%d = Add(%s, w%d)", k, m->cols,
                    k, x, k);
      break;
    case 6: gs_buf_printf(b, "v%d = Relu(%s)", k, x); break;
    default:
      n = draw(m, 2);
      gs_buf_printf(b, "constant w%d : i64[1] = [%d]\n"
                       "v%d = ReduceSum(%s, w%d) keepdims=1", k, n, k, x, k);
      if (n) m->cols = 1;
      else m->rows = 1;
  }
  if (*given) gs_buf_printf(b, " %s: f32[%d,%d]", given, m->rows, m->cols);
  gs_buf_char(b, '\n');
}

/* Chain number `seed`. */
static char *chain(gs_arena *a, uint64_t seed) {
  maker m = {.state = gs_hash(&seed, sizeof seed, 1)};
  gs_buf_init(&m.text, a);
  bool two = draw(&m, 4) == 0;
  /* As many nodes as can be tried in all ways. */
  int n = two ? 1 + draw(&m, 3) : 2 + draw(&m, MAX_NODES - 1);
  m.rows = size_of(&m);
  m.cols = size_of(&m);
  gs_buf_printf(&m.text, "mesh {%s}\n",
                two ? "a=2, b=2" : draw(&m, 2) ? "a=2" : "a=3");
  gs_buf_printf(&m.text, "input v0 %s: f32[%d,%d]\n", sharding(&m, two), m.rows,
                m.cols);
  for (int k = 1; k <= n; k++)
    add_node(&m, k, k == n || draw(&m, 3) == 0 ? sharding(&m, two) : "");
  gs_buf_printf(&m.text, "output v%d\n", n);
  return m.text.at;
}

/* ---- all ways ---- */

/* The ways to assign axes to the factors of one node, and which is tried. */
typedef struct ways {
  int n, at;
  gs_assignment as[MAX_WAYS];
} ways;

typedef struct trial {
  const gs_mesh *m;
  int nnode;
  ways node[MAX_NODES];
} trial;

static void add_way(const gs_mesh *m, const gs_rule *r, ways *w,
                    gs_assignment as) {
  gs_assignment_legalise(m, r, &as);
  for (int i = 0; i < w->n; i++) {
    bool same = true;
    for (int f = 0; f < r->nfactor; f++)
      same = same && gs_axes_equal(&w->as[i].axis[f], &as.axis[f]);
    if (same) return;
  }
  ck_assert_int_lt(w->n, MAX_WAYS);
  w->as[w->n++] = as;
}

/* Every axis of [axis, nsub) that is in `known` splits one of the factors or
 * none. */
static void find_ways(const gs_mesh *m, const gs_rule *r, gs_subset known,
                      int axis, gs_assignment as, ways *w) {
  if (axis == m->nsub) {
    add_way(m, r, w, as);
    return;
  }
  find_ways(m, r, known, axis + 1, as, w);
  if (!(known >> axis & 1)) return;
  for (int f = 0; f < r->nfactor; f++) {
    if (gs_factor_whole(r->factor[f].kind)) continue;
    gs_assignment more = as;
    gs_axes one = {1, {(uint8_t)axis}};
    more.axis[f] = gs_axes_cat(&more.axis[f], &one);
    find_ways(m, r, known, axis + 1, more, w);
  }
}

/* The axes that split operands and results of n: no node splits along others
 * of its own accord. */
static gs_subset axes_of(const gs_node *n) {
  gs_subset known = 0;
  for (int i = 0; i < n->nin; i++)
    known |= gs_sharding_used(n->in[i]->sharding);
  for (int i = 0; i < n->nout; i++)
    known |= gs_sharding_used(n->out[i]->sharding);
  return known;
}

static bool force(void *user, const gs_node *n, const gs_rule *r,
                  gs_assignment *as) {
  trial *t = user;
  ways *w = &t->node[n->id];
  if (!w->n)
    find_ways(t->m, r, axes_of(n), 0, (gs_assignment){0}, w);
  *as = w->as[w->at];
  return true;
}

/* The next way of all nodes; false when there is none. */
static bool step(trial *t) {
  for (int i = t->nnode - 1; i >= 0; i--) {
    if (++t->node[i].at < t->node[i].n) return true;
    t->node[i].at = 0;
  }
  return false;
}

/* Seconds of a program: INFINITY where it cannot be made so. */
static double price_of(const gs_graph *g, const gs_partition_options *o) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_partition made;
  gs_status s = gs_pass_partition_with(&a, g, o, &made, &e);
  double seconds = s ? INFINITY : made.seconds;
  gs_err_free(&e);
  gs_arena_free(&a);
  return seconds;
}

static double best_of_all(const gs_graph *g) {
  trial *t = calloc(1, sizeof *t);
  t->m = g->mesh;
  t->nnode = g->node.n;
  gs_partition_options o = {.force = force, .user = t, .as_split = true};
  double best = INFINITY;
  do best = fmin(best, price_of(g, &o));
  while (step(t));
  free(t);
  return best;
}

static gs_graph *load(gs_arena *a, const char *text) {
  gs_graph *g;
  gs_err e;
  gs_err_init(&e);
  gs_status s = graph_read(a, text, "chain", &g, &e);
  gs_propagate_input none = {0};
  gs_propagation done;
  if (!s) s = gs_pass_infer(a, g, NULL, &e);
  if (!s) s = gs_pass_propagate(a, g, &none, &done, &e);
  ck_assert_msg(!s, "%s: %s", e.n ? e.diag[0].text : "", text);
  gs_err_free(&e);
  return g;
}

static void try_links(const gs_graph *g, int seed, const char *text, bool say) {
  gs_partition_options none = {0};
  double chosen = price_of(g, &none);
  double best = best_of_all(g);
  if (say) printf("%.6g s chosen, %.6g s possible\n", chosen, best);
  ck_assert_msg(chosen <= 1.02 * best,
                "chain %d: %.6g s chosen, %.6g s possible (%.3f):\n%s", seed,
                chosen, best, chosen / best, text);
}

static void try_chain(int seed, bool say) {
  gs_arena a;
  gs_arena_init(&a);
  char *text = chain(&a, (uint64_t)seed);
  gs_graph *g = load(&a, text);
  if (say) printf("%s", text);
  try_links(g, seed, text, say);
  gs_mesh *m = gs_memdup(&a, g->mesh, sizeof *g->mesh);
  for (int i = 0; i < m->naxis; i++) m->axis[i].gbps = slow;
  g->mesh = m;
  try_links(g, seed, text, say);
  gs_arena_free(&a);
}

START_TEST(chains) {
  const char *one = getenv("GSHARD_CHOICE");
  if (!one) try_chain(_i, false);
  else if (_i == 0) try_chain(atoi(one), true);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("choice");
  tcase_set_timeout(t, 1200);
  tcase_add_loop_test(t, chains, 0, CHAINS);
  return suite_run("choice", t);
}
