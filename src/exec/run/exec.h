/* What run.c and output.c share. */
#ifndef GS_EXEC_EXEC_H
#define GS_EXEC_EXEC_H

#include "exec/step/device.h"
#include "exec/run/run.h"
#include "exec/run/tie.h"
#include "kernel/core/share.h"

struct gs_exec {
  gs_arena arena;
  gs_exec_config config;
  int64_t first, n;        /* devices hosted here */
  gs_program **program;    /* [ngraph] */
  gs_team team;
  gs_kshare share;
  gs_device *device;       /* [n] */
  gs_holdings holdings;    /* constants of all devices */
  gs_blocks *blocks;       /* of the caller, for the threads of devices */
  gs_tied *tied;           /* [config.ntie] */
  bool *given;             /* [values of the first graph] inputs */
  void **joined; /* [outputs] memory of gs_exec_joined */
  void *came;    /* a block of another rank's, ncame bytes */
  size_t ncame;
  _Atomic int64_t failed;  /* 1 + first device that failed by itself */
};

/* Part of gs_exec_new (reads.c): calls config.reads. */
void gs_exec_tell_reads(gs_exec *x);

#endif
