/* Records: arrays as NumPy writes them (.npy), one after another with nothing
 * between, such as several calls of numpy.save leave in one file. */
#ifndef GS_IO_RECORDS_H
#define GS_IO_RECORDS_H

#include "io/file/io.h"
#include "io/file/npy_head.h"

/* ---- reading ---- */

/* What asks whether to stop: true counts as the end, also while bytes are
 * waited for. */
typedef struct gs_stop {
  bool (*ask)(void *user); /* NULL: never */
  void *user;
} gs_stop;

static inline bool gs_stop_asked(const gs_stop *s) {
  return s->ask && s->ask(s->user);
}

typedef struct gs_records gs_records;

/* Of standard input ("-"), a pipe, a file, or the files NAME.npy of a
 * directory, in the order of their names with numbers compared as numbers.
 * The descriptor is closed with the arena.  GS_NOINPUT. */
gs_status gs_records_open(gs_arena *a, const char *path,
                          const gs_stop *stop, gs_records **out, gs_err *e);
/* What is being read, for messages. */
const char *gs_records_path(const gs_records *r);
/* Whether it is one file (no pipe, no directory) and nothing is left of it. */
gs_status gs_records_used_up(gs_records *r, bool *out, gs_err *e);
/* The header of the next record; *end: there is none.  Waits for bytes.
 * GS_DATA, GS_UNSUPPORTED, GS_IO. */
gs_status gs_records_next(gs_records *r, gs_npy_head *h, bool *end, gs_err *e);
/* After it: its n bytes of elements, in ONNX's order.  *end: it was told to
 * stop meanwhile.  GS_DATA when they are cut short, GS_IO. */
gs_status gs_records_elements(gs_records *r, const gs_npy_head *h, void *to,
                              size_t n, bool *end, gs_err *e);
/* The same into memory of `a`, aligned to 64, as it comes: a header that
 * promises too much costs no more than twice what there is. */
gs_status gs_records_first(gs_records *r, const gs_npy_head *h, gs_arena *a,
                           size_t n, void **out, bool *end, gs_err *e);

/* ---- writing ---- */

/* Where the records of one value go. */
typedef struct gs_record_out {
  gs_out *out;
  gs_buf head; /* of the last record */
  gs_dtype dtype;
  int rank;
  int64_t dims[GS_MAX_RANK];
} gs_record_out;

/* `out` stays its owner's. */
void gs_record_out_init(gs_record_out *w, gs_arena *a, gs_out *out);
/* Appends a record and hands all of it to the system: a reader of a pipe has
 * it when this returns.  Allocates nothing while the shape stays.  GS_IO. */
gs_status gs_record_out_put(gs_record_out *w, const gs_tensor *t, gs_err *e);

#endif
