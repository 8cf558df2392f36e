/* Random graphs with random shardings: the program for all devices and the
 * graphs of the single devices must give what the whole graph gives.
 *
 * GSHARD_RANDOM_SEEDS=N runs N seeds of each family of graphs (else 100, and
 * 300 with GSHARD_SWEEP=full), from GSHARD_RANDOM_FIRST on;
 * GSHARD_RANDOM_FAMILY=any, windows, partial, lookups or stats those of one.
 * A case that fails is made smaller as long as it fails and then printed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/hash.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "kernel/core/convert.h"
#include "pass/prepare/infer.h"
#include "pass/prepare/upgrade.h"
#include "pass/partition/partition.h"
#include "pass/propagate/project.h"
#include "pass/propagate/propagate.h"
#include "pass/specialise.h"
#include "graphs.h"
#include "random_graph.h"
#include "suite.h"

enum { CASES_PER_TEST = 10, DEFAULT_SEEDS = 300, MAX_LINES = 400,
       FUNCTIONS_SINCE = 13 }; /* the opset of ai.onnx's without a row */

static const char *const families[RANDOM_NFAMILY] = {"any", "windows",
                                                     "partial", "lookups",
                                                     "stats"};

typedef enum outcome {
  CANNOT, /* the graph does not run whole */
  SAME,
  WRONG
} outcome;

/* How what is split compares with what is whole (find_inexact). */
typedef enum closeness { EXACT, CLOSE, OPEN } closeness;

typedef struct run {
  gs_arena *a;
  const char *text;
  gs_graph *g;
  const gs_tensor **in;
  gs_tensor **want;
  closeness *closeness; /* [outputs] */
  gs_buf *why;
  gs_err e;
} run;

/* ---- data ---- */

/* Whether the text has the line "# WHAT NAME". */
static bool says(const run *r, const char *what, const char *name) {
  char line[100];
  snprintf(line, sizeof line, "# %s %s\n", what, name);
  return strstr(r->text, line) != NULL;
}

/* NaN, infinities and zeros of both signs among the numbers, and rows of which
 * all is -infinity; or only those. */
static void put_special(gs_tensor *t, bool lowest) {
  static const double odd[] = {NAN, INFINITY, -INFINITY, -INFINITY, -0.0, 0};
  uint64_t state = gs_hash(t->name, strlen(t->name), 1);
  int size = gs_dtype_get((int)t->dtype)->bits / 8;
  int64_t row = t->rank ? t->dims[t->rank - 1] : 1;
  bool rows = state >> 20 & 1, least = false;
  for (int64_t i = 0, n = gs_tensor_count(t); i < n; i++) {
    state = gs_hash(&i, sizeof i, state);
    if (i % row == 0) least = rows && state % 3 == 0;
    if (!least && state % 16 >= (lowest ? 8 : 3)) continue;
    double d = least || lowest ? -INFINITY : odd[state / 16 % 6];
    gs_convert(t->dtype, (char *)(uintptr_t)t->data + i * size, GS_DOUBLE, &d,
               1, NULL);
  }
}

static gs_status numbers(run *r, const gs_value *v, gs_tensor **out) {
  gs_random how = {.seed = 7, .integers = true};
  char key[100];
  snprintf(key, sizeof key, "# range %s ", v->name);
  const char *at = strstr(r->text, key);
  char cls = gs_dtype_get((int)v->dtype)->cls;
  how.ranged = at || cls == 'i' || cls == 'u';
  how.low = cls == 'u' ? 0 : -3;
  how.high = 4;
  if (at) {
    char *end;
    how.low = strtoll(at + strlen(key), &end, 10);
    how.high = strtoll(end, NULL, 10);
  }
  GS_TRY(gs_random_tensor(r->a, v->name, v->dtype, v->rank, v->dims, &how, out,
                          &r->e));
  bool lowest = says(r, "lowest", v->name);
  if (lowest || says(r, "special", v->name)) put_special(*out, lowest);
  return GS_OK;
}

/* Reads the text, fills the constants that it names by shape alone. */
static gs_status load(run *r, gs_graph **out) {
  gs_graph *g;
  GS_TRY(gs_graph_parse(r->a, r->text, "case", &g, &r->e));
  bool expand = false;
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    n->opset = n->op ? n->op->since : *n->domain ? 1 : FUNCTIONS_SINCE;
    expand = expand || !n->op;
  }
  if (expand) GS_TRY(gs_pass_upgrade(g, &r->e));
  if (g->mesh && strstr(r->text, "# slow links")) {
    gs_mesh *slow = gs_memdup(r->a, g->mesh, sizeof *slow);
    for (int i = 0; i < slow->naxis; i++) slow->axis[i].gbps = 1e-6;
    g->mesh = slow;
  }
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (!v->constant || v->constant->data || v->def) continue;
    gs_tensor *t;
    GS_TRY(numbers(r, v, &t));
    v->constant = t;
  }
  *out = g;
  return gs_pass_infer(r->a, g, NULL, &r->e);
}

/* Of the program and the graphs of single devices, one waits late. */
static gs_status execute(run *r, const gs_graph *const *g, int ngraph,
                         int64_t devices, gs_tensor **out, uint64_t *sent) {
  bool late = (strlen(r->text) + (size_t)(ngraph > 1)) % 2;
  gs_exec_config config = {.graph = g, .ngraph = ngraph, .ndevice = devices,
                           .threads = 1, .timeout = 1200, .verify = true,
                           .schedule = late ? GS_WAIT_LATE : GS_WAIT_NEXT};
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, &r->e);
  for (int i = 0; i < r->g->input.n && !s; i++)
    s = gs_exec_input(x, r->g->input.at[i]->name, r->in[i], &r->e);
  if (!s) s = gs_exec_run(x, &r->e);
  if (!s) *sent = gs_exec_sent(x);
  if (!s) s = graph_take_outputs(r->a, r->g, x, out, &r->e);
  gs_exec_free(x);
  return s;
}

static gs_status run_whole(run *r) {
  GS_TRY(load(r, &r->g));
  if (!r->g->output.n || !r->g->mesh) return GS_DATA;
  r->in = GS_NEWS(r->a, r->g->input.n + 1, const gs_tensor *);
  r->want = GS_NEWS(r->a, r->g->output.n + 1, gs_tensor *);
  for (int i = 0; i < r->g->input.n; i++) {
    gs_tensor *t;
    GS_TRY(numbers(r, r->g->input.at[i], &t));
    r->in[i] = t;
  }
  const gs_graph *g = r->g;
  uint64_t sent;
  r->g->mesh = NULL;
  return execute(r, &g, 1, 1, r->want, &sent);
}

/* ---- verdicts ---- */

static outcome wrong(run *r, const char *what, const gs_graph *program) {
  gs_buf_printf(r->why, "%s\n", what);
  for (int i = 0; i < r->e.n; i++)
    gs_buf_printf(r->why, "%s: %s\n",
                  r->e.diag[i].place ? r->e.diag[i].place : "",
                  r->e.diag[i].text);
  if (program) gs_graph_print(r->why, program);
  return WRONG;
}

/* A run sends what was predicted. */
static outcome check_sent(run *r, const gs_partition *made, uint64_t sent,
                          const char *what) {
  double bytes = 0;
  for (int i = 0; i < made->collective.n; i++)
    bytes += made->collective.at[i].bytes;
  if (bytes >= (double)sent && bytes <= (double)sent) return SAME;
  gs_buf_printf(r->why, "%.0f bytes predicted, %llu sent\n", bytes,
                (unsigned long long)sent);
  return wrong(r, what, made->program);
}

/* Whether a factor of n that stands for statistics is split. */
static bool splits_stats(run *r, const gs_node *n) {
  gs_rule *rule = GS_NEW(r->a, gs_rule);
  if (gs_rule_of(r->a, n, rule, NULL)) return false;
  for (int s = 0; s < rule->nin + rule->nout; s++) {
    gs_slot slot = gs_slot_at(n, rule, s);
    for (int d = 0; slot.value && d < slot.map->rank; d++)
      for (int k = 0; k < slot.map->dim[d].n; k++)
        if (rule->factor[slot.map->dim[d].f[k]].kind == GS_STATS &&
            slot.value->sharding->dim[d].axes.n)
          return true;
  }
  return false;
}

/* Sums over statistics of several devices are not exact on integers as all
 * else is: what is made of them is close where it is only moved, and not
 * comparable after any other operator (cancellation, ties, signs). */
static void find_inexact(run *r, const gs_graph *g) {
  closeness *of = GS_NEWS(r->a, g->value.n + 1, closeness);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    bool moves = n->op && (n->op->flags & (GS_OP_MOVES | GS_OP_EARLY));
    closeness c = splits_stats(r, n) ? CLOSE : EXACT;
    for (int k = 0; k < n->nin; k++)
      if (n->in[k] && of[n->in[k]->id] != EXACT)
        c = moves && c != OPEN ? of[n->in[k]->id] : OPEN;
    for (int k = 0; k < n->nout; k++)
      if (n->out[k])
        of[n->out[k]->id] = says(r, "close", n->out[k]->name) ? CLOSE : c;
  }
  r->closeness = GS_NEWS(r->a, g->output.n + 1, closeness);
  for (int i = 0; i < g->output.n; i++)
    r->closeness[i] = of[g->output.at[i]->id];
}

static outcome compare(run *r, gs_tensor **got, const char *what,
                       const gs_graph *program) {
  for (int i = 0; i < r->g->output.n; i++) {
    gs_comparison c;
    gs_tolerance t = {0};
    if (r->closeness[i] == OPEN) continue;
    if (r->closeness[i] == CLOSE) t = gs_tolerance_of(r->want[i]->dtype);
    if (gs_compare(got[i], r->want[i], &t, &c, &r->e))
      return wrong(r, what, program);
    if (c.equal) continue;
    gs_buf_printf(r->why, "output '%s': ", r->g->output.at[i]->name);
    gs_comparison_print(r->why, r->want[i], &c);
    gs_buf_char(r->why, '\n');
    return wrong(r, what, program);
  }
  return SAME;
}

/* ---- device graphs ---- */

/* This device's block of a weight; zeros past its end. */
static void fill_block(const gs_mesh *m, const gs_block_use *u, int64_t p,
                       gs_tensor *t) {
  const gs_tensor *w = u->weight->constant;
  int bits = gs_dtype_get((int)t->dtype)->bits;
  size_t size = (size_t)bits / 8;
  const char *from = gs_tensor_bytes(w);
  char *to = (char *)(uintptr_t)t->data;
  int64_t n = gs_tensor_count(t);
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i, at = 0, stride = 1;
    bool inside = true;
    for (int d = t->rank - 1; d >= 0; d--) {
      int64_t first, count, k = rest % t->dims[d];
      rest /= t->dims[d];
      gs_sharding_range(m, u->split, d, w->dims[d], p, &first, &count);
      inside = inside && k < count;
      at += (first + k) * stride;
      stride *= w->dims[d];
    }
    if (inside) memcpy(to + (size_t)i * size, from + (size_t)at * size, size);
  }
}

static gs_status device_graph(run *r, const gs_device_form *f, int64_t p,
                              gs_graph **out) {
  gs_graph *g;
  GS_TRY(gs_pass_specialise(r->a, f, p, &g, &r->e));
  for (int i = 0; i < f->block.n; i++) {
    gs_value *v = gs_graph_find(g, f->block.at[i].block->name);
    if (!v || !v->constant || v->constant->data) continue;
    gs_tensor *t;
    GS_TRY(gs_tensor_new(r->a, v->dtype, v->rank, v->dims, &t, &r->e));
    t->name = v->name;
    fill_block(f->program->mesh, &f->block.at[i], p, t);
    v->constant = t;
  }
  int nin = f->input.n, n = nin + f->output.n;
  const gs_sharding **split = GS_NEWS(r->a, n + 1, const gs_sharding *);
  const int64_t **dims = GS_NEWS(r->a, n + 1, const int64_t *);
  for (int i = 0; i < n; i++) {
    const gs_border *b = i < nin ? &f->input.at[i] : &f->output.at[i - nin];
    dims[i] = b->value->dims;
    if (!gs_sharding_is_replicated(b->sharding)) split[i] = b->sharding;
  }
  *out = g;
  return gs_pass_border(g, split, dims, split + nin, dims + nin, &r->e);
}

static outcome try_devices(run *r, const gs_partition *made) {
  const char *what = "graphs of single devices";
  const gs_graph *program = made->program;
  uint64_t sent = 0;
  int64_t n = program->mesh->ndevice;
  gs_device_form f;
  gs_graph **g = GS_NEWS(r->a, n, gs_graph *);
  gs_tensor **got = GS_NEWS(r->a, r->g->output.n + 1, gs_tensor *);
  gs_status s = gs_pass_device_form(r->a, program, &f, &r->e);
  for (int64_t p = 0; p < n && !s; p++) s = device_graph(r, &f, p, &g[p]);
  if (!s) s = execute(r, (const gs_graph *const *)g, (int)n, n, got, &sent);
  if (s) return wrong(r, what, program);
  outcome o = compare(r, got, what, program);
  return o == SAME ? check_sent(r, made, sent, what) : o;
}

/* ---- a case ---- */

static outcome try_program(run *r) {
  gs_graph *g;
  gs_propagate_input none = {0};
  gs_propagation done;
  gs_partition made = {0};
  gs_tensor **got = GS_NEWS(r->a, r->g->output.n + 1, gs_tensor *);
  gs_err_clear(&r->e);
  gs_status s = load(r, &g);
  if (!s) s = gs_pass_propagate(r->a, g, &none, &done, &r->e);
  if (!s) s = gs_pass_partition(r->a, g, &made, &r->e);
  if (s) return wrong(r, "cannot be partitioned", NULL);
  find_inexact(r, g);
  const gs_graph *program = made.program;
  uint64_t sent;
  s = execute(r, &program, 1, program->mesh->ndevice, got, &sent);
  if (s) return wrong(r, "the program fails", program);
  outcome o = compare(r, got, "the program is wrong", program);
  if (o == SAME) o = check_sent(r, &made, sent, "the program");
  return o == SAME ? try_devices(r, &made) : o;
}

static outcome run_case(const char *text, gs_buf *why) {
  gs_arena a;
  gs_arena_init(&a);
  run r = {.a = &a, .text = text, .why = why};
  gs_err_init(&r.e);
  outcome o = CANNOT;
  if (!run_whole(&r)) o = try_program(&r);
  else
    for (int i = 0; i < r.e.n; i++)
      gs_buf_printf(why, "%s: %s\n", r.e.diag[i].place ? r.e.diag[i].place : "",
                    r.e.diag[i].text);
  gs_err_free(&r.e);
  gs_arena_free(&a);
  return o;
}

/* ---- making a failing case smaller ---- */

typedef struct lines {
  int n;
  char *at[MAX_LINES];
} lines;

static char *join(gs_arena *a, const lines *l) {
  gs_buf b;
  gs_buf_init(&b, a);
  for (int i = 0; i < l->n; i++)
    if (l->at[i]) gs_buf_printf(&b, "%s\n", l->at[i]);
  return b.at ? b.at : gs_strdup(a, "");
}

static bool still_wrong(gs_arena *a, const lines *l) {
  gs_buf why;
  gs_buf_init(&why, a);
  return run_case(join(a, l), &why) == WRONG;
}

/* Takes `other` (NULL: nothing) for line i if the case still fails. */
static bool replace(gs_arena *a, lines *l, int i, char *other) {
  char *old = l->at[i];
  l->at[i] = other;
  if (still_wrong(a, l)) return true;
  l->at[i] = old;
  return false;
}

/* Line without its sharding, NULL if it has none. */
static char *without_sharding(gs_arena *a, const char *line) {
  const char *from = strstr(line, " {"), *to = from;
  if (!from || !strncmp(line, "mesh", 4)) return NULL;
  to = strstr(from, " : ");
  if (!to) return NULL;
  return gs_sprintf(a, "%.*s%s", (int)(from - line), line, to);
}

/* A node's line as an input with the type of its one result. */
static char *as_input(gs_arena *a, const char *line) {
  const char *equals = strstr(line, " = "), *type = strstr(line, " : ");
  if (!equals || !type || memchr(line, ',', (size_t)(equals - line)) ||
      !strncmp(line, "constant", 8))
    return NULL;
  return gs_sprintf(a, "input %.*s%s", (int)(equals - line), line, type);
}

static char *shrink(gs_arena *a, char *text) {
  lines l = {0};
  for (char *at = strtok(gs_strdup(a, text), "\n"); at && l.n < MAX_LINES;
       at = strtok(NULL, "\n"))
    l.at[l.n++] = at;
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (int i = l.n - 1; i >= 0; i--) {
      if (!l.at[i]) continue;
      if (replace(a, &l, i, NULL)) {
        smaller = true;
        continue;
      }
      char *other = without_sharding(a, l.at[i]);
      if (other && replace(a, &l, i, other)) smaller = true;
      other = as_input(a, l.at[i]);
      if (other && replace(a, &l, i, other)) smaller = true;
    }
  }
  return join(a, &l);
}

/* ---- the test ---- */

static int from_environment(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

static int nseeds; /* of each family */
static int family_first, family_count;

START_TEST(random_graphs) {
  int tests = (nseeds + CASES_PER_TEST - 1) / CASES_PER_TEST;
  random_family family = (random_family)(family_first + _i / tests);
  int first = from_environment("GSHARD_RANDOM_FIRST", 0);
  int ran = 0;
  for (int k = 0; k < CASES_PER_TEST; k++) {
    gs_arena a;
    gs_arena_init(&a);
    gs_buf why;
    gs_buf_init(&why, &a);
    uint32_t seed = (uint32_t)(first + _i % tests * CASES_PER_TEST + k);
    char *text = random_graph_text(&a, family, seed);
    outcome o = run_case(text, &why);
    if (o == CANNOT && getenv("GSHARD_RANDOM_VERBOSE"))
      fprintf(stderr, "%s %u cannot run: %s%s\n", families[family], seed,
              why.at, text);
    if (o != CANNOT) ran++;
    if (o == WRONG) {
      char *small = shrink(&a, text);
      gs_buf_init(&why, &a);
      run_case(small, &why);
      fprintf(stderr, "%s %u:\n%s--\n%s\n", families[family], seed, small,
              why.at);
      ck_abort_msg("sharded and whole differ for %s %u", families[family],
                   seed);
    }
    gs_arena_free(&a);
  }
  ck_assert_int_ge(ran, CASES_PER_TEST / 2);
}
END_TEST

static random_family family_named(const char *name) {
  int f = 0;
  while (f < RANDOM_NFAMILY && strcmp(name, families[f])) f++;
  if (f < RANDOM_NFAMILY) return (random_family)f;
  fprintf(stderr, "no family of graphs is called '%s'\n", name);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "--print")) {
    gs_arena a;
    gs_arena_init(&a);
    printf("%s", random_graph_text(&a, family_named(argv[2]),
                                   (uint32_t)atoi(argv[3])));
    gs_arena_free(&a);
    return 0;
  }
  const char *only = getenv("GSHARD_RANDOM_FAMILY");
  family_first = only ? (int)family_named(only) : 0;
  family_count = only ? 1 : RANDOM_NFAMILY;
  nseeds = from_environment("GSHARD_RANDOM_SEEDS",
                            DEFAULT_SEEDS / suite_sample_of(6).of);
  TCase *t = tcase_create("graphs");
  tcase_add_loop_test(t, random_graphs, 0,
                      family_count *
                          ((nseeds + CASES_PER_TEST - 1) / CASES_PER_TEST));
  return suite_run("random", t);
}
