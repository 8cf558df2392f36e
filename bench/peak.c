// What one thread of this machine can do at most: f32 multiply-adds, reading
// memory and copying it.  Prints one JSON object:
//   isa        the vector extension that was used
//   fma        billions of f32 operations (a multiply-add is two) in a second
//   read       GB read in a second from 1 GiB
//   copy_K     GB copied by memcpy in a second, of blocks of K bytes
// Each is the best of several tries: other load can only make it slower.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES = 7, SUMS = 12, READ_BYTES = 1 << 30 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* SUMS independent sums of `lanes` floats: more than the latency of a
 * multiply-add times two units asks for, and fewer than there are registers. */
#define FMA_LOOP(isa, flags, lanes)                                            \
  __attribute__((target(flags), noinline)) static float fma_##isa(long n) {    \
    typedef float vec __attribute__((vector_size(4 * lanes)));                 \
    vec sum[SUMS], x, y;                                                       \
    for (int i = 0; i < lanes; i++)                                            \
      x[i] = 0.999f, y[i] = 1e-3f;                                             \
    for (int s = 0; s < SUMS; s++)                                             \
      sum[s] = x;                                                              \
    for (long k = 0; k < n; k++) {                                             \
      _Pragma("GCC unroll 12") for (int s = 0; s < SUMS; s++) sum[s] =         \
          sum[s] * x + y;                                                      \
      __asm__ volatile("" : "+x"(x), "+x"(y));                                 \
    }                                                                          \
    float all = 0;                                                             \
    for (int s = 0; s < SUMS; s++)                                             \
      for (int i = 0; i < lanes; i++)                                          \
        all += sum[s][i];                                                      \
    return all;                                                                \
  }
#ifdef __x86_64__
FMA_LOOP(avx512, "avx512f", 16)
FMA_LOOP(avx2, "avx2,fma", 8)
#endif
FMA_LOOP(base, "default", 4)

struct isa {
  const char *name;
  int lanes;
  float (*loop)(long n);
};

static struct isa best_isa(void) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f"))
    return (struct isa){"avx512", 16, fma_avx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return (struct isa){"avx2", 8, fma_avx2};
#endif
  return (struct isa){"base", 4, fma_base};
}

static double fma_rate(struct isa isa) {
  static volatile float sink;
  const long n = 2000000;
  double best = 0;
  for (int t = 0; t < TRIES; t++) {
    double begin = now();
    sink = isa.loop(n);
    (void)sink;
    double rate = 2.0 * SUMS * isa.lanes * (double)n / (now() - begin);
    best = rate > best ? rate : best;
  }
  return best / 1e9;
}

/* Reads whole lines of the cache by eight sums. */
static double read_rate(const uint64_t *data, size_t bytes) {
  static volatile uint64_t sink;
  double best = 0;
  for (int t = 0; t < TRIES; t++) {
    double begin = now();
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < bytes / 8; i += 8)
      for (int k = 0; k < 8; k++)
        sum[k] += data[i + (size_t)k];
    for (int k = 0; k < 8; k++)
      sink += sum[k];
    double rate = (double)bytes / (now() - begin);
    best = rate > best ? rate : best;
  }
  return best / 1e9;
}

static double copy_rate(char *to, const char *from, size_t bytes) {
  double best = 0;
  size_t times = (size_t)(64 << 20) / bytes;
  for (int t = 0; t < TRIES; t++) {
    double begin = now();
    for (size_t k = 0; k < times; k++) {
      memcpy(to, from, bytes);
      __asm__ volatile("" : : "r"(to) : "memory");
    }
    double rate = (double)(bytes * times) / (now() - begin);
    best = rate > best ? rate : best;
  }
  return best / 1e9;
}

int main(void) {
  char *data = malloc(READ_BYTES);
  if (!data)
    return 1;
  memset(data, 1, READ_BYTES);
  struct isa isa = best_isa();
  printf("{\"isa\": \"%s\", \"fma\": %.1f, \"read\": %.1f", isa.name,
         fma_rate(isa), read_rate((const uint64_t *)(void *)data, READ_BYTES));
  for (size_t k = 1 << 12; k <= 1 << 24; k <<= 4)
    printf(", \"copy_%zu\": %.1f", k,
           copy_rate(data + READ_BYTES / 2, data, k));
  printf("}\n");
  free(data);
  return 0;
}
