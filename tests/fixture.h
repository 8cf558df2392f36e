/* What many tests in C have: an arena and errors for each test, a folder for
 * those that write files. */
#ifndef GS_TESTS_FIXTURE_H
#define GS_TESTS_FIXTURE_H

#include "io/onnx/onnx_model.h"
#include "suite.h"

extern gs_arena arena;
extern gs_err err;

/* For tcase_add_checked_fixture(); the second pair has a folder too. */
void setup(void);
void teardown(void);
void setup_dir(void);
void teardown_dir(void);

/* A path in the folder; in the arena, as is what the following return. */
const char *in_dir(const char *name);
const uint8_t *get_file(const char *path, size_t *n);
/* All diagnostics as one text. */
const char *messages(void);

/* What must succeed. */
gs_model *read_bytes(const void *p, size_t n);
gs_graph *import(gs_model *m);
gs_graph *open_graph(const char *path, gs_model **m);
/* The base model, every value with this sharding. */
gs_graph *annotated(gs_model **m, const char *mesh_text, const char *sharding);

#endif
