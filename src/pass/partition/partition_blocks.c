/* Blocks of other sizes than ceil(n / devices): what a reshape leaves, or
 * wants, where the rows of one side do not fill those of the other.  A node
 * that passes a dim, or sums it, takes it in such blocks and makes such blocks;
 * nothing is moved between.  Constants are read in them. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/partition/partition_impl.h"

enum {
  MAX_FORMS = 4, /* of an operand that are looked at */
  MAX_AHEAD = 4  /* nodes behind the one that makes blocks */
};

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

/* Whether factor f may be split in any blocks. */
static bool any_blocks(const gs_rule *r, int f) {
  const gs_factor *x = &r->factor[f];
  bool sums = x->kind == GS_SUMMED && x->reduce == GS_REDUCE_SUM;
  return (x->kind == GS_PASS || sums) && stands_alone(r, f);
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
  gs_assert(i >= 0 && i < r->nin);
  memset(block, 0, (size_t)r->nfactor * sizeof *block);
  for (int d = 0; d < r->in[i].rank; d++) {
    if (r->in[i].dim[d].n != 1) continue;
    int f = r->in[i].dim[d].f[0];
    int64_t its = block_of(x, d, &as->axis[f]);
    if (!its || !any_blocks(r, f)) continue; /* which looks at all operands */
    block[f] = its;
    any = true;
  }
  return any;
}

/* ---- what readers want ---- */

/* The dim of t that is factor f alone; -1: none. */
static int dim_of(const gs_tensor_map *t, int f) {
  for (int d = 0; d < t->rank; d++)
    if (t->dim[d].n == 1 && t->dim[d].f[0] == f) return d;
  return -1;
}

/* The blocks of dim d of v, split over so many devices, that the node which
 * alone reads it wants, or one behind that: whole rows of a dim that it is cut
 * into.  0: the usual ones will do. */
static int64_t wanted_block(const gs_partitioner *p, gs_arena *tmp,
                            const gs_value *v, int d, int64_t shards) {
  for (int k = 0; k < MAX_AHEAD && v && !v->is_output; k++) {
    const gs_node *n = gs_partitioner_reader(p, v);
    const gs_rule *r;
    if (!n || gs_partitioner_rule(p, n, tmp, &r, NULL)) return 0;
    int i = 0;
    while (n->in[i] != v) i++;
    const gs_dim_map *map = &r->in[i].dim[d];
    if (!map->n) return 0;
    const gs_factor *major = &r->factor[map->f[0]];
    if (map->n > 1) {
      bool rows = r->uneven && major->kind == GS_PASS && major->size >= shards;
      if (!rows || major->size % shards == 0) return 0;
      return gs_ceil_div(major->size, shards) * (v->dims[d] / major->size);
    }
    if (major->kind != GS_PASS || !takes_blocks(n, r) ||
        !stands_alone(r, map->f[0]))
      return 0;
    d = dim_of(&r->out[0], map->f[0]);
    v = d < 0 ? NULL : n->out[0];
  }
  return 0;
}

/* The blocks that are wanted of result i; false: the usual ones. */
static bool blocks_out(const gs_partitioner *p, const gs_node *n,
                       const gs_rule *r, gs_arena *tmp, int i,
                       const gs_assignment *as, int64_t *block) {
  bool any = false;
  memset(block, 0, (size_t)r->nfactor * sizeof *block);
  for (int d = 0; d < r->out[i].rank; d++) {
    if (r->out[i].dim[d].n != 1) continue;
    int f = r->out[i].dim[d].f[0];
    if (!as->axis[f].n) continue;
    int64_t wanted = wanted_block(p, tmp, n->out[i], d,
                                  gs_axes_size(p->m, &as->axis[f]));
    if (!wanted || !any_blocks(r, f)) continue;
    block[f] = wanted;
    any = true;
  }
  return any;
}

/* ---- lists ---- */

static void add_list(const gs_rule *r, gs_arena *tmp, const int64_t *block,
                     gs_block_lists *all) {
  size_t size = (size_t)r->nfactor * sizeof *block;
  for (int b = 0; b < all->n; b++)
    if (!memcmp(all->at[b], block, size)) return;
  *gs_push(tmp, all) = gs_memdup(tmp, block, size);
}

gs_block_lists gs_partitioner_blocks(const gs_partitioner *p, const gs_node *n,
                                     const gs_rule *r, gs_arena *tmp,
                                     const gs_assignment *as) {
  gs_block_lists all = {0};
  int64_t block[GS_MAX_FACTORS];
  if (!takes_blocks(n, r)) return all;
  for (int i = 0; i < r->nin; i++) {
    const gs_held_form *x = n->in[i] ? p->held[n->in[i]->id] : NULL;
    for (int k = 0; x && k < MAX_FORMS; x = x->next, k++)
      if (blocks_in(r, i, &x->form, as, block)) add_list(r, tmp, block, &all);
  }
  for (int i = 0; i < r->nout; i++)
    if (n->out[i] && blocks_out(p, n, r, tmp, i, as, block))
      add_list(r, tmp, block, &all);
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
