#include "io/file/verify.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "base/math.h"

typedef struct known { /* a file and its hashes */
  const gs_file *file;
  dev_t dev;
  ino_t ino;
  gs_sums sums;
  bool *wanted; /* [blocks] */
} known;

typedef struct job { /* a block to verify */
  int file;
  int64_t block;
  uint64_t got;
  int why; /* it could not be read: gs_sums_load */
} job;

struct gs_verify {
  gs_arena *arena;
  GS_VEC(known) file;
  GS_VEC(const gs_file *) open; /* descriptors, and what they are of */
  GS_VEC(int) open_file;
  job *job;
  int64_t njob;
  size_t block;           /* bytes of the largest */
  void *buffer[2];        /* [block] of the thread; of who waits, or NULL */
  _Atomic int64_t next;   /* the job that is taken next */
  _Atomic int64_t bad;    /* the first job that failed; njob: none */
  bool started, threaded;
  pthread_t thread;
};

gs_verify *gs_verify_new(gs_arena *a) {
  gs_verify *v = GS_NEW(a, gs_verify);
  v->arena = a;
  return v;
}

/* ---- what to verify ---- */

/* Index in v->file of an open file, -1 when it was not added. */
static int find(const gs_verify *v, const gs_file *f) {
  for (int i = 0; i < v->open.n; i++)
    if (v->open.at[i] == f) return v->open_file.at[i];
  return -1;
}

static int find_inode(const gs_verify *v, const struct stat *st) {
  for (int i = 0; i < v->file.n; i++)
    if (v->file.at[i].dev == st->st_dev && v->file.at[i].ino == st->st_ino)
      return i;
  return -1;
}

gs_status gs_verify_file(gs_verify *v, const gs_file *f, const gs_sums *s,
                         gs_err *e) {
  struct stat st = {0};
  if (f->size != s->size) {
    gs_fail(e, GS_MISMATCH, f->path,
            "has %" PRIu64 " bytes; there were %" PRIu64
            " when the model was partitioned", f->size, s->size);
    gs_err_hint(e, "partition the model again; --no-verify runs with the file "
                   "as it is");
    return GS_MISMATCH;
  }
  if (fstat(f->fd, &st)) return gs_fail(e, GS_IO, f->path, "cannot be read");
  int k = find_inode(v, &st);
  if (k < 0) {
    k = v->file.n;
    known *new = gs_push(v->arena, &v->file);
    *new = (known){f, st.st_dev, st.st_ino, *s, NULL};
    new->wanted = GS_NEWS(v->arena, gs_sums_count(s->size), bool);
  }
  *gs_push(v->arena, &v->open) = f;
  *gs_push(v->arena, &v->open_file) = k;
  return GS_OK;
}

void gs_verify_range(gs_verify *v, const gs_file *f, uint64_t at, uint64_t n) {
  int k = find(v, f);
  if (k < 0 || !n) return;
  int64_t last = (int64_t)((at + n - 1) / GS_SUMS_BLOCK);
  gs_assert(last < gs_sums_count(v->file.at[k].sums.size));
  for (int64_t i = (int64_t)(at / GS_SUMS_BLOCK); i <= last; i++)
    v->file.at[k].wanted[i] = true;
}

static void list_jobs(gs_verify *v) {
  int64_t max = 0;
  uint64_t hash;
  for (int k = 0; k < v->file.n; k++)
    max += gs_sums_count(v->file.at[k].sums.size);
  v->job = GS_NEWS(v->arena, max, job);
  for (int k = 0; k < v->file.n; k++) {
    const known *f = &v->file.at[k];
    uint64_t size = f->sums.size;
    size = size < GS_SUMS_BLOCK ? size : GS_SUMS_BLOCK;
    if (size > v->block) v->block = (size_t)size;
    for (int64_t i = 0; i < gs_sums_count(f->sums.size); i++)
      if (f->wanted[i] && gs_sums_get(&f->sums, i, &hash))
        v->job[v->njob++] = (job){.file = k, .block = i};
  }
}

/* ---- verifying ---- */

/* Jobs are taken in order and finished once taken, so that the first one that
 * is bad is found, whoever does what. */
static void mark_bad(gs_verify *v, int64_t i) {
  int64_t before = atomic_load(&v->bad);
  while (i < before && !atomic_compare_exchange_weak(&v->bad, &before, i)) {
  }
  atomic_store(&v->next, v->njob);
}

/* Memory is made for the first job: often there is none left for who waits. */
static void do_jobs(gs_verify *v, void *buffer) {
  for (;;) {
    int64_t i = atomic_fetch_add(&v->next, 1);
    if (i >= v->njob) return;
    if (!buffer) buffer = v->buffer[1] = gs_alloc(v->arena, v->block);
    job *j = &v->job[i];
    const known *f = &v->file.at[j->file];
    size_t n;
    uint64_t want = 0;
    gs_sums_get(&f->sums, j->block, &want);
    j->why = gs_sums_load(f->file, j->block, buffer, &n);
    if (!j->why) j->got = gs_hash(buffer, n, 0);
    if (j->why || j->got != want) mark_bad(v, i);
  }
}

static void *thread_main(void *user) {
  gs_verify *v = user;
  do_jobs(v, v->buffer[0]);
  return NULL;
}

void gs_verify_start(gs_verify *v) {
  list_jobs(v);
  atomic_store(&v->bad, v->njob);
  v->started = true;
  if (!v->njob) return;
  v->buffer[0] = gs_alloc(v->arena, v->block);
  /* Without a thread gs_verify_wait does it all. */
  v->threaded = !pthread_create(&v->thread, NULL, thread_main, v);
}

static void join(gs_verify *v) {
  if (v->threaded) pthread_join(v->thread, NULL);
  v->threaded = false;
}

static gs_status tell(const gs_verify *v, int64_t i, gs_err *e) {
  const job *j = &v->job[i];
  const known *f = &v->file.at[j->file];
  uint64_t want = 0, at = (uint64_t)j->block * GS_SUMS_BLOCK;
  uint64_t end = at + GS_SUMS_BLOCK;
  if (j->why) return gs_sums_unread(f->file, j->block, j->why, e);
  gs_sums_get(&f->sums, j->block, &want);
  gs_fail(e, GS_MISMATCH, f->file->path,
          "block %" PRId64 ", bytes %" PRIu64 " to %" PRIu64
          ", is not what it was when the model was partitioned: its hash is "
          "%016" PRIx64 ", not %016" PRIx64,
          j->block, at, (end < f->sums.size ? end : f->sums.size) - 1, j->got,
          want);
  gs_err_hint(e, "the file is damaged, was changed, or belongs to another "
                 "model; --no-verify runs with it as it is");
  return GS_MISMATCH;
}

gs_status gs_verify_wait(gs_verify *v, gs_err *e) {
  if (!v->started || !v->njob) return GS_OK;
  do_jobs(v, v->buffer[1]);
  join(v);
  int64_t bad = atomic_load(&v->bad);
  return bad < v->njob ? tell(v, bad, e) : GS_OK;
}

void gs_verify_end(gs_verify *v) {
  if (!v) return;
  atomic_store(&v->next, v->njob);
  join(v);
}
