/* Local forms of operators: what a row's local function makes of a node whose
 * factors are split.  The cases of data/local.txt and data/local/.
 *
 * A case is a paragraph: a graph in text form with a mesh, whose last node is
 * looked at; a line "split FACTOR=AXIS ..." (factors as the rule is printed);
 * and lines "> ..." with the program that comes out.  A partial result is
 * finished as if it were reduced.  `test_local --update FILE` writes the file
 * anew with what comes out now. */
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
  fprintf(stderr, "test_local: %s\n", what);
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

/* "i=tp k=dp": the axes of each factor. */
static void read_split(const gs_mesh *m, const char *s, gs_axes *factor) {
  while (*s) {
    need(s[0] >= 'i' && s[0] <= 'z' && s[1] == '=', s);
    int f = s[0] - 'i';
    s += 2;
    need(gs_axes_parse(m, &s, &factor[f], NULL) == GS_OK, s);
    while (*s == ' ') s++;
  }
}

/* The sharding of a tensor whose factors are split like that. */
static gs_sharding *sharding_of(const gs_tensor_map *t, const gs_axes *factor) {
  gs_sharding *s = gs_sharding_new(&arena, t->rank, false);
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++)
      s->dim[d].axes = gs_axes_cat(&s->dim[d].axes, &factor[t->dim[d].f[i]]);
  return s;
}

static int64_t *local_dims(const gs_mesh *m, const gs_sharding *s,
                           const gs_value *v) {
  int64_t *dims = GS_NEWS(&arena, v->rank + 1, int64_t);
  gs_sharding_local(m, s, v->dims, dims);
  return dims;
}

static void operands(gs_local *l) {
  const gs_node *n = l->node;
  l->in = GS_NEWS(&arena, n->nin + 1, gs_value *);
  for (int i = 0; i < n->nin; i++) {
    gs_value *v = n->in[i];
    if (!v) continue;
    gs_sharding *s = sharding_of(&l->rule->in[i], l->factor);
    if (v->constant) {
      l->in[i] = gs_value_constant(l->program, v->name, v->constant);
      continue;
    }
    l->in[i] = gs_value_new(l->program, v->name, v->dtype, v->rank,
                            local_dims(l->mesh, s, v));
    l->in[i]->is_input = true;
    *gs_push(l->program->arena, &l->program->input) = l->in[i];
  }
}

static void results(gs_local *l) {
  const gs_node *n = l->node;
  l->out = GS_NEWS(&arena, n->nout + 1, gs_value *);
  l->out_dims = GS_NEWS(&arena, n->nout + 1, int64_t *);
  l->out_sharding = GS_NEWS(&arena, n->nout + 1, gs_sharding *);
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    l->out_sharding[i] = sharding_of(&l->rule->out[i], l->factor);
    l->out_dims[i] = local_dims(l->mesh, l->out_sharding[i], n->out[i]);
  }
}

/* Results have the right local shape, and the right type once finished. */
static void check_results(gs_local *l) {
  for (int i = 0; i < l->node->nout; i++) {
    const gs_value *want = l->node->out[i];
    if (!want) continue;
    while (l->finish) {
      gs_value *(*finish)(gs_local *, int, gs_value *) = l->finish;
      l->finish = NULL;
      l->out[i] = finish(l, i, l->out[i]);
    }
    gs_value *got = l->out[i];
    need(got && got->rank == want->rank && got->dtype == want->dtype,
         want->name);
    for (int d = 0; d < got->rank; d++)
      need(got->dims[d] == l->out_dims[i][d], want->name);
    got->is_output = true;
    *gs_push(l->program->arena, &l->program->output) = got;
  }
}

/* What shape inference finds in the program is what the program says. */
static void check_program(gs_graph *g, gs_err *e) {
  for (int i = 0; i < g->node.n; i++) {
    gs_status s = gs_shape_infer(g, g->node.at[i], e);
    if (s) gs_err_print(e, stderr, "test_local", false);
    need(s == GS_OK, "the program's shapes contradict");
  }
  need(gs_graph_check(g, e) == GS_OK, "the program is not sound");
}

static char *outcome(const char *text, const char *split) {
  gs_err e;
  gs_err_init(&e);
  gs_graph *g;
  need(gs_graph_parse(&arena, text, "case", &g, &e) == GS_OK, text);
  need(g->mesh && g->node.n, text);
  gs_node *n = g->node.at[g->node.n - 1];
  n->op = gs_op_find(n->domain, n->op_type);
  n->opset = 25;
  gs_rule r;
  need(gs_shape_infer(g, n, &e) == GS_OK, text);
  need(gs_rule_of(&arena, n, &r, &e) == GS_OK, text);
  gs_axes factor[GS_MAX_FACTORS] = {0};
  read_split(g->mesh, split ? split : "", factor);
  gs_local l = {.node = n, .rule = &r, .factor = factor, .mesh = g->mesh};
  for (int f = 0; f < r.nfactor; f++)
    if (r.factor[f].kind == GS_SUMMED) l.partial |= gs_axes_set(&factor[f]);
  l.program = gs_graph_new(&arena, "");
  l.program->mesh = g->mesh;
  operands(&l);
  results(&l);
  if (n->op->local) need(n->op->local(&l, &e) == GS_OK, text);
  else gs_local_same(&l);
  check_results(&l);
  check_program(l.program, &e);
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_graph_print(&b, l.program);
  gs_err_free(&e);
  return b.at;
}

typedef struct lines {
  gs_buf graph, wanted;
  const char *split;
} lines;

static const char *paragraph(const char *s, lines *l) {
  gs_buf_init(&l->graph, &arena);
  gs_buf_init(&l->wanted, &arena);
  gs_buf_str(&l->graph, "");
  gs_buf_str(&l->wanted, "");
  l->split = NULL;
  while (*s && *s != '\n') {
    size_t n = strcspn(s, "\n");
    if (*s == '>') {
      gs_buf_add(&l->wanted, s + 2, n < 2 ? 0 : n - 2);
      gs_buf_char(&l->wanted, '\n');
    } else if (!strncmp(s, "split ", 6)) {
      l->split = gs_strndup(&arena, s + 6, n - 6);
    } else {
      gs_buf_add(&l->graph, s, n);
      gs_buf_char(&l->graph, '\n');
    }
    s += n + (s[n] == '\n');
  }
  while (*s == '\n') s++;
  return s;
}

static bool is_comment(const lines *l) {
  return l->graph.at[0] == '#' && !strchr(l->graph.at, '=');
}

static int checked;

static void check_file(const char *path) {
  const char *s = read_all(path);
  while (*s) {
    lines l;
    s = paragraph(s, &l);
    if (is_comment(&l)) continue;
    const char *got = outcome(l.graph.at, l.split);
    ck_assert_msg(!strcmp(got, l.wanted.at), "%swanted\n%sgot\n%s",
                  l.graph.at, l.wanted.at, got);
    checked++;
  }
}

START_TEST(cases) {
  gs_arena_init(&arena);
  checked = 0;
  cases_files("local", check_file);
  ck_assert_int_gt(checked, 15);
  gs_arena_free(&arena);
}
END_TEST

static void put_quoted(FILE *f, const char *s) {
  while (*s) {
    size_t n = strcspn(s, "\n");
    fprintf(f, "> %.*s\n", (int)n, s);
    s += n + (s[n] == '\n');
  }
}

static int update(const char *path) {
  gs_arena_init(&arena);
  const char *s = read_all(path);
  FILE *f = fopen(path, "wb");
  if (!f) return 1;
  while (*s) {
    lines l;
    s = paragraph(s, &l);
    fputs(l.graph.at, f);
    if (l.split) fprintf(f, "split %s\n", l.split);
    if (!is_comment(&l)) put_quoted(f, outcome(l.graph.at, l.split));
    if (*s) fputc('\n', f);
  }
  gs_arena_free(&arena);
  return fclose(f) ? 1 : 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "--update")) return update(argv[2]);
  testing = true;
  Suite *s = suite_create("local");
  TCase *t = tcase_create("local");
  tcase_set_timeout(t, 1200);
  tcase_add_test(t, cases);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
