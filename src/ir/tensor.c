#include "ir/tensor.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/math.h"

const char *gs_kind_text(gs_kind k) {
  static const char *const text[] = {"a tensor", "a sequence",
                                     "an optional tensor",
                                     "an optional sequence"};
  gs_assert((size_t)k < sizeof text / sizeof *text);
  return text[k];
}

int64_t gs_tensor_count(const gs_tensor *t) {
  return gs_product(t->dims, t->rank);
}

gs_status gs_tensor_new(gs_arena *a, gs_dtype dtype, int rank,
                        const int64_t *dims, gs_tensor **out, gs_err *e) {
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK && (dims || !rank));
  int64_t n = gs_product(dims, rank);
  int64_t bytes = n < 0 ? -1 : gs_dtype_bytes(dtype, n);
  if (bytes < 0)
    return gs_fail(e, GS_RESOURCE, NULL, "a tensor of type %s is too large",
                   gs_dtype_get(dtype)->text);
  gs_tensor *t = GS_NEW(a, gs_tensor);
  t->dtype = dtype;
  t->rank = rank;
  t->dims = gs_memdup(a, dims, (size_t)rank * sizeof *dims);
  t->nbytes = (uint64_t)bytes;
  t->data = gs_alloc(a, (size_t)bytes);
  *out = t;
  return GS_OK;
}

gs_tensor *gs_tensor_part(gs_arena *a, const gs_tensor *t, int dim,
                          int64_t first, int64_t count) {
  int64_t outer = 1, inner = 1;
  gs_assert(dim >= 0 && dim < t->rank && first >= 0 && count >= 0 &&
            count <= t->dims[dim] && first <= t->dims[dim] - count);
  gs_assert(gs_dtype_get((int)t->dtype)->bits % 8 == 0);
  for (int d = 0; d < dim; d++) outer *= t->dims[d];
  for (int d = dim + 1; d < t->rank; d++) inner *= t->dims[d];
  int64_t run = gs_dtype_bytes((int)t->dtype, inner);
  int64_t *dims = gs_memdup(a, t->dims, (size_t)t->rank * sizeof *dims);
  gs_tensor *p = gs_memdup(a, t, sizeof *t);
  dims[dim] = count;
  p->dims = dims;
  p->nbytes = (uint64_t)(outer * count * run);
  if (outer == 1 && !t->whole) {
    if (p->data) p->data = (const char *)t->data + first * run;
    p->offset += (uint64_t)(first * run);
    return p;
  }
  p->data = NULL;
  p->file = NULL;
  p->whole = t;
  p->dim = dim;
  p->first = first;
  p->arena = a;
  return p;
}

/* Puts the bytes of a part together. */
static const void *join_part(const gs_tensor *t) {
  const gs_tensor *whole = t->whole;
  const char *from = gs_tensor_bytes(whole);
  if (!from) return NULL;
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < t->dim; d++) outer *= t->dims[d];
  for (int d = t->dim + 1; d < t->rank; d++) inner *= t->dims[d];
  int64_t run = gs_dtype_bytes((int)t->dtype, inner);
  size_t bytes = (size_t)(t->dims[t->dim] * run);
  char *to = gs_alloc(t->arena, (size_t)t->nbytes);
  for (int64_t i = 0; i < outer; i++)
    memcpy(to + (size_t)i * bytes,
           from + (i * whole->dims[t->dim] + t->first) * run, bytes);
  gs_file_release(whole->file, from, (size_t)whole->nbytes);
  return to;
}

const void *gs_tensor_bytes(const gs_tensor *t) {
  if (t->data) return t->data;
  if (t->whole) return ((gs_tensor *)(uintptr_t)t)->data = join_part(t);
  gs_file *f = t->file;
  if (!f) return NULL;
  if (!f->map) {
    if (!f->size) return NULL;
    void *map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, f->fd, 0);
    if (map == MAP_FAILED && errno == ENOMEM) {
      gs_busy_with(t->name && *t->name ? t->name : f->path);
      gs_out_of_memory(f->size);
    }
    if (map == MAP_FAILED) return NULL;
    f->map = map;
  }
  if (t->offset > f->size || t->nbytes > f->size - t->offset) return NULL;
  return f->map + t->offset;
}

void gs_file_release(const gs_file *f, const void *p, size_t n) {
  const uint8_t *from = p;
  if (!f || !f->map || !n || from < f->map || from >= f->map + f->size)
    return;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t first = (size_t)(from - f->map) / page * page;
  madvise((void *)(uintptr_t)(f->map + first), n + (size_t)(from - f->map) -
          first, MADV_DONTNEED);
}

gs_status gs_tensor_read(const gs_tensor *t, uint64_t at, void *p, size_t n,
                         gs_err *e) {
  const char *name = t->name ? t->name : "";
  if (at > t->nbytes || n > t->nbytes - at)
    return gs_fail(e, GS_INTERNAL, name, "read past the end of a tensor");
  if (t->data) {
    memcpy(p, (const char *)t->data + at, n);
    return GS_OK;
  }
  if (!t->file)
    return gs_fail(e, GS_NOINPUT, name, "the data of this tensor is missing");
  uint64_t offset = t->offset + at;
  gs_assert(offset >= t->offset);
  for (char *q = p; n;) {
    ssize_t got = pread(t->file->fd, q, n, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return gs_fail(e, GS_IO, t->file->path,
                     "cannot read %zu bytes at offset %llu for '%s': %s", n,
                     (unsigned long long)offset, name,
                     got < 0 ? strerror(errno) : "the file is too short");
    q += got;
    n -= (size_t)got;
    offset += (uint64_t)got;
  }
  return GS_OK;
}

bool gs_tensor_clean_bools(gs_arena *a, gs_tensor *t) {
  if (t->dtype != GS_BOOL || (!t->data && !t->file)) return false;
  const uint8_t *from = gs_tensor_bytes(t);
  uint8_t all = 0;
  for (uint64_t i = 0; from && i < t->nbytes; i++) all |= from[i];
  if (all <= 1) return false;
  uint8_t *to = gs_alloc(a, t->nbytes);
  for (uint64_t i = 0; i < t->nbytes; i++) to[i] = from[i] != 0;
  t->data = to;
  t->file = NULL;
  t->offset = 0;
  return true;
}

/* Data may lie at any offset in a file: no typed access. */
static int64_t int_at(const void *data, gs_dtype t, int64_t i) {
  int32_t v32;
  int16_t v16;
  const char *at = (const char *)data + i * gs_dtype_get((int)t)->bits / 8;
  switch (t) {
    case GS_INT8: return ((const int8_t *)data)[i];
    case GS_BOOL:
    case GS_UINT8: return ((const uint8_t *)data)[i];
    case GS_INT16: memcpy(&v16, at, sizeof v16); return v16;
    case GS_UINT16: memcpy(&v16, at, sizeof v16); return (uint16_t)v16;
    case GS_INT32: memcpy(&v32, at, sizeof v32); return v32;
    case GS_UINT32: memcpy(&v32, at, sizeof v32); return (uint32_t)v32;
    default: break;
  }
  int64_t v;
  memcpy(&v, at, sizeof v);
  return v;
}

int64_t gs_tensor_ints(const gs_tensor *t, int64_t *out, int64_t max) {
  const gs_dtype_info *info = gs_dtype_get(t->dtype);
  bool integer = info->cls == 'i' || info->cls == 'u' || info->cls == 'b';
  int64_t n = gs_tensor_count(t);
  if (!integer || info->bits < 8 || n < 0 || n > max) return -1;
  gs_assert(out || !n);
  const void *data = gs_tensor_bytes(t);
  if (!data) return n ? -1 : 0;
  for (int64_t i = 0; i < n; i++) out[i] = int_at(data, t->dtype, i);
  return n;
}

char *gs_shape_text(gs_arena *a, gs_dtype dtype, int rank,
                    const int64_t *dims) {
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_str(&b, gs_dtype_get(dtype)->text);
  if (rank < 0) {
    gs_buf_str(&b, "[...]");
    return b.at;
  }
  gs_buf_char(&b, '[');
  for (int i = 0; i < rank; i++)
    gs_buf_printf(&b, dims[i] < 0 ? "%s?" : "%s%lld", i ? "," : "",
                  (long long)dims[i]);
  gs_buf_char(&b, ']');
  return b.at;
}
