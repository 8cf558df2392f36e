/* The sharded sweep: every operator, every factor, several meshes, several
 * ways to ask for it; the sharded result must have the bytes of the whole one
 * (data is integer-valued, so that sums are exact in any order), but for what
 * is computed from statistics of several devices: within tolerance.
 *
 * Cases are the graphs of data/rules.txt and data/moves.txt that can be run,
 * and all of data/sweep.txt.  The first node of a case is the one under test.
 * A case may say `# range NAME LO HI` for the values of an integer input (else
 * 0 and 1).
 *
 * Each case runs on one of the meshes and with a fifth of the shardings, all
 * chosen by a seed: GSHARD_SWEEP=N; with GSHARD_SWEEP=full on all with all
 * (GSHARD_SWEEP_FILE=sweep/conv: of those cases alone).  The last two meshes
 * are for nodes that need more than their own block.
 *
 * `test_sweep digest` prints a hash of the outputs of each case on two devices
 * (of one in three, by the same seed), which mpirun must print (mpi.sh). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/data/hash.h"
#include "cases.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "exec/comm/world.h"
#include "pass/prepare/infer.h"
#include "pass/partition/partition.h"
#include "pass/propagate/project.h"
#include "pass/propagate/propagate.h"
#include "graphs.h"
#include "suite.h"
#include "sweep_cover.h"

static golden *the_case;
static int ncase, first_of_sweep; /* from there on all must run */
static _Atomic long *compared;    /* shared with the processes of the tests */

static const char *const meshes[] = {"{p=2}", "{p=3}", "{p=2, q=2}", "{p=4}",
                                     "{p=4, z=[0,3,1,2]}", "{p=8}",
                                     "{p=2, q=3}"};
enum { NMESH = 7, NREACH = 2 };
enum { NMODE = 3 }; /* annotate both sides, operands, results */

/* ---- reading the cases ---- */

static void read_cases(void) {
  const char *only = getenv("GSHARD_SWEEP_FILE");
  if (only) {
    cases_load(only, &the_case, &ncase);
    return;
  }
  cases_load("rules", &the_case, &ncase);
  cases_load("moves", &the_case, &ncase);
  first_of_sweep = ncase;
  cases_load("sweep", &the_case, &ncase);
}

/* ---- running ---- */

typedef struct input_set {
  const gs_tensor *at[32];
} input_set;

static gs_status load(gs_arena *a, const char *text, gs_graph **g,
                      gs_err *e) {
  GS_TRY(gs_graph_parse(a, text, "case", g, e));
  for (int i = 0; i < (*g)->node.n; i++) {
    gs_node *n = (*g)->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    if (!n->op || (n->op->flags & GS_OP_MESH)) return GS_UNSUPPORTED;
    n->opset = n->op->since;
    for (int k = 0; !(*g)->output.n && k < n->nout; k++)
      if (n->out[k]) n->out[k]->is_output = true;
  }
  for (int i = 0; i < (*g)->value.n; i++)
    if ((*g)->value.at[i]->is_output && (*g)->value.at[i]->def &&
        !gs_graph_find(*g, "no such value") && (*g)->value.at[i]->is_output) {
      bool listed = false;
      for (int k = 0; k < (*g)->output.n; k++)
        if ((*g)->output.at[k] == (*g)->value.at[i]) listed = true;
      if (!listed) *gs_push(a, &(*g)->output) = (*g)->value.at[i];
    }
  return gs_pass_infer(a, *g, NULL, e);
}

static void range_of(const char *text, const char *name, gs_random *r) {
  char key[100];
  snprintf(key, sizeof key, "# range %s ", name);
  const char *at = strstr(text, key);
  if (!at) return;
  char *end;
  r->ranged = true;
  r->low = strtoll(at + strlen(key), &end, 10);
  r->high = strtoll(end, NULL, 10);
}

static gs_status make_inputs(gs_arena *a, const char *text, const gs_graph *g,
                             input_set *in, gs_err *e) {
  for (int i = 0; i < g->input.n; i++) {
    const gs_value *v = g->input.at[i];
    gs_random r = {.seed = 7, .integers = true};
    range_of(text, v->name, &r);
    gs_tensor *t;
    GS_TRY(gs_random_tensor(a, v->name, v->dtype, v->rank, v->dims, &r, &t,
                            e));
    in->at[i] = t;
  }
  return GS_OK;
}

static gs_world *world; /* of mpirun, else NULL */

/* Every other program waits late. */
static gs_status execute(gs_arena *a, const gs_graph *g, int64_t devices,
                         const input_set *in, gs_tensor **out,
                         uint64_t *sent, gs_err *e) {
  gs_exec_config config = {
      .graph = &g, .ngraph = 1, .ndevice = devices, .threads = 1,
      .schedule = g->node.n % 2 ? GS_WAIT_LATE : GS_WAIT_NEXT,
      .verify = true};
  if (devices > 1) config.world = world;
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, e);
  for (int i = 0; i < g->input.n && !s; i++)
    s = gs_exec_input(x, g->input.at[i]->name, in->at[i], e);
  if (!s) s = gs_exec_run(x, e);
  if (!s && sent) *sent = gs_exec_sent(x);
  if (!s) s = graph_take_outputs(a, g, x, out, e);
  gs_exec_free(x);
  return s;
}

/* ---- one sharding of one case ---- */

/* Splits factor f over `axes` in every slot that mode asks for; dims of
 * several factors are split even where that is uneven. */
static void annotate(gs_arena *a, gs_graph *g, const gs_rule *r, int f,
                     const gs_axes *axes, int mode) {
  gs_node *n = g->node.at[0];
  gs_slot slot[64];
  int k = gs_slots(n, r, slot, 64);
  for (int s = 0; s < k; s++) {
    gs_value *v = slot[s].value;
    if (!v || (mode == 1 && slot[s].result) || (mode == 2 && !slot[s].result))
      continue;
    if (!v->sharding) v->sharding = gs_sharding_new(a, v->rank, false);
    if (gs_sharding_used(v->sharding) & gs_axes_set(axes)) continue;
    for (int d = 0; d < v->rank; d++) {
      bool has = false;
      for (int i = 0; i < slot[s].map->dim[d].n; i++)
        if (slot[s].map->dim[d].f[i] == f) has = true;
      if (!has) continue;
      v->sharding->dim[d].axes = gs_axes_cat(&v->sharding->dim[d].axes, axes);
      break;
    }
  }
}

static void fail_case(const char *text, const gs_graph *g, const char *what,
                      const gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_buf b;
  gs_buf_init(&b, &a);
  if (g) gs_graph_print(&b, g);
  fprintf(stderr, "case:\n%s\nas annotated:\n%s\n", text, b.at);
  gs_err_print(e, stderr, "sweep", false);
  ck_abort_msg("%s", what);
}

/* The program of a case with factor f over the first axis of the mesh and
 * `second` over the second one, if there is one; over a device order that the
 * mesh has, or operands over that and results over the axis. */
static gs_status make_program(gs_arena *a, const char *text,
                              const char *mesh_text, int f, int second,
                              int mode, gs_graph **out, gs_partition *made,
                              gs_err *e) {
  gs_graph *g;
  GS_TRY(load(a, text, &g, e));
  *out = g;
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  GS_TRY(gs_mesh_parse(mesh_text, a, mesh, e));
  g->mesh = mesh;
  gs_rule *r = GS_NEW(a, gs_rule);
  GS_TRY(gs_rule_of(a, g->node.at[0], r, e));
  gs_axes p = gs_axes_named(mesh, 0);
  if (mesh->naxis > 1) {
    gs_axes q = gs_axes_named(mesh, 1);
    if (second == f) p = gs_axes_cat(&p, &q);
    else annotate(a, g, r, second, &q, mode);
  }
  if (mesh->norder) {
    gs_axes z = gs_axes_named(mesh, mesh->naxis);
    annotate(a, g, r, f, &z, mode ? mode : 1);
    if (!mode) annotate(a, g, r, f, &p, 2);
  } else {
    annotate(a, g, r, f, &p, mode);
  }
  gs_propagate_input none = {0};
  gs_propagation done;
  GS_TRY(gs_pass_propagate(a, g, &none, &done, e));
  return gs_pass_partition(a, g, made, e);
}

/* A run sends what was predicted. */
static void check_sent(const char *text, const gs_partition *made,
                       uint64_t sent, gs_err *e) {
  double bytes = 0;
  for (int i = 0; i < made->collective.n; i++)
    bytes += made->collective.at[i].bytes;
  if (bytes >= (double)sent && bytes <= (double)sent) return;
  fprintf(stderr, "%.0f bytes predicted, %llu sent\n", bytes,
          (unsigned long long)sent);
  fail_case(text, made->program, "other bytes are sent", e);
}

static bool has_statistics(const gs_rule *r) {
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_STATS) return true;
  return false;
}

static void try_sharding(const char *text, const char *mesh_text, int f,
                         int second, int mode, const input_set *in,
                         gs_tensor **want, bool close) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_graph *g = NULL;
  gs_partition made;
  gs_status s = make_program(&a, text, mesh_text, f, second, mode, &g, &made,
                             &e);
  uint64_t sent = 0;
  gs_tensor **got = GS_NEWS(&a, g->output.n + 1, gs_tensor *);
  if (s) fail_case(text, g, "cannot be partitioned", &e);
  s = execute(&a, made.program, g->mesh->ndevice, in, got, &sent, &e);
  if (s) fail_case(text, made.program, "the program fails", &e);
  check_sent(text, &made, sent, &e);
  for (int i = 0; i < g->output.n; i++) {
    gs_comparison c;
    gs_tolerance tol = {0};
    if (close) tol = gs_tolerance_of(want[i]->dtype);
    s = gs_compare(got[i], want[i], &tol, &c, &e);
    if (s || !c.equal) {
      gs_buf b;
      gs_buf_init(&b, &a);
      if (!s) gs_comparison_print(&b, want[i], &c);
      fprintf(stderr, "output %d: %s\n", i, b.at);
      fail_case(text, made.program, "sharded and whole differ", &e);
    }
  }
  ++*compared;
  gs_err_free(&e);
  gs_arena_free(&a);
}

/* Runs a case on one mesh with every factor, or those of the sample, which is
 * another one for the next case; false if it cannot run whole. */
static bool sweep_case(const char *text, const char *mesh, suite_sample sample,
                       unsigned long at) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_graph *g;
  input_set in;
  bool can = !load(&a, text, &g, &e) && g->node.n && g->output.n &&
             g->input.n <= 32;
  gs_tensor **want = can ? GS_NEWS(&a, g->output.n, gs_tensor *) : NULL;
  can = can && !make_inputs(&a, text, g, &in, &e) &&
        !execute(&a, g, 1, &in, want, NULL, &e);
  gs_rule *r = GS_NEW(&a, gs_rule);
  if (can) ck_assert_int_eq(gs_rule_of(&a, g->node.at[0], r, &e), GS_OK);
  bool two = strstr(mesh, ", q=") != NULL;
  for (int f = 0; can && f < r->nfactor; f++)
    for (int second = two ? 0 : f; second < (two ? r->nfactor : f + 1);
         second++)
      for (int mode = 0; mode < NMODE; mode++)
        if (suite_chosen(sample, at++))
          try_sharding(text, mesh, f, second, mode, &in, want,
                       has_statistics(r));
  gs_err_free(&e);
  gs_arena_free(&a);
  return can;
}

/* Which cases run on which mesh. */
static struct pick {
  int of, mesh;
} *pick;
static int npick;
static suite_sample sample;

/* Whether the rule of a case's node lets it be split where it needs more than
 * its own block. */
static bool reaches(const char *text) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_graph *g;
  gs_rule *r = GS_NEW(&a, gs_rule);
  bool has = !load(&a, text, &g, &e) && g->node.n &&
             !gs_rule_of(&a, g->node.at[0], r, &e) && sweep_reaches(r);
  gs_err_free(&e);
  gs_arena_free(&a);
  return has;
}

/* All, or one mesh for each case that follows from the seed, and there a fifth
 * of the shardings. */
static void choose(void) {
  sample = suite_sample_of(5);
  bool full = sample.of == 1;
  unsigned long seed = sample.seed;
  pick = calloc((size_t)ncase * NMESH, sizeof *pick);
  must(pick != NULL, "memory");
  for (int i = 0; i < ncase; i++) {
    int n = reaches(the_case[i].given) ? NMESH : NMESH - NREACH;
    int chosen = (int)(gs_hash(&i, sizeof i, seed) % (uint64_t)n);
    for (int m = 0; m < n; m++)
      if (full || m == chosen) pick[npick++] = (struct pick){i, m};
  }
  if (!full)
    printf("seed %lu: GSHARD_SWEEP=%lu chooses the same, =full all\n", seed,
           seed);
}

START_TEST(sweep) {
  const golden *c = &the_case[pick[_i].of];
  bool ran = sweep_case(c->given, meshes[pick[_i].mesh], sample,
                        (unsigned long)_i);
  if (!ran && pick[_i].of >= first_of_sweep)
    ck_abort_msg("cannot run:\n%s", c->given);
}
END_TEST

/* Every operator of ONNX that has a row has a case that runs. */
START_TEST(all_operators) {
  bool seen[512] = {false};
  for (int i = 0; i < ncase; i++) {
    gs_arena a;
    gs_arena_init(&a);
    gs_err e;
    gs_err_init(&e);
    gs_graph *g;
    if (!gs_graph_parse(&a, the_case[i].given, "case", &g, &e) && g->node.n) {
      const gs_op *op =
          gs_op_find(g->node.at[0]->domain, g->node.at[0]->op_type);
      if (op && !seen[op->id])
        seen[op->id] = sweep_case(the_case[i].given, "{p=1}",
                                  (suite_sample){.of = 1}, 0);
    }
    gs_err_free(&e);
    gs_arena_free(&a);
  }
  int missing = 0;
  for (int i = 0; i < gs_nop; i++) {
    /* Always folded, or run whole on every device. */
    unsigned apart = GS_OP_SHAPE_ONLY | GS_OP_DYNAMIC;
    if ((gs_ops[i].flags & GS_OP_MESH) || seen[i] || gs_ops[i].max_in == 0 ||
        (gs_ops[i].flags & apart))
      continue;
    fprintf(stderr, "no case runs %s\n", gs_ops[i].name);
    missing++;
  }
  ck_assert_int_eq(missing, 0);
}
END_TEST

/* ---- ways ---- */

/* Of each operator: the ways that its cases are split in over 2, 3, 4 or 8, and
 * whether it has windows. */
static void find_ways(unsigned *ways, bool *windows) {
  static const int64_t devices[] = {2, 3, 4, 8};
  for (int i = 0; i < ncase; i++) {
    gs_arena a;
    gs_arena_init(&a);
    gs_err e;
    gs_err_init(&e);
    gs_graph *g;
    gs_rule *r = GS_NEW(&a, gs_rule);
    if (!load(&a, the_case[i].given, &g, &e) && g->node.n &&
        !gs_rule_of(&a, g->node.at[0], r, &e)) {
      int op = g->node.at[0]->op->id;
      windows[op] = windows[op] || r->nuse;
      for (int m = 0; m < 4; m++)
        ways[op] |= sweep_ways(g->node.at[0], r, devices[m]);
    }
    gs_err_free(&e);
    gs_arena_free(&a);
  }
}

/* Of which two dims may be split at once. */
static const char *const two[] = {
    "Slice", "Pad", "Tile", "Conv", "ConvTranspose", "ConvInteger",
    "QLinearConv", "AveragePool", "MaxPool", "LpPool", "GlobalLpPool", "Resize",
    "CenterCropPad", "LayerNormalization", "RMSNormalization",
    "InstanceNormalization", "GroupNormalization", "BatchNormalization",
    "MeanVarianceNormalization", "GatherND"};
enum { NTWO = sizeof two / sizeof *two };

/* Every operator that needs more than its own block has cases of all ways. */
START_TEST(all_ways) {
  unsigned ways[512] = {0};
  bool windows[512] = {false};
  int missing = 0;
  find_ways(ways, windows);
  for (int i = 0; i < gs_nop; i++)
    for (int w = 0; ways[i] && w <= SWEEP_FAR; w++) {
      if (ways[i] >> w & 1 || (w == SWEEP_FAR && !windows[i])) continue;
      fprintf(stderr, "no case of %s has %s\n", gs_ops[i].name,
              sweep_way_text((sweep_way)w));
      missing++;
    }
  ck_assert_int_eq(missing, 0);
  for (int i = 0; i < NTWO; i++) {
    const gs_op *op = gs_op_find("", two[i]);
    ck_assert_msg(op && ways[op->id] >> SWEEP_TWO & 1, "%s: %s", two[i],
                  sweep_way_text(SWEEP_TWO));
  }
}
END_TEST

/* ---- types ---- */

/* The type that a case is about: that of the result, if an operand has it,
 * else that of operand 0. */
static gs_dtype main_type(const gs_graph *g) {
  const gs_node *n = g->node.at[0];
  const gs_value *first = NULL;
  for (int i = 0; i < n->nin; i++) {
    if (n->in[i] && !first) first = n->in[i];
    if (n->in[i] && n->out[0] && n->in[i]->dtype == n->out[0]->dtype)
      return n->in[i]->dtype;
  }
  return first ? first->dtype : GS_UNDEFINED;
}

/* Whether the case runs with type t in the place of `from`, without what it
 * says of ranges when that is no number of t. */
static bool runs_with(const char *text, gs_dtype from, int t, bool ranges) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_buf b;
  gs_buf_init(&b, &a);
  char *was = gs_sprintf(&a, ": %s[", gs_dtype_get((int)from)->text);
  size_t n = strlen(was);
  for (const char *at; (at = strstr(text, was)); text = at + n) {
    gs_buf_add(&b, text, (size_t)(at - text));
    gs_buf_printf(&b, ": %s[", gs_dtype_get(t)->text);
  }
  gs_buf_str(&b, text);
  for (char *at = b.at; !ranges && (at = strstr(at, "# range"));) at[2] = '-';
  gs_graph *g;
  input_set in;
  bool can = !load(&a, b.at, &g, &e) && g->node.n && g->output.n &&
             g->input.n <= 32;
  gs_tensor **out = can ? GS_NEWS(&a, g->output.n, gs_tensor *) : NULL;
  can = can && !make_inputs(&a, b.at, g, &in, &e) &&
        !execute(&a, g, 1, &in, out, NULL, &e);
  gs_err_free(&e);
  gs_arena_free(&a);
  return can;
}

enum { MAX_TRIED = 6 }; /* cases of an operator that its types are tried with */

/* set[row]: the types that some case of the row runs with. */
static void find_types(uint64_t *set) {
  int tried[512] = {0};
  for (int i = ncase - 1; i >= 0; i--) {
    gs_arena a;
    gs_arena_init(&a);
    gs_err e;
    gs_err_init(&e);
    gs_graph *g;
    gs_dtype from = GS_UNDEFINED;
    const gs_op *op = NULL;
    if (!load(&a, the_case[i].given, &g, &e) && g->node.n) {
      op = g->node.at[0]->op;
      from = main_type(g);
    }
    if (op && from && tried[op->id] < MAX_TRIED &&
        runs_with(the_case[i].given, from, (int)from, true)) {
      tried[op->id]++;
      for (int t = 1; t < GS_NDTYPE; t++)
        if (!(set[op->id] >> t & 1) &&
            (runs_with(the_case[i].given, from, t, true) ||
             runs_with(the_case[i].given, from, t, false)))
          set[op->id] |= (uint64_t)1 << t;
    }
    gs_err_free(&e);
    gs_arena_free(&a);
  }
}

/* The types that the table tells are those that run. */
START_TEST(types) {
  uint64_t set[512] = {0};
  find_types(set);
  int wrong = 0;
  gs_arena a;
  gs_arena_init(&a);
  for (int i = 0; i < gs_nop; i++) {
    const char *is = gs_op_types_text(&a, set[i]), *says = gs_ops[i].types;
    if (!*is || (gs_ops[i].flags & (GS_OP_MESH | GS_OP_DYNAMIC))) continue;
    if (says && !strcmp(is, says)) continue;
    fprintf(stderr, "types: %s|%s|%s\n", gs_ops[i].domain, gs_ops[i].name,
            is);
    wrong++;
  }
  gs_arena_free(&a);
  ck_assert_int_eq(wrong, 0);
}
END_TEST

/* Prints a hash of all outputs of a case with each factor over two devices. */
static void digest_case(int index) {
  gs_arena a;
  gs_arena_init(&a);
  gs_err e;
  gs_err_init(&e);
  gs_graph *g;
  input_set in;
  gs_rule *r = GS_NEW(&a, gs_rule);
  const char *text = the_case[index].given;
  bool can = !load(&a, text, &g, &e) && g->node.n && g->output.n &&
             g->input.n <= 32 && !make_inputs(&a, text, g, &in, &e) &&
             !gs_rule_of(&a, g->node.at[0], r, &e);
  uint64_t hash = 0;
  for (int f = 0; can && f < r->nfactor; f++) {
    gs_partition made;
    gs_tensor **out = GS_NEWS(&a, g->output.n, gs_tensor *);
    must(!make_program(&a, text, "{p=2}", f, f, 0, &g, &made, &e), text);
    if (execute(&a, made.program, 2, &in, out, NULL, &e)) break; /* bad data */
    for (int i = 0; i < g->output.n; i++)
      if (out[i]) hash = gs_hash(out[i]->data, out[i]->nbytes, hash);
  }
  if (can && (!world || world->rank == 0))
    printf("case %d: %016llx\n", index, (unsigned long long)hash);
  gs_err_free(&e);
  gs_arena_free(&a);
}

static int print_digests(void) {
  gs_arena a;
  gs_err e;
  gs_arena_init(&a);
  gs_err_init(&e);
  if (gs_world_launched() && gs_world_init(&a, 600, &world, &e)) return 1;
  if (world && gs_world_share(world, &a, 0, &e)) return 1;
  suite_sample of = suite_sample_of(3);
  for (int i = first_of_sweep; i < ncase; i++)
    if (suite_chosen(of, (unsigned long)i)) digest_case(i);
  if (world && gs_world_finalize(world, &e)) return 1;
  gs_err_free(&e);
  gs_arena_free(&a);
  return 0;
}

int main(int argc, char **argv) {
  read_cases();
  if (argc > 1 && !strcmp(argv[1], "digest")) return print_digests();
  compared = mmap(NULL, sizeof *compared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(compared != MAP_FAILED, "memory");
  choose();
  Suite *s = suite_create("sweep");
  TCase *t = tcase_create("operators");
  tcase_add_test(t, all_operators);
  tcase_set_timeout(t, 1200);
  suite_add_tcase(s, t);
  t = tcase_create("ways");
  tcase_add_test(t, all_ways);
  suite_add_tcase(s, t);
  t = tcase_create("types");
  tcase_add_test(t, types);
  tcase_set_timeout(t, 1200);
  suite_add_tcase(s, t);
  t = tcase_create("cases");
  cases_count(t);
  tcase_add_loop_test(t, sweep, 0, npick);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  printf("%d cases on %d meshes, %ld shardings compared\n", ncase, npick,
         *compared);
  free(pick);
  return failed ? 1 : 0;
}
