/* Sharding specs: reading, applying to a graph, dumping.
 *
 * tests/spec/bad/NAME.yaml begins with "# CODE: fragment of the message"; it
 * must fail so, when read or when applied to tests/spec/model.txt.
 * tests/spec/good/NAME.yaml must come to NAME.dump, which read again must come
 * to the same shardings.  `test_spec --update` writes the dumps, the schema
 * and the manual's key lists instead of comparing them. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/pattern.h"
#include "fixture.h"
#include "io/spec/spec_io.h"
#include "io/spec/yaml.h"
#include "op/core/op.h"
#include "pass/match/match.h"

static const char *source(const char *path) {
  const char *dir = getenv("srcdir");
  return gs_sprintf(&arena, "%s/%s", dir ? dir : ".", path);
}

static char *slurp(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  gs_buf b;
  char chunk[4096];
  gs_buf_init(&b, &arena);
  for (size_t k; (k = fread(chunk, 1, sizeof chunk, f)) > 0;)
    gs_buf_add(&b, chunk, k);
  fclose(f);
  if (n) *n = b.n;
  return b.at;
}

static void spit(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  ck_assert_ptr_nonnull(f);
  fputs(text, f);
  ck_assert_int_eq(fclose(f), 0);
}

static const char *said(void) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  for (int i = 0; i < err.n; i++)
    gs_buf_printf(&b, "%s: %s (%s)\n", err.diag[i].place ? err.diag[i].place
                                                          : "",
                  err.diag[i].text, err.diag[i].hint ? err.diag[i].hint : "");
  return b.at;
}

static gs_graph *graph_of(const char *text) {
  gs_graph *g = NULL;
  gs_status s = gs_graph_parse(&arena, text, "model", &g, &err);
  ck_assert_msg(s == GS_OK, "%s", said());
  for (int i = 0; i < g->node.n; i++)
    g->node.at[i]->op =
        gs_op_find(g->node.at[i]->domain, g->node.at[i]->op_type);
  return g;
}

static gs_graph *model(void) {
  char *text = slurp(source("tests/spec/model.txt"), NULL);
  ck_assert_ptr_nonnull(text);
  return graph_of(text);
}

typedef struct applied {
  gs_spec spec;
  gs_graph *graph;
  gs_match_result result;
  gs_status status;
} applied;

static applied *apply(gs_graph *g, const char *file, const char *text,
                      size_t n) {
  applied *a = GS_NEW(&arena, applied);
  a->graph = g;
  gs_spec_init(&a->spec, &arena);
  a->status = gs_spec_parse(&a->spec, file, text, n, &err);
  gs_segment_list cut;
  if (a->status == GS_OK)
    a->status = gs_pass_match_segments(&arena, &a->spec, g, &cut, &err);
  if (a->status == GS_OK) a->status = gs_pass_segments_given(g, &cut, &err);
  if (a->status == GS_OK)
    a->status = gs_pass_match(&arena, &a->spec, g, &a->result, &err);
  a->result.segments = gs_memdup(&arena, &cut, sizeof cut);
  return a;
}

static applied *apply_ok(gs_graph *g, const char *text) {
  applied *a = apply(g, "s.yaml", text, strlen(text));
  ck_assert_msg(a->status == GS_OK, "%s", said());
  return a;
}

/* The sharding of a value, or of its use "value@node", as text; "-": none. */
static const char *got(const applied *a, const char *name) {
  for (int i = 0; i < a->result.annotation.n; i++) {
    const gs_annotation *n = &a->result.annotation.at[i];
    const char *key = n->value->name;
    if (n->node) key = gs_sprintf(&arena, "%s@%s:%d", key, n->node->name,
                                  n->operand);
    if (!strcmp(key, name))
      return gs_sharding_text(&arena, a->graph->mesh, n->sharding);
  }
  return "-";
}

#define HEAD "version: 1\nmesh: {axes: {dp: 2, tp: 4}}\n"
static applied *rules(const char *text) {
  return apply_ok(model(), gs_sprintf(&arena, HEAD "rules:\n%s", text));
}

/* Expects a failure with a code and a text in its first message. */
static void fails(gs_graph *g, const char *text, gs_status code,
                  const char *message) {
  gs_err_clear(&err);
  applied *a = apply(g, "s.yaml", text, strlen(text));
  ck_assert_msg(a->status == code, "%d: %s", (int)a->status, said());
  ck_assert_msg(strstr(said(), message), "%s", said());
}

/* ---- patterns ---- */

static bool fits(const char *pattern, const char *name) {
  const char *why;
  gs_pattern *p = gs_pattern_open(&arena, pattern, &why);
  ck_assert_msg(p != NULL, "%s: %s", pattern, why);
  bool yes = gs_pattern_match(p, name);
  gs_pattern_close(p);
  return yes;
}

START_TEST(test_patterns) {
  ck_assert(fits("*/moe/wi", "decoder/layers.3/moe/wi"));
  ck_assert(!fits("*/moe/wi", "decoder/layers.3/moe/wi2"));
  ck_assert(fits("/m/layers.*/{q,k}/MatMul", "/m/layers.11/k/MatMul"));
  ck_assert(!fits("/m/layers.*/q", "/m/layers.1/a/q"));
  ck_assert(!fits("a.*.b", "a.x.y.b"));
  ck_assert(fits("a.**.b", "a.x.y.b"));
  ck_assert(fits("*embed_tokens.weight", "model.embed_tokens.weight"));
  ck_assert(fits("/model/norm/*", "/model/norm/x/Mul"));
  ck_assert(fits("l{0..15}", "l15") && !fits("l{0..15}", "l16"));
  ck_assert(fits("w?", "wi") && !fits("a?b", "a/b"));
  ck_assert(fits("w[io]", "wo") && !fits("w[!io]", "wo"));
  ck_assert(fits("onnx::MatMul_636", "onnx::MatMul_636"));
  ck_assert(fits("x[0]", "x[0]"));
  ck_assert(fits("x\\[0\\]", "x[0]") && !fits("x\\[0\\]", "x0"));
  ck_assert(fits("a+b(c)^$|", "a+b(c)^$|") && fits("?+b", "a+b"));
  ck_assert(!fits("?+b", "aab"));
  ck_assert(fits("re:layers\\.(\\d+)\\.w", "layers.12.w"));
  ck_assert(!fits("re:layers", "layers.12"));
  ck_assert(fits("re:a|b", "b"));
  ck_assert(!fits("Tokens", "tokens"));
  ck_assert_str_eq(gs_pattern_quote(&arena, "a[0]*"), "a\\[0\\]\\*");
  ck_assert(fits(gs_pattern_quote(&arena, "re:{a}?\\"), "re:{a}?\\"));
}
END_TEST

START_TEST(test_bad_patterns) {
  static const char *const bad[] = {
      "",   "w[",  "w{a",  "{5..1}", "{0..99999}", "re:(", "re:[", "re:a{9,1}",
      "re:((a{100}){100})", "re:(a)\\1", "re:*(", "[[:bogus:]]"};
  const char *why;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!gs_pattern_open(&arena, bad[i], &why) && why, "%s", bad[i]);
  char *deep = gs_alloc(&arena, 4097);
  memset(deep, '(', 4096);
  memcpy(deep, "re:", 3);
  ck_assert_ptr_null(gs_pattern_open(&arena, deep, &why));
  memset(deep, '{', 4096);
  ck_assert_ptr_null(gs_pattern_open(&arena, deep, &why));
  memset(deep, '*', 4096);
  ck_assert(fits(deep, "x"));
}
END_TEST

/* ---- data files ---- */

/* Calls each(name without .yaml) in the order of the directory. */
static int each_spec(const char *dir, void each(const char *name)) {
  DIR *d = opendir(source(dir));
  ck_assert_ptr_nonnull(d);
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) {
    size_t len = strlen(e->d_name);
    if (len < 6 || strcmp(e->d_name + len - 5, ".yaml")) continue;
    each(gs_strndup(&arena, e->d_name, len - 5));
    n++;
  }
  closedir(d);
  return n;
}

static void bad_spec(const char *name) {
  size_t n;
  char *path = gs_sprintf(&arena, "tests/spec/bad/%s.yaml", name);
  char *text = slurp(source(path), &n);
  char *colon = strchr(text, ':'), *eol = strchr(text, '\n');
  int code = atoi(text + 2);
  ck_assert(code == 65 || code == 69 || code == 78);
  char *fragment = gs_strndup(&arena, colon + 2, (size_t)(eol - colon - 2));
  gs_err_clear(&err);
  applied *a = apply(model(), "s.yaml", text, n);
  ck_assert_msg((int)a->status == code, "%s: %d: %s", name, (int)a->status,
                said());
  ck_assert_msg(strstr(said(), fragment), "%s: %s", name, said());
  /* All but these point at a line. */
  const char *place = err.diag[0].place ? err.diag[0].place : "";
  if (strcmp(name, "empty") && strcmp(name, "no-mesh") &&
      strcmp(name, "unknown-op"))
    ck_assert_msg(!strncmp(place, "s.yaml:", 7), "%s: %s", name, said());
}

START_TEST(test_bad) {
  ck_assert_int_ge(each_spec("tests/spec/bad", bad_spec), 100);
}
END_TEST

static void good_spec(const char *name) {
  size_t n;
  char *text = slurp(source(gs_sprintf(&arena, "tests/spec/good/%s.yaml",
                                       name)), &n);
  gs_err_clear(&err);
  applied *a = apply(model(), gs_sprintf(&arena, "%s.yaml", name), text, n);
  ck_assert_msg(a->status == GS_OK, "%s: %s", name, said());
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_spec_dump(&b, &a->spec, a->graph, &a->result);
  const char *golden = source(gs_sprintf(&arena, "tests/spec/good/%s.dump",
                                         name));
  if (suite_updates) spit(golden, b.at);
  char *want = slurp(golden, NULL);
  ck_assert_ptr_nonnull(want);
  ck_assert_msg(!strcmp(b.at, want), "%s comes to\n%s", name, b.at);

  applied *again = apply(model(), "dump", b.at, b.n);
  ck_assert_msg(again->status == GS_OK, "%s: %s", name, said());
  ck_assert_int_eq(again->result.annotation.n, a->result.annotation.n);
  for (int i = 0; i < a->result.annotation.n; i++) {
    const gs_annotation *x = &a->result.annotation.at[i],
                        *y = &again->result.annotation.at[i];
    ck_assert_str_eq(x->value->name, y->value->name);
    ck_assert_int_eq(x->node == NULL, y->node == NULL);
    ck_assert_str_eq(gs_sharding_text(&arena, a->graph->mesh, x->sharding),
                     gs_sharding_text(&arena, again->graph->mesh,
                                      y->sharding));
  }
  ck_assert_int_eq(again->result.group.n, a->result.group.n);
  ck_assert_int_eq(again->result.barrier.n, a->result.barrier.n);
  ck_assert_int_eq(again->result.op.n, a->result.op.n);
}

START_TEST(test_good) {
  ck_assert_int_ge(each_spec("tests/spec/good", good_spec), 5);
}
END_TEST

/* Compares a text that the tables give with a committed file. */
static void same_as(const char *path, const char *text) {
  if (suite_updates) spit(source(path), text);
  char *file = slurp(source(path), NULL);
  ck_assert_msg(file && !strcmp(file, text),
                "%s is old: run tests/gen/spec.sh", path);
}

START_TEST(test_schema) {
  char *text = NULL;
  size_t n;
  FILE *f = open_memstream(&text, &n);
  gs_spec_schema(f);
  fclose(f);
  gs_yaml *y;
  gs_status s = gs_yaml_parse(&arena, "schema", text, n, &gs_yaml_spec_limits,
                              &y, &err);
  same_as("schemas/gshard-spec.schema.json", text);
  free(text);
  ck_assert_msg(s == GS_OK, "%s", said());
  ck_assert_ptr_nonnull(gs_yaml_get(y, "$defs"));
}
END_TEST

START_TEST(test_manual) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_spec_manual(&b);
  static const char begin[] = ".\\\" keys: begin\n";
  static const char end[] = ".\\\" keys: end\n";
  const char *path = "man/gshard-spec.5";
  char *page = slurp(source(path), NULL);
  ck_assert_ptr_nonnull(page);
  char *from = strstr(page, begin), *to = strstr(page, end);
  ck_assert(from && to);
  from += strlen(begin);
  same_as(path, gs_sprintf(&arena, "%.*s%s%s", (int)(from - page), page, b.at,
                           to));
}
END_TEST

/* ---- meaning ---- */

START_TEST(test_order) {
  const char *text = "  - {match: {tensor: y}, shard: [dp, open, ~]}\n"
                     "  - {match: {tensor: y}, shard: [tp, tp, ~]}\n";
  gs_err_clear(&err);
  fails(model(), gs_sprintf(&arena, HEAD "rules:\n%s", text), GS_SPEC,
        "axis 'tp' is used twice");
  text = "  - {match: {tensor: y}, shard: [dp, open, ~]}\n"
         "  - {match: {tensor: y}, shard: [~, tp, open], as: second}\n";
  gs_err_clear(&err);
  applied *a = rules(text);
  ck_assert_str_eq(got(a, "y"), "{dp,tp,~}");
  ck_assert_int_eq(a->result.annotation.at[0].rule[0], 0);
  ck_assert_int_eq(a->result.annotation.at[0].rule[1], 1);
  ck_assert_int_eq(err.n, 1); /* a warning: dim 0 stays as the first says */
  ck_assert(err.diag[0].warning);
  ck_assert_str_eq(err.diag[0].place, "s.yaml:5:33");
  ck_assert_str_eq(gs_rule_origin(&arena, &a->spec, 1), "s.yaml:5:5 (second)");
  a = apply_ok(model(), gs_sprintf(&arena, HEAD
                                   "options: {match_order: last}\nrules:\n%s",
                                   text));
  ck_assert_str_eq(got(a, "y"), "{~,tp,~}");
}
END_TEST

START_TEST(test_uses) {
  applied *a = rules("  - match: {node: \"*layers.0/mlp/up/MatMul\", "
                     "input: 1}\n    shard: [~, tp]\n"
                     "  - match: {op: MatMul, input: 0}\n"
                     "    shard: [dp, ~, ~]\n");
  /* The weight has a second use; h has one. */
  ck_assert_str_eq(
      got(a, "layers.0/mlp/up/w@/model/layers.0/mlp/up/MatMul:1"), "{~,tp}");
  ck_assert_str_eq(got(a, "layers.0/mlp/up/w"), "-");
  ck_assert_str_eq(got(a, "h"), "{dp,~,~}");
  ck_assert_int_eq((int)a->result.rule[1].matched, 4);
}
END_TEST

START_TEST(test_styles) {
  applied *a = rules(
      "  - {match: {tensor: \"**/up/w\"}, style: colwise}\n"
      "  - {match: {tensor: \"**/down/w\"}, style: rowwise}\n"
      "  - {match: {tensor: \"*.weight\"}, style: vocab, priority: 2}\n"
      "  - {match: {op: Einsum, tensor: \"**/wi\"}, style: colwise}\n"
      "  - {match: {tensor: \"**/wo\"}, style: expert, axis: dp}\n"
      "  - {match: {tensor: \"**/b\"}, style: replicate}\n");
  ck_assert_str_eq(got(a, "layers.1/mlp/up/w"), "{~,tp}");
  ck_assert_str_eq(got(a, "layers.1/mlp/down/w"), "{tp,~}");
  ck_assert_str_eq(got(a, "model.embed_tokens.weight"), "{tp!2,~}");
  ck_assert_str_eq(got(a, "encoder/l2/moe/wi"), "{~,~,tp}");
  ck_assert_str_eq(got(a, "encoder/l2/moe/wo"), "{dp,~,~}");
  ck_assert_str_eq(got(a, "layers.0/mlp/up/b"), "{~}");
}
END_TEST

/* Weights and biases by one rule: in one operator, and added to a product. */
START_TEST(test_style_bias) {
  gs_graph *g = graph_of(
      "graph styles\n"
      "input x : f32[4,8]\n"
      "input image : f32[2,3,9,9]\n"
      "constant a.w : f32[8,16]\n"
      "constant a.b : f32[16]\n"
      "constant c.w : f32[16,8]\n"
      "constant c.b : f32[1,8]\n"
      "constant norm.w : f32[8]\n"
      "constant norm.b : f32[8]\n"
      "constant k.w : f32[6,3,3,3]\n"
      "constant k.b : f32[6]\n"
      "h = Gemm (x, a.w, a.b) : f32[4,16]\n"
      "p = MatMul (h, c.w) : f32[4,8]\n"
      "s = Add (c.b, p) : f32[4,8]\n"
      "y = LayerNormalization (s, norm.w, norm.b) : f32[4,8]\n"
      "z = Conv (image, k.w, k.b) : f32[2,6,7,7]\n"
      "output y\n"
      "output z\n");
  static const char *const rule =
      HEAD "rules:\n  - {match: {tensor: \"[%s].*\"}, style: %s, expect: 6}\n";
  applied *a = apply_ok(g, gs_sprintf(&arena, rule, "ack", "colwise"));
  ck_assert_str_eq(got(a, "a.w"), "{~,tp}");
  ck_assert_str_eq(got(a, "a.b"), "{tp}");
  ck_assert_str_eq(got(a, "c.w"), "{~,tp}");
  ck_assert_str_eq(got(a, "c.b"), "{~,tp}");
  ck_assert_str_eq(got(a, "k.w"), "{tp,~,~,~}");
  ck_assert_str_eq(got(a, "k.b"), "{tp}");
  a = apply_ok(g, gs_sprintf(&arena, rule, "ack", "rowwise"));
  ck_assert_str_eq(got(a, "a.w"), "{tp,~}");
  ck_assert_str_eq(got(a, "a.b"), "{~}");
  ck_assert_str_eq(got(a, "c.w"), "{tp,~}");
  ck_assert_str_eq(got(a, "c.b"), "{~,~}");
  ck_assert_str_eq(got(a, "k.w"), "{~,tp,~,~}");
  ck_assert_str_eq(got(a, "k.b"), "{~}");
  static const char *const style[] = {"colwise", "rowwise"};
  for (int i = 0; i < 2; i++) {
    fails(g, gs_sprintf(&arena, HEAD "rules:\n  - {match: {tensor: norm.w}, "
                        "style: %s}\n", style[i]), GS_SPEC,
          "is for matrix weights and their biases; 'norm.w' has rank 1 and is "
          "neither (give the dims with shard");
    fails(g, gs_sprintf(&arena, HEAD "rules:\n  - {match: {tensor: norm.b}, "
                        "style: %s}\n", style[i]), GS_SPEC, "'norm.b'");
  }
}
END_TEST

START_TEST(test_splits) {
  applied *a =
      rules("  - {match: {tensor: tokens}, split: {dim: 0, parts: 2}}\n"
            "  - {match: {tensor: y}, split: {dim: 1, parts: 8}}\n"
            "  - {match: {tensor: f}, split: {dim: 2, parts: 4}}\n"
            "  - {match: {tensor: h}, split: {dim: 2, parts: 1}}\n");
  ck_assert_str_eq(got(a, "tokens"), "{tp:(2)2,~}");
  ck_assert_str_eq(got(a, "y"), "{~,[dp,tp],~}");
  ck_assert_str_eq(got(a, "f"), "{~,~,tp}");
  ck_assert_str_eq(got(a, "h"), "{~,~,~}");
}
END_TEST

START_TEST(test_assign) {
  applied *a = rules(
      "  - match: {tensor: tokens}\n"
      "    assign: [[0, 4], [1, 5], [2, 6], [3, 7]]\n"
      "  - {match: {tensor: y}, assign: {shape: [2, 2, 2],"
      " devices: [0, 2, 4, 6, 1, 3, 5, 7]}}\n");
  ck_assert_str_eq(got(a, "tokens"), "{tp,dp}");
  ck_assert_str_eq(got(a, "y"), "{tp:(2)2,dp,tp:(1)2}");
  /* With device_ids the order counts devices, not positions. */
  a = apply_ok(model(),
               "version: 1\n"
               "mesh: {axes: {a: 2, b: 2}, device_ids: [0, 2, 1, 3]}\n"
               "rules:\n"
               "  - {match: {tensor: tokens}, assign: [[0, 1], [2, 3]]}\n");
  ck_assert_str_eq(got(a, "tokens"), "{b,a}");
}
END_TEST

START_TEST(test_fallback) {
  applied *a = rules(
      "  - {match: {tensor: tokens}, shard: [[[dp, tp], dp], [tp, ~]]}\n"
      "  - {match: {tensor: y}, shard: [tp, [dp, open], open]}\n");
  ck_assert_str_eq(got(a, "tokens"), "{[dp,tp],~}");
  ck_assert_str_eq(got(a, "y"), "{tp,dp?,?}");
}
END_TEST

START_TEST(test_mesh) {
  applied *a = apply_ok(model(), "version: 1\ndevices: 8\nmesh: {axes: {dp: 2, "
                                 "ep: auto}}\n");
  ck_assert_int_eq((int)a->graph->mesh->axis[1].size, 4);
  a = apply_ok(model(), "version: 1\ndevices: 6\n");
  ck_assert(a->graph->mesh->flat);
  ck_assert_str_eq(a->graph->mesh->axis[0].name, "d");

  gs_spec s;
  gs_spec_init(&s, &arena);
  ck_assert_int_eq(gs_spec_set_mesh(&s, "dp=2,tp=4", &err), GS_OK);
  ck_assert_int_eq(s.mesh.naxis, 2);
  ck_assert_int_eq(gs_spec_set_mesh(&s, "dp=2,tp=4", &err), GS_OK);
  ck_assert_int_eq(gs_spec_set_mesh(&s, "dp=4,tp=2", &err), GS_OK);
  ck_assert_int_eq((int)s.mesh.axis[0].size, 4);
  ck_assert_int_eq(gs_spec_set_mesh(&s, "8", &err), GS_OK);
  ck_assert_int_eq((int)s.devices, 8);
  static const char *const bad[] = {"", "dp", "dp=", "dp=x", "dp=2,", "=2",
                                    "dp=2;tp=2", "9=2", "dp=0", "0",
                                    "99999999"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_int_eq(gs_spec_set_mesh(&s, bad[i], &err), GS_USAGE);
  static const char *const meant[][2] = {{"2x3", "--mesh dp=2,tp=3"},
                                         {"2,2", "--mesh dp=2,tp=2"},
                                         {"dp2", "--mesh dp=2"},
                                         {"dp2,tp=4", "--mesh dp=2,tp=4"},
                                         {"a=2xb=3", "--mesh a=2,b=3"},
                                         {"x2,y2", "--mesh x=2,y=2"},
                                         {"2x2x2x2", "a number of devices"},
                                         {"dp", "a number of devices"}};
  for (size_t i = 0; i < sizeof meant / sizeof *meant; i++) {
    gs_err said;
    gs_err_init(&said);
    ck_assert_int_eq(gs_spec_set_mesh(&s, meant[i][0], &said), GS_USAGE);
    ck_assert_ptr_nonnull(strstr(said.diag[0].hint, meant[i][1]));
    gs_err_free(&said);
  }
  ck_assert_int_eq(gs_spec_set_bind(&s, "batch=16", &err), GS_OK);
  ck_assert_int_eq((int)gs_spec_bound(&s, "batch"), 16);
  ck_assert_int_eq(gs_spec_set_bind(&s, "batch=17", &err), GS_DATA);
  ck_assert_int_eq(gs_spec_set_bind(&s, "batch", &err), GS_USAGE);
}
END_TEST

/* A search through the names that are there would take hours. */
START_TEST(test_binds) {
  enum { N = 1000000 };
  gs_spec s;
  char text[32];
  gs_spec_init(&s, &arena);
  for (int i = 0; i < N; i++) {
    snprintf(text, sizeof text, "n%d=%d", i, i);
    ck_assert_int_eq(gs_spec_set_bind(&s, text, &err), GS_OK);
  }
  ck_assert_int_eq(gs_spec_set_bind(&s, "n7=7", &err), GS_OK);
  ck_assert_int_eq(gs_spec_set_bind(&s, "n7=8", &err), GS_DATA);
  ck_assert_int_eq(s.bind.n, N);
  ck_assert_int_eq((int)gs_spec_bound(&s, "n999999"), 999999);
  ck_assert_int_eq((int)gs_spec_bound(&s, "n1000000"), -1);
}
END_TEST

START_TEST(test_files_add_up) {
  gs_spec s;
  gs_spec_init(&s, &arena);
  const char *one = HEAD "rules: [{match: {tensor: y}, shard: [dp, ~, ~]}]\n";
  const char *two = "version: 1\noptions: {strict: false}\n"
                    "rules: [{match: {tensor: nope}, replicate: true}]\n";
  const char *three = "version: 1\nmesh: {axes: {xp: 2}}\n";
  ck_assert_int_eq(gs_spec_parse(&s, "1", one, strlen(one), &err), GS_OK);
  ck_assert_int_eq(gs_spec_parse(&s, "2", two, strlen(two), &err), GS_OK);
  ck_assert_int_eq(s.rule.n, 2);
  ck_assert_int_eq(gs_spec_parse(&s, "3", three, strlen(three), &err), GS_DATA);
  ck_assert_str_eq(err.diag[0].hint, "the first is at 1:2:7");
  gs_err_clear(&err);
  gs_match_result r;
  ck_assert_int_eq(gs_pass_match(&arena, &s, model(), &r, &err), GS_OK);
  ck_assert_int_eq(r.matched, 1);
  ck_assert_int_eq(err.n, 1); /* not strict: a warning */
  ck_assert(err.diag[0].warning);
}
END_TEST

START_TEST(test_existing) {
  static const char *const model_text =
      "graph g\nmesh {dp=2, tp=4}\ninput a {tp,?} : f32[8,8]\n"
      "b = Relu 'r' (a) : f32[8,8]\noutput b\n";
  const char *spec = "version: 1\nrules: [{match: {tensor: a}, "
                     "shard: [\"tp:(1)2\", dp]}]\n";
  applied *a = apply_ok(graph_of(model_text), spec);
  ck_assert_str_eq(got(a, "a"), "{tp:(1)2,dp}");
  ck_assert_ptr_null(gs_graph_find(a->graph, "a")->sharding);
  const char *other = "version: 1\nmesh: {axes: {dp: 2, tp: 4}}\n"
                      "rules: [{match: {tensor: b}, "
                      "shard: [\"tp:(1)2\", dp]}]\n";
  a = apply_ok(graph_of(model_text), other);
  ck_assert_str_eq(gs_sharding_text(&arena, a->graph->mesh,
                                    gs_graph_find(a->graph, "a")->sharding),
                   "{tp,?}");
  const char *keep = "version: 1\noptions: {existing: keep}\n"
                     "rules: [{match: {tensor: a}, shard: [dp, ~]}]\n";
  a = apply_ok(graph_of(model_text), keep);
  ck_assert_str_eq(got(a, "a"), "-");
  fails(graph_of(model_text),
        "version: 1\noptions: {existing: error}\n"
        "rules: [{match: {tensor: a}, shard: [dp, ~]}]\n",
        GS_SPEC, "has a sharding in the model");
}
END_TEST

START_TEST(test_hints) {
  fails(model(), HEAD "rules: [{match: {tensor: \"**/moe/wx\"}, style: expert,"
                      " axis: tp}]\n",
        GS_SPEC, "did you mean 'encoder/l2/moe/wi'?");
  fails(model(),
        HEAD "rules: [{match: {op: Matmul, input: 1}, shard: [...]}]\n",
        GS_SPEC,
        "did you mean 'MatMul'?");
  fails(model(), HEAD "options: {stric: true}\n", GS_DATA,
        "did you mean 'strict'?");
  fails(model(), "version: 1\nmesh: {axes: {dp:2}}\n", GS_DATA, "space");
}
END_TEST

START_TEST(test_groups) {
  applied *a = apply_ok(
      model(), HEAD "groups:\n  - match: {tensor: \"past_key_values.*.{key,"
                    "value}\"}\n    with: \"present.*.{key,value}\"\n"
                    "  - match: {tensor: \"**/up/w\"}\n");
  ck_assert_int_eq(a->result.group.n, 3);
  ck_assert_str_eq(a->result.group.at[1].value[0]->name,
                   "past_key_values.0.value");
  ck_assert_str_eq(a->result.group.at[1].value[1]->name, "present.0.value");
}
END_TEST

int main(int argc, char **argv) {
  suite_arguments(argc, argv);
  TCase *t = tcase_create("spec");
  tcase_add_checked_fixture(t, setup, teardown);
  const TTest *const all[] = {
      test_patterns, test_bad_patterns, test_bad,    test_good,
      test_schema,   test_manual,       test_order,  test_uses,
      test_styles,   test_style_bias,   test_splits, test_assign,
      test_fallback, test_mesh,         test_binds,  test_files_add_up,
      test_existing, test_hints,        test_groups};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    tcase_add_test(t, all[i]);
  return suite_run("spec", t);
}
