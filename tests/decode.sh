#!/bin/sh
# examples/decode.sh in small: the same tokens on every mesh and transport, and
# after an interruption; what --auto and examples/decoder.yaml do to language
# models (tests/data/decoders, made by tests/gen/decoders.py).
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
data=$top/tests/data/decoders
chunks() { # a prompt of 20 tokens: 8 and 8 at once, and 4
  sh "$top/examples/decode.sh" "$build" 8 "$work/chunks" "$data/small.onnx" \
    20 8 > said 2>&1 &&
    [ "$(grep -c '^the same tokens' said)" -ge "$1" ] &&
    [ "$(grep -c '^bindings: prefill 2 runs, decode 11 runs$' said)" = "$1" ] &&
    [ "$(grep -c '^fed back: 4 values, 4 in place' said)" = $(($1 + 1)) ] &&
    tail -c 1088 chunks/whole.npys | cmp - "$data/tokens.npys" && return
  cat said
  return 1
}
ok "in chunks, what onnxruntime says" chunks $runs

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

# The same of what exporters write, whatever their words for it; of both programs
# of a plan, since caches and weights are cut once for all of them.
printf 'bind: {batch_size: 1}\nstate: [{size: 512}]\n' > one.yaml
cp one.yaml two.yaml
echo 'bindings: {prefill: {sequence_length: 128}, decode: {sequence_length: 1}}' \
  >> two.yaml
sums() { # sums MODEL DEVICES ARGUMENTS...
  model=$1 n=$2
  shift 2
  gshard-annotate -q -n --mesh "tp=$n" --report "$@" "$data/$model.onnx" \
    2> report || { cat report; return 1; }
  grep -q '^collectives: 5 AllReduce$' report &&
    { ! grep -q "^with 'decode'" report ||
      grep -q "^with 'decode': .* collectives: 5 AllReduce$" report; } && return
  cat report
  return 1
}
for model in float int4 shared packed half moe moe4; do
  ok "$model, 4 devices, rules" sums $model 4 -s "$top/examples/decoder.yaml" \
    -s two.yaml
done
for model in int4 shared packed moe4; do
  ok "$model, --auto" sums $model 4 --auto -s one.yaml --bind sequence_length=1
done
ok "two programs, --auto" sums moe 4 --auto -s two.yaml
told() {
  gshard-annotate -q -n -s "$top/examples/decoder.yaml" -s two.yaml \
    --report=json "$data/half.onnx" > report.json &&
    grep -q '"bindings": \[' report.json &&
    grep -q '{"name": "decode", "activation_bytes_per_device": ' report.json
}
ok "a report of both" told
done_all
