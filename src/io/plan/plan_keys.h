/* The keys of plan.yaml and what they are read into; not for others. */
#ifndef GS_IO_PLAN_KEYS_H
#define GS_IO_PLAN_KEYS_H

#include "io/spec/keys.h"
#include "ir/mesh/plan.h"

typedef struct gs_plan_named { /* an axis, its size; or a cut, its place */
  const char *name;
  int64_t size;
} gs_plan_named;

typedef struct gs_plan_order_reading {
  const char *name;
  gs_int_list positions;
} gs_plan_order_reading;

typedef struct gs_plan_io_reading {
  const char *name, *dtype, *sharding;
  gs_int_list dims;
  bool open;
  const char *state;
  int64_t size, filled;
  gs_place at;
} gs_plan_io_reading;

typedef struct gs_plan_collective_reading {
  const char *op, *axes, *tensor, *origin;
  int64_t bytes;
  gs_place at;
} gs_plan_collective_reading;

typedef struct gs_plan_exchange_reading {
  const char *tensor;
  gs_int_list gives, takes;
  gs_place at;
} gs_plan_exchange_reading;

typedef struct gs_plan_file_reading {
  gs_plan_file file;
  GS_VEC(gs_plan_exchange_reading) exchange;
  gs_place at;
} gs_plan_file_reading;

typedef struct gs_plan_weights_reading {
  gs_plan_weights file;
  gs_place at;
} gs_plan_weights_reading;

typedef struct gs_plan_program_reading { /* of one binding */
  const char *binding;
  GS_VEC(gs_plan_named) bind;
  GS_VEC(gs_plan_file_reading) file;
  GS_VEC(gs_plan_io_reading) input;
  GS_VEC(gs_plan_io_reading) output;
  GS_VEC(gs_plan_collective_reading) collective;
  gs_place at;
} gs_plan_program_reading;

typedef struct gs_plan_reading {
  bool verify;
  const gs_yaml *root, *mesh;
  const char *producer;
  int kind;
  GS_VEC(gs_plan_named) axis;
  GS_VEC(gs_plan_named) cut;
  GS_VEC(gs_plan_order_reading) order;
  gs_int_list ids;
  gs_plan_program_reading first;
  GS_VEC(gs_plan_program_reading) next;
  gs_plan_weights weights; /* file NULL: none */
  GS_VEC(gs_plan_weights_reading) weights_file;
  uint64_t hash;
} gs_plan_reading;

/* Of another version of the format only that is said: GS_UNSUPPORTED. */
gs_status gs_plan_version(gs_reader *r, const gs_yaml *plan);

extern const gs_keys *const gs_plan_tables[]; /* [0]: the plan itself */
extern const int gs_plan_ntable;

#endif
