/* Between blocks of one dim that do not nest: an exchange. */
#include "base/assert.h"
#include "base/math.h"
#include "pass/reshard/reshard_search.h"

/* The axes of dim d. */
static gs_axes axes_of(const gs_units *u, const gs_state *st, int d) {
  gs_axes axes = {0};
  const uint8_t *unit = gs_state_at(st, d);
  for (int i = 0; i < st->n[d]; i++)
    axes = gs_axes_cat(&axes, &u->axes[unit[i]]);
  return axes;
}

gs_exchange gs_search_exchange(gs_arena *a, const gs_units *u,
                               const gs_state *from, const gs_state *to,
                               int d) {
  gs_axes target = axes_of(u, to, d);
  gs_exchange x = gs_exchange_blocks(u->m, &target, u->dims[d]);
  gs_exchange_source *source = GS_NEW(a, gs_exchange_source);
  *source = (gs_exchange_source){.n = u->dims[d],
                                 .block = gs_state_block(u, from, d)};
  x.from = axes_of(u, from, d);
  x.fill = GS_FILL_VALUE;
  x.nsource = 1;
  x.source = source;
  gs_assert(x.from.n && x.range.length == gs_state_block(u, to, d));
  return x;
}

int64_t gs_search_sent(gs_search *s, const gs_state *from, const gs_state *to,
                       int d) {
  gs_exchange x = gs_search_exchange(s->tmp, &s->u, from, to, d);
  gs_buf key;
  gs_buf_init(&key, s->tmp);
  gs_buf_printf(&key, "%lld:", (long long)s->u.dims[d]);
  gs_axes_print(&key, s->u.m, &x.from);
  gs_buf_char(&key, '>');
  gs_axes_print(&key, s->u.m, &x.to);
  int64_t *sent = gs_map_get(s->sent, key.at);
  if (!sent) {
    sent = GS_NEW(s->sent->arena, int64_t);
    *sent = gs_exchange_sent(s->u.m, &x);
    gs_map_put(s->sent, key.at, sent);
  }
  return *sent;
}
