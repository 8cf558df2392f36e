#include "base/data/map.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/math.h"

void gs_map_init(gs_map *m, gs_arena *a) { *m = (gs_map){.arena = a}; }

static int find(const gs_map *m, const char *key, uint64_t hash) {
  if (!m->nslot) return -1;
  for (uint64_t i = hash;; i++) {
    int32_t s = m->slot[i & (uint64_t)(m->nslot - 1)];
    if (!s) return -1;
    const gs_map_entry *e = &m->entry[s - 1];
    if (e->hash == hash && !strcmp(e->key, key)) return s - 1;
  }
}

static void insert_slot(gs_map *m, uint64_t hash, int index) {
  uint64_t i = hash;
  while (m->slot[i & (uint64_t)(m->nslot - 1)]) i++;
  m->slot[i & (uint64_t)(m->nslot - 1)] = index + 1;
}

static void grow(gs_map *m) {
  m->entry = gs_vec_grow(m->arena, m->entry, m->n, &m->cap, sizeof *m->entry);
  m->nslot = m->cap * 2;
  gs_assert((m->nslot & (m->nslot - 1)) == 0 && m->n < m->nslot);
  m->slot = GS_NEWS(m->arena, m->nslot, int32_t);
  for (int i = 0; i < m->n; i++) insert_slot(m, m->entry[i].hash, i);
}

void *gs_map_get(const gs_map *m, const char *key) {
  int i = find(m, key, gs_hash(key, strlen(key), 0));
  return i < 0 ? NULL : m->entry[i].value;
}

bool gs_map_has(const gs_map *m, const char *key) {
  return find(m, key, gs_hash(key, strlen(key), 0)) >= 0;
}

void gs_map_put(gs_map *m, const char *key, void *value) {
  uint64_t hash = gs_hash(key, strlen(key), 0);
  int i = find(m, key, hash);
  if (i >= 0) {
    m->entry[i].value = value;
    return;
  }
  gs_assert(m->arena);
  if (m->n == m->cap) grow(m);
  m->entry[m->n] = (gs_map_entry){gs_strdup(m->arena, key), value, hash};
  insert_slot(m, hash, m->n++);
}

int gs_edit_distance(const char *a, const char *b, int cap) {
  enum { MAX = 64 };
  gs_assert(cap >= 0);
  size_t na = strlen(a), nb = strlen(b);
  if (na > MAX || nb > MAX) return cap;
  int row[MAX + 1];
  for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
  for (size_t i = 1; i <= na; i++) {
    int diagonal = row[0];
    row[0] = (int)i;
    for (size_t j = 1; j <= nb; j++) {
      int best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return (int)gs_min(row[nb], cap);
}

gs_nearest gs_nearest_to(const char *word) {
  int limit = (int)(strlen(word) / 3) + 2;
  return (gs_nearest){.word = word, .distance = limit > 4 ? 4 : limit};
}

void gs_nearest_try(gs_nearest *n, const char *candidate) {
  int d = gs_edit_distance(n->word, candidate, n->distance);
  if (d < n->distance) {
    n->distance = d;
    n->best = candidate;
  }
}
