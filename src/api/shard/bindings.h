/* Several bindings of a model: sets of sizes of its symbolic dims, for each of
 * which a plan has a program.
 *
 * They have one sharding: that of the first, which all others get by the names
 * of tensors.  So weights and state are cut alike for all of them. */
#ifndef GS_API_BINDINGS_H
#define GS_API_BINDINGS_H

#include "api/shard/load.h"
#include "io/spec/spec_io.h"

/* Model metadata: "[NAME]", and a line "DIM=N" for each of its sizes. */
#define GS_KEY_BINDINGS "gshard.bindings"

typedef struct gs_binding {
  const char *name;
  gs_bindings size;
} gs_binding;

typedef struct gs_binding_list {
  int n; /* 1: the model has one size */
  gs_binding *at;
} gs_binding_list;

/* What spec and options ("NAME=N", or "NAME=N,N.." with a size for each) say;
 * options replace what the spec says.  Without names of the spec, a binding is
 * called after its sizes.  GS_USAGE: options of different lengths. */
gs_status gs_bindings_given(gs_arena *a, const gs_spec *spec,
                            const char *const *option, int n,
                            gs_binding_list *out, gs_err *e);
/* Adds those of the model's metadata, where none or one is given: what is given
 * holds for each.  GS_DATA. */
gs_status gs_bindings_of_model(gs_arena *a, const gs_model *m,
                               gs_binding_list *b, gs_err *e);
/* Whether dim `name` has one size, as far as they say. */
bool gs_bindings_agree(const gs_binding_list *b, const char *name);
/* Records them, or that there is one. */
void gs_bindings_record(gs_arena *a, gs_model *m, const gs_binding_list *b);

/* Gives tensors, uses and nodes of `to` the shardings and rules of those of
 * the same names in `from`.  Cost O(values + nodes). */
void gs_bindings_share(const gs_graph *from, gs_graph *to);
/* Whether the two, of bindings a and b, have the same inputs, outputs and
 * state, but for sizes of inputs and outputs that are no state.  GS_SPEC. */
gs_status gs_bindings_alike(const gs_loaded *x, const char *a,
                            const gs_loaded *y, const char *b, gs_err *e);

#endif
