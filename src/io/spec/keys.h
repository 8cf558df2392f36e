/* Tables of keys: what a mapping of a spec or a plan may hold.
 *
 * One table drives the reading, the hints for unknown keys, the JSON Schema
 * and the key list of the man page, so that these cannot disagree. */
#ifndef GS_IO_KEYS_H
#define GS_IO_KEYS_H

#include "base/buf.h"
#include "io/spec/yaml.h"

typedef struct gs_key gs_key;

typedef struct gs_reader {
  gs_arena *arena;
  gs_err *err;
  void *root; /* what is being read into: gs_spec, gs_plan */
} gs_reader;

/* Reads the value of key k into the struct `into` of the mapping. */
typedef gs_status gs_key_fn(gs_reader *r, const gs_yaml *v, const gs_key *k,
                            void *into);

struct gs_key {
  const char *name;
  gs_key_fn *fn;      /* NULL: known, but GS_UNSUPPORTED in this version */
  size_t offset;      /* of the field, for the readers below */
  const void *arg;    /* more for fn: words, or the table of a mapping */
  const char *schema; /* JSON Schema of the value; NULL: from fn and arg */
  const char *doc;    /* a sentence; may hold no mdoc macros */
  bool required;
};

typedef struct gs_keys {
  const char *name; /* under "$defs" */
  const char *what; /* "a rule", for messages */
  int n;
  const gs_key *key;
} gs_keys;

/* Reads a mapping.  Goes on after a bad key to report the others too; returns
 * the first error.  GS_DATA for an unknown or missing key. */
gs_status gs_keys_read(gs_reader *r, const gs_yaml *v, const gs_keys *t,
                       void *into);
/* Fails with GS_DATA, naming the nearest of the words. */
gs_status gs_unknown_word(gs_reader *r, const gs_yaml *v, const char *what,
                          const char *const *words);

gs_key_fn gs_key_bool;   /* bool */
gs_key_fn gs_key_int;    /* int64_t, >= 0 */
gs_key_fn gs_key_count; /* int64_t, >= 1 */
gs_key_fn gs_key_bytes;  /* int64_t, >= 1; see base/data/bytes.h */
gs_key_fn gs_key_text;   /* const char * */
gs_key_fn gs_key_word;   /* int: index in arg, a NULL-terminated list */
gs_key_fn gs_key_number; /* double, > 0 */
gs_key_fn gs_key_ints;   /* gs_int_list */
gs_key_fn gs_key_tables; /* GS_VEC of structs; arg: a gs_key_list */

/* A list of mappings.  Each begins as zeros, with its place where it has room
 * for it, and is read by `keys`; `check`, if any, sees it then. */
typedef struct gs_key_list {
  const gs_keys *keys;
  size_t size;     /* of an element */
  ptrdiff_t place; /* of its gs_place; -1: it has none */
  gs_status (*check)(gs_reader *r, const void *element);
} gs_key_list;

typedef struct gs_int_list {
  int n;
  int64_t *at;
} gs_int_list;

/* Prints a JSON Schema (draft 2020-12) of which t[0] is the root. `more` is
 * JSON text of further definitions ("\"a\": {...}"), or NULL. */
void gs_keys_schema(gs_buf *b, const char *id, const char *title,
                    const gs_keys *const *t, int n, const char *more);
/* Prints the keys as mdoc lists, one subsection per table. */
void gs_keys_mdoc(gs_buf *b, const gs_keys *const *t, int n);

#endif
