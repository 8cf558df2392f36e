/* A limit for calls that cannot be given one: when it is over, the process
 * ends. */
#ifndef GS_EXEC_GUARD_H
#define GS_EXEC_GUARD_H

#include <pthread.h>

#include "base/status.h"

typedef struct gs_guard {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t cond;
  bool runs, over; /* over: the call has returned */
  double seconds;
  int code;
  const char *text;
} gs_guard;

/* From now on, until gs_guard_end, the process may go on for so many seconds
 * (0: for ever); then it prints the text as an error, where there is one, and
 * exits with the code at once.  GS_RESOURCE when no thread can be made. */
gs_status gs_guard_start(gs_guard *g, double seconds, int code,
                         const char *text, gs_err *e);
void gs_guard_end(gs_guard *g);

#endif
