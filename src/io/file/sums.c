#include "io/file/sums.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/math.h"
#include "io/file/io.h"

int64_t gs_sums_count(uint64_t size) {
  return (int64_t)(size / GS_SUMS_BLOCK + (size % GS_SUMS_BLOCK != 0));
}

/* How many hashes s holds. */
static int64_t held(const gs_sums *s) {
  int64_t n = gs_sums_count(s->size);
  return s->ends ? gs_min(n, 2) : n;
}

bool gs_sums_get(const gs_sums *s, int64_t i, uint64_t *hash) {
  int64_t n = gs_sums_count(s->size);
  if (s->ends && i && i != n - 1) return false;
  gs_assert(i >= 0 && i < n);
  *hash = s->hash[s->ends && i ? 1 : i];
  return true;
}

int gs_sums_load(const gs_file *f, int64_t i, void *p, size_t *n) {
  gs_assert(i >= 0 && i < gs_sums_count(f->size));
  uint64_t at = (uint64_t)i * GS_SUMS_BLOCK, left = f->size - at;
  size_t want = left < GS_SUMS_BLOCK ? (size_t)left : GS_SUMS_BLOCK;
  for (*n = 0; *n < want;) {
    ssize_t k = pread(f->fd, (char *)p + *n, want - *n, (off_t)(at + *n));
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return k ? errno : ENODATA;
    *n += (size_t)k;
  }
  return 0;
}

gs_status gs_sums_unread(const gs_file *f, int64_t i, int why, gs_err *e) {
  return gs_fail(e, GS_IO, f->path, "block %" PRId64 ", from byte %" PRIu64
                 " on, cannot be read: %s", i, (uint64_t)i * GS_SUMS_BLOCK,
                 why == ENODATA ? "the file became shorter" : strerror(why));
}

gs_status gs_sums_of(gs_arena *a, const gs_file *f, bool ends, gs_progress *p,
                     gs_sums *out, gs_err *e) {
  *out = (gs_sums){.size = f->size, .ends = ends};
  int64_t n = held(out);
  uint64_t *hash = GS_NEWS(a, n, uint64_t);
  gs_arena tmp;
  gs_arena_init(&tmp);
  void *block = gs_alloc(&tmp, GS_SUMS_BLOCK);
  gs_status s = GS_OK;
  if (!ends) gs_progress_expect(p, f->size);
  for (int64_t i = 0; i < n && !s; i++) {
    size_t bytes;
    int64_t at = ends && i ? gs_sums_count(f->size) - 1 : i;
    int why = gs_sums_load(f, at, block, &bytes);
    if (why) s = gs_sums_unread(f, at, why, e);
    else hash[i] = gs_hash(block, bytes, 0);
    if (!ends) gs_progress_add(p, bytes);
  }
  gs_arena_free(&tmp);
  out->hash = hash;
  return s;
}

/* ---- text ---- */

void gs_sums_print(gs_buf *b, const gs_sums *s) {
  gs_buf_printf(b, "%" PRIu64 " %s", s->size, s->ends ? "ends" : "all");
  for (int64_t i = 0; i < held(s); i++)
    gs_buf_printf(b, " %016" PRIx64, s->hash[i]);
}

/* A number that fits 64 bits, then a space or the end. */
static bool read_number(const char **at, unsigned base, uint64_t *out) {
  static const char digits[] = "0123456789abcdef";
  const char *p = *at;
  *out = 0;
  for (; *p && *p != ' '; p++) {
    const char *d = memchr(digits, *p, base);
    if (!d || __builtin_mul_overflow(*out, base, out) ||
        __builtin_add_overflow(*out, (uint64_t)(d - digits), out))
      return false;
  }
  if (p == *at) return false;
  *at = p;
  return true;
}

bool gs_sums_parse(gs_arena *a, const char *text, gs_sums *out) {
  *out = (gs_sums){0};
  const char *p = text;
  if (!read_number(&p, 10, &out->size)) return false;
  out->ends = !strncmp(p, " ends", 5);
  if (!out->ends && strncmp(p, " all", 4)) return false;
  p += out->ends ? 5 : 4;
  int64_t n = held(out);
  if ((uint64_t)n * 17 != strlen(p)) return false;
  uint64_t *hash = GS_NEWS(a, n, uint64_t);
  for (int64_t i = 0; i < n; i++)
    if (*p++ != ' ' || !read_number(&p, 16, &hash[i])) return false;
  out->hash = hash;
  return !*p;
}

/* ---- file ---- */

gs_status gs_sums_write(gs_arena *a, const char *path, const gs_sums *s,
                        uint64_t *hash, gs_err *e) {
  gs_out o;
  size_t bytes = (size_t)held(s) * sizeof *s->hash;
  gs_assert(!s->ends);
  *hash = gs_hash(s->hash, bytes, 0);
  GS_TRY(gs_out_open(a, path, false, &o, e));
  gs_out_write(&o, s->hash, bytes);
  return gs_out_commit(&o, e);
}

gs_status gs_sums_read(gs_arena *a, const char *path, uint64_t size,
                       uint64_t hash, gs_sums *out, gs_err *e) {
  *out = (gs_sums){.size = size};
  size_t want = (size_t)held(out) * sizeof *out->hash;
  gs_file *f;
  GS_TRY(gs_file_open(a, path, &f, e));
  bool good = f->size == want;
  if (good && want && !f->map) {
    gs_status s = gs_file_unmapped(f, e);
    gs_file_close(f);
    return s;
  }
  if (good) {
    out->hash = gs_memdup(a, f->map, want);
    good = gs_hash(out->hash, want, 0) == hash;
  }
  gs_file_close(f);
  if (good) return GS_OK;
  gs_fail(e, GS_MISMATCH, path, "does not hold the hashes that the plan was "
          "written with");
  gs_err_hint(e, "partition the model again; --no-verify runs without them");
  return GS_MISMATCH;
}
