/* Makes the parts of the documentation that come from tables.
 *
 *   gendoc TEMPLATE VERSION     a manual page: in the template a line
 *     "@synopsis TOOL", "@options TOOL", "@option TOOL NAME",
 *     "@examples TOOL", "@statuses", "@limits", "@operators" or "@moves"
 *     stands for that text, and @VERSION@ for the version
 *   gendoc --completion TOOL    the bash completion of a tool            */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const gs_tool *find(const char *name) {
  const gs_tool *t = gs_tool_find(name);
  if (t) return t;
  fprintf(stderr, "gendoc: no tool '%s'\n", name);
  exit(GS_USAGE);
}

static void for_tool(const char *name, void print(const gs_tool *, FILE *)) {
  print(find(name), stdout);
}

/* "TOOL NAME" */
static void one_option(char *arg) {
  char *name = strchr(arg, ' ');
  if (name) *name++ = 0;
  if (name && gs_cli_man_option(find(arg), name, stdout)) return;
  fprintf(stderr, "gendoc: %s has no option '%s'\n", arg, name ? name : "");
  exit(GS_DATA);
}

/* Prints a line with @VERSION@ replaced. */
static void plain(const char *line, const char *version) {
  static const char mark[] = "@VERSION@";
  for (const char *at; (at = strstr(line, mark)); line = at + sizeof mark - 1)
    printf("%.*s%s", (int)(at - line), line, version);
  puts(line);
}

/* Whether there is a table of that name. */
static bool print_table(const char *name) {
  static const struct {
    const char *name;
    gs_table table;
  } all[] = {{"@statuses", GS_TABLE_STATUSES_MAN},
             {"@limits", GS_TABLE_LIMITS_MAN},
             {"@moves", GS_TABLE_MOVES_MAN},
             {"@operators", GS_TABLE_OPERATORS_MAN}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(all[i].name, name)) continue;
    gs_table_print(all[i].table, stdout);
    return true;
  }
  return false;
}

static void expand(char *line, const char *version) {
  char *arg = strchr(line, ' ');
  if (*line != '@' || !strncmp(line, "@VERSION@", 9)) {
    plain(line, version);
    return;
  }
  if (arg) *arg++ = 0;
  if (!strcmp(line, "@synopsis") && arg) for_tool(arg, gs_cli_man_synopsis);
  else if (!strcmp(line, "@options") && arg) for_tool(arg, gs_cli_man_options);
  else if (!strcmp(line, "@option") && arg) one_option(arg);
  else if (!strcmp(line, "@examples") && arg)
    for_tool(arg, gs_cli_man_examples);
  else if (!print_table(line)) {
    fprintf(stderr, "gendoc: what is '%s'?\n", line);
    exit(GS_DATA);
  }
}

int main(int argc, char **argv) {
  char *line = NULL;
  size_t size = 0;
  ssize_t n;
  if (argc != 3) return GS_USAGE;
  if (!strcmp(argv[1], "--completion")) {
    for_tool(argv[2], gs_cli_completion);
    return fflush(stdout) ? GS_IO : 0;
  }
  FILE *f = fopen(argv[1], "r");
  if (!f) {
    fprintf(stderr, "gendoc: %s: %s\n", argv[1], strerror(errno));
    return GS_NOINPUT;
  }
  while ((n = getline(&line, &size, f)) > 0) {
    if (line[n - 1] == '\n') line[n - 1] = 0;
    expand(line, argv[2]);
  }
  free(line);
  fclose(f);
  return fflush(stdout) ? GS_IO : 0;
}
