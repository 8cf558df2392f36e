/* The table of operators: one row of ops.def each.
 *
 * A row's factor rule is what propagation, partitioning, the cost model and
 * the generated tests work from; shape, local and kernel say the rest.  No
 * other file names operators. */
#ifndef GS_OP_OP_H
#define GS_OP_OP_H

#include "ir/graph/graph.h"
#include "ir/mesh/exchange.h"

/* ---- factor rules (design section 2; Shardy's op sharding rules) ---- */

enum { GS_MAX_FACTORS = 96, GS_MAX_DIM_FACTORS = 8 };

typedef enum gs_factor_kind {
  GS_PASS,   /* in operands and results: any sharding, no communication */
  GS_SUMMED, /* in operands only: sharded => the result is partial */
  GS_WINDOW, /* of a result: its uses (gs_window_use) say which elements of the
                operands' dims are needed, of which those outside of the own
                block are exchanged */
  GS_WHOLE,  /* must not be sharded where the operator runs: it needs all */
  /* Whole where the operator runs, but shardings are propagated along them: a
   * node that is split along one may become its split form
   * (op/functions/split.txt), which sends what the kind says. */
  GS_STATS,  /* an all-reduce of a few numbers for each row */
  GS_SELECT, /* k candidates of each shard */
  GS_SCAN,   /* an exclusive prefix over shards of one number for each row */
  GS_LOOKUP, /* a masked lookup, and partial sums */
  GS_FLAT,   /* elements that lie in one order under two shapes whose rows do
                not fit together: blocks are ranges of that order, of which what
                lies outside of the own one is exchanged.  It stands for all of
                a dim, beside factors that it may have */
  GS_STATE,  /* a gather of the state in every step */
  GS_NKIND
} gs_factor_kind;

static inline bool gs_factor_whole(gs_factor_kind kind) {
  return kind >= GS_WHOLE;
}
/* Whether there is a split form where such a factor is split. */
static inline bool gs_factor_unfolds(gs_factor_kind kind) {
  return kind > GS_WHOLE;
}
/* "pass", "summed", ... */
const char *gs_factor_text(gs_factor_kind kind);

typedef struct gs_factor {
  int64_t size;
  gs_factor_kind kind;
  gs_reduce reduce; /* of GS_SUMMED */
  bool blocked;     /* sharding does not propagate along it */
  int64_t limit;    /* the smallest dim that it stands for: it is not
                       propagated over more devices */
} gs_factor;

/* Which elements of an operand's dim the places of a split factor need.  That
 * dim is then held as this says: its window, not its block.  The factor is one
 * of kind GS_WINDOW, of the dim and of one dim of a result; or one of kind
 * GS_SUMMED that another operand has (a kernel that is split). */
typedef struct gs_window_use {
  int factor;
  int in, dim;    /* operand, its dim */
  int out, out_dim; /* the result that is computed of it; -1: all */
  gs_reach reach; /* of outputs of the factor */
  bool copies;    /* place o of the result is that one element: nothing is left
                     to compute */
  gs_fill fill;   /* what stands outside of the operand */
  double value;   /* of GS_FILL_VALUE */
  int fill_in;    /* of GS_FILL_OPERAND: which */
} gs_window_use;

/* The factors of one dim, major first; their sizes multiply to the dim, but for
 * one of kind GS_FLAT, which is the last. A dim without factors has size 1 (or
 * is broadcast) and is never sharded. */
typedef struct gs_dim_map {
  uint8_t n;
  bool grown; /* split as its one factor is, but of another size: a cache, and
                 what it becomes; the factor is not split where the operator
                 runs */
  uint8_t f[GS_MAX_DIM_FACTORS];
} gs_dim_map;

typedef struct gs_tensor_map {
  int rank;
  gs_dim_map *dim; /* [rank] */
} gs_tensor_map;

typedef struct gs_rule {
  gs_arena *arena; /* of all that follows */
  int nfactor, room;
  gs_factor *factor; /* [room] */
  int nin, nout;
  gs_tensor_map *in, *out; /* absent operands have rank 0 */
  bool uneven; /* the major factor of a dim of several may be split unevenly: a
                  device then holds whole elements of it, as a window */
  int nuse, use_room;
  gs_window_use *use; /* [nuse] */
} gs_rule;

/* ---- rows ---- */

typedef struct gs_op gs_op;
typedef struct gs_local gs_local;

/* Fills r for a node whose operand and result shapes are known. */
typedef gs_status gs_rule_fn(gs_arena *a, const gs_node *n, gs_rule *r,
                             gs_err *e);
/* A rule that many rows share, or that text cannot say (rules.def). */
typedef struct gs_rule_family {
  gs_rule_fn *make;
  gs_factor_kind kind; /* of the dims that it does not pass */
  const char *prose; /* which dims may be sharded, for readers */
} gs_rule_family;
/* Sets dtype, rank and dims of the outputs of n from its inputs (shapes known,
 * shape operands constant where they decide the shape). */
typedef gs_status gs_shape_fn(gs_graph *g, gs_node *n, gs_err *e);
/* What a result takes of one dim of operand 0: place j holds element first +
 * step * j, or, where there is none, what the operator puts there. */
typedef struct gs_dim_span {
  int64_t first, step, count;
} gs_dim_span;

/* What such a row puts where there is no element. */
typedef enum gs_around {
  GS_AROUND_ZERO,
  GS_AROUND_WRAP, /* the elements again, from the first on */
  GS_AROUND_MODE  /* as the attribute `mode` says; if that is "constant", the
                     value of operand 2, or 0 */
} gs_around;

/* The spans of all dims of operand 0, for rows with SPAN.  GS_UNKNOWN when
 * an operand that says them is not constant: those of dims that are known to
 * stay may have been filled in. */
typedef gs_status gs_span_fn(gs_arena *a, const gs_node *n, gs_dim_span *span,
                             gs_err *e);
/* Emits the local form of a node; see struct gs_local. */
typedef gs_status gs_local_fn(gs_local *l, gs_err *e);

/* What a node gathers while it runs: with the devices of its attribute `axes`,
 * time after time, blocks of a state. */
enum { GS_MAX_OPERANDS = 8 }; /* of such a node */
typedef struct gs_gathers {
  int in, dim;   /* the operand, and the dim of it, that these axes split */
  gs_dtype type; /* of the blocks */
  int64_t count; /* elements of one */
  int64_t times;
} gs_gathers;
/* The same for n with operands of these dims, as a device has them; NULL where
 * one is left out.  times is 0 where it gathers nothing. */
typedef void gs_gathers_fn(const gs_node *n, const int64_t *const *dims,
                           gs_gathers *out);

enum {
  /* what the arithmetic is */
  GS_OP_POINTWISE = 1 << 0, /* every output element from operand elements at
                               the same place: first in propagation */
  GS_OP_EARLY = 1 << 1,     /* not pointwise, but as cheap to follow: its
                               elements are those of operand 0 in other places;
                               first in propagation too */
  GS_OP_LINEAR = 1 << 2,    /* f(a + b) = f(a) + f(b) in operand 0 with the
                               others fixed: partial sums may pass */
  GS_OP_PRODUCT = 1 << 18,  /* the same in operand 0 and in operand 1 (in each
                               of any number), but not in both together; what
                               further operands add is counted once where
                               gs_local.partial has axes */
  GS_OP_TOTAL = 1 << 19,    /* its result is the sum of its operands */
  GS_OP_ADDITIVE = 1 << 3,  /* linear in all operands together, but for
                               indices (Add, Concat, scatters that replace or
                               add): partial if all operands are alike */
  GS_OP_RANDOM = 1 << 4,    /* never folded, never merged */
  GS_OP_DISTINCT = 1 << 21, /* elements of result 1 are distinct along the dim
                               that no operand has */
  GS_OP_EQUALS = 1 << 22,   /* the result is 0 where elements are not equal,
                               of operand 0 and a list or operand 1; what it is
                               there begins operand 2, if there is one */
  /* what becomes of the elements and of their memory */
  GS_OP_VIEW = 1 << 5,      /* result 0 is the memory of operand 0, seen in
                               another shape: nothing runs */
  GS_OP_INPLACE = 1 << 6,   /* output 0 may take the memory of operand 0 when
                               type and size agree */
  GS_OP_MOVES = 1 << 7,     /* moves elements without a look at them: the
                               kernel may see u8 in place of packed types */
  GS_OP_PARTS = 1 << 20,    /* the kernel can also write result 0 where it is
                               a part of a larger tensor (gs_view.pitch) */
  GS_OP_VALUES = 1 << 8,    /* its results hold elements of operand 0, in
                               any order, perhaps of another type */
  GS_OP_SELECTS = 1 << 24,  /* elements of operand 1 where operand 0 holds, of
                               operand 2 elsewhere */
  GS_OP_JOINS = 1 << 23,    /* its operands, laid end to end along the dim that
                               the attribute `axis` numbers */
  /* what is read of the operands */
  GS_OP_PLACES = 1 << 24,    /* they say places, and are not weights: what is
                                constant is folded, though they are floats */
  GS_OP_SHAPE_ONLY = 1 << 9, /* the shape of operand 0, not its data; always
                                folded */
  GS_OP_TYPE1 = 1 << 10,     /* the type of operand 1, not its data */
  GS_OP_INDEX1 = 1 << 11,    /* operand 1 holds indices: its padding is cleared
                                before use so that none is out of range */
  GS_OP_DYNAMIC = 1 << 12,   /* its shape function takes dynamic operands */
  /* domain ai.gshard */
  GS_OP_COLLECTIVE = 1 << 13, /* communicates; see gs_node_communicates */
  GS_OP_ENTRY = 1 << 14,      /* reads this device's block of operand 0 */
  GS_OP_EXIT = 1 << 15,       /* joins blocks to an output of the program */
  GS_OP_MESH = 1 << 16, /* depends on the mesh, or on the device's place */
  GS_OP_PLACED = 1 << 17, /* runs on a part of its tensors, as the attribute
                             `place` says: with GS_OP_MESH always, as the
                             operator of gs_op_placed with that name */
};

/* Which operand of a row holds indices, or a size, and of what. */
typedef enum gs_index_kind {
  GS_INDEX_NONE,
  GS_INDEX_AXIS,  /* dim `axis` (0) of operand `of` */
  GS_INDEX_TUPLE, /* the last dim: places in the dims from `batch_dims` (0) on
                     of operand `of` */
  GS_INDEX_ROWS,  /* dim 0 of operand `of`; a list of rank 1 is an offset */
  GS_INDEX_MADE,  /* dim `axis` (-1) of the result */
  GS_INDEX_SIZE,  /* no index: the size of dim -2 of result `of` */
} gs_index_kind;

typedef struct gs_index {
  int8_t operand, of;
  uint8_t kind; /* gs_index_kind */
} gs_index;

enum { GS_MAX_OVER = 3 };
struct gs_op {
  const char *name;
  const char *domain; /* "" is ai.onnx */
  int since;          /* opset of the newest form, which the row implements */
  int min_in, max_in; /* max_in INT_MAX: variadic */
  int min_out, max_out;
  unsigned flags;
  int flops; /* per point of the product of all factors */
  gs_reduce combine; /* how GS_SUMMED factors combine; set in the row */
  const char *text;   /* the rule as text, or NULL */
  const gs_rule_family *family; /* the rule when text is NULL */
  gs_span_fn *span; /* of SPAN, or NULL */
  gs_around around; /* of SPAN */
  gs_shape_fn *shape;
  int number; /* that the shape function wants, such as gates of an LSTM */
  const char *signature; /* op/core/signature.h, or NULL */
  gs_local_fn *local; /* NULL: same operator, same attributes */
  gs_gathers_fn *gathers; /* of rows that send and are not moves */
  const char *types;  /* of the operand that the result has, else of operand 0:
                         those that run, as gs_op_types_text writes them; NULL:
                         any */
  gs_index index;
  /* Result i may be written over operand over[i], beside what GS_OP_INPLACE
   * says, where it is as large and nobody reads it later; what the kernel does
   * not write is then as it was.  0: no. */
  unsigned char over[GS_MAX_OVER];
  /* 1 + the operand of which elements of -inf take away what they stand for
   * along a dim of kind GS_STATS: it counts nothing, and its results are 0; of
   * an attention its mask, whose last dim is that of the keys.  0: none. */
  unsigned char fades;
  const char *joined; /* attributes that say how operands 0, 1, .. share operand
                         0 where the others are left out, or NULL */
  int id;             /* row number */
};

/* Whether the data of operand i is read: not by GS_OP_SHAPE_ONLY, _TYPE1. */
static inline bool gs_op_reads(const gs_op *op, int i) {
  return !(i == 0 && (op->flags & GS_OP_SHAPE_ONLY)) &&
         !(i == 1 && (op->flags & GS_OP_TYPE1));
}

extern const gs_op gs_ops[];
extern const int gs_nop;

/* Domains that rows are of, and the versions of them that are understood.
 * Some operators of ai.onnx are understood in older forms
 * (pass/prepare/upgrade). */
typedef struct gs_domain {
  const char *name; /* "" is ai.onnx */
  int oldest, newest;
} gs_domain;

/* The domain, or NULL when no row is of it. */
const gs_domain *gs_domain_find(const char *name);

/* The row of (domain, name), or NULL.  "ai.onnx" equals "". */
const gs_op *gs_op_find(const char *domain, const char *name);
/* Of a row of GS_OP_PLACED and GS_OP_MESH: the operator of ONNX, or else of
 * com.microsoft, that it is on parts of its tensors. */
const gs_op *gs_op_placed(const gs_op *op);

/* "floats integers bool f8e4m3fn" for a set of types (bit t: gs_dtype t):
 * classes that are complete (packed: of 4 and 2 bits), then single types. */
char *gs_op_types_text(gs_arena *a, uint64_t set);

/* Which dims of the row's operands may be sharded, for readers: its rule's
 * text without what only the program needs, "mk,kn -> mn; k summed", or the
 * prose of its family. */
const char *gs_op_how(gs_arena *a, const gs_op *op);

/* The rule of a node: the user's (node->rule) if there is one.  Nodes without
 * a row get one in which every dim of
 * every operand and result is a factor of its own that must be whole.
 * Checks that factor sizes multiply to the dims (GS_INTERNAL if not). */
gs_status gs_rule_of(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e);
/* Parses "([i,k],[k,j])->([i,j]) reduction={k}" or the row form
 * "...mk,...kn -> ...mn" against the shapes of n. */
gs_status gs_rule_parse(gs_arena *a, const char *text, const gs_node *n,
                        gs_rule *r, gs_err *e);
/* Shardy-like text: "([i,k],[k,j])->([i,j]) {i=8,j=16,k=32} reduction={k}
 * need_replication={}"; k+ is a dim that has grown.  Then, for each window use,
 * which gs_rule_parse does not know, "window(k: 0.2[2*k-1,2*k+1])": outputs k
 * need elements 2k-1 .. 2k+1 of dim 2 of operand 0. */
void gs_rule_print(gs_buf *b, const gs_rule *r);
/* A copy in this arena, no larger than the rule needs. */
void gs_rule_copy(gs_arena *a, const gs_rule *r, gs_rule *out);
gs_status gs_rule_check(const gs_node *n, const gs_rule *r, gs_err *e);

/* Whether f(a + b) = f(a) + f(b) in operand i of n: with the others fixed or,
 * of an additive node, with all that are not indices together. */
bool gs_node_linear(const gs_node *n, int i);
bool gs_node_additive(const gs_node *n);

/* Generic checks (arity, shapes known), then the row's shape function.
 * GS_UNSUPPORTED when the node has no row and its outputs no shape, and when
 * its shape function says GS_UNKNOWN. */
gs_status gs_shape_infer(gs_graph *g, gs_node *n, gs_err *e);
/* The same for a caller that can wait for a run: GS_UNKNOWN when only a run
 * knows a shape.  The diagnostic then says GS_UNSUPPORTED. */
gs_status gs_shape_try(gs_graph *g, gs_node *n, gs_err *e);

/* Whole numbers from low on, below high; high is 0 where nothing is known. */
typedef struct gs_range {
  int64_t low, high;
} gs_range;

/* What an index in operand i of n may be: from 0 on, below the size of the dim
 * that it counts, of several dims the smallest; of a size, that size alone.
 * Nothing is known where operand i does not hold indices, or of sizes that
 * are not known. */
gs_range gs_index_range(const gs_node *n, int i);

/* Floating-point operations of a node over these factor sizes (global or
 * local): flops * product of sizes. */
double gs_op_flops(const gs_op *op, const gs_rule *r, const int64_t *sizes);

/* ---- local rewrites ---- */

enum { GS_MAX_STAGES = 2 };

typedef struct gs_local_stage {
  gs_reduce reduce;
  /* Emits what is to be done with reduced result `out`; NULL: nothing. */
  gs_value *(*finish)(gs_local *l, int out, gs_value *reduced);
} gs_local_stage;

/* What a row's local function sees and does.  The partitioner has resharded
 * the operands to what the rule asks for (see `in`), with padding masked
 * where a summed factor is unevenly split. The function emits nodes into
 * `program` and stores the results in out[]; result i must have the local
 * dims out_dims[i] and is then known to have the sharding out_sharding[i]
 * (partial over the axes of summed factors). */
struct gs_local {
  const gs_node *node;    /* the global node */
  const gs_rule *rule;
  const gs_axes *factor;  /* [nfactor] axes that each factor is split over */
  gs_subset partial;      /* axes of summed factors that are split, and those
                             over which an operand is partial */
  gs_graph *program;
  const gs_mesh *mesh;
  gs_value **in;          /* local operands, which it may replace */
  gs_value **out;         /* results, to be set */
  int64_t **out_dims;     /* local dims of each result */
  gs_sharding **out_sharding;
  const gs_form *held;    /* [nin] the form of each operand */
  uint64_t done; /* of copies: dims that are exchanged, not computed */
  /* How a partial result becomes the whole: it is reduced as stage 0 says,
   * stage 0's `finish` makes of it what stage 1 reduces, and so on; what the
   * last one makes is the result.  Preset: one stage, with the reduction of
   * the rule and no `finish`.  One that needs more sets it (mean: divide by the
   * true count; L2: square root).  Where nothing is partial nothing is done. */
  int nstage;
  gs_local_stage stage[GS_MAX_STAGES];
  gs_value *kept; /* for the next stage, if that needs more */
};

/* Appends a copy of l->node with other operands; helper for local functions.
 * The copy's outputs are new values with out_dims; they are stored in out. */
gs_node *gs_local_same(gs_local *l);
/* Appends an operator to the program with the given operands and one output
 * of that shape. Attributes are added by the caller. */
gs_node *gs_local_emit(gs_local *l, const char *domain, const char *op_type,
                       gs_value *const *in, int nin, gs_dtype dtype, int rank,
                       const int64_t *dims);

#endif
