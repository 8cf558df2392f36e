/* The table of schemas: its order, its text, and that every operator that has
 * a row or a function is in it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "op/core/function.h"
#include "op/core/schema.h"
#include "suite.h"

/* "NAME:TYPE!{A,B}[1..9]"; false when it is something else. */
static bool well_formed(const char *s, size_t n) {
  static const char *const types[] = {"float", "int", "string", "tensor",
                                      "graph", "floats", "ints", "strings",
                                      "type", "axes", "sharding", "place"};
  char text[512], name[64], type[16], rest[512] = "", tail[8] = "";
  long long min, max;
  ck_assert_uint_lt(n, sizeof text);
  snprintf(text, sizeof text, "%.*s", (int)n, s);
  if (sscanf(text, "%63[A-Za-z0-9_]:%15[a-z]%511s", name, type, rest) < 2)
    return false;
  bool known = false;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(types[i], type)) known = true;
  const char *values = rest + (*rest == '!');
  bool text_like = !strncmp(type, "string", 6), int_like = !strncmp(type, "int",
                                                                    3);
  if (!known || !*values) return known;
  if (*values == '{')
    return text_like && strchr(values, '}') == values + strlen(values) - 1;
  if (sscanf(values, "[%lld..%lld]%7s", &min, &max, tail) == 2)
    return int_like && min < max;
  int end = 0;
  return int_like && sscanf(values, "[%lld..]%n", &min, &end) == 1 && end &&
         !values[end];
}

START_TEST(table) {
  for (int i = 0; i < gs_nschema; i++) {
    const gs_schema *s = &gs_schemas[i], *last = i ? s - 1 : NULL;
    int order = last ? strcmp(last->domain, s->domain) : -1;
    if (!order) order = strcmp(last->name, s->name);
    if (!order) order = last->since - s->since;
    ck_assert_msg(order < 0, "%s %d is not in order", s->name, s->since);
    ck_assert_msg(s->min_in <= s->max_in && s->min_out <= s->max_out, "%s",
                  s->name);
    for (const char *t = s->attributes; *t;) {
      size_t n = strcspn(t, " ");
      ck_assert_msg(strspn(t, "?") == n || well_formed(t, n), "%s: '%.*s'",
                    s->name, (int)n, t);
      t += n + (t[n] == ' ');
    }
  }
}
END_TEST

START_TEST(complete) {
  gs_arena a;
  gs_err e;
  gs_functions all;
  gs_arena_init(&a);
  gs_err_init(&e);
  for (int i = 0; i < gs_nop; i++)
    ck_assert_msg(gs_schema_find(gs_ops[i].domain, gs_ops[i].name,
                                 gs_ops[i].since) != NULL,
                  "%s has a row in ops.def, but no schema", gs_ops[i].name);
  ck_assert_int_eq(gs_functions_parse(&a, gs_functions_text, &all, &e), 0);
  for (int i = 0; i < all.at.n; i++)
    ck_assert_msg(gs_schema_find(all.at.at[i].domain, all.at.at[i].name,
                                 all.at.at[i].since) != NULL,
                  "%s is a function, but has no schema", all.at.at[i].name);
  gs_arena_free(&a);
  gs_err_free(&e);
}
END_TEST

/* In ai.gshard, what is read as axes or a sharding is declared as such. */
START_TEST(meant) {
  static const char *const names[] = {"axes", "split", "from", "to", "index"};
  for (int i = 0; i < gs_nop; i++) {
    if (strcmp(gs_ops[i].domain, "ai.gshard")) continue;
    const gs_schema *s = gs_schema_find("ai.gshard", gs_ops[i].name, 1);
    if ((gs_ops[i].flags & GS_OP_PLACED) &&
        (gs_ops[i].flags & GS_OP_MESH)) { /* the schema of that operator */
      const gs_op *op = gs_op_placed(&gs_ops[i]);
      ck_assert_ptr_nonnull(op);
      ck_assert_ptr_eq(s, gs_schema_find(op->domain, op->name, INT_MAX));
      continue;
    }
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
      char start[32];
      snprintf(start, sizeof start, "%s:", names[k]);
      const char *at = strstr(s->attributes, start);
      if (!at) continue;
      gs_attr_kind kind = gs_attr_meant("ai.gshard", names[k]);
      /* What gathers in its loop may be left alone. */
      const char *axes = gs_ops[i].gathers ? "axes" : "axes!";
      const char *type = kind == GS_ATTR_AXES       ? axes
                         : kind == GS_ATTR_SHARDING ? "sharding!"
                                                    : "int";
      ck_assert_msg(!strncmp(at + strlen(start), type, strlen(type)), "%s: %s",
                    s->name, names[k]);
    }
  }
}
END_TEST

START_TEST(versions) {
  ck_assert_ptr_null(gs_schema_find("", "Gelu", 19));
  ck_assert_int_eq(gs_schema_find("", "Gelu", 20)->since, 20);
  ck_assert_int_eq(gs_schema_find("", "Gelu", INT_MAX)->since, 20);
  ck_assert_int_eq(gs_schema_find("ai.onnx", "Add", 6)->since, 6);
  ck_assert_int_eq(gs_schema_find("", "Add", 13)->since, 7);
  ck_assert_ptr_null(gs_schema_find("", "NoSuchOperator", 20));
  ck_assert_ptr_null(gs_schema_find("org.example", "Add", 20));
  const gs_schema *s = gs_schema_find("com.microsoft", "Gelu", 1);
  ck_assert_str_eq(s->domain, "com.microsoft");
}
END_TEST

int main(void) {
  TCase *t = tcase_create("schema");
  tcase_add_test(t, table);
  tcase_add_test(t, complete);
  tcase_add_test(t, meant);
  tcase_add_test(t, versions);
  return suite_run("schema", t);
}
