/* Boxes: values that carry their own type, size and memory.
 *
 * Values that are no plain tensors of a known size lie in boxes when a graph
 * runs: sequences, optionals, strings, and tensors whose size depends on data.
 * A box made by a heap is counted: who keeps it holds a reference, and the
 * last one to drop it frees it at once, so that loops do not fill the memory.
 * What is left when a run fails goes with the heap.  Boxes in an arena are not
 * counted (heap NULL): keeping one copies it. One device uses one heap; nothing
 * here is locked. */
#ifndef GS_IR_BOX_H
#define GS_IR_BOX_H

#include "ir/tensor.h"

typedef struct gs_heap gs_heap;
typedef struct gs_box gs_box;

struct gs_box {
  gs_kind kind;  /* an optional sequence is a GS_OPTIONAL */
  gs_tensor t;   /* tensor, in memory; else only dtype, GS_UNDEFINED: any */
  int n, cap;
  gs_box **item; /* elements of a sequence; of an optional at most one */
  gs_heap *heap; /* NULL: not counted */
  int refs;
  void *block;   /* what t.data or t.strings lie in, when it is the box's */
  gs_box *prev, *next; /* in the heap */
};

struct gs_heap {
  gs_box *first;
};

void gs_heap_init(gs_heap *h);
void gs_heap_free(gs_heap *h); /* with all boxes */

/* A tensor with zeroed elements (64-aligned), or empty strings.  GS_RESOURCE
 * when its size overflows. */
gs_status gs_box_new(gs_heap *h, gs_dtype dtype, int rank,
                     const int64_t *dims, gs_box **out, gs_err *e);
/* An empty sequence or optional. */
gs_box *gs_box_list(gs_heap *h, gs_kind kind, gs_dtype dtype);
/* Puts a kept `item` at place i of a list of the heap, moving the rest. */
void gs_box_put(gs_box *list, int i, gs_box *item);
/* The same box with one more holder, or a copy of one that is not counted. */
gs_box *gs_box_keep(gs_heap *h, gs_box *b);
void gs_box_drop(gs_box *b); /* NULL is allowed */
/* Moves the bytes of b's strings, which may lie anywhere, into b. */
void gs_box_own_strings(gs_box *b);
/* Makes b a view of elements that lie elsewhere. */
void gs_box_view(gs_box *b, gs_dtype dtype, int rank, const int64_t *dims,
                 void *data);
/* An uncounted box of a tensor. */
gs_box *gs_box_of(gs_arena *a, const gs_tensor *t);
/* An uncounted copy of b. */
gs_box *gs_box_copy(gs_arena *a, const gs_box *b);

/* The elements: gs_string for strings. */
void *gs_box_data(const gs_box *b);
/* "f32[2,3]", "seq(f32)", "opt(f32[2])". */
char *gs_box_text(gs_arena *a, const gs_box *b);

#endif
