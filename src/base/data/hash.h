/* Hashing: XXH3 of 64 bits (libxxhash).  Against accidents, not attackers. */
#ifndef GS_BASE_HASH_H
#define GS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Hash of n bytes; the same on every machine and in every version, so that it
 * may stand in files.  The hash of one piece may be the seed of the next.
 * Cost: about 10 GB/s with AVX2. */
uint64_t gs_hash(const void *p, size_t n, uint64_t seed);

/* The same for bytes that come in pieces of any size: the value is that of
 * gs_hash over all of them with seed 0. */
typedef struct gs_hasher gs_hasher;
gs_hasher *gs_hasher_new(void);
void gs_hasher_add(gs_hasher *h, const void *p, size_t n);
/* The hash of what was added so far. */
uint64_t gs_hasher_value(const gs_hasher *h);
void gs_hasher_free(gs_hasher *h);


/* The key of the stream of random numbers that `name` has under `seed`.  What
 * a model draws hangs on it: it is fixed here and follows no library. */
uint64_t gs_stream_key(const char *name, uint64_t seed);

#endif
