#include "io/file/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/file/io.h"

#define SUFFIX ".gshard-tmp"
/* Of a file's name, so that the name with the suffix is not too long. */
enum { MAX_STEM = 255 - (int)sizeof SUFFIX + 1, MAX_TRIES = 16 };

/* What to remove when the process ends early.  Like the table of mapped files
 * this list is reached from signal handlers and atexit, which take no
 * argument; its elements are used again, never freed. */
typedef struct gs_temp_note {
  char *path; /* NULL: free */
  _Atomic uint64_t use; /* which one it is, for abandon() */
  struct gs_temp_note *next;
} note;
static note *notes;

/* What the kernel says of a file in a directory (getdents64(2)). */
typedef struct entry {
  uint64_t inode;
  int64_t next;
  uint16_t size;
  uint8_t type;
  char name[];
} entry;

int gs_temp_each(int dir, void (*visit)(int dir, const char *name, void *user),
                 void *user) {
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
      if (visit) visit(dir, f->name, user);
    }
  }
}

static void unlink_in(int dir, const char *name, void *user) {
  (void)user;
  unlinkat(dir, name, 0);
}

/* Removes a directory of plain files. */
static void remove_dir(const char *path) {
  /* Files that go while they are listed may hide others. */
  for (int tries = 0; tries < 64 && rmdir(path) && errno == ENOTEMPTY;
       tries++) {
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0) return;
    gs_temp_each(dir, unlink_in, NULL);
    close(dir);
  }
}

static void remove_any(const char *path) {
  if (unlink(path) && (errno == EISDIR || errno == EPERM)) remove_dir(path);
}

void gs_io_remove_temps(void) {
  for (note *n = __atomic_load_n(&notes, __ATOMIC_ACQUIRE); n; n = n->next) {
    const char *path = __atomic_load_n(&n->path, __ATOMIC_ACQUIRE);
    if (path) remove_any(path);
  }
}

static _Atomic bool ours;

void gs_io_own_process(void) {
  if (!atomic_exchange(&ours, true)) atexit(gs_io_remove_temps);
}

bool gs_io_is_ours(void) { return atomic_load(&ours); }

/* Remembers a path until forget(). */
static note *remember(const char *path) {
  static _Atomic uint64_t uses;
  uint64_t use = atomic_fetch_add(&uses, 1) + 1;
  char *copy = strdup(path);
  if (!copy) gs_out_of_memory(strlen(path));
  for (note *n = __atomic_load_n(&notes, __ATOMIC_ACQUIRE); n; n = n->next) {
    char *none = NULL;
    if (!__atomic_compare_exchange_n(&n->path, &none, copy, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      continue;
    atomic_store(&n->use, use);
    return n;
  }
  note *n = malloc(sizeof *n);
  if (!n) gs_out_of_memory(sizeof *n);
  n->path = copy;
  atomic_init(&n->use, use);
  n->next = __atomic_load_n(&notes, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&notes, &n->next, n, false,
                                      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {}
  return n;
}

static void forget(note *n) {
  if (n) atomic_store(&n->use, 0);
  if (n) free(__atomic_exchange_n(&n->path, NULL, __ATOMIC_ACQ_REL));
}

/* A file that is still under construction when its arena ends: the way there
 * was that of base/escape.h. */
typedef struct made_here {
  note *note;
  uint64_t use;
  int lock;
} made_here;

static void abandon(void *p) {
  made_here *m = p;
  if (!m->note || atomic_load(&m->note->use) != m->use) return;
  remove_any(m->note->path);
  forget(m->note);
  close(m->lock);
}

/* PATH.gshard-tmp; a very long name is cut. */
static const char *temp_name(gs_arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  size_t dir = slash ? (size_t)(slash - path) + 1 : 0, n = strlen(path + dir);
  if (n > MAX_STEM) n = MAX_STEM;
  return gs_sprintf(a, "%.*s" SUFFIX, (int)(dir + n), path);
}

/* Is path still the file behind fd? */
static bool is_same(const char *path, int fd) {
  struct stat x, y;
  return !lstat(path, &x) && !fstat(fd, &y) && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

/* Locks fd.  0 when locked, or when the file system knows no locks. */
static int lock(int fd) {
  int got;
  do got = flock(fd, LOCK_EX | LOCK_NB);
  while (got && errno == EINTR);
  return got && errno == EWOULDBLOCK;
}

/* Makes the file or directory; a descriptor of it, -1 with errno. */
static int make(const char *path, bool dir) {
  if (!dir) return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (mkdir(path, 0777)) return -1;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  int why = errno;
  if (fd < 0) rmdir(path);
  errno = why;
  return fd;
}

/* Removes what a killed process left at path.  0 when it is gone; EBUSY: it is
 * in use. */
static int remove_stale(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? 0 : errno;
  int got;
  do got = flock(fd, LOCK_EX | LOCK_NB);
  while (got && errno == EINTR);
  int why = !got ? 0 : errno == EWOULDBLOCK ? EBUSY : EEXIST;
  if (!why && is_same(path, fd)) {
    remove_any(path);
    if (is_same(path, fd)) why = EEXIST;
  }
  close(fd);
  return why;
}

static gs_status cannot(const char *path, const char *temp, int why,
                        gs_err *e) {
  if (why == EBUSY)
    return gs_fail(e, GS_CANTCREATE, path,
                   "another process is writing it now");
  if (why != EEXIST)
    return gs_fail(e, GS_CANTCREATE, path, "cannot be created: %s",
                   strerror(why));
  gs_fail(e, GS_CANTCREATE, path, "cannot be created: '%s' is in the way",
          temp);
  gs_err_hint(e, "remove '%s', unless another process is writing it", temp);
  return GS_CANTCREATE;
}

gs_status gs_temp_new(gs_arena *a, const char *path, int *fd, gs_temp *out,
                      gs_err *e) {
  const char *temp = temp_name(a, path);
  made_here *m = GS_NEW(a, made_here);
  gs_arena_at_end(a, abandon, m);
  *out = (gs_temp){.lock = -1};
  int why = *path ? EBUSY : ENOENT;
  for (int tries = 0; tries < MAX_TRIES && *path; tries++) {
    int made = make(temp, !fd);
    if (made < 0) {
      why = errno;
      if (why == EEXIST) why = remove_stale(temp);
      if (why) break;
      why = EBUSY;
      continue;
    }
    /* Another process may have taken it for stale before it was locked. */
    if (lock(made) || !is_same(temp, made)) {
      close(made);
      continue;
    }
    *out = (gs_temp){.path = temp, .lock = made, .note = remember(temp)};
    *m = (made_here){out->note, atomic_load(&out->note->use), made};
    /* The descriptor that is written to is closed to see its errors. */
    if (fd && (*fd = fcntl(made, F_DUPFD_CLOEXEC, 0)) < 0) {
      why = errno;
      gs_temp_remove(out);
      break;
    }
    return GS_OK;
  }
  return cannot(path, temp, why, e);
}

void gs_temp_remove(gs_temp *t) {
  if (t->path) remove_any(t->path);
  gs_temp_keep(t);
}

void gs_temp_keep(gs_temp *t) {
  gs_assert(!t->path == !t->note);
  forget(t->note);
  if (t->lock >= 0) close(t->lock);
  *t = (gs_temp){.lock = -1};
}
