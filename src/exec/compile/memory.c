/* Turns are walked in order.  When a step starts, a result has memory from then
 * until nobody reads it any more: its own, its first operand's where the row
 * allows it and nobody reads the operand later, or that of the window in which
 * it lies.  Scratch has memory until the step is waited for.  Where all that
 * goes is for arrange.h to say. */
#include "exec/compile/memory.h"

#include "base/assert.h"
#include "exec/compile/keep.h"
#include "exec/compile/arrange.h"

/* Something that wants memory: a buffer that is its own root, or the scratch of
 * a step. */
typedef struct want {
  gs_buffer *buffer;
  gs_step *step;
  int from;
} want;

typedef struct plan {
  gs_arena *arena;
  GS_VEC(want) want; /* in the order of the turns */
  bool *taken;       /* [values] roots that are among them */
} plan;

/* ---- intervals ---- */

static void seen_until(gs_program *p, const gs_value *v, int turn) {
  if (!v) return;
  gs_buffer *buffer = gs_program_buffer(p, v);
  if (buffer->last < turn) buffer->last = turn;
}

/* A value is there from the start of its step to the wait for the last step
 * that reads it; in-place results are not known yet. */
static void find_intervals(gs_program *p) {
  for (int i = 0; i < p->step.n; i++) {
    const gs_step *s = &p->step.at[i];
    for (int k = 0; k < s->node->nin; k++)
      seen_until(p, s->node->in[k], s->wait);
    for (int k = 0; k < s->node->nout; k++)
      seen_until(p, s->node->out[k], s->wait);
  }
}

/* ---- places ---- */

/* Whether another step reads the buffer while s, which waits later than it
 * starts, is open. */
static bool read_meanwhile(const gs_program *p, const gs_step *s,
                           const gs_buffer *buffer) {
  for (int t = s->start + 1; t < s->wait; t++) {
    const gs_step *other = &p->step.at[p->turn.at[t].step];
    for (int i = 0; i < other->node->nin; i++)
      if (other->node->in[i] &&
          gs_program_buffer(p, other->node->in[i]) == buffer)
        return true;
  }
  return false;
}

/* Whether step s may write its result over operand 0. */
static bool in_place(const gs_program *p, const gs_step *s,
                     const gs_value *y) {
  const gs_node *n = s->node;
  const gs_value *x = gs_node_in(n, 0);
  if (!s->inplace || !x || x->dtype != y->dtype ||
      gs_value_bytes(x) != gs_value_bytes(y))
    return false;
  const gs_buffer *buffer = gs_program_buffer(p, x);
  if (buffer->bytes != gs_value_bytes(y)) return false; /* x is a part */
  if (buffer->storage != GS_STORAGE_ARENA || buffer->last != s->wait ||
      read_meanwhile(p, s, buffer))
    return false;
  if (n->op->flags & GS_OP_POINTWISE) return true;
  for (int i = 1; i < n->nin; i++)
    if (n->in[i] && gs_program_buffer(p, n->in[i]) == buffer) return false;
  return true;
}

/* A value that is its own root has memory from this turn on. */
static void place(plan *m, gs_buffer *buffer, int turn) {
  if (m->taken[buffer->root]) return;
  m->taken[buffer->root] = true;
  *gs_push(m->arena, &m->want) = (want){.buffer = buffer, .from = turn};
}

static void place_results(plan *m, gs_program *p, const gs_step *s) {
  const gs_node *n = s->node;
  for (int i = 0; i < n->nout; i++) {
    const gs_value *y = n->out[i];
    if (!y) continue;
    gs_buffer *buffer = &p->buffer[y->id];
    if (buffer->storage == GS_STORAGE_KEPT && gs_program_over(p, s, i)) {
      gs_program_buffer(p, p->over[y->id])->last = buffer->last;
      buffer->root = p->over[y->id]->id;
    }
    if (buffer->storage != GS_STORAGE_ARENA) continue;
    if (buffer->root != y->id) {
      place(m, gs_program_buffer(p, y), s->start); /* a part of a window */
    } else if (i == 0 && !m->taken[y->id] && in_place(p, s, y)) {
      gs_buffer *x = gs_program_buffer(p, n->in[0]);
      buffer->root = x->root;
      gs_assert(x->bytes == buffer->bytes);
      x->last = buffer->last;
    } else {
      place(m, buffer, s->start);
    }
  }
}

static size_t bytes_of(const want *w) {
  return w->buffer ? w->buffer->bytes : w->step->scratch;
}

static int last_of(const want *w) {
  return w->buffer ? w->buffer->last : w->step->wait;
}

/* Offsets for all that wants memory. */
static void arrange(plan *m, gs_program *p) {
  gs_arrange_item *item = GS_NEWS(m->arena, m->want.n, gs_arrange_item);
  for (int i = 0; i < m->want.n; i++) {
    const want *w = &m->want.at[i];
    item[i] = (gs_arrange_item){
        .size = bytes_of(w), .from = w->from, .to = last_of(w)};
    gs_assert(item[i].from <= item[i].to);
  }
  p->arena_size = gs_arrange(m->arena, item, m->want.n);
  for (int i = 0; i < m->want.n; i++) {
    const want *w = &m->want.at[i];
    if (w->buffer) w->buffer->offset = item[i].at;
    else w->step->scratch_at = item[i].at;
  }
}

static plan find_wants(gs_arena *a, gs_program *p) {
  plan m = {.arena = a, .taken = GS_NEWS(a, p->g->value.n, bool)};
  find_intervals(p);
  for (int t = 0; t < p->turn.n; t++) {
    gs_step *s = &p->step.at[p->turn.at[t].step];
    if (t != s->start) continue;
    place_results(&m, p, s);
    if (s->scratch)
      *gs_push(a, &m.want) = (want){.step = s, .from = t};
  }
  return m;
}

void gs_program_memory(gs_arena *a, gs_program *p) {
  plan m = find_wants(a, p);
  arrange(&m, p);
}

gs_peak gs_program_peak(gs_program *p) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  plan m = find_wants(&tmp, p);
  size_t *more = GS_NEWS(&tmp, p->turn.n + 1, size_t);
  size_t *less = GS_NEWS(&tmp, p->turn.n + 1, size_t), now = 0;
  gs_peak peak = {0};
  for (int i = 0; i < m.want.n; i++) {
    const want *w = &m.want.at[i];
    more[w->from] += bytes_of(w);
    if (last_of(w) < p->turn.n) less[last_of(w)] += bytes_of(w);
  }
  for (int t = 0; t < p->turn.n; t++) {
    now += more[t];
    if (now > peak.bytes) peak = (gs_peak){now, t};
    now -= less[t];
  }
  gs_arena_free(&tmp);
  return peak;
}
