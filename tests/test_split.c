/* Split forms (src/op/functions/split.txt): each is of an operator that has a
 * factor of such a kind, each such factor has one or a reason to have none,
 * their lines fit, and every form that their tests tell apart is expanded.
 *
 * Which factors an operator has is looked up in its rules for the cases of
 * data/rules, data/moves and data/sweep; what the forms compute is compared by
 * test_sweep, test_random and test_stats. */
#include "cases.h"
#include "op/core/function.h"
#include "op/rule/rule.h"
#include "pass/prepare/expand.h"
#include "pass/prepare/infer.h"
#include "suite.h"

/* Factors without a split form. */
static const struct {
  const char *domain, *name;
  gs_factor_kind kind;
  const char *why;
} apart[] = {
    {"", "Gather", GS_LOOKUP, "of types that do not add; others are summed"},
    {"", "GatherElements", GS_LOOKUP, "likewise"},
    {"", "GatherND", GS_LOOKUP, "likewise"},
};
enum { NAPART = sizeof apart / sizeof *apart };

static gs_functions all;
static gs_arena arena;

static void setup(void) {
  gs_err e;
  gs_arena_init(&arena);
  gs_err_init(&e);
  gs_status s = gs_functions_parse(&arena, gs_functions_text, &all, &e);
  if (s) gs_err_print(&e, stderr, "test_split", false);
  gs_err_free(&e);
  must(s == GS_OK, "the functions");
}
static void teardown(void) { gs_arena_free(&arena); }

/* ---- kinds ---- */

/* Adds to kinds[row] those of the factors of the first node of a case. */
static void add_kinds(const char *text, unsigned *kinds) {
  gs_arena a;
  gs_err e;
  gs_graph *g;
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_rule *r = GS_NEW(&a, gs_rule);
  bool can = !gs_graph_parse(&a, text, "case", &g, &e) && g->node.n;
  for (int i = 0; can && i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    can = n->op != NULL;
    if (can) n->opset = n->op->since;
    for (int k = 0; can && k < n->nout; k++) {
      if (!n->out[k] || n->out[k]->is_output) continue;
      n->out[k]->is_output = true;
      *gs_push(&a, &g->output) = n->out[k];
    }
  }
  if (can && !gs_pass_infer(&a, g, NULL, &e) && g->node.n &&
      !gs_rule_of(&a, g->node.at[0], r, &e))
    for (int f = 0; f < r->nfactor; f++)
      if (gs_factor_unfolds(r->factor[f].kind))
        kinds[g->node.at[0]->op->id] |= 1u << r->factor[f].kind;
  gs_err_free(&e);
  gs_arena_free(&a);
}

static bool has_reason(const gs_op *op, gs_factor_kind kind) {
  for (int i = 0; i < NAPART; i++)
    if (!strcmp(apart[i].domain, op->domain) &&
        !strcmp(apart[i].name, op->name) && apart[i].kind == kind)
      return true;
  return false;
}

static golden *given;
static int ngiven;

static void read_kinds(unsigned *kinds) {
  cases_load("rules", &given, &ngiven);
  cases_load("moves", &given, &ngiven);
  cases_load("sweep", &given, &ngiven);
  for (int i = 0; i < ngiven; i++) add_kinds(given[i].given, kinds);
}

START_TEST(kinds_have_forms) {
  unsigned kinds[512] = {0};
  int wrong = 0;
  read_kinds(kinds);
  for (int i = 0; i < gs_nop; i++) {
    const gs_op *op = &gs_ops[i];
    bool form = gs_form_find(&all, GS_FN_SPLIT, op->domain, op->name) != NULL;
    if (form && !kinds[i]) {
      fprintf(stderr, "%s has a split form, and no such factor\n", op->name);
      wrong++;
    }
    for (int k = 0; k < GS_NKIND && !form; k++) {
      if (!(kinds[i] >> k & 1) || has_reason(op, (gs_factor_kind)k)) continue;
      fprintf(stderr, "%s has a factor of kind %s, no split form and no "
              "reason\n", op->name, gs_factor_text((gs_factor_kind)k));
      wrong++;
    }
  }
  for (int i = 0; i < NAPART; i++) {
    const gs_op *op = gs_op_find(apart[i].domain, apart[i].name);
    if (op && kinds[op->id] >> apart[i].kind & 1 &&
        !gs_form_find(&all, GS_FN_SPLIT, op->domain, op->name))
      continue;
    fprintf(stderr, "%s: a reason for what is not so\n", apart[i].name);
    wrong++;
  }
  ck_assert_int_eq(wrong, 0);
}
END_TEST

/* ---- lines ---- */

static bool is_made(const gs_function *f, const char *name) {
  for (int b = 0; b < f->block.n; b++)
    for (int k = 0; k < f->block.at[b].line.n; k++) {
      const gs_fn_line *l = &f->block.at[b].line.at[k];
      for (int i = 0; i < l->out.n; i++)
        if (l->out.at[i].name && !strcmp(l->out.at[i].name, name)) return true;
    }
  return false;
}

static void check_line(const gs_fn_line *l) {
  const gs_op *op = gs_op_find(l->domain, l->op_type);
  const gs_function *f = gs_function_find(&all, l->domain, l->op_type);
  int least = 0, most = 0, fewest = 0, all_out = 0;
  ck_assert_msg(op || f, "%s:%d: no operator %s", l->file, l->number,
                l->op_type);
  if (op) {
    least = op->min_in, most = op->max_in;
    fewest = op->min_out, all_out = op->max_out;
  } else {
    gs_function_arity(f, false, &least, &most);
    gs_function_arity(f, true, &fewest, &all_out);
  }
  ck_assert_msg(l->in.n >= least && l->in.n <= most, "%s:%d: %s of %d operands",
                l->file, l->number, l->op_type, l->in.n);
  ck_assert_msg(l->out.n >= fewest && l->out.n <= all_out,
                "%s:%d: %s of %d results", l->file, l->number, l->op_type,
                l->out.n);
}

/* A form takes and gives what the row does, and makes every result that must
 * be there. */
START_TEST(every_line) {
  ck_assert_int_gt(all.form[GS_FN_SPLIT].n, 0);
  for (int i = 0; i < all.form[GS_FN_SPLIT].n; i++) {
    const gs_function *f = &all.form[GS_FN_SPLIT].at[i];
    const gs_op *op = gs_op_find(f->domain, f->name);
    int least, most;
    ck_assert_msg(op != NULL, "split form of %s, which has no row", f->name);
    ck_assert_ptr_eq(gs_form_find(&all, GS_FN_SPLIT, f->domain, f->name), f);
    gs_function_arity(f, false, &least, &most);
    ck_assert_msg(most == op->max_in, "%s: %d operands, not %d", f->name, most,
                  op->max_in);
    gs_function_arity(f, true, &least, &most);
    ck_assert_msg(most == op->max_out, "%s: %d results, not %d", f->name, most,
                  op->max_out);
    for (int k = 0; k < f->out.n; k++)
      ck_assert_msg(f->out.at[k].optional || is_made(f, f->out.at[k].name),
                    "%s: no line makes %s", f->name, f->out.at[k].name);
    for (int b = 0; b < f->block.n; b++)
      for (int k = 0; k < f->block.at[b].line.n; k++)
        if (f->block.at[b].line.at[k].op_type)
          check_line(&f->block.at[b].line.at[k]);
  }
}
END_TEST

/* ---- forms ---- */

/* A way to ask for a form: choices are taken off one by one. */
typedef struct sample {
  const gs_function *f;
  unsigned choice; /* mixed radix; 0 left when all choices are made */
} sample;

static unsigned choose(sample *s, unsigned n) {
  unsigned c = s->choice % n;
  s->choice /= n;
  return c;
}

/* One of what tests compare `of` (an operand's rank or type) with, or
 * `otherwise`. */
static int64_t choose_compared(sample *s, const char *name, bool rank,
                               int64_t otherwise) {
  int64_t value[16] = {otherwise};
  unsigned n = 1;
  for (int b = 0; b < s->f->block.n; b++)
    for (int i = 0; i < s->f->block.at[b].test.n; i++) {
      const gs_fn_test *t = &s->f->block.at[b].test.at[i];
      bool known = !t->name || strcmp(t->name, name) ||
                   !(rank ? t->rank : t->type);
      for (unsigned k = 0; k < n && !known; k++)
        known = value[k] == t->equal->i;
      ck_assert_uint_lt(n, 16);
      if (!known) value[n++] = t->equal->i;
    }
  return value[n > 1 ? choose(s, n) : 0];
}

static void choose_operand(sample *s, gs_graph *g, gs_node *n, int i) {
  const gs_fn_value *v = &s->f->in.at[i];
  int64_t dims[GS_MAX_RANK];
  if (v->optional && choose(s, 2)) return;
  int rank = (int)choose_compared(s, v->name, true, 4);
  gs_dtype t = (gs_dtype)choose_compared(s, v->name, false, GS_FLOAT);
  for (int d = 0; d < rank; d++) dims[d] = 4;
  n->in[i] = gs_value_new(g, v->name, t, rank, dims);
  n->in[i]->is_input = true;
  *gs_push(g->arena, &g->input) = n->in[i];
}

/* The default, or one of the values that tests compare it with, or another. */
static void choose_attribute(sample *s, gs_graph *g, gs_node *n,
                             const gs_fn_attr *at) {
  static const int64_t two[] = {1, 2};
  gs_attr value[16] = {{.kind = at->kind, .i = 3, .f = 0.25}};
  unsigned count = 1;
  value[0].s = (gs_string){"other", 5};
  value[0].ints = two, value[0].n = 2;
  for (int b = 0; b < s->f->block.n; b++)
    for (int i = 0; i < s->f->block.at[b].test.n; i++) {
      const gs_fn_test *t = &s->f->block.at[b].test.at[i];
      bool known = !t->attr || !t->equal || strcmp(t->attr, at->name);
      for (unsigned k = 1; k < count && !known; k++)
        known = value[k].i == t->equal->i && value[k].f == t->equal->f;
      ck_assert_uint_lt(count, 16);
      if (!known) value[count++] = *t->equal;
    }
  bool must_be = !at->value && !at->optional;
  unsigned c = count > 1 ? choose(s, count + !must_be) : must_be ? 0 : 1;
  if (c == count) return; /* left out */
  value[c].name = at->name;
  gs_node_set(g, n, &value[c]);
}

static gs_graph *sample_graph(gs_arena *a, sample *s) {
  static const int64_t dims[] = {1}, parts[] = {2};
  gs_graph *g = gs_graph_new(a, "sample");
  const gs_function *f = s->f;
  gs_node *n = gs_node_new(g, f->domain, f->name, "call", f->in.n, f->out.n);
  n->op = gs_op_find(f->domain, f->name);
  n->opset = n->op->since;
  for (int i = 0; i < f->in.n; i++) choose_operand(s, g, n, i);
  for (int i = 0; i < f->out.n; i++) {
    if (f->out.at[i].optional && choose(s, 2)) continue;
    gs_value *y = gs_value_new(g, f->out.at[i].name, GS_FLOAT, 4,
                               (int64_t[]){4, 4, 4, 4});
    gs_node_output(n, i, y);
    y->is_output = true;
    *gs_push(a, &g->output) = y;
  }
  for (int i = 0; i < f->attr.n; i++) choose_attribute(s, g, n, &f->attr.at[i]);
  gs_node_set_int(g, n, "blocks", 2);
  gs_node_set_ints(g, n, "dims", dims, 1);
  gs_node_set_ints(g, n, "parts", parts, 1);
  return g;
}

/* Operands are left out that go together with others: no node is like that. */
static bool is_odd(const gs_err *e) {
  return strstr(e->diag[0].text, "left out") ||
         strstr(e->diag[0].text, "absent operand") ||
         strstr(e->diag[0].text, "is missing");
}

/* Whether it was expanded; there may be no form of it. */
static bool try_form(sample *s, gs_arena *a) {
  gs_err e;
  gs_expander x = {.functions = &all};
  gs_err_init(&e);
  gs_graph *g = sample_graph(a, s);
  gs_node *n = g->node.at[0];
  g->node.n = 0;
  gs_status status = gs_expand_by(&x, g, n, s->f, &e);
  ck_assert_msg(!status || status == GS_UNSUPPORTED || is_odd(&e), "%s: %s",
                s->f->name, e.n ? e.diag[0].text : "");
  for (int i = 0; i < g->node.n && !status; i++)
    ck_assert_msg(g->node.at[i]->op != NULL, "%s: %s has no row", s->f->name,
                  g->node.at[i]->op_type);
  for (int i = 0; i < g->output.n && !status; i++)
    ck_assert_msg(g->output.at[i]->def && g->output.at[i]->def != n,
                  "%s: '%s' is not made", s->f->name, g->output.at[i]->name);
  gs_err_free(&e);
  return !status;
}

enum { MOST_WAYS = 2000 };

START_TEST(every_form) {
  sample s = {0};
  unsigned good = 0;
  gs_arena a;
  gs_arena_init(&a);
  for (unsigned k = 0; !s.choice && k < MOST_WAYS; k++) {
    s = (sample){.f = &all.form[GS_FN_SPLIT].at[_i], .choice = k};
    good += try_form(&s, &a);
    gs_arena_reset(&a);
  }
  gs_arena_free(&a);
  ck_assert_msg(good, "%s: no form of it is expanded", s.f->name);
}
END_TEST

int main(int argc, char **argv) {
  suite_arguments(argc, argv);
  setup();
  int n = all.form[GS_FN_SPLIT].n;
  teardown();
  TCase *t = tcase_create("split");
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, kinds_have_forms);
  tcase_add_test(t, every_line);
  tcase_add_loop_test(t, every_form, 0, n);
  return suite_run("split", t);
}
