/* Runs embed's way and looks whether anything of the process has changed:
 * handlers of signals, masks, limits, the environment, open files. */
#include <dirent.h>
#include <gshard.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { NSIGNAL = 65 };

typedef struct state {
  struct sigaction handler[NSIGNAL];
  sigset_t blocked;
  mode_t mask;
  struct rlimit limit[RLIM_NLIMITS];
  int files;
} state;

static int count_files(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n;
}

static void look(state *s) {
  memset(s, 0, sizeof *s);
  for (int i = 1; i < NSIGNAL; i++) sigaction(i, NULL, &s->handler[i]);
  sigprocmask(SIG_SETMASK, NULL, &s->blocked);
  umask(s->mask = umask(0));
  for (int i = 0; i < RLIM_NLIMITS; i++)
    getrlimit((__rlimit_resource_t)i, &s->limit[i]);
  s->files = count_files();
}

static int differ(const state *a, const state *b) {
  int bad = 0;
  for (int i = 1; i < NSIGNAL; i++)
    if (a->handler[i].sa_handler != b->handler[i].sa_handler)
      printf("signal %d has another handler\n", i), bad++;
  for (int i = 1; i < NSIGNAL; i++)
    if (sigismember(&a->blocked, i) != sigismember(&b->blocked, i))
      printf("signal %d is blocked, or no longer\n", i), bad++;
  if (a->mask != b->mask) printf("another umask\n"), bad++;
  if (memcmp(a->limit, b->limit, sizeof a->limit))
    printf("another limit\n"), bad++;
  if (a->files != b->files)
    printf("%d open files, not %d\n", b->files, a->files), bad++;
  return bad;
}

static void at_exit(void) { puts("left by exit"); }

static gs_status work(const char *model, const char *spec, const char *out,
                      gs_err *e) {
  gs_sharder_options o = {.size = sizeof o, .spec = &spec, .nspec = 1};
  gs_runner_options how = {.size = sizeof how, .threads = 4, .random = true};
  gs_sharder *s = NULL;
  gs_runner *r = NULL;
  gs_array y;
  gs_status status = gs_sharder_new(&o, &s, e);
  if (!status) status = gs_sharder_load(s, model, NULL, e);
  if (!status) status = gs_sharder_annotate(s, e);
  if (!status) status = gs_sharder_partition(s, e);
  if (!status) status = gs_sharder_emit(s, GS_EMIT_PLAN, out, NULL, e);
  if (!status) status = gs_runner_new(&how, &r, e);
  if (!status) status = gs_runner_open(r, out, e);
  if (!status) status = gs_runner_compile(r, e);
  if (!status) status = gs_runner_run(r, NULL, e);
  if (!status) status = gs_runner_output(r, 0, &y, e);
  gs_runner_free(r);
  gs_sharder_free(s);
  return status;
}

int main(int argc, char **argv) {
  static state before, after;
  gs_err *e = gs_err_new();
  if (argc < 4 || !e) return 64;
  atexit(at_exit);
  look(&before);
  gs_status s = work(argv[1], argv[2], argv[3], e);
  look(&after);
  gs_err_print(e, stderr, "effects", false);
  gs_err_delete(e);
  return s ? (int)s : differ(&before, &after) != 0;
}
