/* The expansion of operators without a row.
 *
 * Cases (see cases.h) are a line "opset N" or "opset N infer" and a graph in
 * text form; expected is the graph after the upgrade, or after inference too.
 * Or they are a line "functions" and a text in the form of src/op/functions;
 * expected is what is wrong with it. */
#include "cases.h"
#include "op/core/function.h"
#include "pass/prepare/infer.h"
#include "op/core/schema.h"
#include "pass/prepare/upgrade.h"

static void print_error(gs_buf *b, gs_err *e) {
  const gs_diag *d = &e->diag[0];
  gs_buf_printf(b, "error %d: %s: %s\n", e->first, d->place ? d->place : "-",
                d->text);
}

static const char **lines_of(gs_arena *a, char *text) {
  GS_VEC(const char *) line = {0};
  for (char *end; text; text = end) {
    end = strchr(text, '\n');
    if (end) *end++ = 0;
    *gs_push(a, &line) = text;
  }
  *gs_push(a, &line) = NULL;
  return line.at;
}

static void set_opset(gs_graph *g, int opset) {
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->opset = *n->domain ? 1 : opset;
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].kind == GS_ATTR_GRAPH) set_opset(n->attr[k].g, opset);
  }
}

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  int opset = 0;
  char *rest = strchr(text, '\n'), how[16] = "";
  gs_functions f;
  gs_graph *g;
  gs_err e;
  gs_err_init(&e);
  must(rest, "a first line");
  *rest++ = 0;
  gs_status s = GS_OK;
  if (!strcmp(text, "functions")) {
    s = gs_functions_parse(a, (const char *const *)lines_of(a, rest), &f, &e);
    if (!s) gs_buf_printf(b, "%d functions\n", f.at.n);
  } else {
    must(sscanf(text, "opset %d %15s", &opset, how) >= 1, "opset N");
    s = gs_graph_parse(a, rest, "case", &g, &e);
    if (!s) set_opset(g, opset);
    if (!s) s = gs_pass_upgrade(g, &e);
    if (!s && *how) s = gs_pass_infer(a, g, NULL, &e);
    if (!s) s = gs_graph_check(g, &e);
    if (!s) gs_graph_print(b, g);
  }
  if (s) print_error(b, &e);
  gs_err_free(&e);
}

/* ---- every function of the data file ---- */

static void read_all(gs_arena *a, gs_functions *f) {
  gs_err e;
  gs_err_init(&e);
  gs_status s = gs_functions_parse(a, gs_functions_text, f, &e);
  if (s) gs_err_print(&e, stderr, "test_expand", false);
  gs_err_free(&e);
  ck_assert_int_eq(s, GS_OK);
}

/* A line names an operator with a row, which has as many operands and
 * results, or another function. */
static void check_line(const gs_functions *all, const gs_fn_line *l) {
  if (!l->op_type) return;
  const gs_op *op = gs_op_find(l->domain, l->op_type);
  const gs_function *f = gs_function_find(all, l->domain, l->op_type);
  int least_in, most_in, least_out, most_out;
  ck_assert_msg(op || f, "line %d: no operator %s", l->number, l->op_type);
  if (op) {
    least_in = op->min_in, most_in = op->max_in;
    least_out = op->min_out, most_out = op->max_out;
  } else {
    gs_function_arity(f, false, &least_in, &most_in);
    gs_function_arity(f, true, &least_out, &most_out);
  }
  ck_assert_msg(l->in.n >= least_in && l->in.n <= most_in,
                "line %d: %s of %d operands", l->number, l->op_type, l->in.n);
  ck_assert_msg(l->out.n >= least_out && l->out.n <= most_out,
                "line %d: %s of %d results", l->number, l->op_type, l->out.n);
}

static void check_lines(const gs_functions *all, const gs_function *f) {
  for (int b = 0; b < f->block.n; b++)
    for (int k = 0; k < f->block.at[b].line.n; k++)
      check_line(all, &f->block.at[b].line.at[k]);
}

/* Whether some line makes result `name` of f. */
static bool is_made(const gs_function *f, const char *name) {
  for (int b = 0; b < f->block.n; b++)
    for (int k = 0; k < f->block.at[b].line.n; k++) {
      const gs_fn_line *l = &f->block.at[b].line.at[k];
      for (int i = 0; i < l->out.n; i++)
        if (l->out.at[i].name && !strcmp(l->out.at[i].name, name)) return true;
    }
  return false;
}

/* A gradient takes what the operator's row takes and gives, and makes one of
 * them at least. */
static void check_gradient(const gs_functions *all, const gs_function *f) {
  const gs_op *op = gs_op_find(f->domain, f->name);
  int min, max, made = 0;
  ck_assert_msg(op != NULL, "gradient of %s, which has no row", f->name);
  ck_assert_ptr_eq(gs_gradient_find(all, f->domain, f->name), f);
  gs_function_arity(f, true, &min, &max);
  ck_assert_msg(max >= op->max_in, "gradient of %s: %d operands", f->name,
                max);
  for (int i = 0; i < f->out.n; i++) made += is_made(f, f->out.at[i].name);
  ck_assert_msg(made, "gradient of %s: no line", f->name);
  check_lines(all, f);
}

START_TEST(every_line) {
  gs_arena a;
  gs_functions all;
  gs_arena_init(&a);
  read_all(&a, &all);
  ck_assert_int_gt(all.at.n, 0);
  for (int i = 0; i < all.gradient.n; i++)
    check_gradient(&all, &all.gradient.at[i]);
  for (int i = 0; i < all.helper.n; i++) check_lines(&all, &all.helper.at[i]);
  for (int i = 0; i < all.at.n; i++) {
    const gs_function *f = &all.at.at[i];
    const gs_domain *d = gs_domain_find(f->domain);
    ck_assert_msg(d && f->since <= d->newest, "%s: its domain", f->name);
    ck_assert_msg(!gs_op_find(f->domain, f->name), "%s has a row", f->name);
    ck_assert_ptr_eq(gs_function_find(&all, f->domain, f->name), f);
    check_lines(&all, f);
  }
  gs_arena_free(&a);
}
END_TEST

/* A way to call a function: choices are taken off one by one. */
typedef struct sample {
  const gs_function *f;
  unsigned choice; /* mixed radix; 0 left when all choices are made */
  bool wrong;      /* an attribute is missing, not what the schema says, or a
                      text that no test knows */
} sample;

static unsigned choose(sample *s, unsigned n) {
  unsigned c = s->choice % n;
  s->choice /= n;
  return c;
}

/* y = Neg(x). */
static gs_graph *sample_body(gs_arena *a) {
  gs_graph *g = gs_graph_new(a, "body");
  gs_value *x = gs_value_new(g, "x", GS_UNDEFINED, -1, NULL);
  gs_value *y = gs_value_new(g, "y", GS_UNDEFINED, -1, NULL);
  gs_node *n = gs_node_new(g, "", "Neg", "", 1, 1);
  n->op = gs_op_find("", "Neg");
  n->opset = n->op->since;
  n->origin = "call";
  n->in[0] = x;
  gs_node_output(n, 0, y);
  x->is_input = y->is_output = true;
  *gs_push(a, &g->input) = x;
  *gs_push(a, &g->output) = y;
  return g;
}

/* An attribute is left out, or has one of the values that tests compare it
 * with, or a value of no test; those of no test are there or not together. */
static void choose_attribute(sample *s, gs_graph *g, gs_node *n,
                             const gs_fn_attr *at, bool others) {
  GS_VEC(const gs_attr *) value = {0};
  gs_attr other = {.kind = at->kind, .i = 3, .f = 0.25};
  other.s = (gs_string){"other", 5};
  if (at->kind == GS_ATTR_GRAPH) other.g = sample_body(g->arena);
  *gs_push(g->arena, &value) = &other;
  for (int b = 0; b < s->f->block.n; b++)
    for (int i = 0; i < s->f->block.at[b].test.n; i++) {
      const gs_fn_test *t = &s->f->block.at[b].test.at[i];
      bool mine = t->attr && t->equal && !strcmp(t->attr, at->name);
      for (int k = 1; mine && k < value.n; k++)
        if (!memcmp(value.at[k], t->equal, sizeof *t->equal)) mine = false;
      if (mine) *gs_push(g->arena, &value) = t->equal;
    }
  unsigned c = value.n > 1 ? choose(s, (unsigned)value.n + 1) : others;
  if (c == 1 && at->kind == GS_ATTR_STRING) s->wrong = true;
  if (!c && !at->value && !at->optional) s->wrong = true;
  if (!c) return;
  gs_attr set = *value.at[c - 1];
  set.name = at->name;
  gs_node_set(g, n, &set);
}

static bool rank_matters(const gs_function *f, const char *name) {
  for (int b = 0; b < f->block.n; b++)
    for (int i = 0; i < f->block.at[b].test.n; i++) {
      const gs_fn_test *t = &f->block.at[b].test.at[i];
      if (t->rank && !strcmp(t->name, name)) return true;
    }
  return false;
}

/* A node that calls the function; two tensors of each "X*" kind. */
static gs_graph *sample_graph(gs_arena *a, sample *s) {
  gs_graph *g = gs_graph_new(a, "sample");
  const gs_function *f = s->f;
  gs_node *n = gs_node_new(g, f->domain, f->name, "call", 2 * f->in.n,
                           2 * f->out.n);
  n->nin = n->nout = 0;
  int oldest = gs_domain_find(f->domain)->oldest;
  n->opset = f->since > oldest ? f->since : oldest;
  for (int i = 0; i < f->in.n; i++)
    for (int k = 0; k < 1 + f->in.at[i].each; k++) {
      const gs_fn_value *v = &f->in.at[i];
      int64_t dims[2] = {4, 4};
      int rank = rank_matters(f, v->name) ? (int)choose(s, 3) : -1;
      n->nin++;
      if (v->optional && choose(s, 2)) continue;
      n->in[n->nin - 1] = gs_value_new(g, v->name, GS_UNDEFINED,
                                       rank ? rank : -1, dims);
      n->in[n->nin - 1]->is_input = true;
      *gs_push(a, &g->input) = n->in[n->nin - 1];
    }
  for (int i = 0; i < f->out.n; i++)
    for (int k = 0; k < 1 + f->out.at[i].each; k++) {
      const gs_fn_value *v = &f->out.at[i];
      n->nout++;
      if (v->optional && choose(s, 2)) continue;
      gs_value *y = gs_value_new(g, v->name, GS_UNDEFINED, -1, NULL);
      gs_node_output(n, n->nout - 1, y);
      y->is_output = true;
      *gs_push(a, &g->output) = y;
    }
  bool others = choose(s, 2);
  for (int i = 0; i < f->attr.n; i++)
    choose_attribute(s, g, n, &f->attr.at[i], others);
  return g;
}

/* What comes out has rows, and the node's name and results. */
static void check_expanded(const gs_graph *g, const char *name, gs_err *e) {
  bool named = false;
  ck_assert_msg(gs_graph_check(g, e) == GS_OK, "%s: %s", name,
                e->n ? e->diag[0].text : "");
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    ck_assert_msg(n->op != NULL, "%s: %s has no row", name, n->op_type);
    ck_assert_str_eq(n->origin, "call");
    if (!strcmp(n->name, "call")) named = true;
  }
  ck_assert_msg(named, "%s: no node has the node's name", name);
  for (int i = 0; i < g->output.n; i++)
    ck_assert_msg(g->output.at[i]->def != NULL, "%s: '%s' is not made", name,
                  g->output.at[i]->name);
}

/* All ways that the tests of the file tell apart. */
START_TEST(every_form) {
  gs_arena a;
  gs_functions all;
  gs_arena_init(&a);
  read_all(&a, &all);
  for (int i = 0; i < all.at.n; i++) {
    unsigned good = 0;
    sample s = {0};
    if (all.at.at[i].derive) continue; /* needs a graph before it */
    for (unsigned k = 0; !s.choice && k < 20000; k++) {
      gs_arena tmp;
      gs_err e;
      gs_arena_init(&tmp);
      gs_err_init(&e);
      s = (sample){.f = &all.at.at[i], .choice = k};
      gs_graph *g = sample_graph(&tmp, &s);
      if (gs_schema_check(g, g->node.at[0], &e)) s.wrong = true;
      gs_status status = gs_pass_upgrade(g, &e);
      ck_assert_msg(!status || s.wrong, "%s: %s", s.f->name,
                    status ? e.diag[0].text : "");
      ck_assert_int_ne(status, GS_INTERNAL);
      if (!status) check_expanded(g, s.f->name, &e);
      good += !status;
      gs_err_free(&e);
      gs_arena_free(&tmp);
    }
    ck_assert_msg(good, "%s: no form of it is expanded", all.at.at[i].name);
  }
  gs_arena_free(&a);
}
END_TEST

static void more(TCase *t) {
  tcase_add_test(t, every_line);
  tcase_add_test(t, every_form);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "expand", run_case, more);
}
