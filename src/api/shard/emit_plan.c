#include <string.h>

#include "api/shard/emit.h"
#include "io/file/io.h"
#include "io/onnx/onnx_build.h"
#include "io/plan/plan_io.h"
#include "io/plan/weights.h"
#include "pass/specialise.h"

enum { INLINE_BYTES = 1024 }; /* smaller constants stand in the graphs */

#define WEIGHTS_FILE "weights.data"
#define HASHES_FILE "weights.xxh3"

typedef struct emitter {
  gs_arena *a;
  const gs_emit_options *o;
  const gs_graph *program;
  gs_device_form form;
  const char *dir; /* under construction */
  gs_weight *weight;
  int nweight;
  gs_map by_name; /* name of a constant in the graphs -> gs_weight */
  gs_map by_tensor; /* tensor and split -> gs_weight */
  gs_plan plan;
  int64_t position; /* of the device graph being written */
  gs_err *e;
} emitter;

static const char *in_dir(emitter *m, const char *name) {
  return gs_sprintf(m->a, "%s/%s", m->dir, name);
}

/* ---- weights ---- */

/* Values that share a tensor and its split (twins made for uses that differ)
 * share its bytes too. */
static void add_weight(emitter *m, const char *name, const gs_value *v,
                       const gs_sharding *split) {
  if (v->dtype == GS_STRING || v->constant->nbytes < INLINE_BYTES ||
      gs_map_has(&m->by_name, name))
    return;
  const char *key = gs_sprintf(
      m->a, "%p %s", (const void *)v->constant,
      split ? gs_sharding_text(m->a, m->program->mesh, split) : "");
  gs_weight *w = gs_map_get(&m->by_tensor, key);
  if (!w) {
    w = &m->weight[m->nweight++];
    *w = (gs_weight){.value = v, .split = split};
    gs_map_put(&m->by_tensor, key, w);
  }
  gs_map_put(&m->by_name, name, w);
}

/* What the graphs refer to: in device form the blocks, and constants that are
 * read whole; in SPMD form every constant, whole. */
static void list_weights(emitter *m) {
  const gs_graph *g = m->program;
  gs_map_init(&m->by_name, m->a);
  gs_map_init(&m->by_tensor, m->a);
  int max = g->value.n + m->form.block.n;
  m->weight = GS_NEWS(m->a, max + 1, gs_weight);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    bool entry = n->op && (n->op->flags & GS_OP_ENTRY);
    for (int k = 0; k < n->nin; k++) {
      const gs_value *v = n->in[k];
      if (v && v->constant && !(m->o->device && entry))
        add_weight(m, v->name, v, NULL);
    }
  }
  for (int i = 0; m->o->device && i < m->form.block.n; i++) {
    const gs_block_use *b = &m->form.block.at[i];
    add_weight(m, b->block->name, b->weight, b->split);
  }
}

static gs_status write_weights(emitter *m) {
  list_weights(m);
  if (!m->nweight) return GS_OK;
  gs_out out;
  gs_plan_weights *w = &m->plan.weights;
  GS_TRY(gs_out_open(m->a, in_dir(m, WEIGHTS_FILE), false, &out, m->e));
  gs_sums sums;
  out.progress = m->o->progress;
  gs_status s = gs_weights_write(&out, m->program->mesh, m->weight,
                                 m->nweight, &sums, m->e);
  if (s) {
    gs_out_abort(&out);
    return s;
  }
  GS_TRY(gs_out_commit(&out, m->e));
  w->file = WEIGHTS_FILE;
  w->size = sums.size;
  w->hashes = HASHES_FILE;
  return gs_sums_write(m->a, in_dir(m, HASHES_FILE), &sums, &w->hash, m->e);
}

static bool lies_in_weights(void *user, const gs_value *v, gs_extref *out) {
  emitter *m = user;
  const gs_weight *w = gs_map_get(&m->by_name, v->name);
  if (!w) return false;
  *out = (gs_extref){WEIGHTS_FILE,
                     gs_weight_offset(m->program->mesh, w, m->position)};
  return true;
}

/* A small block has no place in weights.data: its bytes go into the graph. */
static gs_status fill_block(emitter *m, gs_value *block) {
  const gs_block_use *b = NULL;
  for (int i = 0; i < m->form.block.n && !b; i++)
    if (!strcmp(m->form.block.at[i].block->name, block->name))
      b = &m->form.block.at[i];
  if (!b || gs_map_has(&m->by_name, block->name)) return GS_OK;
  const gs_tensor *whole = b->weight->constant;
  const char *from = gs_tensor_bytes(whole);
  int64_t size = gs_dtype_get(whole->dtype)->bits / 8;
  if (!from || !size)
    return gs_fail(m->e, GS_UNSUPPORTED, b->weight->name,
                   "a weight of type %s cannot be cut for a device",
                   gs_dtype_get(whole->dtype)->text);
  gs_tensor *t = gs_memdup(m->a, block->constant, sizeof *t);
  char *to = gs_alloc(m->a, (size_t)t->nbytes);
  int64_t n = gs_tensor_count(t);
  for (int64_t i = 0; i < n; i++) { /* few elements: one by one */
    int64_t rest = i, at = 0, step = 1;
    bool inside = true;
    for (int d = t->rank - 1; d >= 0; d--) {
      int64_t first, count, x = rest % t->dims[d];
      rest /= t->dims[d];
      gs_sharding_range(m->program->mesh, b->split, d, whole->dims[d],
                        m->position, &first, &count);
      inside = inside && x < count;
      at += (first + x) * step;
      step *= whole->dims[d];
    }
    if (inside) memcpy(to + i * size, from + at * size, (size_t)size);
  }
  t->data = to;
  block->constant = t;
  return GS_OK;
}

/* ---- graphs ---- */

static const int64_t *copy_numbers(emitter *m, const gs_node *n,
                                   const char *name, int *count) {
  const int64_t *at = gs_node_ints(n, name, count);
  return at ? gs_memdup(m->a, at, (size_t)*count * sizeof *at) : NULL;
}

/* The pieces that the graph of a device gives and takes. */
static void list_exchanges(emitter *m, const gs_graph *g, gs_plan_file *f) {
  GS_VEC(gs_plan_exchange) all = {0};
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    gs_plan_exchange x = {0};
    if (!n->op || !(n->op->flags & GS_OP_COLLECTIVE)) continue;
    x.takes = copy_numbers(m, n, "takes", &x.ntake);
    x.gives = copy_numbers(m, n, "gives", &x.ngive);
    if (!x.takes && !x.gives) continue;
    x.tensor = gs_strdup(m->a, n->out[0]->name);
    *gs_push(m->a, &all) = x;
  }
  f->nexchange = all.n;
  f->exchange = all.at;
}

static gs_status write_graph(emitter *m, const gs_graph *g,
                             const char *name) {
  gs_model_info info;
  gs_emit_info(m->a, m->o, &info);
  info.external = lies_in_weights;
  info.user = m;
  gs_model *model;
  GS_TRY(gs_model_from_graph(m->a, g, &info, &model, m->e));
  if (m->o->device) {
    gs_model_meta_set(model, "gshard.program", NULL);
    gs_model_meta_set(model, "gshard.position",
                      gs_sprintf(m->a, "%lld", (long long)m->position));
  }
  gs_write_options w = {.progress = m->o->progress};
  gs_status s = gs_model_write_with(model, in_dir(m, name), &w, m->e);
  gs_model_close(model);
  gs_plan_file *f = gs_push(m->a, &m->plan.file);
  *f = (gs_plan_file){.name = name, .size = w.size, .hash = w.hash};
  if (m->o->device) list_exchanges(m, g, f);
  return s;
}

static gs_status write_devices(emitter *m) {
  int64_t n = m->program->mesh->ndevice;
  int width = snprintf(NULL, 0, "%lld", (long long)(n - 1));
  for (int64_t p = 0; p < n; p++) {
    gs_arena tmp;
    gs_arena_init(&tmp);
    gs_graph *g;
    m->position = p;
    gs_status s = gs_pass_specialise(&tmp, &m->form, p, &g, m->e);
    for (int i = 0; !s && i < g->value.n; i++)
      if (g->value.at[i]->constant) s = fill_block(m, g->value.at[i]);
    if (!s)
      s = write_graph(m, g,
                      gs_sprintf(m->a, "device%0*lld.onnx", width,
                                 (long long)p));
    gs_arena_free(&tmp);
    GS_TRY(s);
  }
  return GS_OK;
}

/* ---- plan.yaml ---- */

static void add_io(emitter *m, const gs_border *b, bool output) {
  const gs_value *v = b->value;
  gs_plan_io io = {.name = v->name,
                   .dtype = v->dtype,
                   .rank = v->rank,
                   .dims = v->dims,
                   .sharding = gs_sharding_copy(m->a, b->sharding)};
  if (output) *gs_push(m->a, &m->plan.output) = io;
  else *gs_push(m->a, &m->plan.input) = io;
}

/* Which inputs are outputs of the run before. */
static void add_state(emitter *m) {
  const gs_states *s = m->o->state;
  for (int i = 0; i < s->n; i++) {
    gs_plan_io *io = &m->plan.input.at[s->at[i].in];
    io->state = m->plan.output.at[s->at[i].out].name;
    io->size = s->at[i].size;
  }
  if (s->filled >= 0) m->plan.input.at[s->filled].filled = s->step;
}

static gs_status write_plan(emitter *m) {
  gs_plan *p = &m->plan;
  p->producer = "gshard " PACKAGE_VERSION;
  p->kind = m->o->device ? GS_PLAN_DEVICE : GS_PLAN_SPMD;
  p->mesh = *m->program->mesh;
  for (int i = 0; i < m->form.input.n; i++)
    add_io(m, &m->form.input.at[i], false);
  for (int i = 0; i < m->form.output.n; i++)
    add_io(m, &m->form.output.at[i], true);
  add_state(m);
  for (int i = 0; i < m->o->partition->collective.n; i++) {
    const gs_collective *c = &m->o->partition->collective.at[i];
    *gs_push(m->a, &p->collective) =
        (gs_plan_collective){.op = c->op,
                             .axes = c->axes,
                             .tensor = c->result,
                             .bytes = (int64_t)c->bytes,
                             .origin = gs_report_cause(m->a, m->o->report, c)};
  }
  gs_buf b;
  gs_buf_init(&b, m->a);
  gs_plan_write(&b, p);
  gs_out out;
  GS_TRY(gs_out_open(m->a, in_dir(m, "plan.yaml"), false, &out, m->e));
  gs_out_write(&out, b.at, b.n);
  return gs_out_commit(&out, m->e);
}

/* ---- the directory ---- */

static gs_status fill_dir(emitter *m) {
  GS_TRY(gs_pass_device_form(m->a, m->program, &m->form, m->e));
  GS_TRY(write_weights(m));
  if (m->o->device) GS_TRY(write_devices(m));
  else GS_TRY(write_graph(m, m->program, "program.onnx"));
  return write_plan(m);
}

gs_status gs_emit_check(gs_arena *a, const char *dir, bool force, gs_err *e) {
  const char *const *owned;
  int n;
  GS_TRY(gs_plan_owned(a, dir, &owned, &n, e));
  return gs_out_dir_check(a, dir, force, owned, n, e);
}

gs_status gs_emit_plan(gs_arena *a, const gs_emit_options *o, const char *dir,
                       gs_err *e) {
  gs_out_dir out;
  const char *const *owned;
  int n;
  GS_TRY(gs_plan_owned(a, dir, &owned, &n, e));
  GS_TRY(gs_out_dir_open(a, dir, o->force, owned, n, &out, e));
  emitter m = {.a = a, .o = o, .program = o->partition->program,
               .dir = out.temp.path, .e = e};
  gs_status s = fill_dir(&m);
  if (!s) return gs_out_dir_commit(a, &out, e);
  gs_out_dir_abort(&out);
  return s;
}
