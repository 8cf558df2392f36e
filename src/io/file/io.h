/* Files: opened with suspicion, written whole or not at all. */
#ifndef GS_IO_IO_H
#define GS_IO_IO_H

#include "base/arena.h"
#include "base/data/hash.h"
#include "base/data/progress.h"
#include "base/status.h"
#include "io/file/temp.h"
#include "ir/dynamic.h"

/* ---- reading ---- */

/* Opens a regular file for reading (no FIFO, device or directory) and maps
 * it.  The gs_file lives in the arena; close it with gs_file_close.
 * GS_NOINPUT when it cannot be opened, GS_DATA when it is no regular file. */
gs_status gs_file_open(gs_arena *a, const char *path, gs_file **out,
                       gs_err *e);
/* Wraps an open descriptor of a regular file; takes it over. */
gs_file *gs_file_wrap(gs_arena *a, const char *path, int fd, uint64_t size);
/* Unmaps and closes; NULL is allowed. */
void gs_file_close(gs_file *f);
/* Fails with GS_RESOURCE: f is open but has no map. */
gs_status gs_file_unmapped(const gs_file *f, gs_err *e);

/* The whole content of a file, a pipe or standard input ("-"), followed by a
 * NUL byte.  GS_DATA when it has more than max bytes. */
gs_status gs_slurp(gs_arena *a, const char *path, size_t max,
                   const uint8_t **data, size_t *n, gs_err *e);

/* Reads that fault because a mapped file became shorter (SIGBUS) end the
 * process with GS_IO and a message that names the file.  Called by main(). */
void gs_io_guard_sigbus(void);

/* ---- external data (reference: ONNX external data; the dual rule) ----
 *
 * A location is opened only when it lies, symbolic links resolved, below the
 * directory of the model as it was named, below the directory of the model's
 * canonical path (caches link models into a store), or below one of the
 * caller's directories.  The kernel resolves it (openat2, RESOLVE_BENEATH). */
typedef struct gs_dirs {
  const char *path; /* of the model, for messages */
  int fd[18];       /* directories in the order of trying */
  const char *real[18]; /* their canonical paths */
  int n;
  bool allow_hardlinks;
} gs_dirs;

/* model_path "-" stands for the current directory. */
gs_status gs_dirs_open(gs_arena *a, const char *model_path,
                       const char *const *extra, int nextra, gs_dirs *out,
                       gs_err *e);
void gs_dirs_close(gs_dirs *d);
/* Lexical rules: not empty, relative, no NUL, no way out by "..", short. */
gs_status gs_location_check(const char *location, const char *place,
                            gs_err *e);
/* *out = NULL and GS_OK when there is no such file.  GS_DATA for one outside
 * of the directories, of another kind, or with several hard links. */
gs_status gs_dirs_file(gs_arena *a, const gs_dirs *d, const char *location,
                       const char *place, gs_file **out, gs_err *e);

/* ---- writing ---- */

/* A file under construction: bytes go to a temporary file beside the final
 * one (io/file/temp.h) and appear there by rename, so that readers see the old
 * file, the new file, or none.  Errors of writing are kept and reported by
 * gs_out_finish. */
typedef struct gs_out {
  gs_arena *arena;
  const char *path; /* final; "-" is standard output */
  gs_temp temp;     /* none for standard output and devices */
  bool replace;     /* a file that exists */
  int placed;       /* how it got its final name */
  int fd;
  int error;  /* errno of the first failure */
  uint64_t total;
  size_t n;
  uint8_t *buf;
  gs_hasher *hasher; /* NULL: gs_out_hash was not called */
  uint64_t hash;     /* of all bytes; set by gs_out_commit */
  gs_progress *progress; /* counts what is written; or NULL */
} gs_out;

/* GS_CANTCREATE where opening path would fail: it exists and is not to be
 * replaced, is a directory, or its directory cannot be written to.  For
 * telling so before the work. */
gs_status gs_out_check(gs_arena *a, const char *path, bool replace, gs_err *e);
/* GS_CANTCREATE when the file cannot be created. */
gs_status gs_out_open(gs_arena *a, const char *path, bool replace, gs_out *o,
                      gs_err *e);
/* Has the file's bytes hashed (gs_hash) on their way.  Before the first. */
void gs_out_hash(gs_out *o);
void gs_out_write(gs_out *o, const void *p, size_t n);
void gs_out_zeros(gs_out *o, uint64_t n);
/* Streams bytes [at, at + n) of a tensor through a bounded buffer. */
gs_status gs_out_tensor(gs_out *o, const gs_tensor *t, uint64_t at, uint64_t n,
                        gs_err *e);
/* Hands what was written to the system, and tells of errors so far (GS_IO). */
gs_status gs_out_flush(gs_out *o, gs_err *e);
/* Flushes, syncs and closes; every error of the file is reported here (GS_IO),
 * and then nothing is left behind. */
gs_status gs_out_finish(gs_out *o, gs_err *e);
/* Gives n finished files their final names; when one cannot have it, none
 * has. */
gs_status gs_out_publish(gs_out *const *out, int n, gs_err *e);
/* Both for one file. */
gs_status gs_out_commit(gs_out *o, gs_err *e);
/* Gives up; removes the temporary file. */
void gs_out_abort(gs_out *o);
/* Makes a rename to path survive a crash; a file system that cannot is no
 * error. */
void gs_out_sync_parent(gs_arena *a, const char *path);

/* Files that appear together or not at all. */
typedef struct gs_out_set {
  gs_arena *arena;
  bool replace;
  gs_progress *progress; /* of files that are opened from now on; or NULL */
  GS_VEC(gs_out *) out;
} gs_out_set;

void gs_out_set_init(gs_out_set *s, gs_arena *a, bool replace);
/* One more file, which the set finishes where its writer has not. */
gs_status gs_out_set_open(gs_out_set *s, const char *path, gs_out **out,
                          gs_err *e);
gs_status gs_out_set_commit(gs_out_set *s, gs_err *e);
void gs_out_set_abort(gs_out_set *s);

/* A directory of plain files under construction, beside its final name. */
typedef struct gs_out_dir {
  const char *path; /* final, without a '/' at the end */
  gs_temp temp;     /* temp.path: where its files are written */
  bool replace;
  const char *const *owned; /* names of files that may be replaced */
  int nowned;
} gs_out_dir;

/* GS_CANTCREATE when path exists; with `replace` only when it is something
 * else than a directory of files whose names are in `owned`. */
gs_status gs_out_dir_open(gs_arena *a, const char *path, bool replace,
                          const char *const *owned, int nowned, gs_out_dir *o,
                          gs_err *e);
/* Whether that would succeed; makes nothing. */
gs_status gs_out_dir_check(gs_arena *a, const char *path, bool replace,
                           const char *const *owned, int nowned, gs_err *e);
/* Puts it in its place and removes what was there; on an error nothing is
 * left behind, and the old one stays. */
gs_status gs_out_dir_commit(gs_arena *a, gs_out_dir *o, gs_err *e);
/* Gives up; removes the directory. */
void gs_out_dir_abort(gs_out_dir *o);

/* The process is ours: limits may be raised, and temporary files are removed
 * when it exits. */
void gs_io_own_process(void);
bool gs_io_is_ours(void);
/* Removes all temporary files and directories; also safe in a signal
 * handler. */
void gs_io_remove_temps(void);

/* ---- .pb files ---- */

/* A serialized TensorProto, as in test data.  "-" is standard input.
 * GS_DATA naming the file; GS_UNSUPPORTED for external data. */
gs_status gs_pb_read(gs_arena *a, const char *path, gs_tensor **out,
                     gs_err *e);
gs_status gs_pb_write(const char *path, const gs_tensor *t, gs_err *e);
/* A serialized TensorProto, SequenceProto or OptionalProto as `kind` says,
 * since the file does not say what it is; GS_UNSUPPORTED for sequences of
 * anything but tensors. */
gs_status gs_pb_read_dyn(gs_arena *a, const char *path, gs_kind kind,
                         gs_dyn **out, gs_err *e);
/* The same backwards, into one more file of the set: b says what it is. */
gs_status gs_pb_write_dyn(gs_out_set *files, const char *path,
                          const gs_dyn *b, gs_err *e);

#endif
