#include "exec/compile/arrange.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/math.h"

enum { ALIGN = 64, MANY = 8192, TURNS = 200 };

typedef struct hole {
  size_t at, size;
} hole;

/* ---- by time: the smallest hole that fits, the lowest among equals ---- */

typedef struct plan {
  gs_arena *arena;
  GS_VEC(hole) hole; /* ascending, never adjacent */
  size_t top;        /* end of the arena so far */
} plan;

static size_t rounded(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static size_t take(plan *p, size_t bytes) {
  size_t need = rounded(bytes);
  if (!need) return 0;
  int best = -1;
  gs_assert(p->top % ALIGN == 0);
  for (int i = 0; i < p->hole.n; i++)
    if (p->hole.at[i].size >= need &&
        (best < 0 || p->hole.at[i].size < p->hole.at[best].size))
      best = i;
  if (best < 0) {
    /* A hole at the end grows, otherwise the arena does. */
    int last = p->hole.n - 1;
    if (last >= 0 && p->hole.at[last].at + p->hole.at[last].size == p->top) {
      p->top = p->hole.at[last].at;
      p->hole.n--;
    }
    size_t at = p->top;
    p->top += need;
    return at;
  }
  hole *h = &p->hole.at[best];
  gs_assert(h->size >= need && h->at % ALIGN == 0);
  size_t at = h->at;
  h->at += need;
  h->size -= need;
  if (!h->size) {
    for (int i = best; i + 1 < p->hole.n; i++)
      p->hole.at[i] = p->hole.at[i + 1];
    p->hole.n--;
  }
  return at;
}

static void give(plan *p, size_t at, size_t bytes) {
  size_t size = rounded(bytes);
  if (!size) return;
  int i = p->hole.n;
  gs_push(p->arena, &p->hole);
  hole *h = p->hole.at;
  for (; i > 0 && h[i - 1].at > at; i--) h[i] = h[i - 1];
  gs_assert(at + size <= p->top); /* nothing is given back twice */
  gs_assert(i == 0 || h[i - 1].at + h[i - 1].size <= at);
  h[i] = (hole){at, size};
  int from = i > 0 ? i - 1 : 0, to = from;
  for (int k = from + 1; k < p->hole.n; k++) {
    if (h[to].at + h[to].size == h[k].at) h[to].size += h[k].size;
    else h[++to] = h[k];
  }
  p->hole.n = to + 1;
}

static size_t by_time(gs_arena *a, const gs_arrange_item *item, int n,
                      size_t *at) {
  plan p = {.arena = a};
  int *live = GS_NEWS(a, n, int), nlive = 0;
  for (int i = 0; i < n; i++) {
    int kept = 0;
    gs_assert(i == 0 || item[i - 1].from <= item[i].from);
    for (int k = 0; k < nlive; k++) {
      const gs_arrange_item *x = &item[live[k]];
      if (x->to < item[i].from) give(&p, at[live[k]], x->size);
      else live[kept++] = live[k];
    }
    nlive = kept;
    at[i] = take(&p, item[i].size);
    live[nlive++] = i;
  }
  gs_assert(p.top % ALIGN == 0);
  return p.top;
}

/* ---- by size: the largest first, in the smallest gap that is free for all
 * of its turns ---- */

typedef struct sized {
  const gs_arrange_item *item;
  int index;
} sized;

static int larger_first(const void *a, const void *b) {
  const sized *x = a, *y = b;
  if (x->item->size != y->item->size)
    return x->item->size > y->item->size ? -1 : 1;
  return x->index < y->index ? -1 : 1;
}

/* The gap for x between those that are placed, ascending by place. */
static size_t gap_for(const gs_arrange_item *item, const gs_arrange_item *x,
                      const int *placed, int n, const size_t *at) {
  size_t end = 0, best = 0, least = SIZE_MAX, size = rounded(x->size);
  for (int k = 0; k < n; k++) {
    const gs_arrange_item *y = &item[placed[k]];
    size_t from = at[placed[k]], to = from + rounded(y->size);
    if (y->to < x->from || x->to < y->from) continue;
    if (from >= end + size && from - end < least) {
      least = from - end;
      best = end;
    }
    if (end < to) end = to;
  }
  return least < SIZE_MAX ? best : end;
}

/* In that order; fills in at[]. */
static size_t place_all(const gs_arrange_item *item, const sized *order, int n,
                        int *placed, size_t *at) {
  int count = 0;
  size_t top = 0;
  for (int i = 0; i < n; i++) {
    const gs_arrange_item *x = order[i].item;
    int k = count, index = order[i].index;
    if (!x->size) continue;
    at[index] = gap_for(item, x, placed, count, at);
    for (; k > 0 && at[placed[k - 1]] > at[index]; k--)
      placed[k] = placed[k - 1];
    placed[k] = index;
    count++;
    if (top < at[index] + rounded(x->size))
      top = at[index] + rounded(x->size);
  }
  return top;
}

/* What is wanted at once at most: no plan is smaller. */
static size_t least_of(gs_arena *a, const gs_arrange_item *item, int n) {
  int end = 0;
  for (int i = 0; i < n; i++)
    if (end <= item[i].from) end = item[i].from + 1;
  size_t *more = GS_NEWS(a, end, size_t), *less = GS_NEWS(a, end, size_t);
  size_t now = 0, most = 0;
  for (int i = 0; i < n; i++) {
    more[item[i].from] += rounded(item[i].size);
    if (item[i].to < end) less[item[i].to] += rounded(item[i].size);
  }
  for (int t = 0; t < end; t++) {
    now += more[t];
    if (most < now) most = now;
    now -= less[t];
  }
  return most;
}

/* Puts first in the order what ends at the top. */
static void move_up(sized *order, int n, const size_t *at, size_t top) {
  int i = 0;
  while (i < n && at[order[i].index] + rounded(order[i].item->size) != top) i++;
  gs_assert(i < n);
  sized x = order[i];
  for (; i > 0; i--) order[i] = order[i - 1];
  order[0] = x;
}

/* Begins with the largest first; what is then at the top is placed before all
 * others the next time, while there is a smaller plan to be found. */
static size_t by_size(gs_arena *a, const gs_arrange_item *item, int n,
                      size_t least, size_t *best) {
  sized *order = GS_NEWS(a, n, sized);
  int *placed = GS_NEWS(a, n, int);
  size_t *at = GS_NEWS(a, n, size_t), smallest = SIZE_MAX;
  int many = n ? MANY / n : 1, turns = many < 15 ? many * many : TURNS;
  for (int i = 0; i < n; i++) order[i] = (sized){&item[i], i};
  if (n) qsort(order, (size_t)n, sizeof *order, larger_first);
  for (int t = 0; t < turns && smallest > least; t++) {
    size_t top = place_all(item, order, n, placed, at);
    if (top < smallest) {
      smallest = top;
      memcpy(best, at, (size_t)n * sizeof *at);
    }
    if (top > least) move_up(order, n, at, top);
  }
  return smallest;
}

size_t gs_arrange(gs_arena *a, gs_arrange_item *item, int n) {
  size_t *at = GS_NEWS(a, n, size_t), *other = GS_NEWS(a, n, size_t);
  size_t top = by_time(a, item, n, at), least = least_of(a, item, n);
  if (n <= MANY && top > least) {
    size_t less = by_size(a, item, n, least, other);
    if (less < top) {
      top = less;
      at = other;
    }
  }
  for (int i = 0; i < n; i++) item[i].at = at[i];
  return top;
}
