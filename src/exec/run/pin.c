#include "exec/run/pin.h"

#include "base/assert.h"
#include "base/math.h"

/* A run of what is divided. */
typedef struct cut {
  int64_t first, n;
} cut;

/* Part i of n items in `parts` parts: as even as can be, and never empty. */
static cut part(int64_t n, int64_t parts, int64_t i) {
  gs_assert(n > 0 && i >= 0 && i < parts);
  int64_t first = i * n / parts, next = (i + 1) * n / parts;
  return (cut){first, gs_max(1, next - first)};
}

/* What is divided: cores, or the sockets or NUMA nodes that they are of. */
typedef struct unit {
  gs_cpus cpus;
  int64_t cores;
} unit;

static int which(const gs_core *c, gs_bind_to how, int i) {
  if (how == GS_BIND_SOCKET) return c->socket;
  return how == GS_BIND_NUMA ? c->numa : i;
}

/* The cores by what they are of; those of one may lie apart. */
static int list_units(gs_arena *a, const gs_core *core, int n, gs_bind_to how,
                      const gs_cpus *allowed, unit **out) {
  unit *u = *out = GS_NEWS(a, n, unit);
  int *id = GS_NEWS(a, n, int), nunit = 0;
  for (int i = 0; i < n; i++) {
    int k = 0, mine = which(&core[i], how, i);
    while (k < nunit && id[k] != mine) k++;
    if (k == nunit) {
      id[nunit++] = mine;
      u[k].cpus = gs_cpus_none(a, allowed);
    }
    gs_cpus_join(&u[k].cpus, &core[i].cpus);
    u[k].cores++;
  }
  return nunit;
}

/* The device at part c of the units: all of them, or as many cores as it has
 * threads.  Where nobody says how many threads, `crowd` devices divide them. */
static gs_pin place(gs_arena *a, const unit *u, cut c, int threads,
                    int64_t crowd, const gs_cpus *allowed) {
  gs_pin p = {gs_cpus_none(a, allowed), threads};
  int64_t cores = 0;
  for (int64_t i = c.first; i < c.first + c.n; i++) {
    gs_cpus_join(&p.cpus, &u[i].cpus);
    cores += u[i].cores;
  }
  if (!threads) p.threads = (int)gs_max(1, cores / crowd);
  gs_assert(gs_cpus_within(&p.cpus, allowed));
  return p;
}

static gs_status check(gs_bind_to how, gs_err *e) {
  if (how == GS_BIND_NONE || how == GS_BIND_CORE || gs_cores_known())
    return GS_OK;
  gs_fail(e, GS_UNSUPPORTED, NULL,
          "this build of gshard does not know %s: it was configured without "
          "hwloc", how == GS_BIND_SOCKET ? "sockets" : "NUMA nodes");
  gs_err_hint(e, "--bind-to=core needs no hwloc; a launcher can bind ranks to "
                 "more than cores");
  return GS_UNSUPPORTED;
}

/* How many of n share one of `units`. */
static int64_t over(int64_t n, int64_t units) {
  return gs_max(1, (n + units - 1) / units);
}

/* Nobody is bound: threads are for the system to place. */
static void unbound(int threads, int64_t sharers, int64_t n, gs_pins *p) {
  int64_t cores = gs_max(1, gs_cpus_count(&p->allowed) / sharers);
  for (int64_t i = 0; i < n; i++)
    p->device[i] = (gs_pin){p->allowed,
                            (int)gs_max(1, (threads ? threads : cores) / n)};
}

gs_status gs_pins_make(gs_arena *a, const gs_cpus *allowed, gs_bind_to how,
                       int threads, const gs_world *w, int64_t n, gs_pins *out,
                       gs_err *e) {
  int64_t sharers = w ? w->nsharer : 1, me = w ? w->sharer : 0;
  gs_assert(n > 0 && me >= 0 && me < sharers);
  *out = (gs_pins){how != GS_BIND_NONE, *allowed, GS_NEWS(a, n, gs_pin)};
  GS_TRY(check(how, e));
  if (!out->bound) {
    unbound(threads, sharers, n, out);
    return GS_OK;
  }
  const gs_core *core;
  unit *u;
  int ncore;
  GS_TRY(gs_cores_find(a, &out->allowed, &core, &ncore, e));
  int nunit = list_units(a, core, ncore, how, &out->allowed, &u);
  cut mine = part(nunit, sharers, me);
  int64_t crowd = over(sharers, nunit) * over(n, mine.n);
  int each = threads ? (int)gs_max(1, threads / n) : 0;
  for (int64_t i = 0; i < n; i++) {
    cut c = part(mine.n, n, i);
    c.first += mine.first;
    if (how == GS_BIND_CORE && each) c.n = gs_min(c.n, each);
    out->device[i] = place(a, u, c, each, crowd, &out->allowed);
  }
  return GS_OK;
}
