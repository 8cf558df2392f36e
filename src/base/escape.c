#include "base/escape.h"

#include <string.h>

gs_escape *gs_escape_enter(gs_escape *x, gs_blocks *blocks) {
  x->blocks = gs_blocks_use(blocks);
  x->busy = gs_busy_with(NULL);
  x->nlock = 0;
  gs_jump_push(&x->jump);
  return x;
}

void gs_escape_leave(gs_escape *x) {
  gs_jump_pop(&x->jump);
  gs_blocks_use(x->blocks);
  gs_busy_with(x->busy);
}

gs_status gs_escape_caught(gs_escape *x, gs_err *e) {
  while (x->nlock) pthread_mutex_unlock(x->lock[--x->nlock]);
  gs_library_leave();
  gs_escape_leave(x);
  gs_err_no_memory(e, x->jump.text);
  return GS_RESOURCE;
}

void gs_err_no_memory(gs_err *e, const char *text) {
  if (!e) return;
  if (e->first == GS_OK) e->first = GS_RESOURCE;
  strncpy(e->reserve, text, sizeof e->reserve - 1);
  if (e->n == GS_MAX_DIAGS) e->dropped++;
  else e->diag[e->n++] = (gs_diag){.code = GS_RESOURCE, .text = e->reserve};
}

static gs_escape *innermost(void) { return (gs_escape *)gs_jump_last(); }

void gs_lock(pthread_mutex_t *m) {
  pthread_mutex_lock(m);
  gs_escape *x = innermost();
  if (x && x->nlock < GS_MAX_LOCKS) x->lock[x->nlock++] = m;
}

void gs_unlock(pthread_mutex_t *m) {
  gs_escape *x = innermost();
  if (x && x->nlock && x->lock[x->nlock - 1] == m) x->nlock--;
  pthread_mutex_unlock(m);
}
