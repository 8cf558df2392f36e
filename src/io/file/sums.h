/* Hashes of a file, block by block: they find damage without reading more than
 * is used anyway. */
#ifndef GS_IO_SUMS_H
#define GS_IO_SUMS_H

#include "base/buf.h"
#include "base/data/progress.h"
#include "ir/tensor.h"

enum { GS_SUMS_BLOCK = 1 << 20 }; /* bytes of a block; the last may have less */

typedef struct gs_sums {
  uint64_t size;        /* of the file, in bytes */
  bool ends;            /* only the first and the last block have a hash */
  const uint64_t *hash; /* [gs_sums_count], gs_hash of each; with `ends` two */
} gs_sums;

/* Blocks of a file of that size. */
int64_t gs_sums_count(uint64_t size);
/* The hash that block i should have; false: not known. */
bool gs_sums_get(const gs_sums *s, int64_t i, uint64_t *hash);
/* Bytes of block i of f into p[GS_SUMS_BLOCK].  0, or the errno of what
 * failed; ENODATA when the file became shorter. */
int gs_sums_load(const gs_file *f, int64_t i, void *p, size_t *n);
/* GS_IO for such a failure. */
gs_status gs_sums_unread(const gs_file *f, int64_t i, int why, gs_err *e);
/* Reads f, or two blocks of it, and computes its hashes.  p may be NULL. */
gs_status gs_sums_of(gs_arena *a, const gs_file *f, bool ends, gs_progress *p,
                     gs_sums *out, gs_err *e);

/* ---- as text: "SIZE ends|all HASH..." ---- */

void gs_sums_print(gs_buf *b, const gs_sums *s);
/* False for anything else than what gs_sums_print writes. */
bool gs_sums_parse(gs_arena *a, const char *text, gs_sums *out);

/* ---- as a file: the hashes, 8 bytes each, little-endian ---- */

/* *hash becomes that of the file's content. */
gs_status gs_sums_write(gs_arena *a, const char *path, const gs_sums *s,
                        uint64_t *hash, gs_err *e);
/* The hashes of a file of `size` bytes.  GS_MISMATCH when the content has
 * another hash than this. */
gs_status gs_sums_read(gs_arena *a, const char *path, uint64_t size,
                       uint64_t hash, gs_sums *out, gs_err *e);

#endif
