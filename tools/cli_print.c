/* What the table of options is printed as. */
#include <ctype.h>
#include <string.h>

#include "options.h"

/* ---- help --------------------------------------------------------------- */

enum { HELP_WIDTH = 79, HELP_INDENT = 26 };

/* Wraps text to the help width; `at` columns of the first line are taken. */
static void wrap(FILE *f, const char *text, int at) {
  if (at + 2 > HELP_INDENT) {
    fputc('\n', f);
    at = 0;
  }
  bool start = true;
  while (*text) {
    int n = (int)strcspn(text, " ");
    if (!start && at + 1 + n > HELP_WIDTH) {
      fputc('\n', f);
      at = 0;
      start = true;
    }
    if (start) at += fprintf(f, "%*s", HELP_INDENT - at, "");
    else at += fprintf(f, " ");
    at += fprintf(f, "%.*s", n, text);
    start = false;
    text += n;
    text += strspn(text, " ");
  }
  fputc('\n', f);
}

static void help_row(FILE *f, const gs_option *o) {
  int at = o->letter ? fprintf(f, "  -%c, ", o->letter) : fprintf(f, "      ");
  at += fprintf(f, "--%s", o->name);
  const char *arg = o->choices ? o->choices : o->arg;
  if (arg)
    at += fprintf(f, o->flags & GS_OPT_OPTIONAL ? "[=%s]" : "=%s", arg);
  if (o->flags & GS_OPT_REPEAT && arg) at += fprintf(f, "...");
  wrap(f, o->help, at);
}

void gs_cli_help(const gs_tool *t, FILE *f) {
  const gs_option *o;
  fprintf(f, "%s - %s\n\nUsage: %s [OPTION]...%s%s\n", t->name, t->summary,
          t->name, *t->operands ? " " : "", t->operands);
  for (int i = 0; (o = gs_option_at(t, i)); i++) {
    if (o->group) fprintf(f, "\n%s:\n", o->group);
    if (!(o->flags & GS_OPT_HIDDEN)) help_row(f, o);
  }
  fputs("\nExamples:\n", f);
  for (const gs_example *x = t->examples; x->what; x++) {
    fprintf(f, "  # %s\n", x->what);
    /* A long pipeline goes on over several lines. */
    for (const char *s = x->command; *s;) {
      const char *bar = strlen(s) > 72 ? strstr(s + 1, " | ") : NULL;
      int n = bar ? (int)(bar - s) : (int)strlen(s);
      fprintf(f, "  %s%.*s%s\n", s == x->command ? "" : "  ", n, s,
              bar ? " |" : "");
      s += n + (bar ? 3 : 0);
    }
  }
  fprintf(f,
          "\nExit status: 0 success, 1 a check failed, 64 usage, 65 bad data, "
          "66 no input,\n"
          "  69 unsupported, 74 input/output error; all are in gshard(7).\n"
          "Manual: %s(1), gshard(7), gshard-mpi(7), gshard-ops(7),\n"
          "  gshard-spec(5), gshard-plan(5).\n",
          t->name);
}

void gs_cli_version(const gs_tool *t, FILE *f) {
  fprintf(f, "%s %s\n", t->name, gs_version());
  fputs("Licence: Apache-2.0.  There is no warranty.\n", f);
  gs_table_print(GS_TABLE_FEATURES, f);
  if (t->built) t->built(f);
}

/* ---- mdoc --------------------------------------------------------------- */

/* One sentence a line; nothing that mdoc takes for a request. */
static void man_text(FILE *f, const char *s) {
  for (bool start = true; *s; s++) {
    if (start && (*s == '.' || *s == '\'')) fputs("\\&", f);
    start = false;
    if (*s == '\\') {
      fputs("\\e", f);
    } else if (*s == '-') {
      fputs("\\-", f);
    } else if (*s == '.' && s[1] == ' ' && s[2] == ' ') {
      fputs(".\n", f);
      s += 2;
      start = true;
    } else {
      fputc(*s, f);
    }
  }
  fputc('\n', f);
}

/* A choice of arguments, "a | b | c", or the name of the argument. */
static void man_arg(FILE *f, const gs_option *o) {
  if (!o->choices) {
    fprintf(f, " Ar %s", o->arg);
    return;
  }
  for (const char *s = o->choices; *s; s++) {
    if (s == o->choices) fputs(" Cm ", f);
    if (*s == '|') fputs(" | ", f);
    else fputc(*s, f);
  }
}

void gs_cli_man_synopsis(const gs_tool *t, FILE *f) {
  const gs_option *o;
  const char *end = t->operands + strlen(t->operands);
  fputs(".Nm\n", f);
  for (int i = 0; (o = gs_option_at(t, i)); i++) {
    if (o->flags & (GS_OPT_HIDDEN | GS_OPT_ALONE)) continue;
    fputs(o->letter ? ".Op Fl " : ".Op Fl -", f);
    if (o->letter) fputc(o->letter, f);
    else fputs(o->name, f);
    if (o->arg && o->flags & GS_OPT_OPTIONAL) {
      fputs(" Ns Oo Ns = Ns", f);
      man_arg(f, o);
      fputs(" Oc", f);
    } else if (o->arg) {
      if (!o->letter) fputs(" Ns = Ns", f);
      man_arg(f, o);
    }
    fputc('\n', f);
  }
  /* "[A|-]" or "A|B|-" */
  bool optional = *t->operands == '[';
  const char *s = t->operands + optional;
  fputs(optional ? ".Op Ar" : ".Ar", f);
  for (fputc(' ', f); s < end - optional; s++)
    if (*s == '|') fputs(" | ", f);
    else fputc(*s, f);
  fputc('\n', f);
}

static void man_option(FILE *f, const gs_option *o) {
  fputs(".It", f);
  if (o->letter) {
    fprintf(f, " Fl %c", o->letter);
    if (o->arg) man_arg(f, o);
    fputs(" ,", f);
  }
  fprintf(f, " Fl -%s", o->name);
  if (o->arg) {
    bool optional = o->flags & GS_OPT_OPTIONAL;
    fputs(optional ? " Ns Oo Ns = Ns" : " Ns = Ns", f);
    man_arg(f, o);
    if (optional) fputs(" Oc", f);
  }
  fputc('\n', f);
  man_text(f, o->help);
  if (o->flags & GS_OPT_REPEAT && o->arg) fputs("May be repeated.\n", f);
}

void gs_cli_man_options(const gs_tool *t, FILE *f) {
  const gs_option *o;
  bool open = false;
  for (int i = 0; (o = gs_option_at(t, i)); i++) {
    if (o->group) {
      fprintf(f, "%s.Ss %s\n.Bl -tag -width Ds\n", open ? ".El\n" : "",
              o->group);
      open = true;
    }
    if (!(o->flags & GS_OPT_HIDDEN)) man_option(f, o);
  }
  if (open) fputs(".El\n", f);
}

bool gs_cli_man_option(const gs_tool *t, const char *name, FILE *f) {
  const gs_option *o = gs_option_find(t, name);
  if (o) man_option(f, o);
  return o;
}

void gs_cli_man_examples(const gs_tool *t, FILE *f) {
  for (const gs_example *x = t->examples; x->what; x++) {
    man_text(f, x->what);
    fputs(".Bd -literal -offset indent\n", f);
    man_text(f, x->command);
    fputs(".Ed\n", f);
    if (x[1].what) fputs(".Pp\n", f);
  }
}

/* ---- completion --------------------------------------------------------- */

void gs_cli_completion(const gs_tool *t, FILE *f) {
  char fn[64];
  const gs_option *o;
  snprintf(fn, sizeof fn, "_%s", t->name);
  for (char *s = fn; *s; s++)
    if (!isalnum((unsigned char)*s)) *s = '_';
  fprintf(f,
          "# bash completion for %s(1), made from its table of options\n"
          "%s() {\n"
          "  local cur=${COMP_WORDS[COMP_CWORD]}\n"
          "  local prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  [[ $cur == = ]] && cur=\n"
          "  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "  case $prev in\n",
          t->name, fn);
  for (int i = 0; (o = gs_option_at(t, i)); i++) {
    if (!o->choices || o->flags & GS_OPT_HIDDEN) continue;
    fprintf(f, "    --%s) COMPREPLY=($(compgen -W '", o->name);
    for (const char *s = o->choices; *s; s++) fputc(*s == '|' ? ' ' : *s, f);
    fputs("' -- \"$cur\")); return ;;\n", f);
  }
  fputs("  esac\n  if [[ $cur == -* ]]; then\n    COMPREPLY=($(compgen -W '",
        f);
  const char *space = "";
  for (int i = 0; (o = gs_option_at(t, i)); i++) {
    if (o->flags & GS_OPT_HIDDEN) continue;
    fprintf(f, "%s", space);
    if (o->letter) fprintf(f, "-%c ", o->letter);
    fprintf(f, "--%s", o->name);
    space = " ";
  }
  fputs("' -- \"$cur\"))\n  else\n    COMPREPLY=($(compgen -f -- \"$cur\"))\n"
        "  fi\n}\n",
        f);
  fprintf(f, "complete -o filenames -F %s %s\n", fn, t->name);
}
