#include "api/shard/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/data/bytes.h"
#include "base/math.h"
#include "base/text.h"

/* Of a note "dp=TEXT; tp=TEXT" the text for that axis; else all of it. */
static char *noted_for(gs_arena *a, const char *note, const char *axis) {
  size_t n = strlen(axis);
  for (const char *at = note; at; at = strstr(at, "; ")) {
    if (at != note) at += 2;
    if (strncmp(at, axis, n) || at[n] != '=') continue;
    const char *end = strstr(at, "; ");
    at += n + 1;
    return gs_strndup(a, at, end ? (size_t)(end - at) : strlen(at));
  }
  return gs_strdup(a, note);
}

char *gs_report_axis_origin(gs_arena *a, const gs_report *r,
                            const gs_value *v, int axis) {
  int rule = gs_propagation_axis_rule(r->propagation, v, axis);
  bool told = rule >= 0 || rule == GS_RULE_FILL || rule == GS_RULE_SHORT;
  if (told && r->spec) return gs_rule_origin(a, r->spec, rule);
  const char *note = NULL;
  if (r->model)
    note = gs_model_graph_meta(r->model,
                               gs_sprintf(a, "gshard.origin:%s", v->name));
  const gs_mesh *m = r->graph->mesh;
  if (note && *note) return noted_for(a, note, m->axis[m->sub[axis].axis].name);
  return gs_strdup(a, "the model");
}

char *gs_report_origin(gs_arena *a, const gs_report *r, const gs_value *v) {
  const gs_mesh *m = r->graph->mesh;
  gs_axes used = gs_axes_of(gs_sharding_used(v->sharding));
  if (!used.n) {
    int rule = gs_propagation_rule(r->propagation, v);
    if (rule >= 0 && r->spec) return gs_rule_origin(a, r->spec, rule);
    return gs_strdup(a, "");
  }
  char *first = gs_report_axis_origin(a, r, v, used.at[0]);
  bool same = true;
  for (int i = 1; i < used.n; i++)
    if (strcmp(first, gs_report_axis_origin(a, r, v, used.at[i]))) same = false;
  if (same) return first;
  gs_buf b;
  gs_buf_init(&b, a);
  for (int i = 0; i < used.n; i++) {
    int axis = m->sub[used.at[i]].axis;
    if (i && axis == m->sub[used.at[i - 1]].axis) continue;
    gs_buf_printf(&b, "%s%s=%s", i ? "; " : "", m->axis[axis].name,
                  gs_report_axis_origin(a, r, v, used.at[i]));
  }
  return b.at;
}

const gs_value *gs_report_carrier(const gs_collective *c, int axis) {
  const gs_value *v = c->value;
  if (gs_sharding_used(v->sharding) >> axis & 1) return v;
  for (int i = 0; v->def && i < v->def->nin; i++) {
    const gs_value *x = v->def->in[i];
    if (x && (gs_sharding_used(x->sharding) >> axis & 1)) return x;
  }
  for (int i = 0; c->node && i < c->node->nout; i++)
    if (c->node->out[i] &&
        (gs_sharding_used(c->node->out[i]->sharding) >> axis & 1))
      return c->node->out[i];
  return NULL;
}

char *gs_report_cause(gs_arena *a, const gs_report *r,
                      const gs_collective *c) {
  for (int i = 0; i < c->axes.n; i++) {
    const gs_value *v = gs_report_carrier(c, c->axes.at[i]);
    if (!v) continue;
    return gs_report_axis_origin(a, r, v, c->axes.at[i]);
  }
  return gs_report_origin(a, r, c->value);
}

/* "1.25 ms" */
static char *seconds_text(gs_arena *a, double s) {
  return s < 1e-3 ? gs_sprintf(a, "%.3g us", s * 1e6)
         : s < 1  ? gs_sprintf(a, "%.3g ms", s * 1e3)
                  : gs_sprintf(a, "%.3g s", s);
}

/* How often each operator that communicates occurs: "2 NAME, 1 NAME". */
static void collective_counts(gs_buf *b, const gs_partition *p) {
  bool any = false;
  for (const gs_op *op = gs_op_sender(NULL); op; op = gs_op_sender(op)) {
    int n = 0;
    for (int i = 0; i < p->collective.n; i++)
      n += !strcmp(p->collective.at[i].op, op->name);
    if (n) gs_buf_printf(b, "%s%d %s", any ? ", " : "", n, op->name);
    any = any || n;
  }
  if (!any) gs_buf_str(b, "none");
}

/* The sharding of such a weight is not what devices hold of it. */
static void small_weights(gs_buf *b, const gs_report *r) {
  int n = 0;
  const gs_value *first = NULL;
  for (int i = 0; i < r->graph->value.n; i++) {
    const gs_value *v = r->graph->value.at[i];
    if (!gs_report_held_whole(r, v)) continue;
    if (!n++) first = v;
  }
  if (!n) return;
  gs_buf_printf(b, "whole, small: %s", gs_text(b->arena, first->name));
  if (n > 1) gs_buf_printf(b, " and %d more of the sharded tensors", n - 1);
  gs_buf_printf(b, ", at most %s each\n",
                gs_bytes_text(b->arena, GS_SMALL_CONSTANT));
}

/* Elements of padding for each element. */
static double padding(const gs_uneven_dim *u) {
  return (double)u->shards * (double)u->block / (double)u->size - 1;
}

static void uneven_text(gs_buf *b, const gs_report *r, const gs_uneven_dim *u) {
  gs_buf_printf(b, "dim %d of %s (%lld) over ", u->dim,
                gs_text(b->arena, u->value->name), (long long)u->size);
  gs_axes_print(b, r->graph->mesh, &u->value->sharding->dim[u->dim].axes);
  gs_buf_printf(b, " (%lld)", (long long)u->shards);
}

static void summarise_uneven(gs_buf *b, const gs_report *r) {
  gs_uneven_list list = gs_report_uneven(b->arena, r);
  if (!list.n) return;
  const gs_uneven_dim *max = list.at;
  for (int i = 1; i < list.n; i++)
    if (padding(&list.at[i]) > padding(max)) max = &list.at[i];
  gs_buf_printf(b, "uneven: %d dim%s, padding of at most %.3g%%, for ",
                list.n, list.n == 1 ? "" : "s", 100 * padding(max));
  uneven_text(b, r, max);
  gs_buf_char(b, '\n');
}

/* "12 KiB for node 'y' (TopK), which runs whole: it needs all of dim 1 of 'x'
 * (select)" */
static void fallback_text(gs_buf *b, const gs_fallback *f) {
  gs_buf_printf(b, "%s for %s", gs_bytes_text(b->arena, f->bytes),
                f->node ? gs_node_place(b->arena, f->node)
                        : gs_sprintf(b->arena, "output '%s'", f->value->name));
  if (f->whole) gs_buf_str(b, ", which runs whole");
  if (*f->reason) gs_buf_printf(b, ": %s", gs_text(b->arena, f->reason));
  gs_buf_char(b, '\n');
}

static int by_bytes(const void *a, const void *b) {
  const gs_fallback *x = *(const gs_fallback *const *)a;
  const gs_fallback *y = *(const gs_fallback *const *)b;
  if (x->bytes < y->bytes || x->bytes > y->bytes)
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
  return (x > y) - (x < y);
}

/* The largest fallbacks by name, the others by number. */
static void summarise_fallbacks(gs_buf *b, const gs_report *r) {
  enum { SHOWN = 3 };
  const gs_partition *p = r->partition;
  const gs_fallback **list =
      GS_NEWS(b->arena, p->fallback.n + 1, const gs_fallback *);
  for (int i = 0; i < p->fallback.n; i++) list[i] = &p->fallback.at[i];
  qsort(list, (size_t)p->fallback.n, sizeof *list, by_bytes);
  for (int i = 0; i < p->fallback.n && i < SHOWN; i++) {
    gs_buf_str(b, "gathered: ");
    fallback_text(b, list[i]);
  }
  if (p->fallback.n > SHOWN)
    gs_buf_printf(b, "gathered: for %d more, which --report names\n",
                  p->fallback.n - SHOWN);
}

/* The mesh; long lists of devices by the names of their orders alone. */
static void mesh_text(gs_buf *b, const gs_mesh *m) {
  gs_mesh plain = *m;
  bool named = m->ndevice > 16;
  if (named) plain.norder = 0;
  gs_mesh_print(b, &plain);
  gs_buf_printf(b, ", %lld devices", (long long)m->ndevice);
  for (int k = 0; named && k < m->norder; k++)
    gs_buf_printf(b, "%s %s", k ? "," : ", also in order",
                  m->axis[m->naxis + k].name);
  gs_buf_char(b, '\n');
}

/* What options.short gave to other dims. */
static void summarise_handed(gs_buf *b, const gs_report *r) {
  const gs_handed *h = r->handed;
  if (!h || !h->n) return;
  gs_buf_printf(b, "short dims: axes go on along others at %d tensor%s, first ",
                h->n, h->n > 1 ? "s" : "");
  gs_buf_printf(b, "%s; predicted run %s -> %s\n",
                gs_text(b->arena, h->first->name),
                seconds_text(b->arena, h->before),
                seconds_text(b->arena, h->after));
}

/* What another binding has of its own. */
static void summarise_binding(gs_buf *b, const gs_report *r) {
  gs_report_totals t = gs_report_count(r);
  gs_buf_printf(b, "with '%s': activations %s, sent %s, collectives: ",
                gs_text(b->arena, r->binding),
                gs_bytes_text(b->arena, r->partition->peak_bytes),
                gs_bytes_text(b->arena, t.sent));
  collective_counts(b, r->partition);
  gs_buf_char(b, '\n');
  summarise_fallbacks(b, r);
}

void gs_report_summary(gs_buf *b, const gs_report *r) {
  gs_report_totals t = gs_report_count(r);
  mesh_text(b, r->graph->mesh);
  if (r->match)
    gs_buf_printf(b, "rules: %d of %d matched\n", r->match->matched,
                  r->spec->rule.n);
  gs_buf_printf(b, "tensors: %d sharded, %d replicated\n", t.sharded,
                t.replicated);
  small_weights(b, r);
  summarise_uneven(b, r);
  summarise_handed(b, r);
  gs_buf_printf(b, "per device: weights %s of %s, activations %s, sent %s\n",
                gs_bytes_text(b->arena, r->partition->weight_bytes),
                gs_bytes_text(b->arena, t.weights),
                gs_bytes_text(b->arena, r->partition->peak_bytes),
                gs_bytes_text(b->arena, t.sent));
  gs_buf_str(b, "collectives: ");
  collective_counts(b, r->partition);
  gs_buf_char(b, '\n');
  summarise_fallbacks(b, r);
  for (int i = 0; i < r->more.n; i++) summarise_binding(b, r->more.at[i]);
  if (r->fill)
    gs_buf_printf(b, "auto: %s%d choices, predicted run %s -> %s\n",
                  r->stacked ? "branches stacked, " : "", r->fill->choice.n,
                  seconds_text(b->arena, r->fill->before.seconds),
                  seconds_text(b->arena, r->fill->after.seconds));
}

/* What options.auto chose, in the order of being chosen. */
static void text_choices(gs_buf *b, const gs_report *r) {
  if (!r->fill || !r->fill->choice.n) return;
  gs_buf_printf(b, "\nchosen by options.auto, starting from %s and %s per "
                "device\n", seconds_text(b->arena, r->fill->before.seconds),
                gs_bytes_text(b->arena, r->fill->before.bytes));
  for (int i = 0; i < r->fill->choice.n; i++) {
    const gs_auto_shard_choice *c = &r->fill->choice.at[i];
    gs_buf_printf(b, "  %-8s dim %d of %s", r->graph->mesh->axis[c->axis].name,
                  c->dim[0], gs_text(b->arena, c->value[0]->name));
    if (c->n > 1) gs_buf_printf(b, " and %d like it", c->n - 1);
    gs_buf_printf(b, ": %s, %s\n", seconds_text(b->arena, c->after.seconds),
                  gs_bytes_text(b->arena, c->after.bytes));
  }
}

static void text_rules(gs_buf *b, const gs_report *r) {
  if (!r->match) return;
  gs_buf_str(b, "\nrules\n");
  for (int i = 0; i < r->spec->rule.n; i++)
    gs_buf_printf(b, "  %6lld tensors  %s\n",
                  (long long)r->match->rule[i].matched,
                  gs_text(b->arena, gs_rule_origin(b->arena, r->spec, i)));
}

static int by_size(const void *a, const void *b) {
  double x = gs_report_whole_bytes(*(gs_value *const *)a);
  double y = gs_report_whole_bytes(*(gs_value *const *)b);
  return (x < y) - (x > y);
}

static void text_replicated(gs_buf *b, const gs_report *r) {
  enum { SHOWN = 5 };
  GS_VEC(gs_value *) list = {0};
  for (int i = 0; i < r->graph->value.n; i++) {
    gs_value *v = r->graph->value.at[i];
    if (gs_sharding_is_replicated(v->sharding) && v->dtype != GS_STRING)
      *gs_push(b->arena, &list) = v;
  }
  if (!list.n) return;
  qsort(list.at, (size_t)list.n, sizeof *list.at, by_size);
  gs_buf_str(b, "\nlargest replicated tensors\n");
  for (int i = 0; i < list.n && i < SHOWN; i++)
    gs_buf_printf(b, "  %10s  %s : %s\n",
                  gs_bytes_text(b->arena, gs_report_whole_bytes(list.at[i])),
                  gs_text(b->arena, list.at[i]->name),
                  gs_shape_text(b->arena, list.at[i]->dtype,
                                list.at[i]->rank, list.at[i]->dims));
}

static void text_uneven(gs_buf *b, const gs_report *r) {
  gs_uneven_list list = gs_report_uneven(b->arena, r);
  if (list.n) gs_buf_str(b, "\ndims that their axes do not divide\n");
  for (int i = 0; i < list.n; i++) {
    const gs_uneven_dim *u = &list.at[i];
    gs_buf_printf(b, "  %9.3g%%  ", 100 * padding(u));
    uneven_text(b, r, u);
    gs_buf_printf(b, ": blocks of %lld, the last %lld", (long long)u->block,
                  (long long)u->last);
    if (u->empty) gs_buf_printf(b, ", %lld empty", (long long)u->empty);
    gs_buf_char(b, '\n');
  }
}

static void text_collectives(gs_buf *b, const gs_report *r) {
  const gs_partition *p = r->partition;
  if (p->collective.n && r->binding)
    gs_buf_printf(b, "\ncollectives with '%s', in order\n",
                  gs_text(b->arena, r->binding));
  else if (p->collective.n)
    gs_buf_str(b, "\ncollectives, in order\n");
  for (int i = 0; i < p->collective.n; i++) {
    const gs_collective *c = &p->collective.at[i];
    gs_buf_printf(b, "  %-17s %-8s %10s  %s %s -> %s for %s", c->op,
                  gs_report_axes_text(b->arena, r->graph->mesh, &c->axes),
                  gs_bytes_text(b->arena, c->bytes),
                  gs_text(b->arena, c->value->name), c->from, c->to,
                  c->node ? gs_node_place(b->arena, c->node)
                          : "an output of the graph");
    const char *origin = gs_text(b->arena, gs_report_cause(b->arena, r, c));
    gs_buf_printf(b, "%s%s\n", *origin ? ", by " : "", origin);
  }
}

static void text_fallbacks(gs_buf *b, const gs_report *r) {
  const gs_partition *p = r->partition;
  if (p->fallback.n)
    gs_buf_printf(b, "\nrun whole although an operand is split, or gather more "
                  "than %s\n", gs_bytes_text(b->arena, GS_LARGE_GATHER));
  for (int i = 0; i < p->fallback.n; i++) {
    gs_buf_str(b, "  ");
    fallback_text(b, &p->fallback.at[i]);
  }
}

void gs_report_moves(gs_buf *b, const gs_report *r, const gs_value *v,
                     gs_rule_text *rule_text, void *context) {
  if (gs_report_held_whole(r, v))
    gs_buf_printf(b, "  held whole, small: a weight of at most %s is not "
                  "gathered\n", gs_bytes_text(b->arena, GS_SMALL_CONSTANT));
  for (int i = 0; i < r->partition->collective.n; i++) {
    const gs_collective *c = &r->partition->collective.at[i];
    if (c->value != v) continue;
    gs_buf_printf(b, "  %s over %s, %s sent per device: %s -> %s\n", c->op,
                  gs_report_axes_text(b->arena, r->graph->mesh, &c->axes),
                  gs_bytes_text(b->arena, c->bytes), c->from, c->to);
    gs_buf_printf(b, "    needed by %s\n",
                  c->node ? gs_node_place(b->arena, c->node)
                          : "an output of the graph");
    const gs_value *by = c->axes.n ? gs_report_carrier(c, c->axes.at[0]) : NULL;
    if (!by || by == v) continue; /* told above */
    gs_buf_printf(b, "    the axis splits '%s' ", gs_text(b->arena, by->name));
    gs_sharding_print(b, r->graph->mesh, by->sharding);
    gs_buf_char(b, '\n');
    gs_propagation_chain(b, r->propagation, by, c->axes.at[0], rule_text,
                         context);
  }
}

void gs_report_text(gs_buf *b, const gs_report *r) {
  gs_report_summary(b, r);
  text_rules(b, r);
  text_choices(b, r);
  text_uneven(b, r);
  text_replicated(b, r);
  text_collectives(b, r);
  text_fallbacks(b, r);
  for (int i = 0; i < r->more.n; i++) {
    text_collectives(b, r->more.at[i]);
    text_fallbacks(b, r->more.at[i]);
  }
}

/* ---- JSON ---- */

void gs_report_pair(gs_buf *b, const char *key, const char *value,
                    const char *after) {
  gs_buf_json(b, key);
  gs_buf_str(b, ": ");
  gs_buf_json(b, value);
  gs_buf_str(b, after);
}
