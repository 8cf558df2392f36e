/* States of the reshard search: which axes split which dim.
 *
 * They are lists of units: sub-axes where these are few, else runs of them that
 * the source and the target keep together, so that the search does not grow
 * with the number of devices. */
#ifndef GS_PASS_RESHARD_STATE_H
#define GS_PASS_RESHARD_STATE_H

#include "ir/mesh/sharding.h"

enum { GS_MAX_UNITS = GS_MAX_SUBS };

typedef struct gs_units {
  const gs_mesh *m;
  int rank;
  const int64_t *dims;
  int n;
  gs_axes axes[GS_MAX_UNITS];
  int64_t size[GS_MAX_UNITS];
} gs_units;

/* The units that split each dim, major first, dim after dim. */
typedef struct gs_state {
  uint8_t n[GS_MAX_RANK];
  uint8_t unit[GS_MAX_UNITS];
  uint32_t partial; /* units not reduced yet */
} gs_state;

/* The units of two shardings of u->m, u->rank, and of `more` axes that neither
 * may use. */
void gs_units_find(gs_units *u, const gs_sharding *from, const gs_sharding *to,
                   gs_subset more);
/* Each sub-axis of a set a unit of its own. */
void gs_units_each(gs_units *u, gs_subset axes);
/* The axes of a set of units, in the order of the units. */
gs_axes gs_units_axes(const gs_units *u, uint32_t set);

gs_state gs_state_of(const gs_units *u, const gs_sharding *s);
/* The sharding of a state; partial values are reduced as `like` says. */
gs_sharding *gs_state_sharding(gs_arena *a, const gs_units *u,
                               const gs_state *st, const gs_sharding *like);
bool gs_state_equal(const gs_units *u, const gs_state *a, const gs_state *b);

/* The units of dim d. */
const uint8_t *gs_state_at(const gs_state *st, int d);
/* Adds a unit to dim d, as its minor one. */
void gs_state_append(gs_state *st, int d, int unit);
/* Keeps the first k units of dim d. */
void gs_state_cut(gs_state *st, int d, int k);
/* Units that split a dim. */
uint32_t gs_state_used(const gs_units *u, const gs_state *st);
/* Blocks that the first k units of dim d make of it. */
int64_t gs_state_shards(const gs_units *u, const gs_state *st, int d, int k);
/* Elements of a block of dim d. */
int64_t gs_state_block(const gs_units *u, const gs_state *st, int d);
/* Can the units of dim d from position k on be dropped or added? */
bool gs_state_nests(const gs_units *u, const gs_state *st, int d, int k);

#endif
