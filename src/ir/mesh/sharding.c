#include "ir/mesh/sharding.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"

static const char *const reduce_text[GS_NREDUCE] = {
#define X(name, text) text,
    GS_REDUCES(X)
#undef X
};

const char *gs_reduce_text(gs_reduce r) { return reduce_text[r]; }

bool gs_reduce_parse(const char *s, gs_reduce *r) {
  for (int i = 0; i < GS_NREDUCE; i++)
    if (!strcmp(reduce_text[i], s)) {
      *r = (gs_reduce)i;
      return true;
    }
  return false;
}

gs_sharding *gs_sharding_new(gs_arena *a, int rank, bool open) {
  gs_sharding *s = GS_NEW(a, gs_sharding);
  gs_assert(rank >= -1 && rank <= GS_MAX_RANK);
  if (rank < 0) rank = 0; /* dynamic values have nothing to split */
  s->rank = rank;
  s->dim = GS_NEWS(a, rank, gs_split);
  for (int d = 0; d < rank; d++) s->dim[d].open = open;
  return s;
}

gs_sharding *gs_sharding_copy(gs_arena *a, const gs_sharding *s) {
  gs_sharding *c = gs_memdup(a, s, sizeof *s);
  c->dim = gs_memdup(a, s->dim, (size_t)s->rank * sizeof *s->dim);
  return c;
}

bool gs_sharding_equal(const gs_sharding *a, const gs_sharding *b) {
  if (a->rank != b->rank || a->partial != b->partial) return false;
  if (a->partial && a->reduce != b->reduce) return false;
  for (int d = 0; d < a->rank; d++)
    if (!gs_axes_equal(&a->dim[d].axes, &b->dim[d].axes)) return false;
  return true;
}

gs_subset gs_sharding_used(const gs_sharding *s) {
  gs_subset used = 0;
  for (int d = 0; d < s->rank; d++) used |= gs_axes_set(&s->dim[d].axes);
  return used;
}

bool gs_sharding_is_replicated(const gs_sharding *s) {
  return !s->partial && !gs_sharding_used(s);
}

int64_t gs_sharding_block(const gs_mesh *m, const gs_sharding *s, int d,
                          int64_t n) {
  gs_assert(d >= 0 && d < s->rank);
  return gs_ceil_div(n, gs_axes_size(m, &s->dim[d].axes));
}

void gs_sharding_local(const gs_mesh *m, const gs_sharding *s,
                       const int64_t *dims, int64_t *local) {
  for (int d = 0; d < s->rank; d++)
    local[d] = gs_sharding_block(m, s, d, dims[d]);
}

int64_t gs_sharding_bytes(const gs_mesh *m, const gs_sharding *s,
                          gs_dtype dtype, const int64_t *dims) {
  int64_t n = 1;
  for (int d = 0; d < s->rank; d++)
    if (!gs_mul(n, gs_sharding_block(m, s, d, dims[d]), &n)) return -1;
  return gs_dtype_bytes(dtype, n);
}

bool gs_blocks_nest(int64_t n, int64_t outer, int64_t inner) {
  gs_assert(n >= 0 && outer >= 1 && inner >= 1);
  if (outer == 1) return true;
  return gs_ceil_div(n, outer * inner) * inner == gs_ceil_div(n, outer);
}

void gs_sharding_range(const gs_mesh *m, const gs_sharding *s, int d,
                       int64_t n, int64_t p, int64_t *first, int64_t *count) {
  int64_t block = gs_sharding_block(m, s, d, n);
  *first = gs_min(block * gs_axes_index(m, &s->dim[d].axes, p), n);
  *count = gs_min(block, n - *first);
  gs_assert(*first >= 0 && *count >= 0 && *first + *count <= n);
}

/* Marks the axes of `set`, failing when one is marked already. */
static gs_status take(const gs_mesh *m, gs_subset set, gs_subset *seen,
                      const char *what, gs_err *e) {
  gs_subset twice = *seen & set;
  if (twice) {
    gs_arena tmp;
    gs_arena_init(&tmp);
    gs_buf b;
    gs_buf_init(&b, &tmp);
    gs_axes axes = gs_axes_of(twice);
    gs_axes_print(&b, m, &axes);
    gs_fail(e, GS_SPEC, what, "axis '%s' is used twice in one sharding", b.at);
    gs_arena_free(&tmp);
    return GS_SPEC;
  }
  *seen |= set;
  return GS_OK;
}

static gs_status one_order(const gs_mesh *m, gs_subset set, const char *what,
                           gs_err *e) {
  int first = -1;
  for (int k = 0; k <= m->norder; k++) {
    if (!(set & m->order[k].subs)) continue;
    if (first >= 0)
      return gs_fail(e, GS_SPEC, what,
                     "axes of order '%s' stand beside those of %s%s%s in one "
                     "sharding", m->axis[m->naxis + k - 1].name,
                     first ? "order '" : "the mesh",
                     first ? m->axis[m->naxis + first - 1].name : "",
                     first ? "'" : "");
    first = k;
  }
  return GS_OK;
}

gs_status gs_sharding_check(const gs_mesh *m, const gs_sharding *s, int rank,
                            const char *what, gs_err *e) {
  if (rank >= 0 && s->rank != rank)
    return gs_fail(e, GS_SPEC, what,
                   "a sharding of %d dims is given to a tensor of rank %d",
                   s->rank, rank);
  gs_subset seen = 0;
  for (int d = 0; d < s->rank; d++)
    for (int i = 0; i < s->dim[d].axes.n; i++) {
      int sub = s->dim[d].axes.at[i];
      if (sub >= m->nsub)
        return gs_fail(e, GS_SPEC, what, "sub-axis %d does not exist", sub);
      GS_TRY(take(m, (gs_subset)1 << sub, &seen, what, e));
    }
  GS_TRY(take(m, s->replicated, &seen, what, e));
  GS_TRY(take(m, s->partial, &seen, what, e));
  return one_order(m, seen, what, e);
}

void gs_sharding_print(gs_buf *b, const gs_mesh *m, const gs_sharding *s) {
  gs_buf_char(b, '{');
  for (int d = 0; d < s->rank; d++) {
    const gs_split *p = &s->dim[d];
    if (d) gs_buf_char(b, ',');
    gs_axes_print(b, m, &p->axes);
    if (p->open) gs_buf_char(b, '?');
    else if (!p->axes.n) gs_buf_char(b, '~');
    if (p->priority) gs_buf_printf(b, "!%d", p->priority);
  }
  gs_buf_char(b, '}');
  if (s->replicated) {
    gs_axes axes = gs_axes_of(s->replicated);
    gs_assert(axes.n);
    gs_buf_str(b, " replicated(");
    gs_axes_print(b, m, &axes);
    gs_buf_char(b, ')');
  }
  if (s->partial) {
    gs_axes axes = gs_axes_of(s->partial);
    gs_buf_printf(b, " partial(%s,", gs_reduce_text(s->reduce));
    gs_axes_print(b, m, &axes);
    gs_buf_char(b, ')');
  }
}

char *gs_sharding_text(gs_arena *a, const gs_mesh *m, const gs_sharding *s) {
  gs_buf b;
  gs_buf_init(&b, a);
  gs_sharding_print(&b, m, s);
  return b.at;
}

static gs_status parse_split(const gs_mesh *m, const char **s, gs_split *p,
                             gs_err *e) {
  if (**s == '~') {
    ++*s;
  } else if (**s != '?') {
    const char *start = *s;
    GS_TRY(gs_axes_parse(m, s, &p->axes, e));
    if (*s == start)
      return gs_fail(e, GS_SPEC, NULL, "a dim is an axis, [axes], ~ or ?");
  }
  if (**s == '?') {
    p->open = true;
    ++*s;
  }
  if (**s == '!') {
    char *end;
    long v = strtol(*s + 1, &end, 10);
    if (end == *s + 1 || v < 0 || v > 1000000)
      return gs_fail(e, GS_SPEC, NULL, "a priority is a number after '!'");
    p->priority = (int)v;
    *s = end;
  }
  return GS_OK;
}

/* Reads " replicated(..)" or " partial(..)"; *found: it was there. */
static gs_status parse_suffix(const gs_mesh *m, const char **s,
                              gs_sharding *out, bool *found, gs_err *e) {
  const char *at = *s;
  gs_axes axes;
  while (*at == ' ') at++;
  *found = true;
  if (!strncmp(at, "replicated(", 11)) {
    at += 11;
    GS_TRY(gs_axes_parse(m, &at, &axes, e));
    out->replicated = gs_axes_set(&axes);
  } else if (!strncmp(at, "partial(", 8)) {
    char word[8];
    size_t n = 0;
    for (at += 8; isalpha((unsigned char)*at) && n < 7; at++) word[n++] = *at;
    word[n] = 0;
    if (!gs_reduce_parse(word, &out->reduce) || *at++ != ',')
      return gs_fail(e, GS_SPEC, NULL, "partial(REDUCE,AXES) is expected");
    GS_TRY(gs_axes_parse(m, &at, &axes, e));
    out->partial = gs_axes_set(&axes);
  } else {
    *found = false;
    return GS_OK;
  }
  if (*at++ != ')')
    return gs_fail(e, GS_SPEC, NULL, "a ')' is missing in a sharding");
  *s = at;
  return GS_OK;
}

gs_status gs_sharding_read(gs_arena *a, const gs_mesh *m, const char **text,
                           gs_sharding **out, gs_err *e) {
  const char *s = *text;
  gs_split dim[GS_MAX_RANK] = {0};
  int rank = 0;
  if (*s++ != '{')
    return gs_fail(e, GS_SPEC, NULL, "a sharding starts with '{': '%s'", *text);
  while (*s && *s != '}') {
    if (rank == GS_MAX_RANK)
      return gs_fail(e, GS_SPEC, NULL, "a sharding has too many dims");
    GS_TRY(parse_split(m, &s, &dim[rank++], e));
    if (*s == ',' && s[1] != '}') s++;
    else if (*s != '}') break;
    while (*s == ' ') s++;
  }
  if (*s++ != '}')
    return gs_fail(e, GS_SPEC, NULL, "a sharding without '}': '%s'", *text);
  gs_sharding *r = gs_sharding_new(a, rank, false);
  if (rank) memcpy(r->dim, dim, (size_t)rank * sizeof *dim);
  for (bool found = true; found;)
    GS_TRY(parse_suffix(m, &s, r, &found, e));
  *text = s;
  *out = r;
  return gs_sharding_check(m, r, -1, NULL, e);
}

gs_status gs_sharding_parse(gs_arena *a, const gs_mesh *m, const char *text,
                            gs_sharding **out, gs_err *e) {
  GS_TRY(gs_sharding_read(a, m, &text, out, e));
  while (*text == ' ') text++;
  if (*text)
    return gs_fail(e, GS_SPEC, NULL, "unexpected '%s' after a sharding", text);
  return GS_OK;
}
