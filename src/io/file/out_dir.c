/* Writing directories: whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/io.h"

static bool is_owned(const gs_out_dir *o, const char *name) {
  for (int i = 0; i < o->nowned; i++)
    if (!strcmp(o->owned[i], name)) return true;
  return false;
}

typedef struct look {
  const gs_out_dir *o;
  int other;        /* descriptor of the new directory, for move_other */
  char foreign[256]; /* a file that is not ours */
} look;

static void find_other(int dir, const char *name, void *user) {
  look *l = user;
  struct stat st;
  bool file = !fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) &&
              !S_ISDIR(st.st_mode);
  if (file && is_owned(l->o, name)) return;
  size_t n = strlen(name);
  if (n < sizeof l->foreign) memcpy(l->foreign, name, n + 1);
}

/* Whether what is at path may be replaced: a directory that holds nothing but
 * the files that we own. */
static gs_status check_content(const gs_out_dir *o, const char *path,
                               gs_err *e) {
  look l = {.o = o};
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (dir < 0)
    return gs_fail(e, GS_CANTCREATE, path, "is not replaced: %s",
                   strerror(errno));
  int n = gs_temp_each(dir, find_other, &l);
  close(dir);
  if (n >= 0 && !*l.foreign) return GS_OK;
  gs_fail(e, GS_CANTCREATE, path,
          "is not replaced: it holds '%s', which gshard did not write",
          l.foreign);
  gs_err_hint(e, "move that away, or remove the directory");
  return GS_CANTCREATE;
}

/* Whether the directory at path may be made, or replaced. */
static gs_status check_target(const gs_out_dir *o, gs_err *e) {
  struct stat st;
  if (lstat(o->path, &st)) return GS_OK;
  if (o->replace && S_ISDIR(st.st_mode))
    return check_content(o, o->path, e);
  if (o->replace)
    return gs_fail(e, GS_CANTCREATE, o->path,
                   "is not a directory and is not replaced by one");
  gs_fail(e, GS_CANTCREATE, o->path, "the %s already exists",
          S_ISDIR(st.st_mode) ? "directory" : "file");
  gs_err_hint(e, "-f replaces it");
  return GS_CANTCREATE;
}

/* The path without '/' at its end. */
static const char *trimmed(gs_arena *a, const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  return gs_strndup(a, path, n);
}

gs_status gs_out_dir_check(gs_arena *a, const char *path, bool replace,
                           const char *const *owned, int nowned, gs_err *e) {
  gs_out_dir o = {.path = trimmed(a, path), .replace = replace,
                  .owned = owned, .nowned = nowned};
  struct stat st;
  GS_TRY(check_target(&o, e));
  if (!lstat(o.path, &st)) return GS_OK;
  return gs_out_check(a, o.path, replace, e);
}

gs_status gs_out_dir_open(gs_arena *a, const char *path, bool replace,
                          const char *const *owned, int nowned, gs_out_dir *o,
                          gs_err *e) {
  *o = (gs_out_dir){.path = trimmed(a, path), .replace = replace,
                    .owned = owned, .nowned = nowned, .temp.lock = -1};
  GS_TRY(check_target(o, e));
  return gs_temp_new(a, o->path, NULL, &o->temp, e);
}

void gs_out_dir_abort(gs_out_dir *o) { gs_temp_remove(&o->temp); }

/* A file that came while we wrote goes where the others of its kind are. */
static void move_other(int dir, const char *name, void *user) {
  const look *l = user;
  if (is_owned(l->o, name)) unlinkat(dir, name, 0);
  else renameat2(dir, name, l->other, name, RENAME_NOREPLACE);
}

/* Removes our files of the old directory, which has the temporary name now. */
static void remove_old(const gs_out_dir *o, const char *old) {
  look l = {.o = o};
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  int dir = open(old, flags);
  l.other = open(o->path, flags);
  for (int tries = 0; tries < 64 && dir >= 0 && rmdir(old) &&
                      errno == ENOTEMPTY; tries++) {
    lseek(dir, 0, SEEK_SET);
    gs_temp_each(dir, move_other, &l);
  }
  if (dir >= 0) close(dir);
  if (l.other >= 0) close(l.other);
}

/* For file systems that can only rename: what is replaced is out of the way
 * for a moment. */
static int swap_slowly(gs_arena *a, const gs_out_dir *o) {
  const char *old = gs_sprintf(a, "%s.old", o->temp.path);
  remove_old(o, old); /* of a process that was killed between the two */
  bool there = o->replace && !rename(o->path, old);
  int failed = rename(o->temp.path, o->path), why = errno;
  if (there && failed) rename(old, o->path);
  else if (there) remove_old(o, old);
  errno = why;
  return failed;
}

gs_status gs_out_dir_commit(gs_arena *a, gs_out_dir *o, gs_err *e) {
  const char *temp = o->temp.path;
  gs_status s = check_target(o, e);
  if (s) gs_out_dir_abort(o);
  GS_TRY(s);
  int failed = renameat2(AT_FDCWD, temp, AT_FDCWD, o->path, RENAME_NOREPLACE);
  if (failed && errno == EEXIST && o->replace) {
    failed = renameat2(AT_FDCWD, temp, AT_FDCWD, o->path, RENAME_EXCHANGE);
    if (!failed) remove_old(o, temp);
  }
  if (failed && (errno == EINVAL || errno == ENOSYS))
    failed = swap_slowly(a, o);
  if (failed) {
    int why = errno;
    gs_out_dir_abort(o);
    return gs_fail(e, GS_CANTCREATE, o->path, "cannot be created: %s",
                   strerror(why));
  }
  gs_temp_keep(&o->temp);
  gs_out_sync_parent(a, o->path);
  return GS_OK;
}
