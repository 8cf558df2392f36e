/* gs_exchange; see exchange.h. */
#include "ir/mesh/exchange.h"

#include <string.h>

const char *gs_fill_text(gs_fill f) {
  static const char *const text[GS_NFILL] = {
#define X(name, text_) [GS_FILL_##name] = text_,
      GS_FILLS(X)
#undef X
  };
  return text[f];
}

bool gs_fill_parse(const char *s, gs_fill *f) {
  for (int i = 0; i < GS_NFILL; i++) {
    if (strcmp(s, gs_fill_text((gs_fill)i))) continue;
    *f = (gs_fill)i;
    return true;
  }
  return false;
}
