/* gs_runner of gshard.h: several processes. */
#include <string.h>

#include "api/run/run_ranks.h"
#include "api/run/runner.h"

bool gs_mpi_launched(void) { return gs_world_launched(); }

int gs_mpi_started(int *rank) { return gs_world_started(rank); }

int gs_runner_ranks(const gs_runner *r) { return r->w ? r->w->nrank : 1; }

int gs_runner_rank(const gs_runner *r) { return r->w ? r->w->rank : 0; }

const char *gs_runner_host(const gs_runner *r, int rank) {
  return r->w && rank >= 0 && rank < r->w->nrank ? r->w->host[rank] : NULL;
}

/* ---- where the devices are ---- */

/* "devices 2 to 3 on rank 1 (hostB), cores 4-7, transport mpi", a line for
 * devices that may use the same. */
static const char *places_here(gs_runner *r) {
  gs_arena *a = &r->arena;
  gs_buf b;
  int64_t n = gs_exec_count(r->exec), first = n * gs_runner_rank(r);
  gs_buf_init(&b, a);
  for (int64_t i = 0, next; i < n; i = next) {
    const char *cores = gs_exec_cpus(r->exec, a, i);
    for (next = i + 1; next < n; next++)
      if (strcmp(gs_exec_cpus(r->exec, a, next), cores)) break;
    gs_buf_printf(&b, "device%s %lld", next > i + 1 ? "s" : "",
                  (long long)(first + i));
    if (next > i + 1)
      gs_buf_printf(&b, " to %lld", (long long)(first + next - 1));
    if (r->w)
      gs_buf_printf(&b, " on %s", gs_world_name(a, r->w, r->w->rank));
    gs_buf_printf(&b, ", cores %s, transport %s\n", cores,
                  r->w ? "mpi" : "threads");
  }
  return b.at;
}

static gs_status places(gs_runner *r, const char **out, gs_err *e) {
  if (!r->exec)
    return gs_fail(e, GS_USAGE, NULL, "gs_runner_places comes after "
                   "gs_runner_compile");
  const char *mine = *out = places_here(r);
  if (!gs_runner_many(r)) return GS_OK;
  uint64_t room = strlen(mine) + 1; /* of the longest */
  GS_TRY(gs_world_reduce(r->w, &room, 1, false, e));
  char *all = gs_alloc(&r->arena, room * (size_t)r->w->nrank);
  char *padded = gs_alloc(&r->arena, room);
  memcpy(padded, mine, strlen(mine));
  GS_TRY(gs_world_gather(r->w, padded, room, all, e));
  gs_buf b;
  gs_buf_init(&b, &r->arena);
  for (int k = 0; k < r->w->nrank && !r->w->rank; k++)
    gs_buf_str(&b, all + room * (size_t)k);
  *out = b.at;
  return GS_OK;
}

gs_status gs_runner_places(gs_runner *r, const char **out, gs_err *e) {
  *out = "";
  GS_CALL(r->blocks, e, places(r, out, e));
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
