#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "io/spec/yaml.h"

const gs_yaml *gs_yaml_get(const gs_yaml *map, const char *key) {
  for (int i = 0; i < map->key.n; i++)
    if (!strcmp(map->key.at[i]->text, key)) return map->item.at[i];
  return NULL;
}

bool gs_yaml_is_word(const gs_yaml *y, const char *word) {
  return y->kind == GS_YAML_SCALAR && !y->quoted && !strcmp(y->text, word);
}

bool gs_yaml_is_null(const gs_yaml *y) {
  return gs_yaml_is_word(y, "") || gs_yaml_is_word(y, "~") ||
         gs_yaml_is_word(y, "null") || gs_yaml_is_word(y, "none");
}

const char *gs_yaml_what(gs_arena *a, const gs_yaml *y) {
  if (y->kind == GS_YAML_LIST) return "a list";
  if (y->kind == GS_YAML_MAP) return "a mapping";
  if (gs_yaml_is_null(y)) return *y->text ? "null" : "nothing";
  return gs_sprintf(a, y->quoted ? "the text \"%.60s\"" : "'%.60s'", y->text);
}

static gs_status expected(const gs_yaml *y, const char *form, gs_err *e) {
  if (!e) return GS_DATA;
  return gs_fail_at(e, GS_DATA, &y->at, "expected %s, not %s", form,
                    gs_yaml_what(&e->arena, y));
}

/* Whether s is 0 or [1-9][0-9]*. */
static bool is_integer(const char *s) {
  size_t n = strspn(s, "0123456789");
  return n && !s[n] && (s[0] != '0' || n == 1);
}

gs_status gs_yaml_int(const gs_yaml *y, int64_t min, int64_t max, int64_t *out,
                      gs_err *e) {
  if (y->kind != GS_YAML_SCALAR || y->quoted || !is_integer(y->text)) {
    expected(y, "an integer", e);
    gs_err_hint(e, "integers are written 0 or 12: without sign, leading zero, "
                   "quotes or separators");
    return GS_DATA;
  }
  errno = 0;
  long long v = strtoll(y->text, NULL, 10);
  if (errno || v < min || v > max)
    return gs_fail_at(e, GS_DATA, &y->at, "%s is not between %lld and %lld",
                      y->text, (long long)min, (long long)max);
  *out = v;
  return GS_OK;
}

gs_status gs_yaml_bool(const gs_yaml *y, bool *out, gs_err *e) {
  if (!gs_yaml_is_word(y, "true") && !gs_yaml_is_word(y, "false"))
    return expected(y, "true or false", e);
  *out = y->text[0] == 't';
  return GS_OK;
}

/* "e5", "E+5", "e-5" at s, or nothing; -1: neither.  The length of it. */
static int exponent(const char *s, int *out) {
  *out = 0;
  if (!*s) return 0;
  if (*s != 'e' && *s != 'E') return -1;
  int sign = s[1] == '+' || s[1] == '-';
  size_t n = strspn(s + 1 + sign, "0123456789");
  if (!n || n > 3) return -1;
  int value = (int)strtol(s + 1 + sign, NULL, 10);
  *out = s[1] == '-' ? -value : value;
  return 1 + sign + (int)n;
}

gs_status gs_yaml_number(const gs_yaml *y, double *out, gs_err *e) {
  const char *s = y->kind == GS_YAML_SCALAR && !y->quoted ? y->text : "";
  size_t n = strspn(s, "0123456789"), m = 0;
  if (n && s[n] == '.') m = 1 + strspn(s + n + 1, "0123456789");
  int power, more = exponent(s + n + m, &power);
  if (!n || m == 1 || n + m > 30 || more < 0 || s[n + m + (size_t)more])
    return expected(y, "a number such as 12, 0.5 or 2e12", e);
  /* Not strtod: its decimal point follows the locale. */
  double v = 0, unit = 1;
  for (size_t i = 0; i < n + m; i++) {
    if (s[i] == '.') continue;
    v = v * 10 + (s[i] - '0');
    if (i > n) unit *= 10;
  }
  v /= unit;
  for (; power > 0; power--) v *= 10;
  for (; power < 0; power++) v /= 10;
  if (!(v <= DBL_MAX)) return expected(y, "a smaller number", e);
  *out = v;
  return GS_OK;
}

gs_status gs_yaml_string(const gs_yaml *y, const char **out, gs_err *e) {
  if (y->kind != GS_YAML_SCALAR || gs_yaml_is_null(y))
    return expected(y, "a text", e);
  *out = y->text;
  return GS_OK;
}

gs_status gs_yaml_list(const gs_yaml *y, gs_err *e) {
  return y->kind == GS_YAML_LIST ? GS_OK : expected(y, "a list [...]", e);
}

gs_status gs_yaml_map(const gs_yaml *y, gs_err *e) {
  return y->kind == GS_YAML_MAP ? GS_OK
                                : expected(y, "a mapping {key: value}", e);
}

static bool is_number(const gs_yaml *y) {
  double x;
  const char *s = y->text + (*y->text == '-');
  return !y->quoted && *s >= '0' && *s <= '9' && (*s != '0' || s[1] != *s) &&
         gs_yaml_number(y, &x, NULL) == GS_OK;
}

static void json_scalar(gs_buf *b, const gs_yaml *y) {
  if (gs_yaml_is_null(y)) gs_buf_str(b, "null");
  else if (gs_yaml_is_word(y, "open")) gs_buf_str(b, "{\"open\": true}");
  else if (is_number(y) || gs_yaml_is_word(y, "true") ||
           gs_yaml_is_word(y, "false"))
    gs_buf_str(b, y->text);
  else gs_buf_json(b, y->text);
}

void gs_yaml_json(gs_buf *b, const gs_yaml *y) {
  if (y->kind == GS_YAML_SCALAR) {
    json_scalar(b, y);
    return;
  }
  bool map = y->kind == GS_YAML_MAP;
  gs_buf_char(b, map ? '{' : '[');
  for (int i = 0; i < y->item.n; i++) {
    if (i) gs_buf_str(b, ", ");
    if (map) {
      gs_buf_json(b, y->key.at[i]->text);
      gs_buf_str(b, ": ");
    }
    gs_yaml_json(b, y->item.at[i]);
  }
  gs_buf_char(b, map ? '}' : ']');
}
