#!/bin/sh
# The tools on a model with control flow, results whose size depends on data,
# a sequence and strings (tests/data/dynamic, made by tests/gen/dynamic.py): the
# outputs are those of ONNX Runtime, whole, annotated and partitioned.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/dynamic" && pwd)
# shellcheck source=tests/cases.sh
. "$(dirname "$0")/cases.sh"
# fails STATUS TEXT COMMAND...: it ends with that status and says so.
fails() {
  want=$1 says=$2
  shift 2
  "$@" > log 2>&1 < /dev/null
  got=$?
  if [ "$got" = "$want" ] && grep -q -e "$says" log; then
    passed=$((passed + 1))
  else
    printf 'not ok: exit %s, not %s with "%s": %s\n' "$got" "$want" "$says" "$*"
    sed 's/^/  /' log | head -10
    failed=$((failed + 1))
  fi
}

cat > spec.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END
cp "$data/model.onnx" .
set -- --test-data "$data"

ok "the model" "$run" model.onnx "$@"
ok "annotate" "$annotate" -s spec.yaml model.onnx -o annotated.onnx
ok "the annotated model" "$run" annotated.onnx "$@"
ok "partition" "$partition" annotated.onnx -o spmd
ok "the program" "$run" spmd "$@" --check model.onnx
ok "partition for devices" "$partition" annotated.onnx --verify \
  --emit=device -o device
ok "the graphs of devices" "$run" device "$@" --check model.onnx
ok "one file" sh -c "'$partition' annotated.onnx -o - > one.onnx"
ok "that file" "$run" one.onnx "$@"
# trips N-BYTES-IN-OCTAL: the scalar, as a TensorProto.
trips() {
  printf '\020\007\112\010'"$1" > trips.pb
  "$run" spmd -i x="$data/input_0.pb" -i trips=trips.pb --check model.onnx
}
ok "no iterations" trips '\0\0\0\0\0\0\0\0'
ok "fewer than none" trips '\376\377\377\377\377\377\377\377'
ok "many" trips '\210\023\0\0\0\0\0\0'
ok "outputs are files" "$run" spmd "$@" -o out
for i in y places picked history; do ok "$i.npy" test -s "out/$i.npy"; done
for i in steps text; do ok "$i.pb" test -s "out/$i.pb"; done
ok "the sequence is as it was" cmp out/steps.pb "$data/output_4.pb"
ok "the strings are as they were" "$run" spmd "$@" -o text=text.pb
ok "the report counts what runs whole" sh -c \
  "'$partition' annotated.onnx --report -n 2>&1 | grep 'NonZero'"

fails 65 "expects f32\\[8,4\\]" "$run" model.onnx -i trips="$data/input_1.pb" \
  -i x="$data/output_1.pb"
cat > whole.yaml << 'END'
version: 1
mesh: {axes: {dp: 2}}
rules:
  - match: {tensor: places}
    shard: [~, dp]
END
fails 78 "cannot be" "$annotate" -s whole.yaml model.onnx -o bad.onnx
sed 's/shard: .*/replicate: true/' whole.yaml > replicate.yaml
ok "what cannot be split may be said to be whole" \
  "$annotate" -s replicate.yaml model.onnx -o replicated.onnx

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
