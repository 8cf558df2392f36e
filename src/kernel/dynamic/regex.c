#include "kernel/dynamic/regex.h"

#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

enum { MAX_CODE = 200000, MAX_DEPTH = 500, MAX_REPEAT = 1000 };

typedef enum kind { SET, SPLIT, JUMP, ASSERT, MATCH } kind;

/* Jumps are relative, so that code can be moved and repeated. */
typedef struct code {
  uint8_t kind, assert; /* assert: one of ^ $ A z b B */
  bool negated, fold;
  int a, b; /* SET: ranges [a, a + b); SPLIT: both targets; JUMP: a */
} code;

typedef struct range {
  uint32_t low, high;
} range;

struct gs_regex {
  GS_VEC(code) code;
  GS_VEC(range) range;
};

typedef struct parser {
  gs_regex *r;
  gs_arena *a;
  const char *at, *end, *start;
  const char *place;
  bool fold, dot_all, lines; /* i s m */
  int depth;
  gs_err *e;
} parser;

static gs_status bad(parser *p, const char *what) {
  return gs_fail(p->e, GS_DATA, p->place, "pattern, byte %d: %s",
                 (int)(p->at - p->start), what);
}

static bool more(const parser *p) { return p->at < p->end; }
static bool next_is(const parser *p, char c) { return more(p) && *p->at == c; }

static uint32_t take_char(parser *p) {
  uint32_t c;
  p->at += gs_utf8_get(p->at, (size_t)(p->end - p->at), &c);
  return c;
}

/* ---- code ---- */

static gs_status emit(parser *p, code c) {
  if (p->r->code.n >= MAX_CODE) return bad(p, "the pattern is too large");
  *gs_push(p->a, &p->r->code) = c;
  return GS_OK;
}

/* Puts c before the code from `at` on. */
static gs_status insert(parser *p, int at, code c) {
  GS_TRY(emit(p, c));
  code *v = p->r->code.at;
  for (int i = p->r->code.n - 1; i > at; i--) v[i] = v[i - 1];
  v[at] = c;
  return GS_OK;
}

static void add_range(parser *p, uint32_t low, uint32_t high) {
  *gs_push(p->a, &p->r->range) = (range){low, high};
}

static gs_status emit_set(parser *p, int first, bool negated) {
  return emit(p, (code){.kind = SET, .negated = negated, .fold = p->fold,
                        .a = first, .b = p->r->range.n - first});
}

/* ---- classes ---- */

/* Ranges of what is not in those from `first` on, in their place. */
static void complement(parser *p, int first) {
  int n = p->r->range.n - first;
  gs_assert(first >= 0 && n >= 0);
  range *old = gs_memdup(p->a, p->r->range.at + first, (size_t)n * sizeof *old);
  p->r->range.n = first;
  uint32_t from = 0;
  for (;;) { /* the next gap; few ranges, in any order */
    uint32_t low = UINT32_MAX, reach = from;
    bool moved = true;
    while (moved) {
      moved = false;
      for (int i = 0; i < n; i++)
        if (old[i].low <= reach && old[i].high >= reach) {
          reach = old[i].high + 1;
          moved = true;
        }
    }
    if (reach > 0x10ffff) return;
    for (int i = 0; i < n; i++)
      if (old[i].low > reach && old[i].low < low) low = old[i].low;
    add_range(p, reach, low == UINT32_MAX ? 0x10ffff : low - 1);
    if (low == UINT32_MAX) return;
    from = low;
  }
}

/* \d, \w, \s and their opposites; false for another letter. */
static bool perl_class(parser *p, char c) {
  int first = p->r->range.n;
  switch (tolower((unsigned char)c)) {
  case 'd':
    add_range(p, '0', '9');
    break;
  case 'w':
    add_range(p, '0', '9');
    add_range(p, 'A', 'Z');
    add_range(p, '_', '_');
    add_range(p, 'a', 'z');
    break;
  case 's':
    add_range(p, '\t', '\n');
    add_range(p, '\f', '\r');
    add_range(p, ' ', ' ');
    break;
  default:
    return false;
  }
  if (isupper((unsigned char)c)) complement(p, first);
  return true;
}

/* "[:alpha:]" inside of a class; the ASCII characters of that name. */
static gs_status named_class(parser *p) {
  static const struct {
    const char *name;
    const char *ranges; /* pairs */
  } all[] = {{"alnum", "09AZaz"},   {"alpha", "AZaz"}, {"ascii", "\1\177"},
             {"blank", "\t\t  "},   {"cntrl", "\1\37\177\177"},
             {"digit", "09"},       {"graph", "!~"},   {"lower", "az"},
             {"print", " ~"},       {"punct", "!/:@[`{~"},
             {"space", "\t\r  "},   {"upper", "AZ"},   {"word", "09AZaz__"},
             {"xdigit", "09AFaf"}};
  p->at += 2;
  bool negated = next_is(p, '^');
  if (negated) p->at++;
  size_t left = (size_t)(p->end - p->at);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    size_t n = strlen(all[i].name);
    if (left < n + 2 || memcmp(p->at, all[i].name, n) ||
        memcmp(p->at + n, ":]", 2))
      continue;
    int first = p->r->range.n;
    bool zero = !strcmp(all[i].name, "ascii") || !strcmp(all[i].name, "cntrl");
    if (zero) add_range(p, 0, 0);
    for (const char *s = all[i].ranges; *s; s += 2)
      add_range(p, (unsigned char)s[0], (unsigned char)s[1]);
    if (negated) complement(p, first);
    p->at += n + 2;
    return GS_OK;
  }
  return bad(p, "no such character class");
}

/* ---- escapes ---- */

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static gs_status hex_escape(parser *p, uint32_t *c) {
  bool braces = next_is(p, '{');
  int digits = 0;
  *c = 0;
  if (braces) p->at++;
  while (more(p) && digit_of(*p->at) < 16 && digits < (braces ? 8 : 2)) {
    *c = *c * 16 + (uint32_t)digit_of(*p->at++);
    digits++;
  }
  if (!digits || (!braces && digits < 2) || *c > 0x10ffff)
    return bad(p, "\\x needs two digits, or a character in {}");
  if (braces && !next_is(p, '}')) return bad(p, "'}' is expected");
  if (braces) p->at++;
  return GS_OK;
}

/* A single character after a backslash. */
static gs_status escaped_char(parser *p, uint32_t *c) {
  static const char from[] = "tnrfva", to[] = "\t\n\r\f\v\a";
  char x = *p->at;
  const char *hit = x ? strchr(from, x) : NULL;
  if (hit) {
    p->at++;
    *c = (unsigned char)to[hit - from];
    return GS_OK;
  }
  if (x == 'x') {
    p->at++;
    return hex_escape(p, c);
  }
  if (x >= '0' && x <= '7' &&
      (x == '0' || (p->at + 1 < p->end && digit_of(p->at[1]) < 8))) {
    *c = 0;
    for (int i = 0; i < 3 && more(p) && digit_of(*p->at) < 8; i++)
      *c = *c * 8 + (uint32_t)digit_of(*p->at++);
    return GS_OK;
  }
  if (x == 'p' || x == 'P' || x == 'C')
    return gs_fail(p->e, GS_UNSUPPORTED, p->place,
                   "pattern, byte %d: \\%c is not supported",
                   (int)(p->at - p->start), x);
  if (isalnum((unsigned char)x)) return bad(p, "no such escape");
  *c = take_char(p);
  return GS_OK;
}

/* ---- the grammar ---- */

/* One end of a range in a class; *set when it is a class of its own. */
static gs_status class_item(parser *p, uint32_t *c, bool *set) {
  *set = false;
  if (!more(p)) return bad(p, "']' is expected");
  if (*p->at == '[' && p->at + 1 < p->end && p->at[1] == ':') {
    *set = true;
    return named_class(p);
  }
  if (*p->at != '\\') {
    *c = take_char(p);
    return GS_OK;
  }
  if (++p->at == p->end) return bad(p, "a backslash at the end");
  if (perl_class(p, *p->at)) {
    p->at++;
    *set = true;
    return GS_OK;
  }
  return escaped_char(p, c);
}

static gs_status parse_class(parser *p) {
  int first = p->r->range.n;
  bool negated = next_is(p, '^');
  if (negated) p->at++;
  for (bool any = false; !any || !next_is(p, ']'); any = true) {
    uint32_t low = 0, high;
    bool set;
    GS_TRY(class_item(p, &low, &set));
    if (set) continue;
    high = low;
    if (next_is(p, '-') && p->at + 1 < p->end && p->at[1] != ']') {
      p->at++;
      GS_TRY(class_item(p, &high, &set));
      if (set || high < low) return bad(p, "no range");
    }
    add_range(p, low, high);
  }
  p->at++;
  return emit_set(p, first, negated);
}

static gs_status literal(parser *p, uint32_t c) {
  int first = p->r->range.n;
  add_range(p, c, c);
  return emit_set(p, first, false);
}

static gs_status assertion(parser *p, char c) {
  return emit(p, (code){.kind = ASSERT, .assert = (uint8_t)c});
}

static gs_status parse_escape(parser *p) {
  uint32_t c;
  int first = p->r->range.n;
  if (!more(p)) return bad(p, "a backslash at the end");
  char x = *p->at;
  if (x && strchr("AzbB", x)) {
    p->at++;
    return assertion(p, x);
  }
  if (x == 'Q') {
    for (p->at++; more(p);) {
      if (p->end - p->at >= 2 && !memcmp(p->at, "\\E", 2)) {
        p->at += 2;
        break;
      }
      GS_TRY(literal(p, take_char(p)));
    }
    return GS_OK;
  }
  if (perl_class(p, x)) {
    p->at++;
    return emit_set(p, first, false);
  }
  GS_TRY(escaped_char(p, &c));
  return literal(p, c);
}

static gs_status parse_choice(parser *p);

/* After "(?": flags, a name or nothing; *done when the group ends here. */
static gs_status parse_flags(parser *p, bool *done) {
  bool on = true;
  *done = false;
  if (next_is(p, 'P')) p->at++;
  if (next_is(p, '<')) { /* the name of a group */
    while (more(p) && *p->at != '>') p->at++;
    if (!more(p)) return bad(p, "'>' is expected");
    p->at++;
    return GS_OK;
  }
  for (; more(p); p->at++) {
    switch (*p->at) {
    case '-': on = false; break;
    case 'i': p->fold = on; break;
    case 's': p->dot_all = on; break;
    case 'm': p->lines = on; break;
    case ':': p->at++; return GS_OK;
    case ')': *done = true; return GS_OK;
    default: return bad(p, "no such flag");
    }
  }
  return bad(p, "')' is expected");
}

static gs_status parse_group(parser *p) {
  parser before = *p;
  bool done = false;
  if (++p->depth > MAX_DEPTH) return bad(p, "groups nest too deeply");
  if (next_is(p, '?')) {
    p->at++;
    GS_TRY(parse_flags(p, &done));
  }
  if (done) { /* flags for the rest of the group around */
    p->at++;
    p->depth--;
    return GS_OK;
  }
  GS_TRY(parse_choice(p));
  if (!next_is(p, ')')) return bad(p, "')' is expected");
  p->at++;
  p->depth--;
  p->fold = before.fold;
  p->dot_all = before.dot_all;
  p->lines = before.lines;
  return GS_OK;
}

static gs_status parse_atom(parser *p) {
  char c = *p->at;
  int first = p->r->range.n;
  if (c && strchr("*+?", c)) return bad(p, "nothing to repeat");
  if (!c || !strchr("([.^$\\", c)) return literal(p, take_char(p));
  p->at++;
  switch (c) {
  case '(': return parse_group(p);
  case '[': return parse_class(p);
  case '^': return assertion(p, p->lines ? '^' : 'A');
  case '$': return assertion(p, p->lines ? '$' : 'z');
  case '\\': return parse_escape(p);
  default: break;
  }
  if (!p->dot_all) add_range(p, '\n', '\n');
  return emit_set(p, first, true); /* all but those listed */
}

/* "{n,m}" into *low and *high (-1: no end); false: a literal brace. */
static bool parse_counts(parser *p, int *low, int *high) {
  const char *s = p->at + 1;
  int n[2] = {0, 0}, i = 0, digits = 0;
  for (; s < p->end && *s != '}'; s++) {
    if (*s == ',' && !i && digits) {
      i = 1;
      digits = 0;
    } else if (isdigit((unsigned char)*s) && n[i] <= MAX_REPEAT) {
      n[i] = n[i] * 10 + (*s - '0');
      digits++;
    } else {
      return false;
    }
  }
  if (s == p->end || (!i && !digits)) return false;
  p->at = s + 1;
  *low = n[0];
  *high = !i ? n[0] : digits ? n[1] : -1;
  return true;
}

static gs_status emit_optional(parser *p, int at) {
  int n = p->r->code.n - at;
  return insert(p, at, (code){.kind = SPLIT, .a = 1, .b = n + 1});
}

/* Repeats the code from `at` on: at least low, at most high times. */
static gs_status repeat(parser *p, int at, int low, int high) {
  int n = p->r->code.n - at;
  if (high == 0) {
    p->r->code.n = at;
    return GS_OK;
  }
  code *unit = gs_memdup(p->a, p->r->code.at + at, (size_t)n * sizeof *unit);
  gs_assert(high < 0 || low <= high);
  int copies = high < 0 ? (low > 1 ? low : 1) : high;
  for (int i = 0; i < copies; i++) {
    int from = p->r->code.n;
    if (i) {
      for (int k = 0; k < n; k++) GS_TRY(emit(p, unit[k]));
    } else {
      from = at;
    }
    if (i >= low) GS_TRY(emit_optional(p, from));
    if (high < 0 && i == copies - 1) {
      /* Again from the copy: past the split when it may be left out. */
      int back = p->r->code.n - from;
      if (low == 0) GS_TRY(emit(p, (code){.kind = JUMP, .a = -back}));
      else GS_TRY(emit(p, (code){.kind = SPLIT, .a = -back, .b = 1}));
      if (low == 0) p->r->code.at[from].b++;
    }
  }
  return GS_OK;
}

static gs_status parse_repeat(parser *p) {
  int at = p->r->code.n;
  GS_TRY(parse_atom(p));
  for (bool any = false; more(p); any = true) {
    int low = 0, high = -1;
    char c = *p->at;
    if (c == '{') {
      if (!parse_counts(p, &low, &high)) return GS_OK;
    } else if (c == '*' || c == '+' || c == '?') {
      low = c == '+';
      high = c == '?' ? 1 : -1;
      p->at++;
    } else {
      return GS_OK;
    }
    if (any) return bad(p, "a repeat is repeated");
    if (low > MAX_REPEAT || high > MAX_REPEAT || (high >= 0 && high < low))
      return bad(p, "no such repeat");
    if (next_is(p, '?')) p->at++; /* lazy: the same texts match */
    GS_TRY(repeat(p, at, low, high));
  }
  return GS_OK;
}

static gs_status parse_choice(parser *p) {
  int at = p->r->code.n;
  while (more(p) && *p->at != '|' && *p->at != ')') GS_TRY(parse_repeat(p));
  while (next_is(p, '|')) {
    p->at++;
    int n = p->r->code.n - at;
    GS_TRY(insert(p, at, (code){.kind = SPLIT, .a = 1, .b = n + 2}));
    int jump = p->r->code.n;
    GS_TRY(emit(p, (code){.kind = JUMP}));
    while (more(p) && *p->at != '|' && *p->at != ')') GS_TRY(parse_repeat(p));
    p->r->code.at[jump].a = p->r->code.n - jump;
  }
  return GS_OK;
}

gs_status gs_regex_new(gs_arena *a, const char *pattern, size_t n,
                       const char *place, gs_regex **out, gs_err *e) {
  *out = GS_NEW(a, gs_regex);
  parser p = {.r = *out, .a = a, .at = pattern, .start = pattern,
              .end = pattern + n, .place = place, .e = e};
  GS_TRY(parse_choice(&p));
  if (more(&p)) return bad(&p, "')' without '('");
  return emit(&p, (code){.kind = MATCH});
}

/* ---- matching ---- */

typedef struct matcher {
  const gs_regex *r;
  const char *text, *end;
  int *list, *next, n, nnext; /* SET states that are live */
  int *stack;
  int *mark; /* [code] position that the state was entered at, + 1 */
  bool matched;
} matcher;

static bool is_word(const char *at, const char *end) {
  return at < end && (isalnum((unsigned char)*at) || *at == '_');
}

static bool holds(const matcher *m, const char *at, char what) {
  bool before = at > m->text && is_word(at - 1, m->end);
  bool after = is_word(at, m->end);
  switch (what) {
  case 'A': return at == m->text;
  case 'z': return at == m->end;
  case '^': return at == m->text || at[-1] == '\n';
  case '$': return at == m->end || *at == '\n';
  case 'b': return before != after;
  default: return before == after;
  }
}

/* Adds state pc and what follows it without reading. */
static void enter(matcher *m, int pc, const char *at) {
  int top = 0, now = (int)(at - m->text) + 1;
  m->stack[top++] = pc;
  while (top) {
    pc = m->stack[--top];
    gs_assert(pc >= 0 && pc < m->r->code.n);
    if (m->mark[pc] == now) continue;
    m->mark[pc] = now;
    const code *c = &m->r->code.at[pc];
    switch ((kind)c->kind) {
    case SET: m->next[m->nnext++] = pc; break;
    case MATCH: m->matched = at == m->end; break;
    case JUMP: m->stack[top++] = pc + c->a; break;
    case ASSERT:
      if (holds(m, at, (char)c->assert)) m->stack[top++] = pc + 1;
      break;
    case SPLIT:
      m->stack[top++] = pc + c->a;
      m->stack[top++] = pc + c->b;
      break;
    }
  }
}

static bool in_ranges(const gs_regex *r, const code *c, uint32_t x) {
  for (int i = 0; i < c->b; i++)
    if (x >= r->range.at[c->a + i].low && x <= r->range.at[c->a + i].high)
      return true;
  return false;
}

static bool accepts(const gs_regex *r, const code *c, uint32_t x) {
  bool hit = in_ranges(r, c, x);
  if (!hit && c->fold && x < 128 && isalpha((int)x))
    hit = in_ranges(r, c, x ^ 0x20);
  return hit != c->negated;
}

bool gs_regex_full(const gs_regex *r, gs_arena *tmp, const char *text,
                   size_t n) {
  int size = r->code.n;
  static const char none[1];
  matcher m = {.r = r, .text = n ? text : none};
  m.end = m.text + n;
  m.list = GS_NEWS(tmp, size, int);
  m.next = GS_NEWS(tmp, size, int);
  m.stack = GS_NEWS(tmp, 2 * size + 2, int);
  m.mark = GS_NEWS(tmp, size, int);
  enter(&m, 0, m.text);
  for (const char *at = m.text; at < m.end && m.nnext;) {
    uint32_t c;
    int *old = m.list;
    m.list = m.next;
    m.next = old;
    m.n = m.nnext;
    m.nnext = 0;
    at += gs_utf8_get(at, (size_t)(m.end - at), &c);
    for (int i = 0; i < m.n; i++)
      if (accepts(r, &r->code.at[m.list[i]], c)) enter(&m, m.list[i] + 1, at);
  }
  return m.matched;
}
