/* Files and directories under construction.
 *
 * What becomes PATH is made as PATH.gshard-tmp beside it, and is locked
 * (flock) as long as its maker lives.  One that is there unlocked was left by
 * a process that was killed: the next one that makes PATH removes it. */
#ifndef GS_IO_TEMP_H
#define GS_IO_TEMP_H

#include "base/arena.h"
#include "base/status.h"

typedef struct gs_temp {
  const char *path; /* NULL: none */
  int lock;         /* descriptor that holds the lock, -1: none */
  struct gs_temp_note *note; /* what is removed when the process ends early */
} gs_temp;

/* Makes an empty file, whose descriptor is *fd, or a directory (fd NULL).
 * GS_CANTCREATE, also when another process is making it. */
gs_status gs_temp_new(gs_arena *a, const char *path, int *fd, gs_temp *out,
                      gs_err *e);
/* Removes what is at t->path, if it is a file or a directory of files. */
void gs_temp_remove(gs_temp *t);
/* Only forgets it: it has got its final name. */
void gs_temp_keep(gs_temp *t);

/* Calls visit for every file of an open directory; the number of files, -1 on
 * an error.  Safe in a signal handler, which opendir() is not. */
int gs_temp_each(int dir, void (*visit)(int dir, const char *name, void *user),
                 void *user);

#endif
