/* Which bytes of weights the devices of this process read. */
#include "base/math.h"
#include "exec/run/exec.h"

typedef struct range {
  const gs_exec *x;
  const gs_tensor *t;
  int64_t element;                          /* bytes */
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
} range;

/* Bytes [at, at + n) of t are read. */
static void tell(const gs_exec *x, const gs_tensor *t, uint64_t at,
                 uint64_t n) {
  const gs_exec_config *c = &x->config;
  if (c->reads) c->reads(c->user, t, at, n);
  if (x->ahead && t->file) gs_ahead_add(x->ahead, t->file, t->offset + at, n);
}

/* The part of the block whose leading coordinates give element `at`; it spans
 * dims d.. .  Rows that lie close together are told as one range. */
static void tell_part(const range *r, int d, int64_t at) {
  enum { CLOSE = 1 << 16 };
  const gs_tensor *t = r->t;
  if (d == t->rank) {
    tell(r->x, t, (uint64_t)(at * r->element), (uint64_t)r->element);
    return;
  }
  int64_t row = gs_product(t->dims + d + 1, t->rank - d - 1);
  int64_t begin = at + r->first[d] * row;
  if (row * r->element <= CLOSE) {
    tell(r->x, t, (uint64_t)(begin * r->element),
         (uint64_t)(r->count[d] * row * r->element));
    return;
  }
  bool whole = true; /* all further dims */
  for (int i = d + 1; i < t->rank; i++)
    whole = whole && r->count[i] == t->dims[i];
  if (whole) {
    tell(r->x, t, (uint64_t)(begin * r->element),
         (uint64_t)(r->count[d] * row * r->element));
    return;
  }
  for (int64_t i = 0; i < r->count[d]; i++)
    tell_part(r, d + 1, begin + i * row);
}

static void tell_block(const gs_exec *x, const gs_program *p,
                       const gs_slice *l, int64_t position) {
  range r = {.x = x, .t = l->from->constant};
  int bits = gs_dtype_get((int)r.t->dtype)->bits;
  if (bits % 8 || !bits) {
    tell(x, r.t, 0, r.t->nbytes);
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
  else tell(x, r.t, 0, 0);
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
      tell(x, v->constant, 0, v->constant->nbytes);
  }
  gs_arena_free(&a);
  for (int s = 0; s < p->step.n; s++) {
    const gs_step *step = &p->step.at[s];
    for (int k = 0; step->region && k < step->node->nattr; k++)
      if (step->region[k]) tell_program(x, step->region[k], first, n);
  }
}

void gs_exec_tell_reads(gs_exec *x) {
  const gs_exec_config *c = &x->config;
  if (!c->no_prefault) {
    gs_cpus cpus = gs_cpus_allowed(&x->arena);
    x->ahead = gs_ahead_new(&x->arena, (int)gs_cpus_count(&cpus));
  }
  if (!c->reads && !x->ahead) return;
  if (c->ngraph == 1) tell_program(x, x->program[0], x->first, x->n);
  else
    for (int64_t i = 0; i < x->n; i++)
      tell_program(x, x->program[i], x->first + i, 1);
  if (c->reads && !c->to_come) c->reads(c->user, NULL, 0, 0);
  if (x->ahead) gs_ahead_start(x->ahead);
}

/* Whether n reads only rows of its operand i. */
static bool looks_up(const gs_node *n, int i) {
  gs_index_kind k = n->op ? n->op->index.kind : GS_INDEX_NONE;
  return k != GS_INDEX_NONE && k != GS_INDEX_SIZE && k != GS_INDEX_MADE &&
         n->op->index.of == i;
}

static uint64_t weights_of(const gs_program *p) {
  uint64_t bytes = 0;
  for (int s = 0; s < p->step.n; s++) {
    const gs_step *step = &p->step.at[s];
    for (int i = 0; i < step->node->nin && !step->once; i++) {
      const gs_value *v = step->node->in[i];
      if (v && !gs_value_dynamic(v) && gs_program_buffer(p, v)->fixed &&
          !looks_up(step->node, i))
        bytes += gs_value_bytes(v);
    }
  }
  return bytes;
}

gs_status gs_exec_map_reads(gs_device *d) {
  const gs_program *p = d->p;
  for (int s = 0; s < p->step.n; s++) {
    const gs_step *step = &p->step.at[s];
    for (int i = 0; i < step->node->nin && !step->once; i++) {
      const gs_value *v = step->node->in[i];
      gs_held *h = v ? d->held[gs_program_buffer(p, v)->root] : NULL;
      if (h && !looks_up(step->node, i)) gs_held_map(h, d->threads);
    }
  }
  return GS_OK;
}

void gs_exec_count_reads(gs_exec *x) {
  for (int64_t i = 0; i < x->n; i++)
    x->weight_bytes += weights_of(x->device[i].p);
}

uint64_t gs_exec_weights(const gs_exec *x) { return x->weight_bytes; }

double gs_exec_collective_time(const gs_exec *x) {
  double most = 0;
  for (int64_t i = 0; i < x->n; i++)
    if (x->device[i].in_collectives > most) most = x->device[i].in_collectives;
  return most;
}
