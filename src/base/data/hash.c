#include "base/data/hash.h"

#include <string.h>

/* The library may have code for several instruction sets, and choose. */
#ifdef HAVE_XXH3_64BITS_WITHSEED_DISPATCH
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include "base/arena.h"
#include "base/assert.h"

uint64_t gs_hash(const void *p, size_t n, uint64_t seed) {
  gs_assert(p || !n);
  return XXH3_64bits_withSeed(p, n, seed);
}

/* The library makes the state, since its size is not part of its interface. */
static XXH3_state_t *state_of(const gs_hasher *h) {
  return (XXH3_state_t *)(uintptr_t)h;
}

gs_hasher *gs_hasher_new(void) {
  XXH3_state_t *s = XXH3_createState();
  if (!s) gs_out_of_memory(1024);
  XXH3_64bits_reset(s);
  return (gs_hasher *)(void *)s;
}

void gs_hasher_add(gs_hasher *h, const void *p, size_t n) {
  XXH3_64bits_update(state_of(h), p, n);
}

uint64_t gs_hasher_value(const gs_hasher *h) {
  return XXH3_64bits_digest(state_of(h));
}

void gs_hasher_free(gs_hasher *h) { XXH3_freeState(state_of(h)); }

/* Multiplies and folds the name in words of eight bytes. */
uint64_t gs_stream_key(const char *name, uint64_t seed) {
  const uint64_t odd = UINT64_C(0xd6e8feb86659fd93);
  size_t n = strlen(name);
  uint64_t h = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15));
  for (size_t at = 0; at < n; at += 8) {
    uint64_t word = 0;
    for (size_t i = at; i < n && i < at + 8; i++)
      word |= (uint64_t)(unsigned char)name[i] << (8 * (i - at));
    h = (h ^ word) * odd;
    h ^= h >> 32;
  }
  h *= odd;
  return h ^ (h >> 29);
}
