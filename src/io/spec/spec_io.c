#include "io/spec/spec_io.h"

#include <stdlib.h>
#include <string.h>

#include "io/spec/spec_read.h"

#define FIELD(type) ((type *)(void *)((char *)into + k->offset))
#define LATER(name) {name, NULL, 0, NULL, NULL, NULL, false}
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

void gs_spec_init(gs_spec *s, gs_arena *a) {
  *s = (gs_spec){.arena = a, .options = {.strict = true}};
  gs_map_init(&s->bound, a);
}

/* ---- the mesh ---- */

static gs_status axes_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  gs_spec_mesh *m = into;
  GS_TRY(gs_yaml_map(v, r->err));
  if (!v->key.n || v->key.n > GS_MAX_AXES)
    return gs_fail_at(r->err, GS_DATA, &v->at, "a mesh has 1 to %d axes",
                      GS_MAX_AXES);
  for (int i = 0; i < v->key.n; i++) {
    const gs_yaml *name = v->key.at[i], *size = v->item.at[i];
    gs_spec_mesh_axis *a = &m->axis[m->naxis++];
    *a = (gs_spec_mesh_axis){.name = name->text, .at = name->at};
    GS_TRY(gs_spec_axis_name(r, name));
    if (!gs_yaml_is_word(size, "auto"))
      GS_TRY(gs_yaml_int(size, 1, GS_MAX_DEVICES, &a->size, r->err));
  }
  return GS_OK;
}

static const gs_key link_keys[] = {
    {"alpha_us", gs_key_number, offsetof(gs_spec_mesh_axis, alpha_us), NULL,
     NULL, "Latency of one collective in microseconds.", false},
    {"gbps", gs_key_number, offsetof(gs_spec_mesh_axis, gbps), NULL, NULL,
     "What a device sends in a second, in gigabits, as networks are named: 8 "
     "are as much as a link_gbs of 1.", false},
};
static const gs_keys link_table = {"link", "a link", COUNT(link_keys),
                                   link_keys};

/* Kept until all keys of the mesh are read: axes may follow link. */
typedef struct mesh_reading {
  gs_spec_mesh mesh;
  const gs_yaml *link;
  gs_int_list ids;
} mesh_reading;

static gs_status link_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  GS_TRY(gs_yaml_map(v, r->err));
  ((mesh_reading *)into)->link = v;
  return GS_OK;
}

static const gs_key mesh_keys[] = {
    {"axes", axes_key, 0, NULL, "{\"$ref\": \"#/$defs/sizes\"}",
     "Names and sizes of the axes, major first. One size may be auto: whatever "
     "is left of devices.", true},
    {"device_ids", gs_key_ints, offsetof(mesh_reading, ids), NULL, NULL,
     "Device at each position, row-major over the axes. Default: 0, 1, ...",
     false},
    {"link", link_key, 0, NULL, "{\"$ref\": \"#/$defs/links\"}",
     "For an axis, the cost of its links: {alpha_us, gbps}. Default: that of "
     "the machine.", false},
};
static const gs_keys mesh_table = {"mesh", "a mesh", COUNT(mesh_keys),
                                   mesh_keys};

static gs_status read_links(gs_reader *r, mesh_reading *m) {
  for (int i = 0; m->link && i < m->link->key.n; i++) {
    const gs_yaml *name = m->link->key.at[i];
    int a = 0;
    while (a < m->mesh.naxis && strcmp(m->mesh.axis[a].name, name->text)) a++;
    if (a == m->mesh.naxis)
      return gs_fail_at(r->err, GS_DATA, &name->at, "the mesh has no axis "
                        "'%.60s'", name->text);
    GS_TRY(gs_keys_read(r, m->link->item.at[i], &link_table,
                        &m->mesh.axis[a]));
  }
  return GS_OK;
}

static bool same_axes(const gs_spec_mesh *a, const gs_spec_mesh *b) {
  bool same = a->naxis == b->naxis;
  for (int i = 0; same && i < a->naxis; i++)
    same = !strcmp(a->axis[i].name, b->axis[i].name) &&
           a->axis[i].size == b->axis[i].size;
  return same;
}

/* What is given of a link replaces what was given before. */
static void link_or(gs_spec_mesh_axis *a, double alpha_us, double gbps) {
  if (alpha_us > 0) a->alpha_us = alpha_us;
  if (gbps > 0) a->gbps = gbps;
}

/* Takes a mesh unless it contradicts one that was given before. */
static gs_status take_mesh(gs_spec *s, const gs_spec_mesh *m, gs_err *e) {
  gs_spec_mesh *old = &s->mesh;
  if (old->naxis && !same_axes(old, m)) {
    gs_fail_at(e, GS_DATA, &m->at, "a second mesh, different from the first");
    gs_err_hint(e, "the first is at %s", gs_place_text(s->arena, &old->at));
    return GS_DATA;
  }
  if (!old->naxis) {
    *old = *m;
    return GS_OK;
  }
  if (m->ndevice_id) {
    old->ndevice_id = m->ndevice_id;
    old->device_id = m->device_id;
  }
  for (int i = 0; i < m->naxis; i++)
    link_or(&old->axis[i], m->axis[i].alpha_us, m->axis[i].gbps);
  return GS_OK;
}

static gs_status check_ids(gs_reader *r, mesh_reading *m) {
  int n = m->ids.n;
  bool *seen = GS_NEWS(r->arena, n, bool);
  for (int i = 0; i < n; i++) {
    int64_t id = m->ids.at[i];
    if (id >= n || seen[id])
      return gs_fail_at(r->err, GS_DATA, &m->mesh.at,
                        "device_ids is not a permutation of 0 to %d: %lld",
                        n - 1,
                        (long long)id);
    seen[id] = true;
  }
  m->mesh.ndevice_id = n;
  m->mesh.device_id = m->ids.at;
  return GS_OK;
}

static gs_status mesh_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  mesh_reading *m = GS_NEW(r->arena, mesh_reading);
  m->mesh.at = v->at;
  GS_TRY(gs_keys_read(r, v, &mesh_table, m));
  GS_TRY(read_links(r, m));
  GS_TRY(check_ids(r, m));
  return take_mesh(into, &m->mesh, r->err);
}

static gs_status take_devices(gs_spec *s, int64_t n, const gs_place *at,
                              gs_err *e) {
  if (s->devices && s->devices != n)
    return gs_fail_at(e, GS_DATA, at, "devices is %lld here, %lld before",
                      (long long)n, (long long)s->devices);
  s->devices = n;
  s->devices_at = *at;
  return GS_OK;
}

static gs_status devices_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k;
  int64_t n = 0;
  GS_TRY(gs_yaml_int(v, 1, GS_MAX_DEVICES, &n, r->err));
  return take_devices(into, n, &v->at, r->err);
}

/* ---- the machine ---- */

#define TEXT(value) #value
#define DEFAULT(value) TEXT(value)
static const gs_key machine_keys[] = {
#define X(name, value, text)                                                   \
  {#name, gs_key_number, offsetof(gs_machine, name), NULL, NULL,               \
   text " Default: " DEFAULT(value) ".", false},
    GS_MACHINE_FIELDS(X)
#undef X
};
static const gs_keys machine_table = {"machine", "a machine",
                                      COUNT(machine_keys), machine_keys};

static gs_status machine_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k;
  return gs_keys_read(r, v, &machine_table, &((gs_spec *)into)->machine);
}

/* ---- bind and options ---- */

int64_t gs_spec_bound(const gs_spec *s, const char *name) {
  intptr_t k = (intptr_t)gs_map_get(&s->bound, name);
  return k ? s->bind.at[k - 1].size : -1;
}

static gs_status take_bind(gs_spec *s, const char *name, int64_t size,
                           const gs_place *at, gs_err *e) {
  int64_t old = gs_spec_bound(s, name);
  if (old >= 0 && old != size)
    return gs_fail_at(e, GS_DATA, at, "'%.60s' is bound to %lld and to %lld",
                      name, (long long)old, (long long)size);
  if (old >= 0) return GS_OK;
  *gs_push(s->arena, &s->bind) = (gs_spec_bind){name, size, *at};
  gs_map_put(&s->bound, name, (void *)(intptr_t)s->bind.n);
  return GS_OK;
}

static gs_status bind_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  GS_TRY(gs_yaml_map(v, r->err));
  for (int i = 0; i < v->key.n; i++) {
    int64_t n = 0;
    GS_TRY(gs_yaml_int(v->item.at[i], 0, INT64_MAX, &n, r->err));
    GS_TRY(take_bind(into, v->key.at[i]->text, n, &v->key.at[i]->at, r->err));
  }
  return GS_OK;
}

/* {prefill: {sequence: 128}, decode: {sequence: 1}} */
static gs_status bindings_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                              void *into) {
  (void)k;
  gs_spec *s = into;
  GS_TRY(gs_yaml_map(v, r->err));
  if (s->binding.n)
    return gs_fail_at(r->err, GS_DATA, &v->at, "a second list of bindings; "
                      "the first is at %s",
                      gs_place_text(r->arena, &s->binding.at[0].at));
  for (int i = 0; i < v->key.n; i++) {
    const gs_yaml *sizes = v->item.at[i];
    gs_spec_binding *b = gs_push(r->arena, &s->binding);
    *b = (gs_spec_binding){.name = v->key.at[i]->text, .at = v->key.at[i]->at};
    GS_TRY(gs_yaml_map(sizes, r->err));
    for (int d = 0; d < sizes->key.n; d++) {
      gs_spec_bind *to = gs_push(r->arena, &b->bind);
      *to = (gs_spec_bind){.name = sizes->key.at[d]->text,
                           .at = sizes->key.at[d]->at};
      GS_TRY(gs_yaml_int(sizes->item.at[d], 0, INT64_MAX, &to->size, r->err));
    }
  }
  return GS_OK;
}

static gs_status options_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k;
  return gs_keys_read(r, v, &gs_spec_option_keys, &((gs_spec *)into)->options);
}

/* ---- lists ---- */

static gs_status rules_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  (void)k;
  gs_spec *s = into;
  gs_status first = GS_OK;
  GS_TRY(gs_yaml_list(v, r->err));
  for (int i = 0; i < v->item.n; i++) {
    gs_status one = gs_spec_rule_read(r, v->item.at[i],
                                      gs_push(r->arena, &s->rule));
    if (first == GS_OK) first = one;
  }
  return first;
}

static const gs_key group_keys[] = {
    {"match", gs_spec_match_key, offsetof(gs_spec_group, match),
     &gs_spec_match_keys, NULL, "The tensors of the group.", true},
    {"with", gs_spec_patterns_key, offsetof(gs_spec_group, with), NULL,
     "{\"$ref\": \"#/$defs/patterns\"}",
     "Names of more tensors; those for which the wildcards stand for the same "
     "texts as in match.tensor belong together.", false},
};
static const gs_keys group_table = {"group", "a group", COUNT(group_keys),
                                    group_keys};

static gs_status group_check(gs_reader *r, const void *element) {
  const gs_spec_group *g = element;
  if (!g->with.n || g->match.tensor.n) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &g->at, "with needs a match by tensor");
}

static const char *const direction_words[] = {"none", "forward", "backward",
                                              "both", NULL};
static const gs_key barrier_keys[] = {
    {"after", gs_spec_match_key, offsetof(gs_spec_barrier, after),
     &gs_spec_match_keys, NULL, "The tensors at which propagation stops.",
     true},
    {"direction", gs_key_word, offsetof(gs_spec_barrier, direction),
     direction_words, NULL,
     "In which direction propagation may pass: none (default), forward, "
     "backward or both.", false},
};
static const gs_keys barrier_table = {"barrier", "a barrier",
                                      COUNT(barrier_keys), barrier_keys};

static gs_status op_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                        void *into) {
  (void)k;
  gs_spec_op *op = into;
  const char *name;
  GS_TRY(gs_yaml_string(v, &name, r->err));
  const char *colons = strstr(name, "::");
  if (!colons || !colons[2])
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "expected an operator as \"domain::Name\"");
  op->domain = gs_strndup(r->arena, name, (size_t)(colons - name));
  op->op_type = gs_strdup(r->arena, colons + 2);
  return GS_OK;
}

static const gs_key op_keys[] = {
    {"op", op_key, 0, NULL, "{\"type\": \"string\"}",
     "The operator, as domain::Name.", true},
    {"rule", gs_key_text, offsetof(gs_spec_op, rule), NULL, NULL,
     "Its factor rule, as ([i,k],[k,j])->([i,j]) reduction={k}.", true},
};
static const gs_keys op_table = {"op", "an operator", COUNT(op_keys), op_keys};

#define LIST(of, type, check)                                                  \
  {&of##_table, sizeof(type), offsetof(type, at), check}
static const gs_key_list group_list = LIST(group, gs_spec_group, group_check),
                         barrier_list = LIST(barrier, gs_spec_barrier, NULL),
                         op_list = LIST(op, gs_spec_op, NULL);

static gs_status version_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k, (void)into;
  int64_t n = 0;
  GS_TRY(gs_yaml_int(v, 1, INT64_MAX, &n, r->err));
  if (n == 1) return GS_OK;
  return gs_fail_at(r->err, GS_UNSUPPORTED, &v->at,
                    "format version %lld; this program knows version 1",
                    (long long)n);
}

#define LISTED(name)                                                           \
  gs_key_tables, offsetof(gs_spec, name), &name##_list, NULL
static const gs_key spec_keys[] = {
    {"version", version_key, 0, NULL, "{\"const\": 1}",
     "Version of the format: 1, the default.", false},
    {"mesh", mesh_key, 0, &mesh_table, NULL, "The mesh of devices.", false},
    {"devices", devices_key, 0, NULL,
     "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 65536}",
     "Number of devices. Without a mesh: one axis d of that size.", false},
    {"orders", gs_spec_orders_key, 0, NULL, "{\"$ref\": \"#/$defs/orders\"}",
     "Device orders: lists of all devices under names that rules can shard "
     "over like an axis of that size.", false},
    {"machine", machine_key, 0, &machine_table, NULL,
     "What the cost model takes a device and its links to be.", false},
    {"bind", bind_key, 0, NULL, "{\"$ref\": \"#/$defs/bindings\"}",
     "Sizes of symbolic dims by name.", false},
    {"bindings", bindings_key, 0, NULL,
     "{\"type\": \"object\", \"additionalProperties\": "
     "{\"$ref\": \"#/$defs/bindings\"}}",
     "Several sets of such sizes by name, as {prefill: {sequence: 128}, "
     "decode: {sequence: 1}}: a plan has a program for each. Rules "
     "look at the first, options.auto at all.", false},
    {"options", options_key, 0, &gs_spec_option_keys, NULL, "Options.", false},
    {"rules", rules_key, 0, NULL,
     "{\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/rule\"}}",
     "The rules, in order.", false},
    {"tp_plan", gs_spec_plan_key, 0, NULL,
     "{\"$ref\": \"#/$defs/plan\"}",
     "Rules as a Hugging Face configuration has them in base_model_tp_plan: "
     "modules, or tensors, and a style for their weights. What is in no part "
     "of the model is told and left out; styles that only lay out activations "
     "do nothing.", false},
    {"groups", LISTED(group),
     "Tensors that are sharded alike.", false},
    {"state", gs_key_tables, offsetof(gs_spec, state), &gs_spec_state_list,
     NULL,
     "Inputs that become outputs of the run before, as caches of keys and "
     "values do.", false},
    {"barriers", LISTED(barrier),
     "Where propagation stops.", false},
    {"ops", LISTED(op),
     "Factor rules of custom operators.", false},
    LATER("meshes"),
    LATER("include"),
    LATER("vars"),
    LATER("dims"),
    LATER("manual"),
    LATER("stages"),
    LATER("hosts"),
};
static const gs_keys spec_table = {"spec", "a spec", COUNT(spec_keys),
                                   spec_keys};

static gs_status read_tree(gs_spec *s, const gs_yaml *y, gs_err *e) {
  gs_reader r = {s->arena, e, s};
  return gs_keys_read(&r, y, &spec_table, s);
}

gs_status gs_spec_read(gs_spec *s, const char *path, gs_err *e) {
  gs_yaml *y;
  GS_TRY(gs_yaml_read(s->arena, path, &gs_yaml_spec_limits, &y, e));
  return read_tree(s, y, e);
}

gs_status gs_spec_parse(gs_spec *s, const char *file, const char *text,
                        size_t n, gs_err *e) {
  gs_yaml *y;
  GS_TRY(gs_yaml_parse(s->arena, file, text, n, &gs_yaml_spec_limits, &y, e));
  return read_tree(s, y, e);
}

/* ---- the command line ---- */

/* NAME=SIZE at *s, which is advanced behind it. */
static gs_status assignment(gs_spec *s, const char **text, const char *option,
                            const char **name, int64_t *size, gs_err *e) {
  const char *eq = strchr(*text, '=');
  size_t digits = eq ? strspn(eq + 1, "0123456789") : 0;
  if (!eq || eq == *text || !digits || digits > 18) {
    gs_fail(e, GS_USAGE, option, "expected NAME=NUMBER at '%.60s'", *text);
    return GS_USAGE;
  }
  *name = gs_strndup(s->arena, *text, (size_t)(eq - *text));
  *size = strtoll(eq + 1, NULL, 10);
  *text = eq + 1 + digits;
  return GS_OK;
}

/* "2x2", "2,2" or "dp2": the same as the option takes it, with the usual names
 * where none are given. */
static void hint_mesh(gs_arena *a, const char *text, gs_err *e) {
  static const char *const usual[] = {"dp", "tp", "pp"};
  enum { USUAL = sizeof usual / sizeof *usual };
  gs_buf b;
  gs_buf_init(&b, a);
  int n = 0;
  for (const char *p = text; *p && n < GS_MAX_AXES; n++) {
    if (n && p[-1] != ',' && strchr("xX*", *p)) p++;
    size_t name = strspn(p, GS_SPEC_LETTERS);
    const char *size = p + name + (p[name] == '=');
    size_t digits = strspn(size, "0123456789");
    if (!digits || digits > 6 || (!name && n >= USUAL)) break;
    gs_buf_printf(&b, "%s%s=%.*s", n ? "," : "",
                  name ? gs_strndup(a, p, name) : usual[n], (int)digits, size);
    p = size + digits + (size[digits] == ',');
    if (*p) continue;
    gs_err_hint(e, "--mesh %s", b.at);
    return;
  }
  gs_err_hint(e, "--mesh dp=2,tp=4, or a number of devices");
}

/* The axes of --mesh. */
static gs_status mesh_axes(gs_spec *s, const char *text, gs_spec_mesh *m,
                           gs_err *e) {
  const char *option = m->at.file;
  for (const char *p = text;;) {
    if (m->naxis == GS_MAX_AXES)
      return gs_fail(e, GS_USAGE, option, "more than %d axes", GS_MAX_AXES);
    gs_spec_mesh_axis *a = &m->axis[m->naxis++];
    a->at = m->at;
    GS_TRY(assignment(s, &p, option, &a->name, &a->size, e));
    if (!gs_spec_names_axis(a->name) || a->size < 1)
      return gs_fail(e, GS_USAGE, option, "'%.60s' is not an axis and size",
                     a->name);
    if (!*p) return GS_OK;
    if (*p++ != ',')
      return gs_fail(e, GS_USAGE, option, "expected ',' at '%.60s'", p - 1);
  }
}

gs_status gs_spec_set_mesh(gs_spec *s, const char *text, gs_err *e) {
  gs_place at = {.file = "--mesh"};
  size_t digits = strspn(text, "0123456789");
  if (digits && digits < 7 && !text[digits]) {
    int64_t n = strtoll(text, NULL, 10);
    if (n < 1 || n > GS_MAX_DEVICES)
      return gs_fail(e, GS_USAGE, at.file, "1 to %d devices", GS_MAX_DEVICES);
    s->devices = n;
    s->devices_at = at;
    return GS_OK;
  }
  gs_spec_mesh m = {.at = at};
  gs_status status = mesh_axes(s, text, &m, e);
  if (status) {
    hint_mesh(s->arena, text, e);
    return status;
  }
  if (same_axes(&s->mesh, &m)) return GS_OK; /* with its links and ids */
  for (int i = 0; i < m.naxis; i++)
    for (int k = 0; k < s->mesh.naxis; k++)
      if (!strcmp(m.axis[i].name, s->mesh.axis[k].name))
        link_or(&m.axis[i], s->mesh.axis[k].alpha_us, s->mesh.axis[k].gbps);
  if (s->mesh.ndevice_id)
    gs_warn_at(e, &s->mesh.at, "device_ids are dropped: --mesh gives another "
               "mesh");
  s->mesh = m;
  s->devices = 0;
  return GS_OK;
}

gs_status gs_spec_set_bind(gs_spec *s, const char *text, gs_err *e) {
  gs_place at = {.file = "--bind"};
  const char *name;
  int64_t size;
  GS_TRY(assignment(s, &text, at.file, &name, &size, e));
  if (*text)
    return gs_fail(e, GS_USAGE, at.file, "unexpected '%.60s'", text);
  return take_bind(s, name, size, &at, e);
}

/* ---- schema and manual ---- */

static const gs_keys *const tables[] = {
    &spec_table,         &mesh_table,         &link_table,
    &machine_table,
    &gs_spec_option_keys,       &gs_spec_rule_keys,  &gs_spec_match_keys,
    &gs_spec_dim_keys,   &gs_spec_split_keys, &gs_spec_assign_keys,
    &group_table,        &gs_spec_state_keys, &barrier_table,
    &op_table,
};

void gs_spec_schema(FILE *f) {
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  gs_buf_init(&b, &a);
  gs_keys_schema(&b, "https://gshard.invalid/schemas/gshard-spec.schema.json",
                 "gshard sharding specification", tables, COUNT(tables),
                 gs_spec_definitions);
  fwrite(b.at, 1, b.n, f);
  gs_arena_free(&a);
}

void gs_spec_manual(gs_buf *b) { gs_keys_mdoc(b, tables, COUNT(tables)); }
