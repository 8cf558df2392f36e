/* tp_plan: the plan of a Hugging Face model, as it stands in its
 * configuration. */
#include <string.h>

#include "base/data/pattern.h"
#include "io/spec/spec_read.h"

enum { NONE = -1 /* of layers that compute on whole tensors, or that only say
                    how PyTorch's tensors are laid out */ };

static const struct {
  const char *name;
  int style; /* gs_style */
} styles[] = {
    {"colwise", GS_STYLE_COLWISE},
    {"packed_colwise", GS_STYLE_COLWISE},
    {"colwise_rep", GS_STYLE_COLWISE},
    {"colwise_gather_output", GS_STYLE_COLWISE},
    {"local_colwise", GS_STYLE_COLWISE},
    {"rowwise", GS_STYLE_ROWWISE},
    {"packed_rowwise", GS_STYLE_ROWWISE},
    {"rowwise_rep", GS_STYLE_ROWWISE},
    {"rowwise_split_input", GS_STYLE_ROWWISE},
    {"local_rowwise", GS_STYLE_ROWWISE},
    {"local_packed_rowwise", GS_STYLE_ROWWISE},
    {"embedding_rowwise", GS_STYLE_VOCAB},
    {"embedding_colwise", GS_STYLE_COLWISE},
    {"grouped_gemm", GS_STYLE_EXPERT},
    {"replicate", GS_STYLE_REPLICATE},
    {"replicated_with_grad_allreduce", NONE},
    {"mla_kv_a_proj", NONE},
    {"sequence_parallel", NONE},
    {"all_reduce", NONE},
    {"gather", NONE},
    {"local", NONE},
    {"local_params", NONE},
    {"ep_router", NONE},
    {"ep_dispatch_experts", NONE},
    {"moe_tp_experts", NONE},
    {"moe_identity_expert", NONE},
};
enum { NSTYLE = sizeof styles / sizeof *styles };

static gs_status style_of(gs_reader *r, const gs_yaml *v, int *out) {
  const char *words[NSTYLE + 1] = {NULL};
  for (int i = 0; i < NSTYLE; i++) words[i] = styles[i].name;
  for (int i = 0; i < NSTYLE; i++)
    if (v->kind == GS_YAML_SCALAR && !strcmp(v->text, styles[i].name)) {
      *out = styles[i].style;
      return GS_OK;
    }
  return gs_unknown_word(r, v, "a style of tp_plan", words);
}

static gs_status entry(gs_reader *r, const gs_yaml *name, const gs_yaml *v,
                       gs_spec *s) {
  int style = NONE;
  const char *why;
  GS_TRY(style_of(r, v, &style));
  gs_pattern *pattern = gs_pattern_open(r->arena, name->text, &why);
  gs_pattern_close(pattern);
  if (!pattern)
    return gs_fail_at(r->err, GS_DATA, &name->at, "malformed pattern: %s", why);
  if (style == NONE) return GS_OK;
  gs_spec_rule *rule = gs_push(r->arena, &s->rule);
  *rule = (gs_spec_rule){.at = name->at, .act = v->at, .uneven = -1, .kv = -1,
                         .expect_more = true, .parts = 1, .plan = true,
                         .action = GS_ACTION_STYLE, .style = style};
  gs_spec_match *m = &rule->match;
  *m = (gs_spec_match){.input = -1, .output = -1, .nshape = -1, .at = name->at};
  m->module.n = 1;
  m->module.at = GS_NEW(r->arena, gs_spec_pattern);
  *m->module.at = (gs_spec_pattern){name->text, name->at};
  return GS_OK;
}

gs_status gs_spec_plan_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  (void)k;
  gs_status first = GS_OK;
  GS_TRY(gs_yaml_map(v, r->err));
  for (int i = 0; i < v->key.n; i++) {
    gs_status one = entry(r, v->key.at[i], v->item.at[i], into);
    if (first == GS_OK) first = one;
  }
  return first;
}
