#include "kernel/onednn/onednn_compat.h"

#include <string.h>

#include "base/ending.h"

#ifdef _OPENMP
#include <omp.h>
#else
#include <dlfcn.h>
#endif

/* ---- descriptors of memory ---- */

#if DNNL_VERSION_MAJOR >= 3

static void forget(void *d) { dnnl_memory_desc_destroy(d); }

static bool keep(gs_arena *a, gs_dnn_desc d, dnnl_status_t s) {
  if (s != dnnl_success) return false;
  gs_arena_at_end(a, forget, d);
  return true;
}

bool gs_dnn_desc_tagged(gs_arena *a, gs_dnn_desc *d, int n,
                        const dnnl_dim_t *dims, dnnl_format_tag_t tag) {
  dnnl_status_t s =
      dnnl_memory_desc_create_with_tag(d, n, dims, dnnl_f32, tag);
  return keep(a, *d, s);
}

bool gs_dnn_desc_strided(gs_arena *a, gs_dnn_desc *d, int n,
                         const dnnl_dim_t *dims, const dnnl_dim_t *strides) {
  dnnl_status_t s =
      dnnl_memory_desc_create_with_strides(d, n, dims, dnnl_f32, strides);
  return keep(a, *d, s);
}

bool gs_dnn_desc_query(gs_arena *a, gs_dnn_desc *d,
                       const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
  const_dnnl_memory_desc_t from = dnnl_primitive_desc_query_md(pd, what, 0);
  if (!from) return false;
  dnnl_status_t s = dnnl_memory_desc_clone(d, from);
  return keep(a, *d, s);
}

#else

bool gs_dnn_desc_tagged(gs_arena *a, gs_dnn_desc *d, int n,
                        const dnnl_dim_t *dims, dnnl_format_tag_t tag) {
  *d = GS_NEW(a, dnnl_memory_desc_t);
  return dnnl_memory_desc_init_by_tag(*d, n, dims, dnnl_f32, tag) ==
         dnnl_success;
}

bool gs_dnn_desc_strided(gs_arena *a, gs_dnn_desc *d, int n,
                         const dnnl_dim_t *dims, const dnnl_dim_t *strides) {
  *d = GS_NEW(a, dnnl_memory_desc_t);
  return dnnl_memory_desc_init_by_strides(*d, n, dims, dnnl_f32, strides) ==
         dnnl_success;
}

bool gs_dnn_desc_query(gs_arena *a, gs_dnn_desc *d,
                       const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
  const dnnl_memory_desc_t *from = dnnl_primitive_desc_query_md(pd, what, 0);
  if (!from) return false;
  *d = gs_memdup(a, from, sizeof *from);
  return true;
}

#endif

/* ---- convolutions ---- */

bool gs_dnn_conv_desc(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                      const gs_dnn_window *w, gs_dnn_desc x, gs_dnn_desc k,
                      gs_dnn_desc bias, gs_dnn_desc y,
                      dnnl_primitive_attr_t attr) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_convolution_forward_primitive_desc_create(
             pd, engine, dnnl_forward_inference, dnnl_convolution_direct, x,
             k, bias, y, w->stride, w->dilation, w->before, w->behind,
             attr) == dnnl_success;
#else
  dnnl_convolution_desc_t d;
  return dnnl_dilated_convolution_forward_desc_init(
             &d, dnnl_forward_inference, dnnl_convolution_direct, x, k, bias,
             y, w->stride, w->dilation, w->before,
             w->behind) == dnnl_success &&
         dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) ==
             dnnl_success;
#endif
}

bool gs_dnn_compiled(const_dnnl_primitive_desc_t pd) {
  const char *name = "";
  return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) ==
             dnnl_success &&
         (!strncmp(name, "jit", 3) || !strncmp(name, "br", 2));
}

bool gs_dnn_append_sum(dnnl_post_ops_t post) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_sum(post, 1, 0, dnnl_f32) == dnnl_success;
#else
  return dnnl_post_ops_append_sum(post, 1) == dnnl_success;
#endif
}

/* ---- threads ---- */

#ifdef _OPENMP

int gs_dnn_one_thread(void) {
  int threads = omp_get_max_threads();
  if (threads != 1) omp_set_num_threads(1);
  gs_library_enter("oneDNN");
  return threads;
}

void gs_dnn_old_threads(int threads) {
  gs_library_leave();
  if (threads != 1) omp_set_num_threads(threads);
}

#else

/* A build without OpenMP may have a library with it, which then is in the
 * process and has these functions. */
int gs_dnn_one_thread(void) {
  void *get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  int threads = get ? ((int (*)(void))get)() : 1;
  if (get) gs_dnn_old_threads(1);
  gs_library_enter("oneDNN");
  return threads;
}

void gs_dnn_old_threads(int threads) {
  gs_library_leave();
  void *set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
  if (set) ((void (*)(int))set)(threads);
}

#endif
