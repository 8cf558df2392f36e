/* What every path still costs: nothing is sent twice for one device, so that a
 * collective sends at least what a device lacks on average. */
#include "base/math.h"
#include "pass/reshard/reshard_search.h"

/* How much of a dim the block that a device has shares with the one that it
 * wants: at most, and on average over the units that the two do not have in
 * common. */
typedef struct overlap {
  double most, mean;
  uint32_t units; /* on which it depends */
} overlap;

static uint32_t unit_set(const uint8_t *unit, int n) {
  uint32_t set = 0;
  for (int i = 0; i < n; i++) set |= 1u << unit[i];
  return set;
}

static overlap overlap_of(const gs_search *s, const gs_state *st, int d) {
  const gs_units *u = &s->u;
  const uint8_t *a = gs_state_at(st, d), *b = gs_state_at(&s->goal, d);
  int na = st->n[d], nb = s->goal.n[d], k = 0;
  double n = (double)u->dims[d];
  int64_t ma = gs_state_shards(u, st, d, na);
  int64_t mb = gs_state_shards(u, &s->goal, d, nb);
  overlap o = {.most = (double)gs_ceil_div(u->dims[d], gs_max(ma, mb)),
               .mean = n / (double)gs_max(ma, mb)};
  while (k < na && k < nb && a[k] == b[k]) k++;
  uint32_t left = unit_set(a + k, na - k), right = unit_set(b + k, nb - k);
  o.units = left | right;
  bool even = u->dims[d] % (ma * mb) == 0;
  if (k == na || k == nb || (k && !even)) return o;
  if (!(left & right)) { /* all pairs of blocks together make up the dim */
    double shared = (double)gs_state_shards(u, st, d, k);
    o.mean = n / shared / ((double)ma / shared * ((double)mb / shared));
    return o;
  }
  if (!even) return o;
  /* Blocks of two units can only meet in so many pairs. */
  int64_t p = u->size[a[k]], q = u->size[b[k]];
  double pairs = (double)(p + q - gs_gcd(p, q)) / (double)(p * q);
  if (pairs * o.most < o.mean) o.mean = pairs * o.most;
  return o;
}

/* Elements that a device holds of what it wants, at most on average. */
static double shared(const gs_search *s, const gs_state *st) {
  double elements = 1;
  uint32_t units = 0;
  for (int d = 0; d < s->u.rank; d++) {
    if (!st->n[d] && !s->goal.n[d]) {
      elements *= (double)s->u.dims[d];
      continue;
    }
    overlap o = overlap_of(s, st, d);
    bool independent = !(o.units & units);
    elements *= independent ? o.mean : o.most;
    if (independent) units |= o.units;
  }
  return elements;
}

/* Whether local splits are all that is left. */
static bool local(const gs_search *s, const gs_state *st) {
  const gs_units *u = &s->u;
  if (st->partial != s->goal.partial) return false;
  for (int d = 0; d < u->rank; d++) {
    int n = st->n[d];
    if (n > s->goal.n[d]) return false;
    const uint8_t *a = gs_state_at(st, d), *b = gs_state_at(&s->goal, d);
    for (int i = 0; i < n; i++)
      if (a[i] != b[i]) return false;
    if (!gs_state_nests(u, &s->goal, d, n)) return false;
  }
  return true;
}

static double product(const gs_units *u, uint32_t set) {
  double p = 1;
  for (int i = 0; i < u->n; i++)
    if (set >> i & 1) p *= (double)u->size[i];
  return p;
}

double gs_search_rest(const gs_search *s, const gs_state *st) {
  const gs_units *u = &s->u;
  if (local(s, st)) return 0;
  double all = 1, wanted = 1;
  for (int d = 0; d < u->rank; d++) {
    int64_t m = gs_state_shards(u, &s->goal, d, s->goal.n[d]);
    all *= (double)u->dims[d];
    wanted *= (double)u->dims[d] / (double)m;
  }
  double lacks;
  uint32_t reduced = st->partial & ~s->goal.partial;
  if (reduced) {
    /* To combine g terms takes g - 1 messages; all but the device that has the
     * sum then get it. */
    double copies = product(u, s->goal.partial) / product(u, ~0u);
    lacks = (product(u, reduced) - 2) * all * copies + wanted;
  } else {
    lacks = wanted - shared(s, st);
  }
  if (lacks < 0) lacks = 0;
  double bits = gs_dtype_get((int)s->dtype)->bits;
  return s->latency + lacks * (bits / 8) * s->per_byte;
}
