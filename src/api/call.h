/* What the functions of gshard.h have in common. */
#ifndef GS_API_CALL_H
#define GS_API_CALL_H

#include "base/escape.h"

/* Copies the options of a caller, who may know fewer of them than we do: the
 * others are zero.  `n`: the size of ours.  GS_USAGE for a size that is not
 * one. */
gs_status gs_options_take(void *to, size_t n, const void *from,
                          const char *what, gs_err *e);

/* An object of n zeroed bytes; NULL without memory, which e is told. */
void *gs_object_new(size_t n, gs_err *e);

#endif
