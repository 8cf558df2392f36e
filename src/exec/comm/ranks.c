/* What a process knows of the ranks of its job without a call of MPI. */
#include <stdlib.h>

#include "base/assert.h"
#include "exec/comm/world.h"

/* The first of these variables that is set and holds a number, else none. */
static int number_of(const char *const *name, int none) {
  for (; *name; name++) {
    const char *s = getenv(*name);
    char *end;
    long n = s ? strtol(s, &end, 10) : -1;
    if (s && *s && !*end && n >= 0 && n <= INT32_MAX) return (int)n;
  }
  return none;
}

bool gs_world_launched(void) {
  static const char *const set[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK",
                                    "PMI_RANK", "PMI_ID"};
  for (size_t i = 0; i < sizeof set / sizeof *set; i++)
    if (getenv(set[i])) return true;
  return false;
}

int gs_world_started(int *rank) {
  static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK",
                                      "PMI_RANK", "PMI_ID", NULL};
  static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                      NULL};
  *rank = number_of(ranks, 0);
  return gs_world_launched() ? number_of(sizes, 0) : 0;
}

const char *gs_world_name(gs_arena *a, const gs_world *w, int rank) {
  gs_assert(rank >= 0 && rank < w->nrank);
  return gs_sprintf(a, "rank %d (%s)", rank, w->host[rank]);
}

gs_status gs_world_spread(const gs_world *w, int64_t ndevice, gs_err *e) {
  int64_t ranks = w ? w->nrank : 1;
  if (ndevice % ranks == 0) return GS_OK;
  gs_fail(e, GS_MISMATCH, NULL,
          "%lld devices cannot be spread evenly over %lld ranks",
          (long long)ndevice, (long long)ranks);
  int64_t less = ranks;
  while (ndevice % less) less--;
  gs_err_hint(e, "start %lld or %lld ranks", (long long)less,
              (long long)ndevice);
  return GS_MISMATCH;
}
