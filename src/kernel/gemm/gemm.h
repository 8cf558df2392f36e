/* Batched matrix products of every type: what MatMul, Gemm and Einsum use. */
#ifndef GS_KERNEL_GEMM_H
#define GS_KERNEL_GEMM_H

#include "kernel/core/kernel.h"

/* For every batch index: c[m,n] = a[m,k] b[k,n], c batch-major and dense, or
 * a part as gs_view says it: in runs of whole matrices, or of rows.
 * f32, f64, integers of whole bytes (wrapping; bool is not one). */
typedef struct gs_gemm {
  gs_dtype dtype;
  int64_t m, n, k;
  bool ta, tb;      /* a is stored [k,m], b is stored [n,k] */
  int64_t lda, ldb; /* elements between rows as stored */
  int64_t run, pitch; /* of c, 0: it is dense */
  int nbatch;       /* batch dims, major first */
  int64_t dims[GS_MAX_RANK];
  int64_t sa[GS_MAX_RANK], sb[GS_MAX_RANK]; /* strides in elements */
  int64_t batch;    /* product of dims */
  const float *packed; /* b in panels, see gs_gemm_keep; or NULL */
  int64_t panels;      /* how many */
} gs_gemm;

bool gs_gemm_has(gs_dtype t);
/* Elements between rows of one matrix of c. */
int64_t gs_gemm_row(const gs_gemm *g);
/* Appends a batch dim; merges it with the last one where possible. */
void gs_gemm_batch(gs_gemm *g, int64_t n, int64_t sa, int64_t sb);
/* Work is cut over batch, m and n by sizes alone, never over k: the same
 * bits for any number of threads. False when oneDNN fails. */
bool gs_gemm_run(const gs_gemm *g, const void *a, const void *b, void *c,
                 int threads);

/* For prep, where b is operand i from element `first` on, or NULL: a matrix
 * that is the same in all runs is copied to panels of adjacent columns, as
 * wide as the pieces that the work is cut into, once for all products that
 * cut it alike; 16-bit floats are widened on the way.  Rows of a wide b lie
 * whole pages apart, which costs up to a third of the time; the panels' do
 * not.  b is then not read any more (g->packed).  Left alone: what may change,
 * other types, more than one matrix, few columns. */
void gs_gemm_keep(gs_gemm *g, gs_kctx *k, int i, int64_t first);

/* One m x n tile of the same (a, b, c at its first elements, c's rows ldc
 * apart) for the types that oneDNN has not; k > 0. */
void gs_gemm_own(const gs_gemm *g, int64_t m, int64_t n, const void *a,
                 const void *b, void *c, int64_t ldc);

/* c[n] = a[k] b[k,n] of f32, rows of b ldb apart: b is read once, in the order
 * in which it lies, which is what takes time.  Each sum goes over k in an order
 * of its own. */
void gs_gemm_vector(int64_t n, int64_t k, const float *a, const float *b,
                    int64_t ldb, float *c);

/* 16-bit floats (t) to f32 and back; other types are not touched. */
void gs_half_widen(gs_dtype t, int64_t n, const void *from, float *to,
                   int threads);
void gs_half_narrow(gs_dtype t, int64_t n, const float *from, void *to,
                    int threads);
/* The same to all elements of v, wherever they lie. */
void gs_half_narrow_to(const gs_view *v, const float *from, int threads);
static inline bool gs_dtype_half(gs_dtype t) {
  return t == GS_FLOAT16 || t == GS_BFLOAT16;
}

#endif
