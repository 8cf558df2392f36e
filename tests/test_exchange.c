/* Exchanges: what each device takes, gives and fills, against a model that
 * looks at one place after another; bytes; numbers that must be refused. */
#include <string.h>

#include "base/math.h"
#include "exchange_model.h"
#include "suite.h"

static gs_arena arena;
static gs_err err;
static gs_mesh mesh;
static uint32_t state;

static void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
  state = 2463534242u;
}

static void teardown(void) {
  gs_err_free(&err);
  gs_arena_free(&arena);
}

static int64_t any(int64_t lo, int64_t hi) {
  return model_any(&state, lo, hi);
}

/* ---- plans against it ---- */

static void lay(const gs_exchange *x, const gs_exchange_plan *plan, int peer,
                int64_t p, model_place *got) {
  gs_exchange_peer *t = &plan->take[peer];
  int64_t sum = 0;
  for (int k = 0; k < t->n; k++) {
    const gs_exchange_piece *c = &t->piece[k];
    const gs_exchange_source *s = &x->source[c->source];
    for (int64_t q = 0; q < c->count; q++) {
      model_place *at = &got[c->place + q * gs_exchange_apart(x, c)];
      ck_assert(!at->wanted);
      int64_t local = c->at + c->delta * q;
      ck_assert(local >= 0 &&
                local < (s->block ? s->block : s->first + s->n));
      *at = (model_place){.giver = -1, .source = c->source, .elem = local};
      at->wanted = true;
      at->elem -= s->first;
      if (!s->block) continue;
      at->giver = gs_axes_peer(&mesh, &x->from, p, peer);
      at->elem += peer * s->block;
    }
    sum += c->count;
  }
  ck_assert_int_eq(sum, t->elements);
}

static void check_device(const gs_exchange *x, const gs_exchange_plan *plan,
                         int64_t p, int64_t *sent) {
  model_place got[64] = {0};
  for (int k = 0; k < plan->npeer; k++) lay(x, plan, k, p, got);
  for (int k = 0; k < plan->nfill; k++)
    for (int64_t q = 0; q < plan->fill[k].count; q++) {
      model_place *at = &got[plan->fill[k].place + q];
      ck_assert(!at->wanted);
      *at = (model_place){.giver = -1, .source = -1, .wanted = true};
    }
  bool all = x->fill == GS_FILL_VALUE || x->fill == GS_FILL_OPERAND;
  for (int64_t j = 0; j < x->range.length; j++) {
    model_place want = model_place_of(&mesh, x, p, j);
    bool itself = want.source >= 0 && (want.giver < 0 || want.giver == p);
    bool within = j < gs_exchange_wanted(x, gs_axes_index(&mesh, &x->to, p));
    bool made = within && (itself || want.source < 0);
    bool behind = all && !within;
    ck_assert_int_eq(want.wanted || behind || made, got[j].wanted);
    if (behind) ck_assert_int_eq(got[j].source, -1);
    if (!want.wanted) continue;
    ck_assert_int_eq(want.source, got[j].source);
    if (want.source < 0) continue;
    ck_assert_int_eq(want.elem, got[j].elem);
    ck_assert_int_eq(want.giver, got[j].giver);
    if (want.giver >= 0 && want.giver != p) sent[want.giver]++;
  }
}

static void same_pieces(const gs_exchange_peer *a, const gs_exchange_peer *b) {
  ck_assert_int_eq(a->n, b->n);
  ck_assert_int_eq(a->elements, b->elements);
  for (int k = 0; k < a->n; k++) {
    const gs_exchange_piece *c = &a->piece[k], *d = &b->piece[k];
    ck_assert(c->source == d->source && c->at == d->at &&
              c->delta == d->delta && c->count == d->count &&
              c->place == d->place);
  }
}

static void check_exchange(const gs_exchange *x) {
  gs_exchange_plan *plan[16];
  int64_t sent[16] = {0}, most = 0;
  for (int64_t p = 0; p < mesh.ndevice; p++)
    plan[p] = gs_exchange_plan_of(&arena, &mesh, x, p);
  for (int64_t p = 0; p < mesh.ndevice; p++) {
    check_device(x, plan[p], p, sent);
    ck_assert_int_eq(plan[p]->give[plan[p]->me].n, 0);
    for (int k = 0; k < plan[p]->npeer; k++) {
      if (k == plan[p]->me) continue;
      const gs_exchange_plan *q =
          plan[gs_axes_peer(&mesh, &x->from, p, k)];
      ck_assert_int_eq(q->me, k);
      same_pieces(&plan[p]->take[k], &q->give[plan[p]->me]);
    }
  }
  for (int64_t p = 0; p < mesh.ndevice; p++) most = gs_max(most, sent[p]);
  ck_assert_int_eq(gs_exchange_sent(&mesh, x), most);
}

static const char *const meshes[] = {
    "mesh {a=2}",      "mesh {a=3}",           "mesh {a=2, b=2}",
    "mesh {a=2, b=3}", "mesh {a=2, b=2, c=2}", "mesh {a=8}",
    "mesh {a=1}",      "mesh {a=5}",           "mesh {a=3, b=4}",
    "mesh {a=4, z=[2,0,1,3]}",   "mesh {a=2, b=3, z=[0,5,1,4,2,3]}"};

START_TEST(random_numbers) {
  int refused = 0;
  for (int k = 0; k < 6000; k++) {
    const char *text = meshes[(unsigned)k % (sizeof meshes / sizeof *meshes)];
    ck_assert(!gs_mesh_parse(text, &arena, &mesh, &err));
    gs_exchange_source s[4];
    gs_exchange x = model_exchange(&state, &mesh, s);
    if (gs_exchange_check(&mesh, &x, "it", NULL)) refused++;
    else check_exchange(&x);
    gs_arena_reset(&arena);
  }
  ck_assert_int_lt(refused, 600); /* reflections of nothing */
}
END_TEST

/* ---- numbers from what outputs need ---- */

static void check_reach(const gs_exchange *x) {
  const gs_reach *r = &x->reach;
  int64_t devices = gs_axes_size(&mesh, &x->to), outputs = 0;
  for (int64_t i = 0; i < devices; i++) {
    int64_t first = gs_held_range_first(&x->range, i), need = 0;
    for (int64_t o = x->width * i; o < x->width * (i + 1); o++) {
      if (o >= r->count) break;
      int64_t lo = gs_floor_div(r->num * o + r->first, r->den);
      int64_t hi = gs_floor_div(r->num * o + r->last, r->den);
      ck_assert((lo - first) % x->step == 0 && (lo - first) / x->step >= 0);
      ck_assert((hi - first) / x->step < x->range.length);
      need = gs_max(need, (hi - first) / x->step + 1);
      outputs++;
    }
    ck_assert_int_eq(gs_exchange_wanted(x, i), need);
  }
  ck_assert_int_eq(outputs, r->count);
}

START_TEST(from_reach) {
  for (int k = 0; k < 4000; k++) {
    const char *text = meshes[(unsigned)k % (sizeof meshes / sizeof *meshes)];
    ck_assert(!gs_mesh_parse(text, &arena, &mesh, &err));
    gs_axes to = model_axes(&state, &mesh);
    gs_reach r = {.count = any(0, 40), .num = any(1, 5), .den = any(1, 4)};
    if (!any(0, 3)) r.num = -r.num;
    r.first = r.last = any(-9, 9);
    r.apart = any(0, 3);
    bool copies = any(0, 1);
    if (copies) {
      r.den = 1;
      r.apart = 0;
    } else {
      r.last += any(0, 6);
      if (r.num < 0) r.apart = 0;
    }
    gs_exchange x = gs_exchange_of(&mesh, &to, &r, copies);
    int64_t givers = gs_axes_size(&mesh, &to);
    gs_exchange_source s = {.n = 30, .block = gs_ceil_div(30, givers)};
    x.from = to;
    x.nsource = 1;
    x.source = &s;
    ck_assert_msg(!gs_exchange_check(&mesh, &x, "it", &err), "%s",
                  err.n ? err.diag[0].text : "");
    check_reach(&x);
    gs_arena_reset(&arena);
  }
}
END_TEST

/* By hand: a convolution of 16 over 4 with stride 1 and pads of 1 receives one
 * element from each side; a ConvTranspose of design 5.1; a dim of 5 in blocks
 * of 2 brought to blocks of 3. */
START_TEST(by_hand) {
  ck_assert(!gs_mesh_parse("mesh {a=4}", &arena, &mesh, &err));
  gs_axes a = gs_axes_named(&mesh, 0);
  gs_reach conv = {16, 1, 1, -1, 1, 0};
  gs_exchange x = gs_exchange_of(&mesh, &a, &conv, false);
  gs_exchange_source s = {16, 4, 0, 0};
  x.from = a;
  x.nsource = 1;
  x.source = &s;
  gs_held_range six = gs_held_range_of(1, 4, -1, 1, 0, 6);
  ck_assert(gs_held_range_equal(&x.range, &six));
  ck_assert_int_eq(gs_exchange_sent(&mesh, &x), 2);
  gs_exchange_plan *p = gs_exchange_plan_of(&arena, &mesh, &x, 1);
  ck_assert_int_eq(p->take[0].elements, 1);
  ck_assert_int_eq(p->take[0].piece[0].at, 3);
  ck_assert_int_eq(p->take[2].piece[0].place, 5);
  /* pads 0, kernel 3, stride 2: outputs 4i .. 4i+3 of inputs 2i-1 .. 2i+1 */
  gs_reach transposed = {33, 1, 2, -1, 0, 0};
  x = gs_exchange_of(&mesh, &a, &transposed, false);
  gs_held_range r = gs_held_range_of(1, 9, -1, 2, 0, 6);
  ck_assert_int_eq(x.width, 9);
  ck_assert(gs_held_range_equal(&x.range, &r));

  ck_assert(!gs_mesh_parse("mesh {x=2, y=2}", &arena, &mesh, &err));
  gs_axes xy = gs_axes_cat(&(gs_axes){1, {0}}, &(gs_axes){1, {1}});
  x = gs_exchange_blocks(&mesh, &(gs_axes){1, {0}}, 5);
  gs_exchange_source five = {5, 2, 0, 0};
  x.from = xy;
  x.nsource = 1;
  x.source = &five;
  ck_assert_int_eq(x.range.length, 3);
  ck_assert_int_eq(gs_exchange_sent(&mesh, &x), 3);
}
END_TEST

/* ---- two as one ---- */

/* y makes source k of x. */
static bool inner_exchange(const gs_exchange *x, int k, gs_exchange *y,
                           gs_exchange_source *s) {
  const gs_exchange_source *made = &x->source[k];
  gs_axes to = made->block ? x->from : (gs_axes){0};
  *y = model_exchange(&state, &mesh, s);
  y->to = to;
  y->step = 1;
  y->reach = (gs_reach){0};
  y->width = 0;
  y->range = gs_held_range_of(1, made->block, any(-6, 6), 1, 0,
                              made->block ? made->block
                                          : made->first + made->n);
  return !gs_exchange_check(&mesh, y, "it", NULL);
}

/* What place j of device p holds, by way of y. */
static model_place through(const gs_exchange *x, int k, const gs_exchange *y,
                           int64_t p, int64_t j) {
  model_place at = model_place_of(&mesh, x, p, j);
  if (at.source != k) return at;
  const gs_exchange_source *s = &x->source[k];
  int64_t e = s->first + at.elem, i = s->block ? e / s->block : 0;
  int64_t q = s->block ? gs_axes_peer(&mesh, &x->from, p, i) : p;
  bool wanted = at.wanted;
  at = model_place_of(&mesh, y, q, s->block ? e % s->block : e);
  at.source += at.source < 0 ? 0 : 100;
  at.wanted = wanted;
  return at;
}

static void check_join(const gs_exchange *x, int k, const gs_exchange *y,
                       const gs_exchange *both,
                       const gs_exchange_origin *origin) {
  ck_assert(!gs_exchange_check(&mesh, both, "both", NULL));
  for (int64_t p = 0; p < mesh.ndevice; p++)
    for (int64_t j = 0; j < x->range.length; j++) {
      model_place want = through(x, k, y, p, j);
      model_place got = model_place_of(&mesh, both, p, j);
      ck_assert_int_eq(want.wanted, got.wanted);
      if (got.source < 0 || !got.wanted) {
        ck_assert(!got.wanted || want.source < 0);
        continue;
      }
      const gs_exchange_origin *o = &origin[got.source];
      const gs_exchange *of = o->inner ? y : x;
      int64_t first = both->source[got.source].first;
      ck_assert_int_eq(want.source, o->inner ? 100 + o->source : o->source);
      ck_assert_int_eq(of->source[o->source].first + want.elem,
                       first + got.elem);
    }
}

START_TEST(joined) {
  int count = 0;
  for (int n = 0; n < 12000; n++) {
    const char *text = meshes[(unsigned)n % (sizeof meshes / sizeof *meshes)];
    gs_exchange_source s[4], t[4];
    gs_exchange y, both;
    gs_exchange_origin *origin;
    gs_arena_reset(&arena);
    ck_assert(!gs_mesh_parse(text, &arena, &mesh, &err));
    gs_exchange x = model_exchange(&state, &mesh, s);
    if (gs_exchange_check(&mesh, &x, "it", NULL)) continue;
    int k = (int)any(0, x.nsource - 1);
    if (!inner_exchange(&x, k, &y, t)) continue;
    if (!gs_exchange_join(&arena, &mesh, &x, k, &y, &both, &origin)) continue;
    check_join(&x, k, &y, &both, origin);
    check_exchange(&both);
    count++;
  }
  ck_assert_int_gt(count, 1000);
}
END_TEST

/* ---- what is refused ---- */

static void refused(const gs_exchange *x, const char *why) {
  gs_err_free(&err);
  gs_err_init(&err);
  ck_assert_int_eq(gs_exchange_check(&mesh, x, "node 'e'", &err), GS_DATA);
  ck_assert_str_eq(err.diag[0].text, why);
}

#define BAD(change, why)                                                       \
  do {                                                                         \
    gs_exchange x = good;                                                      \
    gs_exchange_source s[2] = {{8, 4, 0, 0}, {4, 2, 8, 0}};                    \
    x.source = s;                                                              \
    change;                                                                    \
    refused(&x, why);                                                          \
  } while (0)

START_TEST(bad_numbers) {
  ck_assert(!gs_mesh_parse("mesh {a=2, b=3, z=[1,0,2,3,4,5]}", &arena, &mesh,
                           &err));
  gs_axes a = gs_axes_named(&mesh, 0);
  gs_exchange good = gs_exchange_blocks(&mesh, &a, 12);
  gs_exchange_source two[2] = {{8, 4, 0, 0}, {4, 2, 8, 0}};
  int64_t big = INT64_MAX;
  good.from = a;
  good.nsource = 2;
  good.source = two;
  ck_assert(!gs_exchange_check(&mesh, &good, "it", &err));
  BAD(x.step = 0, "a range of 6 places with divisor 1 and step 0");
  BAD(x.step = INT64_MIN, "the range does not fit in 60 bits");
  BAD(x.range.c = 0, "a range of 6 places with divisor 0 and step 1");
  BAD(x.range.length = -1, "a range of -1 places with divisor 1 and step 1");
  BAD(x.range.length = big, "the range does not fit in 60 bits");
  BAD(x.range.a = big, "the range does not fit in 60 bits");
  BAD(x.range.e = big, "the range does not fit in 60 bits");
  BAD(x.width = 5, "2 devices with a width of 5 do not hold 12 outputs");
  BAD(x.width = big, "2 devices with a width of 9223372036854775807 do not "
                     "hold 12 outputs");
  BAD(x.reach.den = 0, "outputs cannot reach floor((1*o + 0)/0) to "
                       "floor((1*o + 0)/0)");
  BAD(x.reach.first = 1, "outputs cannot reach floor((1*o + 1)/1) to "
                         "floor((1*o + 0)/1)");
  BAD((x.reach.num = -1, x.reach.apart = 2),
      "outputs with -1*o and step 1 cannot need elements 2 apart");
  BAD(x.reach.apart = -1,
      "outputs with 1*o and step 1 cannot need elements -1 apart");
  BAD((x.step = 2, x.reach.apart = 2),
      "outputs with 1*o and step 2 cannot need elements 2 apart");
  BAD(x.reach.apart = big, "the reach does not fit in 60 bits");
  BAD(x.reach.num = big, "the reach does not fit in 60 bits");
  BAD(x.nsource = 0, "an exchange of nothing");
  BAD(s[0].block = 3, "source 0: 8 elements from 0 on cannot lie in blocks of "
                      "3 on 2 devices");
  BAD(s[0].n = -1, "source 0: -1 elements from 0 on cannot lie in blocks of 4 "
                   "on 2 devices");
  BAD(s[1].block = big, "source 1: 4 elements from 0 on cannot lie in blocks "
                        "of 9223372036854775807 on 2 devices");
  BAD(s[1].shift = 7, "source 1 begins at element 7, before source 0 ends at "
                      "8");
  BAD(s[1].shift = big, "source 1: elements 9223372036854775807 to "
                        "9223372036854775807 + 4 do not fit in 60 bits");
  BAD(x.fill = GS_FILL_EDGE, "fill 'edge' is for one source without a shift");
  BAD((x.fill = GS_FILL_WRAP, x.nsource = 1, s[0].shift = 1),
      "fill 'wrap' is for one source without a shift");
  BAD((x.fill = GS_FILL_WRAP, x.nsource = 1, s[0].n = 0),
      "fill 'wrap' of no elements");
  BAD((x.fill = GS_FILL_REFLECT, x.nsource = 1, x.range.e = 10000000),
      "fill 'reflect' repeats 8 elements more than 1048576 times");
  BAD((x.to.n = 2, x.to.at[1] = x.to.at[0]), "'to' names an axis twice");
  BAD((x.to.n = 2, x.to.at[1] = 2), "'to' names axes of two device orders");
}
END_TEST

int main(void) {
  TCase *t = tcase_create("exchange");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, random_numbers);
  tcase_add_test(t, from_reach);
  tcase_add_test(t, by_hand);
  tcase_add_test(t, joined);
  tcase_add_test(t, bad_numbers);
  return suite_run("exchange", t);
}
