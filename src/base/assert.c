#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void gs_assert_failed(const char *file, int line, const char *function,
                      const char *condition) {
  fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function,
          condition);
  abort();
}
