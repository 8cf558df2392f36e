#include "io/plan/weights.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/math.h"
#include "ir/packed.h"

enum {
  CHUNK = 64 << 20,     /* mapped pages are given back after so many bytes */
  PIECE = GS_SUMS_BLOCK /* what is hashed and written at a time */
};

typedef struct packer {
  gs_out *o;
  const gs_mesh *m;
  const gs_tensor *t;
  const gs_sharding *split;
  const uint8_t *data;
  int64_t element; /* bytes */
  int64_t block[GS_MAX_RANK], shards[GS_MAX_RANK];
  uint64_t touched; /* bytes read since pages were last given back */
  uint8_t *piece;   /* [PIECE] bytes on their way to the file */
  size_t filled;
  uint64_t total;
  GS_VEC(uint64_t) hash; /* of each piece */
} packer;

static void flush(packer *k) {
  *gs_push(k->o->arena, &k->hash) = gs_hash(k->piece, k->filled, 0);
  gs_out_write(k->o, k->piece, k->filled);
  k->filled = 0;
}

/* Appends n bytes; p NULL: zeros. */
static void append(packer *k, const uint8_t *p, uint64_t n) {
  k->total += n;
  while (n) {
    size_t now = PIECE - k->filled;
    if (n < now) now = (size_t)n;
    if (p) memcpy(k->piece + k->filled, p, now);
    else memset(k->piece + k->filled, 0, now);
    if (p) p += now;
    n -= now;
    k->filled += now;
    gs_assert(k->filled <= PIECE);
    if (k->filled == PIECE) flush(k);
  }
}

/* Gives back the pages read so far: a mapped weight file may be larger than
 * memory. */
static void give_back(packer *k) {
  k->touched = 0;
  if (k->data) gs_file_release(k->t->file, k->data, (size_t)k->t->nbytes);
}

static void put(packer *k, const uint8_t *p, uint64_t n) {
  while (n) {
    uint64_t now = CHUNK - k->touched;
    if (n < now) now = n;
    append(k, p, now);
    p += now;
    n -= now;
    k->touched += now;
    gs_assert(k->touched <= CHUNK);
    if (k->touched == CHUNK) give_back(k);
  }
}

/* Elements of dims d.. of one block or of the whole. */
static int64_t inner(const int64_t *dims, int from, int rank) {
  return gs_product(dims + from, rank - from);
}

/* Writes the part of the block with index[] that starts at element `at` of
 * the tensor and spans dims d..; dims from `plain` on are not split. */
static void put_part(packer *k, const int64_t *index, int d, int plain,
                     int64_t at) {
  const gs_tensor *t = k->t;
  int64_t row = inner(t->dims, d + 1, t->rank);
  int64_t part = inner(k->block, d + 1, t->rank);
  int64_t first = gs_min(index[d] * k->block[d], t->dims[d]);
  int64_t have = gs_min(k->block[d], t->dims[d] - first);
  gs_assert(d < t->rank && have >= 0 && have <= k->block[d]);
  if (d + 1 >= plain) {
    put(k, k->data + (at + first * row) * k->element,
        (uint64_t)(have * row * k->element));
  } else {
    for (int64_t i = 0; i < have; i++)
      put_part(k, index, d + 1, plain, at + (first + i) * row);
  }
  append(k, NULL, (uint64_t)((k->block[d] - have) * part * k->element));
}

/* Several elements to a byte: every block is packed anew. */
static void put_packed_block(packer *k, const int64_t *index, uint8_t *block,
                             uint64_t bytes) {
  const gs_tensor *t = k->t;
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  for (int d = 0; d < t->rank; d++) {
    first[d] = gs_min(index[d] * k->block[d], t->dims[d]);
    count[d] = gs_min(k->block[d], t->dims[d] - first[d]);
  gs_assert(count[d] >= 0);
  }
  memset(block, 0, bytes);
  gs_packed_copy(gs_dtype_get((int)t->dtype)->bits, t->rank, count, k->data,
                 t->dims, first, block, k->block, NULL);
  append(k, block, bytes);
}

/* The coordinates of block `at` of all, row-major. */
static void coordinates(const packer *k, int64_t at, int64_t *index) {
  for (int d = k->t->rank - 1; d >= 0; d--) {
    index[d] = at % k->shards[d];
    at /= k->shards[d];
  }
  gs_assert(!at);
}

/* The blocks that the file has, of that many bytes each. */
static void put_blocks(packer *k, const gs_weight *w) {
  uint64_t bytes = w->block_bytes;
  uint8_t *packed =
      gs_dtype_packed(k->t->dtype) ? gs_alloc(k->o->arena, bytes + 1) : NULL;
  int rank = k->t->rank, plain = 0;
  int64_t index[GS_MAX_RANK] = {0};
  for (int d = 0; d < rank; d++)
    if (k->shards[d] > 1) plain = d + 1;
  if (!rank) {
    put(k, k->data, k->t->nbytes);
    return;
  }
  int64_t n = w->only ? w->nonly : gs_product(k->shards, rank);
  for (int64_t i = 0; i < n; i++) {
    gs_assert(rank <= GS_MAX_RANK);
    coordinates(k, w->only ? w->only[i] : i, index);
    if (packed) put_packed_block(k, index, packed, bytes);
    else put_part(k, index, 0, plain, 0);
  }
}

static gs_status put_tensor(packer *k, gs_weight *w, const gs_tensor *t,
                            gs_err *e) {
  k->t = t;
  k->data = gs_tensor_bytes(t);
  k->element = gs_dtype_get(t->dtype)->bits / 8;
  if (!k->data && t->nbytes)
    return gs_fail(e, GS_NOINPUT, w->value->name,
                   "the data of this weight is missing");
  bool packed = gs_dtype_packed(t->dtype);
  if (!k->element && !packed && w->split)
    return gs_fail(e, GS_UNSUPPORTED, w->value->name,
                   "a weight of type %s cannot be split",
                   gs_dtype_get(t->dtype)->text);
  append(k, NULL, (GS_WEIGHTS_ALIGN - k->total % GS_WEIGHTS_ALIGN) %
                      GS_WEIGHTS_ALIGN);
  w->offset = k->total;
  gs_assert(k->total % GS_WEIGHTS_ALIGN == 0);
  if (!w->split) {
    w->block_bytes = t->nbytes;
    put(k, k->data, t->nbytes);
  } else {
    for (int d = 0; d < t->rank; d++)
      k->shards[d] = gs_axes_size(k->m, &w->split->dim[d].axes);
    gs_sharding_local(k->m, w->split, t->dims, k->block);
    w->block_bytes = (uint64_t)gs_dtype_bytes(
        (int)t->dtype, gs_product(k->block, t->rank));
    put_blocks(k, w);
  }
  give_back(k);
  return GS_OK;
}

/* The bytes of a part are in memory for this long only. */
static gs_status put_weight(packer *k, gs_weight *w, gs_err *e) {
  gs_tensor t = *w->value->constant;
  if (!t.whole || t.data) return put_tensor(k, w, w->value->constant, e);
  gs_arena a;
  gs_arena_init(&a);
  t.arena = &a;
  gs_status s = put_tensor(k, w, &t, e);
  gs_arena_free(&a);
  return s;
}

/* About how many bytes of w the file will have. */
static uint64_t expected(const gs_mesh *m, const gs_weight *w) {
  uint64_t bytes = w->value->constant->nbytes;
  int64_t blocks = 1;
  if (!w->only) return bytes;
  for (int d = 0; d < w->split->rank; d++)
    blocks *= gs_axes_size(m, &w->split->dim[d].axes);
  return (uint64_t)((double)bytes * (double)w->nonly / (double)blocks);
}

gs_status gs_weights_write(gs_out *o, const gs_mesh *m, gs_weight *const *w,
                           int n, gs_sums *sums, gs_err *e) {
  packer k = {.o = o, .m = m, .piece = gs_alloc(o->arena, PIECE)};
  for (int i = 0; i < n; i++)
    gs_progress_expect(o->progress, expected(m, w[i]));
  for (int i = 0; i < n; i++) GS_TRY(put_weight(&k, w[i], e));
  if (k.filled) flush(&k);
  *sums = (gs_sums){.size = k.total, .hash = k.hash.at};
  return GS_OK;
}

int64_t gs_weight_block(const gs_mesh *m, const gs_weight *w, int64_t p) {
  int64_t block = 0;
  for (int d = 0; w->split && d < w->split->rank; d++) {
    const gs_axes *axes = &w->split->dim[d].axes;
    block = block * gs_axes_size(m, axes) + gs_axes_index(m, axes, p);
  }
  return block;
}

uint64_t gs_weight_offset(const gs_mesh *m, const gs_weight *w, int64_t p) {
  int64_t block = gs_weight_block(m, w, p);
  if (w->only) {
    int64_t lo = 0, hi = w->nonly;
    while (hi - lo > 1) {
      int64_t mid = lo + (hi - lo) / 2;
      if (w->only[mid] <= block) lo = mid;
      else hi = mid;
    }
    gs_assert(w->only[lo] == block);
    block = lo;
  }
  return w->offset + (uint64_t)block * w->block_bytes;
}
