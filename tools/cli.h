/* The command line of the tools.
 *
 * Each tool has one table of options (options_*.c); parsing, --help, the
 * OPTIONS section of its manual page and the shell completion all come from
 * it. A tool's main is
 *
 *   static gs_status run(gs_cli *c, gs_err *e) { ... }
 *   int main(int argc, char **argv) {
 *     return gs_cli_main(&gs_tool_run, run, argc, argv);
 *   }
 */
#ifndef GS_TOOLS_CLI_H
#define GS_TOOLS_CLI_H

#include "gshard.h"

enum {
  GS_OPT_REPEAT = 1 << 0,   /* each use adds a value; without this flag a
                               second use is an error for options with an
                               argument */
  GS_OPT_OPTIONAL = 1 << 1, /* the argument may be left out; it is then given
                               as --name=ARG only */
  GS_OPT_HIDDEN = 1 << 2,   /* in no help text */
  GS_OPT_ALONE = 1 << 3,    /* prints something and needs no operands */
  GS_OPT_ALIKE = 1 << 4,    /* the ranks of an MPI job have the same values */
  GS_OPT_ALIKE_USE = 1 << 5, /* or use it as often, with values of their own */
};

typedef struct gs_option {
  const char *name;    /* long name without dashes; NULL ends a table */
  char letter;         /* short name, or 0 */
  const char *arg;     /* name of the argument, NULL: takes none */
  unsigned flags;      /* GS_OPT_* */
  const char *choices; /* "auto|always|never": what the argument may be */
  const char *group;   /* heading that starts here, NULL: as the row before */
  const char *help;    /* sentences, wrapped when shown */
  void (*print)(FILE *f); /* the option prints this and ends the tool */
  void (*print_json)(FILE *f); /* instead of it with --json; NULL: the same */
} gs_option;

typedef struct gs_example {
  const char *what, *command;
} gs_example;

typedef struct gs_tool {
  const char *name;     /* "gshard-run" */
  const char *summary;  /* one line, lower case, no full stop */
  const char *operands; /* "PLAN|PROGRAM|MODEL|-" */
  int min_operands, max_operands; /* min 0: "-" when none is given; max 0:
                                     the tool takes none */
  const gs_option *options; /* the tool's own; the common ones are added */
  gs_example examples[4];   /* ends with what == NULL */
  void (*built)(FILE *f);   /* adds lines to --version, or NULL */
  bool (*joined)(void);     /* whether other processes wait for this one: run
                               is then called after wrong use as well */
} gs_tool;

extern const gs_tool gs_tool_annotate, gs_tool_partition, gs_tool_run;
/* The tool of that name, or NULL. */
const gs_tool *gs_tool_find(const char *name);

typedef struct gs_option_use { /* one use of an option, in order */
  const gs_option *option;
  const char *value; /* NULL: without an argument */
} gs_option_use;

struct gs_line; /* progress.h */

/* Memory of the command line, freed at its end. */
typedef struct gs_cli_memory {
  struct gs_cli_memory *next;
} gs_cli_memory;

typedef struct gs_cli {
  gs_cli_memory *memory;
  const gs_tool *tool;
  const char *who; /* starts messages; a rank may put its name here */
  struct {
    gs_option_use *at;
    int n, cap;
  } use;
  struct {
    const char **at;
    int n, cap;
  } operand;
  int verbose; /* number of -v */
  double started; /* clock of gs_cli_step, seconds; 0: not started */
  struct gs_line *line; /* on the terminal; NULL: none */
  gs_status bad; /* of the command line; its diagnostics are in run's e */
  bool quiet, dry_run, force, json;
  bool color;  /* whether stderr gets colours */
  bool silent; /* set by ranks that leave messages to another one */
} gs_cli;

/* Parses, handles the options that only print something, calls run, prints
 * its diagnostics and warnings to stderr (with --json a failure also as an
 * object {status, diagnostics} to stdout, unless -o - took it), and closes
 * stdout, where a failed write makes GS_IO.  Unfinished files are removed on
 * SIGINT and SIGTERM, and when a mapped file is cut short while it is read
 * (SIGBUS: GS_IO).  Returns main's exit code. */
int gs_cli_main(const gs_tool *t, gs_status (*run)(gs_cli *c, gs_err *e),
                int argc, char **argv);

/* Prints the diagnostics of run as gs_cli_main does, for a tool that does not
 * return to it. */
void gs_cli_report(const gs_cli *c, gs_status s, const gs_err *e);

/* Parses only.  Errors: GS_USAGE with a hint. */
gs_status gs_cli_parse(gs_cli *c, const gs_tool *t, int argc, char **argv,
                       gs_err *e);

/* n zeroed bytes, freed with c; without memory the tool ends. */
void *gs_cli_alloc(gs_cli *c, size_t n);
/* A text in such memory. */
char *gs_cli_text(gs_cli *c, const char *fmt, ...) GS_FORMAT(2, 3);
/* Frees all of it. */
void gs_cli_free(gs_cli *c);

/* ---- what was given; `name` must be in the table (else abort) ---- */

/* Number of uses. */
int gs_cli_count(const gs_cli *c, const char *name);
bool gs_cli_has(const gs_cli *c, const char *name);
/* Value of use i (0-based), NULL if there is none or it has no argument. */
const char *gs_cli_at(const gs_cli *c, const char *name, int i);
/* The values of all uses, NULL where one has none. */
const char *const *gs_cli_all(gs_cli *c, const char *name);
/* Value of the last use. */
const char *gs_cli_get(const gs_cli *c, const char *name);
/* Number in [min, max]; *out keeps its value when the option is not given.
 * Errors: GS_USAGE. */
gs_status gs_cli_int(const gs_cli *c, const char *name, int64_t min,
                     int64_t max, int64_t *out, gs_err *e);
/* Finite number >= min. */
gs_status gs_cli_double(const gs_cli *c, const char *name, double min,
                        double *out, gs_err *e);
/* Use i as NAME=VALUE, cut at the first '='; *key is NULL where there is none
 * and `need` is false.  Errors: GS_USAGE. */
gs_status gs_cli_pair(gs_cli *c, const char *name, int i, bool need,
                      const char **key, const char **value, gs_err *e);
/* Parses decimal text; false on anything else. */
bool gs_cli_parse_int(const char *s, int64_t min, int64_t max, int64_t *out);

/* ---- messages to stderr ---- */

/* The one way by which text gets out that may hold something of a file:
 * control characters but line ends are escaped (gs_text_print). */
void gs_cli_print(FILE *f, const char *text);
/* That text of s. */
gs_status gs_cli_print_text(FILE *f, gs_sharder *s, gs_text_kind kind,
                            gs_err *e);
/* "who: text", unless -q. */
void gs_cli_note(const gs_cli *c, const char *fmt, ...)
    GS_FORMAT(2, 3);
/* With -v: the name of a step that has ended and its time, since the last
 * call; with -vv the memory as well.  The first call starts the clock. */
void gs_cli_step(gs_cli *c, const char *what);
/* Refuses to write binary data to a terminal; for `-o -`. */
gs_status gs_cli_check_stdout(const gs_cli *c, gs_err *e);

/* ---- what the table is printed as ---- */

void gs_cli_help(const gs_tool *t, FILE *f);
void gs_cli_version(const gs_tool *t, FILE *f);
/* mdoc: the SYNOPSIS lines, the list of the OPTIONS section, EXAMPLES. */
void gs_cli_man_synopsis(const gs_tool *t, FILE *f);
void gs_cli_man_options(const gs_tool *t, FILE *f);
void gs_cli_man_examples(const gs_tool *t, FILE *f);
/* One option, as in that list; false: there is none of that name. */
bool gs_cli_man_option(const gs_tool *t, const char *name, FILE *f);
void gs_cli_completion(const gs_tool *t, FILE *f);

#endif
