#include "op/rule/rule.h"

#include "base/assert.h"
#include "base/math.h"

/* ---- building ---- */

static void begin_maps(gs_arena *a, int n, gs_value *const *v,
                       gs_tensor_map *map) {
  for (int i = 0; i < n; i++) {
    map[i].rank = v[i] && v[i]->rank > 0 ? v[i]->rank : 0;
    map[i].dim = GS_NEWS(a, map[i].rank, gs_dim_map);
  }
}

/* Factors after which no more are made for what must be whole: a Concat of
 * hundreds of sizes leaves room for the dims that may be split. */
enum { MAX_WHOLE = GS_MAX_FACTORS - 32 };

void gs_rule_begin(gs_arena *a, const gs_node *n, gs_rule *r) {
  *r = (gs_rule){.arena = a};
  gs_assert(n->nin >= 0 && n->nout >= 0);
  r->nin = n->nin;
  r->nout = n->nout;
  r->in = GS_NEWS(a, n->nin, gs_tensor_map);
  r->out = GS_NEWS(a, n->nout, gs_tensor_map);
  begin_maps(a, n->nin, n->in, r->in);
  begin_maps(a, n->nout, n->out, r->out);
}

int gs_rule_factor(gs_rule *r, int64_t size, gs_factor_kind kind) {
  if (r->nfactor >= GS_MAX_FACTORS) {
    r->nfactor = GS_MAX_FACTORS + 1; /* reported by gs_rule_of */
    return GS_MAX_FACTORS - 1;
  }
  if (r->nfactor == r->room)
    r->factor = gs_vec_grow(r->arena, r->factor, r->nfactor, &r->room,
                            sizeof *r->factor);
  gs_assert(r->nfactor < r->room);
  r->factor[r->nfactor] = (gs_factor){.size = size, .kind = kind};
  return r->nfactor++;
}

void gs_rule_use(gs_rule *r, const gs_window_use *use) {
  gs_assert(use->factor >= 0 && use->factor < GS_MAX_FACTORS);
  gs_assert(use->reach.den > 0 && use->reach.first <= use->reach.last);
  if (r->nuse == r->use_room)
    r->use = gs_vec_grow(r->arena, r->use, r->nuse, &r->use_room,
                         sizeof *r->use);
  r->use[r->nuse++] = *use;
}

int gs_rule_window(gs_rule *r, int in, int dx, int out, int dy, int64_t size,
                   const gs_window_use *use) {
  gs_window_use made = *use;
  made.factor = gs_rule_factor(r, size, GS_WINDOW);
  made.in = in;
  made.dim = dx;
  made.out = out;
  made.out_dim = dy;
  gs_rule_put(&r->in[in], dx, made.factor);
  gs_rule_put(&r->out[out], dy, made.factor);
  gs_rule_use(r, &made);
  return made.factor;
}

void gs_rule_reach(gs_rule *r, int in, int d, const gs_reach *reach) {
  const gs_dim_map *m = &r->in[in].dim[d];
  gs_assert(m->n <= 1 && r->out[0].dim[d].n == m->n);
  if (!m->n) return;
  gs_assert(r->factor[m->f[0]].kind == GS_WINDOW &&
            r->out[0].dim[d].f[0] == m->f[0]);
  gs_window_use use = {.factor = m->f[0], .in = in, .dim = d, .out_dim = d,
                       .reach = *reach};
  gs_rule_use(r, &use);
}

const char *gs_factor_text(gs_factor_kind kind) {
  static const char *const names[GS_NKIND] = {
      [GS_PASS] = "pass",     [GS_SUMMED] = "summed", [GS_WHOLE] = "whole",
      [GS_WINDOW] = "window", [GS_STATS] = "stats",   [GS_SELECT] = "select",
      [GS_SCAN] = "scan",     [GS_LOOKUP] = "lookup", [GS_FLAT] = "flat",
      [GS_STATE] = "state",
  };
  gs_assert((size_t)kind < GS_NKIND);
  return names[kind];
}

int gs_rule_fixed(gs_rule *r, int64_t size) {
  for (int f = 0; f < r->nfactor && f < GS_MAX_FACTORS; f++)
    if (gs_factor_whole(r->factor[f].kind) && r->factor[f].blocked &&
        r->factor[f].size == size)
      return f;
  int f = gs_rule_factor(r, size, GS_WHOLE);
  r->factor[f].blocked = true;
  return f;
}

int gs_rule_whole(gs_rule *r, int64_t size) {
  for (int f = 0; f < r->nfactor && f < GS_MAX_FACTORS; f++)
    if (gs_factor_whole(r->factor[f].kind) && r->factor[f].size == size)
      return f;
  if (r->nfactor >= MAX_WHOLE) return -1;
  return gs_rule_factor(r, size, GS_WHOLE);
}

void gs_rule_put(gs_tensor_map *t, int d, int f) {
  gs_dim_map *m = &t->dim[d];
  gs_assert(d >= 0 && d < t->rank && f < GS_MAX_FACTORS);
  if (f >= 0 && m->n < GS_MAX_DIM_FACTORS) m->f[m->n++] = (uint8_t)f;
}

void gs_rule_put_whole(gs_rule *r, gs_tensor_map *t, const int64_t *dims) {
  for (int d = 0; d < t->rank; d++)
    gs_rule_put(t, d, gs_rule_whole(r, dims[d]));
}

void gs_rule_in_whole(gs_rule *r, const gs_node *n, int i) {
  const gs_value *v = gs_node_in(n, i);
  if (v) gs_rule_put_whole(r, &r->in[i], v->dims);
}

void gs_rule_tie(const gs_node *n, gs_rule *r, int first, int last) {
  const gs_value *y = n->out[0];
  for (int d = 0; d < y->rank; d++) {
    int f = gs_rule_factor(r, y->dims[d], GS_PASS);
    gs_rule_put(&r->out[0], d, f);
    for (int i = first; i < last; i++) {
      const gs_value *x = gs_node_in(n, i);
      int at = x ? d - (y->rank - x->rank) : -1;
      if (at >= 0 && x->dims[at] == y->dims[d])
        gs_rule_put(&r->in[i], at, f);
    }
  }
}

gs_status gs_rule_opaque(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  (void)e;
  gs_rule_begin(a, n, r);
  for (int i = 0; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) gs_rule_put_whole(r, &r->out[i], n->out[i]->dims);
  return GS_OK;
}

/* ---- copies ---- */

static gs_tensor_map *copy_maps(gs_arena *a, const gs_tensor_map *t, int n) {
  gs_tensor_map *copy = gs_memdup(a, t, (size_t)n * sizeof *t);
  for (int i = 0; i < n; i++)
    copy[i].dim =
        gs_memdup(a, t[i].dim, (size_t)t[i].rank * sizeof *t[i].dim);
  return copy;
}

void gs_rule_copy(gs_arena *a, const gs_rule *r, gs_rule *out) {
  *out = *r;
  out->arena = a;
  out->room = r->nfactor;
  out->factor = gs_memdup(a, r->factor, (size_t)r->nfactor * sizeof *r->factor);
  out->use_room = r->nuse;
  out->use = gs_memdup(a, r->use, (size_t)r->nuse * sizeof *r->use);
  out->in = copy_maps(a, r->in, r->nin);
  out->out = copy_maps(a, r->out, r->nout);
}

/* ---- checking ---- */

enum { PLACE = 300 };

static const char *place(const gs_node *n, char *to) {
  snprintf(to, PLACE, "node '%.200s' (%.60s)", n->name, n->op_type);
  return to;
}

/* Operand or result `index`. */
static gs_status check_map(const gs_node *n, const gs_rule *r,
                           const gs_tensor_map *t, const gs_value *v,
                           bool result, int index, gs_err *e) {
  const char *side = result ? "result" : "operand";
  char where[PLACE];
  int rank = v && v->rank > 0 ? v->rank : 0;
  if (t->rank != rank)
    return gs_fail(e, GS_INTERNAL, place(n, where),
                   "rule: %s %d has rank %d, not %d", side, index, t->rank,
                   rank);
  bool seen[GS_MAX_FACTORS] = {false};
  for (int d = 0; d < rank; d++) {
    const gs_dim_map *m = &t->dim[d];
    int64_t size[GS_MAX_DIM_FACTORS];
    for (int i = 0; i < m->n; i++) {
      int f = m->f[i];
      if (f >= r->nfactor)
        return gs_fail(e, GS_INTERNAL, place(n, where),
                       "rule: no factor %d", f);
      if (seen[f] && !gs_factor_whole(r->factor[f].kind))
        return gs_fail(e, GS_INTERNAL, place(n, where),
                       "rule: factor %d twice in %s %d, but not whole", f,
                       side, index);
      if (result && r->factor[f].kind == GS_SUMMED)
        return gs_fail(e, GS_INTERNAL, place(n, where),
                       "rule: summed factor %d in result %d", f, index);
      seen[f] = true;
      size[i] = r->factor[f].size;
    }
    if (m->n == 1 && r->factor[m->f[0]].kind == GS_WINDOW) continue;
    if (m->n == 1 && r->factor[m->f[0]].kind == GS_FLAT) continue;
    if (m->grown && m->n == 1 && gs_factor_whole(r->factor[m->f[0]].kind))
      continue;
    int64_t p = gs_product(size, m->n);
    if (p != v->dims[d] && (m->n || r->nfactor < MAX_WHOLE))
      return gs_fail(e, GS_INTERNAL, place(n, where),
                     "rule: dim %d of %s %d is %lld, its factors make %lld", d,
                     side, index, (long long)v->dims[d], (long long)p);
  }
  return GS_OK;
}

static bool use_fits(const gs_node *n, const gs_rule *r,
                     const gs_window_use *u) {
  return u->factor < r->nfactor && u->in < n->nin && n->in[u->in] &&
         u->dim >= 0 && u->dim < r->in[u->in].rank && u->out < n->nout &&
         (u->out < 0 || (n->out[u->out] && u->out_dim < r->out[u->out].rank &&
                         n->out[u->out]->dims[u->out_dim] == u->reach.count));
}

gs_status gs_rule_check(const gs_node *n, const gs_rule *r, gs_err *e) {
  if (r->nin != n->nin || r->nout != n->nout || r->nfactor > GS_MAX_FACTORS)
    return gs_fail(e, GS_INTERNAL, n->name,
                   "rule: %d operands and %d results for a node (%s) with %d "
                   "and %d, %d factors",
                   r->nin, r->nout, n->op_type, n->nin, n->nout, r->nfactor);
  for (int i = 0; i < n->nin; i++)
    GS_TRY(check_map(n, r, &r->in[i], n->in[i], false, i, e));
  for (int i = 0; i < n->nout; i++)
    GS_TRY(check_map(n, r, &r->out[i], n->out[i], true, i, e));
  for (int i = 0; i < r->nuse; i++)
    if (!use_fits(n, r, &r->use[i]))
      return gs_fail(e, GS_INTERNAL, n->name,
                     "rule: use %d of a window does not fit the node (%s)", i,
                     n->op_type);
  return GS_OK;
}

/* ---- cost ---- */

double gs_op_flops(const gs_op *op, const gs_rule *r, const int64_t *sizes) {
  double p = op ? op->flops : 0;
  for (int f = 0; f < r->nfactor; f++)
    if (!r->factor[f].blocked) p *= (double)sizes[f];
  return p;
}

/* ---- printing ---- */

/* i .. z, then z_1, z_2, ... as Shardy names factors. */
static void print_factor(gs_buf *b, int f) {
  if (f < 18) gs_buf_char(b, (char)('i' + f));
  else gs_buf_printf(b, "z_%d", f - 17);
}

static void print_maps(gs_buf *b, const gs_tensor_map *t, int n) {
  gs_buf_char(b, '(');
  for (int i = 0; i < n; i++) {
    gs_buf_str(b, i ? ",[" : "[");
    for (int d = 0; d < t[i].rank; d++) {
      if (d) gs_buf_char(b, ',');
      const gs_dim_map *m = &t[i].dim[d];
      for (int j = 0; j < m->n; j++) print_factor(b, m->f[j]);
      if (!m->n) gs_buf_char(b, '1');
      if (m->grown) gs_buf_char(b, '+');
    }
    gs_buf_char(b, ']');
  }
  gs_buf_char(b, ')');
}

/* " name={i,k}" of the chosen factors; nothing when there are none. */
static void print_set(gs_buf *b, const gs_rule *r, const char *name,
                      const bool *chosen) {
  int n = 0;
  for (int f = 0; f < r->nfactor; f++) {
    if (!chosen[f]) continue;
    if (n++) gs_buf_char(b, ',');
    else gs_buf_printf(b, " %s={", name);
    print_factor(b, f);
  }
  if (n) gs_buf_char(b, '}');
}

/* "2*k-1", "floor((k+1)/2)". */
static void print_term(gs_buf *b, const gs_reach *x, int f, int64_t add) {
  if (x->den != 1) gs_buf_str(b, "floor((");
  if (x->num == -1) gs_buf_char(b, '-');
  else if (x->num != 1) gs_buf_printf(b, "%lld*", (long long)x->num);
  print_factor(b, f);
  if (add) gs_buf_printf(b, "%+lld", (long long)add);
  if (x->den != 1) gs_buf_printf(b, ")/%lld)", (long long)x->den);
}

static void print_use(gs_buf *b, const gs_window_use *u) {
  gs_buf_str(b, " window(");
  print_factor(b, u->factor);
  gs_buf_printf(b, ": %d.%d[", u->in, u->dim);
  print_term(b, &u->reach, u->factor, u->reach.first);
  if (u->reach.last != u->reach.first) {
    gs_buf_char(b, ',');
    print_term(b, &u->reach, u->factor, u->reach.last);
  }
  if (u->reach.apart > 1)
    gs_buf_printf(b, " by %lld", (long long)u->reach.apart);
  gs_buf_char(b, ']');
  if (u->out > 0) gs_buf_printf(b, " of result %d", u->out);
  if (u->fill == GS_FILL_VALUE) gs_buf_printf(b, " else %g", u->value);
  else if (u->fill != GS_FILL_ANY)
    gs_buf_printf(b, " else %s", gs_fill_text(u->fill));
  gs_buf_char(b, ')');
}

void gs_rule_print(gs_buf *b, const gs_rule *r) {
  print_maps(b, r->in, r->nin);
  gs_buf_str(b, "->");
  print_maps(b, r->out, r->nout);
  gs_buf_str(b, " {");
  for (int f = 0; f < r->nfactor; f++) {
    if (f) gs_buf_char(b, ',');
    print_factor(b, f);
    gs_buf_printf(b, "=%lld", (long long)r->factor[f].size);
  }
  gs_buf_char(b, '}');
  bool chosen[GS_MAX_FACTORS];
  for (int k = 0; k < GS_NREDUCE; k++) {
    for (int f = 0; f < r->nfactor; f++)
      chosen[f] = r->factor[f].kind == GS_SUMMED &&
                  (int)r->factor[f].reduce == k;
    char name[32] = "reduction";
    if (k != GS_REDUCE_SUM)
      snprintf(name, sizeof name, "reduction(%s)",
               gs_reduce_text((gs_reduce)k));
    print_set(b, r, name, chosen);
  }
  for (int f = 0; f < r->nfactor; f++)
    chosen[f] = gs_factor_whole(r->factor[f].kind);
  print_set(b, r, "need_replication", chosen);
  for (int f = 0; f < r->nfactor; f++) chosen[f] = r->factor[f].blocked;
  print_set(b, r, "blocked_propagation", chosen);
  for (int i = 0; i < r->nuse; i++) print_use(b, &r->use[i]);
}
