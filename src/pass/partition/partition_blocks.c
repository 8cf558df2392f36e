/* Blocks of other sizes than ceil(n / devices): what a reshape leaves where the
 * rows of one side do not fill those of the other.  A node that passes a dim
 * takes it in such blocks and makes such blocks; nothing is moved between. */
#include <string.h>

#include "pass/partition/partition_impl.h"

enum { MAX_FORMS = 4 }; /* of an operand that are looked at */

/* Whether the node's local form follows from the local dims alone. */
static bool takes_blocks(const gs_node *n, const gs_rule *r) {
  const unsigned no = GS_OP_RANDOM | GS_OP_MESH | GS_OP_DYNAMIC |
                      GS_OP_INDEX1 | GS_OP_COLLECTIVE | GS_OP_ENTRY |
                      GS_OP_EXIT | GS_OP_PLACED;
  if (!n->op || n->op->flags & no || r->nuse || gs_node_dynamic(n) ||
      gs_node_has_region(n))
    return false;
  return !n->op->local || n->op->flags & GS_OP_VIEW;
}

/* Whether all dims with factor f have no other. */
static bool stands_alone(const gs_rule *r, int f) {
  for (int s = 0; s < r->nin + r->nout; s++) {
    const gs_tensor_map *t = s < r->nin ? &r->in[s] : &r->out[s - r->nin];
    for (int d = 0; d < t->rank; d++)
      for (int i = 0; i < t->dim[d].n; i++)
        if (t->dim[d].f[i] == f && (t->dim[d].n > 1 || t->dim[d].grown))
          return false;
  }
  return true;
}

/* The blocks in which x holds dim d, where these are not the usual ones and
 * all that the factor's axes split; else 0. */
static int64_t block_of(const gs_form *x, int d, const gs_axes *axes) {
  bool window = gs_form_windows(x) >> d & 1;
  if (!window || !axes->n ||
      !gs_axes_equal(&x->sharding->dim[d].axes, axes) ||
      (x->need && x->need[d].reach.count))
    return 0;
  return gs_held_range_tiles(&x->window[d]) ? x->window[d].length : 0;
}

/* The blocks of each factor as operand i is held in form x; false: it has no
 * such blocks. */
static bool blocks_in(const gs_rule *r, int i, const gs_form *x,
                      const gs_assignment *as, int64_t *block) {
  bool any = false;
  memset(block, 0, (size_t)r->nfactor * sizeof *block);
  for (int d = 0; d < r->in[i].rank; d++) {
    if (r->in[i].dim[d].n != 1) continue;
    int f = r->in[i].dim[d].f[0];
    if (r->factor[f].kind != GS_PASS || !stands_alone(r, f)) continue;
    block[f] = block_of(x, d, &as->axis[f]);
    any = any || block[f];
  }
  return any;
}

gs_block_lists gs_partitioner_blocks(const gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_arena *tmp,
                                const gs_assignment *as) {
  gs_block_lists all = {0};
  size_t size = (size_t)r->nfactor * sizeof(int64_t);
  if (!takes_blocks(n, r)) return all;
  for (int i = 0; i < r->nin; i++) {
    const gs_held_form *x = n->in[i] ? p->held[n->in[i]->id] : NULL;
    for (int k = 0; x && k < MAX_FORMS; x = x->next, k++) {
      int64_t block[GS_MAX_FACTORS];
      if (!blocks_in(r, i, &x->form, as, block)) continue;
      bool known = false;
      for (int b = 0; b < all.n; b++)
        known = known || !memcmp(all.at[b], block, size);
      if (!known) *gs_push(tmp, &all) = gs_memdup(tmp, block, size);
    }
  }
  return all;
}

void gs_partitioner_hold_blocks(const gs_partitioner *p, gs_arena *tmp,
                                const gs_tensor_map *t, const int64_t *block,
                                const int64_t *dims, gs_form *form) {
  for (int d = 0; block && d < t->rank; d++) {
    if (t->dim[d].n != 1 || !block[t->dim[d].f[0]]) continue;
    int64_t n = block[t->dim[d].f[0]];
    gs_held_range held = {.m = 1, .a = n, .c = 1, .length = n};
    *form = gs_form_hold(tmp, p->m, form, d, dims[d], &held);
  }
}
