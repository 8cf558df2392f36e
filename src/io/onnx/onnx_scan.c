/* The guarded reader: a scan of the wire bytes before anything is made of
 * them.
 *
 * The scan is iterative and driven by protobuf-c's descriptors; it refuses
 * what no honest writer makes, adds up the memory that unpacking takes, and
 * writes a compacted copy in which large raw_data is replaced by its place in
 * the file.  So are the
 * standard fields' lists of devices, one for every operand of every node,
 * when the shardings are also there as metadata: reading such a model costs
 * no more for many devices than for few. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/math.h"
#include "io/onnx/onnx_model.h"
#include "io/onnx/onnx_wire.h"

enum { MAX_DEPTH = 256, ALIGN = 8 };
enum { RAW_DATA = 9, REF_OFFSET = 400000001, REF_LENGTH = 400000002 };
enum { REF_SOURCE = 400000003 };
enum { MODEL_METADATA = 14, ENTRY_KEY = 1 };

typedef struct frame {
  const ProtobufCMessageDescriptor *d;
  const ProtobufCFieldDescriptor *field; /* of the parent; NULL: the root */
  uint32_t index;                        /* which of a repeated field */
  size_t end;
  size_t length_at; /* in the copy: the length to be corrected */
  int length_bytes;
  unsigned oneof; /* quantifier of the oneof that is set, or 0 */
  uint32_t given; /* bit i: field i of d is there, and is not an empty name */
  uint32_t count[GS_WIRE_FIELDS];
} frame;

typedef struct scanner {
  const char *file;
  const uint8_t *p;
  size_t n, at;
  bool lazy; /* the specs of multi-device fields stay in the file */
  const gs_model_limits *limit;
  int depth; /* index of the innermost frame */
  frame *stack;
  uint8_t *out;
  size_t nout, cap;
  int64_t memory, nodes, functions, unknown;
  gs_err *e;
} scanner;

static gs_status bad(scanner *s, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Reports "graph.node[2].attribute[0], byte 17: ...". */
static gs_status bad(scanner *s, size_t at, const char *fmt, ...) {
  gs_arena a;
  gs_arena_init(&a);
  gs_buf b;
  gs_buf_init(&b, &a);
  for (int i = 1; i <= s->depth; i++) {
    const frame *f = &s->stack[i];
    if (s->depth > 12 && i == 8) gs_buf_str(&b, ".(...)");
    if (s->depth > 12 && i >= 8 && i < s->depth - 3) continue;
    gs_buf_printf(&b, "%s%s", i > 1 ? "." : "", f->field->name);
    if (f->field->label == PROTOBUF_C_LABEL_REPEATED)
      gs_buf_printf(&b, "[%u]", f->index);
  }
  if (b.n) gs_buf_str(&b, ", ");
  va_list ap;
  va_start(ap, fmt);
  const char *text = gs_vsprintf(&a, fmt, ap);
  va_end(ap);
  gs_fail(s->e, GS_DATA, s->file, "%sbyte %zu: %s", b.at, at, text);
  gs_arena_free(&a);
  return GS_DATA;
}

static void put(scanner *s, const void *p, size_t n) {
  if (n > s->cap - s->nout) {
    size_t cap = s->cap * 2 + n + 256;
    uint8_t *bigger = realloc(s->out, cap);
    if (!bigger) gs_out_of_memory(cap);
    s->out = bigger;
    s->cap = cap;
  }
  gs_assert(s->nout + n <= s->cap);
  if (n) memcpy(s->out + s->nout, p, n);
  s->nout += n;
}

static int varint(const scanner *s, size_t at, size_t end, int max,
                  uint64_t *value) {
  return gs_wire_varint(s->p, at, end, max, value);
}

/* Offset of the first byte that is no UTF-8, or n. */
static size_t utf8_end(const uint8_t *s, size_t n) {
  size_t i = 0;
  while (i < n) {
    uint8_t c = s[i];
    if (c < 0x80) {
      i++;
      continue;
    }
    size_t k = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n - i < k) return i;
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s[i + 1] < low || s[i + 1] > high) return i;
    for (size_t j = 2; j < k; j++)
      if ((s[i + j] & 0xc0) != 0x80) return i;
    i += k;
  }
  return n;
}

static bool is_text(const ProtobufCFieldDescriptor *f) {
  return !strcmp(f->name, "doc_string") || !strcmp(f->name, "value");
}

static gs_status check_string(scanner *s, const ProtobufCFieldDescriptor *f,
                              size_t at, size_t n) {
  const uint8_t *p = s->p + at;
  if (n > (uint64_t)s->limit->name_bytes && !is_text(f))
    return bad(s, at, "%s has %zu bytes; the limit is %lld (name_bytes)",
               f->name, n, (long long)s->limit->name_bytes);
  const uint8_t *nul = memchr(p, 0, n);
  if (nul)
    return bad(s, at + (size_t)(nul - p), "NUL character in %s", f->name);
  size_t good = utf8_end(p, n);
  if (good < n) return bad(s, at + good, "%s is not UTF-8", f->name);
  return GS_OK;
}

/* A packed list of scalars in [at, at + n). */
static gs_status check_packed(scanner *s, const ProtobufCFieldDescriptor *f,
                              size_t at, size_t n) {
  size_t size = gs_wire_size(f);
  if (gs_wire_type(f) != PROTOBUF_C_WIRE_TYPE_VARINT) {
    if (n % size)
      return bad(s, at, "%s: %zu bytes are not a whole number of elements",
                 f->name, n);
    s->memory += (int64_t)n;
    return GS_OK;
  }
  for (size_t i = at; i < at + n;) {
    uint64_t v;
    int k = varint(s, i, at + n, 10, &v);
    if (!k) return bad(s, i, "malformed number in %s", f->name);
    i += (size_t)k;
    s->memory += (int64_t)size;
  }
  return GS_OK;
}

static gs_status check_limits(scanner *s, const ProtobufCMessageDescriptor *d,
                              const frame *top, uint32_t index) {
  const gs_model_limits *l = s->limit;
  if (d == &onnx__node_proto__descriptor && ++s->nodes > l->nodes)
    return bad(s, s->at, "more than %lld nodes (limit nodes)",
               (long long)l->nodes);
  if (d == &onnx__function_proto__descriptor && ++s->functions > l->functions)
    return bad(s, s->at, "more than %lld functions (limit functions)",
               (long long)l->functions);
  if (d == &onnx__attribute_proto__descriptor &&
      top->d == &onnx__node_proto__descriptor && index >= l->attributes)
    return bad(s, s->at, "more than %lld attributes (limit attributes)",
               (long long)l->attributes);
  return GS_OK;
}

/* Enters the message of n bytes at s->at, whose tag was copied already and
 * whose length took `bytes` bytes. */
static gs_status enter(scanner *s, const ProtobufCFieldDescriptor *f,
                       uint32_t index, size_t n, int bytes) {
  const ProtobufCMessageDescriptor *d = f->descriptor;
  GS_TRY(check_limits(s, d, &s->stack[s->depth], index));
  if (s->depth >= s->limit->depth || s->depth + 1 >= MAX_DEPTH)
    return bad(s, s->at, "messages nest deeper than %lld (limit depth)",
               (long long)s->limit->depth);
  if (d->n_fields > GS_WIRE_FIELDS)
    return gs_fail(s->e, GS_INTERNAL, s->file, "schema: %s has %u fields",
                   d->name, d->n_fields);
  frame *c = &s->stack[++s->depth];
  *c = (frame){.d = d, .field = f, .index = index, .end = s->at + n};
  c->length_at = s->nout;
  c->length_bytes = bytes;
  static const uint8_t zeros[8];
  put(s, zeros, (size_t)bytes);
  if (n) s->memory += (int64_t)d->sizeof_message;
  return GS_OK;
}

/* What a message is nothing without; `as` is the field that it stands in. */
static const struct {
  const ProtobufCMessageDescriptor *d;
  const char *as, *field, *error;
} needed[] = {
    {&onnx__node_proto__descriptor, NULL, "op_type", "no operator"},
    {&onnx__attribute_proto__descriptor, NULL, "name", "no name"},
    {&onnx__function_proto__descriptor, NULL, "name", "no name"},
    {&onnx__value_info_proto__descriptor, "input", "name", "no name"},
    {&onnx__value_info_proto__descriptor, "output", "name", "no name"},
    {&onnx__tensor_proto__descriptor, "initializer", "name", "without a name"},
    {&onnx__sparse_tensor_proto__descriptor, NULL, "values",
     "sparse tensor without values"},
};

static gs_status check_needed(scanner *s) {
  const frame *c = &s->stack[s->depth];
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    if (needed[i].d != c->d ||
        (needed[i].as && strcmp(needed[i].as, c->field->name)))
      continue;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(c->d,
                                                        needed[i].field);
    if (!f)
      return gs_fail(s->e, GS_INTERNAL, s->file, "schema: no %s",
                     needed[i].field);
    if (!(c->given >> (f - c->d->fields) & 1))
      return bad(s, c->end, "%s", needed[i].error);
  }
  return GS_OK;
}

/* Corrects the length of the finished message, in as many bytes as before. */
static gs_status leave(scanner *s) {
  GS_TRY(check_needed(s));
  const frame *c = &s->stack[s->depth--];
  size_t n = s->nout - c->length_at - (size_t)c->length_bytes;
  uint8_t *p = s->out + c->length_at;
  for (int i = 0; i < c->length_bytes; i++) {
    bool last = i == c->length_bytes - 1;
    p[i] = (uint8_t)((n & 0x7f) | (last ? 0 : 0x80));
    n >>= 7;
  }
  return GS_OK;
}

static void put_field(scanner *s, uint32_t id, uint64_t value) {
  uint8_t b[16];
  size_t n = gs_wire_put(b, (uint64_t)id << 3);
  n += gs_wire_put(b + n, value);
  put(s, b, n);
}

/* A message that stays in the file: skipped, whatever it holds. */
static void refer(scanner *s, const ProtobufCMessageDescriptor *d,
                  size_t start, size_t tag_end, size_t n) {
  uint8_t b[32]; /* at most 20 bytes: GS_SPEC_INLINE is larger */
  size_t k = gs_wire_put(b, (uint64_t)REF_OFFSET << 3);
  k += gs_wire_put(b + k, s->at);
  k += gs_wire_put(b + k, (uint64_t)REF_LENGTH << 3);
  k += gs_wire_put(b + k, n);
  uint8_t length = (uint8_t)k;
  put(s, s->p + start, tag_end - start);
  put(s, &length, 1);
  put(s, b, k);
  s->memory += (int64_t)d->sizeof_message;
  s->at += n;
}

/* A length-delimited field: tag at `start`, content at s->at. */
static gs_status delimited(scanner *s, const ProtobufCFieldDescriptor *f,
                           uint32_t index, size_t start) {
  frame *top = &s->stack[s->depth];
  uint64_t n;
  int k = varint(s, s->at, top->end, 5, &n);
  if (!k) return bad(s, s->at, "malformed length");
  size_t tag_end = s->at;
  s->at += (size_t)k;
  if (n > top->end - s->at)
    return bad(s, s->at, "a field of %llu bytes runs past the end (%zu left)",
               (unsigned long long)n, top->end - s->at);
  if (s->lazy && f && n > GS_SPEC_INLINE &&
      f->descriptor == &onnx__sharding_spec_proto__descriptor) {
    refer(s, f->descriptor, start, tag_end, (size_t)n);
    return GS_OK;
  }
  if (f && f->type == PROTOBUF_C_TYPE_MESSAGE) {
    put(s, s->p + start, tag_end - start);
    return enter(s, f, index, (size_t)n, k);
  }
  size_t at = s->at;
  s->at += (size_t)n;
  if (f && f->type == PROTOBUF_C_TYPE_STRING) {
    if (!n) top->given &= ~(UINT32_C(1) << (f - top->d->fields));
    GS_TRY(check_string(s, f, at, (size_t)n));
  }
  if (f && f->type == PROTOBUF_C_TYPE_BYTES && f->id == RAW_DATA &&
      top->d == &onnx__tensor_proto__descriptor && n > GS_RAW_INLINE) {
    put_field(s, REF_OFFSET, at);
    put_field(s, REF_LENGTH, n);
    return GS_OK;
  }
  if (f && f->type != PROTOBUF_C_TYPE_STRING &&
      f->type != PROTOBUF_C_TYPE_BYTES)
    GS_TRY(check_packed(s, f, at, (size_t)n));
  else if (n)
    s->memory += (int64_t)n + 1;
  put(s, s->p + start, s->at - start);
  return GS_OK;
}

/* Singular fields come once, members of a oneof exclude each other. */
static gs_status check_once(scanner *s, const ProtobufCFieldDescriptor *f,
                            uint32_t index, size_t start) {
  frame *top = &s->stack[s->depth];
  if (f->label == PROTOBUF_C_LABEL_REPEATED) return GS_OK;
  if (index) return bad(s, start, "%s is given twice", f->name);
  if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) return GS_OK;
  if (top->oneof == f->quantifier_offset)
    return bad(s, start, "%s and another member of its group are given",
               f->name);
  top->oneof = f->quantifier_offset;
  return GS_OK;
}

static gs_status check_unknown(scanner *s, size_t start) {
  if (++s->unknown > s->limit->unknown_fields)
    return bad(s, start, "more than %lld unknown fields (limit "
               "unknown_fields)", (long long)s->limit->unknown_fields);
  s->memory += (int64_t)sizeof(ProtobufCMessageUnknownField) + 16;
  return GS_OK;
}

/* Looks the field up, counts it and checks its wire type. */
static gs_status lookup(scanner *s, uint32_t id, int wire, size_t start,
                        const ProtobufCFieldDescriptor **out,
                        uint32_t *index) {
  frame *top = &s->stack[s->depth];
  if ((top->d == &onnx__tensor_proto__descriptor ||
       top->d == &onnx__sharding_spec_proto__descriptor) &&
      id >= REF_OFFSET && id <= REF_SOURCE)
    return bad(s, start, "field %u is reserved for internal use", id);
  const ProtobufCFieldDescriptor *f =
      protobuf_c_message_descriptor_get_field(top->d, id);
  *out = f;
  *index = 0;
  if (!f) return check_unknown(s, start);
  bool packed = f->label == PROTOBUF_C_LABEL_REPEATED &&
                wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
  if (wire != gs_wire_type(f) && !packed)
    return bad(s, start, "%s has wire type %d instead of %d", f->name, wire,
               gs_wire_type(f));
  *index = top->count[f - top->d->fields]++;
  top->given |= UINT32_C(1) << (f - top->d->fields);
  if (f->label == PROTOBUF_C_LABEL_REPEATED) {
    if (!*index) s->memory += ALIGN; /* the list's end is aligned */
    if (!packed || wire == gs_wire_type(f))
      s->memory += (int64_t)gs_wire_size(f);
  }
  return check_once(s, f, *index, start);
}

static gs_status field(scanner *s) {
  frame *top = &s->stack[s->depth];
  size_t start = s->at;
  uint64_t tag, value;
  int k = varint(s, s->at, top->end, 5, &tag);
  if (!k || tag > UINT32_MAX) return bad(s, start, "malformed field number");
  s->at += (size_t)k;
  uint32_t id = (uint32_t)(tag >> 3);
  int wire = (int)(tag & 7);
  if (!id) return bad(s, start, "field number 0");
  if (wire == 3 || wire == 4 || wire > 5)
    return bad(s, start, "field %u has wire type %d, which ONNX does not use",
               id, wire);
  const ProtobufCFieldDescriptor *f = NULL;
  uint32_t index = 0;
  GS_TRY(lookup(s, id, wire, start, &f, &index));
  if (wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
    return delimited(s, f, index, start);
  if (wire == PROTOBUF_C_WIRE_TYPE_VARINT) {
    k = varint(s, s->at, top->end, 10, &value);
    if (!k) return bad(s, s->at, "malformed number");
    s->at += (size_t)k;
  } else {
    size_t size = wire == PROTOBUF_C_WIRE_TYPE_32BIT ? 4 : 8;
    if (size > top->end - s->at)
      return bad(s, s->at, "truncated number");
    s->at += size;
  }
  put(s, s->p + start, s->at - start);
  return GS_OK;
}

static int64_t budget(const scanner *s) {
  int64_t b;
  if (!gs_mul((int64_t)s->nout, s->limit->memory_factor, &b) ||
      !gs_add(b, s->limit->memory_base, &b))
    return INT64_MAX;
  return b;
}

static gs_status run(scanner *s) {
  for (;;) {
    while (s->at == s->stack[s->depth].end) {
      if (!s->depth) return GS_OK;
      GS_TRY(leave(s));
    }
    GS_TRY(field(s));
    if (s->memory > budget(s))
      return bad(s, s->at, "needs more than %lld bytes of memory (limits "
                 "memory_factor, memory_base)", (long long)budget(s));
  }
}

/* Has the model's metadata GS_KEY_MESH?  Cost O(fields of the model). */
static bool has_mesh(const scanner *s) {
  enum { WIRE = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED };
  size_t at = 0, from, n, key, nkey;
  uint64_t tag;
  while (gs_wire_next(s->p, &at, s->n, &tag, &from, &n)) {
    if (tag != (MODEL_METADATA << 3 | WIRE)) continue;
    for (size_t in = from;
         gs_wire_next(s->p, &in, from + n, &tag, &key, &nkey);)
      if (tag == (ENTRY_KEY << 3 | WIRE) && nkey == strlen(GS_KEY_MESH) &&
          !memcmp(s->p + key, GS_KEY_MESH, nkey))
        return true;
  }
  return false;
}

gs_status gs_scan_message(const char *file, const uint8_t *p, size_t n,
                          const ProtobufCMessageDescriptor *d,
                          const gs_model_limits *limit, gs_scan *out,
                          gs_err *e) {
  if (n > INT32_MAX || n > (uint64_t)limit->file_bytes)
    return gs_fail(e, GS_DATA, file,
                   "larger than %lld bytes (limit file_bytes); keep weights "
                   "in external data",
                   (long long)gs_min(limit->file_bytes, INT32_MAX));
  gs_arena a;
  gs_arena_init(&a);
  scanner s = {.file = file, .p = p, .n = n, .limit = limit, .e = e};
  s.stack = GS_NEWS(&a, MAX_DEPTH, frame);
  s.stack[0] = (frame){.d = d, .end = n};
  s.memory = (int64_t)d->sizeof_message;
  s.lazy = d == &onnx__model_proto__descriptor && has_mesh(&s);
  gs_status st = run(&s);
  gs_arena_free(&a);
  if (st) {
    free(s.out);
    return st;
  }
  *out = (gs_scan){.data = s.out, .n = s.nout, .memory = s.memory};
  return GS_OK;
}
