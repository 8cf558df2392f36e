/* TfIdfVectorizer: counts of n-grams, weighted. */
#include <stdlib.h>

#include "kernel/core/call_dynamic.h"

/* A token: a number, or a string. */
typedef struct token {
  gs_string s;
  int64_t i;
} token;

typedef struct gram { /* of the pool */
  const token *at;
  int size;
  int64_t place;  /* in the result */
  float weight;
} gram;

typedef struct vectoriser {
  gram *gram; /* sorted */
  int n;
  int64_t length, skips, min, max;
  bool count, weigh; /* TF: count; IDF: weigh; TFIDF: both */
} vectoriser;

static int order_token(const token *a, const token *b) {
  size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
  int c = n ? memcmp(a->s.at, b->s.at, n) : 0;
  if (!c) c = (a->s.n > b->s.n) - (a->s.n < b->s.n);
  return c ? c : (a->i > b->i) - (a->i < b->i);
}

static int order_gram(const void *a, const void *b) {
  const gram *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  for (int i = 0; i < x->size; i++) {
    int c = order_token(&x->at[i], &y->at[i]);
    if (c) return c;
  }
  return 0;
}

static token *pool_of(gs_dyncall *k, int *n) {
  const gs_attr *s = gs_node_attr(k->node, "pool_strings");
  const int64_t *i = gs_node_ints(k->node, "pool_int64s", n);
  if (s) *n = s->n;
  token *pool = GS_NEWS(k->arena, *n, token);
  for (int j = 0; j < *n; j++)
    pool[j] = s ? (token){.s = s->strings[j]} : (token){.i = i[j]};
  return pool;
}

/* Cuts the pool into grams: those of each size follow each other, from where
 * ngram_counts says. */
static gs_status grams_of(gs_dyncall *k, vectoriser *v) {
  int n, sizes, places;
  const gs_attr *w = gs_node_attr(k->node, "weights");
  const token *pool = pool_of(k, &n);
  const int64_t *from = gs_node_ints(k->node, "ngram_counts", &sizes);
  const int64_t *place = gs_node_ints(k->node, "ngram_indexes", &places);
  v->gram = GS_NEWS(k->arena, n + 1, gram);
  for (int size = 1; size <= sizes; size++) {
    int64_t at = from[size - 1], end = size < sizes ? from[size] : n;
    if (at < 0 || end < at || end > n || (end - at) % size)
      return gs_dyncall_fail(k, GS_DATA,
                            "ngram_counts: %d-grams from %lld to %lld of a "
                            "pool of %d", size, (long long)at,
                            (long long)end, n);
    for (; at < end; at += size) {
      if (v->n >= places || (w && v->n >= w->n))
        return gs_dyncall_fail(k, GS_DATA,
                              "the pool has more n-grams than ngram_indexes "
                              "or weights");
      v->gram[v->n] = (gram){pool + at, size, place[v->n],
                             w ? w->floats[v->n] : 1};
      v->length = gs_max(v->length, place[v->n] + 1);
      v->n++;
    }
  }
  for (int i = 0; i < places; i++) v->length = gs_max(v->length, place[i] + 1);
  if (v->n) qsort(v->gram, (size_t)v->n, sizeof *v->gram, order_gram);
  return GS_OK;
}

static gs_status begin(gs_dyncall *k, vectoriser *v) {
  const char *mode = gs_node_string(k->node, "mode", "");
  *v = (vectoriser){.skips = gs_node_int(k->node, "max_skip_count", 0),
                    .min = gs_node_int(k->node, "min_gram_length", 1),
                    .max = gs_node_int(k->node, "max_gram_length", 1)};
  v->count = !strcmp(mode, "TF") || !strcmp(mode, "TFIDF");
  v->weigh = !strcmp(mode, "IDF") || !strcmp(mode, "TFIDF");
  if (!v->count && !v->weigh)
    return gs_dyncall_fail(k, GS_DATA, "mode is '%.40s'", mode);
  if (v->min < 1 || v->max < v->min || v->skips < 0)
    return gs_dyncall_fail(k, GS_DATA,
                          "n-grams of length %lld to %lld, with %lld skips",
                          (long long)v->min, (long long)v->max,
                          (long long)v->skips);
  return grams_of(k, v);
}

/* Adds the n-grams of one row. */
static void vectorise(const vectoriser *v, const token *row, int64_t n,
                      token *tmp, float *out) {
  for (int64_t size = v->min; size <= gs_min(v->max, n); size++)
    for (int64_t skip = 0; skip <= (size == 1 ? 0 : v->skips); skip++) {
      int64_t reach;
      if (!gs_mul(size - 1, skip + 1, &reach) || reach >= n) break;
      for (int64_t i = 0; i + reach < n; i++) {
        for (int64_t j = 0; j < size; j++) tmp[j] = row[i + j * (skip + 1)];
        gram want = {.at = tmp, .size = (int)size};
        const gram *g = bsearch(&want, v->gram, (size_t)v->n, sizeof *g,
                                order_gram);
        if (!g) continue;
        float w = v->weigh ? g->weight : 1;
        out[g->place] = v->count ? out[g->place] + w : w;
      }
    }
}

static gs_status run_tf_idf(gs_dyncall *k) {
  gs_dyn *x, *y;
  vectoriser v;
  GS_TRY(gs_dyncall_tensor(k, 0, &x));
  GS_TRY(begin(k, &v));
  const gs_tensor *t = &x->t;
  bool strings = gs_node_attr(k->node, "pool_strings") != NULL;
  if (t->rank > 2 || (strings ? t->dtype != GS_STRING
                              : t->dtype != GS_INT32 && t->dtype != GS_INT64))
    return gs_dyncall_fail(k, GS_DATA, "%s does not fit a pool of %s",
                          gs_dyn_text(k->arena, x),
                          strings ? "strings" : "integers");
  int64_t rows = t->rank == 2 ? t->dims[0] : 1;
  int64_t n = t->rank ? t->dims[t->rank - 1] : 1;
  int64_t dims[2] = {t->rank == 2 ? rows : v.length, v.length};
  GS_TRY(gs_dyncall_result(k, 0, GS_FLOAT, t->rank == 2 ? 2 : 1, dims, &y));
  token *row = GS_NEWS(k->arena, n + 1, token);
  token *tmp = GS_NEWS(k->arena, n + 1, token);
  gs_view view = {.dtype = t->dtype, .data = gs_dyn_data(x)};
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t i = 0; i < n; i++)
      row[i] = strings ? (token){.s = t->strings[r * n + i]}
                       : (token){.i = gs_view_int(&view, r * n + i)};
    vectorise(&v, row, n, tmp, (float *)y->block + r * v.length);
  }
  return GS_OK;
}

GS_DYNAMIC(tf_idf, run_tf_idf)
