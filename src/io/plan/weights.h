/* Files of weights: the blocks that devices of a plan read, each once. */
#ifndef GS_IO_WEIGHTS_H
#define GS_IO_WEIGHTS_H

#include "io/file/io.h"
#include "io/file/sums.h"
#include "ir/graph/graph.h"

/* Data in weights.data starts at multiples of this (ONNX: offsets SHOULD be
 * multiples of 4096). */
enum { GS_WEIGHTS_ALIGN = 4096 };

/* A weight cut in blocks, or whole (split NULL). */
typedef struct gs_weight {
  const gs_value *value;    /* whole, constant */
  const gs_sharding *split; /* of the blocks; NULL: one block */
  const int64_t *only; /* [nonly] blocks that the file has, ascending by their
                          index; NULL: all of them */
  int64_t nonly;
  uint64_t offset;          /* of the first; set by gs_weights_write */
  uint64_t block_bytes;     /* distance between blocks; set likewise */
} gs_weight;

/* Writes the weights one after another and sets their offsets.  Blocks lie
 * row-major by block index, padded with zeros; a split of dim 0 alone is the
 * tensor as it is, so nothing is rearranged.  Memory: a buffer of 1 MiB and
 * at most 64 MiB of mapped pages at a time.  *sums gets the size of what was
 * written and the hashes of all its blocks. */
gs_status gs_weights_write(gs_out *o, const gs_mesh *m, gs_weight *const *w,
                           int n, gs_sums *sums, gs_err *e);

/* Which block device position p holds: row-major, 0 of a whole weight. */
int64_t gs_weight_block(const gs_mesh *m, const gs_weight *w, int64_t p);
/* Its offset; it is in the file. */
uint64_t gs_weight_offset(const gs_mesh *m, const gs_weight *w, int64_t p);

#endif
