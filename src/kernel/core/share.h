/* What kernels make of constants (packed or widened weights): once for every
 * node that wants it, and once for all devices of a process. */
#ifndef GS_KERNEL_SHARE_H
#define GS_KERNEL_SHARE_H

#include "kernel/core/kernel.h"

struct gs_kshare {
  pthread_mutex_t lock; /* guards the rest */
  gs_arena arena;
  char *at; /* what is left of the last large piece of it */
  size_t left;
  bool huge;    /* asks for large pages */
  gs_map made;  /* key -> what was made */
  int n;        /* how many that are, and their bytes */
  size_t bytes;
};

void gs_kshare_init(gs_kshare *s, bool huge);
void gs_kshare_free(gs_kshare *s);

/* For prep: `bytes` bytes on a 64-byte boundary that make(ctx, to) has filled,
 * for the first caller with this key; NULL when it returned false.  The key
 * names what they are made from (gs_view.fixed) and how.  They live as long as
 * the compiled program. */
const void *gs_kernel_once(gs_kctx *k, const char *key, size_t bytes,
                           bool (*make)(void *ctx, void *to), void *ctx);

#endif
