/* Which bytes of weights the devices of this process read. */
#include "base/math.h"
#include "exec/run/exec.h"

typedef struct range {
  const gs_exec_config *config;
  const gs_tensor *t;
  int64_t element;                          /* bytes */
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
} range;

/* The part of the block whose leading coordinates give element `at`; it spans
 * dims d.. .  Rows that lie close together are told as one range. */
static void tell_part(const range *r, int d, int64_t at) {
  enum { CLOSE = 1 << 16 };
  const gs_tensor *t = r->t;
  const gs_exec_config *c = r->config;
  if (d == t->rank) {
    c->reads(c->user, t, (uint64_t)(at * r->element), (uint64_t)r->element);
    return;
  }
  int64_t row = gs_product(t->dims + d + 1, t->rank - d - 1);
  int64_t begin = at + r->first[d] * row;
  if (row * r->element <= CLOSE) {
    c->reads(c->user, t, (uint64_t)(begin * r->element),
             (uint64_t)(r->count[d] * row * r->element));
    return;
  }
  bool whole = true; /* all further dims */
  for (int i = d + 1; i < t->rank; i++)
    whole = whole && r->count[i] == t->dims[i];
  if (whole) {
    c->reads(c->user, t, (uint64_t)(begin * r->element),
             (uint64_t)(r->count[d] * row * r->element));
    return;
  }
  for (int64_t i = 0; i < r->count[d]; i++)
    tell_part(r, d + 1, begin + i * row);
}

static void tell_whole(const gs_exec_config *c, const gs_tensor *t) {
  c->reads(c->user, t, 0, t->nbytes);
}

static void tell_block(const gs_exec *x, const gs_program *p,
                       const gs_slice *l, int64_t position) {
  range r = {.config = &x->config, .t = l->from->constant};
  int bits = gs_dtype_get((int)r.t->dtype)->bits;
  if (bits % 8 || !bits) {
    tell_whole(&x->config, r.t);
    return;
  }
  r.element = bits / 8;
  int64_t n = 1;
  for (int d = 0; d < r.t->rank; d++) {
    gs_sharding_range(p->g->mesh, l->split, d, r.t->dims[d], position,
                      &r.first[d], &r.count[d]);
    n *= r.count[d];
  }
  if (n) tell_part(&r, 0, 0);
  else x->config.reads(x->config.user, r.t, 0, 0);
}

/* Constants that only slices read are read in blocks, others whole. */
static void tell_program(gs_exec *x, const gs_program *p, int64_t first,
                         int64_t n) {
  gs_arena a;
  gs_arena_init(&a);
  int *slices = GS_NEWS(&a, p->g->value.n, int);
  for (int i = 0; i < p->slice.n; i++) {
    const gs_slice *l = &p->slice.at[i];
    if (!l->from->constant) continue;
    slices[l->from->id]++;
    for (int64_t k = 0; k < n; k++) tell_block(x, p, l, first + k);
  }
  for (int i = 0; i < p->g->value.n; i++) {
    const gs_value *v = p->g->value.at[i];
    if (v->constant && p->uses[i] > slices[i])
      tell_whole(&x->config, v->constant);
  }
  gs_arena_free(&a);
  for (int s = 0; s < p->step.n; s++) {
    const gs_step *step = &p->step.at[s];
    for (int k = 0; step->region && k < step->node->nattr; k++)
      if (step->region[k]) tell_program(x, step->region[k], first, n);
  }
}

void gs_exec_tell_reads(gs_exec *x) {
  if (!x->config.reads) return;
  if (x->config.ngraph == 1) tell_program(x, x->program[0], x->first, x->n);
  else
    for (int64_t i = 0; i < x->n; i++)
      tell_program(x, x->program[i], x->first + i, 1);
  if (!x->config.to_come) x->config.reads(x->config.user, NULL, 0, 0);
}
