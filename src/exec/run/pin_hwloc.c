/* The machine as hwloc sees it, or without it as a list of processors. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <stdlib.h>

#ifdef HAVE_HWLOC
#include <hwloc.h>
#endif

#include "exec/run/pin.h"

bool gs_cores_known(void) {
#ifdef HAVE_HWLOC
  return true;
#else
  return false;
#endif
}

typedef GS_VEC(gs_core) core_list;

/* Each processor as a core. */
static void plain(gs_arena *a, const gs_cpus *allowed, core_list *out) {
  for (int64_t i = gs_cpus_next(allowed, 0); i >= 0;
       i = gs_cpus_next(allowed, i + 1)) {
    gs_core *c = gs_push(a, out);
    *c = (gs_core){gs_cpus_none(a, allowed), -1, -1};
    gs_cpus_add(&c->cpus, i);
  }
}

#ifdef HAVE_HWLOC

static int above(hwloc_topology_t t, hwloc_obj_t core, hwloc_obj_type_t type) {
  hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(t, type, core);
  return o ? (int)o->logical_index : 0;
}

/* The first NUMA node that is near to the core; nodes are not ancestors. */
static int numa_of(hwloc_obj_t core) {
  hwloc_obj_t o = core;
  while (o && !o->memory_arity) o = o->parent;
  return o ? (int)o->memory_first_child->logical_index : 0;
}

static void add_core(gs_arena *a, hwloc_topology_t t, hwloc_obj_t o,
                     const gs_cpus *allowed, core_list *out) {
  gs_core c = {gs_cpus_none(a, allowed),
               above(t, o, HWLOC_OBJ_PACKAGE), numa_of(o)};
  for (int64_t i = gs_cpus_next(allowed, 0); i >= 0;
       i = gs_cpus_next(allowed, i + 1))
    if (hwloc_bitmap_isset(o->cpuset, (unsigned)i)) gs_cpus_add(&c.cpus, i);
  if (gs_cpus_count(&c.cpus)) *gs_push(a, out) = c;
}

/* How many processors of `allowed` the cores have. */
static int64_t covered(const core_list *list) {
  int64_t n = 0;
  for (int i = 0; i < list->n; i++) n += gs_cpus_count(&list->at[i].cpus);
  return n;
}

gs_status gs_cores_find(gs_arena *a, const gs_cpus *allowed,
                        const gs_core **out, int *n, gs_err *e) {
  hwloc_topology_t t;
  core_list list = {0};
  if (hwloc_topology_init(&t))
    return gs_fail(e, GS_RESOURCE, NULL, "hwloc cannot be initialised");
  /* All of the machine, for what of it is allowed is known better: it may be
   * told of another one (HWLOC_XMLFILE). */
  hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (hwloc_topology_load(t)) {
    hwloc_topology_destroy(t);
    return gs_fail(e, GS_RESOURCE, NULL,
                   "hwloc cannot find out about this machine");
  }
  int ncore = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
  for (int i = 0; i < ncore; i++)
    add_core(a, t, hwloc_get_obj_by_type(t, HWLOC_OBJ_CORE, (unsigned)i),
             allowed, &list);
  hwloc_topology_destroy(t);
  if (covered(&list) != gs_cpus_count(allowed)) { /* it knows of no cores, or
                                                     of others */
    list = (core_list){0};
    plain(a, allowed, &list);
    for (int i = 0; i < list.n; i++) list.at[i].socket = list.at[i].numa = 0;
  }
  *out = list.at;
  *n = list.n;
  return GS_OK;
}

#else

gs_status gs_cores_find(gs_arena *a, const gs_cpus *allowed,
                        const gs_core **out, int *n, gs_err *e) {
  (void)e;
  core_list list = {0};
  plain(a, allowed, &list);
  *out = list.at;
  *n = list.n;
  return GS_OK;
}

#endif
