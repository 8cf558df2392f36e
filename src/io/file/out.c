/* Writing files: whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/file/io.h"

enum { BUFFER = 256 * 1024 };

static gs_status exists_already(const char *path, gs_err *e) {
  gs_fail(e, GS_CANTCREATE, path, "already exists");
  gs_err_hint(e, "-f replaces it");
  return GS_CANTCREATE;
}

/* The directory that path lies in. */
static const char *parent(gs_arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  return !slash          ? "."
         : slash == path ? "/"
                         : gs_strndup(a, path, (size_t)(slash - path));
}

/* A device, a FIFO, or a name of what stands behind a descriptor, such as
 * /dev/stdout: written to as it is. */
static bool is_special(const char *path, const struct stat *st) {
  struct stat link;
  if (!S_ISREG(st->st_mode)) return true;
  return (!strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6)) &&
         !lstat(path, &link) && S_ISLNK(link.st_mode);
}

gs_status gs_out_check(gs_arena *a, const char *path, bool replace,
                       gs_err *e) {
  struct stat st;
  if (!strcmp(path, "-")) return GS_OK;
  if (!stat(path, &st)) {
    if (S_ISDIR(st.st_mode))
      return gs_fail(e, GS_CANTCREATE, path, "is a directory");
    if (is_special(path, &st)) return GS_OK;
    if (!replace) return exists_already(path, e);
  } else if (!replace && !lstat(path, &st)) {
    return exists_already(path, e); /* a link to nothing */
  }
  if (*path && !access(parent(a, path), W_OK | X_OK)) return GS_OK;
  return gs_fail(e, GS_CANTCREATE, path, "cannot be created: %s",
                 strerror(*path ? errno : ENOENT));
}

gs_status gs_out_open(gs_arena *a, const char *path, bool replace, gs_out *o,
                      gs_err *e) {
  *o = (gs_out){.arena = a, .path = path, .replace = replace, .fd = -1,
                .temp.lock = -1};
  struct stat st;
  if (!strcmp(path, "-")) {
    o->path = "<stdout>";
    o->fd = dup(STDOUT_FILENO);
  } else {
    GS_TRY(gs_out_check(a, path, replace, e));
    bool special = !stat(path, &st) && is_special(path, &st);
    if (!special) GS_TRY(gs_temp_new(a, path, &o->fd, &o->temp, e));
    else o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  }
  if (o->fd < 0)
    return gs_fail(e, GS_CANTCREATE, o->path, "cannot be created: %s",
                   strerror(errno));
  o->buf = malloc(BUFFER);
  if (!o->buf) gs_out_of_memory(BUFFER);
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
    gs_progress_add(o->progress, (uint64_t)k);
  }
  o->n = 0;
}

void gs_out_write(gs_out *o, const void *data, size_t n) {
  const uint8_t *p = data;
  gs_assert(o->buf && o->n < BUFFER && (p || !n));
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
    gs_assert(o->n < BUFFER);
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
  free(o->buf);
  o->buf = NULL;
  gs_temp_remove(&o->temp);
}

void gs_out_sync_parent(gs_arena *a, const char *path) {
  int fd = open(parent(a, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

static gs_status failed(const gs_out *o, gs_err *e) {
  return gs_fail(e, GS_IO, o->path, "cannot be written: %s",
                 strerror(o->error));
}

gs_status gs_out_flush(gs_out *o, gs_err *e) {
  gs_assert(o->fd >= 0 && o->buf);
  flush(o);
  return o->error ? failed(o, e) : GS_OK;
}

gs_status gs_out_finish(gs_out *o, gs_err *e) {
  gs_assert(o->fd >= 0 && o->buf);
  flush(o);
  end_hash(o);
  if (!o->error && o->temp.path && fsync(o->fd)) o->error = errno;
  if (close(o->fd) && !o->error && errno != EINTR) o->error = errno;
  o->fd = -1;
  free(o->buf);
  o->buf = NULL;
  if (!o->error) return GS_OK;
  gs_out_abort(o);
  return failed(o, e);
}

/* ---- final names ---- */

/* How a file got its name, and so how it can lose it again. */
enum { NOT, NEW, SWAPPED, OVER };

/* For file systems that know neither of renameat2's ways. */
static int place_slowly(gs_out *o) {
  if (o->replace) {
    if (rename(o->temp.path, o->path)) return -1;
    o->placed = OVER;
    return 0;
  }
  struct stat st;
  if (!lstat(o->path, &st)) {
    errno = EEXIST;
    return -1;
  }
  if (rename(o->temp.path, o->path)) return -1;
  o->placed = NEW;
  return 0;
}

/* The old file, if any, takes the temporary name. */
static int place(gs_out *o) {
  const char *temp = o->temp.path;
  gs_assert(o->placed == NOT);
  struct stat st;
  if (!lstat(o->path, &st) && S_ISDIR(st.st_mode)) {
    errno = EISDIR;
    return -1;
  }
  if (!renameat2(AT_FDCWD, temp, AT_FDCWD, o->path, RENAME_NOREPLACE)) {
    o->placed = NEW;
    return 0;
  }
  if (errno == EEXIST && o->replace &&
      !renameat2(AT_FDCWD, temp, AT_FDCWD, o->path, RENAME_EXCHANGE)) {
    o->placed = SWAPPED;
    return 0;
  }
  return errno == EINVAL || errno == ENOSYS ? place_slowly(o) : -1;
}

static void take_back(gs_out *o) {
  if (o->placed == NEW) rename(o->path, o->temp.path);
  else if (o->placed == SWAPPED)
    renameat2(AT_FDCWD, o->temp.path, AT_FDCWD, o->path, RENAME_EXCHANGE);
  if (o->placed == OVER) gs_temp_keep(&o->temp);
  else gs_temp_remove(&o->temp);
}

gs_status gs_out_publish(gs_out *const *out, int n, gs_err *e) {
  int done = 0, why = 0;
  for (; done < n && !why; done++)
    if (out[done]->temp.path && place(out[done])) why = errno;
  if (why) {
    const char *path = out[done - 1]->path;
    for (int i = 0; i < n; i++) take_back(out[i]);
    if (why == EEXIST) return exists_already(path, e);
    return gs_fail(e, GS_IO, path, "cannot be written: %s", strerror(why));
  }
  for (int i = 0; i < n; i++) {
    gs_out *o = out[i];
    if (!o->temp.path) continue;
    gs_assert(o->placed != NOT);
    if (o->placed == SWAPPED) gs_temp_remove(&o->temp);
    else gs_temp_keep(&o->temp);
    gs_out_sync_parent(o->arena, o->path);
  }
  return GS_OK;
}

gs_status gs_out_commit(gs_out *o, gs_err *e) {
  GS_TRY(gs_out_finish(o, e));
  return gs_out_publish(&o, 1, e);
}

/* ---- several files ---- */

void gs_out_set_init(gs_out_set *s, gs_arena *a, bool replace) {
  *s = (gs_out_set){.arena = a, .replace = replace};
}

gs_status gs_out_set_open(gs_out_set *s, const char *path, gs_out **out,
                          gs_err *e) {
  gs_out *o = GS_NEW(s->arena, gs_out);
  GS_TRY(gs_out_open(s->arena, gs_strdup(s->arena, path), s->replace, o, e));
  o->progress = s->progress;
  *gs_push(s->arena, &s->out) = *out = o;
  return GS_OK;
}

gs_status gs_out_set_commit(gs_out_set *s, gs_err *e) {
  for (int i = 0; i < s->out.n; i++)
    if (s->out.at[i]->fd >= 0) {
      gs_status st = gs_out_finish(s->out.at[i], e);
      if (st) gs_out_set_abort(s);
      GS_TRY(st);
    }
  return gs_out_publish(s->out.at, s->out.n, e);
}

void gs_out_set_abort(gs_out_set *s) {
  for (int i = 0; i < s->out.n; i++) gs_out_abort(s->out.at[i]);
}
