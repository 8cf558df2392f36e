#!/bin/sh
# Shows the three tools on GShard's Mixture-of-Experts Transformer:
#   examples/demo.sh BUILD-DIRECTORY
# Each command is printed before it runs.  Files go to BUILD-DIRECTORY/demo.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1-build}" && pwd)

# Open MPI: allow root, as in containers, and more ranks than processors.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy

PATH=$build/tools:$build/examples:$PATH
mkdir -p "$build/demo"
cd "$build/demo"
rm -rf plan out.threads out.mpi
cp "$source/examples/moe-transformer.yaml" .

title() { printf '\n# %s\n' "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}

title 'A Transformer with Mixture-of-Experts layers, as ONNX'
run moe-transformer -o moe.onnx

title 'What is to be sharded: four rules'
run grep -v '^ *#' moe-transformer.yaml

title 'Complete the shardings of all other tensors'
run gshard-annotate -s moe-transformer.yaml -o sharded.onnx moe.onnx

title 'Why are these weights split, and why is this tensor moved?'
run gshard-annotate -n -q -s moe-transformer.yaml \
  --explain encoder/layer_1/moe/wo --explain encoder/layer_1/moe/answers \
  moe.onnx

title 'One program for all devices'
run gshard-partition -f --report -o plan sharded.onnx

title 'Run it on 4 devices, as threads; is it equal to the whole model?'
run gshard-run --random 1 --check moe.onnx -o out.threads plan

if command -v mpirun > /dev/null &&
  gshard-run --version | grep -q '+mpi'; then
  title 'Run it on 4 devices, as MPI processes; are the bytes the same?'
  run mpirun -n 4 gshard-run --random 1 -o out.mpi plan
  run diff -r out.threads out.mpi
  echo 'the same bytes'
fi
