/* YAML (and so JSON) files as a small tree in which every node knows its
 * place.
 *
 * Scalars are strings; the reader of each key says what it expects, so that
 * an axis called "no" or "on" keeps its name.  Refused: tags, aliases of
 * collections, merge keys, duplicate keys, several documents, NUL bytes, text
 * that is not UTF-8, and whatever exceeds the limits. */
#ifndef GS_IO_YAML_H
#define GS_IO_YAML_H

#include "base/buf.h"
#include "ir/place.h"

typedef enum gs_yaml_kind {
  GS_YAML_SCALAR,
  GS_YAML_LIST,
  GS_YAML_MAP
} gs_yaml_kind;

typedef struct gs_yaml gs_yaml;
struct gs_yaml {
  gs_yaml_kind kind;
  bool quoted;      /* scalar in quotes or a block scalar */
  const char *text; /* scalar: NUL-terminated, without inner NUL */
  GS_VEC(gs_yaml *) item; /* elements, or values of a map */
  GS_VEC(gs_yaml *) key;  /* map: scalars, in the order of the file */
  gs_place at;
};

typedef struct gs_yaml_limits {
  size_t bytes; /* of the file */
  int nodes;
} gs_yaml_limits;

enum { GS_YAML_MAX_DEPTH = 64 };
/* Specs: 1 MiB, 100,000 nodes.  Plans: 64 MiB, 4,000,000 nodes. */
extern const gs_yaml_limits gs_yaml_spec_limits, gs_yaml_plan_limits;

/* Parses n bytes; file is the name for messages.  Errors: GS_DATA.  Cost
 * linear in n. The tree refers to a copy of the text in the arena. */
gs_status gs_yaml_parse(gs_arena *a, const char *file, const char *text,
                        size_t n, const gs_yaml_limits *limits, gs_yaml **out,
                        gs_err *e);
/* The same for a file; "-" is the standard input.  Errors: also GS_NOINPUT
 * and GS_IO. */
gs_status gs_yaml_read(gs_arena *a, const char *path,
                       const gs_yaml_limits *limits, gs_yaml **out, gs_err *e);

/* The value of a key, or NULL. */
const gs_yaml *gs_yaml_get(const gs_yaml *map, const char *key);
/* ~, null, none or nothing at all, unquoted. */
bool gs_yaml_is_null(const gs_yaml *y);
/* An unquoted scalar that equals word. */
bool gs_yaml_is_word(const gs_yaml *y, const char *word);
/* "a list", "a mapping", "'text'" for messages. */
const char *gs_yaml_what(gs_arena *a, const gs_yaml *y);

/* Appends the tree as JSON, which is YAML too: unquoted numbers, true, false
 * and null as such.  A JSON string is quoted, so the bare word `open` of specs
 * becomes {"open": true}. */
void gs_yaml_json(gs_buf *b, const gs_yaml *y);

/* Scalars as the schema wants them; GS_DATA with the accepted form. */
gs_status gs_yaml_int(const gs_yaml *y, int64_t min, int64_t max, int64_t *out,
                      gs_err *e); /* 0 or [1-9][0-9]* */
gs_status gs_yaml_bool(const gs_yaml *y, bool *out, gs_err *e);
gs_status gs_yaml_number(const gs_yaml *y, double *out, gs_err *e);
/* Any scalar but null. */
gs_status gs_yaml_string(const gs_yaml *y, const char **out, gs_err *e);
gs_status gs_yaml_list(const gs_yaml *y, gs_err *e);
gs_status gs_yaml_map(const gs_yaml *y, gs_err *e);

#endif
