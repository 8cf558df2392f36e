/* What happens when memory or threads run out.  A call of gshard.h returns
 * GS_RESOURCE (base/escape.h); a process that is ours ends with it, after
 * one message that says what they were wanted for.
 *
 * Libraries end it in ways of their own, which read as something else: oneDNN
 * with abort() or by writing through NULL, libgomp with exit(1).  There is
 * nothing to return to then, so their ends are caught where they arrive. */
#ifndef GS_BASE_ENDING_H
#define GS_BASE_ENDING_H

#include <stdbool.h>
#include <stddef.h>

/* `wanted` bytes (0: not known) could not be had: does not return.  Ends the
 * process where gs_ending_guard was called, and where the thread has nowhere to
 * go to. */
_Noreturn void gs_out_of_memory(size_t wanted);

/* What the calling thread is busy with, for that message ("node 'x'"); NULL:
 * nothing in particular.  `what` must stay until the next call; returns what
 * it was before. */
const char *gs_busy_with(const char *what);

/* Around calls of a library that cannot bear to be without memory: while the
 * calling thread is inside, abort() and a fault near NULL count as that. */
void gs_library_enter(const char *name);
void gs_library_leave(void);

/* Around what one of several threads does at once (on, then what was returned
 * then): exit() within it is a library's, and ends the process before the
 * handlers of exit() take from the others what they still use. */
bool gs_ending_work(bool on);

/* For main: from now on such ends are caught.  `who` goes before messages,
 * `clean` removes unfinished files (safe in a signal handler). */
void gs_ending_guard(const char *who, void (*clean)(void));
/* main is about to return: exit(1) is meant from now on. */
void gs_ending_meant(void);

#endif
