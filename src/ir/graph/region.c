/* Regions: graphs within a node, in its attributes.  What they read of the
 * graph around them are operands of the node, the captured ones. */
#include <string.h>

#include "base/assert.h"
#include "ir/graph/graph.h"

bool gs_node_has_region(const gs_node *n) {
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH) return true;
  return false;
}

void gs_node_capture(gs_graph *g, gs_node *n, gs_graph *reader,
                     gs_value *inner, gs_value *outer) {
  int at = gs_node_formal(n);
  while (at < n->nin && n->in[at] != outer) at++;
  if (at == n->nin) {
    gs_value **in = GS_NEWS(g->arena, n->nin + 1, gs_value *);
    if (n->nin) memcpy(in, n->in, (size_t)n->nin * sizeof *in);
    in[n->nin++] = outer;
    n->in = in;
    n->ncapture++;
  }
  at -= gs_node_formal(n);
  gs_assert(at >= 0 && at < n->ncapture);
  for (int i = 0; i < n->nattr; i++) {
    gs_graph *body = n->attr[i].kind == GS_ATTR_GRAPH ? n->attr[i].g : NULL;
    while (body && body->capture.n < n->ncapture)
      *gs_push(body->arena, &body->capture) = NULL;
  }
  gs_assert(at >= 0 && at < n->ncapture);
  gs_assert(reader->capture.n == n->ncapture);
  inner->is_input = true;
  reader->capture.at[at] = inner;
}

void gs_node_trim_captures(gs_node *n) {
  int first = gs_node_formal(n), kept = 0;
  for (int k = 0; k < n->ncapture; k++) {
    bool read = false;
    for (int i = 0; i < n->nattr; i++) {
      const gs_graph *g = n->attr[i].kind == GS_ATTR_GRAPH ? n->attr[i].g
                                                           : NULL;
      if (g && k < g->capture.n && g->capture.at[k]) read = true;
    }
    if (!read) continue;
    for (int i = 0; i < n->nattr; i++) {
      gs_graph *g = n->attr[i].kind == GS_ATTR_GRAPH ? n->attr[i].g : NULL;
      if (g && k < g->capture.n) g->capture.at[kept] = g->capture.at[k];
    }
    n->in[first + kept++] = n->in[first + k];
  }
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH && n->attr[i].g->capture.n > kept)
      n->attr[i].g->capture.n = kept;
  gs_assert(kept <= n->ncapture);
  n->ncapture = kept;
  n->nin = first + kept;
}
