/* What depends on the size of a cache. */
#include "pass/state/cache_size.h"

#include <string.h>

bool gs_cache_begins_alike(const gs_tensor *a, const gs_tensor *b) {
  int64_t bits = gs_dtype_get((int)a->dtype)->bits;
  const char *x = gs_tensor_bytes(a), *y = gs_tensor_bytes(b);
  int64_t n = gs_tensor_count(a);
  if (bits % 8 || (n && (!x || !y)) || a->rank != b->rank) return false;
  for (int d = 0; d < a->rank; d++)
    if (a->dims[d] > b->dims[d]) return false;
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i, at = 0, step = 1;
    for (int d = a->rank - 1; d >= 0; d--) {
      at += rest % a->dims[d] * step;
      rest /= a->dims[d];
      step *= b->dims[d];
    }
    if (memcmp(x + i * bits / 8, y + at * bits / 8, (size_t)bits / 8))
      return false;
  }
  return true;
}

static bool same_map(const gs_tensor_map *a, const gs_tensor_map *b) {
  bool same = a->rank == b->rank;
  for (int d = 0; same && d < a->rank; d++)
    same = a->dim[d].n == b->dim[d].n &&
           !memcmp(a->dim[d].f, b->dim[d].f, a->dim[d].n);
  return same;
}

bool gs_cache_same_rule(const gs_rule *a, const gs_rule *b) {
  bool same = a->nfactor == b->nfactor && a->nin == b->nin &&
              a->nout == b->nout && a->nuse == b->nuse;
  for (int i = 0; same && i < a->nfactor; i++)
    same = a->factor[i].kind == b->factor[i].kind;
  for (int i = 0; same && i < a->nin; i++)
    same = same_map(&a->in[i], &b->in[i]);
  for (int i = 0; same && i < a->nout; i++)
    same = same_map(&a->out[i], &b->out[i]);
  for (int i = 0; same && i < a->nuse; i++) {
    const gs_reach *x = &a->use[i].reach, *y = &b->use[i].reach;
    same = a->use[i].factor == b->use[i].factor && x->num == y->num &&
           x->den == y->den && x->first == y->first && x->last == y->last &&
           x->apart == y->apart;
  }
  return same;
}

bool gs_cache_says_shape(gs_graph *larger, const gs_node *n, gs_node *other,
                         int k, bool alike) {
  if (n->op->index.kind == GS_INDEX_SIZE && n->op->index.operand == k)
    return true;
  unsigned moves = GS_OP_VIEW | GS_OP_EARLY | GS_OP_MOVES;
  if (!(n->op->flags & moves) || !k || !alike) return false;
  gs_value *v = other->in[k], *y = other->out[0];
  const gs_tensor *t = v->constant;
  gs_value before = *y;
  gs_err none;
  gs_err_init(&none);
  v->constant = NULL;
  y->rank = -1; /* what is declared would do */
  bool needs = gs_shape_try(larger, other, &none) != GS_OK;
  v->constant = t;
  *y = before;
  gs_err_free(&none);
  return needs;
}
