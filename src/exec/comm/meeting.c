#include "exec/comm/meeting.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/data/clock.h"

enum { LINE = 64, LOOKS = 8 };
/* Bytes that stay in the caches of those who read them, so that they are not
 * read where they lie: of a core with a second-level cache of 1 MiB. */
enum { STAGED = 1 << 20 };

static size_t sheet_bytes(int n) {
  size_t bytes = sizeof(gs_sheet) + (size_t)n * sizeof(gs_piece);
  return (bytes + LINE - 1) / LINE * LINE;
}

size_t gs_meeting_bytes(int n) {
  return LINE + 2 * (size_t)n * sheet_bytes(n);
}

void gs_meeting_init(gs_meeting *m, int n) {
  gs_assert(n > 0 && sizeof *m <= LINE);
  m->n = (uint32_t)n;
}

static gs_sheet *sheet_of(const gs_visit *v, int i, uint32_t shown) {
  gs_meeting *m = v->at;
  gs_assert(i >= 0 && i < (int)m->n);
  size_t at = 2 * (size_t)i + (shown & 1);
  return (gs_sheet *)(void *)((char *)m + LINE + at * sheet_bytes((int)m->n));
}

/* ---- coming ---- */

void gs_meeting_wake(gs_meeting *m) {
  /* Not FUTEX_PRIVATE_FLAG: others may be other processes. */
  syscall(SYS_futex, &m->arrived, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void come(gs_visit *v) {
  gs_meeting *m = v->at;
  uint32_t all = ++v->turn * m->n;
  if (atomic_fetch_add(&m->arrived, 1) + 1 == all && atomic_load(&m->sleepers))
    gs_meeting_wake(m);
}

void gs_visit_come(gs_visit *v, bool blank) {
  v->shown += blank;
  come(v);
}

static size_t lines(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

/* Whether piece i is to be copied: for another member, and, where only `unseen`
 * ones are, not seen by it. */
static bool is_copied(const gs_visit *v, const gs_piece *put, const int *seat,
                      int i, const gs_room *unseen) {
  int to = seat ? seat[i] : i;
  if (!put[i].bytes || to < 0 || to == v->me) return false;
  return !unseen || (unseen->seen && !unseen->seen(unseen->of, put[i].at,
                                                   put[i].bytes));
}

/* Whether piece i is what `last` is. */
static bool is_same(const gs_piece *put, int i, int last) {
  return last >= 0 && put[last].at == put[i].at &&
         put[last].bytes == put[i].bytes;
}

/* Bytes that copies take. */
static size_t copied(const gs_visit *v, const gs_piece *put, const int *seat,
                     int n, const gs_room *unseen) {
  size_t bytes = 0;
  for (int i = 0, last = -1; i < n; i++) {
    if (!is_copied(v, put, seat, i, unseen)) continue;
    if (!is_same(put, i, last)) bytes += lines(put[i].bytes);
    last = i;
  }
  return bytes;
}

static void copy(const gs_visit *v, const gs_piece *put, const int *seat,
                 int n, const gs_room *unseen, gs_sheet *sheet, char *to) {
  char *at = NULL;
  for (int i = 0, last = -1; i < n; i++) {
    if (!is_copied(v, put, seat, i, unseen)) continue;
    if (!is_same(put, i, last)) {
      gs_tray_copy(at = to, put[i].at, put[i].bytes);
      to += lines(put[i].bytes);
    }
    last = i;
    sheet->piece[seat ? seat[i] : i].at = at;
  }
  gs_tray_done();
}

static gs_status no_room(gs_err *e) {
  return gs_fail(e, GS_RESOURCE, NULL,
                 "no memory is left that the ranks of a host can share");
}

/* A slot of so many bytes. */
static gs_status find_slot(gs_visit *v, size_t bytes, const gs_room *room,
                           char **to, gs_err *e) {
  size_t size = 256;
  while (size < bytes) size *= 2;
  for (int k = 0; bytes > v->size && k < 2; k++)
    if (!(v->slot[k] = room->take(room->of, size))) return no_room(e);
  if (bytes > v->size) v->size = size;
  *to = v->slot[v->shown & 1];
  return GS_OK;
}

/* What was in the tray of two sheets before has been read. */
static gs_status find_tray(gs_visit *v, size_t bytes, gs_trays *pool,
                            char **to, gs_err *e) {
  int *which = &v->tray[v->shown & 1];
  gs_tray_leave(pool, which);
  if (!bytes) return GS_OK;
  *which = gs_tray_take(pool, bytes);
  if (!*which) return no_room(e);
  *to = gs_tray_at(pool, *which);
  return GS_OK;
}

gs_status gs_visit_show(gs_visit *v, const gs_piece *put, const int *seat,
                        int n, gs_trays *pool, bool *kept, gs_err *e) {
  gs_sheet *sheet = sheet_of(v, v->me, v->shown);
  size_t bytes = copied(v, put, seat, n, NULL);
  const gs_room *unseen = bytes <= STAGED ? NULL : &pool->room;
  char *to = NULL;
  *kept = bytes <= GS_KEPT;
  if (unseen) bytes = copied(v, put, seat, n, unseen);
  GS_TRY(find_tray(v, *kept ? 0 : bytes, pool, &to, e));
  if (*kept) GS_TRY(find_slot(v, bytes, &pool->room, &to, e));
  for (int i = 0; i < n; i++)
    if (!seat || seat[i] >= 0) sheet->piece[seat ? seat[i] : i] = put[i];
  if (bytes) copy(v, put, seat, n, unseen, sheet, to);
  sheet->kept = *kept;
  v->shown++;
  atomic_store_explicit(&sheet->turn, v->turn + 1, memory_order_relaxed);
  come(v);
  return GS_OK;
}

const gs_sheet *gs_visit_sheet(const gs_visit *v, int i) {
  gs_assert(v->shown > 0);
  return sheet_of(v, i, v->shown - 1);
}

bool gs_visit_came(const gs_visit *v, int i) {
  if (!v->shown) return false;
  const gs_sheet *mine = gs_visit_sheet(v, v->me);
  const gs_sheet *other = gs_visit_sheet(v, i);
  return atomic_load(&mine->turn) == v->turn &&
         atomic_load(&other->turn) == v->turn;
}

/* ---- waiting ---- */

gs_status gs_waiter_lost(gs_err *e) {
  return gs_fail(e, GS_TIMEOUT, NULL, "another device failed");
}

/* Seconds: a device that has a processor of its own holds it for as long as
 * others of its kind may be late; with few more devices than processors, the
 * one that is waited for may be the next on this one. */
void gs_waiter_spin(gs_waiter *w, int64_t devices, int64_t cpus) {
  w->spin = devices <= cpus ? 20e-6 : 0;
  w->yield = devices <= 2 * cpus ? 40e-6 : 0;
}

static bool are_there(const gs_visit *v) {
  uint32_t all = v->turn * v->at->n;
  uint32_t now = atomic_load_explicit(&v->at->arrived, memory_order_acquire);
  return (int32_t)(now - all) >= 0;
}

/* Sleeps until somebody comes, but not long: a failure is noticed then even if
 * its wake-up went elsewhere. */
static void nap(const gs_visit *v, gs_waiter *w) {
  struct timespec ts = {0, (long)(w->nap * 1e9)};
  gs_meeting *m = v->at;
  atomic_fetch_add(&m->sleepers, 1);
  uint32_t seen = atomic_load(&m->arrived);
  if (!are_there(v))
    syscall(SYS_futex, &m->arrived, FUTEX_WAIT, seen, &ts, NULL, 0);
  atomic_fetch_sub(&m->sleepers, 1);
}

/* Offers the processor to others, unless they have kept it lately. */
static bool yield(gs_waiter *w, double now) {
  const double dear = 300e-6, first = 0.05, most = 5;
  if (now < atomic_load_explicit(&w->until, memory_order_relaxed)) return false;
  sched_yield();
  double end = gs_now();
  if (end - now < dear) return true;
  double rest = atomic_load(&w->rest), since = now - atomic_load(&w->until);
  rest = since > 4 * rest ? first : 2 * rest < most ? 2 * rest : most;
  atomic_store(&w->rest, rest);
  atomic_store(&w->until, end + rest);
  return true;
}

gs_status gs_visit_await(const gs_visit *v, gs_waiter *w, gs_err *e) {
  gs_patience patience = {0};
  double begin = 0;
  while (!are_there(v)) {
    if (atomic_load_explicit(w->failed, memory_order_relaxed))
      return gs_waiter_lost(e);
    double now = gs_now();
    if (begin <= 0) begin = now;
    if (now - begin < w->spin) {
      for (int k = 0; k < LOOKS && !are_there(v); k++) __builtin_ia32_pause();
      continue;
    }
    if (now - begin < w->spin + w->yield && yield(w, now)) continue;
    GS_TRY(w->late(w, gs_waited(&patience), e));
    nap(v, w);
  }
  return GS_OK;
}

gs_status gs_visit_end(gs_visit *v, gs_waiter *w, gs_trays *pool,
                       gs_err *e) {
  gs_visit_come(v, false);
  GS_TRY(gs_visit_await(v, w, e));
  for (int k = 0; k < 2; k++) gs_tray_leave(pool, &v->tray[k]);
  return GS_OK;
}
