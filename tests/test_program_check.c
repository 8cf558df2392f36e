/* The verifier of compiled programs: what the compiler makes passes, and what
 * has been broken by hand is refused. */
#include <string.h>

#include "exec/compile/part.h"
#include "exec/compile/program_check.h"
#include "exec/step/step.h"
#include "fixture.h"
#include "graphs.h"

/* For `count` devices from position `first` on. */
static gs_program *compile_for(const char *text, int64_t first, int64_t count,
                               gs_schedule schedule) {
  gs_compile how = {.kinds = gs_step_kinds, .first = first, .n = count,
                    .schedule = schedule};
  gs_graph *g;
  gs_program *p = NULL;
  gs_status s = graph_read(&arena, text, "case", &g, &err);
  if (!s) s = gs_program_new(&arena, g, &how, &p, &err);
  ck_assert_msg(!s, "%s", err.n ? err.diag[0].text : "");
  return p;
}

static gs_program *compile(const char *text) {
  return compile_for(text, 0, 1, GS_WAIT_NEXT);
}

static gs_status check(const gs_program *p, int64_t n) {
  return gs_program_check(&p, 1, 0, n, &err);
}

static gs_buffer *buffer(gs_program *p, const char *name) {
  return gs_program_buffer(p, gs_graph_find(p->g, name));
}

/* MatMul has no result in place: a, b and c have buffers of their own. */
static const char *const chain =
    "input x : f32[4,4]\n"
    "constant w : f32[4,4] = [1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1]\n"
    "a = MatMul(x, w) : f32[4,4]\n"
    "b = MatMul(a, w) : f32[4,4]\n"
    "r = Reshape(b, s) : f32[16]\n"
    "c = MatMul(a, b) : f32[4,4]\n"
    "d = Relu(c) : f32[4,4]\n"
    "e = Add(r, r) : f32[16]\n"
    "output d\n"
    "output e\n";

static gs_program *chain_program(void) {
  char text[1000];
  snprintf(text, sizeof text, "constant s : i64[1] = [16]\n%s", chain);
  return compile(text);
}

/* In the turns of the other. */
static void swap_steps(gs_program *p, int i, int k) {
  gs_step *a = &p->step.at[i], *b = &p->step.at[k], s = *a;
  *a = *b;
  a->start = s.start;
  a->wait = s.wait;
  s.start = b->start;
  s.wait = b->wait;
  *b = s;
}

START_TEST(compiled) { ck_assert(!check(chain_program(), 1)); }
END_TEST

START_TEST(overlapping) {
  gs_program *p = chain_program();
  buffer(p, "b")->offset = buffer(p, "a")->offset;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
  p = chain_program();
  buffer(p, "b")->offset = buffer(p, "a")->offset + 32;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

START_TEST(outside) {
  gs_program *p = chain_program();
  p->arena_size = buffer(p, "a")->offset + 16;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

START_TEST(read_before_write) {
  gs_program *p = chain_program();
  swap_steps(p, 0, 1);
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

/* An output must be there, and stay there. */
START_TEST(output_lost) {
  gs_program *p = chain_program();
  p->step.n--;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

/* a, which is read later, becomes the memory of b. */
START_TEST(written_over) {
  gs_program *p = chain_program();
  int a = gs_graph_find(p->g, "a")->id, b = gs_graph_find(p->g, "b")->id;
  p->buffer[b].root = a;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

START_TEST(read_once) {
  gs_program *p = chain_program();
  p->step.at[0].once = true;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

/* ---- collectives ---- */

static const char *const spmd =
    "mesh {dp=2, tp=2}\n"
    "input x {~,~} : f32[4,4] of [4,4]\n"
    "a = ai.gshard.Shard(x) split=\"{dp,tp}\" {dp,tp} : f32[2,2] of [4,4]\n"
    "b = ai.gshard.AllGather(a) axes=\"tp\" dim=1 size=4 {dp,~} : f32[2,4]"
    " of [4,4]\n"
    "c = ai.gshard.AllToAll(b) axes=\"dp\" split_dim=1 concat_dim=0 size=4"
    " {~,dp} : f32[4,2] of [4,4]\n"
    "d = ai.gshard.CollectivePermute(c) from=\"{~,dp}\" to=\"{~,tp}\" {~,tp}"
    " : f32[4,2] of [4,4]\n"
    "y = ai.gshard.Unshard(d) split=\"{~,tp}\" dims=[4,4] : f32[4,4]\n"
    "output y\n";

START_TEST(one_for_all) { for (int late = 0; late < 2; late++)
    ck_assert(!check(
        compile_for(spmd, 0, 4, late ? GS_WAIT_LATE : GS_WAIT_NEXT), 4)); }
END_TEST

/* Device k of four on two columns: a sum over all, then one along its column;
 * `swapped` the other way round. */
static gs_program *device(int k, bool swapped, int members, const char *op) {
  static const char *const all = "group=[0,1,2,3]";
  char column[100], text[1000];
  int c = k % 2;
  snprintf(column, sizeof column, members == 2 ? "group=[%d,%d]"
                                               : "group=[%d,%d,3]",
           c, c + 2);
  snprintf(text, sizeof text,
           "input x : f32[4]\n"
           "a = ai.gshard.AllReduce(x) %s reduce=\"sum\" : f32[4]\n"
           "b = ai.gshard.AllReduce(a) %s reduce=\"%s\" : f32[4]\n"
           "output b\n",
           swapped ? column : all, swapped ? all : column, op);
  return compile_for(text, k, 1, GS_WAIT_NEXT);
}

static gs_status check_devices(int odd, bool swapped, int members,
                               const char *op) {
  const gs_program *p[4];
  for (int k = 0; k < 4; k++)
    p[k] = k == odd ? device(k, swapped, members, op)
                    : device(k, false, 2, "sum");
  return gs_program_check(p, 4, 0, 4, &err);
}

START_TEST(order) {
  ck_assert(!check_devices(-1, false, 2, "sum"));
  /* one device runs its collectives the other way round */
  for (int k = 0; k < 4; k++)
    ck_assert_int_eq(check_devices(k, true, 2, "sum"), GS_INTERNAL);
  /* one has another group, or reduces otherwise */
  ck_assert_int_eq(check_devices(0, false, 3, "sum"), GS_INTERNAL);
  ck_assert_int_eq(check_devices(2, false, 2, "max"), GS_INTERNAL);
  /* of a process that hosts devices 0 and 1 */
  const gs_program *p[2] = {device(0, false, 2, "sum"),
                            device(1, false, 2, "sum")};
  ck_assert(!gs_program_check(p, 2, 0, 2, &err));
  p[1] = compile("input x : f32[4]\ny = Relu(x) : f32[4]\noutput y\n");
  ck_assert_int_eq(gs_program_check(p, 2, 0, 2, &err), GS_INTERNAL);
}
END_TEST

/* Device k of two: a kernel that gathers in a loop of so many steps, and a
 * sum, the other way round where `swapped`. */
static const gs_program *gathering(int64_t k, int steps, bool swapped) {
  char loop[400], text[1000];
  const char *sum =
      "s = ai.gshard.AllReduce(z) axes=\"p\" reduce=\"sum\" : f32[4]\n";
  snprintf(loop, sizeof loop,
           "y = ai.gshard.Recurrence(x, w, r) axes=\"p\" place=\"_, "
           "[1,1,3,2]{~,~,p,~}, [1,1,3,3]{~,~,p,~} -> [%d,1,1,3]{~,~,~,p}\" "
           ": f32[%d,1,1,2]\n", steps, steps);
  snprintf(text, sizeof text,
           "mesh {p=2}\n"
           "input x : f32[%d,1,2]\n"
           "input w : f32[1,1,2,2]\n"
           "input r : f32[1,1,2,3]\n"
           "input z : f32[4]\n"
           "%s%soutput s\noutput y\n",
           steps, swapped ? sum : loop, swapped ? loop : sum);
  return compile_for(text, k, 1, GS_WAIT_NEXT);
}

START_TEST(gathers) {
  const gs_program *p[2] = {gathering(0, 4, false), gathering(1, 4, false)};
  ck_assert(p[0]->step.at[0].kind == GS_STEP_GROUP);
  ck_assert(!gs_program_check(p, 2, 0, 2, &err));
  p[1] = gathering(1, 4, true);
  ck_assert_int_eq(gs_program_check(p, 2, 0, 2, &err), GS_INTERNAL);
  p[1] = gathering(1, 5, false);
  ck_assert_int_eq(gs_program_check(p, 2, 0, 2, &err), GS_INTERNAL);
}
END_TEST

/* One device ends before the others. */
START_TEST(ended) {
  gs_program *p[4];
  for (int k = 0; k < 4; k++) p[k] = device(k, false, 2, "sum");
  p[3] = compile("input x : f32[4]\ny = Relu(x) : f32[4]\noutput y\n");
  ck_assert_int_eq(
      gs_program_check((const gs_program *const *)p, 4, 0, 4, &err),
      GS_INTERNAL);
}
END_TEST

/* ---- collectives that are open at once ---- */

/* Device k of two: both sums have started before one is waited for. */
static gs_program *two_open(int64_t k, gs_schedule schedule) {
  return compile_for(
      "input x : f32[4,4]\n"
      "input z : f32[2,2]\n"
      "a = ai.gshard.AllReduce(x) group=[0,1] reduce=\"sum\" : f32[4,4]\n"
      "b = ai.gshard.AllGather(z) group=[0,1] dim=1 size=4 : f32[2,4]\n"
      "c = ai.gshard.AllGather(z) group=[0,1] dim=1 size=4 : f32[2,4]\n"
      "d = Relu(a) : f32[4,4]\n"
      "e = Add(b, c) : f32[2,4]\n"
      "output d\n"
      "output e\n",
      k, 1, schedule);
}

START_TEST(late) {
  gs_program *p = two_open(0, GS_WAIT_NEXT);
  for (int s = 0; s < 3; s++) { /* together, before the first kernel */
    ck_assert_int_eq(p->step.at[s].start, s);
    ck_assert_int_eq(p->step.at[s].wait, s + 3);
  }
  p = two_open(0, GS_WAIT_LATE);
  /* starts of a, b, c; a, d; b, c, e */
  ck_assert_int_eq(p->step.at[0].wait, 3);
  ck_assert_int_eq(p->step.at[3].start, 4);
  ck_assert_int_eq(p->step.at[1].wait, 5);
  ck_assert_int_eq(p->step.at[2].wait, 6);
  ck_assert_int_eq(p->step.at[4].start, 7);
  ck_assert_int_eq(p->turn.n, 8);
  const gs_program *both[2] = {p, two_open(1, GS_WAIT_LATE)};
  ck_assert(!gs_program_check(both, 2, 0, 2, &err));
}
END_TEST

START_TEST(scratch) {
  gs_program *p = two_open(0, GS_WAIT_LATE);
  ck_assert_int_eq((long)p->step.at[1].scratch, 2 * 16);
  p->step.at[1].scratch_at = p->step.at[2].scratch_at;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
  p = two_open(0, GS_WAIT_LATE);
  p->step.at[2].scratch_at = buffer(p, "a")->offset;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
  p = two_open(0, GS_WAIT_LATE);
  p->step.at[2].scratch_at = p->arena_size;
  ck_assert_int_eq(check(p, 1), GS_INTERNAL);
}
END_TEST

/* Each waits first for what the other waits for last: what an end needs of
 * the other would never come. */
START_TEST(waits_crossed) {
  gs_program *p[2] = {two_open(0, GS_WAIT_LATE), two_open(1, GS_WAIT_LATE)};
  for (int k = 0; k < 2; k++) {
    p[1]->turn.at[5 + k].step = 2 - k;
    p[1]->step.at[2 - k].wait = 5 + k;
  }
  ck_assert_int_eq(
      gs_program_check((const gs_program *const *)p, 2, 0, 2, &err),
      GS_INTERNAL);
  ck_assert_str_eq(err.diag[0].text, "device 0 waits for device 1, which is at "
                                     "node 'c' (ai.gshard.AllGather)");
}
END_TEST

/* A ring of three: each sends to the next. */
static const gs_program *ring(int target, int source) {
  char text[1000];
  snprintf(text, sizeof text,
           "input x : f32[4]\n"
           "a = ai.gshard.CollectivePermute(x) source=%d target=%d : f32[4]\n"
           "output a\n",
           source, target);
  return compile(text);
}

START_TEST(permutation) {
  const gs_program *p[3] = {ring(1, 2), ring(2, 0), ring(0, 1)};
  ck_assert(!gs_program_check(p, 3, 0, 3, &err));
  ck_assert(!gs_program_check(p, 2, 0, 2, &err));
  p[2] = ring(1, 0); /* two send to device 1, and it hears from one */
  ck_assert_int_eq(gs_program_check(p, 3, 0, 3, &err), GS_INTERNAL);
  p[2] = ring(2, 2);
  ck_assert_int_eq(gs_program_check(p, 3, 0, 3, &err), GS_INTERNAL);
}
END_TEST

/* Three rows before and behind the own four, of which the first device's
 * first one is a fill; b lies in c. */
static gs_program *widened(const char *fill) {
  char text[1200];
  snprintf(text, sizeof text,
           "mesh {p=2}\n"
           "input x {p,~} : f32[4,3] of [8,3]\n"
           "b = Exp(x) {p,~} : f32[4,3] of [8,3]\n"
           "c = ai.gshard.Exchange(b) axes=\"p\" dim=0 to_axes=\"p\""
           " range=[1,4,-1,1,0,6] sizes=[8] blocks=[4]%s"
           " {p,~} window(0:4*i-1,6) : f32[6,3] of [8,3]\n"
           "d = Transpose(c) perm=[1,0] : f32[3,6]\n"
           "output d\n",
           fill);
  return compile_for(text, 0, 2, GS_WAIT_NEXT);
}

static gs_status check_for(const gs_program *p, int64_t devices) {
  return gs_program_check(&p, 1, 0, devices, &err);
}

static gs_status check_widened(const gs_program *p) {
  return check_for(p, 2);
}

static gs_buffer *own(gs_program *p, const char *name) {
  return &p->buffer[gs_graph_find(p->g, name)->id];
}

START_TEST(part) {
  gs_program *p = widened(" fill=\"value\" value=0.0");
  ck_assert_int_eq(own(p, "b")->root, gs_graph_find(p->g, "c")->id);
  ck_assert_uint_eq(own(p, "b")->at, 12);
  ck_assert_int_eq(own(p, "b")->run, 12);
  ck_assert(!check_widened(p));
  ck_assert(!check_widened(widened("")));
}
END_TEST

/* Elsewhere than the exchange wants it; in runs, of a producer that writes
 * one; where no exchange is. */
START_TEST(part_elsewhere) {
  gs_program *p = widened("");
  own(p, "b")->at = 24;
  ck_assert_int_eq(check_widened(p), GS_INTERNAL);
  p = widened("");
  own(p, "b")->pitch = 18;
  ck_assert_int_eq(check_widened(p), GS_INTERNAL);
  p = widened("");
  p->step.at[1].place = NULL;
  ck_assert_int_eq(check_widened(p), GS_INTERNAL);
  p = widened("");
  int64_t place[1] = {2};
  own(p, "b")->at = 24;
  p->step.at[1].place = place;
  ck_assert_int_eq(check_widened(p), GS_INTERNAL);
  ck_assert_str_eq(err.diag[err.n - 1].text,
                   "step 1: 'b' does not lie where the exchange wants it");
}
END_TEST

/* Rows, then columns: b lies in c, and with it in e. */
static const char *twice =
    "mesh {p=2, q=2}\n"
    "input x {~,p,q} : f32[2,4,3] of [2,8,6]\n"
    "b = Exp(x) {~,p,q} : f32[2,4,3] of [2,8,6]\n"
    "c = ai.gshard.Exchange(b) axes=\"p\" dim=1 to_axes=\"p\""
    " range=[1,4,-1,1,0,6] sizes=[8] blocks=[4]"
    " {~,p,q} window(1:4*i-1,6) : f32[2,6,3] of [2,8,6]\n"
    "e = ai.gshard.Exchange(c) axes=\"q\" dim=2 to_axes=\"q\""
    " range=[1,3,-1,1,0,5] sizes=[6] blocks=[3]"
    " {~,p,q} window(1:4*i-1,6) window(2:3*i-1,5) : f32[2,6,5] of [2,8,6]\n"
    "d = Transpose(e) perm=[0,2,1] : f32[2,5,6]\n"
    "output d\n";

START_TEST(part_of_two) {
  gs_program *p = compile_for(twice, 0, 4, GS_WAIT_NEXT);
  const gs_value *b = gs_graph_find(p->g, "b"), *e = gs_graph_find(p->g, "e");
  ck_assert_int_eq(gs_program_buffer(p, b)->root, e->id);
  gs_view v = gs_program_view(p, b);
  ck_assert_int_eq(v.run, 3);
  ck_assert_int_eq(v.pitch, 5);
  ck_assert_int_eq(v.runs, 4);
  ck_assert_int_eq(v.apart, 30);
  ck_assert_int_eq(v.lead, 6);
  ck_assert_uint_eq(gs_program_at(p, b), 24);
  ck_assert(!check_for(p, 4));
  p->readers[b->id]++; /* who would read rows that do not follow each other */
  ck_assert_int_eq(check_for(p, 4), GS_INTERNAL);
}
END_TEST

/* The window's memory is given to another result between b and c; a result
 * lies over b, which the exchange has yet to read. */
START_TEST(part_written_over) {
  gs_program *p = widened("");
  own(p, "d")->offset = own(p, "c")->offset;
  ck_assert_int_eq(check_widened(p), GS_INTERNAL);
  p = widened("");
  swap_steps(p, 0, 1);
  ck_assert_int_eq(check_widened(p), GS_INTERNAL);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("program_check");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, compiled);
  tcase_add_test(t, overlapping);
  tcase_add_test(t, outside);
  tcase_add_test(t, read_before_write);
  tcase_add_test(t, output_lost);
  tcase_add_test(t, written_over);
  tcase_add_test(t, read_once);
  tcase_add_test(t, one_for_all);
  tcase_add_test(t, order);
  tcase_add_test(t, gathers);
  tcase_add_test(t, ended);
  tcase_add_test(t, late);
  tcase_add_test(t, scratch);
  tcase_add_test(t, waits_crossed);
  tcase_add_test(t, permutation);
  tcase_add_test(t, part);
  tcase_add_test(t, part_elsewhere);
  tcase_add_test(t, part_of_two);
  tcase_add_test(t, part_written_over);
  return suite_run("program_check", t);
}
