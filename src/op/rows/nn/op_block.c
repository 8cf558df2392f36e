/* Rules, shapes and local forms of what stands around convolutions:
 * BatchNormalization, Col2Im, DepthToSpace, SpaceToDepth. */
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"
#include "op/rule/window.h"

gs_rule_fn gs_rule_col2im;
gs_local_fn gs_local_col2im;
gs_shape_fn gs_shape_batch_norm, gs_shape_col2im, gs_shape_blocks;

static const char *operand_text(gs_arena *a, const gs_value *v) {
  return gs_sprintf(a, "'%s' %s", v->name,
                    gs_shape_text(a, v->dtype, v->rank, v->dims));
}

/* ---- BatchNormalization ---- */

gs_status gs_shape_batch_norm(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  bool training = gs_node_int(n, "training_mode", 0) != 0;
  if (gs_node_int(n, "spatial", 1) == 0)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "statistics for each element ('spatial' is 0)");
  if (x->rank < 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s is a scalar",
                   operand_text(a, x));
  int64_t channels = x->rank > 1 ? x->dims[1] : 1;
  for (int i = 1; i < 5; i++) {
    const gs_value *v = n->in[i];
    if (v->rank != 1 || v->dims[0] != channels)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d %s is not one number for each of %lld "
                     "channels", i, operand_text(a, v), (long long)channels);
  }
  GS_TRY(gs_shape_same_type(a, n, 1, 2, e));
  GS_TRY(gs_shape_same_type(a, n, 3, 4, e));
  for (int i = 1; i < n->nout && !training; i++)
    if (n->out[i])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "result '%s' needs 'training_mode'", n->out[i]->name);
  GS_TRY(gs_shape_set_like(g, n, 0, e));
  for (int i = 1; i < 3; i++)
    GS_TRY(gs_shape_set(g, n, i, n->in[3]->dtype, 1, &channels, e));
  return GS_OK;
}

/* ---- Col2Im ---- */

gs_status gs_shape_col2im(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  const int64_t *image, *block;
  int64_t stride[GS_MAX_RANK], dilation[GS_MAX_RANK], pads[2 * GS_MAX_RANK];
  int count, nblock;
  GS_TRY(gs_shape_const_ints(a, n, 1, &image, &count, e));
  GS_TRY(gs_shape_const_ints(a, n, 2, &block, &nblock, e));
  if (count < 1 || count != nblock || count + 2 > GS_MAX_RANK)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "image_shape '%s' has %d numbers, block_shape '%s' %d",
                   n->in[1]->name, count, n->in[2]->name, nblock);
  GS_TRY(gs_window_list(a, n, "strides", count, 1, 1, stride, e));
  GS_TRY(gs_window_list(a, n, "dilations", count, 1, 1, dilation, e));
  GS_TRY(gs_window_list(a, n, "pads", 2 * count, 0, 0, pads, e));
  int64_t blocks = 1, places = 1;
  for (int d = 0; d < count; d++) {
    bool ok = image[d] >= 1 && block[d] >= 1 && image[d] <= INT32_MAX &&
              block[d] <= INT32_MAX;
    int64_t room = !ok ? -1 : image[d] + pads[d] + pads[count + d] -
                              ((block[d] - 1) * dilation[d] + 1);
    if (room < 0 || !gs_mul(blocks, block[d], &blocks) ||
        !gs_mul(places, room / stride[d] + 1, &places))
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "blocks of %lld do not fit dim %d of an image of %lld",
                     (long long)block[d], d, (long long)image[d]);
  }
  if (x->rank != 3 || x->dims[1] % blocks || x->dims[2] != places)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%s is not [batch, channels x %lld, %lld]",
                   operand_text(a, x), (long long)blocks, (long long)places);
  int64_t dims[GS_MAX_RANK] = {x->dims[0], x->dims[1] / blocks};
  memcpy(dims + 2, image, (size_t)count * sizeof *dims);
  return gs_shape_set(g, n, 0, x->dtype, count + 2, dims, e);
}

/* Row o of the image is made of the rows of windows floor((o + begin - span +
 * stride) / stride) .. floor((o + begin) / stride); each has places / rows
 * windows.  False when it is not known how large they are. */
static bool image_reach(gs_arena *a, const gs_node *n, gs_reach *r) {
  const gs_value *x = n->in[0], *y = n->out[0];
  const int64_t *block;
  int64_t stride[GS_MAX_RANK], dilation[GS_MAX_RANK], pads[2 * GS_MAX_RANK];
  int count, dims = y->rank - 2;
  if (gs_shape_const_ints(a, n, 2, &block, &count, NULL) || count != dims ||
      gs_window_list(a, n, "strides", dims, 1, 1, stride, NULL) ||
      gs_window_list(a, n, "dilations", dims, 1, 1, dilation, NULL) ||
      gs_window_list(a, n, "pads", 2 * dims, 0, 0, pads, NULL))
    return false;
  int64_t span = (block[0] - 1) * dilation[0] + 1, s = stride[0];
  int64_t rows = (y->dims[2] + pads[0] + pads[dims] - span) / s + 1;
  int64_t each = x->dims[2] / rows;
  span = gs_max(span, s); /* rows between windows are given the one before */
  /* A whole row: its first window is at least each*(o + begin - span + 1) / s,
   * its last one at most each*(o + begin) / s + each - 1. */
  int64_t first = each == 1 ? pads[0] - span + s : each * (pads[0] - span + 1);
  *r = (gs_reach){y->dims[2], each, s, first,
                  each * pads[0] + s * (each - 1),
                  each == 1 && block[0] > 1 && dilation[0] > 1 ? dilation[0]
                                                               : 0};
  return each > 0;
}

gs_status gs_rule_col2im(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  (void)e;
  const gs_value *x = n->in[0], *y = n->out[0];
  gs_window_use use = {0};
  gs_rule_begin(a, n, r);
  r->uneven = true;
  for (int d = 0; d < 2; d++) {
    int f = gs_rule_factor(r, y->dims[d], GS_PASS);
    gs_rule_put(&r->in[0], d, f);
    gs_rule_put(&r->out[0], d, f);
  }
  if (x->dims[1] != y->dims[1] && y->dims[1])
    gs_rule_put(&r->in[0], 1, gs_rule_whole(r, x->dims[1] / y->dims[1]));
  bool known = image_reach(a, n, &use.reach);
  if (known) gs_rule_window(r, 0, 2, 0, 2, y->dims[2], &use);
  else gs_rule_put(&r->in[0], 2, gs_rule_whole(r, x->dims[2]));
  for (int d = known ? 3 : 2; d < y->rank; d++)
    gs_rule_put(&r->out[0], d, gs_rule_whole(r, y->dims[d]));
  gs_rule_in_whole(r, n, 1);
  gs_rule_in_whole(r, n, 2);
  return GS_OK;
}

gs_status gs_local_col2im(gs_local *l, gs_err *e) {
  (void)e;
  if (gs_local_splits(l, 2, 3)) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}

/* ---- DepthToSpace, SpaceToDepth ---- */

/* The block, and whether channels are the major part of the depth (CRD). */
static gs_status read_block(gs_arena *a, const gs_node *n, int64_t *block,
                            bool *crd, gs_err *e) {
  const gs_value *x = n->in[0];
  const char *mode = gs_node_string(n, "mode", "DCR");
  *block = gs_node_int(n, "blocksize", 0);
  *crd = !strcmp(mode, "CRD");
  if (!*crd && strcmp(mode, "DCR"))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'mode' is '%s', neither DCR nor CRD", mode);
  if (*block < 1 || *block > INT16_MAX)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'blocksize' is %lld", (long long)*block);
  if (x->rank != 4)
    return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s does not have rank 4",
                   operand_text(a, x));
  return GS_OK;
}

static gs_status no_blocks(gs_arena *a, const gs_node *n, int64_t block,
                           gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "%s is not made of blocks of %lld x %lld",
                 operand_text(a, n->in[0]), (long long)block,
                 (long long)block);
}

/* The row's number says which way: 1 to space, 0 to depth. */
gs_status gs_shape_blocks(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t b, dims[4];
  bool crd, fits = true;
  GS_TRY(read_block(g->arena, n, &b, &crd, e));
  dims[0] = x->dims[0];
  if (n->op->number) {
    dims[1] = x->dims[1] / (b * b);
    fits = x->dims[1] % (b * b) == 0;
  } else {
    fits = gs_mul(x->dims[1], b * b, &dims[1]);
  }
  for (int d = 2; d < 4 && fits; d++) {
    dims[d] = x->dims[d] / b;
    if (n->op->number) fits = gs_mul(x->dims[d], b, &dims[d]);
    else fits = x->dims[d] % b == 0;
  }
  return fits ? gs_shape_set(g, n, 0, x->dtype, 4, dims, e)
              : no_blocks(g->arena, n, b, e);
}

