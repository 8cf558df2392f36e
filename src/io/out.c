/* Writing files: whole or not at all. */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, MAX_TEMPS = 64 };

/* Temporary files, and directories (their names end in '/'), to remove when
 * the process ends early.  Like the table of mapped files this is reached from
 * signal handlers and atexit, which take no argument. */
static char *temps[MAX_TEMPS];

/* What the kernel says of a file in a directory (getdents64(2)). */
typedef struct entry {
  uint64_t inode;
  int64_t next;
  uint16_t size;
  uint8_t type;
  char name[];
} entry;

/* Calls visit for every file; the number of files, -1 on an error.  Safe in a
 * signal handler, which opendir() is not. */
static int each_file(int dir, void (*visit)(int dir, const char *name)) {
  char buf[8192] __attribute__((aligned(8)));
  int count = 0;
  for (;;) {
    long n = syscall(SYS_getdents64, dir, buf, sizeof buf);
    if (n <= 0) return n ? -1 : count;
    for (long at = 0; at < n;) {
      const entry *f = (const entry *)(const void *)(buf + at);
      at += f->size;
      if (!strcmp(f->name, ".") || !strcmp(f->name, "..")) continue;
      count++;
      if (visit) visit(dir, f->name);
    }
  }
}

static void unlink_in(int dir, const char *name) { unlinkat(dir, name, 0); }

/* Removes a directory of plain files. */
static void remove_dir(const char *path) {
  /* Files that go while they are listed may hide others. */
  for (int tries = 0; tries < 64 && rmdir(path) && errno == ENOTEMPTY;
       tries++) {
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0) return;
    each_file(dir, unlink_in);
    close(dir);
  }
}

void gs_io_remove_temps(void) {
  for (int i = 0; i < MAX_TEMPS; i++) {
    const char *t = __atomic_load_n(&temps[i], __ATOMIC_ACQUIRE);
    if (t && t[strlen(t) - 1] == '/') remove_dir(t);
    else if (t) unlink(t);
  }
}

/* Remembers a file or directory until forget(); -1 when the table is full. */
static int remember(const char *path) {
  static bool registered;
  if (!__atomic_exchange_n(&registered, true, __ATOMIC_ACQ_REL))
    atexit(gs_io_remove_temps);
  char *copy = strdup(path);
  if (!copy) gs_out_of_memory(strlen(path));
  for (int i = 0; i < MAX_TEMPS; i++) {
    char *none = NULL;
    if (__atomic_compare_exchange_n(&temps[i], &none, copy, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      return i;
  }
  free(copy);
  return -1;
}

static void forget(int slot) {
  if (slot < 0) return;
  free(__atomic_exchange_n(&temps[slot], NULL, __ATOMIC_ACQ_REL));
}

/* Creates a file beside path under a name that nobody guesses or owns. */
static int create_temp(gs_arena *a, const char *path, const char **name) {
  char *t = gs_sprintf(a, "%s.XXXXXX", path);
  int fd = mkostemp(t, O_CLOEXEC);
  if (fd < 0) return fd;
  mode_t mask = umask(0);
  umask(mask);
  fchmod(fd, 0666 & ~mask);
  *name = t;
  return fd;
}

gs_status gs_out_open(gs_arena *a, const char *path, gs_out *o, gs_err *e) {
  *o = (gs_out){.arena = a, .path = path, .fd = -1, .slot = -1};
  o->buf = gs_alloc(a, BUFFER);
  if (!strcmp(path, "-")) {
    o->path = "<stdout>";
    o->fd = dup(STDOUT_FILENO);
    if (o->fd < 0)
      return gs_fail(e, GS_CANTCREATE, o->path, "%s", strerror(errno));
    return GS_OK;
  }
  struct stat st;
  bool exists = stat(path, &st) == 0;
  if (exists && S_ISDIR(st.st_mode))
    return gs_fail(e, GS_CANTCREATE, path, "is a directory");
  if (exists && !S_ISREG(st.st_mode)) /* a device or FIFO is written to */
    o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  else
    o->fd = create_temp(a, path, &o->temp);
  if (o->fd < 0)
    return gs_fail(e, GS_CANTCREATE, path, "cannot be created: %s",
                   strerror(errno));
  if (o->temp) o->slot = remember(o->temp);
  return GS_OK;
}

void gs_out_hash(gs_out *o) { o->hasher = gs_hasher_new(); }

static void end_hash(gs_out *o) {
  if (!o->hasher) return;
  o->hash = gs_hasher_value(o->hasher);
  gs_hasher_free(o->hasher);
  o->hasher = NULL;
}

static void flush(gs_out *o) {
  const uint8_t *p = o->buf;
  if (o->hasher) gs_hasher_add(o->hasher, o->buf, o->n);
  while (o->n && !o->error) {
    ssize_t k = write(o->fd, p, o->n);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) {
      o->error = errno;
      break;
    }
    p += k;
    o->n -= (size_t)k;
  }
  o->n = 0;
}

void gs_out_write(gs_out *o, const void *data, size_t n) {
  const uint8_t *p = data;
  o->total += n;
  while (n && !o->error) {
    size_t k = BUFFER - o->n;
    if (k > n) k = n;
    memcpy(o->buf + o->n, p, k);
    o->n += k;
    p += k;
    n -= k;
    if (o->n == BUFFER) flush(o);
  }
}

void gs_out_zeros(gs_out *o, uint64_t n) {
  static const uint8_t zeros[4096];
  while (n) {
    size_t k = n < sizeof zeros ? (size_t)n : sizeof zeros;
    gs_out_write(o, zeros, k);
    n -= k;
  }
}

gs_status gs_out_tensor(gs_out *o, const gs_tensor *t, uint64_t at, uint64_t n,
                        gs_err *e) {
  if (t->data) {
    gs_out_write(o, (const uint8_t *)t->data + at, (size_t)n);
    return GS_OK;
  }
  while (n && !o->error) {
    if (o->n == BUFFER) flush(o);
    size_t k = BUFFER - o->n;
    if (k > n) k = (size_t)n;
    GS_TRY(gs_tensor_read(t, at, o->buf + o->n, k, e));
    o->n += k;
    o->total += k;
    at += k;
    n -= k;
  }
  return GS_OK;
}

void gs_out_abort(gs_out *o) {
  end_hash(o);
  if (o->fd >= 0) close(o->fd);
  o->fd = -1;
  if (o->temp) unlink(o->temp);
  o->temp = NULL;
  forget(o->slot);
  o->slot = -1;
}

/* Makes the rename survive a crash; a file system that cannot is no error. */
static void sync_directory(gs_arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *dir = !slash          ? "."
                    : slash == path ? "/"
                                    : gs_strndup(a, path, (size_t)(slash -
                                                                   path));
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

gs_status gs_out_commit(gs_out *o, gs_err *e) {
  flush(o);
  end_hash(o);
  if (!o->error && o->temp && fsync(o->fd)) o->error = errno;
  if (close(o->fd) && !o->error && errno != EINTR) o->error = errno;
  o->fd = -1;
  if (!o->error && o->temp && rename(o->temp, o->path)) o->error = errno;
  if (o->error) {
    int error = o->error;
    gs_out_abort(o);
    return gs_fail(e, GS_IO, o->path, "cannot be written: %s",
                   strerror(error));
  }
  if (o->temp) sync_directory(o->arena, o->path);
  o->temp = NULL;
  forget(o->slot);
  o->slot = -1;
  return GS_OK;
}

/* ---- directories ---- */

static bool is_empty(const char *path) {
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (dir < 0) return false;
  bool empty = each_file(dir, NULL) == 0;
  close(dir);
  return empty;
}

/* Whether the directory at path may be made, or replaced. */
static gs_status check_target(gs_arena *a, const char *path, const char *mark,
                              bool replace, gs_err *e) {
  struct stat st;
  if (lstat(path, &st)) return GS_OK;
  if (!replace) {
    gs_fail(e, GS_CANTCREATE, path, "the %s exists already",
            S_ISDIR(st.st_mode) ? "directory" : "file");
    gs_err_hint(e, "-f replaces it");
    return GS_CANTCREATE;
  }
  bool ours = S_ISDIR(st.st_mode) &&
              (!access(gs_sprintf(a, "%s/%s", path, mark), F_OK) ||
               is_empty(path));
  if (ours) return GS_OK;
  return gs_fail(e, GS_CANTCREATE, path,
                 "it exists without a %s; it is not replaced", mark);
}

gs_status gs_out_dir_open(gs_arena *a, const char *path, const char *mark,
                          bool replace, gs_out_dir *o, gs_err *e) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  *o = (gs_out_dir){.path = gs_strndup(a, path, n), .replace = replace};
  GS_TRY(check_target(a, o->path, mark, replace, e));
  char *temp = gs_sprintf(a, "%s.XXXXXX", o->path);
  if (!*o->path || !mkdtemp(temp))
    return gs_fail(e, GS_CANTCREATE, path, "cannot be created: %s",
                   strerror(*o->path ? errno : ENOENT));
  o->temp = temp;
  o->slot = remember(gs_sprintf(a, "%s/", temp));
  mode_t mask = umask(0);
  umask(mask);
  chmod(temp, 0777 & ~mask);
  return GS_OK;
}

void gs_out_dir_abort(gs_out_dir *o) {
  if (o->temp) remove_dir(o->temp);
  o->temp = NULL;
  forget(o->slot);
  o->slot = -1;
}

/* For file systems that can only rename: what is replaced is out of the way
 * for a moment. */
static int swap_slowly(gs_arena *a, gs_out_dir *o) {
  const char *old = gs_sprintf(a, "%s.old", o->temp);
  bool there = o->replace && !rename(o->path, old);
  int failed = rename(o->temp, o->path), why = errno;
  if (there && failed) rename(old, o->path);
  else if (there) remove_dir(old);
  errno = why;
  return failed;
}

gs_status gs_out_dir_commit(gs_arena *a, gs_out_dir *o, gs_err *e) {
  unsigned how = o->replace ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  int failed = renameat2(AT_FDCWD, o->temp, AT_FDCWD, o->path, how);
  if (failed && (errno == EINVAL || errno == ENOSYS || errno == ENOENT))
    failed = swap_slowly(a, o);
  if (failed) {
    int why = errno;
    gs_out_dir_abort(o);
    return gs_fail(e, GS_CANTCREATE, o->path, "cannot be created: %s",
                   strerror(why));
  }
  gs_out_dir_abort(o); /* what was replaced, if anything */
  sync_directory(a, o->path);
  return GS_OK;
}
