#include "ir/mesh/machine.h"

const gs_machine gs_machine_default = {
#define X(name, value, text) .name = value,
    GS_MACHINE_FIELDS(X)
#undef X
};

gs_machine gs_machine_or(const gs_machine *a, const gs_machine *b) {
  return (gs_machine){
#define X(name, value, text) .name = a->name > 0 ? a->name : b->name,
      GS_MACHINE_FIELDS(X)
#undef X
  };
}
