/* What FusedConv and FusedNorm of ai.gshard do to channels: a normalisation by
 * given statistics, a factor and a term, each of which may be left out. */
#ifndef GS_KERNEL_CHANNEL_SCALE_H
#define GS_KERNEL_CHANNEL_SCALE_H

#include "kernel/core/support.h"

enum { GS_CHANNEL_OPERANDS = 6 };

/* One number for each channel; NULL: left out. */
typedef struct gs_channel_scale {
  const float *scale, *bias, *mean, *var, *factor, *term;
  double epsilon;
} gs_channel_scale;

/* Of the node's operands from `first` on, in this order; none: nothing is done
 * to channels. */
bool gs_channel_scale_any(const gs_kctx *k, int first);
/* The same with their data. */
gs_channel_scale gs_channel_scale_get(const gs_kctx *k, int first,
                                      double epsilon);
/* x of channel c becomes x * gs_channel_factor + gs_channel_term(.., 0); with
 * `before` added to it first, + gs_channel_term(.., before). */
double gs_channel_factor(const gs_channel_scale *s, int64_t c);
double gs_channel_term(const gs_channel_scale *s, int64_t c, double before);

#endif
