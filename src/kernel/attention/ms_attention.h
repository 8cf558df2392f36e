/* What the kernels of com.microsoft's attention share. */
#ifndef GS_KERNEL_MS_ATTENTION_H
#define GS_KERNEL_MS_ATTENTION_H

#include <math.h>

#include "kernel/attention/attend.h"
#include "kernel/core/support.h"
#include "kernel/gemm/gemm.h"

/* Whether result i is asked for. */
static inline bool gs_ms_result(const gs_kctx *k, int i) {
  return i < k->nout && k->out[i].rank >= 0;
}

static inline gs_status gs_ms_check_type(gs_kctx *k) {
  gs_dtype t = k->in[0].dtype;
  return t == GS_FLOAT || t == GS_DOUBLE || gs_dtype_half(t)
             ? GS_OK
             : gs_kernel_no_type(k, t);
}

static inline int64_t gs_ms_width(gs_dtype t) {
  return gs_dtype_get((int)t)->bits / 8;
}

/* Bytes of n elements, so that what follows is aligned. */
static inline size_t gs_ms_room(int64_t n, int64_t size) {
  return (size_t)(n * size + 63) / 64 * 64;
}

static inline const char *gs_ms_element(const gs_view *v, int64_t at) {
  return (const char *)v->data + at * gs_ms_width(v->dtype);
}

static inline void gs_ms_scale(gs_kctx *k, gs_attend *a) {
  double s = gs_node_float(k->node, "scale", 0);
  a->scale = s != 0 ? s : 1 / sqrt((double)gs_max(a->head, 1));
  a->left = a->right = -1;
  a->scores = GS_SCORES_NONE;
}

/* An addend [batch or 1, heads or 1, queries, keys]. */
static inline void gs_ms_bias_mask(const gs_view *v, gs_attend *a) {
  if (v->rank < 0) return;
  gs_attend_mask *m = &a->mask[a->nmask++];
  int64_t each = v->dims[2] * v->dims[3];
  *m = (gs_attend_mask){.type = v->dtype, .keys = v->dims[3],
                        .query = v->dims[3]};
  m->head = v->dims[1] == 1 ? 0 : each;
  m->batch = v->dims[0] == 1 ? 0 : each * v->dims[1];
}

#endif
