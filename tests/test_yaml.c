/* YAML trees: places, limits and refusals (reliability: what YAML can do). */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fixture.h"
#include "io/spec/yaml.h"

static gs_status parse_n(const char *text, size_t n, gs_yaml **out) {
  return gs_yaml_parse(&arena, "t.yaml", text, n, &gs_yaml_spec_limits, out,
                       &err);
}

static gs_yaml *parse(const char *text) {
  gs_yaml *y = NULL;
  gs_status s = parse_n(text, strlen(text), &y);
  ck_assert_msg(s == GS_OK, "%s", err.n ? err.diag[0].text : "?");
  return y;
}

/* Expects GS_DATA with this place and these texts (NULL: any). */
static void refuse_n(const char *text, size_t n, const char *place,
                     const char *message, const char *hint) {
  gs_yaml *y;
  gs_err_clear(&err);
  ck_assert_int_eq(parse_n(text, n, &y), GS_DATA);
  ck_assert_int_eq(err.n, 1);
  const gs_diag *d = &err.diag[0];
  if (place) ck_assert_str_eq(d->place, place);
  if (message) ck_assert_msg(strstr(d->text, message), "got: %s", d->text);
  if (hint) ck_assert_msg(d->hint && strstr(d->hint, hint), "got: %s", d->hint);
}

static void refuse(const char *text, const char *place, const char *message,
                   const char *hint) {
  refuse_n(text, strlen(text), place, message, hint);
}

static char *repeat(const char *s, size_t times, const char *end, size_t *n) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  for (size_t i = 0; i < times; i++) gs_buf_str(&b, s);
  gs_buf_str(&b, end);
  *n = b.n;
  return b.at;
}

START_TEST(test_places) {
  gs_yaml *y = parse("a: 1\nlist:\n  - [x, 'y z']\n  - k: ~\n");
  ck_assert_int_eq(y->kind, GS_YAML_MAP);
  const gs_yaml *l = gs_yaml_get(y, "list");
  ck_assert_int_eq(l->kind, GS_YAML_LIST);
  const gs_yaml *q = l->item.at[0]->item.at[1];
  ck_assert_str_eq(q->text, "y z");
  ck_assert(q->quoted);
  ck_assert_int_eq(q->at.line, 3);
  ck_assert_int_eq(q->at.col, 9);
  ck_assert_int_eq(q->at.width, 5);
  ck_assert_str_eq(gs_place_text(&arena, &q->at), "t.yaml:3:9");
  ck_assert(gs_yaml_is_null(gs_yaml_get(l->item.at[1], "k")));
  ck_assert_ptr_null(gs_yaml_get(y, "none"));
}
END_TEST

START_TEST(test_caret) {
  gs_yaml *y = parse("a:\r\n  b: over\r\n");
  const gs_yaml *b = gs_yaml_get(gs_yaml_get(y, "a"), "b");
  ck_assert_int_eq(gs_fail_at(&err, GS_SPEC, &b->at, "bad %d", 7), GS_SPEC);
  ck_assert_str_eq(err.diag[0].place, "t.yaml:2:6");
  ck_assert_str_eq(err.diag[0].line, "  b: over");
  ck_assert_int_eq(err.diag[0].col, 6);
  ck_assert_int_eq(err.diag[0].width, 4);
}
END_TEST

START_TEST(test_long_line) {
  size_t n;
  char *text = repeat("abcdefghi, ", 400, "x: *u]", &n);
  char *line = gs_sprintf(&arena, "[%s", text);
  refuse(line, "t.yaml:1:4405", "no anchor", NULL);
  ck_assert_uint_le(strlen(err.diag[0].line), 120);
  ck_assert_int_eq(err.diag[0].line[err.diag[0].col - 1], '*');
}
END_TEST

START_TEST(test_json) {
  gs_yaml *y = parse("{\"a\":[1,null,true],\"b\":{\"c\":\"\\u0041\\/\"}}");
  int64_t v;
  bool t;
  const gs_yaml *a = gs_yaml_get(y, "a");
  ck_assert_int_eq(gs_yaml_int(a->item.at[0], 0, 9, &v, &err), GS_OK);
  ck_assert(v == 1);
  ck_assert(gs_yaml_is_null(a->item.at[1]));
  ck_assert_int_eq(gs_yaml_bool(a->item.at[2], &t, &err), GS_OK);
  ck_assert_str_eq(gs_yaml_get(gs_yaml_get(y, "b"), "c")->text, "A/");
}
END_TEST

START_TEST(test_scalars) {
  static const char *const not_ints[] = {
      "01",  "+1",    "-1", "1_0", "0x1", "0o1",   "1e3",
      "1.0", "\"1\"", "no", "~",   "[]",  "12:30", "9223372036854775808"};
  int64_t v = 0;
  double d;
  bool b;
  for (size_t i = 0; i < sizeof not_ints / sizeof *not_ints; i++)
    ck_assert_int_eq(
        gs_yaml_int(parse(not_ints[i]), 0, INT64_MAX, &v, &err), GS_DATA);
  ck_assert_int_eq(
      gs_yaml_int(parse("9223372036854775807"), 0, INT64_MAX, &v, &err), 0);
  ck_assert(v == INT64_MAX);
  ck_assert_int_eq(gs_yaml_int(parse("7"), 0, 6, &v, &err), GS_DATA);
  static const char *const not_bools[] = {"yes", "on", "True", "1", "\"true\""};
  for (size_t i = 0; i < sizeof not_bools / sizeof *not_bools; i++)
    ck_assert_int_eq(gs_yaml_bool(parse(not_bools[i]), &b, &err), GS_DATA);
  ck_assert_int_eq(gs_yaml_number(parse("1.25"), &d, &err), GS_OK);
  ck_assert_double_eq(d, 1.25);
  ck_assert_int_eq(gs_yaml_number(parse("2.5e12"), &d, &err), GS_OK);
  ck_assert_double_eq(d, 2.5e12);
  ck_assert_int_eq(gs_yaml_number(parse("5E-1"), &d, &err), GS_OK);
  ck_assert_double_eq(d, 0.5);
  static const char *const not_numbers[] = {"1e", "1e+", "1e1000", "1e999",
                                            "1e3x", ".5", "1.", "-1", "inf"};
  for (size_t i = 0; i < sizeof not_numbers / sizeof *not_numbers; i++)
    ck_assert_int_eq(gs_yaml_number(parse(not_numbers[i]), &d, &err), GS_DATA);
  static const char *const names[] = {"no", "on", "y", "12:30", "2026-01-01"};
  const char *s;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    ck_assert_int_eq(gs_yaml_string(parse(names[i]), &s, &err), GS_OK);
    ck_assert_str_eq(s, names[i]);
  }
}
END_TEST

START_TEST(test_refused) {
  refuse("", "t.yaml", "empty", NULL);
  refuse("# only this\n", "t.yaml", "empty", NULL);
  refuse("a: 1\nb: 2\na: 3\n", "t.yaml:3:1", "(first on line 1)", NULL);
  refuse("a: *nope\n", "t.yaml:1:4", "no anchor '&nope'", "\"*nope\"");
  refuse("a: &b [1]\nc: *b\n", "t.yaml:2:4", "only scalars", NULL);
  refuse("&a [*a]", "t.yaml:1:5", "only scalars", NULL);
  refuse("a: !!str 1\n", "t.yaml:1:4", "tag", NULL);
  refuse("a: ! 1\n", "t.yaml:1:4", "tag", NULL);
  refuse("!!map {a: 1}\n", "t.yaml:1:1", "tag", NULL);
  refuse("a: 1\n---\nb: 2\n", "t.yaml:2:1", "second document", NULL);
  refuse("a: \"x\\0y\"\n", "t.yaml:1:4", "NUL", NULL);
  refuse("a:\n\tb: 1\n", "t.yaml:2:1", "cannot start any token", "spaces");
  refuse("[a, ?]\n", NULL, NULL, "open");
  refuse("{n: /a/{q,k}}\n", NULL, NULL, "quotes");
  refuse("a: @b\n", "t.yaml:1:4", NULL, "quotes");
  refuse("[a]: 1\n", "t.yaml:1:1", "key", NULL);
  refuse("a: b: c\n", "t.yaml:1:5", "mapping values", "quote");
  refuse("a: [1\n", NULL, NULL, NULL);
  refuse("%YAML 3.0\n---\na: 1\n", NULL, NULL, NULL);
}
END_TEST

START_TEST(test_bytes) {
  refuse_n("a: \xff\n", 5, "t.yaml:1:4", NULL, NULL);
  refuse_n("a: 1\nb: \x1b\n", 10, "t.yaml:2:4", "control", NULL);
  refuse_n("a: \0b\n", 6, "t.yaml:1:4", NULL, NULL);
  refuse_n("\xff\xfe\x61\0", 4, "t.yaml", "UTF-16", NULL);
  gs_yaml *y;
  ck_assert_int_eq(parse_n("\xef\xbb\xbf" "a: 1\r\nb: 2\r\n", 15, &y), GS_OK);
  ck_assert_str_eq(gs_yaml_get(y, "b")->text, "2");
}
END_TEST

START_TEST(test_limits) {
  size_t n;
  char *t = repeat("[", 100000, "", &n);
  refuse_n(t, n, "t.yaml:1:65", "64 deep", NULL);
  t = repeat("{a: ", 100000, "", &n);
  refuse_n(t, n, NULL, "64 deep", NULL);
  t = repeat("- ", 100000, "a\n", &n);
  refuse_n(t, n, "t.yaml:1:129", "64 deep", NULL);
  t = repeat("[\n", 100000, "", &n);
  refuse_n(t, n, "t.yaml:65:1", "64 deep", NULL);
  t = repeat("- a\n", 100001, "", &n);
  refuse_n(t, n, NULL, "more than 100000", NULL);
  t = repeat(" ", (1 << 20) + 1, "", &n);
  refuse_n(t, n, "t.yaml", "larger than 1048576", NULL);
  t = repeat("k", 1025, ": 1\n", &n);
  refuse_n(t, n, NULL, NULL, "1,024");
  t = repeat("[", 64, "", &n);
  char *u = repeat("]", 64, "", &n);
  parse(gs_sprintf(&arena, "%s%s", t, u));
}
END_TEST

START_TEST(test_many) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  for (int i = 0; i < 30000; i++) gs_buf_printf(&b, "k%d: &a%d v\n", i, i);
  gs_buf_str(&b, "last: *a29999\n");
  gs_yaml *y = parse(b.at);
  ck_assert_str_eq(gs_yaml_get(y, "last")->text, "v");
  /* Nine scalars to the power of nothing: aliases of lists are refused. */
  refuse("a: &a [x]\nb: &b [*a, *a]\n", "t.yaml:2:8", "only scalars", NULL);
}
END_TEST

START_TEST(test_files) {
  gs_yaml *y;
  ck_assert_int_eq(gs_yaml_read(&arena, "/nonexistent/x.yaml",
                                &gs_yaml_spec_limits, &y, &err), GS_NOINPUT);
  ck_assert_int_eq(gs_yaml_read(&arena, "/", &gs_yaml_spec_limits, &y, &err),
                   GS_NOINPUT);
  ck_assert_int_eq(gs_yaml_read(&arena, "/dev/zero", &gs_yaml_spec_limits, &y,
                                &err), GS_DATA);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("yaml");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, test_places);
  tcase_add_test(t, test_caret);
  tcase_add_test(t, test_long_line);
  tcase_add_test(t, test_json);
  tcase_add_test(t, test_scalars);
  tcase_add_test(t, test_refused);
  tcase_add_test(t, test_bytes);
  tcase_add_test(t, test_limits);
  tcase_add_test(t, test_many);
  tcase_add_test(t, test_files);
  return suite_run("yaml", t);
}
