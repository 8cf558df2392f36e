/* What the ranks of an MPI job must have alike before they may talk about
 * anything else. */
#ifndef GS_TOOLS_RUN_RANKS_H
#define GS_TOOLS_RUN_RANKS_H

#include "run_source.h"

/* All ranks, first of all: the same version of the program, and the same
 * options where the table says so.  GS_MISMATCH, with the same message on
 * every rank, names the rank that differs and in what. */
gs_status gs_ranks_meet(const gs_cli *c, gs_world *w, gs_err *e);
/* All ranks, with all inputs there: the same plan, graphs and weights (the
 * digest of gs_source_digest) and the same contents of inputs, on a number of
 * ranks that fits.  Hashes all inputs. */
gs_status gs_ranks_source(gs_world *w, const gs_source *s, uint64_t plan,
                          gs_err *e);
/* What of MPI was built in, for --version. */
void gs_ranks_built(FILE *f);

#endif
