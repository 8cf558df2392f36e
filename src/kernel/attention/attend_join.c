/* How operands of attention lie, and caches that grow. */
#include "base/assert.h"
#include "base/math.h"
#include "kernel/attention/attend.h"
#include "kernel/gemm/gemm.h"

bool gs_attend_real(gs_dtype t) {
  return t == GS_FLOAT || t == GS_DOUBLE || gs_dtype_half(t);
}

int64_t gs_attend_heads(int64_t heads, int64_t all, int64_t n) {
  gs_assert(n <= all);
  return all ? gs_max(heads * n / all, 1) : heads;
}

gs_attend_side gs_attend_dense(gs_dtype t, bool flat, int64_t heads,
                               int64_t rows, int64_t n) {
  gs_attend_side s = {t, heads * rows * n, flat ? n : rows * n,
                      flat ? heads * n : n};
  return s;
}

void gs_attend_join_init(gs_attend_join *j, const gs_attend_side *from,
                         int64_t batch, int64_t heads, int64_t past,
                         int64_t rows, int64_t n) {
  int64_t all = past + rows;
  size_t size = (size_t)gs_dtype_get((int)from->type)->bits / 8;
  gs_strided_init(&j->old, size);
  gs_strided_dim(&j->old, batch * heads, past * n, all * n);
  gs_strided_dim(&j->old, past * n, 1, 1);
  gs_strided_init(&j->add, size);
  gs_strided_dim(&j->add, batch, from->batch, heads * all * n);
  gs_strided_dim(&j->add, heads, from->head, all * n);
  gs_strided_dim(&j->add, rows, from->row, n);
  gs_strided_dim(&j->add, n, 1, 1);
  j->skip = past * n * (int64_t)size;
}

/* Moving less than that does not pay for a team. */
static int movers(const gs_strided *s, int threads) {
  return s->n * (int64_t)s->size < 1 << 17 || threads < 1 ? 1 : threads;
}

void gs_attend_join_run(const gs_attend_join *j, const void *past,
                        const void *from, void *to, int threads) {
  if (past) gs_strided_run(&j->old, past, to, movers(&j->old, threads));
  gs_strided_run(&j->add, from, (char *)to + j->skip,
                 movers(&j->add, threads));
}
