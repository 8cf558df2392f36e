/* What the files of the steps of a runner share; see gshard.h. */
#ifndef GS_API_STEPS_H
#define GS_API_STEPS_H

#include "api/choose/beams.h"
#include "api/run/run_output.h"
#include "api/run/run_source.h"
#include "exec/compile/program.h"
#include "io/file/records.h"

/* An input that is read. */
typedef struct gs_step_input {
  int at;              /* which input of the graph */
  const char *name, *path;
  gs_records *records; /* rank 0 */
  bool constant;       /* the same value in all steps */
  bool ended;          /* it is made inside, and has no more records */
  gs_dyn *value;       /* its elements lie in memory that stays */
  size_t room;         /* bytes of it; of several programs */
  gs_dyn **part;       /* [programs] parts of it; NULL: not wanted yet */
} gs_step_input;

/* An input of indices into the last dim of an output. */
typedef struct gs_step_pick {
  int out, in;
  int program;   /* whose input in it is */
  bool draws;    /* or else the largest */
  gs_dyn *value; /* what was chosen after the last step; of rank 0, until it is
                    shared */
  int64_t rows;
  bool *given;   /* [rows] the token of the step is of a record */
  bool *ended;   /* [rows] a stop has been chosen */
  gs_choice **choice; /* [programs] NULL: it has not chosen yet */
  int64_t *chosen;    /* [rows]; rank 0 */
  gs_beams *beams;    /* NULL: rows have no hypotheses */
  bool ahead;         /* what could follow is known, and not chosen yet */
} gs_step_pick;

/* An input that counts. */
typedef struct gs_step_count {
  int at;
  int64_t next; /* its first number in the next step */
  int64_t *step;  /* [programs] how many it counts in a run */
  gs_dyn **value; /* [programs] */
  bool alike;     /* all elements are the same number */
  bool mask;      /* 1 at the places that are below `next`, else 0 */
} gs_step_count;

/* An output that is kept, or only hashed. */
typedef struct gs_step_output {
  int at;
  gs_dyn *value;      /* of the last step; rank 0 */
  gs_dyn **part;      /* [programs] what each has made; of several */
  GS_VEC(gs_record_out *) to;
  uint64_t digest;    /* of all records */
} gs_step_output;

/* The programs of a plan, of which each step runs one, or a few one after
 * another.  All that is said of dims is of several programs only. */
typedef struct gs_step_programs {
  int n;
  gs_value *like; /* [inputs] with dims of -1 where they differ */
  int64_t *size;  /* [n] of the dim along which records are cut; NULL: none */
  int *in, *out;  /* [inputs], [outputs] this dim; -1: they do not differ; -2:
                     in another way */
  int *order;     /* [n] programs, the largest first */
  int64_t *run;   /* [n] how often each runs in this step, in that order */
  int64_t *runs;  /* [n] how often each has run */
  bool ran;       /* one has */
  bool *none;     /* [inputs] false */
} gs_step_programs;

typedef struct gs_steps {
  gs_arena *arena;
  gs_arena one; /* memory of one step */
  int64_t most;
  gs_stop stop;
  gs_step_programs programs;
  gs_step_input *in;
  int nin;
  bool endless; /* no input says when to end */
  bool with_records; /* the last record of what is made inside does */
  bool *fresh;  /* [inputs] has a record for this step */
  bool *made;   /* [inputs] what came before makes it: tie, pick, count */
  bool *state;  /* [inputs] a tie by its name */
  gs_tie *tie;
  int ntie, nstate; /* of which are state */
  gs_step_pick *pick;
  int npick;
  gs_draw draw;
  gs_beams_options beams; /* beams 0: each row for itself */
  const int64_t *stop_at; /* [nstop_at] the run ends where all rows have had
                             one of these chosen */
  int nstop_at;
  const char *tokens;     /* where what pick[0] chooses goes, or NULL */
  gs_record_out *to_tokens; /* rank 0 */
  gs_step_count *count;
  int ncount;
  int filled;   /* of count, which counts the places of the state that are
                   filled, of `size`; -1: none does */
  int64_t size;
  const char *save_state; /* NULL: it is not kept */
  const char **owned;     /* [nowned] names of the files of a state */
  int nowned;
  int64_t *word;          /* [1 + inputs + programs] what rank 0 tells */
  gs_step_output *out; /* rank 0 knows which; others the same ones */
  int nout;
  gs_run_output plan; /* of the files */
  gs_out_set files;
  gs_out_dir *dir;      /* [plan.dir] */
  gs_out_set *in_dir;   /* [plan.dir] files of new directories */
  int64_t done, begun;  /* steps; the one that is being made, from 1 */
  bool over;            /* no step can follow */
  double least, all;    /* seconds */
  double took;          /* of this step */
} gs_steps;

/* Finds out which inputs are made inside. */
gs_status gs_steps_find_made(gs_runner *r, const gs_steps_options *o,
                             gs_err *e);
/* Shapes are known: whether they fit; first numbers of what counts. */
gs_status gs_steps_check_made(gs_runner *r, gs_err *e);
/* Whether what the next step adds to the state has room there. */
gs_status gs_steps_check_room(const gs_steps *s, gs_err *e);
/* All ranks, before a step but the first: makes them, but for fresh ones. */
gs_status gs_steps_make(gs_runner *r, gs_err *e);

/* Gives the program that is to run the next numbers of what counts. */
gs_status gs_steps_give_counts(gs_runner *r, gs_err *e);
/* A failure of the run, which is not one of its records. */
gs_status gs_steps_in_step(const gs_steps *s, gs_status status, gs_err *e);
/* Runs it, and takes the time. */
gs_status gs_steps_run_once(gs_runner *r, gs_err *e);

/* Finds out how the programs differ. */
void gs_steps_find_programs(gs_runner *r);
/* Rank 0, once records are read: programs.run.  GS_DATA: they fit none. */
gs_status gs_steps_choose_programs(gs_runner *r, gs_err *e);
/* All ranks: runs them, which are several, and takes the outputs. */
gs_status gs_steps_run_programs(gs_runner *r, gs_err *e);
/* Gives an input these dims, and memory for them. */
void gs_steps_reserve(gs_steps *s, gs_step_input *in, const int64_t *dims);
/* A line with how often each has run; of one: nothing. */
void gs_steps_describe_programs(gs_runner *r);

/* Whether a run can make v itself: i64 or i32. */
bool gs_steps_takes_ints(const gs_value *v);
/* For the program that is to run; its exec is set when it chooses. */
gs_choice *gs_steps_new_choice(gs_runner *r, const gs_step_pick *p);
/* Rank 0, once the next records are read: what hypotheses go on with. */
void gs_steps_go_on(gs_steps *s);
/* Rank 0, at the end: writes the hypotheses, and tells of them. */
gs_status gs_steps_tell_beams(gs_runner *r, gs_err *e);

/* The input of the graph that has records; NULL: it has none. */
static inline gs_step_input *gs_steps_record(gs_steps *s, int input) {
  for (int i = 0; i < s->nin; i++)
    if (s->in[i].at == input) return &s->in[i];
  return NULL;
}
/* Rank 0: numbers below 0 in a record of what is made stand for what is made:
 * they become that.  All ranks, then: what counts goes on from there. */
void gs_steps_fill_in(gs_steps *s, const gs_step_input *in);
void gs_steps_filled_in(gs_steps *s, const gs_step_input *in);

/* Memory for an input that the run makes itself; its whole numbers. */
gs_dyn *gs_steps_new_value(gs_runner *r, const gs_value *v);
void gs_steps_set_int(gs_tensor *t, int64_t i, int64_t value);
int64_t gs_steps_get_int(const gs_tensor *t, int64_t i);

/* GS_DATA where output and input do not fit, GS_USAGE. */
gs_status gs_steps_check_pick(gs_runner *r, gs_step_pick *p, gs_err *e);
/* All ranks, after a run: rank 0 has what is chosen. */
gs_status gs_steps_choose(gs_runner *r, gs_err *e);
/* All ranks, before the next: what was chosen, where it is wanted. */
gs_status gs_steps_share_chosen(gs_runner *r, gs_err *e);
/* Rank 0, once the next records are read: whether a stop was chosen in all
 * rows, and nothing goes on. */
bool gs_steps_stopped(gs_steps *s);

/* Finds the state that the plan, the model or names tell of. */
void gs_steps_find_state(gs_runner *r);
/* Loads the first state, and checks whether the last one can be saved. */
gs_status gs_steps_check_state(gs_runner *r, const gs_steps_options *o,
                               gs_err *e);
gs_status gs_steps_load_state(gs_runner *r, const char *dir, gs_err *e);
/* All ranks: saves the outputs of the last step that are state. */
gs_status gs_steps_save_state(gs_runner *r, gs_err *e);

/* Rank 0: opens what is to be read, without waiting for writers of pipes. */
gs_status gs_steps_open(gs_steps *s, gs_err *e);
/* Rank 0: the records of the first step.  *more false: there are none. */
gs_status gs_steps_read_first(gs_steps *s, bool *more, gs_err *e);
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
