/* Forms: ranges against the numbers of the design's executable form, text that
 * reads back in, invariants that must be refused, and what serves what. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph/graph.h"
#include "ir/mesh/placement.h"
#include "suite.h"

static gs_arena arena;
static gs_err err;
static gs_mesh mesh;

static void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
  ck_assert(!gs_mesh_parse("mesh {dp=2, tp=4}", &arena, &mesh, &err));
}

static void teardown(void) {
  gs_err_free(&err);
  gs_arena_free(&arena);
}

static gs_form *form_of(const char *text) {
  gs_form *f = NULL;
  ck_assert_msg(!gs_form_parse(&arena, &mesh, &text, &f, &err), "%s", text);
  ck_assert_str_eq(text, "");
  return f;
}

/* ---- ranges ---- */

typedef struct numbers {
  int64_t m, a, b, c, e;
  const char *text;
  int64_t first[6];
} numbers;

/* By hand from exchange.py: exchange(.., a, b, c) of devices 0 to 5. */
static const numbers cases[] = {
    /* Conv of 16 over 4: stride 1, pad 1, W = 4: (4*i - 1)/1 */
    {1, 4, -1, 1, 0, "4*i-1", {-1, 3, 7, 11, 15, 19}},
    /* stride 2, pad 2, W = 3: s*W*i - p */
    {1, 6, -2, 1, 0, "6*i-2", {-2, 4, 10, 16, 22, 28}},
    /* ConvTranspose, W = 4, p = 1, span = 3, s = 2: floor((4i + 0)/2) */
    {1, 4, 0, 2, 0, "2*i", {0, 2, 4, 6, 8, 10}},
    /* W = 3, p = 0, span = 4, s = 3: floor((3i - 1)/3) = i - 1 */
    {1, 3, -1, 3, 0, "i-1", {-1, 0, 1, 2, 3, 4}},
    /* W = 3, p = 1, span = 5, s = 2: floor((3i - 2)/2) */
    {1, 3, -2, 2, 0, "floor((3*i)/2)-1", {-1, 0, 2, 3, 5, 6}},
    {1, 3, -1, 2, 0, "floor((3*i+1)/2)-1", {-1, 1, 2, 4, 5, 7}},
    /* Slice from 9 with step -5, W = 2 */
    {1, -10, 9, 1, 0, "-10*i+9", {9, -1, -11, -21, -31, -41}},
    /* a range of rows of three */
    {3, 2, 1, 3, -1, "3*floor((2*i+1)/3)-1", {-1, 2, 2, 5, 8, 8}},
    {-2, 5, 1, 4, 3, "-2*floor((5*i+1)/4)+3", {3, 1, -1, -5, -7, -9}},
    /* signs and common factors go */
    {1, -6, -3, -4, 0, "floor((3*i+1)/2)", {0, 2, 3, 5, 6, 8}},
    {0, 5, 1, 4, 3, "3", {3, 3, 3, 3, 3, 3}},
    {1, 0, 7, 2, 0, "3", {3, 3, 3, 3, 3, 3}},
    {1, 1, 0, 1, 0, "i", {0, 1, 2, 3, 4, 5}},
    {1, -1, 0, 1, 0, "-i", {0, -1, -2, -3, -4, -5}},
};

START_TEST(ranges) {
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    const numbers *x = &cases[k];
    gs_held_range r = gs_held_range_of(x->m, x->a, x->b, x->c, x->e, 9);
    gs_held_range again = {0};
    for (int i = 0; i < 6; i++)
      ck_assert_int_eq(gs_held_range_first(&r, i), x->first[i]);
    gs_buf b;
    gs_buf_init(&b, &arena);
    gs_held_range_print(&b, &r);
    ck_assert_str_eq(b.at, x->text);
    const char *s = b.at;
    ck_assert(!gs_held_range_parse(&s, &again, &err));
    ck_assert_str_eq(s, "");
    again.length = 9;
    ck_assert(gs_held_range_equal(&r, &again));
  }
}
END_TEST

/* The normal spelling says the same as the numbers that it came from, and two
 * ranges that say the same have one spelling. */
START_TEST(ranges_normal) {
  for (int64_t m = -2; m <= 2; m++)
    for (int64_t a = -4; a <= 4; a++)
      for (int64_t b = -5; b <= 5; b++)
        for (int64_t c = 1; c <= 4; c++) {
          gs_held_range given = {m, a, b, c, 1, 2}, r = given;
          ck_assert(gs_held_range_normal(&r));
          ck_assert(r.c > 0 && r.b >= 0 && r.b < r.c);
          for (int64_t i = 0; i < 7; i++)
            ck_assert_int_eq(gs_held_range_first(&r, i),
                             gs_held_range_first(&given, i));
          gs_held_range twice = {m, 3 * a, 3 * b + 2, 3 * c, 1, 2};
          ck_assert(gs_held_range_normal(&twice));
          ck_assert(gs_held_range_equal(&r, &twice));
        }
  gs_held_range huge = {INT64_MAX, 1, 7, 2, 0, 0}, none = {1, 1, 1, 0, 0, 0};
  ck_assert(!gs_held_range_normal(&huge));
  ck_assert(!gs_held_range_normal(&none));
}
END_TEST

/* ---- what devices hold ---- */

static void held(const gs_form *f, int d, int64_t n, int64_t p, int64_t first,
                 int64_t length) {
  int64_t at, count;
  gs_form_held(&mesh, f, d, n, p, &at, &count);
  ck_assert_int_eq(at, first);
  ck_assert_int_eq(count, length);
}

START_TEST(blocks) {
  const gs_form *f = form_of("{[tp,dp],~}");
  int64_t dims[2] = {19, 5}, local[2];
  gs_form_local(&mesh, f, dims, local);
  ck_assert_int_eq(local[0], 3);
  ck_assert_int_eq(local[1], 5);
  ck_assert(gs_form_is_blocks(f));
  for (int64_t p = 0; p < 8; p++) {
    int64_t first, count, at, length;
    gs_sharding_range(&mesh, f->sharding, 0, 19, p, &first, &count);
    gs_form_held(&mesh, f, 0, 19, p, &at, &length);
    ck_assert_int_eq(length, 3);
    if (count) ck_assert_int_eq(at, first);
    else ck_assert_int_ge(at, 19);
    held(f, 1, 5, p, 0, 5);
  }
  ck_assert_uint_eq(gs_form_padded(&mesh, f, dims), 1);
  dims[0] = 24;
  ck_assert_uint_eq(gs_form_padded(&mesh, f, dims), 0);
}
END_TEST

START_TEST(windows) {
  /* a convolution over 16 rows on tp: blocks of four and a row either side */
  const gs_form *f = form_of("{tp,~} window(0:4*i-1,6)");
  int64_t dims[2] = {16, 3}, local[2];
  gs_form_local(&mesh, f, dims, local);
  ck_assert_int_eq(local[0], 6);
  ck_assert_int_eq(local[1], 3);
  held(f, 0, 16, 0, -1, 6); /* dp 0, tp 0 */
  held(f, 0, 16, 3, 11, 6); /* dp 0, tp 3 */
  held(f, 0, 16, 6, 7, 6);  /* dp 1, tp 2 */
  ck_assert_uint_eq(gs_form_padded(&mesh, f, dims), 1);
  /* every device holds the same: no axes */
  const gs_form *same = form_of("{~} window(0:3,2)");
  held(same, 0, 8, 5, 3, 2);
  int64_t eight = 8;
  ck_assert_uint_eq(gs_form_padded(&mesh, same, &eight), 0);
  /* inside of the tensor on all devices */
  const gs_form *inside = form_of("{dp} window(0:3*i+1,4)");
  ck_assert_uint_eq(gs_form_padded(&mesh, inside, &eight), 0);
  const gs_form *falls = form_of("{dp} window(0:-4*i+4,4)");
  ck_assert_uint_eq(gs_form_padded(&mesh, falls, &eight), 0);
  falls = form_of("{dp} window(0:-5*i+4,4)");
  ck_assert_uint_eq(gs_form_padded(&mesh, falls, &eight), 1);
}
END_TEST

START_TEST(hold) {
  gs_form f = gs_form_of(form_of("{tp,dp}")->sharding);
  gs_held_range window = gs_held_range_of(1, 4, -1, 1, 0, 6);
  gs_held_range block = gs_held_range_of(1, 4, 0, 1, 0, 4);
  gs_form wide = gs_form_hold(&arena, &mesh, &f, 0, 16, &window);
  ck_assert_str_eq(gs_form_text(&arena, &mesh, &wide),
                   "{tp,dp} window(0:4*i-1,6)");
  ck_assert(!gs_form_equal(&wide, &f));
  gs_form back = gs_form_hold(&arena, &mesh, &wide, 0, 16, &block);
  ck_assert(gs_form_equal(&back, &f) && !back.window);
  /* one device: whatever a is */
  gs_form one = gs_form_of(form_of("{~}")->sharding);
  gs_held_range whole = gs_held_range_of(1, 3, 0, 1, 0, 7);
  one = gs_form_hold(&arena, &mesh, &one, 0, 7, &whole);
  ck_assert(gs_form_is_blocks(&one));
}
END_TEST

/* ---- text ---- */

static const char *const texts[] = {
    "{}",
    "{tp,~}",
    "{tp,~} partial(sum,dp)",
    "{tp,~} window(0:4*i-1,6)",
    "{~,[dp,tp]} window(0:2,3) window(1:2*floor((3*i+1)/2)-1,5) padding(0)",
    "{tp,~} padding(-inf,0)",
    "{~,dp,~} replicated(tp) padding(1,0,2)",
    "{tp,dp} padding(0)",
};

START_TEST(round_trips) {
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
    gs_form *f = form_of(texts[k]), *copy = gs_form_copy(&arena, f);
    ck_assert_str_eq(gs_form_text(&arena, &mesh, f), texts[k]);
    ck_assert(gs_form_equal(f, copy) && gs_form_equal(copy, f));
    ck_assert_str_eq(gs_form_text(&arena, &mesh, copy), texts[k]);
  }
}
END_TEST

static const char *const bad_texts[] = {
    "tp",
    "{tp} window(1:i,2)",          /* no such dim */
    "{tp} window(0:i,2) window(0:i,3)",
    "{tp} window(0:x,2)",
    "{tp} window(0:floor((i)/0),2)",
    "{tp} window(0:i)",
    "{tp} window(0:i,2",
    "{tp} window(0:99999999999999999999*i,2)",
    "{tp} window(0:4611686018427387904*floor((i+9)/2),2)",
    "{tp} padding()",
    "{tp} padding(nan)",
    "{tp} padding(0,1)",
    "{tp} padding(0,0",
};

START_TEST(text_bad) {
  for (size_t k = 0; k < sizeof bad_texts / sizeof *bad_texts; k++) {
    const char *s = bad_texts[k];
    gs_form *f;
    ck_assert_msg(gs_form_parse(&arena, &mesh, &s, &f, &err), "%s",
                  bad_texts[k]);
  }
}
END_TEST

/* ---- invariants ---- */

START_TEST(check_bad) {
  int64_t dims[2] = {16, 3};
  gs_form *f = form_of("{tp,~} window(0:4*i-1,6)");
  ck_assert(!gs_form_check(&mesh, f, 2, dims, "x", &err));
  ck_assert(gs_form_check(&mesh, f, 3, dims, "x", &err));
  gs_held_range w[2] = {{1, 4, -1, 1, 0, 6}}; /* b < 0 */
  gs_form g = *f;
  g.window = w;
  ck_assert_int_eq(gs_form_check(&mesh, &g, 2, dims, "x", &err), GS_INTERNAL);
  w[0] = (gs_held_range){1, 4, 0, 1, 0, 4}; /* the block */
  ck_assert_int_eq(gs_form_check(&mesh, &g, 2, dims, "x", &err), GS_INTERNAL);
  w[0] = (gs_held_range){1, 4, 0, 1, 0, -1};
  ck_assert_int_eq(gs_form_check(&mesh, &g, 2, dims, "x", &err), GS_INTERNAL);
  w[0] = (gs_held_range){1, INT64_MAX / 2, 0, 1, 0, 4}; /* device 3 */
  ck_assert_int_eq(gs_form_check(&mesh, &g, 2, dims, "x", &err), GS_INTERNAL);
  w[0] = (gs_held_range){1, 4, 0, 1, 1, 4};
  ck_assert(!gs_form_check(&mesh, &g, 2, dims, "x", &err));
  g.padding = (gs_padding){4, 0}; /* there is no dim 2 */
  ck_assert_int_eq(gs_form_check(&mesh, &g, 2, dims, "x", &err), GS_INTERNAL);
  g.padding = (gs_padding){0, 1};
  ck_assert_int_eq(gs_form_check(&mesh, &g, 2, dims, "x", &err), GS_INTERNAL);
  gs_sharding *twice = gs_sharding_copy(&arena, f->sharding);
  twice->dim[1] = twice->dim[0];
  g = gs_form_of(twice);
  ck_assert(gs_form_check(&mesh, &g, 2, dims, "x", &err));
}
END_TEST

/* ---- serving ---- */

typedef struct served {
  const char *have, *want;
  bool serves;
} served;

static const served pairs[] = { /* dims 6, 8 over tp=4, dp=2: dim 0 is uneven */
    {"{tp,dp}", "{tp,dp}", true},
    {"{tp,dp}", "{dp,tp}", false},
    {"{tp,dp} padding(0)", "{tp,dp}", true},
    {"{tp,dp}", "{tp,dp} padding(0)", false},
    {"{tp,dp}", "{tp,dp} padding(0,1)", true}, /* no padding along it */
    {"{tp,dp} padding(0,0)", "{tp,dp} padding(0)", true},
    {"{tp,dp} padding(0)", "{tp,dp} padding(-inf,0)", false},
    {"{tp,dp} padding(0)", "{tp,dp} padding(-inf,1)", true},
    {"{tp,dp} padding(0,1)", "{tp,dp} padding(0)", false},
    {"{tp,dp} window(0:2*i-1,4)", "{tp,dp}", false},
    {"{tp,dp} window(0:2*i-1,4)", "{tp,dp} window(0:2*i-1,4)", true},
    {"{tp,dp} window(0:2*i-1,4)", "{tp,dp} window(0:2*i-2,4)", false},
    {"{tp,~} partial(sum,dp)", "{tp,~}", false},
};

START_TEST(serving) {
  int64_t dims[2] = {6, 8};
  for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++)
    ck_assert_msg(gs_form_serves(&mesh, form_of(pairs[k].have),
                                 form_of(pairs[k].want),
                                 dims) == pairs[k].serves,
                  "%s as %s", pairs[k].have, pairs[k].want);
}
END_TEST

/* ---- places ---- */

START_TEST(places) {
  static const char *const text =
      "[16,3]{tp,~} window(0:4*i-1,6), _ -> [16,3]{tp,~}";
  gs_placement *pl = NULL;
  ck_assert(!gs_placement_parse(&arena, &mesh, text, &pl, &err));
  ck_assert_int_eq(pl->nin, 2);
  ck_assert_int_eq(pl->nout, 1);
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_placement_print(&b, &mesh, pl);
  ck_assert_str_eq(b.at, text);
  ck_assert_int_eq(gs_extent_first(&mesh, &pl->in[0], 0, 6), 7);
  ck_assert_int_eq(gs_extent_first(&mesh, &pl->out[0], 0, 6), 8);
  gs_buf_init(&b, &arena);
  gs_placement_print(&b, &mesh, gs_placement_fold(&arena, &mesh, pl, 6));
  ck_assert_str_eq(b.at,
                   "[16,3]{~,~} window(0:7,6), _ -> [16,3]{~,~} window(0:8,4)");
  static const char *const bad[] = {
      "",          "[16]{tp}",      "[16]{tp} -> [16", "[x]{tp} ->",
      "[16]tp ->", "[16]{tp} -> ?", "[16,3]{tp} ->",
      "[16]{tp} window(0:4*i,4) ->"};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
    ck_assert_msg(gs_placement_parse(&arena, &mesh, bad[k], &pl, &err), "%s",
                  bad[k]);
}
END_TEST

/* ---- in graphs ---- */

START_TEST(in_graphs) {
  static const char *const text =
      "mesh {dp=2, tp=4}\n"
      "input x {~,~} : f32[16,3] of [16,3]\n"
      "y = Op(x) {tp,~} window(0:4*i-1,6) padding(0,0) : f32[6,3] of [16,3]\n"
      "z = Op(y) {tp,~} : f32[4,3] of [16,3]\n"
      "output z\n";
  gs_graph *g;
  ck_assert(!gs_graph_parse(&arena, text, "case", &g, &err));
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_graph_print(&b, g);
  ck_assert_str_eq(b.at, text);
  const gs_value *y = gs_graph_find(g, "y"), *z = gs_graph_find(g, "z");
  ck_assert(y->form && !z->form);
  gs_form *broken = gs_form_copy(&arena, y->form);
  broken->sharding = gs_sharding_new(&arena, 2, false);
  gs_graph *copy = gs_graph_copy(&arena, g);
  gs_buf_init(&b, &arena);
  gs_graph_print(&b, copy);
  ck_assert_str_eq(b.at, text);
  /* a form of another sharding, and other local dims */
  gs_graph_find(copy, "y")->form = broken;
  ck_assert_int_eq(gs_graph_check(copy, &err), GS_INTERNAL);
  copy = gs_graph_copy(&arena, g);
  gs_graph_find(copy, "y")->dims[0] = 4;
  ck_assert_int_eq(gs_graph_check(copy, &err), GS_INTERNAL);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("form");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, ranges);
  tcase_add_test(t, ranges_normal);
  tcase_add_test(t, blocks);
  tcase_add_test(t, windows);
  tcase_add_test(t, hold);
  tcase_add_test(t, round_trips);
  tcase_add_test(t, text_bad);
  tcase_add_test(t, check_bad);
  tcase_add_test(t, serving);
  tcase_add_test(t, places);
  tcase_add_test(t, in_graphs);
  return suite_run("form", t);
}
