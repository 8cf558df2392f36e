/* The rule of a node: the user's text, its row's text or function. */
#include "op/rule/terms.h"

/* The terms take far more memory than the rule and go with their arena. */
static gs_status by_text(gs_arena *a, const char *text, const gs_node *n,
                         gs_status code, gs_rule *r, gs_err *e) {
  gs_arena tmp;
  gs_terms t;
  gs_arena_init(&tmp);
  gs_status s = gs_terms_parse(&t, &tmp, n, text, code, e);
  if (!s) s = gs_terms_rule(&t, a, r, e);
  gs_arena_free(&tmp);
  return s;
}

gs_status gs_rule_parse(gs_arena *a, const char *text, const gs_node *n,
                        gs_rule *r, gs_err *e) {
  return by_text(a, text, n, GS_SPEC, r, e);
}

static void limit_to(gs_rule *r, const gs_tensor_map *t, const gs_value *v) {
  for (int d = 0; d < t->rank; d++) {
    const gs_dim_map *map = &t->dim[d];
    if (!map->n) continue;
    gs_factor *f = &r->factor[map->f[map->n - 1]];
    bool any = f->kind == GS_FLAT || (map->n == 1 && f->kind == GS_WINDOW);
    if (any && v->dims[d] < f->limit) f->limit = v->dims[d];
  }
}

/* Windows that nothing uses are whole; how far each factor may be split. */
static void finish(const gs_node *n, gs_rule *r) {
  bool used[GS_MAX_FACTORS] = {false};
  for (int i = 0; i < r->nuse; i++) used[r->use[i].factor] = true;
  for (int f = 0; f < r->nfactor; f++) {
    if (r->factor[f].kind == GS_WINDOW && !used[f])
      r->factor[f].kind = GS_WHOLE;
    bool flat = r->factor[f].kind == GS_FLAT;
    r->factor[f].limit = flat ? INT64_MAX : r->factor[f].size;
  }
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) limit_to(r, &r->in[i], n->in[i]);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) limit_to(r, &r->out[i], n->out[i]);
}

gs_status gs_rule_of(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  const gs_op *op = n->op;
  /* Such nodes run whole on every device. */
  bool dynamic = gs_node_dynamic(n) || gs_node_has_region(n);
  for (int i = 0; i < n->nin + n->nout; i++) {
    const gs_value *v = i < n->nin ? n->in[i] : n->out[i - n->nin];
    if (v && !gs_value_shaped(v) && !op)
      return gs_fail(e, GS_INTERNAL, gs_node_place(a, n),
                     "the shape of '%s' is not known", v->name);
  }
  if (dynamic && op) GS_TRY(gs_rule_opaque(a, n, r, e));
  else if (n->rule) GS_TRY(by_text(a, n->rule, n, GS_SPEC, r, e));
  else if (!op) GS_TRY(gs_rule_opaque(a, n, r, e));
  else if (op->text) GS_TRY(by_text(a, op->text, n, GS_DATA, r, e));
  else {
    gs_status s = op->family->make(a, n, r, e);
    if (s) return s == GS_UNKNOWN ? GS_UNSUPPORTED : s;
  }
  if (r->nfactor > GS_MAX_FACTORS)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "the operator needs more than %d factors", GS_MAX_FACTORS);
  for (int f = 0; op && !dynamic && !n->rule && f < r->nfactor; f++)
    if (r->factor[f].kind == GS_SUMMED && r->factor[f].reduce == GS_REDUCE_SUM)
      r->factor[f].reduce = op->combine;
  GS_TRY(gs_rule_check(n, r, e));
  finish(n, r);
  return GS_OK;
}

bool gs_rule_keeps(const gs_node *n, const gs_rule *r) {
  if (!n->op || n->rule) return false;
  if (n->op->flags & GS_OP_VIEW) return true;
  if (!n->op->span) return false;
  for (int d = 0; d < r->out[0].rank; d++) {
    const gs_dim_map *x = &r->in[0].dim[d], *y = &r->out[0].dim[d];
    if (y->n != 1 || x->n != 1 || x->f[0] != y->f[0] ||
        r->factor[y->f[0]].kind != GS_PASS)
      return false;
  }
  return true;
}
