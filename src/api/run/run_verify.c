#include "api/run/run_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/data/map.h"

struct gs_run_verify {
  gs_arena *arena;
  const gs_plan *plan; /* NULL: a program */
  gs_sums weights;     /* of the plan's */
  gs_verify *verify;
  gs_map seen;  /* constants that devices have told of */
  GS_VEC(const gs_tensor *) constant; /* that lie in files */
};

/* Whether the plan's weights are there, and as long as they were: the reader
 * would speak of tensors. */
static gs_status check_weights(gs_arena *a, const char *dir,
                               const gs_plan_weights *w, gs_err *e) {
  struct stat st;
  const char *path = gs_sprintf(a, "%s/%s", dir, w->file);
  if (stat(path, &st))
    return gs_fail(e, GS_NOINPUT, path, "cannot be opened: %s",
                   strerror(errno));
  if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size == w->size) return GS_OK;
  gs_fail(e, GS_MISMATCH, path, "has %lld bytes, the plan says %" PRIu64,
          (long long)st.st_size, w->size);
  gs_err_hint(e, "it is incomplete, or belongs to another plan");
  return GS_MISMATCH;
}

gs_status gs_run_verify_new(gs_arena *a, const char *dir, const gs_plan *plan,
                            gs_run_verify **out, gs_err *e) {
  gs_run_verify *v = *out = GS_NEW(a, gs_run_verify);
  v->arena = a;
  v->plan = plan;
  v->verify = gs_verify_new(a);
  gs_map_init(&v->seen, a);
  if (!plan || !plan->weights.file) return GS_OK;
  const gs_plan_weights *w = &plan->weights;
  GS_TRY(check_weights(a, dir, w, e));
  return gs_sums_read(a, gs_sprintf(a, "%s/%s", dir, w->hashes), w->size,
                      w->hash, &v->weights, e);
}

/* What is known of an external file, from the plan or the program. */
static gs_status add_file(gs_run_verify *v, const gs_model *m,
                          const char *location, const gs_file *f, gs_err *e) {
  if (v->plan)
    return v->plan->weights.file && !strcmp(location, v->plan->weights.file)
               ? gs_verify_file(v->verify, f, &v->weights, e)
               : GS_OK;
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
