/* Ranged exchanges, one place after another: what tests compare with. */
#ifndef GS_TESTS_EXCHANGE_MODEL_H
#define GS_TESTS_EXCHANGE_MODEL_H

#include "ir/mesh/exchange.h"

/* lo to hi; *state is not 0. */
int64_t model_any(uint32_t *state, int64_t lo, int64_t hi);

/* An element of a source, or the fill (source -1), or what nobody wants. */
typedef struct model_place {
  int64_t giver; /* device position; -1: its own copy */
  int source;
  int64_t elem;
  bool wanted;
} model_place;

/* What place j of device position p holds. */
model_place model_place_of(const gs_mesh *mesh, const gs_exchange *x, int64_t p,
                           int64_t j);

/* Some sub-axes of the mesh, of one device order, one after another in any
 * way. */
gs_axes model_axes(uint32_t *state, const gs_mesh *mesh);
/* Small numbers of all kinds, with at most 4 sources and 40 places; some are
 * no exchange (gs_exchange_check). */
gs_exchange model_exchange(uint32_t *state, const gs_mesh *mesh,
                           gs_exchange_source s[4]);

#endif
