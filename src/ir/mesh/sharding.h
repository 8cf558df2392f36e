/* Shardings: how a tensor lies on a mesh.
 *
 * Dim d of size n, split over sub-axes of total size m, has blocks of
 * ceil(n / m); the device with row-major index i over the sub-axes holds
 * [i * block, min((i + 1) * block, n)), which may be short or empty (GShard
 * section 3.3.3).  The rest of its block is padding with arbitrary content. */
#ifndef GS_IR_SHARDING_H
#define GS_IR_SHARDING_H

#include "ir/mesh/mesh.h"
#include "ir/tensor.h"

/* How partial values combine, and what collectives reduce with. */
#define GS_REDUCES(X)                                                          \
  X(SUM, "sum")                                                                \
  X(PROD, "prod")                                                              \
  X(MAX, "max")                                                                \
  X(MIN, "min")

typedef enum gs_reduce {
#define X(name, text) GS_REDUCE_##name,
  GS_REDUCES(X)
#undef X
  GS_NREDUCE
} gs_reduce;

const char *gs_reduce_text(gs_reduce r);
bool gs_reduce_parse(const char *s, gs_reduce *r);

typedef struct gs_split {
  gs_axes axes;  /* major first; none: the dim is whole on every device */
  bool open;     /* propagation may append axes */
  int priority;  /* 0 is taken first */
} gs_split;

typedef struct gs_sharding {
  int rank;
  gs_split *dim;        /* [rank] */
  gs_subset replicated; /* axes that propagation may not use here */
  gs_subset partial;    /* axes over which values are yet to be reduced */
  gs_reduce reduce;     /* how, where partial != 0 */
} gs_sharding;

/* Fully replicated (no axes); every dim open or closed as asked. */
gs_sharding *gs_sharding_new(gs_arena *a, int rank, bool open);
gs_sharding *gs_sharding_copy(gs_arena *a, const gs_sharding *s);
/* Same axes on every dim and same partial; open and priority are ignored. */
bool gs_sharding_equal(const gs_sharding *a, const gs_sharding *b);
/* No axes at all and nothing partial. */
bool gs_sharding_is_replicated(const gs_sharding *s);
/* Axes used by dims. */
gs_subset gs_sharding_used(const gs_sharding *s);
/* Block of dim d: ceil(n / shards). */
int64_t gs_sharding_block(const gs_mesh *m, const gs_sharding *s, int d,
                          int64_t n);
/* Local dims (blocks) of a tensor with these global dims. */
void gs_sharding_local(const gs_mesh *m, const gs_sharding *s,
                       const int64_t *dims, int64_t *local);
/* Bytes of one device's block; -1 on overflow. */
int64_t gs_sharding_bytes(const gs_mesh *m, const gs_sharding *s,
                          gs_dtype dtype, const int64_t *dims);
/* True when blocks of dim n over `outer`, each cut over `inner`, are the
 * blocks over outer followed by inner: the condition under which the minor
 * axes of a dim can be added or dropped without a realignment. */
bool gs_blocks_nest(int64_t n, int64_t outer, int64_t inner);
/* First element and number of valid elements of dim d on device position p. */
void gs_sharding_range(const gs_mesh *m, const gs_sharding *s, int d,
                       int64_t n, int64_t p, int64_t *first, int64_t *count);

/* All invariants: rank, every sub-axis at most once over dims, replicated and
 * partial, all of one device order.  what names the tensor in the message. */
gs_status gs_sharding_check(const gs_mesh *m, const gs_sharding *s, int rank,
                            const char *what, gs_err *e);

/* Text: "{dp,~,[dp,tp]}", "{tp:(1)2,?}", "{dp?,~}", "{dp!1}" for priority 1,
 * then " replicated(x)" and " partial(sum,tp)".  ~ closed and whole, ? open. */
void gs_sharding_print(gs_buf *b, const gs_mesh *m, const gs_sharding *s);
char *gs_sharding_text(gs_arena *a, const gs_mesh *m, const gs_sharding *s);
gs_status gs_sharding_parse(gs_arena *a, const gs_mesh *m, const char *text,
                            gs_sharding **out, gs_err *e);
/* The same for the beginning of a text; *text is advanced past it. */
gs_status gs_sharding_read(gs_arena *a, const gs_mesh *m, const char **text,
                           gs_sharding **out, gs_err *e);

#endif
