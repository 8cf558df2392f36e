#include "check/random_input.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/random/random.h"

enum { BLOCK = 512 };

static void draw(uint64_t key, uint64_t i, uint32_t out[4]) {
  uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), 0, 0};
  uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
  gs_philox(counter, k, out);
}

static double real(const gs_random *r, uint64_t key, uint64_t i) {
  uint32_t x[4];
  draw(key, i, x);
  uint64_t bits = (uint64_t)x[0] << 32 | x[1];
  double u = (double)(bits >> 11) * 0x1p-53; /* [0, 1) */
  if (r->integers && !r->ranged) return (double)(x[0] % 5) - 2;
  if (r->integers) return floor((double)r->low +
                                u * (double)(r->high - r->low));
  if (r->ranged) return (double)r->low + u * (double)(r->high - r->low);
  double angle = 6.283185307179586 * ((double)x[2] * 0x1p-32);
  return sqrt(-2 * log(1 - u)) * cos(angle);
}

static int64_t whole(const gs_random *r, uint64_t key, uint64_t i) {
  uint32_t x[4];
  draw(key, i, x);
  uint64_t bits = (uint64_t)x[0] << 32 | x[1];
  uint64_t span = r->ranged ? (uint64_t)r->high - (uint64_t)r->low : 2;
  gs_assert(span > 0);
  return (int64_t)((r->ranged ? (uint64_t)r->low : 0) + bits % span);
}

/* Whether every number of the range is one of the type. */
static bool holds(gs_dtype t, const gs_random *r) {
  const gs_dtype_info *info = gs_dtype_get((int)t);
  if (info->cls == 'b') return r->low >= 0 && r->high <= 2;
  if (info->cls == 'u' && r->low < 0) return false;
  int bits = info->bits - (info->cls == 'i');
  if (bits >= 63) return true;
  int64_t end = (int64_t)1 << bits;
  return r->high <= end && r->low >= (info->cls == 'i' ? -end : 0);
}

gs_status gs_random_tensor(gs_arena *a, const char *name, gs_dtype dtype,
                           int rank, const int64_t *dims, const gs_random *r,
                           gs_tensor **out, gs_err *e) {
  const gs_dtype_info *info = gs_dtype_get((int)dtype);
  bool is_complex = info->cls == 'c', is_float = info->cls == 'f';
  gs_dtype t = dtype == GS_COMPLEX64    ? GS_FLOAT
               : dtype == GS_COMPLEX128 ? GS_DOUBLE
                                        : dtype;
  if (!gs_convert_knows(t))
    return gs_fail(e, GS_UNSUPPORTED, name, "no random data of type %s",
                   info->text);
  if (r->ranged && r->high <= r->low)
    return gs_fail(e, GS_USAGE, name, "the range %lld:%lld is empty",
                   (long long)r->low, (long long)r->high);
  if (r->ranged && !is_float && !is_complex && !holds(dtype, r))
    return gs_fail(e, GS_USAGE, name, "the range %lld:%lld is not one of %s",
                   (long long)r->low, (long long)r->high, info->text);
  GS_TRY(gs_tensor_new(a, dtype, rank, dims, out, e));
  (*out)->name = gs_strdup(a, name);
  char *to = (char *)(uintptr_t)(*out)->data;
  int64_t n = gs_tensor_count(*out) * (is_complex ? 2 : 1);
  uint64_t key = gs_stream_key(name, r->seed);
  int64_t bits = gs_dtype_get((int)t)->bits;
  for (int64_t at = 0; at < n; at += BLOCK) {
    double f[BLOCK];
    int64_t w[BLOCK], m = gs_min(BLOCK, n - at);
    gs_assert(m > 0);
    for (int64_t i = 0; i < m; i++) {
      if (is_float || is_complex) f[i] = real(r, key, (uint64_t)(at + i));
      else w[i] = whole(r, key, (uint64_t)(at + i));
    }
    if (is_float || is_complex)
      gs_convert(t, to + at * bits / 8, GS_DOUBLE, f, m, NULL);
    else gs_convert(t, to + at * bits / 8, GS_INT64, w, m, NULL);
  }
  return GS_OK;
}

gs_status gs_random_range(gs_random *r, const char *text, gs_err *e) {
  char *end;
  errno = 0;
  long long low = strtoll(text, &end, 10);
  bool good = end != text && *end == ':' && !errno;
  const char *second = good ? end + 1 : text;
  long long high = strtoll(second, &end, 10);
  if (!good || end == second || *end || errno || high <= low)
    return gs_fail(e, GS_USAGE, NULL,
                   "'%s' is not a range: write LO:HI with LO < HI", text);
  r->ranged = true;
  r->low = low;
  r->high = high;
  return GS_OK;
}
