/* The mesh of an annotated model in its metadata_props:
 *   gshard.mesh        mesh {dp=2, tp=4}, with device orders behind the axes
 *   gshard.device_ids  0,2,1,3            (when not the identity)
 *   gshard.cuts        tp:2               (sub-axes that a rule asked for)
 *   gshard.link        tp:30:1.2          (alpha_us, gbps; 0: not given)
 *   gshard.machine     0:10:0:1.2         (the fields of gs_machine, likewise)
 *   gshard.flat        true               (GShard's flat numbering) */
#include <float.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "io/onnx/onnx_shard.h"

static bool same_subs(const gs_mesh *a, const gs_mesh *b) {
  if (a->nsub != b->nsub) return false;
  for (int i = 0; i < a->nsub; i++)
    if (a->sub[i].axis != b->sub[i].axis || a->sub[i].pre != b->sub[i].pre)
      return false;
  return true;
}

/* Sub-axes that the axes' sizes alone would not give. */
static gs_status write_cuts(gs_model *m, const gs_mesh *mesh, const char *text,
                            gs_err *e) {
  gs_mesh plain;
  GS_TRY(gs_mesh_parse(text, m->arena, &plain, e));
  const char *key = "gshard.cuts";
  if (same_subs(mesh, &plain)) return GS_OK;
  gs_buf b;
  gs_buf_init(&b, m->arena);
  for (int i = 0; i < mesh->nsub; i++)
    if (mesh->sub[i].pre > 1)
      gs_buf_printf(&b, "%s%s:%" PRId64, b.n ? "," : "",
                    mesh->axis[mesh->sub[i].axis].name, mesh->sub[i].pre);
  gs_model_meta_set(m, key, b.at);
  return GS_OK;
}

void gs_mesh_forget(gs_model *m) {
  static const char *const keys[] = {GS_KEY_MESH, "gshard.device_ids",
                                     "gshard.cuts", "gshard.link",
                                     "gshard.machine", "gshard.flat",
                                     GS_KEY_ANNOTATED};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    gs_model_meta_set(m, keys[i], NULL);
}

static const char *machine_text(gs_model *m, const gs_machine *x) {
  gs_machine none = {0};
  gs_buf b;
  if (!memcmp(x, &none, sizeof none)) return NULL;
  gs_buf_init(&b, m->arena);
#define X(name, value, text)                                                   \
  gs_buf_printf(&b, "%s%.9g", b.n ? ":" : "", x->name);
  GS_MACHINE_FIELDS(X)
#undef X
  return b.at;
}

gs_status gs_mesh_write(gs_model *m, const gs_mesh *mesh, gs_err *e) {
  gs_buf b;
  gs_buf_init(&b, m->arena);
  gs_mesh_print(&b, mesh);
  gs_model_meta_set(m, GS_KEY_MESH, b.at);
  GS_TRY(write_cuts(m, mesh, b.at, e));
  gs_model_meta_set(m, "gshard.flat", mesh->flat ? "true" : NULL);
  gs_buf_init(&b, m->arena);
  for (int64_t i = 0; mesh->device_ids && i < mesh->ndevice; i++)
    gs_buf_printf(&b, "%s%" PRId64, i ? "," : "", mesh->device_ids[i]);
  gs_model_meta_set(m, "gshard.device_ids", b.n ? b.at : NULL);
  gs_buf_init(&b, m->arena);
  for (int i = 0; i < mesh->naxis; i++) {
    const gs_axis *x = &mesh->axis[i];
    if (x->alpha_us > 0 || x->gbps > 0)
      gs_buf_printf(&b, "%s%s:%.9g:%.9g", b.n ? "," : "", x->name,
                    x->alpha_us, x->gbps);
  }
  gs_model_meta_set(m, "gshard.link", b.n ? b.at : NULL);
  gs_model_meta_set(m, "gshard.machine", machine_text(m, &mesh->machine));
  return GS_OK;
}

static gs_status bad(const gs_model *m, const char *key, gs_err *e) {
  return gs_fail(e, GS_DATA, m->path, "metadata %s: '%.80s' is not valid", key,
                 gs_model_meta(m, key));
}

/* "name:" at *s: the axis, or -1. */
static int read_axis(const gs_mesh *mesh, const char **s) {
  const char *colon = strchr(*s, ':');
  if (!colon) return -1;
  for (int i = 0; i < mesh->naxis + mesh->norder; i++) {
    size_t n = strlen(mesh->axis[i].name);
    if ((size_t)(colon - *s) != n || memcmp(*s, mesh->axis[i].name, n))
      continue;
    *s = colon + 1;
    return i;
  }
  return -1;
}

static gs_status read_cuts(const gs_model *m, gs_arena *a, gs_mesh *mesh,
                           gs_err *e) {
  const char *s = gs_model_meta(m, "gshard.cuts");
  if (!s) return GS_OK;
  gs_mesh cut = {0};
  for (int i = 0; i < mesh->naxis; i++)
    GS_TRY(gs_mesh_add(&cut, mesh->axis[i].name, mesh->axis[i].size, e));
  GS_TRY(gs_mesh_copy_orders(&cut, a, mesh, e));
  while (*s) {
    int axis = read_axis(mesh, &s);
    char *end;
    int64_t pre = strtoll(s, &end, 10);
    if (axis < 0 || end == s || pre < 2 || (*end && *end != ','))
      return bad(m, "gshard.cuts", e);
    GS_TRY(gs_mesh_cut(&cut, axis, pre, e));
    s = *end ? end + 1 : end;
  }
  GS_TRY(gs_mesh_finish(&cut, e));
  *mesh = cut;
  return GS_OK;
}

static gs_status read_ids(const gs_model *m, gs_arena *a, gs_mesh *mesh,
                          gs_err *e) {
  const char *s = gs_model_meta(m, "gshard.device_ids");
  if (!s) return GS_OK;
  int64_t *ids = GS_NEWS(a, mesh->ndevice, int64_t), n = 0;
  bool *seen = GS_NEWS(a, mesh->ndevice, bool); /* a permutation */
  while (*s) {
    char *end;
    int64_t id = strtoll(s, &end, 10);
    if (end == s || id < 0 || id >= mesh->ndevice || seen[id] ||
        (*end && *end != ','))
      return bad(m, "gshard.device_ids", e);
    seen[id] = true;
    ids[n++] = id;
    s = *end ? end + 1 : end;
  }
  if (n != mesh->ndevice) return bad(m, "gshard.device_ids", e);
  mesh->device_ids = ids;
  return GS_OK;
}

static gs_status read_links(const gs_model *m, gs_mesh *mesh, gs_err *e) {
  const char *s = gs_model_meta(m, "gshard.link");
  while (s && *s) {
    int axis = read_axis(mesh, &s);
    char *end;
    double alpha = strtod(s, &end);
    if (axis < 0 || end == s || *end != ':' || !(alpha >= 0))
      return bad(m, "gshard.link", e);
    s = end + 1;
    double gbps = strtod(s, &end);
    if (end == s || (*end && *end != ',') || !(gbps >= 0))
      return bad(m, "gshard.link", e);
    mesh->axis[axis].alpha_us = alpha;
    mesh->axis[axis].gbps = gbps;
    s = *end ? end + 1 : end;
  }
  return GS_OK;
}

/* The next of the numbers between colons, >= 0; *s is NULL after the last and
 * when there is none. */
static bool read_field(const char **s, double *out) {
  char *end;
  const char *from = *s;
  *s = NULL;
  if (!from) return false;
  *out = strtod(from, &end);
  if (end == from || !(*out >= 0) || !(*out <= DBL_MAX)) return false;
  if (*end == ':') *s = end + 1;
  return *end == ':' || !*end;
}

static gs_status read_machine(const gs_model *m, gs_machine *out, gs_err *e) {
  const char *s = gs_model_meta(m, "gshard.machine");
  if (!s) return GS_OK;
#define X(name, value, text)                                                   \
  if (!read_field(&s, &out->name)) return bad(m, "gshard.machine", e);
  GS_MACHINE_FIELDS(X)
#undef X
  return s ? bad(m, "gshard.machine", e) : GS_OK;
}

gs_status gs_mesh_read(const gs_model *m, gs_arena *a, gs_mesh **out,
                       gs_err *e) {
  *out = NULL;
  const char *text = gs_model_meta(m, GS_KEY_MESH);
  if (!text) return GS_OK;
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  gs_status st = gs_mesh_parse(text, a, mesh, e);
  if (!st) st = read_cuts(m, a, mesh, e);
  if (st)
    return gs_fail(e, GS_DATA, m->path, "metadata gshard.mesh: '%.80s' is not "
                   "a mesh", text);
  GS_TRY(read_ids(m, a, mesh, e));
  GS_TRY(read_links(m, mesh, e));
  GS_TRY(read_machine(m, &mesh->machine, e));
  const char *flat = gs_model_meta(m, "gshard.flat");
  mesh->flat = flat && !strcmp(flat, "true");
  *out = mesh;
  return GS_OK;
}
