#include "api/run/run_output.h"

#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/data/map.h"
#include "base/utf8.h"
#include "io/file/io.h"
#include "io/file/npy.h"

enum { MAX_NAME = 230 }; /* bytes of a file's name, endings aside */

/* What .npy does not know is written as .pb. */
static const char *extension(gs_kind kind, gs_dtype dtype) {
  return kind == GS_TENSOR && gs_dtype_get((int)dtype)->npy ? "npy" : "pb";
}

/* A name as that of a file: what cannot stand there becomes %XX, so that no
 * two names become one. */
const char *gs_run_file_name(gs_arena *a, const char *name) {
  gs_buf b;
  gs_buf_init(&b, a);
  size_t n = strlen(name);
  for (size_t at = 0; at < n;) {
    int k = gs_utf8_printable(name + at, n - at);
    gs_assert(k >= 0 && (size_t)k <= n - at);
    bool plain = k && !strchr("/\\%", name[at]) && (at || name[0] != '.');
    if (plain) gs_buf_add(&b, name + at, (size_t)k);
    else gs_buf_printf(&b, "%%%02X", (unsigned char)name[at]);
    at += plain ? (size_t)k : 1;
  }
  return b.at;
}

/* ---- what goes where ---- */

typedef struct planner {
  gs_run_output *r;
  const gs_graph *g;
  gs_map taken; /* paths */
  gs_err *e;
} planner;

static gs_status add_file(planner *p, int output, const char *path, int dir) {
  gs_assert(output >= 0 && output < p->g->output.n);
  gs_assert(dir < p->r->dir.n);
  gs_arena *a = p->r->arena;
  const gs_value *v = p->g->output.at[output];
  *gs_push(a, &p->r->file) = (gs_output_file){output, path, dir};
  if (!strcmp(path, "-")) return GS_OK;
  const gs_value *other = gs_map_get(&p->taken, path);
  if (other == v) {
    p->r->file.n--; /* an output that the graph lists twice */
    return GS_OK;
  }
  if (other)
    return gs_fail(p->e, GS_USAGE, path, "two outputs would go there, '%s' "
                   "and '%s'", other->name, v->name);
  gs_map_put(&p->taken, path, (void *)(uintptr_t)v);
  if (p->r->dry_run || (dir >= 0 && p->r->dir.at[dir].fresh)) return GS_OK;
  return gs_out_check(a, path, p->r->replace, p->e);
}

static gs_status add_dir(planner *p, const char *path) {
  gs_arena *a = p->r->arena;
  struct stat st;
  bool fresh = lstat(path, &st) != 0;
  if (!fresh && (stat(path, &st) || !S_ISDIR(st.st_mode))) {
    gs_fail(p->e, GS_CANTCREATE, path, "is not a directory");
    gs_err_hint(p->e, "-o NAME=FILE writes one output to a file");
    return GS_CANTCREATE;
  }
  if (fresh && !p->r->dry_run)
    GS_TRY(gs_out_dir_check(a, path, false, NULL, 0, p->e));
  *gs_push(a, &p->r->dir) = (gs_output_dir){path, fresh};
  for (int i = 0; i < p->g->output.n; i++) {
    const gs_value *v = p->g->output.at[i];
    const char *name = gs_run_file_name(a, v->name);
    if (strlen(name) > MAX_NAME) {
      gs_fail(p->e, GS_CANTCREATE, path, "the name of output %d is too long "
              "for a file, %zu bytes", i, strlen(name));
      gs_err_hint(p->e, "-o NAME=FILE names the file");
      return GS_CANTCREATE;
    }
    GS_TRY(add_file(p, i, gs_sprintf(a, "%s/%s.%s", path, name,
                                     extension(v->kind, v->dtype)),
                    p->r->dir.n - 1));
  }
  return GS_OK;
}

static gs_status add_named(planner *p, const char *name, const char *path) {
  const gs_graph *g = p->g;
  if (!name && g->output.n != 1)
    return gs_fail(p->e, GS_USAGE, NULL,
                   "the model has %d outputs: write -o NAME=-", g->output.n);
  int i = 0;
  while (name && i < g->output.n && strcmp(g->output.at[i]->name, name)) i++;
  if (i < g->output.n) return add_file(p, i, path, -1);
  return gs_fail(p->e, GS_USAGE, NULL, "the model has no output '%s'", name);
}

gs_status gs_run_output_plan(gs_run_output *out, const gs_pair *to, int n,
                             const gs_graph *g, gs_err *e) {
  gs_arena *a = out->arena;
  planner p = {.r = out, .g = g, .e = e};
  gs_map_init(&p.taken, a);
  for (int k = 0; k < n; k++) {
    const char *path = gs_strdup(a, to[k].value);
    if (to[k].name || !strcmp(path, "-"))
      GS_TRY(add_named(&p, to[k].name, path));
    else GS_TRY(add_dir(&p, path));
  }
  return GS_OK;
}

/* ---- writing ---- */

/* The file of f, in the directory `in` where it is not NULL. */
static const char *path_of(gs_arena *a, const gs_output_file *f,
                           const char *in, const gs_dyn *b) {
  if (f->dir < 0) return f->path;
  gs_assert(strrchr(f->path, '/'));
  const char *name = strrchr(f->path, '/') + 1, *dot = strrchr(name, '.');
  size_t dir = in ? 0 : (size_t)(name - f->path);
  return gs_sprintf(a, "%.*s%s%s%.*s.%s", (int)dir, f->path, in ? in : "",
                    in ? "/" : "", (int)(dot - name), name,
                    extension(b->kind, b->t.dtype));
}

/* A new directory, whose files are written where it is being made. */
static gs_status fill_dir(const gs_run_output *r, int dir,
                          gs_dyn *const *dyn, gs_out_dir *d, gs_err *e) {
  gs_arena *a = r->arena;
  gs_out_set files;
  gs_out_set_init(&files, a, false);
  for (int i = 0; i < r->file.n; i++) {
    const gs_output_file *f = &r->file.at[i];
    if (f->dir != dir) continue;
    const gs_dyn *b = dyn[f->output];
    gs_status s = gs_dyn_save(&files, path_of(a, f, d->temp.path, b), b, e);
    if (!s) continue;
    gs_out_set_abort(&files);
    return s;
  }
  return gs_out_set_commit(&files, e);
}

static gs_status fill(const gs_run_output *r, gs_dyn *const *dyn,
                      gs_out_set *files, gs_out_dir *made, gs_err *e) {
  gs_arena *a = r->arena;
  for (int i = 0; i < r->file.n; i++) {
    const gs_output_file *f = &r->file.at[i];
    if (f->dir >= 0 && r->dir.at[f->dir].fresh) continue;
    const gs_dyn *b = dyn[f->output];
    GS_TRY(gs_dyn_save(files, path_of(a, f, NULL, b), b, e));
  }
  for (int k = 0; k < r->dir.n; k++) {
    if (!r->dir.at[k].fresh) continue;
    GS_TRY(gs_out_dir_open(a, r->dir.at[k].path, false, NULL, 0, &made[k],
                           e));
    GS_TRY(fill_dir(r, k, dyn, &made[k], e));
  }
  return GS_OK;
}

gs_status gs_run_output_save(const gs_run_output *r, gs_dyn *const *dyn,
                             gs_err *e) {
  gs_arena *a = r->arena;
  if (r->dry_run) return GS_OK;
  gs_out_set files;
  gs_out_set_init(&files, a, r->replace);
  gs_out_dir *made = GS_NEWS(a, r->dir.n + 1, gs_out_dir);
  gs_status s = fill(r, dyn, &files, made, e);
  if (s) gs_out_set_abort(&files);
  else s = gs_out_set_commit(&files, e);
  for (int k = 0; k < r->dir.n; k++) {
    if (!made[k].temp.path) continue;
    if (s) gs_out_dir_abort(&made[k]);
    else s = gs_out_dir_commit(a, &made[k], e);
  }
  return s;
}
