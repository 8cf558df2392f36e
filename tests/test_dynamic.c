/* Values whose size or kind is known at run time only, strings, and control
 * flow.
 *
 * Cases (see cases.h) are graphs in text form; lines "give x : f32[2] = [1,2]"
 * after them are the inputs.  Expected are the outputs as inference knows them
 * and as they come out, or the error.  Every case also runs twice, is printed
 * and parsed again, and runs as a program for two devices, with the same
 * outputs; when it is over no dynamic value is left but those of the outputs.
 */
#include "cases.h"
#include "check/compare.h"
#include "exec/run/exec.h"
#include "ir/text/graph_text.h"
#include "kernel/core/convert.h"
#include "pass/prepare/infer.h"
#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"
#include "pass/prepare/upgrade.h"

enum { MAX_STEPS = 1 << 20 };

/* ---- printing ---- */

static void print_element(gs_buf *b, const gs_tensor *t, int64_t i) {
  const gs_dtype_info *info = gs_dtype_get((int)t->dtype);
  double f;
  if (t->dtype == GS_STRING) {
    gs_buf_printf(b, "\"%.*s\"", (int)t->strings[i].n,
                  t->strings[i].n ? t->strings[i].at : "");
    return;
  }
  gs_convert(GS_DOUBLE, &f, t->dtype,
             (const char *)gs_tensor_bytes(t) + i * info->bits / 8, 1, NULL);
  gs_buf_printf(b, "%g", f);
}

static void print_dyn(gs_buf *b, const gs_dyn *x) {
  gs_buf_printf(b, "%s", gs_dyn_text(b->arena, x));
  if (x->kind != GS_TENSOR) {
    gs_buf_printf(b, " of %d", x->n);
    for (int i = 0; i < x->n; i++) {
      gs_buf_str(b, i ? "; " : ": ");
      print_dyn(b, x->item[i]);
    }
    return;
  }
  int64_t n = gs_tensor_count(&x->t);
  gs_buf_str(b, " = [");
  for (int64_t i = 0; i < n; i++) {
    if (i) gs_buf_str(b, ", ");
    print_element(b, &x->t, i);
  }
  gs_buf_char(b, ']');
}

static void print_error(gs_buf *b, gs_status s, const gs_err *e) {
  gs_buf_printf(b, "error %d", s);
  for (int i = 0; i < e->n; i++)
    gs_buf_printf(b, ": %s%s%s", e->diag[i].place ? e->diag[i].place : "",
                  e->diag[i].place ? ": " : "", e->diag[i].text);
  gs_buf_char(b, '\n');
}

/* ---- running ---- */

static int held(const gs_dyn *b) {
  int n = 1;
  for (int i = 0; i < b->n; i++) n += held(b->item[i]);
  return n;
}

/* What lives in the heap of each device is what its outputs hold. */
static void check_boxes(const gs_exec *x, const gs_graph *g) {
  for (int64_t i = 0; i < x->n; i++) {
    const gs_device *d = &x->device[i];
    int live = 0, wanted = 0;
    for (const gs_dyn *b = d->heap->first; b; b = b->next) live++;
    for (int k = 0; k < g->output.n; k++) {
      const gs_dyn *b = d->dyn ? d->dyn[g->output.at[k]->id] : NULL;
      if (b && b->heap) wanted += held(b);
    }
    must(live <= wanted, "no dynamic value is left");
  }
}

static gs_status execute(gs_arena *a, const gs_graph *g, const gs_graph *given,
                         int64_t devices, gs_dyn ***out, gs_err *e) {
  gs_exec_config config = {
      .graph = &g, .ngraph = 1, .ndevice = devices, .threads = 1,
      .verify = true};
  gs_exec *x;
  *out = GS_NEWS(a, g->output.n, gs_dyn *);
  gs_status s = gs_exec_new(&config, &x, e);
  for (int i = 0; i < g->input.n && !s; i++) {
    const char *name = g->input.at[i]->name;
    const gs_value *v = gs_graph_find(given, name);
    must(v != NULL, name);
    s = gs_exec_input(x, name, v->constant, e);
  }
  for (int i = 0; i < 2 && !s; i++) s = gs_exec_run(x, e);
  for (int i = 0; i < g->output.n && !s; i++)
    s = gs_exec_result(x, a, i, &(*out)[i], e);
  if (!s) check_boxes(x, g);
  gs_exec_free(x);
  return s;
}

/* The graph and its inputs. */
static gs_status open_case(gs_arena *a, const char *text, gs_graph **g,
                           gs_graph **given, gs_err *e) {
  gs_buf graph, gives;
  gs_buf_init(&graph, a);
  gs_buf_init(&gives, a);
  gs_buf_str(&gives, "");
  for (const char *s = text; *s;) {
    size_t n = strcspn(s, "\n");
    bool give = !strncmp(s, "give ", 5);
    gs_buf_printf(give ? &gives : &graph, "%s%.*s\n", give ? "constant " : "",
                  (int)n - (give ? 5 : 0), s + (give ? 5 : 0));
    s += n + (s[n] != 0);
  }
  GS_TRY(gs_graph_parse(a, gives.at, "inputs", given, e));
  GS_TRY(gs_graph_parse(a, graph.at, "graph", g, e));
  for (int i = 0; i < (*g)->node.n; i++)
    if (!(*g)->node.at[i]->opset) (*g)->node.at[i]->opset = 20;
  return GS_OK;
}

static void set_opsets(gs_graph *g) {
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->opset = 20;
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].kind == GS_ATTR_GRAPH) set_opsets(n->attr[k].g);
  }
}

static gs_status prepare(gs_arena *a, const char *text, gs_graph **g,
                         gs_graph **given, gs_err *e) {
  GS_TRY(open_case(a, text, g, given, e));
  set_opsets(*g);
  GS_TRY(gs_pass_upgrade(*g, e));
  GS_TRY(gs_pass_infer(a, *g, NULL, e));
  return gs_graph_check(*g, e);
}

static void check_text(gs_arena *a, const gs_graph *g) {
  gs_buf once, twice;
  gs_graph *again;
  gs_err e;
  gs_err_init(&e);
  gs_buf_init(&once, a);
  gs_buf_init(&twice, a);
  gs_graph_print(&once, g);
  gs_status s = gs_graph_parse(a, once.at, "printed", &again, &e);
  if (s) gs_err_print(&e, stderr, once.at, false);
  must(!s, "a graph that was printed can be read");
  gs_graph_print(&twice, again);
  must(!strcmp(once.at, twice.at), "it prints as it was read");
  gs_err_free(&e);
}

/* Over two devices, with every input split that can be. */
static gs_status run_split(gs_arena *a, const char *text, gs_dyn ***out,
                           gs_err *e) {
  gs_graph *g, *given;
  gs_mesh *m = GS_NEW(a, gs_mesh);
  gs_propagate_input none = {0};
  gs_propagation done;
  gs_partition made;
  GS_TRY(prepare(a, text, &g, &given, e));
  GS_TRY(gs_mesh_parse("{p=2}", a, m, e));
  g->mesh = m;
  for (int i = 0; i < g->input.n; i++) {
    gs_value *v = g->input.at[i];
    if (v->rank < 1 || gs_value_dynamic(v)) continue;
    v->sharding = gs_sharding_new(a, v->rank, true);
    v->sharding->dim[0].axes = gs_axes_named(m, 0);
  }
  GS_TRY(gs_pass_propagate(a, g, &none, &done, e));
  GS_TRY(gs_pass_partition(a, g, &made, e));
  check_text(a, made.program);
  return execute(a, made.program, given, 2, out, e);
}

static void compare(const gs_graph *g, gs_dyn **got, gs_dyn **want) {
  for (int i = 0; i < g->output.n; i++) {
    gs_tolerance exact = {0};
    gs_comparison c;
    must(!gs_compare_dyn(got[i], want[i], &exact, &c, NULL, NULL) && c.equal,
         "split and whole outputs are the same");
  }
}

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  gs_graph *g, *given;
  gs_dyn **whole, **split;
  gs_err e;
  gs_err_init(&e);
  gs_status s = prepare(a, text, &g, &given, &e);
  if (!s) check_text(a, g);
  if (!s) s = execute(a, g, given, 1, &whole, &e);
  if (s) {
    print_error(b, s, &e);
  } else {
    for (int i = 0; i < g->output.n; i++) {
      const gs_value *v = g->output.at[i];
      gs_buf_printf(b, "%s : %s -> ", v->name,
                    gs_shape_text(a, v->dtype, v->rank, v->dims));
      print_dyn(b, whole[i]);
      gs_buf_char(b, '\n');
    }
    s = run_split(a, text, &split, &e);
    if (s) print_error(b, s, &e);
    else compare(g, split, whole);
  }
  gs_err_free(&e);
}

/* A loop that runs long keeps no more memory than one that runs once. */
START_TEST(long_loop) {
  static const char text[] =
      "input n : i64[]\ninput x : f32[4]\n"
      "y = Loop(n, _, x) body={\n"
      "input i : i64[]\ninput on : bool[]\ninput v : f32[4]\n"
      "constant k : i64[1] = [-1]\n"
      "d = Shape(v)\nr = Reshape(v, k)\nz = NonZero(r)\nw = Relu(v)\n"
      "output on\noutput w\n}\noutput y\n"
      "give n : i64[] = [20000]\ngive x : f32[4] = [1,-2,3,0]\n";
  gs_arena a;
  gs_err e;
  gs_graph *g, *given;
  gs_dyn **out;
  gs_arena_init(&a);
  gs_err_init(&e);
  ck_assert_int_eq(prepare(&a, text, &g, &given, &e), GS_OK);
  ck_assert_int_eq(execute(&a, g, given, 1, &out, &e), GS_OK);
  ck_assert_int_lt((long)a.total, MAX_STEPS);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

static void add_more(TCase *t) {
  tcase_add_test(t, long_loop);
  tcase_set_timeout(t, 1200);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "dynamic", run_case, add_more);
}
