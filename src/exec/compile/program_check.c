#include "exec/compile/program_check.h"

#include <limits.h>
#include <string.h>

#include "exec/comm/group.h"
#include "base/math.h"
#include "exec/compile/keep.h"
#include "exec/compile/margins.h"
#include "exec/compile/part.h"
#include "op/core/moves.h"

/* ---- memory ---- */

/* Memory of the arena that is in use during the walk: of a buffer, or scratch
 * of a step. */
typedef struct live {
  size_t at, bytes;
  int last;         /* turn after which it is free */
  const char *name; /* of the value; NULL: scratch */
} live;

enum { LOST = -2 }; /* its memory was written again */

typedef struct walk {
  const gs_program *p;
  gs_arena tmp;
  int *last;  /* [values] of roots: the last turn in which a step that reads
                 or writes it is waited for; INT_MAX: an output */
  int *holds; /* [values] of roots, and of parts of windows: the value written
                 last, -1 or LOST */
  bool *had;  /* [values] roots that have had their memory */
  GS_VEC(int) part; /* values that lie within a window */
  GS_VEC(live) live; /* that have memory now */
  gs_err *e;
} walk;

static int root_of(const gs_program *p, const gs_value *v) {
  return gs_program_buffer(p, v)->root;
}

/* Whether part i lies within value or part `in`. */
static bool lies_in(const gs_program *p, int i, int in) {
  while (p->buffer[i].root != i) {
    i = p->buffer[i].root;
    if (i == in) return true;
  }
  return false;
}

/* The value whose elements v shares: v itself where a step makes it, else the
 * operand of the view or exit that it is. */
static const gs_value *written_as(const gs_program *p, const gs_value *v) {
  while (p->buffer[v->id].storage == GS_STORAGE_NONE &&
         p->buffer[v->id].root != v->id && v->def && v->def->nin &&
         v->def->in[0])
    v = v->def->in[0];
  return v;
}

static gs_status wrong(walk *w, int s, const gs_value *v, const char *what) {
  const gs_node *n = s >= 0 ? w->p->step.at[s].node : NULL;
  const char *place = n ? gs_node_place(&w->tmp, n) : v->name;
  return gs_fail(w->e, GS_INTERNAL, place, "step %d: '%s' %s", s, v->name,
                 what);
}

static void note_use(walk *w, const gs_value *v, int turn) {
  if (!v) return;
  int *last = &w->last[root_of(w->p, v)];
  if (*last < turn) *last = turn;
}

static void find_last_uses(walk *w) {
  const gs_program *p = w->p;
  for (int i = 0; i < p->g->value.n; i++) w->last[i] = w->holds[i] = -1;
  for (int s = 0; s < p->step.n; s++) {
    const gs_node *n = p->step.at[s].node;
    int turn = p->step.at[s].wait;
    for (int i = 0; i < n->nin; i++) note_use(w, n->in[i], turn);
    for (int i = 0; i < n->nout; i++) note_use(w, n->out[i], turn);
  }
  for (int i = 0; i < p->g->output.n; i++)
    note_use(w, p->gather[i].block, INT_MAX);
}

/* What is there before the first step. */
static void find_given(walk *w) {
  for (int i = 0; i < w->p->g->value.n; i++) {
    const gs_value *v = w->p->g->value.at[i];
    const gs_buffer *b = &w->p->buffer[i];
    bool given = b->storage == GS_STORAGE_CONSTANT ||
                 b->storage == GS_STORAGE_INPUT ||
                 b->storage == GS_STORAGE_SLICE ||
                 (b->storage == GS_STORAGE_DYNAMIC &&
                  (v->constant || v->is_input));
    if (given && b->root == i) w->holds[i] = i;
  }
}

static gs_status check_read(walk *w, int s, const gs_value *v) {
  const gs_buffer *b = gs_program_buffer(w->p, v);
  int holds = w->holds[gs_program_part(w->p, v)];
  if (holds == LOST)
    return wrong(w, s, v, "is read after its memory was written again");
  if (holds < 0) return wrong(w, s, v, "is read before it is written");
  if (holds != written_as(w->p, v)->id)
    return wrong(w, s, v, "is read after its memory was written again");
  if (s >= 0 && w->p->step.at[s].once && !b->fixed)
    return wrong(w, s, v, "is read once, but is not constant");
  return GS_OK;
}

/* Step s has this memory for itself from now on. */
static gs_status take_memory(walk *w, int s, live x) {
  const char *place = gs_node_place(&w->tmp, w->p->step.at[s].node);
  const char *what = x.name ? gs_sprintf(&w->tmp, "'%s'", x.name) : "scratch";
  if (x.at > w->p->arena_size || x.bytes > w->p->arena_size - x.at)
    return gs_fail(w->e, GS_INTERNAL, place,
                   "step %d: %s lies outside of the arena", s, what);
  for (int i = 0; i < w->live.n; i++) {
    const live *y = &w->live.at[i];
    if (!x.bytes || !y->bytes || x.at >= y->at + y->bytes ||
        y->at >= x.at + x.bytes)
      continue;
    return gs_fail(w->e, GS_INTERNAL, place,
                   "step %d: %s is written over %s%s%s, which is still read",
                   s, what, y->name ? "'" : "",
                   y->name ? y->name : "scratch", y->name ? "'" : "");
  }
  *gs_push(&w->tmp, &w->live) = x;
  return GS_OK;
}

/* The operand of step s, an exchange, that is part i of its result; -1. */
static int kept_operand(const gs_program *p, const gs_step *s, int i) {
  for (int k = 0; s->place && k < s->node->nin; k++)
    if (s->place[k] >= 0 && gs_program_part(p, s->node->in[k]) == i) return k;
  return -1;
}

/* Whether part i of `own` is an operand that step s leaves where it lies in its
 * result, or lies within one. */
static bool is_kept(const gs_program *p, const gs_step *s, int i, int own) {
  while (i != own && kept_operand(p, s, i) < 0) i = p->buffer[i].root;
  return i != own;
}

/* Step s writes `own`: what lies within is lost, unless it is an exchange that
 * leaves it, and so is what was there of the windows around it. */
static void lose(walk *w, int s, int own) {
  const gs_program *p = w->p;
  for (int k = 0; k < w->part.n; k++) {
    int i = w->part.at[k];
    if (lies_in(p, i, own) && !is_kept(p, &p->step.at[s], i, own))
      w->holds[i] = LOST;
  }
  for (int i = own; p->buffer[i].root != i;) {
    i = p->buffer[i].root;
    if (w->holds[i] >= 0) w->holds[i] = LOST;
  }
}

/* A step writes y: its memory is its own from now on. */
static gs_status check_write(walk *w, int s, const gs_value *y) {
  const gs_program *p = w->p;
  const gs_buffer *b = gs_program_buffer(p, y);
  bool again = w->had[b->root];
  w->had[b->root] = true;
  lose(w, s, gs_program_part(p, y));
  w->holds[gs_program_part(p, y)] = y->id;
  if (b->storage == GS_STORAGE_NONE)
    return wrong(w, s, y, "is written, but has no memory");
  if ((b->storage == GS_STORAGE_ONCE) != p->step.at[s].once)
    return wrong(w, s, y, "lies where steps of another kind write");
  if (b->storage != GS_STORAGE_ARENA || again) return GS_OK;
  return take_memory(
      w, s, (live){b->offset, b->bytes, w->last[b->root], y->name});
}

/* A result shares the memory of an operand only where the row allows it; that
 * nobody reads the operand later, check_read sees. */
static gs_status check_in_place(walk *w, int s) {
  const gs_step *step = &w->p->step.at[s];
  const gs_node *n = step->node;
  bool may = step->kind == GS_STEP_KERNEL || step->kind == GS_STEP_COLLECTIVE;
  for (int i = 0; i < n->nout; i++)
    for (int k = 0; k < n->nin && n->out[i]; k++) {
      if (!n->in[k]) continue;
      int part = gs_program_part(w->p, n->in[k]);
      int made = gs_program_part(w->p, n->out[i]);
      if (part != made && !lies_in(w->p, part, made) &&
          !lies_in(w->p, made, part))
        continue;
      if (i == 0 && kept_operand(w->p, step, part) >= 0)
        continue; /* check_parts */
      if (!may || !gs_step_allows(step, i, k))
        return wrong(w, s, n->out[i], "is written over an operand");
    }
  return GS_OK;
}

static gs_status check_start(walk *w, int s) {
  const gs_node *n = w->p->step.at[s].node;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) GS_TRY(check_read(w, s, n->in[i]));
  GS_TRY(check_in_place(w, s));
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) GS_TRY(check_write(w, s, n->out[i]));
  const gs_step *step = &w->p->step.at[s];
  return take_memory(
      w, s, (live){step->scratch_at, step->scratch, step->wait, NULL});
}

/* Nothing was written over the operands and results of step s, which is
 * waited for, since it started; an operand may lie under a result. */
static gs_status check_wait(walk *w, int s) {
  const gs_node *n = w->p->step.at[s].node;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    bool under = false;
    for (int k = 0; k < n->nout; k++)
      under = under || (n->out[k] && root_of(w->p, n->out[k]) ==
                                         root_of(w->p, n->in[i]));
    if (!under) GS_TRY(check_read(w, s, n->in[i]));
  }
  for (int k = 0; k < n->nout; k++)
    if (n->out[k]) GS_TRY(check_read(w, s, n->out[k]));
  return GS_OK;
}

/* ---- parts of windows ---- */

/* Where operand k of the exchange s lies in its result, once more from their
 * shapes. */
static bool is_placed(const gs_program *p, const gs_step *s, int k) {
  const gs_value *x = s->node->in[k], *y = s->node->out[0];
  const gs_buffer *b = &p->buffer[gs_program_part(p, x)];
  int dim = (int)gs_node_int(s->node, "dim", 0);
  int64_t inner = gs_product(x->dims + dim + 1, x->rank - dim - 1);
  int64_t outer = gs_product(x->dims, dim), size = x->dims[dim];
  return b->root == y->id && b->run == size * inner &&
         b->pitch == (outer == 1 ? 0 : y->dims[dim] * inner) &&
         b->at == (size_t)gs_dtype_bytes((int)x->dtype, s->place[k] * inner) &&
         s->place[k] >= 0 && s->place[k] + size <= y->dims[dim];
}

/* Whether s can write its result in runs of so many elements. */
static bool writes_runs(const gs_step *s, int64_t run) {
  const gs_move_info *move = gs_move_of(s->node->op);
  if (s->node->op->flags & GS_OP_PARTS) return true;
  return move && move->effect == GS_EFFECT_EXCHANGE &&
         gs_exchange_writes_runs(s->node, run);
}

/* Of operands that lie in the result none lies over another, each producer can
 * write there and each device has its elements there. */
static gs_status check_operands(walk *w, int i, int64_t first, int64_t n) {
  const gs_program *p = w->p;
  const gs_step *s = &p->step.at[i];
  int dim = (int)gs_node_int(s->node, "dim", 0);
  for (int k = 0; s->place && k < s->node->nin; k++) {
    if (s->place[k] < 0) continue;
    const gs_value *x = s->node->in[k];
    bool shared = gs_program_is_shared(p, x);
    int sources = 0;
    for (int j = 0; j < s->node->nin; j++) sources += s->place[j] >= 0;
    gs_view v = gs_program_view(p, x);
    bool runs = v.pitch != 0;
    bool ok = is_placed(p, s, k) && (!runs || (!shared && sources == 1));
    int from = p->producer[gs_program_part(p, x)];
    ok = ok && from >= 0 && (!runs || writes_runs(&p->step.at[from], v.run));
    for (int j = 0; ok && j < k; j++)
      ok = s->place[j] < 0 ||
           s->place[j] + s->node->in[j]->dims[dim] <= s->place[k] ||
           s->place[k] + x->dims[dim] <= s->place[j];
    for (int64_t d = first; ok && d < first + n; d++)
      ok = gs_program_margins_fit(p, s, k, s->place[k], shared, d);
    if (!ok) return wrong(w, i, x, "does not lie where the exchange wants it");
  }
  return GS_OK;
}

/* Every part is an operand of the exchange that makes the window. */
static gs_status check_parts(walk *w, int64_t first, int64_t n) {
  const gs_program *p = w->p;
  for (int i = 0; i < p->g->value.n; i++) {
    if (!p->buffer[i].run) continue;
    int s = p->producer[p->buffer[i].root];
    if (p->buffer[i].root == i || s < 0 ||
        kept_operand(p, &p->step.at[s], i) < 0)
      return wrong(w, -1, p->g->value.at[i], "is a part of no window");
    *gs_push(&w->tmp, &w->part) = i;
  }
  for (int s = 0; s < p->step.n; s++)
    GS_TRY(check_operands(w, s, first, n));
  return GS_OK;
}

/* Every step that does not run once starts in one turn and is waited for in
 * that or a later one, and nothing else happens. */
static gs_status check_turns(walk *w) {
  const gs_program *p = w->p;
  int expected = 0;
  for (int s = 0; s < p->step.n; s++) {
    const gs_step *step = &p->step.at[s];
    const gs_turn *turn = p->turn.at;
    if (step->once) continue;
    expected += step->start == step->wait ? 1 : 2;
    bool there = step->start >= 0 && step->start <= step->wait &&
                 step->wait < p->turn.n && turn[step->start].step == s &&
                 turn[step->wait].step == s && !turn[step->start].wait &&
                 turn[step->wait].wait == (step->start != step->wait);
    if (!there)
      return gs_fail(w->e, GS_INTERNAL, gs_node_place(&w->tmp, step->node),
                     "step %d: turns %d and %d, in which it starts and is "
                     "waited for, are not its own", s, step->start, step->wait);
  }
  if (expected == p->turn.n) return GS_OK;
  return gs_fail(w->e, GS_INTERNAL, NULL, "%d turns where steps need %d",
                 p->turn.n, expected);
}

static gs_status walk_turns(walk *w) {
  const gs_program *p = w->p;
  for (int s = 0; s < p->step.n; s++)
    if (p->step.at[s].once) GS_TRY(check_start(w, s));
  for (int t = 0; t < p->turn.n; t++) {
    int s = p->turn.at[t].step;
    if (t == p->step.at[s].start) GS_TRY(check_start(w, s));
    if (t != p->step.at[s].wait) continue;
    GS_TRY(check_wait(w, s));
    int kept = 0;
    for (int i = 0; i < w->live.n; i++)
      if (w->live.at[i].last > t) w->live.at[kept++] = w->live.at[i];
    w->live.n = kept;
  }
  for (int i = 0; i < p->g->output.n; i++)
    GS_TRY(check_read(w, -1, p->gather[i].block));
  return GS_OK;
}

static gs_status check_memory(const gs_program *p, int64_t first, int64_t n,
                              gs_err *e) {
  for (int s = 0; s < p->step.n; s++)
    for (int i = 0; p->step.at[s].region && i < p->step.at[s].node->nattr; i++)
      if (p->step.at[s].region[i])
        GS_TRY(check_memory(p->step.at[s].region[i], first, n, e));
  walk w = {.p = p, .e = e};
  gs_arena_init(&w.tmp);
  w.last = GS_NEWS(&w.tmp, p->g->value.n, int);
  w.holds = GS_NEWS(&w.tmp, p->g->value.n, int);
  w.had = GS_NEWS(&w.tmp, p->g->value.n, bool);
  find_last_uses(&w);
  find_given(&w);
  gs_status s = check_turns(&w);
  if (!s) s = check_parts(&w, first, n);
  if (!s) s = walk_turns(&w);
  gs_arena_free(&w.tmp);
  return s;
}

/* ---- collectives ---- */

/* A collective of one device, when it starts or when it is waited for: then
 * it may wait for others to wait for it too, who combine what it needs. */
typedef struct meet {
  const gs_node *n;
  gs_group group;   /* n 0: a permutation */
  int64_t to, from; /* of a permutation */
  int start; /* of a wait: 1 + the place of its start in the queue, else 0 */
  int met;   /* a number that the starts which met have in common; 0: not yet */
} meet;

/* What a device has yet to run. */
typedef struct queue {
  GS_VEC(meet) meet;
  int at;
} queue;

typedef struct order {
  gs_arena tmp;
  gs_groups groups;
  queue *q; /* [n] */
  int64_t first, n;
  int nmet;
  gs_err *e;
} order;

static gs_status add_start(order *o, const gs_program *p, const gs_node *n,
                           int64_t d) {
  meet *m = gs_push(&o->tmp, &o->q[d - o->first].meet);
  *m = (meet){.n = n, .to = -1, .from = -1};
  if (!gs_groups_of(&o->groups, n, p->g->mesh, d, &m->group, NULL)) {
    int64_t index = gs_node_int(n, "index", m->group.me);
    if (index == m->group.me) return GS_OK;
    return gs_fail(o->e, GS_INTERNAL, gs_node_place(&o->tmp, n),
                   "device %lld is member %d of the group, not %lld",
                   (long long)d, m->group.me, (long long)index);
  }
  m->group.n = 0;
  return gs_permute_of(&o->tmp, n, p->g->mesh, d, &m->to, &m->from, o->e);
}

/* All starts, then all waits: a start does not wait for others, so that what
 * stands between two of them may differ between devices. */
static gs_status fill_queue(order *o, const gs_program *p, int64_t d) {
  queue *q = &o->q[d - o->first];
  int *started = GS_NEWS(&o->tmp, p->step.n, int);
  for (int t = 0; t < 2 * p->turn.n; t++) {
    const gs_turn *turn = &p->turn.at[t % p->turn.n];
    const gs_node *n = p->step.at[turn->step].node;
    if (!gs_node_communicates(n) || turn->wait != (t >= p->turn.n))
      continue;
    if (!turn->wait) {
      GS_TRY(add_start(o, p, n, d));
      started[turn->step] = q->meet.n;
      continue;
    }
    meet m = q->meet.at[started[turn->step] - 1];
    m.start = started[turn->step];
    *gs_push(&o->tmp, &q->meet) = m;
  }
  return GS_OK;
}

static bool ours(const order *o, int64_t d) {
  return d >= o->first && d < o->first + o->n;
}

/* The collective that device d runs next; NULL: none, or d is not ours. */
static const meet *next_of(const order *o, int64_t d) {
  if (!ours(o, d)) return NULL;
  const queue *q = &o->q[d - o->first];
  return q->at < q->meet.n ? &q->meet.at[q->at] : NULL;
}

/* Both may be left out. */
static bool same_type(const gs_value *a, const gs_value *b) {
  if (!a || !b) return a == b;
  return a->dtype == b->dtype && a->rank == b->rank &&
         !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

static bool same_operands(const gs_node *a, const gs_node *b) {
  if (a->nin != b->nin) return false;
  for (int i = 0; i < a->nin; i++)
    if (!same_type(a->in[i], b->in[i])) return false;
  return true;
}

/* Attributes that are those of one device. */
static bool is_own(const gs_attr *x) {
  static const char *const own[] = {"source", "target", "index", "gives",
                                    "takes"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (!strcmp(x->name, own[i])) return true;
  return false;
}

static bool same_ints(const gs_attr *x, const gs_node *b) {
  int n;
  const int64_t *list = gs_node_ints(b, x->name, &n);
  return n == x->n && (!n || !memcmp(list, x->ints, (size_t)n * sizeof *list));
}

/* Attributes that say how, not with whom. */
static bool same_numbers(const gs_node *a, const gs_node *b) {
  for (int i = 0; i < a->nattr; i++) {
    const gs_attr *x = &a->attr[i];
    if (x->kind == GS_ATTR_INT && !is_own(x) &&
        gs_node_int(b, x->name, x->i - 1) != x->i)
      return false;
    if (x->kind == GS_ATTR_INTS && !is_own(x) && !same_ints(x, b))
      return false;
    if (x->kind == GS_ATTR_STRING &&
        strcmp(gs_node_string(b, x->name, ""), x->s.at) != 0)
      return false;
  }
  return true;
}

/* The number that the start of m, a wait of device d, has with its peers. */
static int met_of(const order *o, int64_t d, const meet *m) {
  return o->q[d - o->first].meet.at[m->start - 1].met;
}

/* Whether a, next on device d, and b, next on the member `who`, are one. */
static bool is_same(const order *o, int64_t d, const meet *a, int64_t who,
                    const meet *b) {
  if (!b || !a->start != !b->start) return false;
  if (a->start) return met_of(o, d, a) == met_of(o, who, b);
  return a->n->op == b->n->op && a->group.n == b->group.n &&
         same_operands(a->n, b->n) &&
         same_type(gs_node_out(a->n, 0), gs_node_out(b->n, 0)) &&
         same_numbers(a->n, b->n) &&
         (!a->group.n ||
          !memcmp(a->group.member, b->group.member,
                  (size_t)a->group.n * sizeof *a->group.member));
}

/* The devices of [first, first + n) that run with d what d runs next, in
 * list; -1: some of them are at something else. */
static int64_t group_members(const order *o, int64_t d, const meet *m,
                             int64_t *list) {
  int64_t count = 0;
  for (int i = 0; i < m->group.n; i++) {
    int64_t who = m->group.member[i];
    if (!ours(o, who)) continue;
    if (!is_same(o, d, m, who, next_of(o, who))) return -1;
    list[count++] = who;
  }
  return count;
}

/* The same for a permutation: the devices along its chain, which is a ring
 * unless it leaves this process. */
static int64_t chain_members(const order *o, int64_t d, int64_t *list) {
  int64_t count = 0, who = d;
  list[count++] = d;
  for (int back = 0; back < 2; back++, who = d)
    for (;;) {
      const meet *m = next_of(o, who);
      int64_t peer = back ? m->from : m->to;
      const meet *next = next_of(o, peer);
      if (!ours(o, peer)) break;
      if (!is_same(o, who, m, peer, next) ||
          (back ? next->to : next->from) != who)
        return -1;
      if (peer == d) return count;
      if (count == o->n) return -1; /* a ring that d is not on */
      list[count++] = who = peer;
    }
  return count;
}

static int64_t members(const order *o, int64_t d, int64_t *list) {
  const meet *m = next_of(o, d);
  return m->group.n ? group_members(o, d, m, list)
                    : chain_members(o, d, list);
}

/* Device d waits for ever: names one that it waits for. */
static gs_status stuck(order *o, int64_t d) {
  const meet *m = next_of(o, d), *other = NULL;
  int64_t who = m->to;
  for (int i = 0; i < m->group.n; i++) {
    who = m->group.member[i];
    if (ours(o, who) && !is_same(o, d, m, who, next_of(o, who))) break;
  }
  other = next_of(o, who);
  return gs_fail(o->e, GS_INTERNAL, gs_node_place(&o->tmp, m->n),
                 "device %lld waits for device %lld, which is at %s",
                 (long long)d, (long long)who,
                 other ? gs_node_place(&o->tmp, other->n) : "its end");
}

/* The devices of the list have met. */
static void go_on(order *o, const int64_t *list, int64_t count) {
  o->nmet++;
  for (int64_t i = 0; i < count; i++) {
    queue *q = &o->q[list[i] - o->first];
    q->meet.at[q->at++].met = o->nmet;
  }
}

/* Lets devices run their collectives until all are done or none can go on. */
static gs_status run_all(order *o) {
  int64_t *list = GS_NEWS(&o->tmp, o->n + 1, int64_t);
  for (bool moved = true; moved;) {
    moved = false;
    for (int64_t d = o->first; d < o->first + o->n; d++)
      while (next_of(o, d)) {
        int64_t count = members(o, d, list);
        if (count < 0) break;
        go_on(o, list, count);
        moved = true;
      }
  }
  for (int64_t d = o->first; d < o->first + o->n; d++)
    if (next_of(o, d)) return stuck(o, d);
  return GS_OK;
}

gs_status gs_program_check(const gs_program *const *program, int np,
                           int64_t first, int64_t n, gs_err *e) {
  for (int i = 0; i < np; i++)
    GS_TRY(check_memory(program[i], np == 1 ? first : first + i,
                        np == 1 ? n : 1, e));
  order o = {.first = first, .n = n, .e = e};
  gs_arena_init(&o.tmp);
  o.groups = (gs_groups){.arena = &o.tmp, .first = first, .n = n};
  o.q = GS_NEWS(&o.tmp, n, queue);
  gs_status s = GS_OK;
  for (int64_t i = 0; i < n && !s; i++)
    s = fill_queue(&o, program[np == 1 ? 0 : i], first + i);
  if (!s) s = run_all(&o);
  gs_arena_free(&o.tmp);
  return s;
}
