/* What run.c and output.c share. */
#ifndef GS_EXEC_EXEC_H
#define GS_EXEC_EXEC_H

#include "exec/data/ahead.h"
#include "exec/step/device.h"
#include "exec/run/pin.h"
#include "exec/run/run.h"
#include "exec/run/tie.h"
#include "kernel/core/share.h"

struct gs_exec {
  gs_arena arena;
  gs_exec_config config;
  gs_exec *base;           /* whose `share` and `holdings` it has; itself */
  int64_t first, n;        /* devices hosted here */
  gs_program **program;    /* [ngraph] */
  gs_pins pins;
  gs_ahead *ahead;         /* NULL: nothing is read ahead */
  gs_team team;
  gs_kshare share;
  gs_device *device;       /* [n] */
  gs_holdings holdings;    /* constants of all devices */
  gs_blocks *blocks;       /* of the caller, for the threads of devices */
  gs_tied *tied;           /* [config.ntie] */
  bool *given;             /* [values of the first graph] inputs */
  uint64_t weight_bytes;   /* gs_exec_weights */
  void **joined; /* [outputs] memory of gs_exec_joined */
  void *came;    /* a block of another rank's, ncame bytes */
  size_t ncame;
  void *said;    /* what gs_exec_rows has been told of a block, nsaid bytes */
  size_t nsaid;
  _Atomic int64_t failed;  /* 1 + first device that failed by itself */
};

/* Whether device p is the first that holds its block: it stands at the origin
 * of all axes that the sharding does not use. */
bool gs_gather_first(const gs_mesh *m, const gs_sharding *s, int64_t p);

/* Part of gs_exec_new (reads.c): calls config.reads, and has read ahead what
 * lies in files. */
void gs_exec_tell_reads(gs_exec *x);
/* Sets weight_bytes. */
void gs_exec_count_reads(gs_exec *x);
/* Maps the weights that stay in files where kernels of d read them whole. */
gs_status gs_exec_map_reads(gs_device *d);

#endif
