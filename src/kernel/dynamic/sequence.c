/* Sequences and optionals. */
#include "base/assert.h"
#include "kernel/core/call_dynamic.h"

/* A new list like `from`, whose elements are shared. */
static gs_dyn *copy_list(gs_dyncall *k, const gs_dyn *from) {
  gs_dyn *list = gs_dyn_list(k->heap, GS_SEQUENCE, from->t.dtype);
  for (int i = 0; i < from->n; i++)
    gs_dyn_put(list, i, gs_dyn_keep(k->heap, from->item[i]));
  return list;
}

/* Index of operand i into n places; `otherwise` when it is left out. */
static gs_status index_of(gs_dyncall *k, int i, int n, int otherwise,
                          int *out) {
  int64_t at;
  GS_TRY(gs_dyncall_int(k, i, otherwise, &at));
  if (at < -n || at > n || (at == n && otherwise != n))
    return gs_dyncall_fail(k, GS_DATA,
                          "index %lld is out of range for a sequence of %d",
                          (long long)at, n);
  *out = (int)(at < 0 ? at + n : at);
  return GS_OK;
}

static gs_status want_type(gs_dyncall *k, const gs_dyn *list,
                           const gs_dyn *item) {
  if (list->t.dtype == item->t.dtype || list->t.dtype == GS_UNDEFINED)
    return GS_OK;
  return gs_dyncall_fail(k, GS_DATA, "%s does not fit into %s",
                        gs_dyn_text(k->arena, item),
                        gs_dyn_text(k->arena, list));
}

static gs_status run_construct(gs_dyncall *k) {
  gs_dyn *list = k->out[0] = gs_dyn_list(k->heap, GS_SEQUENCE, GS_UNDEFINED);
  for (int i = 0; i < k->node->nin; i++) {
    gs_dyn *x;
    GS_TRY(gs_dyncall_tensor(k, i, &x));
    if (!i) list->t.dtype = x->t.dtype;
    GS_TRY(want_type(k, list, x));
    gs_dyn_put(list, i, gs_dyn_keep(k->heap, x));
  }
  return GS_OK;
}

static gs_status run_empty(gs_dyncall *k) {
  gs_dtype t = (gs_dtype)gs_node_int(k->node, "dtype", GS_FLOAT);
  k->out[0] = gs_dyn_list(k->heap, GS_SEQUENCE, t);
  return GS_OK;
}

static gs_status run_at(gs_dyncall *k) {
  gs_dyn *list;
  int i;
  GS_TRY(gs_dyncall_list(k, 0, &list));
  GS_TRY(index_of(k, 1, list->n, 0, &i));
  k->out[0] = gs_dyn_keep(k->heap, list->item[i]);
  return GS_OK;
}

static gs_status run_insert(gs_dyncall *k) {
  gs_dyn *list, *x;
  int i;
  GS_TRY(gs_dyncall_list(k, 0, &list));
  GS_TRY(gs_dyncall_tensor(k, 1, &x));
  GS_TRY(index_of(k, 2, list->n, list->n, &i));
  GS_TRY(want_type(k, list, x));
  gs_dyn *longer = k->out[0] = copy_list(k, list);
  longer->t.dtype = x->t.dtype;
  gs_dyn_put(longer, i, gs_dyn_keep(k->heap, x));
  return GS_OK;
}

static gs_status run_erase(gs_dyncall *k) {
  gs_dyn *list;
  int i;
  GS_TRY(gs_dyncall_list(k, 0, &list));
  GS_TRY(index_of(k, 1, list->n, list->n - 1, &i));
  if (i >= list->n || i < 0)
    return gs_dyncall_fail(k, GS_DATA,
                          "index %d is out of range for a sequence of %d", i,
                          list->n);
  gs_dyn *less = k->out[0] = gs_dyn_list(k->heap, GS_SEQUENCE, list->t.dtype);
  for (int j = 0; j < list->n; j++)
    if (j != i) gs_dyn_put(less, less->n, gs_dyn_keep(k->heap, list->item[j]));
  return GS_OK;
}

static gs_status run_length(gs_dyncall *k) {
  gs_dyn *list, *y;
  GS_TRY(gs_dyncall_list(k, 0, &list));
  GS_TRY(gs_dyncall_result(k, 0, GS_INT64, 0, NULL, &y));
  *(int64_t *)y->block = list->n;
  return GS_OK;
}

/* ---- SplitToSequence ---- */

typedef struct split {
  gs_dyn *x;
  int axis;
  int64_t inner, outer; /* bytes after the axis, rows before it */
  bool keep;            /* the axis stays */
} split;

/* Elements [from, from + count) along the axis, as a tensor of its own. */
static gs_status cut(gs_dyncall *k, const split *s, int64_t from, int64_t count,
                     gs_dyn *list) {
  int64_t dims[GS_MAX_RANK], n = s->x->t.dims[s->axis];
  gs_assert(from >= 0 && count >= 0 && from + count <= n);
  int rank = 0;
  for (int d = 0; d < s->x->t.rank; d++)
    if (s->keep || d != s->axis)
      dims[rank++] = d == s->axis ? count : s->x->t.dims[d];
  gs_dyn *y;
  GS_TRY(gs_dyn_new(k->heap, s->x->t.dtype, rank, dims, &y, k->err));
  size_t run = (size_t)(count * s->inner);
  for (int64_t o = 0; o < s->outer && run; o++)
    memcpy((char *)y->block + (size_t)o * run,
           (const char *)gs_dyn_data(s->x) +
               (size_t)((o * n + from) * s->inner),
           run);
  gs_dyn_own_strings(y);
  gs_dyn_put(list, list->n, y);
  return GS_OK;
}

static gs_status begin_split(gs_dyncall *k, split *s) {
  GS_TRY(gs_dyncall_tensor(k, 0, &s->x));
  const gs_tensor *t = &s->x->t;
  int64_t axis = gs_node_int(k->node, "axis", 0);
  if (axis < -t->rank || axis >= t->rank)
    return gs_dyncall_fail(k, GS_DATA, "axis %lld is out of range for %s",
                          (long long)axis, gs_dyn_text(k->arena, s->x));
  s->axis = (int)(axis < 0 ? axis + t->rank : axis);
  size_t size;
  GS_TRY(gs_dyncall_esize(k, s->x, &size));
  s->inner = (int64_t)size;
  s->inner *= gs_dims_count(t->dims, s->axis + 1, t->rank);
  s->outer = gs_dims_count(t->dims, 0, s->axis);
  s->keep = gs_node_int(k->node, "keepdims", 1) || gs_node_in(k->node, 1);
  return GS_OK;
}

static gs_status run_split(gs_dyncall *k) {
  split s;
  GS_TRY(begin_split(k, &s));
  int64_t n = s.x->t.dims[s.axis], at = 0, one = 1;
  gs_dyn *list = k->out[0] =
      gs_dyn_list(k->heap, GS_SEQUENCE, s.x->t.dtype);
  gs_dyn *parts = NULL;
  if (gs_node_in(k->node, 1)) GS_TRY(gs_dyncall_tensor(k, 1, &parts));
  int64_t count = parts ? gs_tensor_count(&parts->t) : 1;
  int64_t *size = parts ? GS_NEWS(k->arena, count + 1, int64_t) : &one;
  if (parts && gs_tensor_ints(&parts->t, size, count) != count)
    return gs_dyncall_fail(k, GS_DATA, "the sizes are %s, not integers",
                          gs_dyn_text(k->arena, parts));
  if (!parts || parts->t.rank == 0) { /* equal parts but for the last */
    if (size[0] < 1)
      return gs_dyncall_fail(k, GS_DATA, "parts of size %lld",
                            (long long)size[0]);
    for (; at < n; at += size[0])
      GS_TRY(cut(k, &s, at, gs_min(size[0], n - at), list));
    return GS_OK;
  }
  for (int64_t i = 0; i < count; i++) {
    if (size[i] < 0 || size[i] > n - at) break;
    GS_TRY(cut(k, &s, at, size[i], list));
    at += size[i];
  }
  if (list->n == count && at == n) return GS_OK;
  return gs_dyncall_fail(k, GS_DATA, "the %lld sizes do not add up to %lld",
                        (long long)count, (long long)n);
}

/* ---- ConcatFromSequence ---- */

extern const gs_kernel gs_kernel_concat;

/* By the kernel of Concat, with the elements as operands. */
static gs_status run_concat(gs_dyncall *k) {
  gs_dyn *list;
  GS_TRY(gs_dyncall_list(k, 0, &list));
  if (!list->n)
    return gs_dyncall_fail(k, GS_DATA, "an empty sequence cannot be joined");
  bool stack = gs_node_int(k->node, "new_axis", 0);
  int64_t axis = gs_node_int(k->node, "axis", 0);
  int rank = list->item[0]->t.rank + stack;
  if (axis < -rank || axis >= rank)
    return gs_dyncall_fail(k, GS_DATA, "axis %lld is out of range for rank %d",
                          (long long)axis, rank);
  if (axis < 0) axis += rank;
  gs_graph *g = gs_graph_new(k->arena, "");
  gs_node *n = gs_node_new(g, "", "Concat", k->node->name, list->n, 1);
  n->op = gs_op_find("", n->op_type);
  n->origin = k->node->origin;
  gs_node_set_int(g, n, "axis", axis);
  gs_dyncall c = *k;
  c.node = n;
  c.kernel = &gs_kernel_concat;
  c.in = GS_NEWS(k->arena, list->n, gs_dyn *);
  for (int i = 0; i < list->n; i++) {
    gs_dyn *x = c.in[i] = GS_NEW(k->arena, gs_dyn);
    *x = *list->item[i];
    n->in[i] = gs_value_new(g, NULL, x->t.dtype, -1, NULL);
    if (!stack || x->t.rank >= rank) continue;
    int64_t *dims = GS_NEWS(k->arena, rank, int64_t);
    for (int d = 0; d < rank; d++)
      dims[d] = d == axis ? 1 : x->t.dims[d - (d > axis)];
    x->t.rank = rank;
    x->t.dims = dims;
  }
  gs_node_output(n, 0, gs_value_new(g, NULL, GS_UNDEFINED, -1, NULL));
  return gs_dyncall_kernel(&c);
}

/* ---- optionals ---- */

static gs_status run_optional(gs_dyncall *k) {
  gs_dyn *y = k->out[0] =
      gs_dyn_list(k->heap, GS_OPTIONAL, k->node->out[0]->dtype);
  if (!gs_node_in(k->node, 0)) return GS_OK;
  y->t.dtype = k->in[0]->t.dtype;
  gs_dyn_put(y, 0, gs_dyn_keep(k->heap, k->in[0]));
  return GS_OK;
}

static gs_status run_has_element(gs_dyncall *k) {
  const gs_dyn *x = gs_node_in(k->node, 0) ? k->in[0] : NULL;
  gs_dyn *y;
  GS_TRY(gs_dyncall_result(k, 0, GS_BOOL, 0, NULL, &y));
  *(uint8_t *)y->block = x && (x->kind != GS_OPTIONAL || x->n);
  return GS_OK;
}

static gs_status run_get_element(gs_dyncall *k) {
  gs_dyn *x = k->in[0];
  if (x->kind == GS_OPTIONAL && !x->n)
    return gs_dyncall_fail(k, GS_DATA, "the optional is empty");
  k->out[0] = gs_dyn_keep(k->heap, x->kind == GS_OPTIONAL ? x->item[0] : x);
  return GS_OK;
}

static gs_status run_identity(gs_dyncall *k) {
  k->out[0] = gs_dyn_keep(k->heap, k->in[0]);
  return GS_OK;
}

GS_DYNAMIC(sequence_construct, run_construct)
GS_DYNAMIC(sequence_empty, run_empty)
GS_DYNAMIC(sequence_at, run_at)
GS_DYNAMIC(sequence_insert, run_insert)
GS_DYNAMIC(sequence_erase, run_erase)
GS_DYNAMIC(sequence_length, run_length)
GS_DYNAMIC(split_to_sequence, run_split)
GS_DYNAMIC(concat_from_sequence, run_concat)
GS_DYNAMIC(optional, run_optional)
GS_DYNAMIC(optional_has_element, run_has_element)
GS_DYNAMIC(optional_get_element, run_get_element)
GS_DYNAMIC(identity, run_identity)
