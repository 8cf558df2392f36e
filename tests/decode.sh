#!/bin/sh
# examples/decode.sh in small: the same tokens on every mesh and transport, and
# after an interruption; what --auto does to its model.
set -u
build=$(pwd)
top=$(cd "${srcdir-.}" && pwd)
PATH=$build/tools:$build/examples:$PATH
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
# shellcheck source=tests/mpirun.sh
. "$(dirname "$0")/mpirun.sh"
cd "$work" || exit 1

decode() {
  sh "$top/examples/decode.sh" "$build" 8 "$work/decode" > said 2>&1 &&
    [ "$(grep -c '^the same tokens' said)" = "$1" ] && return
  cat said
  return 1
}
runs=3
if [ "${HAVE_MPI-0}" = 1 ] && command -v mpirun > /dev/null; then runs=5; fi
ok "the same tokens in each of $runs runs" decode $runs

# Two sums for each of two layers, and one at most for the table of tokens;
# caches stay where they are.
split() { # split DEVICES ARGUMENTS...
  n=$1
  shift
  decoder -q -f -o model.onnx "$@" &&
    gshard-annotate -q -n --mesh "tp=$n" --auto --report model.onnx 2> report &&
    grep -q '^collectives: [45] AllReduce$' report && return
  cat report
  return 1
}
ok "--auto, 2 devices" split 2
ok "--auto, 4 devices" split 4
ok "--auto, 4 devices that share 2 heads of keys" split 4 --kv-heads 2
ok "--auto, a wide model" split 2 --model-dim 512 --hidden-dim 1024 --vocab 2048
done_all
