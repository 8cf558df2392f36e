/* Reports as JSON. */
#include "api/shard/report.h"

static void json_rules(gs_buf *b, const gs_report *r) {
  gs_buf_str(b, "  \"rules\": [");
  for (int i = 0; r->match && i < r->spec->rule.n; i++) {
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    gs_report_pair(b, "rule", gs_rule_origin(b->arena, r->spec, i), ", ");
    gs_buf_printf(b, "\"matched\": %lld, \"used\": %lld}",
                  (long long)r->match->rule[i].matched,
                  (long long)r->match->rule[i].used);
  }
  gs_buf_str(b, "\n  ],\n");
}

static void json_tensors(gs_buf *b, const gs_report *r) {
  gs_buf_str(b, "  \"tensors\": [");
  for (int i = 0; i < r->graph->value.n; i++) {
    const gs_value *v = r->graph->value.at[i];
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    gs_report_pair(b, "name", v->name, ", ");
    gs_report_pair(b, "dtype", gs_dtype_get(v->dtype)->text, ", \"dims\": [");
    for (int d = 0; d < v->rank; d++)
      gs_buf_printf(b, "%s%lld", d ? ", " : "", (long long)v->dims[d]);
    gs_buf_str(b, "], ");
    gs_report_pair(b, "sharding",
                   gs_sharding_text(b->arena, r->graph->mesh, v->sharding),
                   ", ");
    gs_report_pair(b, "origin", gs_report_origin(b->arena, r, v), ", ");
    int64_t bytes = gs_sharding_bytes(r->graph->mesh, v->sharding, v->dtype,
                                      v->dims);
    if (gs_report_held_whole(r, v)) {
      gs_report_pair(b, "held", "whole, small", ", ");
      bytes = (int64_t)gs_report_whole_bytes(v);
    }
    gs_buf_printf(b, "\"bytes_per_device\": %lld}",
                  (long long)(bytes < 0 ? 0 : bytes));
  }
  gs_buf_str(b, "\n  ],\n");
}

static void json_uneven(gs_buf *b, const gs_report *r) {
  gs_uneven_list list = gs_report_uneven(b->arena, r);
  gs_buf_str(b, "  \"uneven\": [");
  for (int i = 0; i < list.n; i++) {
    const gs_uneven_dim *u = &list.at[i];
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    gs_report_pair(b, "tensor", u->value->name, ", ");
    gs_buf_printf(b, "\"dim\": %d, \"size\": %lld, \"shards\": %lld, "
                  "\"block\": %lld, \"last\": %lld, \"empty\": %lld}", u->dim,
                  (long long)u->size, (long long)u->shards,
                  (long long)u->block, (long long)u->last,
                  (long long)u->empty);
  }
  gs_buf_str(b, "\n  ],\n");
}

static void list_collectives(gs_buf *b, const gs_report *r) {
  const gs_partition *p = r->partition;
  for (int i = 0; i < p->collective.n; i++) {
    const gs_collective *c = &p->collective.at[i];
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    gs_report_pair(b, "op", c->op, ", ");
    gs_report_pair(b, "axes",
                   gs_report_axes_text(b->arena, r->graph->mesh, &c->axes),
                   ", ");
    gs_report_pair(b, "tensor", c->value->name, ", ");
    gs_report_pair(b, "from", c->from, ", ");
    gs_report_pair(b, "to", c->to, ", ");
    gs_report_pair(b, "node", c->node ? gs_node_place(b->arena, c->node) : "",
                   ", ");
    gs_report_pair(b, "origin", gs_report_cause(b->arena, r, c), ", ");
    gs_buf_printf(b, "\"bytes_per_device\": %.0f, \"seconds\": %.3g}",
                  c->bytes, c->seconds);
  }
}

static void json_collectives(gs_buf *b, const gs_report *r) {
  const gs_partition *p = r->partition;
  gs_buf_str(b, "  \"collectives\": [");
  list_collectives(b, r);
  gs_buf_str(b, "\n  ],\n  \"fallbacks\": [");
  for (int i = 0; i < p->fallback.n; i++) {
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    const gs_fallback *f = &p->fallback.at[i];
    gs_report_pair(b, "node", f->node ? gs_node_place(b->arena, f->node) : "",
                   ", ");
    gs_report_pair(b, "tensor", f->value->name, ", ");
    gs_report_pair(b, "reason", f->reason, ", ");
    gs_buf_printf(b, "\"whole\": %s, \"bytes_per_device\": %.0f}",
                  f->whole ? "true" : "false", f->bytes);
  }
  gs_buf_str(b, "\n  ],\n");
}

static void json_choices(gs_buf *b, const gs_report *r) {
  if (!r->fill) return;
  gs_buf_printf(b, "  \"auto\": {\n    \"seconds_before\": %.3g,\n"
                "    \"bytes_per_device_before\": %.0f,\n"
                "    \"stacked\": %s,\n"
                "    \"choices\": [", r->fill->before.seconds,
                r->fill->before.bytes, r->stacked ? "true" : "false");
  for (int i = 0; i < r->fill->choice.n; i++) {
    const gs_auto_shard_choice *c = &r->fill->choice.at[i];
    gs_buf_str(b, i ? ",\n      {" : "\n      {");
    gs_report_pair(b, "axis", r->graph->mesh->axis[c->axis].name, ", ");
    gs_buf_str(b, "\"tensors\": [");
    for (int k = 0; k < c->n; k++) {
      gs_buf_str(b, k ? ", {" : "{");
      gs_report_pair(b, "name", c->value[k]->name, ", ");
      gs_buf_printf(b, "\"dim\": %d}", c->dim[k]);
    }
    gs_buf_printf(b, "], \"seconds\": %.3g, \"bytes_per_device\": %.0f}",
                  c->after.seconds, c->after.bytes);
  }
  gs_buf_str(b, "\n    ]\n  },\n");
}

static void json_mesh(gs_buf *b, const gs_mesh *m) {
  gs_buf_printf(b, "  \"devices\": %lld,\n  \"mesh\": {",
                (long long)m->ndevice);
  for (int i = 0; i < m->naxis; i++) {
    gs_buf_str(b, i ? ", " : "");
    gs_buf_json(b, m->axis[i].name);
    gs_buf_printf(b, ": %lld", (long long)m->axis[i].size);
  }
  gs_buf_str(b, "},\n");
  if (!m->norder) return;
  gs_buf_str(b, "  \"orders\": {");
  for (int k = 0; k < m->norder; k++) {
    gs_buf_str(b, k ? ", " : "");
    gs_buf_json(b, m->axis[m->naxis + k].name);
    for (int64_t i = 0; i < m->ndevice; i++)
      gs_buf_printf(b, "%s%lld", i ? ", " : ": [",
                    (long long)m->order[1 + k].position[i]);
    gs_buf_char(b, ']');
  }
  gs_buf_str(b, "},\n");
}

static void json_bindings(gs_buf *b, const gs_report *r) {
  if (!r->binding) return;
  gs_buf_str(b, "  \"bindings\": [");
  for (int i = 0; i <= r->more.n; i++) {
    const gs_report *x = i ? r->more.at[i - 1] : r;
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    gs_report_pair(b, "name", x->binding, ", ");
    gs_buf_printf(b, "\"activation_bytes_per_device\": %.0f, "
                  "\"sent_bytes_per_device\": %.0f, "
                  "\"predicted_seconds\": %.3g, \"collectives\": [",
                  x->partition->peak_bytes, gs_report_count(x).sent,
                  x->partition->seconds);
    list_collectives(b, x);
    gs_buf_str(b, "]}");
  }
  gs_buf_str(b, "\n  ],\n");
}

void gs_report_json(gs_buf *b, const gs_report *r) {
  gs_report_totals t = gs_report_count(r);
  gs_buf_str(b, "{\n  \"version\": 1,\n  ");
  gs_report_pair(b, "tool", r->tool, ",\n");
  json_mesh(b, r->graph->mesh);
  json_rules(b, r);
  json_choices(b, r);
  json_tensors(b, r);
  json_uneven(b, r);
  json_collectives(b, r);
  json_bindings(b, r);
  gs_report_explained(b, r);
  gs_buf_printf(b,
                "  \"tensors_sharded\": %d,\n  \"tensors_replicated\": %d,\n"
                "  \"weight_bytes\": %.0f,\n"
                "  \"weight_bytes_per_device\": %.0f,\n"
                "  \"activation_bytes_per_device\": %.0f,\n"
                "  \"sent_bytes_per_device\": %.0f,\n"
                "  \"flops_per_device\": %.0f,\n"
                "  \"predicted_seconds\": %.3g\n}\n",
                t.sharded, t.replicated, t.weights, r->partition->weight_bytes,
                r->partition->peak_bytes, t.sent, r->partition->flops,
                r->partition->seconds);
}
