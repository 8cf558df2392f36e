#include "exec/comm/guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/data/clock.h"

enum { NAP_MS = 100 };

static _Noreturn void end_process(const gs_guard *g) {
  char line[512];
  int n = 0;
  if (g->text)
    n = snprintf(line, sizeof line, "%s: error: %s\n",
                 program_invocation_short_name, g->text);
  if (n > (int)sizeof line - 1) n = (int)sizeof line - 1;
  ssize_t written = n ? write(STDERR_FILENO, line, (size_t)n) : 0;
  (void)written;
  _exit(g->code);
}

static void *watch(void *p) {
  gs_guard *g = p;
  gs_patience patience = {0};
  pthread_mutex_lock(&g->lock);
  while (!g->over) {
    struct timespec until = gs_later(NAP_MS);
    pthread_cond_timedwait(&g->cond, &g->lock, &until);
    if (!g->over && gs_waited(&patience) > g->seconds) end_process(g);
  }
  pthread_mutex_unlock(&g->lock);
  return NULL;
}

gs_status gs_guard_start(gs_guard *g, double seconds, int code,
                         const char *text, gs_err *e) {
  *g = (gs_guard){.seconds = seconds, .code = code, .text = text};
  if (seconds <= 0) return GS_OK;
  pthread_mutex_init(&g->lock, NULL);
  pthread_cond_init(&g->cond, NULL);
  int why = pthread_create(&g->thread, NULL, watch, g);
  if (why)
    return gs_fail(e, GS_RESOURCE, NULL, "a thread cannot be started: %s",
                   strerror(why));
  g->runs = true;
  return GS_OK;
}

void gs_guard_end(gs_guard *g) {
  if (!g->runs) return;
  pthread_mutex_lock(&g->lock);
  g->over = true;
  pthread_cond_signal(&g->cond);
  pthread_mutex_unlock(&g->lock);
  pthread_join(g->thread, NULL);
  g->runs = false;
}
