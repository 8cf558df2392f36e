/* Tables of gshard.h that programs print. */
#include "api/list_ops.h"
#include "api/run/run_ranks.h"
#include "base/isa.h"
#include "base/status.h"
#include "exec/run/pin.h"
#include "io/onnx/model.h"
#include "io/spec/spec_io.h"
#include "ir/mesh/plan.h"
#include "kernel/onednn/onednn.h"

static void statuses(FILE *f) {
  fputs(".Bl -tag -width Ds -compact\n", f);
#define X(name, text) fprintf(f, ".It %d\n%s\n", GS_##name, text);
  GS_STATUSES(X)
#undef X
  fputs(".El\n", f);
}

static void limits(FILE *f) {
  fputs(".Bl -tag -width 2147483647x -compact\n", f);
#define X(name, value, text)                                                   \
  fprintf(f, ".It %lld\n%s\n", (long long)(value), text);
  GS_MODEL_LIMITS(X)
#undef X
  fputs(".El\n", f);
}

/* What kernels are compiled for and run with here. */
static void kernels(FILE *f) {
#ifdef GS_HAVE_X86
  static const char *const isa[GS_NISA] = {"SSE2", "AVX2", "AVX-512"};
  const char *text = isa[gs_isa()];
#else
  const char *text = "baseline";
#endif
  gs_arena a;
  gs_arena_init(&a);
  fprintf(f, "Kernels: %s, oneDNN %s\n", text, gs_onednn_version(&a));
  gs_arena_free(&a);
}

static void features(FILE *f) {
  fputs("Features:", f);
#ifdef HAVE_MPI
  fputs(" +mpi", f);
#else
  fputs(" -mpi", f);
#endif
#ifdef _OPENMP
  fputs(" +openmp", f);
#else
  fputs(" -openmp", f);
#endif
  fputs(gs_cores_known() ? " +hwloc" : " -hwloc", f);
#ifdef __SANITIZE_ADDRESS__
  fputs(" +sanitizer", f);
#endif
  fprintf(f, "\nFormats: plan %d, program %d\n", GS_PLAN_VERSION,
          GS_PROGRAM_VERSION);
  kernels(f);
}

void gs_table_print(gs_table t, FILE *f) {
  switch (t) {
    case GS_TABLE_OPERATORS: gs_ops_list(f); break;
    case GS_TABLE_OPERATORS_JSON: gs_ops_list_json(f); break;
    case GS_TABLE_OPERATORS_MAN: gs_ops_man(f); break;
    case GS_TABLE_MOVES_MAN: gs_moves_man(f); break;
    case GS_TABLE_LIMITS_MAN: limits(f); break;
    case GS_TABLE_STATUSES_MAN: statuses(f); break;
    case GS_TABLE_SPEC_SCHEMA: gs_spec_schema(f); break;
    case GS_TABLE_FEATURES: features(f); break;
    case GS_TABLE_MPI: gs_ranks_built(f); break;
  }
}
