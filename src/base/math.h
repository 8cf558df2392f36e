/* Checked integer arithmetic on sizes that come from files. */
#ifndef GS_BASE_MATH_H
#define GS_BASE_MATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

/* *r = a op b; false on overflow (then *r is unspecified). */
static inline bool gs_mul(int64_t a, int64_t b, int64_t *r) {
  return !__builtin_mul_overflow(a, b, r);
}
static inline bool gs_add(int64_t a, int64_t b, int64_t *r) {
  return !__builtin_add_overflow(a, b, r);
}
/* ceil(a / b) for a >= 0, b > 0: the block of a dim of a over b shards. */
static inline int64_t gs_ceil_div(int64_t a, int64_t b) {
  gs_assert(a >= 0 && b > 0);
  return a / b + (a % b != 0);
}
/* floor(a / c), c not 0. */
static inline int64_t gs_floor_div(int64_t a, int64_t c) {
  gs_assert(c != 0 && (c != -1 || a != INT64_MIN));
  return a / c - (a % c != 0 && (a < 0) != (c < 0));
}
/* The greatest common divisor, 0 or more; gcd(0, 0) is 0. */
static inline int64_t gs_gcd(int64_t a, int64_t b) {
  gs_assert(a != INT64_MIN && b != INT64_MIN);
  while (b) {
    int64_t t = a % b;
    a = b;
    b = t;
  }
  return a < 0 ? -a : a;
}
static inline int64_t gs_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t gs_max(int64_t a, int64_t b) { return a > b ? a : b; }
/* Whether n dims are the same. */
static inline bool gs_same_dims(const int64_t *a, const int64_t *b, int n) {
  for (int i = 0; i < n; i++)
    if (a[i] != b[i]) return false;
  return true;
}
/* to[p[i]] = i for n numbers p; false when p is not a permutation. */
static inline bool gs_inverse(const int64_t *p, int n, int64_t *to) {
  for (int i = 0; i < n; i++) to[i] = -1;
  for (int i = 0; i < n; i++) {
    if (p[i] < 0 || p[i] >= n || to[p[i]] >= 0) return false;
    to[p[i]] = i;
  }
  return true;
}
/* The product of n dims, -1 on overflow or a negative dim. */
static inline int64_t gs_product(const int64_t *dims, int n) {
  int64_t p = 1;
  bool zero = false;
  for (int i = 0; i < n; i++) {
    if (dims[i] < 0) return -1;
    if (dims[i] == 0) zero = true;
    else if (!gs_mul(p, dims[i], &p)) return -1;
  }
  return zero ? 0 : p;
}

#endif
