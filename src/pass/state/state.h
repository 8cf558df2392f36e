/* State: inputs of a graph that are outputs of the run before.
 *
 * Which they are is said by the spec, by what a model or a plan has recorded,
 * or by the names that exporters give: "present" X or "present_key_values" X
 * becomes "past_key_values" X or "past" X. */
#ifndef GS_PASS_STATE_H
#define GS_PASS_STATE_H

#include "ir/mesh/spec.h"
#include "pass/prepare/infer.h"

typedef struct gs_state {
  int out, in;        /* of the graph's lists */
  int64_t size;       /* of the dim that would grow; 0: none does */
  const gs_place *at; /* in the spec; NULL: not of it */
} gs_state;

typedef struct gs_states {
  int n;
  gs_state *at;
  int filled;   /* the input that counts the places that are filled; -1: none */
  int64_t step; /* how many a run fills; with `filled`, once shapes are known */
} gs_states;

/* Finds the state of g: what the spec says (NULL: nothing), then what was
 * recorded (likewise) of inputs of which it says nothing, then the usual names.
 * GS_SPEC with the place for entries of the spec that match no output or no
 * input, or tensors of other types.  Cost O(outputs * inputs) comparisons of
 * names. */
gs_status gs_pass_states(gs_arena *a, const gs_spec *spec,
                         const gs_states *recorded, const gs_graph *g,
                         gs_states *out, gs_err *e);

/* Whether output and input are of one type and size, as far as that is known
 * with these bindings. */
bool gs_state_fits(const gs_graph *g, const gs_bindings *bind,
                   const gs_state *s);
/* Drops the states of which output and input differ, but for those of the
 * spec, of which GS_SPEC tells.  Shapes are inferred. */
gs_status gs_states_settle(const gs_graph *g, gs_states *s, gs_err *e);

/* How many places all have that have a size; INT64_MAX: none has one. */
int64_t gs_states_size(const gs_states *s);

/* As metadata have it: "SIZE NAME-OF-OUTPUT"; false: it is not this. */
char *gs_state_text(gs_arena *a, const gs_graph *g, const gs_state *s);
bool gs_state_parse(const gs_graph *g, const char *text, gs_state *s);

#endif
