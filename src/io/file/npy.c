/* .npy files, mapped where that can be. */
#include "io/file/npy.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "io/file/npy_head.h"

static gs_status build(gs_arena *a, const char *path, const uint8_t *p,
                       size_t n, gs_file *file, gs_tensor **out, gs_err *e) {
  gs_npy_head h;
  size_t at = 0;
  uint64_t bytes;
  GS_TRY(gs_npy_head_read(path, p, n, &h, &at, e));
  GS_TRY(gs_npy_head_bytes(path, &h, &bytes, e));
  gs_tensor *t = GS_NEW(a, gs_tensor);
  t->dtype = h.dtype;
  t->rank = h.rank;
  t->dims = gs_memdup(a, h.dims, (size_t)h.rank * sizeof *h.dims);
  if (bytes != n - at)
    return gs_fail(e, GS_DATA, path, "%s needs %" PRIu64 " bytes of elements; "
                   "the file has %zu",
                   gs_shape_text(a, t->dtype, t->rank, t->dims), bytes,
                   n - at);
  t->nbytes = bytes;
  *out = t;
  /* NumPy aligns the elements to 64 bytes; mapped data may stay there. */
  if (file && !h.swap && !gs_npy_head_moves(&h) && at % 16 == 0) {
    t->file = file;
    t->offset = at;
  } else {
    void *to = gs_alloc(a, bytes + 1);
    gs_npy_elements(&h, p + at, to, bytes);
    t->data = to;
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

gs_status gs_npy_write(gs_out_set *files, const char *path, const gs_tensor *t,
                       gs_err *e) {
  if (!gs_dtype_get(t->dtype)->npy)
    return gs_fail(e, GS_UNSUPPORTED, path, ".npy files cannot hold elements "
                   "of type %s; write a .pb file",
                   gs_dtype_get(t->dtype)->text);
  gs_buf b;
  gs_buf_init(&b, files->arena);
  gs_npy_head_write(&b, t->dtype, t->rank, t->dims);
  gs_out *o;
  GS_TRY(gs_out_set_open(files, path, &o, e));
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
