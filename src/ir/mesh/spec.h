/* A sharding specification as plain data (gshard-spec(5)).
 *
 * io/spec/spec_io.c reads it; pass/match/match.c applies it to a graph.
 * Everything that a message may have to point at keeps its place. */
#ifndef GS_IR_SPEC_H
#define GS_IR_SPEC_H

#include "base/data/map.h"
#include "ir/place.h"
#include "ir/mesh/sharding.h"

/* An axis or sub-axis as written: "tp", "tp:(1)2".  Not checked against a
 * mesh. */
typedef struct gs_spec_axis {
  const char *name;
  int64_t pre, size; /* of a sub-axis; size 0: the whole axis */
  gs_place at;
} gs_spec_axis;

typedef struct gs_spec_axes {
  int n;
  gs_spec_axis *at; /* major first */
} gs_spec_axes;

/* One entry of a `shard` list. */
typedef struct gs_spec_dim gs_spec_dim;
struct gs_spec_dim {
  bool rest; /* "..." (open) or "*..." (closed): all dims not listed */
  bool open;
  int priority;      /* -1: that of the rule */
  gs_spec_axes axes;
  gs_spec_dim *other; /* next alternative, if this one does not divide */
  gs_place at;
};

typedef struct gs_spec_pattern {
  const char *text; /* base/data/pattern.h; known to compile */
  gs_place at;
} gs_spec_pattern;

typedef struct gs_spec_patterns { /* any of them; n = 0: not asked */
  int n;
  gs_spec_pattern *at;
} gs_spec_patterns;

enum { /* kinds of values */
  GS_KIND_INPUT = 1,
  GS_KIND_OUTPUT = 2,
  GS_KIND_WEIGHT = 4,
  GS_KIND_ACTIVATION = 8
};

typedef struct gs_spec_match { /* all that is given must hold */
  gs_spec_patterns tensor, node, op, module, dtype;
  int input, output; /* operand or result of the nodes; -1: not given */
  unsigned kinds;    /* GS_KIND_*; 0: any */
  int nrank;         /* any of these; 0: not given */
  int64_t *rank;
  int nshape;        /* -1: not given */
  int64_t *shape;    /* [nshape]; -1: any size */
  gs_place at;
} gs_spec_match;

typedef enum gs_spec_action {
  GS_ACTION_NONE,
  GS_ACTION_SHARD,
  GS_ACTION_SPLIT,
  GS_ACTION_ASSIGN,
  GS_ACTION_REPLICATE,
  GS_ACTION_STYLE
} gs_spec_action;

typedef enum gs_style {
  GS_STYLE_COLWISE,
  GS_STYLE_ROWWISE,
  GS_STYLE_VOCAB,
  GS_STYLE_EXPERT,
  GS_STYLE_REPLICATE,
  GS_STYLE_HEADS /* colwise by whole heads */
} gs_style;

typedef enum gs_kv { /* heads that are fewer than devices */
  GS_KV_DUPLICATE, /* some devices have the same */
  GS_KV_ERROR
} gs_kv;

typedef enum gs_uneven { GS_UNEVEN_PAD, GS_UNEVEN_ERROR } gs_uneven;

typedef struct gs_spec_segments { /* sizes of tensors end to end */
  int n;
  int64_t *size; /* [n], above 0 */
  gs_place at;
} gs_spec_segments;

typedef struct gs_spec_rule {
  const char *label, *why; /* or NULL */
  gs_spec_match match;
  gs_spec_action action;
  gs_place act; /* of the action's value */
  int ndim;     /* shard */
  gs_spec_dim *dim;
  gs_spec_axes replicated, partial;
  gs_reduce reduce;
  int64_t split_dim, parts; /* split: dim may be negative */
  int rank;                 /* assign */
  int64_t *shape;           /* [rank] shards per dim */
  int64_t *device;          /* row-major over shape */
  int style;                /* gs_style */
  gs_spec_axis axis;        /* of a style; name NULL: the default */
  int64_t heads;            /* that a split dim consists of; 0: not given */
  int kv;                   /* gs_kv; -1: not given */
  int64_t interleave;       /* elements that belong together; 0: not given */
  gs_spec_segments segments; /* of the split dim; n = 0: not given */
  bool plan;                /* of tp_plan: it may match nothing */
  int64_t priority;
  int uneven;          /* gs_uneven; -1: that of the options */
  int64_t expect;      /* tensors that must match */
  bool expect_more;    /* ">=n" (the default: ">=1"); any: ">=0" */
  gs_place at;
} gs_spec_rule;

typedef struct gs_spec_group {
  gs_spec_match match;
  gs_spec_patterns with; /* paired with match.tensor by what * stands for */
  gs_place at;
} gs_spec_group;

typedef struct gs_spec_state { /* inputs that are outputs of the run before */
  gs_spec_match match;   /* outputs, by tensor; none: the usual names */
  gs_spec_patterns with; /* inputs, paired with match.tensor as in a group */
  int64_t size;          /* of the dim that would grow; 0: not given */
  gs_place at;
} gs_spec_state;

typedef enum gs_direction { /* in which propagation may pass */
  GS_DIRECTION_NONE,
  GS_DIRECTION_FORWARD,
  GS_DIRECTION_BACKWARD,
  GS_DIRECTION_BOTH
} gs_direction;

typedef struct gs_spec_barrier {
  gs_spec_match after;
  int direction; /* gs_direction */
  gs_place at;
} gs_spec_barrier;

typedef struct gs_spec_op {
  const char *domain, *op_type;
  const char *rule; /* text for gs_rule_parse */
  gs_place at;
} gs_spec_op;

typedef struct gs_spec_mesh_axis {
  const char *name;
  int64_t size; /* 0: auto */
  double alpha_us, gbps; /* as in gs_axis */
  gs_place at;
} gs_spec_mesh_axis;

typedef struct gs_spec_mesh {
  int naxis; /* 0: not given */
  gs_spec_mesh_axis axis[GS_MAX_AXES];
  int64_t ndevice_id; /* 0: identity */
  int64_t *device_id;
  gs_place at;
} gs_spec_mesh;

typedef struct gs_spec_order { /* a device order, by devices */
  const char *name;
  int64_t n, *device;
  gs_place at;
} gs_spec_order;

typedef struct gs_spec_bind {
  const char *name;
  int64_t size;
  gs_place at;
} gs_spec_bind;

/* One of several sets of sizes that a plan has programs for. */
typedef struct gs_spec_binding {
  const char *name;
  GS_VEC(gs_spec_bind) bind;
  gs_place at;
} gs_spec_binding;

typedef enum gs_existing {
  GS_EXISTING_OVERRIDE,
  GS_EXISTING_KEEP,
  GS_EXISTING_ERROR
} gs_existing;

/* Rules that are none of the spec's. */
enum {
  GS_RULE_NONE = -1, /* the model's own annotations, or options.io */
  GS_RULE_FILL = -3, /* options.auto chose it */
  GS_RULE_SHORT = -4 /* options.short handed it on from another dim */
};

typedef enum gs_stack_when {
  GS_STACK_FITTING, /* where rules fit the model no other way */
  GS_STACK_NEVER,
  GS_STACK_ALWAYS
} gs_stack_when;

typedef enum gs_auto { GS_AUTO_OFF, GS_AUTO_FILL } gs_auto;

typedef struct gs_spec_options {
  bool strict;        /* default true: what matches nothing is an error */
  int match_order;    /* 0 first, 1 last */
  int unknown_op;     /* 0 replicate, 1 error */
  int uneven;         /* gs_uneven */
  int existing;       /* gs_existing */
  int io;             /* 0 open, 1 replicated */
  int choose;         /* gs_auto */
  int keep_short;     /* axes of short dims: 0 are handed on, 1 stay */
  gs_stack_when stack;
  int64_t capacity;   /* gs_pass_rows; 0: not given */
  int64_t memory;     /* bytes per device; 0: any */
} gs_spec_options;

typedef struct gs_spec {
  gs_arena *arena;
  gs_spec_mesh mesh;
  int64_t devices; /* `devices: N`; 0: not given */
  gs_place devices_at;
  GS_VEC(gs_spec_order) order;
  gs_machine machine; /* what is given; the rest is 0 */
  gs_spec_options options;
  GS_VEC(gs_spec_bind) bind;
  GS_VEC(gs_spec_binding) binding; /* of each, besides bind; or none */
  gs_map bound; /* name -> 1 + index in bind, as a pointer */
  GS_VEC(gs_spec_rule) rule;
  GS_VEC(gs_spec_group) group;
  GS_VEC(gs_spec_state) state;
  GS_VEC(gs_spec_barrier) barrier;
  GS_VEC(gs_spec_op) op;
} gs_spec;

#endif
