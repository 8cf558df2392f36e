#include "progress.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct gs_line {
  pthread_t thread;
  pthread_mutex_t lock; /* of all that follows */
  pthread_cond_t wake;
  const char *who, *what; /* what NULL: nothing to say */
  double since;           /* when that began */
  bool shown, stop;
  gs_progress *progress;
};

enum { PERIOD_MS = 250 };
static const double patience = 1; /* seconds before the line appears */

static void put(const char *s, size_t n) {
  while (n) {
    ssize_t k = write(STDERR_FILENO, s, n);
    if (k <= 0) return; /* nothing depends on it */
    s += k;
    n -= (size_t)k;
  }
}

static void erase(gs_line *l) {
  static const char text[] = "\r\033[K";
  if (l->shown) put(text, sizeof text - 1);
  l->shown = false;
}

/* Columns of the terminal; a line that is longer could not be erased. */
static int columns(void) {
  struct winsize w;
  return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col ? w.ws_col : 80;
}

static void draw(gs_line *l) {
  enum { MAX = 1024 };
  char far[64], text[MAX], line[MAX + 16];
  gs_progress_text(l->progress, far, sizeof far);
  snprintf(text, sizeof text, "%s: %s%s", l->who, l->what, *far ? far : "...");
  int n = snprintf(line, sizeof line, "\r%.*s\033[K", columns() - 1, text);
  put(line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
  l->shown = true;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The time in a period, for the timed wait. */
static struct timespec later(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += PERIOD_MS * 1000000L;
  if (t.tv_nsec >= 1000000000L) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000L;
  }
  return t;
}

static void *watch(void *user) {
  gs_line *l = user;
  pthread_mutex_lock(&l->lock);
  while (!l->stop) {
    struct timespec then = later();
    pthread_cond_timedwait(&l->wake, &l->lock, &then);
    if (!l->stop && l->what && now() - l->since >= patience) draw(l);
  }
  pthread_mutex_unlock(&l->lock);
  return NULL;
}

void gs_line_start(gs_cli *c) {
  const char *term = getenv("TERM");
  if (c->quiet || c->json || !isatty(STDERR_FILENO) || !term ||
      !strcmp(term, "dumb"))
    return;
  gs_line *l = gs_cli_alloc(c, sizeof *l);
  l->progress = gs_progress_new();
  if (!l->progress) return;
  l->who = c->tool->name;
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->wake, NULL);
  sigset_t all, before; /* signals are for the threads that work */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int why = pthread_create(&l->thread, NULL, watch, l);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (why) gs_progress_delete(l->progress);
  else c->line = l;
}

void gs_line_stop(gs_cli *c) {
  gs_line *l = c->line;
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  l->stop = true;
  erase(l);
  pthread_cond_signal(&l->wake);
  pthread_mutex_unlock(&l->lock);
  pthread_join(l->thread, NULL);
  pthread_cond_destroy(&l->wake);
  pthread_mutex_destroy(&l->lock);
  gs_progress_delete(l->progress);
  c->line = NULL;
}

void gs_line_erase(const gs_cli *c) {
  gs_line *l = c->line;
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  erase(l);
  pthread_mutex_unlock(&l->lock);
}

/* what NULL: the end. */
static void set(const gs_cli *c, const char *what) {
  gs_line *l = c->line;
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  erase(l);
  l->what = c->silent ? NULL : what;
  l->since = now();
  gs_progress_reset(l->progress);
  pthread_mutex_unlock(&l->lock);
}

void gs_cli_begin(const gs_cli *c, const char *what) { set(c, what); }
void gs_cli_end(const gs_cli *c) { set(c, NULL); }

gs_progress *gs_cli_progress(const gs_cli *c) {
  return c->line ? c->line->progress : NULL;
}
