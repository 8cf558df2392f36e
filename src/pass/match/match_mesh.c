/* The mesh of a spec, with every sub-axis that its rules use. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/match/match_state.h"

static gs_status no_axis(gs_matching *m, const gs_spec_axis *a) {
  gs_buf b;
  gs_buf_init(&b, m->arena);
  gs_mesh_print(&b, m->mesh);
  gs_fail_at(m->err, GS_SPEC, &a->at, "the mesh has no axis '%s'", a->name);
  gs_err_hint(m->err, "%s", b.at);
  return GS_SPEC;
}

/* Makes sure that a (sub-)axis can be expressed. */
static gs_status cut(gs_matching *m, const gs_spec_axis *a) {
  int axis = gs_mesh_find(m->mesh, a->name);
  if (axis < 0) return no_axis(m, a);
  if (!a->size) return GS_OK;
  int64_t size = m->mesh->axis[axis].size, end;
  if (!gs_mul(a->pre, a->size, &end) || size % end)
    return gs_fail_at(m->err, GS_SPEC, &a->at,
                      "axis '%s' of size %lld has no sub-axis %s:(%lld)%lld",
                      a->name, (long long)size, a->name, (long long)a->pre,
                      (long long)a->size);
  GS_TRY(gs_mesh_cut(m->mesh, axis, a->pre, m->err));
  return gs_mesh_cut(m->mesh, axis, end, m->err);
}

static gs_status cut_all(gs_matching *m, const gs_spec_axes *a) {
  for (int i = 0; i < a->n; i++) GS_TRY(cut(m, &a->at[i]));
  return GS_OK;
}

static void add_axis(gs_matching *m, gs_spec_axes *out, int axis, int64_t pre,
                     int64_t size, const gs_place *at) {
  if (!out->at) out->at = GS_NEWS(m->arena, GS_MAX_SUBS, gs_spec_axis);
  if (out->n == GS_MAX_SUBS) return;
  const gs_axis *ax = &m->mesh->axis[axis];
  gs_assert(pre >= 1 && size >= 1 && ax->size % (pre * size) == 0);
  out->at[out->n++] = (gs_spec_axis){
      .name = ax->name, .pre = pre, .size = size == ax->size ? 0 : size,
      .at = *at};
}

/* The axes of a device order whose digits make up its places [stride, stride *
 * size), the major first; false if they are not whole sub-axes. */
static bool span(gs_matching *m, int order, int64_t stride, int64_t size,
                 const gs_place *at, gs_spec_axes *out) {
  int64_t above = m->mesh->ndevice, end = stride * size, covered = 1;
  gs_assert(stride >= 1 && size >= 1);
  int first = order ? m->mesh->naxis + order - 1 : 0;
  int after = order ? first + 1 : m->mesh->naxis;
  for (int i = first; i < after; i++) {
    int64_t n = m->mesh->axis[i].size, below = above / n;
    int64_t lo = gs_max(stride, below), hi = gs_min(end, above);
    if (lo < hi) {
      if (lo % below || hi % lo || above % hi) return false;
      add_axis(m, out, i, above / hi, hi / lo, at);
      covered *= hi / lo;
    }
    above = below;
  }
  return covered == size;
}

/* Does a boundary nest with the cuts of that axis so far? */
static bool fits_cuts(const gs_mesh *mesh, int axis, int64_t at) {
  for (int i = 0; i < mesh->nsub; i++) {
    int64_t pre = mesh->sub[i].pre;
    if (mesh->sub[i].axis == axis && at % pre && pre % at) return false;
  }
  return true;
}

static bool all_fit(const gs_mesh *mesh, const gs_spec_axes *a) {
  for (int i = 0; i < a->n; i++) {
    const gs_spec_axis *x = &a->at[i];
    int axis = gs_mesh_find(mesh, x->name);
    gs_assert(axis >= 0);
    if (x->size && !(fits_cuts(mesh, axis, x->pre) &&
                     fits_cuts(mesh, axis, x->pre * x->size)))
      return false;
  }
  return true;
}

/* ---- assign ---- */

typedef struct digits { /* a dim of the assignment, minor digit first */
  int n;
  int64_t stride[32], size[32];
} digits;

/* Splits the places q[0..n) * step of one dim into digits of constant
 * stride; false when they have none. */
static bool find_digits(const int64_t *q, int64_t n, int64_t step, digits *d) {
  for (int64_t at = 1; at < n;) {
    int64_t stride = q[at * step], run = 2;
    if (stride <= 0 || d->n == 32) return false;
    while (run * at < n && q[run * at * step] == run * stride) run++;
    while (n % (run * at)) run--;
    if (run < 2) return false;
    d->stride[d->n] = stride;
    d->size[d->n++] = run;
    gs_assert(d->n <= 32 && n % (run * at) == 0);
    at *= run;
  }
  return true;
}

/* Position of each device; the inverse of device_ids. */
static int64_t *positions(gs_matching *m) {
  int64_t n = m->mesh->ndevice, *p = GS_NEWS(m->arena, n, int64_t);
  for (int64_t i = 0; i < n; i++)
    p[m->mesh->device_ids ? m->mesh->device_ids[i] : i] = i;
  return p;
}

/* Whether q[i] is the sum of the digits of i for all i. */
static bool is_mixed_radix(const gs_spec_rule *r, const digits *d,
                           const int64_t *q, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i, p = 0;
    for (int k = r->rank - 1; k >= 0; k--) {
      int64_t x = rest % r->shape[k];
      rest /= r->shape[k];
      for (int j = 0; j < d[k].n; j++) {
        p += x % d[k].size[j] * d[k].stride[j];
        x /= d[k].size[j];
      }
    }
    if (p != q[i]) return false;
  }
  return true;
}

/* The dims of the assignment of position[] as axes of this device order, or
 * NULL if it does not follow from that. */
static gs_spec_dim *follow(gs_matching *m, const gs_spec_rule *r, int order,
                           const int64_t *position) {
  int64_t n = m->mesh->ndevice, *q = GS_NEWS(m->arena, n, int64_t), step = 1;
  const int64_t *place = m->mesh->order[order].place;
  for (int64_t i = 0; i < n; i++)
    q[i] = place ? place[position[i]] : position[i];
  digits *d = GS_NEWS(m->arena, r->rank, digits);
  for (int k = r->rank - 1; k >= 0; k--) {
    if (!find_digits(q, r->shape[k], step, &d[k])) return NULL;
    step *= r->shape[k];
  }
  if (!is_mixed_radix(r, d, q, n)) return NULL;
  gs_spec_dim *dim = GS_NEWS(m->arena, r->rank, gs_spec_dim);
  for (int k = 0; k < r->rank; k++) {
    dim[k] = (gs_spec_dim){.priority = -1, .at = r->act};
    for (int j = d[k].n - 1; j >= 0; j--)
      if (!span(m, order, d[k].stride[j], d[k].size[j], &r->act, &dim[k].axes))
        return NULL;
    if (!all_fit(m->mesh, &dim[k].axes)) return NULL;
  }
  return dim;
}

/* The positions of all devices, as a list of devices says. */
static gs_status listed(gs_matching *m, const int64_t *device, int64_t n,
                        const gs_place *place, int64_t **out) {
  const int64_t *at = positions(m);
  bool *seen = GS_NEWS(m->arena, n, bool);
  *out = GS_NEWS(m->arena, n, int64_t);
  gs_assert(n == m->mesh->ndevice);
  for (int64_t i = 0; i < n; i++) {
    if (device[i] >= n || seen[device[i]])
      return gs_fail_at(m->err, GS_SPEC, place, "device %lld %s",
                        (long long)device[i],
                        device[i] >= n ? "is not in the mesh"
                                       : "is used twice");
    seen[device[i]] = true;
    (*out)[i] = at[device[i]];
  }
  return GS_OK;
}

/* Adds an order; `at` is blamed. */
static gs_status add_order(gs_matching *m, const char *name,
                           const int64_t *position, const gs_place *at) {
  gs_err why;
  gs_err_init(&why);
  gs_status s =
      gs_mesh_add_order(m->mesh, m->graph->arena, name, position, &why);
  if (s) gs_fail_at(m->err, s, at, "%s", why.diag[0].text);
  gs_err_free(&why);
  return s;
}

/* The orders of the spec, but for those that the model has already. */
static gs_status add_orders(gs_matching *m) {
  for (int i = 0; i < m->spec->order.n; i++) {
    const gs_spec_order *o = &m->spec->order.at[i];
    int64_t *position, n = m->mesh->ndevice;
    if (o->n != n)
      return gs_fail_at(m->err, GS_SPEC, &o->at,
                        "order '%s' lists %lld devices, but the mesh has %lld",
                        o->name, (long long)o->n, (long long)n);
    GS_TRY(listed(m, o->device, n, &o->at, &position));
    int axis = gs_mesh_find(m->mesh, o->name), k = axis - m->mesh->naxis + 1;
    if (k > 0 && !memcmp(m->mesh->order[k].position, position,
                         (size_t)n * sizeof *position))
      continue;
    GS_TRY(add_order(m, o->name, position, &o->at));
  }
  return GS_OK;
}

/* A name for an order that no axis has. */
static const char *fresh_name(gs_matching *m) {
  for (int k = 1;; k++) {
    const char *name = gs_sprintf(m->graph->arena, "order%d", k);
    if (gs_mesh_find(m->mesh, name) < 0) return name;
  }
}

/* An assignment follows from the mesh, from a device order there is, or is a
 * new order itself. */
static gs_status assign(gs_matching *m, const gs_spec_rule *r,
                        gs_rule_dims *out) {
  int64_t *position, n = gs_product(r->shape, r->rank);
  if (n != m->mesh->ndevice)
    return gs_fail_at(m->err, n > m->mesh->ndevice ? GS_SPEC : GS_UNSUPPORTED,
                      &r->act, "%lld devices are assigned, but the mesh has "
                      "%lld",
                      (long long)n, (long long)m->mesh->ndevice);
  GS_TRY(listed(m, r->device, n, &r->act, &position));
  gs_spec_dim *dim = NULL;
  for (int k = 0; k <= m->mesh->norder && !dim; k++)
    dim = follow(m, r, k, position);
  if (!dim) {
    GS_TRY(add_order(m, fresh_name(m), position, &r->act));
    dim = follow(m, r, m->mesh->norder, position);
  }
  gs_assert(dim);
  *out = (gs_rule_dims){r->rank, dim, -1};
  return GS_OK;
}

/* GShard's split: part i on device i; the minor axes that make up `parts`
 * devices, so that devices 0 .. parts-1 hold parts 0 .. parts-1. */
static gs_status split(gs_matching *m, const gs_spec_rule *r,
                       gs_rule_dims *out) {
  gs_spec_dim *dim = GS_NEW(m->arena, gs_spec_dim);
  *dim = (gs_spec_dim){.priority = -1, .at = r->act};
  *out = (gs_rule_dims){1, dim, (int)gs_min(r->split_dim, GS_MAX_RANK)};
  if (r->parts > m->mesh->ndevice)
    return gs_fail_at(m->err, GS_SPEC, &r->act,
                      "%lld parts on %lld devices", (long long)r->parts,
                      (long long)m->mesh->ndevice);
  for (int64_t i = 0; m->mesh->device_ids && i < m->mesh->ndevice; i++)
    if (m->mesh->device_ids[i] != i) {
      gs_fail_at(m->err, GS_UNSUPPORTED, &r->act,
                 "split counts devices in order, but the mesh has device_ids");
      gs_err_hint(m->err, "use shard with the names of axes");
      return GS_UNSUPPORTED;
    }
  if (!span(m, 0, 1, r->parts, &r->act, &dim->axes)) {
    gs_fail_at(m->err, GS_SPEC, &r->act,
               "%lld parts are not a minor part of the mesh's %lld devices",
               (long long)r->parts, (long long)m->mesh->ndevice);
    return GS_SPEC;
  }
  return GS_OK;
}

/* ---- all rules ---- */

static gs_status style_axis(gs_matching *m, const gs_spec_rule *r,
                            gs_spec_axis *out) {
  *out = r->axis;
  if (out->name) return GS_OK;
  *out = (gs_spec_axis){.at = r->act, .pre = 1};
  out->name = r->style == GS_STYLE_EXPERT ? "ep" : "tp";
  if (gs_mesh_find(m->mesh, out->name) >= 0) return GS_OK;
  if (m->mesh->naxis == 1) {
    out->name = m->mesh->axis[0].name;
    return GS_OK;
  }
  gs_fail_at(m->err, GS_SPEC, &r->act,
             "the mesh has no axis '%s', which this style uses", out->name);
  gs_err_hint(m->err, "choose one with axis:");
  return GS_SPEC;
}

gs_status gs_match_style_axis(gs_matching *m, const gs_spec_rule *rule,
                              gs_axes *out) {
  gs_spec_axis a;
  GS_TRY(style_axis(m, rule, &a));
  gs_spec_axes one = {1, &a};
  *out = gs_match_axes(m->mesh, &one);
  return GS_OK;
}

static gs_status prepare_rule(gs_matching *m, const gs_spec_rule *r,
                              gs_rule_dims *out) {
  *out = (gs_rule_dims){r->ndim, r->dim, -1};
  if (r->action == GS_ACTION_SPLIT) GS_TRY(split(m, r, out));
  if (r->action == GS_ACTION_ASSIGN) GS_TRY(assign(m, r, out));
  if (r->action == GS_ACTION_STYLE && r->style != GS_STYLE_REPLICATE) {
    gs_spec_axis a;
    GS_TRY(style_axis(m, r, &a));
    GS_TRY(cut(m, &a));
  }
  for (int i = 0; i < out->n; i++)
    for (const gs_spec_dim *d = &out->dim[i]; d; d = d->other)
      GS_TRY(cut_all(m, &d->axes));
  GS_TRY(cut_all(m, &r->replicated));
  return cut_all(m, &r->partial);
}

/* ---- the mesh itself ---- */

/* The size that an `auto` axis must have. */
static gs_status auto_size(gs_matching *m, const gs_spec_mesh *from,
                           int64_t *out) {
  const gs_spec_mesh_axis *unknown = NULL;
  int64_t total = 1, devices = m->spec->devices;
  for (int i = 0; i < from->naxis; i++) {
    const gs_spec_mesh_axis *a = &from->axis[i];
    if (!a->size && unknown)
      return gs_fail_at(m->err, GS_SPEC, &a->at, "a second axis of size auto");
    if (!a->size) unknown = a;
    else if (!gs_mul(total, a->size, &total) || total > GS_MAX_DEVICES)
      return gs_fail_at(m->err, GS_SPEC, &a->at,
                        "a mesh has at most %d devices", GS_MAX_DEVICES);
  }
  if (unknown && !devices) {
    gs_fail_at(m->err, GS_SPEC, &unknown->at,
               "axis '%s' has size auto, but the number of devices is not "
               "known", unknown->name);
    gs_err_hint(m->err, "add devices: N");
    return GS_SPEC;
  }
  if (devices && (unknown ? devices % total : devices != total))
    return gs_fail_at(m->err, GS_SPEC, &from->at,
                      "the mesh has %lld%s devices, but devices is %lld",
                      (long long)total, unknown ? " times some" : "",
                      (long long)devices);
  *out = unknown ? devices / total : 0;
  return GS_OK;
}

static gs_status new_mesh(gs_matching *m) {
  const gs_spec *s = m->spec;
  const gs_spec_mesh *from = &s->mesh;
  if (!from->naxis) {
    m->mesh->flat = true;
    return gs_mesh_add(m->mesh, "d", s->devices, m->err);
  }
  int64_t rest = 0;
  GS_TRY(auto_size(m, from, &rest));
  for (int i = 0; i < from->naxis; i++) {
    const gs_spec_mesh_axis *a = &from->axis[i];
    GS_TRY(gs_mesh_add(m->mesh, a->name, a->size ? a->size : rest, m->err));
    m->mesh->axis[i].alpha_us = a->alpha_us;
    m->mesh->axis[i].gbps = a->gbps;
  }
  if (from->ndevice_id && from->ndevice_id != m->mesh->ndevice)
    return gs_fail_at(m->err, GS_SPEC, &from->at,
                      "device_ids lists %lld devices, but the mesh has %lld",
                      (long long)from->ndevice_id,
                      (long long)m->mesh->ndevice);
  if (from->ndevice_id) m->mesh->device_ids = from->device_id;
  return GS_OK;
}

/* The axes of the mesh that the model has already. */
static gs_status copy_mesh(gs_matching *m, const gs_mesh *old) {
  for (int i = 0; i < old->naxis; i++) {
    GS_TRY(gs_mesh_add(m->mesh, old->axis[i].name, old->axis[i].size, m->err));
    m->mesh->axis[i].alpha_us = old->axis[i].alpha_us;
    m->mesh->axis[i].gbps = old->axis[i].gbps;
  }
  m->mesh->device_ids = old->device_ids;
  m->mesh->flat = old->flat;
  return GS_OK;
}

gs_axes gs_match_axes(const gs_mesh *mesh, const gs_spec_axes *a) {
  gs_axes out = {0};
  for (int i = 0; i < a->n; i++) {
    const gs_spec_axis *x = &a->at[i];
    int axis = gs_mesh_find(mesh, x->name);
    int64_t end = x->size ? x->pre * x->size : mesh->axis[axis].size;
    gs_axes all = gs_axes_named(mesh, axis), one = {0};
    for (int k = 0; k < all.n; k++) {
      int64_t pre = mesh->sub[all.at[k]].pre;
      if (pre >= x->pre && pre < end) one.at[one.n++] = all.at[k];
    }
    out = gs_axes_cat(&out, &one);
  }
  return out;
}

/* Sub-axes of the old mesh as sub-axes of the new one, which has all of its
 * boundaries. */
static gs_axes finer(const gs_mesh *from, const gs_mesh *to,
                     const gs_axes *a) {
  gs_axes out = {0};
  for (int i = 0; i < a->n; i++) {
    const gs_sub *s = &from->sub[a->at[i]];
    gs_spec_axis x = {.name = from->axis[s->axis].name, .pre = s->pre,
                      .size = s->size};
    gs_spec_axes one = {1, &x};
    gs_axes more = gs_match_axes(to, &one);
    out = gs_axes_cat(&out, &more);
  }
  return out;
}

static void refine_one(gs_matching *m, const gs_mesh *old, gs_sharding *s) {
  for (int d = 0; d < s->rank; d++)
    s->dim[d].axes = finer(old, m->mesh, &s->dim[d].axes);
  gs_axes r = gs_axes_of(s->replicated), p = gs_axes_of(s->partial);
  r = finer(old, m->mesh, &r);
  p = finer(old, m->mesh, &p);
  s->replicated = gs_axes_set(&r);
  s->partial = gs_axes_set(&p);
}

static void refine(gs_matching *m, const gs_mesh *old) {
  for (int i = 0; i < m->graph->value.n; i++)
    if (m->graph->value.at[i]->sharding)
      refine_one(m, old, m->graph->value.at[i]->sharding);
  for (int i = 0; i < m->graph->use_sharding.n; i++)
    refine_one(m, old, m->graph->use_sharding.at[i].sharding);
}

static gs_status drop_existing(gs_matching *m, const gs_mesh *old) {
  if (m->spec->options.existing != GS_EXISTING_OVERRIDE)
    return gs_fail_at(m->err, GS_SPEC, &m->spec->mesh.at,
                      "the model is sharded over a different mesh");
  int n = 0;
  for (int i = 0; i < m->graph->value.n; i++) {
    n += m->graph->value.at[i]->sharding != NULL;
    m->graph->value.at[i]->sharding = NULL;
  }
  n += m->graph->use_sharding.n;
  m->graph->use_sharding.n = 0;
  (void)old;
  if (n)
    gs_warn_at(m->err, &m->spec->mesh.at,
               "the model is sharded over a different mesh: %d shardings "
               "dropped",
               n);
  return GS_OK;
}

static gs_status choose_mesh(gs_matching *m, const gs_mesh **old) {
  bool given = m->spec->mesh.naxis || m->spec->devices;
  *old = m->graph->mesh;
  if (!given && !*old) {
    gs_fail(m->err, GS_SPEC, NULL, "no mesh is given");
    gs_err_hint(m->err, "add mesh: {axes: {dp: 2}} or devices: N to the spec, "
                        "or the option --mesh dp=2");
    return GS_SPEC;
  }
  GS_TRY(given ? new_mesh(m) : copy_mesh(m, *old));
  m->mesh->machine = m->spec->machine;
  if (*old) gs_mesh_inherit(m->mesh, *old);
  if (*old && !gs_mesh_same_axes(*old, m->mesh)) {
    GS_TRY(drop_existing(m, *old));
    *old = NULL;
  }
  if (*old)
    GS_TRY(gs_mesh_copy_orders(m->mesh, m->graph->arena, *old, m->err));
  for (int i = 0; *old && i < (*old)->nsub; i++)
    GS_TRY(gs_mesh_cut(m->mesh, (*old)->sub[i].axis, (*old)->sub[i].pre,
                       m->err));
  return GS_OK;
}

gs_status gs_match_mesh(gs_matching *m) {
  const gs_mesh *old;
  gs_status first = GS_OK;
  m->mesh = GS_NEW(m->graph->arena, gs_mesh);
  GS_TRY(choose_mesh(m, &old));
  GS_TRY(add_orders(m));
  m->dims = GS_NEWS(m->arena, m->spec->rule.n, gs_rule_dims);
  for (int i = 0; i < m->spec->rule.n; i++) {
    gs_status s = prepare_rule(m, &m->spec->rule.at[i], &m->dims[i]);
    if (first == GS_OK) first = s;
  }
  GS_TRY(first);
  GS_TRY(gs_mesh_finish(m->mesh, m->err));
  if (old) refine(m, old);
  m->graph->mesh = m->mesh;
  return GS_OK;
}
