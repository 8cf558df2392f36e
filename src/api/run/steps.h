/* What the files of the steps of a runner share; see gshard.h. */
#ifndef GS_API_STEPS_H
#define GS_API_STEPS_H

#include "api/run/run_output.h"
#include "api/run/run_source.h"
#include "io/file/records.h"

/* An input that is read. */
typedef struct gs_step_input {
  int at;              /* which input of the graph */
  const char *name, *path;
  gs_records *records; /* rank 0 */
  bool constant;       /* the same value in all steps */
  gs_dyn *value;       /* its elements lie in memory that stays */
} gs_step_input;

/* An output that is kept, or only hashed. */
typedef struct gs_step_output {
  int at;
  gs_dyn *value;      /* of the last step; rank 0 */
  GS_VEC(gs_record_out *) to;
  uint64_t digest;    /* of all records */
} gs_step_output;

typedef struct gs_steps {
  gs_arena *arena;
  gs_arena one; /* memory of one step */
  int64_t most;
  gs_stop stop;
  gs_step_input *in;
  int nin;
  bool all_constant; /* no input says when to end */
  gs_step_output *out; /* rank 0 knows which; others the same ones */
  int nout;
  gs_run_output plan; /* of the files */
  gs_out_set files;
  gs_out_dir *dir;      /* [plan.dir] */
  gs_out_set *in_dir;   /* [plan.dir] files of new directories */
  int64_t done, begun;  /* steps; the one that is being made, from 1 */
  bool over;            /* no step can follow */
  double least, all;    /* seconds */
} gs_steps;

/* Rank 0: opens what is to be read, without waiting for writers of pipes. */
gs_status gs_steps_open(gs_steps *s, const gs_graph *g, gs_err *e);
/* Rank 0: the records of the first step.  *more false: there are none. */
gs_status gs_steps_read_first(gs_steps *s, const gs_graph *g, bool *more,
                              gs_err *e);
/* Rank 0: the records of the next step, into the memory of the last ones. */
gs_status gs_steps_read(gs_steps *s, bool *more, gs_err *e);

/* Rank 0: opens the files of s->plan and finds out which outputs are wanted.
 */
gs_status gs_steps_create(gs_steps *s, const gs_graph *g, gs_err *e);
/* Rank 0: writes and hashes what lies in s->out. */
gs_status gs_steps_write(gs_steps *s, gs_err *e);
/* Rank 0: gives the files their names. */
gs_status gs_steps_publish(gs_steps *s, gs_err *e);
/* They are not to be. */
void gs_steps_abandon(gs_steps *s);

#endif
