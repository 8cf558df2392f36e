/* gs_runner of gshard.h: several processes. */
#include "api/run/run_ranks.h"
#include "api/run/runner.h"

bool gs_mpi_launched(void) { return gs_world_launched(); }

int gs_mpi_started(int *rank) { return gs_world_started(rank); }

int gs_runner_ranks(const gs_runner *r) { return r->w ? r->w->nrank : 1; }

int gs_runner_rank(const gs_runner *r) { return r->w ? r->w->rank : 0; }

const char *gs_runner_host(const gs_runner *r, int rank) {
  return r->w && rank >= 0 && rank < r->w->nrank ? r->w->host[rank] : NULL;
}

gs_status gs_runner_all(gs_runner *r, gs_status s, gs_err *e) {
  s = gs_run_verify_blame(r->source.verify, s, e);
  /* Who waits is not heard. */
  if (!gs_runner_many(r) || s == GS_TIMEOUT) return s;
  int who;
  gs_status all;
  GS_TRY(gs_world_agree(r->w, s, &all, &who, e));
  if (who >= 0 && who != r->w->rank) r->silent = true;
  return all;
}

gs_status gs_runner_agree(gs_runner *r, gs_status mine, gs_err *e) {
  GS_CALL(r->blocks, e, gs_runner_all(r, mine, e));
}

bool gs_runner_speaks(const gs_runner *r) { return !r->silent; }

/* The same message lies on all ranks. */
static gs_status same(gs_runner *r, gs_status s) {
  if (s == GS_MISMATCH && r->w->rank) r->silent = true;
  return s;
}

static gs_status meet(gs_runner *r, const gs_pair *alike, int n, gs_err *e) {
  if (!gs_runner_many(r)) return GS_OK;
  return same(r, gs_ranks_meet(r->w, alike, n, e));
}

gs_status gs_runner_meet(gs_runner *r, const gs_pair *alike, int n,
                         gs_err *e) {
  GS_CALL(r->blocks, e, meet(r, alike, n, e));
}

static gs_status meet_source(gs_runner *r, gs_err *e) {
  uint64_t digest = 0;
  if (!gs_runner_many(r)) return GS_OK;
  GS_AGREE(r, gs_source_digest(&r->source, &digest, e));
  return same(r, gs_ranks_source(r->w, &r->source, digest, e));
}

gs_status gs_runner_meet_source(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, meet_source(r, e));
}

bool gs_runner_torn(const gs_runner *r, gs_status s) {
  return gs_runner_many(r) && (s == GS_TIMEOUT || r->torn);
}

void gs_runner_abort(gs_runner *r, gs_status s, void (*say)(void *user),
                     void *user, gs_err *e) {
  if (!r->w) return;
  if (s == GS_TIMEOUT) gs_world_blame(r->w, e);
  gs_world_speak(r->w);
  say(user);
  fflush(NULL);
  gs_world_abort(r->w, (int)s);
}

static gs_status finish(gs_runner *r, gs_err *e) {
  gs_run_verify_end(r->source.verify);
  gs_exec_free(r->exec);
  r->exec = NULL;
  if (!r->w) return GS_OK;
  return gs_world_finalize(r->w, e);
}

gs_status gs_runner_finish(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, finish(r, e));
}
