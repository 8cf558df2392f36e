/* Models to files.  Before packing, every tensor whose bytes are not in the
 * message gets its place in the output: in the message (streamed), in
 * PATH.data, or in the external file where it already lies.  The changes to
 * the messages are undone afterwards. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "io/onnx/onnx_model.h"
#include "io/file/sums.h"

/* Other programs cannot read messages of 2 GiB: past this much, weights go to
 * a file of their own. */
static const uint64_t side_threshold = UINT64_C(3) << 29; /* 1.5 GiB */
enum { SIDE_ALIGN = 4096 };

typedef struct saved {
  Onnx__TensorProto *t;
  Onnx__TensorProto before;
} saved;

typedef struct side { /* bytes in PATH.data */
  gs_tensor from;
  uint64_t offset;
} side;

typedef struct writer {
  gs_model *m;
  gs_arena *arena;     /* for this call */
  const char *dir;     /* canonical directory of the output */
  const char *side;    /* name of PATH.data in it; NULL: not used */
  GS_VEC(saved) saved;
  GS_VEC(side) sides;
  uint64_t side_size;
  uint64_t size; /* of the message */
  int nsource; /* sources of the model before this call */
  gs_write_options *opt;
  gs_map kept; /* location in the output -> gs_file that stays where it is */
} writer;

/* A location relative to dir at which a file can be found, or NULL. */
static const char *relative(writer *w, const char *path) {
  size_t n = strlen(w->dir);
  bool root = n == 1;
  char real[PATH_MAX];
  for (int i = 0; i < 2; i++) {
    if (!strncmp(path, w->dir, n) && (root || path[n] == '/') &&
        !strstr(path, "/../"))
      return gs_strdup(w->arena, path + n + !root);
    if (i || !realpath(path, real)) break;
    path = real;
  }
  return NULL;
}

static gs_file *find_file(const gs_model *m, const char *location) {
  for (; m; m = m->base) {
    gs_file *f = gs_map_get(&m->files, location);
    if (f) return f;
  }
  return NULL;
}

static void set_external(writer *w, Onnx__TensorProto *t, const char *location,
                         uint64_t offset, uint64_t length) {
  gs_arena *a = w->arena;
  Onnx__StringStringEntryProto **x =
      GS_NEWS(a, 3, Onnx__StringStringEntryProto *);
  x[0] = gs_sse_new(a, "location", location);
  x[1] = gs_sse_new(a, "offset", gs_sprintf(a, "%" PRIu64, offset));
  x[2] = gs_sse_new(a, "length", gs_sprintf(a, "%" PRIu64, length));
  gs_assert(location && *location);
  t->external_data = x;
  t->n_external_data = 3;
  t->has_data_location = 1;
  t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  t->has_raw_ref_offset = t->has_raw_ref_length = t->has_raw_ref_source = 0;
}

/* External data that must move: its bytes become a source of the model. */
static gs_status make_raw(writer *w, Onnx__TensorProto *t, gs_file *f,
                          const gs_external *x, gs_err *e) {
  const char *place = gs_tensor_place(w->arena, w->m->path, t, NULL);
  gs_tensor *s;
  if (!x->has_length || x->offset > f->size ||
      x->length > f->size - x->offset) {
    GS_TRY(gs_tensor_import(w->arena, w->m, t, place, &s, e));
    gs_map_put(&w->m->refs, gs_sprintf(w->arena, "%p", (void *)s), NULL);
  } else {
    s = GS_NEW(w->arena, gs_tensor);
    *s = (gs_tensor){.name = t->name, .nbytes = x->length, .file = f};
    s->offset = x->offset;
  }
  *gs_push(w->m->arena, &w->m->source) = s;
  t->n_external_data = 0;
  t->has_data_location = 0;
  t->has_raw_ref_offset = t->has_raw_ref_length = t->has_raw_ref_source = 1;
  t->raw_ref_offset = 0;
  t->raw_ref_length = s->nbytes;
  t->raw_ref_source = (uint64_t)w->m->source.n;
  return GS_OK;
}

static bool is_external(const Onnx__TensorProto *t) {
  return t->has_data_location &&
         t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* Decides about external data: kept, renamed, or moved. */
static gs_status place_tensor(void *user, Onnx__TensorProto *t, gs_err *e) {
  writer *w = user;
  bool verbatim = t->has_raw_ref_source && !t->has_raw_ref_length;
  if (!is_external(t) || verbatim) return GS_OK;
  gs_external x;
  const char *place = gs_tensor_place(w->arena, w->m->path, t, NULL);
  GS_TRY(gs_external_parse(t, place, &x, e));
  gs_file *f = find_file(w->m, x.location);
  if (!f) return GS_OK; /* a file that does not exist stays so */
  const char *rel = relative(w, f->path);
  bool overwritten = rel && w->side && !strcmp(rel, w->side);
  if (rel && !overwritten) gs_map_put(&w->kept, rel, f);
  if (rel && !overwritten && !strcmp(rel, x.location)) return GS_OK;
  *gs_push(w->arena, &w->saved) = (saved){t, *t};
  if (!rel || overwritten) return make_raw(w, t, f, &x, e);
  Onnx__StringStringEntryProto **list = gs_memdup(
      w->arena, t->external_data, t->n_external_data * sizeof *list);
  for (size_t i = 0; i < t->n_external_data; i++)
    if (!strcmp(list[i]->key ? list[i]->key : "", "location"))
      list[i] = gs_sse_new(w->arena, "location", rel);
  t->external_data = list;
  return GS_OK;
}

/* Gives the bytes behind a reference their place in PATH.data. */
static gs_status place_side(void *user, Onnx__TensorProto *t, gs_err *e) {
  writer *w = user;
  (void)e;
  side s = {.offset = w->side_size};
  if (!gs_raw_of(w->m, &t->base, &s.from)) return GS_OK;
  *gs_push(w->arena, &w->saved) = (saved){t, *t};
  *gs_push(w->arena, &w->sides) = s;
  gs_assert(s.offset % SIDE_ALIGN == 0);
  w->side_size = (s.offset + s.from.nbytes + SIDE_ALIGN - 1) &
                 ~(uint64_t)(SIDE_ALIGN - 1);
  set_external(w, t, w->side, s.offset, s.from.nbytes);
  return GS_OK;
}

static gs_status write_sides(writer *w, gs_out *o, gs_err *e) {
  for (int i = 0; i < w->sides.n; i++) {
    const side *s = &w->sides.at[i];
    gs_assert(s->offset >= o->total);
    gs_out_zeros(o, s->offset - o->total);
    GS_TRY(gs_out_tensor(o, &s->from, 0, s->from.nbytes, e));
  }
  return GS_OK;
}

/* Says in the model what the external files hold that it refers to. */
static gs_status note_sums(writer *w, gs_err *e) {
  if (!w->opt->file_sums) return GS_OK;
  for (int i = 0; i < w->kept.n; i++) {
    gs_sums sums;
    gs_buf text;
    gs_buf_init(&text, w->arena);
    GS_TRY(gs_sums_of(w->arena, w->kept.entry[i].value, !w->opt->all_blocks,
                      w->opt->progress, &sums, e));
    gs_sums_print(&text, &sums);
    gs_model_meta_set(w->m,
                      gs_sprintf(w->arena, GS_KEY_FILE "%s",
                                 w->kept.entry[i].key), text.at);
  }
  return GS_OK;
}

static gs_status fill_files(writer *w, const char *path, gs_out_set *files,
                            gs_err *e) {
  gs_out *model, *data;
  GS_TRY(gs_out_set_open(files, path, &model, e));
  gs_out_hash(model);
  gs_progress_expect(w->opt->progress, w->size + w->side_size);
  if (w->side) {
    const char *name = gs_sprintf(w->arena, "%s.data", path);
    GS_TRY(gs_out_set_open(files, name, &data, e));
    GS_TRY(write_sides(w, data, e));
  }
  GS_TRY(gs_pack(&w->m->proto->base, gs_raw_of, w->m, model, e));
  GS_TRY(gs_out_finish(model, e));
  w->opt->size = model->total;
  w->opt->hash = model->hash;
  return GS_OK;
}

/* Both files are complete before either appears. */
static gs_status write_files(writer *w, const char *path, gs_err *e) {
  gs_out_set files;
  GS_TRY(note_sums(w, e));
  if (w->side || w->opt->file_sums) /* it has changed */
    w->size = gs_pack_size(&w->m->proto->base, gs_raw_of, w->m);
  gs_out_set_init(&files, w->arena, w->opt->replace);
  files.progress = w->opt->progress;
  gs_status st = fill_files(w, path, &files, e);
  if (!st) return gs_out_set_commit(&files, e);
  gs_out_set_abort(&files);
  return st;
}

/* Can a second file stand beside it?  Not beside a pipe or a device. */
static bool has_place(const char *path) {
  struct stat st;
  return strcmp(path, "-") && (stat(path, &st) || S_ISREG(st.st_mode));
}

static const char *directory(gs_arena *a, const char *path) {
  char real[PATH_MAX];
  const char *slash = strrchr(path, '/');
  const char *dir = !slash || !strcmp(path, "-") ? "."
                    : slash == path
                        ? "/"
                        : gs_strndup(a, path, (size_t)(slash - path));
  return realpath(dir, real) ? gs_strdup(a, real) : dir;
}

static gs_status write_model(writer *w, const char *path, gs_err *e) {
  ProtobufCMessage *msg = &w->m->proto->base;
  GS_TRY(gs_each_tensor(msg, place_tensor, w, e));
  w->size = gs_pack_size(msg, gs_raw_of, w->m);
  if (w->size <= side_threshold) return write_files(w, path, e);
  if (!has_place(path)) {
    gs_fail(e, GS_UNSUPPORTED, w->m->path, "more than 1.5 GiB for a pipe");
    gs_err_hint(e, "-o FILE puts the weights into FILE.data");
    return GS_UNSUPPORTED;
  }
  const char *slash = strrchr(path, '/');
  w->side = gs_sprintf(w->arena, "%s.data", slash ? slash + 1 : path);
  gs_map_init(&w->kept, w->arena);
  GS_TRY(gs_each_tensor(msg, place_tensor, w, e));
  GS_TRY(gs_each_tensor(msg, place_side, w, e));
  return write_files(w, path, e);
}

/* A model in the place of weights that it refers to would destroy both. */
static gs_status check_apart(writer *w, const char *path, gs_err *e) {
  char real[PATH_MAX], other[PATH_MAX];
  if (!has_place(path) || !realpath(path, real)) return GS_OK;
  for (const gs_model *m = w->m; m; m = m->base)
    for (int i = 0; i < m->files.n; i++) {
      const gs_file *f = m->files.entry[i].value;
      if (f && realpath(f->path, other) && !strcmp(real, other))
        return gs_fail(e, GS_CANTCREATE, path, "holds the external data of "
                       "'%s' and is not replaced", w->m->path);
    }
  return GS_OK;
}

gs_status gs_model_write(gs_model *m, const char *path, gs_err *e) {
  gs_write_options opt = {.replace = true};
  return gs_model_write_with(m, path, &opt, e);
}

gs_status gs_model_write_with(gs_model *m, const char *path,
                              gs_write_options *opt, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  writer w = {.m = m, .arena = &a, .nsource = m->source.n, .opt = opt};
  gs_map_init(&w.kept, &a);
  w.dir = directory(&a, path);
  gs_status st = check_apart(&w, path, e);
  if (!st) st = write_model(&w, path, e);
  for (int i = w.saved.n; i-- > 0;) *w.saved.at[i].t = w.saved.at[i].before;
  m->source.n = w.nsource;
  gs_arena_free(&a);
  return st;
}
