/* Large pieces of memory, straight from the system. */
#ifndef GS_BASE_PAGES_H
#define GS_BASE_PAGES_H

#include <stdbool.h>

#include "base/arena.h"

/* Of transparent huge pages, where the system has such. */
enum { GS_LARGE_PAGE = 2 << 20 };

/* Zeros, which take memory when they are touched.  `huge`: pieces of at least
 * GS_LARGE_PAGE begin at a multiple of it, and ask for pages of that size: few
 * of them are touched, and few translations of addresses are missed.  NULL
 * without memory. */
void *gs_pages_map(size_t bytes, bool huge);
void gs_pages_unmap(void *p, size_t bytes);
/* The same as long as the arena; without memory it does not return. */
void *gs_pages_in(gs_arena *a, size_t bytes, bool huge);

#endif
