/* What a rule applies to. */
#include <stdlib.h>
#include <string.h>

#include "base/data/pattern.h"
#include "io/spec/spec_read.h"

#define FIELD(type) ((type *)(void *)((char *)into + k->offset))

static gs_status pattern(gs_reader *r, const gs_yaml *v, gs_spec_pattern *p) {
  const char *why;
  p->at = v->at;
  GS_TRY(gs_yaml_string(v, &p->text, r->err));
  gs_pattern *compiled = gs_pattern_open(r->arena, p->text, &why);
  gs_pattern_close(compiled);
  if (compiled) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &v->at, "malformed pattern: %s", why);
}

gs_status gs_spec_patterns_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                               void *into) {
  gs_spec_patterns *p = FIELD(gs_spec_patterns);
  bool list = v->kind == GS_YAML_LIST;
  int n = list ? v->item.n : 1;
  if (v->kind == GS_YAML_MAP || !n)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "expected a pattern or a list of patterns");
  p->at = GS_NEWS(r->arena, n, gs_spec_pattern);
  for (p->n = 0; p->n < n; p->n++)
    GS_TRY(pattern(r, list ? v->item.at[p->n] : v, &p->at[p->n]));
  return GS_OK;
}

static gs_status index_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  int64_t i = 0;
  GS_TRY(gs_yaml_int(v, 0, 1 << 20, &i, r->err));
  *FIELD(int) = (int)i;
  return GS_OK;
}

static gs_status kind_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  static const char *const words[] = {"graph_input", "graph_output", "weight",
                                      "activation", NULL};
  bool list = v->kind == GS_YAML_LIST;
  for (int i = 0; i < (list ? v->item.n : 1); i++) {
    const gs_yaml *one = list ? v->item.at[i] : v;
    int w = 0;
    while (words[w] && !(one->kind == GS_YAML_SCALAR &&
                         !strcmp(one->text, words[w])))
      w++;
    if (!words[w]) return gs_unknown_word(r, one, "a kind", words);
    *FIELD(unsigned) |= 1u << w;
  }
  return GS_OK;
}

static gs_status rank_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  gs_spec_match *m = into;
  bool list = v->kind == GS_YAML_LIST;
  int n = list ? v->item.n : 1;
  m->rank = GS_NEWS(r->arena, n, int64_t);
  for (m->nrank = 0; m->nrank < n; m->nrank++)
    GS_TRY(gs_yaml_int(list ? v->item.at[m->nrank] : v, 0, GS_MAX_RANK,
                       &m->rank[m->nrank], r->err));
  return GS_OK;
}

static gs_status shape_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  (void)k;
  gs_spec_match *m = into;
  GS_TRY(gs_yaml_list(v, r->err));
  m->shape = GS_NEWS(r->arena, v->item.n, int64_t);
  m->nshape = v->item.n;
  for (int i = 0; i < v->item.n; i++) {
    m->shape[i] = -1;
    if (!gs_yaml_is_null(v->item.at[i]))
      GS_TRY(gs_yaml_int(v->item.at[i], 0, INT64_MAX, &m->shape[i], r->err));
  }
  return GS_OK;
}

#define PATTERNS "{\"$ref\": \"#/$defs/patterns\"}"
#define INTEGER "{\"type\": \"integer\", \"minimum\": 0}"
#define LATER(name) {name, NULL, 0, NULL, NULL, NULL, false}
static const gs_key match_keys[] = {
    {"tensor", gs_spec_patterns_key, offsetof(gs_spec_match, tensor), NULL,
     PATTERNS, "Name of the tensor.", false},
    {"node", gs_spec_patterns_key, offsetof(gs_spec_match, node), NULL,
     PATTERNS, "Name of a node; its outputs are meant unless input or output "
     "says which tensor.", false},
    {"op", gs_spec_patterns_key, offsetof(gs_spec_match, op), NULL, PATTERNS,
     "Operator of a node, as MatMul or domain::Name; used like node.", false},
    {"module", gs_spec_patterns_key, offsetof(gs_spec_match, module), NULL,
     PATTERNS, "Module of the source that a node is of, or is within: the path "
     "that PyTorch's exporter notes, else the node's name, both with dots; any "
     "run of its components, as layers.*.mlp. Used like node.", false},
    {"input", index_key, offsetof(gs_spec_match, input), NULL, INTEGER,
     "Operand of the node: the rule is about this use of the tensor. When all "
     "annotated uses agree it is the sharding of the tensor itself; otherwise "
     "the use reads a copy sharded so.", false},
    {"output", index_key, offsetof(gs_spec_match, output), NULL, INTEGER,
     "Result of the node.", false},
    {"kind", kind_key, offsetof(gs_spec_match, kinds), NULL,
     "{\"$ref\": \"#/$defs/kinds\"}",
     "graph_input, graph_output, weight or activation, or a list of them.",
     false},
    {"rank", rank_key, 0, NULL, "{\"$ref\": \"#/$defs/ranks\"}",
     "Number of dims, or a list of numbers.", false},
    {"shape", shape_key, 0, NULL,
     "{\"type\": \"array\", \"items\": {\"type\": [\"integer\", \"null\"]}}",
     "Sizes of all dims; ~ fits any size.", false},
    {"dtype", gs_spec_patterns_key, offsetof(gs_spec_match, dtype), NULL,
     PATTERNS, "Element type, as f32 or FLOAT.", false},
    LATER("domain"),
    LATER("consumer"),
    LATER("producer"),
    LATER("in"),
};
const gs_keys gs_spec_match_keys = {"match", "a match",
                                    sizeof match_keys / sizeof *match_keys,
                                    match_keys};

gs_status gs_spec_match_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                            void *into) {
  gs_spec_match *m = FIELD(gs_spec_match);
  *m = (gs_spec_match){.input = -1, .output = -1, .nshape = -1, .at = v->at};
  GS_TRY(gs_keys_read(r, v, &gs_spec_match_keys, m));
  if (!v->key.n)
    return gs_fail_at(r->err, GS_DATA, &v->at, "an empty match");
  if ((m->input >= 0 || m->output >= 0) && !m->node.n &&
      !m->op.n && !m->module.n)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "input and output need node, op or module");
  if (m->input >= 0 && m->output >= 0)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "input and output exclude each other");
  return GS_OK;
}
