#include "kernel/pointwise/joined.h"

#include <string.h>

#include "base/assert.h"
#include "kernel/pointwise/activations.h"

enum { LOOP = -1 }; /* it is one of loops.h */

static const struct {
  const char *name;
  int act;
  gs_loop_id loop;
} rows[] = {
    {"Clip", GS_ACT_CLAMP, 0},
    {"Elu", GS_ACT_ELU, 0},
    {"HardSigmoid", GS_ACT_HARD_SIGMOID, 0},
    {"HardSwish", GS_ACT_HARD_SWISH, 0},
    {"LeakyRelu", GS_ACT_LEAKY_RELU, 0},
    {"Mish", GS_ACT_MISH, 0},
    {"Relu", LOOP, GS_LOOP_RELU},
    {"Sigmoid", LOOP, GS_LOOP_SIGMOID},
    {"Softplus", LOOP, GS_LOOP_SOFTPLUS},
    {"Swish", GS_ACT_SWISH, 0},
    {"Tanh", LOOP, GS_LOOP_TANH},
};

gs_joined gs_joined_get(const gs_node *n) {
  gs_joined j = {0};
  const char *name = gs_node_string(n, "activation", NULL);
  if (!name) return j;
  const gs_attr *given = gs_node_attr(n, "activation_params");
  for (int i = 0; i < 2 && given && i < given->n; i++)
    j.param[i] = given->floats[i];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i].name, name))
      j.loop = rows[i].act == LOOP
                   ? gs_loop_get(rows[i].loop, GS_FLOAT)
                   : gs_act_get((gs_act_id)rows[i].act, GS_FLOAT);
  gs_assert(j.loop); /* the schema knows no other names */
  return j;
}
