/* Looks functions up, and the names of what they are made of. */
#include "base/assert.h"
#include "op/core/function.h"

#include <limits.h>
#include <string.h>

/* What is found is read: most of the texts never are. */
static const gs_function *whole(const gs_functions *all, gs_function *f) {
  gs_err e;
  gs_err_init(&e);
  gs_status s = f->body.n ? gs_function_read(all->arena, f, &e) : GS_OK;
  gs_err_free(&e);
  gs_assert(s == GS_OK); /* gs_functions_parse would have told */
  return s ? NULL : f;
}

static const gs_function *find(const gs_functions *all, gs_function *at, int n,
                               const char *domain, const char *name) {
  if (!strcmp(domain, "ai.onnx")) domain = "";
  for (int i = 0; i < n; i++)
    if (!strcmp(at[i].name, name) && !strcmp(at[i].domain, domain))
      return whole(all, &at[i]);
  return NULL;
}

const gs_function *gs_function_find(const gs_functions *f, const char *domain,
                                    const char *name) {
  const gs_function *h = find(f, f->helper.at, f->helper.n, domain, name);
  return h ? h : find(f, f->at.at, f->at.n, domain, name);
}

const gs_function *gs_gradient_find(const gs_functions *f, const char *domain,
                                    const char *name) {
  return find(f, f->gradient.at, f->gradient.n, domain, name);
}

const gs_function *gs_form_find(const gs_functions *f, gs_fn_kind kind,
                                const char *domain, const char *name) {
  return find(f, f->form[kind].at, f->form[kind].n, domain, name);
}

void gs_function_arity(const gs_function *f, bool results, int *min,
                       int *max) {
  int n = results ? f->out.n : f->in.n;
  const gs_fn_value *v = results ? f->out.at : f->in.at;
  *min = *max = 0;
  for (int i = 0; i < n; i++) {
    if (!v[i].optional) *min = i + 1;
    *max = v[i].each || *max == INT_MAX ? INT_MAX : i + 1;
  }
}
