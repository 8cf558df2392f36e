/* Reading sharding specifications: gshard-spec(5). */
#ifndef GS_IO_SPEC_H
#define GS_IO_SPEC_H

#include <stdio.h>

#include "base/buf.h"
#include "ir/mesh/spec.h"

/* An empty spec with the default options. */
void gs_spec_init(gs_spec *s, gs_arena *a);
/* Adds a file ("-": standard input) or text to the spec.  Later files add
 * rules after those of earlier ones; a mesh, devices and binds must agree with
 * what was said before, an option replaces it.
 * Errors: GS_DATA, GS_UNSUPPORTED, GS_NOINPUT, GS_IO; up to GS_MAX_DIAGS are
 * told before the first is returned. */
gs_status gs_spec_read(gs_spec *s, const char *path, gs_err *e);
gs_status gs_spec_parse(gs_spec *s, const char *file, const char *text,
                        size_t n, gs_err *e);
/* The mesh given on the command line: "dp=2,tp=4", or "8" for devices: 8. It
 * replaces what the spec says. */
gs_status gs_spec_set_mesh(gs_spec *s, const char *text, gs_err *e);
/* "batch=16": --bind. */
gs_status gs_spec_set_bind(gs_spec *s, const char *text, gs_err *e);
/* The size bound to a symbolic dim, or -1. */
int64_t gs_spec_bound(const gs_spec *s, const char *name);

/* The JSON Schema of the format, as in schemas/gshard-spec.schema.json. */
void gs_spec_schema(FILE *f);
/* The key lists of gshard-spec(5), in mdoc. */
void gs_spec_manual(gs_buf *b);

#endif
