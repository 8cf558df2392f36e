/* What the ranks of an MPI job must have alike before they may talk about
 * anything else. */
#ifndef GS_API_RUN_RANKS_H
#define GS_API_RUN_RANKS_H

#include "api/run/run_source.h"

/* All ranks, first of all: the same version of the library, and the same n
 * values (at most GS_MAX_ALIKE).  GS_MISMATCH, with the same message on
 * every rank, names the rank that differs and in what. */
gs_status gs_ranks_meet(gs_world *w, const gs_pair *alike, int n, gs_err *e);
/* All ranks, with all inputs there: the same plan, graphs and weights (the
 * digest of gs_source_digest) and the same contents of inputs, on a number of
 * ranks that fits.  Hashes all inputs. */
gs_status gs_ranks_source(gs_world *w, const gs_source *s, uint64_t plan,
                          gs_err *e);
/* What of MPI was built in, for --version. */
void gs_ranks_built(FILE *f);

#endif
