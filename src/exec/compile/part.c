#include "exec/compile/part.h"

#include "base/assert.h"
#include "base/math.h"

gs_view gs_program_part_in(const gs_view *part, const gs_view *window) {
  gs_view v = *part;
  if (!window->pitch) {
    v.lead += window->lead;
    return v;
  }
  gs_assert(!part->apart && !window->apart && window->run > 0 &&
            part->run % window->run == 0 && part->pitch % window->run == 0 &&
            part->lead % window->run == 0);
  v.run = window->run;
  v.pitch = window->pitch;
  v.lead = part->lead / v.run * v.pitch + window->lead;
  if (part->pitch) {
    v.runs = part->run / v.run;
    v.apart = part->pitch / v.run * v.pitch;
  }
  return v;
}

gs_view gs_program_view(const gs_program *p, const gs_value *v) {
  gs_view view = {0};
  for (int i = v->id; p->buffer[i].root != i; i = p->buffer[i].root) {
    const gs_buffer *b = &p->buffer[i];
    if (!b->run) continue;
    int64_t size = gs_dtype_bytes((int)p->g->value.at[i]->dtype, 1);
    gs_view window = {.run = b->run, .pitch = b->pitch,
                      .lead = (int64_t)b->at / size};
    view = view.run ? gs_program_part_in(&view, &window) : window;
  }
  return view;
}

size_t gs_program_at(const gs_program *p, const gs_value *v) {
  int64_t lead = gs_program_view(p, v).lead;
  return lead ? (size_t)gs_dtype_bytes((int)v->dtype, lead) : 0;
}

bool gs_exchange_writes_runs(const gs_node *n, int64_t run) {
  const gs_value *y = n->out[0];
  int dim = (int)gs_node_int(n, "dim", 0);
  gs_assert(dim >= 0 && dim < y->rank && run > 0);
  return gs_product(y->dims + dim + 1, y->rank - dim - 1) % run == 0;
}
