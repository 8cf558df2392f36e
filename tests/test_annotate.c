/* Golden cases of annotation (data/annotate.txt, data/annotate/): a graph, a
 * line "spec", and a specification in; all shardings, the collectives that
 * they lead to, what is computed whole, and what was chosen out.  After the
 * specification may stand lines "explain V".  Every case also goes through a
 * model file: what gshard-partition reads must come to the same. */
#include <unistd.h>

#include "cases.h"
#include "graphs.h"
#include "io/onnx/onnx_build.h"
#include "io/spec/spec_io.h"
#include "api/shard/annotate.h"
#include "pass/prepare/infer.h"
#include "pass/partition/partition.h"
#include "pass/prepare/upgrade.h"

/* Constants are given by shape; a file needs their bytes. */
static void fill(gs_arena *a, gs_graph *g) {
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (!v->constant || v->constant->data) continue;
    gs_tensor *t = gs_memdup(a, v->constant, sizeof *t);
    t->data = gs_calloc(a, (size_t)t->nbytes + 1, 1);
    v->constant = t;
  }
}

static gs_status load(gs_arena *a, const char *text, gs_graph **out,
                      gs_err *e) {
  GS_TRY(gs_graph_parse(a, text, "case", out, e));
  gs_graph *g = *out;
  fill(a, g);
  graph_set_rows(g);
  return gs_pass_infer(a, g, NULL, e);
}

static gs_status show(gs_arena *a, gs_graph *g, gs_buf *b, gs_err *e) {
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (v->rank)
      gs_buf_printf(b, "%s %s\n", v->name,
                    gs_sharding_text(a, g->mesh, v->sharding));
  }
  gs_partition made;
  GS_TRY(gs_pass_partition(a, g, &made, e));
  for (int i = 0; i < made.collective.n; i++) {
    const gs_collective *c = &made.collective.at[i];
    gs_buf_printf(b, "# %s over ", c->op);
    gs_axes_print(b, g->mesh, &c->axes);
    gs_buf_printf(b, ": %s %s -> %s\n", c->value->name, c->from, c->to);
  }
  for (int i = 0; i < made.fallback.n; i++)
    if (made.fallback.at[i].whole)
      gs_buf_printf(b, "# whole: %s\n",
                    gs_node_place(a, made.fallback.at[i].node));
  return GS_OK;
}

static gs_status make_model(gs_arena *a, const gs_graph *g, gs_model **m,
                            gs_err *e) {
  static const char *const domain[] = {"", "my.domain", "com.microsoft"};
  static const int64_t version[] = {25, 1, 1};
  gs_model_info info = {.producer_name = "test",
                        .nopset = 3,
                        .opset_domain = domain,
                        .opset_version = version};
  return gs_model_from_graph(a, g, &info, m, e);
}

/* The annotated graph written into a model made from `text`, and what comes
 * of it when it is read. */
static gs_status through_file(gs_arena *a, const char *text,
                              const gs_graph *annotated, gs_buf *b,
                              gs_err *e) {
  gs_graph *plain, *g;
  gs_model *m;
  gs_mesh *mesh;
  char path[] = "/tmp/gshard-annotate-XXXXXX";
  GS_TRY(load(a, text, &plain, e));
  GS_TRY(make_model(a, plain, &m, e));
  for (int i = 0; i < 2; i++) /* the second call replaces the first */
    GS_TRY(gs_model_annotate(m, annotated, NULL, e));
  int fd = mkstemp(path);
  must(fd >= 0, path);
  close(fd);
  gs_status s = gs_model_write(m, path, e);
  gs_model_close(m);
  if (!s) s = gs_model_read(a, path, NULL, &m, e);
  unlink(path);
  GS_TRY(s);
  s = gs_model_import(m, &g, e);
  if (!s) s = gs_pass_upgrade(g, e);
  if (!s) s = gs_pass_infer(a, g, NULL, e);
  if (!s) s = gs_model_shardings(m, g, a, NULL, &mesh, NULL, e);
  gs_propagation done;
  if (!s) s = gs_pass_annotate(a, g, NULL, NULL, NULL, NULL, &done, e);
  if (!s) s = show(a, g, b, e);
  gs_model_close(m);
  return s;
}

/* Lines of `text` as a set: order of values may differ in the file. */
static void lines_missing(gs_arena *a, const char *text, const char *in,
                          const char *what, gs_buf *b) {
  char *rest = gs_strdup(a, text);
  const char *all = gs_sprintf(a, "\n%s", in);
  for (char *line; (line = strtok_r(rest, "\n", &rest));)
    if (!strstr(all, gs_sprintf(a, "\n%s\n", line)))
      gs_buf_printf(b, "%s: %s\n", what, line);
}

static const char *rule_text(void *context, int rule) {
  return gs_sprintf(context, "rule %d", rule);
}

static gs_status explain(gs_arena *a, const gs_propagation *done, char *lines,
                         gs_buf *b) {
  for (char *line; (line = strtok_r(lines, "\n", &lines));) {
    const gs_value *v = gs_graph_find(done->graph, line + strlen("explain "));
    must(v != NULL, line);
    gs_buf_str(b, "# ");
    gs_propagation_explain(b, done, v, rule_text, a);
  }
  return GS_OK;
}

/* "# chosen: dim 1 of w and of 2 more over d". */
static void show_choices(gs_buf *b, const gs_mesh *m,
                         const gs_auto_shard *filled) {
  for (int i = 0; i < filled->choice.n; i++) {
    const gs_auto_shard_choice *c = &filled->choice.at[i];
    gs_axes axis = gs_axes_named(m, c->axis);
    gs_buf_printf(b, "# chosen: dim %d of %s", c->dim[0], c->value[0]->name);
    if (c->n > 1) gs_buf_printf(b, " and of %d more", c->n - 1);
    gs_buf_str(b, " over ");
    gs_axes_print(b, m, &axis);
    gs_buf_char(b, '\n');
  }
}

static gs_status annotate(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  char *spec = strstr(given, "\nspec\n"), none[] = "";
  must(spec != NULL, "a line 'spec'");
  *++spec = 0;
  spec += strlen("spec\n");
  char *asked = strstr(spec, "\nexplain ");
  if (asked) *asked++ = 0;
  gs_spec s;
  gs_graph *g;
  gs_match_result match;
  gs_propagation done;
  gs_buf got, again;
  gs_buf_init(&got, a);
  gs_buf_init(&again, a);
  gs_buf_str(&again, "");
  GS_TRY(load(a, given, &g, e));
  gs_spec_init(&s, a);
  char *yaml = gs_sprintf(a, "version: 1\n%s\n", spec);
  GS_TRY(gs_spec_parse(&s, "spec", yaml, strlen(yaml), e));
  GS_TRY(gs_pass_match(a, &s, g, &match, e));
  gs_auto_shard_options fill = {.memory = (double)s.options.memory,
                          .even = s.options.uneven == GS_UNEVEN_ERROR};
  gs_auto_shard filled;
  bool chooses = s.options.choose == GS_AUTO_FILL;
  gs_handed handed;
  GS_TRY(gs_pass_annotate(a, g, &match, chooses ? &fill : NULL, &filled,
                          s.options.keep_short ? NULL : &handed, &done, e));
  GS_TRY(gs_graph_check(g, e));
  GS_TRY(show(a, g, &got, e));
  gs_buf_str(b, got.at);
  if (chooses) show_choices(b, g->mesh, &filled);
  GS_TRY(explain(a, &done, asked ? asked : none, b));
  GS_TRY(through_file(a, given, g, &again, e));
  lines_missing(a, got.at, again.at, "not in the file", b);
  lines_missing(a, again.at, got.at, "only in the file", b);
  return GS_OK;
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  gs_err e;
  gs_err_init(&e);
  gs_status s = annotate(a, given, b, &e);
  for (int i = 0; i < e.n; i++)
    gs_buf_printf(b, "%s %d: %s: %s\n", s ? "error" : "warning",
                  (int)e.diag[i].code, e.diag[i].place ? e.diag[i].place : "",
                  e.diag[i].text);
  gs_err_free(&e);
}

/* Metadata that is not as gs_model_annotate writes it. */
START_TEST(broken_metadata) {
  static const struct {
    const char *key, *value;
  } bad[] = {
      {"gshard.use:y:9", "{~,~}"},    /* no such operand */
      {"gshard.use:y:-1", "{~,~}"},
      {"gshard.use:y", "{~,~}"},      /* no operand */
      {"gshard.use:y:", "{~,~}"},
      {"gshard.use:y:1x", "{~,~}"},
      {"gshard.use:w:0", "{~,~}"},    /* no result of a node */
      {"gshard.use:other:0", "{~,~}"},
      {"gshard.use:y:1", "{~}"},      /* wrong rank */
      {"gshard.use:y:1", "{zz,~}"},   /* no such axis */
      {"gshard.rule:y", "([i])->([i])"}, /* it has a row */
      {"gshard.rule:other", "([i])->([i])"},
  };
  const char *text = "mesh {tp=2}\ninput x {tp,~} : f32[4,6]\n"
                     "constant w : f32[6,8]\ny = MatMul(x, w)\noutput y\n";
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    gs_arena a;
    gs_err e;
    gs_graph *g;
    gs_model *m;
    gs_mesh *mesh;
    gs_arena_init(&a);
    gs_err_init(&e);
    ck_assert_int_eq(load(&a, text, &g, &e), GS_OK);
    ck_assert_int_eq(make_model(&a, g, &m, &e), GS_OK);
    ck_assert_int_eq(gs_model_annotate(m, g, NULL, &e), GS_OK);
    gs_model_graph_meta_set(m, bad[i].key, bad[i].value);
    int status = (int)gs_model_shardings(m, g, &a, NULL, &mesh, NULL, &e);
    ck_assert_msg(status == GS_DATA, "%s: %d", bad[i].key, status);
    ck_assert_int_ge(e.n, 1);
    gs_model_close(m);
    gs_err_free(&e);
    gs_arena_free(&a);
  }
}
END_TEST

static const char *const scaled =
    "mesh {dp=2, tp=2}\ninput x {tp,~} : f32[4,6]\n"
    "constant w : f32[6,8]\ny = MatMul(x, w)\noutput y\n";

/* The machine and its links come back as they were. */
START_TEST(machine_in_file) {
  gs_arena a;
  gs_err e;
  gs_graph *g;
  gs_model *m;
  gs_mesh *mesh;
  gs_arena_init(&a);
  gs_err_init(&e);
  ck_assert_int_eq(load(&a, scaled, &g, &e), GS_OK);
  ck_assert_int_eq(make_model(&a, g, &m, &e), GS_OK);
  gs_mesh given = *g->mesh;
  given.machine = (gs_machine){.flops = 2.5e12, .link_gbs = 0.125};
  given.axis[1].gbps = 12.5;
  g->mesh = &given;
  ck_assert_int_eq(gs_model_annotate(m, g, NULL, &e), GS_OK);
  ck_assert_int_eq(gs_model_shardings(m, g, &a, NULL, &mesh, NULL, &e), GS_OK);
  ck_assert(!memcmp(&mesh->machine, &given.machine, sizeof given.machine));
  ck_assert(!(mesh->axis[0].gbps > 0));
  ck_assert_double_eq(mesh->axis[1].gbps, 12.5);
  static const char *const bad[] = {"", "1:2:3", "1:2:3:4:5", "1:2:3:x",
                                    "1:2:-3:4", "inf:1:1:1", "1:2:3:4:"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    gs_model_meta_set(m, "gshard.machine", bad[i]);
    gs_status s = gs_model_shardings(m, g, &a, NULL, &mesh, NULL, &e);
    ck_assert_msg(s == GS_DATA, "%s", bad[i]);
  }
  gs_model_close(m);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

/* Reads a graph and prints it again: the same text? */
static int text_again(const char *path) {
  gs_arena a;
  gs_err e;
  gs_graph *g;
  gs_buf b;
  const uint8_t *text;
  size_t n;
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_buf_init(&b, &a);
  gs_status s = gs_slurp(&a, path, SIZE_MAX / 4, &text, &n, &e);
  if (!s) s = gs_graph_parse(&a, (const char *)text, path, &g, &e);
  if (!s) gs_graph_print(&b, g);
  bool same = !s && b.n == n && !memcmp(b.at, text, n);
  if (!s && !same) printf("printed:\n%s", b.at);
  gs_err_print(&e, stdout, "test_annotate", false);
  gs_err_free(&e);
  gs_arena_free(&a);
  return !same;
}

static void add_more(TCase *t) {
  tcase_add_test(t, broken_metadata);
  tcase_add_test(t, machine_in_file);
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "--text")) return text_again(argv[2]);
  return cases_main(argc, argv, "annotate", run_case, add_more);
}
