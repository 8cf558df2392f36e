/* From a model file to a graph that passes can work on. */
#ifndef GS_API_LOAD_H
#define GS_API_LOAD_H

#include "io/onnx/model.h"
#include "pass/segments/segments.h"
#include "pass/state/state.h"

typedef struct gs_loaded {
  gs_model *model;
  gs_graph *graph; /* newest opset, shapes inferred, constants folded */
  gs_mesh *mesh;   /* of the annotations in the model; NULL: none */
  gs_shard_audit audit; /* set by gs_load_shardings */
  gs_bindings bind;
  gs_states state; /* of which output and input agree */
  gs_states tied;  /* those, and others that are found by their names */
  bool stacked; /* by gs_load_stack, as the model was when it was annotated */
  int64_t capacity; /* with this one; 0: none given */
  bool cut;     /* by gs_pass_segments, likewise */
  gs_segment_list segments; /* by gs_pass_segments_given, before that */
} gs_loaded;

/* Metadata of models whose annotations are of stacked branches: the nodes of
 * the file are those before.  "true", or the capacity. */
#define GS_KEY_STACK "gshard.stack"
/* The same of packed products that were cut (gs_pass_segments): "true", and the
 * lines of gs_segments_text if there were some given. */
#define GS_KEY_SEGMENTS "gshard.segments"
/* Metadata of an input that is an output of the run before (gs_state_text). */
#define GS_KEY_STATE "gshard.state"
/* Of a program's input that counts the places of its state that are filled:
 * how many a run adds. */
#define GS_KEY_FILLED "gshard.filled"

/* The state that the metadata of m say of g, of which nothing is known of other
 * inputs. */
void gs_load_states(gs_arena *a, const gs_model *m, const gs_graph *g,
                    gs_states *out);

/* Reads, imports and upgrades a model;
 * `verify`: checks what the import leaves, as the passes do theirs.
 * GS_NOINPUT, GS_DATA, GS_UNSUPPORTED. */
gs_status gs_load_model(gs_arena *a, const char *path, bool verify,
                        gs_loaded *out, gs_err *e);
/* Then finds its state (of `spec`, which may be NULL, and of the model's
 * metadata), binds its symbolic dims (the model's own gshard.bind first, then
 * `more`, which may be NULL), infers, and stacks what the annotations are of.
 * GS_DATA, GS_UNSUPPORTED, GS_SPEC (unbound dims). */
gs_status gs_load_bind(gs_arena *a, const gs_bindings *more,
                       const gs_spec *spec, gs_loaded *out, gs_err *e);

typedef struct gs_stacking {
  int weights;  /* that were stacked */
  double taken; /* part of the places of rows that data fill, where each element
                   of what masks are made of is in one branch, as a token's
                   expert is; 1 without such places */
} gs_stacking;

/* Gives rows places (gs_pass_rows) and stacks branches (gs_pass_stack).  Where
 * there are none, g is as it was. */
gs_status gs_load_stack(gs_graph *g, int64_t capacity, gs_stacking *out,
                        gs_err *e);

/* Adds the shardings that the model carries, and their mesh, to the graph: of
 * a configuration of the standard fields when that is not NULL. */
gs_status gs_load_shardings(gs_arena *a, gs_loaded *l,
                            const char *configuration, gs_err *e);

/* The status of each kind of loss; GS_OK: it is a warning. */
typedef struct gs_loss_policy {
  bool replaced;     /* a spec says again what is lost: nothing is told */
  gs_status lost;    /* all shardings */
  gs_status partial; /* some */
  gs_status differ;  /* the standard fields were edited */
  gs_status missing; /* or dropped in part */
} gs_loss_policy;

/* Says what has become of the annotations since they were written. */
gs_status gs_load_judge(const gs_loaded *l, const gs_loss_policy *p,
                        gs_err *e);

#endif
