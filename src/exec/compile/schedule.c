#include "exec/compile/schedule.h"

#include "base/assert.h"

/* Steps whose start may return before they have ended. */
static bool is_waited_for(const gs_step *s) {
  return s->kind == GS_STEP_COLLECTIVE;
}

static int add(gs_arena *a, gs_program *p, int step, bool wait) {
  *gs_push(a, &p->turn) = (gs_turn){step, wait};
  return p->turn.n - 1;
}

/* Whether the steps that make what s reads were waited for before it. */
static bool is_after_its_operands(const gs_program *p, const gs_step *s) {
  for (int i = 0; i < s->node->nin; i++) {
    if (!s->node->in[i]) continue;
    int from = p->producer[gs_program_buffer(p, s->node->in[i])->root];
    if (from >= 0 && p->step.at[from].wait >= s->start) return false;
  }
  return true;
}

/* In the order of the program, every wait next to its start: nothing overlaps
 * yet. */
void gs_program_schedule(gs_arena *a, gs_program *p) {
  p->turn.n = 0;
  for (int i = 0; i < p->step.n; i++) {
    gs_step *s = &p->step.at[i];
    s->start = s->wait = -1;
    if (s->once) continue;
    s->start = s->wait = add(a, p, i, false);
    gs_assert(is_after_its_operands(p, s));
    if (is_waited_for(s)) s->wait = add(a, p, i, true);
  }
}
