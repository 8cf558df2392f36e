/* .npy: magic, version, header length, a Python literal, the elements. The
 * header is read by a strict parser of the one form that NumPy writes: a
 * dictionary of descr, fortran_order and shape. */
#include "io/file/npy.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/math.h"

/* NumPy's own limit for headers of files that are not trusted. */
enum { MAX_HEADER = 10000 };

typedef struct header {
  gs_dtype dtype;
  bool swap, fortran;
  int rank;
  int64_t dims[GS_MAX_RANK];
  unsigned seen; /* 1 descr, 2 fortran_order, 4 shape */
} header;

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

static gs_status read_descr(parser *p, header *h) {
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

static gs_status read_shape(parser *p, header *h) {
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

static gs_status read_entry(parser *p, header *h) {
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

static gs_status read_literal(parser *p, header *h) {
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

/* The header; *at gets the offset of the elements. */
static gs_status read_header(const char *path, const uint8_t *p, size_t n,
                             header *h, size_t *at, gs_err *e) {
  *h = (header){0};
  if (n < 10 || memcmp(p, "\x93NUMPY", 6))
    return gs_fail(e, GS_DATA, path, "is not a .npy file");
  int version = p[6];
  if (version < 1 || version > 3)
    return gs_fail(e, GS_DATA, path, ".npy format version %d is not known",
                   version);
  size_t start = version == 1 ? 10 : 12;
  size_t length = (size_t)p[8] | (size_t)p[9] << 8;
  if (version > 1 && n >= start)
    length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
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

/* Brings the elements at p into ONNX's order. */
static void convert(gs_arena *a, const header *h, const uint8_t *p,
                    gs_tensor *t) {
  gs_assert(h->seen == 7);
  size_t width = (size_t)gs_dtype_get(h->dtype)->bits / 8;
  uint8_t *to = gs_alloc(a, t->nbytes + 1);
  int64_t count = gs_tensor_count(t);
  if (h->fortran && h->rank > 1)
    from_fortran(to, p, t->dims, t->rank, count, width);
  else if (t->nbytes) memcpy(to, p, t->nbytes);
  bool complex_type = gs_dtype_get(h->dtype)->cls == 'c';
  if (h->swap) swap_bytes(to, t->nbytes, complex_type ? width / 2 : width);
  t->data = to;
}

static gs_status build(gs_arena *a, const char *path, const uint8_t *p,
                       size_t n, gs_file *file, gs_tensor **out, gs_err *e) {
  header h;
  size_t at = 0;
  GS_TRY(read_header(path, p, n, &h, &at, e));
  gs_tensor *t = GS_NEW(a, gs_tensor);
  t->dtype = h.dtype;
  t->rank = h.rank;
  t->dims = gs_memdup(a, h.dims, (size_t)h.rank * sizeof *h.dims);
  int64_t count = gs_product(t->dims, t->rank);
  int64_t bytes = count < 0 ? -1 : gs_dtype_bytes(h.dtype, count);
  const char *shape = gs_shape_text(a, t->dtype, t->rank, t->dims);
  if (bytes < 0)
    return gs_fail(e, GS_DATA, path, "the size of %s overflows", shape);
  if ((uint64_t)bytes != n - at)
    return gs_fail(e, GS_DATA, path, "%s needs %" PRId64 " bytes of elements; "
                   "the file has %zu", shape, bytes, n - at);
  t->nbytes = (uint64_t)bytes;
  *out = t;
  /* NumPy aligns the elements to 64 bytes; mapped data may stay there. */
  if (file && !h.swap && !(h.fortran && h.rank > 1) && at % 16 == 0) {
    t->file = file;
    t->offset = at;
  } else {
    convert(a, &h, p + at, t);
  }
  gs_tensor_clean_bools(a, t);
  return GS_OK;
}

gs_status gs_npy_read(gs_arena *a, const char *path, gs_tensor **out,
                      gs_err *e) {
  const uint8_t *p;
  size_t n;
  if (!strcmp(path, "-")) {
    GS_TRY(gs_slurp(a, path, SIZE_MAX / 4, &p, &n, e));
    return build(a, "<stdin>", p, n, NULL, out, e);
  }
  gs_file *f;
  GS_TRY(gs_file_open(a, path, &f, e));
  gs_status st = GS_OK;
  if (f->size && !f->map) st = gs_file_unmapped(f, e);
  if (!st) st = build(a, path, f->map, f->size, f, out, e);
  if (st || !(*out)->file) gs_file_close(f);
  return st;
}

/* ---- writing ---- */

static void build_header(gs_buf *b, const gs_tensor *t) {
  gs_buf_printf(b, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                gs_dtype_get(t->dtype)->npy);
  for (int i = 0; i < t->rank; i++)
    gs_buf_printf(b, "%s%" PRId64, i ? ", " : "", t->dims[i]);
  gs_buf_str(b, t->rank == 1 ? ",), }" : "), }");
  while ((b->n + 11) % 64) gs_buf_char(b, ' ');
  gs_buf_char(b, '\n');
}

gs_status gs_npy_write(gs_out_set *files, const char *path, const gs_tensor *t,
                       gs_err *e) {
  if (!gs_dtype_get(t->dtype)->npy)
    return gs_fail(e, GS_UNSUPPORTED, path, ".npy files cannot hold elements "
                   "of type %s; write a .pb file",
                   gs_dtype_get(t->dtype)->text);
  gs_buf b;
  gs_buf_init(&b, files->arena);
  build_header(&b, t);
  gs_out *o;
  GS_TRY(gs_out_set_open(files, path, &o, e));
  const uint8_t start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0,
                             (uint8_t)b.n, (uint8_t)(b.n >> 8)};
  gs_out_write(o, start, sizeof start);
  gs_out_write(o, b.at, b.n);
  GS_TRY(gs_out_tensor(o, t, 0, t->nbytes, e));
  return gs_out_finish(o, e);
}

static bool is_pb(const char *path) {
  size_t n = strlen(path);
  return n > 3 && !strcmp(path + n - 3, ".pb");
}

gs_status gs_tensor_load(gs_arena *a, const char *path, gs_tensor **out,
                         gs_err *e) {
  return is_pb(path) ? gs_pb_read(a, path, out, e)
                     : gs_npy_read(a, path, out, e);
}

gs_status gs_dyn_load(gs_arena *a, const char *path, gs_kind kind,
                      gs_dyn **out, gs_err *e) {
  if (is_pb(path)) return gs_pb_read_dyn(a, path, kind, out, e);
  gs_tensor *t;
  if (kind == GS_SEQUENCE || kind == GS_OPTIONAL_SEQUENCE)
    return gs_fail(e, GS_USAGE, path, "a sequence can only be read from a .pb "
                   "file");
  GS_TRY(gs_npy_read(a, path, &t, e));
  *out = gs_dyn_of(a, t);
  return GS_OK;
}

gs_status gs_dyn_save(gs_out_set *files, const char *path, const gs_dyn *b,
                      gs_err *e) {
  if (is_pb(path)) return gs_pb_write_dyn(files, path, b, e);
  if (b->kind == GS_TENSOR) return gs_npy_write(files, path, &b->t, e);
  return gs_fail(e, GS_USAGE, path, "%s can only be written to a .pb file",
                 gs_kind_text(b->kind));
}
