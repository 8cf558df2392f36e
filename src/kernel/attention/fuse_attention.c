/* Softmax attention as exporters write it:
 *
 *   MatMul(q, k') -> [Mul or Div by a number] -> [Add of a mask] -> Softmax
 *     -> MatMul(., v)
 *
 * becomes one node, whose kernel never has the scores in memory.  Of few
 * queries it would compute tiles that are mostly empty. */
#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/fusion.h"

enum { Q, K, V, MASK, SCALE, OPERANDS };
enum { LEAST = 8, MOST_DIMS = 4 };

typedef struct chain {
  const gs_fuse_facts *facts;
  const gs_node **gone;
  int ngone;
} chain;

/* The node of one of these classes that makes v for this chain alone. */
static const gs_node *before(chain *c, const gs_value *v, gs_fuse class) {
  const gs_node *n = c->facts->before(c->facts->ctx, v);
  if (!n || gs_fuse_of(n->op) != class || n->nout != 1) return NULL;
  gs_assert(c->ngone < GS_FUSE_MOST && n->out[0] == v);
  c->gone[c->ngone++] = n;
  return n;
}

static bool is_plain(const gs_value *v) {
  return v && v->dtype == GS_FLOAT && v->rank >= 2 && v->rank <= MOST_DIMS;
}

/* a[.., x, y] b[.., y, z], of equal outer dims. */
static bool is_product(const gs_node *n) {
  const gs_value *a = gs_node_in(n, 0), *b = gs_node_in(n, 1);
  return is_plain(a) && is_plain(b) && a->rank == b->rank &&
         gs_same_dims(a->dims, b->dims, a->rank - 2) &&
         a->dims[a->rank - 1] == b->dims[a->rank - 2] &&
         a->dims[a->rank - 1] > 0;
}

static bool is_number(const gs_value *v, const gs_value *scores) {
  return v->dtype == GS_FLOAT && v->rank <= scores->rank &&
         gs_product(v->dims, v->rank) == 1;
}

/* Repeats along other dims of the scores than the last. */
static bool is_mask(const gs_value *v, const gs_value *scores) {
  int off = scores->rank - v->rank;
  if (v->dtype != GS_FLOAT || v->rank < 1 || off < 0) return false;
  for (int d = 0; d < v->rank; d++) {
    bool whole = v->dims[d] == scores->dims[d + off];
    if (!whole && (d == v->rank - 1 || v->dims[d] != 1)) return false;
  }
  return true;
}

static bool same_shape(const gs_value *a, const gs_value *b) {
  return a->dtype == b->dtype && a->rank == b->rank &&
         gs_same_dims(a->dims, b->dims, a->rank);
}

/* Takes n's other operand as operand `as` of f; the scores go on. */
static const gs_value *strip(const gs_node *n, gs_node *f, int as,
                             bool (*fits)(const gs_value *,
                                          const gs_value *)) {
  if (n->nin != 2) return NULL; /* Sum has any number */
  for (int i = 0; i < 2; i++) {
    const gs_value *x = n->in[i], *y = n->out[0];
    if (!same_shape(x, y) || !fits(n->in[!i], y)) continue;
    f->in[as] = n->in[!i];
    return x;
  }
  return NULL;
}

/* The scores that stand before `x`, with what is done to them in f. */
static const gs_node *scores_of(chain *c, const gs_value *x, gs_node *f,
                                bool *divides) {
  const gs_node *n = before(c, x, GS_FUSE_ADD);
  if (n) x = strip(n, f, MASK, is_mask);
  if (!x) return NULL;
  n = before(c, x, GS_FUSE_MUL);
  if (n) x = strip(n, f, SCALE, is_number);
  if (!n && (n = before(c, x, GS_FUSE_DIV))) {
    *divides = true;
    f->in[SCALE] = n->in[1];
    x = same_shape(n->in[0], x) && is_number(n->in[1], x) ? n->in[0] : NULL;
  }
  return x ? before(c, x, GS_FUSE_MATMUL) : NULL;
}

static bool is_over_last(const gs_node *n) {
  int rank = n->in[0]->rank;
  int64_t axis = gs_node_int(n, "axis", -1);
  return axis == -1 || axis == rank - 1;
}

const gs_node *gs_kernel_fuse_attention(gs_arena *a, const gs_node *n,
                                        const gs_fuse_facts *facts,
                                        const gs_node **gone, int *ngone) {
  chain c = {.facts = facts, .gone = gone};
  bool divides = false;
  if (gs_fuse_of(n->op) != GS_FUSE_MATMUL || !is_product(n)) return NULL;
  const gs_node *soft = before(&c, n->in[0], GS_FUSE_SOFTMAX);
  if (!soft || !is_over_last(soft)) return NULL;
  gs_node *f = GS_NEW(a, gs_node);
  *f = *n;
  f->in = GS_NEWS(a, OPERANDS, gs_value *);
  const gs_node *first = scores_of(&c, soft->in[0], f, &divides);
  if (!first || !is_product(first)) return NULL;
  const gs_value *q = first->in[0];
  if (q->dims[q->rank - 2] < LEAST) return NULL;
  f->op = gs_fuse_row(GS_FUSE_ATTENTION);
  f->op_type = f->op->name;
  f->domain = f->op->domain;
  f->in[Q] = first->in[0];
  f->in[K] = first->in[1];
  f->in[V] = n->in[1];
  f->nin = f->in[SCALE] ? SCALE + 1 : f->in[MASK] ? MASK + 1 : MASK;
  f->attr = NULL;
  f->nattr = 0;
  if (divides) {
    f->attr = GS_NEW(a, gs_attr);
    f->nattr = 1;
    *f->attr = (gs_attr){.name = "divide", .kind = GS_ATTR_INT, .i = 1};
  }
  *ngone = c.ngone;
  return f;
}
