/* Parsing of command lines by the tables of options. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tools/cli.h"
#include "../tools/options.h"
#include "base/math.h"
#include "base/status.h"
#include "suite.h"

enum { MAX_ARGS = 16 };

/* Splits a command line at spaces and parses it; the words live in `line`. */
static gs_status parse(const gs_tool *t, char *line, gs_cli *c, gs_err *e) {
  char *argv[MAX_ARGS];
  int argc = 0;
  argv[argc++] = line;
  for (char *s = line; (s = strchr(s, ' ')); argc++) {
    *s++ = 0;
    argv[argc] = s;
  }
  memset(c, 0, sizeof *c);
  gs_err_init(e);
  return gs_cli_parse(c, t, argc, argv, e);
}

static void done(gs_cli *c, gs_err *e) {
  gs_cli_free(c);
  gs_err_free(e);
}

START_TEST(forms_of_options) {
  static const char *const lines[] = {
      "run --input=a=1 --input b=2 -i c=3 -id=4 -vv -qnf -j 7 m",
      "run m --input a=1 -i b=2 -ic=3 --input=d=4 -v -vqn --force -j7",
  };
  char line[128];
  gs_cli c;
  gs_err e;
  snprintf(line, sizeof line, "%s", lines[_i]);
  ck_assert_int_eq(parse(&gs_tool_run, line, &c, &e), GS_OK);
  ck_assert_int_eq(gs_cli_count(&c, "input"), 4);
  ck_assert_str_eq(gs_cli_at(&c, "input", 0), "a=1");
  ck_assert_str_eq(gs_cli_at(&c, "input", 3), "d=4");
  ck_assert_str_eq(gs_cli_get(&c, "input"), "d=4");
  ck_assert_ptr_null(gs_cli_at(&c, "input", 4));
  ck_assert_int_eq(c.verbose, 2);
  ck_assert(c.quiet && c.dry_run && c.force && !c.json);
  ck_assert_int_eq(c.operand.n, 1);
  int64_t threads = 0;
  ck_assert_int_eq(gs_cli_int(&c, "threads", 1, 9, &threads, &e), GS_OK);
  ck_assert_int_eq(threads, 7);
  ck_assert_int_eq(gs_cli_int(&c, "threads", 1, 6, &threads, &e), GS_USAGE);
  done(&c, &e);
}
END_TEST

START_TEST(optional_argument) {
  char with[] = "p --report=json -", without[] = "p --report -o -";
  gs_cli c;
  gs_err e;
  ck_assert_int_eq(parse(&gs_tool_partition, with, &c, &e), GS_OK);
  ck_assert_str_eq(gs_cli_get(&c, "report"), "json");
  done(&c, &e);
  ck_assert_int_eq(parse(&gs_tool_annotate, without, &c, &e), GS_USAGE);
  ck_assert(gs_cli_has(&c, "report"));
  ck_assert_ptr_null(gs_cli_get(&c, "report"));
  ck_assert_str_eq(gs_cli_get(&c, "output"), "-");
  done(&c, &e);
}
END_TEST

START_TEST(operands) {
  char after[] = "run -- -v", dash[] = "run -", both[] = "run a b";
  gs_cli c;
  gs_err e;
  ck_assert_int_eq(parse(&gs_tool_run, after, &c, &e), GS_OK);
  ck_assert_str_eq(c.operand.at[0], "-v");
  ck_assert_int_eq(c.verbose, 0);
  done(&c, &e);
  ck_assert_int_eq(parse(&gs_tool_run, dash, &c, &e), GS_OK);
  ck_assert_str_eq(c.operand.at[0], "-");
  done(&c, &e);
  ck_assert_int_eq(parse(&gs_tool_run, both, &c, &e), GS_USAGE);
  ck_assert_str_eq(e.diag[0].text, "unexpected operand 'b'");
  done(&c, &e);
}
END_TEST

static const struct {
  const char *line, *text, *hint;
} wrong[] = {
    {"run --inptu=a m", "unknown option --inptu", "did you mean --input?"},
    {"run --zebra m", "unknown option --zebra", "run --help"},
    {"run -Z m", "unknown option -Z", "run --help"},
    {"run -check m", "unknown option -c", "did you mean --check?"},
    {"run m --check", "--check needs an argument: MODEL", "run --help"},
    {"run m -o", "-o needs an argument: DIR|NAME=FILE", "run --help"},
    {"run --quiet=1 m", "--quiet takes no argument", "run --help"},
    {"run --transport=thread m", "--transport=thread: not one of", "run"},
    {"run --transport= m", "--transport=: not one of", "run"},
    {"run --rtol 1 --rtol 2 m", "--rtol is given twice", "run"},
    {"run -v", "missing operand", "run"},
};

START_TEST(wrong_use) {
  char line[128];
  gs_cli c;
  gs_err e;
  snprintf(line, sizeof line, "%s", wrong[_i].line);
  ck_assert_int_eq(parse(&gs_tool_run, line, &c, &e), GS_USAGE);
  ck_assert_int_eq(e.n, 1);
  ck_assert_ptr_nonnull(strstr(e.diag[0].text, wrong[_i].text));
  ck_assert_ptr_nonnull(strstr(e.diag[0].hint, wrong[_i].hint));
  done(&c, &e);
}
END_TEST

START_TEST(numbers_and_pairs) {
  char line[] = "run --rtol 1e-4 --atol nan -i =f -i x=y=z --bench 0x1 m";
  const char *key, *value;
  double v = 3;
  int64_t n = 5;
  gs_cli c;
  gs_err e;
  ck_assert_int_eq(parse(&gs_tool_run, line, &c, &e), GS_OK);
  ck_assert_int_eq(gs_cli_double(&c, "rtol", 0, &v, &e), GS_OK);
  ck_assert(v > 0.99e-4 && v < 1.01e-4);
  ck_assert_int_eq(gs_cli_double(&c, "atol", 0, &v, &e), GS_USAGE);
  ck_assert_int_eq(gs_cli_int(&c, "bench", 1, 100, &n, &e), GS_USAGE);
  ck_assert_int_eq(gs_cli_int(&c, "threads", 1, 100, &n, &e), GS_OK);
  ck_assert_int_eq(n, 5);
  ck_assert_int_eq(gs_cli_pair(&c, "input", 0, true, &key, &value, &e),
                   GS_USAGE);
  ck_assert_int_eq(gs_cli_pair(&c, "input", 1, true, &key, &value, &e),
                   GS_OK);
  ck_assert_str_eq(key, "x");
  ck_assert_str_eq(value, "y=z");
  ck_assert(!gs_cli_parse_int("", 0, 9, &n));
  ck_assert(!gs_cli_parse_int("99999999999999999999", 0, INT64_MAX, &n));
  ck_assert(gs_cli_parse_int("-3", -5, 9, &n) && n == -3);
  done(&c, &e);
}
END_TEST

/* Names and letters of every table differ, and every row can be shown. */
START_TEST(tables) {
  static const gs_tool *const tools[] = {&gs_tool_annotate,
                                         &gs_tool_partition, &gs_tool_run};
  const gs_tool *t = tools[_i];
  const gs_option *o;
  for (int i = 0; (o = gs_option_at(t, i)); i++) {
    ck_assert_msg(gs_option_find(t, o->name) == o, "--%s twice", o->name);
    if (o->letter)
      ck_assert_msg(gs_option_letter(t, o->letter) == o, "-%c twice",
                    o->letter);
    ck_assert_msg(o->help || o->flags & GS_OPT_HIDDEN, "--%s: help", o->name);
    ck_assert_msg(!o->choices || o->arg, "--%s: choices", o->name);
  }
  ck_assert_ptr_eq(gs_tool_find(t->name), t);
  ck_assert_ptr_nonnull(t->examples[2].what);
  ck_assert_ptr_null(t->examples[3].what);
}
END_TEST

/* Messages of several processes on one terminal stay whole: each is one
 * write, which such a pipe gives to one read. */
START_TEST(whole_messages) {
  int end[2];
  char got[4096];
  gs_err e;
  gs_err_init(&e);
  gs_fail(&e, GS_DATA, "a.onnx: node 'x'", "first\ttext");
  gs_err_hint(&e, "some hint");
  gs_warn(&e, NULL, "second");
  ck_assert_int_eq(pipe2(end, O_DIRECT), 0);
  fflush(stderr);
  int kept = dup(2);
  ck_assert_int_eq(dup2(end[1], 2), 2);
  gs_err_print(&e, stderr, "rank 1", false);
  gs_cli c = {.who = "rank 2"};
  gs_cli_note(&c, "%s %d", "step", 3);
  dup2(kept, 2);
  close(end[1]);
  got[gs_max(0, read(end[0], got, sizeof got - 1))] = 0;
  ck_assert_str_eq(got, "rank 1: a.onnx: node 'x': error: first text\n"
                        "  hint: some hint\nrank 1: warning: second\n");
  got[gs_max(0, read(end[0], got, sizeof got - 1))] = 0;
  ck_assert_str_eq(got, "rank 2: step 3\n");
  gs_err_free(&e);
}
END_TEST

int main(void) {
  Suite *s = suite_create("cli");
  TCase *t = tcase_create("parse");
  tcase_set_timeout(t, 1200);
  tcase_add_loop_test(t, forms_of_options, 0, 2);
  tcase_add_test(t, optional_argument);
  tcase_add_test(t, operands);
  tcase_add_loop_test(t, wrong_use, 0, sizeof wrong / sizeof *wrong);
  tcase_add_test(t, numbers_and_pairs);
  tcase_add_loop_test(t, tables, 0, 3);
  tcase_add_test(t, whole_messages);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
