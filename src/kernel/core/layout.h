/* Tensors that do not lie row-major, one element behind another: in blocks of
 * channels, or as a part of a larger tensor; see gs_view. */
#ifndef GS_KERNEL_LAYOUT_H
#define GS_KERNEL_LAYOUT_H

#include "kernel/core/kernel.h"

/* Whether n does the same to a tensor in blocks of channels as to one that is
 * row-major: its operands have its result's shape, one number for each channel
 * or one at all (elementwise), or are joined along the channels (Concat).  Its
 * kernel knows nothing of it; gs_kernel_prep sees to what differs. */
bool gs_kernel_blind(const gs_node *n);

/* The f32 tensor `from` of v's dims, which lies in blocks of `block`
 * channels, row-major to where v lies. */
void gs_unblock(const gs_view *v, int block, const float *from, float *to,
                int threads);

/* Where element i of v lies, in elements from its first one. */
static inline int64_t gs_part_place(const gs_view *v, int64_t i) {
  if (!v->pitch) return i;
  int64_t r = i / v->run, at = i % v->run;
  if (!v->apart) return r * v->pitch + at;
  return r / v->runs * v->apart + r % v->runs * v->pitch + at;
}
/* How many of n elements from i on lie one behind another. */
static inline int64_t gs_part_run(const gs_view *v, int64_t i, int64_t n) {
  int64_t left = v->pitch ? v->run - i % v->run : n;
  return left < n ? left : n;
}
/* The stride of a dim of v that is `s` where v is row-major. */
static inline int64_t gs_part_stride(const gs_view *v, int64_t s) {
  if (!v->pitch || s < v->run) return s;
  s /= v->run;
  return v->apart && s >= v->runs ? s / v->runs * v->apart : s * v->pitch;
}
/* How v lies, nothing else of it, in blocks of so many channels. */
static inline gs_view gs_part_of(const gs_view *v, int block) {
  return (gs_view){.run = v->run * block, .pitch = v->pitch * block,
                   .runs = v->runs, .apart = v->apart * block};
}

/* Copies n elements of `size` bytes to where elements i .. i + n - 1 of v
 * lie. */
void gs_part_put(const gs_view *v, size_t size, int64_t i, int64_t n,
                 const void *from);

#endif
