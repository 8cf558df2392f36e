#include "run_ranks.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "check/compare.h"
#include "ir/mesh/plan.h"
#include "options.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum { MAX_CLAIMS = 32 };

static gs_claim claim_text(const char *what, const char *text) {
  return (gs_claim){what, gs_hash(text, strlen(text), 0), text};
}

/* The values of an option, or how often it is used. */
static gs_claim claim_option(gs_arena *a, const gs_cli *c,
                             const gs_option *o) {
  int n = gs_cli_count(c, o->name);
  const char *what = gs_sprintf(a, "--%s", o->name);
  if (!(o->flags & GS_OPT_ALIKE)) {
    if (!(o->flags & GS_OPT_REPEAT))
      return claim_text(what, n ? "given" : "none");
    return claim_text(gs_sprintf(a, "number of %s", what),
                      gs_sprintf(a, "%d", n));
  }
  gs_buf b;
  gs_buf_init(&b, a);
  for (int i = 0; i < n; i++)
    gs_buf_printf(&b, "%s%s", i ? " " : "", gs_cli_at(c, o->name, i));
  return claim_text(what, n ? b.at : "none");
}

gs_status gs_ranks_meet(const gs_cli *c, gs_world *w, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_claim claim[MAX_CLAIMS];
  const gs_option *o;
  int n = 0;
  claim[0] = claim_text(
      "version", gs_sprintf(&a, "%s, plan format %d", PACKAGE_VERSION,
                            GS_PLAN_VERSION));
  gs_status s = gs_world_compare(w, claim, 1, e);
  bool piped = !strcmp(c->operand.at[0], "-");
  claim[n++] = claim_text("source", piped ? "standard input" : "a file");
  for (int i = 0; (o = gs_option_at(c->tool, i)) && n < MAX_CLAIMS; i++)
    if (o->flags & (GS_OPT_ALIKE | GS_OPT_ALIKE_USE))
      claim[n++] = claim_option(&a, c, o);
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
    uint64_t digest = gs_dyn_digest(s->input[i]);
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
