#!/bin/sh
# Models that declare shapes which do not come out, and attention as older
# exporters write it (tests/data/stale, made by tests/gen/stale.py): the outputs
# are those of ONNX Runtime, whole and sharded, with one warning.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/stale" && pwd)
# shellcheck source=tests/cases.sh
. "$(dirname "$0")/cases.sh"
# says N TEXT PATTERN FILE: PATTERN is in N lines of FILE.
says() {
  if [ "$(grep -c -e "$3" "$4")" = "$1" ]; then
    passed=$((passed + 1))
  else
    printf 'not ok: %s: %s lines with "%s"\n' "$2" "$1" "$3"
    sed 's/^/  /' "$4" | head -10
    failed=$((failed + 1))
  fi
}
declares='warning: .*the model declares'

cat > attention.yaml << 'END'
mesh: {axes: {tp: 2}}
rules:
  - match: {tensor: "w[qkv]"}
    style: colwise
  - match: {tensor: wo}
    style: rowwise
  - match: {tensor: "past_*"}
    shard: [~, tp, ~, ~]
END
cat > batch.yaml << 'END'
mesh: {axes: {dp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ...]
END

# model CASE SPEC WARNINGS: whole; annotated, which carries the right shapes;
# partitioned.
model() {
  m=$data/$1/model.onnx
  rm -rf plan a.onnx
  ok "$1" "$run" --test-data "$data/$1" "$m"
  says "$3" "$1" "$declares" log
  ok "$1: annotate" "$annotate" --bind n=4 -s "$2" --report -o a.onnx "$m"
  says "$3" "$1: annotate" "$declares" log
  says 0 "$1: no attention runs whole" 'GroupQueryAttention.*whole' log
  ok "$1: annotated" "$run" --test-data "$data/$1" a.onnx
  says 0 "$1: annotated" "$declares" log
  ok "$1: partition" "$partition" -o plan a.onnx
  says 0 "$1: partition" "$declares" log
  ok "$1: partitioned" "$run" --test-data "$data/$1" plan
  says 0 "$1: partitioned" "$declares" log
}
model shapes batch.yaml 1
model needed batch.yaml 0
model facts batch.yaml 0
model softmax batch.yaml 1
model lengths-column attention.yaml 0
model lengths-column batch.yaml 0
model buffer attention.yaml 1
model buffer-total attention.yaml 1
model total attention.yaml 0
model total batch.yaml 0

# The warning names the first tensor and counts the others.
ok shapes "$run" --test-data "$data/shapes" "$data/shapes/model.onnx"
says 1 "the first and the count" "node 'h' (MatMul): warning: result 'h' is \
f32\[4,6\], but the model declares f32\[3,7\], which is ignored; so are the \
declared shapes of 3 other tensors" log

# More or fewer rows than the 8 of the caches in the plan, the last one made.
t=$data/total
for total in 9 5; do
  byte=$(printf '\\%03o' "$total")
  printf '\020\006\112\004%b\000\000\000' "$byte" > total.pb
  "$run" -i x="$t/input_0.pb" -i past_key="$t/input_1.pb" \
    -i past_value="$t/input_2.pb" -i lengths="$t/input_3.pb" \
    -i total=total.pb plan > log 2>&1
  code=$?
  says 1 "a total of $total" "is $total, .* have room for 8" log
  ok "a total of $total: exit 65" [ "$code" = 65 ]
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
