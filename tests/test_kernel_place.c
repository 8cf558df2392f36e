/* Kernels that know their place: on random parts of a result, and the parts of
 * the operand that these need, a node of ai.gshard gives what the node of ONNX
 * gives there, byte for byte.  Elements of the operand that are none of the
 * whole hold numbers that would show. */
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "kernel_harness.h"
#include "op/core/shape.h"
#include "op/rows/nn/resize_dims.h"
#include "suite.h"

enum { TRIALS = 12 };

/* Dim `to` of every result needs of dim `from` of operand 0 what `reach` says,
 * whatever its count; count 0: the same elements of both.  `from` -1: no dim;
 * below that, dim -2 - from of operand 1 is of the same elements as dim `to`,
 * of which a link before says the range. */
typedef struct link {
  int from, to;
  gs_reach reach;
} link_t;

typedef struct trial {
  gs_arena *a;
  gs_mesh mesh;
  const gs_node *whole; /* its operands and results are constants */
  const link_t *link;
  int nlink;
  uint64_t state; /* of h_random */
  int64_t from[GS_MAX_RANK], n[GS_MAX_RANK];       /* of operand 0 */
  int64_t from1[GS_MAX_RANK], n1[GS_MAX_RANK];     /* of operand 1 */
  bool part1;                                      /* it is not whole */
  int64_t y_from[GS_MAX_RANK], y_n[GS_MAX_RANK];   /* of the results */
} trial;

static int64_t draw(trial *t, int64_t below) {
  return below < 1 ? 0 : (int64_t)(h_random(&t->state) * (double)below);
}

/* ---- the whole ---- */

/* Small whole numbers, 1 or more where a sum of them is divided by. */
static void fill(gs_arena *a, gs_value *v) {
  gs_tensor *x;
  int size = gs_dtype_get((int)v->dtype)->bits / 8;
  ck_assert_int_eq(gs_tensor_new(a, v->dtype, v->rank, v->dims, &x, NULL), 0);
  char *to = (char *)x->data;
  for (int64_t i = 0, n = gs_tensor_count(x); i < n; i++) {
    double d = (double)((i * 7 + i / 5) % 12);
    if (gs_convert_knows(v->dtype))
      gs_convert(v->dtype, to + i * size, GS_DOUBLE, &d, 1, NULL);
    else memset(to + i * size, (int)d, (size_t)size);
  }
  v->constant = x;
}

/* Reads a graph of one node with its operands of type $, and runs it.
 * NULL: the operator does not take that type. */
static gs_node *make_whole(gs_arena *a, const char *text, gs_dtype type) {
  gs_graph *g;
  gs_err e;
  gs_err_init(&e);
  gs_buf b;
  gs_buf_init(&b, a);
  for (const char *at; (at = strchr(text, '$')); text = at + 1)
    gs_buf_printf(&b, "%.*s%s", (int)(at - text), text,
                  gs_dtype_get((int)type)->text);
  gs_buf_str(&b, text);
  const char *given = b.at;
  gs_status s = gs_graph_parse(a, given, "case", &g, &e);
  if (s) { /* a type whose constants have no text */
    gs_err_free(&e);
    return NULL;
  }
  gs_node *n = g->node.at[0];
  n->op = gs_op_find(n->domain, n->op_type);
  n->opset = n->op->since;
  for (int i = 0; i < g->input.n; i++) fill(a, g->input.at[i]);
  s = gs_shape_infer(g, n, &e);
  if (!s) s = gs_kernel_eval(g, n, &e);
  ck_assert_msg(s == GS_OK || s == GS_UNSUPPORTED || s == GS_DATA, "%s",
                given);
  gs_err_free(&e);
  return s ? NULL : n;
}

/* ---- parts ---- */

/* A range of a result's dim of n, which may go past the end. */
static void draw_range(trial *t, int64_t n, int64_t *from, int64_t *count) {
  *from = draw(t, n + 2);
  *count = draw(t, n + 2);
}

static void draw_part(trial *t) {
  const gs_value *x = t->whole->in[0], *y = t->whole->out[0];
  for (int d = 0; x && d < x->rank; d++) {
    t->from[d] = 0;
    t->n[d] = x->dims[d];
  }
  for (int d = 0; t->part1 && d < t->whole->in[1]->rank; d++) {
    t->from1[d] = 0;
    t->n1[d] = t->whole->in[1]->dims[d];
  }
  for (int d = 0; d < y->rank; d++) {
    t->y_from[d] = 0;
    t->y_n[d] = y->dims[d];
  }
  for (int i = 0; i < t->nlink; i++) {
    const link_t *l = &t->link[i];
    int64_t *from = &t->y_from[l->to], *n = &t->y_n[l->to];
    if (l->from < -1) {
      t->from1[-2 - l->from] = *from;
      t->n1[-2 - l->from] = *n;
      continue;
    }
    draw_range(t, y->dims[l->to], from, n);
    if (l->from < 0) continue;
    t->from[l->from] = *from;
    t->n[l->from] = *n;
    if (!l->reach.count) continue;
    const gs_reach *r = &l->reach;
    int64_t real = gs_min(*n, y->dims[l->to] - *from);
    int64_t lo = gs_floor_div(r->num * *from + r->first, r->den);
    int64_t hi = gs_floor_div(r->num * (*from + real - 1) + r->last, r->den);
    if (real <= 0) lo = draw(t, 5) - 2, hi = lo - 1;
    int64_t before = draw(t, 3), after = draw(t, 3);
    t->from[l->from] = lo - before;
    t->n[l->from] = hi - lo + 1 + before + after;
  }
}

/* Element i of a part: its index in the whole, -1: it has none there. */
static int64_t whole_index(int rank, const int64_t *dims, const int64_t *from,
                           const int64_t *n, int64_t i) {
  int64_t index = 0, stride = 1;
  for (int d = rank - 1; d >= 0; d--) {
    int64_t c = i % n[d] + from[d];
    i /= n[d];
    if (c < 0 || c >= dims[d]) return -1;
    index += c * stride;
    stride *= dims[d];
  }
  return index;
}

static const gs_tensor *cut(trial *t, const gs_tensor *x, const int64_t *from,
                            const int64_t *count) {
  gs_tensor *y;
  int size = gs_dtype_get((int)x->dtype)->bits / 8;
  ck_assert_int_eq(gs_tensor_new(t->a, x->dtype, x->rank, count, &y, NULL), 0);
  for (int64_t i = 0, n = gs_tensor_count(y); i < n; i++) {
    int64_t at = whole_index(x->rank, x->dims, from, count, i);
    char *to = (char *)y->data + i * size;
    if (at < 0) memset(to, 0x7f, (size_t)size);
    else memcpy(to, (const char *)gs_tensor_bytes(x) + at * size, (size_t)size);
  }
  return y;
}

static gs_extent extent(trial *t, const gs_value *v, const int64_t *from,
                        const int64_t *n) {
  gs_form form = gs_form_of(gs_sharding_new(t->a, v->rank, false));
  for (int d = 0; d < v->rank; d++) {
    gs_held_range r = gs_held_range_of(1, 0, 0, 1, from[d], n[d]);
    form = gs_form_hold(t->a, &t->mesh, &form, d, v->dims[d], &r);
  }
  return (gs_extent){v->rank, v->dims, gs_memdup(t->a, &form, sizeof form)};
}

static void compare(trial *t, const gs_tensor *want, const gs_tensor *got,
                    const char *text) {
  int size = gs_dtype_get((int)want->dtype)->bits / 8;
  for (int d = 0; d < want->rank; d++)
    ck_assert_int_eq(got->dims[d], t->y_n[d]);
  for (int64_t i = 0, n = gs_tensor_count(got); i < n; i++) {
    int64_t at = whole_index(want->rank, want->dims, t->y_from, t->y_n, i);
    if (at < 0) continue;
    const char *a = (const char *)gs_tensor_bytes(want) + at * size;
    const char *b = (const char *)gs_tensor_bytes(got) + i * size;
    if (memcmp(a, b, (size_t)size))
      ck_abort_msg("%s: %s: element %lld of the part, %lld of the whole", text,
                  gs_dtype_get((int)t->whole->in[0]->dtype)->text,
                  (long long)i, (long long)at);
  }
}

/* Text says all that a placement does. */
static void check_text(trial *t, const gs_placement *pl) {
  gs_buf a, b;
  gs_placement *again;
  gs_buf_init(&a, t->a);
  gs_buf_init(&b, t->a);
  gs_placement_print(&a, &t->mesh, pl);
  ck_assert_int_eq(gs_placement_parse(t->a, &t->mesh, a.at, &again, NULL), 0);
  gs_placement_print(&b, &t->mesh, again);
  ck_assert_str_eq(a.at, b.at);
}

static void check_part(trial *t, const char *text) {
  const gs_node *w = t->whole;
  gs_err e;
  gs_err_init(&e);
  draw_part(t);
  gs_graph *g = gs_graph_new(t->a, "part");
  g->mesh = &t->mesh;
  gs_node *n = gs_node_new(g, "ai.gshard", w->op_type, "part", w->nin,
                           w->nout);
  n->op = gs_op_find(n->domain, n->op_type);
  ck_assert_ptr_nonnull(n->op);
  n->opset = 1;
  gs_node_set_all(g, n, w);
  gs_placement *pl = gs_placement_new(t->a, w->nin, w->nout);
  for (int i = 0; i < w->nin; i++) {
    if (!w->in[i]) continue;
    bool part = i == 0 ? t->link[0].from >= 0 : i == 1 && t->part1;
    const int64_t *from = i ? t->from1 : t->from, *count = i ? t->n1 : t->n;
    if (part) pl->in[i] = extent(t, w->in[i], from, count);
    const gs_tensor *x = w->in[i]->constant;
    n->in[i] = gs_value_constant(g, "in", part ? cut(t, x, from, count) : x);
  }
  for (int i = 0; i < w->nout; i++) {
    if (!w->out[i]) continue;
    pl->out[i] = extent(t, w->out[i], t->y_from, t->y_n);
    gs_node_output(n, i, gs_value_new(g, "out", GS_UNDEFINED, -1, NULL));
  }
  gs_node_set_placement(g, n, pl);
  check_text(t, pl);
  gs_status s = gs_shape_infer(g, n, &e);
  if (!s) s = gs_graph_check(g, &e);
  if (!s) s = gs_kernel_eval(g, n, &e);
  if (s) gs_err_print(&e, stderr, text, false);
  ck_assert_msg(s == GS_OK, "%s", text);
  for (int i = 0; i < w->nout; i++)
    if (w->out[i])
      compare(t, w->out[i]->constant, n->out[i]->constant, text);
  gs_err_free(&e);
}

/* Every type that the node's row knows; how many there were. */
static int check_parts(const char *text, const link_t *link, int nlink) {
  int types = 0;
  for (int type = 1; type < GS_NDTYPE; type++) {
    if (gs_dtype_get(type)->bits % 8 || type == GS_STRING) continue;
    gs_arena a;
    gs_arena_init(&a);
    trial t = {.a = &a, .link = link, .nlink = nlink,
               .state = 17 + (uint64_t)type};
    ck_assert_int_eq(gs_mesh_parse("mesh {a=1}", &a, &t.mesh, NULL), 0);
    for (int i = 0; i < nlink; i++) t.part1 = t.part1 || link[i].from < -1;
    t.whole = make_whole(&a, text, (gs_dtype)type);
    types += t.whole != NULL;
    for (int i = 0; t.whole && i < TRIALS; i++) check_part(&t, text);
    gs_arena_free(&a);
  }
  return types;
}

#define PARTS(types, text, ...)                                                \
  ck_assert_int_eq(                                                            \
      check_parts(text, (const link_t[]){__VA_ARGS__},                         \
                  sizeof((const link_t[]){__VA_ARGS__}) / sizeof(link_t)),     \
      types)
#define SAME_DIM(d) {d, d, {0}}
/* Windows of `size` elements, `by` from each other. */
#define WINDOW(d, by, begin, size)                                             \
  {d, d, {1, by, 1, -(begin), (size) - 1 - (begin), 0}}

/* ---- pools ---- */

START_TEST(pools) {
  PARTS(4, "input x : $[2,3,9,8]\ny = AveragePool(x) kernel_shape=[3,2] "
        "pads=[1,0,2,1]\n", SAME_DIM(0), SAME_DIM(1), WINDOW(2, 1, 1, 3),
        WINDOW(3, 1, 0, 2));
  PARTS(4, "input x : $[2,3,9,8]\ny = AveragePool(x) kernel_shape=[3,3] "
        "pads=[1,2,2,1] count_include_pad=1 strides=[2,1] ceil_mode=1\n",
        WINDOW(2, 2, 1, 3), WINDOW(3, 1, 2, 3));
  PARTS(4, "input x : $[1,2,17]\ny = AveragePool(x) kernel_shape=[3] "
        "dilations=[2] strides=[3] auto_pad=\"SAME_UPPER\"\n",
        WINDOW(2, 3, 1, 5));
  PARTS(4, "input x : $[1,2,8,7]\ny = AveragePool(x) kernel_shape=[2,3] "
        "auto_pad=\"SAME_LOWER\" strides=[2,2] ceil_mode=1\n",
        WINDOW(2, 2, 0, 2), WINDOW(3, 2, 1, 3));
  PARTS(6, "input x : $[2,3,9,8]\ny = MaxPool(x) kernel_shape=[3,2] "
        "pads=[1,0,2,1]\n", SAME_DIM(1), WINDOW(2, 1, 1, 3),
        WINDOW(3, 1, 0, 2));
  PARTS(4, "input x : $[2,3,9,8]\ny = LpPool(x) kernel_shape=[3,2] p=2 "
        "pads=[1,0,2,1]\n", SAME_DIM(0), WINDOW(2, 1, 1, 3),
        WINDOW(3, 1, 0, 2));
  PARTS(4, "input x : $[2,3,10]\ny = LpPool(x) kernel_shape=[4] p=3 "
        "strides=[2]\n", SAME_DIM(0), WINDOW(2, 2, 0, 4));
}
END_TEST

START_TEST(indices) {
  PARTS(6, "input x : $[3,2,9,8]\ny, i = MaxPool(x) kernel_shape=[3,2] "
        "pads=[1,0,2,1] strides=[2,1] : ?[...], : ?[...]\n", SAME_DIM(0),
        SAME_DIM(1), WINDOW(2, 2, 1, 3), WINDOW(3, 1, 0, 2));
  PARTS(6, "input x : $[3,2,9,8]\ny, i = MaxPool(x) kernel_shape=[2,2] "
        "storage_order=1 dilations=[2,1] : ?[...], : ?[...]\n", SAME_DIM(0),
        SAME_DIM(1), WINDOW(2, 1, 0, 3), WINDOW(3, 1, 0, 2));
  PARTS(6, "input x : $[1,2,6,5,4]\ny, i = MaxPool(x) "
        "kernel_shape=[2,3,1] storage_order=1 pads=[1,1,0,0,1,0] : ?[...], "
        ": ?[...]\n", SAME_DIM(1), WINDOW(2, 1, 1, 2), WINDOW(3, 1, 1, 3),
        SAME_DIM(4));
}
END_TEST

/* ---- resizing ---- */

static const char *const frames[] = {
    "half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
    "align_corners", "asymmetric",           "tf_crop_and_resize",
    "tf_half_pixel_for_nn"};
static const char *const modes[] = {
    "mode=\"nearest\"",
    "mode=\"nearest\" nearest_mode=\"round_prefer_ceil\"",
    "mode=\"nearest\" nearest_mode=\"floor\"",
    "mode=\"nearest\" nearest_mode=\"ceil\"",
    "mode=\"linear\"",
    "mode=\"linear\" antialias=1",
    "mode=\"cubic\"",
    "mode=\"cubic\" antialias=1",
    "mode=\"cubic\" exclude_outside=1"};
/* Of dims 1 and 2 of [2,9,7], in f32 and as fractions of what is asked for. */
static const char *const sizes[] = {
    "constant s : i64[2] = [18,14]\ny = Resize(x, r, _, s) ",
    "constant s : i64[2] = [4,10]\ny = Resize(x, r, _, s) ",
    "constant s : f32[2] = [1.5,0.4]\ny = Resize(x, r, s) ",
    "constant s : f32[2] = [2.3,3]\ny = Resize(x, r, s) ",
    "constant s : i64[2] = [12,4]\ny = Resize(x, r, _, s) "
    "keep_aspect_ratio_policy=\"not_larger\" "};
enum {
  NFRAME = sizeof frames / sizeof *frames,
  NMODE = sizeof modes / sizeof *modes,
  NSIZE = sizeof sizes / sizeof *sizes
};

/* What a Resize does to its operand of these dims. */
static void plan(gs_arena *a, const gs_node *n, gs_resize_how *how,
                 gs_resize_dim *dim) {
  gs_resize_args args = {0};
  double list[2][4];
  for (int i = 1; i < 3; i++) {
    const gs_value *v = gs_node_in(n, i);
    if (!v) continue;
    int count = (int)v->dims[0];
    for (int k = 0; k < count; k++)
      list[i - 1][k] =
          (double)((const float *)gs_tensor_bytes(v->constant))[k];
    if (i == 1) args.roi = list[0], args.nroi = count;
    else args.scales = list[1], args.nscales = count;
  }
  if (gs_node_in(n, 3))
    args.sizes = gs_value_int_list(a, n->in[3], &args.nsizes);
  ck_assert_int_eq(gs_resize_attrs(a, n, how, NULL), 0);
  ck_assert_int_eq(gs_resize_dims(a, n, n->in[0]->rank, n->in[0]->dims, &args,
                                  dim, NULL), 0);
}

START_TEST(resizes) {
  const char *frame = frames[_i % NFRAME], *mode = modes[_i / NFRAME];
  for (int s = 0; s < NSIZE; s++) {
    gs_arena a;
    gs_arena_init(&a);
    gs_resize_how how;
    gs_resize_dim dim[GS_MAX_RANK];
    link_t link[3] = {SAME_DIM(0), {1, 1, {0}}, {2, 2, {0}}};
    char *text = gs_sprintf(
        &a, "input x : $[2,9,7]\nconstant r : f32[4] = [0.1,-0.2,0.8,1.1]\n"
        "%saxes=[1,2] extrapolation_value=3.0 %s "
        "coordinate_transformation_mode=\"%s\"\n", sizes[s], mode, frame);
    gs_node *n = make_whole(&a, text, GS_FLOAT);
    plan(&a, n, &how, dim);
    bool can = gs_resize_reach(&how, &dim[1], &link[1].reach) &&
               gs_resize_reach(&how, &dim[2], &link[2].reach);
    ck_assert_msg(can, "%s", text);
    ck_assert_int_eq(check_parts(text, link, 3), _i / NFRAME < 4 ? 20 : 17);
    gs_arena_free(&a);
  }
}
END_TEST

/* All elements that kernels read, for every size up to 24 and a number of
 * scales, lie within the reach, and few more. */
static void check_reach(const gs_resize_how *how, const gs_resize_dim *d) {
  gs_reach r;
  if (!gs_resize_reach(how, d, &r)) {
    ck_abort_msg("no reach: %d to %d by %g", (int)d->in, (int)d->out,
                 d->scale);
  }
  int taps = (int)gs_resize_taps(how, d);
  if (r.count != d->out || r.den <= 0 || r.num <= 0 || r.first > r.last)
    ck_abort_msg("no reach that is one");
  for (int64_t o = 0; o < d->out; o++) {
    double x = gs_resize_origin(how->coord, d, o);
    if (how->coord == GS_RESIZE_TF_CROP_AND_RESIZE &&
        !(x >= 0 && x <= (double)(d->in - 1)))
      continue;
    int64_t lo = gs_floor_div(r.num * o + r.first, r.den);
    int64_t hi = gs_floor_div(r.num * o + r.last, r.den);
    int64_t first = gs_resize_first(how, taps, d->in, &x);
    for (int64_t at = first; at < first + taps; at++) {
      int64_t e = gs_min(gs_max(at, 0), d->in - 1);
      if (e < lo || e > hi)
        ck_abort_msg(
                    "%d to %d by %g, mode %d, frame %d: element %d of result "
                    "%d is not in %d..%d", (int)d->in, (int)d->out, d->scale,
                    (int)how->mode, (int)how->coord, (int)e, (int)o, (int)lo,
                    (int)hi);
    }
    bool strays = how->coord == GS_RESIZE_ALIGN_CORNERS && !d->exact;
    if (hi - lo + 1 > taps + (d->out > 65536 ? 5 : 2) && !strays)
      ck_abort_msg("%d to %d by %g, mode %d, frame %d: %d are too many",
                   (int)d->in, (int)d->out, d->scale, (int)how->mode,
                   (int)how->coord, (int)(hi - lo + 1));
  }
}

START_TEST(reaches) {
  static const double scales[] = {0.1, 0.25, 0.3,  0.5,     0.77, 1.0 / 3,
                                  1.1, 1.5,  1.99, 2,       2.3,  3,
                                  7.7, 1,    0.999, 1.0001, 16};
  gs_resize_how how = {.coord = (gs_resize_coord)(_i % NFRAME),
                       .antialias = _i / NFRAME % 2, .cubic_a = -0.75};
  for (int mode = 0; mode < 3; mode++)
    for (int round = 0; round < (mode ? 1 : 4); round++) {
      how.mode = (gs_resize_mode)mode;
      how.round = (gs_resize_round)round;
      if (!mode && how.antialias) continue;
      for (int64_t in = 1; in <= 24; in++) {
        for (int64_t out = 1; out <= 40; out++) {
          gs_resize_dim d = {in, out, out, true, (double)out / (double)in,
                             0.1, 0.9, true};
          check_reach(&how, &d);
        }
        for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
          double s = (double)(float)scales[k], size = (double)in * s;
          for (int up = 0; up < 2; up++) { /* scale given; aspect kept */
            int64_t out = (int64_t)floor(size + (up ? 0.5 : 0));
            gs_resize_dim d = {in, out, out, false, s, -0.5, 0.7, true};
            if (out) check_reach(&how, &d);
          }
        }
      }
      gs_resize_dim large = {1 << 20, 3000000, 0, true, 2.86102294921875, 0, 1,
                             true};
      check_reach(&how, &large);
    }
}
END_TEST

/* ---- the others ---- */

/* Blocks of 4, the last of which has 2 elements, or none. */
START_TEST(blocks) {
  PARTS(4, "input x : $[3,14,5]\ny, s = ai.gshard.SoftmaxBlocks(x) dims=[1] "
        "blocks=[4] : ?[...], : ?[...]\n", SAME_DIM(0), WINDOW(1, 4, 0, 4),
        SAME_DIM(2));
  PARTS(4, "input x : $[2,9]\ny, s = ai.gshard.SoftmaxBlocks(x) dims=[1] "
        "blocks=[4] : ?[...], : ?[...]\n", SAME_DIM(0), WINDOW(1, 3, 0, 3));
  PARTS(4, "input x : $[3,14,5]\ny, m = ai.gshard.MomentBlocks(x) dims=[1,-1] "
        "blocks=[4,1] : ?[...], : ?[...]\n", SAME_DIM(0), WINDOW(1, 4, 0, 4));
  PARTS(4, "input x : $[5,6,7]\ny = ai.gshard.MomentBlocks(x) dims=[2,0] "
        "blocks=[3,2] centred=0 p=1 stash_type=11\n", WINDOW(0, 3, 0, 3),
        SAME_DIM(1), WINDOW(2, 3, 0, 3));
}
END_TEST

START_TEST(others) {
  PARTS(4, "input x : $[2,11,3]\ny = LRN(x) size=4 alpha=0.5 bias=2.0\n",
        SAME_DIM(0), WINDOW(1, 1, 1, 4), SAME_DIM(2));
  PARTS(4, "input x : $[1,7,70]\ny = LRN(x) size=15\n", WINDOW(1, 1, 7, 15));
  /* 3 x 2 windows of [7,9], by rows of 8 places: rows o - 2 .. o. */
  PARTS(12, "input x : $[2,18,40]\nconstant z : i64[2] = [7,9]\n"
        "constant b : i64[2] = [3,2]\ny = Col2Im(x, z, b)\n", SAME_DIM(0),
        {2, 2, {1, 8, 1, -16, 7, 0}});
  PARTS(12, "input x : $[2,18,16]\nconstant z : i64[2] = [7,9]\n"
        "constant b : i64[2] = [3,2]\ny = Col2Im(x, z, b) strides=[2,2] "
        "pads=[1,0,2,0]\n", {2, 2, {1, 4, 2, -4, 10, 0}}, {-1, 3, {0}});
  PARTS(3, "input x : $[2,3,12]\ninput w : $[3,1,4]\ninput b : $[3]\n"
        "input s : $[2,3,3]\ny = CausalConvWithState(x, w, b, s) "
        "activation=\"silu\"\n", WINDOW(2, 1, 3, 4)); /* s has all rows */
  PARTS(4, "input t : $[2,2,3]\nconstant s : i64[4] = [2,1,7,5]\n"
        "y = AffineGrid(t, s)\n", {-1, 1, {0}}, {-1, 2, {0}});
  PARTS(4, "input t : $[1,3,4]\nconstant s : i64[5] = [1,1,3,4,5]\n"
        "y = AffineGrid(t, s) align_corners=1\n", {-1, 1, {0}}, {-1, 3, {0}});
  PARTS(20, "input x : $[2,7,5]\ny = Trilu(x)\n", SAME_DIM(0), SAME_DIM(1),
        SAME_DIM(2));
  PARTS(20, "input x : $[7,5]\nconstant k : i64[] = [-2]\n"
        "y = Trilu(x, k) upper=0\n", SAME_DIM(0), SAME_DIM(1));
  PARTS(12, "constant a : $[] = [1]\nconstant b : $[] = [20]\n"
        "constant c : $[] = [3]\n"
        "y = Range(a, b, c)\n", {-1, 0, {0}});
  PARTS(18, "input x : $[6,9]\ny = EyeLike(x) k=2\n", {-1, 0, {0}},
        {-1, 1, {0}});
}
END_TEST

/* What is written into a part of the data, and classes that are a part. */
START_TEST(quantised) {
  PARTS(2, "input x : $[2,3,9,8]\ninput w : u8[4,3,3,2]\n"
        "y = ConvInteger(x, w) pads=[1,0,2,1]\n", SAME_DIM(0),
        WINDOW(2, 1, 1, 3), WINDOW(3, 1, 0, 2));
  PARTS(2, "input x : $[2,4,9,8]\ninput w : i8[4,2,2,2]\ninput o : $[]\n"
        "input z : i8[4]\ny = ConvInteger(x, w, o, z) group=2 strides=[2,3] "
        "dilations=[3,1] pads=[1,1,2,1]\n", SAME_DIM(0),
        WINDOW(2, 2, 1, 4), WINDOW(3, 3, 1, 2));
  PARTS(2, "input x : $[2,3,17]\nconstant f : f32[] = [0.25]\n"
        "input o : $[]\ninput w : u8[2,3,3]\nconstant s : f32[2] = [0.5,2]\n"
        "input z : u8[2]\nconstant r : f32[] = [3]\ninput q : $[]\n"
        "input b : i32[2]\ny = QLinearConv(x, f, o, w, s, z, r, q, b) "
        "strides=[2] pads=[1,1]\n", SAME_DIM(0), WINDOW(2, 2, 1, 3));
}
END_TEST

START_TEST(grids) { /* of whole images */
  PARTS(17, "input x : $[2,3,6,5]\ninput g : f32[2,4,7,2]\n"
        "y = GridSample(x, g) padding_mode=\"reflection\"\n", SAME_DIM(0),
        SAME_DIM(1), {-1, 2, {0}}, {-1, 3, {0}}, {-2, 0, {0}}, {-3, 2, {0}},
        {-4, 3, {0}});
  PARTS(17, "input x : $[1,2,8]\ninput g : f64[1,5,1]\n"
        "y = GridSample(x, g) mode=\"cubic\" padding_mode=\"border\"\n",
        SAME_DIM(1), {-1, 2, {0}}, {-3, 2, {0}});
  PARTS(17, "input x : $[2,2,8]\ninput g : f16[2,5,1]\n"
        "y = GridSample(x, g) mode=\"nearest\" align_corners=1\n",
        SAME_DIM(0), {-1, 2, {0}}, {-2, 0, {0}}, {-3, 2, {0}});
}
END_TEST

START_TEST(half_grids) { /* are known as others are */
  static const gs_dtype types[] = {GS_FLOAT16, GS_BFLOAT16};
  gs_arena a;
  gs_graph *g;
  gs_rule r;
  gs_tensor *grid;
  gs_arena_init(&a);
  const char *text = gs_sprintf(
      &a, "input x : f32[1,1,8]\ninput g : %s[1,8,1]\ny = GridSample(x, g)\n",
      gs_dtype_get((int)types[_i])->text);
  ck_assert_int_eq(gs_graph_parse(&a, text, "case", &g, NULL), 0);
  gs_node *n = g->node.at[0];
  n->op = gs_op_find(n->domain, n->op_type);
  n->opset = n->op->since;
  gs_tensor_new(&a, types[_i], 3, n->in[1]->dims, &grid, NULL);
  for (int i = 0; i < 8; i++) {
    double at = (2 * i + 1) / 8.0 - 1;
    gs_convert(types[_i], (char *)grid->data + 2 * i, GS_DOUBLE, &at, 1, NULL);
  }
  n->in[1]->constant = grid;
  ck_assert(!gs_shape_infer(g, n, NULL) && !gs_rule_of(&a, n, &r, NULL));
  ck_assert_int_eq(r.nuse, 1);
  gs_arena_free(&a);
}
END_TEST

START_TEST(lookups) {
  PARTS(20, "input x : $[7,5]\nconstant i : i64[3,5] = "
        "[0,1,2,-1,6,3,3,3,3,3,5,6,-7,2,0]\ninput u : $[3,5]\n"
        "y = ScatterElements(x, i, u) axis=0\n", SAME_DIM(0));
  PARTS(20, "input x : $[7,5]\nconstant i : i64[4,2] = [0,3,3,-2,2,4,1,1]\n"
        "input u : $[4,2]\ny = ScatterElements(x, i, u) axis=1\n",
        SAME_DIM(0), SAME_DIM(1));
  PARTS(13, "input x : $[7,5]\nconstant i : i64[2,5] = [0,3,3,-2,2,4,1,1,0,0]"
        "\ninput u : $[2,5]\ny = ScatterElements(x, i, u) axis=0 "
        "reduction=\"add\"\n", SAME_DIM(0));
  PARTS(20, "input x : $[7,5,2]\nconstant i : i64[3,2] = [0,3,-1,4,2,-5]\n"
        "input u : $[3,2]\ny = ScatterND(x, i, u)\n", SAME_DIM(0),
        SAME_DIM(1));
  PARTS(13, "input x : $[7,5]\nconstant i : i64[3,1] = [2,-7,2]\n"
        "input u : $[3,5]\ny = ScatterND(x, i, u) reduction=\"max\"\n",
        SAME_DIM(0));
  PARTS(20, "input x : $[2,9,3]\ninput u : $[2,4,3]\n"
        "constant w : i64[2] = [5,1]\ny = TensorScatter(x, u, w)\n",
        SAME_DIM(1));
  PARTS(20, "input x : $[2,9,3]\ninput u : $[2,4,3]\n"
        "constant w : i64[2] = [7,-12]\ny = TensorScatter(x, u, w) axis=1 "
        "mode=\"circular\"\n", SAME_DIM(1));
  PARTS(20, "constant i : i64[5] = [0,3,-1,9,-7]\nconstant d : i64[] = [7]\n"
        "input v : $[2]\ny = OneHot(i, d, v) axis=0\n", {-1, 0, {0}});
}
END_TEST

int main(void) {
  TCase *t = tcase_create("place");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, pools);
  tcase_add_test(t, indices);
  tcase_add_loop_test(t, resizes, 0, NFRAME * NMODE);
  tcase_add_loop_test(t, reaches, 0, NFRAME * 2);
  tcase_add_test(t, blocks);
  tcase_add_test(t, others);
  tcase_add_test(t, quantised);
  tcase_add_test(t, grids);
  tcase_add_loop_test(t, half_grids, 0, 2);
  tcase_add_test(t, lookups);
  return suite_run("kernel_place", t);
}
