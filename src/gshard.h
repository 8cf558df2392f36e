/* gshard: sharding ONNX models over many devices, and running them.
 *
 * This is the whole public interface of libgshard, with gshard_base.h (status,
 * element types, diagnostics); the library shows no other name.
 *
 * What holds for all calls:
 * - What can fail returns a gs_status and takes a gs_err last (not NULL), which
 *   has then been told the place and the reason.
 * - Objects own what they give out, and free it when they are freed; of what
 *   they are given they keep copies, unless the text says otherwise.
 * - Different objects may be used at the same time by different threads, one
 *   object by one thread at a time.
 * - Shapes are of whole tensors, row-major; sizes and offsets are in elements,
 *   memory and traffic in bytes, times in seconds.
 * - Nothing here ends the process, installs signal or exit handlers, or
 *   changes limits, masks and settings that belong to the whole process,
 *   unless its text says so. */
#ifndef GSHARD_H
#define GSHARD_H

#include "gshard_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0", of the library that runs. */
GS_API const char *gs_version(void);

/* ---- sharding a model ---------------------------------------------------- */

/* One model on its way from a file to a program for many devices:
 *
 *   gs_sharder_new -> load -> annotate -> partition -> emit, or a gs_runner
 *
 * It owns all that it gives out, texts too: they stay until it is freed.  It
 * is for one thread at a time; several sharders may work at once.
 *
 * After GS_RESOURCE for lack of memory it can only be freed, which returns all
 * of its memory and closes its files. */
typedef struct gs_sharder gs_sharder;

/* Zero it and set `size`; all else may stay zero. */
typedef struct gs_sharder_options {
  size_t size; /* sizeof(gs_sharder_options) */
  const char *producer; /* named in reports; NULL: "gshard" */
  /* What is to be sharded: files in YAML (gshard-spec(5); "-": standard
   * input), then a text.  None of it: the model's own annotations. */
  const char *const *spec; /* [nspec] paths */
  int nspec;
  const char *spec_text;   /* or NULL */
  const char *mesh;        /* "dp=2,tp=4", in place of the spec's; or NULL */
  const char *const *bind; /* [nbind] "n=16": symbolic dims; "n=16,1": twice */
  int nbind;
  bool allow_unmatched; /* rules may match nothing */
  bool choose;          /* split what rules leave open where it pays */
  const char *memory;   /* bytes of each device for that, "16GiB"; or NULL */
  bool verify; /* check what every step leaves: graphs, shardings, forms, and
                  what is emitted, compiled */
} gs_sharder_options;

/* Reads the spec.  GS_USAGE, GS_NOINPUT, GS_DATA, GS_SPEC, GS_UNSUPPORTED. */
GS_API gs_status gs_sharder_new(const gs_sharder_options *o, gs_sharder **out,
                                gs_err *e);
/* NULL: nothing happens.  Runners of it are freed before. */
GS_API void gs_sharder_free(gs_sharder *s);

/* Reads an ONNX model ("-": standard input), binds its symbolic dims, infers
 * all shapes, and takes over the shardings that it carries: those of
 * `configuration` of its standard fields, or (NULL) of its metadata.  Data of
 * weights stay in their files.
 * GS_NOINPUT, GS_DATA, GS_UNSUPPORTED, GS_SPEC (a dim without a size). */
GS_API gs_status gs_sharder_load(gs_sharder *s, const char *path,
                                 const char *configuration, gs_err *e);

/* What is done about annotations that another tool has lost or changed. */
typedef enum gs_audit {
  GS_AUDIT_COMPLETE, /* all lost: an error; some: a warning */
  GS_AUDIT_STRICT,   /* all lost, or contradictory: an error */
  GS_AUDIT_EQUAL,    /* anything: GS_NO */
  GS_AUDIT_REPLACED  /* a spec says them again: what is contradictory warns */
} gs_audit;
/* Compares the annotations of the model with what was written.  GS_DATA or
 * GS_NO as said above. */
GS_API gs_status gs_sharder_audit(const gs_sharder *s, gs_audit a, gs_err *e);

/* Reads the shardings of the loaded model for another mesh, by the names of
 * its axes.  GS_DATA, GS_SPEC. */
GS_API gs_status gs_sharder_remesh(gs_sharder *s, const char *mesh, gs_err *e);

/* Completes the annotations: afterwards every tensor has a sharding.
 * GS_SPEC where there are none, or they contradict; GS_DATA. */
GS_API gs_status gs_sharder_annotate(gs_sharder *s, gs_err *e);

/* Makes one program for all devices, with collectives; its time and size do
 * not depend on how many devices there are.  GS_UNSUPPORTED. */
GS_API gs_status gs_sharder_partition(gs_sharder *s, gs_err *e);

/* GS_NO unless the loaded model had all that annotate has found. */
GS_API gs_status gs_sharder_compare(const gs_sharder *s, gs_err *e);

typedef enum gs_text_kind {
  GS_TEXT_SUMMARY,      /* after partition: a few lines */
  GS_TEXT_REPORT,       /* that and rules, tensors, collectives, costs */
  GS_TEXT_REPORT_JSON,  /* schemas/gshard-report.schema.json */
  GS_TEXT_TENSORS, GS_TEXT_TENSORS_JSON, /* after load: of every tensor */
  GS_TEXT_SPEC, GS_TEXT_SPEC_JSON, /* after load: as understood, in YAML */
  GS_TEXT_GRAPH,   /* after annotate: the graph, as its parser reads it */
  GS_TEXT_PROGRAM, /* after partition: the program */
  GS_TEXT_NODES, GS_TEXT_NODES_JSON, /* after load: of every node */
  GS_TEXT_MODULES, GS_TEXT_MODULES_JSON /* after load: of every module */
} gs_text_kind;

/* A text about it, which may hold names from files as they are
 * (gs_text_print).  GS_USAGE before the call that it comes after. */
GS_API gs_status gs_sharder_text(gs_sharder *s, gs_text_kind kind,
                                 const char **out, gs_err *e);
/* After partition: why the tensor `name`, or the results of the node of that
 * name, are sharded as they are, and what moves them.  Reports in JSON have it
 * too from then on.  GS_USAGE when there is none. */
GS_API gs_status gs_sharder_explain(gs_sharder *s, const char *name,
                                    const char **out, gs_err *e);

typedef enum gs_fields {
  GS_FIELDS_AUTO, /* for meshes of at most 64 devices */
  GS_FIELDS_YES,
  GS_FIELDS_NO
} gs_fields;

/* Zero it and set `size`. */
typedef struct gs_save_options {
  size_t size;        /* sizeof(gs_save_options) */
  bool replace;       /* what exists already; a plan by a plan only */
  gs_fields fields;   /* of save: ONNX's multi-device fields too */
  bool hash_weights;  /* of a program: hash all weights it refers to */
  bool dry_run;       /* of outputs: only see whether the names fit */
  gs_progress *progress; /* or NULL */
  int64_t shards_per_file; /* of GS_EMIT_DEVICES: a file with the weights of so
                              many devices each, in the order of positions; 0:
                              one file, with each block once */
} gs_save_options;

/* Whether the file or plan could be written now, for telling before the work.
 * GS_CANTCREATE. */
GS_API gs_status gs_can_save(const char *path, bool replace, gs_err *e);
GS_API gs_status gs_can_save_plan(const char *dir, bool replace, gs_err *e);

/* After annotate: the model with the sharding of every tensor ("-": standard
 * output).  Files appear whole or not at all.  o may be NULL.
 * GS_CANTCREATE, GS_IO. */
GS_API gs_status gs_sharder_save(gs_sharder *s, const char *path,
                                 const gs_save_options *o, gs_err *e);

typedef enum gs_emit_kind {
  GS_EMIT_PROGRAM, /* one ONNX file; weights as the model has them */
  GS_EMIT_PLAN,    /* a directory: plan.yaml, the program, weights.data */
  GS_EMIT_DEVICES  /* a directory with one graph for each device */
} gs_emit_kind;
/* After partition: the program (gshard-plan(5)). GS_CANTCREATE, GS_IO,
 * GS_NOINPUT (data of weights are missing). */
GS_API gs_status gs_sharder_emit(gs_sharder *s, gs_emit_kind kind,
                                 const char *path, const gs_save_options *o,
                                 gs_err *e);

/* ---- running ------------------------------------------------------------- */

/* A tensor in memory: `rank` sizes, elements in row-major order, packed
 * (gs_dtype says how), nbytes of them.  Strings cannot be passed so. */
typedef struct gs_array {
  gs_dtype dtype;
  int rank;
  const int64_t *dims; /* [rank] */
  const void *data;
  size_t nbytes;
} gs_array;

/* A program, plan or plain model that is compiled once and run many times:
 *
 *   gs_runner_new -> open -> inputs -> compile -> run -> outputs
 *
 * It is for one thread at a time; it computes on threads of its own, OpenMP's
 * where gshard is built with that.  Several runners may work at once.  After
 * GS_RESOURCE for lack of memory it can only be freed.  What libraries do
 * without memory (oneDNN, OpenMP and MPI may end the process) is not in our
 * hands. */
typedef struct gs_runner gs_runner;

typedef struct gs_pair {
  const char *name, *value;
} gs_pair;

typedef enum gs_transport {
  GS_TRANSPORT_THREADS, /* all devices are threads of this process */
  GS_TRANSPORT_MPI,     /* devices are spread over the ranks of
                           MPI_COMM_WORLD: gs_runner_new calls MPI_Init,
                           gs_runner_finish MPI_Finalize; a rank that the
                           others do not answer ends the process */
  GS_TRANSPORT_LAUNCHED, /* MPI when a launcher has started this process */
  GS_TRANSPORT_ALONE    /* threads; several processes are an error */
} gs_transport;

/* What of the machine the threads of a device keep to.  Never more than the
 * process may use when it starts (its cgroup, taskset(1), what a launcher has
 * bound it to); ranks of one host that may use the same divide it. */
typedef enum gs_bind_to {
  GS_BIND_NONE,   /* all of that */
  GS_BIND_CORE,   /* a core for each of its threads */
  GS_BIND_SOCKET, /* a socket, which several devices may share */
  GS_BIND_NUMA    /* a NUMA node, likewise */
} gs_bind_to;

/* Zero it and set `size`; all else may stay zero. */
typedef struct gs_runner_options {
  size_t size; /* sizeof(gs_runner_options) */
  int threads; /* of all devices of this process; 0: one for each core */
  double timeout; /* seconds that a device waits for another; 0: for ever */
  gs_transport transport;
  bool no_verify; /* do not compare graphs and weights with a plan's hashes */
  bool keep_inputs; /* the inputs of compile are those of all runs: scalars of
                       floats may decide shapes too */
  const char *const *bind; /* [nbind] "batch=16": symbolic dims of a model */
  int nbind;
  bool random; /* make up inputs that are not given */
  uint64_t seed;
  const gs_pair *range; /* [nrange] input, "LO:HI": of those made up */
  int nrange;
  bool verify; /* check what is compiled: memory and order of collectives */
  bool profile, trace; /* note when steps run: for the calls of these names */
  gs_bind_to bind_to; /* the caller's thread is bound during calls alone, but
                         OpenMP's threads stay bound */
  bool no_huge_pages; /* do not ask for large pages for weights and arenas */
  bool no_prefault;   /* do not read mapped weights ahead of their use */
  bool no_fusion;     /* run every node as a step of its own, none together */
} gs_runner_options;

/* GS_USAGE, GS_UNSUPPORTED (no MPI in this build), GS_MISMATCH.  After these
 * *out may be made all the same, so that ranks can agree (gs_runner_agree) on
 * what is wrong with one of them; it is NULL where it is not. */
GS_API gs_status gs_runner_new(const gs_runner_options *o, gs_runner **out,
                               gs_err *e);
/* NULL: nothing happens.  Stays in MPI. */
GS_API void gs_runner_free(gs_runner *r);

/* A plan's directory, a program or a plain model ("-": standard input); of
 * several bindings that which the inputs fit, and all of them in steps.
 * GS_NOINPUT, GS_DATA, GS_UNSUPPORTED, GS_MISMATCH: a plan's files differ. */
GS_API gs_status gs_runner_open(gs_runner *r, const char *path, gs_err *e);
/* The program of s, which must outlive r and not be used meanwhile. */
GS_API gs_status gs_runner_open_sharder(gs_runner *r, gs_sharder *s,
                                        gs_err *e);
/* After open: how many devices it runs on, and what goes in and out. */
GS_API int64_t gs_runner_devices(const gs_runner *r);
GS_API int gs_runner_inputs(const gs_runner *r);
GS_API int gs_runner_outputs(const gs_runner *r);
/* NULL when there is no such one. */
GS_API const char *gs_runner_input_name(const gs_runner *r, int i);
GS_API const char *gs_runner_output_name(const gs_runner *r, int i);
/* Type and sizes of an input, -1 where only its value or binding says them; no
 * data.  GS_USAGE; GS_UNSUPPORTED for sequences and optionals. */
GS_API gs_status gs_runner_input_type(const gs_runner *r, int i, gs_array *out,
                                      gs_err *e);

/* Gives an input its value (NULL: the only one).  The elements stay the
 * caller's, unchanged until another value is given or r is freed; all else of
 * x is copied.  Before compile it also decides symbolic dims; after it the
 * shape must stay.  GS_USAGE, GS_DATA. */
GS_API gs_status gs_runner_input(gs_runner *r, const char *name,
                                 const gs_array *x, gs_err *e);
/* From a file, before compile: .npy, or .pb as ONNX's test data ("-": .npy on
 * standard input). GS_NOINPUT, GS_DATA. */
GS_API gs_status gs_runner_input_file(gs_runner *r, const char *name,
                                      const char *path, gs_err *e);
/* All inputs from input_N.pb of a folder of test data. */
GS_API gs_status gs_runner_input_folder(gs_runner *r, const char *dir,
                                        gs_err *e);

/* Infers shapes, makes up what is missing (option `random`).  compile does so
 * unless it was done. GS_NOINPUT, GS_DATA, GS_SPEC. */
GS_API gs_status gs_runner_prepare(gs_runner *r, gs_err *e);
/* Loads weights and makes kernels; all that runs need, but for values whose
 * size depends on data.  With MPI all ranks call it. */
GS_API gs_status gs_runner_compile(gs_runner *r, gs_err *e);
/* Runs once, on all devices.  With MPI all ranks call it.  seconds may be
 * NULL. */
GS_API gs_status gs_runner_run(gs_runner *r, double *seconds, gs_err *e);
/* Output i of the last run, joined; with MPI all ranks call it and rank 0 gets
 * it, others an empty one.  It stays until the next run.  GS_UNSUPPORTED for
 * sequences, optionals and strings. */
GS_API gs_status gs_runner_output(gs_runner *r, int i, gs_array *out,
                                  gs_err *e);

/* Waits until all bytes of weights that were read have been compared with the
 * hashes of the plan, which the first run does beside its work.  GS_MISMATCH:
 * the outputs are of no worth. */
GS_API gs_status gs_runner_verify(gs_runner *r, gs_err *e);

/* Where outputs go: each pair is an output's name and a file (.npy or .pb,
 * "-": .npy to standard output), or NULL and a directory for all of them.
 * Checked here, written by gs_runner_save: all appear or none.  o may be NULL.
 * GS_USAGE, GS_CANTCREATE. */
GS_API gs_status gs_runner_save_to(gs_runner *r, const gs_pair *to, int n,
                                   const gs_save_options *o, gs_err *e);
GS_API gs_status gs_runner_save(gs_runner *r, gs_err *e);

/* How far numbers may be apart: |got - want| <= rtol * |want| + atol.  NULL:
 * the default for the type of each output, with atol scaled by the largest
 * number. */
typedef struct gs_tolerances {
  const double *rtol, *atol;
} gs_tolerances;
/* Compares the outputs of the last run with output_N.pb of a folder of test
 * data.  GS_NO when one is out of tolerance; the text says by how much. */
GS_API gs_status gs_runner_compare_folder(gs_runner *r, const char *dir,
                                          const gs_tolerances *t, gs_err *e);
/* Runs the plain model at `path` whole with the same inputs and compares; then
 * runs both again with small whole numbers in place of floats.  With MPI all
 * ranks call it.  GS_NO likewise. */
GS_API gs_status gs_runner_compare_model(gs_runner *r, const char *path,
                                         const gs_tolerances *t, gs_err *e);
/* Runs n times and adds the times to the texts. */
GS_API gs_status gs_runner_bench(gs_runner *r, int64_t n, gs_err *e);
/* With the option `profile`: adds where the time of the runs so far (of
 * several, all but the first) went on device 0 to the texts, by operator and
 * by step: milliseconds, operations and bytes in a second, and the time that
 * the cost model gives by the time taken.  The JSON has every step.  Timing
 * costs some 0.1 us a step.  With MPI all ranks call it. */
GS_API gs_status gs_runner_profile(gs_runner *r, gs_err *e);
/* With the option `trace`: writes when each step of each device ran, in all
 * runs so far (a million turns of a device at most), as Chrome's trace events
 * (JSON): a rank is a process, a device a thread.  Each rank counts from its
 * own first run.  With MPI all ranks call it, and rank 0 writes.  o may be
 * NULL.  GS_CANTCREATE, GS_IO. */
GS_API gs_status gs_runner_trace(gs_runner *r, const char *path,
                                 const gs_save_options *o, gs_err *e);
/* Bytes that each device has sent in all runs by the formulas of its
 * collectives, and what the transport handed on for the device that sent most;
 * with MPI all ranks call it. */
GS_API gs_status gs_runner_sent(gs_runner *r, uint64_t *bytes, double *wire,
                                gs_err *e);

/* A line about all runs so far: how many in a second (in steps also tokens),
 * gigabytes of weights that their kernels have read in a second, and the time
 * of the device that was longest in collectives.  With MPI all ranks call it
 * and rank 0 gets it, others an empty one.  It stays until r is freed. */
GS_API gs_status gs_runner_rates(gs_runner *r, const char **out, gs_err *e);

/* ---- many steps ---------------------------------------------------------- */

/* A program that stays and is fed with records, one of each input for a step:
 *
 *   gs_runner_new -> open -> begin_steps -> compile -> step, step, ...
 *                 -> end_steps
 *
 * A record is an array as NumPy writes it (.npy).  Records follow one another
 * with nothing between.  Those of one input have the same type and shape in
 * all steps.  A step makes no file and starts no process; it allocates nothing
 * where sizes do not depend on data.  With MPI rank 0 alone reads and writes,
 * and all ranks call these.  Zero it and set `size`. */
typedef struct gs_steps_options {
  size_t size;  /* sizeof(gs_steps_options) */
  int64_t most; /* steps; 0: as many as there are records */
  int nin, nout, nfeed, nargmax, ncount, nsample, nstop_at, nmask;
  /* An input (NULL: the only one) and where its records lie: "-" (standard
   * input; of several inputs one record each in their order here), a pipe, a
   * file, or a directory, whose .npy files are read in the order of their
   * names, numbers compared as numbers.  A file (not "-") with one record, a
   * .pb, and what is given otherwise are the value in all steps. */
  const gs_pair *in;
  /* As for gs_runner_save_to: files hold the records of all steps.  A record
   * has left when its step returns; a regular file gets its name in end_steps.
   * None: outputs are not kept, only their digests. */
  const gs_pair *out;
  bool replace; /* files that exist */
  bool dry_run; /* write nothing */
  /* Output and input: what the output is in a step the input is in the next
   * one, unless it has a record for that.  It stays on its devices where these
   * have the one as they have the other. */
  const gs_pair *feed;
  const gs_pair *argmax; /* likewise: the largest's index along the last dim */
  /* An input of whole numbers that counts along its last dim, and goes on in
   * the next step; the value is the first number (NULL: 0). */
  const gs_pair *count;
  /* Outputs present X and inputs past_key_values X, or past X, of the same size
   * are fed so unless this is set, and begin as zeros: the model's state. */
  bool no_state;
  const char *load_state; /* a folder with the first state; or NULL */
  const char *save_state; /* a folder for the last one; or NULL */
  /* NULL, or asked on rank 0 before each step, and a few times a second while
   * it waits for a record: true ends the run. */
  bool (*stop)(void *user);
  void *user;
  /* Like argmax, but drawn from softmax(OUT / temperature), of the top_k
   * largest (0: all) and the likeliest of top_p in all (1: all). */
  const gs_pair *sample;
  int64_t top_k, seed;
  double temperature, top_p;
  const int64_t *stop_at; /* ends once every row has had one of them chosen */
  const char *tokens; /* where what is chosen goes, as out; or NULL */
  /* An input of 0 and 1 that tells which places are filled along its last dim:
   * as many as `value` says (NULL: none) and those of this step. */
  const gs_pair *mask;
  int64_t beams; /* argmax goes on with that many hypotheses; 0: with one */
  double length_penalty;
} gs_steps_options;

/* After open, before prepare: opens all of it, and reads the records of the
 * first step, which also decide symbolic dims.  *more false: there is none.
 * GS_USAGE, GS_NOINPUT, GS_DATA, GS_UNSUPPORTED, GS_CANTCREATE. */
GS_API gs_status gs_runner_begin_steps(gs_runner *r, const gs_steps_options *o,
                                       bool *more, gs_err *e);
/* Reads the records of the next step, runs, writes its outputs.  *more false:
 * there was none.  After an error, which names step and input, no step can
 * follow; what the steps before have written is complete.  GS_DATA, GS_IO,
 * what gs_runner_run returns. */
GS_API gs_status gs_runner_step(gs_runner *r, bool *more, gs_err *e);
/* After the last step, or one that failed: files get their names, and the
 * texts a line for each output (name, type, shape, digest of all its records)
 * and one with the number of steps and their times.  *steps: how many were
 * made; may be NULL.  GS_IO, GS_CANTCREATE, on rank 0 alone. */
GS_API gs_status gs_runner_end_steps(gs_runner *r, int64_t *steps, gs_err *e);

/* ---- what was made ------------------------------------------------------- */

/* Adds a line for each output of the last run to the texts: name, type, shape,
 * digest.  With MPI all ranks call it. */
GS_API gs_status gs_runner_describe(gs_runner *r, gs_err *e);
/* What describe, sent, compare, bench and end_steps have said, in their order:
 * lines, or the members of a JSON object.  Stays until the next of those calls.
 */
GS_API const char *gs_runner_text(const gs_runner *r, bool json);

/* ---- several processes --------------------------------------------------- */

/* Whether a launcher of MPI has started this process; how many it says that it
 * has started (0: it does not say), and which one this is. */
GS_API bool gs_mpi_launched(void);
GS_API int gs_mpi_started(int *rank);

/* 1 and 0 without MPI. */
GS_API int gs_runner_ranks(const gs_runner *r);
GS_API int gs_runner_rank(const gs_runner *r);
/* Where it runs; NULL past the last, and without MPI. */
GS_API const char *gs_runner_host(const gs_runner *r, int rank);
/* All ranks, after compile: a line for each rank and what of the host its
 * devices may use: "devices 2 to 3 on rank 1 (hostB), cores 4-7, transport
 * mpi"; rank 0 gets all of them, others none.  It stays until r is freed. */
GS_API gs_status gs_runner_places(gs_runner *r, const char **out, gs_err *e);
/* All ranks: the status of the lowest one that failed, on every rank. */
GS_API gs_status gs_runner_agree(gs_runner *r, gs_status mine, gs_err *e);
/* Whether this rank is the one to tell of the failure that all know of. */
GS_API bool gs_runner_speaks(const gs_runner *r);
/* All ranks: GS_MISMATCH, with the same message everywhere, unless they have
 * the same version of gshard and the same n values; GS_USAGE for more than
 * GS_MAX_ALIKE. */
enum { GS_MAX_ALIKE = 64 };
GS_API gs_status gs_runner_meet(gs_runner *r, const gs_pair *alike, int n,
                                gs_err *e);
/* All ranks, after prepare: the same for what was opened and for all inputs.
 */
GS_API gs_status gs_runner_meet_source(gs_runner *r, gs_err *e);
/* After status s of a run: whether other ranks may wait for this one, so that
 * only gs_runner_abort is left. */
GS_API bool gs_runner_torn(const gs_runner *r, gs_status s);
/* One of such ranks calls say(user) and ends all processes with the code s;
 * does not return. */
GS_API void gs_runner_abort(gs_runner *r, gs_status s, void (*say)(void *user),
                            void *user, gs_err *e);
/* All ranks, last: leaves MPI.  GS_OK without it. */
GS_API gs_status gs_runner_finish(gs_runner *r, gs_err *e);

/* ---- for programs with a terminal ---------------------------------------- */

/* Prints text that may hold names from files: all but line ends that is not
 * printable UTF-8 appears as \xNN. */
GS_API void gs_text_print(FILE *f, const char *text, size_t n);
/* Single-character edits from a to b, at most cap. */
GS_API int gs_edit_distance(const char *a, const char *b, int cap);

typedef enum gs_table {
  GS_TABLE_OPERATORS,      /* a line for each operator */
  GS_TABLE_OPERATORS_JSON, /* an array of objects */
  GS_TABLE_OPERATORS_MAN,  /* in mdoc */
  GS_TABLE_MOVES_MAN,      /* collectives and local moves, in mdoc */
  GS_TABLE_LIMITS_MAN,     /* of models, in mdoc */
  GS_TABLE_STATUSES_MAN,   /* of gs_status, in mdoc */
  GS_TABLE_SPEC_SCHEMA,    /* JSON Schema of gshard-spec(5) */
  GS_TABLE_FEATURES,       /* what was built in, formats, kernels */
  GS_TABLE_MPI             /* its library */
} gs_table;
GS_API void gs_table_print(gs_table t, FILE *f);

/* For a main that owns its process, at its start: from now on the process ends
 * with GS_RESOURCE and a message that begins with `who` when memory or threads
 * run out, in gshard or in a library (SIGABRT, SIGSEGV, exit), and with GS_IO
 * when a mapped file is cut short (SIGBUS); the limit of open files is raised
 * when it is reached; unfinished files are removed by gs_process_clean, at
 * exit and in these handlers.  `who` must stay. */
GS_API void gs_process_own(const char *who);
/* Removes unfinished files; for handlers of signals. */
GS_API void gs_process_clean(void);
/* main is about to return: its exit code is meant. */
GS_API void gs_process_done(void);

#ifdef __cplusplus
}
#endif

#endif
