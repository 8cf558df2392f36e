/* Dynamic values: values that carry their own type, size and memory.
 *
 * Values that are no plain tensors of a known size lie in dynamic values when a
 * graph runs: sequences, optionals, strings, and tensors whose size depends on
 * data. A dynamic value made by a heap is counted: who keeps it holds a
 * reference, and the last one to drop it frees it at once, so that loops do not
 * fill the memory. What is left when a run fails goes with the heap.  Dynamic
 * values in an arena are not counted (heap NULL): keeping one copies it. One
 * device uses one heap; nothing here is locked. */
#ifndef GS_IR_DYNAMIC_H
#define GS_IR_DYNAMIC_H

#include "ir/tensor.h"

typedef struct gs_heap gs_heap;
typedef struct gs_dyn gs_dyn;

struct gs_dyn {
  gs_kind kind;  /* an optional sequence is a GS_OPTIONAL */
  gs_tensor t;   /* tensor, in memory; else only dtype, GS_UNDEFINED: any */
  int n, cap;
  gs_dyn **item; /* elements of a sequence; of an optional at most one */
  gs_heap *heap; /* NULL: not counted */
  int refs;
  void *block; /* what t.data or t.strings lie in, when it is the dynamic
                  value's */
  gs_dyn *prev, *next; /* in the heap */
};

struct gs_heap {
  gs_dyn *first;
};

void gs_heap_init(gs_heap *h);
void gs_heap_free(gs_heap *h); /* with all dynamic values */

/* A tensor with zeroed elements (64-aligned), or empty strings.  GS_RESOURCE
 * when its size overflows. */
gs_status gs_dyn_new(gs_heap *h, gs_dtype dtype, int rank,
                     const int64_t *dims, gs_dyn **out, gs_err *e);
/* An empty sequence or optional. */
gs_dyn *gs_dyn_list(gs_heap *h, gs_kind kind, gs_dtype dtype);
/* Puts a kept `item` at place i of a list of the heap, moving the rest. */
void gs_dyn_put(gs_dyn *list, int i, gs_dyn *item);
/* The same dynamic value with one more holder, or a copy of one that is not
 * counted. */
gs_dyn *gs_dyn_keep(gs_heap *h, gs_dyn *b);
void gs_dyn_drop(gs_dyn *b); /* NULL is allowed */
/* Moves the bytes of b's strings, which may lie anywhere, into b. */
void gs_dyn_own_strings(gs_dyn *b);
/* Makes b a view of elements that lie elsewhere. */
void gs_dyn_view(gs_dyn *b, gs_dtype dtype, int rank, const int64_t *dims,
                 void *data);
/* An uncounted dynamic value of a tensor. */
gs_dyn *gs_dyn_of(gs_arena *a, const gs_tensor *t);
/* An uncounted copy of b. */
gs_dyn *gs_dyn_copy(gs_arena *a, const gs_dyn *b);

/* The elements: gs_string for strings. */
void *gs_dyn_data(const gs_dyn *b);
/* "f32[2,3]", "seq(f32)", "opt(f32[2])". */
char *gs_dyn_text(gs_arena *a, const gs_dyn *b);

#endif
