/* Turns are walked in order.  When a step starts, a result takes the smallest
 * hole that fits (lowest address among equals), or its first operand's memory
 * where the row allows it and nobody reads the operand later; a block that is
 * to lie in a window takes the hole for that.  Scratch takes a hole likewise.
 * When a step has ended, its scratch and memory that nobody reads later are
 * given back. */
#include "exec/compile/memory.h"

#include "base/assert.h"
#include "exec/compile/keep.h"

enum { ALIGN = 64 };

typedef struct hole {
  size_t at, size;
} hole;

typedef struct plan {
  gs_arena *arena;
  GS_VEC(hole) hole; /* ascending, never adjacent */
  size_t top;        /* end of the arena so far */
  bool *taken;       /* [values] roots that have their memory */
} plan;

static size_t rounded(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static size_t take(plan *p, size_t bytes) {
  size_t need = rounded(bytes);
  if (!need) return 0;
  int best = -1;
  gs_assert(p->top % ALIGN == 0);
  for (int i = 0; i < p->hole.n; i++)
    if (p->hole.at[i].size >= need &&
        (best < 0 || p->hole.at[i].size < p->hole.at[best].size))
      best = i;
  if (best < 0) {
    /* A hole at the end grows, otherwise the arena does. */
    int last = p->hole.n - 1;
    if (last >= 0 && p->hole.at[last].at + p->hole.at[last].size == p->top) {
      p->top = p->hole.at[last].at;
      p->hole.n--;
    }
    size_t at = p->top;
    p->top += need;
    return at;
  }
  hole *h = &p->hole.at[best];
  gs_assert(h->size >= need && h->at % ALIGN == 0);
  size_t at = h->at;
  h->at += need;
  h->size -= need;
  if (!h->size) {
    for (int i = best; i + 1 < p->hole.n; i++)
      p->hole.at[i] = p->hole.at[i + 1];
    p->hole.n--;
  }
  return at;
}

static void give(plan *p, size_t at, size_t bytes) {
  size_t size = rounded(bytes);
  if (!size) return;
  int i = p->hole.n;
  gs_push(p->arena, &p->hole);
  hole *h = p->hole.at;
  for (; i > 0 && h[i - 1].at > at; i--) h[i] = h[i - 1];
  gs_assert(at + size <= p->top); /* nothing is given back twice */
  gs_assert(i == 0 || h[i - 1].at + h[i - 1].size <= at);
  h[i] = (hole){at, size};
  int from = i > 0 ? i - 1 : 0, to = from;
  for (int k = from + 1; k < p->hole.n; k++) {
    if (h[to].at + h[to].size == h[k].at) h[to].size += h[k].size;
    else h[++to] = h[k];
  }
  p->hole.n = to + 1;
}

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

/* Has the memory of a value that is its own root, once. */
static void place(plan *m, gs_buffer *buffer) {
  if (m->taken[buffer->root]) return;
  m->taken[buffer->root] = true;
  buffer->offset = take(m, buffer->bytes);
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
      place(m, gs_program_buffer(p, y)); /* a part of a window */
    } else if (i == 0 && !m->taken[y->id] && in_place(p, s, y)) {
      gs_buffer *x = gs_program_buffer(p, n->in[0]);
      buffer->root = x->root;
      gs_assert(x->bytes == buffer->bytes);
      x->last = buffer->last;
    } else {
      place(m, buffer);
    }
  }
}

static void release(plan *m, gs_program *p, int turn, const gs_value *v,
                    bool *freed) {
  if (!v) return;
  gs_buffer *buffer = gs_program_buffer(p, v);
  if (buffer->storage != GS_STORAGE_ARENA || buffer->last > turn ||
      freed[buffer->root])
    return;
  freed[buffer->root] = true;
  give(m, buffer->offset, buffer->bytes);
}

void gs_program_memory(gs_arena *a, gs_program *p) {
  plan m = {.arena = a, .taken = GS_NEWS(a, p->g->value.n, bool)};
  bool *freed = GS_NEWS(a, p->g->value.n, bool);
  find_intervals(p);
  for (int t = 0; t < p->turn.n; t++) {
    gs_step *s = &p->step.at[p->turn.at[t].step];
    if (t == s->start) {
      place_results(&m, p, s);
      s->scratch_at = take(&m, s->scratch);
    }
    if (t != s->wait) continue;
    give(&m, s->scratch_at, s->scratch);
    const gs_node *n = s->node;
    for (int i = 0; i < n->nin; i++) release(&m, p, t, n->in[i], freed);
    for (int i = 0; i < n->nout; i++) release(&m, p, t, n->out[i], freed);
  }
  gs_assert(m.top % ALIGN == 0);
  p->arena_size = m.top;
}
