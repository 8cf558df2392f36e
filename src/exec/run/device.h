/* One device's instance of a program. */
#ifndef GS_EXEC_DEVICE_H
#define GS_EXEC_DEVICE_H

#include "exec/run/held.h"

/* A step bound to memory: a kernel's context, a collective, or a node that
 * runs on dynamic values. */
typedef struct gs_bound {
  gs_kctx *k;
  gs_coll *coll;
  struct gs_dynstep *dynamic;
} gs_bound;

typedef struct gs_device {
  const gs_program *p;
  int64_t position;
  gs_comm *comm;
  int threads;    /* for its kernels */
  gs_kshare *share; /* of all devices of the process */
  gs_arena arena; /* owned by the device's thread */
  gs_err err;
  char *mem;      /* activations, then scratch */
  size_t scratch_size;
  void *scratch;
  void **data;    /* [values] NULL: not known yet */
  int *block;     /* [values] of channels that it lies in, see gs_view */
  gs_held **held; /* [values] constants and what is made of them once; NULL:
                     the device of a graph in an attribute */
  void **own;     /* [values] memory for blocks of inputs */
  gs_bound *bound; /* [steps] */
  uint64_t bytes_sent; /* by the collectives run so far: gs_move_bytes */
  bool moved;     /* inputs lie elsewhere than the steps know */
  bool prefixed;  /* messages name the device */
  gs_dyn **
      dyn; /* [values] where p->dynamic values: those of GS_STORAGE_DYNAMIC that
              are there; computed ones are kept, others are the caller's */
  gs_heap *heap;  /* shared with the devices of inner graphs */
  gs_heap own_heap;
} gs_device;

/* A node that runs on dynamic values, on one device. */
typedef struct gs_dynstep {
  gs_dyncall run;
  gs_dyn *view;     /* [nin] of operands that lie in no dynamic value */
  gs_device **body; /* [attributes] devices of the graphs, or NULL */
  gs_arena arena;   /* for the time of one run */
} gs_dynstep;

/* ---- dynamic.c ---- */

/* Makes the dynamic steps of d and the devices of their graphs. */
void gs_dynamic_init(gs_device *d);
/* Loads the constants of the graphs, and d's own that lie in dynamic values. */
gs_status gs_dynamic_load(gs_arena *a, gs_device *d, gs_err *e);
gs_status gs_dynamic_prepare(gs_device *d, int step);
gs_status gs_dynamic_run(gs_device *d, int step);
/* Drops what the last run has left. */
void gs_dynamic_rewind(gs_device *d);
void gs_dynamic_free(gs_device *d);

void gs_device_init(gs_device *d, const gs_program *p, int64_t position);
/* Prepares all steps and allocates the memory; comm, threads and the data of
 * constants and of their slices are set.  Runs on the device's thread. */
gs_status gs_device_prepare(gs_device *d);
/* A pointer to the elements of constant v that kernels may read. */
gs_status gs_constant_data(gs_arena *a, const gs_value *v, void **out,
                           gs_err *e);
/* Whether p is aligned for elements of t. */
bool gs_data_fits(gs_dtype t, const void *p);
/* p, or a copy where it is not aligned for elements of t. */
const void *gs_data_aligned(gs_arena *a, const gs_tensor *t, const void *p);
/* Copies data pointers into the views after inputs have changed. */
void gs_device_bind(gs_device *d);
gs_status gs_device_run(gs_device *d);
/* Where v lies on the device; NULL: an input that was not given. */
void *gs_device_data(const gs_device *d, const gs_value *v);
void gs_device_free(gs_device *d);

/* The block of `whole` that the device holds under load l: a pointer into
 * whole where it lies there as it is, else NULL. */
const void *gs_load_inside(const gs_program *p, const gs_load *l,
                           int64_t position, const void *whole);
/* Copies it to `block`, zeroes past the end. */
void gs_load_copy(const gs_program *p, const gs_load *l, int64_t position,
                  const void *whole, void *block);
/* n bytes on a 64-byte boundary, zeroed. */
void *gs_alloc64(gs_arena *a, size_t n);

#endif
