/* What is emitted, compiled as it would be for a run, and checked. */
#include "api/shard/emit.h"
#include "exec/compile/program_check.h"
#include "exec/step/step.h"
#include "pass/specialise.h"

typedef struct verifier {
  gs_arena a; /* for the time of one check */
  const gs_program **program;
  int n;
  bool can_run; /* nothing met yet that only other runtimes can run */
  gs_err *e;
} verifier;

/* Compiles g for n devices from position `first` on.  What cannot run here may
 * run elsewhere: a warning. */
static gs_status compile(verifier *v, const gs_graph *g, int64_t first,
                         int64_t n) {
  gs_compile how = {.kinds = gs_step_kinds, .first = first, .n = n};
  gs_program *p = NULL;
  gs_err why;
  gs_err_init(&why);
  gs_status s = gs_program_new(&v->a, g, &how, &p, &why);
  if (s == GS_UNSUPPORTED) {
    gs_warn(v->e, why.diag[0].place, "the program is not verified, for it "
            "cannot be run here: %s", why.diag[0].text);
    v->can_run = false;
  } else if (s) {
    gs_err_move(v->e, &why);
  }
  gs_err_free(&why);
  v->program[v->n++] = p;
  return s == GS_UNSUPPORTED ? GS_OK : s;
}

static gs_status compile_devices(verifier *v, const gs_graph *program) {
  gs_device_form form = {0};
  GS_TRY(gs_pass_device_form(&v->a, program, &form, v->e));
  for (int64_t p = 0; p < program->mesh->ndevice && v->can_run; p++) {
    gs_graph *g;
    GS_TRY(gs_pass_specialise(&v->a, &form, p, &g, v->e));
    GS_TRY(compile(v, g, p, 1));
  }
  return GS_OK;
}

static gs_status verify(verifier *v, const gs_emit_options *o) {
  const gs_graph *g = o->partition->program;
  int64_t n = g->mesh->ndevice;
  v->program = GS_NEWS(&v->a, n, const gs_program *);
  GS_TRY(o->device ? compile_devices(v, g) : compile(v, g, 0, n));
  return v->can_run ? gs_program_check(v->program, v->n, 0, n, v->e) : GS_OK;
}

gs_status gs_emit_verify(const gs_emit_options *o, gs_err *e) {
  verifier v = {.can_run = true, .e = e};
  gs_arena_init(&v.a);
  gs_status s = verify(&v, o);
  gs_arena_free(&v.a);
  return s;
}
