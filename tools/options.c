#include "options.h"

#include <string.h>

const gs_option gs_common_options[] = {
    {.name = "verbose",
     .letter = 'v',
     .flags = GS_OPT_REPEAT,
     .group = "Common options",
     .help = "Print each step with its time; twice: also the memory."},
    {.name = "quiet",
     .letter = 'q',
     .help = "Print errors only: no summary and no warnings."},
    {.name = "dry-run",
     .letter = 'n',
     .help = "Do everything but write files."},
    {.name = "force",
     .letter = 'f',
     .help = "Replace outputs that already exist; without this option they are "
     "an error (73).  Files that gshard did not write are never removed: a "
     "plan's directory that holds other files is not replaced."},
    {.name = "threads",
     .letter = 'j',
     .arg = "N",
     .help = "Use at most N threads in this process.  The result does not "
             "depend on it.  The default is the number of processors that "
             "the process may run on."},
    {.name = "json",
     .help = "Print results, and errors too, as JSON to standard output."},
    {.name = "color",
     .arg = "WHEN",
     .choices = "auto|always|never",
     .help = "Colour messages: auto (the default) when standard error is a "
             "terminal and NO_COLOR is not set, always or never."},
    {.name = "help",
     .letter = 'h',
     .flags = GS_OPT_ALONE,
     .help = "Print this help and exit."},
    {.name = "version",
     .letter = 'V',
     .flags = GS_OPT_ALONE,
     .help = "Print the version, the licence, what was built in and the "
             "instruction set that kernels use, and exit."},
    {.name = "print-man-options", .flags = GS_OPT_ALONE | GS_OPT_HIDDEN},
    {.name = "print-completion",
     .arg = "SHELL",
     .choices = "bash",
     .flags = GS_OPT_ALONE | GS_OPT_HIDDEN},
    {0},
};

static const gs_tool *const tools[] = {&gs_tool_annotate, &gs_tool_partition,
                                       &gs_tool_run};

const gs_tool *gs_tool_find(const char *name) {
  for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
    if (!strcmp(tools[i]->name, name)) return tools[i];
  return NULL;
}

const gs_option *gs_option_at(const gs_tool *t, int i) {
  const gs_option *o = t->options;
  for (; o->name; o++)
    if (!i--) return o;
  for (o = gs_common_options; o->name; o++)
    if (!i--) return o;
  return NULL;
}

const gs_option *gs_option_find(const gs_tool *t, const char *name) {
  const gs_option *o;
  for (int i = 0; (o = gs_option_at(t, i)); i++)
    if (!strcmp(o->name, name)) return o;
  return NULL;
}

const gs_option *gs_option_short_for(const gs_tool *t, const char *name,
                                     const gs_option **other) {
  const gs_option *o, *found = NULL;
  *other = NULL;
  for (int i = 0; *name && (o = gs_option_at(t, i)); i++) {
    if (o->flags & GS_OPT_HIDDEN || strncmp(o->name, name, strlen(name)))
      continue;
    if (found) *other = o;
    else found = o;
  }
  return found;
}

const gs_option *gs_option_letter(const gs_tool *t, char letter) {
  const gs_option *o;
  for (int i = 0; (o = gs_option_at(t, i)); i++)
    if (o->letter == letter) return o;
  return NULL;
}
