/* The ranged exchange: which elements of one dim each device ends with, and
 * from whom they come (design section 5.1).
 *
 * Element e of a source lies with the device of index
 * floor((first + e) / block) along `from`; of several devices that hold it, the
 * one sends that agrees with the receiver on all axes but those.  The device
 * with index i along `to` ends with range.length places: place j holds element
 * first(i) + step * j of the sources laid end to end (each shifted by its
 * `shift`), or the fill where no source has that element.  These numbers say
 * it for any number of devices; gs_exchange_plan works out the pieces of
 * one. */
#ifndef GS_IR_EXCHANGE_H
#define GS_IR_EXCHANGE_H

#include "ir/mesh/form.h"

/* What stands outside of [0, n). */
#define GS_FILLS(X)                                                            \
  X(ANY, "any")         /* nobody looks */                                     \
  X(VALUE, "value")     /* a constant */                                       \
  X(OPERAND, "operand") /* the scalar that is the last operand */              \
  X(EDGE, "edge")       /* the index mapped into [0, n): moved and counted */  \
  X(REFLECT, "reflect")                                                        \
  X(WRAP, "wrap")

typedef enum gs_fill {
#define X(name, text) GS_FILL_##name,
  GS_FILLS(X)
#undef X
  GS_NFILL
} gs_fill;

typedef struct gs_exchange_source {
  int64_t n;     /* elements */
  int64_t block; /* elements of a device; 0: every device holds all n */
  int64_t shift; /* its element 0 is element `shift` of the exchange; with a
                    fill that maps the index: 0, and one source */
  int64_t first; /* where its element 0 stands in the dim that is split into the
                    blocks, or is held whole: it may be a part of that */
} gs_exchange_source;

typedef struct gs_exchange {
  gs_axes from, to;    /* may share axes, or not; none: the same for all */
  gs_held_range range; /* first(i), and the places that each device ends with */
  int64_t step;        /* between elements of places; any but 0 */
  gs_reach reach;      /* places that no output needs are neither sent nor
                          counted; those behind the last that one needs hold
                          the fill if that is VALUE or OPERAND, all others
                          anything.  count 0: all are needed */
  int64_t width;       /* outputs of one device: i has those from width*i on */
  gs_fill fill;
  double value; /* of GS_FILL_VALUE */
  int nsource;  /* 1 or more, in the order of their elements, which differ */
  const gs_exchange_source *source;
} gs_exchange;

const char *gs_fill_text(gs_fill f);
bool gs_fill_parse(const char *s, gs_fill *f);

/* The exchange that gives each device what its outputs need: along `to` each
 * has width = ceil(count / devices) of them.  `copies`, for a reach of one
 * element with den 1: place j is output width*i + j and holds its element
 * (step is num); else places are consecutive elements of a window.  The
 * rest (from, sources, fill) is the caller's.  Where a number overflows,
 * range.c is 0, which gs_exchange_check refuses. */
gs_exchange gs_exchange_of(const gs_mesh *m, const gs_axes *to,
                           const gs_reach *r, bool copies);
/* The one that brings a dim of n elements to the blocks along `to`. */
gs_exchange gs_exchange_blocks(const gs_mesh *m, const gs_axes *to, int64_t n);

/* How many places there are up to the last one that the device with index i
 * needs. */
int64_t gs_exchange_wanted(const gs_exchange *x, int64_t i);

/* Places `place` .. `place + count - 1` hold elements elem, elem + delta, ...
 * of a source; source -1: the fill. */
typedef struct gs_exchange_run {
  int64_t place, count;
  int source;
  int64_t elem, delta; /* step, -step (reflected), 0 (at an edge, or one) */
} gs_exchange_run;

/* Whether the device with index i needs place j of those: with another step
 * than 1 it does, else outputs may pass over some (a stride longer than their
 * windows, dilation). */
bool gs_exchange_needs(const gs_exchange *x, int64_t i, int64_t j);

/* The runs of the wanted places of index i, in the order of the places, within
 * `a`. O(runs): not of places. */
gs_exchange_run *gs_exchange_runs(gs_arena *a, const gs_exchange *x, int64_t i,
                                  int *n);

/* What one device sends to, and takes from, another member of the group along
 * `from`: pieces of blocks, in the order of the receiver's places, or of those
 * that outputs pass over some between one remainder by their stride after
 * another.  What it has itself a device takes all of. */
typedef struct gs_exchange_piece {
  int source;
  int64_t at, delta, count; /* elements at, at + delta .. of the block */
  int64_t place;            /* of the receiver, the first */
} gs_exchange_piece;

/* How far apart the places of a piece are: 1, but for step 1 as far as its
 * elements. */
int64_t gs_exchange_apart(const gs_exchange *x, const gs_exchange_piece *p);

typedef struct gs_exchange_peer {
  int n;
  gs_exchange_piece *piece; /* [n] */
  int64_t elements;         /* of all pieces */
} gs_exchange_peer;

typedef struct gs_exchange_plan {
  int npeer, me;              /* members of the group along `from`: one where
                                 `from` has no axes, or all sources are whole */
  gs_exchange_peer *give;     /* [npeer] what it has for each other */
  gs_exchange_peer *take;     /* [npeer] what it takes of each, also of itself;
                                 of sources that are whole: of itself */
  int nfill;
  gs_exchange_run *fill;      /* [nfill] places that get the fill; of the fill
                                 ANY nothing needs to be done */
} gs_exchange_plan;

/* Cost O(npeer * runs). */
gs_exchange_plan *gs_exchange_plan_of(gs_arena *a, const gs_mesh *m,
                                      const gs_exchange *x, int64_t position);

/* Elements along the dim that the busiest device sends to others.  Walks the
 * indices along `to` once (all devices, where the axes are of two orders), and
 * what each takes: the callers keep it. */
int64_t gs_exchange_sent(const gs_mesh *m, const gs_exchange *x);

/* Where a source of a joined exchange comes from. */
typedef struct gs_exchange_origin {
  bool inner; /* of the inner exchange, else of the outer one */
  int source;
} gs_exchange_origin;

/* The exchange that does what x does, but takes what y makes, which is source
 * k of x, straight from the sources of y; (*origin)[i] tells which its source
 * i is.  Where both fills are operands they are the same one.  False where no
 * exchange does that: steps of y, gaps with another fill, blocks that are not
 * those that x reads, blocks along different axes. */
bool gs_exchange_join(gs_arena *a, const gs_mesh *m, const gs_exchange *x,
                      int k, const gs_exchange *y, gs_exchange *out,
                      gs_exchange_origin **origin);

/* All invariants that the struct states; the numbers of no device overflow,
 * and a fill does not repeat a dim a million times.  GS_DATA, for a program may
 * have been edited; `what` names the node. */
gs_status gs_exchange_check(const gs_mesh *m, const gs_exchange *x,
                            const char *what, gs_err *e);

#endif
