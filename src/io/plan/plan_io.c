#include "io/plan/plan_io.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/math.h"
#include "io/file/io.h"
#include "io/plan/plan_keys.h"

/* ---- writing ---- */

static void json(gs_buf *b, const char *key, const char *text) {
  gs_buf_printf(b, "%s: ", key);
  gs_buf_json(b, text ? text : "");
}

/* "key: [0, 1, 3, 2]" */
static void write_list(gs_buf *b, const char *key, const int64_t *list,
                       int64_t n) {
  gs_buf_printf(b, "%s: [", key);
  for (int64_t i = 0; i < n; i++)
    gs_buf_printf(b, "%s%lld", i ? ", " : "", (long long)list[i]);
  gs_buf_char(b, ']');
}

/* ", exchanges: [{tensor: "y", gives: [..], takes: [..]}]" */
static void write_exchanges(gs_buf *b, const gs_plan_file *f) {
  for (int i = 0; i < f->nexchange; i++) {
    const gs_plan_exchange *x = &f->exchange[i];
    gs_buf_str(b, i ? ",\n      {" : ", exchanges: [\n      {");
    json(b, "tensor", x->tensor);
    gs_buf_str(b, ", ");
    write_list(b, "gives", x->gives, x->ngive);
    gs_buf_str(b, ", ");
    write_list(b, "takes", x->takes, x->ntake);
    gs_buf_char(b, '}');
  }
  if (f->nexchange) gs_buf_str(b, "]");
}

/* ", size: N, hash: "...."}": ends an entry. */
static void write_sum(gs_buf *b, uint64_t size, uint64_t hash) {
  gs_buf_printf(b, ", size: %llu, hash: \"%016llx\"}\n",
                (unsigned long long)size, (unsigned long long)hash);
}

static void write_orders(gs_buf *b, const gs_mesh *m) {
  if (m->norder) gs_buf_str(b, "  orders:\n");
  for (int k = 0; k < m->norder; k++) {
    gs_buf_str(b, "    - {");
    json(b, "name", m->axis[m->naxis + k].name);
    gs_buf_str(b, ", ");
    write_list(b, "positions", m->order[1 + k].position, m->ndevice);
    gs_buf_str(b, "}\n");
  }
}

static void write_mesh(gs_buf *b, const gs_mesh *m) {
  gs_buf_str(b, "mesh:\n  axes: [");
  for (int i = 0; i < m->naxis; i++) {
    gs_buf_str(b, i ? ", {" : "{");
    json(b, "name", m->axis[i].name);
    gs_buf_printf(b, ", size: %lld}", (long long)m->axis[i].size);
  }
  gs_buf_str(b, "]\n  cuts: [");
  /* Boundaries of sub-axes, which shardings below may name. */
  bool any = false;
  for (int i = 0; i < m->nsub; i++) {
    const gs_sub *s = &m->sub[i];
    if (s->pre == 1) continue;
    gs_buf_str(b, any ? ", {" : "{");
    any = true;
    json(b, "axis", m->axis[s->axis].name);
    gs_buf_printf(b, ", at: %lld}", (long long)s->pre);
  }
  gs_buf_str(b, "]\n");
  write_orders(b, m);
  if (m->device_ids) {
    write_list(b, "  device_ids", m->device_ids, m->ndevice);
    gs_buf_char(b, '\n');
  }
}

static void write_io(gs_buf *b, const gs_mesh *m, const char *key, int n,
                     const gs_plan_io *io) {
  gs_buf_printf(b, n ? "%s:\n" : "%s: []\n", key);
  for (int i = 0; i < n; i++) {
    gs_buf_str(b, "  - {");
    json(b, "name", io[i].name);
    gs_assert(io[i].rank <= GS_MAX_RANK && io[i].sharding);
    gs_buf_printf(b, ", dtype: %s, dims: [",
                  gs_dtype_get((int)io[i].dtype)->text);
    for (int d = 0; d < io[i].rank; d++)
      gs_buf_printf(b, "%s%lld", d ? ", " : "", (long long)io[i].dims[d]);
    gs_buf_str(b, "], ");
    json(b, "sharding", gs_sharding_text(b->arena, m, io[i].sharding));
    if (io[i].rank < 0) gs_buf_str(b, ", open: true");
    if (io[i].state) gs_buf_str(b, ", ");
    if (io[i].state) json(b, "state", io[i].state);
    if (io[i].size) gs_buf_printf(b, ", size: %lld", (long long)io[i].size);
    if (io[i].filled)
      gs_buf_printf(b, ", filled: %lld", (long long)io[i].filled);
    gs_buf_str(b, "}\n");
  }
}

static void write_collectives(gs_buf *b, const gs_mesh *m,
                              const gs_plan *p) {
  gs_buf_str(b, p->collective.n ? "collectives:\n" : "collectives: []\n");
  for (int i = 0; i < p->collective.n; i++) {
    const gs_plan_collective *c = &p->collective.at[i];
    gs_buf axes;
    gs_buf_init(&axes, b->arena);
    gs_axes_print(&axes, m, &c->axes);
    gs_buf_str(b, "  - {");
    json(b, "op", c->op);
    gs_buf_str(b, ", ");
    json(b, "axes", axes.at);
    gs_buf_str(b, ", ");
    json(b, "tensor", c->tensor);
    gs_buf_printf(b, ", bytes_per_device: %lld, ", (long long)c->bytes);
    json(b, "origin", c->origin);
    gs_buf_str(b, "}\n");
  }
}

/* What each program has for itself, first half. */
static void write_files(gs_buf *b, const gs_plan *p) {
  if (p->binding) {
    json(b, "binding", p->binding);
    gs_buf_str(b, "\nbind: [");
    for (int i = 0; i < p->bind.n; i++) {
      gs_buf_str(b, i ? ", {" : "{");
      json(b, "name", p->bind.at[i].name);
      gs_buf_printf(b, ", size: %lld}", (long long)p->bind.at[i].size);
    }
    gs_buf_str(b, "]\n");
  }
  gs_buf_str(b, p->file.n ? "files:\n" : "files: []\n");
  for (int i = 0; i < p->file.n; i++) {
    gs_buf_str(b, "  - {");
    json(b, "name", p->file.at[i].name);
    write_exchanges(b, &p->file.at[i]);
    write_sum(b, p->file.at[i].size, p->file.at[i].hash);
  }
}

static void write_borders(gs_buf *b, const gs_mesh *m, const gs_plan *p) {
  write_io(b, m, "inputs", p->input.n, p->input.at);
  write_io(b, m, "outputs", p->output.n, p->output.at);
}

/* An entry of the list of the other programs: their texts, four columns in. */
static void write_next(gs_buf *b, const gs_mesh *m, const gs_plan *p) {
  gs_buf t;
  gs_buf_init(&t, b->arena);
  write_files(&t, p);
  write_borders(&t, m, p);
  write_collectives(&t, m, p);
  const char *start = "  - ";
  for (const char *s = t.at; *s; start = "    ") {
    int n = (int)strcspn(s, "\n") + 1;
    gs_buf_printf(b, "%s%.*s", start, n, s);
    s += n;
  }
}

static void write_weights_file(gs_buf *b, const gs_plan_weights *w) {
  json(b, "file", w->file);
  gs_buf_str(b, ", ");
  json(b, "hashes", w->hashes);
}

static void write_weights(gs_buf *b, const gs_plan *p) {
  const gs_plan_weights *w = p->weights.at;
  if (!p->weights.n) return;
  if (p->weights.n == 1) {
    gs_buf_str(b, "weights: {");
    write_weights_file(b, w);
    write_sum(b, w->size, w->hash);
    return;
  }
  gs_buf_str(b, "weights_files:\n");
  for (int i = 0; i < p->weights.n; i++) {
    gs_buf_str(b, "  - {");
    write_weights_file(b, &w[i]);
    gs_buf_printf(b, ", devices: %lld", (long long)w[i].devices);
    write_sum(b, w[i].size, w[i].hash);
  }
}

/* All but the hash. */
static void write_body(gs_buf *b, const gs_plan *p) {
  gs_buf_printf(b, "version: %d\n", GS_PLAN_VERSION);
  json(b, "producer", p->producer);
  gs_buf_printf(b, "\nkind: %s\n",
                p->kind == GS_PLAN_SPMD ? "spmd" : "device");
  write_mesh(b, &p->mesh);
  write_files(b, p);
  write_borders(b, &p->mesh, p);
  write_weights(b, p);
  write_collectives(b, &p->mesh, p);
  if (p->next) gs_buf_str(b, "bindings:\n");
  for (const gs_plan *q = p->next; q; q = q->next) write_next(b, &p->mesh, q);
}

static uint64_t hash_of(const gs_plan *p, gs_arena *a) {
  gs_buf b;
  gs_buf_init(&b, a);
  write_body(&b, p);
  return gs_hash(b.at, b.n, 0);
}

void gs_plan_write(gs_buf *b, gs_plan *p) {
  gs_assert(p->kind == GS_PLAN_SPMD || p->kind == GS_PLAN_DEVICE);
  size_t start = b->n;
  write_body(b, p);
  p->hash = gs_hash(b->at + start, b->n - start, 0);
  gs_buf_printf(b, "hash: \"%016llx\"\n", (unsigned long long)p->hash);
}

/* ---- reading: from the tree of plan_keys.c ---- */

/* Fails with the place of y and the text of the last diagnostic of why. */
static gs_status at_place(const gs_place *p, const gs_err *why, gs_err *e) {
  return gs_fail_at(e, GS_DATA, p, "%s", why->n ? why->diag[0].text : "");
}

static gs_status make_order(gs_arena *a, const gs_plan_order_reading *from,
                            gs_mesh *m, gs_err *e) {
  if (from->positions.n != m->ndevice)
    return gs_fail(e, GS_DATA, NULL,
                   "order '%.60s' lists %d devices, but the mesh has %lld",
                   from->name, from->positions.n, (long long)m->ndevice);
  return gs_mesh_add_order(m, a, from->name, from->positions.at, e);
}

static gs_status make_mesh(gs_reader *r, const gs_plan_reading *p,
                           gs_mesh *m) {
  gs_err why;
  gs_err_init(&why);
  gs_status s = GS_OK;
  for (int i = 0; i < p->axis.n && s == GS_OK; i++)
    s = gs_mesh_add(m, p->axis.at[i].name, p->axis.at[i].size, &why);
  for (int i = 0; i < p->order.n && s == GS_OK; i++)
    s = make_order(r->arena, &p->order.at[i], m, &why);
  for (int i = 0; i < p->cut.n && s == GS_OK; i++) {
    int axis = gs_mesh_find(m, p->cut.at[i].name);
    if (axis < 0) s = gs_fail(&why, GS_DATA, NULL, "a cut of an axis that the "
                              "mesh does not have");
    else s = gs_mesh_cut(m, axis, p->cut.at[i].size, &why);
  }
  if (s == GS_OK) s = gs_mesh_finish(m, &why);
  if (s != GS_OK) at_place(&p->mesh->at, &why, r->err);
  gs_err_free(&why);
  if (s != GS_OK) return GS_DATA;
  if (!p->ids.n) return GS_OK;
  if (p->ids.n != m->ndevice)
    return gs_fail_at(r->err, GS_DATA, &p->mesh->at,
                      "device_ids lists %d devices, but the mesh has %lld",
                      p->ids.n, (long long)m->ndevice);
  bool *seen = GS_NEWS(r->arena, p->ids.n, bool);
  for (int i = 0; i < p->ids.n; i++) {
    if (p->ids.at[i] >= p->ids.n || seen[p->ids.at[i]])
      return gs_fail_at(r->err, GS_DATA, &p->mesh->at,
                        "device_ids is not a permutation");
    seen[p->ids.at[i]] = true;
  }
  m->device_ids = p->ids.at;
  return GS_OK;
}

static gs_status make_io(gs_reader *r, const gs_mesh *m,
                         const gs_plan_io_reading *from, gs_map *names,
                         gs_plan_io *io) {
  *io = (gs_plan_io){.name = from->name, .rank = from->dims.n,
                     .dims = from->dims.at, .state = from->state,
                     .size = from->size, .filled = from->filled};
  if (from->open) io->rank = -1;
  io->dtype = gs_dtype_parse(from->dtype);
  if (!io->dtype)
    return gs_fail_at(r->err, GS_DATA, &from->at,
                      "'%.40s' is not an element type", from->dtype);
  if (io->rank > GS_MAX_RANK)
    return gs_fail_at(r->err, GS_DATA, &from->at, "more than %d dims",
                      GS_MAX_RANK);
  if (gs_map_has(names, io->name))
    return gs_fail_at(r->err, GS_DATA, &from->at, "'%.60s' is listed twice",
                      io->name);
  gs_map_put(names, io->name, io);
  gs_err why;
  gs_err_init(&why);
  gs_status s = gs_sharding_parse(r->arena, m, from->sharding, &io->sharding,
                                  &why);
  if (s == GS_OK)
    s = gs_sharding_check(m, io->sharding, io->rank, io->name, &why);
  if (s != GS_OK) at_place(&from->at, &why, r->err);
  gs_err_free(&why);
  return s == GS_OK ? GS_OK : GS_DATA;
}

/* State is of outputs that there are, and only inputs are state. */
static gs_status check_state(gs_reader *r, const gs_plan_program_reading *from,
                             const gs_map *outputs) {
  for (int i = 0; i < from->input.n; i++) {
    const gs_plan_io_reading *x = &from->input.at[i];
    const gs_plan_io *y = x->state ? gs_map_get(outputs, x->state) : NULL;
    if (x->state && !y)
      return gs_fail_at(r->err, GS_DATA, &x->at,
                        "there is no output '%.60s'", x->state);
    if (x->filled && x->state)
      return gs_fail_at(r->err, GS_DATA, &x->at,
                        "an input that counts what is filled is state too");
  }
  for (int i = 0; i < from->output.n; i++)
    if (from->output.at[i].state || from->output.at[i].filled)
      return gs_fail_at(r->err, GS_DATA, &from->output.at[i].at,
                        "only inputs are state");
  return GS_OK;
}

static gs_status make_collective(gs_reader *r, const gs_mesh *m,
                                 const gs_plan_collective_reading *from,
                                 gs_plan_collective *c) {
  *c = (gs_plan_collective){.op = from->op, .tensor = from->tensor,
                            .bytes = from->bytes, .origin = from->origin};
  const char *s = from->axes;
  gs_err why;
  gs_err_init(&why);
  gs_status status = gs_axes_parse(m, &s, &c->axes, &why);
  if (status == GS_OK && *s)
    status = gs_fail(&why, GS_DATA, NULL, "unexpected '%.40s' after axes", s);
  if (status != GS_OK) at_place(&from->at, &why, r->err);
  gs_err_free(&why);
  return status == GS_OK ? GS_OK : GS_DATA;
}

/* A file beside plan.yaml: a plain name that cannot lead elsewhere. */
static gs_status plain_name(gs_reader *r, const gs_place *at, const char *s) {
  if (*s && strcmp(s, ".") && strcmp(s, "..") && !strchr(s, '/') &&
      strlen(s) < 256)
    return GS_OK;
  return gs_fail_at(r->err, GS_DATA, at,
                    "'%.60s' is not the name of a file in the plan's directory",
                    s);
}

static gs_status make_files(gs_reader *r, const gs_plan_program_reading *from,
                            gs_plan *p) {
  int64_t want = p->kind == GS_PLAN_SPMD ? 1 : p->mesh.ndevice;
  for (int i = 0; i < from->file.n; i++) {
    const gs_plan_file_reading *f = &from->file.at[i];
    GS_TRY(plain_name(r, &f->at, f->file.name));
    int n = f->exchange.n;
    gs_plan_exchange *x = GS_NEWS(r->arena, n + 1, gs_plan_exchange);
    for (int k = 0; k < n; k++) {
      const gs_plan_exchange_reading *y = &f->exchange.at[k];
      x[k] = (gs_plan_exchange){y->tensor, y->gives.n, y->takes.n, y->gives.at,
                                y->takes.at};
    }
    gs_plan_file *to = gs_push(r->arena, &p->file);
    *to = f->file;
    to->nexchange = n;
    to->exchange = x;
  }
  if (p->file.n == want) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &from->at,
                    "%d files; a plan of this kind has %lld", p->file.n,
                    (long long)want);
}

static gs_status add_weights(gs_reader *r, const gs_place *at,
                             const gs_plan_weights *w, gs_plan *p) {
  GS_TRY(plain_name(r, at, w->file));
  *gs_push(r->arena, &p->weights) = *w;
  return plain_name(r, at, w->hashes);
}

/* One file for all devices, or several that each are of some. */
static gs_status make_weights(gs_reader *r, const gs_plan_reading *from,
                              gs_plan *p) {
  gs_plan_weights one = from->weights;
  int64_t left = p->mesh.ndevice;
  if (one.file && from->weights_file.n)
    return gs_fail_at(r->err, GS_DATA, &from->root->at,
                      "a plan has weights or weights_files, not both");
  one.devices = left;
  if (one.file) return add_weights(r, &from->root->at, &one, p);
  for (int i = 0; i < from->weights_file.n; i++) {
    const gs_plan_weights_reading *w = &from->weights_file.at[i];
    if (w->file.devices < 1 || w->file.devices > left)
      return gs_fail_at(r->err, GS_DATA, &w->at,
                        "weights of %lld devices; %lld are left",
                        (long long)w->file.devices, (long long)left);
    left -= w->file.devices;
    GS_TRY(add_weights(r, &w->at, &w->file, p));
  }
  if (!from->weights_file.n || (!left && p->kind == GS_PLAN_DEVICE))
    return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &from->root->at,
                    left ? "weights_files leaves out devices"
                         : "weights_files is of plans in device form");
}

/* Kind and mesh of p are there. */
static gs_status make_program(gs_reader *r,
                              const gs_plan_program_reading *from, gs_plan *p) {
  p->binding = from->binding;
  for (int i = 0; i < from->bind.n; i++)
    *gs_push(r->arena, &p->bind) =
        (gs_plan_size){from->bind.at[i].name, from->bind.at[i].size};
  GS_TRY(make_files(r, from, p));
  gs_map inputs, outputs;
  gs_map_init(&inputs, r->arena);
  gs_map_init(&outputs, r->arena);
  for (int i = 0; i < from->input.n; i++)
    GS_TRY(make_io(r, &p->mesh, &from->input.at[i], &inputs,
                   gs_push(r->arena, &p->input)));
  for (int i = 0; i < from->output.n; i++)
    GS_TRY(make_io(r, &p->mesh, &from->output.at[i], &outputs,
                   gs_push(r->arena, &p->output)));
  GS_TRY(check_state(r, from, &outputs));
  for (int i = 0; i < from->collective.n; i++)
    GS_TRY(make_collective(r, &p->mesh, &from->collective.at[i],
                           gs_push(r->arena, &p->collective)));
  return GS_OK;
}

/* Whether x and y are one input or output with two bindings; state is of one
 * size. */
static bool same_io(const gs_plan_io *x, const gs_plan_io *y) {
  bool same = !strcmp(x->name, y->name) && x->dtype == y->dtype &&
              x->rank == y->rank && !x->state == !y->state &&
              x->size == y->size && !x->filled == !y->filled &&
              gs_sharding_equal(x->sharding, y->sharding);
  if (!same || !x->state) return same;
  return !strcmp(x->state, y->state) &&
         gs_same_dims(x->dims, y->dims, x->rank);
}

/* The programs of the other bindings. */
static gs_status make_next(gs_reader *r, const gs_plan_reading *from,
                           gs_plan *first) {
  gs_plan *last = first;
  for (int i = 0; i < from->next.n; i++) {
    const gs_plan_program_reading *x = &from->next.at[i];
    gs_plan *p = last->next = GS_NEW(r->arena, gs_plan);
    *p = (gs_plan){.producer = first->producer, .kind = first->kind,
                   .mesh = first->mesh, .weights = first->weights};
    last = p;
    GS_TRY(make_program(r, x, p));
    bool same = first->binding && p->binding &&
                first->input.n == p->input.n &&
                first->output.n == p->output.n;
    for (int k = 0; same && k < p->input.n; k++)
      same = same_io(&first->input.at[k], &p->input.at[k]);
    for (int k = 0; same && k < p->output.n; k++)
      same = same_io(&first->output.at[k], &p->output.at[k]);
    if (!same)
      return gs_fail_at(r->err, GS_DATA, &x->at, "the inputs and outputs of "
                        "this binding are not those of the first");
  }
  return GS_OK;
}

static gs_status make_plan(gs_reader *r, const gs_plan_reading *from,
                           gs_plan *p) {
  p->producer = from->producer;
  p->kind = (gs_plan_kind)from->kind;
  GS_TRY(make_mesh(r, from, &p->mesh));
  GS_TRY(make_weights(r, from, p));
  GS_TRY(make_program(r, &from->first, p));
  GS_TRY(make_next(r, from, p));
  p->hash = hash_of(p, r->arena);
  for (gs_plan *q = p->next; q; q = q->next) q->hash = p->hash;
  if (p->hash == from->hash || !from->verify) return GS_OK;
  gs_fail_at(r->err, GS_MISMATCH, &from->root->at,
             "the plan's hash is %016llx, but it states %016llx",
             (unsigned long long)p->hash, (unsigned long long)from->hash);
  gs_err_hint(r->err, "the file was changed after it was written; partition "
                      "again, or run it as it is with --no-verify");
  return GS_MISMATCH;
}

static gs_status from_tree(gs_arena *a, const gs_yaml *y, bool verify,
                           gs_plan **out, gs_err *e) {
  gs_plan_reading *from = GS_NEW(a, gs_plan_reading);
  from->verify = verify;
  gs_reader r = {a, e, from};
  from->root = y;
  from->first.at = y->at;
  GS_TRY(gs_plan_version(&r, y));
  GS_TRY(gs_keys_read(&r, y, gs_plan_tables[0], from));
  *out = GS_NEW(a, gs_plan);
  return make_plan(&r, from, *out);
}

gs_status gs_plan_parse(gs_arena *a, const char *file, const char *text,
                        size_t n, bool verify, gs_plan **out, gs_err *e) {
  gs_yaml *y;
  GS_TRY(gs_yaml_parse(a, file, text, n, &gs_yaml_plan_limits, &y, e));
  return from_tree(a, y, verify, out, e);
}

gs_status gs_plan_read(gs_arena *a, const char *path, bool verify,
                       gs_plan **out, gs_err *e) {
  gs_yaml *y;
  gs_file *f; /* waiting for a FIFO in a directory would be for ever */
  GS_TRY(gs_file_open(a, path, &f, e));
  gs_file_close(f);
  GS_TRY(gs_yaml_read(a, path, &gs_yaml_plan_limits, &y, e));
  return from_tree(a, y, verify, out, e);
}

void gs_plan_schema(FILE *f) {
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  gs_buf_init(&b, &a);
  gs_keys_schema(&b, "https://gshard.invalid/schemas/gshard-plan.schema.json",
                 "gshard plan", gs_plan_tables, gs_plan_ntable, NULL);
  fwrite(b.at, 1, b.n, f);
  gs_arena_free(&a);
}

void gs_plan_manual(gs_buf *b) {
  gs_keys_mdoc(b, gs_plan_tables, gs_plan_ntable);
}

/* ---- what belongs to it ---- */

typedef GS_VEC(const char *) names;

static void add_name(gs_arena *a, const gs_yaml *y, names *out) {
  if (y && y->kind == GS_YAML_SCALAR) *gs_push(a, out) = y->text;
}

/* The files of the first version were names alone. */
static void add_files(gs_arena *a, const gs_yaml *program, names *out) {
  const gs_yaml *files = gs_yaml_get(program, "files");
  for (int i = 0; files && i < files->item.n; i++) {
    const gs_yaml *f = files->item.at[i];
    add_name(a, f->kind == GS_YAML_MAP ? gs_yaml_get(f, "name") : f, out);
  }
}

static void add_weights_names(gs_arena *a, const gs_yaml *w, names *out) {
  if (!w || w->kind != GS_YAML_MAP) return;
  add_name(a, gs_yaml_get(w, "file"), out);
  add_name(a, gs_yaml_get(w, "hashes"), out);
}

static void add_names(gs_arena *a, const gs_yaml *plan, names *out) {
  const gs_yaml *weights = gs_yaml_get(plan, "weights_files");
  const gs_yaml *more = gs_yaml_get(plan, "bindings");
  add_files(a, plan, out);
  for (int i = 0; more && i < more->item.n; i++)
    if (more->item.at[i]->kind == GS_YAML_MAP)
      add_files(a, more->item.at[i], out);
  add_weights_names(a, gs_yaml_get(plan, "weights"), out);
  for (int i = 0; weights && i < weights->item.n; i++)
    add_weights_names(a, weights->item.at[i], out);
}

/* Passes on what has to do with the machine and not with the file. */
static gs_status unless_unreadable(gs_status s, gs_err *mine, gs_err *e) {
  if (s == GS_RESOURCE && e) gs_err_move(e, mine);
  gs_err_free(mine);
  return s == GS_RESOURCE ? s : GS_OK;
}

gs_status gs_plan_owned(gs_arena *a, const char *dir, const char *const **out,
                        int *n, gs_err *e) {
  const char *path = gs_sprintf(a, "%s/plan.yaml", dir);
  gs_yaml *y;
  gs_file *f;
  names list = {0};
  gs_err mine;
  *out = NULL;
  *n = 0;
  gs_err_init(&mine);
  /* Only files are looked at: opening a FIFO would wait. */
  gs_status s = gs_file_open(a, path, &f, &mine);
  if (s) return unless_unreadable(s, &mine, e);
  if (f->size && !f->map) s = gs_file_unmapped(f, &mine);
  else
    s = gs_yaml_parse(a, path, f->size ? (const char *)f->map : "",
                      (size_t)f->size, &gs_yaml_plan_limits, &y, &mine);
  gs_file_close(f);
  if (s) return unless_unreadable(s, &mine, e);
  gs_err_free(&mine);
  if (y->kind != GS_YAML_MAP) return GS_OK;
  *gs_push(a, &list) = "plan.yaml";
  add_names(a, y, &list);
  *out = list.at;
  *n = list.n;
  return GS_OK;
}
