/* Prints graphs in the text form; text_parse.c reads it. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "ir/graph/graph.h"
#include "ir/text/graph_text.h"

bool gs_text_is_name_char(char c) {
  return isalnum((unsigned char)c) || (c && strchr("_./:-*+%$@#", c));
}

bool gs_text_is_attribute(const char *name) {
  if (!isalpha((unsigned char)*name)) return false;
  while (isalnum((unsigned char)*name) || *name == '_' || *name == '.') name++;
  return !*name;
}

static void print_quoted(gs_buf *b, const char *s, size_t n, char quote) {
  gs_buf_char(b, quote);
  for (size_t i = 0; i < n;) {
    int k = gs_utf8_printable(s + i, n - i);
    if (s[i] == quote || s[i] == '\\') gs_buf_char(b, '\\');
    if (k) gs_buf_add(b, s + i, (size_t)k);
    else gs_buf_printf(b, "\\x%02x", (unsigned char)s[i]);
    i += k ? (size_t)k : 1;
  }
  gs_buf_char(b, quote);
}

/* Does the parser take these characters for a name, and nothing else? */
static bool is_bare(const char *name) {
  static const char *const taken[] = {"_",     "graph",    "mesh",  "input",
                                      "output", "constant", "capture"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
    if (!strcmp(name, taken[i])) return false;
  if (!*name || strchr("#:=", *name)) return false;
  for (const char *s = name; *s; s++)
    if (!gs_text_is_name_char(*s)) return false;
  return name[strlen(name) - 1] != ':'; /* ambiguous before a type */
}

static void print_text(gs_buf *b, const char *name) {
  if (is_bare(name)) gs_buf_str(b, name);
  else print_quoted(b, name, strlen(name), '"');
}

static void print_name(gs_buf *b, const gs_value *v) {
  if (v) print_text(b, v->name);
  else gs_buf_char(b, '_');
}

/* "domain.Op", or "domain"."Op" where that would be read otherwise. */
static void print_operator(gs_buf *b, const gs_node *n) {
  bool bare = is_bare(n->op_type) && !strchr(n->op_type, '.');
  if (*n->domain) {
    if (bare && is_bare(n->domain)) gs_buf_str(b, n->domain);
    else print_quoted(b, n->domain, strlen(n->domain), '"');
    gs_buf_char(b, '.');
    bare = bare && is_bare(n->domain);
  }
  if (bare) gs_buf_str(b, n->op_type);
  else print_quoted(b, n->op_type, strlen(n->op_type), '"');
}

static void print_float(gs_buf *b, double f, int digits) {
  if (isnan(f)) {
    gs_buf_str(b, "nan");
    return;
  }
  if (isinf(f)) {
    gs_buf_str(b, f < 0 ? "-inf" : "inf");
    return;
  }
  char s[40];
  snprintf(s, sizeof s, "%.*g", digits, f);
  gs_buf_str(b, s);
  if (!strpbrk(s, ".e")) gs_buf_str(b, ".0");
}

static void print_element(gs_buf *b, const gs_tensor *t, const void *data,
                          int64_t i) {
  const gs_dtype_info *info = gs_dtype_get(t->dtype);
  size_t size = (size_t)info->bits / 8;
  gs_assert(info->bits >= 8);
  const char *at = (const char *)data + (size_t)i * size;
  if (t->dtype == GS_FLOAT) {
    float f;
    memcpy(&f, at, sizeof f);
    print_float(b, (double)f, 9);
  } else if (t->dtype == GS_DOUBLE) {
    double f;
    memcpy(&f, at, sizeof f);
    print_float(b, f, 17);
  } else {
    uint64_t u = 0; /* little-endian, sign-extended below */
    memcpy(&u, at, size);
    int shift = 64 - info->bits;
    if (info->cls == 'i')
      gs_buf_printf(b, "%lld",
                    (long long)((int64_t)(u << shift) >> shift));
    else if (info->cls == 'f')
      gs_buf_printf(b, "0x%llx", (unsigned long long)u);
    else
      gs_buf_printf(b, "%llu", (unsigned long long)u);
  }
}

static void print_strings(gs_buf *b, const gs_string *s, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (i) gs_buf_char(b, ',');
    print_quoted(b, s[i].at, s[i].n, '"');
  }
}

static void print_data(gs_buf *b, const gs_tensor *t) {
  const gs_dtype_info *info = gs_dtype_get(t->dtype);
  int64_t n = gs_tensor_count(t);
  if (t->strings && n >= 0 && n <= GS_TEXT_MAX_DATA) {
    gs_buf_str(b, " = [");
    print_strings(b, t->strings, n);
    gs_buf_char(b, ']');
    return;
  }
  if (info->bits < 8 || info->bits > 64 || info->cls == 'c' || n < 0 ||
      n > GS_TEXT_MAX_DATA)
    return;
  const void *data = gs_tensor_bytes(t);
  if (!data && n) return;
  gs_buf_str(b, " = [");
  for (int64_t i = 0; i < n; i++) {
    if (i) gs_buf_str(b, ", ");
    print_element(b, t, data, i);
  }
  gs_buf_char(b, ']');
}

static void print_shape(gs_buf *b, gs_dtype dtype, int rank,
                        const int64_t *dims) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_buf_str(b, gs_shape_text(&tmp, dtype, rank, dims));
  gs_arena_free(&tmp);
}

/* "opt(seq(f32))": of what is not a tensor. */
static void print_kind(gs_buf *b, gs_kind kind, gs_dtype dtype) {
  static const char *const text[] = {"%s", "seq(%s)", "opt(%s)",
                                     "opt(seq(%s))"};
  gs_arena tmp;
  gs_arena_init(&tmp);
  char *form = gs_strdup(&tmp, text[kind]);
  size_t at = strcspn(form, "%");
  gs_buf_printf(b, "%.*s%s%s", (int)at, form, gs_dtype_get((int)dtype)->text,
                form + at + 2);
  gs_arena_free(&tmp);
}

static void print_body(gs_buf *b, const gs_graph *g);

/* What files have as a string. */
static void print_on_mesh(gs_buf *b, const gs_graph *g, const gs_attr *a) {
  gs_arena tmp;
  gs_buf text;
  gs_arena_init(&tmp);
  gs_buf_init(&text, &tmp);
  gs_attr_print_text(&text, g->mesh, a);
  print_quoted(b, text.at, text.n, '"');
  gs_arena_free(&tmp);
}

static void print_attr(gs_buf *b, const gs_graph *g, const gs_attr *a) {
  gs_buf_char(b, ' ');
  if (gs_text_is_attribute(a->name)) gs_buf_str(b, a->name);
  else print_quoted(b, a->name, strlen(a->name), '"');
  gs_buf_char(b, '=');
  switch (a->kind) {
    case GS_ATTR_INT: gs_buf_printf(b, "%lld", (long long)a->i); break;
    case GS_ATTR_FLOAT: print_float(b, a->f, 9); break;
    case GS_ATTR_STRING:
    case GS_ATTR_AXES:
    case GS_ATTR_SHARDING:
    case GS_ATTR_PLACE: print_on_mesh(b, g, a); break;
    case GS_ATTR_TENSOR:
      gs_buf_str(b, "tensor(");
      print_shape(b, a->t->dtype, a->t->rank, a->t->dims);
      print_data(b, a->t);
      gs_buf_char(b, ')');
      break;
    case GS_ATTR_GRAPH:
      gs_buf_str(b, "{\n");
      print_body(b, a->g);
      gs_buf_char(b, '}');
      break;
    case GS_ATTR_TYPE:
      gs_buf_char(b, ':');
      print_kind(b, a->of_kind, (gs_dtype)a->i);
      break;
    case GS_ATTR_INTS:
    case GS_ATTR_FLOATS:
    case GS_ATTR_STRINGS:
      gs_buf_char(b, '[');
      for (int i = 0; i < a->n; i++) {
        if (i) gs_buf_char(b, ',');
        if (a->kind == GS_ATTR_INTS)
          gs_buf_printf(b, "%lld", (long long)a->ints[i]);
        else if (a->kind == GS_ATTR_FLOATS)
          print_float(b, (double)a->floats[i], 9);
        else
          print_quoted(b, a->strings[i].at, a->strings[i].n, '"');
      }
      gs_buf_char(b, ']');
      break;
  }
}

/* "{dp,~} : f32[4,8] of [8,8]" */
static void print_type(gs_buf *b, const gs_graph *g, const gs_value *v) {
  if (v->sharding && g->mesh) {
    gs_form blocks = gs_form_of(v->sharding);
    gs_form_print(b, g->mesh, v->form ? v->form : &blocks);
    gs_buf_char(b, ' ');
  }
  gs_buf_str(b, ": ");
  if (v->kind != GS_TENSOR) print_kind(b, v->kind, v->dtype);
  else print_shape(b, v->dtype, v->rank, v->dims);
  if (v->global_dims) {
    gs_buf_str(b, " of [");
    for (int d = 0; d < v->rank; d++)
      gs_buf_printf(b, "%s%lld", d ? "," : "", (long long)v->global_dims[d]);
    gs_buf_char(b, ']');
  }
}

static void print_node(gs_buf *b, const gs_graph *g, const gs_node *n) {
  for (int i = 0; i < n->nout; i++) {
    if (i) gs_buf_str(b, ", ");
    print_name(b, n->out[i]);
  }
  gs_buf_str(b, " = ");
  print_operator(b, n);
  if (*n->name) {
    gs_buf_char(b, ' ');
    print_quoted(b, n->name, strlen(n->name), '\'');
    gs_buf_char(b, ' ');
  }
  gs_buf_char(b, '(');
  for (int i = 0; i < n->nin; i++) {
    if (i == gs_node_formal(n)) gs_buf_str(b, i ? " | " : "| ");
    else if (i) gs_buf_str(b, ", ");
    print_name(b, n->in[i]);
  }
  gs_buf_char(b, ')');
  for (int i = 0; i < n->nattr; i++) print_attr(b, g, &n->attr[i]);
  for (int i = 0; i < n->nout; i++) {
    gs_buf_str(b, i ? ", " : " ");
    if (n->out[i]) print_type(b, g, n->out[i]);
    else gs_buf_char(b, '_');
  }
  gs_buf_char(b, '\n');
}

static void print_inputs(gs_buf *b, const gs_graph *g, const char *word,
                         gs_value *const *v, int n) {
  for (int i = 0; i < n; i++) {
    gs_buf_printf(b, "%s ", word);
    print_name(b, v[i]);
    if (v[i]) {
      gs_buf_char(b, ' ');
      print_type(b, g, v[i]);
    }
    gs_buf_char(b, '\n');
  }
}

static void print_header(gs_buf *b, const gs_graph *g) {
  if (*g->name) {
    gs_buf_str(b, "graph ");
    print_quoted(b, g->name, strlen(g->name), '"');
    gs_buf_char(b, '\n');
  }
}

static void print_values(gs_buf *b, const gs_graph *g) {
  print_inputs(b, g, "input", g->input.at, g->input.n);
  print_inputs(b, g, "capture", g->capture.at, g->capture.n);
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (!v->constant || v->def) continue;
    gs_buf_str(b, "constant ");
    print_name(b, v);
    gs_buf_char(b, ' ');
    print_type(b, g, v);
    print_data(b, v->constant);
    gs_buf_char(b, '\n');
  }
  for (int i = 0; i < g->node.n; i++) print_node(b, g, g->node.at[i]);
  for (int i = 0; i < g->output.n; i++) {
    gs_buf_str(b, "output ");
    print_name(b, g->output.at[i]);
    gs_buf_char(b, '\n');
  }
}

void gs_graph_print(gs_buf *b, const gs_graph *g) {
  print_header(b, g);
  if (g->mesh) {
    gs_mesh_print(b, g->mesh);
    gs_buf_char(b, '\n');
  }
  print_values(b, g);
}

/* A graph in an attribute, on the mesh of the one around it. */
static void print_body(gs_buf *b, const gs_graph *g) {
  print_header(b, g);
  print_values(b, g);
}
