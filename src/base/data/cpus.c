#include "base/data/cpus.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

enum { BITS = 64, MOST = 1 << 14 }; /* words; kernels have 128 at most */

/* The calls of the system, and not those of the C library: these know no more
 * than the processors of a cpu_set_t. */
gs_cpus gs_cpus_allowed(gs_arena *a) {
  for (size_t words = 16; words <= MOST; words *= 2) {
    gs_cpus s = {GS_NEWS(a, (int64_t)words, uint64_t), words};
    long n = syscall(SYS_sched_getaffinity, 0, words * sizeof *s.word, s.word);
    if (n > 0 && gs_cpus_count(&s)) return s;
    if (n >= 0 || errno != EINVAL) break; /* EINVAL: there are more */
  }
  gs_cpus one = {GS_NEWS(a, 1, uint64_t), 1};
  gs_cpus_add(&one, 0);
  return one;
}

gs_cpus gs_cpus_none(gs_arena *a, const gs_cpus *s) {
  return (gs_cpus){GS_NEWS(a, (int64_t)s->words, uint64_t), s->words};
}

void gs_cpus_add(gs_cpus *s, int64_t i) {
  gs_assert(i >= 0 && (size_t)i / BITS < s->words);
  s->word[i / BITS] |= (uint64_t)1 << i % BITS;
}

bool gs_cpus_has(const gs_cpus *s, int64_t i) {
  return i >= 0 && (size_t)i / BITS < s->words &&
         s->word[i / BITS] >> i % BITS & 1;
}

void gs_cpus_join(gs_cpus *s, const gs_cpus *more) {
  gs_assert(s->words == more->words);
  for (size_t i = 0; i < s->words; i++) s->word[i] |= more->word[i];
}

bool gs_cpus_within(const gs_cpus *part, const gs_cpus *s) {
  for (int64_t i = gs_cpus_next(part, 0); i >= 0; i = gs_cpus_next(part, i + 1))
    if (!gs_cpus_has(s, i)) return false;
  return true;
}

int64_t gs_cpus_count(const gs_cpus *s) {
  int64_t n = 0;
  for (size_t i = 0; i < s->words; i++) n += __builtin_popcountll(s->word[i]);
  return n;
}

int64_t gs_cpus_next(const gs_cpus *s, int64_t from) {
  gs_assert(from >= 0);
  for (size_t i = (size_t)from / BITS; i < s->words; i++) {
    uint64_t w = s->word[i];
    if (i == (size_t)from / BITS) w &= ~(uint64_t)0 << from % BITS;
    if (w) return (int64_t)i * BITS + __builtin_ctzll(w);
  }
  return -1;
}

bool gs_cpus_bind(const gs_cpus *s) {
  return !syscall(SYS_sched_setaffinity, 0, s->words * sizeof *s->word,
                  s->word);
}

void gs_cpus_print(gs_buf *b, const gs_cpus *s) {
  int64_t at = gs_cpus_next(s, 0);
  for (bool first = true; at >= 0; first = false) {
    int64_t last = at;
    while (gs_cpus_has(s, last + 1)) last++;
    gs_buf_printf(b, "%s%lld", first ? "" : ",", (long long)at);
    if (last > at)
      gs_buf_printf(b, "%c%lld", last > at + 1 ? '-' : ',', (long long)last);
    at = gs_cpus_next(s, last + 1);
  }
}
