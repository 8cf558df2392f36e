/* Device meshes.
 *
 * A mesh has named axes, major first; device positions are row-major over
 * them.  Inside gshard every axis is split into its smallest sub-axes (size
 * prime, or as the spec's own sub-axes cut it), and shardings are lists of
 * sub-axes: splitting an axis between two dims, merging and conflicts are
 * then operations on small integers and bit masks.  Text shows merged axes:
 * "tp", or "tp:(1)2" for the major half of tp=4.
 *
 * A device order is another numbering of the same devices, for the tensors
 * that are given it: one further axis over all devices, which counts them as
 * a list says.  Axes of two orders never stand in one sharding; what computes
 * with lists of axes need not know more. */
#ifndef GS_IR_MESH_H
#define GS_IR_MESH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "ir/mesh/machine.h"

enum {
  GS_MAX_AXES = 16,      /* named axes of a mesh */
  GS_MAX_ORDERS = 8,     /* device orders, besides that of the mesh itself */
  GS_MAX_SUBS = 31,      /* smallest sub-axes of a mesh */
  GS_MAX_DEVICES = 65536 /* devices of a mesh */
};

typedef uint32_t gs_subset; /* bit i = sub-axis i */

typedef struct gs_sub {
  int axis;       /* which named axis */
  int64_t pre;    /* product of the axis' more major sub-axes: the m of
                     axis:(m)k */
  int64_t size;   /* >= 2 */
  int64_t stride; /* distance in place between neighbours */
  int order;      /* which of gs_mesh.order counts the places */
} gs_sub;

typedef struct gs_axis {
  const char *name;
  int64_t size; /* >= 1 */
  int first, n; /* its sub-axes: sub[first .. first+n) */
  double alpha_us; /* latency of its links; 0: that of the machine */
  double gbps;     /* their bandwidth in gigabits per second; 0: likewise */
} gs_axis;

/* Places are what an order numbers; those of the mesh are the positions. */
typedef struct gs_order {
  const int64_t *position; /* place -> device position; NULL: identity */
  const int64_t *place;    /* its inverse */
  gs_subset subs;          /* its sub-axes */
} gs_order;

typedef struct gs_mesh {
  int naxis;
  /* axis[naxis + k] is the axis of order[1 + k], of size ndevice. */
  gs_axis axis[GS_MAX_AXES + GS_MAX_ORDERS];
  int nsub;
  gs_sub sub[GS_MAX_SUBS]; /* major first over the mesh, then the orders */
  int norder;              /* besides order[0], which is the mesh's own */
  gs_order order[1 + GS_MAX_ORDERS];
  int64_t ndevice;
  const int64_t *device_ids; /* position -> device id; NULL: identity */
  bool flat; /* made by `devices: N` (GShard's flat numbering) */
  gs_machine machine; /* as given; gs_machine_default for the rest */
} gs_mesh;

/* An ordered list of sub-axes, major first: how one dim is split. */
typedef struct gs_axes {
  uint8_t n;
  uint8_t at[GS_MAX_SUBS];
} gs_axes;

/* Adds a named axis (minor to those before it).  Errors: GS_SPEC for a
 * duplicate name, size < 1 or a limit. */
gs_status gs_mesh_add(gs_mesh *m, const char *name, int64_t size, gs_err *e);
/* Takes over what m does not give: the machine, the links of axes of the same
 * names, and the device_ids of a mesh with the same axes. */
void gs_mesh_inherit(gs_mesh *m, const gs_mesh *old);
/* Requires that sub-axis boundaries (pre, pre*k) of an axis exist; call after
 * all axes are added and before gs_mesh_finish. */
gs_status gs_mesh_cut(gs_mesh *m, int axis, int64_t pre, gs_err *e);
/* Adds a device order and the axis of this name that counts it; call after
 * all axes are added and before gs_mesh_finish.  Place i is device position
 * position[i] of ndevice; the list is copied.  Errors: GS_SPEC for a name that
 * is taken, a list that is no permutation, too many orders.  Cost O(devices),
 * as all that an order adds. */
gs_status gs_mesh_add_order(gs_mesh *m, gs_arena *a, const char *name,
                            const int64_t *position, gs_err *e);
/* The same orders by the same names, for a mesh with the same axes. */
gs_status gs_mesh_copy_orders(gs_mesh *m, gs_arena *a, const gs_mesh *from,
                              gs_err *e);
/* Splits axes into sub-axes and computes strides. */
gs_status gs_mesh_finish(gs_mesh *m, gs_err *e);
/* The axis of that name, one of an order included; -1: none. */
int gs_mesh_find(const gs_mesh *m, const char *name);
/* The same names and sizes in the same order; device orders do not count. */
bool gs_mesh_same_axes(const gs_mesh *a, const gs_mesh *b);

/* The order that the axes of the set are of, all of one; 0: there are none. */
int gs_mesh_order_of(const gs_mesh *m, gs_subset set);
/* What a tensor that has the axes of the set cannot have besides: these, and
 * those of all other orders. */
gs_subset gs_mesh_barred(const gs_mesh *m, gs_subset set);
/* The other axes of their order. */
gs_subset gs_mesh_rest(const gs_mesh *m, gs_subset set);

/* Product of the sizes; 1 for an empty list. */
int64_t gs_axes_size(const gs_mesh *m, const gs_axes *a);
gs_subset gs_axes_set(const gs_axes *a);
bool gs_axes_equal(const gs_axes *a, const gs_axes *b);
/* a followed by b. */
gs_axes gs_axes_cat(const gs_axes *a, const gs_axes *b);
/* The first n entries. */
gs_axes gs_axes_head(const gs_axes *a, int n);
/* Entries from n on. */
gs_axes gs_axes_tail(const gs_axes *a, int n);
/* All sub-axes of the set in mesh order. */
gs_axes gs_axes_of(gs_subset set);
/* All sub-axes of named axis i. */
gs_axes gs_axes_named(const gs_mesh *m, int axis);
/* Row-major index of device position p over the sub-axes of a, which are of one
 * order. */
int64_t gs_axes_index(const gs_mesh *m, const gs_axes *a, int64_t p);
/* Device position that has index i over a and agrees with p over the other
 * axes of the order. */
int64_t gs_axes_peer(const gs_mesh *m, const gs_axes *a, int64_t p, int64_t i);
/* All of them, in the order of i: peer[gs_axes_size]. */
void gs_axes_peers(const gs_mesh *m, const gs_axes *a, int64_t p,
                   int64_t *peer);

/* How many entries from i on are one run of a named axis: they are written as
 * one. */
int gs_axes_run(const gs_mesh *m, const gs_axes *a, int i);
/* "dp", "[dp,tp]", "tp:(1)2"; "" for an empty list when bare.  Adjacent
 * sub-axes of one axis are merged. */
void gs_axes_print(gs_buf *b, const gs_mesh *m, const gs_axes *a);
/* "mesh {dp=2, tp=4}"; "tp=6:3" where sub-axes are not the primes in rising
 * order but cut at 3; "mesh {d=4, z=[0,1,3,2]}" with a device order. */
void gs_mesh_print(gs_buf *b, const gs_mesh *m);
/* Parses what gs_axes_print writes (also "a,b" without brackets). *s is
 * advanced past what was read. */
gs_status gs_axes_parse(const gs_mesh *m, const char **s, gs_axes *out,
                        gs_err *e);
gs_status gs_mesh_parse(const char *text, gs_arena *a, gs_mesh *out,
                        gs_err *e);

#endif
