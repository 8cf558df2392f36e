/* Reads the text form of graphs, as text_print.c writes it:
 *
 *   mesh {dp=2, tp=2}
 *   input x : f32[8,8]
 *   constant w {~,tp} : f32[2,2] = [1, 2, 3, 4]
 *   y, _ = TopK 'node name' (x, k) axis=1 {dp} : f32[4] of [8], _
 *   z = If (c | y) then_branch={
 *     capture y : f32[4]
 *     ...
 *   } else_branch={
 *     ...
 *   } : f32[4]
 *   output y
 *
 * `#` after white space starts a comment. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "ir/graph/graph.h"
#include "ir/text/graph_text.h"

typedef struct parser {
  gs_arena *a;
  gs_graph *g;
  const char *file, *line; /* start of the current line */
  const char *s;
  int number;
  int depth; /* graphs in graphs */
  gs_err *e;
} parser;

static gs_status bad(parser *p, const char *what) {
  char place[512];
  snprintf(place, sizeof place, "%.400s:%d:%d", p->file, p->number,
           (int)(p->s - p->line) + 1);
  gs_fail(p->e, GS_DATA, place, "%s", what);
  gs_err_caret(p->e, p->line, strcspn(p->line, "\n"),
               (int)(p->s - p->line) + 1, 1);
  return GS_DATA;
}

static void space(parser *p) {
  while (*p->s == ' ' || *p->s == '\t') p->s++;
  bool apart = p->s == p->line || isspace((unsigned char)p->s[-1]);
  if (*p->s == '#' && apart) p->s += strcspn(p->s, "\n");
}

static bool eat(parser *p, const char *word) {
  space(p);
  size_t n = strlen(word);
  if (strncmp(p->s, word, n)) return false;
  p->s += n;
  return true;
}

static bool eat_word(parser *p, const char *word) {
  space(p);
  size_t n = strlen(word);
  if (strncmp(p->s, word, n) || !isspace((unsigned char)p->s[n])) return false;
  p->s += n;
  return true;
}

static gs_status quoted(parser *p, char quote, gs_string *out) {
  gs_buf b;
  gs_buf_init(&b, p->a);
  p->s++;
  while (*p->s != quote) {
    if (!*p->s || *p->s == '\n') return bad(p, "a string is not closed");
    char c = *p->s++;
    if (c == '\\' && *p->s == 'x' && isxdigit((unsigned char)p->s[1]) &&
        isxdigit((unsigned char)p->s[2])) {
      char hex[3] = {p->s[1], p->s[2], 0};
      c = (char)strtol(hex, NULL, 16);
      p->s += 3;
    } else if (c == '\\' && *p->s) {
      c = *p->s++;
    }
    gs_buf_char(&b, c);
  }
  p->s++;
  *out = (gs_string){b.at, b.n};
  return GS_OK;
}

static gs_status name(parser *p, const char **out) {
  space(p);
  if (*p->s == '"') {
    gs_string s;
    GS_TRY(quoted(p, '"', &s));
    *out = s.at;
    return GS_OK;
  }
  const char *start = p->s;
  while (gs_text_is_name_char(*p->s)) p->s++;
  if (p->s > start && p->s[-1] == ':') p->s--;
  if (p->s == start) return bad(p, "a name is expected");
  *out = gs_strndup(p->a, start, (size_t)(p->s - start));
  return GS_OK;
}

static gs_status integer(parser *p, int64_t *v) {
  space(p);
  char *end;
  long long x = strtoll(p->s, &end, 0);
  if (end == p->s) return bad(p, "a number is expected");
  p->s = end;
  *v = x;
  return GS_OK;
}

/* "[1,2,?]" into dims; ? is -1. */
static gs_status dim_list(parser *p, int *rank, int64_t *dims) {
  *rank = 0;
  if (!eat(p, "[")) return bad(p, "'[' is expected");
  while (!eat(p, "]")) {
    if (*rank == GS_MAX_RANK) return bad(p, "too many dims");
    if (eat(p, "?")) dims[(*rank)++] = -1;
    else GS_TRY(integer(p, &dims[(*rank)++]));
    if (!eat(p, ",") && *p->s != ']') return bad(p, "',' or ']' is expected");
  }
  return GS_OK;
}

static gs_status shape(parser *p, gs_dtype *t, int *rank, int64_t *dims) {
  space(p);
  char word[16];
  size_t n = 0;
  while (isalnum((unsigned char)*p->s) && n < sizeof word - 1)
    word[n++] = *p->s++;
  word[n] = 0;
  *t = gs_dtype_parse(word);
  bool unknown = n == 0 && eat(p, "?"); /* type not known */
  if (!*t && !unknown) return bad(p, "an element type such as f32 is expected");
  if (eat(p, "[...]")) {
    *rank = -1;
    return GS_OK;
  }
  return dim_list(p, rank, dims);
}

/* "f32", "seq(f32)", "opt(f32)" or "opt(seq(f32))"; what is a tensor is left
 * unread when `plain` is false. */
static gs_status kind(parser *p, bool plain, gs_kind *k, gs_dtype *t) {
  bool optional = eat(p, "opt("), list = eat(p, "seq(");
  char word[16];
  size_t n = 0;
  *k = optional ? (list ? GS_OPTIONAL_SEQUENCE : GS_OPTIONAL)
                : (list ? GS_SEQUENCE : GS_TENSOR);
  if (*k == GS_TENSOR && !plain) return GS_OK;
  while (isalnum((unsigned char)*p->s) && n < sizeof word - 1)
    word[n++] = *p->s++;
  word[n] = 0;
  *t = gs_dtype_parse(word);
  if (!*t && (n || !eat(p, "?")))
    return bad(p, "an element type such as f32 is expected");
  if ((list && !eat(p, ")")) || (optional && !eat(p, ")")))
    return bad(p, "')' is expected");
  return GS_OK;
}

/* "{..}", and what else there is of a form, up to " :". */
static gs_status form(parser *p, gs_value *v) {
  if (!p->g->mesh) return bad(p, "a sharding without a mesh");
  const char *end = p->s;
  while (*end && *end != '\n' && !(end[0] == ' ' && end[1] == ':')) end++;
  const char *text = gs_strndup(p->a, p->s, (size_t)(end - p->s));
  gs_form *f;
  if (gs_form_parse(p->a, p->g->mesh, &text, &f, p->e) || *text)
    return bad(p, "not a sharding");
  p->s = end;
  v->sharding = gs_sharding_copy(p->a, f->sharding);
  gs_form blocks = gs_form_of(v->sharding);
  if (!gs_form_equal(f, &blocks)) v->form = f;
  return GS_OK;
}

/* "{..} : f32[4] of [8]" */
static gs_status type(parser *p, gs_value *v) {
  space(p);
  if (*p->s == '{') GS_TRY(form(p, v));
  if (!eat(p, ":")) return bad(p, "':' and a type are expected");
  int64_t dims[GS_MAX_RANK];
  int rank;
  GS_TRY(kind(p, false, &v->kind, &v->dtype));
  if (v->kind != GS_TENSOR) return GS_OK;
  GS_TRY(shape(p, &v->dtype, &rank, dims));
  gs_value_shape(p->g, v, rank, dims);
  if (eat_word(p, "of")) {
    GS_TRY(dim_list(p, &rank, dims));
    if (rank != v->rank) return bad(p, "local and global rank differ");
    v->global_dims = gs_memdup(p->a, dims, (size_t)rank * sizeof *dims);
  }
  return GS_OK;
}

static gs_status real(parser *p, double *f) {
  space(p);
  char *end;
  *f = strtod(p->s, &end);
  if (end == p->s) return bad(p, "a number is expected");
  p->s = end;
  return GS_OK;
}

static gs_status element(parser *p, gs_dtype t, char *at) {
  const gs_dtype_info *info = gs_dtype_get(t);
  if (t == GS_FLOAT || t == GS_DOUBLE) {
    double f;
    GS_TRY(real(p, &f));
    float single = (float)f;
    if (t == GS_FLOAT) memcpy(at, &single, sizeof single);
    else memcpy(at, &f, sizeof f);
    return GS_OK;
  }
  space(p);
  char *end;
  uint64_t u = *p->s == '-' ? (uint64_t)strtoll(p->s, &end, 0)
                            : strtoull(p->s, &end, 0);
  if (end == p->s) return bad(p, "a number is expected");
  p->s = end;
  memcpy(at, &u, (size_t)info->bits / 8);
  return GS_OK;
}

static gs_status strings(parser *p, gs_tensor *t, int64_t n) {
  if (n > 1 << 16) return bad(p, "too much data");
  gs_string *s = GS_NEWS(p->a, n, gs_string);
  t->strings = s;
  if (!eat(p, "[")) return bad(p, "'[' is expected");
  for (int64_t i = 0; i < n; i++) {
    if (i && !eat(p, ",")) return bad(p, "',' is expected");
    space(p);
    if (*p->s != '"') return bad(p, "a quoted string is expected");
    GS_TRY(quoted(p, '"', &s[i]));
  }
  return eat(p, "]") ? GS_OK : bad(p, "']' is expected after the data");
}

/* " = [..]" when it is there: the data of a constant. */
static gs_status data(parser *p, gs_dtype dtype, int rank, const int64_t *dims,
                      const gs_tensor **out) {
  gs_tensor *t = GS_NEW(p->a, gs_tensor);
  int bits = gs_dtype_get(dtype)->bits;
  int64_t n = rank < 0 ? -1 : gs_product(dims, rank);
  int64_t bytes = n < 0 ? -1
                  : dtype == GS_STRING ? 0
                                       : gs_dtype_bytes(dtype, n);
  if (bytes < 0) return bad(p, "a constant needs a shape and a type");
  t->dtype = dtype;
  t->rank = rank;
  t->dims = gs_memdup(p->a, dims, (size_t)rank * sizeof *dims);
  t->nbytes = (uint64_t)bytes;
  *out = t;
  if (!eat(p, "=")) return GS_OK;
  if (dtype == GS_STRING) return strings(p, t, n);
  if (bits < 8 || bits > 64) return bad(p, "this type is given without data");
  if (bytes > 1 << 20) return bad(p, "too much data");
  char *at = gs_alloc(p->a, (size_t)bytes);
  t->data = at;
  if (!eat(p, "[")) return bad(p, "'[' is expected");
  for (int64_t i = 0; i < n; i++) {
    if (i && !eat(p, ",")) return bad(p, "',' is expected");
    GS_TRY(element(p, dtype, at + i * (bits / 8)));
  }
  return eat(p, "]") ? GS_OK : bad(p, "']' is expected after the data");
}

static bool looks_real(const char *s) {
  size_t n = strspn(s, "+-0123456789");
  return s[n] == '.' || s[n] == 'e' || !strncmp(s, "inf", 3) ||
         !strncmp(s, "-inf", 4) || !strncmp(s, "nan", 3);
}

static gs_status attr_list(parser *p, gs_attr *a) {
  GS_VEC(int64_t) ints = {0};
  GS_VEC(float) floats = {0};
  GS_VEC(gs_string) strings = {0};
  a->kind = GS_ATTR_INTS;
  p->s++;
  while (!eat(p, "]")) {
    if (*p->s == '"') {
      a->kind = GS_ATTR_STRINGS;
      GS_TRY(quoted(p, '"', gs_push(p->a, &strings)));
    } else if (looks_real(p->s)) {
      double f;
      a->kind = GS_ATTR_FLOATS;
      GS_TRY(real(p, &f));
      *gs_push(p->a, &floats) = (float)f;
    } else {
      GS_TRY(integer(p, gs_push(p->a, &ints)));
    }
    a->n++;
    if (!eat(p, ",") && *p->s != ']') return bad(p, "',' or ']' is expected");
  }
  if ((ints.n != 0) + (floats.n != 0) + (strings.n != 0) > 1)
    return bad(p, "a list mixes types");
  a->ints = ints.at;
  a->floats = floats.at;
  a->strings = strings.at;
  return GS_OK;
}

static gs_status statements(parser *p, bool inner);

/* "{", statements, "}": a graph. */
static gs_status inner_graph(parser *p, gs_attr *a) {
  enum { DEEPEST = 64 };
  gs_graph *outer = p->g;
  if (++p->depth > DEEPEST) return bad(p, "graphs nest too deeply");
  p->s++;
  p->g = a->g = gs_graph_new(p->a, "");
  a->kind = GS_ATTR_GRAPH;
  p->g->mesh = outer->mesh;
  space(p);
  if (*p->s != '\n') return bad(p, "a new line is expected after '{'");
  p->s++;
  GS_TRY(statements(p, true));
  p->g->mesh = NULL;
  p->g = outer;
  p->depth--;
  return GS_OK;
}

static gs_status attribute(parser *p, gs_node *n) {
  const char *start = p->s;
  gs_attr a = {0};
  if (*p->s == '"') {
    GS_TRY(name(p, &a.name));
  } else {
    while (isalnum((unsigned char)*p->s) || *p->s == '_' || *p->s == '.')
      p->s++;
    a.name = gs_strndup(p->a, start, (size_t)(p->s - start));
  }
  if (p->s == start || *p->s != '=') return bad(p, "name=value is expected");
  p->s++;
  if (*p->s == '"') {
    a.kind = GS_ATTR_STRING;
    GS_TRY(quoted(p, '"', &a.s));
  } else if (*p->s == '{') {
    GS_TRY(inner_graph(p, &a));
  } else if (*p->s == ':') {
    gs_dtype t = GS_UNDEFINED;
    p->s++;
    a.kind = GS_ATTR_TYPE;
    GS_TRY(kind(p, true, &a.of_kind, &t));
    a.i = t;
  } else if (*p->s == '[') {
    GS_TRY(attr_list(p, &a));
  } else if (!strncmp(p->s, "tensor(", 7)) {
    gs_dtype t;
    int rank;
    int64_t dims[GS_MAX_RANK];
    const gs_tensor *value;
    p->s += 7;
    a.kind = GS_ATTR_TENSOR;
    GS_TRY(shape(p, &t, &rank, dims));
    GS_TRY(data(p, t, rank, dims, &value));
    a.t = gs_memdup(p->a, value, sizeof *value);
    if (!eat(p, ")")) return bad(p, "')' is expected");
  } else if (looks_real(p->s)) {
    a.kind = GS_ATTR_FLOAT;
    GS_TRY(real(p, &a.f));
  } else {
    a.kind = GS_ATTR_INT;
    GS_TRY(integer(p, &a.i));
  }
  /* A graph in an attribute lies on no mesh: its text stays text. */
  const gs_mesh *m = p->g->mesh;
  if (p->depth) p->g->mesh = NULL;
  gs_node_set(p->g, n, &a);
  p->g->mesh = m;
  return GS_OK;
}

static gs_status operand(parser *p, gs_value **out) {
  const char *text;
  *out = NULL;
  space(p);
  bool quote = *p->s == '"';
  GS_TRY(name(p, &text));
  if (!quote && !strcmp(text, "_")) return GS_OK;
  *out = gs_graph_find(p->g, text);
  return *out ? GS_OK : bad(p, "this value is not defined yet");
}

/* "domain.Op", "domain"."Op" or "Op". */
static gs_status operator_name(parser *p, const char **domain,
                               const char **op) {
  space(p);
  bool quote = *p->s == '"';
  GS_TRY(name(p, op));
  *domain = "";
  if (quote && *p->s == '.') {
    *domain = *op;
    p->s++;
    return name(p, op);
  }
  const char *dot = quote ? NULL : strrchr(*op, '.');
  if (!dot) return GS_OK;
  *domain = gs_strndup(p->a, *op, (size_t)(dot - *op));
  *op = dot + 1;
  return GS_OK;
}

typedef GS_VEC(const char *) names;
typedef GS_VEC(gs_value *) values;

/* NULL for a result that is left out. */
static gs_status results(parser *p, names *out) {
  do {
    space(p);
    bool quote = *p->s == '"';
    const char *text;
    GS_TRY(name(p, &text));
    *gs_push(p->a, out) = quote || strcmp(text, "_") ? text : NULL;
  } while (eat(p, ","));
  return GS_OK;
}

/* "a, b | c)"; *formal: how many stand before the "|". */
static gs_status operands(parser *p, values *in, int *formal) {
  *formal = -1;
  while (!eat(p, ")")) {
    if (*formal < 0 && eat(p, "|")) {
      *formal = in->n;
      continue;
    }
    gs_value *v;
    GS_TRY(operand(p, &v));
    *gs_push(p->a, in) = v;
    if (*formal >= 0 && !v)
      return bad(p, "a captured operand cannot be left out");
    if (!eat(p, ",") && *p->s != ')' && (*p->s != '|' || *formal >= 0))
      return bad(p, "',' or ')' is expected");
  }
  if (*formal < 0) *formal = in->n;
  return GS_OK;
}

static gs_status define_results(parser *p, gs_node *n, const names *result) {
  for (int i = 0; i < result->n; i++) {
    if (i && !eat(p, ",")) return bad(p, "a type for each result is expected");
    if (!result->at[i]) {
      if (!eat(p, "_")) return bad(p, "'_' is expected");
      continue;
    }
    if (gs_graph_find(p->g, result->at[i]))
      return bad(p, "a value is defined twice");
    gs_value *v = gs_value_new(p->g, result->at[i], GS_UNDEFINED, -1, NULL);
    gs_node_output(n, i, v);
    space(p);
    if (*p->s == ':' || *p->s == '{') GS_TRY(type(p, v));
    else if (result->n == 1) break; /* types may be left to inference */
    else return bad(p, "a type is expected");
  }
  return GS_OK;
}

static gs_status node(parser *p) {
  names result = {0};
  values in = {0};
  const char *op, *domain;
  gs_string label = {"", 0};
  int formal;
  GS_TRY(results(p, &result));
  if (!eat(p, "=")) return bad(p, "'=' is expected");
  GS_TRY(operator_name(p, &domain, &op));
  space(p);
  if (*p->s == '\'') GS_TRY(quoted(p, '\'', &label));
  if (!eat(p, "(")) return bad(p, "'(' is expected");
  GS_TRY(operands(p, &in, &formal));
  gs_node *n = gs_node_new(p->g, domain, op, label.at, in.n, result.n);
  if (in.n) memcpy(n->in, in.at, (size_t)in.n * sizeof *in.at);
  n->ncapture = in.n - formal;
  for (space(p); isalpha((unsigned char)*p->s) || *p->s == '"'; space(p))
    GS_TRY(attribute(p, n));
  return define_results(p, n, &result);
}

static gs_status capture(parser *p) {
  const char *text;
  space(p);
  bool quote = *p->s == '"';
  GS_TRY(name(p, &text));
  gs_value *v = NULL;
  if (quote || strcmp(text, "_")) {
    if (gs_graph_find(p->g, text)) return bad(p, "a value is defined twice");
    v = gs_value_new(p->g, text, GS_UNDEFINED, -1, NULL);
    GS_TRY(type(p, v));
    v->is_input = true;
  }
  *gs_push(p->a, &p->g->capture) = v;
  return GS_OK;
}

static gs_status entry(parser *p, bool constant) {
  const char *text;
  GS_TRY(name(p, &text));
  if (gs_graph_find(p->g, text)) return bad(p, "a value is defined twice");
  gs_value *v = gs_value_new(p->g, text, GS_UNDEFINED, -1, NULL);
  GS_TRY(type(p, v));
  if (constant) return data(p, v->dtype, v->rank, v->dims, &v->constant);
  v->is_input = true;
  *gs_push(p->a, &p->g->input) = v;
  return GS_OK;
}

static gs_status statement(parser *p) {
  if (eat_word(p, "graph")) {
    const char *text;
    GS_TRY(name(p, &text));
    p->g->name = text;
    return GS_OK;
  }
  if (eat_word(p, "mesh")) {
    gs_mesh *m = GS_NEW(p->a, gs_mesh);
    size_t n = strcspn(p->s, "\n#");
    while (n && isspace((unsigned char)p->s[n - 1])) n--;
    if (gs_mesh_parse(gs_strndup(p->a, p->s, n), p->a, m, p->e))
      return bad(p, "not a mesh");
    p->s += n;
    p->g->mesh = m;
    return GS_OK;
  }
  if (eat_word(p, "input")) return entry(p, false);
  if (eat_word(p, "constant")) return entry(p, true);
  if (p->depth && eat_word(p, "capture")) return capture(p);
  if (eat_word(p, "output")) {
    gs_value *v;
    GS_TRY(operand(p, &v));
    if (!v) return bad(p, "an output needs a name");
    v->is_output = true;
    *gs_push(p->a, &p->g->output) = v;
    return GS_OK;
  }
  return node(p);
}

/* Lines up to the end, or to the "}" of an inner graph, which is read too. */
static gs_status statements(parser *p, bool inner) {
  while (*p->s) {
    p->number++;
    p->line = p->s;
    space(p);
    if (inner && *p->s == '}') {
      p->s++;
      return GS_OK;
    }
    if (*p->s && *p->s != '\n') {
      GS_TRY(statement(p));
      space(p);
      if (*p->s && *p->s != '\n') return bad(p, "unexpected text");
    }
    if (*p->s) p->s++;
  }
  return inner ? bad(p, "'}' is expected") : GS_OK;
}

gs_status gs_graph_parse(gs_arena *a, const char *text, const char *file,
                         gs_graph **out, gs_err *e) {
  parser p = {.a = a,
              .g = gs_graph_new(a, ""),
              .file = file,
              .s = text,
              .line = text,
              .e = e};
  GS_TRY(statements(&p, false));
  *out = p.g;
  return gs_graph_check(p.g, e);
}
