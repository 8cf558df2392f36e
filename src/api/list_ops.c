#include "api/list_ops.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "op/core/function.h"
#include "op/core/moves.h"
#include "op/core/schema.h"

/* What a reader wants to know of a row of ops.def, or of a function. */
typedef struct row {
  const char *name, *domain, *types;
  int since, in0, in1, out0, out1;
  const gs_op *op;             /* NULL: a function */
  const gs_function *function; /* NULL: a row of ops.def */
} row;

/* The operators that a function's lines name, each once. */
static const char *parts(gs_arena *a, const gs_function *f,
                         const char *between) {
  gs_map seen;
  gs_buf b;
  gs_map_init(&seen, a);
  gs_buf_init(&b, a);
  for (int k = 0; k < f->block.n; k++)
    for (int i = 0; i < f->block.at[k].line.n; i++) {
      const char *op = f->block.at[k].line.at[i].op_type;
      if (!op || gs_map_has(&seen, op)) continue;
      gs_buf_printf(&b, "%s%s", seen.n ? between : "", op);
      gs_map_put(&seen, op, &seen);
    }
  return b.at;
}

/* Those of ai.gshard are described by hand. */
static bool described(const row *r) { return !strcmp(r->domain, "ai.gshard"); }

static const char *how(gs_arena *a, const row *r) {
  if (r->function && r->function->derive)
    return "expanded by the gradients of the operators between";
  if (r->function)
    return gs_sprintf(a, "expanded into %s; shards as these do",
                      parts(a, r->function, ", "));
  if (described(r)) return "made by the partitioner";
  return gs_op_how(a, r->op);
}

/* "2", "1-3", "1+" in a small buffer. */
static const char *range(char text[32], int from, int to) {
  if (to == INT_MAX) snprintf(text, 32, "%d+", from);
  else if (from == to) snprintf(text, 32, "%d", from);
  else snprintf(text, 32, "%d-%d", from, to);
  return text;
}

static int by_name(const void *a, const void *b) {
  const row *x = a, *y = b;
  int c = strcmp(x->domain, y->domain);
  return c ? c : strcmp(x->name, y->name);
}

/* All rows and all functions, sorted; the end has no name. */
static row *sorted(gs_arena *a) {
  gs_functions f;
  gs_err e;
  gs_err_init(&e);
  if (gs_functions_parse(a, gs_functions_text, &f, &e))
    gs_err_print(&e, stderr, "gshard", false);
  gs_err_free(&e);
  row *all = GS_NEWS(a, gs_nop + f.at.n + 1, row), *r = all;
  for (int i = 0; i < gs_nop; i++, r++) {
    const gs_op *op = &gs_ops[i];
    *r = (row){.name = op->name, .domain = op->domain, .types = op->types,
               .since = op->since, .in0 = op->min_in, .in1 = op->max_in,
               .out0 = op->min_out, .out1 = op->max_out, .op = op};
  }
  for (int i = 0; i < f.at.n; i++, r++) {
    const gs_function *x = &f.at.at[i];
    *r = (row){.name = x->name, .domain = x->domain,
               .since = x->since, .function = x};
    gs_function_arity(x, false, &r->in0, &r->in1);
    gs_function_arity(x, true, &r->out0, &r->out1);
  }
  qsort(all, (size_t)(r - all), sizeof *all, by_name);
  return all;
}

static const char *domain_of(const row *r) {
  return *r->domain ? r->domain : "ai.onnx";
}

/* Element types that run; what moves or skips data takes any. */
static const char *types_of(const row *r) {
  return r->types      ? r->types
         : r->function ? "as what it is expanded into"
                       : "any";
}

void gs_ops_list(FILE *f) {
  gs_arena a;
  char in[32], out[32];
  int domain = 6, name = 8, types = 5;
  gs_arena_init(&a);
  const row *all = sorted(&a);
  for (const row *r = all; r->name; r++) {
    if ((int)strlen(domain_of(r)) > domain) domain = (int)strlen(domain_of(r));
    if ((int)strlen(r->name) > name) name = (int)strlen(r->name);
    if ((int)strlen(types_of(r)) > types) types = (int)strlen(types_of(r));
  }
  fprintf(f, "%-*s %-*s %5s %3s %3s  %-*s  %s\n", domain, "domain", name,
          "operator", "opset", "in", "out", types, "types", "how it shards");
  for (const row *r = all; r->name; r++)
    fprintf(f, "%-*s %-*s %5d %3s %3s  %-*s  %s\n", domain, domain_of(r),
            name, r->name, r->since, range(in, r->in0, r->in1),
            range(out, r->out0, r->out1), types, types_of(r), how(&a, r));
  gs_arena_free(&a);
}

static void json_range(gs_buf *b, const char *key, int from, int to) {
  gs_buf_printf(b, ", \"%s\": [%d, ", key, from);
  if (to == INT_MAX) gs_buf_str(b, "null]");
  else gs_buf_printf(b, "%d]", to);
}

void gs_ops_list_json(FILE *f) {
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  gs_buf_init(&b, &a);
  const row *all = sorted(&a);
  gs_buf_char(&b, '[');
  for (const row *r = all; r->name; r++) {
    gs_buf_str(&b, r == all ? "\n  {\"domain\": " : ",\n  {\"domain\": ");
    gs_buf_json(&b, domain_of(r));
    gs_buf_str(&b, ", \"operator\": ");
    gs_buf_json(&b, r->name);
    gs_buf_printf(&b, ", \"opset\": %d", r->since);
    json_range(&b, "inputs", r->in0, r->in1);
    json_range(&b, "outputs", r->out0, r->out1);
    gs_buf_str(&b, ", \"types\": ");
    gs_buf_json(&b, types_of(r));
    gs_buf_str(&b, ", \"shards\": ");
    gs_buf_json(&b, how(&a, r));
    gs_buf_char(&b, '}');
  }
  gs_buf_str(&b, "\n]\n");
  fwrite(b.at, 1, b.n, f);
  gs_arena_free(&a);
}

static const char *full_name(gs_arena *a, const row *r) {
  return *r->domain ? gs_sprintf(a, "%s.%s", r->domain, r->name) : r->name;
}

static void man_table(FILE *f, gs_arena *a, const row *all) {
  char in[32], out[32];
  fputs(".Bl -column \"com.microsoft.SkipLayerNormalization\" \"opset\" "
        "\"in\" \"out\"\n"
        ".It Sy operator Ta Sy opset Ta Sy in Ta Sy out\n",
        f);
  for (const row *r = all; r->name; r++) {
    if (described(r)) continue;
    fprintf(f, ".It %s Ta %d Ta %s Ta %s\n", full_name(a, r), r->since,
            range(in, r->in0, r->in1), range(out, r->out0, r->out1));
  }
  fputs(".El\n", f);
}

/* One entry for all rows of the same types. */
static void man_types(FILE *f, gs_arena *a, const row *all) {
  fputs(".Ss Element types\n"
        "Of the operand that the result has, else of the first one.\n"
        ".Sy packed\n"
        "are those of 4 and 2 bits.\n"
        ".Bl -tag -width Ds\n", f);
  for (const row *r = all; r->name; r++) {
    const row *before = all;
    while (before < r && (!before->types || !r->types ||
                          strcmp(before->types, r->types)))
      before++;
    if (!r->types || before < r) continue;
    fprintf(f, ".It %s\n", r->types);
    for (const row *k = r; k->name; k++)
      if (k->types && !strcmp(k->types, r->types))
        fprintf(f, "%s%s", k == r ? "" : ",\n", full_name(a, k));
    fputs(".\n", f);
  }
  fputs(".El\n", f);
}

/* One entry for all rows that shard alike. */
static void man_how(FILE *f, gs_arena *a, const row *all) {
  fputs(".Ss Which dims may be sharded\n"
        "Rules are given in words, or as text as in\n"
        ".Pa src/op/ops.def :\n"
        "a letter is a factor, one loop over the operator, and stands in every "
        "dim that the loop runs over.\n"
        "A factor in a result may be sharded; a sharded one that is summed "
        "gives partial results; those of other kinds stay whole: the kind says "
        "why.\n"
        ".Bl -tag -width Ds\n", f);
  for (const row *r = all; r->name; r++) {
    if (described(r) || !r->op) continue;
    const row *before = all;
    const char *text = how(a, r);
    while (before < r && (!before->op || described(before) ||
                          strcmp(how(a, before), text)))
      before++;
    if (before < r) continue;
    for (const row *k = r; k->name; k++)
      if (k->op && !described(k) && !strcmp(how(a, k), text))
        fprintf(f, "%s%s", k == r ? ".It " : " , ", full_name(a, k));
    fprintf(f, "\n\\&%s.\n", text);
  }
  fputs(".El\n", f);
}

void gs_ops_man(FILE *f) {
  gs_arena a;
  gs_arena_init(&a);
  const row *all = sorted(&a);
  man_table(f, &a, all);
  man_types(f, &a, all);
  man_how(f, &a, all);
  fputs(".Ss Operators that are expanded\n"
        "These are replaced by others when a model is read, and shard as those "
        "do.\n"
        "The new nodes and tensors are named after the node,\n"
        ".Dq node/tensor ;\n"
        "the one that makes the first result keeps the node's name.\n"
        ".Bl -tag -width Ds\n", f);
  for (const row *r = all; r->name; r++)
    if (r->function)
      fprintf(f, ".It %s\n%s.\n", full_name(&a, r),
              r->function->derive ? "The gradients of the operators between"
                                  : parts(&a, r->function, ", "));
  fputs(".El\n", f);
  gs_arena_free(&a);
}

/* ---- moves ---- */

/* "Attributes axes, dim.", one to a line. */
static void man_attributes(FILE *f, const char *text) {
  gs_string name;
  bool first = true;
  const char *rest = text;
  bool several = gs_schema_next(&rest, &name) && gs_schema_next(&rest, &name);
  fputs(several ? "Attributes" : "Attribute", f);
  while (gs_schema_next(&text, &name)) {
    fprintf(f, "%s\n.Ar %.*s", first ? "" : " ,", (int)name.n, name.at);
    first = false;
  }
  fputs(" .\n", f);
}

static bool has_attribute(const char *attributes, const char *s, size_t n) {
  gs_string name;
  while (gs_schema_next(&attributes, &name))
    if (name.n == n && !memcmp(name.at, s, n)) return true;
  return false;
}

/* Names are between `...`; those that are no attributes are variables.  Each
 * gets a line with the marks that follow it, and so does a sentence. */
static void man_prose(FILE *f, const char *s, const char *attributes) {
  for (; *s; s++) {
    if (*s == ' ' && (s[1] == '`' || s[-1] == '.')) {
      fputc('\n', f);
    } else if (*s == '`') {
      size_t n = strcspn(++s, "`"), marks = strspn(s + n + 1, ".,;:");
      fprintf(f, "%s %.*s%s%.*s", has_attribute(attributes, s, n) ? ".Ar"
                                                                  : ".Va",
              (int)n, s, marks ? " " : "", (int)marks, s + n + 1);
      s += n + marks;
      if (s[1] == ' ') fputc('\n', f), s++;
    } else {
      fputc(*s, f);
    }
  }
  fputc('\n', f);
}

void gs_moves_man(FILE *f) {
  for (int k = 0; k < GS_NMOVE; k++) {
    fprintf(f, ".It Sy %s Ns ( Ar x%s )\n", gs_moves[k].name,
            gs_moves[k].operands > 1 ? " , ..." : "");
    man_attributes(f, gs_moves[k].attributes);
    man_prose(f, gs_moves[k].prose, gs_moves[k].attributes);
  }
}
