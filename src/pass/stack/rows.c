#include "pass/stack/rows.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/prepare/expand.h"
#include "pass/prepare/infer.h"
#include "pass/stack/bound.h"
#include "pass/stack/lookup.h"
#include "pass/stack/rows_once.h"

enum { TRIAL = 1 << 19, MAX_TRIALS = 32 };

/* What is known of a value that rows decide. */
typedef struct track {
  int by;    /* 1 + the number of the node that begins the rows; 0: none */
  int dim;   /* has them, as its major part */
  bool size; /* a number that depends on how many there are */
  bool lost; /* they cannot be followed */
} track;

/* Where rows end. */
typedef struct end {
  int by;        /* as above; 0: not here */
  int dim, rank; /* of the updates */
  bool wide;     /* each row is all that it has along the last dims of data */
} end;

/* One pass over the nodes, which are numbered in their order: a trial on a
 * copy, with numbers of rows that tell them from all else, or the real one. */
typedef struct sweep {
  gs_graph *g;
  gs_arena *a; /* of what is new */
  gs_expander expander;
  const gs_functions *forms;
  bool trial;
  int64_t capacity;
  int64_t most; /* of a trial: rows that begin at node i are most + i, more than
                   any dim of the graph */
  bool *never;      /* [node] begins rows that cannot get places */
  bool *begins;     /* [node] begins rows that get places */
  bool *fails;      /* [node] ..and cannot, as this trial found */
  int64_t *first;   /* [node] begins rows, those of the first places in any
                       run that does not fail; 0: not known */
  end *ends;        /* [node] found by a trial */
  int64_t *times;   /* [node] begins rows, so many for each of another node */
  double places, elements; /* gs_rows */
  gs_value **real;  /* [node that begins rows] which are there */
  gs_value **mask, **made; /* [node] ..that it makes, and of what */
  const gs_value **root;   /* [node] of a trial: gs_rows_root of masks that may
                              have rows of others; NULL: they may not */
  GS_VEC(track) of; /* [value] of a trial */
  int at;           /* number of the node */
  gs_err *e;
} sweep;

/* ---- forms ---- */

static const gs_function *form_of(const sweep *s, const gs_node *n) {
  return gs_form_find(s->forms, GS_FN_PLACED, n->domain, n->op_type);
}

static bool has_real(const gs_function *f, bool result) {
  return f && (result ? gs_function_out(f, "real") : gs_function_in(f, "real"))
                  >= 0;
}

/* A node like n that is not in the graph, with room for more. */
static gs_node *call(sweep *s, const gs_node *n, int nin, int nout) {
  gs_node *c = gs_node_new(s->g, n->domain, n->op_type, n->name, nin, nout);
  c->op = n->op;
  c->opset = n->op->since;
  c->origin = n->origin;
  c->stage = n->stage;
  s->g->node.n--;
  gs_node_set_all(s->g, c, n);
  for (int i = 0; i < n->nin; i++) c->in[i] = n->in[i];
  return c;
}

/* Infers the nodes from number `from` on, which have just been made. */
static gs_status infer_made(sweep *s, int from, gs_err *e) {
  int n = s->g->node.n - from;
  gs_node **made = gs_memdup(s->a, s->g->node.at + from,
                             (size_t)n * sizeof *made);
  s->g->node.n = from;
  for (int i = 0; i < n; i++) GS_TRY(gs_infer_next(s->a, s->g, made[i], e));
  return GS_OK;
}

/* The lines of f in the place of n, which c is like.  *done: false where none
 * of them apply. */
static gs_status put_form(sweep *s, gs_node *c, const gs_node *n,
                          const gs_function *f, bool *done, gs_err *e) {
  int from = s->g->node.n;
  gs_err why;
  gs_err_init(&why);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) gs_node_output(c, i, n->out[i]);
  gs_status status = gs_expand_by(&s->expander, s->g, c, f, &why);
  *done = !status;
  if (status && status != GS_UNSUPPORTED) gs_err_move(e, &why);
  else status = GS_OK;
  gs_err_free(&why);
  if (*done) return infer_made(s, from, e);
  s->g->node.n = from;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) gs_node_output((gs_node *)n, i, n->out[i]);
  return status;
}

/* ---- where rows begin and end ---- */

static track *track_of(sweep *s, const gs_value *v) {
  while (s->of.n <= v->id) *gs_push(s->a, &s->of) = (track){0};
  return &s->of.at[v->id];
}

static bool begins_rows(const sweep *s, const gs_node *n) {
  return n->op && n->nin == 1 && n->nout == 1 && n->out[0] &&
         has_real(form_of(s, n), true) && gs_node_dynamic(n) &&
         !gs_value_dynamic(n->in[0]) && n->in[0]->rank > 0 &&
         gs_product(n->in[0]->dims, n->in[0]->rank) > 0;
}

/* How many rows of a trial those are that begin at node by - 1. */
static int64_t rows_of(const sweep *s, int by) { return s->most + by - 1; }

/* 1 + the number of the node whose rows those of n are, each repeated: their
 * masks say the same. */
static int same_rows(sweep *s, const gs_node *n, int64_t *times) {
  const gs_value *x = n->in[0], *root = gs_rows_root(s->a, x, times);
  int64_t count = gs_product(x->dims, x->rank);
  *times = 1;
  if (gs_rows_once(s->a, x) >= 0) return s->at + 1;
  s->root[s->at] = root;
  for (int i = 0; i < s->at; i++) {
    if (s->root[i] != root || !s->begins[i] || s->times[i] > 1) continue;
    int64_t other = gs_product(s->mask[i]->dims, s->mask[i]->rank);
    if (count % other) continue;
    *times = count / other;
    return i + 1;
  }
  return s->at + 1;
}

static void try_begin(sweep *s, gs_node *n) {
  int by = same_rows(s, n, &s->times[s->at]);
  int64_t dims[] = {n->in[0]->rank, rows_of(s, by) * s->times[s->at]};
  gs_value *y = n->out[0];
  y->dtype = GS_INT64;
  y->def = NULL;
  y->is_input = true;
  gs_value_shape(s->g, y, 2, dims);
  *track_of(s, y) = (track){.by = by, .dim = 1};
  s->real[s->at] = gs_value_new(s->g, "real", GS_BOOL, 1, &dims[1]);
  s->real[s->at]->is_input = true;
  s->mask[s->at] = n->in[0];
  s->made[s->at] = y;
}

/* Which places are there is known: the first ones. */
static gs_status fill(sweep *s, gs_node *n) {
  const gs_value *x = n->in[0];
  gs_value *y = n->out[0];
  int64_t count = s->first[s->at], dims[] = {x->rank, count};
  gs_tensor *t;
  GS_TRY(gs_tensor_new(s->a, GS_INT64, 2, dims, &t, s->e));
  int64_t *at = (int64_t *)t->data, stride = gs_product(x->dims, x->rank);
  for (int d = 0; d < x->rank; d++) {
    stride /= x->dims[d];
    for (int64_t i = 0; i < count; i++)
      at[d * count + i] = i / stride % x->dims[d];
  }
  y->dtype = GS_INT64;
  y->def = NULL;
  y->constant = t;
  y->computed = true;
  gs_value_shape(s->g, y, 2, dims);
  return GS_OK;
}

static gs_status begin(sweep *s, gs_node *n) {
  gs_value *x = n->in[0];
  bool done;
  gs_node *c = call(s, n, 1, 2);
  int64_t once = gs_rows_once(s->a, x), rows = gs_product(x->dims, x->rank);
  if (once >= 0) gs_node_set_ints(s->g, c, "once", &once, 1);
  if (once >= 0) rows /= x->dims[once];
  int64_t most = s->capacity * s->times[s->at];
  if (most && most < rows) gs_node_set_ints(s->g, c, "capacity", &most, 1);
  s->places += (double)(most ? gs_min(most, rows) : rows);
  s->elements += (double)gs_product(x->dims, x->rank);
  gs_value *real = gs_value_new(
      s->g, gs_sprintf(s->a, "%s.real", n->out[0]->name), GS_BOOL, -1, NULL);
  s->real[s->at] = real;
  s->mask[s->at] = x;
  s->made[s->at] = n->out[0];
  gs_node_output(c, 1, real);
  GS_TRY(put_form(s, c, n, form_of(s, n), &done, s->e));
  gs_assert(done);
  return GS_OK;
}

/* A node of two operands that is not inferred yet. */
static gs_value *emit(sweep *s, const char *op, gs_value *x,
                      const int64_t *dims, int rank) {
  gs_node *n = gs_node_new(s->g, "", op, "", dims ? 2 : 1, 1);
  n->op = gs_op_find("", op);
  n->opset = n->op->since;
  n->origin = x->def ? x->def->origin : "";
  n->in[0] = x;
  if (dims) n->in[1] = gs_value_ints(s->g, NULL, dims, rank);
  gs_node_output(n, 0, gs_value_new(s->g, x->name, GS_UNDEFINED, -1, NULL));
  return n->out[0];
}

/* Which rows are there, as it broadcasts to the updates, or to the `lead` first
 * dims of data of which they are all. */
static gs_status spread(sweep *s, const end *k, const gs_value *data, int lead,
                        gs_value **out, gs_err *e) {
  gs_value *real = s->real[k->by - 1];
  int64_t dims[GS_MAX_RANK];
  int rank = lead ? data->rank : k->rank, from = s->g->node.n;
  for (int d = 0; d < rank; d++)
    dims[d] = lead ? d < lead ? data->dims[d] : 1
                   : d == k->dim ? real->dims[0] : 1;
  *out = emit(s, "Reshape", real, dims, rank);
  return infer_made(s, from, e);
}

/* Indices and updates of c, an element each, become those of whole rows. */
static gs_status narrow(sweep *s, gs_node *c, end *k, gs_err *e) {
  gs_value *at = s->made[k->by - 1];
  int first = s->mask[k->by - 1]->rank, from = s->g->node.n;
  int64_t dims[GS_MAX_RANK] = {at->dims[1]};
  for (int d = first; d < c->in[0]->rank; d++)
    dims[1 + d - first] = c->in[0]->dims[d];
  *k = (end){.by = k->by, .rank = 1 + c->in[0]->rank - first};
  c->in[1] = emit(s, "Transpose", at, NULL, 0);
  c->in[2] = emit(s, "Reshape", c->in[2], dims, k->rank);
  return infer_made(s, from, e);
}

/* The dims of data that tuples of indices count, and 1 for each of the others:
 * one element for each tuple. */
static void tell_lead(sweep *s, gs_node *c) {
  const gs_value *x = c->in[0], *at = c->in[1];
  int64_t lead[GS_MAX_RANK];
  if (c->op->index.kind != GS_INDEX_TUPLE || at->rank < 1) return;
  for (int d = 0; d < x->rank; d++)
    lead[d] = d < at->dims[at->rank - 1] ? x->dims[d] : 1;
  gs_node_set_ints(s->g, c, "lead", lead, x->rank);
}

/* *done: false where no lines apply. */
static gs_status finish(sweep *s, gs_node *n, const end *k, bool *done,
                        gs_err *e) {
  gs_node *c = call(s, n, 4, 1);
  end rows = *k;
  if (k->wide) GS_TRY(narrow(s, c, &rows, e));
  int counts = s->trial ? 0 : gs_lookup_counts(s->a, c);
  if (gs_all_zero(n->in[0])) gs_node_set_int(s->g, c, "blank", 1);
  if (counts) gs_node_set_int(s->g, c, "counts", counts > 1 ? 2 : 1);
  tell_lead(s, c);
  GS_TRY(spread(s, &rows, n->in[0], counts > 1 ? counts : 0, &c->in[3], e));
  return put_form(s, c, n, form_of(s, n), done, e);
}

/* ---- following rows ---- */

static void lose(sweep *s, const gs_node *n, int by) {
  if (by) s->fails[by - 1] = true;
  for (int i = 0; i < n->nin; i++) {
    const track *t = n->in[i] ? track_of(s, n->in[i]) : NULL;
    if (t && t->by) s->fails[t->by - 1] = true;
  }
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) *track_of(s, n->out[i]) = (track){.lost = true};
}

/* Whether the rows of tuples are repeated by a node that tells for each element
 * of x that a row of the node numbered by - 1 is of. */
static bool is_wide(sweep *s, const gs_node *n, int by) {
  const gs_value *x = n->in[0], *mask = s->mask[by - 1];
  const gs_value *at = gs_lookup_turned(s->a, n->in[1]);
  if (n->op->index.kind != GS_INDEX_TUPLE || !at || mask->rank > x->rank ||
      !gs_same_dims(mask->dims, x->dims, mask->rank))
    return false;
  for (int i = 0; i < s->at; i++)
    if (s->begins[i] && s->times[i] > 1 && s->made[i] == at)
      return s->mask[i]->rank == x->rank &&
             gs_same_dims(s->mask[i]->dims, x->dims, x->rank);
  return false;
}

/* Whether the rows end at n, a scatter of them into what has none: *k. */
static bool ends_rows(sweep *s, const gs_node *n, int by, end *k) {
  if (!has_real(form_of(s, n), false) || n->nin != 3 || n->nout != 1)
    return false;
  const track *x = track_of(s, n->in[0]), *at = track_of(s, n->in[1]),
              *u = track_of(s, n->in[2]);
  if (x->by || at->size || u->size || at->by != by || u->by != by ||
      at->dim != u->dim ||
      n->in[1]->dims[at->dim] != n->in[2]->dims[u->dim])
    return false;
  *k = (end){by, u->dim, n->in[2]->rank, is_wide(s, n, by)};
  return k->wide || n->in[1]->dims[at->dim] == rows_of(s, by);
}

/* The factor of the rows in operand i; -1: that dim is none of its own. */
static int factor_of(sweep *s, const gs_rule *r, const gs_node *n, int i) {
  const track *t = track_of(s, n->in[i]);
  const gs_dim_map *d = &r->in[i].dim[t->dim];
  if (!d->n || r->factor[d->f[0]].size % rows_of(s, t->by) ||
      r->factor[d->f[0]].kind != GS_PASS)
    return -1;
  return d->f[0];
}

/* The dim of result o that has factor f, as its major part; -1: there is none,
 * or not one alone. */
static int dim_of(const gs_rule *r, int o, int f) {
  int found = -1;
  for (int d = 0; d < r->out[o].rank; d++)
    for (int k = 0; k < r->out[o].dim[d].n; k++) {
      if (r->out[o].dim[d].f[k] != f) continue;
      if (k || found >= 0) return -1;
      found = d;
    }
  return found;
}

/* Of what is made of sizes alone, the dim that has the rows. */
static int dim_of_size(const sweep *s, const gs_value *v, int by) {
  int found = -1;
  for (int d = 0; d < v->rank; d++) {
    if (v->dims[d] != rows_of(s, by)) continue;
    if (found >= 0) return -1;
    found = d;
  }
  return found;
}

/* Whether the results of n, which was inferred, have the rows that its operands
 * have, each made of the same row: then they are noted. */
static bool passes_rows(sweep *s, const gs_node *n, int by) {
  gs_rule *r = GS_NEW(s->a, gs_rule);
  int factor = -1;
  bool moves = n->op->flags & GS_OP_EARLY;
  if (gs_rule_of(s->a, n, r, NULL)) return false;
  for (int i = 0; i < n->nin; i++) {
    const track *t = n->in[i] ? track_of(s, n->in[i]) : NULL;
    if (!t || !t->by) continue;
    if (t->size && !(moves && i)) return false;
    if (t->size) continue;
    int f = factor_of(s, r, n, i);
    if (f < 0 || (factor >= 0 && factor != f)) return false;
    factor = f;
  }
  for (int o = 0; o < n->nout; o++) {
    if (!n->out[o]) continue;
    int d = factor < 0 ? dim_of_size(s, n->out[o], by) : dim_of(r, o, factor);
    if (d < 0) return false;
    *track_of(s, n->out[o]) = (track){.by = by, .dim = d};
  }
  return true;
}

static bool all_folded(const gs_node *n) {
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && !n->out[i]->constant) return false;
  return true;
}

/* Gives the operands of n that have rows `count` of them. */
static void resize(sweep *s, gs_node *n, int64_t count) {
  for (int i = 0; i < n->nin; i++) {
    const track *t = n->in[i] ? track_of(s, n->in[i]) : NULL;
    if (t && t->by) n->in[i]->dims[t->dim] = count;
  }
}

/* How many rows n wants, which makes no sense with those of a trial, where
 * there is one number in 1 .. most with which it does; 0: none, or several. */
static int64_t wants(sweep *s, gs_node *n, int by, int64_t most) {
  int64_t found = 0;
  for (int i = 0; i < n->nin; i++) {
    const track *t = n->in[i] ? track_of(s, n->in[i]) : NULL;
    if (t && t->by &&
        (t->size || n->in[i]->dims[t->dim] != rows_of(s, by)))
      return 0;
  }
  for (int64_t k = 0; k <= most && found >= 0; k++) {
    gs_err why;
    gs_err_init(&why);
    resize(s, n, k);
    gs_status status = gs_shape_infer(s->g, n, &why);
    if (!status || status == GS_UNKNOWN) found = found || !k ? -1 : k;
    gs_err_free(&why);
  }
  resize(s, n, rows_of(s, by));
  return found < 0 ? 0 : found;
}

/* Notes where n wants as many rows as there can be: then they are the first
 * ones, all of them, in any run that n does not end. */
static void note_wanted(sweep *s, gs_node *n, int by) {
  enum { MOST = 1024 };
  const gs_value *x = s->mask[by - 1];
  int64_t all = gs_product(x->dims, x->rank);
  int64_t count = all <= MOST ? wants(s, n, by, all) : 0;
  if (count && (count == all || (x->rank == 1 &&
                                 count == gs_mask_bound(s->a, s->g, x))))
    s->first[by - 1] = count;
}

/* A node of a trial that reads rows, or numbers that depend on them. */
static gs_status follow(sweep *s, gs_node *n, int by) {
  gs_err why;
  gs_err_init(&why);
  end *k = &s->ends[s->at];
  bool good = n->op && !(n->op->flags & GS_OP_RANDOM) && !gs_node_has_region(n);
  if (good && ends_rows(s, n, by, k)) {
    if (finish(s, n, k, &good, &why) || !good) {
      lose(s, n, by);
      *k = (end){0};
    }
    gs_err_free(&why);
    return GS_OK;
  }
  good = good && !gs_infer_next(s->a, s->g, n, &why) && !gs_node_dynamic(n);
  gs_err_free(&why);
  if (good && all_folded(n)) {
    for (int i = 0; i < n->nout; i++)
      if (n->out[i]) *track_of(s, n->out[i]) = (track){by, 0, true, false};
    return GS_OK;
  }
  if (!good && n->op) note_wanted(s, n, by);
  if (!good || !passes_rows(s, n, by)) lose(s, n, by);
  return GS_OK;
}

/* ---- sweeps ---- */

static gs_status try_node(sweep *s, gs_node *n) {
  int by = 0;
  bool lost = false;
  for (int i = 0; i < n->nin; i++) {
    const track *t = n->in[i] ? track_of(s, n->in[i]) : NULL;
    if (!t) continue;
    lost = lost || t->lost || (t->by && by && t->by != by);
    if (t->by) by = t->by;
  }
  if (lost) {
    lose(s, n, by);
    return GS_OK;
  }
  if (by) return follow(s, n, by);
  s->begins[s->at] = false;
  if (s->first[s->at] && begins_rows(s, n)) return fill(s, n);
  s->begins[s->at] = !s->never[s->at] && begins_rows(s, n);
  if (s->begins[s->at]) try_begin(s, n);
  if (s->begins[s->at] || !gs_node_dynamic(n)) return GS_OK;
  gs_err why;
  gs_err_init(&why);
  if (gs_infer_next(s->a, s->g, n, &why)) lose(s, n, 0);
  gs_err_free(&why);
  return GS_OK;
}

static gs_status make_node(sweep *s, gs_node *n) {
  const end *k = &s->ends[s->at];
  bool done = false;
  if (s->first[s->at]) return fill(s, n);
  if (s->begins[s->at]) return begin(s, n);
  if (k->by) {
    GS_TRY(finish(s, n, k, &done, s->e));
    gs_assert(done);
    return GS_OK;
  }
  if (gs_node_dynamic(n)) GS_TRY(gs_infer_next(s->a, s->g, n, s->e));
  else *gs_push(s->g->arena, &s->g->node) = n;
  const gs_function *f = n->op ? form_of(s, n) : NULL;
  int counts = f ? gs_lookup_counts(s->a, n) : 0;
  if (!f || has_real(f, true) || has_real(f, false) || !counts) return GS_OK;
  gs_node *c = call(s, n, n->nin, n->nout);
  gs_node_set_int(s->g, c, "counts", counts > 1 ? 2 : 1);
  s->g->node.n--;
  GS_TRY(put_form(s, c, n, f, &done, s->e));
  if (!done) *gs_push(s->g->arena, &s->g->node) = n;
  return GS_OK;
}

static gs_status run(sweep *s) {
  int n = s->g->node.n;
  gs_node **old = s->g->node.at;
  s->g->node.at = NULL;
  s->g->node.n = s->g->node.cap = 0;
  GS_TRY(gs_expander_functions(&s->expander, s->a, &s->forms, s->e));
  for (s->at = 0; s->at < n; s->at++)
    GS_TRY(s->trial ? try_node(s, old[s->at]) : make_node(s, old[s->at]));
  return GS_OK;
}

/* ---- the pass ---- */

static int64_t largest_dim(const gs_graph *g) {
  int64_t most = TRIAL;
  for (int i = 0; i < g->value.n; i++)
    for (int d = 0; d < g->value.at[i]->rank; d++)
      if (g->value.at[i]->dims[d] > most) most = g->value.at[i]->dims[d];
  return most;
}

/* One trial on a copy; *again: of what it began some cannot be. */
static gs_status attempt(const sweep *plan, const gs_graph *g, int n,
                         bool *again) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  sweep *s = GS_NEW(&tmp, sweep);
  *s = *plan;
  s->g = gs_graph_copy(&tmp, g);
  s->a = &tmp;
  s->trial = true;
  s->fails = GS_NEWS(&tmp, n + 1, bool);
  s->real = GS_NEWS(&tmp, n + 1, gs_value *);
  s->mask = GS_NEWS(&tmp, n + 1, gs_value *);
  s->made = GS_NEWS(&tmp, n + 1, gs_value *);
  s->root = GS_NEWS(&tmp, n + 1, const gs_value *);
  memset(s->ends, 0, ((size_t)n + 1) * sizeof *s->ends);
  gs_status status = run(s);
  for (int i = 0; i < s->g->output.n && !status; i++) {
    const track *t = track_of(s, s->g->output.at[i]);
    if (t->by) s->fails[t->by - 1] = true;
  }
  *again = false;
  for (int i = 0; i < n && !status; i++) {
    *again = *again || s->fails[i];
    s->never[i] = s->never[i] || (s->fails[i] && !s->first[i]);
  }
  gs_arena_free(&tmp);
  return status;
}

gs_status gs_pass_rows(gs_graph *g, int64_t capacity, gs_rows *out, gs_err *e) {
  gs_arena *a = g->arena;
  int n = g->node.n;
  bool again = true;
  sweep s = {.g = g, .a = a, .capacity = capacity, .e = e};
  s.never = GS_NEWS(a, n + 1, bool);
  s.begins = GS_NEWS(a, n + 1, bool);
  s.first = GS_NEWS(a, n + 1, int64_t);
  s.ends = GS_NEWS(a, n + 1, end);
  s.real = GS_NEWS(a, n + 1, gs_value *);
  s.mask = GS_NEWS(a, n + 1, gs_value *);
  s.made = GS_NEWS(a, n + 1, gs_value *);
  s.times = GS_NEWS(a, n + 1, int64_t);
  s.most = largest_dim(g) + 1;
  gs_assert(capacity >= 0);
  *out = (gs_rows){0};
  for (int k = 0; k < MAX_TRIALS && again; k++)
    GS_TRY(attempt(&s, g, n, &again));
  for (int i = 0; i < n && !again; i++) out->count += s.begins[i];
  if (!out->count) return GS_OK;
  GS_TRY(run(&s));
  out->places = s.places;
  out->elements = s.elements;
  for (int i = 0; i < g->node.n; i++) g->node.at[i]->id = i;
  gs_graph_prune(g);
  return gs_graph_check(g, e);
}
