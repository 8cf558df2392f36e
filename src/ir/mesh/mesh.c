#include "ir/mesh/mesh.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* Before gs_mesh_finish an axis' cuts are kept as a list of `pre` products in
 * sub[]: first/n address that list. */

gs_status gs_mesh_add(gs_mesh *m, const char *name, int64_t size, gs_err *e) {
  if (gs_mesh_find(m, name) >= 0)
    return gs_fail(e, GS_SPEC, NULL, "axis '%s' is defined twice", name);
  if (size < 1)
    return gs_fail(e, GS_SPEC, NULL, "axis '%s' has size %lld; at least 1",
                   name, (long long)size);
  if (m->naxis == GS_MAX_AXES)
    return gs_fail(e, GS_SPEC, NULL, "a mesh has at most %d axes",
                   GS_MAX_AXES);
  gs_assert(!m->norder);
  if (m->naxis == 0) m->ndevice = 1;
  int64_t total;
  if (!gs_mul(m->ndevice, size, &total) || total > GS_MAX_DEVICES)
    return gs_fail(e, GS_SPEC, NULL, "a mesh has at most %d devices",
                   GS_MAX_DEVICES);
  m->ndevice = total;
  m->axis[m->naxis++] = (gs_axis){.name = name, .size = size};
  return GS_OK;
}

int gs_mesh_find(const gs_mesh *m, const char *name) {
  for (int i = 0; i < m->naxis + m->norder; i++)
    if (!strcmp(m->axis[i].name, name)) return i;
  return -1;
}

bool gs_mesh_same_axes(const gs_mesh *a, const gs_mesh *b) {
  bool same = a->naxis == b->naxis;
  for (int i = 0; same && i < a->naxis; i++)
    same = a->axis[i].size == b->axis[i].size &&
           !strcmp(a->axis[i].name, b->axis[i].name);
  return same;
}

void gs_mesh_inherit(gs_mesh *m, const gs_mesh *old) {
  m->machine = gs_machine_or(&m->machine, &old->machine);
  for (int i = 0; i < m->naxis; i++) {
    int k = gs_mesh_find(old, m->axis[i].name);
    if (k < 0) continue;
    if (!(m->axis[i].alpha_us > 0)) m->axis[i].alpha_us = old->axis[k].alpha_us;
    if (!(m->axis[i].gbps > 0)) m->axis[i].gbps = old->axis[k].gbps;
  }
  if (!m->device_ids && gs_mesh_same_axes(m, old))
    m->device_ids = old->device_ids;
}

gs_status gs_mesh_cut(gs_mesh *m, int axis, int64_t pre, gs_err *e) {
  gs_assert(axis >= 0 && axis < m->naxis + m->norder);
  int64_t size = m->axis[axis].size;
  if (pre < 1 || size % pre)
    return gs_fail(e, GS_SPEC, NULL,
                   "axis '%s' of size %lld has no sub-axis boundary at %lld",
                   m->axis[axis].name, (long long)size, (long long)pre);
  if (pre == 1 || pre == size) return GS_OK;
  for (int i = 0; i < m->nsub; i++)
    if (m->sub[i].axis == axis && m->sub[i].pre == pre) return GS_OK;
  if (m->nsub == GS_MAX_SUBS)
    return gs_fail(e, GS_SPEC, NULL, "too many sub-axes");
  m->sub[m->nsub++] = (gs_sub){.axis = axis, .pre = pre};
  return GS_OK;
}

gs_status gs_mesh_add_order(gs_mesh *m, gs_arena *a, const char *name,
                            const int64_t *position, gs_err *e) {
  if (gs_mesh_find(m, name) >= 0)
    return gs_fail(e, GS_SPEC, NULL, "axis '%s' is defined twice", name);
  if (m->norder == GS_MAX_ORDERS)
    return gs_fail(e, GS_SPEC, NULL, "a mesh has at most %d device orders",
                   GS_MAX_ORDERS);
  if (m->naxis == 0) m->ndevice = 1;
  int64_t n = m->ndevice, *place = GS_NEWS(a, n, int64_t);
  for (int64_t i = 0; i < n; i++) place[i] = -1;
  for (int64_t i = 0; i < n; i++) {
    int64_t p = position[i];
    if (p < 0 || p >= n || place[p] >= 0)
      return gs_fail(e, GS_SPEC, NULL,
                     "order '%s' is not a permutation of 0 to %lld: %lld",
                     name, (long long)n - 1, (long long)p);
    place[p] = i;
  }
  m->axis[m->naxis + m->norder] = (gs_axis){.name = name, .size = n};
  m->order[++m->norder] = (gs_order){
      .position = gs_memdup(a, position, (size_t)n * sizeof *position),
      .place = place};
  return GS_OK;
}

gs_status gs_mesh_copy_orders(gs_mesh *m, gs_arena *a, const gs_mesh *from,
                              gs_err *e) {
  gs_assert(m->ndevice == from->ndevice && !m->norder);
  for (int k = 0; k < from->norder; k++)
    GS_TRY(gs_mesh_add_order(m, a, from->axis[from->naxis + k].name,
                             from->order[1 + k].position, e));
  return GS_OK;
}

static int by_pre(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static gs_status add_sub(gs_mesh *m, int axis, int64_t pre, int64_t size,
                         gs_err *e) {
  if (m->nsub == GS_MAX_SUBS)
    return gs_fail(e, GS_SPEC, NULL,
                   "a mesh has at most %d sub-axes, those of its device "
                   "orders included",
                   GS_MAX_SUBS);
  gs_assert(size >= 2 && m->axis[axis].size % (pre * size) == 0);
  m->sub[m->nsub++] = (gs_sub){.axis = axis, .pre = pre, .size = size};
  m->axis[axis].n++;
  return GS_OK;
}

/* Splits [pre, pre * size) of an axis into primes, small ones major. */
static gs_status split_primes(gs_mesh *m, int axis, int64_t pre, int64_t size,
                              gs_err *e) {
  for (int64_t p = 2; size > 1; p++) {
    if (p * p > size) p = size;
    while (size % p == 0) {
      GS_TRY(add_sub(m, axis, pre, p, e));
      pre *= p;
      size /= p;
    }
  }
  return GS_OK;
}

/* Makes the sub-axes of one axis, with those of `cuts` that are its own. */
static gs_status split_axis(gs_mesh *m, int axis, const gs_sub *cuts, int ncut,
                            gs_err *e) {
  int64_t edge[GS_MAX_SUBS + 2];
  size_t n = 0;
  edge[n++] = 1;
  for (int i = 0; i < ncut; i++)
    if (cuts[i].axis == axis) edge[n++] = cuts[i].pre;
  edge[n++] = m->axis[axis].size;
  gs_assert(n <= sizeof edge / sizeof *edge);
  qsort(edge, n, sizeof *edge, by_pre);
  m->axis[axis].first = m->nsub;
  m->axis[axis].n = 0;
  for (size_t i = 0; i + 1 < n; i++) {
    if (edge[i + 1] % edge[i])
      return gs_fail(e, GS_SPEC, NULL,
                     "sub-axes of axis '%s' cut it at %lld and at %lld, "
                     "which do not nest",
                     m->axis[axis].name, (long long)edge[i],
                     (long long)edge[i + 1]);
    GS_TRY(split_primes(m, axis, edge[i], edge[i + 1] / edge[i], e));
  }
  return GS_OK;
}

/* Strides and order of the sub-axes from `first` on; they count all devices. */
static void number_subs(gs_mesh *m, int first, int order) {
  int64_t stride = 1;
  m->order[order].subs = 0;
  for (int i = m->nsub - 1; i >= first; i--) {
    m->sub[i].order = order;
    m->sub[i].stride = stride;
    stride *= m->sub[i].size;
    m->order[order].subs |= (gs_subset)1 << i;
  }
  gs_assert(stride == m->ndevice);
}

gs_status gs_mesh_finish(gs_mesh *m, gs_err *e) {
  gs_sub cuts[GS_MAX_SUBS];
  int ncut = m->nsub;
  memcpy(cuts, m->sub, sizeof cuts);
  m->nsub = 0;
  if (m->naxis == 0) m->ndevice = 1;
  for (int a = 0; a < m->naxis; a++) GS_TRY(split_axis(m, a, cuts, ncut, e));
  number_subs(m, 0, 0);
  for (int k = 0; k < m->norder; k++) {
    int first = m->nsub;
    GS_TRY(split_axis(m, m->naxis + k, cuts, ncut, e));
    number_subs(m, first, 1 + k);
  }
  return GS_OK;
}

int gs_mesh_order_of(const gs_mesh *m, gs_subset set) {
  int order = 0;
  while (order < m->norder && !(set & m->order[order].subs)) order++;
  if (!(set & m->order[order].subs)) order = 0;
  gs_assert(!set || !(set & ~m->order[order].subs));
  return order;
}

gs_subset gs_mesh_barred(const gs_mesh *m, gs_subset set) {
  gs_subset barred = set;
  gs_assert(m->nsub <= GS_MAX_SUBS && !(set >> m->nsub));
  if (!m->norder) return set;
  for (int k = 0; k <= m->norder; k++)
    for (int i = 0; (set & m->order[k].subs) && i <= m->norder; i++)
      if (i != k) barred |= m->order[i].subs;
  return barred;
}

gs_subset gs_mesh_rest(const gs_mesh *m, gs_subset set) {
  return m->order[gs_mesh_order_of(m, set)].subs & ~set;
}

int64_t gs_axes_size(const gs_mesh *m, const gs_axes *a) {
  int64_t p = 1;
  for (int i = 0; i < a->n; i++) p *= m->sub[a->at[i]].size;
  return p;
}

gs_subset gs_axes_set(const gs_axes *a) {
  gs_subset s = 0;
  gs_assert(a->n <= GS_MAX_SUBS);
  for (int i = 0; i < a->n; i++) s |= (gs_subset)1 << a->at[i];
  return s;
}

bool gs_axes_equal(const gs_axes *a, const gs_axes *b) {
  return a->n == b->n && !memcmp(a->at, b->at, a->n);
}

gs_axes gs_axes_cat(const gs_axes *a, const gs_axes *b) {
  gs_assert(a->n + b->n <= GS_MAX_SUBS);
  gs_axes r = *a;
  for (int i = 0; i < b->n && r.n < GS_MAX_SUBS; i++) r.at[r.n++] = b->at[i];
  return r;
}

gs_axes gs_axes_head(const gs_axes *a, int n) {
  gs_assert(n >= 0);
  gs_axes r = *a;
  if (n < r.n) r.n = (uint8_t)n;
  return r;
}

gs_axes gs_axes_tail(const gs_axes *a, int n) {
  gs_assert(n >= 0);
  gs_axes r = {0};
  for (int i = n; i < a->n; i++) r.at[r.n++] = a->at[i];
  return r;
}

gs_axes gs_axes_of(gs_subset set) {
  gs_assert(!(set >> GS_MAX_SUBS));
  gs_axes r = {0};
  for (int i = 0; i < GS_MAX_SUBS; i++)
    if (set >> i & 1) r.at[r.n++] = (uint8_t)i;
  return r;
}

gs_axes gs_axes_named(const gs_mesh *m, int axis) {
  gs_assert(axis >= 0 && axis < m->naxis + m->norder);
  gs_axes r = {0};
  for (int i = 0; i < m->axis[axis].n; i++)
    r.at[r.n++] = (uint8_t)(m->axis[axis].first + i);
  return r;
}

/* What counts the places of these axes. */
static const gs_order *order_of(const gs_mesh *m, const gs_axes *a) {
  int order = a->n ? m->sub[a->at[0]].order : 0;
  for (int i = 1; i < a->n; i++) gs_assert(m->sub[a->at[i]].order == order);
  return &m->order[order];
}

static int64_t place_of(const gs_order *o, int64_t p) {
  return o->place ? o->place[p] : p;
}

int64_t gs_axes_index(const gs_mesh *m, const gs_axes *a, int64_t p) {
  int64_t index = 0;
  gs_assert(p >= 0 && p < m->ndevice);
  const gs_order *o = order_of(m, a);
  p = place_of(o, p);
  for (int i = 0; i < a->n; i++) {
    const gs_sub *s = &m->sub[a->at[i]];
    index = index * s->size + p / s->stride % s->size;
  }
  return index;
}

int64_t gs_axes_peer(const gs_mesh *m, const gs_axes *a, int64_t p,
                     int64_t i) {
  const gs_order *o = order_of(m, a);
  p = place_of(o, p);
  for (int k = a->n - 1; k >= 0; k--) {
    const gs_sub *s = &m->sub[a->at[k]];
    int64_t now = p / s->stride % s->size;
    p += (i % s->size - now) * s->stride;
    i /= s->size;
  }
  gs_assert(p >= 0 && p < m->ndevice && i == 0);
  return o->position ? o->position[p] : p;
}

void gs_axes_peers(const gs_mesh *m, const gs_axes *a, int64_t p,
                   int64_t *peer) {
  const gs_order *o = order_of(m, a);
  p = place_of(o, p);
  for (int k = 0; k < a->n; k++) {
    const gs_sub *s = &m->sub[a->at[k]];
    p -= p / s->stride % s->size * s->stride;
  }
  int64_t n = 1;
  peer[0] = p;
  for (int k = a->n - 1; k >= 0; k--) {
    const gs_sub *s = &m->sub[a->at[k]];
    for (int64_t i = n; i < n * s->size; i++) peer[i] = peer[i - n] + s->stride;
    n *= s->size;
  }
  gs_assert(peer[0] >= 0 && peer[n - 1] < m->ndevice);
  for (int64_t i = 0; o->position && i < n; i++)
    peer[i] = o->position[peer[i]];
}

int gs_axes_run(const gs_mesh *m, const gs_axes *a, int i) {
  int n = 1;
  while (i + n < a->n && a->at[i + n] == a->at[i] + n &&
         m->sub[a->at[i + n]].axis == m->sub[a->at[i]].axis)
    n++;
  return n;
}

void gs_axes_print(gs_buf *b, const gs_mesh *m, const gs_axes *a) {
  bool one = a->n && gs_axes_run(m, a, 0) == a->n;
  if (a->n && !one) gs_buf_char(b, '[');
  for (int i = 0; i < a->n;) {
    int n = gs_axes_run(m, a, i);
    const gs_sub *s = &m->sub[a->at[i]];
    const gs_axis *axis = &m->axis[s->axis];
    gs_buf_printf(b, "%s%s", i ? "," : "", axis->name);
    if (n < axis->n) {
      int64_t size = 1;
      for (int k = 0; k < n; k++) size *= m->sub[a->at[i + k]].size;
      gs_buf_printf(b, ":(%lld)%lld", (long long)s->pre, (long long)size);
    }
    i += n;
  }
  if (a->n && !one) gs_buf_char(b, ']');
}

/* Are the sub-axes of axis i those that it gets without any cut? */
static bool plain_cuts(const gs_mesh *m, int i) {
  int64_t last = 0;
  for (int k = 0; k < m->axis[i].n; k++) {
    int64_t size = m->sub[m->axis[i].first + k].size;
    if (size < last) return false;
    last = size;
  }
  return true;
}

static void print_cuts(gs_buf *b, const gs_mesh *m, int axis) {
  const gs_axis *a = &m->axis[axis];
  for (int k = 1; k < a->n && !plain_cuts(m, axis); k++)
    gs_buf_printf(b, ":%lld", (long long)m->sub[a->first + k].pre);
}

void gs_mesh_print(gs_buf *b, const gs_mesh *m) {
  gs_buf_str(b, "mesh {");
  for (int i = 0; i < m->naxis; i++) {
    gs_buf_printf(b, "%s%s=%lld", i ? ", " : "", m->axis[i].name,
                  (long long)m->axis[i].size);
    print_cuts(b, m, i);
  }
  for (int k = 0; k < m->norder; k++) {
    gs_buf_printf(b, "%s%s=[", m->naxis + k ? ", " : "",
                  m->axis[m->naxis + k].name);
    for (int64_t i = 0; i < m->ndevice; i++)
      gs_buf_printf(b, "%s%lld", i ? "," : "",
                    (long long)m->order[1 + k].position[i]);
    gs_buf_char(b, ']');
    print_cuts(b, m, m->naxis + k);
  }
  gs_buf_char(b, '}');
}

static bool name_char(char c) {
  return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* A positive decimal number; -1 if there is none. */
static int64_t read_number(const char **s) {
  if (!isdigit((unsigned char)**s)) return -1;
  int64_t v = 0;
  for (; isdigit((unsigned char)**s); ++*s)
    if (!gs_mul(v, 10, &v) || !gs_add(v, **s - '0', &v)) return -1;
  return v;
}

static gs_status parse_axis(const gs_mesh *m, const char **s, gs_axes *out,
                            gs_err *e) {
  char name[256];
  size_t n = 0;
  while (name_char(**s) && n < sizeof name - 1) name[n++] = *(*s)++;
  name[n] = 0;
  int axis = gs_mesh_find(m, name);
  if (axis < 0)
    return gs_fail(e, GS_SPEC, NULL, "the mesh has no axis '%s'", name);
  const gs_axis *ax = &m->axis[axis];
  int64_t pre = 1, size = ax->size;
  if ((*s)[0] == ':' && (*s)[1] == '(') {
    *s += 2;
    pre = read_number(s);
    if (pre < 1 || *(*s)++ != ')' || (size = read_number(s)) < 1)
      return gs_fail(e, GS_SPEC, NULL,
                     "a sub-axis of '%s' is written %s:(M)K", name, name);
  }
  int64_t at = 1;
  for (int i = 0; i < ax->n && size > 1; i++) {
    const gs_sub *sub = &m->sub[ax->first + i];
    if (sub->pre == pre * at && size % sub->size == 0) {
      if (out->n < GS_MAX_SUBS) out->at[out->n++] = (uint8_t)(ax->first + i);
      at *= sub->size;
      size /= sub->size;
    }
  }
  if (size > 1)
    return gs_fail(e, GS_SPEC, NULL, "axis '%s' has no such sub-axis", name);
  return GS_OK;
}

gs_status gs_axes_parse(const gs_mesh *m, const char **s, gs_axes *out,
                        gs_err *e) {
  *out = (gs_axes){0};
  bool bracket = **s == '[';
  if (bracket) ++*s;
  while (name_char(**s)) {
    GS_TRY(parse_axis(m, s, out, e));
    if (**s != ',' || !(bracket || name_char((*s)[1]))) break;
    if (!bracket) break;
    ++*s;
    while (**s == ' ') ++*s;
  }
  if (bracket && *(*s)++ != ']')
    return gs_fail(e, GS_SPEC, NULL, "a list of axes without ']'");
  return GS_OK;
}

/* "[0,1,3,2]": the order of that name, of all devices. */
static gs_status parse_order(gs_mesh *m, gs_arena *a, const char *name,
                             const char **s, gs_err *e) {
  if (!m->naxis) m->ndevice = 1;
  int64_t *position = GS_NEWS(a, m->ndevice, int64_t), n = 0;
  do {
    ++*s;
    while (**s == ' ') ++*s;
    int64_t p = read_number(s);
    if (n < m->ndevice) position[n] = p;
    n++;
  } while (**s == ',');
  if (n != m->ndevice || *(*s)++ != ']')
    return gs_fail(e, GS_SPEC, NULL,
                   "order '%s' does not list all %lld devices", name,
                   (long long)m->ndevice);
  return gs_mesh_add_order(m, a, name, position, e);
}

/* What stands behind "name=". */
static gs_status parse_size(gs_mesh *m, gs_arena *a, const char *name,
                            const char **s, gs_err *e) {
  if (**s == '[') GS_TRY(parse_order(m, a, name, s, e));
  else if (m->norder)
    return gs_fail(e, GS_SPEC, NULL, "axis '%s' stands behind a device order",
                   name);
  else GS_TRY(gs_mesh_add(m, name, read_number(s), e));
  while (**s == ':') {
    ++*s;
    GS_TRY(gs_mesh_cut(m, m->naxis + m->norder - 1, read_number(s), e));
  }
  return GS_OK;
}

gs_status gs_mesh_parse(const char *text, gs_arena *a, gs_mesh *out,
                        gs_err *e) {
  *out = (gs_mesh){0};
  const char *s = text;
  if (!strncmp(s, "mesh", 4)) s += 4;
  while (*s == ' ' || *s == '{') s++;
  while (name_char(*s)) {
    const char *start = s;
    while (name_char(*s)) s++;
    char *name = gs_strndup(a, start, (size_t)(s - start));
    while (*s == ' ') s++;
    if (*s != '=' && *s != ':')
      return gs_fail(e, GS_SPEC, NULL, "axis '%s' of the mesh has no size",
                     name);
    s++;
    while (*s == ' ') s++;
    GS_TRY(parse_size(out, a, name, &s, e));
    while (*s == ' ' || *s == ',') s++;
  }
  if (*s && strcmp(s, "}"))
    return gs_fail(e, GS_SPEC, NULL, "a mesh is written {dp=2, tp=4}, not '%s'",
                   text);
  return gs_mesh_finish(out, e);
}
