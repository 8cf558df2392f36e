/* Sets of processors, and which of them the devices of a process keep to, on
 * machines that hwloc is told of. */
#include <stdlib.h>
#include <string.h>

#include "exec/run/pin.h"
#include "fixture.h"

static gs_cpus set_of(const int *at, int n) {
  gs_cpus s = {GS_NEWS(&arena, 16, uint64_t), 16};
  for (int i = 0; i < n; i++) gs_cpus_add(&s, at[i]);
  return s;
}

static const char *text(const gs_cpus *s) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_cpus_print(&b, s);
  return b.at;
}

START_TEST(test_sets) {
  gs_cpus s = set_of((int[]){0, 1, 2, 5, 63, 64, 300}, 7);
  ck_assert_str_eq(text(&s), "0-2,5,63,64,300");
  ck_assert_int_eq((int)gs_cpus_count(&s), 7);
  ck_assert_int_eq((int)gs_cpus_next(&s, 6), 63);
  ck_assert_int_eq((int)gs_cpus_next(&s, 301), -1);
  ck_assert(gs_cpus_has(&s, 300) && !gs_cpus_has(&s, 299));
  ck_assert(!gs_cpus_has(&s, 1 << 20));
  gs_cpus part = set_of((int[]){1, 300}, 2), other = set_of((int[]){3}, 1);
  ck_assert(gs_cpus_within(&part, &s) && !gs_cpus_within(&other, &s));
  gs_cpus_join(&part, &other);
  ck_assert_str_eq(text(&part), "1,3,300");
  gs_cpus none = gs_cpus_none(&arena, &s);
  ck_assert_str_eq(text(&none), "");
}
END_TEST

/* A thread may use what it is bound to, and then all of it again. */
START_TEST(test_bind) {
  gs_cpus all = gs_cpus_allowed(&arena), one = gs_cpus_none(&arena, &all);
  ck_assert(gs_cpus_count(&all) > 0);
  gs_cpus_add(&one, gs_cpus_next(&all, 0));
  ck_assert(gs_cpus_bind(&one));
  gs_cpus now = gs_cpus_allowed(&arena);
  ck_assert_str_eq(text(&now), text(&one));
  ck_assert(gs_cpus_bind(&all));
  now = gs_cpus_allowed(&arena);
  ck_assert_str_eq(text(&now), text(&all));
}
END_TEST

/* "0 1x2 ...": the processors of each device, and how many threads where these
 * are not one. */
static const char *placed(const gs_cpus *allowed, gs_bind_to how, int threads,
                          int me, int sharers, int n) {
  gs_world w = {.nsharer = sharers, .sharer = me};
  gs_pins p;
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_status s = gs_pins_make(&arena, allowed, how, threads, &w, n, &p, &err);
  ck_assert_msg(!s, "%s", messages());
  ck_assert(p.bound == (how != GS_BIND_NONE));
  for (int i = 0; i < n; i++) {
    gs_buf_printf(&b, "%s%s", i ? " " : "", text(&p.device[i].cpus));
    if (p.device[i].threads != 1)
      gs_buf_printf(&b, "x%d", p.device[i].threads);
    ck_assert(gs_cpus_within(&p.device[i].cpus, allowed));
  }
  return b.at;
}

/* Two sockets of two NUMA nodes of two cores of two processors. */
#define MACHINE "pack:2 numa:2 core:2 pu:2"
enum { ALL = 16 };

static gs_cpus whole(void) {
  int at[ALL];
  for (int i = 0; i < ALL; i++) at[i] = i;
  return set_of(at, ALL);
}

START_TEST(test_none) {
  gs_cpus all = whole();
  ck_assert_str_eq(placed(&all, GS_BIND_NONE, 0, 0, 1, 2), "0-15x8 0-15x8");
  ck_assert_str_eq(placed(&all, GS_BIND_NONE, 6, 0, 1, 2), "0-15x3 0-15x3");
  ck_assert_str_eq(placed(&all, GS_BIND_NONE, 0, 1, 4, 1), "0-15x4");
}
END_TEST

START_TEST(test_machine) {
  if (!gs_cores_known()) return;
  setenv("HWLOC_SYNTHETIC", MACHINE, 1);
  gs_cpus all = whole();
  ck_assert_str_eq(placed(&all, GS_BIND_CORE, 0, 0, 1, 8),
                   "0,1 2,3 4,5 6,7 8,9 10,11 12,13 14,15");
  ck_assert_str_eq(placed(&all, GS_BIND_CORE, 0, 0, 1, 2), "0-7x4 8-15x4");
  ck_assert_str_eq(placed(&all, GS_BIND_CORE, 2, 0, 1, 2), "0,1 8,9");
  ck_assert_str_eq(placed(&all, GS_BIND_SOCKET, 0, 0, 1, 2), "0-7x4 8-15x4");
  ck_assert_str_eq(placed(&all, GS_BIND_SOCKET, 0, 0, 1, 4),
                   "0-7x2 0-7x2 8-15x2 8-15x2");
  ck_assert_str_eq(placed(&all, GS_BIND_SOCKET, 0, 0, 1, 1), "0-15x8");
  ck_assert_str_eq(placed(&all, GS_BIND_NUMA, 0, 0, 1, 4),
                   "0-3x2 4-7x2 8-11x2 12-15x2");
  /* ranks that share the machine */
  ck_assert_str_eq(placed(&all, GS_BIND_SOCKET, 0, 1, 2, 1), "8-15x4");
  ck_assert_str_eq(placed(&all, GS_BIND_SOCKET, 0, 3, 4, 1), "8-15x2");
  ck_assert_str_eq(placed(&all, GS_BIND_CORE, 0, 3, 4, 2), "12,13 14,15");
  /* more devices than cores */
  ck_assert_str_eq(placed(&all, GS_BIND_CORE, 0, 7, 8, 2), "14,15 14,15");
}
END_TEST

/* What the process may not use is given to nobody. */
START_TEST(test_mask) {
  if (gs_cores_known()) setenv("HWLOC_SYNTHETIC", MACHINE, 1);
  gs_cpus some = set_of((int[]){1, 3, 8}, 3);
  ck_assert_str_eq(placed(&some, GS_BIND_CORE, 0, 0, 1, 3), "1 3 8");
  ck_assert_str_eq(placed(&some, GS_BIND_CORE, 0, 0, 1, 1), "1,3,8x3");
  if (!gs_cores_known()) return;
  ck_assert_str_eq(placed(&some, GS_BIND_SOCKET, 0, 0, 1, 2), "1,3x2 8");
  ck_assert_str_eq(placed(&some, GS_BIND_NUMA, 0, 0, 1, 3), "1,3 1,3 8");
}
END_TEST

/* hwloc may know less than the system: each processor is then a core. */
START_TEST(test_unknown) {
  if (!gs_cores_known()) return;
  setenv("HWLOC_SYNTHETIC", "pack:1 core:2 pu:1", 1);
  gs_cpus some = set_of((int[]){0, 1, 2, 3}, 4);
  ck_assert_str_eq(placed(&some, GS_BIND_CORE, 0, 0, 1, 4), "0 1 2 3");
  ck_assert_str_eq(placed(&some, GS_BIND_SOCKET, 0, 0, 1, 1), "0-3x4");
}
END_TEST

START_TEST(test_not_known) {
  gs_cpus all = whole();
  gs_pins p;
  if (gs_cores_known()) return;
  ck_assert(gs_pins_make(&arena, &all, GS_BIND_SOCKET, 0, NULL, 1, &p, &err) ==
            GS_UNSUPPORTED);
  ck_assert(strstr(messages(), "without hwloc"));
}
END_TEST

int main(void) {
  TCase *t = tcase_create("pin");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, test_sets);
  tcase_add_test(t, test_bind);
  tcase_add_test(t, test_none);
  tcase_add_test(t, test_machine);
  tcase_add_test(t, test_mask);
  tcase_add_test(t, test_unknown);
  tcase_add_test(t, test_not_known);
  return suite_run("pin", t);
}
