#include "io/spec/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/data/map.h"

const gs_yaml_limits gs_yaml_spec_limits = {1 << 20, 100000};
const gs_yaml_limits gs_yaml_plan_limits = {64 << 20, 4000000};

/* Where the lines of the text begin, to show them in messages. */
typedef struct source {
  const char *name, *text;
  size_t n;
  GS_VEC(size_t) line;
} source;

typedef struct frame {
  gs_yaml *node;
  gs_yaml *key; /* of a map: waiting for its value */
  gs_map seen;  /* of a map: key -> its node */
} frame;

typedef struct builder {
  gs_arena *arena;
  gs_err *err;
  const source *src;
  int max_nodes, nodes, depth;
  frame stack[GS_YAML_MAX_DEPTH];
  gs_map anchors; /* name -> gs_yaml (scalars) or NULL (collections) */
  gs_yaml *root;
} builder;

/* Length of the line break at s[i], 0 if there is none (YAML 1.1's set, which
 * libyaml counts by). */
static size_t line_break(const char *s, size_t i, size_t n) {
  const unsigned char *u = (const unsigned char *)s + i;
  size_t left = n - i;
  if (*u == '\r') return left > 1 && u[1] == '\n' ? 2 : 1;
  if (*u == '\n') return 1;
  if (left > 1 && u[0] == 0xc2 && u[1] == 0x85) return 2;
  if (left > 2 && u[0] == 0xe2 && u[1] == 0x80 && (u[2] | 1) == 0xa9) return 3;
  return 0;
}

static void find_lines(gs_arena *a, source *s) {
  *gs_push(a, &s->line) = 0;
  for (size_t i = 0; i < s->n;) {
    size_t k = line_break(s->text, i, s->n);
    i += k ? k : 1;
    if (k) *gs_push(a, &s->line) = i;
  }
}

/* The place of a mark (0-based line and column). */
static gs_place place(const source *s, size_t line, size_t col, size_t width) {
  gs_place p = {.file = s->name, .line = (int)line + 1, .col = (int)col + 1};
  p.width = width < 1 ? 1 : width > 1000 ? 1000 : (int)width;
  if (line >= (size_t)s->line.n) return p;
  size_t at = s->line.at[line];
  gs_assert(at <= s->n);
  size_t end = line + 1 < (size_t)s->line.n ? s->line.at[line + 1] : s->n;
  p.text = s->text + at;
  while (end > at && (s->text[end - 1] == '\n' || s->text[end - 1] == '\r'))
    end--;
  gs_assert(end >= at);
  p.len = end - at;
  return p;
}

static gs_place range(const source *s, const yaml_mark_t *a,
                      const yaml_mark_t *b) {
  size_t width = a->line == b->line ? b->column - a->column : 1;
  return place(s, a->line, a->column, width);
}

/* Puts a finished or just opened node where it belongs. */
static gs_status attach(builder *b, gs_yaml *y) {
  if (!b->depth) {
    b->root = y;
    return GS_OK;
  }
  gs_assert(b->depth <= GS_YAML_MAX_DEPTH);
  frame *f = &b->stack[b->depth - 1];
  if (f->node->kind == GS_YAML_LIST) {
    *gs_push(b->arena, &f->node->item) = y;
    return GS_OK;
  }
  if (f->key) {
    *gs_push(b->arena, &f->node->item) = y;
    f->key = NULL;
    return GS_OK;
  }
  if (y->kind != GS_YAML_SCALAR) {
    gs_fail_at(b->err, GS_DATA, &y->at, "a key must be a plain name");
    gs_err_hint(b->err, "put names and patterns with [ ] { } in quotes");
    return GS_DATA;
  }
  const gs_yaml *first = gs_map_get(&f->seen, y->text);
  if (first)
    return gs_fail_at(b->err, GS_DATA, &y->at,
                      "duplicate key '%s' (first on line %d)", y->text,
                      first->at.line);
  gs_map_put(&f->seen, y->text, y);
  *gs_push(b->arena, &f->node->key) = y;
  f->key = y;
  return GS_OK;
}

static gs_status open_node(builder *b, const yaml_event_t *ev,
                           gs_yaml_kind kind, gs_yaml **out) {
  gs_yaml *y = GS_NEW(b->arena, gs_yaml);
  y->kind = kind;
  y->at = range(b->src, &ev->start_mark, &ev->end_mark);
  *out = y;
  if (++b->nodes > b->max_nodes)
    return gs_fail_at(b->err, GS_DATA, &y->at, "more than %d YAML nodes",
                      b->max_nodes);
  return GS_OK;
}

static gs_status no_tag(builder *b, const gs_yaml *y, const yaml_char_t *tag) {
  if (!tag) return GS_OK;
  gs_fail_at(b->err, GS_DATA, &y->at, "the tag '%s' is not allowed",
             (const char *)tag);
  gs_err_hint(b->err, "no value here needs a tag; quote text that begins "
                      "with '!'");
  return GS_DATA;
}

static void remember(builder *b, const yaml_char_t *anchor, gs_yaml *y) {
  if (anchor) gs_map_put(&b->anchors, (const char *)anchor, y);
}

static gs_status scalar(builder *b, const yaml_event_t *ev) {
  gs_yaml *y;
  GS_TRY(open_node(b, ev, GS_YAML_SCALAR, &y));
  const char *value = (const char *)ev->data.scalar.value;
  size_t n = ev->data.scalar.length;
  y->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  GS_TRY(no_tag(b, y, ev->data.scalar.tag));
  if (memchr(value, 0, n))
    return gs_fail_at(b->err, GS_DATA, &y->at, "a NUL character in a text");
  y->text = gs_strndup(b->arena, value, n);
  remember(b, ev->data.scalar.anchor, y);
  return attach(b, y);
}

static gs_status collection(builder *b, const yaml_event_t *ev,
                            gs_yaml_kind kind, const yaml_char_t *tag,
                            const yaml_char_t *anchor) {
  gs_yaml *y;
  GS_TRY(open_node(b, ev, kind, &y));
  if (y->at.width > 1 || ev->start_mark.index == ev->end_mark.index)
    y->at.width = 1;
  GS_TRY(no_tag(b, y, tag));
  if (b->depth == GS_YAML_MAX_DEPTH)
    return gs_fail_at(b->err, GS_DATA, &y->at,
                      "lists and mappings nested more than %d deep",
                      GS_YAML_MAX_DEPTH);
  remember(b, anchor, y);
  GS_TRY(attach(b, y));
  frame *f = &b->stack[b->depth++];
  *f = (frame){.node = y};
  gs_map_init(&f->seen, b->arena);
  return GS_OK;
}

static gs_status alias(builder *b, const yaml_event_t *ev) {
  gs_yaml *y;
  const char *name = (const char *)ev->data.alias.anchor;
  GS_TRY(open_node(b, ev, GS_YAML_SCALAR, &y));
  const gs_yaml *to = gs_map_get(&b->anchors, name);
  if (!to) {
    gs_fail_at(b->err, GS_DATA, &y->at, "no anchor '&%s' before this alias",
               name);
    gs_err_hint(b->err, "a pattern that begins with '*' needs quotes: \"*%s\"",
                name);
    return GS_DATA;
  }
  if (to->kind != GS_YAML_SCALAR)
    return gs_fail_at(b->err, GS_DATA, &y->at,
                      "only scalars may be repeated by an alias; '&%s' is %s",
                      name, to->kind == GS_YAML_LIST ? "a list" : "a mapping");
  y->quoted = to->quoted;
  y->text = to->text;
  return attach(b, y);
}

static gs_status event(builder *b, const yaml_event_t *ev) {
  switch (ev->type) {
  case YAML_DOCUMENT_START_EVENT:
    if (!b->root) return GS_OK;
    gs_place p = range(b->src, &ev->start_mark, &ev->end_mark);
    return gs_fail_at(b->err, GS_DATA, &p, "a second document in one file");
  case YAML_SCALAR_EVENT:
    return scalar(b, ev);
  case YAML_ALIAS_EVENT:
    return alias(b, ev);
  case YAML_SEQUENCE_START_EVENT:
    return collection(b, ev, GS_YAML_LIST, ev->data.sequence_start.tag,
                      ev->data.sequence_start.anchor);
  case YAML_MAPPING_START_EVENT:
    return collection(b, ev, GS_YAML_MAP, ev->data.mapping_start.tag,
                      ev->data.mapping_start.anchor);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    gs_assert(b->depth > 0);
    b->depth--;
    return GS_OK;
  default:
    return GS_OK;
  }
}

/* What to do about a syntax error, from the character that it points at. */
static void syntax_hint(gs_err *e, const gs_place *p) {
  size_t at = p->col > 0 ? (size_t)p->col - 1 : 0;
  char c = p->text && at < p->len ? p->text[at] : 0;
  if (c == '\t')
    gs_err_hint(e, "indent with spaces, not with tabs");
  else if (p->text && memchr(p->text, '?', p->len) && !strchr("*&!%@`|>", c))
    gs_err_hint(e, "a '?' needs quotes; write open for an open dim");
  else if (c && strchr("*&!%@`|>[]{}/", c))
    gs_err_hint(e, "put names and patterns with special characters in quotes");
  else if (c == ':')
    gs_err_hint(e, "quote texts that contain \": \" and keys longer than "
                   "1,024 characters");
}

static gs_status syntax_error(const yaml_parser_t *p, const source *s,
                              gs_err *e) {
  if (p->error == YAML_MEMORY_ERROR) gs_out_of_memory(s->n);
  const char *why = p->problem ? p->problem : "not YAML";
  gs_place at;
  if (p->error == YAML_READER_ERROR) {
    size_t line = 0;
    while (line + 1 < (size_t)s->line.n &&
           s->line.at[line + 1] <= p->problem_offset)
      line++;
    at = place(s, line, p->problem_offset - s->line.at[line], 1);
    at.text = NULL; /* not text: nothing to show */
    return gs_fail_at(e, GS_DATA, &at, "%s", why);
  }
  at = place(s, p->problem_mark.line, p->problem_mark.column, 1);
  if (p->context && !at.len) /* past the end: show where it began */
    at = place(s, p->context_mark.line, p->context_mark.column, 1);
  gs_fail_at(e, GS_DATA, &at, "%s%s%s", why, p->context ? " " : "",
             p->context ? p->context : "");
  syntax_hint(e, &at);
  return GS_DATA;
}

/* Feeds the parser.  Depth is counted on its events, which trail its scanner
 * by at most the 1,024 characters of a possible key: its quadratic cost for
 * nested brackets never gets a chance. */
static gs_status run(builder *b, yaml_parser_t *p) {
  for (bool end = false; !end;) {
    yaml_event_t ev;
    if (!yaml_parser_parse(p, &ev)) return syntax_error(p, b->src, b->err);
    end = ev.type == YAML_STREAM_END_EVENT;
    gs_status s = event(b, &ev);
    yaml_event_delete(&ev);
    GS_TRY(s);
  }
  return GS_OK;
}

gs_status gs_yaml_parse(gs_arena *a, const char *file, const char *text,
                        size_t n, const gs_yaml_limits *limits, gs_yaml **out,
                        gs_err *e) {
  source *s = GS_NEW(a, source);
  s->name = gs_strdup(a, file);
  if (n > limits->bytes)
    return gs_fail(e, GS_DATA, file, "the file is larger than %zu bytes",
                   limits->bytes);
  if (n >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2)))
    return gs_fail(e, GS_DATA, file, "the file is UTF-16, not UTF-8");
  if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3, n -= 3;
  s->text = gs_strndup(a, "", 0);
  if (n) s->text = gs_memdup(a, text, n);
  s->n = n;
  find_lines(a, s);
  builder *b = GS_NEW(a, builder);
  b->arena = a;
  b->err = e;
  b->src = s;
  b->max_nodes = limits->nodes;
  gs_map_init(&b->anchors, a);
  yaml_parser_t p;
  if (!yaml_parser_initialize(&p)) gs_out_of_memory(sizeof p);
  yaml_parser_set_input_string(&p, (const unsigned char *)s->text, n);
  yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
  gs_status status = run(b, &p);
  yaml_parser_delete(&p);
  GS_TRY(status);
  if (!b->root) return gs_fail(e, GS_DATA, file, "the file is empty");
  *out = b->root;
  return GS_OK;
}

/* Reads at most limit + 1 bytes, so that a larger file is noticed. */
static gs_status slurp(gs_arena *a, int fd, const char *path, size_t limit,
                       gs_buf *b, gs_err *e) {
  gs_buf_init(b, a);
  char *chunk = gs_alloc(a, 65536);
  while (b->n <= limit) {
    ssize_t k = read(fd, chunk, 65536);
    if (k == 0) return GS_OK;
    if (k < 0 && errno == EINTR) continue;
    if (k < 0)
      return gs_fail(e, errno == EISDIR ? GS_NOINPUT : GS_IO, path,
                     "cannot read: %s", strerror(errno));
    gs_buf_add(b, chunk, (size_t)k);
  }
  return GS_OK;
}

gs_status gs_yaml_read(gs_arena *a, const char *path,
                       const gs_yaml_limits *limits, gs_yaml **out,
                       gs_err *e) {
  bool std = !strcmp(path, "-");
  const char *name = std ? "<stdin>" : path;
  int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return gs_fail(e, GS_NOINPUT, name, "cannot open: %s", strerror(errno));
  gs_buf b;
  gs_status s = slurp(a, fd, name, limits->bytes, &b, e);
  if (!std) close(fd);
  GS_TRY(s);
  return gs_yaml_parse(a, name, b.at, b.n, limits, out, e);
}
