/* Calls of the C library that fail when they are told to, for tests of what a
 * tool does then.  tests/preload.sh compiles it; a test runs
 *
 *   SHIM=KIND:N LD_PRELOAD=shim.so TOOL ...     the N-th call of KIND fails,
 *   SHIM=KIND:N+ LD_PRELOAD=shim.so TOOL ...    so do all that follow
 *   SHIM=KIND:0 SHIM_COUNT=FILE ...             none; the number of calls is
 *                                               written to FILE at the end
 *
 * A kind is a row of `kinds`: its name and the errno of a call that fails.
 * Calls are counted from main on, since what libraries do before it is not the
 * tool's to answer for.  To add a kind, add its row and ask failing(KIND) in a
 * function that hides the library's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KINDS(X)                                                               \
  X(malloc, ENOMEM) /* and calloc, realloc, posix_memalign, ... */             \
  X(mmap, ENOMEM)                                                              \
  X(thread, EAGAIN) /* pthread_create */                                       \
  X(open, EMFILE)                                                              \
  X(read, EIO)      /* and pread */                                            \
  X(write, EIO)     /* of descriptors other than standard error */             \
  X(full, ENOSPC)   /* the same */                                             \
  X(short, 0)       /* the same: a part is written, without an error */        \
  X(fsync, EIO)                                                                \
  X(close, EIO)     /* it is closed nevertheless */                            \
  X(rename, EIO)    /* and renameat, renameat2 */                              \
  X(exchange, EINVAL) /* renameat2: flags that the file system refuses */

enum {
#define X(name, code) KIND_##name,
  KINDS(X)
#undef X
  NKINDS
};

static const struct {
  const char *name;
  int code;
} kinds[] = {
#define X(name, code) {#name, code},
    KINDS(X)
#undef X
};

static int kind = NKINDS;
static long at;         /* 0: only counted */
static int and_later;
static _Atomic long seen;

/* Whether this call of kind k is to fail; errno is set if it is. */
static int failing(int k) {
  if (k != kind) return 0;
  long n = ++seen;
  if (!at || (and_later ? n < at : n != at)) return 0;
  errno = kinds[k].code;
  return 1;
}

/* ---- from main to the end ---- */

static void count_calls(void) {
  const char *path = getenv("SHIM_COUNT");
  long n = seen;
  kind = NKINDS;
  FILE *f = path ? fopen(path, "w") : NULL;
  if (!f) return;
  fprintf(f, "%ld\n", n);
  fclose(f);
}

static int (*tool)(int, char **, char **);

static int armed(int argc, char **argv, char **env) {
  const char *s = getenv("SHIM"), *colon = s ? strchr(s, ':') : NULL;
  for (int i = 0; colon && i < NKINDS; i++) {
    size_t n = strlen(kinds[i].name);
    if (n != (size_t)(colon - s) || strncmp(s, kinds[i].name, n)) continue;
    at = atol(colon + 1);
    and_later = s[strlen(s) - 1] == '+';
    atexit(count_calls);
    kind = i;
    return tool(argc, argv, env);
  }
  fprintf(stderr, "shim: SHIM=%s is no KIND:N\n", s ? s : "");
  return 125;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int __libc_start_main(int (*main)(int, char **, char **), int argc,
                      char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader)(void), void *stack);
int __libc_start_main(int (*main)(int, char **, char **), int argc,
                      char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader)(void), void *stack) {
  tool = main;
  return REAL(__libc_start_main)(armed, argc, argv, init, fini, loader,
                                 stack);
}

/* ---- memory and threads ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t n) {
  return failing(KIND_malloc) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
  return failing(KIND_malloc) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n) {
  return failing(KIND_malloc) ? NULL : __libc_realloc(p, n);
}

void *memalign(size_t unit, size_t n);
void *memalign(size_t unit, size_t n) {
  return failing(KIND_malloc) ? NULL : __libc_memalign(unit, n);
}

void *aligned_alloc(size_t unit, size_t n) { return memalign(unit, n); }

int posix_memalign(void **p, size_t unit, size_t n) {
  if (failing(KIND_malloc)) return ENOMEM;
  void *got = __libc_memalign(unit, n);
  if (got) *p = got;
  return got ? 0 : ENOMEM;
}

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t from) {
  return failing(KIND_mmap) ? MAP_FAILED
                            : REAL(mmap)(p, n, prot, flags, fd, from);
}

int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *),
                   void *p) {
  return failing(KIND_thread) ? errno : REAL(pthread_create)(t, a, f, p);
}

/* ---- files ---- */

int open(const char *path, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
  va_end(ap);
  return failing(KIND_open) ? -1 : REAL(open)(path, flags, mode);
}

ssize_t read(int fd, void *p, size_t n) {
  return failing(KIND_read) ? -1 : REAL(read)(fd, p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t from) {
  return failing(KIND_read) ? -1 : REAL(pread)(fd, p, n, from);
}

ssize_t write(int fd, const void *p, size_t n) {
  if (fd != STDERR_FILENO) {
    if (failing(KIND_write) || failing(KIND_full)) return -1;
    if (n > 1 && failing(KIND_short)) n = 1 + n / 3;
  }
  return REAL(write)(fd, p, n);
}

int fsync(int fd) { return failing(KIND_fsync) ? -1 : REAL(fsync)(fd); }

int close(int fd) {
  int result = REAL(close)(fd);
  return failing(KIND_close) ? -1 : result;
}

int rename(const char *from, const char *to) {
  return failing(KIND_rename) ? -1 : REAL(rename)(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
  return failing(KIND_rename) ? -1 : REAL(renameat)(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to,
              unsigned flags) {
  if (flags && failing(KIND_exchange)) return -1;
  return failing(KIND_rename) ? -1 : REAL(renameat2)(a, from, b, to, flags);
}
