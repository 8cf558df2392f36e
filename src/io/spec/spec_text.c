/* Shardings as one text: our "{dp,~,[dp,tp]?} partial(sum,x)", and Shardy's
 * "[{"x"}, {"y", ?}p1, {}], replicated={"z"}, unreduced={"w"}". */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "io/spec/spec_read.h"

typedef struct cursor {
  gs_reader *r;
  const gs_yaml *y;
  const char *s;
} cursor;

static void blanks(cursor *c) {
  while (*c->s == ' ') c->s++;
}

static bool take(cursor *c, const char *token) {
  blanks(c);
  size_t n = strlen(token);
  if (strncmp(c->s, token, n)) return false;
  c->s += n;
  return true;
}

static gs_status wrong(cursor *c, const char *expected) {
  gs_fail_at(c->r->err, GS_DATA, &c->y->at,
             "expected %s at '%.40s' of the sharding", expected, c->s);
  gs_err_hint(c->r->err, "such as \"{dp,~,[dp,tp]}\" or "
                         "'[{\"dp\"}, {\"tp\", ?}]'");
  return GS_DATA;
}

static gs_status axis(cursor *c, gs_spec_axes *out) {
  if (out->n == GS_MAX_SUBS) return wrong(c, "fewer axes");
  if (!out->at) out->at = GS_NEWS(c->r->arena, GS_MAX_SUBS, gs_spec_axis);
  gs_spec_axis *a = &out->at[out->n++];
  gs_assert(out->n <= GS_MAX_SUBS);
  blanks(c);
  if (*c->s != '"') return gs_spec_axis_parse(c->r, c->y, &c->s, a);
  /* Shardy quotes the name only: "x":(1)2. */
  const char *end = strchr(c->s + 1, '"');
  if (!end) return wrong(c, "a closing quote");
  char *plain = gs_sprintf(c->r->arena, "%.*s%s", (int)(end - c->s - 1),
                           c->s + 1, end + 1);
  const char *s = plain;
  GS_TRY(gs_spec_axis_parse(c->r, c->y, &s, a));
  c->s += (s - plain) + 2;
  return GS_OK;
}

/* Axes up to the closing character. */
static gs_status axes(cursor *c, const char *close, gs_spec_axes *out) {
  while (!take(c, close)) {
    if (out->n && !take(c, ",")) return wrong(c, "',' or the end of the axes");
    GS_TRY(axis(c, out));
  }
  return GS_OK;
}

static gs_status priority(cursor *c, gs_spec_dim *d) {
  char *end;
  long v = isdigit((unsigned char)*c->s) ? strtol(c->s, &end, 10) : -1;
  if (v < 0 || v > 1000) return wrong(c, "a priority from 0 to 1000");
  d->priority = (int)v;
  c->s = end;
  return GS_OK;
}

/* ~ ? axis [axes], each with ? and !p */
static gs_status our_dim(cursor *c, gs_spec_dim *d) {
  if (take(c, "[")) GS_TRY(axes(c, "]", &d->axes));
  else if (!take(c, "~") && *c->s != '?') GS_TRY(axis(c, &d->axes));
  if (take(c, "?")) d->open = true;
  if (take(c, "!")) return priority(c, d);
  return GS_OK;
}

/* {"x", ?}p1 */
static gs_status shardy_dim(cursor *c, gs_spec_dim *d) {
  if (!take(c, "{")) return wrong(c, "'{'");
  while (!take(c, "}")) {
    if (d->open) return wrong(c, "'}' after ?");
    if (d->axes.n && !take(c, ",")) return wrong(c, "',' or '}'");
    if (take(c, "?")) d->open = true;
    else GS_TRY(axis(c, &d->axes));
  }
  if (*c->s == 'p') {
    c->s++;
    return priority(c, d);
  }
  return GS_OK;
}

static gs_status suffix(cursor *c, gs_spec_rule *rule) {
  if (take(c, "replicated(")) return axes(c, ")", &rule->replicated);
  if (take(c, "replicated={")) return axes(c, "}", &rule->replicated);
  rule->reduce = GS_REDUCE_SUM;
  if (take(c, "unreduced={")) return axes(c, "}", &rule->partial);
  if (!take(c, "partial(")) return wrong(c, "replicated() or partial()");
  char word[8] = "";
  for (size_t n = 0; n < 7 && isalpha((unsigned char)*c->s); n++)
    word[n] = *c->s++;
  if (!gs_reduce_parse(word, &rule->reduce) || !take(c, ","))
    return wrong(c, "sum, prod, max or min");
  return axes(c, ")", &rule->partial);
}

gs_status gs_spec_text_read(gs_reader *r, const gs_yaml *y,
                            gs_spec_rule *rule) {
  cursor c = {r, y, y->text};
  if (strlen(y->text) > 4096)
    return gs_fail_at(r->err, GS_DATA, &y->at,
                      "a sharding of more than 4096 characters");
  bool ours = take(&c, "{");
  if (!ours && !take(&c, "[")) return wrong(&c, "'{'");
  const char *close = ours ? "}" : "]";
  rule->dim = GS_NEWS(r->arena, GS_MAX_RANK, gs_spec_dim);
  while (!take(&c, close)) {
    if (rule->ndim && !take(&c, ",")) return wrong(&c, "',' or the end");
    if (rule->ndim == GS_MAX_RANK) return wrong(&c, "fewer dims");
    gs_spec_dim *d = &rule->dim[rule->ndim++];
    *d = (gs_spec_dim){.priority = -1, .at = y->at};
    GS_TRY(ours ? our_dim(&c, d) : shardy_dim(&c, d));
  }
  for (blanks(&c); *c.s; blanks(&c)) {
    if (take(&c, ",")) continue;
    GS_TRY(suffix(&c, rule));
  }
  return GS_OK;
}
