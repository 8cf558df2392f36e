#include "exec/compile/margins.h"

#include "base/assert.h"
#include "base/math.h"
#include "exec/compile/part.h"
#include "ir/packed.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"

/* Elements [lo, hi) of a block. */
typedef struct span {
  int64_t lo, hi;
} span;

/* An exchange, of one device where it matters. */
typedef struct widening {
  const gs_program *p;
  const gs_node *n;
  gs_exchange x;
  int dim;
} widening;

static bool is_exchange(const gs_step *s) {
  const gs_move_info *move =
      s->kind == GS_STEP_COLLECTIVE ? gs_move_of(s->node->op) : NULL;
  return move && move->effect == GS_EFFECT_EXCHANGE;
}

static bool read_widening(gs_arena *a, const gs_program *p, const gs_step *s,
                          widening *w) {
  const gs_value *x = gs_node_in(s->node, 0), *y = s->node->out[0];
  *w = (widening){.p = p, .n = s->node};
  if (!p->g->mesh ||
      gs_node_exchange(a, w->n, p->g->mesh, &w->x, &w->dim, NULL))
    return false;
  bool same = x->rank == y->rank && x->dtype == y->dtype;
  for (int d = 0; same && d < x->rank; d++)
    same = y->dims[d] == (d == w->dim ? w->x.range.length : x->dims[d]);
  return same && w->x.step == 1; /* else the step is refused, or no window */
}

/* Element 0 of the block of source k that device d holds, as an element of the
 * source. */
static int64_t first_of(const widening *w, int k, int64_t d) {
  const gs_exchange_source *s = &w->x.source[k];
  int64_t index = gs_axes_index(w->p->g->mesh, &w->x.from, d);
  return s->block * index - s->first;
}

/* Where that goes in the result. */
static int64_t place_of(const widening *w, int k, int64_t d) {
  int64_t index = gs_axes_index(w->p->g->mesh, &w->x.to, d);
  return first_of(w, k, d) + w->x.source[k].shift -
         gs_held_range_first(&w->x.range, index);
}

/* What of the block is read: all by other readers, by the exchange what is
 * there of the source. */
static span read_of(const widening *w, int k, bool shared, int64_t d) {
  int64_t size = w->n->in[k]->dims[w->dim], first = first_of(w, k, d);
  if (shared) return (span){0, size};
  span s = {gs_min(gs_max(-first, 0), size), 0};
  s.hi = gs_min(gs_max(w->x.source[k].n - first, s.lo), size);
  return s;
}

static bool apart(span a, int64_t at, int64_t n) {
  return n <= 0 || a.lo >= a.hi || at >= a.hi || at + n <= a.lo;
}

/* Whether nothing but the block's own elements, as they lie there, goes to
 * places s. */
static bool is_left(const gs_exchange_plan *plan, const gs_exchange *x, int k,
                    int64_t place, span s) {
  s = (span){place + s.lo, place + s.hi};
  for (int i = 0; i < plan->npeer; i++)
    for (int j = 0; j < plan->take[i].n; j++) {
      const gs_exchange_piece *p = &plan->take[i].piece[j];
      bool own = i == plan->me && p->source == k &&
                 p->place == place + p->at && (p->delta == 1 || p->count == 1);
      int64_t all = (p->count - 1) * gs_exchange_apart(x, p) + 1;
      if (!own && !apart(s, p->place, all)) return false;
    }
  for (int j = 0; x->fill != GS_FILL_ANY && j < plan->nfill; j++)
    if (!apart(s, plan->fill[j].place, plan->fill[j].count)) return false;
  return true;
}

static bool fits(const widening *w, int k, int64_t place, bool shared,
                 int64_t d) {
  int64_t size = w->n->in[k]->dims[w->dim];
  if (place < 0 || place > w->x.range.length - size) return false;
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_exchange_plan *plan =
      gs_exchange_plan_of(&tmp, w->p->g->mesh, &w->x, d);
  bool ok = is_left(plan, &w->x, k, place, read_of(w, k, shared, d));
  gs_arena_free(&tmp);
  return ok;
}

bool gs_program_margins_fit(const gs_program *p, const gs_step *s, int k,
                            int64_t place, bool shared, int64_t d) {
  widening w;
  gs_arena tmp;
  gs_arena_init(&tmp);
  bool ok = is_exchange(s) && read_widening(&tmp, p, s, &w) &&
            k < w.x.nsource && fits(&w, k, place, shared, d);
  gs_arena_free(&tmp);
  return ok;
}

bool gs_program_is_shared(const gs_program *p, const gs_value *v) {
  return p->readers[gs_program_part(p, v)] > 1;
}

/* How operand k lies in the result from `place` on. */
static gs_view view_of(const widening *w, int k, int64_t place) {
  const gs_value *x = w->n->in[k], *y = w->n->out[0];
  int64_t inner = gs_product(x->dims + w->dim + 1, x->rank - w->dim - 1);
  bool runs = gs_product(x->dims, w->dim) > 1;
  return (gs_view){.run = x->dims[w->dim] * inner,
                   .pitch = runs ? y->dims[w->dim] * inner : 0,
                   .lead = place * inner};
}

static int placed_of(const gs_step *s) {
  int n = 0;
  for (int k = 0; s->place && k < s->node->nin; k++) n += s->place[k] >= 0;
  return n;
}

/* Whether the exchange s writes its result so: what stands behind its dim lies
 * in whole runs.  The block that lies in it, which nobody else reads then, is
 * to be written so too. */
static bool exchange_writes(const gs_program *p, const gs_step *s,
                            const gs_view *v) {
  if (!gs_exchange_writes_runs(s->node, v->run)) return false;
  for (int k = 0; s->place && k < s->node->nin; k++) {
    if (s->place[k] < 0) continue;
    int part = gs_program_part(p, s->node->in[k]);
    const gs_step *from = &p->step.at[p->producer[part]];
    gs_view own = gs_program_view(p, s->node->in[k]);
    gs_view within = gs_program_part_in(&own, v);
    if (gs_program_is_shared(p, s->node->in[k]) || placed_of(s) > 1 ||
        from->kind != GS_STEP_KERNEL || !from->node->out[0] ||
        from->node->out[0]->id != part ||
        !gs_kernel_writes_part(from->node, &within))
      return false;
  }
  return true;
}

/* Whether the producer of x can write it so: any can write one run.  What lies
 * between runs is the producer's too, so x is the only source. */
static bool is_written(const gs_program *p, const widening *w,
                       const gs_value *x, const gs_view *v) {
  const gs_buffer *b = &p->buffer[gs_program_part(p, x)];
  if (b->storage != GS_STORAGE_ARENA || b->run || p->producer[b->root] < 0)
    return false; /* or it lies in another window */
  const gs_step *s = &p->step.at[p->producer[b->root]];
  if (s->kind != GS_STEP_KERNEL && s->kind != GS_STEP_COLLECTIVE) return false;
  if (b->bytes != gs_value_bytes(x)) return false;
  if (!v->pitch) return true;
  if (p->readers[b->root] != 1 || w->x.nsource != 1 || !s->node->out[0] ||
      s->node->out[0]->id != b->root)
    return false;
  return s->kind == GS_STEP_KERNEL ? gs_kernel_writes_part(s->node, v)
                                   : is_exchange(s) &&
                                         exchange_writes(p, s, v);
}

/* Blocks of sources that lie in the result already are not written over by
 * another's, all of which, padding too, its producer writes. */
static bool is_free(const widening *w, const int64_t *place, int k,
                    int64_t at) {
  span s = {at, at + w->n->in[k]->dims[w->dim]};
  for (int i = 0; i < w->x.nsource; i++)
    if (place[i] >= 0 && !apart(s, place[i], w->n->in[i]->dims[w->dim]))
      return false;
  return true;
}

/* Puts operand k into the result, as v says. */
static void put(gs_program *p, const widening *w, int k, const gs_view *v) {
  const gs_value *x = w->n->in[k], *y = w->n->out[0];
  gs_buffer *b = gs_program_buffer(p, x), *root = gs_program_buffer(p, y);
  gs_assert(b->storage == GS_STORAGE_ARENA && !b->run);
  b->at = (size_t)gs_dtype_bytes((int)x->dtype, v->lead);
  b->run = v->run;
  b->pitch = v->pitch;
  gs_assert(b->at + gs_value_bytes(x) <= gs_value_bytes(y));
  b->root = y->id;
  if (root->last < b->last) root->last = b->last; /* an output */
  /* Who else reads x reads y: all of it is to stay where y goes on. */
  if (gs_program_is_shared(p, x)) p->readers[gs_program_part(p, y)]++;
}

static bool may_lie(const gs_program *p, const widening *w, int k,
                    const gs_compile *how, int64_t *place) {
  const gs_value *x = w->n->in[k];
  if (gs_dtype_packed(x->dtype) || !gs_value_bytes(x)) return false;
  *place = place_of(w, k, how->first);
  gs_view v = view_of(w, k, *place);
  if (!is_written(p, w, x, &v)) return false;
  bool shared = gs_program_is_shared(p, x);
  for (int64_t d = how->first; d < how->first + how->n; d++)
    if (!fits(w, k, *place, shared, d)) return false;
  return true;
}

void gs_program_margins(gs_arena *a, gs_program *p, const gs_compile *how) {
  for (int i = 0; i < p->step.n; i++) {
    gs_step *s = &p->step.at[i];
    widening w;
    if (!is_exchange(s) ||
        p->buffer[s->node->out[0]->id].storage != GS_STORAGE_ARENA ||
        !read_widening(a, p, s, &w))
      continue;
    int64_t at, *place = s->place = GS_NEWS(a, s->node->nin, int64_t);
    for (int k = 0; k < s->node->nin; k++) place[k] = -1;
    for (int k = 0; k < w.x.nsource; k++) {
      if (!may_lie(p, &w, k, how, &at) || !is_free(&w, place, k, at)) continue;
      gs_view v = view_of(&w, k, at);
      put(p, &w, k, &v);
      place[k] = at;
    }
  }
}

void gs_program_margins_undo(gs_program *p, gs_step *s, int k) {
  gs_assert(s->place && s->place[k] >= 0);
  int part = gs_program_part(p, s->node->in[k]);
  gs_buffer *b = &p->buffer[part];
  gs_assert(b->run && b->root == s->node->out[0]->id);
  b->root = part;
  b->at = 0;
  b->run = b->pitch = 0;
  s->place[k] = -1;
}
