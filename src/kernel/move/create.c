/* Constant, ConstantOfShape, Range, Shape, Size. */
#include <math.h>

#include "kernel/core/coord.h"
#include "base/assert.h"
#include "ir/packed.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

static gs_status fits(gs_kctx *k, gs_dtype t, int64_t n) {
  if (k->out[0].dtype == t && k->out[0].n == n) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "the value does not have the output's "
                        "shape");
}

/* The first attribute that holds a value. */
static gs_status constant_run(gs_kctx *k) {
  void *y = k->out[0].data;
  const gs_node *n = k->node;
  const gs_attr *a;
  if ((a = gs_node_attr(n, "value")) && a->kind == GS_ATTR_TENSOR) {
    GS_TRY(fits(k, a->t->dtype, gs_tensor_count(a->t)));
    const void *bytes = gs_tensor_bytes(a->t);
    if (!a->t->nbytes) {
      if (a->t->dtype == GS_STRING) return gs_kernel_no_type(k, GS_STRING);
      return GS_OK;
    }
    if (!bytes) return gs_kernel_fail(k, GS_DATA, "the value has no data");
    memcpy(y, bytes, (size_t)a->t->nbytes);
  } else if ((a = gs_node_attr(n, "value_int"))) {
    GS_TRY(fits(k, GS_INT64, 1));
    *(int64_t *)y = a->i;
  } else if ((a = gs_node_attr(n, "value_ints"))) {
    GS_TRY(fits(k, GS_INT64, a->n));
    if (a->n) memcpy(y, a->ints, (size_t)a->n * sizeof *a->ints);
  } else if ((a = gs_node_attr(n, "value_float"))) {
    GS_TRY(fits(k, GS_FLOAT, 1));
    *(float *)y = (float)a->f;
  } else if ((a = gs_node_attr(n, "value_floats"))) {
    GS_TRY(fits(k, GS_FLOAT, a->n));
    if (a->n) memcpy(y, a->floats, (size_t)a->n * sizeof *a->floats);
  } else {
    return gs_kernel_fail(k, GS_UNSUPPORTED,
                          "a constant that is not a dense tensor of numbers");
  }
  return GS_OK;
}

const gs_kernel gs_kernel_constant = {NULL, constant_run};

static void fill_packed(const gs_view *y, unsigned code) {
  int bits = gs_dtype_get((int)y->dtype)->bits;
  gs_assert(bits == 2 || bits == 4);
  int64_t bytes = gs_dtype_bytes((int)y->dtype, y->n);
  if (!bytes) return;
  memset(y->data, 0, (size_t)bytes);
  if (code & ((1u << bits) - 1))
    for (int64_t i = 0; i < y->n; i++) gs_code_put(bits, y->data, i, code);
}

static gs_status constant_of_shape_run(gs_kctx *k) {
  _Alignas(16) char value[16] = {0};
  const gs_view *y = &k->out[0];
  const gs_attr *a = gs_node_attr(k->node, "value");
  int64_t one = gs_dtype_bytes((int)y->dtype, 1);
  size_t size = (size_t)one;
  if (one < 0) return gs_kernel_no_type(k, y->dtype);
  if (a && a->kind == GS_ATTR_TENSOR) {
    const void *bytes = gs_tensor_bytes(a->t);
    if (!bytes || a->t->dtype != y->dtype || gs_tensor_count(a->t) != 1)
      return gs_kernel_fail(k, GS_DATA,
                            "value is not one element of the output's type");
    memcpy(value, bytes, size); /* may lie at any offset in a file */
  }
  if (gs_dtype_packed(y->dtype)) fill_packed(y, *(const uint8_t *)value);
  else gs_fill_elements(y->data, y->n, size, value);
  return GS_OK;
}

const gs_kernel gs_kernel_constant_of_shape = {NULL, constant_of_shape_run};

/* Element i of the whole is start + i * delta in the type; integers wrap,
 * 16-bit floats are computed in f32. */
static gs_status range_run(gs_kctx *k) {
  const gs_view *y = &k->out[0];
  gs_kextent whole;
  GS_TRY(gs_kctx_result(k, 0, &whole));
  int64_t first = whole.first[0];
  const void *s = k->in[0].data, *d = k->in[2].data;
  switch (y->dtype) {
#define X(name, type, wide, get, put)                                          \
  case GS_##name: {                                                            \
    wide a = (wide)get(*(const type *)s), b = (wide)get(*(const type *)d);     \
    type *o = y->data;                                                         \
    for (int64_t i = 0; i < y->n; i++)                                         \
      o[i] = (type)put((wide)(a + (wide)(first + i) * b));                     \
    return GS_OK;                                                              \
  }
    X(FLOAT, float, float, , )
    X(DOUBLE, double, double, , )
    X(FLOAT16, uint16_t, float, gs_f16_get, gs_f16_put)
    X(BFLOAT16, uint16_t, float, gs_bf16_get, gs_bf16_put)
    X(INT8, int8_t, uint64_t, , )
    X(INT16, int16_t, uint64_t, , )
    X(INT32, int32_t, uint64_t, , )
    X(INT64, int64_t, uint64_t, , )
    X(UINT8, uint8_t, uint64_t, , )
    X(UINT16, uint16_t, uint64_t, , )
    X(UINT32, uint32_t, uint64_t, , )
    X(UINT64, uint64_t, uint64_t, , )
#undef X
  default: return gs_kernel_no_type(k, y->dtype);
  }
}

const gs_kernel gs_kernel_range = {NULL, range_run};

static int64_t shape_end(int64_t i, int rank) {
  if (i < 0) i += rank;
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  return gs_min(gs_max(i, 0), rank);
}

static gs_status shape_run(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  int64_t first = shape_end(gs_node_int(k->node, "start", 0), x->rank);
  int64_t end = shape_end(gs_node_int(k->node, "end", x->rank), x->rank);
  int64_t n = gs_max(0, end - first);
  GS_TRY(fits(k, GS_INT64, n));
  if (n)
    memcpy(k->out[0].data, x->dims + first, (size_t)n * sizeof *x->dims);
  return GS_OK;
}

const gs_kernel gs_kernel_shape = {NULL, shape_run};

static gs_status size_run(gs_kctx *k) {
  *(int64_t *)k->out[0].data = k->in[0].n;
  return GS_OK;
}

const gs_kernel gs_kernel_size = {NULL, size_run};
