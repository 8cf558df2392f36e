/* A result within a window is not over its operand: of a sum in place of which
 * a convolution then wants a window, two blocks are in memory without, and
 * three with it.  What that costs depends on what else is there, so windows are
 * tried: all, then without those that are there when most memory is wanted. */
#include "exec/compile/lay.h"

#include <string.h>

#include "exec/compile/margins.h"
#include "exec/compile/memory.h"
#include "exec/compile/schedule.h"

/* A block that is copied takes time: the part of the peak that it must save. */
enum { WORTH = 8, MAX_TRIES = 100 };

typedef struct search {
  gs_program *p;
  const gs_compile *how;
  gs_buffer *buffer; /* [values] as they are before memory is planned */
  gs_peak peak;
  int tries;
} search;

/* A step has the most scratch that any of the devices wants. */
static gs_status plan_step(const gs_program *p, gs_step *s,
                           const gs_compile *how, gs_err *e) {
  const gs_step_ops *ops = p->kinds[s->kind];
  s->scratch = 0;
  for (int64_t d = how->first; ops->plan && d < how->first + how->n; d++) {
    size_t scratch = 0;
    GS_TRY(ops->plan(p, s, d, &scratch, e));
    if (s->scratch < scratch) s->scratch = scratch;
  }
  return GS_OK;
}

static void restore(const search *x) {
  memcpy(x->p->buffer, x->buffer, (size_t)x->p->g->value.n * sizeof *x->buffer);
}

/* Whether operand k of the exchange s lies in its result, and one of the two is
 * there in the turn of the peak.  The buffers are those of the memory plan. */
static bool is_at_peak(const search *x, const gs_step *s, int k) {
  if (!s->place || s->place[k] < 0) return false;
  int from = x->p->producer[gs_program_part(x->p, s->node->in[k])];
  return x->p->step.at[from].start <= x->peak.turn &&
         gs_program_buffer(x->p, s->node->out[0])->last >= x->peak.turn;
}

/* Without operand k in the result of s; as before, where that wants hardly
 * less. */
static gs_status try_without(search *x, gs_step *s, int k, bool *better,
                             gs_err *e) {
  gs_program *p = x->p;
  int part = gs_program_part(p, s->node->in[k]);
  int64_t place = s->place[k];
  size_t scratch = s->scratch;
  gs_buffer was = x->buffer[part];
  x->tries++;
  restore(x);
  gs_program_margins_undo(p, s, k);
  GS_TRY(plan_step(p, s, x->how, e));
  x->buffer[part] = p->buffer[part];
  gs_peak peak = gs_program_peak(p);
  *better = peak.bytes < x->peak.bytes - x->peak.bytes / WORTH;
  if (*better) {
    x->peak = peak;
    return GS_OK;
  }
  x->buffer[part] = was;
  s->place[k] = place;
  s->scratch = scratch;
  return GS_OK;
}

typedef struct placed {
  gs_step *step;
  int operand;
} placed;

/* Takes out of its window one block with which the peak is much higher. */
static gs_status lower(search *x, gs_arena *tmp, bool *lowered, gs_err *e) {
  gs_program *p = x->p;
  GS_VEC(placed) at = {0};
  restore(x);
  gs_program_peak(p);
  for (int i = 0; i < p->step.n; i++)
    for (int k = 0; k < p->step.at[i].node->nin; k++)
      if (is_at_peak(x, &p->step.at[i], k))
        *gs_push(tmp, &at) = (placed){&p->step.at[i], k};
  *lowered = false;
  for (int i = 0; i < at.n && !*lowered && x->tries < MAX_TRIES; i++)
    GS_TRY(try_without(x, at.at[i].step, at.at[i].operand, lowered, e));
  return GS_OK;
}

gs_status gs_program_lay(gs_arena *a, gs_program *p, const gs_compile *how,
                         gs_err *e) {
  gs_program_margins(a, p, how);
  for (int i = 0; i < p->step.n; i++)
    GS_TRY(plan_step(p, &p->step.at[i], how, e));
  gs_program_schedule(a, p, how->schedule);
  search x = {.p = p, .how = how};
  x.buffer = gs_memdup(a, p->buffer, (size_t)p->g->value.n * sizeof *x.buffer);
  x.peak = gs_program_peak(p);
  for (bool lowered = true; lowered;) GS_TRY(lower(&x, a, &lowered, e));
  restore(&x);
  gs_program_memory(a, p);
  return GS_OK;
}
