/* A tokenizer whose tokens are bytes, as two filters around gshard-run --steps:
 *
 *   bytes tokenize [-b ROWS] [-n NEW] -s SCHEDULE < lines |
 *     gshard-run --steps -i input_ids=- -i filled=- --count filled \
 *       --argmax logits=input_ids --tokens - -q plan |
 *     bytes detokenize -s SCHEDULE
 *
 * Each line is a prompt, which NEW tokens follow.  ROWS of them are in work at
 * a time; when one is done, the next line takes its row, in which the length of
 * what is in the cache begins at 0 again.  So the prompts of a batch need not
 * be of one length, and nothing is padded: a row has -1 where it has no token
 * of a prompt, which stands for what the model chose, and -1 where its length
 * goes on.  SCHEDULE is a file that tells detokenize whose tokens are whose. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINE = 1 << 16, HEAD = 128 };

typedef struct prompt {
  char *text;
  long length, row, start; /* the step of its first token */
} prompt;

typedef struct job {
  long rows, fresh; /* tokens that follow a prompt */
  const char *schedule;
  prompt *prompt;
  long n, steps;
} job;

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "bytes: %s\n", what);
  exit(65);
}

static void *resize(void *p, size_t n, size_t size) {
  p = n > SIZE_MAX / size ? NULL : realloc(p, n * size);
  if (!p) fail("out of memory");
  return p;
}

/* ---- prompts become records ---- */

/* Gives each line the row that is free first. */
static void plan(job *j) {
  long *busy = resize(NULL, (size_t)j->rows, sizeof *busy);
  for (long r = 0; r < j->rows; r++) busy[r] = 0;
  for (long i = 0; i < j->n; i++) {
    prompt *p = &j->prompt[i];
    for (long r = p->row = 0; r < j->rows; r++)
      if (busy[r] < busy[p->row]) p->row = r;
    p->start = busy[p->row];
    busy[p->row] += p->length + j->fresh - 1;
    if (busy[p->row] > j->steps) j->steps = busy[p->row];
  }
  free(busy);
}

static void read_lines(job *j) {
  static char line[MAX_LINE];
  while (fgets(line, sizeof line, stdin)) {
    size_t n = strcspn(line, "\n");
    if (n + 1 == sizeof line) fail("a line is too long");
    if (!n) line[n++] = ' '; /* an empty prompt has a token too */
    j->prompt = resize(j->prompt, (size_t)j->n + 1, sizeof *j->prompt);
    j->prompt[j->n] = (prompt){.text = resize(NULL, n, 1), .length = (long)n};
    memcpy(j->prompt[j->n++].text, line, n);
  }
}

static void write_head(const char *type, long rows) {
  char text[HEAD];
  snprintf(text, sizeof text,
           "{'descr': '%s', 'fortran_order': False, 'shape': (%ld, 1), }",
           type, rows);
  printf("\x93NUMPY\x01%cv%c%-117s\n", 0, 0, text);
}

/* Numbers of `size` bytes; the order of bytes is that of x86. */
static void write_numbers(const int64_t *x, long n, size_t size) {
  for (long i = 0; i < n; i++) fwrite(&x[i], size, 1, stdout);
}

static void tokenize(job *j) {
  read_lines(j);
  plan(j);
  FILE *f = fopen(j->schedule, "w");
  if (!f) fail("the schedule cannot be written");
  for (long i = 0; i < j->n; i++)
    fprintf(f, "%ld %ld %ld\n", j->prompt[i].row,
            j->prompt[i].start + j->prompt[i].length - 1, j->fresh);
  if (fclose(f)) fail("the schedule cannot be written");
  int64_t *token = resize(NULL, (size_t)j->rows, sizeof *token);
  int64_t *filled = resize(NULL, (size_t)j->rows, sizeof *filled);
  for (long t = 0; t < j->steps; t++) {
    for (long r = 0; r < j->rows; r++) token[r] = filled[r] = 0; /* idle */
    for (long i = 0; i < j->n; i++) {
      const prompt *p = &j->prompt[i];
      if (t < p->start || t >= p->start + p->length + j->fresh - 1) continue;
      bool prompts = t < p->start + p->length;
      token[p->row] = prompts ? (unsigned char)p->text[t - p->start] : -1;
      filled[p->row] = t == p->start ? 0 : -1;
    }
    write_head("<i8", j->rows);
    write_numbers(token, j->rows, 8);
    write_head("<i4", j->rows);
    write_numbers(filled, j->rows, 4);
    if (fflush(stdout)) fail("standard output cannot be written");
  }
  for (long i = 0; i < j->n; i++) free(j->prompt[i].text);
  free(j->prompt);
  free(token);
  free(filled);
}

/* ---- records become text ---- */

/* One record of i64[rows,1]; false at the end. */
static bool read_record(int64_t **token, long *rows) {
  char head[HEAD + 1] = {0};
  size_t n = fread(head, 1, HEAD, stdin);
  if (!n) return false;
  const char *shape = n == HEAD ? strstr(head + 10, "'shape': (") : NULL;
  if (!shape || !strstr(head + 10, "'<i8'") ||
      sscanf(shape, "'shape': (%ld, 1)", rows) != 1 || *rows < 1 ||
      *rows > MAX_LINE)
    fail("standard input is not records of i64[rows,1]");
  *token = resize(*token, (size_t)*rows, sizeof **token);
  if (fread(*token, sizeof **token, (size_t)*rows, stdin) != (size_t)*rows)
    fail("the last record is cut short");
  return true;
}

static void print_byte(int64_t token) {
  if (token >= ' ' && token < 127) putchar((int)token);
  else printf("\\x%02x", (unsigned)token & 255);
}

/* Prints lines in their order, each once all of it is there. */
static void detokenize(job *j) {
  int64_t *token = NULL, **all = NULL;
  long rows, row, first, fresh, t = 0;
  FILE *f = NULL;
  for (; read_record(&token, &rows); t++) {
    if (t && rows != j->rows) fail("the records differ in their rows");
    j->rows = rows;
    if (!f) f = fopen(j->schedule, "r"); /* by now it is written */
    if (!f) fail("the schedule cannot be read");
    all = resize(all, (size_t)t + 1, sizeof *all);
    all[t] = token;
    token = NULL;
    for (;;) {
      long here = ftell(f);
      if (fscanf(f, "%ld %ld %ld", &row, &first, &fresh) != 3) break;
      if (row < 0 || row >= rows || first < 0 || fresh < 0)
        fail("the schedule is not that of these records");
      if (first + fresh - 1 > t) {
        fseek(f, here, SEEK_SET);
        break;
      }
      for (long i = 0; i < fresh; i++) print_byte(all[first + i][row]);
      putchar('\n');
      fflush(stdout);
    }
  }
  if (f) fclose(f);
  while (t > 0) free(all[--t]);
  free(all);
}

int main(int argc, char **argv) {
  job j = {.rows = 1, .fresh = 16};
  bool to = argc > 1 && !strcmp(argv[1], "tokenize");
  bool from = argc > 1 && !strcmp(argv[1], "detokenize");
  for (int c; (to || from) && (c = getopt(argc - 1, argv + 1, "b:n:s:")) >= 0;)
    if (c == 'b') j.rows = strtol(optarg, NULL, 10);
    else if (c == 'n') j.fresh = strtol(optarg, NULL, 10);
    else if (c == 's') j.schedule = optarg;
    else return 64;
  if ((!to && !from) || !j.schedule || j.rows < 1 || j.rows > MAX_LINE ||
      j.fresh < 1) {
    fprintf(stderr, "usage: bytes tokenize [-b ROWS] [-n NEW] -s SCHEDULE\n"
                    "       bytes detokenize -s SCHEDULE\n");
    return 64;
  }
  if (to) tokenize(&j);
  else detokenize(&j);
  return fflush(stdout) ? 74 : 0;
}
