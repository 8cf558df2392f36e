/* Golden cases of blocks within windows (data/margins.txt): a graph with the
 * shardings of its inputs and outputs in; out, for each exchange of the
 * program for all devices, which operands lie in its result from the start and
 * which it copies, and the bytes of the arena.  Each is run on integers with
 * one thread and several, and verified: the results must be those of the whole
 * graph. */
#include "cases.h"
#include "graphs.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "exec/step/step.h"
#include "op/core/moves.h"
#include "pass/partition/partition.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"

static const double slow = 1e-6; /* Gbit/s: splits stay where they are */

enum { MAX_OUT = 8 };

static gs_status load(gs_arena *a, const char *given, gs_graph **g,
                      gs_err *e) {
  GS_TRY(graph_read(a, given, "case", g, e));
  if ((*g)->output.n > MAX_OUT)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "more than %d outputs", MAX_OUT);
  return gs_pass_infer(a, *g, NULL, e);
}

/* Twice, for the second run finds what the first has left. */
static gs_status execute(gs_arena *a, const gs_graph *g, int64_t devices,
                         int threads, gs_tensor **out, gs_err *e) {
  gs_exec_config how = {.ndevice = devices,
                        .threads = threads,
                        .schedule = threads > 1 ? GS_WAIT_LATE
                                                : GS_WAIT_NEXT};
  gs_random r = {.seed = 5, .integers = true};
  return graph_execute(a, g, &how, &r, 2, out, e);
}

static gs_status whole(gs_arena *a, const char *given, gs_tensor **out,
                       gs_err *e) {
  gs_graph *g;
  GS_TRY(load(a, given, &g, e));
  for (int i = 0; i < g->value.n; i++) g->value.at[i]->sharding = NULL;
  g->mesh = NULL;
  return execute(a, g, 1, 1, out, e);
}

/* The plan of one step, if it is an exchange. */
static void print_step(gs_buf *b, const gs_program *p, const gs_step *s) {
  const gs_move_info *move = gs_move_of(s->node->op);
  if (!move || move->effect != GS_EFFECT_EXCHANGE) return;
  const gs_value *y = s->node->out[0];
  int64_t dim = gs_node_int(s->node, "dim", -1);
  for (int k = 0; k < s->node->nin; k++) {
    const gs_value *x = s->node->in[k];
    if (!s->place || s->place[k] < 0) {
      gs_buf_printf(b, "%s is copied into %s\n", x->name, y->name);
      continue;
    }
    const gs_buffer *in = &p->buffer[x->id];
    while (!in->run) in = &p->buffer[in->root];
    gs_buf_printf(b, "%s lies in %s, dim %lld, from place %lld on%s\n",
                  x->name, y->name, (long long)dim, (long long)s->place[k],
                  in->pitch ? ", in runs" : "");
  }
}

static gs_status print(gs_arena *a, gs_buf *b, const gs_graph *g,
                       int64_t devices, gs_err *e) {
  gs_compile how = {.kinds = gs_step_kinds, .n = devices};
  gs_program *p;
  GS_TRY(gs_program_new(a, g, &how, &p, e));
  for (int i = 0; i < p->step.n; i++) print_step(b, p, &p->step.at[i]);
  gs_buf_printf(b, "arena of %zu bytes\n", p->arena_size);
  return GS_OK;
}

static gs_status compare(gs_tensor **got, gs_tensor **want, int n,
                         gs_buf *b, gs_err *e) {
  for (int i = 0; i < n; i++) {
    gs_comparison c;
    gs_tolerance exact = {0};
    GS_TRY(gs_compare(got[i], want[i], &exact, &c, e));
    if (!c.equal) gs_buf_printf(b, "output %d differs\n", i);
  }
  return GS_OK;
}

static gs_status try_case(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  gs_tensor *want[MAX_OUT], *got[MAX_OUT];
  gs_graph *g;
  gs_partition made;
  gs_propagate_input none = {0};
  gs_propagation done;
  GS_TRY(whole(a, given, want, e));
  GS_TRY(load(a, given, &g, e));
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  *mesh = *g->mesh;
  for (int i = 0; i < mesh->naxis; i++) mesh->axis[i].gbps = slow;
  g->mesh = mesh;
  GS_TRY(gs_pass_propagate(a, g, &none, &done, e));
  GS_TRY(gs_pass_partition(a, g, &made, e));
  int64_t devices = g->mesh->ndevice;
  GS_TRY(print(a, b, made.program, devices, e));
  const gs_graph *program = made.program;
  for (int threads = 1; threads <= 4; threads += 3) {
    GS_TRY(execute(a, program, devices, threads, got, e));
    GS_TRY(compare(got, want, g->output.n, b, e));
  }
  return GS_OK;
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, try_case);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "margins", run_case, NULL);
}
