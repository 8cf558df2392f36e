/* Golden cases of propagation (data/propagate.txt): a graph with a few
 * shardings in, all shardings out, and for chosen values where they come
 * from.  After the graph may stand
 *   explain V           prints the chains of V
 *   group V W ...         values that are sharded alike
 *   barrier DIRECTION V what may pass: none, forward, backward
 * Every case is also run with its nodes in other orders of execution and
 * under other names, which must change nothing. */
#include "cases.h"
#include "graphs.h"
#include "pass/prepare/infer.h"
#include "pass/propagate/propagate.h"

enum { ORDERS = 6, MAX_GROUPS = 8, MAX_EXPLAINED = 16 };

typedef struct given_case {
  gs_arena *a;
  gs_graph *g;
  gs_barrier *barrier;
  gs_tensor_group group[MAX_GROUPS];
  int ngroup;
  const gs_value *explained[MAX_EXPLAINED];
  int nexplained;
} given_case;

static gs_value *find(const given_case *c, const char *name) {
  gs_value *v = gs_graph_find(c->g, name);
  must(v != NULL, name);
  return v;
}

/* One line after the graph. */
static void directive(given_case *c, char *line) {
  char *rest = line, *verb = strtok_r(rest, " ", &rest);
  char *word = strtok_r(rest, " ", &rest);
  must(verb && word, line);
  if (!strcmp(verb, "explain")) {
    must(c->nexplained < MAX_EXPLAINED, "explain");
    c->explained[c->nexplained++] = find(c, word);
  } else if (!strcmp(verb, "group")) {
    must(c->ngroup < MAX_GROUPS, "group");
    gs_tensor_group *t = &c->group[c->ngroup++];
    t->value = GS_NEWS(c->a, c->g->value.n, gs_value *);
    for (; word; word = strtok_r(rest, " ", &rest))
      t->value[t->n++] = find(c, word);
  } else {
    must(!strcmp(verb, "barrier"), verb);
    gs_barrier *at = &c->barrier[find(c, strtok_r(rest, " ", &rest))->id];
    if (strcmp(word, "forward")) at->no_forward = true;
    if (strcmp(word, "backward")) at->no_backward = true;
  }
}

static bool is_directive(const char *line) {
  return !strncmp(line, "explain ", 8) || !strncmp(line, "group ", 6) ||
         !strncmp(line, "barrier ", 8);
}

static gs_status load(given_case *c, const char *given, gs_err *e) {
  char *text = gs_strdup(c->a, given), *rest = text;
  while (*rest && !is_directive(rest)) {
    rest += strcspn(rest, "\n");
    if (*rest) rest++;
  }
  char *lines = gs_strdup(c->a, rest);
  *rest = 0;
  GS_TRY(graph_read(c->a, text, "case", &c->g, e));
  GS_TRY(gs_pass_infer(c->a, c->g, NULL, e));
  c->barrier = GS_NEWS(c->a, c->g->value.n + 1, gs_barrier);
  for (char *line; (line = strtok_r(lines, "\n", &lines));) directive(c, line);
  return GS_OK;
}

/* Another order of the nodes in which operands still come before uses; the
 * names change too. */
static void reorder(given_case *c, unsigned seed) {
  gs_graph *g = c->g;
  int n = g->node.n;
  gs_node **order = GS_NEWS(c->a, n + 1, gs_node *);
  bool *done = GS_NEWS(c->a, n + 1, bool);
  for (int k = 0; k < n; k++) {
    int nready = 0;
    int *ready = GS_NEWS(c->a, n, int);
    for (int i = 0; i < n; i++) {
      bool ok = !done[i];
      for (int j = 0; j < g->node.at[i]->nin; j++) {
        const gs_value *v = g->node.at[i]->in[j];
        if (v && v->def && !done[v->def->id]) ok = false;
      }
      if (ok) ready[nready++] = i;
    }
    must(nready > 0, "an order of execution");
    seed = seed * 1103515245u + 12345u;
    int pick = ready[(seed >> 16) % (unsigned)nready];
    done[pick] = true;
    order[k] = g->node.at[pick];
  }
  for (int k = 0; k < n; k++) {
    g->node.at[k] = order[k];
    order[k]->id = k;
    order[k]->name = gs_sprintf(c->a, "other%d", (n - k) * 7 % (n + 1));
  }
}

static const char *rule_text(void *context, int rule) {
  return gs_sprintf(context, "rule %d", rule);
}

static gs_status propagate(given_case *c, gs_propagation *done, gs_err *e) {
  gs_propagate_input in = {
      .barrier = c->barrier, .group = c->group, .ngroup = c->ngroup};
  return gs_pass_propagate(c->a, c->g, &in, done, e);
}

static gs_status other_orders(gs_arena *a, const char *given,
                              const gs_graph *g, gs_buf *b, gs_err *e) {
  for (unsigned seed = 1; seed <= ORDERS; seed++) {
    given_case c = {.a = a};
    gs_propagation done;
    GS_TRY(load(&c, given, e));
    reorder(&c, seed);
    GS_TRY(propagate(&c, &done, e));
    bool differs = false;
    for (int i = 0; i < g->value.n; i++) {
      const gs_value *v = g->value.at[i], *w = find(&c, v->name);
      if (gs_sharding_equal(v->sharding, w->sharding)) continue;
      gs_buf_printf(b, "in another order: %s %s\n", v->name,
                    gs_sharding_text(a, g->mesh, w->sharding));
      differs = true;
    }
    if (differs) return GS_OK;
  }
  return GS_OK;
}

static gs_status complete(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  given_case c = {.a = a};
  gs_propagation done;
  GS_TRY(load(&c, given, e));
  GS_TRY(propagate(&c, &done, e));
  for (int i = 0; i < c.g->value.n; i++) {
    const gs_value *v = c.g->value.at[i];
    if (v->rank)
      gs_buf_printf(b, "%s %s\n", v->name,
                    gs_sharding_text(a, c.g->mesh, v->sharding));
  }
  for (int i = 0; i < c.nexplained; i++) {
    gs_buf_str(b, "# ");
    gs_propagation_explain(b, &done, c.explained[i], rule_text, a);
  }
  return other_orders(a, given, c.g, b, e);
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, complete);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "propagate", run_case, NULL);
}
