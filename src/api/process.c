/* The calls of gshard.h that are for a main that owns its process, and small
 * ones that belong to no object. */
#include <stdlib.h>

#include "api/call.h"
#include "base/buf.h"
#include "base/data/bytes.h"
#include "base/data/progress.h"
#include "base/text.h"
#include "io/file/io.h"

void gs_process_own(const char *who) {
  gs_io_guard_sigbus();
  gs_io_own_process();
  gs_ending_guard(who, gs_io_remove_temps);
}

void gs_process_clean(void) { gs_io_remove_temps(); }

void gs_process_done(void) { gs_ending_meant(); }

/* ---- progress ---- */

gs_progress *gs_progress_new(void) { return calloc(1, sizeof(gs_progress)); }

void gs_progress_delete(gs_progress *p) { free(p); }

void gs_progress_reset(gs_progress *p) {
  atomic_store(&p->done, 0);
  atomic_store(&p->total, 0);
}

void gs_progress_get(const gs_progress *p, uint64_t *done, uint64_t *total) {
  *done = atomic_load(&p->done);
  *total = atomic_load(&p->total);
}

/* 64 bytes are enough for two numbers. */
static gs_status progress_text(gs_blocks *blocks, uint64_t done,
                               uint64_t total, char *to, size_t n) {
  gs_arena a;
  gs_arena_init(&a);
  GS_CALL(blocks, NULL,
          (snprintf(to, n, done && done <= total ? " %s of %s" : " %s",
                    gs_bytes_text(&a, (double)done),
                    gs_bytes_text(&a, (double)total)),
           GS_OK));
}

void gs_progress_text(const gs_progress *p, char *to, size_t n) {
  uint64_t done = atomic_load(&p->done), total = atomic_load(&p->total);
  if (n) *to = 0;
  if (!done || !n) return;
  gs_blocks blocks;
  gs_blocks_init(&blocks);
  progress_text(&blocks, done, total, to, n);
  gs_blocks_free(&blocks);
}

/* ---- text ---- */

static gs_status print(gs_blocks *blocks, FILE *f, const char *text,
                       size_t n) {
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  GS_CALL(blocks, NULL,
          (gs_buf_init(&b, &a), gs_text_lines(&b, text, n),
           fwrite(b.at, 1, b.n, f), GS_OK)); /* one write: whole lines */
}

void gs_text_print(FILE *f, const char *text, size_t n) {
  gs_blocks blocks;
  gs_blocks_init(&blocks);
  print(&blocks, f, text, n);
  gs_blocks_free(&blocks);
}
