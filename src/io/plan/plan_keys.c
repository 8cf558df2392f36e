#include "io/plan/plan_keys.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
/* A key whose value is a list of mappings, read into field `at` of `type`. */
#define LISTED(type, at, list) gs_key_tables, offsetof(type, at), &(list), NULL
#define LIST(table, type)                                                      \
  { &(table), sizeof(type), offsetof(type, at), NULL }
#define HASH "{\"type\": \"string\", \"pattern\": \"^[0-9a-f]{16}$\"}"
#define NUMBERS "{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}"
#define SIZE "{\"type\": \"integer\", \"minimum\": 0}"

static gs_status hash_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  const char *s;
  GS_TRY(gs_yaml_string(v, &s, r->err));
  if (strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16)
    return gs_fail_at(r->err, GS_DATA, &v->at,
                      "a hash has 16 hexadecimal digits");
  *(uint64_t *)(void *)((char *)into + k->offset) = strtoull(s, NULL, 16);
  return GS_OK;
}

static gs_status size_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  int64_t n = 0;
  GS_TRY(gs_yaml_int(v, 0, INT64_MAX, &n, r->err));
  *(uint64_t *)(void *)((char *)into + k->offset) = (uint64_t)n;
  return GS_OK;
}

/* ---- mesh ---- */

static const gs_key axis_keys[] = {
    {"name", gs_key_text, offsetof(gs_plan_named, name), NULL, NULL,
     "Name of the axis.", true},
    {"size", gs_key_int, offsetof(gs_plan_named, size), NULL, NULL, "Its size.",
     true},
};
static const gs_keys axis_table = {"axis", "an axis", COUNT(axis_keys),
                                   axis_keys};
static const gs_key_list axis_list = {&axis_table, sizeof(gs_plan_named), -1,
                                      NULL};

static const gs_key cut_keys[] = {
    {"axis", gs_key_text, offsetof(gs_plan_named, name), NULL, NULL,
     "Name of the axis.", true},
    {"at", gs_key_int, offsetof(gs_plan_named, size), NULL, NULL,
     "Product of the sizes of its more major sub-axes.", true},
};
static const gs_keys cut_table = {"cut", "a cut", COUNT(cut_keys), cut_keys};
static const gs_key_list cut_list = {&cut_table, sizeof(gs_plan_named), -1,
                                     NULL};

static const gs_key order_keys[] = {
    {"name", gs_key_text, offsetof(gs_plan_order_reading, name), NULL, NULL,
     "Name of the axis that shardings name: one of all devices.", true},
    {"positions", gs_key_ints, offsetof(gs_plan_order_reading, positions), NULL,
     NULL, "Position in the mesh of each device along that axis.", true},
};
static const gs_keys order_table = {"order", "an order", COUNT(order_keys),
                                    order_keys};
static const gs_key_list order_list = {&order_table,
                                       sizeof(gs_plan_order_reading), -1, NULL};

static const gs_key mesh_keys[] = {
    {"axes", LISTED(gs_plan_reading, axis, axis_list), "The axes, major first.",
     true},
    {"cuts", LISTED(gs_plan_reading, cut, cut_list),
     "Where axes are divided into sub-axes.", false},
    {"orders", LISTED(gs_plan_reading, order, order_list),
     "Device orders of tensors. Default: none.", false},
    {"device_ids", gs_key_ints, offsetof(gs_plan_reading, ids), NULL, NULL,
     "Device at each position. Default: 0, 1, ...", false},
};
static const gs_keys mesh_table = {"mesh", "a mesh", COUNT(mesh_keys),
                                   mesh_keys};

static gs_status mesh_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                          void *into) {
  (void)k;
  ((gs_plan_reading *)into)->mesh = v;
  return gs_keys_read(r, v, &mesh_table, into);
}

/* ---- files, inputs, outputs ---- */

/* Whole numbers of either sign. */
static gs_status numbers_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  gs_int_list *l = (gs_int_list *)(void *)((char *)into + k->offset);
  GS_TRY(gs_yaml_list(v, r->err));
  l->at = GS_NEWS(r->arena, v->item.n + 1, int64_t);
  for (l->n = 0; l->n < v->item.n; l->n++) {
    gs_yaml x = *v->item.at[l->n]; /* integers of a spec have no sign */
    bool minus = x.kind == GS_YAML_SCALAR && x.text[0] == '-';
    if (minus) x.text++;
    GS_TRY(gs_yaml_int(&x, 0, INT64_MAX, &l->at[l->n], r->err));
    if (minus) l->at[l->n] = -l->at[l->n];
  }
  if (l->n % GS_PIECE_NUMBERS == 0) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &v->at, "%d numbers; each piece has %d",
                    l->n, GS_PIECE_NUMBERS);
}

#define EXCHANGE(field) offsetof(gs_plan_exchange_reading, field)
static const gs_key exchange_keys[] = {
    {"tensor", gs_key_text, EXCHANGE(tensor), NULL, NULL,
     "Its result in the graph.", true},
    {"gives", numbers_key, EXCHANGE(gives), NULL, NUMBERS,
     "What the device sends: six numbers for each piece, which are the "
     "position of the device that takes it, the operand, the first place of "
     "its block, the distance to the next one, how many there are, and the "
     "place where the first of them goes.",
     true},
    {"takes", numbers_key, EXCHANGE(takes), NULL, NUMBERS,
     "What it receives, and from whom; what it keeps has itself there.", true},
};
static const gs_keys exchange_table = {"exchange", "an exchange",
                                       COUNT(exchange_keys), exchange_keys};
static const gs_key_list exchange_list =
    LIST(exchange_table, gs_plan_exchange_reading);

#define OF_FILE(field) offsetof(gs_plan_file_reading, file.field)
static const gs_key file_keys[] = {
    {"name", gs_key_text, OF_FILE(name), NULL, NULL,
     "Its name in the plan's directory.", true},
    {"size", size_key, OF_FILE(size), NULL, SIZE, "Its size in bytes.", true},
    {"hash", hash_key, OF_FILE(hash), NULL, HASH, "Hash of its content.", true},
    {"exchanges", LISTED(gs_plan_file_reading, exchange, exchange_list),
     "Of a graph of one device: the pieces of each exchange, in the order of "
     "execution. Default: none.",
     false},
};
static const gs_keys file_table = {"file", "a file", COUNT(file_keys),
                                   file_keys};
static const gs_key_list file_list = LIST(file_table, gs_plan_file_reading);

#define IO(field) offsetof(gs_plan_io_reading, field)
static const gs_key io_keys[] = {
    {"name", gs_key_text, IO(name), NULL, NULL, "Name of the tensor.", true},
    {"dtype", gs_key_text, IO(dtype), NULL, NULL, "Element type, as f32.",
     true},
    {"dims", gs_key_ints, IO(dims), NULL, NULL, "Sizes of the whole tensor.",
     true},
    {"sharding", gs_key_text, IO(sharding), NULL, NULL,
     "How the devices hold it, as {dp,~}: blocks of ceil(n / shards) in the "
     "order of the axes, major first.",
     true},
    {"open", gs_key_bool, IO(open), NULL, NULL,
     "No tensor of a fixed size: dims is empty, and every device holds it "
     "whole.", false},
    {"state", gs_key_text, IO(state), NULL, NULL,
     "Of an input: the output that it is in the next run. Zeros at first.",
     false},
    {"size", gs_key_int, IO(size), NULL, SIZE,
     "Of such an input: its places along the dim that would grow. Default: it "
     "does not grow.", false},
    {"filled", gs_key_int, IO(filled), NULL, SIZE,
     "Of an input: it counts the places of the state that are filled, from 0 "
     "on, so many more after each run.", false},
};
static const gs_keys io_table = {"io", "an input or output", COUNT(io_keys),
                                 io_keys};
static const gs_key_list io_list = LIST(io_table, gs_plan_io_reading);

/* ---- weights and collectives ---- */

#define OF_WEIGHTS(base)                                                       \
  {"file", gs_key_text, base + offsetof(gs_plan_weights, file), NULL, NULL,    \
   "Name of the file in the plan's directory.", true},                         \
  {"hashes", gs_key_text, base + offsetof(gs_plan_weights, hashes), NULL,      \
   NULL, "Name of the file with the hashes of its blocks.", true},             \
  {"size", size_key, base + offsetof(gs_plan_weights, size), NULL, SIZE,       \
   "Its size in bytes.", true},                                                \
  {"hash", hash_key, base + offsetof(gs_plan_weights, hash), NULL, HASH,       \
   "Hash of the file of hashes.", true}
static const gs_key weights_keys[] = {OF_WEIGHTS(0)};
static const gs_keys weights_table = {"weights", "weights", COUNT(weights_keys),
                                      weights_keys};

static const gs_key weights_file_keys[] = {
    OF_WEIGHTS(offsetof(gs_plan_weights_reading, file)),
    {"devices", gs_key_int, offsetof(gs_plan_weights_reading, file.devices),
     NULL, NULL,
     "How many devices read it: as many positions, after those of the file "
     "before it.",
     true},
};
static const gs_keys weights_file_table = {
    "weights_file", "a file of weights", COUNT(weights_file_keys),
    weights_file_keys};
static const gs_key_list weights_file_list =
    LIST(weights_file_table, gs_plan_weights_reading);

static gs_status weights_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k;
  return gs_keys_read(r, v, &weights_table,
                      &((gs_plan_reading *)into)->weights);
}

#define COLL(field) offsetof(gs_plan_collective_reading, field)
static const gs_key collective_keys[] = {
    {"op", gs_key_text, COLL(op), NULL, NULL,
     "The collective, as gshard-ops(7) names it.", true},
    {"axes", gs_key_text, COLL(axes), NULL, NULL,
     "Axes of the mesh over which it communicates, as tp or [dp,tp].", true},
    {"tensor", gs_key_text, COLL(tensor), NULL, NULL,
     "Its result in the program.", true},
    {"bytes_per_device", gs_key_int, COLL(bytes), NULL, NULL,
     "Bytes that each device sends.", true},
    {"origin", gs_key_text, COLL(origin), NULL, NULL,
     "The rule of the spec, and the chain of nodes from there.", true},
};
static const gs_keys collective_table = {
    "collective", "a collective", COUNT(collective_keys), collective_keys};
static const gs_key_list collective_list =
    LIST(collective_table, gs_plan_collective_reading);

/* ---- the plan ---- */

static gs_status version_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k, (void)into;
  int64_t n = 0;
  GS_TRY(gs_yaml_int(v, 1, INT64_MAX, &n, r->err));
  if (n == GS_PLAN_VERSION) return GS_OK;
  gs_fail_at(r->err, GS_UNSUPPORTED, &v->at,
             "plan version %lld; this program knows version %d", (long long)n,
             GS_PLAN_VERSION);
  gs_err_hint(r->err,
              "partition the model again with gshard-partition of "
              "this version");
  return GS_UNSUPPORTED;
}

gs_status gs_plan_version(gs_reader *r, const gs_yaml *plan) {
  const gs_yaml *v =
      plan->kind == GS_YAML_MAP ? gs_yaml_get(plan, "version") : NULL;
  return v ? version_key(r, v, NULL, NULL) : GS_OK;
}

static const char *const kind_words[] = {"spmd", "device", NULL};

/* What each program has, read into field `at` of `type`. */
#define NAMED_BY(type, at, first, required)                                    \
  {"binding", gs_key_text, offsetof(type, at binding), NULL, NULL, first,      \
   required},                                                                  \
  {"bind", LISTED(type, at bind, size_list),                                   \
   "With binding: the sizes of symbolic dims.", false},                        \
  {"files", LISTED(type, at file, file_list),                                  \
   "The graphs, in the order of device positions; one for spmd.", true}
#define BORDERS(type, at)                                                      \
  {"inputs", LISTED(type, at input, io_list),                                  \
   "Graph inputs and how they are split.", true},                              \
  {"outputs", LISTED(type, at output, io_list),                                \
   "Graph outputs and how they are joined.", true}
#define COLLECTIVES(type, at)                                                  \
  {"collectives", LISTED(type, at collective, collective_list),                \
   "Every collective, in the order of execution.", true}

#define BOUND(field) offsetof(gs_plan_named, field)
static const gs_key bound_keys[] = {
    {"name", gs_key_text, BOUND(name), NULL, NULL, "Name of the dim.", true},
    {"size", gs_key_int, BOUND(size), NULL, NULL, "Its size.", true},
};
static const gs_keys bound_table = {"bound", "the size of a dim",
                                    COUNT(bound_keys), bound_keys};
static const gs_key_list size_list = {&bound_table, sizeof(gs_plan_named), -1,
                                      NULL};

static const gs_key program_keys[] = {
    NAMED_BY(gs_plan_program_reading, , "Its name.", true),
    BORDERS(gs_plan_program_reading, ),
    COLLECTIVES(gs_plan_program_reading, ),
};
static const gs_keys program_table = {
    "program", "the program of a binding", COUNT(program_keys), program_keys};
static const gs_key_list program_list =
    LIST(program_table, gs_plan_program_reading);

#define PLAN(field) offsetof(gs_plan_reading, field)
static const gs_key plan_keys[] = {
    {"version", version_key, 0, NULL,
     "{\"const\": " GS_TEXT_OF(GS_PLAN_VERSION) "}",
     "Version of the format: " GS_TEXT_OF(GS_PLAN_VERSION) ".", true},
    {"producer", gs_key_text, PLAN(producer), NULL, NULL,
     "The program that wrote the plan.", true},
    {"kind", gs_key_word, PLAN(kind), kind_words, NULL,
     "spmd: one program for all devices; device: a graph for each.", true},
    {"mesh", mesh_key, 0, &mesh_table, NULL, "The mesh of devices.", true},
    NAMED_BY(gs_plan_reading, first., "Of a plan with several bindings: the "
             "name of the first, of which what follows tells.", false),
    BORDERS(gs_plan_reading, first.),
    {"weights", weights_key, 0, &weights_table, NULL,
     "The file of all weights, if there is one.", false},
    {"weights_files", LISTED(gs_plan_reading, weights_file, weights_file_list),
     "Or several, each with the weights of some devices: a host needs those of "
     "its devices. Default: none.",
     false},
    COLLECTIVES(gs_plan_reading, first.),
    {"bindings", LISTED(gs_plan_reading, next, program_list),
     "The programs of the other bindings, of the same mesh and weights. Their "
     "inputs and outputs differ in sizes alone, state does not. Default: none.",
     false},
    {"hash", hash_key, PLAN(hash), NULL, HASH,
     "Hash of the canonical text of everything else.", true},
};
static const gs_keys plan_table = {"plan", "a plan", COUNT(plan_keys),
                                   plan_keys};

const gs_keys *const gs_plan_tables[] = {
    &plan_table,    &mesh_table,       &axis_table,     &cut_table,
    &order_table,   &file_table,       &exchange_table, &io_table,
    &weights_table, &weights_file_table, &collective_table, &bound_table,
    &program_table,
};
const int gs_plan_ntable = COUNT(gs_plan_tables);
