#include "kernel/conv/onednn_conv.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/assert.h"
#include "kernel/core/layout.h"
#include "kernel/onednn/onednn_compat.h"

enum {
  SPATIAL = 3,      /* dims that the library has */
  PLACES = 64,      /* of the result, worth a call of its own */
  MANY_PIECES = 4,  /* wanted for other threads */
  PART = 32,        /* channels of the result that a piece must have */
  PART_GROUPS = 16, /* the same where groups are divided */
  ARGS = 5          /* of a convolution; the last is the bias */
};

/* A reorder between how a tensor is given and what the convolution wants. */
typedef struct reorder {
  gs_dnn_desc from, to;
  dnnl_primitive_t run; /* NULL: both are the same */
} reorder;

struct gs_dnn_conv {
  gs_conv_shape s;   /* of the whole */
  gs_conv_shape p;   /* of a piece */
  gs_dnn_conv_form form;
  bool grouped; /* the parts are groups, not channels of the result */
  int64_t images, parts, sources; /* pieces; sources: parts of the operand */
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_t run;
  reorder src, weights, add, dst; /* dst: from what it wants */
  gs_dnn_desc bias_desc, pad_desc;
  size_t src_size, weights_size, dst_size, pad_size; /* of a piece, 64-fold */
  gs_view part; /* of the result: how its runs lie, in blocks too */
  int threads;
  dnnl_exec_arg_t *arg; /* [threads][ARGS] of pieces, without their data */
};

static int thread_index(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

/* ---- pieces ---- */

/* The largest divisor of n that is at most `most`. */
static int64_t divisor(int64_t n, int64_t max) {
  int64_t best = 1;
  for (int64_t i = 1; i <= max && i <= n; i++)
    if (n % i == 0) best = i;
  return best;
}

/* Several images make a piece only where there are enough of them; it then
 * has all channels, so that it is one run of memory. */
static void cut(gs_dnn_conv *c) {
  gs_conv_shape *p = &c->p;
  int64_t places = gs_conv_places_out(&c->s);
  int64_t some = gs_ceil_div(PLACES, gs_max(places, 1));
  p->batch = divisor(c->s.batch, gs_min(some, c->s.batch / MANY_PIECES));
  c->images = c->s.batch / p->batch;
  c->parts = c->sources = 1;
  c->grouped = p->group > 1;
  int64_t *divided = c->grouped ? &p->group : &p->out;
  int64_t min = c->grouped ? PART_GROUPS : PART;
  double work = (double)gs_conv_taps(&c->s) * (double)places *
                (double)p->batch * (double)p->in * (double)p->out *
                (double)p->group;
  while (c->images * c->parts < MANY_PIECES && work > 4e6 &&
         *divided % (2 * min) == 0) {
    *divided /= 2;
    c->parts *= 2;
    work /= 2;
  }
  gs_assert(c->images * p->batch == c->s.batch);
  if (c->grouped) c->sources = c->parts;
}

int64_t gs_dnn_conv_piece(const gs_conv_shape *s) {
  gs_dnn_conv c = {.s = *s, .p = *s};
  cut(&c);
  return gs_conv_places_out(&c.p) * c.p.batch * c.p.group * c.p.out *
         (int64_t)sizeof(float);
}

/* Along the dim from which on the result has `run` elements, which are pitch
 * apart in the larger one.  The library is slow where a window lies in the
 * padding alone. */
static bool widen_dim(gs_window *w, int64_t run, int64_t pitch, int64_t lead) {
  int d = w->n;
  int64_t inner = 1;
  while (d > 0 && inner != run) inner *= w->out[--d];
  while (d > 0 && w->out[d - 1] == 1) d--;
  if (inner != run || d == w->n) return false;
  inner /= w->out[d];
  if (pitch % inner || lead % inner) return false;
  int64_t wide = pitch / inner, span = gs_window_span(w, d);
  int64_t begin = w->begin[d] + lead / inner * w->stride[d];
  int64_t behind = (wide - 1) * w->stride[d] + span - w->in[d] - begin;
  if (begin >= span || behind >= span) return false;
  w->out[d] = wide;
  w->begin[d] = begin;
  return true;
}

bool gs_dnn_conv_widen(gs_conv_shape *s, const gs_view *y) {
  gs_conv_shape wide = *s;
  if (!y->pitch) return false;
  int64_t inner = y->apart ? y->lead % y->pitch : y->lead;
  if (!widen_dim(&wide.w, y->run, y->pitch, inner)) return false;
  if (y->apart && !widen_dim(&wide.w, y->runs * y->pitch, y->apart,
                             y->lead - inner))
    return false;
  int64_t all = gs_conv_places_out(&wide), own = gs_conv_places_out(s);
  if (8 * (all - own) > own) return false;
  *s = wide;
  return true;
}

/* ---- objects ---- */

static size_t rounded(size_t n) { return (n + 63) / 64 * 64; }

/* Row-major, or channels in blocks; `part` tells where it is a part (row-major
 * only), or is NULL. */
static bool given_desc(gs_arena *a, gs_dnn_desc *d, int n,
                       const dnnl_dim_t *dims, int block,
                       const gs_view *part) {
  static const dnnl_format_tag_t tags[2][SPATIAL] = {
      {dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c},
      {dnnl_nCw16c, dnnl_nChw16c, dnnl_nCdhw16c}};
  if (block)
    return dims[1] % block == 0 &&
           gs_dnn_desc_tagged(a, d, n, dims, tags[block == 16][n - 3]);
  gs_assert(n > 0 && n <= DNNL_MAX_NDIMS);
  dnnl_dims_t strides;
  dnnl_dim_t s = 1;
  for (int i = n - 1; i >= 0; i--) {
    strides[i] = part ? gs_part_stride(part, s) : s;
    s *= dims[i];
  }
  return gs_dnn_desc_strided(a, d, n, dims, strides);
}

static bool any_desc(gs_arena *a, gs_dnn_desc *d, int n,
                     const dnnl_dim_t *dims) {
  return gs_dnn_desc_tagged(a, d, n, dims, dnnl_format_tag_any);
}

/* The library chooses. */
enum { ANY = -1 };

/* Blocks as in gs_view, or ANY. */
static bool wished_desc(gs_arena *a, gs_dnn_desc *d, int n,
                        const dnnl_dim_t *dims, int block) {
  return block == ANY ? any_desc(a, d, n, dims)
                      : given_desc(a, d, n, dims, block, NULL);
}

static bool new_reorder(gs_dnn_conv *c, reorder *r) {
  if (dnnl_memory_desc_equal(r->from, r->to)) return true;
  dnnl_primitive_desc_t pd;
  dnnl_primitive_attr_t attr;
  if (dnnl_primitive_attr_create(&attr) != dnnl_success) return false;
  bool ok = dnnl_reorder_primitive_desc_create(&pd, r->from, c->engine, r->to,
                                               c->engine,
                                               attr) == dnnl_success;
  dnnl_primitive_attr_destroy(attr);
  if (!ok) return false;
  ok = dnnl_primitive_create(&r->run, pd) == dnnl_success;
  dnnl_primitive_desc_destroy(pd);
  return ok;
}

/* Dims of a piece: operand, weights, result. */
static void piece_dims(const gs_dnn_conv *c, dnnl_dims_t x, dnnl_dims_t w,
                       dnnl_dims_t y) {
  const gs_conv_shape *p = &c->p;
  int at = 0;
  x[0] = y[0] = p->batch;
  x[1] = p->group * p->in;
  y[1] = p->group * p->out;
  if (c->grouped) w[at++] = p->group;
  w[at++] = p->out;
  w[at++] = p->in;
  for (int d = 0; d < p->w.n; d++) {
    x[2 + d] = p->w.in[d];
    y[2 + d] = p->w.out[d];
    w[at++] = p->w.size[d];
  }
}

/* What a convolution is asked for: how its operand and its result lie. */
typedef struct wish {
  int x, y;
} wish;

static bool new_desc(gs_dnn_conv *c, gs_arena *a, dnnl_primitive_attr_t attr,
                     wish how, dnnl_primitive_desc_t *pd) {
  const gs_window *w = &c->p.w;
  int n = w->n + 2;
  gs_dnn_window window;
  dnnl_dims_t x, k, y, bias = {c->p.group * c->p.out};
  gs_dnn_desc dx, dk, dy;
  piece_dims(c, x, k, y);
  for (int i = 0; i < w->n; i++) {
    window.stride[i] = w->stride[i];
    window.dilation[i] = w->dilation[i] - 1;
    window.before[i] = w->begin[i];
    window.behind[i] = (w->out[i] - 1) * w->stride[i] +
                       gs_window_span(w, i) - w->in[i] - w->begin[i];
  }
  return wished_desc(a, &dx, n, x, how.x) &&
         any_desc(a, &dk, n + c->grouped, k) &&
         wished_desc(a, &dy, n, y, how.y) &&
         given_desc(a, &c->bias_desc, 1, bias, 0, NULL) &&
         gs_dnn_conv_desc(pd, c->engine, &window, dx, dk,
                          c->form.bias ? c->bias_desc : NULL, dy, attr);
}

/* With fewer channels of the operand the library reads them row-major. */
enum { FEW = 4 };

/* How the operand and the result lie: as they are, where a convolution wants
 * both alike; else the smaller of the two is reordered.  As the library likes
 * them best where both are row-major, or it has no code for what is asked. */
static bool choose_desc(gs_dnn_conv *c, gs_arena *a, dnnl_primitive_attr_t attr,
                        dnnl_primitive_desc_t *pd) {
  const gs_conv_shape *p = &c->p;
  int x = c->form.x, y = c->form.any;
  /* Products of one tap as they lie, without a reorder. */
  if (p->group > 1 && p->in > 1 && (p->in % 8 || p->out % 8) &&
      gs_conv_taps(p) == 1)
    return new_desc(c, a, attr, (wish){0, 0}, pd);
  wish how = {x ? x : ANY, y ? y : ANY};
  if (!x && p->group * p->in < FEW) {
    how.x = y ? 0 : ANY;
  } else if (x && y && x != y) {
    int64_t in = p->group * p->in * gs_conv_places_in(p);
    int64_t out = p->group * p->out * gs_conv_places_out(p);
    if (in < out) how.x = ANY;
    else how.y = ANY;
  }
  if (how.x != ANY || how.y != ANY) {
    if (new_desc(c, a, attr, how, pd) && gs_dnn_compiled(*pd)) return true;
    if (*pd) dnnl_primitive_desc_destroy(*pd);
    *pd = NULL;
  }
  return new_desc(c, a, attr, (wish){ANY, ANY}, pd);
}

/* What goes in and out, and how it is given. */
static bool new_reorders(gs_dnn_conv *c, gs_arena *a,
                         const_dnnl_primitive_desc_t pd, int *block) {
  int n = c->p.w.n + 2;
  dnnl_dims_t x, k, y;
  piece_dims(c, x, k, y);
  if (!gs_dnn_desc_query(a, &c->src.to, pd, dnnl_query_src_md) ||
      !gs_dnn_desc_query(a, &c->weights.to, pd, dnnl_query_weights_md) ||
      !gs_dnn_desc_query(a, &c->dst.from, pd, dnnl_query_dst_md) ||
      !gs_dnn_desc_query(a, &c->pad_desc, pd, dnnl_query_scratchpad_md))
    return false;
  c->add.to = c->dst.from;
  *block = y[1] % gs_max(c->form.any, 1) ? 0 : c->form.any;
  return given_desc(a, &c->src.from, n, x, c->form.x, NULL) &&
         given_desc(a, &c->weights.from, n + c->grouped, k, 0, NULL) &&
         given_desc(a, &c->add.from, n, y, c->form.z, NULL) &&
         given_desc(a, &c->dst.to, n, y, *block, *block ? NULL : &c->part) &&
         new_reorder(c, &c->src) && new_reorder(c, &c->weights) &&
         new_reorder(c, &c->dst) &&
         (!c->form.add || new_reorder(c, &c->add));
}

/* What follows the convolution, and scratch from the caller. */
static bool new_attr(const gs_dnn_conv *c, dnnl_primitive_attr_t *attr) {
  dnnl_post_ops_t post;
  if (dnnl_primitive_attr_create(attr) != dnnl_success) return false;
  if (dnnl_post_ops_create(&post) != dnnl_success) return false;
  bool ok = (!c->form.add || gs_dnn_append_sum(post)) &&
            dnnl_primitive_attr_set_post_ops(*attr, post) == dnnl_success &&
            dnnl_primitive_attr_set_scratchpad_mode(
                *attr, dnnl_scratchpad_mode_user) == dnnl_success;
  dnnl_post_ops_destroy(post);
  return ok;
}

static bool new_objects(gs_dnn_conv *c, gs_arena *a, int *block) {
  dnnl_primitive_attr_t attr = NULL;
  dnnl_primitive_desc_t pd = NULL;
  bool ok = dnnl_engine_create(&c->engine, dnnl_cpu, 0) == dnnl_success &&
            dnnl_stream_create(&c->stream, c->engine,
                               dnnl_stream_default_flags) == dnnl_success &&
            new_attr(c, &attr) && choose_desc(c, a, attr, &pd) &&
            dnnl_primitive_create(&c->run, pd) == dnnl_success &&
            new_reorders(c, a, pd, block);
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

static void destroy(void *p) {
  gs_dnn_conv *c = p;
  dnnl_primitive_t all[] = {c->run, c->src.run, c->weights.run, c->add.run,
                            c->dst.run};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) dnnl_primitive_destroy(all[i]);
  for (int i = 0; i < c->threads * ARGS; i++)
    if (c->arg[i].memory) dnnl_memory_destroy(c->arg[i].memory);
  if (c->stream) dnnl_stream_destroy(c->stream);
  if (c->engine) dnnl_engine_destroy(c->engine);
}

/* What pieces are made of, for each thread: making it anew costs as much as a
 * small piece. */
static bool new_args(gs_dnn_conv *c, gs_arena *a, int threads) {
  static const int id[ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST,
                               DNNL_ARG_SCRATCHPAD, DNNL_ARG_BIAS};
  const gs_dnn_desc desc[ARGS] = {c->src.to, c->weights.to, c->dst.from,
                                  c->pad_desc, c->bias_desc};
  bool ok = true;
  c->arg = GS_NEWS(a, (size_t)threads * ARGS, dnnl_exec_arg_t);
  c->threads = threads;
  for (int i = 0; i < threads * ARGS && ok; i++) {
    int k = i % ARGS;
    c->arg[i].arg = id[k];
    ok = (k == ARGS - 1 && !c->form.bias) ||
         dnnl_memory_create(&c->arg[i].memory, desc[k], c->engine,
                            DNNL_MEMORY_NONE) == dnnl_success;
  }
  return ok;
}

/* The library counts elements in 32 bits here and there. */
static bool fits(const gs_conv_shape *s) {
  int64_t x = 1, y = 1, k = 1;
  bool ok = s->w.n >= 1 && s->w.n <= SPATIAL && s->batch > 0 && s->in > 0 &&
            s->out > 0 && s->batch <= INT32_MAX &&
            gs_mul(s->group, s->in, &x) && gs_mul(s->group, s->out, &y) &&
            gs_mul(x, s->out, &k);
  for (int d = 0; ok && d < s->w.n; d++)
    ok = s->w.in[d] > 0 && s->w.out[d] > 0 && gs_mul(x, s->w.in[d], &x) &&
         gs_mul(y, s->w.out[d], &y) && gs_mul(k, s->w.size[d], &k);
  return ok && x <= INT32_MAX && y <= INT32_MAX && k <= INT32_MAX;
}

gs_dnn_conv *gs_dnn_conv_new(gs_arena *a, const gs_conv_shape *s,
                             const gs_dnn_conv_form *form, int threads,
                             int *block) {
  *block = 0;
  if (!fits(s)) return NULL;
  gs_dnn_conv *c = GS_NEW(a, gs_dnn_conv);
  c->s = c->p = *s;
  c->form = *form;
  c->part = gs_part_of(&form->part, 1);
  cut(c);
  gs_arena_at_end(a, destroy, c);
  int old = gs_dnn_one_thread();
  bool ok = new_objects(c, a, block) &&
            new_args(c, a, threads > 1 ? threads : 1);
  gs_dnn_old_threads(old);
  if (!ok) return NULL;
  if (c->src.run)
    c->src_size = rounded(dnnl_memory_desc_get_size(c->src.to));
  if (*block) c->part = gs_part_of(&c->part, *block);
  if (c->dst.run || c->part.pitch)
    c->dst_size = rounded(dnnl_memory_desc_get_size(c->dst.from));
  c->weights_size = rounded(dnnl_memory_desc_get_size(c->weights.to));
  c->pad_size = rounded(dnnl_memory_desc_get_size(c->pad_desc));
  return c;
}

/* ---- running ---- */

size_t gs_dnn_conv_packed_size(const gs_dnn_conv *c) {
  return c->weights_size * (size_t)c->parts;
}

size_t gs_dnn_conv_scratch(const gs_dnn_conv *c) {
  return c->src_size * (size_t)(c->images * c->sources) +
         (c->dst_size + c->pad_size) * (size_t)c->threads;
}

static bool run_reorder(const gs_dnn_conv *c, const reorder *r,
                        const void *from, void *to) {
  dnnl_exec_arg_t arg[2] = {{.arg = DNNL_ARG_FROM}, {.arg = DNNL_ARG_TO}};
  /* The library does not write to what it reads. */
  void *read = (void *)(uintptr_t)from;
  bool ok = dnnl_memory_create(&arg[0].memory, r->from, c->engine, read) ==
                dnnl_success &&
            dnnl_memory_create(&arg[1].memory, r->to, c->engine, to) ==
                dnnl_success &&
            dnnl_primitive_execute(r->run, c->stream, 2, arg) ==
                dnnl_success &&
            dnnl_stream_wait(c->stream) == dnnl_success;
  for (int i = 0; i < 2; i++)
    if (arg[i].memory) dnnl_memory_destroy(arg[i].memory);
  return ok;
}

bool gs_dnn_conv_pack(const gs_dnn_conv *c, const float *w, void *packed) {
  int64_t part = c->p.group * c->p.out * c->p.in * gs_conv_taps(&c->p);
  bool ok = true;
  int threads = gs_dnn_one_thread();
  for (int64_t i = 0; i < c->parts && ok; i++) {
    char *to = (char *)packed + (size_t)i * c->weights_size;
    if (c->weights.run)
      ok = run_reorder(c, &c->weights, w + i * part, to);
    else
      memcpy(to, w + i * part, (size_t)part * sizeof *w);
  }
  gs_dnn_old_threads(threads);
  return ok;
}

/* Elements of the operand before piece (image, source): as many in blocks as
 * row-major, for a piece of an image has whole blocks. */
static int64_t source_place(const gs_dnn_conv *c, int64_t image,
                            int64_t source) {
  int64_t channels = c->p.group * c->p.in;
  return (image * c->p.batch * c->s.group * c->s.in + source * channels) *
         gs_conv_places_in(&c->s);
}

static int64_t result_place(const gs_dnn_conv *c, int64_t image,
                            int64_t part) {
  int64_t channels = c->p.group * c->p.out;
  return (image * c->p.batch * c->s.group * c->s.out + part * channels) *
         gs_conv_places_out(&c->s);
}

/* Puts the piece of z at hand where the convolution adds to it. */
static bool add_to(const gs_dnn_conv *c, const float *z, void *to) {
  if (c->add.run) return run_reorder(c, &c->add, z, to);
  memcpy(to, z, dnnl_memory_desc_get_size(c->add.to));
  return true;
}

/* Not by the library: its Relu would make 0 of what is not a number. */
static void apply(const gs_joined *j, const float *x, float *y, int64_t n) {
  j->loop(y, (const void *[]){x}, n, j->param);
}

/* What a piece has made goes to its place, which is not one run; the library
 * does not write there as fast.  It is still in a cache. */
static void put(const gs_dnn_conv *c, const float *from, float *y,
                int64_t at) {
  int64_t n = gs_conv_places_out(&c->p) * c->p.batch * c->p.group * c->p.out;
  for (int64_t i = 0, some; i < n; i += some) {
    some = gs_part_run(&c->part, at + i, n - i);
    float *to = y + gs_part_place(&c->part, at + i);
    if (c->form.after.loop) apply(&c->form.after, from + i, to, some);
    else memcpy(to, from + i, (size_t)some * sizeof *to);
  }
}

/* The piece whose result begins at element `at` of y. */
static bool piece(const gs_dnn_conv *c, const void *x, const void *packed,
                  const float *bias, const float *z, float *y, int64_t at,
                  void *own, void *pad) {
  float *place = y + gs_part_place(&c->part, at);
  void *to = c->dst_size ? own : place;
  dnnl_exec_arg_t *arg = &c->arg[thread_index() * ARGS];
  const void *data[ARGS] = {x, packed, to, pad, bias};
  bool ok = !z || add_to(c, z, to);
  for (int i = 0; i < ARGS && ok; i++)
    ok = !arg[i].memory ||
         dnnl_memory_set_data_handle(arg[i].memory,
                                     (void *)(uintptr_t)data[i]) ==
             dnnl_success;
  ok = ok && dnnl_primitive_execute(c->run, c->stream,
                                    c->form.bias ? ARGS : ARGS - 1,
                                    arg) == dnnl_success &&
       dnnl_stream_wait(c->stream) == dnnl_success;
  if (c->dst_size && !c->dst.run) {
    put(c, to, y, at);
    return ok;
  }
  size_t size = dnnl_memory_desc_get_size(c->dst.from) / sizeof *y;
  if (c->form.after.loop) apply(&c->form.after, to, to, (int64_t)size);
  return ok && (!c->dst.run || run_reorder(c, &c->dst, to, place));
}

bool gs_dnn_conv_run(const gs_dnn_conv *c, const float *x, const void *packed,
                     const float *bias, const float *z, float *y,
                     void *scratch, int threads) {
  int64_t sources = c->images * c->sources, pieces = c->images * c->parts;
  char *blocked = scratch;
  char *own = blocked + c->src_size * (size_t)sources;
  size_t each = c->dst_size + c->pad_size;
  int nt = (int)gs_min(threads, gs_max(pieces, sources)), bad = 0;
  gs_assert(threads <= c->threads);
  (void)nt;
#pragma omp parallel num_threads(nt) if (nt > 1) reduction(+ : bad)
  {
    int old = gs_dnn_one_thread();
#pragma omp for schedule(static)
    for (int64_t i = 0; i < (c->src.run ? sources : 0); i++)
      bad += !run_reorder(c, &c->src,
                          x + source_place(c, i / c->sources, i % c->sources),
                          blocked + (size_t)i * c->src_size);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < pieces; i++) {
      int64_t image = i / c->parts, part = i % c->parts;
      int64_t source = image * c->sources + (c->grouped ? part : 0);
      const void *from = blocked + (size_t)source * c->src_size;
      char *mine = own + (size_t)thread_index() * each;
      if (!c->src.run)
        from = x + source_place(c, image, c->grouped ? part : 0);
      bad += !piece(c, from, (const char *)packed +
                                 (size_t)part * c->weights_size,
                    bias ? bias + part * c->p.group * c->p.out : NULL,
                    z ? z + result_place(c, image, part) : NULL,
                    y, result_place(c, image, part), mine,
                    mine + c->dst_size);
    }
    gs_dnn_old_threads(old);
  }
  return !bad;
}
