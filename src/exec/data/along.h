/* Copies and fills of tensors seen along one of their dims. */
#ifndef GS_EXEC_ALONG_H
#define GS_EXEC_ALONG_H

#include "ir/dtype.h"

/* Tensors of [outer, n, inner] elements, packed; each has its own n. */
typedef struct gs_along {
  gs_dtype type; /* no strings */
  int64_t outer, inner;
  int64_t between; /* dims of outer that stand behind the channels, dim 1;
                      gs_along_reblock alone reads it */
  int64_t run, pitch; /* of spread tensors, in which [inner] is no run: `run`
                         elements lie one behind another, and the next of them
                         `pitch` elements further; they are not packed */
} gs_along;

/* `count` of n elements along the dim, from `first` on, `step` apart: any, 0
 * too. */
typedef struct gs_stretch {
  int64_t n, first, step, count;
  bool spread; /* the tensor is */
} gs_stretch;

/* Bytes of a tensor with n elements along the dim; the size is known to fit. */
size_t gs_along_bytes(const gs_along *a, int64_t n);
/* Whether what s says lies in one run of whole bytes of a tensor, in the
 * order of a tensor of its own; *at is where it begins.  `alone`: the last
 * byte holds nothing else. */
bool gs_along_is_run(const gs_along *a, const gs_stretch *s, bool alone,
                     size_t *at);
/* Copies the elements s of `from` to the places t of `to`, as many.  The
 * tensors do not overlap; at most so many threads copy. */
void gs_along_copy(const gs_along *a, const gs_stretch *s, const void *from,
                   const gs_stretch *t, void *to, int threads);
/* The same where one f32 tensor lies in blocks of `block` channels (gs_view),
 * `to` where `into` and else `from`, and the other is row-major. */
void gs_along_reblock(const gs_along *a, int block, bool into,
                      const gs_stretch *s, const void *from,
                      const gs_stretch *t, void *to, int threads);
/* Puts *value there; s->step is 1. */
void gs_along_fill(const gs_along *a, const gs_stretch *s, const void *value,
                   void *to);

#endif
