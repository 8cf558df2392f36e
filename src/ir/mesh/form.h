/* Forms: what the devices hold of a tensor.
 *
 * A form is a sharding, per dim the range of elements that a device holds, and
 * what stands in places outside of the tensor.  A device has index i over the
 * axes of a dim and holds `length` places from
 *
 *   first(i) = m * floor((a*i + b) / c) + e
 *
 * on: its block, or a window around it (design section 5.1).  Six numbers say
 * this for any number of devices.  Places outside [0, n) are padding. */
#ifndef GS_IR_FORM_H
#define GS_IR_FORM_H

#include "ir/mesh/sharding.h"

/* Spelled in one way (gs_held_range_normal): c > 0, 0 <= b < c, a and c have no
 * common factor, and m is 1 where c is 1. */
typedef struct gs_held_range {
  int64_t m, a, b, c, e;
  int64_t length; /* places, the same on every device; 0 or more */
} gs_held_range;

/* Which elements of a dim output o of [0, count) needs, of whatever is
 * computed from it:
 * floor((num*o + first) / den) .. floor((num*o + last) / den);
 * den > 0, first <= last, num not 0 (below 0: outputs run the other way).
 * With `apart` above 1 (dilation; num is above 0) it needs of these elements e
 * where num*o + last - den*e is a multiple of that; 0 stands for 1. */
typedef struct gs_reach {
  int64_t count, num, den, first, last, apart;
} gs_reach;

/* What the places of a window are for: the device with index i computes
 * outputs width*i .. of those that `reach` is of.  Places that none of them
 * needs hold anything. */
typedef struct gs_need {
  gs_reach reach; /* count 0: every place is needed */
  int64_t width;
} gs_need;

/* What padding along the dims of a set holds; along other dims: anything. */
typedef struct gs_padding {
  uint64_t dims; /* bit d: padding along dim d holds `value` */
  double value;  /* the identity of a reduction; 0 where dims is 0 */
} gs_padding;

typedef struct gs_form {
  const gs_sharding *sharding;
  const gs_held_range *window; /* [rank], c == 0: the block of that dim; NULL:
                             blocks everywhere, which is the default */
  const gs_need *need; /* [rank], of the dims with a window; NULL: every place
                          of them */
  gs_padding padding;
} gs_form;

/* Brings r into this spelling; false where c is 0 or a number overflows. */
bool gs_held_range_normal(gs_held_range *r);
/* The range with these numbers in the spelling described above; c != 0. */
gs_held_range gs_held_range_of(int64_t m, int64_t a, int64_t b, int64_t c,
                               int64_t e, int64_t length);
/* Index of the first element of the device with index i. */
int64_t gs_held_range_first(const gs_held_range *r, int64_t i);
/* Whether no number overflows on the way to the places of device index i. */
bool gs_held_range_fits(const gs_held_range *r, int64_t i);
bool gs_held_range_equal(const gs_held_range *a, const gs_held_range *b);
/* Device i holds the elements from i * length on: none is held twice, and all
 * padding is past the end. */
bool gs_held_range_tiles(const gs_held_range *r);
/* "4*i-1", "2*floor((3*i+1)/2)-1", "7"; without the length. */
void gs_held_range_print(gs_buf *b, const gs_held_range *r);
/* Reads what gs_held_range_print writes; *s is advanced.  GS_DATA. */
gs_status gs_held_range_parse(const char **s, gs_held_range *r, gs_err *e);

/* The blocks of s, padded with anything, or with zeros. */
gs_form gs_form_of(const gs_sharding *s);
gs_form gs_form_zeros(const gs_sharding *s);
/* A copy of f and all that it points to. */
gs_form *gs_form_copy(gs_arena *a, const gs_form *f);
/* f with dim d held as r; `n` is the size of the dim.  A window that is the
 * block becomes the block. */
gs_form gs_form_hold(gs_arena *a, const gs_mesh *m, const gs_form *f, int d,
                     int64_t n, const gs_held_range *r);
/* The same, needed for what `need` says. */
gs_form gs_form_hold_for(gs_arena *a, const gs_mesh *m, const gs_form *f, int d,
                         int64_t n, const gs_held_range *r,
                         const gs_need *need);
/* f with dim d held as its block again. */
gs_form gs_form_hold_block(gs_arena *a, const gs_form *f, int d);
/* Dims that are not held in blocks. */
uint64_t gs_form_windows(const gs_form *f);
/* The same shardings, ranges, needs and padding. */
bool gs_form_equal(const gs_form *a, const gs_form *b);
/* The same shardings, ranges and needs, whatever the padding. */
bool gs_form_same_elements(const gs_form *a, const gs_form *b);
/* Every dim is held in blocks. */
bool gs_form_is_blocks(const gs_form *f);

/* The numbers of dim d of size n, blocks or not. */
gs_held_range gs_form_range(const gs_mesh *m, const gs_form *f, int d,
                            int64_t n);
/* What device position p holds of dim d of size n: places of the elements
 * *first .. *first + *length, some of which may lie outside of [0, n). */
void gs_form_held(const gs_mesh *m, const gs_form *f, int d, int64_t n,
                  int64_t p, int64_t *first, int64_t *length);
/* Local dims of a tensor with these global dims: the lengths. */
void gs_form_local(const gs_mesh *m, const gs_form *f, const int64_t *dims,
                   int64_t *local);
/* Dims in which some device has padding. */
uint64_t gs_form_padded(const gs_mesh *m, const gs_form *f,
                        const int64_t *dims);
/* Whether what is held as `have` can be read as `want` as it lies: the same
 * places, of which `have` has all that `want` needs, and the padding that is
 * wanted where there is padding. */
bool gs_form_serves(const gs_mesh *m, const gs_form *have, const gs_form *want,
                    const int64_t *dims);

/* All invariants: those of the sharding, spelling and size of the ranges (no
 * number of a tensor of these dims overflows), blocks not written as windows,
 * padding only along dims that exist.  `what` names the tensor.  GS_INTERNAL,
 * or GS_SPEC of gs_sharding_check. */
gs_status gs_form_check(const gs_mesh *m, const gs_form *f, int rank,
                        const int64_t *dims, const char *what, gs_err *e);

/* Text: a sharding, then what is not the default, as in
 * "{tp,~} window(0:4*i-1,6) padding(-inf,0,1)": dim 0 is held in six places
 * from 4*i-1 on, and padding along dims 0 and 1 holds -inf; "padding(0)" alone
 * is along all dims. */
void gs_form_print(gs_buf *b, const gs_mesh *m, const gs_form *f);
char *gs_form_text(gs_arena *a, const gs_mesh *m, const gs_form *f);
/* Reads what gs_form_print writes, up to what is not of it; *s is advanced. */
gs_status gs_form_parse(gs_arena *a, const gs_mesh *m, const char **s,
                        gs_form **out, gs_err *e);

#endif
