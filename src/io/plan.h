/* Writing and reading plan.yaml. */
#ifndef GS_IO_PLAN_H
#define GS_IO_PLAN_H

#include <stdio.h>

#include "base/buf.h"
#include "ir/plan.h"

/* Appends the canonical text; sets p->hash, which is its last line. The same
 * plan gives the same bytes. */
void gs_plan_write(gs_buf *b, gs_plan *p);
/* Reads a plan and checks it: version, file names (plain names, as many as
 * the kind wants), unique names, ranks and axes of shardings, hash.
 * Errors: GS_DATA, GS_NOINPUT, GS_IO; GS_UNSUPPORTED for another version;
 * GS_MISMATCH when the hash differs: the file was changed by hand. */
gs_status gs_plan_read(gs_arena *a, const char *path, gs_plan **out,
                       gs_err *e);
gs_status gs_plan_parse(gs_arena *a, const char *file, const char *text,
                        size_t n, gs_plan **out, gs_err *e);

/* Hash of a weights file, 1 MiB at a time: begin with h = 0 and give every
 * piece in order. */
uint64_t gs_plan_hash_bytes(uint64_t h, const void *p, size_t n);

/* The JSON Schema, as in schemas/gshard-plan.schema.json. */
void gs_plan_schema(FILE *f);
/* The key lists of gshard-plan(5), in mdoc. */
void gs_plan_manual(gs_buf *b);

#endif
