/* Nodes with windows, of random graphs. */
#include "random_impl.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"

typedef struct window {
  int n;
  int64_t size[3], stride[3], dilation[3], pads[6];
  double volume;
} window;

/* One that often fits along the spatial dims of x. */
static window window_of(producer *k, const gs_value *x) {
  window w = {.n = x->rank - 2, .volume = 1};
  for (int d = 0; d < w.n; d++) {
    w.size[d] = 1 + random_number(k, random_chance(k, 20) ? 7 : 3);
    if (w.volume * (double)w.size[d] > 50) w.size[d] = 1;
    w.volume *= (double)w.size[d];
    w.stride[d] = random_chance(k, 50)   ? 1
                  : random_chance(k, 40) ? w.size[d]
                                         : 1 + random_number(k, 4);
    w.dilation[d] = random_chance(k, 80) ? 1 : 2 + random_number(k, 2);
    int64_t span = (w.size[d] - 1) * w.dilation[d] + 1;
    for (int side = 0; side < 2; side++)
      w.pads[side * w.n + d] =
          random_chance(k, 50) ? random_number(k, (int)gs_min(span, 4)) : 0;
  }
  return w;
}

static void set_ints(producer *k, gs_node *n, const char *name,
                     const int64_t *v, int count) {
  bool same = true;
  for (int i = 0; i < count; i++) same = same && v[i] == 1;
  if (!same || random_chance(k, 30)) gs_node_set_ints(k->g, n, name, v, count);
}

static void set_window(producer *k, gs_node *n, const window *w) {
  static const char *const automatic[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};
  set_ints(k, n, "strides", w->stride, w->n);
  set_ints(k, n, "dilations", w->dilation, w->n);
  if (random_chance(k, 30))
    gs_node_set_string(k->g, n, "auto_pad", automatic[random_number(k, 3)]);
  else gs_node_set_ints(k->g, n, "pads", w->pads, 2 * w->n);
}

/* A divisor of the channels: often 1, or all. */
static int64_t groups_of(producer *k, int64_t channels) {
  if (random_chance(k, 50)) return 1;
  if (random_chance(k, 40)) return channels;
  int64_t g = 1 + random_number(k, (int)channels);
  return channels % g ? 1 : g;
}

static void kernel_dims(const window *w, int64_t *dims) {
  memcpy(dims + 2, w->size, (size_t)w->n * sizeof *dims);
}

/* ---- convolutions ---- */

static bool make_conv(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, FLOATS, 3, 5, true);
  window w = window_of(k, in[0]);
  int64_t channels = in[0]->dims[1], g = groups_of(k, channels), dims[5];
  double points = (double)(channels / g) * w.volume;
  double bound = points * random_max(k, in[0]) * 3 + 3;
  if (bound > random_limit(in[0]->dtype)) return false;
  dims[0] = g * (1 + random_number(k, g > 4 ? 2 : 5));
  dims[1] = channels / g;
  kernel_dims(&w, dims);
  in[1] = random_fresh(k, in[0]->dtype, in[0]->rank, dims);
  in[2] = random_fresh(k, in[0]->dtype, 1, dims);
  gs_node *n = random_begin(k, "Conv", in, random_chance(k, 50) ? 3 : 2, 1);
  if (g > 1) gs_node_set_int(k->g, n, "group", g);
  set_window(k, n, &w);
  return random_try(k, n, bound, false);
}

static bool make_conv_transpose(producer *k) {
  gs_value *in[3];
  in[0] = random_pick(k, FLOATS, 3, 5, true);
  window w = window_of(k, in[0]);
  int64_t channels = in[0]->dims[1], g = groups_of(k, channels), dims[5];
  double points = (double)(channels / g) * w.volume;
  double bound = points * random_max(k, in[0]) * 3 + 3;
  if (bound > random_limit(in[0]->dtype)) return false;
  dims[0] = channels;
  dims[1] = 1 + random_number(k, g > 4 ? 2 : 4);
  kernel_dims(&w, dims);
  in[1] = random_fresh(k, in[0]->dtype, in[0]->rank, dims);
  dims[1] *= g;
  in[2] = random_fresh(k, in[0]->dtype, 1, dims + 1);
  gs_node *n = random_begin(k, "ConvTranspose", in,
                            random_chance(k, 50) ? 3 : 2, 1);
  int64_t more[3], shape[3];
  for (int d = 0; d < w.n; d++) {
    more[d] = random_number(k, (int)w.stride[d]);
    shape[d] = in[0]->dims[d + 2] * w.stride[d] + random_number(k, 3) - 1;
  }
  if (g > 1) gs_node_set_int(k->g, n, "group", g);
  set_window(k, n, &w);
  if (random_chance(k, 40))
    gs_node_set_ints(k->g, n, "output_padding", more, w.n);
  if (random_chance(k, 15))
    gs_node_set_ints(k->g, n, "output_shape", shape, w.n);
  return random_try(k, n, bound, false);
}

static bool make_conv_integer(producer *k) {
  gs_value *in[4];
  in[0] = random_pick(k, SMALL, 3, 5, true);
  window w = window_of(k, in[0]);
  int64_t channels = in[0]->dims[1], g = groups_of(k, channels), dims[5];
  double bound = (double)(channels / g) * w.volume *
                 (random_max(k, in[0]) + 3) * 6;
  dims[0] = g * (1 + random_number(k, g > 4 ? 2 : 5));
  dims[1] = channels / g;
  kernel_dims(&w, dims);
  in[1] = random_fresh(k, random_type(k, SMALL), in[0]->rank, dims);
  in[2] = random_fresh(k, in[0]->dtype, 0, NULL);
  in[3] = random_fresh(k, in[1]->dtype, random_chance(k, 50), dims);
  gs_node *n = random_begin(k, "ConvInteger", in, 2 + random_number(k, 3), 1);
  if (g > 1) gs_node_set_int(k->g, n, "group", g);
  set_window(k, n, &w);
  return random_try(k, n, bound, false);
}

/* A scale that makes products exact. */
static gs_value *scale(producer *k, int rank, int64_t n) {
  float v[64];
  for (int i = 0; i < 64; i++) v[i] = random_chance(k, 50) ? 0.5f : 0.25f;
  gs_assert(n <= 64);
  gs_value *c = random_floats(k, v, rank ? (int)n : 1);
  if (rank) return c;
  gs_tensor *t = gs_memdup(k->a, c->constant, sizeof *c->constant);
  t->rank = c->rank = 0;
  c->constant = t;
  return c;
}

static bool make_qlinear_conv(producer *k) {
  gs_value *in[9];
  in[0] = random_pick(k, SMALL, 3, 5, true);
  window w = window_of(k, in[0]);
  int64_t channels = in[0]->dims[1], g = groups_of(k, channels), dims[5];
  int each = random_chance(k, 50);
  dims[0] = g * (1 + random_number(k, g > 4 ? 2 : 5));
  dims[1] = channels / g;
  kernel_dims(&w, dims);
  in[1] = scale(k, 0, 1);
  in[2] = random_fresh(k, in[0]->dtype, 0, NULL);
  in[3] = random_fresh(k, random_type(k, SMALL), in[0]->rank, dims);
  in[4] = scale(k, each, dims[0]);
  in[5] = random_fresh(k, in[3]->dtype, each, dims);
  in[6] = scale(k, 0, 1);
  in[7] = random_fresh(k, random_type(k, SMALL), 0, NULL);
  in[8] = random_fresh(k, GS_INT32, 1, dims);
  gs_node *n = random_begin(k, "QLinearConv", in, random_chance(k, 50) ? 9 : 8,
                            1);
  if (g > 1) gs_node_set_int(k->g, n, "group", g);
  set_window(k, n, &w);
  return random_try(k, n, 255, false);
}

/* ---- pools ---- */

static bool make_pool(producer *k) {
  static const char *const ops[] = {"MaxPool", "MaxPool", "AveragePool",
                                    "AveragePool", "LpPool"};
  int op = random_number(k, 5);
  gs_value *x = random_pick(k, FLOATS | (op < 2 ? (unsigned)SMALL : 0u), 3, 5,
                            op > 1 && random_chance(k, 70));
  window w = window_of(k, x);
  double bound = random_max(k, x);
  if (op == 4) bound = (bound * bound * bound + 1) * w.volume;
  if (bound > random_limit(x->dtype)) return false;
  gs_node *n = random_begin(k, ops[op], &x, 1,
                            op == 0 && random_chance(k, 40) ? 2 : 1);
  gs_node_set_ints(k->g, n, "kernel_shape", w.size, w.n);
  set_window(k, n, &w);
  if (random_chance(k, 40)) gs_node_set_int(k->g, n, "ceil_mode", 1);
  if (n->nout == 2 && random_chance(k, 30))
    gs_node_set_int(k->g, n, "storage_order", 1);
  if (op > 1 && op < 4 && random_chance(k, 50))
    gs_node_set_int(k->g, n, "count_include_pad", 1);
  if (op == 4) gs_node_set_int(k->g, n, "p", 1 + random_number(k, 3));
  if (!random_try(k, n, bound, op > 1 || random_real(k, x))) return false;
  if (n->nout == 2) k->mark[n->out[1]->id] = (mark){.max = 1e4};
  return true;
}

static bool make_global_pool(producer *k) {
  static const char *const ops[] = {"GlobalMaxPool", "GlobalAveragePool",
                                    "GlobalLpPool"};
  int op = random_number(k, 3);
  gs_value *x = random_pick(k, FLOATS, 3, 5, op > 0);
  double bound = random_max(k, x);
  if (op) bound = (bound * bound + 1) * random_elements(x);
  if (bound > random_limit(x->dtype)) return false;
  return random_try(k, random_begin(k, ops[op], &x, 1, 1), bound,
                    op > 0 || random_real(k, x));
}

static bool make_lrn(producer *k) {
  gs_value *x = random_pick(k, FLOATS, 2, 5, true);
  if (random_max(k, x) > 30) return false;
  gs_node *n = random_begin(k, "LRN", &x, 1, 1);
  gs_node_set_int(k->g, n, "size", 1 + random_number(k, 5));
  return random_try(k, n, 3000, true);
}

/* ---- resized dims ---- */

static bool make_resize(producer *k) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coordinates[] = {
      "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
      "half_pixel_symmetric"};
  static const char *const nearest[] = {"floor", "ceil", "round_prefer_floor",
                                        "round_prefer_ceil"};
  static const float scales[] = {0.5f, 2, 1.5f, 3, 0.75f, 1, 0.4f};
  int mode = random_number(k, 3);
  gs_value *in[4] = {0};
  in[0] = random_pick(k, FLOATS | (mode ? 0u : (unsigned)(INTS | SMALL)), 1, 4,
                      false);
  int64_t axes[4], size[4];
  float by[4];
  int naxes = 0;
  for (int d = 0; d < in[0]->rank; d++) {
    int64_t n = in[0]->dims[d];
    if (naxes && random_chance(k, 40)) continue;
    axes[naxes] = d;
    size[naxes] = 1 + random_number(k, 2 * (int)n + 2);
    by[naxes] = scales[random_number(k, 7)];
    if ((float)n * by[naxes] < 1) by[naxes] = 1;
    naxes++;
  }
  if (random_elements(in[0]) > MAX_ELEMENTS / 8) return false;
  bool sized = random_chance(k, 50);
  if (sized) in[3] = random_ints(k, size, naxes);
  else in[2] = random_floats(k, by, naxes);
  gs_node *n = random_begin(k, "Resize", in, sized ? 4 : 3, 1);
  gs_node_set_ints(k->g, n, "axes", axes, naxes);
  gs_node_set_string(k->g, n, "mode", modes[mode]);
  gs_node_set_string(k->g, n, "coordinate_transformation_mode",
                     coordinates[random_number(k, 5)]);
  if (!mode)
    gs_node_set_string(k->g, n, "nearest_mode", nearest[random_number(k, 4)]);
  else if (random_chance(k, 30)) gs_node_set_int(k->g, n, "antialias", 1);
  if (mode == 2 && random_chance(k, 30))
    gs_node_set_int(k->g, n, "exclude_outside", 1);
  return random_try(k, n, random_max(k, in[0]) * (mode == 2 ? 16 : 1),
                    mode > 0 || random_real(k, in[0]));
}

static bool make_col2im(producer *k) {
  int count = 1 + random_number(k, 2);
  int64_t image[2], block[2], stride[2], pads[4] = {0}, dilation[2], dims[3];
  int64_t volume = 1, places = 1;
  for (int d = 0; d < count; d++) {
    block[d] = 1 + random_number(k, 3);
    image[d] = block[d] + random_number(k, 8);
    stride[d] = 1 + random_number(k, 3);
    dilation[d] = random_chance(k, 80) ? 1 : 2;
    for (int side = 0; side < 2; side++)
      pads[side * count + d] = random_chance(k, 30) ? random_number(k, 2) : 0;
    int64_t room = image[d] + pads[d] + pads[count + d] -
                   ((block[d] - 1) * dilation[d] + 1);
    if (room < 0) return false;
    volume *= block[d];
    places *= room / stride[d] + 1;
  }
  dims[0] = 1 + random_number(k, 3);
  dims[1] = volume * random_size(k);
  dims[2] = places;
  if (dims[0] * dims[1] * dims[2] > MAX_ELEMENTS) return false;
  gs_value *in[3];
  in[0] = random_like(k, random_type(k, FLOATS), 3, dims, true);
  double bound = random_max(k, in[0]) * (double)volume;
  if (bound > random_limit(in[0]->dtype)) return false;
  in[1] = random_ints(k, image, count);
  in[2] = random_ints(k, block, count);
  gs_node *n = random_begin(k, "Col2Im", in, 3, 1);
  set_ints(k, n, "strides", stride, count);
  set_ints(k, n, "dilations", dilation, count);
  gs_node_set_ints(k->g, n, "pads", pads, 2 * count);
  return random_try(k, n, bound, false);
}

static random_make *const makers[] = {
    make_conv,         make_conv,           make_conv,   make_conv,
    make_conv,         make_conv_transpose, make_conv_transpose,
    make_conv_integer, make_qlinear_conv,   make_pool,   make_pool,
    make_pool,         make_global_pool,    make_lrn,    make_resize,
    make_resize,       make_col2im};
const random_kinds random_windows = {makers, sizeof makers / sizeof *makers};
