/* Operators that have no row and are expanded into others, and how to
 * differentiate those that have one: op/functions/, parsed.  The head of its
 * onnx.txt describes the text. */
#ifndef GS_OP_FUNCTION_H
#define GS_OP_FUNCTION_H

#include "op/core/op.h"

/* An operand or a result of a function. */
typedef struct gs_fn_value {
  const char *name;
  bool optional; /* "bias?": may be left out */
  bool each;     /* "X*": any number of them, as many as of the other ones */
} gs_fn_value;

typedef struct gs_fn_attr {
  const char *name;
  gs_attr_kind kind;
  const gs_attr *value; /* default, or NULL */
  bool optional;        /* may be left out, without a default */
} gs_fn_attr;

/* What a line reads: a value, or a constant from a literal or attribute. */
typedef struct gs_fn_term {
  const char *name; /* of a value; NULL: a constant or left out */
  bool each;
  const char *attr;       /* "$alpha" */
  const char *dims;       /* "@x": the dims of an operand or result */
  int index;              /* "$list[1]", "@x[1]"; -1: all of it */
  int add;                /* "$list[1]+2": 2, of integers */
  const gs_attr *literal; /* INT, FLOAT or INTS */
  const char *like;       /* value whose element type the constant gets, or
                             NULL: i64, f32 */
  bool like_each;
} gs_fn_term;

typedef struct gs_fn_result {
  const char *name; /* NULL: "_" */
  bool each;
} gs_fn_result;

/* An attribute of a line. */
typedef struct gs_fn_set {
  const char *from;        /* "axis=$axis": "axis"; NULL: `value` */
  int index, add;          /* as above */
  bool inverse;            /* "perm=inverse $perm": of a permutation */
  gs_attr value;           /* its name is set in both cases */
} gs_fn_set;

/* "y = Op(x) axis=1"; "y = x" has no op_type and one operand; "y = $body(x)"
 * likewise, and is the same when the node has no such attribute. */
typedef struct gs_fn_line {
  const char *domain, *op_type;
  const char *graph; /* "body", or NULL */
  GS_VEC(gs_fn_result) out;
  GS_VEC(gs_fn_term) in;
  GS_VEC(gs_fn_set) attr;
  bool each;  /* once for every tensor of the "X*" kind */
  const char *file;
  int number; /* of the line in the file */
} gs_fn_line;

typedef struct gs_fn_test {
  const char *name; /* of an operand or result; NULL: an attribute */
  const char *attr;
  bool no;              /* "no x", "$a != 1" */
  bool rank;            /* "rank x = 1" */
  bool type;            /* "type x = f64" */
  bool small;           /* "small x": fewer than 2^31 elements */
  const gs_attr *equal; /* NULL: is it there? */
} gs_fn_test;

/* Lines that apply when all tests hold and, for `otherwise`, those of no block
 * before do, back to the last one that is none. */
typedef struct gs_fn_block {
  GS_VEC(gs_fn_test) test;
  bool otherwise;
  GS_VEC(gs_fn_line) line;
} gs_fn_block;

/* The lines of a function that have not been read yet. */
typedef struct gs_fn_text {
  const char *const *line;
  int n;
  const char *file;
  int number; /* in the file, of the line before them */
} gs_fn_text;

typedef struct gs_function {
  const char *domain, *name; /* domain "" is ai.onnx; "helper" of helpers */
  int first, since; /* the opset it came with; that of its newest form; 0 of
                       gradients and helpers */
  bool derive;      /* no lines: pass/prepare/gradient.h makes them */
  GS_VEC(gs_fn_value) in, out;
  GS_VEC(gs_fn_attr) attr;
  GS_VEC(gs_fn_block) block;
  gs_fn_text body; /* n = 0: it has been read */
} gs_function;

/* What a node with a row becomes in some places. */
typedef enum gs_fn_kind {
  GS_FN_SPLIT,   /* along split dims: split.txt */
  GS_FN_PLACED,  /* on rows that have got places: rows.txt */
  GS_FN_STACKED, /* over stacks of its operands: stack.txt */
  GS_FN_CACHED,  /* over caches of a fixed size: cached.txt */
  GS_NFN
} gs_fn_kind;

/* The gradient of an operator Op(a, b) -> (y) is a function of its results,
 * their gradients and its operands: in = y, d.y, a, b; out = d.a, d.b. */
typedef struct gs_functions {
  GS_VEC(gs_function) at;
  GS_VEC(gs_function) gradient; /* by the operator's domain and name */
  GS_VEC(gs_function) form[GS_NFN]; /* likewise */
  GS_VEC(gs_function) helper;   /* that lines of gradients name */
  gs_arena *arena;              /* for what is read later */
} gs_functions;

/* The lines of src/op/functions/, up to a NULL; before those of a file stands
 * "#file PATH". */
extern const char *const gs_functions_text[];

/* Parses lines, up to a NULL; GS_INTERNAL with file and line.  Everything lies
 * in the arena; names of files are those of the lines.  Cost: a millisecond for
 * gs_functions_text. */
gs_status gs_functions_parse(gs_arena *a, const char *const *lines,
                             gs_functions *out, gs_err *e);

/* The same for their first lines (operands, results) alone.  The rest is read
 * when a function is found, for the first time; it must be right. */
gs_status gs_functions_index(gs_arena *a, const char *const *lines,
                             gs_functions *out, gs_err *e);

/* Reads what is left of a function. */
gs_status gs_function_read(gs_arena *a, gs_function *f, gs_err *e);

/* The function of (domain, name), or NULL.  "ai.onnx" equals ""; in the
 * domain "helper" are the helpers. */
const gs_function *gs_function_find(const gs_functions *f, const char *domain,
                                    const char *name);
/* The same for the gradient of an operator. */
const gs_function *gs_gradient_find(const gs_functions *f, const char *domain,
                                    const char *name);

/* The same for a form of it, which has attributes besides those that it lists
 * (the heads of the files say which). */
const gs_function *gs_form_find(const gs_functions *f, gs_fn_kind kind,
                                const char *domain, const char *name);

/* Index of an operand, result or attribute of that name, or -1. */
int gs_function_in(const gs_function *f, const char *name);
int gs_function_out(const gs_function *f, const char *name);
int gs_function_attr(const gs_function *f, const char *name);

/* Least and most operands (results); *most INT_MAX where there is an "X*". */
void gs_function_arity(const gs_function *f, bool results, int *min,
                       int *max);

#endif
