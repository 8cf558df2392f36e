/* Who talks to whom: groups of collectives and targets of permutations. */
#ifndef GS_EXEC_GROUP_H
#define GS_EXEC_GROUP_H

#include "exec/comm/comm.h"
#include "ir/graph/graph.h"

/* The group of a collective node on device position p: attribute `group`
 * where present, else the devices that differ from p in `axes` only.
 * mesh may be NULL when `group` is given.  Cost O(members). */
gs_status gs_group_of(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                      int64_t p, gs_group *g, gs_err *e);

/* The same for many devices and nodes: the groups along axes are made once for
 * all of their members.  Starts as zeros but for `arena`, and for device
 * positions in [first, first + n). */
typedef struct gs_groups {
  gs_arena *arena;
  int64_t first, n;
  struct gs_known_group **of; /* [n] lists */
} gs_groups;
gs_status gs_groups_of(gs_groups *all, const gs_node *n, const gs_mesh *mesh,
                       int64_t p, gs_group *g, gs_err *e);

/* The device whose block p holds after resharding `from` to `to`: its index
 * over each dim's axes under `from` is p's under `to`; freed axes take their
 * place from the newly used ones; between two device orders, all other axes of
 * the one from all others of the other (a bijection).  GS_UNSUPPORTED when the
 * shardings do not have the same number of blocks. */
gs_status gs_permute_source(const gs_mesh *mesh, const gs_sharding *from,
                            const gs_sharding *to, int64_t p, int64_t *source,
                            gs_err *e);

/* Source and target of a permutation on device p: attributes
 * `source` and `target` where present, else from `from` and `to`. */
gs_status gs_permute_of(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                        int64_t p, int64_t *to, int64_t *from, gs_err *e);

#endif
