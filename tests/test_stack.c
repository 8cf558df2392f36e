/* Equal branches over different weights, stacked, after rows that data decide
 * have got places; packed products, cut.
 *
 * Cases (see cases.h) are graphs in text form, a line "capacity N" before, or
 * lines "segments DIM SIZE,.. NAME" of what is cut as that says; then expected
 * is the graph after all passes.  Each is run before and after on
 * integers: the same bytes, but with a capacity. */
#include "cases.h"
#include "graphs.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "pass/prepare/infer.h"
#include "pass/stack/rows.h"
#include "pass/stack/stack.h"
#include "pass/segments/segments.h"

enum { MAX_OUT = 8 };

static gs_status load(gs_arena *a, char *text, gs_graph **g, gs_err *e) {
  gs_random r = {.seed = 3, .integers = true};
  GS_TRY(graph_read(a, text, "case", g, e));
  for (int i = 0; i < (*g)->value.n; i++) {
    gs_value *v = (*g)->value.at[i];
    if (!v->constant || v->constant->data) continue;
    gs_tensor *t;
    GS_TRY(gs_random_tensor(a, v->name, v->dtype, v->rank, v->dims, &r, &t, e));
    v->constant = t;
  }
  must((*g)->output.n <= MAX_OUT, "fewer outputs");
  return gs_pass_infer(a, *g, NULL, e);
}

static gs_status execute(gs_arena *a, const gs_graph *g, gs_tensor **out,
                         gs_err *e) {
  gs_exec_config how = {.ndevice = 1, .threads = 1};
  gs_random r = {.seed = 5, .integers = true};
  return graph_execute(a, g, &how, &r, 1, out, e);
}

/* Takes the lines "segments ..." from the head of *text. */
static void take_given(gs_arena *a, char **text, gs_buf *lines) {
  gs_buf_init(lines, a);
  gs_buf_str(lines, "");
  while (!strncmp(*text, "segments ", 9)) {
    char *end = strchr(*text, '\n');
    gs_buf_printf(lines, "%.*s\n", (int)(end - *text - 9), *text + 9);
    *text = end + 1;
  }
}

/* Cuts what these lines say; their text comes back from the list. */
static gs_status cut_given(gs_arena *a, gs_graph *g, const char *lines,
                           gs_err *e) {
  gs_segment_list given;
  if (!gs_segments_parse(a, g, lines, &given))
    return gs_fail(e, GS_DATA, NULL, "these are no segments of the graph");
  gs_buf again;
  gs_buf_init(&again, a);
  gs_buf_printf(&again, "%s\n", gs_segments_text(a, &given));
  must(!given.n || !strcmp(again.at, lines), "the text of the list");
  return gs_pass_segments_given(g, &given, e);
}

static gs_status stack_and_run(gs_arena *a, char *text, gs_buf *b,
                               gs_err *e) {
  gs_tensor *before[MAX_OUT], *after[MAX_OUT];
  gs_graph *g;
  gs_rows rows;
  gs_stacks stacks;
  int cut;
  long long capacity = 0;
  if (sscanf(text, "capacity %lld", &capacity) == 1)
    text = strchr(text, '\n') + 1;
  gs_buf given;
  take_given(a, &text, &given);
  GS_TRY(load(a, text, &g, e));
  GS_TRY(execute(a, g, before, e));
  GS_TRY(gs_pass_rows(g, capacity, &rows, e));
  GS_TRY(gs_pass_stack(g, &stacks, e));
  GS_TRY(cut_given(a, g, given.at, e));
  GS_TRY(gs_pass_segments(g, &cut, e));
  gs_graph_print(b, g);
  if (rows.count) gs_buf_printf(b, "# %d with places\n", rows.count);
  if (!cut) gs_buf_printf(b, "# %d stacked\n", stacks.weights);
  else gs_buf_printf(b, "# %d cut\n", cut);
  GS_TRY(execute(a, g, after, e));
  for (int i = 0; i < g->output.n; i++) {
    gs_comparison c;
    gs_tolerance exact = {0};
    GS_TRY(gs_compare(after[i], before[i], &exact, &c, e));
    if (!c.equal && !capacity) gs_buf_printf(b, "output %d differs\n", i);
  }
  return GS_OK;
}

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  gs_err e;
  gs_err_init(&e);
  gs_status s = stack_and_run(a, text, b, &e);
  if (s) gs_buf_printf(b, "error %d: %s\n", s, e.diag[0].text);
  gs_err_free(&e);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "stack", run_case, NULL);
}
