#include "base/status.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/escape.h"
#include "base/text.h"

const char *gs_status_text(gs_status s) {
  switch (s) {
#define X(name, text)                                                          \
  case GS_##name:                                                              \
    return text;
    GS_STATUSES(X)
#undef X
  case GS_UNKNOWN:
    return "known only in a run";
  }
  return "unknown status";
}

void gs_err_init(gs_err *e) { *e = (gs_err){.arena.apart = true}; }

void gs_err_free(gs_err *e) { gs_arena_free(&e->arena); }

void gs_err_clear(gs_err *e) {
  e->n = e->dropped = 0;
  e->first = GS_OK;
}

void gs_err_move(gs_err *e, gs_err *from) {
  for (int i = 0; i < from->n; i++) {
    const gs_diag *d = &from->diag[i];
    if (d->warning) gs_warn(e, d->place, "%s", d->text);
    else gs_fail(e, d->code, d->place, "%s", d->text);
    if (d->hint) gs_err_hint(e, "%s", d->hint);
  }
  gs_err_clear(from);
}

__attribute__((format(printf, 5, 0))) static void
record(gs_err *e, gs_status code, bool warning, const char *place,
                   const char *fmt, va_list ap) {
  gs_assert(fmt && (warning || code != GS_OK));
  if (!e) return;
  if (!warning && e->first == GS_OK) e->first = code;
  if (e->n == GS_MAX_DIAGS) {
    e->dropped++;
    return;
  }
  gs_diag d = {.code = code, .warning = warning};
  d.text = gs_vsprintf(&e->arena, fmt, ap);
  if (place) d.place = gs_strdup(&e->arena, place);
  e->diag[e->n++] = d;
}

/* Outside of calls of gshard.h the caller has no place to leave for. */
__attribute__((format(printf, 5, 0))) static gs_status
tell(gs_err *e, gs_status code, bool warning, const char *place,
     const char *fmt, va_list ap) {
  if (gs_jump_last()) {
    record(e, code, warning, place, fmt, ap);
    return code;
  }
  GS_CALL(NULL, e, (record(e, code, warning, place, fmt, ap), code));
}

gs_err *gs_err_new(void) {
  gs_err *e = malloc(sizeof *e);
  if (e) gs_err_init(e);
  return e;
}

void gs_err_delete(gs_err *e) {
  if (e) gs_err_free(e);
  free(e);
}

int gs_err_count(const gs_err *e) { return e->n; }

const gs_diag *gs_err_get(const gs_err *e, int i) {
  return i >= 0 && i < e->n ? &e->diag[i] : NULL;
}

gs_status gs_err_first(const gs_err *e) { return e->first; }

gs_status gs_fail(gs_err *e, gs_status code, const char *place,
                  const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  tell(e, code, false, place, fmt, ap);
  va_end(ap);
  return code;
}

void gs_warn(gs_err *e, const char *place, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  tell(e, GS_OK, true, place, fmt, ap);
  va_end(ap);
}

/* The newest diagnostic, or NULL when there is none or it was dropped. */
static gs_diag *newest(gs_err *e) {
  return e && e->n && !e->dropped ? &e->diag[e->n - 1] : NULL;
}

__attribute__((format(printf, 3, 0))) static gs_status
set_hint(gs_err *e, gs_diag *d, const char *fmt, va_list ap) {
  if (gs_jump_last()) {
    d->hint = gs_vsprintf(&e->arena, fmt, ap);
    return GS_OK;
  }
  GS_CALL(NULL, NULL, (d->hint = gs_vsprintf(&e->arena, fmt, ap), GS_OK));
}

void gs_err_hint(gs_err *e, const char *fmt, ...) {
  gs_diag *d = newest(e);
  if (!d) return;
  va_list ap;
  va_start(ap, fmt);
  set_hint(e, d, fmt, ap);
  va_end(ap);
}

void gs_err_caret(gs_err *e, const char *line, size_t len, int col,
                  int width) {
  gs_diag *d = newest(e);
  if (!d) return;
  d->line = gs_strndup(&e->arena, line, len);
  d->col = col;
  d->width = width < 1 ? 1 : width;
}

/* On one line: a message that holds several has them side by side. */
static void add_escaped(gs_buf *b, const char *text) {
  for (; *text; text++) {
    size_t n = strcspn(text, "\t\n");
    gs_text_add(b, text, n);
    text += n;
    if (!*text) return;
    gs_buf_char(b, ' ');
  }
}

static void add_diag(gs_buf *b, const gs_diag *d, const char *who,
                     bool color) {
  const char *on = !color ? "" : d->warning ? "\033[1;35m" : "\033[1;31m";
  const char *off = color ? "\033[0m" : "";
  if (who) {
    add_escaped(b, who);
    gs_buf_str(b, ": ");
  }
  if (d->place) {
    add_escaped(b, d->place);
    gs_buf_str(b, ": ");
  }
  gs_buf_printf(b, "%s%s:%s ", on, d->warning ? "warning" : "error", off);
  add_escaped(b, d->text);
  gs_buf_char(b, '\n');
  if (d->line) {
    gs_buf_str(b, "  ");
    add_escaped(b, d->line);
    gs_buf_printf(b, "\n  %*s%s", d->col > 1 ? d->col - 1 : 0, "", on);
    for (int i = 0; i < d->width; i++) gs_buf_char(b, '^');
    gs_buf_printf(b, "%s\n", off);
  }
  if (d->hint) {
    gs_buf_str(b, "  hint: ");
    add_escaped(b, d->hint);
    gs_buf_char(b, '\n');
  }
}

/* Of printing: without memory nothing is printed. */
static gs_status print_to(gs_blocks *blocks, const gs_err *e, FILE *f,
                          void (*print)(gs_buf *b, const gs_err *e,
                                        const char *who, bool color),
                          const char *who, bool color) {
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  GS_CALL(blocks, NULL,
          (gs_buf_init(&b, &a), print(&b, e, who, color),
           fwrite(b.at, 1, b.n, f), GS_OK));
}

static void print_text(gs_buf *b, const gs_err *e, const char *who,
                       bool color) {
  for (int i = 0; i < e->n; i++) add_diag(b, &e->diag[i], who, color);
  if (e->dropped)
    gs_buf_printf(b, "%s%s%d more not shown\n", who ? who : "",
                  who ? ": " : "", e->dropped);
}

void gs_err_print(const gs_err *e, FILE *f, const char *who, bool color) {
  gs_blocks blocks;
  gs_blocks_init(&blocks);
  if (e->n || e->dropped) print_to(&blocks, e, f, print_text, who, color);
  gs_blocks_free(&blocks);
}

static void print_json(gs_buf *b, const gs_err *e, const char *who,
                       bool color) {
  (void)who, (void)color;
  gs_buf_char(b, '[');
  for (int i = 0; i < e->n; i++) {
    const gs_diag *d = &e->diag[i];
    gs_buf_printf(b, "%s{\"code\": %d, \"warning\": %s, \"place\": ",
                  i ? ", " : "", (int)d->code, d->warning ? "true" : "false");
    gs_buf_json(b, d->place ? d->place : "");
    gs_buf_str(b, ", \"message\": ");
    gs_buf_json(b, d->text);
    gs_buf_str(b, ", \"hint\": ");
    gs_buf_json(b, d->hint ? d->hint : "");
    gs_buf_char(b, '}');
  }
  gs_buf_char(b, ']');
}

void gs_err_print_json(const gs_err *e, FILE *f) {
  gs_blocks blocks;
  gs_blocks_init(&blocks);
  print_to(&blocks, e, f, print_json, NULL, false);
  gs_blocks_free(&blocks);
}
