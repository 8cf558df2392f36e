/* Rules and shapes of operators: the cases of data/rules.txt and
 * data/rules/.
 *
 * A case is a paragraph: a graph in text form whose last node is looked at,
 * an optional line "rule TEXT" (the user's, instead of the row's), and lines
 * "> ..." with what must come out: the rule and the results, or the error.
 * `test_rule --update FILE` writes the file anew with what comes out now. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "op/core/rule.h"
#include "op/core/shape.h"

static gs_arena arena;
static bool testing; /* not --update: check's assertions work */

static void need(bool ok, const char *what) {
  if (ok) return;
  if (testing) ck_abort_msg("%s", what);
  fprintf(stderr, "test_rule: %s\n", what);
  exit(1);
}

static char *read_all(const char *path) {
  FILE *f = fopen(path, "rb");
  need(f != NULL, path);
  gs_buf b;
  gs_buf_init(&b, &arena);
  char part[4096];
  size_t n;
  while ((n = fread(part, 1, sizeof part, f)) > 0) gs_buf_add(&b, part, n);
  fclose(f);
  return b.n ? b.at : gs_strdup(&arena, "");
}

/* A printed rule parses, and printing it again is a fixed point. */
static void check_round(const gs_node *n, const gs_rule *r) {
  gs_err e;
  gs_err_init(&e);
  const char *text[3];
  gs_rule again = *r;
  for (int i = 0; i < 3; i++) {
    gs_buf b;
    gs_buf_init(&b, &arena);
    gs_rule_print(&b, &again);
    text[i] = b.at;
    gs_status s = gs_rule_parse(&arena, text[i], n, &again, &e);
    if (s) gs_err_print(&e, stderr, "test_rule", false);
    need(s == GS_OK, text[i]);
    need(gs_rule_check(n, &again, &e) == GS_OK, text[i]);
  }
  need(!strcmp(text[1], text[2]), text[1]);
  need(strlen(text[0]) == strlen(text[1]), text[0]);
  gs_err_free(&e);
}

static gs_status look(gs_graph *g, const char *rule, gs_buf *out, gs_err *e) {
  gs_node *n = NULL;
  gs_rule r;
  for (int i = 0; i < g->node.n; i++) {
    n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    if (i == g->node.n - 1) n->rule = rule;
    GS_TRY(gs_shape_infer(g, n, e));
  }
  need(n != NULL, "a case without a node");
  GS_TRY(gs_rule_of(&arena, n, &r, e));
  gs_buf_str(out, "> ");
  gs_rule_print(out, &r);
  gs_buf_char(out, '\n');
  check_round(n, &r);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i])
      gs_buf_printf(out, "> %s : %s\n", n->out[i]->name,
                    gs_shape_text(&arena, n->out[i]->dtype, n->out[i]->rank,
                                  n->out[i]->dims));
  return GS_OK;
}

/* What comes out of a case's graph. */
static char *outcome(const char *text, const char *rule) {
  gs_buf out;
  gs_buf_init(&out, &arena);
  gs_err e;
  gs_err_init(&e);
  gs_graph *g;
  gs_status s = gs_graph_parse(&arena, text, "case", &g, &e);
  if (s == GS_OK) s = look(g, rule, &out, &e);
  if (s) {
    need(e.n > 0, "a failure without an error");
    const gs_diag *d = &e.diag[0];
    gs_buf_printf(&out, "> error %d: %s: %s\n", (int)s,
                  d->place ? d->place : "-", d->text);
  }
  gs_err_free(&e);
  return out.n ? out.at : gs_strdup(&arena, "");
}

typedef struct lines {
  gs_buf graph, wanted;
  const char *rule;
} lines;

/* Reads one paragraph; returns what follows it. */
static const char *paragraph(const char *s, lines *l) {
  gs_buf_init(&l->graph, &arena);
  gs_buf_init(&l->wanted, &arena);
  gs_buf_str(&l->graph, "");
  gs_buf_str(&l->wanted, "");
  l->rule = NULL;
  while (*s && *s != '\n') {
    size_t n = strcspn(s, "\n");
    if (*s == '>') {
      gs_buf_add(&l->wanted, s, n);
      gs_buf_char(&l->wanted, '\n');
    } else if (!strncmp(s, "rule ", 5)) {
      l->rule = gs_strndup(&arena, s + 5, n - 5);
    } else {
      gs_buf_add(&l->graph, s, n);
      gs_buf_char(&l->graph, '\n');
    }
    s += n + (s[n] == '\n');
  }
  while (*s == '\n') s++;
  return s;
}

static int checked;

static void check_file(const char *path) {
  const char *s = read_all(path);
  while (*s) {
    lines l;
    s = paragraph(s, &l);
    if (l.graph.at[0] == '#' && !strchr(l.graph.at, '=')) continue;
    char *got = outcome(l.graph.at, l.rule);
    ck_assert_msg(!strcmp(got, l.wanted.at), "%swanted\n%sgot\n%s",
                  l.graph.at, l.wanted.at, got);
    checked++;
  }
}

START_TEST(cases) {
  gs_arena_init(&arena);
  checked = 0;
  cases_files("rules", check_file);
  ck_assert_int_gt(checked, 100);
  gs_arena_free(&arena);
}
END_TEST

static gs_rule rule_of(gs_graph *g, gs_node **node) {
  gs_rule r;
  gs_err e;
  gs_err_init(&e);
  *node = g->node.at[g->node.n - 1];
  (*node)->op = gs_op_find((*node)->domain, (*node)->op_type);
  ck_assert_int_eq(gs_shape_infer(g, *node, &e), GS_OK);
  ck_assert_int_eq(gs_rule_of(&arena, *node, &r, &e), GS_OK);
  gs_err_free(&e);
  return r;
}

START_TEST(flops) {
  gs_arena_init(&arena);
  gs_graph *g;
  gs_node *n;
  ck_assert_int_eq(gs_graph_parse(&arena,
                                  "input a : f32[3,4,8]\n"
                                  "input b : f32[8,2]\n"
                                  "y = MatMul(a, b)\n",
                                  "t", &g, NULL),
                   GS_OK);
  gs_rule r = rule_of(g, &n);
  int64_t sizes[GS_MAX_FACTORS];
  for (int f = 0; f < r.nfactor; f++) sizes[f] = r.factor[f].size;
  ck_assert(gs_op_flops(n->op, &r, sizes) == 2.0 * 3 * 4 * 8 * 2);
  gs_arena_free(&arena);
}
END_TEST

/* A wrong rule is found. */
START_TEST(check) {
  gs_arena_init(&arena);
  gs_graph *g;
  gs_node *n;
  ck_assert_int_eq(gs_graph_parse(&arena,
                                  "input a : f32[4,8]\n"
                                  "y = ReduceSum(a) keepdims=0\n",
                                  "t", &g, NULL),
                   GS_OK);
  gs_rule r = rule_of(g, &n);
  gs_rule wrong = r;
  wrong.factor[0].size = 5;
  ck_assert_int_eq(gs_rule_check(n, &wrong, NULL), GS_INTERNAL);
  wrong = r;
  wrong.nout = 0;
  ck_assert_int_eq(gs_rule_check(n, &wrong, NULL), GS_INTERNAL);
  wrong = r;
  wrong.nfactor = 1;
  ck_assert_int_eq(gs_rule_check(n, &wrong, NULL), GS_INTERNAL);
  gs_arena_free(&arena);
}
END_TEST

static int update(const char *path) {
  gs_arena_init(&arena);
  const char *s = read_all(path);
  FILE *f = fopen(path, "wb");
  if (!f) return 1;
  while (*s) {
    lines l;
    s = paragraph(s, &l);
    fputs(l.graph.at, f);
    if (l.rule) fprintf(f, "rule %s\n", l.rule);
    bool comment = l.graph.at[0] == '#' && !strchr(l.graph.at, '=');
    if (!comment) fputs(outcome(l.graph.at, l.rule), f);
    if (*s) fputc('\n', f);
  }
  gs_arena_free(&arena);
  return fclose(f) ? 1 : 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "--update")) return update(argv[2]);
  testing = true;
  Suite *s = suite_create("rule");
  TCase *t = tcase_create("rule");
  tcase_set_timeout(t, 1200);
  tcase_add_test(t, cases);
  tcase_add_test(t, flops);
  tcase_add_test(t, check);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
