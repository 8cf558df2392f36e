/* Verification of files against their hashes, beside other work. */
#ifndef GS_IO_VERIFY_H
#define GS_IO_VERIFY_H

#include "io/file/sums.h"

/* Blocks of files to read and to compare: first files and ranges are added,
 * then a thread starts on them in the order of the file while the caller goes
 * on, and at last the caller waits for the result.
 *
 * Blocks are read with pread, not through the mapping, so that their pages do
 * not count as memory of this process.  Cost: 0.2 s of CPU time and no I/O
 * for each GiB in the page cache; what is not there is read once, for whoever
 * comes first. */
typedef struct gs_verify gs_verify;

gs_verify *gs_verify_new(gs_arena *a);
/* f, which stays open until the end, should have these hashes.  A file that
 * was added under another name or descriptor is read once.  GS_MISMATCH when
 * its size differs already. */
gs_status gs_verify_file(gs_verify *v, const gs_file *f, const gs_sums *s,
                         gs_err *e);
/* Bytes [at, at + n) of f matter: the blocks that hold them are verified,
 * if they have a hash.  Of a file that was not added: nothing. */
void gs_verify_range(gs_verify *v, const gs_file *f, uint64_t at, uint64_t n);
/* Begins.  Nothing may be added from here on. */
void gs_verify_start(gs_verify *v);
/* Helps with what is left and waits.  GS_MISMATCH names the file and its first
 * block that differs, GS_IO one that cannot be read.  May be asked again. */
gs_status gs_verify_wait(gs_verify *v, gs_err *e);
/* Stops; also without having waited.  NULL is allowed. */
void gs_verify_end(gs_verify *v);

#endif
