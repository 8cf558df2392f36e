/* Between dims and factors: the projections on which propagation and
 * partitioning work (Shardy's sharding projection over GShard's idea). */
#ifndef GS_PASS_PROJECT_H
#define GS_PASS_PROJECT_H

#include "op/core/op.h"

/* Which factors a node's axes are assigned to: axes[f] for factor f. */
typedef struct gs_assignment {
  gs_axes axis[GS_MAX_FACTORS];
} gs_assignment;

/* Assignments have kilobytes; these only what the factors of r need, so that
 * they must not be copied as a whole. */
gs_assignment *gs_assignment_new(gs_arena *a, const gs_rule *r);
gs_assignment *gs_assignment_copy(gs_arena *a, const gs_rule *r,
                                  const gs_assignment *as);

/* Reads the axes of each factor off one operand or result.  A dim of several
 * factors gives its axes to the major factor while they divide it, then to
 * the next.  Where they do not divide so, they all go to the flat factor, if
 * the dim has one, or, of a rule that is `uneven`, to the major one, if that
 * has as many elements; else what cannot be given is left out.  Factors that t
 * does not have keep what `out` holds. */
void gs_project(const gs_mesh *m, const gs_rule *r, const gs_tensor_map *t,
                const gs_sharding *s, gs_assignment *out);

/* Whether a dim with these factors could give away all of these axes so. */
bool gs_project_fits(const gs_mesh *m, const gs_rule *r, const gs_dim_map *map,
                     const gs_axes *axes);

/* The same, but a dim gives all its axes to its major factor, even where they
 * do not divide it: for rules that are `uneven`. */
void gs_project_major(const gs_tensor_map *t, const gs_sharding *s,
                      gs_assignment *out);

/* The sharding that t has under an assignment, without partial axes.  The
 * assignment must be legal (gs_assignment_legalise). */
gs_sharding *gs_unproject(gs_arena *a, const gs_tensor_map *t,
                          const gs_assignment *as);

/* The same, with windows for dims of these sizes whose major factor is split
 * unevenly: blocks of whole elements of it, not of ceil(n / devices). */
gs_form gs_unproject_form(gs_arena *a, const gs_mesh *m, const gs_rule *r,
                          const gs_tensor_map *t, const gs_assignment *as,
                          const int64_t *dims);

/* Shortens axis lists until every tensor of the rule can carry them: no axis
 * on two factors, nor axes of two device orders (the first keeps it), none on
 * GS_WHOLE factors, and in dims of several factors only even splits in which a
 * factor is split once those major to it are split completely; where the rule
 * is `uneven` the major one may be split in any way. */
void gs_assignment_legalise(const gs_mesh *m, const gs_rule *r,
                            gs_assignment *as);

/* Adds the axes of `from` that are not in *used yet to factor f, if they
 * continue what it has; those that then cannot be given any more join *used.
 * Nothing where the factor must be whole. */
void gs_assignment_grant(const gs_mesh *m, const gs_rule *r, gs_assignment *as,
                         int f, const gs_axes *from, gs_subset *used);

/* Axes of the split summed factors: the result is partial over them. */
gs_subset gs_assignment_partial(const gs_rule *r, const gs_assignment *as);
/* How they combine: factors that give partial results share a reduction. */
gs_reduce gs_assignment_reduce(const gs_rule *r, const gs_assignment *as);

/* Every operand, then every result: their maps and values, one after another;
 * slots of absent operands have value NULL. */
typedef struct gs_slot {
  const gs_tensor_map *map;
  gs_value *value;
  bool result;
  int index;
} gs_slot;
int gs_slots(const gs_node *n, const gs_rule *r, gs_slot *slot, int max);
/* Slot number s alone. */
gs_slot gs_slot_at(const gs_node *n, const gs_rule *r, int s);



#endif
