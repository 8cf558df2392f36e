/* State: which outputs become which inputs of the next run. */
#include "io/spec/spec_read.h"

static gs_status size_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  return gs_yaml_int(v, 1, INT32_MAX, &((gs_spec_state *)into)->size, r->err);
}

static const gs_key state_keys[] = {
    {"match", gs_spec_match_key, offsetof(gs_spec_state, match),
     &gs_spec_match_keys, NULL,
     "The outputs, by tensor. Default: those with the usual names, "
     "present... and present_key_values..., of past_key_values... and "
     "past....", false},
    {"with", gs_spec_patterns_key, offsetof(gs_spec_state, with), NULL,
     "{\"$ref\": \"#/$defs/patterns\"}",
     "The inputs that they become: those for which the wildcards stand for "
     "the same texts as in match.tensor.", false},
    {"size", size_key, offsetof(gs_spec_state, size), NULL,
     "{\"type\": \"integer\", \"minimum\": 1}",
     "How many places they have along the dim that grows from run to run. "
     "Default: they do not grow.", false},
};
const gs_keys gs_spec_state_keys = {
    "state", "a state", sizeof state_keys / sizeof *state_keys, state_keys};

static gs_status check(gs_reader *r, const void *element) {
  const gs_spec_state *s = element;
  if (!s->match.tensor.n && !s->with.n && !s->size)
    return gs_fail_at(r->err, GS_DATA, &s->at, "an empty state");
  if (!s->match.tensor.n != !s->with.n)
    return gs_fail_at(r->err, GS_DATA, &s->at,
                      "match by tensor and with need each other");
  return GS_OK;
}
const gs_key_list gs_spec_state_list = {
    &gs_spec_state_keys, sizeof(gs_spec_state), offsetof(gs_spec_state, at),
    check};
