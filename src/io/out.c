/* Writing files: whole or not at all. */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, MAX_TEMPS = 64 };

/* Temporary files to remove when the process ends early.  Like the table of
 * mapped files this is reached from signal handlers and atexit, which take no
 * argument. */
static char *temps[MAX_TEMPS];

void gs_io_remove_temps(void) {
  for (int i = 0; i < MAX_TEMPS; i++) {
    const char *t = __atomic_load_n(&temps[i], __ATOMIC_ACQUIRE);
    if (t) unlink(t);
  }
}

/* Remembers a file until forget(); -1 when the table is full. */
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

static void flush(gs_out *o) {
  const uint8_t *p = o->buf;
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
