/* Sizes in bytes as people write them. */
#ifndef GS_BASE_BYTES_H
#define GS_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* "4096", "16GiB", "16 GB", "2M": a whole number, then nothing, a binary unit
 * (KiB to PiB, or K to P alone) or a decimal one (KB to PB).  False for
 * anything else, for 0 and past INT64_MAX. */
bool gs_bytes_parse(const char *s, int64_t *out);
/* "1.5 MiB" */
char *gs_bytes_text(gs_arena *a, double bytes);

#endif
