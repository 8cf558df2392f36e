#include "base/data/pattern.h"

#include <regex.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"

enum { MAX_GROUPS = 100, MAX_NUMBERS = 10000, MAX_REPEAT = 1000 };

struct gs_pattern {
  const char *text;
  bool literal; /* no wildcard: compared only */
  regex_t re;
  int groups;
};

typedef struct translator {
  const char *at; /* the glob */
  size_t i, n;
  gs_buf out;
  int depth, groups, numbers;
  const char *why;
} translator;

static void group(translator *t, const char *ere) {
  gs_buf_str(&t->out, ere);
  t->groups++;
}

/* A number of at most 6 digits at s; *end is advanced. */
static bool number(const char *s, size_t *len, int *v) {
  size_t n = strspn(s, "0123456789");
  if (!n || n > 6) return false;
  *v = atoi(s);
  *len = n;
  return true;
}

/* {0..31} at t->i, which stands on the brace. */
static bool numbers(translator *t) {
  const char *s = t->at + t->i + 1;
  size_t n1, n2;
  int lo, hi;
  if (!number(s, &n1, &lo) || strncmp(s + n1, "..", 2)) return false;
  if (!number(s + n1 + 2, &n2, &hi) || s[n1 + 2 + n2] != '}') return false;
  if (hi < lo || hi - lo >= MAX_NUMBERS - t->numbers) {
    t->why = hi < lo ? "a range {a..b} runs upwards" : "too many numbers";
    return true;
  }
  t->numbers += hi - lo + 1;
  gs_buf_char(&t->out, '(');
  for (int v = lo; v <= hi; v++)
    gs_buf_printf(&t->out, "%s%d", v > lo ? "|" : "", v);
  gs_buf_char(&t->out, ')');
  t->groups++;
  t->i += n1 + n2 + 4;
  return true;
}

/* [a-c] at t->i. */
static void set(translator *t) {
  size_t i = t->i + 1;
  if (t->at[i] == '!' || t->at[i] == '^') i++;
  if (t->at[i] == ']') i++;
  while (t->at[i] && t->at[i] != ']') {
    const char *end = NULL;
    if (t->at[i] == '[' && t->at[i + 1] == ':')
      end = strstr(t->at + i + 2, ":]");
    i = end ? (size_t)(end - t->at) + 2 : i + 1;
  }
  if (!t->at[i]) {
    t->why = "a '[' without ']' (write \\[ for the character)";
    return;
  }
  gs_buf_str(&t->out, "([");
  size_t from = t->i + 1;
  if (t->at[from] == '!' || t->at[from] == '^') {
    gs_buf_char(&t->out, '^');
    from++;
  }
  gs_buf_add(&t->out, t->at + from, i + 1 - from);
  gs_buf_char(&t->out, ')');
  t->groups++;
  t->i = i + 1;
}

static void plain(translator *t, char c) {
  if (strchr(".[]()*+?{}|^$\\", c)) gs_buf_char(&t->out, '\\');
  gs_buf_char(&t->out, c);
}

static void star(translator *t) {
  size_t stars = strspn(t->at + t->i, "*");
  bool edge = t->i == 0 || t->i + stars == t->n;
  group(t, stars > 1 || edge ? "(.*)" : "([^/.]*)");
  t->i += stars;
}

static void step(translator *t) {
  char c = t->at[t->i];
  if (c == '*') {
    star(t);
  } else if (c == '{') {
    if (numbers(t)) return;
    group(t, "(");
    t->depth++;
    t->i++;
  } else if (c == '[') {
    set(t);
  } else if (c == '\\' && t->at[t->i + 1]) {
    plain(t, t->at[t->i + 1]);
    t->i += 2;
  } else {
    if (c == '?') {
      group(t, "([^/.])");
    } else if (c == ',' && t->depth) {
      gs_buf_char(&t->out, '|');
    } else if (c == '}' && t->depth) {
      gs_buf_char(&t->out, ')');
      t->depth--;
    } else {
      plain(t, c);
    }
    t->i++;
  }
}

static const char *from_glob(gs_arena *a, const char *text, int *groups,
                             const char **why) {
  translator t = {.at = text, .n = strlen(text)};
  gs_buf_init(&t.out, a);
  gs_buf_char(&t.out, '^');
  while (t.i < t.n && !t.why && t.groups < MAX_GROUPS) step(&t);
  if (!t.why && t.groups >= MAX_GROUPS) t.why = "too many wildcards";
  if (!t.why && t.depth)
    t.why = "a '{' without '}' (write \\{ for the character)";
  gs_buf_char(&t.out, '$');
  *groups = t.groups;
  *why = t.why;
  return t.out.at;
}

/* Bounds what regcomp can be made to do: repetitions, nesting, references. */
static const char *regex_problem(const char *s) {
  int depth = 0;
  long repeat = 1;
  bool in_set = false;
  for (; *s; s++) {
    if (in_set) {
      in_set = *s != ']';
    } else if (*s == '\\') {
      if (s[1] >= '0' && s[1] <= '9')
        return "back-references are not supported";
      if (s[1]) s++;
    } else if (*s == '[') {
      in_set = true;
      if (s[1] == '^') s++;
      if (s[1] == ']') s++;
    } else if (*s == '(') {
      if (++depth >= MAX_GROUPS) return "too deeply nested";
    } else if (*s == ')') {
      depth--;
    } else if (*s == '{') {
      long bound = 1;
      for (const char *p = s + 1; *p && *p != '}'; p++)
        if (*p >= '0' && *p <= '9') {
          long v = strtol(p, (char **)&p, 10);
          if (v > bound) bound = v;
          p--;
        }
      if (bound > MAX_REPEAT || (repeat *= bound) > MAX_REPEAT)
        return "repetitions multiply to more than 1000";
    }
  }
  return NULL;
}

static const char *from_regex(gs_arena *a, const char *text, int *groups,
                              const char **why) {
  *groups = 0;
  if ((*why = regex_problem(text))) return "";
  gs_buf b;
  gs_buf_init(&b, a);
  gs_buf_str(&b, "^(");
  for (; *text; text++) {
    if (text[0] == '\\' && text[1] == 'd') {
      gs_buf_str(&b, "[0-9]");
      text++;
    } else if (text[0] == '\\' && text[1]) {
      gs_buf_add(&b, text++, 2);
    } else {
      gs_buf_char(&b, *text);
    }
  }
  gs_buf_str(&b, ")$");
  return b.at;
}

gs_pattern *gs_pattern_open(gs_arena *a, const char *text, const char **why) {
  *why = NULL;
  if (!*text) *why = "an empty pattern";
  if (strlen(text) > GS_PATTERN_MAX) *why = "longer than 4096 characters";
  if (*why) return NULL;
  gs_pattern *p = GS_NEW(a, gs_pattern);
  p->text = gs_strdup(a, text);
  bool re = !strncmp(text, "re:", 3);
  if (!re && !strpbrk(text, "*?[{\\")) {
    p->literal = true;
    return p;
  }
  const char *ere = re ? from_regex(a, text + 3, &p->groups, why)
                       : from_glob(a, text, &p->groups, why);
  if (*why) return NULL;
  int rc = regcomp(&p->re, ere, REG_EXTENDED);
  if (rc == REG_ESPACE) gs_out_of_memory(strlen(ere));
  if (rc) {
    char *msg = gs_alloc(a, 256);
    regerror(rc, &p->re, msg, 256);
    *why = msg;
    return NULL;
  }
  p->groups = (int)p->re.re_nsub;
  return p;
}

void gs_pattern_close(gs_pattern *p) {
  if (p && !p->literal) regfree(&p->re);
}

bool gs_pattern_match(const gs_pattern *p, const char *name) {
  if (!strcmp(p->text, name)) return true;
  return !p->literal && !regexec(&p->re, name, 0, NULL, 0);
}

bool gs_pattern_capture(const gs_pattern *p, gs_arena *a, const char *name,
                        const char **captured) {
  *captured = "";
  if (p->literal) return !strcmp(p->text, name);
  regmatch_t m[MAX_GROUPS + 2];
  gs_assert(p->groups >= 0);
  size_t n = (size_t)p->groups + 1;
  if (n > MAX_GROUPS + 2) n = MAX_GROUPS + 2;
  if (regexec(&p->re, name, n, m, 0)) return !strcmp(p->text, name);
  gs_buf b;
  gs_buf_init(&b, a);
  /* The first group of a regular expression is all of it. */
  size_t first = strncmp(p->text, "re:", 3) ? 1 : 2;
  for (size_t i = first; i < n; i++) {
    if (m[i].rm_so >= 0)
      gs_buf_add(&b, name + m[i].rm_so, (size_t)(m[i].rm_eo - m[i].rm_so));
    gs_buf_char(&b, '\n');
  }
  *captured = b.at;
  return true;
}

const char *gs_pattern_tail(const char *text) {
  const char *tail = text;
  for (const char *s = text; *s; s++)
    if (strchr("*?[]{},\\()|+", *s)) tail = s + 1;
  return tail;
}

const char *gs_pattern_quote(gs_arena *a, const char *name) {
  gs_buf b;
  gs_buf_init(&b, a);
  bool special = !strncmp(name, "re:", 3);
  if (special) gs_buf_char(&b, '\\');
  for (; *name; name++) {
    if (strchr("*?[]{}\\", *name)) gs_buf_char(&b, '\\');
    gs_buf_char(&b, *name);
  }
  return b.at;
}
