#!/bin/sh
# MoE layers of Hugging Face models as PyTorch's two exporters wrote them
# (gen/experts.py): whole they give what ONNX Runtime gives; stacked, for the
# rules name stacks, and split over 2, 3 and 4 devices they give it too, with one
# sum over the devices.
set -u
data=$srcdir/tests/data/experts
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
tolerance="--rtol 1e-3 --atol 1e-5"

# shellcheck disable=SC2086
whole() { # whole MODEL
  tools/gshard-run $tolerance --test-data "$data/$1/set-0" \
    "$data/$1/model.onnx"
}

# annotate MODEL DEVICES OPTIONS
annotate() {
  { cat "$data/spec-${1#*-}.yaml" && echo "options: {$3}"; } > "$work/spec"
  tools/gshard-annotate -q -s "$work/spec" --mesh "ep=$2" -o - \
    "$data/$1/model.onnx" > "$work/annotated"
}

# split MODEL DEVICES OPTIONS
# shellcheck disable=SC2086
split() {
  annotate "$1" "$2" "$3" &&
    tools/gshard-partition -q -o - "$work/annotated" > "$work/program" &&
    tools/gshard-run $tolerance --test-data "$data/$1/set-0" \
      --check "$data/$1/model.onnx" "$work/program"
}

one_sum() {
  tools/gshard-partition -n --report "$work/annotated" > "$work/report" 2>&1
  grep -q 'collectives: 1 AllReduce$' "$work/report"
}

# With room for one token each expert drops others.
drops() {
  annotate "$1" 2 'stack: true, capacity: 1' || return 1
  tools/gshard-partition -q -o - "$work/annotated" > "$work/program"
  tools/gshard-run --test-data "$data/$1/set-0" "$work/program"
  [ $? -eq 1 ]
}

# Without stacks the rules name nothing.
refused() {
  annotate "$1" 2 "$2"
  [ $? -eq 78 ]
}

# An annotated model keeps the capacity that its shardings are of.
keeps() {
  annotate mixtral-script 2 'capacity: 5' || return 1
  cp "$work/annotated" "$work/first"
  for capacity in 5 6; do
    { cat "$data/spec-script.yaml" && echo "options: {capacity: $capacity}"; } \
      > "$work/spec"
    tools/gshard-annotate -s "$work/spec" -o - "$work/first" \
      > "$work/again" 2> "$work/said.$capacity" || return 1
    cmp "$work/first" "$work/again" || return 1
  done
  ! grep capacity "$work/said.5" && grep 'capacity.*another' "$work/said.6"
}
ok "annotated again with another capacity" keeps

for model in mixtral-script mixtral-dynamo qwen-script qwen-dynamo \
  switch-script switch5-script; do
  ok "$model, whole" whole $model
  for n in 2 3 4; do
    ok "$model over $n" split $model $n ''
    ok "$model over $n, one sum" one_sum
  done
  ok "$model, room for all" split $model 2 'capacity: 12'
  ok "$model, more room" split $model 4 'capacity: 100'
  ok "$model, room for one" drops $model
  ok "$model, not stacked" refused $model 'stack: false'
done

# Nobody speaks of stacks: options.auto finds that they cost less, or that the
# limit wants them, or that neither is so.
auto() { # auto MODEL MACHINE LIMIT
  cat > "$work/spec" << end
version: 1
mesh: {axes: {ep: 4}}
machine: {$2}
options: {auto: fill${3:+, memory_per_device: $3}}
end
  tools/gshard-annotate -q -s "$work/spec" -o - "$data/$1/model.onnx" \
    > "$work/annotated" &&
    tools/gshard-annotate -n -s "$work/spec" --report \
      "$data/$1/model.onnx" > "$work/report" 2>&1
}

stacks() { # stacks MODEL MACHINE LIMIT
  auto "$@" || return 1
  grep -q '^auto: branches stacked, [1-9]' "$work/report" || return 1
  tools/gshard-partition -q -o - "$work/annotated" > "$work/program" &&
    tools/gshard-run $tolerance --test-data "$data/$1/set-0" \
      --check "$data/$1/model.onnx" "$work/program" || return 1
  tools/gshard-annotate -s "$work/spec" --dump-spec "$data/$1/model.onnx" \
    > "$work/dumped" &&
    tools/gshard-annotate -q -s "$work/dumped" -o - "$data/$1/model.onnx" \
      > "$work/again" && tools/gshard-partition -q -o - "$work/again" |
      cmp - "$work/program"
}

leaves() { auto "$@" && grep -q '^auto: [0-9]' "$work/report"; }

slow='flops: 1e6, memory_gbs: 0.01'
fast='flops: 1e12, memory_gbs: 1000'
for model in mixtral-script mixtral-dynamo switch-script; do
  ok "$model, stacked for its price" stacks $model "$slow" ''
done
for model in mixtral-script switch-script; do
  limit=5500
  [ $model = switch-script ] && limit=4500
  ok "$model, stacked for the limit" stacks $model "$fast" $limit
  ok "$model, its experts split" grep -q '^  ep .* dim 0 of .*\*' "$work/report"
  ok "$model, left as it is" leaves $model "$fast" ''
done

# Weights of all experts are one tensor, which rules name as it is.
for model in qwen3-eager gptoss-eager deepseek-eager granite-eager; do
  ok "$model, whole" whole $model
  for n in 2 3 4; do
    ok "$model over $n" split $model $n 'stack: true'
    ok "$model over $n, one sum" one_sum
  done
  ok "$model, room for all" split $model 2 'stack: true, capacity: 12'
  ok "$model, room for one" drops $model
  ok "$model, not stacked" split $model 2 'stack: false'
done

for model in qwen3-batched gptoss-batched; do
  ok "$model, whole" whole $model
  for n in 2 3; do ok "$model over $n" split $model $n ''; done
done

done_all
