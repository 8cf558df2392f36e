/* Golden cases of communication (data/bytes.txt): a graph with the shardings
 * of its inputs and outputs in, its collectives and their bytes per device
 * out, for links so slow that bytes decide.
 *
 * A case says `# at most N bytes`, the least that is known to be enough.  One
 * that sends more has the line `more than N bytes` in what is expected: a gap
 * to be closed.  One with the line `# within tolerance` need only be equal
 * within what another order of sums makes.  Each is run on integers with slow
 * links and with the machine's own: the results must be those of the whole
 * graph and the bytes sent those predicted. */
#include "cases.h"
#include "graphs.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "pass/partition/partition.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"

static const double slow = 1e-6; /* Gbit/s: no latency shows beside it */

enum { MAX_OUT = 8 };

static gs_status load(gs_arena *a, const char *given, gs_graph **g,
                      gs_err *e) {
  GS_TRY(graph_read(a, given, "case", g, e));
  if ((*g)->output.n > MAX_OUT)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "more than %d outputs", MAX_OUT);
  return gs_pass_infer(a, *g, NULL, e);
}

static gs_status execute(gs_arena *a, const gs_graph *g, int64_t devices,
                         gs_tensor **out, uint64_t *sent, gs_err *e) {
  gs_exec_config config = {.graph = &g, .ngraph = 1, .ndevice = devices,
                           .threads = 1, .verify = true};
  gs_random r = {.seed = 5, .integers = true};
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, e);
  if (!s) s = graph_draw_inputs(a, g, &r, x, e);
  if (!s) s = gs_exec_run(x, e);
  if (!s && sent) *sent = gs_exec_sent(x);
  if (!s) s = graph_take_outputs(a, g, x, out, e);
  gs_exec_free(x);
  return s;
}

static gs_status whole(gs_arena *a, const char *given, gs_tensor **out,
                       gs_err *e) {
  gs_graph *g;
  GS_TRY(load(a, given, &g, e));
  for (int i = 0; i < g->value.n; i++) g->value.at[i]->sharding = NULL;
  g->mesh = NULL;
  return execute(a, g, 1, out, NULL, e);
}

static gs_status partition(gs_arena *a, const char *given, double gbps,
                           gs_graph **g, gs_partition *made, gs_err *e) {
  GS_TRY(load(a, given, g, e));
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  *mesh = *(*g)->mesh;
  for (int i = 0; i < mesh->naxis; i++) mesh->axis[i].gbps = gbps;
  (*g)->mesh = mesh;
  gs_propagate_input none = {0};
  gs_propagation done;
  GS_TRY(gs_pass_propagate(a, *g, &none, &done, e));
  return gs_pass_partition(a, *g, made, e);
}

static double bytes_of(const gs_partition *made) {
  double bytes = 0;
  for (int i = 0; i < made->collective.n; i++)
    bytes += made->collective.at[i].bytes;
  return bytes;
}

/* Runs the program; says what is not as it should be.  What is made of
 * statistics of several devices may say "# within tolerance". */
static gs_status check(gs_arena *a, const gs_graph *g, const gs_partition *made,
                       const char *given, gs_tensor **want, const char *links,
                       gs_buf *b, gs_err *e) {
  gs_tensor *got[MAX_OUT];
  uint64_t sent;
  GS_TRY(execute(a, made->program, g->mesh->ndevice, got, &sent, e));
  double bytes = bytes_of(made);
  if (bytes < (double)sent || bytes > (double)sent)
    gs_buf_printf(b, "%s: %.0f bytes predicted, %llu sent\n", links, bytes,
                  (unsigned long long)sent);
  for (int i = 0; i < g->output.n; i++) {
    gs_comparison c;
    gs_tolerance tol = {0};
    if (strstr(given, "# within tolerance\n"))
      tol = gs_tolerance_of(want[i]->dtype);
    GS_TRY(gs_compare(got[i], want[i], &tol, &c, e));
    if (!c.equal)
      gs_buf_printf(b, "%s: output %d differs\n", links, i);
  }
  return GS_OK;
}

static void print(gs_buf *b, const gs_graph *g, const gs_partition *made) {
  for (int i = 0; i < made->collective.n; i++) {
    const gs_collective *c = &made->collective.at[i];
    gs_buf_printf(b, "%s over ", c->op);
    gs_axes_print(b, g->mesh, &c->axes);
    gs_buf_printf(b, ": %s %s -> %s, %.0f bytes\n", c->value->name, c->from,
                  c->to, c->bytes);
  }
  gs_buf_printf(b, "%.0f bytes\n", bytes_of(made));
}

static gs_status both(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  gs_tensor *want[MAX_OUT];
  gs_graph *g;
  gs_partition made;
  GS_TRY(whole(a, given, want, e));
  GS_TRY(partition(a, given, slow, &g, &made, e));
  print(b, g, &made);
  GS_TRY(check(a, g, &made, given, want, "slow links", b, e));
  const char *line = strstr(given, "# at most ");
  char *end = NULL;
  double most = line ? strtod(line + strlen("# at most "), &end) : -1;
  if (!line || strncmp(end, " bytes\n", 7))
    gs_buf_str(b, "the case does not say how many bytes it may send\n");
  else if (bytes_of(&made) > most)
    gs_buf_printf(b, "more than %.0f bytes\n", most);
  GS_TRY(partition(a, given, 0, &g, &made, e));
  return check(a, g, &made, given, want, "the machine's links", b, e);
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, both);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "bytes", run_case, NULL);
}
