/* Tensors: constants, weights, inputs and outputs. */
#ifndef GS_IR_TENSOR_H
#define GS_IR_TENSOR_H

#include "base/arena.h"
#include "base/status.h"
#include "ir/dtype.h"

/* What a value is: its elements are of one type in any case. */
typedef enum gs_kind {
  GS_TENSOR,
  GS_SEQUENCE,         /* of tensors */
  GS_OPTIONAL,         /* a tensor or nothing */
  GS_OPTIONAL_SEQUENCE /* a sequence or nothing */
} gs_kind;

/* "a tensor", "a sequence", "an optional tensor", ... */
const char *gs_kind_text(gs_kind k);

/* Limit of ONNX rank that is accepted anywhere. */
enum { GS_MAX_RANK = 64 };

typedef struct gs_string {
  const char *at; /* not NUL-terminated */
  size_t n;
} gs_string;

/* A file opened for reading; weights are read from it on demand.  It stays
 * open until the arena's owner closes it (gs_file_close). */
typedef struct gs_file {
  const char *path; /* as named, for messages */
  int fd;
  uint64_t size;
  const uint8_t *map; /* whole-file read-only mapping, or NULL */
} gs_file;

/* Elements lie row-major, little-endian, packed (ONNX's raw_data layout).
 * They are in memory (data != NULL), or in a file (file != NULL) at
 * [offset, offset + nbytes), or known by shape only (both NULL). */
typedef struct gs_tensor {
  const char *name; /* or NULL */
  gs_dtype dtype;
  int rank;
  const int64_t *dims;
  uint64_t nbytes; /* 0 for strings */
  const void *data;
  const gs_string *strings; /* dtype STRING only: one per element */
  gs_file *file;
  uint64_t offset;
  const char *part_of; /* the name of what it is a part of, or NULL */
  /* A part whose bytes are no one run of those of the whole: these elements of
   * its dim `dim`, and the arena that the bytes go to once they are wanted. */
  const struct gs_tensor *whole;
  int dim;
  int64_t first;
  gs_arena *arena;
} gs_tensor;

/* Number of elements; dims are known not to overflow. */
int64_t gs_tensor_count(const gs_tensor *t);
/* A zeroed tensor in memory.  Fails (GS_RESOURCE) when the size overflows. */
gs_status gs_tensor_new(gs_arena *a, gs_dtype dtype, int rank,
                        const int64_t *dims, gs_tensor **out, gs_err *e);
/* Elements first .. first + count - 1 of dim `dim` of t, whose elements are
 * whole bytes.  Nothing is copied: it lies in t where it is one run of bytes,
 * else its bytes are put together when they are first asked for. */
gs_tensor *gs_tensor_part(gs_arena *a, const gs_tensor *t, int dim,
                          int64_t first, int64_t count);
/* The elements, mapping the file on first use (out of memory when there is no
 * room for it); NULL for strings, and for tensors known by shape only.  Those
 * of a part that is no one run are copied by the first call, which may not run
 * beside others. */
const void *gs_tensor_bytes(const gs_tensor *t);
/* Makes every element of a tensor of bool 0 or 1, as kernels expect: other
 * bytes are true, and the elements move to the arena when there are such.
 * Whoever makes tensors of foreign bytes calls it; of other types nothing is
 * read.  Returns whether it changed t. */
bool gs_tensor_clean_bools(gs_arena *a, gs_tensor *t);
/* Lets the pages go that hold n bytes from p on, where these lie in f's
 * mapping; who reads them again gets them from the file.  f may be NULL. */
void gs_file_release(const gs_file *f, const void *p, size_t n);
/* Reads bytes [at, at + n) of the tensor into p with pread (no mapping). */
gs_status gs_tensor_read(const gs_tensor *t, uint64_t at, void *p, size_t n,
                         gs_err *e);
/* Copies up to max elements of an integer or bool tensor as int64; returns
 * their number, or -1 if the tensor is of another type, larger, or has no
 * data. */
int64_t gs_tensor_ints(const gs_tensor *t, int64_t *out, int64_t max);
/* "f32[8,16]", written to the arena. */
char *gs_shape_text(gs_arena *a, gs_dtype dtype, int rank,
                    const int64_t *dims);

#endif
