#include "kernel/conv/channel_scale.h"

#include <math.h>

bool gs_channel_scale_any(const gs_kctx *k, int first) {
  for (int i = first; i < first + GS_CHANNEL_OPERANDS; i++)
    if (gs_kernel_has(k, i)) return true;
  return false;
}

gs_channel_scale gs_channel_scale_get(const gs_kctx *k, int first,
                                      double epsilon) {
  const float *at[GS_CHANNEL_OPERANDS];
  for (int i = 0; i < GS_CHANNEL_OPERANDS; i++)
    at[i] = gs_kernel_has(k, first + i) ? k->in[first + i].data : NULL;
  return (gs_channel_scale){at[0], at[1], at[2], at[3], at[4], at[5], epsilon};
}

static double norm(const gs_channel_scale *s, int64_t c) {
  return s->scale ? s->scale[c] / sqrt(s->var[c] + s->epsilon) : 1;
}

double gs_channel_factor(const gs_channel_scale *s, int64_t c) {
  return norm(s, c) * (s->factor ? s->factor[c] : 1);
}

double gs_channel_term(const gs_channel_scale *s, int64_t c, double before) {
  if (s->scale) before = (before - s->mean[c]) * norm(s, c) + s->bias[c];
  if (s->factor) before *= s->factor[c];
  return s->term ? before + s->term[c] : before;
}
