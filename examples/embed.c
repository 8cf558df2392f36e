/* Shards a model and runs it, in one process, by libgshard alone:
 *
 *   cc embed.c $(pkg-config --cflags --libs gshard) -o embed
 *   ./embed model.onnx spec.yaml [RUNS]
 *
 * Inputs of floats are filled with ones, others are made up.  Prints how the
 * model was sharded and the sum of every output. */
#include <gshard.h>
#include <stdlib.h>
#include <string.h>

/* Annotates the model with the spec and makes a program for all devices. */
static gs_status shard(const char *model, const char *spec, gs_sharder **out,
                       gs_err *e) {
  gs_sharder_options o = {.size = sizeof o, .spec = &spec, .nspec = 1};
  const char *summary;
  gs_status s = gs_sharder_new(&o, out, e);
  if (!s) s = gs_sharder_load(*out, model, NULL, e);
  if (!s) s = gs_sharder_annotate(*out, e);
  if (!s) s = gs_sharder_partition(*out, e);
  if (!s) s = gs_sharder_text(*out, GS_TEXT_SUMMARY, &summary, e);
  if (!s) gs_text_print(stdout, summary, strlen(summary));
  return s;
}

/* Gives input i ones.  The runner keeps the pointer: *ones is freed after it
 * is. */
static gs_status fill(gs_runner *r, int i, float **ones, gs_err *e) {
  gs_array x;
  gs_status s = gs_runner_input_type(r, i, &x, e);
  size_t n = 1;
  if (s || x.dtype != GS_FLOAT) return s;
  for (int d = 0; d < x.rank; d++) n *= (size_t)x.dims[d];
  *ones = malloc((n ? n : 1) * sizeof **ones);
  if (!*ones) return gs_fail(e, GS_RESOURCE, NULL, "no memory for an input");
  for (size_t k = 0; k < n; k++) (*ones)[k] = 1;
  x.data = *ones;
  x.nbytes = n * sizeof **ones;
  return gs_runner_input(r, gs_runner_input_name(r, i), &x, e);
}

static gs_status print_sums(gs_runner *r, gs_err *e) {
  for (int i = 0; i < gs_runner_outputs(r); i++) {
    gs_array y;
    gs_status s = gs_runner_output(r, i, &y, e);
    if (s) return s;
    double sum = 0;
    const float *at = y.data;
    for (size_t k = 0; y.dtype == GS_FLOAT && k < y.nbytes / sizeof *at; k++)
      sum += (double)at[k];
    printf("%s: %zu bytes, sum %.6g\n", gs_runner_output_name(r, i), y.nbytes,
           sum);
  }
  return GS_OK;
}

/* Runs the program of s: one thread for each device. */
static gs_status run(gs_sharder *s, gs_runner **r, float ***ones, int runs,
                     gs_err *e) {
  gs_runner_options o = {.size = sizeof o, .threads = 1, .random = true};
  gs_status status = gs_runner_new(&o, r, e);
  if (!status) status = gs_runner_open_sharder(*r, s, e);
  if (status) return status;
  *ones = calloc((size_t)gs_runner_inputs(*r) + 1, sizeof **ones);
  if (!*ones) return gs_fail(e, GS_RESOURCE, NULL, "no memory for inputs");
  for (int i = 0; i < gs_runner_inputs(*r) && !status; i++)
    status = fill(*r, i, &(*ones)[i], e);
  if (!status) status = gs_runner_compile(*r, e);
  for (int i = 0; i < runs && !status; i++)
    status = gs_runner_run(*r, NULL, e);
  return status ? status : print_sums(*r, e);
}

int main(int argc, char **argv) {
  gs_err *e = gs_err_new();
  gs_sharder *s = NULL;
  gs_runner *r = NULL;
  float **ones = NULL;
  if (argc < 3 || !e) {
    fprintf(stderr, e ? "usage: embed MODEL SPEC [RUNS]\n"
                      : "embed: out of memory\n");
    gs_err_delete(e);
    return argc < 3 ? GS_USAGE : GS_RESOURCE;
  }
  int runs = argc > 3 ? atoi(argv[3]) : 1;
  gs_status status = shard(argv[1], argv[2], &s, e);
  if (!status && runs) status = run(s, &r, &ones, runs, e);
  gs_err_print(e, stderr, "embed", false);
  for (int i = 0; ones && i < gs_runner_inputs(r); i++) free(ones[i]);
  free(ones);
  gs_runner_free(r); /* before its sharder */
  gs_sharder_free(s);
  gs_err_delete(e);
  return (int)status;
}
