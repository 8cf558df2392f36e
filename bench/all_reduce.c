/* All-reduces between devices that are threads of one process: microseconds
 * of one, of 64 bytes to 8 MiB.
 *
 * Method: every device reduces f32 in place, over and over, for at least 20 ms;
 * the best of nine such rounds counts.  To compare two builds, run theirs in
 * turn and compare line by line: on a machine with other work only ratios of
 * runs that follow one another say something.
 * usage: all_reduce [DEVICES]...                                            */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "exec/comm/team.h"
#include "exec/data/aligned.h"

enum { MOST = 64, ROUNDS = 9, LARGEST = 8 << 20 };

typedef struct device {
  gs_arena arena;
  gs_comm *comm;
  gs_group group;
  pthread_t thread;
} device;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(gs_status s) {
  if (!s) return;
  fprintf(stderr, "all_reduce: %s\n", gs_status_text(s));
  exit(1);
}

/* Seconds of n all-reduces. */
static double repeat(gs_transfer *t, const gs_reduction *r, int n) {
  double from = now();
  for (int i = 0; i < n; i++) {
    must(gs_all_reduce_start(t, r, NULL));
    must(gs_all_reduce_finish(t, r, NULL));
  }
  return now() - from;
}

static void measure(device *d, size_t bytes, float *x) {
  gs_transfer *t = gs_transfer_new(d->comm, &d->group);
  gs_reduction r = {x, x, (int64_t)(bytes / sizeof *x), GS_FLOAT,
                    GS_REDUCE_MAX};
  /* All must come to the same number: device 0's, as a maximum. */
  float n = d->group.me ? 0 : (float)(1 + 0.02 / (repeat(t, &r, 3) / 3));
  if (d->group.me) repeat(t, &r, 3);
  gs_reduction same = {&n, &n, 1, GS_FLOAT, GS_REDUCE_MAX};
  repeat(gs_transfer_new(d->comm, &d->group), &same, 1);
  double best = 1e9;
  for (int i = 0; i < ROUNDS; i++) {
    double s = repeat(t, &r, (int)n) / (int)n;
    if (s < best) best = s;
  }
  if (!d->group.me)
    printf("%d devices, %8zu bytes: %10.2f us\n", d->group.n, bytes,
           best * 1e6);
}

static void *on_thread(void *p) {
  device *d = p;
  float *x = gs_alloc64(&d->arena, LARGEST);
  for (size_t bytes = 64; bytes <= LARGEST; bytes *= 8) measure(d, bytes, x);
  measure(d, LARGEST, x);
  return NULL;
}

static void run(int n) {
  device *d = calloc((size_t)n, sizeof *d);
  int64_t member[MOST];
  gs_team team;
  gs_team_init(&team, 0, n, 0);
  for (int i = 0; i < n; i++) member[i] = i;
  for (int i = 0; i < n; i++) {
    gs_arena_init(&d[i].arena);
    d[i].comm = gs_comm_thread(&team, &d[i].arena, i);
    d[i].group = (gs_group){n, member, i};
  }
  for (int i = 0; i < n; i++)
    if (pthread_create(&d[i].thread, NULL, on_thread, &d[i])) abort();
  for (int i = 0; i < n; i++) pthread_join(d[i].thread, NULL);
  gs_team_free(&team);
  for (int i = 0; i < n; i++) gs_arena_free(&d[i].arena);
  free(d);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (atoi(argv[i]) > 1 && atoi(argv[i]) <= MOST) run(atoi(argv[i]));
  if (argc == 1) {
    run(2);
    run(4);
  }
  return 0;
}
