#include "ir/place.h"

#include "base/assert.h"

char *gs_place_text(gs_arena *a, const gs_place *p) {
  if (!p || !p->file) return NULL;
  if (!p->line) return gs_strdup(a, p->file);
  return gs_sprintf(a, "%s:%d:%d", p->file, p->line, p->col);
}

/* Shows the line, or a window of it when it is too long for a terminal. */
static void caret(gs_err *e, const gs_place *p) {
  enum { WINDOW = 120, BEFORE = 60 };
  if (!e || !p || !p->text) return;
  const char *s = p->text;
  size_t len = p->len, col = p->col > 0 ? (size_t)p->col : 1, from = 0;
  size_t width = p->width > 0 ? (size_t)p->width : 1;
  if (len > WINDOW) {
    if (col > BEFORE) from = col - BEFORE;
    if (from > len) from = len;
    while (from < len && ((unsigned char)s[from] & 0xc0) == 0x80) from++;
    size_t end = from + WINDOW < len ? from + WINDOW : len;
    while (end < len && end > from && ((unsigned char)s[end] & 0xc0) == 0x80)
      end--;
    len = end - from;
    col -= from;
  }
  gs_assert(from + len <= p->len && col > 0);
  if (col > len + 1) col = len + 1;
  if (width > len + 1 - col) width = len + 1 - col;
  gs_err_caret(e, s + from, len, (int)col, width ? (int)width : 1);
}

gs_status gs_fail_at(gs_err *e, gs_status code, const gs_place *p,
                     const char *fmt, ...) {
  if (!e) return code;
  va_list ap;
  va_start(ap, fmt);
  char *text = gs_vsprintf(&e->arena, fmt, ap);
  va_end(ap);
  gs_fail(e, code, gs_place_text(&e->arena, p), "%s", text);
  caret(e, p);
  return code;
}

void gs_warn_at(gs_err *e, const gs_place *p, const char *fmt, ...) {
  if (!e) return;
  va_list ap;
  va_start(ap, fmt);
  char *text = gs_vsprintf(&e->arena, fmt, ap);
  va_end(ap);
  gs_warn(e, gs_place_text(&e->arena, p), "%s", text);
  caret(e, p);
}
