/* Memory that ranks of a host have in common (gs_world_share makes it): a
 * region of each, which all of them see.  What lies in one is read by the
 * others where it lies.
 *
 * A region takes as much memory as is used of it, and goes with the process
 * however that ends: it has no name. */
#ifndef GS_EXEC_COMMONS_H
#define GS_EXEC_COMMONS_H

#include "exec/comm/meeting.h"
#include "exec/comm/world.h"

typedef struct gs_commons gs_commons;

/* How many ranks share. */
int gs_commons_count(const gs_commons *c);
/* Whether that rank is one of those. */
bool gs_commons_has(const gs_commons *c, int rank);
/* n bytes of zeros on a line, or page, of their own; NULL: there are no more.
 * What gs_commons_give takes back may be given again at once. */
void *gs_commons_take(gs_commons *c, size_t n);
void gs_commons_give(gs_commons *c, void *p);
/* Whether n bytes at p are in the region of this rank. */
bool gs_commons_holds(const gs_commons *c, const void *p, size_t n);
/* What that rank has at p, as this one sees it. */
const void *gs_commons_see(const gs_commons *c, int rank, const void *p);
/* The meeting of n members that all who give the same key find; NULL: there is
 * no room for more.  Nobody waits for another to make it. */
gs_meeting *gs_commons_meeting(gs_commons *c, const uint64_t key[2], int n);

#endif
