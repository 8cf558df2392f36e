/* Opening files: regular ones only, below the directories that are allowed. */
#include "io/file/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Mapped files, for the SIGBUS handler.  A signal handler has no argument to
 * carry state in: this table is the exception to the rule of no globals. */
enum { MAX_WATCHED = 256 };
static struct watched {
  const gs_file *file;
  char path[160];
} watched[MAX_WATCHED];

static void watch(const gs_file *f) {
  for (int i = 0; i < MAX_WATCHED; i++) {
    const gs_file *none = NULL;
    if (!__atomic_compare_exchange_n(&watched[i].file, &none, f, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      continue;
    size_t n = strlen(f->path), max = sizeof watched[i].path - 1;
    const char *tail = n > max ? f->path + (n - max) : f->path;
    n = strlen(tail);
    for (size_t k = 0; k <= n; k++) /* what a terminal might obey: '?' */
      watched[i].path[k] = k == n                          ? 0
                           : tail[k] < ' ' || tail[k] > '~' ? '?'
                                                            : tail[k];
    return;
  }
}

static void unwatch(const gs_file *f) {
  for (int i = 0; i < MAX_WATCHED; i++)
    if (__atomic_load_n(&watched[i].file, __ATOMIC_ACQUIRE) == f)
      __atomic_store_n(&watched[i].file, NULL, __ATOMIC_RELEASE);
}

static void say(const char *s) {
  size_t n = strlen(s);
  while (n) {
    ssize_t k = write(STDERR_FILENO, s, n);
    if (k <= 0) return;
    s += k;
    n -= (size_t)k;
  }
}

static void on_sigbus(int sig, siginfo_t *info, void *context) {
  (void)sig;
  (void)context;
  uintptr_t at = (uintptr_t)info->si_addr;
  const char *path = "a mapped file";
  for (int i = 0; i < MAX_WATCHED; i++) {
    const gs_file *f = __atomic_load_n(&watched[i].file, __ATOMIC_ACQUIRE);
    if (!f || !f->map) continue;
    uintptr_t base = (uintptr_t)f->map;
    if (at >= base && at - base < f->size + 65536) path = watched[i].path;
  }
  say("gshard: ");
  say(path);
  say(": error: the file became shorter while it was read, or a read "
      "failed\n");
  gs_io_remove_temps();
  _exit(GS_IO);
}

void gs_io_guard_sigbus(void) {
  struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
  sigemptyset(&sa.sa_mask);
  sigaction(SIGBUS, &sa, NULL);
}

/* Descriptors may run out for a model with one file per weight: in a process
 * of ours the soft limit is raised once to the hard one. */
static bool more_descriptors(void) {
  struct rlimit r;
  if (!gs_io_is_ours() || getrlimit(RLIMIT_NOFILE, &r) ||
      r.rlim_cur >= r.rlim_max)
    return false;
  r.rlim_cur = r.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &r) == 0;
}

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int open_plain(const char *path) {
  int fd = open(path, OPEN_FLAGS);
  if (fd < 0 && errno == EMFILE && more_descriptors())
    fd = open(path, OPEN_FLAGS);
  return fd;
}

static void close_at_end(void *f) { gs_file_close(f); }

/* Without a descriptor yet: it is closed with the arena, whatever happens. */
static gs_file *new_file(gs_arena *a, const char *path) {
  gs_file *f = GS_NEW(a, gs_file);
  *f = (gs_file){.path = gs_strdup(a, path), .fd = -1};
  gs_arena_at_end(a, close_at_end, f);
  return f;
}

static void take(gs_file *f, int fd, uint64_t size) {
  f->fd = fd;
  f->size = size;
  if (size) {
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p != MAP_FAILED) f->map = p;
  }
  watch(f);
}

gs_file *gs_file_wrap(gs_arena *a, const char *path, int fd, uint64_t size) {
  gs_file *f = new_file(a, path);
  take(f, fd, size);
  return f;
}

static const char *kind_of(mode_t mode) {
  return S_ISDIR(mode)    ? "a directory"
         : S_ISFIFO(mode) ? "a FIFO"
         : S_ISSOCK(mode) ? "a socket"
         : S_ISCHR(mode)  ? "a device"
         : S_ISBLK(mode)  ? "a device"
                          : "not a regular file";
}

gs_status gs_file_open(gs_arena *a, const char *path, gs_file **out,
                       gs_err *e) {
  gs_file *f = new_file(a, path);
  int fd = open_plain(path);
  if (fd < 0)
    return gs_fail(e, errno == EMFILE || errno == ENFILE ? GS_RESOURCE
                                                         : GS_NOINPUT,
                   path, "cannot be opened: %s", strerror(errno));
  struct stat st;
  if (fstat(fd, &st)) {
    close(fd);
    return gs_fail(e, GS_IO, path, "%s", strerror(errno));
  }
  if (!S_ISREG(st.st_mode)) {
    close(fd);
    return gs_fail(e, GS_DATA, path, "is %s", kind_of(st.st_mode));
  }
  take(f, fd, (uint64_t)st.st_size);
  *out = f;
  return GS_OK;
}

gs_status gs_file_unmapped(const gs_file *f, gs_err *e) {
  return gs_fail(e, GS_RESOURCE, f->path,
                 "its %llu bytes cannot be mapped into memory",
                 (unsigned long long)f->size);
}

void gs_file_close(gs_file *f) {
  if (!f) return;
  unwatch(f);
  if (f->map) munmap((void *)(uintptr_t)f->map, f->size);
  if (f->fd >= 0) close(f->fd);
  f->map = NULL;
  f->fd = -1;
}

static gs_status slurp_fd(gs_arena *a, const char *path, int fd, size_t max,
                          const uint8_t **data, size_t *n, gs_err *e) {
  size_t used = 0, cap = 65536;
  uint8_t *p = malloc(cap);
  if (!p) gs_out_of_memory(cap);
  for (;;) {
    if (used == cap) {
      uint8_t *q = realloc(p, cap *= 2);
      if (!q) gs_out_of_memory(cap);
      p = q;
    }
    ssize_t k = read(fd, p + used, cap - used);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) {
      free(p);
      return gs_fail(e, GS_IO, path, "cannot be read: %s", strerror(errno));
    }
    if (k == 0) break;
    used += (size_t)k;
    if (used > max) {
      free(p);
      return gs_fail(e, GS_DATA, path, "larger than %zu bytes (limit)", max);
    }
  }
  uint8_t *copy = gs_alloc(a, used + 1);
  memcpy(copy, p, used);
  free(p);
  *data = copy;
  *n = used;
  return GS_OK;
}

gs_status gs_slurp(gs_arena *a, const char *path, size_t max,
                   const uint8_t **data, size_t *n, gs_err *e) {
  if (!strcmp(path, "-"))
    return slurp_fd(a, "<stdin>", STDIN_FILENO, max, data, n, e);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return gs_fail(e, GS_NOINPUT, path, "cannot be opened: %s",
                   strerror(errno));
  gs_status st = slurp_fd(a, path, fd, max, data, n, e);
  close(fd);
  return st;
}

/* ---- external data ---- */

/* The directory part of a path, "." if it has none. */
static char *dirname_of(gs_arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return gs_strdup(a, ".");
  if (slash == path) return gs_strdup(a, "/");
  return gs_strndup(a, path, (size_t)(slash - path));
}

static gs_status add_dir(gs_arena *a, gs_dirs *d, const char *path,
                         gs_err *e) {
  char real[PATH_MAX];
  if (!realpath(path, real))
    return gs_fail(e, GS_NOINPUT, path, "no such directory: %s",
                   strerror(errno));
  for (int i = 0; i < d->n; i++)
    if (!strcmp(d->real[i], real)) return GS_OK;
  int fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return gs_fail(e, GS_NOINPUT, path, "cannot be opened: %s",
                   strerror(errno));
  d->fd[d->n] = fd;
  d->real[d->n++] = gs_strdup(a, real);
  return GS_OK;
}

gs_status gs_dirs_open(gs_arena *a, const char *model_path,
                       const char *const *extra, int nextra, gs_dirs *out,
                       gs_err *e) {
  *out = (gs_dirs){.path = model_path};
  bool pipe = !strcmp(model_path, "-");
  GS_TRY(add_dir(a, out, pipe ? "." : dirname_of(a, model_path), e));
  char real[PATH_MAX];
  if (!pipe && realpath(model_path, real))
    GS_TRY(add_dir(a, out, dirname_of(a, real), e));
  if (nextra > 16)
    return gs_fail(e, GS_USAGE, NULL, "more than 16 directories of external "
                   "data");
  for (int i = 0; i < nextra; i++) GS_TRY(add_dir(a, out, extra[i], e));
  return GS_OK;
}

void gs_dirs_close(gs_dirs *d) {
  for (int i = 0; i < d->n; i++) close(d->fd[i]);
  d->n = 0;
}

gs_status gs_location_check(const char *location, const char *place,
                            gs_err *e) {
  if (!*location)
    return gs_fail(e, GS_DATA, place, "external data: empty location");
  if (strlen(location) >= PATH_MAX)
    return gs_fail(e, GS_DATA, place, "external data: the location has %zu "
                   "bytes", strlen(location));
  if (*location == '/')
    return gs_fail(e, GS_DATA, place, "external data: location '%s' is an "
                   "absolute path", location);
  if (strstr(location, "_ORT_MEM_ADDR_"))
    return gs_fail(e, GS_DATA, place, "external data: location '%s' is an "
                   "address in the memory of another program", location);
  int depth = 0;
  for (const char *s = location; *s;) {
    size_t n = strcspn(s, "/");
    if (n == 2 && s[0] == '.' && s[1] == '.') depth--;
    else if (n && !(n == 1 && s[0] == '.')) depth++;
    if (depth < 0)
      return gs_fail(e, GS_DATA, place, "external data: location '%s' leads "
                     "out of the model's directory", location);
    s += n;
    while (*s == '/') s++;
  }
  return GS_OK;
}

/* Is path inside directory dir (both canonical)?  The rest of path, or NULL. */
static const char *below(const char *path, const char *dir) {
  size_t n = strlen(dir);
  if (!strcmp(dir, "/")) return path + 1;
  return !strncmp(path, dir, n) && path[n] == '/' ? path + n + 1 : NULL;
}

static int open_beneath(int dir, const char *path, uint64_t resolve) {
  struct open_how how = {.flags = OPEN_FLAGS,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
                                    resolve};
  long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
  if (fd < 0 && errno == EMFILE && more_descriptors())
    fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
  return (int)fd;
}

/* For kernels without openat2: opens the canonical path without following a
 * link at its end and asks the kernel where the descriptor really is. */
static int open_compared(const gs_dirs *d, const char *real) {
  int fd = open(real, OPEN_FLAGS | O_NOFOLLOW);
  if (fd < 0) return fd;
  char link[64], where[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, where, sizeof where - 1);
  if (n > 0) {
    where[n] = 0;
    for (int i = 0; i < d->n; i++)
      if (below(where, d->real[i])) return fd;
  }
  close(fd);
  errno = EXDEV;
  return -1;
}

/* Opens location by the rule in io.h; -1 with errno (EXDEV: outside). */
static int open_location(const gs_dirs *d, int i, const char *location) {
  int fd = open_beneath(d->fd[i], location, 0);
  if (fd >= 0 || errno == ENOENT) return fd;
  bool old = errno == ENOSYS || errno == EPERM;
  if (!old && errno != EXDEV && errno != ELOOP && errno != EAGAIN) return fd;
  char path[2 * PATH_MAX], real[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", d->real[i], location);
  if (!realpath(path, real)) return -1;
  for (int k = 0; k < d->n; k++) {
    const char *rest = below(real, d->real[k]);
    if (!rest) continue;
    if (old) return open_compared(d, real);
    return open_beneath(d->fd[k], rest, RESOLVE_NO_SYMLINKS);
  }
  errno = EXDEV;
  return -1;
}

static gs_status check_opened(gs_arena *a, const gs_dirs *d, int fd,
                              const char *name, const char *place,
                              gs_file **out, gs_err *e) {
  struct stat st;
  if (fstat(fd, &st)) {
    close(fd);
    return gs_fail(e, GS_IO, place, "%s: %s", name, strerror(errno));
  }
  if (!S_ISREG(st.st_mode)) {
    close(fd);
    return gs_fail(e, GS_DATA, place, "external data: '%s' is %s", name,
                   kind_of(st.st_mode));
  }
  if (st.st_nlink > 1 && !d->allow_hardlinks) {
    close(fd);
    gs_fail(e, GS_DATA, place, "external data: '%s' has %lu hard links", name,
            (unsigned long)st.st_nlink);
    gs_err_hint(e, "a copy of the file has one: cp, then mv over it");
    return GS_DATA;
  }
  *out = gs_file_wrap(a, name, fd, (uint64_t)st.st_size);
  return GS_OK;
}

gs_status gs_dirs_file(gs_arena *a, const gs_dirs *d, const char *location,
                       const char *place, gs_file **out, gs_err *e) {
  *out = NULL;
  GS_TRY(gs_location_check(location, place, e));
  for (int i = 0; i < d->n; i++) {
    int fd = open_location(d, i, location);
    if (fd >= 0) {
      const char *name = gs_sprintf(a, "%s/%s", d->real[i], location);
      return check_opened(a, d, fd, name, place, out, e);
    }
    if (errno == ENOENT) continue;
    if (errno == EXDEV || errno == ELOOP || errno == EAGAIN) {
      gs_fail(e, GS_DATA, place, "external data: '%s' leads out of the "
              "model's directory", location);
      gs_err_hint(e, "copy the file into it, or move the model");
      return GS_DATA;
    }
    return gs_fail(e, errno == EMFILE || errno == ENFILE ? GS_RESOURCE
                                                         : GS_NOINPUT,
                   place, "external data: '%s' cannot be opened: %s",
                   location, strerror(errno));
  }
  return GS_OK;
}
