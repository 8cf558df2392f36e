/* What the files that make random graphs share; see random_graph.h. */
#ifndef GS_TESTS_RANDOM_IMPL_H
#define GS_TESTS_RANDOM_IMPL_H

#include "random_graph.h"

enum { MAX_VALUES = 200, MAX_ELEMENTS = 4096, MAX_IN = 4 };

typedef struct mark {
  double max; /* no element is larger in magnitude */
  bool real;   /* not integers: order of summation shows */
  bool index;  /* made for one use only */
  bool special; /* may have NaN and infinities: not used again */
} mark;

typedef struct producer {
  gs_arena *a;
  gs_graph *g;
  random_source r;
  mark mark[MAX_VALUES];
  int64_t size[4]; /* of dims: few, so that values go together */
  int dense;       /* percent of values that are annotated */
  bool plain;      /* floats are f32 */
  bool chain;      /* the newest value is read first */
  bool rows;       /* what is close, not exact, is a result of the graph */
  int failed;      /* nodes taken back */
  gs_buf ranges;
  gs_err e;
} producer;

enum { /* sets of types */
  FLOATS = 1, INTS = 2, BOOLS = 4, SMALL = 8, /* 8-bit integers */
  NUMBERS = FLOATS | INTS
};

/* 0 .. n - 1, and true in that many of a hundred cases. */
int random_number(producer *k, int n);
bool random_chance(producer *k, int percent);
/* One of the few sizes of dims of this graph. */
int64_t random_size(producer *k);
gs_dtype random_type(producer *k, unsigned set);
/* Integers up to this are exact in t. */
double random_limit(gs_dtype t);
double random_elements(const gs_value *v);
double random_max(const producer *k, const gs_value *v);
bool random_real(const producer *k, const gs_value *v);

/* An input, or a weight without data. */
gs_value *random_fresh(producer *k, gs_dtype t, int rank, const int64_t *dims);
gs_value *random_any_fresh(producer *k, unsigned set, int low, int high);
gs_value *random_pick(producer *k, unsigned set, int low, int high, bool exact);
gs_value *random_like(producer *k, gs_dtype t, int rank, const int64_t *dims,
                      bool exact);
gs_value *random_partner(producer *k, const gs_value *x, gs_dtype t);
/* With NaN and infinities, for one use. */
gs_value *random_special(producer *k, gs_dtype t, int rank,
                         const int64_t *dims);
gs_value *random_ints(producer *k, const int64_t *v, int n);
gs_value *random_one_int(producer *k, int64_t v);
gs_value *random_floats(producer *k, const float *v, int n);
gs_value *random_indices(producer *k, int rank, const int64_t *dims,
                         int64_t low, int64_t high);

/* A node without results; then its results, none larger than `bound`. */
gs_node *random_begin(producer *k, const char *op, gs_value **in, int nin,
                      int nout);
void random_finish(producer *k, gs_node *n, double bound, bool is_real);
/* Both for one result; false when `bound` is past what is exact. */
bool random_simple(producer *k, const char *op, gs_value **in, int nin,
                   double bound, bool is_real);

/* As random_finish; false, and no node, where the operator refuses it. */
bool random_try(producer *k, gs_node *n, double bound, bool is_real);
/* The one result of an operator without a row; it is not exact. */
void random_known(producer *k, gs_node *n, gs_dtype t, int rank,
                  const int64_t *dims);
/* The result holds elements of operand 0. */
bool random_moved(producer *k, gs_node *n);

/* Adds a node of one kind; false when it found no operands for it. */
typedef bool random_make(producer *k);
typedef struct random_kinds {
  random_make *const *make;
  int n;
} random_kinds;
/* Of every kind; with windows; what moves elements; linear; by indices; what
 * needs all of a dim; attention of com.microsoft, other functions over rows. */
extern const random_kinds random_all, random_windows, random_moves,
    random_linear, random_lookups, random_stats, random_attention;

#endif
