/* Golden cases of the summary (data/report.txt): a graph with shardings in,
 * the summary of its program and the JSON of its fallbacks out. */
#include "api/shard/report.h"
#include "cases.h"
#include "graphs.h"
#include "pass/prepare/infer.h"

static gs_status report(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  gs_graph *g;
  GS_TRY(graph_read(a, given, "case", &g, e));
  GS_TRY(gs_pass_infer(a, g, NULL, e));
  gs_propagate_input none = {0};
  gs_propagation done;
  GS_TRY(gs_pass_propagate(a, g, &none, &done, e));
  gs_partition made;
  GS_TRY(gs_pass_partition(a, g, &made, e));
  gs_report r = {.tool = "gshard-partition",
                 .graph = g,
                 .propagation = &done,
                 .partition = &made};
  gs_report_summary(b, &r);
  gs_buf json;
  gs_buf_init(&json, a);
  gs_report_json(&json, &r);
  const char *from = strstr(json.at, "  \"fallbacks\"");
  const char *to = from ? strstr(from, "]") : NULL;
  must(to, "the report has fallbacks");
  gs_buf_printf(b, "%.*s]\n", (int)(to - from), from);
  return GS_OK;
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, report);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "report", run_case, NULL);
}
