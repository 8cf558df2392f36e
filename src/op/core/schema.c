#include "op/core/schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/data/map.h"

const gs_schema gs_schemas[] = {
#define SCHEMA(name, domain, since, in0, in1, out0, out1, attributes)          \
  {name, domain, since, in0, in1, out0, out1, attributes},
#include "op/schemas.def"
#undef SCHEMA
};

const int gs_nschema = sizeof gs_schemas / sizeof *gs_schemas;

static const gs_schema move_schemas[] = {
#define MOVE(sym, name, operands, effect, flags, attributes, device, bytes,    \
             steps, kernel, run, prose)                                        \
  {name, "ai.gshard", 1, 1, operands, 1, 1, attributes " " device},
#define MANY INT_MAX
#include "op/moves.def"
#undef MANY
#undef MOVE
};

static const struct {
  const char *op_type, *attribute;
} strays[] = {
#define STRAY(operator, attribute, reason) {operator, attribute},
#include "op/strays.def"
#undef STRAY
};

static int compare(const gs_schema *s, const char *domain, const char *name) {
  int c = strcmp(s->domain, domain);
  return c ? c : strcmp(s->name, name);
}

static const gs_schema *find_move(const char *name) {
  for (size_t i = 0; i < sizeof move_schemas / sizeof *move_schemas; i++)
    if (!strcmp(move_schemas[i].name, name)) return &move_schemas[i];
  return NULL;
}

const gs_schema *gs_schema_find(const char *domain, const char *name,
                                int opset) {
  int low = 0, high = gs_nschema; /* the first row past it is in [low, high] */
  if (!strcmp(domain, "ai.onnx")) domain = "";
  while (low < high) {
    int mid = (low + high) / 2, c = compare(&gs_schemas[mid], domain, name);
    if (c < 0 || (!c && gs_schemas[mid].since <= opset)) low = mid + 1;
    else high = mid;
  }
  const gs_schema *s = low ? &gs_schemas[low - 1] : NULL;
  if (s && !compare(s, domain, name)) return s;
  if (strcmp(domain, "ai.gshard")) return NULL;
  const gs_op *op = gs_op_find(domain, name);
  const gs_op *whole = op && (op->flags & GS_OP_PLACED) ? gs_op_placed(op)
                                                        : NULL;
  return whole ? gs_schema_find(whole->domain, name, INT_MAX)
               : find_move(name);
}

/* ---- the text of attributes ---- */

/* "NAME:TYPE!{A,B}[1..9]" */
typedef struct spec {
  const char *name, *type, *values; /* not terminated; values: "{", "[" or "" */
  int nname, ntype;
  bool needed;
} spec;

/* The attribute at *text, which is moved past it; false at the end. */
static bool next_spec(const char **text, spec *a) {
  const char *s = *text;
  while (*s == ' ' || *s == '?') s++;
  if (!*s) return false;
  a->name = s;
  a->nname = (int)strcspn(s, ":");
  a->type = s + a->nname + 1;
  for (a->ntype = 0; islower((unsigned char)a->type[a->ntype]);) a->ntype++;
  a->values = a->type + a->ntype;
  a->needed = *a->values == '!';
  a->values += a->needed;
  *text = s + strcspn(s, " ");
  return true;
}

bool gs_schema_next(const char **text, gs_string *name) {
  spec a;
  if (!next_spec(text, &a)) return false;
  *name = (gs_string){a.name, (size_t)a.nname};
  return true;
}

static bool find_spec(const char *text, const char *name, spec *a) {
  while (next_spec(&text, a))
    if (strlen(name) == (size_t)a->nname && !memcmp(a->name, name,
                                                    (size_t)a->nname))
      return true;
  return false;
}

static const char *kind_text(gs_attr_kind kind) {
  static const char *const text[] = {
      [GS_ATTR_FLOAT] = "float",   [GS_ATTR_INT] = "int",
      [GS_ATTR_STRING] = "string", [GS_ATTR_TENSOR] = "tensor",
      [GS_ATTR_GRAPH] = "graph",   [GS_ATTR_FLOATS] = "floats",
      [GS_ATTR_INTS] = "ints",     [GS_ATTR_STRINGS] = "strings",
      [GS_ATTR_TYPE] = "type",     [GS_ATTR_AXES] = "axes",
      [GS_ATTR_SHARDING] = "sharding", [GS_ATTR_PLACE] = "place"};
  const char *s = (unsigned)kind < sizeof text / sizeof *text ? text[kind] : 0;
  return s ? s : "?";
}

/* ---- attributes ---- */

/* A node that is checked. */
typedef struct check {
  gs_graph *g;
  const gs_node *n;
  const gs_schema *s;
  gs_err *e;
} check;

static const char *place(const check *c) {
  return gs_node_place(c->g->arena, c->n);
}

/* "{A,B}" */
static gs_status check_choice(const check *c, const spec *a, gs_string v) {
  gs_arena *arena = c->g->arena;
  size_t n = strcspn(a->values, "}");
  char *list = gs_strndup(arena, a->values + 1, n - 1), *rest = list;
  gs_nearest near = gs_nearest_to(v.at);
  gs_buf shown;
  gs_buf_init(&shown, arena);
  for (char *s; (s = strtok_r(NULL, ",", &rest));) {
    if (strlen(s) == v.n && !memcmp(s, v.at, v.n)) return GS_OK;
    gs_nearest_try(&near, s);
    gs_buf_printf(&shown, "%s%s", shown.n ? ", " : "", s);
  }
  gs_fail(c->e, GS_DATA, place(c),
          "attribute '%.*s' is '%.80s', not one of %s", a->nname, a->name,
          v.at, shown.at);
  if (near.best) gs_err_hint(c->e, "did you mean '%s'?", near.best);
  return GS_DATA;
}

/* "[1..9]", "[1..]" */
static gs_status check_range(const check *c, const spec *a, int64_t v) {
  char *end;
  int64_t min = strtoll(a->values + 1, &end, 10), max = INT64_MAX;
  if (isdigit((unsigned char)end[2])) max = strtoll(end + 2, NULL, 10);
  if (v >= min && v <= max) return GS_OK;
  if (max == INT64_MAX)
    return gs_fail(c->e, GS_DATA, place(c), "attribute '%.*s' is %" PRId64
                   ", less than %" PRId64, a->nname, a->name, v, min);
  return gs_fail(c->e, GS_DATA, place(c), "attribute '%.*s' is %" PRId64
                 ", not %" PRId64 " to %" PRId64, a->nname, a->name, v, min,
                 max);
}

static gs_status check_attribute(const check *c, const spec *a,
                                 const gs_attr *v) {
  const char *kind = kind_text(v->kind);
  /* Text that could not be read: the shape function says why. */
  gs_attr_kind meant = gs_attr_meant(c->n->domain, v->name);
  if (v->kind == GS_ATTR_STRING) kind = kind_text(meant);
  if (strlen(kind) != (size_t)a->ntype || memcmp(kind, a->type, strlen(kind)))
    return gs_fail(c->e, GS_DATA, place(c), "attribute '%s' has type %s "
                   "instead of %.*s", v->name, kind, a->ntype, a->type);
  if (*a->values == '{' && v->kind == GS_ATTR_STRING)
    return check_choice(c, a, v->s);
  if (*a->values == '{')
    for (int i = 0; i < v->n; i++)
      GS_TRY(check_choice(c, a, v->strings[i]));
  if (*a->values == '[' && v->kind == GS_ATTR_INT)
    return check_range(c, a, v->i);
  if (*a->values == '[')
    for (int i = 0; i < v->n; i++) GS_TRY(check_range(c, a, v->ints[i]));
  return GS_OK;
}

static bool is_stray(const check *c, const char *name, spec *a) {
  for (size_t i = 0; i < sizeof strays / sizeof *strays; i++)
    if (!*c->s->domain && find_spec(strays[i].attribute, name, a) &&
        (!strays[i].op_type || !strcmp(strays[i].op_type, c->s->name)))
      return true;
  return false;
}

/* Another version that has the attribute, or NULL. */
static const gs_schema *other_version(const check *c, const char *name) {
  spec a;
  for (int i = 0; i < gs_nschema; i++)
    if (!compare(&gs_schemas[i], c->s->domain, c->s->name) &&
        find_spec(gs_schemas[i].attributes, name, &a))
      return &gs_schemas[i];
  return NULL;
}

static gs_status unknown(const check *c, const char *name) {
  gs_arena *arena = c->g->arena;
  const gs_schema *other = other_version(c, name);
  const char *text = c->s->attributes;
  gs_nearest near = gs_nearest_to(name);
  spec a;
  while (next_spec(&text, &a))
    gs_nearest_try(&near, gs_strndup(arena, a.name, (size_t)a.nname));
  gs_fail(c->e, GS_DATA, place(c), "unknown attribute '%.80s'", name);
  if (other && other->since > c->n->opset)
    gs_err_hint(c->e, "it was added in opset %d; the node has opset %d",
                other->since, c->n->opset);
  else if (other)
    gs_err_hint(c->e, "an older opset has it; the node has opset %d",
                c->n->opset);
  else if (near.best)
    gs_err_hint(c->e, "did you mean '%s'?", near.best);
  return GS_DATA;
}

/* The attribute that a row of ai.gshard has beside those of ONNX's operator. */
static bool is_place(const check *c, const gs_attr *v) {
  return *c->n->domain && !*c->s->domain &&
         gs_attr_meant(c->n->domain, v->name) == GS_ATTR_PLACE;
}

static gs_status check_attributes(const check *c) {
  spec a;
  for (int i = 0; i < c->n->nattr; i++) {
    const gs_attr *v = &c->n->attr[i];
    if (!strncmp(v->name, "__", 2) || is_place(c, v)) continue;
    if (!find_spec(c->s->attributes, v->name, &a) && !is_stray(c, v->name, &a))
      return unknown(c, v->name);
    GS_TRY(check_attribute(c, &a, v));
  }
  for (const char *text = c->s->attributes; next_spec(&text, &a);)
    if (a.needed) {
      const char *name = gs_strndup(c->g->arena, a.name, (size_t)a.nname);
      if (!gs_node_attr(c->n, name))
        return gs_fail(c->e, GS_DATA, place(c), "needs the attribute '%s'",
                       name);
    }
  return GS_OK;
}

/* ---- operands and results ---- */

/* Of `known` that the schema has at most `max` are made or read. */
static gs_status check_number(const check *c, const char *what, int n,
                              int min, int max, int known) {
  if (n >= min && n <= max) return GS_OK;
  if (n > max && n <= known)
    return gs_fail(c->e, GS_UNSUPPORTED, place(c), "%s %d is not supported",
                   what, max);
  return gs_fail(c->e, GS_DATA, place(c), "%d %s%s given, %s %d expected", n,
                 what, n == 1 ? "" : "s", n < min ? "at least" : "at most",
                 n < min ? min : max);
}

/* The first `least` operands must be there; of a list of any number all, but
 * for those that a '?' stands for. */
static gs_status check_present(const check *c, int min, int max) {
  int spare = (int)strspn(c->s->attributes, "?"), nin = gs_node_formal(c->n);
  for (int i = spare; i < (max == INT_MAX ? nin : min); i++)
    if (!c->n->in[i])
      return gs_fail(c->e, GS_DATA, place(c),
                     "operand %d must not be left out", i);
  return GS_OK;
}

/* Is it the last version of its operator? */
static bool is_last(const gs_schema *s) {
  return gs_schema_find(s->domain, s->name, INT_MAX) == s;
}

gs_status gs_schema_check(gs_graph *g, const gs_node *n, gs_err *e) {
  const gs_schema *s = gs_schema_find(n->domain, n->op_type, n->opset);
  if (!s) return GS_OK;
  check c = {g, n, s, e};
  /* The newest form is that of the operator's row, if it has one. */
  const gs_op *op = is_last(s) ? gs_op_find(n->domain, n->op_type) : NULL;
  int min = op ? op->min_in : s->min_in;
  int max = op ? op->max_in : s->max_in;
  GS_TRY(check_number(&c, "operand", gs_node_formal(n), min, max, s->max_in));
  GS_TRY(check_number(&c, "result", n->nout, op ? op->min_out : s->min_out,
                      op ? op->max_out : s->max_out, s->max_out));
  GS_TRY(check_present(&c, min, max));
  return check_attributes(&c);
}
