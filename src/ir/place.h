/* Places in text files, for messages and provenance. */
#ifndef GS_IR_PLACE_H
#define GS_IR_PLACE_H

#include "base/status.h"

typedef struct gs_place {
  const char *file;    /* as named by the user; NULL: no place */
  int line, col;       /* 1-based; line 0: the file as a whole */
  int width;           /* columns that the caret marks */
  const char *text;    /* the source line (not NUL-terminated), or NULL */
  size_t len;
} gs_place;

/* "spec.yaml:12:9" in the arena; NULL when there is no place. */
char *gs_place_text(gs_arena *a, const gs_place *p);
/* gs_fail and gs_warn at a place, with its line and a caret. Long lines are
 * cut around the caret. */
gs_status gs_fail_at(gs_err *e, gs_status code, const gs_place *p,
                     const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void gs_warn_at(gs_err *e, const gs_place *p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
