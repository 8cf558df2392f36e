/* ONNX's backend tests: every case must give the expected outputs at ONNX's
 * tolerance.
 *
 *   test_conformance [--sharded] [CASE]...
 *   test_conformance --ramp FILE.pb DIM...   writes the input of light models
 *
 * Cases are the folders GROUP/CASE of $ONNX_TEST_DATA (else where Debian's
 * libonnx-testdata puts them), and those of tests/data/cases: model.onnx and
 * test_data_set_N with input_K.pb and output_K.pb.  A case that fails must
 * stand in conformance/expected-failures.txt with the reason, and one that
 * stands there must fail, unless the line starts with "?" (then it fails with
 * the data of some releases only).  --sharded also splits every dim of every
 * input and output over two, three and four devices, and expects the same
 * outputs; it lists the operators that ran whole although an operand was
 * split.  Those that must, for they need all of a dim, stand with the reason in
 * conformance/runs-whole.txt: others fail.  Each case runs in a process of its
 * own. */
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/compare.h"
#include "exec/run/run.h"
#include "io/onnx/model.h"
#include "pass/prepare/infer.h"
#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"
#include "pass/prepare/upgrade.h"

static const char default_root[] = "/usr/include/onnx/backend/test/data";
static const char *const groups[] = {"node", "simple", "pytorch-operator",
                                     "pytorch-converted", "microsoft"};

/* With links so slow that bytes decide, and no latency, what can be split is:
 * what runs whole there has to. */
static const struct links {
  const char *mesh;
  double gbps; /* 0: the links of the machine */
} links[] = {{"{p=2}", 0}, {"{p=2}", 1e-6}, {"{p=3}", 1e-6}, {"{p=4}", 1e-6}};

enum { NGROUP = 5, NMESH = 4, MAX_CASES = 4000, MAX_WHOLE = 60,
       MAX_WHOLES = 1000 };
enum { SECONDS = 1200 }; /* only for what hangs */

typedef enum outcome { PASSED, FAILED, CRASHED } outcome;

/* An operator that ran whole although an operand was split. */
typedef struct gathered {
  char op[64], why[100]; /* of the first time */
  int operand, times;
  gs_kept kept;
} gathered;

/* What a case's process tells its parent; in shared memory. */
typedef struct verdict {
  outcome outcome;
  int sharded; /* programs that ran */
  int nwhole;
  gathered whole[MAX_WHOLE];
  char why[2000];
} verdict;

typedef struct bench_case {
  gs_arena *a;
  const char *dir; /* with model.onnx */
  const char *set; /* with input_K.pb */
  verdict *v;
} bench_case;

typedef struct run_state { /* one loaded model with its data */
  gs_graph *g;
  gs_dyn **in;
  gs_kind *kind; /* [outputs] as the model declares */
} run_state;

static bool exists(const char *path) { return access(path, R_OK) == 0; }

/* ---- loading ---- */

static gs_status bind(bench_case *c, run_state *r, gs_bindings *b,
                      gs_err *e) {
  for (int i = 0; i < r->g->input.n; i++) {
    const gs_value *v = r->g->input.at[i];
    const gs_tensor *t = &r->in[i]->t;
    if (v->kind != GS_TENSOR) continue;
    for (int d = 0; d < v->rank && v->rank == t->rank; d++)
      if (v->dims[d] < 0) {
        const char *name = v->dim_names ? v->dim_names[d] : NULL;
        if (!name || !*name) name = gs_sprintf(c->a, "%s:%d", v->name, d);
        GS_TRY(gs_bindings_put(b, name, t->dims[d], e));
      }
  }
  return GS_OK;
}

/* NumPy has no bfloat16: such data is stored as the integers of its bits. */
static void restore_type(gs_tensor *t, gs_dtype type) {
  if (t->dtype == GS_UINT16 && type == GS_BFLOAT16) t->dtype = type;
}

static gs_status read_inputs(bench_case *c, run_state *r, gs_err *e) {
  r->in = GS_NEWS(c->a, r->g->input.n + 1, gs_dyn *);
  for (int i = 0; i < r->g->input.n; i++) {
    const gs_value *v = r->g->input.at[i];
    const char *path = gs_sprintf(c->a, "%s/input_%d.pb", c->set, i);
    GS_TRY(gs_pb_read_dyn(c->a, path, v->kind, &r->in[i], e));
    restore_type(&r->in[i]->t, v->dtype);
  }
  return GS_OK;
}

static gs_status load(bench_case *c, run_state *r, gs_err *e) {
  gs_model *m;
  gs_bindings b;
  gs_bindings_init(&b, c->a);
  GS_TRY(gs_model_read(c->a, gs_sprintf(c->a, "%s/model.onnx", c->dir), NULL,
                       &m, e));
  GS_TRY(gs_model_import(m, &r->g, e));
  r->kind = GS_NEWS(c->a, r->g->output.n + 1, gs_kind);
  for (int i = 0; i < r->g->output.n; i++)
    r->kind[i] = r->g->output.at[i]->kind;
  GS_TRY(gs_pass_upgrade(r->g, e));
  GS_TRY(read_inputs(c, r, e));
  GS_TRY(bind(c, r, &b, e));
  return gs_pass_infer(c->a, r->g, &b, e);
}

/* ---- running ---- */

static gs_status execute(bench_case *c, const gs_graph *g, int64_t devices,
                         const run_state *r, gs_dyn **out, gs_err *e) {
  gs_exec_config config = {
      .graph = &g, .ngraph = 1, .ndevice = devices, .threads = 1,
      .verify = true};
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, e);
  for (int i = 0; i < g->input.n && !s; i++)
    s = gs_exec_give(x, g->input.at[i]->name, r->in[i], e);
  if (!s) s = gs_exec_run(x, e);
  for (int i = 0; i < g->output.n && !s; i++)
    s = gs_exec_result(x, c->a, i, &out[i], e);
  gs_exec_free(x);
  return s;
}

/* ONNX's own tolerance, looser for 16-bit floats. */
static gs_tolerance tolerance_of(gs_dtype t) {
  if (t == GS_FLOAT16) return (gs_tolerance){.rtol = 1e-2, .atol = 1e-3};
  if (t == GS_BFLOAT16) return (gs_tolerance){.rtol = 2e-2, .atol = 1e-2};
  return (gs_tolerance){.rtol = 1e-3, .atol = 1e-7};
}

static gs_status compare(bench_case *c, const run_state *r, gs_dyn **got,
                         gs_err *e) {
  for (int i = 0; i < r->g->output.n; i++) {
    const char *path = gs_sprintf(c->a, "%s/output_%d.pb", c->set, i);
    gs_dyn *want;
    GS_TRY(gs_pb_read_dyn(c->a, path, r->kind[i], &want, e));
    restore_type(&want->t, got[i]->t.dtype);
    gs_tolerance tol = tolerance_of(want->t.dtype);
    gs_comparison q;
    const gs_tensor *worst;
    GS_TRY(gs_compare_dyn(got[i], want, &tol, &q, &worst, e));
    if (q.equal) continue;
    gs_buf b;
    gs_buf_init(&b, c->a);
    gs_comparison_print(&b, worst, &q);
    return gs_fail(e, GS_NO, r->g->output.at[i]->name, "%s", b.at);
  }
  return GS_OK;
}

static gs_status run_whole(bench_case *c, run_state *r, gs_err *e) {
  GS_TRY(load(c, r, e));
  gs_dyn **got = GS_NEWS(c->a, r->g->output.n + 1, gs_dyn *);
  GS_TRY(execute(c, r->g, 1, r, got, e));
  return compare(c, r, got, e);
}

static bool same_whole(const gathered *a, const gathered *b) {
  return a->operand == b->operand && a->kept == b->kept &&
         !strcmp(a->op, b->op);
}

/* Adds x to all[*n], of which there may be `most`. */
static void add_whole(gathered *all, int *n, int most, const gathered *x) {
  int k = 0;
  while (k < *n && !same_whole(&all[k], x)) k++;
  if (k == most) return;
  if (k < *n) all[k].times += x->times;
  else all[(*n)++] = *x;
}

/* Dims of one element are nothing to split. */
static bool is_one(const gs_fallback *f) {
  const gs_value *v = f->value;
  for (int d = 0; v && d < v->rank; d++)
    if (v->sharding->dim[d].axes.n && v->dims[d] != 1) return false;
  return v != NULL;
}

static void note_whole(bench_case *c, const gs_partition *made) {
  for (int i = 0; i < made->fallback.n; i++) {
    const gs_fallback *f = &made->fallback.at[i];
    gathered x = {.operand = f->operand, .times = 1, .kept = f->kept};
    if (!f->whole || is_one(f)) continue;
    snprintf(x.op, sizeof x.op, "%s", f->node->op_type);
    snprintf(x.why, sizeof x.why, "%s", f->reason);
    add_whole(c->v->whole, &c->v->nwhole, MAX_WHOLE, &x);
  }
}

/* With dim d of input i, or else of output i, split over all devices. */
static gs_status run_split(bench_case *c, const struct links *on, bool input,
                           int i, int d, gs_err *e) {
  run_state r;
  gs_mesh m;
  GS_TRY(load(c, &r, e));
  GS_TRY(gs_mesh_parse(on->mesh, c->a, &m, e));
  m.axis[0].gbps = on->gbps;
  r.g->mesh = &m;
  gs_value *v = input ? r.g->input.at[i] : r.g->output.at[i];
  v->sharding = gs_sharding_new(c->a, v->rank, true);
  v->sharding->dim[d].axes = gs_axes_named(&m, 0);
  gs_propagate_input none = {0};
  gs_propagation done;
  gs_partition made;
  GS_TRY(gs_pass_propagate(c->a, r.g, &none, &done, e));
  GS_TRY(gs_pass_partition(c->a, r.g, &made, e));
  if (on->gbps > 0) note_whole(c, &made);
  gs_dyn **got = GS_NEWS(c->a, r.g->output.n + 1, gs_dyn *);
  GS_TRY(execute(c, made.program, m.ndevice, &r, got, e));
  return compare(c, &r, got, e);
}

__attribute__((format(printf, 3, 4)))
static void note(verdict *v, const gs_err *e, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(v->why, sizeof v->why, fmt, ap);
  va_end(ap);
  const gs_diag *d = e && e->n ? &e->diag[e->n - 1] : NULL;
  if (d && n >= 0 && (size_t)n < sizeof v->why)
    snprintf(v->why + n, sizeof v->why - (size_t)n, "%s%s%s",
             d->place ? d->place : "", d->place ? ": " : "", d->text);
  v->outcome = FAILED;
}

/* All dims of one value; false at the first that is not as it must be. */
static bool split_value(bench_case *c, const gs_value *v, bool input, int i,
                        const struct links *on) {
  for (int d = 0; !gs_value_dynamic(v) && d < v->rank; d++) {
    gs_arena a;
    gs_err e;
    gs_arena_init(&a);
    gs_err_init(&e);
    bench_case mine = *c;
    mine.a = &a;
    if (run_split(&mine, on, input, i, d, &e)) {
      note(c->v, &e, "mesh %s%s, dim %d of %s %d: ", on->mesh,
           on->gbps > 0 ? " with slow links" : "", d,
           input ? "input" : "output", i);
      return false;
    }
    c->v->sharded++;
    gs_err_free(&e);
    gs_arena_free(&a);
  }
  return true;
}

static void try_splits(bench_case *c, const run_state *whole) {
  for (int k = 0; k < NMESH; k++) {
    for (int i = 0; i < whole->g->input.n; i++)
      if (!split_value(c, whole->g->input.at[i], true, i, &links[k])) return;
    for (int i = 0; i < whole->g->output.n; i++)
      if (!split_value(c, whole->g->output.at[i], false, i, &links[k])) return;
  }
}

/* All data sets of one case; in its own process. */
static void run_case(const char *dir, bool sharded, verdict *v) {
  v->outcome = FAILED;
  for (int set = 0;; set++) {
    gs_arena a;
    gs_err e;
    gs_arena_init(&a);
    gs_err_init(&e);
    bench_case c = {.a = &a, .dir = dir, .v = v};
    c.set = gs_sprintf(&a, "%s/test_data_set_%d", dir, set);
    if (!exists(c.set)) {
      if (!set) note(v, NULL, "no test data");
      gs_arena_free(&a);
      return;
    }
    run_state r;
    gs_status s = run_whole(&c, &r, &e);
    if (s) note(v, &e, "%s", "");
    else v->outcome = PASSED;
    if (v->outcome == PASSED && sharded) try_splits(&c, &r);
    gs_err_free(&e);
    gs_arena_free(&a);
    if (v->outcome != PASSED) return;
  }
}

static void run_apart(const char *dir, bool sharded, verdict *v) {
  memset(v, 0, sizeof *v);
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) abort();
  if (!child) {
    alarm(SECONDS);
    run_case(dir, sharded, v);
    fflush(NULL);
    _exit(0);
  }
  int status;
  while (waitpid(child, &status, 0) < 0) continue;
  if (!status) return;
  note(v, NULL, "its process ended by signal %d, with code %d",
       WIFSIGNALED(status) ? WTERMSIG(status) : 0,
       WIFEXITED(status) ? WEXITSTATUS(status) : 0);
  v->outcome = CRASHED;
}

/* ---- the list of cases that cannot run ---- */

typedef struct skip_list {
  char *text;
  char *name[MAX_CASES];
  bool maybe[MAX_CASES]; /* '?': passes with another release */
  int n;
} skip_list;

static FILE *open_list(const char *name) {
  const char *srcdir = getenv("srcdir");
  char path[1000];
  snprintf(path, sizeof path, "%s/tests/conformance/%s", srcdir ? srcdir : ".",
           name);
  return fopen(path, "r");
}

/* Lines "CASE reason" or "?CASE reason"; '#' starts a comment. */
static void read_skipped(skip_list *s) {
  FILE *f = open_list("expected-failures.txt");
  char line[1000];
  while (f && fgets(line, sizeof line, f)) {
    size_t n = strcspn(line, " \n");
    if (!n || *line == '#') continue;
    if (line[n] != ' ' || s->n == MAX_CASES) {
      fprintf(stderr, "expected-failures.txt: no reason: %s", line);
      exit(1);
    }
    s->maybe[s->n] = *line == '?';
    s->name[s->n] = strdup(line + (*line == '?'));
    s->name[s->n++][n - (*line == '?')] = 0;
  }
  if (f) fclose(f);
}

/* Whether the case must fail, or did where it may. */
static bool is_skipped(const skip_list *s, const char *name,
                       const verdict *v) {
  for (int i = 0; i < s->n; i++)
    if (!strcmp(s->name[i], name))
      return !s->maybe[i] || v->outcome == FAILED;
  return false;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names GROUP/CASE of folders that have a model. */
static int list_cases(const char *root, char **name) {
  int n = 0;
  for (int g = 0; g < NGROUP; g++) {
    char path[3000];
    snprintf(path, sizeof path, "%s/%s", root, groups[g]);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir)) && n < MAX_CASES;) {
      char one[600];
      snprintf(one, sizeof one, "%s/%.500s", groups[g], d->d_name);
      snprintf(path, sizeof path, "%.2000s/%s/model.onnx", root, one);
      if (exists(path)) name[n++] = strdup(one);
    }
    if (dir) closedir(dir);
  }
  qsort(name, (size_t)n, sizeof *name, by_name);
  return n;
}

/* True when the case is as it should be. */
static bool judge(const char *name, const verdict *v, bool listed) {
  if (listed && v->outcome == FAILED) return true;
  if (v->outcome == FAILED || v->outcome == CRASHED)
    fprintf(stderr, "%s: %s\n", name, v->why);
  else if (listed)
    fprintf(stderr, "%s: stands in expected-failures.txt, but passes\n",
            name);
  else return true;
  return false;
}

static bool wanted(char **wants, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strstr(name, wants[i])) return true;
  return !n;
}

/* The input of ONNX's light models: element i of n is i/n. */
static int write_ramp(const char *path, int rank, char **dim) {
  gs_arena a;
  gs_err e;
  gs_arena_init(&a);
  gs_err_init(&e);
  int64_t dims[GS_MAX_RANK];
  for (int i = 0; i < rank && i < GS_MAX_RANK; i++)
    dims[i] = strtoll(dim[i], NULL, 10);
  gs_tensor *t;
  gs_status s = gs_tensor_new(&a, GS_FLOAT, rank, dims, &t, &e);
  if (!s) {
    int64_t n = gs_tensor_count(t);
    float *p = (float *)(uintptr_t)t->data;
    for (int64_t i = 0; i < n; i++) p[i] = (float)((double)i / (double)n);
    s = gs_pb_write(path, t, &e);
  }
  if (s) gs_err_print(&e, stderr, "test_conformance", false);
  gs_err_free(&e);
  gs_arena_free(&a);
  return (int)s;
}

typedef struct tally {
  int cases, passed, failed, listed, programs, nwhole;
  gathered whole[MAX_WHOLES];
} tally;

static void run_root(const char *root, bool sharded, char **wants, int nwant,
                     const skip_list *skip, verdict *v, tally *t) {
  static char *name[MAX_CASES];
  int n = list_cases(root, name);
  for (int i = 0; i < n; i++) {
    char dir[3000];
    snprintf(dir, sizeof dir, "%s/%s", root, name[i]);
    if (wanted(wants, nwant, name[i])) {
      run_apart(dir, sharded, v);
      bool known = is_skipped(skip, name[i], v);
      t->cases++;
      t->programs += v->sharded;
      for (int k = 0; k < v->nwhole; k++)
        add_whole(t->whole, &t->nwhole, MAX_WHOLES, &v->whole[k]);
      if (!judge(name[i], v, known)) t->failed++;
      else if (known) t->listed++;
      else t->passed++;
    }
    free(name[i]);
  }
}

/* ---- the list of operators that run whole ---- */

typedef struct argument { /* for operand `operand` of op, or -1: any */
  char op[64], why[400];
  int operand;
} argument;

typedef struct arguments {
  argument at[200];
  int n;
} arguments;

/* Lines "OPERATOR OPERAND REASON", or with "*" for any operand. */
static void read_arguments(arguments *all) {
  FILE *f = open_list("runs-whole.txt");
  char line[600], operand[8];
  while (f && fgets(line, sizeof line, f)) {
    argument *x = &all->at[all->n];
    if (*line == '#' || *line == '\n') continue;
    if (all->n == 200 || sscanf(line, "%63s %7s %399[^\n]", x->op, operand,
                                x->why) != 3) {
      fprintf(stderr, "runs-whole.txt: no reason: %s", line);
      exit(1);
    }
    x->operand = *operand == '*' ? -1 : atoi(operand);
    all->n++;
  }
  if (f) fclose(f);
}

static const char *argued(const arguments *all, const gathered *x) {
  for (int i = 0; i < all->n; i++) {
    const argument *a = &all->at[i];
    if (!strcmp(a->op, x->op) && (a->operand < 0 || a->operand == x->operand))
      return a->why;
  }
  return NULL;
}

static int by_kept(const void *a, const void *b) {
  const gathered *x = a, *y = b;
  if (x->kept != y->kept) return (x->kept > y->kept) - (x->kept < y->kept);
  return x->times == y->times ? strcmp(x->op, y->op)
                              : (x->times < y->times) - (x->times > y->times);
}

static void print_whole(tally *t) {
  static arguments all;
  static const char *const heads[] = {
      [GS_KEPT_RUN] = "nodes that always run whole",
      [GS_KEPT_ALL] = "operators that need all of a dim",
      [GS_KEPT_SIZES] = "dims that have no blocks that would do",
      [GS_KEPT_PRICE] = "what could be split, which takes longer",
  };
  read_arguments(&all);
  qsort(t->whole, (size_t)t->nwhole, sizeof *t->whole, by_kept);
  for (int i = 0; i < t->nwhole; i++) {
    const gathered *x = &t->whole[i];
    bool open = x->kept == GS_KEPT_RUN || x->kept == GS_KEPT_PRICE;
    const char *why = open ? x->why : argued(&all, x);
    if (!i || x->kept != x[-1].kept) printf("%s\n", heads[x->kept]);
    printf("  %5d %s, operand %d: %s\n", x->times, x->op, x->operand,
           why ? why : x->why);
    if (why) continue;
    fprintf(stderr, "%s ran whole, and is not in runs-whole.txt: %s\n", x->op,
            x->why);
    t->failed++;
  }
}

static void print(tally *t, bool sharded) {
  printf("%d cases, %d of them fail as expected-failures.txt says\n", t->cases,
         t->listed);
  if (sharded) {
    printf("%d sharded programs gave the outputs of the whole\n", t->programs);
    print_whole(t);
  }
  printf("%d passed, %d failed\n", t->passed, t->failed);
}

int main(int argc, char **argv) {
  if (argc > 3 && !strcmp(argv[1], "--ramp"))
    return write_ramp(argv[2], argc - 3, argv + 3);
  bool sharded = argc > 1 && !strcmp(argv[1], "--sharded");
  const char *root = getenv("ONNX_TEST_DATA"), *srcdir = getenv("srcdir");
  if (!root || !*root) root = default_root;
  static skip_list skip;
  static tally t;
  read_skipped(&skip);
  verdict *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (v == MAP_FAILED) return 1;
  char **wants = argv + 1 + sharded, ours[3000];
  int nwant = argc - 1 - sharded;
  snprintf(ours, sizeof ours, "%s/tests/data/cases", srcdir ? srcdir : ".");
  run_root(root, sharded, wants, nwant, &skip, v, &t);
  if (!t.cases && !nwant) {
    printf("no test data in %s\n", root);
    return 77;
  }
  if (strcmp(root, ours)) run_root(ours, sharded, wants, nwant, &skip, v, &t);
  print(&t, sharded);
  return t.failed ? 1 : 0;
}
