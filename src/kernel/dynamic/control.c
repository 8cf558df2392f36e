/* Control flow: rows that run the graphs in their attributes. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/call_dynamic.h"
#include "op/rows/tensor/bodies.h"

/* The place of attribute `name`; rows have checked that it is there. */
static int graph_at(const gs_node *n, const char *name) {
  int i = 0;
  while (i < n->nattr && strcmp(n->attr[i].name, name)) i++;
  return i;
}

/* Moves a body's results into those of the node, dropping what is not used. */
static void hand_over(gs_dyncall *k, gs_dyn **made, int n) {
  for (int i = 0; i < n; i++) {
    if (gs_node_out(k->node, i)) k->out[i] = made[i];
    else gs_dyn_drop(made[i]);
  }
}

/* ---- results of all iterations, joined along a new axis ---- */

typedef struct pile {
  gs_dtype dtype;
  int rank; /* of one part; -1: none came yet */
  int64_t dims[GS_MAX_RANK];
  int64_t count;
  size_t bytes; /* of one part */
  char *at;     /* all of them, in order */
  gs_dyn *dyn;  /* holds them; grown by doubling */
} pile;

static gs_status pile_grow(gs_dyncall *k, pile *p) {
  int64_t room = p->dyn ? (int64_t)p->dyn->t.nbytes : 0, want;
  if (!gs_mul(p->count + 1, (int64_t)p->bytes, &want))
    return gs_dyncall_fail(k, GS_RESOURCE, "a result is too large");
  gs_assert(room >= 0 && p->count >= 0);
  if (want <= room) return GS_OK;
  if (want < 2 * room) want = 2 * room;
  gs_dyn *more;
  GS_TRY(gs_dyn_new(k->heap, GS_UINT8, 1, &want, &more, k->err));
  if (p->count) memcpy(more->block, p->at, (size_t)p->count * p->bytes);
  gs_dyn_drop(p->dyn);
  p->dyn = more;
  p->at = more->block;
  return GS_OK;
}

/* Adds a part, which must be like those before; takes it over. */
static gs_status pile_add(gs_dyncall *k, pile *p, gs_dyn *part) {
  if (part->kind != GS_TENSOR || part->t.dtype == GS_STRING ||
      gs_dtype_get((int)part->t.dtype)->bits < 8)
    return gs_dyncall_fail(k, GS_UNSUPPORTED,
                          "%s cannot be joined over iterations",
                          gs_dyn_text(k->arena, part));
  bool same = p->rank == part->t.rank && p->dtype == part->t.dtype &&
              gs_same_dims(p->dims, part->t.dims, p->rank);
  if (p->rank < 0) {
    p->dtype = part->t.dtype;
    p->rank = part->t.rank;
    p->bytes = (size_t)part->t.nbytes;
    for (int d = 0; d < p->rank; d++) p->dims[d] = part->t.dims[d];
  } else if (!same) {
    return gs_dyncall_fail(k, GS_DATA,
                          "iteration %lld gives %s, those before it %s",
                          (long long)p->count, gs_dyn_text(k->arena, part),
                          gs_shape_text(k->arena, p->dtype, p->rank,
                                        p->dims));
  }
  GS_TRY(pile_grow(k, p));
  if (p->bytes)
    memcpy(p->at + (size_t)p->count * p->bytes, part->t.data, p->bytes);
  p->count++;
  gs_dyn_drop(part);
  return GS_OK;
}

/* Result i of the node: the parts along `axis`, the last one first when
 * reverse.  `each` says what an iteration would give if there was none. */
static gs_status pile_join(gs_dyncall *k, pile *p, int i, const gs_value *each,
                           int axis, bool reverse) {
  int64_t dims[GS_MAX_RANK + 1], inner = 1, outer = 1;
  gs_assert(axis >= 0);
  if (p->rank < 0) {
    const gs_value *y = gs_node_out(k->node, i);
    p->dtype = each->dtype ? each->dtype : y ? y->dtype : GS_UNDEFINED;
    p->rank = gs_max(each->rank, 0) < GS_MAX_RANK ? (int)gs_max(each->rank, 0)
                                                  : 0;
    for (int d = 0; d < p->rank; d++) p->dims[d] = gs_max(each->dims[d], 0);
    if (p->dtype == GS_UNDEFINED)
      return gs_dyncall_fail(k, GS_UNSUPPORTED,
                            "result %d has no iterations and no known type",
                            i);
  }
  if (p->rank >= GS_MAX_RANK || axis > p->rank)
    return gs_dyncall_fail(k, GS_DATA, "result %d has too many dims", i);
  for (int d = 0; d <= p->rank; d++) {
    dims[d] = d == axis ? p->count : p->dims[d - (d > axis)];
    if (d < axis) outer *= dims[d];
    if (d > axis) inner *= dims[d];
  }
  gs_dyn *y;
  GS_TRY(gs_dyncall_result(k, i, p->dtype, p->rank + 1, dims, &y));
  size_t run = (size_t)inner * (p->bytes ? p->bytes / (size_t)(inner * outer)
                                         : 0);
  char *to = y->block;
  for (int64_t o = 0; o < outer && run; o++)
    for (int64_t t = 0; t < p->count; t++) {
      int64_t from = reverse ? p->count - 1 - t : t;
      memcpy(to, p->at + (size_t)from * p->bytes + (size_t)o * run, run);
      to += run;
    }
  gs_dyn_drop(p->dyn);
  return GS_OK;
}

static pile *new_piles(gs_dyncall *k, int n) {
  pile *p = GS_NEWS(k->arena, n, pile);
  for (int i = 0; i < n; i++) p[i].rank = -1;
  return p;
}

/* ---- If ---- */

static gs_status one_bool(gs_dyncall *k, const gs_dyn *b, const char *what,
                          bool *out) {
  int64_t v;
  if (b->kind != GS_TENSOR || gs_tensor_ints(&b->t, &v, 1) != 1)
    return gs_dyncall_fail(k, GS_DATA, "%s is %s, not one boolean", what,
                          gs_dyn_text(k->arena, b));
  *out = v != 0;
  return GS_OK;
}

static gs_status run_if(gs_dyncall *k) {
  bool on;
  GS_TRY(one_bool(k, k->in[0], "the condition", &on));
  int at = graph_at(k->node, on ? "then_branch" : "else_branch");
  int n = k->node->attr[at].g->output.n;
  gs_dyn **made = GS_NEWS(k->arena, n, gs_dyn *);
  GS_TRY(k->body(k, at, NULL, made));
  hand_over(k, made, n);
  return GS_OK;
}

extern const gs_dynamic gs_dynamic_if;
const gs_dynamic gs_dynamic_if = {run_if, gs_enter_if};

/* ---- Loop ---- */

typedef struct loop {
  int body, states, scans;
  int64_t trips; /* INT64_MAX: no limit */
  bool on;
  gs_dyn **in, **out; /* of the body */
  pile *pile;
  gs_dyn trip, cond; /* views of the two below */
  int64_t trip_data;
  bool cond_data;
} loop;

static gs_status begin_loop(gs_dyncall *k, loop *l) {
  const gs_node *n = k->node;
  l->body = graph_at(n, "body");
  l->states = gs_node_formal(n) - 2;
  l->scans = n->attr[l->body].g->output.n - 1 - l->states;
  l->in = GS_NEWS(k->arena, l->states + 2, gs_dyn *);
  l->out = GS_NEWS(k->arena, l->states + l->scans + 1, gs_dyn *);
  l->pile = new_piles(k, l->scans);
  GS_TRY(gs_dyncall_int(k, 0, INT64_MAX, &l->trips));
  l->on = true;
  if (k->in[1]) GS_TRY(one_bool(k, k->in[1], "the condition", &l->on));
  gs_dyn_view(&l->trip, GS_INT64, 0, NULL, &l->trip_data);
  gs_dyn_view(&l->cond, GS_BOOL, 0, NULL, &l->cond_data);
  l->in[0] = &l->trip;
  l->in[1] = &l->cond;
  for (int i = 0; i < l->states; i++) {
    if (!k->in[2 + i])
      return gs_dyncall_fail(k, GS_DATA, "operand %d is an empty optional",
                             2 + i);
    l->in[2 + i] = gs_dyn_keep(k->heap, k->in[2 + i]);
  }
  return GS_OK;
}

static gs_status run_loop(gs_dyncall *k) {
  loop l = {0};
  GS_TRY(begin_loop(k, &l));
  for (; l.on && l.trip_data < l.trips; l.trip_data++) {
    l.cond_data = l.on;
    GS_TRY(k->body(k, l.body, l.in, l.out));
    GS_TRY(one_bool(k, l.out[0], "the condition", &l.on));
    gs_dyn_drop(l.out[0]);
    for (int i = 0; i < l.states; i++) {
      gs_dyn_drop(l.in[2 + i]);
      l.in[2 + i] = l.out[1 + i];
    }
    for (int i = 0; i < l.scans; i++)
      GS_TRY(pile_add(k, &l.pile[i], l.out[1 + l.states + i]));
  }
  hand_over(k, l.in + 2, l.states);
  const gs_graph *b = k->node->attr[l.body].g;
  for (int i = 0; i < l.scans; i++)
    GS_TRY(pile_join(k, &l.pile[i], l.states + i,
                     b->output.at[1 + l.states + i], 0, false));
  return GS_OK;
}

extern const gs_dynamic gs_dynamic_loop;
const gs_dynamic gs_dynamic_loop = {run_loop, gs_enter_loop};

/* ---- Scan ---- */

typedef struct scan {
  gs_graph *body;
  int at, states, scanned, joined;
  int64_t length;
  gs_dyn **in, **out;
  int *axis;    /* [scanned] */
  pile *pile;
} scan;

static bool reversed(const gs_node *n, const char *list, int i) {
  int count;
  const int64_t *v = gs_node_ints(n, list, &count);
  return v && i < count && v[i] == 1;
}

static gs_status begin_scan(gs_dyncall *k, scan *s) {
  const gs_node *n = k->node;
  gs_graph g = {.arena = k->arena};
  GS_TRY(gs_control_scan(&g, n, &s->body, &s->states, &s->scanned, k->err));
  s->at = graph_at(n, "body");
  s->joined = s->body->output.n - s->states;
  s->in = GS_NEWS(k->arena, s->states + s->scanned, gs_dyn *);
  s->out = GS_NEWS(k->arena, s->body->output.n, gs_dyn *);
  s->axis = GS_NEWS(k->arena, s->scanned, int);
  s->pile = new_piles(k, s->joined);
  s->length = -1;
  for (int i = 0; i < s->states; i++)
    s->in[i] = gs_dyn_keep(k->heap, k->in[i]);
  for (int i = 0; i < s->scanned; i++) {
    gs_dyn *x;
    GS_TRY(gs_dyncall_tensor(k, s->states + i, &x));
    s->axis[i] = gs_control_axis(n, "scan_input_axes", i, x->t.rank);
    if (s->axis[i] < 0 || gs_dtype_get((int)x->t.dtype)->bits < 8)
      return gs_dyncall_fail(k, GS_DATA,
                            "operand %d, %s, cannot be scanned along its axis",
                            s->states + i, gs_dyn_text(k->arena, x));
    int64_t m = x->t.dims[s->axis[i]];
    if (s->length >= 0 && m != s->length)
      return gs_dyncall_fail(k, GS_DATA,
                            "operand %d has %lld elements to scan, those "
                            "before it %lld", s->states + i, (long long)m,
                            (long long)s->length);
    s->length = m;
  }
  return GS_OK;
}

/* Element t of scanned operand i: a slice of it, copied. */
static gs_status take_slice(gs_dyncall *k, const scan *s, int i, int64_t t,
                            gs_dyn **out) {
  gs_dyn *x;
  GS_TRY(gs_dyncall_tensor(k, s->states + i, &x));
  int64_t dims[GS_MAX_RANK], inner = 1, outer = 1;
  int axis = s->axis[i];
  for (int d = 0; d < x->t.rank; d++) {
    if (d != axis) dims[d - (d > axis)] = x->t.dims[d];
    if (d < axis) outer *= x->t.dims[d];
    if (d > axis) inner *= x->t.dims[d];
  }
  GS_TRY(gs_dyn_new(k->heap, x->t.dtype, x->t.rank - 1, dims, out, k->err));
  size_t run = (size_t)inner * (size_t)gs_dtype_bytes((int)x->t.dtype, 1);
  if (reversed(k->node, "scan_input_directions", i)) t = s->length - 1 - t;
  const char *from = (const char *)gs_dyn_data(x) + (size_t)t * run;
  char *to = (*out)->block;
  for (int64_t o = 0; o < outer && run; o++)
    memcpy(to + (size_t)o * run, from + (size_t)(o * s->length) * run, run);
  return GS_OK;
}

static gs_status run_scan(gs_dyncall *k) {
  scan s = {0};
  GS_TRY(begin_scan(k, &s));
  for (int64_t t = 0; t < s.length; t++) {
    for (int i = 0; i < s.scanned; i++)
      GS_TRY(take_slice(k, &s, i, t, &s.in[s.states + i]));
    GS_TRY(k->body(k, s.at, s.in, s.out));
    for (int i = 0; i < s.states + s.scanned; i++) gs_dyn_drop(s.in[i]);
    for (int i = 0; i < s.states; i++) s.in[i] = s.out[i];
    for (int i = 0; i < s.joined; i++)
      GS_TRY(pile_add(k, &s.pile[i], s.out[s.states + i]));
  }
  hand_over(k, s.in, s.states);
  for (int i = 0; i < s.joined; i++) {
    const gs_value *each = s.body->output.at[s.states + i];
    int rank = s.pile[i].rank >= 0 ? s.pile[i].rank
                                   : (int)gs_max(each->rank, 0);
    int axis = gs_control_axis(k->node, "scan_output_axes", i, rank + 1);
    if (axis < 0)
      return gs_dyncall_fail(k, GS_DATA,
                            "scan_output_axes[%d] is out of range", i);
    GS_TRY(pile_join(k, &s.pile[i], s.states + i, each, axis,
                     reversed(k->node, "scan_output_directions", i)));
  }
  return GS_OK;
}

extern const gs_dynamic gs_dynamic_scan;
const gs_dynamic gs_dynamic_scan = {run_scan, gs_enter_scan};

/* ---- SequenceMap ---- */

static gs_status run_sequence_map(gs_dyncall *k) {
  const gs_node *n = k->node;
  int formal = gs_node_formal(n), at = graph_at(n, "body"), count;
  const gs_graph *b = n->attr[at].g;
  gs_dyn **in = GS_NEWS(k->arena, formal, gs_dyn *), *list;
  gs_dyn **out = GS_NEWS(k->arena, b->output.n, gs_dyn *);
  GS_TRY(gs_dyncall_list(k, 0, &list));
  count = list->n;
  for (int i = 0; i < formal; i++)
    if (k->in[i]->kind == GS_SEQUENCE && k->in[i]->n != count)
      return gs_dyncall_fail(k, GS_DATA,
                            "operand %d has %d elements, operand 0 %d", i,
                            k->in[i]->n, count);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i])
      k->out[i] = gs_dyn_list(k->heap, GS_SEQUENCE, b->output.at[i]->dtype);
  for (int t = 0; t < count; t++) {
    for (int i = 0; i < formal; i++)
      in[i] = k->in[i]->kind == GS_SEQUENCE ? k->in[i]->item[t] : k->in[i];
    GS_TRY(k->body(k, at, in, out));
    for (int i = 0; i < b->output.n; i++) {
      if (gs_node_out(n, i)) gs_dyn_put(k->out[i], t, out[i]);
      else gs_dyn_drop(out[i]);
    }
  }
  return GS_OK;
}

extern const gs_dynamic gs_dynamic_sequence_map;
const gs_dynamic gs_dynamic_sequence_map = {run_sequence_map,
                                        gs_enter_sequence_map};
