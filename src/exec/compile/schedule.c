#include "exec/compile/schedule.h"

#include "base/assert.h"

/* Steps whose start may return before they have ended. */
static bool is_waited_for(const gs_program *p, const gs_step *s) {
  return p->kinds[s->kind]->wait != NULL;
}

static int add(gs_arena *a, gs_program *p, int step, bool wait) {
  *gs_push(a, &p->turn) = (gs_turn){step, wait};
  return p->turn.n - 1;
}

/* Whether the steps that make what s reads were waited for before it. */
static bool is_after_its_operands(const gs_program *p, const gs_step *s) {
  for (int i = 0; i < s->node->nin; i++) {
    if (!s->node->in[i]) continue;
    int from = p->producer[gs_program_part(p, s->node->in[i])];
    if (from >= 0 && p->step.at[from].wait >= s->start) return false;
  }
  return true;
}

/* Steps that were started and not waited for, in the order of their start. */
typedef struct open_steps {
  GS_VEC(int) step;
} open_steps;

static bool reads(const gs_program *p, const gs_step *s, int from) {
  for (int i = 0; i < s->node->nin; i++) {
    const gs_value *v = s->node->in[i];
    if (v && p->producer[gs_program_part(p, v)] == from) return true;
  }
  return false;
}

/* Waits for what s reads, and for all that started before it, so that waits
 * have the same order on devices whose other steps differ; s NULL: for all. */
static void wait_for(gs_arena *a, gs_program *p, open_steps *o,
                     const gs_step *s) {
  int end = s ? 0 : o->step.n;
  for (int i = 0; s && i < o->step.n; i++)
    if (reads(p, s, o->step.at[i])) end = i + 1;
  for (int i = 0; i < end; i++)
    p->step.at[o->step.at[i]].wait = add(a, p, o->step.at[i], true);
  for (int i = end; i < o->step.n; i++) o->step.at[i - end] = o->step.at[i];
  o->step.n -= end;
}

void gs_program_schedule(gs_arena *a, gs_program *p, gs_schedule how) {
  open_steps o = {0};
  p->turn.n = 0;
  for (int i = 0; i < p->step.n; i++) {
    gs_step *s = &p->step.at[i];
    s->start = s->wait = -1;
    if (s->once) continue;
    bool goes_on = how == GS_WAIT_LATE || is_waited_for(p, s);
    wait_for(a, p, &o, goes_on ? s : NULL);
    s->start = s->wait = add(a, p, i, false);
    gs_assert(is_after_its_operands(p, s));
    if (is_waited_for(p, s)) *gs_push(a, &o.step) = i;
  }
  wait_for(a, p, &o, NULL);
}
