#include "api/call.h"

#include <stdlib.h>

gs_status gs_options_take(void *to, size_t n, const void *from,
                          const char *what, gs_err *e) {
  size_t size = 0;
  memset(to, 0, n);
  if (from) memcpy(&size, from, sizeof size);
  if (from && (size < sizeof size || size > n))
    return gs_fail(e, GS_USAGE, NULL,
                   "%s.size is %zu, not sizeof(%s) of a gshard.h up to "
                   "version %s", what, size, what, gs_version());
  if (from) memcpy(to, from, size);
  return GS_OK;
}

void *gs_object_new(size_t n, gs_err *e) {
  void *p = calloc(1, n);
  if (!p) gs_err_no_memory(e, "out of memory");
  return p;
}
