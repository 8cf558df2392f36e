#include "ir/graph/module.h"

#include <string.h>

const char *gs_module_of_scopes(gs_arena *a, const char *text) {
  const char *begin[2] = {NULL, NULL}; /* of the last two elements */
  size_t length[2] = {0, 0};
  for (const char *s = text ? strchr(text, '\'') : NULL; s;) {
    const char *end = strchr(s + 1, '\'');
    if (!end) return NULL;
    begin[0] = begin[1];
    length[0] = length[1];
    begin[1] = s + 1;
    length[1] = (size_t)(end - s - 1);
    s = strchr(end + 1, '\'');
  }
  return begin[0] ? gs_strndup(a, begin[0], length[0]) : NULL;
}

const char *gs_node_module(gs_arena *a, const gs_node *n) {
  if (n->module) return n->module;
  const char *from = n->name, *end = strrchr(from, '/');
  while (*from == '/') from++;
  if (!end || end <= from) return "";
  char *path = gs_strndup(a, from, (size_t)(end - from));
  for (char *s = path; *s; s++)
    if (*s == '/') *s = '.';
  return path;
}
