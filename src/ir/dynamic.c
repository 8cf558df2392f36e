#include "ir/dynamic.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/math.h"

void gs_heap_init(gs_heap *h) { *h = (gs_heap){0}; }

static void release(gs_dyn *b) {
  free(b->block);
  free(b->item);
  free(b);
}

void gs_heap_free(gs_heap *h) {
  for (gs_dyn *b = h->first, *next; b; b = next) {
    next = b->next;
    release(b);
  }
  h->first = NULL;
}

static void *zeroed(size_t n) {
  void *p;
  if (posix_memalign(&p, 64, n ? n : 1)) gs_out_of_memory(n);
  return memset(p, 0, n);
}

static gs_dyn *new_dyn(gs_heap *h, gs_kind kind, gs_dtype dtype,
                       size_t extra) {
  gs_dyn *b = calloc(1, sizeof *b + extra);
  if (!b) gs_out_of_memory(sizeof *b + extra);
  b->kind = kind;
  b->t.dtype = dtype;
  b->heap = h;
  b->refs = 1;
  b->next = h->first;
  if (b->next) b->next->prev = b;
  h->first = b;
  return b;
}

/* Bytes of n elements; -1 when they do not fit. */
static int64_t bytes_of(gs_dtype t, int64_t n) {
  int64_t bytes;
  if (n < 0) return -1;
  if (t != GS_STRING) return gs_dtype_bytes((int)t, n);
  return gs_mul(n, (int64_t)sizeof(gs_string), &bytes) ? bytes : -1;
}

gs_status gs_dyn_new(gs_heap *h, gs_dtype dtype, int rank,
                     const int64_t *dims, gs_dyn **out, gs_err *e) {
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK && (dims || !rank));
  int64_t bytes = bytes_of(dtype, gs_product(dims, rank));
  if (bytes < 0)
    return gs_fail(e, GS_RESOURCE, NULL, "a tensor of type %s is too large",
                   gs_dtype_get((int)dtype)->text);
  gs_dyn *b = new_dyn(h, GS_TENSOR, dtype, (size_t)rank * sizeof *dims);
  b->t.rank = rank;
  b->t.dims = (const int64_t *)(b + 1);
  if (rank) memcpy(b + 1, dims, (size_t)rank * sizeof *dims);
  b->block = zeroed((size_t)bytes);
  if (dtype == GS_STRING) {
    b->t.strings = b->block;
  } else {
    b->t.data = b->block;
    b->t.nbytes = (uint64_t)bytes;
  }
  *out = b;
  return GS_OK;
}

gs_dyn *gs_dyn_list(gs_heap *h, gs_kind kind, gs_dtype dtype) {
  return new_dyn(h, kind, dtype, 0);
}

void gs_dyn_put(gs_dyn *list, int i, gs_dyn *item) {
  gs_assert(list->kind != GS_TENSOR && list->heap && item);
  gs_assert(i >= 0 && i <= list->n);
  if (list->n == list->cap) {
    int cap = list->cap ? 2 * list->cap : 4;
    void *p = realloc(list->item, (size_t)cap * sizeof *list->item);
    if (!p) gs_out_of_memory((size_t)cap * sizeof *list->item);
    list->item = p;
    list->cap = cap;
  }
  for (int k = list->n; k > i; k--) list->item[k] = list->item[k - 1];
  list->item[i] = item;
  list->n++;
}

gs_dyn *gs_dyn_keep(gs_heap *h, gs_dyn *b) {
  if (b->heap) {
    gs_assert(b->refs > 0);
    b->refs++;
    return b;
  }
  if (b->kind != GS_TENSOR) {
    gs_dyn *list = gs_dyn_list(h, b->kind, b->t.dtype);
    for (int i = 0; i < b->n; i++)
      gs_dyn_put(list, i, gs_dyn_keep(h, b->item[i]));
    return list;
  }
  gs_dyn *c;
  /* The size is that of a tensor in memory: it fits. */
  if (gs_dyn_new(h, b->t.dtype, b->t.rank, b->t.dims, &c, NULL))
    gs_out_of_memory(SIZE_MAX);
  int64_t n = bytes_of(b->t.dtype, gs_tensor_count(&b->t));
  if (n) memcpy(c->block, gs_dyn_data(b), (size_t)n);
  gs_dyn_own_strings(c);
  return c;
}

void gs_dyn_drop(gs_dyn *b) {
  gs_assert(!b || !b->heap || b->refs > 0);
  if (!b || !b->heap || --b->refs) return;
  gs_assert(b->refs == 0);
  for (int i = 0; i < b->n; i++) gs_dyn_drop(b->item[i]);
  if (b->prev) b->prev->next = b->next;
  else b->heap->first = b->next;
  if (b->next) b->next->prev = b->prev;
  release(b);
}

void gs_dyn_own_strings(gs_dyn *b) {
  if (b->t.dtype != GS_STRING || b->kind != GS_TENSOR) return;
  int64_t n = gs_tensor_count(&b->t);
  size_t head = (size_t)n * sizeof(gs_string), bytes = head;
  for (int64_t i = 0; i < n; i++) bytes += b->t.strings[i].n;
  char *block = zeroed(bytes), *at = block + head;
  gs_string *to = (gs_string *)(void *)block;
  for (int64_t i = 0; i < n; i++) {
    gs_string s = b->t.strings[i];
    if (s.n) memcpy(at, s.at, s.n);
    to[i] = (gs_string){at, s.n};
    at += s.n;
  }
  gs_assert(at == block + bytes);
  free(b->block);
  b->block = block;
  b->t.strings = to;
}

void gs_dyn_view(gs_dyn *b, gs_dtype dtype, int rank, const int64_t *dims,
                 void *data) {
  *b = (gs_dyn){.kind = GS_TENSOR};
  b->t.dtype = dtype;
  b->t.rank = rank;
  b->t.dims = dims;
  if (dtype == GS_STRING) {
    b->t.strings = data;
    return;
  }
  b->t.data = data;
  b->t.nbytes =
      (uint64_t)gs_dtype_bytes((int)dtype, gs_product(dims, rank));
}

gs_dyn *gs_dyn_of(gs_arena *a, const gs_tensor *t) {
  gs_dyn *b = GS_NEW(a, gs_dyn);
  b->t = *t;
  return b;
}

static gs_tensor copy_tensor(gs_arena *a, const gs_tensor *t) {
  gs_tensor c = *t;
  int64_t n = gs_tensor_count(t);
  c.dims = gs_memdup(a, t->dims, (size_t)t->rank * sizeof *t->dims);
  if (t->data) c.data = gs_memdup(a, t->data, (size_t)t->nbytes);
  if (t->dtype != GS_STRING) return c;
  gs_string *s = GS_NEWS(a, n, gs_string);
  for (int64_t i = 0; i < n; i++)
    s[i] = (gs_string){gs_strndup(a, t->strings[i].n ? t->strings[i].at : "",
                                  t->strings[i].n),
                       t->strings[i].n};
  c.strings = s;
  return c;
}

gs_dyn *gs_dyn_copy(gs_arena *a, const gs_dyn *b) {
  gs_dyn *c = GS_NEW(a, gs_dyn);
  c->kind = b->kind;
  c->t.dtype = b->t.dtype;
  if (b->kind == GS_TENSOR) c->t = copy_tensor(a, &b->t);
  c->n = c->cap = b->n;
  c->item = GS_NEWS(a, b->n, gs_dyn *);
  for (int i = 0; i < b->n; i++) c->item[i] = gs_dyn_copy(a, b->item[i]);
  return c;
}

void *gs_dyn_data(const gs_dyn *b) {
  const void *p = b->t.dtype == GS_STRING ? (const void *)b->t.strings
                                          : gs_tensor_bytes(&b->t);
  return (void *)(uintptr_t)p;
}

char *gs_dyn_text(gs_arena *a, const gs_dyn *b) {
  if (b->kind == GS_TENSOR)
    return gs_shape_text(a, b->t.dtype, b->t.rank, b->t.dims);
  gs_assert(b->kind != GS_OPTIONAL || b->n <= 1);
  const char *what = b->kind == GS_SEQUENCE ? "seq" : "opt";
  if (b->kind == GS_OPTIONAL && b->n)
    return gs_sprintf(a, "opt(%s)", gs_dyn_text(a, b->item[0]));
  return gs_sprintf(a, "%s(%s)", what, gs_dtype_get((int)b->t.dtype)->text);
}
