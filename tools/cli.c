#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "progress.h"

/* ---- memory ------------------------------------------------------------- */

static _Noreturn void no_memory(const gs_cli *c, size_t n) {
  fprintf(stderr, "%s: error: out of memory (%zu bytes wanted)\n",
          c->who ? c->who : "gshard", n);
  gs_process_clean();
  _exit(GS_RESOURCE);
}

void *gs_cli_alloc(gs_cli *c, size_t n) {
  gs_cli_memory *m = calloc(1, sizeof *m + n);
  if (!m) no_memory(c, n);
  m->next = c->memory;
  c->memory = m;
  return m + 1;
}

static char *text_of(gs_cli *c, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  size_t size = n < 0 ? 1 : (size_t)n + 1;
  char *s = gs_cli_alloc(c, size);
  vsnprintf(s, size, fmt, again);
  va_end(again);
  return s;
}

char *gs_cli_text(gs_cli *c, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *s = text_of(c, fmt, ap);
  va_end(ap);
  return s;
}

void gs_cli_free(gs_cli *c) {
  for (gs_cli_memory *m = c->memory, *next; m; m = next) {
    next = m->next;
    free(m);
  }
  c->memory = NULL;
}

/* For as many uses and operands as there can be: each has a character. */
static void make_room(gs_cli *c, int argc, char **argv) {
  size_t n = 1;
  for (int i = 1; i < argc; i++) n += strlen(argv[i]) + 1;
  c->use.at = gs_cli_alloc(c, n * sizeof *c->use.at);
  c->operand.at = gs_cli_alloc(c, ((size_t)argc + 1) * sizeof *c->operand.at);
}

/* ---- parsing ------------------------------------------------------------ */

static gs_status usage(const gs_cli *c, gs_err *e, const char *hint,
                       const char *text) {
  gs_fail(e, GS_USAGE, NULL, "%s", text);
  if (hint) gs_err_hint(e, "did you mean %s?", hint);
  else gs_err_hint(e, "%s --help lists the options", c->tool->name);
  return GS_USAGE;
}

/* The visible option whose name is nearest to s, NULL if none is near. */
static const char *nearest(gs_cli *c, const char *s) {
  const gs_option *o, *best = NULL;
  int min = 3;
  for (int i = 0; (o = gs_option_at(c->tool, i)); i++) {
    if (o->flags & GS_OPT_HIDDEN) continue;
    int d = gs_edit_distance(s, o->name, min);
    if (d < min) {
      min = d;
      best = o;
    }
  }
  return best ? gs_cli_text(c, "--%s", best->name) : NULL;
}

/* Whether value is one of "a|b|c". */
static bool is_choice(const char *choices, const char *value) {
  size_t n = strlen(value);
  for (const char *s = choices; s; s = strchr(s, '|') ? strchr(s, '|') + 1
                                                      : NULL)
    if (!strncmp(s, value, n) && (s[n] == '|' || !s[n])) return n > 0;
  return false;
}

static gs_status use(gs_cli *c, const gs_option *o, const char *value,
                     gs_err *e) {
  if (value && o->choices && !is_choice(o->choices, value))
    return usage(c, e, NULL,
                 gs_cli_text(c, "--%s=%s: not one of %s", o->name,
                            value, o->choices));
  if (o->arg && !(o->flags & GS_OPT_REPEAT) && gs_cli_has(c, o->name))
    return usage(c, e, NULL,
                 gs_cli_text(c, "--%s is given twice", o->name));
  c->use.at[c->use.n++] = (gs_option_use){o, value};
  return GS_OK;
}

/* --name, --name=value, --name value; *i is advanced past a value. */
static gs_status parse_long(gs_cli *c, int argc, char **argv, int *i,
                            gs_err *e) {
  const char *s = argv[*i] + 2, *eq = strchr(s, '=');
  const char *name = eq ? gs_cli_text(c, "%.*s", (int)(eq - s), s) : s;
  const gs_option *o = gs_option_find(c->tool, name), *other = NULL;
  if (!o) o = gs_option_short_for(c->tool, name, &other);
  if (other)
    return usage(c, e, NULL,
                 gs_cli_text(c, "--%s may be --%s or --%s", name,
                            o->name, other->name));
  if (!o)
    return usage(c, e, nearest(c, name),
                 gs_cli_text(c, "unknown option --%s", name));
  if (eq && !o->arg)
    return usage(c, e, NULL,
                 gs_cli_text(c, "--%s takes no argument", name));
  if (eq || !o->arg || (o->flags & GS_OPT_OPTIONAL))
    return use(c, o, eq ? eq + 1 : NULL, e);
  if (*i + 1 >= argc)
    return usage(c, e, NULL,
                 gs_cli_text(c, "--%s needs an argument: %s", name,
                            o->arg));
  return use(c, o, argv[++*i], e);
}

/* -v, -vq, -oFILE, -o FILE. */
static gs_status parse_short(gs_cli *c, int argc, char **argv, int *i,
                             gs_err *e) {
  for (const char *s = argv[*i] + 1; *s; s++) {
    const gs_option *o = gs_option_letter(c->tool, *s);
    if (!o) {
      const char *near =
          strlen(argv[*i]) > 2 ? nearest(c, argv[*i] + 1) : NULL;
      return usage(c, e, near,
                   gs_cli_text(c, "unknown option -%c", *s));
    }
    if (!o->arg) {
      GS_TRY(use(c, o, NULL, e));
      continue;
    }
    if (s[1]) return use(c, o, s + 1, e);
    if (*i + 1 < argc) return use(c, o, argv[++*i], e);
    return usage(c, e, NULL,
                 gs_cli_text(c, "-%c needs an argument: %s", *s,
                            o->arg));
  }
  return GS_OK;
}

static bool wants_color(const gs_cli *c) {
  const char *when = gs_cli_get(c, "color"), *no = getenv("NO_COLOR");
  if (when && strcmp(when, "auto")) return !strcmp(when, "always");
  return !(no && *no) && isatty(STDERR_FILENO);
}

/* Whether an option asks for a print-out only. */
static bool stands_alone(const gs_cli *c) {
  for (int i = 0; i < c->use.n; i++)
    if (c->use.at[i].option->flags & GS_OPT_ALONE) return true;
  return false;
}

static gs_status check_operands(gs_cli *c, gs_err *e) {
  const gs_tool *t = c->tool;
  if (stands_alone(c)) return GS_OK;
  if (c->operand.n > t->max_operands)
    return usage(c, e, NULL,
                 gs_cli_text(c, "unexpected operand '%s'",
                            c->operand.at[t->max_operands]));
  if (!c->operand.n && !t->min_operands && t->max_operands) {
    if (isatty(STDIN_FILENO))
      return usage(c, e, NULL,
                   "no operand, and standard input is a terminal");
    c->operand.at[c->operand.n++] = "-";
  }
  if (c->operand.n < t->min_operands)
    return usage(c, e, NULL,
                 gs_cli_text(c, "missing operand: %s", t->operands));
  return GS_OK;
}

gs_status gs_cli_parse(gs_cli *c, const gs_tool *t, int argc, char **argv,
                       gs_err *e) {
  gs_status s = GS_OK;
  c->tool = t;
  c->who = t->name;
  make_room(c, argc, argv);
  for (int i = 1; i < argc && s == GS_OK; i++) {
    const char *a = argv[i];
    if (!strcmp(a, "--")) {
      while (++i < argc) c->operand.at[c->operand.n++] = argv[i];
    } else if (a[0] == '-' && a[1] == '-') {
      s = parse_long(c, argc, argv, &i, e);
    } else if (a[0] == '-' && a[1]) {
      s = parse_short(c, argc, argv, &i, e);
    } else {
      c->operand.at[c->operand.n++] = a;
    }
  }
  c->verbose = gs_cli_count(c, "verbose");
  c->quiet = gs_cli_has(c, "quiet");
  c->dry_run = gs_cli_has(c, "dry-run");
  c->force = gs_cli_has(c, "force");
  c->json = gs_cli_has(c, "json");
  c->color = wants_color(c);
  return s == GS_OK ? check_operands(c, e) : s;
}

/* ---- what was given ----------------------------------------------------- */

/* A name that is in no table is a mistake in the program. */
static const gs_option *must_find(const gs_cli *c, const char *name) {
  const gs_option *o = gs_option_find(c->tool, name);
  if (!o) {
    fprintf(stderr, "%s: no option --%s in the table\n", c->tool->name, name);
    abort();
  }
  return o;
}

int gs_cli_count(const gs_cli *c, const char *name) {
  const gs_option *o = must_find(c, name);
  int n = 0;
  for (int i = 0; i < c->use.n; i++) n += c->use.at[i].option == o;
  return n;
}

bool gs_cli_has(const gs_cli *c, const char *name) {
  return gs_cli_count(c, name) > 0;
}

const char *gs_cli_at(const gs_cli *c, const char *name, int i) {
  const gs_option *o = must_find(c, name);
  for (int k = 0; k < c->use.n; k++)
    if (c->use.at[k].option == o && !i--) return c->use.at[k].value;
  return NULL;
}

const char *const *gs_cli_all(gs_cli *c, const char *name) {
  int n = gs_cli_count(c, name);
  const char **all = gs_cli_alloc(c, ((size_t)n + 1) * sizeof *all);
  for (int i = 0; i < n; i++) all[i] = gs_cli_at(c, name, i);
  return all;
}

const char *gs_cli_get(const gs_cli *c, const char *name) {
  return gs_cli_at(c, name, gs_cli_count(c, name) - 1);
}

bool gs_cli_parse_int(const char *s, int64_t min, int64_t max, int64_t *out) {
  char *end;
  if (!*s || strspn(s, "0123456789-") != strlen(s)) return false;
  errno = 0;
  long long v = strtoll(s, &end, 10);
  if (errno || *end || v < min || v > max) return false;
  *out = v;
  return true;
}

gs_status gs_cli_int(const gs_cli *c, const char *name, int64_t min,
                     int64_t max, int64_t *out, gs_err *e) {
  const char *s = gs_cli_get(c, name);
  if (!s || gs_cli_parse_int(s, min, max, out)) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL,
                 "--%s=%s: not a whole number from %lld to %lld", name, s,
                 (long long)min, (long long)max);
}

gs_status gs_cli_double(const gs_cli *c, const char *name, double min,
                        double *out, gs_err *e) {
  const char *s = gs_cli_get(c, name);
  char *end;
  if (!s) return GS_OK;
  double v = strtod(s, &end);
  if (!*s || *end || !isfinite(v) || v < min)
    return gs_fail(e, GS_USAGE, NULL, "--%s=%s: not a number of at least %g",
                   name, s, min);
  *out = v;
  return GS_OK;
}

gs_status gs_cli_pair(gs_cli *c, const char *name, int i, bool need,
                      const char **key, const char **value, gs_err *e) {
  const char *s = gs_cli_at(c, name, i), *eq = s ? strchr(s, '=') : NULL;
  *key = NULL;
  *value = s;
  if (eq && eq > s) {
    *key = gs_cli_text(c, "%.*s", (int)(eq - s), s);
    *value = eq + 1;
    return GS_OK;
  }
  if (!need && !eq) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "--%s=%s: not of the form %s", name,
                 s ? s : "", must_find(c, name)->arg);
}

/* ---- messages ----------------------------------------------------------- */

void gs_cli_print(FILE *f, const char *text) {
  gs_text_print(f, text, strlen(text));
}

gs_status gs_cli_print_text(FILE *f, gs_sharder *s, gs_text_kind kind,
                            gs_err *e) {
  const char *text;
  gs_status status = gs_sharder_text(s, kind, &text, e);
  if (status == GS_OK) gs_cli_print(f, text);
  return status;
}

void gs_cli_note(const gs_cli *c, const char *fmt, ...) {
  if (c->quiet || c->silent) return;
  gs_line_erase(c);
  gs_cli own = {.who = c->who};
  va_list ap;
  va_start(ap, fmt);
  gs_cli_print(stderr,
               gs_cli_text(&own, "%s: %s\n", c->who, text_of(&own, fmt, ap)));
  va_end(ap);
  gs_cli_free(&own);
}

/* Seconds of a clock that goes forward evenly. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void gs_cli_step(gs_cli *c, const char *what) {
  struct rusage used;
  gs_cli_end(c);
  if (c->quiet || c->silent || !c->verbose) return;
  double at = now();
  if (c->started > 0) {
    gs_cli_note(c, "%-10s %10.3f ms", what, (at - c->started) * 1e3);
    if (c->verbose > 1 && !getrusage(RUSAGE_SELF, &used))
      gs_cli_note(c, "%-10s %10ld KiB resident at most", "", used.ru_maxrss);
  }
  c->started = at;
}

gs_status gs_cli_check_stdout(const gs_cli *c, gs_err *e) {
  if (!isatty(STDOUT_FILENO)) return GS_OK;
  gs_fail(e, GS_USAGE, NULL, "%s does not write binary data to a terminal",
          c->tool->name);
  gs_err_hint(e, "give a file with -o, or a pipe");
  return GS_USAGE;
}

/* ---- signals ------------------------------------------------------------ */

/* An interrupted tool leaves no unfinished files. */
static void on_interrupt(int number) {
  gs_process_clean();
  signal(number, SIG_DFL);
  raise(number);
}

static void guard_signals(void) {
  const int ends[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction a = {.sa_handler = on_interrupt};
  sigemptyset(&a.sa_mask);
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error to report */
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    struct sigaction old;
    /* A signal that the parent ignores (nohup) stays ignored. */
    if (!sigaction(ends[i], NULL, &old) && old.sa_handler == SIG_DFL)
      sigaction(ends[i], &a, NULL);
  }
}

/* A file that we open must not become standard output by accident.  The mode
 * is the wrong one, so that using a closed stream stays an error. */
static void guard_descriptors(void) {
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      int got = open("/dev/null", fd ? O_RDONLY : O_WRONLY);
      if (got != fd) _exit(GS_RESOURCE);
    }
}

/* ---- main --------------------------------------------------------------- */

/* Handles the options that only print; true if there was one. */
static bool print_only(const gs_cli *c) {
  const gs_tool *t = c->tool;
  for (int i = 0; i < c->use.n; i++) {
    const gs_option *o = c->use.at[i].option;
    if (o->print_json && c->json) o->print_json(stdout);
    else if (o->print) o->print(stdout);
    else if (!strcmp(o->name, "help")) gs_cli_help(t, stdout);
    else if (!strcmp(o->name, "version")) gs_cli_version(t, stdout);
    else if (!strcmp(o->name, "print-man-options"))
      gs_cli_man_options(t, stdout);
    else if (!strcmp(o->name, "print-completion"))
      gs_cli_completion(t, stdout);
    else continue;
    return true;
  }
  return false;
}

static bool stdout_is_data(const gs_cli *c) {
  const gs_option *o = gs_option_find(c->tool, "output");
  for (int i = 0; o && i < c->use.n; i++) {
    const char *v = c->use.at[i].value;
    if (c->use.at[i].option == o && v &&
        (!strcmp(v, "-") || (strlen(v) > 2 && !strcmp(v + strlen(v) - 2,
                                                      "=-"))))
      return true;
  }
  return false;
}

void gs_cli_report(const gs_cli *c, gs_status s, const gs_err *e) {
  bool quiet = c->quiet && gs_err_first(e) == GS_OK;
  gs_cli_end(c);
  if (!c->silent && !quiet) gs_err_print(e, stderr, c->who, c->color);
  if (!c->silent && c->json && s != GS_OK && s != GS_NO &&
      !stdout_is_data(c)) {
    printf("{\"status\": %d, \"diagnostics\": ", (int)s);
    gs_err_print_json(e, stdout);
    puts("}");
  }
}

/* Closes stdout; what could not be written is an error of the tool. */
static gs_status close_stdout(const gs_cli *c) {
  bool bad = ferror(stdout) != 0;
  if (fflush(stdout)) bad = true;
  int why = errno;
  if (fclose(stdout)) bad = true;
  if (!bad) return GS_OK;
  fprintf(stderr, "%s: standard output: %serror:%s %s\n", c->who,
          c->color ? "\033[1;31m" : "", c->color ? "\033[0m" : "",
          strerror(why ? why : EIO));
  return GS_IO;
}

int gs_cli_main(const gs_tool *t, gs_status (*run)(gs_cli *c, gs_err *e),
                int argc, char **argv) {
  gs_cli c = {.who = t->name};
  guard_descriptors();
  guard_signals();
  gs_process_own(t->name);
  gs_err *e = gs_err_new();
  if (!e) no_memory(&c, 0);
  gs_status s = c.bad = gs_cli_parse(&c, t, argc, argv, e);
  if (s ? t->joined && t->joined() : !print_only(&c)) {
    gs_line_start(&c);
    s = run(&c, e);
    gs_line_stop(&c);
  }
  gs_cli_report(&c, s, e);
  gs_status closed = close_stdout(&c);
  gs_err_delete(e);
  gs_cli_free(&c);
  if (closed != GS_OK && (s == GS_OK || s == GS_NO)) s = closed;
  gs_process_done();
  return (int)s;
}
