/* One device's instance of a program. */
#ifndef GS_EXEC_DEVICE_H
#define GS_EXEC_DEVICE_H

#include "base/assert.h"
#include "exec/comm/comm.h"
#include "exec/compile/part.h"
#include "exec/data/held.h"
#include "exec/step/timing.h"

typedef struct gs_device {
  const gs_program *p;
  int64_t position;
  gs_comm *comm;
  int threads;    /* for its kernels */
  gs_kshare *share; /* of all devices of the process */
  gs_arena arena; /* owned by the device's thread */
  gs_err err;
  char *mem;      /* activations, then scratch; NULL before they are there */
  size_t scratch_size;
  void *scratch;
  void **data;    /* [values] NULL: not known yet */
  int *block;     /* [values] of channels that it lies in, see gs_view */
  gs_held **held; /* [values] constants and what is made of them once; NULL:
                     the device of a region */
  void **own;     /* [values] memory for blocks of inputs */
  bool *stays;    /* [values] inputs that lie in `own` whatever is given; NULL:
                     none */
  void **state;   /* [steps] what the kind of the step keeps */
  uint64_t bytes_sent; /* by the collectives run so far: gs_move_bytes */
  double in_collectives; /* seconds, of all runs */
  bool huge;      /* asks for large pages */
  bool moved;     /* inputs lie elsewhere than the steps know */
  gs_timing *timing; /* of its runs; NULL: not wanted */
  bool prefixed;  /* messages name the device */
  gs_dyn **dyn; /* [values] where p->dynamic: values of GS_STORAGE_DYNAMIC that
                   are there; computed ones are kept, others are the caller's */
  gs_heap *heap;  /* shared with the devices of regions */
  gs_heap own_heap;
} gs_device;

void gs_device_init(gs_device *d, const gs_program *p, int64_t position);
/* Prepares all steps and allocates the memory; comm, threads and the data of
 * constants and of their slices are set.  Runs on the device's thread. */
gs_status gs_device_prepare(gs_device *d);
/* Tells the steps where values lie after inputs have changed. */
void gs_device_bind(gs_device *d);
gs_status gs_device_run(gs_device *d);
/* Gives the result v of a step that runs once its memory. */
void gs_device_hold(gs_device *d, const gs_value *v);
/* One operand of a step that is v, or NULL, is not read any more. */
void gs_device_let_go(gs_device *d, const gs_value *v);
/* Drops the computed dynamic values that the last run has left. */
void gs_device_rewind(gs_device *d);
void gs_device_free(gs_device *d);

/* Where v lies on the device; NULL: an input that was not given. */
static inline void *gs_device_data(const gs_device *d, const gs_value *v) {
  const gs_buffer *b = gs_program_buffer(d->p, v);
  if (b->storage != GS_STORAGE_ARENA) return d->data[b->root];
  int part = gs_program_part(d->p, v), block = d->block[part];
  size_t at = b->root == part ? 0 : gs_program_at(d->p, v);
  return d->mem + b->offset + at * (size_t)(block ? block : 1);
}

/* A step wants so many bytes of scratch. */
static inline void gs_device_want_scratch(gs_device *d, size_t bytes) {
  if (bytes > d->scratch_size) d->scratch_size = bytes;
}

#endif
