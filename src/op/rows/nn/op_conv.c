/* Rules, shapes and local forms of the convolutions. */
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"
#include "op/rule/window.h"

gs_rule_fn gs_rule_conv, gs_rule_conv_transpose, gs_rule_conv_integer,
    gs_rule_qlinear_conv, gs_rule_deform_conv;
gs_shape_fn gs_shape_conv, gs_shape_conv_transpose, gs_shape_conv_integer,
    gs_shape_qlinear_conv, gs_shape_deform_conv, gs_shape_g_fused_conv,
    gs_shape_g_fused_norm;
gs_local_fn gs_local_conv, gs_local_conv_transpose, gs_local_conv_integer,
    gs_local_qlinear_conv, gs_local_deform_conv;

/* Where a convolution has its operands. */
typedef struct form {
  int x, w, b;     /* b -1: no bias */
  int zero;        /* the zero point of x; -1: none */
  bool transposed; /* weights are [in, out / group, ...] */
} form;

static const form plain = {0, 1, 2, -1, false};
static const form transposed = {0, 1, 2, -1, true};
static const form integer = {0, 1, -1, 2, false};
static const form quantized = {0, 3, 8, 2, false};
static const form deformed = {0, 1, 3, -1, false};

/* Channels of the operand and the result. */
typedef struct channels {
  int64_t group, in, out; /* in and out of one group */
} channels;

/* ---- shapes ---- */

static gs_status read_channels(gs_arena *a, const gs_node *n, const form *f,
                               channels *c, gs_err *e) {
  const gs_value *x = n->in[f->x], *w = n->in[f->w];
  const gs_value *b = f->b < 0 ? NULL : gs_node_in(n, f->b);
  c->group = gs_node_int(n, "group", 1);
  if (x->rank < 3 || w->rank != x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' %s and weights '%s' %s must be of one rank, at "
                   "least 3", x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims), w->name,
                   gs_shape_text(a, w->dtype, w->rank, w->dims));
  int64_t first = w->dims[0];
  bool ok = c->group >= 1 && first % c->group == 0 &&
            x->dims[1] % c->group == 0;
  c->in = ok ? x->dims[1] / c->group : 0;
  c->out = !ok ? 0 : f->transposed ? w->dims[1] : first / c->group;
  if (!ok || (f->transposed ? first / c->group : w->dims[1]) != c->in)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%lld groups of the channels of '%s' %s do not fit the "
                   "weights '%s' %s", (long long)c->group, x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims), w->name,
                   gs_shape_text(a, w->dtype, w->rank, w->dims));
  if (b && (b->rank != 1 || b->dims[0] != c->group * c->out))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "bias '%s' %s is not one number for each of %lld channels",
                   b->name, gs_shape_text(a, b->dtype, b->rank, b->dims),
                   (long long)(c->group * c->out));
  return GS_OK;
}

static gs_status read_window(gs_arena *a, const gs_node *n, const form *f,
                             gs_window *w, gs_err *e) {
  const gs_value *x = n->in[f->x];
  const int64_t *size = n->in[f->w]->dims + 2;
  return f->transposed ? gs_window_read_transposed(a, n, x, size, w, e)
                       : gs_window_read(a, n, x, size, w, e);
}

static gs_status shape(gs_graph *g, gs_node *n, const form *f, gs_dtype t,
                       gs_err *e) {
  channels c;
  gs_window w;
  GS_TRY(read_channels(g->arena, n, f, &c, e));
  GS_TRY(read_window(g->arena, n, f, &w, e));
  int64_t dims[GS_MAX_RANK] = {n->in[f->x]->dims[0]};
  if (!gs_mul(c.group, c.out, &dims[1]))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "too many channels");
  memcpy(dims + 2, w.out, (size_t)w.n * sizeof *dims);
  return gs_shape_set(g, n, 0, t, w.n + 2, dims, e);
}

gs_status gs_shape_conv(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 1, e));
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 2, e));
  return shape(g, n, &plain, n->in[0]->dtype, e);
}

/* Operands from `first` on are what is done to channels of the result: the
 * scale, bias, mean and variance of a normalisation, all or none, a factor and
 * a term. */
static gs_status check_channels(gs_graph *g, const gs_node *n, int first,
                                gs_err *e) {
  const gs_value *y = n->out[0];
  for (int i = first; i < first + 6; i++) {
    const gs_value *v = gs_node_in(n, i);
    bool ok = i >= first + 4 || !v == !gs_node_in(n, first);
    if (v)
      ok = ok && v->dtype == GS_FLOAT && y->rank > 1 &&
           gs_product(v->dims, v->rank) == y->dims[1];
    if (!ok)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "operand %d does not fit the channels of the result %s",
                     i, gs_shape_text(g->arena, y->dtype, y->rank, y->dims));
  }
  return GS_OK;
}

/* Conv; operand 3 is added to the result, after what those from 4 on do. */
gs_status gs_shape_g_fused_conv(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(gs_shape_conv(g, n, e));
  const gs_value *y = n->out[0], *v = gs_node_in(n, 3);
  if (v && (v->dtype != y->dtype || v->rank != y->rank ||
            !gs_same_dims(v->dims, y->dims, y->rank)))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand 3 does not fit the result %s",
                   gs_shape_text(g->arena, y->dtype, y->rank, y->dims));
  return check_channels(g, n, 4, e);
}

gs_status gs_shape_g_fused_norm(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(gs_shape_set_like(g, n, 0, e));
  return check_channels(g, n, 1, e);
}

gs_status gs_shape_conv_transpose(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 1, e));
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 2, e));
  return shape(g, n, &transposed, n->in[0]->dtype, e);
}

/* Operand i is a scalar, [1], or one number for each of `count` channels
 * (0: not that). */
static gs_status check_scale(gs_arena *a, const gs_node *n, int i,
                             int64_t count, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || v->rank == 0 ||
      (v->rank == 1 && (v->dims[0] == 1 || (count && v->dims[0] == count))))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' %s is neither one number%s", i, v->name,
                 gs_shape_text(a, v->dtype, v->rank, v->dims),
                 count ? " nor one for each channel of the result"
                       : " nor a list of one");
}

static gs_status check_byte(gs_arena *a, const gs_node *n, int i, gs_err *e) {
  const gs_value *v = n->in[i];
  if (v->dtype == GS_INT8 || v->dtype == GS_UINT8) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' is %s, neither i8 nor u8", i, v->name,
                 gs_dtype_get((int)v->dtype)->text);
}

gs_status gs_shape_conv_integer(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  GS_TRY(check_byte(a, n, 0, e));
  GS_TRY(check_byte(a, n, 1, e));
  GS_TRY(gs_shape_same_type(a, n, 0, 2, e));
  GS_TRY(gs_shape_same_type(a, n, 1, 3, e));
  GS_TRY(check_scale(a, n, 2, 0, e));
  GS_TRY(check_scale(a, n, 3, n->in[1]->rank ? n->in[1]->dims[0] : 0, e));
  return shape(g, n, &integer, GS_INT32, e);
}

gs_status gs_shape_qlinear_conv(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int64_t m = n->in[3]->rank ? n->in[3]->dims[0] : 0;
  GS_TRY(check_byte(a, n, 0, e));
  GS_TRY(check_byte(a, n, 3, e));
  GS_TRY(check_byte(a, n, 7, e));
  GS_TRY(gs_shape_same_type(a, n, 0, 2, e));
  GS_TRY(gs_shape_same_type(a, n, 3, 5, e));
  for (int i = 1; i < 8; i++)
    if (i != 3) GS_TRY(check_scale(a, n, i, i == 4 || i == 5 ? m : 0, e));
  const gs_value *b = gs_node_in(n, 8);
  for (int i = 1; i < 9; i++) {
    const gs_value *v = gs_node_in(n, i);
    bool scale = i == 1 || i == 4 || i == 6;
    if (!v || (!scale && i != 8)) continue;
    if (v->dtype != (scale ? GS_FLOAT : GS_INT32))
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d '%s' is %s, not %s", i, v->name,
                     gs_dtype_get((int)v->dtype)->text,
                     v == b ? "i32" : "f32");
  }
  return shape(g, n, &quantized, n->in[7]->dtype, e);
}

gs_status gs_shape_deform_conv(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  for (int i = 1; i < n->nin; i++) GS_TRY(gs_shape_same_type(a, n, 0, i, e));
  GS_TRY(shape(g, n, &deformed, n->in[0]->dtype, e));
  gs_window w;
  const gs_value *x = n->in[0], *y = n->out[0];
  GS_TRY(read_window(a, n, &deformed, &w, e));
  if (w.n != 2)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "'%s' %s: only two spatial dims are supported", x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims));
  int64_t og = gs_node_int(n, "offset_group", 1);
  if (og < 1 || x->dims[1] % og)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%lld offset groups do not divide the channels of '%s' %s",
                   (long long)og, x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims));
  for (int i = 2; i < 5; i += 2) {
    const gs_value *v = gs_node_in(n, i);
    int64_t each = og * w.size[0] * w.size[1] * (i == 2 ? 2 : 1);
    if (v && (v->rank != 4 || v->dims[0] != y->dims[0] || v->dims[1] != each ||
              v->dims[2] != y->dims[2] || v->dims[3] != y->dims[3]))
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d '%s' is %s, not [%lld,%lld,%lld,%lld]", i,
                     v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                     (long long)y->dims[0], (long long)each,
                     (long long)y->dims[2], (long long)y->dims[3]);
  }
  return GS_OK;
}

/* ---- rules ---- */

/* A dim of group x each; one of size 1 beside groups needs no factor, so that
 * they may be split unevenly. */
static void put_channels(gs_rule *r, gs_tensor_map *t, int d, int group,
                         int each) {
  if (group >= 0) gs_rule_put(t, d, group);
  if (each >= 0 && (group < 0 || r->factor[each].size != 1))
    gs_rule_put(t, d, each);
}

/* What stands around the operand: its zero point, an integer; false where only
 * a run knows it. */
static bool zero_of(gs_arena *a, const gs_node *n, int zero, double *value) {
  *value = 0;
  if (zero < 0 || !gs_node_in(n, zero)) return true;
  int count;
  const int64_t *v = gs_value_int_list(a, n->in[zero], &count);
  if (v && count == 1) *value = (double)v[0];
  return v && count == 1;
}

/* Spatial dim d, with the kernel's; `value` stands around the operand, NULL:
 * what only a run knows. */
static void put_spatial(gs_rule *r, const form *f, const gs_window *w, int d,
                        const double *value, bool splits) {
  gs_tensor_map *k = &r->in[f->w];
  if (f == &deformed) gs_window_put_whole(r, w, f->x, d);
  else if (f->transposed) gs_window_put_transposed(r, w, f->x, d);
  else gs_window_put(r, w, f->x, d, value);
  bool split = f != &deformed && splits && !f->transposed && value &&
               !gs_window_trivial(w, d);
  gs_rule_put(k, d + 2,
              split ? gs_window_split(r, w, f->x, d, *value)
                    : gs_rule_factor(r, w->size[d], GS_WHOLE));
}

/* Batch, groups and channels of the result pass, those of the operand are
 * summed (`in` says otherwise), and so is a kernel that is split in space;
 * spatial dims are windows.  With groups they are factor 0. */
static gs_status rule(gs_arena *a, const gs_node *n, const form *f,
                      gs_factor_kind in, gs_rule *r, gs_err *e) {
  channels c;
  gs_window w;
  GS_TRY(read_channels(a, n, f, &c, e));
  GS_TRY(read_window(a, n, f, &w, e));
  gs_rule_begin(a, n, r);
  gs_tensor_map *x = &r->in[f->x], *k = &r->in[f->w], *y = &r->out[0];
  int fg = c.group > 1 ? gs_rule_factor(r, c.group, GS_PASS) : -1;
  int fn = gs_rule_factor(r, n->in[f->x]->dims[0], GS_PASS);
  bool no_out = fg >= 0 && c.out == 1;
  bool no_in = fg >= 0 && c.in == 1;
  int fo = no_out ? -1 : gs_rule_factor(r, c.out, GS_PASS);
  int fi = no_in ? -1 : gs_rule_factor(r, c.in, in);
  gs_rule_put(x, 0, fn);
  gs_rule_put(y, 0, fn);
  put_channels(r, x, 1, fg, fi);
  put_channels(r, y, 1, fg, fo);
  put_channels(r, k, 0, fg, f->transposed ? fi : fo);
  int second = f->transposed ? fo : fi;
  if (second >= 0) gs_rule_put(k, 1, second);
  if (f->b >= 0 && gs_node_in(n, f->b))
    put_channels(r, &r->in[f->b], 0, fg, fo);
  double zero;
  bool known = zero_of(a, n, f->zero, &zero);
  for (int d = 0; d < w.n; d++)
    put_spatial(r, f, &w, d, known ? &zero : NULL, in == GS_SUMMED);
  return GS_OK;
}

gs_status gs_rule_conv(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  return rule(a, n, &plain, GS_SUMMED, r, e);
}

gs_status gs_rule_conv_transpose(gs_arena *a, const gs_node *n, gs_rule *r,
                                 gs_err *e) {
  return rule(a, n, &transposed, GS_SUMMED, r, e);
}

/* Scales or zero points, one for each channel of the result. */
static void put_scale(const gs_node *n, gs_rule *r, int i) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || v->rank == 0) return;
  if (v->dims[0] != 1) r->in[i].dim[0] = r->out[0].dim[1];
}

/* The padding of uneven shards is 0 in both operands, and counts for nothing
 * as long as one of them has its zero there. */
gs_status gs_rule_conv_integer(gs_arena *a, const gs_node *n, gs_rule *r,
                               gs_err *e) {
  bool both = gs_node_in(n, 2) && gs_node_in(n, 3);
  GS_TRY(rule(a, n, &integer, both ? GS_WHOLE : GS_SUMMED, r, e));
  put_scale(n, r, 3);
  return GS_OK;
}

gs_status gs_rule_qlinear_conv(gs_arena *a, const gs_node *n, gs_rule *r,
                               gs_err *e) {
  GS_TRY(rule(a, n, &quantized, GS_WHOLE, r, e));
  put_scale(n, r, 4);
  put_scale(n, r, 5);
  return GS_OK;
}

/* Groups of channels and groups of offsets overlap in any way: where there
 * are several of either, all channels of the operand stay together. */
gs_status gs_rule_deform_conv(gs_arena *a, const gs_node *n, gs_rule *r,
                              gs_err *e) {
  bool og = gs_node_int(n, "offset_group", 1) > 1;
  GS_TRY(rule(a, n, &deformed, og ? GS_WHOLE : GS_SUMMED, r, e));
  if (og && gs_node_int(n, "group", 1) > 1) r->factor[0].kind = GS_WHOLE;
  for (int i = 2; i < 5; i += 2) {
    const gs_value *v = gs_node_in(n, i);
    if (!v) continue;
    r->in[i].dim[0] = r->out[0].dim[0];
    for (int d = 1; d < 4; d++)
      gs_rule_put(&r->in[i], d, gs_rule_whole(r, v->dims[d]));
  }
  return GS_OK;
}

/* ---- local forms ---- */

/* Where outputs and taps along a dim are both split: of the window that all
 * taps need, what those of this device do.  The last device may have fewer taps
 * than its block, whose weights are 0 there: zeros follow the window. */
static void take_taps(gs_local *l, const form *f, const gs_window *w,
                      const gs_window_use *u) {
  const gs_axes *axes = &l->factor[u->factor];
  int d = u->dim - 2;
  gs_value *x = l->in[f->x];
  int64_t block = l->in[f->w]->dims[u->dim], by = w->dilation[d];
  int64_t taps = block * gs_axes_size(l->mesh, axes);
  int64_t span = (l->out_dims[0][u->dim] - 1) * w->stride[d] + 1;
  int64_t missing = span + (taps - 1) * by - x->dims[u->dim];
  if (missing > 0) x = gs_local_extend(l, x, u->dim, missing);
  gs_held_range have = {1, 0, 0, 1, 0, x->dims[u->dim]};
  gs_held_range want = {1, by * block, 0, 1, 0, span + (block - 1) * by};
  l->in[f->x] = gs_local_cut(l, x, u->dim, axes, &have, &want);
}

static void take_all_taps(gs_local *l, const form *f, const gs_window *w) {
  const gs_rule *r = l->rule;
  for (int k = 0; k < r->nuse; k++) {
    const gs_window_use *u = &r->use[k];
    if (u->out >= 0 || !l->factor[u->factor].n) continue;
    for (int j = 0; j < r->nuse; j++)
      if (r->use[j].out >= 0 && r->use[j].dim == u->dim &&
          l->factor[r->use[j].factor].n)
        take_taps(l, f, w, u);
  }
}

/* Fewer groups where they are split; with the channels of the operand, or the
 * kernel, split only one device may add the bias.  Where the operand is held
 * in windows nothing is left to pad, but for a zero point that only a run
 * knows: the node then knows its place. */
static gs_status local(gs_local *l, const form *f, gs_err *e) {
  gs_arena *a = l->program->arena;
  int64_t group = gs_node_int(l->node, "group", 1);
  gs_axes axes = gs_axes_of(l->partial);
  uint64_t held = f->transposed ? 0 : gs_window_held(l, f->x);
  double zero;
  gs_window w;
  gs_local_once(l, f->b, &axes);
  if (held && !zero_of(a, l->node, f->zero, &zero)) {
    gs_local_placed(l);
    return GS_OK;
  }
  if (held) {
    GS_TRY(read_window(a, l->node, f, &w, e));
    take_all_taps(l, f, &w);
  }
  gs_node *n = gs_local_same(l);
  if (group > 1)
    gs_node_set_int(l->program, n, "group",
                    gs_ceil_div(group, gs_axes_size(l->mesh, &l->factor[0])));
  if (!held) return GS_OK;
  gs_window_set_pads(l->program, n, &w, held);
  gs_node_set_ints(l->program, n, "kernel_shape", l->in[f->w]->dims + 2, w.n);
  return GS_OK;
}

gs_status gs_local_conv(gs_local *l, gs_err *e) {
  return local(l, &plain, e);
}

gs_status gs_local_conv_integer(gs_local *l, gs_err *e) {
  return local(l, &integer, e);
}

gs_status gs_local_qlinear_conv(gs_local *l, gs_err *e) {
  return local(l, &quantized, e);
}

gs_status gs_local_deform_conv(gs_local *l, gs_err *e) {
  return local(l, &deformed, e);
}

/* ---- ConvTranspose in windows ---- */

/* Spatial dim d of a local ConvTranspose whose operand is held from element
 * first(i) on: what it makes begins at output stride * first(i) - begin, and
 * the block of the device is `off` outputs behind that. */
typedef struct crop {
  int64_t full;  /* outputs that the elements make */
  int64_t off;   /* on all devices; -1: differs */
  int64_t most;  /* the largest */
  gs_held_range have; /* of the result, before it is cut */
} crop;

static crop crop_of(const gs_local *l, const gs_window *w, int d) {
  gs_held_range x = gs_form_range(l->mesh, &l->held[0], d + 2, w->in[d]);
  int64_t stride = w->stride[d], block = l->out_dims[0][d + 2];
  crop c = {.full = (x.length - 1) * stride + gs_window_span(w, d)};
  c.have = gs_held_range_of(x.m * stride, x.a, x.b, x.c,
                            x.e * stride - w->begin[d], c.full);
  c.off = -gs_held_range_first(&c.have, 0);
  c.most = gs_max(c.off, stride + gs_window_span(w, d));
  if (x.c != 1 || x.a * stride != block) c.off = -1;
  return c;
}

/* Outputs that the node must make along dim d: from `begin` on, the sizes that
 * pads and output_padding then have. */
static void set_crop(int64_t full, int64_t begin, int64_t want, int d, int n,
                     int64_t *pads, int64_t *more) {
  int64_t missing = begin + want - full;
  pads[d] = begin;
  pads[n + d] = gs_max(-missing, 0);
  more[d] = gs_max(missing, 0);
}

static void cut(gs_local *l, int d, const crop *c) {
  int64_t block = l->out_dims[0][d + 2];
  gs_held_range have = c->have;
  gs_held_range want = {.m = 1, .a = block, .c = 1, .length = block};
  have.length = l->out[0]->dims[d + 2];
  l->out[0] = gs_local_cut(l, l->out[0], d + 2,
                           &l->held[0].sharding->dim[d + 2].axes, &have, &want);
}

/* The whole local product, then the outputs of this device. */
static gs_status local_windows(gs_local *l, gs_node *n, const gs_window *w,
                               uint64_t held) {
  int64_t pads[2 * GS_MAX_RANK], more[GS_MAX_RANK], dims[GS_MAX_RANK];
  crop c[GS_MAX_RANK];
  memcpy(dims, n->out[0]->dims, (size_t)n->out[0]->rank * sizeof *dims);
  for (int d = 0; d < w->n; d++) {
    int64_t block = l->out_dims[0][d + 2], in = l->in[0]->dims[d + 2];
    if (!(held >> d & 1)) {
      set_crop((in - 1) * w->stride[d] + gs_window_span(w, d), w->begin[d],
               block, d, w->n, pads, more);
      continue;
    }
    c[d] = crop_of(l, w, d);
    bool same = c[d].off >= 0;
    int64_t made = same ? block : gs_max(c[d].full, c[d].most + block);
    set_crop(c[d].full, same ? c[d].off : 0, made, d, w->n, pads, more);
    dims[d + 2] = made;
  }
  gs_node_set_ints(l->program, n, "pads", pads, 2 * w->n);
  gs_node_set_ints(l->program, n, "output_padding", more, w->n);
  gs_node_set_string(l->program, n, "auto_pad", "NOTSET");
  gs_node_drop(n, "output_shape");
  gs_value_shape(l->program, n->out[0], w->n + 2, dims);
  for (int d = 0; d < w->n; d++)
    if ((held >> d & 1) && c[d].off < 0) cut(l, d, &c[d]);
  return GS_OK;
}

/* Sizes of the result that the node says are not those of a block: spatial
 * dims that pass may be split too. */
gs_status gs_local_conv_transpose(gs_local *l, gs_err *e) {
  uint64_t held = gs_window_held(l, 0);
  gs_window w;
  GS_TRY(local(l, &transposed, e));
  if (!held && !gs_node_attr(l->node, "output_shape")) return GS_OK;
  GS_TRY(read_window(l->program->arena, l->node, &transposed, &w, e));
  return local_windows(l, l->out[0]->def, &w, held);
}
