/* The text of forms; see form.h. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/mesh/form.h"

/* ---- printing ---- */

/* "4*i+1", "i", "-3", as a sum of at least one term. */
static void print_linear(gs_buf *b, int64_t a, int64_t c) {
  if (a == -1) gs_buf_char(b, '-');
  else if (a && a != 1) gs_buf_printf(b, "%lld*", (long long)a);
  if (a) gs_buf_char(b, 'i');
  if (c || !a) gs_buf_printf(b, a ? "%+lld" : "%lld", (long long)c);
}

void gs_held_range_print(gs_buf *b, const gs_held_range *r) {
  if (r->c == 1) {
    print_linear(b, r->a, r->e);
    return;
  }
  if (r->m != 1) gs_buf_printf(b, "%lld*", (long long)r->m);
  gs_buf_str(b, "floor((");
  print_linear(b, r->a, r->b);
  gs_buf_printf(b, ")/%lld)", (long long)r->c);
  if (r->e) gs_buf_printf(b, "%+lld", (long long)r->e);
}

static void print_value(gs_buf *b, double v) {
  if (isinf(v)) gs_buf_str(b, v < 0 ? "-inf" : "inf");
  else gs_buf_printf(b, "%.17g", v);
}

void gs_form_print(gs_buf *b, const gs_mesh *m, const gs_form *f) {
  int rank = f->sharding->rank;
  gs_sharding_print(b, m, f->sharding);
  for (int d = 0; d < rank && f->window; d++) {
    if (!f->window[d].c) continue;
    gs_buf_printf(b, " window(%d:", d);
    gs_held_range_print(b, &f->window[d]);
    gs_buf_printf(b, ",%lld)", (long long)f->window[d].length);
  }
  uint64_t dims = f->padding.dims;
  if (!dims) return;
  gs_buf_str(b, " padding(");
  print_value(b, f->padding.value);
  if (dims != gs_form_zeros(f->sharding).padding.dims)
    for (int d = 0; d < rank; d++)
      if (dims >> d & 1) gs_buf_printf(b, ",%d", d);
  gs_buf_char(b, ')');
}

char *gs_form_text(gs_arena *a, const gs_mesh *m, const gs_form *f) {
  gs_buf b;
  gs_buf_init(&b, a);
  gs_form_print(&b, m, f);
  return b.at;
}

/* ---- parsing ---- */

static bool eat(const char **s, const char *word) {
  size_t n = strlen(word);
  if (strncmp(*s, word, n)) return false;
  *s += n;
  return true;
}

static bool number(const char **s, int64_t *v) {
  char *end;
  if (!isdigit((unsigned char)**s) &&
      !(strchr("+-", **s) && isdigit((unsigned char)(*s)[1])))
    return false;
  errno = 0;
  *v = strtoll(*s, &end, 10);
  *s = end;
  return !errno;
}

/* What print_linear writes. */
static bool linear(const char **s, int64_t *a, int64_t *c) {
  *a = *c = 0;
  if (eat(s, "i")) {
    *a = 1;
  } else if (eat(s, "-i")) {
    *a = -1;
  } else {
    if (!number(s, c)) return false;
    if (!eat(s, "*i")) return true;
    *a = *c;
    *c = 0;
  }
  return (**s != '+' && **s != '-') || number(s, c);
}

static bool range(const char **s, gs_held_range *r) {
  const char *at = *s;
  *r = (gs_held_range){.m = 1, .c = 1};
  bool factor = number(&at, &r->m) && eat(&at, "*floor((");
  if (!factor) {
    at = *s;
    r->m = 1;
    if (!eat(&at, "floor((")) return linear(s, &r->a, &r->e);
  }
  if (!linear(&at, &r->a, &r->b) || !eat(&at, ")/") || !number(&at, &r->c) ||
      !eat(&at, ")"))
    return false;
  *s = at;
  return (*at != '+' && *at != '-') || number(s, &r->e);
}

gs_status gs_held_range_parse(const char **s, gs_held_range *r, gs_err *e) {
  const char *start = *s;
  if (range(s, r) && gs_held_range_normal(r)) return GS_OK;
  return gs_fail(e, GS_DATA, NULL,
                 "'%.40s' is not the first element of a range, such as "
                 "4*i-1 or 2*floor((3*i+1)/2)",
                 start);
}

/* w: [rank], filled so far. */
static gs_status window(const char **s, int rank, gs_held_range *w, gs_err *e) {
  int64_t d;
  if (!number(s, &d) || d < 0 || d >= rank || w[d].c || !eat(s, ":"))
    return gs_fail(e, GS_DATA, NULL,
                   "window(DIM:FIRST,LENGTH) is expected, for a dim below %d",
                   rank);
  GS_TRY(gs_held_range_parse(s, &w[d], e));
  if (!eat(s, ",") || !number(s, &w[d].length) || !eat(s, ")"))
    return gs_fail(e, GS_DATA, NULL,
                   "the window of dim %d has no length or no ')'", (int)d);
  return GS_OK;
}

static gs_status padding(const char **s, gs_form *f, gs_err *e) {
  char *end;
  int64_t d;
  f->padding.value = strtod(*s, &end);
  bool good = end != *s && !isnan(f->padding.value);
  *s = end;
  while (good && eat(s, ",")) {
    good = number(s, &d) && d >= 0 && d < f->sharding->rank;
    if (good) f->padding.dims |= (uint64_t)1 << d;
  }
  if (!good || !eat(s, ")"))
    return gs_fail(e, GS_DATA, NULL, "padding(VALUE,DIM,...) is expected");
  if (!f->padding.dims)
    f->padding.dims = gs_form_zeros(f->sharding).padding.dims;
  return GS_OK;
}

gs_status gs_form_parse(gs_arena *a, const gs_mesh *m, const char **s,
                        gs_form **out, gs_err *e) {
  gs_sharding *sharding;
  GS_TRY(gs_sharding_read(a, m, s, &sharding, e));
  gs_form *f = *out = GS_NEW(a, gs_form);
  *f = gs_form_of(sharding);
  gs_held_range *held = GS_NEWS(a, sharding->rank, gs_held_range);
  for (;;) {
    const char *at = *s + strspn(*s, " ");
    if (eat(&at, "window(")) {
      f->window = held;
      GS_TRY(window(&at, sharding->rank, held, e));
    } else if (eat(&at, "padding(")) {
      GS_TRY(padding(&at, f, e));
    } else {
      return GS_OK;
    }
    *s = at;
  }
}
