#include "base/jump.h"

#include <stddef.h>
#include <string.h>

static _Thread_local gs_jump *last;

void gs_jump_push(gs_jump *x) {
  x->outer = last;
  last = x;
}

void gs_jump_pop(gs_jump *x) { last = x->outer; }

gs_jump *gs_jump_last(void) { return last; }

void gs_jump_now(const char *text) {
  gs_jump *x = last;
  if (!x) return;
  strncpy(x->text, text, sizeof x->text - 1);
  x->text[sizeof x->text - 1] = 0;
  longjmp(x->at, 1);
}
