/* One device's instance of a program. */
#ifndef GS_EXEC_DEVICE_H
#define GS_EXEC_DEVICE_H

#include "exec/program.h"

/* A step bound to memory: a kernel's context or a collective. */
typedef struct gs_bound {
  gs_kctx *k;    /* NULL: collective */
  gs_coll *coll; /* NULL: kernel */
} gs_bound;

typedef struct gs_device {
  const gs_program *p;
  int64_t position;
  gs_comm *comm;
  int threads;    /* for its kernels */
  gs_kshare *share; /* NULL: the only device of the process */
  gs_arena arena; /* owned by the device's thread */
  gs_err err;
  char *mem;      /* activations, then scratch */
  size_t scratch_size;
  void *scratch;
  void **data;    /* [values] NULL: not known yet */
  int *block;     /* [values] of channels that it lies in, see gs_view */
  void **own;     /* [values] memory for blocks of inputs */
  gs_bound *bound; /* [steps] */
  bool prefixed;  /* messages name the device */
} gs_device;

void gs_device_init(gs_device *d, const gs_program *p, int64_t position);
/* Prepares all steps and allocates the memory; comm, threads and the data of
 * constants and of their slices are set.  Runs on the device's thread. */
gs_status gs_device_prepare(gs_device *d);
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
