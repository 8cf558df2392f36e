/* Rules: what is matched, and one of shard, split, assign, replicate, style.
 */
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "io/spec/spec_read.h"

static const char *const style_words[] = {"colwise", "rowwise", "vocab",
                                          "expert", "replicate", "heads", NULL};

/* Notes the action of a rule; there may be one only. */
static gs_status action(gs_reader *r, const gs_yaml *v, gs_spec_rule *rule,
                        gs_spec_action a) {
  if (rule->action)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "a rule has one of shard, split, assign, replicate and "
                      "style; this one has a second");
  rule->action = a;
  rule->act = v->at;
  return GS_OK;
}

static gs_status shard_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  (void)k;
  GS_TRY(action(r, v, into, GS_ACTION_SHARD));
  return gs_spec_shard_read(r, v, into);
}

static gs_status parts_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  (void)k;
  return gs_yaml_int(v, 1, GS_MAX_DEVICES, &((gs_spec_rule *)into)->parts,
                     r->err);
}

#define INTEGER "{\"type\": \"integer\", \"minimum\": 0}"
static const gs_key split_keys[] = {
    {"dim", gs_key_int, offsetof(gs_spec_rule, split_dim), NULL, INTEGER,
     "The dim that is split.", true},
    {"parts", parts_key, 0, NULL, "{\"type\": \"integer\", \"minimum\": 1}",
     "Into how many parts: part i is on device i. With fewer parts than "
     "devices, the other devices repeat them.", true},
};
const gs_keys gs_spec_split_keys = {
    "split", "a split", sizeof split_keys / sizeof *split_keys, split_keys};

static gs_status split_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  (void)k;
  GS_TRY(action(r, v, into, GS_ACTION_SPLIT));
  return gs_keys_read(r, v, &gs_spec_split_keys, into);
}

/* ---- assign: GShard's shard(tensor, device_assignment) ---- */

/* Appends the devices below y; the lists at depth d have shape[d] elements. */
static gs_status nested(gs_reader *r, const gs_yaml *y, int depth,
                        gs_spec_rule *rule, int64_t *count) {
  if (depth == rule->rank)
    return gs_yaml_int(y, 0, GS_MAX_DEVICES - 1, &rule->device[(*count)++],
                       r->err);
  GS_TRY(gs_yaml_list(y, r->err));
  if (y->item.n != rule->shape[depth])
    return gs_fail_at(r->err, GS_DATA, &y->at,
                      "a ragged device array: %d elements, not %lld",
                      y->item.n, (long long)rule->shape[depth]);
  for (int i = 0; i < y->item.n; i++)
    GS_TRY(nested(r, y->item.at[i], depth + 1, rule, count));
  return GS_OK;
}

/* The number of devices of rule->shape. */
static gs_status device_count(gs_reader *r, const gs_yaml *v,
                              gs_spec_rule *rule, int64_t *n) {
  *n = gs_product(rule->shape, rule->rank);
  if (*n >= 1 && *n <= GS_MAX_DEVICES) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &v->at,
                    "a device array has 1 to %d devices", GS_MAX_DEVICES);
}

typedef struct assignment {
  gs_int_list shape, devices;
} assignment;

static const gs_key assign_keys[] = {
    {"shape", gs_key_ints, offsetof(assignment, shape), NULL, NULL,
     "Number of parts of every dim.", true},
    {"devices", gs_key_ints, offsetof(assignment, devices), NULL, NULL,
     "The device of every part, row-major.", true},
};
const gs_keys gs_spec_assign_keys = {
    "assign", "an assignment", sizeof assign_keys / sizeof *assign_keys,
    assign_keys};

static gs_status assign_map(gs_reader *r, const gs_yaml *v,
                            gs_spec_rule *rule) {
  assignment a = {0};
  int64_t n;
  GS_TRY(gs_keys_read(r, v, &gs_spec_assign_keys, &a));
  if (a.shape.n > GS_MAX_RANK)
    return gs_fail_at(r->err, GS_DATA, &v->at, "more than %d dims",
                      GS_MAX_RANK);
  rule->rank = a.shape.n;
  rule->shape = a.shape.at;
  rule->device = a.devices.at;
  GS_TRY(device_count(r, v, rule, &n));
  if (n != a.devices.n)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "the shape needs %lld devices, but %d are listed",
                      (long long)n, a.devices.n);
  return GS_OK;
}

static gs_status assign_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                            void *into) {
  (void)k;
  gs_spec_rule *rule = into;
  int64_t n, count = 0;
  GS_TRY(action(r, v, rule, GS_ACTION_ASSIGN));
  if (v->kind == GS_YAML_MAP) return assign_map(r, v, rule);
  GS_TRY(gs_yaml_list(v, r->err));
  rule->shape = GS_NEWS(r->arena, GS_YAML_MAX_DEPTH, int64_t);
  for (const gs_yaml *y = v; y->kind == GS_YAML_LIST; y = y->item.at[0]) {
    rule->shape[rule->rank++] = y->item.n;
    if (!y->item.n) break;
  }
  GS_TRY(device_count(r, v, rule, &n));
  rule->device = GS_NEWS(r->arena, n, int64_t);
  return nested(r, v, 0, rule, &count);
}

/* ---- the rest ---- */

static gs_status replicate_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                               void *into) {
  (void)k;
  bool yes = false;
  GS_TRY(action(r, v, into, GS_ACTION_REPLICATE));
  GS_TRY(gs_yaml_bool(v, &yes, r->err));
  if (yes) return GS_OK;
  gs_fail_at(r->err, GS_DATA, &v->at, "replicate can only be true");
  gs_err_hint(r->err, "leave the rule out: a tensor that no rule names is "
                      "open to propagation");
  return GS_DATA;
}

static gs_status style_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  GS_TRY(action(r, v, into, GS_ACTION_STYLE));
  return gs_key_word(r, v, k, into);
}

static gs_status axis_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  return gs_spec_axis_read(r, v, &((gs_spec_rule *)into)->axis);
}

static gs_status priority_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                              void *into) {
  (void)k;
  return gs_yaml_int(v, 0, 1000, &((gs_spec_rule *)into)->priority, r->err);
}

static gs_status expect_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                            void *into) {
  (void)k;
  gs_spec_rule *rule = into;
  rule->expect_more = false;
  if (v->kind == GS_YAML_SCALAR && !strcmp(v->text, "any")) {
    rule->expect = 0;
    rule->expect_more = true;
    return GS_OK;
  }
  if (v->kind == GS_YAML_SCALAR && !strncmp(v->text, ">=", 2)) {
    gs_yaml n = *v;
    n.text += 2;
    while (*n.text == ' ') n.text++;
    n.quoted = false;
    rule->expect_more = true;
    return gs_yaml_int(&n, 0, INT64_MAX, &rule->expect, r->err);
  }
  if (v->kind == GS_YAML_SCALAR && !v->quoted && v->text[0] >= '0' &&
      v->text[0] <= '9')
    return gs_yaml_int(v, 0, INT64_MAX, &rule->expect, r->err);
  gs_fail_at(r->err, GS_DATA, &v->at, "expected a count, not %s",
             gs_yaml_what(r->arena, v));
  gs_err_hint(r->err, "write 2, \">=2\" or any");
  return GS_DATA;
}

static gs_status replicated_key(gs_reader *r, const gs_yaml *v,
                                const gs_key *k, void *into) {
  (void)k;
  return gs_spec_axes_read(r, v, &((gs_spec_rule *)into)->replicated);
}

static gs_status partial_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k;
  gs_spec_rule *rule = into;
  GS_TRY(gs_yaml_map(v, r->err));
  if (v->key.n != 1)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "expected one reduction, as {sum: [tp]}");
  if (!gs_reduce_parse(v->key.at[0]->text, &rule->reduce)) {
    static const char *const words[] = {"sum", "prod", "max", "min", NULL};
    return gs_unknown_word(r, v->key.at[0], "a reduction", words);
  }
  return gs_spec_axes_read(r, v->item.at[0], &rule->partial);
}

static gs_status uneven_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                            void *into) {
  if (v->kind == GS_YAML_MAP || gs_yaml_is_word(v, "ragged"))
    return gs_fail_at(r->err, GS_UNSUPPORTED, &v->at,
                      "this way of uneven splitting is not supported by this "
                      "version");
  return gs_key_word(r, v, k, into);
}

/* One segment: its size, or a name for it and its size. */
static gs_status segment(gs_reader *r, const gs_yaml *v, int64_t *size) {
  if (v->kind == GS_YAML_MAP) {
    if (v->key.n != 1)
      return gs_fail_at(r->err, GS_DATA, &v->at,
                        "expected one size, as {q: 4096}");
    v = v->item.at[0];
  }
  return gs_yaml_int(v, 1, INT64_MAX, size, r->err);
}

static gs_status segments_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                              void *into) {
  (void)k;
  gs_spec_segments *s = &((gs_spec_rule *)into)->segments;
  GS_TRY(gs_yaml_list(v, r->err));
  s->at = v->at;
  s->size = GS_NEWS(r->arena, v->item.n, int64_t);
  for (int64_t sum = 0; s->n < v->item.n; sum += s->size[s->n++]) {
    GS_TRY(segment(r, v->item.at[s->n], &s->size[s->n]));
    if (s->size[s->n] > INT64_MAX - sum)
      return gs_fail_at(r->err, GS_DATA, &v->item.at[s->n]->at,
                        "the segments are too large");
  }
  if (s->n > 1) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &v->at, "expected two segments or more");
}

static const char *const kv_words[] = {"duplicate", "error", NULL};
static const char *const uneven_words[] = {"pad", "error", NULL};

#define AXES "{\"$ref\": \"#/$defs/axes\"}"
#define LATER(name) {name, NULL, 0, NULL, NULL, NULL, false}
#define RULE(field) offsetof(gs_spec_rule, field)
static const gs_key rule_keys[] = {
    {"match", gs_spec_match_key, RULE(match), &gs_spec_match_keys, NULL,
     "What the rule applies to; all that is given must hold.", true},
    {"shard", shard_key, 0, NULL, "{\"$ref\": \"#/$defs/shard\"}",
     "One entry per dim: an axis, [axes], ~ (whole and closed), open, "
     "{axes, open, p}, or a list of alternatives that holds ~ or lists; "
     "\"...\" are open dims, \"*...\" closed ones. Or a sharding in quotes.",
     false},
    {"split", split_key, 0, &gs_spec_split_keys, NULL,
     "Split one dim over the devices in order.", false},
    {"assign", assign_key, 0, NULL, "{\"$ref\": \"#/$defs/assign-any\"}",
     "Device of every part: nested lists as deep as the tensor has dims, or "
     "{shape, devices}.", false},
    {"replicate", replicate_key, 0, NULL, "{\"const\": true}",
     "The tensor is whole on every device.", false},
    {"style", style_key, RULE(style), style_words,
     "{\"enum\": [\"colwise\", \"rowwise\", \"vocab\", \"expert\", "
     "\"replicate\", \"heads\"]}",
     "Shard a weight by what its operator does with it: colwise splits the "
     "outputs, rowwise the summed dim, vocab the looked-up rows, expert dim 0; "
     "heads splits the outputs between heads, as many as the rule or the "
     "reader of the outputs says, and dim 1 of a cache.",
     false},
    {"axis", axis_key, 0, NULL, "{\"$ref\": \"#/$defs/axis\"}",
     "The axis of a style. Default: ep for expert, tp for the others, or the "
     "only axis of the mesh.", false},
    {"heads", gs_key_count, RULE(heads), NULL,
     "{\"type\": \"integer\", \"minimum\": 1}",
     "How many heads the split dim consists of, which are not cut. Over more "
     "devices than heads some devices have the same (kv).", false},
    {"kv", gs_key_word, RULE(kv), kv_words, NULL,
     "Heads that the axis does not divide: duplicate (the default, where heads "
     "are fewer than devices) splits them over the major part of the axis that "
     "does and repeats them over the rest; error.", false},
    {"interleave", gs_key_count, RULE(interleave), NULL,
     "{\"type\": \"integer\", \"minimum\": 1}",
     "How many elements of the split dim in a row belong together, such as 2 "
     "of gates and values that alternate: they are not cut.", false},
    {"segments", segments_key, 0, NULL,
     "{\"type\": \"array\", \"minItems\": 2, \"items\": {\"oneOf\": ["
     "{\"type\": \"integer\", \"minimum\": 1}, {\"type\": \"object\", "
     "\"minProperties\": 1, \"maxProperties\": 1, \"additionalProperties\": "
     "{\"type\": \"integer\", \"minimum\": 1}}]}}",
     "Sizes of the parts that a weight is end to end along the split dim, as "
     "[4096, 1024, 1024] or [{q: 4096}, {k: 1024}, {v: 1024}]: each is split "
     "by itself. Packed weights whose parts are taken by Split, Slice or "
     "attention need none.", false},
    {"priority", priority_key, 0, NULL,
     "{\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000}",
     "Rank in propagation; 0, the default, goes first.", false},
    {"expect", expect_key, 0, NULL, "{\"$ref\": \"#/$defs/expect\"}",
     "How many tensors must match: 2, \">=2\" or any. Default: \">=1\".",
     false},
    {"as", gs_key_text, RULE(label), NULL, NULL,
     "A name of the rule, for reports.", false},
    {"why", gs_key_text, RULE(why), NULL, NULL,
     "The reason, for readers and reports.", false},
    {"partial", partial_key, 0, NULL, "{\"$ref\": \"#/$defs/partial\"}",
     "The tensor holds partial values over these axes, as {sum: [tp]}.",
     false},
    {"replicated", replicated_key, 0, NULL, AXES,
     "Axes that propagation may not use for the tensor.", false},
    {"uneven", uneven_key, RULE(uneven), uneven_words,
     "{\"enum\": [\"pad\", \"error\"]}",
     "Dims that do not divide: pad the last blocks, or fail.", false},
    LATER("skip"),
    LATER("dim"),
    LATER("manual"),
    LATER("weights"),
};
const gs_keys gs_spec_rule_keys = {
    "rule", "a rule", sizeof rule_keys / sizeof *rule_keys, rule_keys};

gs_status gs_spec_rule_read(gs_reader *r, const gs_yaml *v,
                            gs_spec_rule *rule) {
  *rule = (gs_spec_rule){.at = v->at, .uneven = -1, .kv = -1, .expect = 1,
                         .expect_more = true, .parts = 1};
  GS_TRY(gs_keys_read(r, v, &gs_spec_rule_keys, rule));
  if (!rule->action) {
    gs_fail_at(r->err, GS_DATA, &v->at, "a rule without an action");
    gs_err_hint(r->err, "add one of shard, split, assign, replicate, style");
    return GS_DATA;
  }
  if (rule->axis.name && rule->action != GS_ACTION_STYLE)
    return gs_fail_at(r->err, GS_DATA, &rule->axis.at,
                      "axis is only for style");
  if (rule->kv >= 0 && !rule->heads && rule->style != GS_STYLE_HEADS)
    return gs_fail_at(r->err, GS_DATA, &rule->at, "kv is only for heads");
  bool splits = rule->action != GS_ACTION_REPLICATE &&
                (rule->action != GS_ACTION_STYLE ||
                 rule->style != GS_STYLE_REPLICATE);
  if (rule->segments.n && !splits)
    return gs_fail_at(r->err, GS_DATA, &rule->segments.at,
                      "segments are for what is split");
  if (rule->segments.n && rule->heads)
    return gs_fail_at(r->err, GS_DATA, &rule->segments.at,
                      "heads and segments exclude each other; style: heads "
                      "finds those of each segment");
  if (rule->interleave && (rule->heads || rule->style == GS_STYLE_HEADS))
    return gs_fail_at(r->err, GS_DATA, &rule->at,
                      "heads and interleave exclude each other");
  return GS_OK;
}
