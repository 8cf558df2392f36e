#include <stdlib.h>
#include <string.h>

#include "api/shard/emit.h"
#include "base/data/hash.h"
#include "base/math.h"
#include "io/file/io.h"
#include "io/onnx/onnx_build.h"
#include "io/plan/plan_io.h"
#include "io/plan/weights.h"
#include "pass/specialise.h"

enum { INLINE_BYTES = 1024 }; /* smaller constants stand in the graphs */

/* A weight of any program. */
typedef struct listed {
  gs_weight weight;
  int id; /* index in the list */
} listed;

/* A file of weights, of devices [first, first + n). */
typedef struct weights_file {
  const char *name;
  int64_t first, n;
  gs_weight *weight; /* [listed] what it has of each */
} weights_file;

/* One program. */
typedef struct part {
  const gs_emit_options *o;
  const gs_graph *program;
  gs_device_form form;
  gs_map by_name; /* name of a constant in the graphs -> listed */
  gs_plan *plan;
} part;

typedef struct emitter {
  gs_arena *a;
  const gs_emit_options *o; /* of the first */
  const gs_mesh *mesh;
  const char *dir; /* under construction */
  GS_VEC(listed *) weight;
  gs_map by_tensor; /* what it holds and its split -> listed */
  weights_file *file; /* [nfile] */
  int nfile;
  part *part; /* [npart] */
  int npart;
  part *now; /* whose graphs are written */
  int64_t position; /* of the device graph being written */
  gs_err *e;
} emitter;

static const char *in_dir(emitter *m, const char *name) {
  return gs_sprintf(m->a, "%s/%s", m->dir, name);
}

/* ---- weights ---- */

/* Where the elements of t lie, so that programs of one model know them again.
 * What is computed lies in memory of each: of several programs, the bytes tell.
 */
static char *key_of(emitter *m, const gs_tensor *t) {
  if (t->whole && !t->data)
    return gs_sprintf(m->a, "%s part %d %lld", key_of(m, t->whole), t->dim,
                      (long long)t->first);
  if (t->file)
    return gs_sprintf(m->a, "%p %llx", (const void *)t->file,
                      (unsigned long long)t->offset);
  if (m->npart == 1 || !t->data) return gs_sprintf(m->a, "%p", t->data);
  return gs_sprintf(m->a, "bytes %016llx %llx",
                    (unsigned long long)gs_hash(t->data, (size_t)t->nbytes, 0),
                    (unsigned long long)t->nbytes);
}

/* Values that share a tensor and its split (twins made for uses that differ,
 * and those of other programs) share its bytes too. */
static void add_weight(emitter *m, part *p, const char *name,
                       const gs_value *v, const gs_sharding *split) {
  const gs_tensor *t = v->constant;
  if (v->dtype == GS_STRING || t->nbytes < INLINE_BYTES ||
      gs_map_has(&p->by_name, name))
    return;
  const char *key = gs_sprintf(
      m->a, "%s %s %s", key_of(m, t),
      gs_shape_text(m->a, t->dtype, t->rank, t->dims),
      split ? gs_sharding_text(m->a, m->mesh, split) : "");
  listed *w = gs_map_get(&m->by_tensor, key);
  if (!w) {
    int id = m->weight.n;
    w = *gs_push(m->a, &m->weight) = GS_NEW(m->a, listed);
    *w = (listed){{.value = v, .split = split}, id};
    gs_map_put(&m->by_tensor, key, w);
  }
  gs_map_put(&p->by_name, name, w);
}

/* What the graphs refer to: in device form the blocks, and constants that are
 * read whole; in SPMD form every constant, whole. */
static void list_weights(emitter *m, part *p) {
  const gs_graph *g = p->program;
  gs_map_init(&p->by_name, m->a);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    bool entry = n->op && (n->op->flags & GS_OP_ENTRY);
    for (int k = 0; k < n->nin; k++) {
      const gs_value *v = n->in[k];
      if (v && v->constant && !(m->o->device && entry))
        add_weight(m, p, v->name, v, NULL);
    }
  }
  for (int i = 0; m->o->device && i < p->form.block.n; i++) {
    const gs_block_use *b = &p->form.block.at[i];
    add_weight(m, p, b->block->name, b->weight, b->split);
  }
}

static int by_number(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The blocks of w that devices of f read, each once. */
static void pick_blocks(emitter *m, const weights_file *f, gs_weight *w) {
  int64_t *at = GS_NEWS(m->a, f->n, int64_t), n = 0;
  for (int64_t i = 0; i < f->n; i++)
    at[i] = gs_weight_block(m->mesh, w, f->first + i);
  qsort(at, (size_t)f->n, sizeof *at, by_number);
  for (int64_t i = 0; i < f->n; i++)
    if (!i || at[i] != at[n - 1]) at[n++] = at[i];
  w->only = at;
  w->nonly = n;
}

static gs_status write_file(emitter *m, weights_file *f, const char *stem) {
  gs_out out;
  gs_sums sums;
  int n = m->weight.n;
  gs_weight **all = GS_NEWS(m->a, n, gs_weight *);
  f->weight = GS_NEWS(m->a, n, gs_weight);
  for (int i = 0; i < n; i++) {
    all[i] = &f->weight[i];
    *all[i] = m->weight.at[i]->weight;
    if (all[i]->split && m->nfile > 1) pick_blocks(m, f, all[i]);
  }
  f->name = gs_sprintf(m->a, "%s.data", stem);
  GS_TRY(gs_out_open(m->a, in_dir(m, f->name), false, &out, m->e));
  out.progress = m->o->progress;
  gs_status s = gs_weights_write(&out, m->mesh, all, n, &sums, m->e);
  if (s) {
    gs_out_abort(&out);
    return s;
  }
  GS_TRY(gs_out_commit(&out, m->e));
  gs_plan_weights *w = gs_push(m->a, &m->part[0].plan->weights);
  *w = (gs_plan_weights){.file = f->name, .size = sums.size, .devices = f->n,
                         .hashes = gs_sprintf(m->a, "%s.xxh3", stem)};
  return gs_sums_write(m->a, in_dir(m, w->hashes), &sums, &w->hash, m->e);
}

static gs_status write_weights(emitter *m) {
  int64_t n = m->mesh->ndevice, each = m->o->shards_per_file;
  gs_map_init(&m->by_tensor, m->a);
  for (int i = 0; i < m->npart; i++) list_weights(m, &m->part[i]);
  if (!m->weight.n) return GS_OK;
  if (!each || each > n) each = n;
  m->nfile = (int)((n + each - 1) / each);
  m->file = GS_NEWS(m->a, m->nfile, weights_file);
  int width = snprintf(NULL, 0, "%d", m->nfile - 1);
  for (int i = 0; i < m->nfile; i++) {
    weights_file *f = &m->file[i];
    f->first = i * each;
    f->n = gs_min(each, n - f->first);
    const char *stem = !m->o->shards_per_file
                           ? "weights"
                           : gs_sprintf(m->a, "weights%0*d", width, i);
    GS_TRY(write_file(m, f, stem));
  }
  return GS_OK;
}

static bool lies_in_weights(void *user, const gs_value *v, gs_extref *out) {
  emitter *m = user;
  const listed *w = gs_map_get(&m->now->by_name, v->name);
  if (!w) return false;
  const weights_file *f = m->file;
  while (m->position >= f->first + f->n) f++;
  *out = (gs_extref){f->name, gs_weight_offset(m->mesh, &f->weight[w->id],
                                               m->position)};
  return true;
}

/* A small block has no place in weights.data: its bytes go into the graph. */
static gs_status fill_block(emitter *m, gs_value *block) {
  const gs_block_use *b = NULL;
  const gs_device_form *form = &m->now->form;
  for (int i = 0; i < form->block.n && !b; i++)
    if (!strcmp(form->block.at[i].block->name, block->name))
      b = &form->block.at[i];
  if (!b || gs_map_has(&m->now->by_name, block->name)) return GS_OK;
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
      gs_sharding_range(m->mesh, b->split, d, whole->dims[d],
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
  gs_emit_info(m->a, m->now->o, &info);
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
  gs_plan_file *f = gs_push(m->a, &m->now->plan->file);
  *f = (gs_plan_file){.name = name, .size = w.size, .hash = w.hash};
  if (m->o->device) list_exchanges(m, g, f);
  return s;
}

/* What follows the name of a file of one of several programs: "-2". */
static const char *suffix(const emitter *m) {
  if (m->npart == 1) return "";
  return gs_sprintf(m->a, "-%d", (int)(m->now - m->part) + 1);
}

static gs_status write_devices(emitter *m) {
  int64_t n = m->mesh->ndevice;
  int width = snprintf(NULL, 0, "%lld", (long long)(n - 1));
  for (int64_t p = 0; p < n; p++) {
    gs_arena tmp;
    gs_arena_init(&tmp);
    gs_graph *g;
    m->position = p;
    gs_status s = gs_pass_specialise(&tmp, &m->now->form, p, &g, m->e);
    for (int i = 0; !s && i < g->value.n; i++)
      if (g->value.at[i]->constant) s = fill_block(m, g->value.at[i]);
    if (!s)
      s = write_graph(m, g,
                      gs_sprintf(m->a, "device%0*lld%s.onnx", width,
                                 (long long)p, suffix(m)));
    gs_arena_free(&tmp);
    GS_TRY(s);
  }
  return GS_OK;
}

/* ---- plan.yaml ---- */

static void add_io(emitter *m, part *p, const gs_border *b, bool output) {
  const gs_value *v = b->value;
  gs_plan_io io = {.name = v->name,
                   .dtype = v->dtype,
                   .rank = v->rank,
                   .dims = v->dims,
                   .sharding = gs_sharding_copy(m->a, b->sharding)};
  if (output) *gs_push(m->a, &p->plan->output) = io;
  else *gs_push(m->a, &p->plan->input) = io;
}

/* Which inputs are outputs of the run before. */
static void add_state(part *p) {
  const gs_states *s = p->o->state;
  for (int i = 0; i < s->n; i++) {
    gs_plan_io *io = &p->plan->input.at[s->at[i].in];
    io->state = p->plan->output.at[s->at[i].out].name;
    io->size = s->at[i].size;
  }
  if (s->filled >= 0) p->plan->input.at[s->filled].filled = s->step;
}

static void add_binding(emitter *m, part *p) {
  const gs_binding *b = p->o->binding;
  if (!b) return;
  p->plan->binding = b->name;
  for (int i = 0; i < b->size.map.n; i++) {
    gs_plan_size *s = gs_push(m->a, &p->plan->bind);
    s->name = b->size.map.entry[i].key;
    gs_bindings_get(&b->size, s->name, &s->size);
  }
}

static void describe(emitter *m, part *p) {
  gs_plan *plan = p->plan;
  add_binding(m, p);
  for (int i = 0; i < p->form.input.n; i++)
    add_io(m, p, &p->form.input.at[i], false);
  for (int i = 0; i < p->form.output.n; i++)
    add_io(m, p, &p->form.output.at[i], true);
  add_state(p);
  for (int i = 0; i < p->o->partition->collective.n; i++) {
    const gs_collective *c = &p->o->partition->collective.at[i];
    *gs_push(m->a, &plan->collective) =
        (gs_plan_collective){.op = c->op,
                             .axes = c->axes,
                             .tensor = c->result,
                             .bytes = (int64_t)c->bytes,
                             .origin = gs_report_cause(m->a, p->o->report, c)};
  }
}

static gs_status write_plan(emitter *m) {
  gs_plan *p = m->part[0].plan;
  p->producer = "gshard " PACKAGE_VERSION;
  p->kind = m->o->device ? GS_PLAN_DEVICE : GS_PLAN_SPMD;
  p->mesh = *m->mesh;
  for (int i = 0; i < m->npart; i++) describe(m, &m->part[i]);
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
  for (int i = 0; i < m->npart; i++)
    GS_TRY(gs_pass_device_form(m->a, m->part[i].program, &m->part[i].form,
                               m->e));
  GS_TRY(write_weights(m));
  for (int i = 0; i < m->npart; i++) {
    m->now = &m->part[i];
    if (m->o->device) GS_TRY(write_devices(m));
    else GS_TRY(write_graph(m, m->now->program,
                            gs_sprintf(m->a, "program%s.onnx", suffix(m))));
  }
  return write_plan(m);
}

static void begin(emitter *m, const gs_emit_options *o, int n) {
  gs_plan *plan = GS_NEWS(m->a, n, gs_plan);
  m->o = o;
  m->mesh = o->partition->program->mesh;
  m->npart = n;
  m->part = GS_NEWS(m->a, n, part);
  for (int i = 0; i < n; i++) {
    m->part[i] = (part){.o = &o[i], .program = o[i].partition->program,
                        .plan = &plan[i]};
    if (i) plan[i - 1].next = &plan[i];
  }
}

gs_status gs_emit_check(gs_arena *a, const char *dir, bool force, gs_err *e) {
  const char *const *owned;
  int n;
  GS_TRY(gs_plan_owned(a, dir, &owned, &n, e));
  return gs_out_dir_check(a, dir, force, owned, n, e);
}

gs_status gs_emit_plan(gs_arena *a, const gs_emit_options *o, int n,
                       const char *dir, gs_err *e) {
  gs_out_dir out;
  const char *const *owned;
  int nowned;
  GS_TRY(gs_plan_owned(a, dir, &owned, &nowned, e));
  GS_TRY(gs_out_dir_open(a, dir, o->force, owned, nowned, &out, e));
  emitter m = {.a = a, .dir = out.temp.path, .e = e};
  begin(&m, o, n);
  gs_status s = fill_dir(&m);
  if (!s) return gs_out_dir_commit(a, &out, e);
  gs_out_dir_abort(&out);
  return s;
}
