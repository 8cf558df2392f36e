#!/bin/sh
# The three tools together: pipelines, reports, signals, the same bytes twice.
set -u
build=$(pwd)
data=$build/tests
[ -d "$data/spec" ] || data=$(cd "${srcdir-.}/tests" && pwd)
schemas=$(cd "${srcdir-.}/schemas" && pwd)
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
# shellcheck source=tests/cases.sh
. "$(dirname "$0")/cases.sh"
same=$build/tests/test_onnx
says() { grep -q -e "$1" "$2"; }
gives() {
  want=$1
  shift
  "$@" > out 2> err < /dev/null
  got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want"; cat err; false; }
}

"$build/tests/test_onnx" --samples . || exit 1
cat > mlp.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: "w[12]"}
    shard: [~, tp]
    expect: 2
END
sed 's/, tp: 2/, tp: 2}, device_ids: [3, 1, 2, 0/; s/0}}$/0]}/' mlp.yaml \
  > functions.yaml
cat > uneven.yaml << 'END'
version: 1
mesh: {axes: {dp: 4, tp: 3}}
rules:
  - {match: {tensor: x}, shard: [dp, ~]}
  - {match: {tensor: w1}, shard: [~, tp]}
END
cat > ports.yaml << 'END'
version: 1
mesh: {axes: {dp: 4}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
END
cp ports.yaml old.yaml
cat > two.yaml << 'END'
version: 1
mesh: {axes: {dp: 2}}
rules:
  - match: {tensor: "{x,ids}"}
    shard: [dp, ~]
END
sed 's/^mesh.*/&\nbind: {n: 7}/' ports.yaml > any.yaml

# ---- annotated models -------------------------------------------------------
shardings() { "$annotate" --list-tensors "$1" | grep '{'; }
round_trip() { # the shardings of $1 are those of $2, and there are some
  shardings "$1" > a.txt && shardings "$2" > b.txt && [ -s a.txt ] &&
    cmp a.txt b.txt
}
# A spec with nothing but what --dump-spec printed.
dumped() {
  "$annotate" -s "$1.yaml" --dump-spec "$1.onnx" > "$1.dump.yaml" &&
    "$annotate" -q -s "$1.dump.yaml" -o "$1.dumped.onnx" "$1.onnx"
}
for m in mlp functions ports old any; do
  ok "$m is annotated" "$annotate" -q -s $m.yaml -o $m.a.onnx $m.onnx
  ok "$m: only annotations change" "$same" --same $m.onnx $m.a.onnx
  "$annotate" -q -s $m.yaml -o - $m.onnx > $m.b.onnx
  ok "$m: the same bytes twice, and through a pipe" cmp $m.a.onnx $m.b.onnx
  "$annotate" -q -s $m.yaml - < $m.onnx > $m.b.onnx
  ok "$m: the same bytes from standard input" cmp $m.a.onnx $m.b.onnx
  ok "$m is complete" "$annotate" -q --check $m.a.onnx
  ok "$m: annotated again without the spec" \
    "$annotate" -q -o $m.c.onnx $m.a.onnx
  ok "$m: the shardings are read back" round_trip $m.a.onnx $m.c.onnx
  ok "$m: the same bytes again" cmp $m.a.onnx $m.c.onnx
  ok "$m: the dumped spec is a spec" dumped $m
  ok "$m: as JSON" gives 0 "$annotate" --json -s $m.yaml --dump-spec $m.onnx
  cp out $m.dump.json
  ok "$m: it is the same spec" gives 0 "$annotate" --json -s $m.dump.json \
    --dump-spec $m.onnx
  sed 's/"why": "[^"]*"//g' $m.dump.json > a.txt
  sed 's/"why": "[^"]*"//g' out > b.txt
  ok "$m: which gives itself" cmp a.txt b.txt
  ok "$m: with the same shardings" round_trip $m.a.onnx $m.dumped.onnx
done

ok "-v" gives 0 "$annotate" -v -n -s mlp.yaml mlp.onnx
ok "tells the time of each step" says 'gshard-annotate: partition *[0-9.]* ms' err
ok "-vv of a program" gives 0 "$partition" -vv -n mlp.a.onnx
ok "tells the memory as well" says 'KiB resident at most' err

# options.auto; moe.sh has a model for which it pays.
ok "--auto" gives 0 "$annotate" --mesh dp=2,tp=2 --auto \
  -o auto.onnx mlp.onnx
ok "says how much it chose" says '^auto: [0-9]* choices, predicted run' err
ok "no sharding fits" gives 78 "$annotate" --mesh dp=2 --auto=1B mlp.onnx
ok "which is said" says 'no sharding was found that fits 1 bytes' err
ok "not a byte count" gives 64 "$annotate" --mesh dp=2 --auto=much mlp.onnx

ok "models that differ are told apart" gives 1 "$same" --same mlp.onnx any.onnx
ok "a model without annotations is not complete" \
  gives 1 "$annotate" --check --mesh dp=2,tp=2 -s mlp.yaml mlp.onnx
ok "which is said" says 'have no annotation' err

# ---- pipelines --------------------------------------------------------------
pipeline() {
  "$annotate" -q -s "$1.yaml" "$1.onnx" | "$partition" -q -o - |
    "$run" --random 1 --check "$1.onnx" - > "$1.piped"
}
plan() {
  "$partition" -q --emit "$2" -o "$1.$2" "$1.a.onnx" &&
    "$run" --random 1 --check "$1.onnx" "$1.$2" > "$1.$2.out" &&
    cmp "$1.piped" "$1.$2.out"
}
twice() {
  "$partition" -q --emit "$2" -o "$1.again" "$1.a.onnx" &&
    diff -r "$1.$2" "$1.again" && rm -r "$1.again"
}
for m in mlp functions ports old any; do
  ok "$m through one pipeline" pipeline $m
  ok "$m: exact on whole numbers" says 'integer.*the same bytes' $m.piped
  for form in spmd device; do
    ok "$m: the plan ($form) computes the same" plan $m $form
    ok "$m: the same plan ($form) twice" twice $m $form
  done
done
if locale -a 2> /dev/null | grep -qi '^de_DE\.utf-\{0,1\}8$'; then
  LC_ALL=de_DE.UTF-8 "$annotate" -q -s mlp.yaml -o - mlp.onnx > de.onnx
  ok "the same bytes in another language" cmp mlp.a.onnx de.onnx
fi

# A weight whose uses are sharded differently has its bytes in the plan once:
# whole, or once for each way to cut it.
cat > twice.yaml << 'END'
version: 1
mesh: {axes: {tp: 2}}
rules:
  - {match: {node: a, input: 1}, shard: [~, tp]}
  - {match: {node: b, input: 1}, shard: [tp, ~]}
END
"$annotate" -q -s twice.yaml -o twice.a.onnx twice.onnx
for form in spmd device; do
  ok "a weight with two uses ($form)" "$partition" -q --emit $form \
    -o twice.$form twice.a.onnx
  ok "computes the same" "$run" --random 1 --check twice.onnx twice.$form
done
ok "is stored once, whole" [ "$(wc -c < twice.spmd/weights.data)" -eq 16384 ]
ok "or once for each cut" [ "$(wc -c < twice.device/weights.data)" -eq 32768 ]

# On a device it counts once, however many nodes read it.
ok "a report of it" gives 0 "$annotate" -n --mesh tp=2 --report=json twice.onnx
ok "counts it once" says '"weight_bytes_per_device": 16384,' out
ok "it fits where it fits once" gives 0 "$annotate" -n --mesh tp=2 \
  --auto=20000B twice.onnx

# A product over a split dim, in f16: partial sums are rounded.
"$annotate" -q -s twice.yaml -o half.a.onnx half.onnx
ok "f16 is partitioned" "$partition" -q -o half.spmd half.a.onnx

# A small weight that its use does not split is held whole, and said to be.
cat > held.yaml << 'END'
version: 1
mesh: {axes: {tp: 2}}
rules:
  - {match: {tensor: x}, shard: [tp, ~]}
  - {match: {tensor: w}, shard: [tp, ~]}
END
ok "a small weight" gives 0 "$annotate" -n -s held.yaml --explain w twice.onnx
ok "is explained as whole" says 'held whole, small' out
ok "a report of it" gives 0 "$annotate" -n -s held.yaml --report=json \
  twice.onnx
ok "says so" says '"held": "whole, small", "bytes_per_device": 16384}' out
ok "as the schema has it" "$same" --json "$schemas/gshard-report.schema.json" \
  out

# Device orders.
cat > order.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
orders: {zigzag: [0, 3, 1, 2]}
rules:
  - {match: {tensor: x}, shard: [zigzag, ~]}
  - {match: {tensor: y}, shard: [dp, tp]}
END
ok "a report of device orders" gives 0 "$annotate" -n -s order.yaml \
  --report=json mlp.onnx
ok "says so" says '"orders": {"zigzag": \[0, 3, 1, 2\]}' out
ok "as the schema has it" "$same" --json "$schemas/gshard-report.schema.json" \
  out

# Inputs and outputs by way of files and pipes.
outputs() { # OPTION...: of one run with --random 1, into the directory out1
  rm -rf out1
  "$run" -q --random 1 -o out1 "$@"
}
feed() {
  "$run" -q --random 1 -o y=- mlp.onnx > y.npy &&
    cmp y.npy out1/y.npy
}
ok "outputs into a directory" outputs mlp.onnx
ok "one output to standard output" feed
cp out1/y.npy x.npy # f32[6,10], like x
from_pipe() { "$run" -i - mlp.onnx < x.npy > a.txt; }
from_named() { "$run" -i x=- mlp.onnx < x.npy > b.txt && cmp a.txt b.txt; }
from_file() { "$run" -i x.npy mlp.onnx > b.txt && cmp a.txt b.txt; }
ok "an input from standard input" from_pipe
ok "an input from standard input by its name" from_named
ok "an input from a file" from_file
pb() {
  "$run" -q -i x.npy -o y=y.pb mlp.onnx && mkdir -p td &&
    cp y.pb td/output_0.pb && cp td/output_0.pb again.pb &&
    "$run" -q -i again.pb -o y=z.pb mlp.onnx
}
ok "TensorProto files" pb
test_data() {
  "$run" -q --random 1 -o ports.out ports.onnx &&
    "$run" -q -f --random 1 -o y=td/output_0.pb -o z=td/output_1.pb \
      -i x=x.npy -i ids=ids.npy ports.onnx
}
# ids: i64[6] of 0 1 2 3 4 5.
{
  printf '\223NUMPY\001\000\106\000'
  printf '%-69s\n' "{'descr': '<i8', 'fortran_order': False, 'shape': (6,), }"
  for i in 0 1 2 3 4 5; do printf "\\00$i\\0\\0\\0\\0\\0\\0\\0"; done
} > ids.npy
ok "two inputs and two outputs" test_data
ok "--mesh that says the same" "$partition" -q --mesh dp=2,tp=2 -o same.spmd \
  functions.a.onnx
ok "keeps device_ids" says 'device_ids: \[3, 1, 2, 0\]' same.spmd/plan.yaml
ok "two inputs of a plan" "$run" -i x=x.npy -i ids=ids.npy ports.device
ok "an existing output stays" gives 73 "$run" -q --random 1 -o y=y.npy mlp.onnx
ok "but for -f" gives 0 "$run" -q -f --random 1 -o y=y.npy mlp.onnx
ok "-n writes nothing" gives 0 "$run" -n --random 1 -o none mlp.onnx
ok "-n of a plan" gives 0 "$partition" -n -o none mlp.a.onnx
ok "-n of a model" gives 0 "$annotate" -n -s mlp.yaml -o none mlp.onnx
ok "nothing was written" test ! -e none
ok "random inputs in a range" \
  "$run" --random 1 --range ids=0:30 --check ports.onnx ports.spmd
ok "an index out of range is an error" \
  gives 65 "$run" --random 1 --range ids=30:31 ports.onnx
ok "--json" gives 0 "$run" --json --random 1 mlp.onnx
ok "--json names the output" says '"name": "y"' out

# ---- looking inside ---------------------------------------------------------
ok "--explain" gives 0 "$annotate" -s mlp.yaml --explain y mlp.onnx
ok "--explain names the rule" says 'mlp.yaml:4' out
ok "--explain of a name that is near" gives 64 "$annotate" -n -s mlp.yaml \
  --explain w11 mlp.onnx
ok "suggests it" says "did you mean 'w1'" err
ok "--explain of a node" gives 0 "$annotate" -n -q -s mlp.yaml --explain up \
  mlp.onnx
ok "explains what it makes" says '^h {' out
ok "--explain" gives 0 "$annotate" -s mlp.yaml --explain y mlp.onnx
ok "--explain writes no model" sh -c '! grep -q MatMulMatMul out'
explains() { # ARGUMENT...: as JSON, which is as its schema says
  gives 0 "$annotate" -n --json "$@" &&
    "$same" --json "$schemas/gshard-report.schema.json" out
}
ok "--explain as JSON" explains -s mlp.yaml --explain y --explain up mlp.onnx
ok "explains the tensors alone" [ "$(grep -c '"split"' out)" = 2 ]
ok "the axes of each dim" says '"split": \[\["dp"\], \["tp"\]\]' out
ok "a node of the chain" \
  says '{"tensor": "h", "node": "relu", "op_type": "Relu"}' out
ok "the place in the spec" says '{"tensor": "x", "stated_by": "mlp.yaml:4:5"}' \
  out
ok "the collective" says \
  '"kind": "ReduceScatter", "axes": \["tp"\], "bytes": 60, ' out
ok "of an output" says '"needed_by": null' out
ok "it is one object" [ "$(grep -c '^{' out)" = 1 ]
ok "the same by --report=json" gives 0 "$annotate" -n --report=json \
  -s mlp.yaml --explain y mlp.onnx
ok "as its schema says" "$same" --json "$schemas/gshard-report.schema.json" out
ok "a small weight as JSON" explains -s held.yaml --explain w twice.onnx
ok "is held whole" says '"held": "whole, small"' out
ok "a carrier" explains -s twice.yaml --explain y twice.onnx
ok "is the operand that is split" says '"carrier": "h", "origins": \[' out
ok "no axis comes" says \
  '"replicated": {"tensor": "h", "node": "b", "op_type": "MatMul"}' out
cat > turned.yaml << 'END'
version: 1
mesh: {axes: {dp: 2}}
rules:
  - {match: {tensor: x}, shard: [~, dp]}
  - {match: {tensor: h}, shard: [dp, ~]}
END
ok "what a node needs" explains -s turned.yaml --explain x mlp.onnx
ok "names the node" says '"needed_by": {"node": "up", "op_type": "MatMul"}' out
ok "what nothing reaches" explains --mesh dp=2 --explain x mlp.onnx
ok "is replicated for no reason" says '"replicated": {}' out
ok "--explain of no tensor as JSON" gives 64 "$annotate" -n --json \
  -s mlp.yaml --explain w11 mlp.onnx
ok "--list-tensors" gives 0 "$annotate" --list-tensors mlp.a.onnx
ok "with shardings" says '^w1 : f32\[10,34\] {~,tp}' out
cat > array.json << 'END'
{"type": "array", "items": {"type": "object"}}
END
ok "--list-tensors --json" gives 0 "$annotate" --json --list-tensors mlp.a.onnx
ok "is JSON" "$same" --json array.json out
ok "with the tensors" says '{"name": "w1", "dtype": "f32", "dims": .10, 34., "sharding": "{~,tp}"}' out
ok "--list-nodes" gives 0 "$annotate" --list-nodes mlp.a.onnx
ok "with operands" says ' : MatMul (x, w1) -> ' out
ok "--list-nodes --json" gives 0 "$annotate" --json --list-nodes mlp.a.onnx
ok "is JSON as well" "$same" --json array.json out
ok "--list-modules" gives 0 "$annotate" --list-modules mlp.a.onnx
ok "with weights" says ' nodes, .*w1 f32\[10,34\]' out
ok "--list-modules --json" gives 0 "$annotate" --json --list-modules mlp.a.onnx
ok "is such JSON" "$same" --json array.json out
ok "--list-ops --json" gives 0 "$run" --list-ops --json
ok "is JSON too" "$same" --json array.json out
ok "with the operators" says '"operator": "MatMul", "opset": 13, "inputs": .2, 2.' out
ok "--print-schema" gives 0 "$annotate" --print-schema
ok "is the schema of the source" cmp out "$schemas/gshard-spec.schema.json"
ok "--list-ops" gives 0 "$run" --list-ops
ok "with MatMul" says 'MatMul' out


# ---- operands in the place of others ---------------------------------------
ok "model and spec swapped" gives 64 "$annotate" -n -s mlp.onnx mlp.yaml
ok "how it should be" says 'hint: -s mlp.yaml mlp.onnx' err
ok "two on standard input" gives 64 "$annotate" -n -s - -
ok "is said" says 'standard input can be read once' err
ok "two specs on standard input" gives 64 "$annotate" -n -s - -s - mlp.onnx
for file in plan.yaml weights.data device0.onnx; do
  ok "a plan's $file alone" gives 65 "$run" --random 1 mlp.device/$file
  ok "$file: what to give" says 'directory' err
done
ok "--check of f16 sums" gives 0 "$run" --random 1 --check half.onnx half.spmd
ok "are equal as f16" says '^check: 1 output' out
ok "but not exactly" gives 1 "$run" --random 1 --rtol 0 --atol 0 \
  --check half.onnx half.spmd
# Only whole numbers come to where these models differ.
"$annotate" -q --mesh dp=2 -s two.yaml -o two.a.onnx two.onnx
ok "a model is partitioned" "$partition" -q -o two.spmd two.a.onnx
ok "--check of it" gives 0 "$run" --random 1 --check two.onnx two.spmd
ok "has the same bytes" says '^check: 1 output, the same bytes' out
ok "on whole numbers too" \
  says '^check, integer-valued data: 1 output, the same bytes' out
ok "--check of another" gives 1 "$run" --random 1 --check three.onnx two.spmd
ok "has the same bytes" says '^check: 1 output, the same bytes' out
ok "but not on whole numbers" \
  says "^check, integer-valued data: output 'y': .* of 60 elements differ" out
ok "as JSON" gives 1 "$run" --json --random 1 --check three.onnx two.spmd
ok "says both" says \
  '"equal": false, "same_bytes": true, "integers_exact": false' out
ok "whole numbers in f16" gives 0 "$run" --random 1 --check half.onnx half.spmd
ok "sums of others are near" says '^check: 1 output equal within tolerance' out
ok "their sums are exact" says \
  '^check, integer-valued data: 1 output, the same bytes' out

# ---- made-up indices --------------------------------------------------------
"$annotate" -q -s two.yaml -o tokens.a.onnx tokens.onnx
for form in spmd device; do
  "$partition" -q --emit $form -o tokens.$form tokens.a.onnx
done
"$partition" -q -o - tokens.a.onnx > tokens.program.onnx
# drawn NAME: the numbers that a run with these options saw, sorted.
drawn() {
  name=$1
  shift
  rm -f seen.npy
  "$run" -q --random 1 "$@" -o seen=seen.npy && tail -c 800 seen.npy |
    od -An -v -td4 | tr -s ' ' '\n' | sed '/^$/d; s/^-//' | sort -n > "$name"
}
between() { # LEAST MOST FILE: all numbers are, and some are near both ends
  awk -v a="$1" -v b="$2" '$1 < a || $1 > b {bad = 1} $1 < a + 5 {low = 1}
    $1 > b - 5 {high = 1} END {exit bad || !low || !high || NR != 200}' "$3"
}
ok "made-up indices" drawn whole.txt tokens.onnx
ok "are rows of the smallest table" between 0 49 whole.txt
for form in spmd device program.onnx; do
  ok "made-up indices of $form" drawn $form.txt tokens.$form
  ok "are the same" cmp whole.txt $form.txt
  ok "$form computes the same" \
    "$run" --random 1 --check tokens.onnx tokens.$form
  ok "--range wins for $form" drawn some.txt --range ids=10:20 tokens.$form
  ok "all numbers are in it" between 10 19 some.txt
done
"$annotate" -q -s two.yaml ranged.onnx | "$partition" -q -o - > ranged.spmd.onnx
for m in ranged ranged.spmd; do
  ok "a range in the metadata of $m" drawn some.txt $m.onnx
  ok "wins" between 30 40 some.txt
done

# ---- reports ----------------------------------------------------------------
report=$schemas/gshard-report.schema.json
fits() { "$same" --json "$report" "$1"; }
for m in mlp functions ports old any; do
  ok "$m: report of annotate" gives 0 "$annotate" -s $m.yaml --report=json \
    -o $m.r.onnx $m.onnx
  ok "$m: as its schema says" fits out
  ok "$m: report of partition" gives 0 "$partition" -n --report=json -o r \
    $m.a.onnx
  ok "$m: as its schema says" fits out
done
ok "a report in a pipeline goes to stderr" gives 0 "$annotate" -s mlp.yaml \
  --report=json -o - mlp.onnx
ok "as its schema says" fits err

# Six rows over four devices: blocks of 2, and one that is empty.
ok "a summary of uneven dims" gives 0 "$annotate" -n -s uneven.yaml mlp.onnx
ok "names the worst" says \
  '^uneven: [0-9]* dims\?, padding of at most 33.3%, for dim 0 of x (6) over dp (4)$' err
ok "a text report of uneven dims" gives 0 "$annotate" -n --report \
  -s uneven.yaml mlp.onnx
ok "has each" says '33.3%  dim 0 of y (6) over dp (4): blocks of 2, the last 2, 1 empty' err
ok "a short last block too" says \
  '5.88%  dim 1 of w1 (34) over tp (3): blocks of 12, the last 10$' err
ok "a JSON report of uneven dims" gives 0 "$annotate" -n --report=json \
  -s uneven.yaml mlp.onnx
ok "as its schema says" fits out
ok "has them" says '{"tensor": "x", "dim": 0, "size": 6, "shards": 4, "block": 2, "last": 2, "empty": 1}' out
ok "even dims" gives 0 "$annotate" -n -s mlp.yaml --report mlp.onnx
ok "are not uneven" sh -c '! grep -e uneven -e "do not divide" err'

ok "a text report" gives 0 "$partition" -n --report -o r mlp.a.onnx
ok "a text report leaves stdout alone" test ! -s out
sed 's/"version": 1/"version": 2/' err > other.json
ok "a report of another version is told apart" gives 1 fits other.json
ok "diagnostics as JSON" gives 65 "$annotate" --json --mesh a=2 -n x.npy
ok "with the place" says '"place": *"[^"]*x.npy' out

# ---- signals ----------------------------------------------------------------
# end_by SIGNAL CODE: a partition of a gigabyte, interrupted while it writes.
end_by() {
  # A job in the background would ignore SIGINT.
  env --default-signal=INT "$partition" -q --mesh a=2 -o late big.onnx &
  job=$!
  tries=0
  while kill -0 $job 2> /dev/null && [ $tries -lt 100000 ]; do
    for name in late.*/*; do [ ! -e "$name" ] || break 2; done
    sleep 0.01
    tries=$((tries + 1))
  done
  kill -s "$1" $job
  wait $job
  got=$?
  for name in late*; do
    [ ! -e "$name" ] || { echo "left $name"; rm -r "$name"; return 1; }
  done
  [ $got = "$2" ] || { echo "exit $got, not $2"; return 1; }
}
truncate -s 1073741824 big.bin
ok "SIGINT leaves nothing" end_by INT 130
ok "SIGTERM leaves nothing" end_by TERM 143
ok "SIGHUP leaves nothing" end_by HUP 129
quiet_pipe() { # a reader that leaves ends the writer without a message
  { "$run" --list-ops; echo $? > code; } 2> err | head -1 > /dev/null
  [ ! -s err ] || { cat err; return 1; }
}
ok "a reader that leaves" quiet_pipe

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
