/* A line on the terminal that says what takes long, and how far it is:
 *
 *   gshard-partition: writing 1.20 GiB of 3.00 GiB
 *
 * It appears when a step has lasted a second, is written again a few times a
 * second by a thread of its own, and is gone when the step ends.  Only with a
 * terminal as standard error, without -q and --json. */
#ifndef GS_TOOLS_PROGRESS_H
#define GS_TOOLS_PROGRESS_H

#include "cli.h"

typedef struct gs_line gs_line;

/* Starts the thread where there is someone to look; c->line stays NULL where
 * not, or where no thread can be had. */
void gs_line_start(gs_cli *c);
/* Ends the thread; the line is gone. */
void gs_line_stop(gs_cli *c);
/* Something else is about to be written to the terminal. */
void gs_line_erase(const gs_cli *c);

/* A step begins, which ends the one before.  `what` stays, and has no
 * characters that a terminal would not print. */
void gs_cli_begin(const gs_cli *c, const char *what);
/* The step has ended; no harm where none has begun. */
void gs_cli_end(const gs_cli *c);
/* For the bytes of the step that has begun; NULL: nobody looks. */
gs_progress *gs_cli_progress(const gs_cli *c);

#endif
