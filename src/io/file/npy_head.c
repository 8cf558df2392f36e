/* .npy: magic, version, header length, a Python literal, the elements. The
 * header is read by a strict parser of the one form that NumPy writes: a
 * dictionary of descr, fortran_order and shape. */
#include "io/file/npy_head.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* NumPy's own limit for headers of files that are not trusted. */
enum { MAX_HEADER = 10000 };

typedef struct parser {
  const char *path, *s, *end;
  gs_err *e;
} parser;

static gs_status bad(const parser *p, const char *what) {
  return gs_fail(p->e, GS_DATA, p->path, "malformed .npy header: %s", what);
}

static void blanks(parser *p) {
  while (p->s < p->end && (*p->s == ' ' || *p->s == '\n' || *p->s == '\t'))
    p->s++;
}

static bool accept(parser *p, char c) {
  blanks(p);
  if (p->s == p->end || *p->s != c) return false;
  p->s++;
  return true;
}

/* A quoted string without escapes; false if it is none or too long. */
static bool quoted(parser *p, char *out, size_t max) {
  blanks(p);
  if (p->s == p->end || (*p->s != '\'' && *p->s != '"')) return false;
  char q = *p->s++;
  size_t n = 0;
  while (p->s < p->end && *p->s != q) {
    if (*p->s == '\\' || n + 1 == max) return false;
    out[n++] = *p->s++;
  }
  out[n] = 0;
  return accept(p, q);
}

static bool word(parser *p, const char *w) {
  blanks(p);
  size_t n = strlen(w);
  if ((size_t)(p->end - p->s) < n || memcmp(p->s, w, n)) return false;
  p->s += n;
  return true;
}

static gs_status read_descr(parser *p, gs_npy_head *h) {
  char d[32];
  if (!quoted(p, d, sizeof d)) return bad(p, "descr is not a plain type");
  h->swap = d[0] == '>';
  if (d[0] == '=' || d[0] == '>') d[0] = '<';
  for (int t = 1; t < GS_NDTYPE; t++) {
    const char *npy = gs_dtype_get(t)->npy;
    if (!npy) continue;
    bool one = npy[0] == '|' && (d[0] == '<' || d[0] == '|');
    if (!(one ? !strcmp(npy + 1, d + 1) : !strcmp(npy, d))) continue;
    h->dtype = (gs_dtype)t;
    if (one) h->swap = false;
    return GS_OK;
  }
  if (d[0] && d[1] == 'O')
    return gs_fail(p->e, GS_UNSUPPORTED, p->path, "holds pickled objects "
                   "(descr '%s')", d);
  return gs_fail(p->e, GS_UNSUPPORTED, p->path, "has type '%s', for which ONNX "
                 "has no element type", d);
}

static gs_status read_shape(parser *p, gs_npy_head *h) {
  if (!accept(p, '(')) return bad(p, "shape is not a tuple");
  bool comma = true;
  while (!accept(p, ')')) {
    if (!comma) return bad(p, "a comma is missing in shape");
    blanks(p);
    const char *start = p->s;
    int64_t n = 0;
    while (p->s < p->end && *p->s >= '0' && *p->s <= '9')
      if (!gs_mul(n, 10, &n) || !gs_add(n, *p->s++ - '0', &n))
        return bad(p, "a dim is too large");
    if (p->s == start) return bad(p, "a dim is not a number");
    if (h->rank == GS_MAX_RANK) return bad(p, "too many dims");
    h->dims[h->rank++] = n;
    if (p->s < p->end && *p->s == 'L') p->s++; /* Python 2 wrote 3L */
    comma = accept(p, ',');
  }
  if (h->rank == 1 && !comma) return bad(p, "shape is not a tuple");
  return GS_OK;
}

static gs_status read_entry(parser *p, gs_npy_head *h) {
  char key[32];
  if (!quoted(p, key, sizeof key) || !accept(p, ':'))
    return bad(p, "expected a key");
  unsigned bit = !strcmp(key, "descr")           ? 1
                 : !strcmp(key, "fortran_order") ? 2
                 : !strcmp(key, "shape")         ? 4
                                                 : 0;
  if (!bit) return bad(p, "unknown key");
  if (h->seen & bit) return bad(p, "a key is repeated");
  h->seen |= bit;
  if (bit == 1) return read_descr(p, h);
  if (bit == 4) return read_shape(p, h);
  h->fortran = word(p, "True");
  if (!h->fortran && !word(p, "False"))
    return bad(p, "fortran_order is neither True nor False");
  return GS_OK;
}

static gs_status read_literal(parser *p, gs_npy_head *h) {
  if (!accept(p, '{')) return bad(p, "not a dictionary");
  bool comma = true;
  while (!accept(p, '}')) {
    if (!comma) return bad(p, "a comma is missing");
    GS_TRY(read_entry(p, h));
    comma = accept(p, ',');
  }
  blanks(p);
  if (p->s != p->end) return bad(p, "text after the dictionary");
  if (h->seen != 7) return bad(p, "descr, fortran_order or shape is missing");
  return GS_OK;
}

/* Length of the dictionary, and where it starts; n >= 10. */
static size_t dictionary(const uint8_t *p, size_t n, size_t *start) {
  int version = p[6];
  size_t length = (size_t)p[8] | (size_t)p[9] << 8;
  *start = version == 1 ? 10 : 12;
  if (version > 1 && n >= *start)
    length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
  return length;
}

size_t gs_npy_head_size(const uint8_t *p, size_t n) {
  size_t start;
  if (n < 10 || memcmp(p, "\x93NUMPY", 6) || p[6] < 1 || p[6] > 3) return 0;
  size_t length = dictionary(p, n, &start);
  return n < start || length > MAX_HEADER ? 0 : start + length;
}

gs_status gs_npy_head_read(const char *path, const uint8_t *p, size_t n,
                           gs_npy_head *h, size_t *at, gs_err *e) {
  *h = (gs_npy_head){0};
  if (n < 10 || memcmp(p, "\x93NUMPY", 6))
    return gs_fail(e, GS_DATA, path, "is not a .npy file");
  int version = p[6];
  if (version < 1 || version > 3)
    return gs_fail(e, GS_DATA, path, ".npy format version %d is not known",
                   version);
  size_t start, length = dictionary(p, n, &start);
  if (n < start || length > n - start)
    return gs_fail(e, GS_DATA, path, "the .npy header is cut short");
  if (length > MAX_HEADER)
    return gs_fail(e, GS_DATA, path, "the .npy header has %zu bytes; the limit "
                   "is %d", length, MAX_HEADER);
  parser s = {path, (const char *)p + start, (const char *)p + start + length,
              e};
  *at = start + length;
  return read_literal(&s, h);
}

static void swap_bytes(uint8_t *p, size_t n, size_t width) {
  for (size_t i = 0; i + width <= n; i += width)
    for (size_t k = 0; k < width / 2; k++) {
      uint8_t t = p[i + k];
      p[i + k] = p[i + width - 1 - k];
      p[i + width - 1 - k] = t;
    }
}

/* to (row-major) from from (column-major); both have these dims. */
static void from_fortran(uint8_t *to, const uint8_t *from, const int64_t *dims,
                         int rank, int64_t count, size_t width) {
  int64_t at[GS_MAX_RANK] = {0}, stride[GS_MAX_RANK], s = 1;
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  for (int d = 0; d < rank; d++) {
    stride[d] = s;
    s *= dims[d];
  }
  int64_t source = 0;
  for (int64_t i = 0; i < count; i++) {
    memcpy(to + (size_t)i * width, from + (size_t)source * width, width);
    for (int d = rank - 1; d >= 0; d--) {
      source += stride[d];
      if (++at[d] < dims[d]) break;
      source -= stride[d] * dims[d];
      at[d] = 0;
    }
  }
}

bool gs_npy_head_moves(const gs_npy_head *h) {
  return h->fortran && h->rank > 1;
}

void gs_npy_elements(const gs_npy_head *h, const void *from, void *to,
                     size_t n) {
  gs_assert(h->seen == 7 && (from != to || !gs_npy_head_moves(h)));
  size_t width = (size_t)gs_dtype_get((int)h->dtype)->bits / 8;
  if (gs_npy_head_moves(h))
    from_fortran(to, from, h->dims, h->rank, (int64_t)(n / width), width);
  else if (n && from != to) memcpy(to, from, n);
  bool pairs = gs_dtype_get((int)h->dtype)->cls == 'c';
  if (h->swap) swap_bytes(to, n, pairs ? width / 2 : width);
}

gs_status gs_npy_head_bytes(const char *path, const gs_npy_head *h,
                            uint64_t *out, gs_err *e) {
  int64_t count = gs_product(h->dims, h->rank);
  int64_t bytes = count < 0 ? -1 : gs_dtype_bytes((int)h->dtype, count);
  if (bytes >= 0) {
    *out = (uint64_t)bytes;
    return GS_OK;
  }
  gs_arena a;
  gs_arena_init(&a);
  gs_status s = gs_fail(e, GS_DATA, path, "the size of %s overflows",
                        gs_shape_text(&a, h->dtype, h->rank, h->dims));
  gs_arena_free(&a);
  return s;
}

/* ---- writing ---- */

void gs_npy_head_write(gs_buf *b, gs_dtype dtype, int rank,
                       const int64_t *dims) {
  gs_buf text;
  gs_buf_init(&text, b->arena);
  gs_buf_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                gs_dtype_get((int)dtype)->npy);
  for (int i = 0; i < rank; i++)
    gs_buf_printf(&text, "%s%" PRId64, i ? ", " : "", dims[i]);
  gs_buf_str(&text, rank == 1 ? ",), }" : "), }");
  while ((text.n + 11) % 64) gs_buf_char(&text, ' ');
  gs_buf_char(&text, '\n');
  const uint8_t start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0,
                             (uint8_t)text.n, (uint8_t)(text.n >> 8)};
  gs_buf_add(b, (const char *)start, sizeof start);
  gs_buf_add(b, text.at, text.n);
}
