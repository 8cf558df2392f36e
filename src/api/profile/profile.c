#include "api/profile/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "op/core/moves.h"
#include "op/core/op.h"
#include "pass/reshard/cost.h"

/* ---- what a step has to do ---- */

static double bytes_of(const gs_value *v) {
  if (!v || gs_value_dynamic(v)) return 0;
  return (double)gs_value_bytes(v);
}

static double flops_of(const gs_node *n) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_rule *r = GS_NEW(&a, gs_rule);
  double flops = 0;
  if (n->op && !gs_rule_of(&a, n, r, &e)) {
    int64_t size[GS_MAX_FACTORS];
    for (int f = 0; f < r->nfactor; f++) size[f] = r->factor[f].size;
    flops = gs_op_flops(n->op, r, size);
  }
  gs_err_free(&e);
  gs_arena_free(&a);
  return flops;
}

static void work_of(const gs_mesh *m, gs_profile_row *row) {
  static const gs_mesh none;
  const gs_node *n = row->node;
  for (int i = 0; i < n->nin; i++) row->bytes += bytes_of(n->in[i]);
  for (int i = 0; i < n->nout; i++) row->bytes += bytes_of(n->out[i]);
  row->flops = flops_of(n);
  row->price = gs_cost_local(m ? m : &none, row->flops, row->bytes);
}

/* ---- rows ---- */

static int slower(const void *a, const void *b) {
  const gs_profile_row *x = a, *y = b;
  if (x->seconds != y->seconds) return x->seconds < y->seconds ? 1 : -1;
  return (x->step > y->step) - (x->step < y->step);
}

static gs_profile_row step_row(const gs_program *p, const gs_timing *t,
                               int s) {
  const gs_step *step = &p->step.at[s];
  const gs_lap *l = &t->lap[s];
  double runs = (double)t->counted;
  gs_profile_row row = {.op = step->node->op_type, .node = step->node,
                        .step = s, .steps = 1, .seconds = l->seconds / runs,
                        .least = l->least, .waited = l->waited / runs};
  row.collective = step->kind == GS_STEP_COLLECTIVE;
  if (row.collective) row.bytes = (double)l->sent / runs;
  else if (step->kind == GS_STEP_KERNEL) work_of(p->g->mesh, &row);
  return row;
}

/* Adds a step to the row of its operator. */
static void add_to_op(gs_arena *a, gs_profile *out, const gs_profile_row *s) {
  gs_profile_row *row = NULL;
  for (int i = 0; i < out->op.n && !row; i++)
    if (!strcmp(out->op.at[i].op, s->op) &&
        out->op.at[i].collective == s->collective)
      row = &out->op.at[i];
  if (!row) {
    row = gs_push(a, &out->op);
    *row = (gs_profile_row){.op = s->op, .step = s->step,
                            .collective = s->collective};
  }
  row->steps++;
  row->seconds += s->seconds;
  row->least += s->least;
  row->waited += s->waited;
  row->flops += s->flops;
  row->bytes += s->bytes;
  row->price += s->price;
}

void gs_profile_of(gs_arena *a, const gs_program *p, const gs_timing *t,
                   gs_profile *out) {
  gs_assert(t && t->counted > 0);
  *out = (gs_profile){.runs = t->counted, .warm = t->runs > 1};
  for (int s = 0; s < p->step.n; s++) {
    if (p->step.at[s].once) continue;
    gs_profile_row *row = gs_push(a, &out->step);
    *row = step_row(p, t, s);
    out->seconds += row->seconds;
    out->waited += row->waited;
    if (row->collective) out->collectives += row->seconds;
    add_to_op(a, out, row);
  }
  qsort(out->step.at, (size_t)out->step.n, sizeof *out->step.at, slower);
  qsort(out->op.at, (size_t)out->op.n, sizeof *out->op.at, slower);
}

/* ---- as text ---- */

/* A rate in 10^9 a second, or a dash. */
static void add_rate(gs_buf *b, double n, double seconds) {
  if (n > 0 && seconds > 0) gs_buf_printf(b, " %8.2f", n / seconds / 1e9);
  else gs_buf_printf(b, " %8s", "-");
}

static void add_row(gs_buf *b, const gs_profile_row *r, double all) {
  gs_assert(r->steps > 0 && r->waited <= r->seconds * (1 + 1e-9) + 1e-9);
  gs_buf_printf(b, "%10.3f %5.1f%%", r->seconds * 1e3,
                all > 0 ? r->seconds / all * 100 : 0);
  add_rate(b, r->flops, r->seconds);
  add_rate(b, r->bytes, r->seconds);
  if (r->price > 0 && r->seconds > 0)
    gs_buf_printf(b, " %8.2f", r->price / r->seconds);
  else gs_buf_printf(b, " %8s", "-");
  gs_buf_printf(b, "  %s", gs_text(b->arena, r->op));
}

static const char heading[] =
    "        ms  share   Gop/s     GB/s    model  ";

void gs_profile_text(gs_buf *b, const gs_profile *p, const char *binding,
                     int most) {
  gs_buf_str(b, "profile: device 0, ");
  if (binding)
    gs_buf_printf(b, "binding '%s', ", gs_text(b->arena, binding));
  if (p->warm)
    gs_buf_printf(b, "mean of %lld run%s after the first: ",
                  (long long)p->runs, p->runs == 1 ? "" : "s");
  else gs_buf_str(b, "one run: ");
  gs_buf_printf(b,
                "%.3f ms in %d steps, of which %.3f ms in collectives "
                "(%.3f ms waiting)\n",
                p->seconds * 1e3, p->step.n, p->collectives * 1e3,
                p->waited * 1e3);
  gs_buf_printf(b, "%soperator (steps)\n", heading);
  for (int i = 0; i < p->op.n; i++) {
    add_row(b, &p->op.at[i], p->seconds);
    gs_buf_printf(b, " (%d)\n", p->op.at[i].steps);
  }
  gs_buf_printf(b, "%sstep: operator, name\n", heading);
  for (int i = 0; i < p->step.n && i < most; i++) {
    const gs_profile_row *r = &p->step.at[i];
    add_row(b, r, p->seconds);
    gs_buf_printf(b, ", %s\n", gs_node_place(b->arena, r->node));
  }
  if (p->step.n > most)
    gs_buf_printf(b, "  and %d faster steps (--json has all)\n",
                  p->step.n - most);
}

static void add_json(gs_buf *b, const gs_profile_row *r) {
  gs_buf_str(b, "{\"op\": ");
  gs_buf_json(b, r->op);
  if (r->node) {
    gs_buf_printf(b, ", \"step\": %d, \"node\": ", r->step + 1);
    gs_buf_json(b, r->node->name);
  } else {
    gs_buf_printf(b, ", \"steps\": %d", r->steps);
  }
  gs_buf_printf(b,
                ", \"ms\": %.6f, \"min_ms\": %.6f, \"wait_ms\": %.6f, "
                "\"operations\": %.0f, \"%s\": %.0f",
                r->seconds * 1e3, r->least * 1e3, r->waited * 1e3, r->flops,
                r->collective ? "bytes_sent" : "bytes", r->bytes);
  if (r->price > 0) gs_buf_printf(b, ", \"model_ms\": %.6f", r->price * 1e3);
  gs_buf_char(b, '}');
}

void gs_profile_json(gs_buf *b, const gs_profile *p, const char *binding) {
  gs_buf_str(b, "{\"device\": 0, ");
  if (binding) {
    gs_buf_str(b, "\"binding\": ");
    gs_buf_json(b, binding);
    gs_buf_str(b, ", ");
  }
  gs_buf_printf(b,
                "\"runs\": %lld, \"ms\": %.6f, "
                "\"collectives_ms\": %.6f, \"wait_ms\": %.6f, "
                "\"operators\": [",
                (long long)p->runs, p->seconds * 1e3, p->collectives * 1e3,
                p->waited * 1e3);
  for (int i = 0; i < p->op.n; i++) {
    if (i) gs_buf_str(b, ", ");
    add_json(b, &p->op.at[i]);
  }
  gs_buf_str(b, "], \"steps\": [");
  for (int i = 0; i < p->step.n; i++) {
    if (i) gs_buf_str(b, ", ");
    add_json(b, &p->step.at[i]);
  }
  gs_buf_str(b, "]}");
}

/* ---- as a trace ---- */

static void add_event(gs_buf *b, const gs_program *p, const gs_turn_time *span,
                      int rank, int64_t device, double zero) {
  const gs_turn *turn = &p->turn.at[span->turn];
  gs_assert(span->turn < p->turn.n && span->end >= span->begin);
  const gs_node *n = p->step.at[turn->step].node;
  gs_buf_str(b, ",\n{\"name\": ");
  gs_buf_json(b, *n->name ? n->name : n->op_type);
  gs_buf_str(b, ", \"cat\": ");
  gs_buf_json(b, n->op_type);
  gs_buf_printf(b,
                ", \"ph\": \"X\", \"pid\": %d, \"tid\": %lld, \"ts\": %.3f, "
                "\"dur\": %.3f, \"args\": {\"step\": %d%s}}",
                rank, (long long)device, (span->begin - zero) * 1e6,
                (span->end - span->begin) * 1e6, turn->step + 1,
                turn->wait ? ", \"wait\": true" : "");
}

void gs_trace_events(gs_buf *b, const gs_program *p, const gs_timing *t,
                     int rank, int64_t device, double zero) {
  gs_buf_printf(b,
                ",\n{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": %d, "
                "\"tid\": %lld, \"args\": {\"name\": \"device %lld\"}}",
                rank, (long long)device, (long long)device);
  for (const gs_turn_times *s = t->span; s; s = s->next)
    for (int i = 0; i < s->n; i++)
      add_event(b, p, &s->at[i], rank, device, zero);
}
