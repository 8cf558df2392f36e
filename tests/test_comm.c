/* Collectives over threads and, started by mpirun, over MPI ranks.
 *
 * Run as a test it checks every collective on threads.  With the argument
 * `digest` it prints a line per number of devices with a hash of all results;
 * under mpirun the devices are spread over the ranks, and tests/mpi.sh
 * compares the lines. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "exec/comm/group.h"
#include "exec/comm/world.h"
#include "suite.h"

enum { MOST = 8, ELEMENTS = 3000 };

typedef struct device {
  gs_comm *comm;
  gs_err err;
  gs_arena arena;
  gs_mesh *mesh;
  uint64_t digest;
  void (*body)(struct device *d);
  int wrong; /* line of the first check that failed */
  gs_status status;
} device;

#define EXPECT(d, ok)                                                          \
  do {                                                                         \
    if (!(ok) && !(d)->wrong) (d)->wrong = __LINE__;                           \
  } while (0)

/* What device p has at place i: small integers that differ; none is 0, so
 * that no product is a negative zero. */
static int64_t number(int64_t p, int64_t i) {
  int64_t x = (p * 7 + i * 3) % 5 - 2;
  return x < 0 ? x : x + 1;
}

static void note(device *d, const void *p, size_t n) {
  d->digest = gs_hash(p, n, d->digest);
}

/* The group of d along the named axes of its mesh. */
static gs_group group_of(device *d, const char *axes) {
  gs_axes x;
  gs_group g;
  EXPECT(d, !gs_axes_parse(d->mesh, &axes, &x, &d->err));
  int64_t p = d->comm->position;
  g.n = (int)gs_axes_size(d->mesh, &x);
  int64_t *m = GS_NEWS(&d->arena, g.n, int64_t);
  gs_axes_peers(d->mesh, &x, p, m);
  for (int i = 0; i < g.n; i++)
    ck_assert_int_eq(m[i], gs_axes_peer(d->mesh, &x, p, i));
  g.member = m;
  g.me = (int)gs_axes_index(d->mesh, &x, p);
  return g;
}

/* ---- collectives as one call ---- */

static gs_status all_gather(gs_comm *c, const gs_group *g, const void *in,
                            void *out, size_t bytes, gs_err *e) {
  gs_transfer *t = gs_transfer_new(c, g);
  GS_TRY(gs_all_gather_start(t, in, out, bytes, e));
  return gs_transfer_finish(t, e);
}

static gs_status all_to_all(gs_comm *c, const gs_group *g, const void *in,
                            void *out, size_t bytes, gs_err *e) {
  gs_transfer *t = gs_transfer_new(c, g);
  GS_TRY(gs_all_to_all_start(t, in, out, bytes, e));
  return gs_transfer_finish(t, e);
}

static gs_status all_reduce(gs_comm *c, const gs_group *g,
                            const gs_reduction *r, gs_err *e) {
  gs_transfer *t = gs_transfer_new(c, g);
  GS_TRY(gs_all_reduce_start(t, r, e));
  return gs_all_reduce_finish(t, r, e);
}

static gs_status reduce_scatter(gs_comm *c, const gs_group *g,
                                const gs_reduction *r, gs_err *e) {
  gs_transfer *t = gs_transfer_new(c, g);
  GS_TRY(gs_reduce_scatter_start(t, r, e));
  return gs_reduce_scatter_finish(t, r, e);
}

static gs_transfer *pair_of(gs_comm *c, int64_t to, int64_t from) {
  int64_t pair[2] = {to, from};
  gs_group g = {2, pair, -1};
  return gs_transfer_new(c, &g);
}

static gs_status permute(gs_comm *c, int64_t to, int64_t from, const void *in,
                         void *out, size_t bytes, gs_err *e) {
  gs_transfer *t = pair_of(c, to, from);
  GS_TRY(gs_permute_start(t, in, out, bytes, e));
  return gs_transfer_finish(t, e);
}

static gs_status broadcast(gs_comm *c, const gs_group *g, const void *in,
                           void *out, size_t bytes, gs_err *e) {
  gs_transfer *t = gs_transfer_new(c, g);
  GS_TRY(gs_broadcast_start(t, in, out, bytes, e));
  return gs_broadcast_finish(t, out, bytes, e);
}

/* ---- one at a time ---- */

static void test_moves(device *d, const gs_group *g, int64_t count) {
  gs_comm *c = d->comm;
  size_t bytes = (size_t)count * sizeof(int64_t);
  int64_t all = count * g->n;
  int64_t *in = GS_NEWS(&d->arena, all + 1, int64_t);
  int64_t *out = GS_NEWS(&d->arena, all + 1, int64_t);
  for (int64_t i = 0; i < all; i++) in[i] = number(c->position, i);
  EXPECT(d, !all_gather(c, g, in, out, bytes, &d->err));
  for (int64_t i = 0; i < all; i++)
    EXPECT(d, out[i] == number(g->member[i / count], i % count));
  note(d, out, (size_t)all * sizeof *out);
  memset(out, 0, (size_t)all * sizeof *out);
  EXPECT(d, !all_to_all(c, g, in, out, bytes, &d->err));
  for (int64_t i = 0; i < all; i++)
    EXPECT(d, out[i] ==
                  number(g->member[i / count], g->me * count + i % count));
  note(d, out, (size_t)all * sizeof *out);
}

/* Parts of any number of bytes, and in place. */
static void test_broadcast(device *d, const gs_group *g, int64_t count) {
  size_t bytes = (size_t)count;
  int8_t *in = GS_NEWS(&d->arena, count + 1, int8_t);
  int8_t *out = GS_NEWS(&d->arena, count + 1, int8_t);
  for (int64_t i = 0; i < count; i++)
    in[i] = (int8_t)number(d->comm->position, i);
  EXPECT(d, !broadcast(d->comm, g, in, out, bytes, &d->err));
  for (int64_t i = 0; i < count; i++)
    EXPECT(d, out[i] == number(g->member[0], i));
  note(d, out, bytes);
  EXPECT(d, !broadcast(d->comm, g, in, in, bytes, &d->err));
  EXPECT(d, !memcmp(in, out, bytes));
}

/* Writes x as type t at place i. */
static void put(gs_dtype t, void *p, int64_t i, int64_t x) {
  switch ((int)t) {
    case GS_FLOAT: ((float *)p)[i] = (float)x; break;
    case GS_DOUBLE: ((double *)p)[i] = (double)x; break;
    case GS_INT8: ((int8_t *)p)[i] = (int8_t)x; break;
    case GS_UINT8: ((uint8_t *)p)[i] = (uint8_t)x; break;
    case GS_BOOL: ((uint8_t *)p)[i] = x > 0; break;
    case GS_INT16: ((int16_t *)p)[i] = (int16_t)x; break;
    case GS_UINT16: ((uint16_t *)p)[i] = (uint16_t)x; break;
    case GS_INT32: ((int32_t *)p)[i] = (int32_t)x; break;
    case GS_UINT32: ((uint32_t *)p)[i] = (uint32_t)x; break;
    case GS_INT64: ((int64_t *)p)[i] = x; break;
    case GS_UINT64: ((uint64_t *)p)[i] = (uint64_t)x; break;
    case GS_FLOAT16: { /* 0 .. 8 and their negatives */
      static const uint16_t code[] = {0,      0x3c00, 0x4000, 0x4200, 0x4400,
                                      0x4500, 0x4600, 0x4700, 0x4800};
      ((uint16_t *)p)[i] = (uint16_t)(code[llabs(x)] | (x < 0 ? 0x8000 : 0));
      break;
    }
    default: { /* bf16 */
      float f = (float)x;
      memcpy((uint16_t *)p + i, (char *)&f + 2, 2);
    }
  }
}

static int64_t combined(const gs_group *g, gs_dtype t, gs_reduce r,
                        int64_t i) {
  bool u = gs_dtype_get((int)t)->cls == 'u' || t == GS_BOOL;
  int64_t acc = 0;
  for (int k = 0; k < g->n; k++) {
    int64_t x = number(g->member[k], i);
    if (u && x < 0) x = 0;
    if (t == GS_BOOL) x = x > 0;
    if (!k) acc = x;
    else if (r == GS_REDUCE_SUM) acc += x;
    else if (r == GS_REDUCE_PROD) acc *= x;
    else if (r == GS_REDUCE_MAX) acc = gs_max(acc, x);
    else acc = gs_min(acc, x);
  }
  return acc;
}

static void test_reduce(device *d, const gs_group *g, gs_dtype t,
                        gs_reduce r, int64_t count) {
  gs_comm *c = d->comm;
  bool u = gs_dtype_get((int)t)->cls == 'u' || t == GS_BOOL;
  size_t size = gs_span(t, 1);
  void *in = gs_alloc(&d->arena, (size_t)(count * g->n + 1) * size);
  void *out = gs_alloc(&d->arena, (size_t)(count + 1) * size);
  void *want = gs_alloc(&d->arena, (size_t)(count * g->n + 1) * size);
  for (int64_t i = 0; i < count * g->n; i++) {
    int64_t x = number(c->position, i), y = combined(g, t, r, i);
    put(t, in, i, u && x < 0 ? 0 : x);
    put(t, want, i, size == 2 ? gs_min(gs_max(y, -8), 8) : y);
  }
  /* put() knows 16-bit floats up to 8. */
  bool exact = true;
  for (int64_t i = 0; i < count * g->n; i++)
    if (size == 2 && llabs(combined(g, t, r, i)) > 8) exact = false;
  gs_reduction x = {in, out, count, t, r}, over = {in, in, count, t, r};
  EXPECT(d, !all_reduce(c, g, &x, &d->err));
  if (exact) EXPECT(d, !memcmp(out, want, (size_t)count * size));
  note(d, out, (size_t)count * size);
  EXPECT(d, !reduce_scatter(c, g, &x, &d->err));
  if (exact)
    EXPECT(d, !memcmp(out, (char *)want + (size_t)g->me * (size_t)count * size,
                      (size_t)count * size));
  note(d, out, (size_t)count * size);
  EXPECT(d, !all_reduce(c, g, &over, &d->err));
  if (exact) EXPECT(d, !memcmp(in, want, (size_t)count * size));
}

/* Sums of numbers whose order matters: seen in the digest. */
static void test_order(device *d, const gs_group *g) {
  gs_comm *c = d->comm;
  float *x = GS_NEWS(&d->arena, ELEMENTS, float);
  for (int i = 0; i < ELEMENTS; i++)
    x[i] = 1.0f / (float)(1 + c->position * 31 + i % 977);
  float *y = GS_NEWS(&d->arena, ELEMENTS, float);
  gs_reduction r = {x, y, ELEMENTS, GS_FLOAT, GS_REDUCE_SUM};
  EXPECT(d, !all_reduce(c, g, &r, &d->err));
  for (int i = 0; i < ELEMENTS; i++) {
    float sum = 1.0f / (float)(1 + g->member[0] * 31 + i % 977);
    for (int k = 1; k < g->n; k++)
      sum += 1.0f / (float)(1 + g->member[k] * 31 + i % 977);
    EXPECT(d, y[i] == sum);
  }
  note(d, y, ELEMENTS * sizeof *y);
}

static void test_permute(device *d, int64_t shift) {
  gs_comm *c = d->comm;
  int64_t n = c->ndevice, p = c->position;
  for (int round = 0; round < 3; round++) {
    int64_t x[40], y[40] = {0}, from = (p + n - shift % n) % n;
    for (int i = 0; i < 40; i++) x[i] = number(p, i + round);
    EXPECT(d, !permute(c, (p + shift) % n, from, x, y, sizeof x, &d->err));
    for (int i = 0; i < 40; i++) EXPECT(d, y[i] == number(from, i + round));
    note(d, y, sizeof y);
  }
}

/* A chain of transfers in which each member has pieces for the next one only,
 * the last read where it lies. */
static void test_chain(device *d, const gs_group *g) {
  gs_comm *c = d->comm;
  enum { PIECE = 50 };
  int n = g->n, next = (g->me + 1) % n, last = (g->me + n - 1) % n;
  int64_t all[MOST][PIECE];
  for (int i = 0; i < PIECE; i++) all[g->me][i] = number(c->position, i);
  gs_transfer *t = gs_transfer_new(c, g);
  for (int k = 0; k < n; k++) {
    int has = (g->me + n - k) % n, wants = (last + n - k) % n;
    size_t bytes = sizeof all[has];
    gs_transfer_begin(t);
    gs_transfer_put(t, next, all[has], bytes);
    gs_transfer_get(t, last, k < n - 1 ? all[wants] : NULL, bytes);
    EXPECT(d, !gs_transfer_start(t, &d->err) && !gs_transfer_wait(t, &d->err));
    const int64_t *got = t->got[last];
    for (int i = 0; i < PIECE; i++)
      EXPECT(d, got[i] == number(g->member[wants], i));
    note(d, got, bytes);
  }
  EXPECT(d, !gs_transfer_end(t, &d->err));
}

/* ---- several at a time ---- */

/* Three all-reduces, two of them over one group, and two permutations are open
 * at once, and are waited for in another order; each is carried out twice. */
static void test_open(device *d, const gs_group *g, int64_t count) {
  gs_comm *c = d->comm;
  gs_group all = group_of(d, "[a,b,c]");
  int64_t n = c->ndevice, p = c->position;
  const gs_group *over[3] = {g, &all, g};
  gs_transfer *t[3], *pair[2];
  gs_reduction r[3];
  int64_t moved[2] = {0}, mine[2] = {p, -p};
  for (int k = 0; k < 3; k++) t[k] = gs_transfer_new(c, over[k]);
  for (int k = 0; k < 2; k++)
    pair[k] = pair_of(c, (p + 1 + k) % n, (p + 2 * n - 1 - k) % n);
  for (int k = 0; k < 3; k++) {
    int64_t *x = GS_NEWS(&d->arena, count, int64_t);
    r[k] = (gs_reduction){x, x, count, GS_INT64, GS_REDUCE_SUM};
  }
  for (int twice = 0; twice < 2; twice++) {
    for (int k = 0; k < 3; k++)
      for (int64_t i = 0; i < count; i++)
        ((int64_t *)r[k].out)[i] = number(p, i + k);
    for (int k = 0; k < 3; k++)
      EXPECT(d, !gs_all_reduce_start(t[k], &r[k], &d->err));
    for (int k = 0; k < 2; k++)
      EXPECT(d, !gs_permute_start(pair[k], &mine[k], &moved[k],
                                  sizeof *moved, &d->err));
    EXPECT(d, !gs_transfer_finish(pair[1], &d->err));
    for (int k = 2; k >= 0; k--)
      EXPECT(d, !gs_all_reduce_finish(t[k], &r[k], &d->err));
    EXPECT(d, !gs_transfer_finish(pair[0], &d->err));
    EXPECT(d, moved[0] == (p + n - 1) % n);
    EXPECT(d, moved[1] == -((p + 2 * n - 2) % n));
    for (int k = 0; k < 3; k++) {
      const int64_t *y = r[k].out;
      for (int64_t i = 0; i < count; i++)
        EXPECT(d, y[i] == combined(over[k], GS_INT64, GS_REDUCE_SUM, i + k));
      note(d, y, (size_t)count * sizeof *y);
    }
  }
}

static void everything(device *d) {
  static const gs_dtype types[] = {
      GS_FLOAT, GS_DOUBLE, GS_INT8,  GS_UINT8,  GS_INT16,   GS_UINT16,
      GS_INT32, GS_UINT32, GS_INT64, GS_UINT64, GS_FLOAT16, GS_BFLOAT16,
      GS_BOOL};
  static const char *const axes[] = {"[a,b,c]", "a", "b", "c", "[a,c]"};
  static const int64_t counts[] = {0, 1, 37, ELEMENTS};
  for (int x = 0; x < 5; x++) {
    gs_group g = group_of(d, axes[x]);
    for (int k = 0; k < 4; k++) test_moves(d, &g, counts[k]);
    for (int k = 0; k < 4; k++) test_broadcast(d, &g, counts[k]);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
      for (int r = 0; r < GS_NREDUCE; r++)
        test_reduce(d, &g, types[t], (gs_reduce)r,
                    counts[(t + (size_t)r) % 4]);
    for (int r = 0; r < GS_NREDUCE; r++)
      test_reduce(d, &g, GS_FLOAT, (gs_reduce)r, ELEMENTS);
    test_order(d, &g);
    test_chain(d, &g);
    for (int k = 0; k < 4; k++) test_open(d, &g, counts[k]);
  }
  for (int64_t s = 0; s < 3; s++) test_permute(d, s);
}

/* Device 1 fails; nobody waits for ever. */
static void one_fails(device *d) {
  gs_comm *c = d->comm;
  gs_group g = group_of(d, "[a,b,c]");
  int64_t x = 1, all[MOST];
  d->status = all_gather(c, &g, &x, all, sizeof x, &d->err);
  /* The failure may be seen before this one is left. */
  EXPECT(d, !d->status || d->status == GS_TIMEOUT);
  if (c->position == 1) {
    (c->ops->fail)(c); /* `fail` is a macro of check.h */
    return;
  }
  d->status = all_gather(c, &g, &x, all, sizeof x, &d->err);
  EXPECT(d, d->status == GS_TIMEOUT && d->err.n);
}

static void one_fails_permute(device *d) {
  gs_comm *c = d->comm;
  int64_t x = 1, y, n = c->ndevice, p = c->position;
  if (p == 1) {
    (c->ops->fail)(c); /* `fail` is a macro of check.h */
    return;
  }
  d->status = permute(c, (p + 1) % n, (p + n - 1) % n, &x, &y, sizeof x,
                      &d->err);
  if (p == 2) EXPECT(d, d->status == GS_TIMEOUT);
}

static void *on_thread(void *p) {
  device *d = p;
  d->body(d);
  return NULL;
}

/* A mesh of n devices with axes a, b, c. */
static gs_mesh mesh_of(int64_t n) {
  gs_mesh m = {0};
  int64_t a = n % 2 ? n : 2, b = n % 2 ? 1 : n / 2 % 2 ? 1 : 2;
  gs_mesh_add(&m, "a", n == 1 ? 1 : a, NULL);
  gs_mesh_add(&m, "b", n == 1 ? 1 : b, NULL);
  gs_mesh_add(&m, "c", n == 1 ? 1 : n / (a * b), NULL);
  gs_mesh_finish(&m, NULL);
  return m;
}

/* Runs body on n devices; the digest of all that this process hosts. */
static uint64_t run(int64_t n, gs_world *w, void (*body)(device *),
                    bool check) {
  gs_mesh mesh = mesh_of(n);
  int64_t here = w ? n / w->nrank : n, first = w ? here * w->rank : 0;
  gs_team team;
  gs_team_init(&team, first, here, 30);
  device d[MOST] = {0};
  pthread_t thread[MOST];
  for (int64_t i = 0; i < here; i++) {
    gs_err_init(&d[i].err);
    gs_arena_init(&d[i].arena);
    d[i].mesh = &mesh;
    d[i].body = body;
    if (w) gs_comm_mpi(w, &team, &d[i].arena, first + i, n, &d[i].comm, NULL);
    else if (n == 1) d[i].comm = gs_comm_self(&d[i].arena);
    else d[i].comm = gs_comm_thread(&team, &d[i].arena, i);
  }
  if (here == 1) body(&d[0]);
  else
    for (int64_t i = 0; i < here; i++)
      if (pthread_create(&thread[i], NULL, on_thread, &d[i])) abort();
  /* All are joined first: after a failure a slow device may still read what
   * one that has left has put. */
  for (int64_t i = 0; i < here && here > 1; i++) pthread_join(thread[i], NULL);
  uint64_t digest = 0;
  for (int64_t i = 0; i < here; i++) {
    if (check) ck_assert_int_eq(d[i].wrong, 0);
    if (d[i].wrong) {
      fprintf(stderr, "device %lld: line %d failed\n", (long long)(first + i),
              d[i].wrong);
      if (w) gs_world_abort(w, 1);
      exit(1);
    }
    uint64_t sent = d[i].comm->wire_bytes;
    digest += gs_hash(&sent, sizeof sent, d[i].digest);
    gs_err_free(&d[i].err);
    gs_arena_free(&d[i].arena);
  }
  gs_team_free(&team);
  return digest;
}

/* What ranks that differ are told: most of them are right, or the lowest. */
START_TEST(test_differ) {
  static const struct {
    uint64_t hash[4];
    const char *first;
    int n;
  } cases[] = {
      {{1, 1, 2, 1}, "rank 2 (c) has a different x: 2, not 1 as on rank 0 (a) "
                     "and 2 more", 1},
      {{1, 2, 2, 2}, "rank 0 (a) has a different x: 1, not 2 as on rank 1 (b) "
                     "and 2 more", 1},
      {{1, 2, 1, 2}, "rank 1 (b) has a different x: 2, not 1 as on rank 0 (a) "
                     "and 1 more", 2},
      {{1, 2, 3, 4},
       "rank 1 (b) has a different x: 2, not 1 as on rank 0 (a)", 3},
  };
  static const char host[4][GS_HOST_BYTES] = {"a", "b", "c", "d"};
  gs_world w = {.nrank = 4, .host = host};
  gs_said said[4] = {0};
  gs_err e;
  gs_err_init(&e);
  for (int r = 0; r < 4; r++) {
    said[r].hash = cases[_i].hash[r];
    snprintf(said[r].text, sizeof said[r].text, "%d", (int)said[r].hash);
  }
  ck_assert_int_eq(gs_world_differ(&w, "x", said, &e), GS_MISMATCH);
  ck_assert_str_eq(e.diag[0].text, cases[_i].first);
  ck_assert_int_eq(e.n, cases[_i].n);
  gs_err_free(&e);
}
END_TEST

START_TEST(test_threads) { run(_i, NULL, everything, true); }
END_TEST

START_TEST(test_failure) {
  run(4, NULL, one_fails, true);
  run(3, NULL, one_fails, true);
  run(4, NULL, one_fails_permute, true);
}
END_TEST

START_TEST(test_reduce_many) {
  /* NaN wins; half types round once; complex numbers are refused. */
  float a[2] = {1, __builtin_nanf("")}, b[2] = {__builtin_nanf(""), 2}, y[2];
  const void *in[4] = {a, b};
  ck_assert(!gs_reduce_many(GS_FLOAT, GS_REDUCE_MAX, 2, in, y, 2, NULL));
  ck_assert(y[0] != y[0] && y[1] != y[1]);
  ck_assert(!gs_reduce_many(GS_FLOAT, GS_REDUCE_MIN, 2, in, y, 2, NULL));
  ck_assert(y[0] != y[0] && y[1] != y[1]);
  /* 2048 + 1 + 1 = 2050 in f16, but 2048 + 1 rounds to 2048. */
  uint16_t big = 0x6800, one = 0x3c00, sum;
  const void *h[3] = {&big, &one, &one};
  ck_assert(
      !gs_reduce_many(GS_FLOAT16, GS_REDUCE_SUM, 3, h, &sum, 1, NULL));
  ck_assert_int_eq(sum, 0x6801);
  ck_assert_int_eq(
      gs_reduce_many(GS_COMPLEX64, GS_REDUCE_SUM, 2, in, y, 1, NULL),
      GS_UNSUPPORTED);
  ck_assert_int_eq(gs_reduce_many(GS_INT4, GS_REDUCE_SUM, 2, in, y, 1, NULL),
                   GS_UNSUPPORTED);
}
END_TEST

START_TEST(test_parts) {
  for (int64_t total = 0; total < 1000; total += 37)
    for (int n = 1; n < 9; n++) {
      int64_t at = 0, first, count;
      for (int i = 0; i < n; i++) {
        gs_reduce_part(total, n, i, &first, &count);
        ck_assert_int_eq(first, at);
        ck_assert_int_ge(count, 0);
        at += count;
      }
      ck_assert_int_eq(at, total);
    }
}
END_TEST

/* A permutation's source and target are inverse, and the block that p gets is
 * the one that it owns under `to`. */
START_TEST(test_permute_source) {
  static const char *const pairs[][2] = {
      {"{a,~}", "{b,~}"},     {"{[a,b],~}", "{[b,a],~}"},
      {"{a,b}", "{b,a}"},     {"{[a,c],~}", "{[a,b],~}"},
      {"{a,[b,c]}", "{c,[a,b]}"}, {"{a,~}", "{a,~}"}};
  gs_arena a;
  gs_arena_init(&a);
  gs_mesh m = mesh_of(8);
  for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
    gs_sharding *from, *to;
    ck_assert(!gs_sharding_parse(&a, &m, pairs[k][0], &from, NULL));
    ck_assert(!gs_sharding_parse(&a, &m, pairs[k][1], &to, NULL));
    for (int64_t p = 0; p < 8; p++) {
      int64_t q, back;
      ck_assert(!gs_permute_source(&m, from, to, p, &q, NULL));
      ck_assert(!gs_permute_source(&m, to, from, q, &back, NULL));
      ck_assert_int_eq(back, p);
      for (int d = 0; d < 2; d++) {
        int64_t at, n, want, count;
        gs_sharding_range(&m, from, d, 24, q, &at, &n);
        gs_sharding_range(&m, to, d, 24, p, &want, &count);
        ck_assert_int_eq(at, want);
        ck_assert_int_eq(n, count);
      }
    }
  }
  gs_arena_free(&a);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("comm");
  TCase *t = tcase_create("comm");
  tcase_set_timeout(t, 1200);
  tcase_add_loop_test(t, test_threads, 1, 5);
  tcase_add_loop_test(t, test_threads, 8, 9);
  tcase_add_loop_test(t, test_differ, 0, 4);
  tcase_add_test(t, test_failure);
  tcase_add_test(t, test_reduce_many);
  tcase_add_test(t, test_parts);
  tcase_add_test(t, test_permute_source);
  suite_add_tcase(s, t);
  return s;
}

/* A line for each number of devices that the ranks can share evenly. */
static int print_digests(void) {
  gs_arena a;
  gs_arena_init(&a);
  gs_world *w = NULL;
  if (gs_world_launched()) {
    gs_status s = gs_world_init(&a, 600, &w, NULL);
    if (s) return (int)s;
    if (getenv("GS_TEST_CHUNK"))
      gs_world_chunk(w, (size_t)atoi(getenv("GS_TEST_CHUNK")));
    const char *most = getenv("GS_TEST_SHARE");
    s = gs_world_share(w, &a, most ? atoi(most) : 0, NULL);
    if (s) return (int)s;
  }
  for (int n = 1; n <= MOST; n *= 2) {
    if (w && n % w->nrank) continue;
    uint64_t digest = run(n, w, everything, false);
    if (!w || w->rank == 0) {
      for (int r = 1; w && r < w->nrank; r++) {
        uint64_t other;
        if (gs_world_recv(w, r, &other, sizeof other, NULL)) return 1;
        digest += other;
      }
      printf("%d devices: %016llx\n", n, (unsigned long long)digest);
    } else if (gs_world_send(w, 0, &digest, sizeof digest, NULL)) {
      return 1;
    }
  }
  if (w && gs_world_finalize(w, NULL)) return 1;
  gs_arena_free(&a);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "digest")) return print_digests();
  SRunner *r = srunner_create(suite());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
