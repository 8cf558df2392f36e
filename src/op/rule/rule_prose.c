/* What a row's rule means for who shards, in words. */
#include <string.h>

#include "base/buf.h"
#include "op/core/op.h"

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Marks the letters of dims in s[0 .. n): not those of attributes and
 * conditions. */
static void letters(const char *s, size_t n, bool *set) {
  for (size_t i = 0; i < n; i++) {
    if (s[i] == '[')
      while (i < n && s[i] != ']') i++;
    if (s[i] == '^' || s[i] == '%' || s[i] == '@') {
      do i++;
      while (i < n && (is_letter(s[i]) || s[i] == '_'));
      i--;
    } else if (is_letter(s[i])) {
      set[(int)s[i]] = true;
    }
  }
}

/* Marks what is in operands of a form and not in its results. */
static void summed(const char *s, size_t n, bool *set) {
  for (const char *end = s + n; s < end;) {
    const char *bar = memchr(s, '|', (size_t)(end - s));
    size_t form = (size_t)((bar ? bar : end) - s);
    bool in[128] = {false}, out[128] = {false};
    const char *arrow = strstr(s, "->");
    letters(s, (size_t)(arrow - s), in);
    letters(arrow + 2, form - (size_t)(arrow + 2 - s), out);
    for (int c = 0; c < 128; c++) set[c] = set[c] || (in[c] && !out[c]);
    s += form + (bar != NULL);
  }
}

/* A clause that names the kind of factors: its length up to ';', and its
 * letters; 0 for other clauses. */
static size_t kind_clause(const char *s, bool *set) {
  enum { MORE = 4 };
  static const char *const more[MORE] = {"fixed", "common", "joined",
                                   "grown"};
  size_t word = strcspn(s, " ;"), n = strcspn(s, ";");
  bool kind = false;
  for (int k = 0; k < GS_NKIND + MORE && !kind; k++) {
    const char *name =
        k < GS_NKIND ? gs_factor_text((gs_factor_kind)k) : more[k - GS_NKIND];
    kind = strlen(name) == word && !strncmp(s, name, word);
  }
  if (!kind) return 0;
  const char *condition = strstr(s, " if ");
  size_t end = condition && (size_t)(condition - s) < n
                   ? (size_t)(condition - s)
                   : n;
  letters(s + word, end - word, set);
  return n;
}

const char *gs_op_how(gs_arena *a, const gs_op *op) {
  if (!op->text) return op->family->prose;
  bool sum[128] = {false}, said[128] = {false};
  size_t n = strcspn(op->text, ";");
  gs_buf b, kinds;
  gs_buf_init(&b, a);
  gs_buf_init(&kinds, a);
  gs_buf_str(&kinds, "");
  gs_buf_add(&b, op->text, n);
  summed(op->text, n, sum);
  for (const char *s = op->text + n; *s == ';';) {
    s += 1 + strspn(s + 1, " ");
    size_t length = kind_clause(s, said);
    if (length) gs_buf_printf(&kinds, "; %.*s", (int)length, s);
    s += strcspn(s, ";");
  }
  for (int c = 0, k = 0; c < 128; c++)
    if (sum[c] && !said[c])
      gs_buf_printf(&b, "%s%c", k++ ? " " : "; summed ", c);
  gs_buf_str(&b, kinds.at);
  return b.at;
}
