/* Writing and reading plan.yaml. */
#ifndef GS_IO_PLAN_H
#define GS_IO_PLAN_H

#include <stdio.h>

#include "base/buf.h"
#include "ir/mesh/plan.h"

/* Appends the canonical text; sets p->hash, which is its last line. The same
 * plan gives the same bytes. */
void gs_plan_write(gs_buf *b, gs_plan *p);
/* Reads a plan and checks it: version, file names (plain names, as many as
 * the kind wants), unique names, ranks and axes of shardings, hash.
 * Errors: GS_DATA, GS_NOINPUT, GS_IO; GS_UNSUPPORTED for another version;
 * with `verify` GS_MISMATCH when the hash differs: the file was changed by
 * hand.  (*out)->hash is that of what was read in any case. */
gs_status gs_plan_read(gs_arena *a, const char *path, bool verify,
                       gs_plan **out, gs_err *e);
gs_status gs_plan_parse(gs_arena *a, const char *file, const char *text,
                        size_t n, bool verify, gs_plan **out, gs_err *e);

/* Names of the n files that the plan in dir consists of, plan.yaml among them,
 * whatever its version.  None where there is no readable plan.yaml; running
 * out of memory while it is read is an error. */
gs_status gs_plan_owned(gs_arena *a, const char *dir, const char *const **out,
                        int *n, gs_err *e);

/* The JSON Schema, as in schemas/gshard-plan.schema.json. */
void gs_plan_schema(FILE *f);
/* The key lists of gshard-plan(5), in mdoc. */
void gs_plan_manual(gs_buf *b);

#endif
