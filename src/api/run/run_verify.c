#include "api/run/run_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/data/map.h"
#include "base/math.h"

typedef struct sums_of {
  const char *file;
  gs_sums sums;
} sums_of;

struct gs_run_verify {
  gs_arena *arena;
  const gs_plan *plan; /* NULL: a program */
  GS_VEC(sums_of) weights; /* of the plan's, those that are read here */
  gs_verify *verify;
  gs_map seen;  /* constants that devices have told of */
  GS_VEC(const gs_tensor *) constant; /* that lie in files */
};

/* Whether weights are as long as they were: the reader would speak of
 * tensors. */
static gs_status check_size(const char *path, const gs_plan_weights *w,
                            gs_err *e) {
  struct stat st;
  bool file = !stat(path, &st) && S_ISREG(st.st_mode);
  if (!file || (uint64_t)st.st_size == w->size) return GS_OK;
  gs_fail(e, GS_MISMATCH, path, "has %lld bytes, the plan says %" PRIu64,
          (long long)st.st_size, w->size);
  gs_err_hint(e, "it is incomplete, or belongs to another plan");
  return GS_MISMATCH;
}

gs_status gs_run_need_file(gs_arena *a, const char *dir, const char *name,
                           int64_t first, int64_t n, gs_err *e) {
  const char *path = gs_sprintf(a, "%s/%s", dir, name);
  if (!access(path, R_OK)) return GS_OK;
  int why = errno;
  const char *who = n > 1 ? gs_sprintf(a, "devices %" PRId64 " to %" PRId64
                                       " want it", first, first + n - 1)
                          : gs_sprintf(a, "device %" PRId64 " wants it", first);
  gs_fail(e, GS_NOINPUT, path, "cannot be opened: %s; %s", strerror(why), who);
  if (why == ENOENT)
    gs_err_hint(e, "copy it from where the plan was made; a host needs "
                   "plan.yaml and the files of its devices");
  return GS_NOINPUT;
}

/* The weights that devices [first, first + n) read. */
static gs_status add_weights(gs_run_verify *v, gs_arena *a, const char *dir,
                             const gs_plan_weights *w, bool verify,
                             gs_devices_here here, gs_err *e) {
  GS_TRY(gs_run_need_file(a, dir, w->file, here.first, here.n, e));
  if (!verify) return GS_OK;
  GS_TRY(check_size(gs_sprintf(a, "%s/%s", dir, w->file), w, e));
  GS_TRY(gs_run_need_file(a, dir, w->hashes, here.first, here.n, e));
  sums_of *s = gs_push(a, &v->weights);
  s->file = w->file;
  return gs_sums_read(a, gs_sprintf(a, "%s/%s", dir, w->hashes), w->size,
                      w->hash, &s->sums, e);
}

gs_status gs_run_verify_new(gs_arena *a, const char *dir, const gs_plan *plan,
                            gs_devices_here here, bool verify,
                            gs_run_verify **out, gs_err *e) {
  gs_run_verify *v = GS_NEW(a, gs_run_verify);
  *out = verify ? v : NULL;
  v->arena = a;
  v->plan = plan;
  v->verify = gs_verify_new(a);
  gs_map_init(&v->seen, a);
  int64_t at = 0;
  for (int i = 0; plan && i < plan->weights.n; i++) {
    const gs_plan_weights *w = &plan->weights.at[i];
    gs_devices_here some = {gs_max(here.first, at), 0};
    at += w->devices;
    some.n = gs_min(here.first + here.n, at) - some.first;
    if (some.n > 0) GS_TRY(add_weights(v, a, dir, w, verify, some, e));
  }
  return GS_OK;
}

/* What is known of an external file, from the plan or the program. */
static gs_status add_file(gs_run_verify *v, const gs_model *m,
                          const char *location, const gs_file *f, gs_err *e) {
  for (int i = 0; i < v->weights.n; i++)
    if (!strcmp(location, v->weights.at[i].file))
      return gs_verify_file(v->verify, f, &v->weights.at[i].sums, e);
  if (v->plan) return GS_OK;
  const char *text =
      gs_model_meta(m, gs_sprintf(v->arena, GS_KEY_FILE "%s", location));
  if (!text) return GS_OK;
  gs_sums sums;
  if (!gs_sums_parse(v->arena, text, &sums))
    return gs_fail(e, GS_DATA, gs_model_path(m),
                   "the metadata " GS_KEY_FILE "%s holds no hashes", location);
  GS_TRY(gs_verify_file(v->verify, f, &sums, e));
  if (!sums.ends || !f->size) return GS_OK;
  gs_verify_range(v->verify, f, 0, 1);
  gs_verify_range(v->verify, f, f->size - 1, 1);
  return GS_OK;
}

gs_status gs_run_verify_model(gs_run_verify *v, const gs_model *m,
                              const gs_graph *g, gs_err *e) {
  const char *location;
  gs_file *f;
  for (int i = 0; gs_model_file_at(m, i, &location, &f); i++)
    if (f) GS_TRY(add_file(v, m, location, f, e));
  for (int i = 0; i < g->value.n; i++) {
    const gs_tensor *t = g->value.at[i]->constant;
    if (t && t->file) *gs_push(v->arena, &v->constant) = t;
  }
  return GS_OK;
}

/* A tensor by its place: passes may have copied the struct. */
static const char *key_of(char *room, size_t n, const gs_tensor *t) {
  snprintf(room, n, "%p %" PRIu64, (void *)t->file, t->offset);
  return room;
}

/* Constants of which no device has told were folded into others, or are read
 * by nobody: in doubt, whole. */
static void start(gs_run_verify *v) {
  char key[64];
  for (int i = 0; i < v->constant.n; i++) {
    const gs_tensor *t = v->constant.at[i];
    if (!gs_map_has(&v->seen, key_of(key, sizeof key, t)))
      gs_verify_range(v->verify, t->file, t->offset, t->nbytes);
  }
  gs_verify_start(v->verify);
}

void gs_run_verify_reads(void *user, const gs_tensor *t, uint64_t at,
                         uint64_t n) {
  gs_run_verify *v = user;
  char key[64];
  if (!t) {
    start(v);
  } else if (t->file) {
    gs_map_put(&v->seen, key_of(key, sizeof key, t), v);
    gs_verify_range(v->verify, t->file, t->offset + at, n);
  }
}

gs_status gs_run_verify_wait(gs_run_verify *v, gs_err *e) {
  return v ? gs_verify_wait(v->verify, e) : GS_OK;
}

gs_status gs_run_verify_blame(gs_run_verify *v, gs_status s, gs_err *e) {
  if (!v || (s != GS_DATA && s != GS_UNSUPPORTED && s != GS_INTERNAL))
    return s;
  gs_err why;
  gs_err_init(&why);
  gs_status found = gs_run_verify_wait(v, &why);
  if (found) {
    gs_err_clear(e);
    gs_err_move(e, &why);
    s = found;
  }
  gs_err_free(&why);
  return s;
}

void gs_run_verify_end(gs_run_verify *v) {
  if (v) gs_verify_end(v->verify);
}
