#include "base/ending.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jump.h"
#include "base/status.h"

enum { NEAR_NULL = 65536, MAX_MESSAGE = 512 };

/* Handlers of signals and exit have no argument to carry state in: this is the
 * exception to the rule of no globals. */
static const char *who = "gshard";
static void (*clean)(void);
static _Atomic bool meant, ending, ours;
static _Thread_local const char *busy, *library;
static _Thread_local bool watched, working;

const char *gs_busy_with(const char *what) {
  const char *old = busy;
  busy = what;
  return old;
}

void gs_library_enter(const char *name) { library = name; }
void gs_library_leave(void) { library = NULL; }

/* ---- the message: no memory, no locks ---- */

typedef struct line {
  char at[MAX_MESSAGE];
  size_t n;
} line;

/* Names come from files: what could move a terminal's cursor is left out. */
static void put(line *l, const char *s) {
  for (; *s && l->n < sizeof l->at - 1; s++)
    l->at[l->n++] = *s >= ' ' && *s < 0x7f ? *s : '?';
}

static void put_number(line *l, size_t n) {
  char digits[24];
  int at = sizeof digits - 1;
  digits[at] = 0;
  do digits[--at] = (char)('0' + n % 10);
  while (n /= 10);
  put(l, digits + at);
}

/* Ends the process.  Other threads go on until it is gone, so destructors do
 * not run; of several that end it at once the first has the word. */
static _Noreturn void end(line *l) {
  if (atomic_exchange(&ending, true))
    for (;;) pause();
  l->at[l->n++] = '\n';
  if (write(STDERR_FILENO, l->at, l->n) < 0) l->n = 0;
  if (clean) clean();
  _exit(GS_RESOURCE);
}

static void begin(line *l, const char *text) {
  l->n = 0;
  put(l, who);
  put(l, ": error: ");
  put(l, text);
}

void gs_out_of_memory(size_t wanted) {
  line l;
  l.n = 0;
  put(&l, "out of memory (");
  if (library) put(&l, library);
  if (library && wanted) put(&l, ", ");
  if (wanted) {
    put_number(&l, wanted);
    put(&l, " bytes wanted");
  }
  if (busy) {
    put(&l, " for ");
    put(&l, busy);
  }
  put(&l, ")");
  l.at[l.n] = 0;
  if (!atomic_load(&ours)) gs_jump_now(l.at);
  line whole;
  begin(&whole, l.at);
  end(&whole);
}

/* ---- ends that libraries make ---- */

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  bool far = number == SIGSEGV && (uintptr_t)info->si_addr >= NEAR_NULL;
  if (library && !far) gs_out_of_memory(0);
  signal(number, SIG_DFL);
  raise(number);
}

static void guard_signal(int number) {
  struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  struct sigaction old;
  sigemptyset(&sa.sa_mask);
  /* Sanitizers have handlers of their own. */
  if (!sigaction(number, NULL, &old) && old.sa_handler == SIG_DFL)
    sigaction(number, &sa, NULL);
}

/* libgomp says itself what it could not have. */
static void end_unmeant(void) {
  line l;
  begin(&l, "memory or threads ran out");
  if (busy) {
    put(&l, " for ");
    put(&l, busy);
  }
  end(&l);
}

static void on_exit_of(int code, void *unused) {
  (void)unused;
  if (atomic_load(&meant)) return;
  if (code != GS_NO) _exit(code);
  end_unmeant();
}

/* What exit() calls first, in the thread that calls it; it is also called when
 * a thread ends, which is nothing to end the process for. */
static void on_thread_end(void *unused) {
  (void)unused;
  if (working && !atomic_load(&meant)) end_unmeant();
}

#ifdef HAVE___CXA_THREAD_ATEXIT_IMPL
extern int __cxa_thread_atexit_impl(void (*fn)(void *), void *arg, void *dso);

/* The C library ends the process where it has no memory for this. */
static void watch(void) {
  static char of_this_library;
  gs_library_enter("libc");
  __cxa_thread_atexit_impl(on_thread_end, NULL, &of_this_library);
  gs_library_leave();
}
#else
static void watch(void) { (void)on_thread_end; }
#endif

bool gs_ending_work(bool on) {
  bool before = working;
  if (on && !watched && atomic_load(&ours)) {
    watched = true;
    watch();
  }
  working = on;
  return before;
}

void gs_ending_guard(const char *name, void (*cleaner)(void)) {
  who = name;
  clean = cleaner;
  atomic_store(&ours, true);
  guard_signal(SIGABRT);
  guard_signal(SIGSEGV);
  on_exit(on_exit_of, NULL);
}

void gs_ending_meant(void) { atomic_store(&meant, true); }
