/* Multi-device annotations out of gshard's metadata, or else out of the
 * standard fields. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/onnx/onnx_shard.h"

static const char *text(const char *s) { return s ? s : ""; }

static const char *place(const gs_shard_reader *r, const char *key) {
  return gs_sprintf(r->a, "%s: metadata %s", r->m->path, key);
}

static gs_status parse_sharding(const gs_shard_reader *r, const gs_mesh *mesh,
                                const char *key, const char *s, int rank,
                                gs_sharding **out) {
  gs_status st = gs_sharding_parse(r->a, mesh, s, out, r->e);
  if (st || (rank >= 0 && (*out)->rank != rank))
    return gs_fail(r->e, GS_DATA, place(r, key),
                   "'%.80s' is not a sharding of it", s);
  return GS_OK;
}

static gs_status read_value(const gs_shard_reader *r, const gs_mesh *mesh,
                            const char *key, const char *name,
                            const char *s) {
  gs_value *v = gs_graph_find(r->g, name);
  return v ? parse_sharding(r, mesh, key, s, v->rank, &v->sharding)
           : GS_OK; /* gs_shard_audit counts it */
}

/* name is "result:operand". */
static gs_status read_use(const gs_shard_reader *r, const gs_mesh *mesh,
                          const char *key, const char *name,
                          const char *s) {
  const char *colon = strrchr(name, ':');
  char *end = NULL;
  long k = colon ? strtol(colon + 1, &end, 10) : -1;
  if (k < 0 || *end || end == colon + 1)
    return gs_fail(r->e, GS_DATA, place(r, key),
                   "it must end in the number of an operand");
  const char *result = gs_strndup(r->a, name, (size_t)(colon - name));
  const gs_value *y = gs_graph_find(r->g, result);
  gs_node *n = y ? y->def : NULL;
  if (!n || k >= n->nin || !n->in[k])
    return gs_fail(r->e, GS_DATA, place(r, key),
                   "no node makes '%s' from operand %ld", result, k);
  gs_use_sharding u = {
      .node = n, .operand = (int)k, .value = n->in[k], .by = -1};
  GS_TRY(parse_sharding(r, mesh, key, s, u.value->rank, &u.sharding));
  for (int i = 0; i < r->g->use_sharding.n; i++)
    if (r->g->use_sharding.at[i].node == n &&
        r->g->use_sharding.at[i].operand == k)
      return gs_fail(r->e, GS_DATA, place(r, key), "it is stated twice");
  *gs_push(r->g->arena, &r->g->use_sharding) = u;
  return GS_OK;
}

static gs_status read_rule(const gs_shard_reader *r, const char *key,
                           const char *name, const char *s) {
  const gs_value *y = gs_graph_find(r->g, name);
  if (!y || !y->def)
    return gs_fail(r->e, GS_DATA, place(r, key), "no node makes '%s'", name);
  if (y->def->op)
    return gs_fail(r->e, GS_DATA, place(r, key),
                   "operator '%s' already has a rule", y->def->op_type);
  y->def->rule = gs_strdup(r->g->arena, s);
  return GS_OK;
}

/* What the metadata say of values and uses, or of custom operators only. */
static gs_status from_metadata(gs_shard_reader *r, const gs_mesh *mesh,
                               bool rules_only) {
  const Onnx__GraphProto *g = r->m->proto->graph;
  for (size_t i = 0; i < g->n_metadata_props; i++) {
    const char *key = text(g->metadata_props[i]->key), *name;
    const char *s = text(g->metadata_props[i]->value);
    if ((name = gs_behind(key, GS_KEY_RULE)))
      GS_TRY(read_rule(r, key, name, s));
    else if (rules_only)
      continue;
    else if ((name = gs_behind(key, GS_KEY_SHARDING)))
      GS_TRY(read_value(r, mesh, key, name, s));
    else if ((name = gs_behind(key, GS_KEY_USE)))
      GS_TRY(read_use(r, mesh, key, name, s));
  }
  return GS_OK;
}

/* Tools that rewrite models drop metadata of the graph and keep those of the
 * model. */
static bool has_shardings(const gs_model *m) {
  const Onnx__GraphProto *g = m->proto->graph;
  for (size_t i = 0; i < g->n_metadata_props; i++)
    if (gs_behind(text(g->metadata_props[i]->key), GS_KEY_SHARDING))
      return true;
  return false;
}

static bool has_fields(const gs_model *m) {
  const Onnx__GraphProto *g = m->proto->graph;
  for (size_t i = 0; i < g->n_node; i++)
    for (size_t k = 0; k < g->node[i]->n_device_configurations; k++)
      if (g->node[i]->device_configurations[k]->n_sharding_spec) return true;
  return false;
}

static gs_status read_fields(gs_shard_reader *r, const char *configuration,
                             gs_mesh **mesh) {
  const gs_mesh *known = *mesh;
  r->chosen = configuration;
  if (known && !configuration)
    gs_warn(r->e, r->m->path, "the metadata " GS_KEY_SHARDING "* are gone; the "
            "shardings are read from the standard fields");
  GS_TRY(gs_fields_read(r, known, mesh));
  return from_metadata(r, *mesh, true);
}

gs_status gs_model_shardings(gs_model *m, gs_graph *g, gs_arena *a,
                             const char *configuration, gs_mesh **mesh_out,
                             gs_shard_audit *audit, gs_err *e) {
  gs_shard_reader r;
  gs_shard_reader_init(&r, m, g, a, e);
  *mesh_out = NULL;
  gs_mesh *mesh;
  GS_TRY(gs_mesh_read(m, a, &mesh, e));
  bool fields = configuration || !mesh || (!has_shardings(m) && has_fields(m));
  if (fields) GS_TRY(read_fields(&r, configuration, &mesh));
  else GS_TRY(from_metadata(&r, mesh, false));
  gs_graph_set_mesh(g, mesh);
  *mesh_out = mesh;
  return audit ? gs_shardings_audit(&r, !fields, audit) : GS_OK;
}

gs_status gs_model_binds(const gs_model *m, gs_arena *a,
                         const char *const **names, const int64_t **values,
                         int *count, gs_err *e) {
  const char *s = gs_model_meta(m, "gshard.bind");
  int max = 0, n = 0;
  for (const char *p = s; p && *p; p++) max += *p == '=';
  const char **name = GS_NEWS(a, max, const char *);
  int64_t *value = GS_NEWS(a, max, int64_t);
  while (s && *s) {
    const char *end = s + strcspn(s, "\n"), *eq = end;
    char *stop = NULL;
    while (eq > s && *eq != '=') eq--; /* a name may hold '=' */
    errno = 0;
    if (eq > s && eq[1] >= '0' && eq[1] <= '9')
      value[n] = strtoll(eq + 1, &stop, 10);
    if (stop != end || errno)
      return gs_fail(e, GS_DATA, m->path, "metadata gshard.bind: '%.*s' is "
                     "not NAME=N", (int)(end - s > 80 ? 80 : end - s), s);
    name[n++] = gs_strndup(a, s, (size_t)(eq - s));
    s = *end ? end + 1 : end;
  }
  *names = name;
  *values = value;
  *count = n;
  return GS_OK;
}
