/* The dims of a `shard`: lists and their entries. */
#include <string.h>

#include "base/assert.h"
#include "io/spec/spec_read.h"

static bool is_text(const gs_yaml *y, const char *s) {
  return y->kind == GS_YAML_SCALAR && !strcmp(y->text, s);
}

static bool is_open(const gs_yaml *y) {
  return is_text(y, "open") || is_text(y, "?");
}

static gs_status read_dim(gs_reader *r, const gs_yaml *y, gs_spec_dim *d);

/* [[dp, tp], tp, ~]: the first that divides. */
static gs_status read_choice(gs_reader *r, const gs_yaml *y, gs_spec_dim *d) {
  gs_assert(y->item.n > 0);
  for (int i = 0; i < y->item.n; i++) {
    const gs_yaml *one = y->item.at[i];
    if (i) d = d->other = GS_NEW(r->arena, gs_spec_dim);
    GS_TRY(read_dim(r, one, d));
    if (d->other)
      return gs_fail_at(r->err, GS_DATA, &one->at,
                        "alternatives within alternatives");
  }
  return GS_OK;
}

/* [dp, tp] or [dp, open]: several axes for one dim. */
static gs_status read_axes(gs_reader *r, const gs_yaml *y, gs_spec_dim *d) {
  int n = y->item.n;
  if (n && is_open(y->item.at[n - 1])) {
    d->open = true;
    n--;
  }
  d->axes.at = GS_NEWS(r->arena, n, gs_spec_axis);
  for (int i = 0; i < n; i++)
    GS_TRY(gs_spec_axis_read(r, y->item.at[i], &d->axes.at[d->axes.n++]));
  return GS_OK;
}

static gs_status read_dim(gs_reader *r, const gs_yaml *y, gs_spec_dim *d) {
  *d = (gs_spec_dim){.priority = -1, .at = y->at};
  if (gs_yaml_is_null(y)) return GS_OK;
  if (is_open(y)) {
    d->open = true;
    return GS_OK;
  }
  if (y->kind == GS_YAML_MAP) return gs_keys_read(r, y, &gs_spec_dim_keys, d);
  if (y->kind == GS_YAML_SCALAR) {
    d->axes.n = 1;
    d->axes.at = GS_NEW(r->arena, gs_spec_axis);
    return gs_spec_axis_read(r, y, d->axes.at);
  }
  if (!y->item.n)
    return gs_fail_at(r->err, GS_DATA, &y->at,
                      "an empty list of axes; write ~ for a whole dim");
  for (int i = 0; i < y->item.n; i++)
    if (gs_yaml_is_null(y->item.at[i]) ||
        y->item.at[i]->kind != GS_YAML_SCALAR)
      return read_choice(r, y, d);
  return read_axes(r, y, d);
}

static gs_status axes_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  return gs_spec_axes_read(r, v, &((gs_spec_dim *)into)->axes);
}

static gs_status priority_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                              void *into) {
  (void)k;
  int64_t p = 0;
  GS_TRY(gs_yaml_int(v, 0, 1000, &p, r->err));
  ((gs_spec_dim *)into)->priority = (int)p;
  return GS_OK;
}

static const gs_key dim_keys[] = {
    {"axes", axes_key, 0, NULL, "{\"$ref\": \"#/$defs/axes\"}",
     "The axes that split the dim, major first.", false},
    {"open", gs_key_bool, offsetof(gs_spec_dim, open), NULL, NULL,
     "Whether propagation may add axes (default: false).", false},
    {"p", priority_key, 0, NULL,
     "{\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000}",
     "Priority of this dim; 0 is propagated first.", false},
};
const gs_keys gs_spec_dim_keys = {"dim-map", "a dim",
                                  sizeof dim_keys / sizeof *dim_keys,
                                  dim_keys};

gs_status gs_spec_shard_read(gs_reader *r, const gs_yaml *y,
                             gs_spec_rule *rule) {
  if (y->kind == GS_YAML_SCALAR && !gs_yaml_is_null(y))
    return gs_spec_text_read(r, y, rule);
  if (y->kind != GS_YAML_LIST) {
    gs_fail_at(r->err, GS_DATA, &y->at, "expected a list of dims, not %s",
               gs_yaml_what(r->arena, y));
    gs_err_hint(r->err, "write [dp, ~] (one entry per dim), or a sharding in "
                        "quotes: \"{dp,~}\"");
    return GS_DATA;
  }
  if (y->item.n > GS_MAX_RANK)
    return gs_fail_at(r->err, GS_DATA, &y->at, "more than %d dims",
                      GS_MAX_RANK);
  rule->dim = GS_NEWS(r->arena, y->item.n, gs_spec_dim);
  bool rest = false;
  for (int i = 0; i < y->item.n; i++) {
    const gs_yaml *one = y->item.at[i];
    gs_spec_dim *d = &rule->dim[rule->ndim++];
    if (!is_text(one, "...") && !is_text(one, "*...")) {
      GS_TRY(read_dim(r, one, d));
      continue;
    }
    if (rest)
      return gs_fail_at(r->err, GS_DATA, &one->at,
                        "\"...\" may appear only once in a list of dims");
    rest = true;
    *d = (gs_spec_dim){.rest = true, .open = one->text[0] == '.',
                       .priority = -1, .at = one->at};
  }
  return GS_OK;
}
