#include "api/run/run_ranks.h"

#include <string.h>

#include "base/buf.h"
#include "base/data/hash.h"
#include "check/compare.h"
#include "ir/mesh/plan.h"

static gs_claim claim_text(const char *what, const char *text) {
  return (gs_claim){what, gs_hash(text, strlen(text), 0), text};
}

gs_status gs_ranks_meet(gs_world *w, const gs_pair *alike, int n, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_claim claim[GS_MAX_ALIKE];
  if (n > GS_MAX_ALIKE)
    return gs_fail(e, GS_USAGE, NULL, "ranks compare at most %d values",
                   GS_MAX_ALIKE);
  claim[0] = claim_text("version", gs_sprintf(&a, "%s, plan format %d",
                                              gs_version(), GS_PLAN_VERSION));
  gs_status s = gs_world_compare(w, claim, 1, e);
  for (int i = 0; i < n; i++)
    claim[i] = claim_text(alike[i].name, alike[i].value);
  if (!s) s = gs_world_compare(w, claim, n, e);
  gs_arena_free(&a);
  return s;
}

gs_status gs_ranks_source(gs_world *w, const gs_source *s, uint64_t plan,
                          gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  uint64_t devices = (uint64_t)s->ndevice;
  gs_claim whole[] = {
      {"plan", plan, gs_sprintf(&a, "%016llx", (unsigned long long)plan)},
      {"number of devices", devices,
       gs_sprintf(&a, "%lld", (long long)s->ndevice)},
      claim_text("number of inputs", gs_sprintf(&a, "%d", s->graph->input.n))};
  gs_status status = gs_world_compare(w, whole, 3, e);
  if (!status) status = gs_world_spread(w, s->ndevice, e);
  int n = s->graph->input.n;
  gs_claim *claim = GS_NEWS(&a, n + 1, gs_claim);
  for (int i = 0; i < n && !status; i++) {
    uint64_t digest = s->input[i] ? gs_dyn_digest(s->input[i]) : 0;
    claim[i] = (gs_claim){
        gs_sprintf(&a, "input '%s'", s->graph->input.at[i]->name), digest,
        gs_sprintf(&a, "%016llx", (unsigned long long)digest)};
  }
  if (!status) status = gs_world_compare(w, claim, n, e);
  gs_arena_free(&a);
  return status;
}

void gs_ranks_built(FILE *f) {
  gs_arena a;
  gs_arena_init(&a);
  const char *library = gs_world_library(&a);
  fprintf(f, "MPI: %s\n", library ? library : "none");
  gs_arena_free(&a);
}
