/* What the majors of oneDNN spell differently, and its threads: the rest of
 * onednn*.c is the same for 2 and 3.  Descriptors of memory are handles in 3
 * and structures in 2; here they are pointers in both. */
#ifndef GS_KERNEL_ONEDNN_COMPAT_H
#define GS_KERNEL_ONEDNN_COMPAT_H

#include <dnnl.h>
#include <stdbool.h>

#include "base/arena.h"

#if DNNL_VERSION_MAJOR != 2 && DNNL_VERSION_MAJOR != 3
#error "this major of oneDNN is not known; 2 and 3 are"
#endif
/* Others divide the work among threads that nobody can take away from them,
 * so that results would depend on their number. */
#if DNNL_CPU_RUNTIME != DNNL_RUNTIME_OMP && \
    DNNL_CPU_RUNTIME != DNNL_RUNTIME_SEQ
#error "this oneDNN runs on threads that are not OpenMP's"
#endif

/* NULL, or alive until the arena that it was made in is freed. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t gs_dnn_desc;
#else
typedef dnnl_memory_desc_t *gs_dnn_desc;
#endif

/* f32 elements in the layout `tag`, or with the distances `strides`.  False
 * when the library refuses; so do the other functions. */
bool gs_dnn_desc_tagged(gs_arena *a, gs_dnn_desc *d, int n,
                        const dnnl_dim_t *dims, dnnl_format_tag_t tag);
bool gs_dnn_desc_strided(gs_arena *a, gs_dnn_desc *d, int n,
                         const dnnl_dim_t *dims, const dnnl_dim_t *strides);
/* A copy of what pd wants for operand or result `what`. */
bool gs_dnn_desc_query(gs_arena *a, gs_dnn_desc *d,
                       const_dnnl_primitive_desc_t pd, dnnl_query_t what);

/* A direct convolution for inference.  Numbers per spatial dim as the library
 * counts them: a dilation of 0 is dense; padding before and behind. */
typedef struct gs_dnn_window {
  dnnl_dims_t stride, dilation, before, behind;
} gs_dnn_window;
bool gs_dnn_conv_desc(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                      const gs_dnn_window *w, gs_dnn_desc x, gs_dnn_desc k,
                      gs_dnn_desc bias, gs_dnn_desc y,
                      dnnl_primitive_attr_t attr);
/* Whether pd runs code made for it, and not a slow loop for all cases. */
bool gs_dnn_compiled(const_dnnl_primitive_desc_t pd);
/* Adds what is in the result already. */
bool gs_dnn_append_sum(dnnl_post_ops_t post);

/* The library starts threads of its own unless it is told of only one: calls
 * from this thread stay in it from now on.  Returns what gs_dnn_old_threads
 * takes to go back. */
int gs_dnn_one_thread(void);
void gs_dnn_old_threads(int threads);

#endif
