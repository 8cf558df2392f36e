/* --explain as JSON. */
#include "api/shard/report.h"

/* ["dp", "tp:(1)2"] */
static void json_axes(gs_buf *b, const gs_report *r, const gs_axes *axes) {
  const gs_mesh *m = r->graph->mesh;
  gs_buf_char(b, '[');
  for (int i = 0; i < axes->n;) {
    gs_axes rest = gs_axes_tail(axes, i);
    gs_axes run = gs_axes_head(&rest, gs_axes_run(m, axes, i));
    gs_buf name;
    gs_buf_init(&name, b->arena);
    gs_axes_print(&name, m, &run);
    gs_buf_str(b, i ? ", " : "");
    gs_buf_json(b, name.at);
    i += run.n;
  }
  gs_buf_char(b, ']');
}

/* "node": .., "op_type": ..; null: none. */
static void json_node(gs_buf *b, const gs_node *n) {
  if (!n) {
    gs_buf_str(b, "\"node\": null, \"op_type\": null");
    return;
  }
  gs_report_pair(b, "node", n->name, ", ");
  gs_report_pair(b, "op_type", n->op_type, "");
}

/* The chain of a sub-axis from v to what states it. */
static void json_chain(gs_buf *b, const gs_report *r, const gs_value *v,
                       int axis) {
  const gs_origin *o;
  gs_buf_str(b, "\"origins\": [");
  while ((o = gs_propagation_origin(r->propagation, v, axis)) && o->from) {
    v = o->from;
    gs_buf_str(b, "\n          {");
    gs_report_pair(b, "tensor", v->name, ", ");
    json_node(b, o->via);
    gs_buf_str(b, "},");
  }
  gs_buf_str(b, "\n          {");
  gs_report_pair(b, "tensor", v->name, ", ");
  gs_report_pair(b, "stated_by", gs_report_axis_origin(b->arena, r, v, axis),
                 "}]");
}

static void json_split(gs_buf *b, const gs_report *r, const gs_value *v) {
  gs_buf_str(b, "      \"split\": [");
  for (int d = 0; d < v->sharding->rank; d++) {
    gs_buf_str(b, d ? ", " : "");
    json_axes(b, r, &v->sharding->dim[d].axes);
  }
  gs_buf_str(b, "],\n      \"axes\": [");
  gs_axes run;
  bool any = false;
  for (int d = 0; d < v->sharding->rank; d++)
    for (int i = 0; i < v->sharding->dim[d].axes.n; i += run.n) {
      run = gs_propagation_alike(r->propagation, v, d, i);
      gs_buf_printf(b, "%s\n        {\"dim\": %d, \"axes\": ",
                    any ? "," : "", d);
      json_axes(b, r, &run);
      gs_buf_str(b, ", ");
      json_chain(b, r, v, run.at[0]);
      gs_buf_char(b, '}');
      any = true;
    }
  gs_buf_str(b, "],\n");
}

/* Why v has no axes. */
static void json_replicated(gs_buf *b, const gs_report *r, const gs_value *v) {
  const gs_propagation *p = r->propagation;
  const gs_value *next;
  gs_buf_str(b, "      \"replicated\": {");
  if (gs_propagation_whole(p, v)) {
    const char *by = gs_report_origin(b->arena, r, v);
    gs_report_pair(b, "stated_by", *by ? by : "the model", "");
  } else {
    const gs_node *n = gs_propagation_stop(p, v, &next);
    if (n) {
      gs_report_pair(b, "tensor", next->name, ", ");
      json_node(b, n);
    }
  }
  gs_buf_str(b, "},\n");
}

static void json_moves(gs_buf *b, const gs_report *r, const gs_value *v) {
  bool any = false;
  gs_buf_str(b, "      \"collectives\": [");
  for (int i = 0; i < r->partition->collective.n; i++) {
    const gs_collective *c = &r->partition->collective.at[i];
    if (c->value != v) continue;
    gs_buf_str(b, any ? ",\n        {" : "\n        {");
    any = true;
    gs_report_pair(b, "kind", c->op, ", \"axes\": ");
    json_axes(b, r, &c->axes);
    gs_buf_printf(b, ", \"bytes\": %.0f, ", c->bytes);
    gs_report_pair(b, "from", c->from, ", ");
    gs_report_pair(b, "to", c->to, ", \"needed_by\": ");
    gs_buf_str(b, c->node ? "{" : "null");
    if (c->node) {
      json_node(b, c->node);
      gs_buf_char(b, '}');
    }
    const gs_value *by =
        c->axes.n ? gs_report_carrier(c, c->axes.at[0]) : NULL;
    if (by && by != v) { /* else the axes of v tell it */
      gs_buf_str(b, ",\n         ");
      gs_report_pair(b, "carrier", by->name, ", ");
      json_chain(b, r, by, c->axes.at[0]);
    }
    gs_buf_char(b, '}');
  }
  gs_buf_char(b, ']');
}

void gs_report_explained(gs_buf *b, const gs_report *r) {
  if (!r->explain.n) return;
  gs_buf_str(b, "  \"explained\": [");
  for (int i = 0; i < r->explain.n; i++) {
    const gs_value *v = r->explain.at[i];
    gs_buf_str(b, i ? ",\n    {" : "\n    {");
    gs_report_pair(b, "tensor", v->name, ",\n      ");
    gs_report_pair(b, "sharding",
                   gs_sharding_text(b->arena, r->graph->mesh, v->sharding),
                   ",\n");
    json_split(b, r, v);
    if (!gs_sharding_used(v->sharding)) json_replicated(b, r, v);
    if (gs_report_held_whole(r, v))
      gs_report_pair(b, "held", "whole, small", ",\n");
    json_moves(b, r, v);
    gs_buf_char(b, '}');
  }
  gs_buf_str(b, "\n  ],\n");
}
