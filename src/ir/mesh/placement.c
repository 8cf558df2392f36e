#include "ir/mesh/placement.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

gs_placement *gs_placement_new(gs_arena *a, int nin, int nout) {
  gs_placement *pl = GS_NEW(a, gs_placement);
  *pl = (gs_placement){.nin = nin,
                       .nout = nout,
                       .in = GS_NEWS(a, nin, gs_extent),
                       .out = GS_NEWS(a, nout, gs_extent)};
  return pl;
}

int64_t gs_extent_first(const gs_mesh *m, const gs_extent *x, int d,
                        int64_t p) {
  int64_t first, length;
  gs_form_held(m, x->form, d, x->dims[d], p, &first, &length);
  return first;
}

/* A dim on no axes is held from a constant on; where that is not its block,
 * as a window. */
static void fold(gs_arena *a, const gs_mesh *m, const gs_extent *x, int64_t p,
                 gs_extent *out) {
  *out = *x;
  if (!x->form) return;
  gs_form form = gs_form_of(gs_sharding_new(a, x->rank, false));
  for (int d = 0; d < x->rank; d++) {
    int64_t first, length;
    gs_form_held(m, x->form, d, x->dims[d], p, &first, &length);
    gs_held_range r = gs_held_range_of(1, 0, 0, 1, first, length);
    form = gs_form_hold(a, m, &form, d, x->dims[d], &r);
  }
  form.padding = x->form->padding;
  out->form = gs_memdup(a, &form, sizeof form);
}

gs_placement *gs_placement_fold(gs_arena *a, const gs_mesh *m,
                                const gs_placement *pl, int64_t p) {
  gs_placement *to = gs_placement_new(a, pl->nin, pl->nout);
  for (int i = 0; i < pl->nin; i++) fold(a, m, &pl->in[i], p, &to->in[i]);
  for (int i = 0; i < pl->nout; i++) fold(a, m, &pl->out[i], p, &to->out[i]);
  return to;
}

/* ---- text ---- */

static void print_extent(gs_buf *b, const gs_mesh *m, const gs_extent *x) {
  if (!x->form) {
    gs_buf_char(b, '_');
    return;
  }
  gs_buf_char(b, '[');
  for (int d = 0; d < x->rank; d++)
    gs_buf_printf(b, "%s%lld", d ? "," : "", (long long)x->dims[d]);
  gs_buf_char(b, ']');
  gs_form_print(b, m, x->form);
}

void gs_placement_print(gs_buf *b, const gs_mesh *m, const gs_placement *pl) {
  for (int i = 0; i < pl->nin; i++) {
    if (i) gs_buf_str(b, ", ");
    print_extent(b, m, &pl->in[i]);
  }
  gs_buf_str(b, " ->");
  for (int i = 0; i < pl->nout; i++) {
    gs_buf_str(b, i ? ", " : " ");
    print_extent(b, m, &pl->out[i]);
  }
}

typedef GS_VEC(gs_extent) extents;

static gs_status parse_extent(gs_arena *a, const gs_mesh *m, const char **s,
                              gs_extent *x, gs_err *e) {
  int64_t dims[GS_MAX_RANK];
  *x = (gs_extent){0};
  if (**s == '_') {
    ++*s;
    return GS_OK;
  }
  bool good = *(*s)++ == '[';
  for (int d = 0; good && **s != ']'; d++) {
    char *end;
    good = d < GS_MAX_RANK && isdigit((unsigned char)**s);
    if (!good) break;
    dims[d] = strtoll(*s, &end, 10);
    x->rank = d + 1;
    *s = end;
    good = **s == ',' ? isdigit((unsigned char)*++*s) : **s == ']';
  }
  if (!good)
    return gs_fail(e, GS_DATA, NULL,
                   "a place is written [8,4]{tp,~}, not '%.40s'", *s);
  ++*s;
  x->dims = gs_memdup(a, dims, (size_t)x->rank * sizeof *dims);
  gs_form *form;
  GS_TRY(gs_form_parse(a, m, s, &form, e));
  x->form = form;
  return gs_form_check(m, form, x->rank, x->dims, "place", e);
}

/* Up to "->" or the end. */
static gs_status parse_list(gs_arena *a, const gs_mesh *m, const char **s,
                            extents *list, gs_err *e) {
  do {
    *s += strspn(*s, " ,");
    if (!**s || !strncmp(*s, "->", 2)) return GS_OK;
    GS_TRY(parse_extent(a, m, s, gs_push(a, list), e));
    *s += strspn(*s, " ");
  } while (**s == ',');
  return GS_OK;
}

gs_status gs_placement_parse(gs_arena *a, const gs_mesh *m, const char *text,
                             gs_placement **out, gs_err *e) {
  extents in = {0}, result = {0};
  const char *s = text;
  GS_TRY(parse_list(a, m, &s, &in, e));
  if (strncmp(s, "->", 2))
    return gs_fail(e, GS_DATA, NULL, "a placement without '->': '%.80s'",
                   text);
  s += 2;
  GS_TRY(parse_list(a, m, &s, &result, e));
  if (*s)
    return gs_fail(e, GS_DATA, NULL, "unexpected '%.40s' after a placement",
                   s);
  gs_placement *pl = *out = gs_placement_new(a, 0, 0);
  *pl = (gs_placement){in.n, result.n, in.at, result.at};
  return GS_OK;
}
