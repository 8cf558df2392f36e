#include "io/file/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

enum {
  BUFFER = 64 * 1024, /* more than a header */
  PATIENCE_MS = 100,  /* how long a request to stop may go unseen */
  CHUNK = 1 << 20
};

struct gs_records {
  gs_arena *arena;
  const char *path; /* what is read now */
  const gs_stop *stop;
  int fd; /* -1: the next file of the directory */
  bool is_file;
  struct {
    const char **at;
    int n, cap;
  } file; /* of a directory */
  int next;
  uint8_t *buf;
  size_t at, n; /* bytes [at, n) of buf have been read ahead */
  uint8_t *moved; /* for elements that change places */
  size_t nmoved;
};

/* ---- opening ---- */

static void close_at_end(void *p) {
  gs_records *r = p;
  if (r->fd > STDIN_FILENO) close(r->fd);
  r->fd = -1;
}

static int by_name(const void *a, const void *b) {
  return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

static gs_status list_files(gs_records *r, const char *path, gs_err *e) {
  DIR *d = opendir(path);
  if (!d)
    return gs_fail(e, GS_NOINPUT, path, "cannot be opened: %s",
                   strerror(errno));
  for (struct dirent *x; (x = readdir(d));) {
    size_t n = strlen(x->d_name);
    if (n > 4 && *x->d_name != '.' && !strcmp(x->d_name + n - 4, ".npy"))
      *gs_push(r->arena, &r->file) =
          gs_sprintf(r->arena, "%s/%s", path, x->d_name);
  }
  closedir(d);
  if (!r->file.n)
    return gs_fail(e, GS_NOINPUT, path, "the directory has no .npy files");
  qsort(r->file.at, (size_t)r->file.n, sizeof *r->file.at, by_name);
  return GS_OK;
}

static gs_status open_file(gs_records *r, const char *path, gs_err *e) {
  struct stat st;
  r->path = path;
  /* A pipe is opened before its writer is there: reads wait for that. */
  r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (r->fd < 0 || fstat(r->fd, &st))
    return gs_fail(e, GS_NOINPUT, path, "cannot be opened: %s",
                   strerror(errno));
  r->is_file = S_ISREG(st.st_mode);
  fcntl(r->fd, F_SETFL, fcntl(r->fd, F_GETFL) & ~O_NONBLOCK);
  return GS_OK;
}

gs_status gs_records_open(gs_arena *a, const char *path,
                          const gs_stop *stop, gs_records **out, gs_err *e) {
  struct stat st;
  gs_records *r = *out = GS_NEW(a, gs_records);
  *r = (gs_records){.arena = a, .stop = stop, .fd = -1};
  r->buf = gs_alloc(a, BUFFER);
  gs_arena_at_end(a, close_at_end, r);
  if (!strcmp(path, "-")) {
    r->path = "<stdin>";
    r->fd = STDIN_FILENO;
    return GS_OK;
  }
  r->path = gs_strdup(a, path);
  if (!stat(path, &st) && S_ISDIR(st.st_mode))
    return list_files(r, r->path, e);
  return open_file(r, r->path, e);
}

const char *gs_records_path(const gs_records *r) { return r->path; }

/* ---- bytes ---- */

static bool stopped(const gs_records *r) { return gs_stop_asked(r->stop); }

/* Up to n bytes; *got 0: the end, or it was told to stop. */
static gs_status read_some(gs_records *r, void *to, size_t n, size_t *got,
                           gs_err *e) {
  *got = 0;
  for (;;) {
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    if (stopped(r)) return GS_OK;
    /* A signal may come between the question and a read. */
    int ms = r->stop->ask ? PATIENCE_MS : -1;
    if (!r->is_file && poll(&p, 1, ms) <= 0) continue;
    ssize_t k = read(r->fd, to, n);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0)
      return gs_fail(e, GS_IO, r->path, "cannot be read: %s", strerror(errno));
    *got = (size_t)k;
    return GS_OK;
  }
}

/* Has `need` bytes read ahead, unless the end comes first. */
static gs_status fill(gs_records *r, size_t need, gs_err *e) {
  gs_assert(need <= BUFFER);
  if (r->n - r->at >= need) return GS_OK;
  memmove(r->buf, r->buf + r->at, r->n - r->at);
  r->n -= r->at;
  r->at = 0;
  while (r->n < need) {
    size_t got;
    GS_TRY(read_some(r, r->buf + r->n, BUFFER - r->n, &got, e));
    if (!got) break;
    r->n += got;
  }
  return GS_OK;
}

gs_status gs_records_used_up(gs_records *r, bool *out, gs_err *e) {
  *out = false;
  if (!r->is_file || r->file.n) return GS_OK;
  GS_TRY(fill(r, 1, e));
  *out = r->n == r->at && !stopped(r);
  return GS_OK;
}

/* n bytes of elements as they are. */
static gs_status take(gs_records *r, uint8_t *to, size_t n, bool *end,
                      gs_err *e) {
  size_t ahead = r->n - r->at < n ? r->n - r->at : n;
  memcpy(to, r->buf + r->at, ahead);
  r->at += ahead;
  for (size_t at = ahead, got; at < n; at += got) {
    GS_TRY(read_some(r, to + at, n - at, &got, e));
    if (got) continue;
    *end = stopped(r);
    if (*end) return GS_OK;
    return gs_fail(e, GS_DATA, r->path, "the record is cut short: %zu bytes of "
                   "its elements are missing", n - at);
  }
  return GS_OK;
}

/* ---- records ---- */

gs_status gs_records_next(gs_records *r, gs_npy_head *h, bool *end,
                          gs_err *e) {
  *end = false;
  for (;;) {
    if (r->fd >= 0) GS_TRY(fill(r, 12, e));
    if ((*end = stopped(r))) return GS_OK;
    if (r->n > r->at) break;
    if (r->next == r->file.n) {
      *end = true;
      return GS_OK;
    }
    if (r->fd >= 0) close(r->fd);
    GS_TRY(open_file(r, r->file.at[r->next++], e));
  }
  size_t size = gs_npy_head_size(r->buf + r->at, r->n - r->at), at;
  GS_TRY(fill(r, size ? size : 12, e));
  if ((*end = stopped(r))) return GS_OK;
  size_t there = r->n - r->at;
  if (size && size < there) there = size;
  if (size > there || (there < 12 && !memcmp(r->buf + r->at, "\x93NUMPY",
                                             there < 6 ? there : 6)))
    return gs_fail(e, GS_DATA, r->path, "the record is cut short: its header "
                   "is not complete");
  if (!size && (there < 6 || memcmp(r->buf + r->at, "\x93NUMPY", 6)))
    return gs_fail(e, GS_DATA, r->path, "the record does not begin like .npy");
  GS_TRY(gs_npy_head_read(r->path, r->buf + r->at, there, h, &at, e));
  r->at += at;
  return GS_OK;
}

/* Elements at p, as they were read, into ONNX's order. */
static void finish(const gs_npy_head *h, const void *p, void *to, size_t n) {
  gs_npy_elements(h, p, to, n);
  uint8_t *b = to;
  if (h->dtype == GS_BOOL) /* other bytes may mean true in NumPy */
    for (size_t i = 0; i < n; i++) b[i] = b[i] != 0;
}

gs_status gs_records_elements(gs_records *r, const gs_npy_head *h, void *to,
                              size_t n, bool *end, gs_err *e) {
  uint8_t *p = to;
  *end = false;
  if (gs_npy_head_moves(h)) {
    if (r->nmoved < n) r->moved = gs_alloc(r->arena, n);
    if (r->nmoved < n) r->nmoved = n;
    p = r->moved;
  }
  GS_TRY(take(r, p, n, end, e));
  if (!*end) finish(h, p, to, n);
  return GS_OK;
}

/* Memory that grows is not an arena's. */
static gs_status take_growing(gs_records *r, size_t n, uint8_t **out,
                              bool *end, gs_err *e) {
  uint8_t *p = NULL;
  for (size_t at = 0, size = CHUNK; at < n; size *= 2) {
    if (size > n) size = n;
    uint8_t *q = realloc(p, size);
    if (!q) free(p);
    if (!q) gs_out_of_memory(size);
    p = q;
    gs_status s = take(r, p + at, size - at, end, e);
    if (s || *end) free(p);
    if (s || *end) return s;
    at = size;
  }
  *out = p;
  return GS_OK;
}

gs_status gs_records_first(gs_records *r, const gs_npy_head *h, gs_arena *a,
                           size_t n, void **out, bool *end, gs_err *e) {
  uint8_t *p = NULL;
  *end = false;
  GS_TRY(take_growing(r, n, &p, end, e));
  if (*end) return GS_OK;
  uintptr_t at = (uintptr_t)gs_alloc(a, n + 64);
  *out = (void *)((at + 63) / 64 * 64);
  if (n) finish(h, p, *out, n);
  free(p);
  return GS_OK;
}

/* ---- writing ---- */

void gs_record_out_init(gs_record_out *w, gs_arena *a, gs_out *out) {
  *w = (gs_record_out){.out = out};
  gs_buf_init(&w->head, a);
}

gs_status gs_record_out_put(gs_record_out *w, const gs_tensor *t, gs_err *e) {
  size_t dims = (size_t)t->rank * sizeof *t->dims;
  gs_assert(gs_dtype_get((int)t->dtype)->npy);
  if (!w->head.n || w->dtype != t->dtype || w->rank != t->rank ||
      memcmp(w->dims, t->dims, dims)) {
    w->dtype = t->dtype;
    w->rank = t->rank;
    memcpy(w->dims, t->dims, dims);
    w->head.n = 0;
    gs_npy_head_write(&w->head, t->dtype, t->rank, t->dims);
  }
  gs_out_write(w->out, w->head.at, w->head.n);
  GS_TRY(gs_out_tensor(w->out, t, 0, t->nbytes, e));
  return gs_out_flush(w->out, e);
}
