/* Hash map from strings to pointers, iterated in order of insertion. */
#ifndef GS_BASE_MAP_H
#define GS_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "gshard.h" /* gs_edit_distance */

typedef struct gs_map_entry {
  const char *key; /* NUL-terminated, owned by the arena */
  void *value;
  uint64_t hash;
} gs_map_entry;

typedef struct gs_map {
  gs_arena *arena;
  gs_map_entry *entry; /* in order of insertion */
  int n, cap;
  int32_t *slot; /* open addressing: entry index + 1, 0 = free */
  int nslot;     /* power of two */
} gs_map;

void gs_map_init(gs_map *m, gs_arena *a);
/* The value stored under key, or NULL. */
void *gs_map_get(const gs_map *m, const char *key);
bool gs_map_has(const gs_map *m, const char *key);
/* Stores a value, replacing an older one; copies a new key. */
void gs_map_put(gs_map *m, const char *key, void *value);

/* The best of a few candidates for a misspelt word; best stays NULL when all
 * are too far from it. */
typedef struct gs_nearest {
  const char *word, *best;
  int distance;
} gs_nearest;
gs_nearest gs_nearest_to(const char *word);
void gs_nearest_try(gs_nearest *n, const char *candidate);

#endif
