#!/bin/sh
# Annotated models after other tools have been at them: what is lost or edited
# is told, and so is what gshard does not carry out.
set -u
build=$(pwd)
edit=$build/tests/test_devices
samples=$build/tests/test_onnx
if [ ! -x "$edit" ] || [ ! -x "$samples" ]; then
  echo "skipped: tests/test_devices or tests/test_onnx is not built"
  exit 77
fi
# shellcheck source=tests/cases.sh
. "$(dirname "$0")/cases.sh"
# gives STATUS TEXT COMMAND...: it ends with that status and says so; TEXT -:
# nothing on standard error.
gives() {
  want=$1 says=$2
  shift 2
  "$@" > out 2> err < /dev/null
  got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  if [ "$says" = - ]; then [ ! -s err ]; else grep -q -e "$says" err; fi ||
    { echo "not said: $says"; cat err; return 1; }
}
edited() { # edited KIND FROM: KIND.onnx
  "$edit" --edit "$1" "$2.onnx" "$1.onnx" || exit 1
}
shardings() { "$annotate" --list-tensors "$@" | grep -v '{[~,]*}'; }

"$samples" --samples . || exit 1
cat > mlp.yaml << 'END_SPEC'
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: "w[12]"}
    shard: [~, tp]
END_SPEC
"$annotate" -q -s mlp.yaml -o a.onnx mlp.onnx || exit 1
ok "as it was written" gives 0 - "$annotate" --check -q a.onnx

# ---- all of it is gone ------------------------------------------------------
for kind in lose-all rename-all lose-all-and-count; do
  edited $kind a
  ok "$kind: partition" gives 65 'simplify and convert first' \
    "$partition" -q -o none $kind.onnx
  ok "$kind: no plan" test ! -e none
  ok "$kind: check" gives 1 'shardings' "$annotate" -q --check $kind.onnx
  ok "$kind: annotate without a spec" gives 65 'give gshard-annotate the spec' \
    "$annotate" -q -o none $kind.onnx
done
ok "the message counts" gives 65 'all 6 tensors that were split are lost' \
  "$partition" -q -n lose-all.onnx
again() {
  gives 0 - "$annotate" -q -s mlp.yaml -f -o again.onnx lose-all.onnx &&
    cmp again.onnx a.onnx
}
ok "with the spec all is as before" again

# ---- a part of it is gone ---------------------------------------------------
for kind in lose-half rename-input; do
  edited $kind a
  ok "$kind: partition warns" gives 0 'warning: [0-9]* of [0-9]* annotated' \
    "$partition" -n $kind.onnx
  ok "$kind: check" gives 1 'annotated tensors have lost' \
    "$annotate" -q --check $kind.onnx
done
ok "which tensor" gives 0 "such as 'x'" "$partition" -n rename-input.onnx
edited lose-count a
ok "of an older version" gives 0 - "$partition" -q -n lose-count.onnx

# ---- the standard fields alone ----------------------------------------------
edited lose-metadata a
shardings a.onnx > before
ok "the fields are read" gives 0 'read from the standard fields' \
  "$partition" -n lose-metadata.onnx
shardings -q lose-metadata.onnx > after
ok "on the same mesh" cmp before after
for kind in lose-fields lose-node lose-configuration; do
  edited $kind a
  ok "$kind: partition warns" gives 0 'the metadata gshard.\* have them' \
    "$partition" -n $kind.onnx
  ok "$kind: check" gives 1 'standard fields' "$annotate" -q --check $kind.onnx
  ok "$kind: written again" "$annotate" -q -f -o again.onnx $kind.onnx
  ok "$kind: as before" cmp again.onnx a.onnx
done

# ---- edited -----------------------------------------------------------------
for kind in move-axis turn-devices more-devices; do
  edited $kind a
  ok "$kind: partition" gives 65 'contradict the metadata' \
    "$partition" -q -n $kind.onnx
  ok "$kind: check" gives 1 'contradict the metadata' \
    "$annotate" -q --check $kind.onnx
  ok "$kind: the metadata win" gives 0 'warning: the standard fields' \
    "$annotate" -f -o again.onnx $kind.onnx
  ok "$kind: as before" cmp again.onnx a.onnx
done
ok "the place" gives 65 "node 'up' (MatMul): tensor 'x'" \
  "$partition" -q -n move-axis.onnx
ok "what they say" gives 65 'they say 1 x 2 parts, the metadata {dp,~}' \
  "$partition" -q -n move-axis.onnx
ok "the fields win if asked" "$annotate" -q --configuration gshard \
  -f -o again.onnx move-axis.onnx
ok "x is as they say" [ "$(shardings again.onnx | grep '^x : ')" = \
  "x : f32[6,10] {~,dp}" ]
ok "and complete" gives 0 - "$annotate" -q --check again.onnx
equal() {
  "$partition" -q --configuration gshard -o - move-axis.onnx |
    "$run" -q --random 1 --check mlp.onnx -
}
ok "and equal to the whole" equal

# ---- not carried out --------------------------------------------------------
edited add-stages a
ok "stages" gives 0 "node 'up' (MatMul): warning: pipeline_stage is ignored" \
  "$partition" -n add-stages.onnx
edited add-stages mlp
ok "stages alone" gives 78 'pipeline_stage is ignored' \
  "$annotate" -n add-stages.onnx
ok "stages and a mesh" gives 0 'every device runs all stages' \
  "$annotate" -n --mesh d=2 add-stages.onnx
edited add-twin a
ok "a second configuration" gives 0 "of configuration 'p/twin' are ignored" \
  "$partition" -n add-twin.onnx
ok "is read if asked" gives 0 "of configuration 'gshard' are ignored" \
  "$annotate" --configuration p/twin -f -o again.onnx add-twin.onnx
ok "one that is not there" gives 65 "does not have a configuration 'other'" \
  "$partition" -n --configuration other a.onnx
edited add-names a
ok "names of devices" gives 0 "('p/cuda', ...) are not used" \
  "$partition" -n add-names.onnx
"$annotate" -q --mesh tp=2 -o f.onnx functions.onnx
edited add-inner f
ok "inside of functions" gives 0 'inside of functions and inner graphs' \
  "$partition" -n add-inner.onnx

# ---- specs ------------------------------------------------------------------
cat > ids.yaml << 'END_SPEC'
mesh: {axes: {dp: 2, tp: 2}, device_ids: [3, 1, 2, 0], link: {tp: {gbps: 80}}}
options: {memory_per_device: 1GiB}
rules: [{match: {tensor: x}, shard: [dp, ~]}]
END_SPEC
dumped() { # dumped TEXT OPTION...: the spec that is understood says TEXT
  text=$1
  shift
  "$annotate" -q --dump-spec "$@" mlp.onnx > dump && grep -q -e "$text" dump
}
ok "an option without effect" gives 0 'not used without auto: fill' \
  "$annotate" -n -s ids.yaml mlp.onnx
ok "--mesh of another size" gives 0 'device_ids are dropped' \
  "$annotate" -s ids.yaml --mesh dp=4,tp=2 -f -o ids.onnx mlp.onnx
ok "keeps links" dumped 'tp: {gbps: 80}' -s ids.yaml --mesh dp=4,tp=2
"$annotate" -q -s ids.yaml -f -o ids.onnx mlp.onnx
ok "of a model" gives 0 'device_ids are dropped' \
  "$partition" -n --mesh dp=4,tp=2 ids.onnx
ok "the same mesh keeps them" gives 0 - "$partition" -q -n --mesh dp=2,tp=2 \
  ids.onnx
echo 'mesh: {axes: {dp: 2, tp: 2}, link: {dp: {alpha_us: 3}}}' > more.yaml
ok "two specs: device_ids" dumped 'device_ids: \[3, 1, 2, 0\]' -s ids.yaml \
  -s more.yaml
ok "two specs: the first link" grep -q 'tp: {gbps: 80}' dump
ok "two specs: the second link" grep -q 'dp: {alpha_us: 3}' dump

# ---- device orders ----------------------------------------------------------
cat > order.yaml << 'END_SPEC'
mesh: {axes: {dp: 2, tp: 2}}
orders: {zigzag: [0, 3, 1, 2]}
rules:
  - {match: {tensor: x}, shard: [zigzag, ~]}
END_SPEC
cat > again.yaml << 'END_SPEC'
rules:
  - {match: {tensor: y}, assign: {shape: [4, 1], devices: [0, 3, 1, 2]}}
  - {match: {tensor: w1}, assign: [[3, 0, 1, 2]]}
END_SPEC
"$annotate" -q -s order.yaml -o order.onnx mlp.onnx
ok "an order, as it was written" gives 0 - "$annotate" --check -q order.onnx
listed() { "$annotate" --list-tensors order.onnx | grep -q -e "$1"; }
ok "in its sharding" listed '^x .*{zigzag,~}'
"$partition" -q -o - order.onnx > order.program
"$partition" -q --configuration gshard -o - order.onnx > fields.program
ok "from the standard fields the same" cmp order.program fields.program
"$annotate" -q -s again.yaml -f -o order.onnx order.onnx
ok "an assignment that follows from it" listed '^y .*{zigzag,~}'
ok "one that is an order of its own" listed '^w1 .*{~,order1}'
ok "dumped" dumped 'zigzag: \[0, 3, 1, 2\]' -s order.yaml
cp dump order.dump
ok "and read again" dumped 'zigzag: \[0, 3, 1, 2\]' -s order.dump
echo 'orders: {zigzag: [0, 1, 3, 2]}' > other.yaml
ok "a second order of that name" gives 78 "'zigzag' is defined twice" \
  "$annotate" -n -s order.yaml -s other.yaml mlp.onnx
ok "another mesh" gives 78 'lists 4 devices, but the mesh has 8' \
  "$annotate" -n -s order.yaml --mesh d=8 mlp.onnx
ok "--mesh with an order" gives 64 "'z' is a device order" \
  "$partition" -n --mesh 'd=4,z=[0,3,1,2]' order.onnx
ok "another mesh of an annotated model" gives 78 'the mesh has no axis' \
  "$partition" -n --mesh d=4 order.onnx

# ---- without the standard fields --------------------------------------------
ok "--standard-fields=no" gives 0 - "$annotate" -q --standard-fields=no \
  -s mlp.yaml -o no.onnx mlp.onnx
ok "is smaller" [ "$(wc -c < no.onnx)" -lt "$(wc -c < a.onnx)" ]
ok "and complete" gives 0 - "$annotate" -q --check no.onnx
shardings no.onnx > after
ok "the same shardings" cmp before after
"$partition" -q -o - a.onnx > a.program
"$partition" -q -o - no.onnx > no.program
ok "the same program" cmp a.program no.program
size() { # size DEVICES OPTION...: bytes of the annotated model
  devices=$1
  shift
  "$annotate" -q --mesh d="$devices" "$@" -f -o size.onnx mlp.onnx &&
    wc -c < size.onnx
}
ok "auto: 64 devices" [ "$(size 64)" -gt "$(size 64 --standard-fields=no)" ]
ok "auto: 65 devices" [ "$(size 65)" -eq "$(size 65 --standard-fields=no)" ]
ok "yes: 65 devices" [ "$(size 65 --standard-fields=yes)" -gt "$(size 65)" ]
ok "with many devices" gives 0 - "$annotate" -q --check size.onnx

# ---- stacks -----------------------------------------------------------------
cat > experts.yaml << 'END_SPEC'
mesh: {axes: {ep: 4}}
options: {stack: true}
rules:
  - match: {tensor: "e.*.w[12]", rank: 3}
    shard: [ep, ~, ~]
    expect: 2
END_SPEC
sed 's/true/false/' experts.yaml > apart.yaml
ok "stacks are matched" gives 0 - \
  "$annotate" -q -s experts.yaml -o experts.a.onnx experts.onnx
ok "no stacks without the option" gives 78 'matches nothing' \
  "$annotate" -q -s apart.yaml -o none experts.onnx
ok "nothing to stack" gives 78 'no branches of a sum are equal' \
  "$annotate" -q -s experts.yaml -o none mlp.onnx
ok "the annotated model is whole" gives 0 - "$annotate" -q --check experts.a.onnx
ok "annotated again" gives 0 - \
  "$annotate" -q -s experts.yaml -f -o again.onnx experts.a.onnx
"$partition" -q -o - experts.a.onnx > experts.program
ok "what stacks compute" gives 0 - \
  "$run" -q --random 1 --check experts.onnx experts.program
"$partition" --report -n experts.a.onnx > report 2>&1
ok "one sum over the devices" grep -q 'collectives: 1 AllReduce$' report

# ---- weights that are several, as a rule says -------------------------------
cat > parts.yaml << 'END_SPEC'
mesh: {axes: {tp: 2}}
rules:
  - {match: {tensor: w1}, style: colwise, segments: [{gate: SIZE}, {up: SIZE}]}
END_SPEC
width=$("$annotate" --list-tensors mlp.onnx | sed -n 's/^w1 .*,\([0-9]*\)\].*/\1/p')
sed -i "s/SIZE/$((width / 2))/g" parts.yaml
ok "cut as a rule says" gives 0 - \
  "$annotate" -q -s parts.yaml -o parts.onnx mlp.onnx
ok "cut again when it is read" gives 0 - "$annotate" -q --check parts.onnx
ok "and with the rule" gives 0 - \
  "$annotate" -q -s parts.yaml -f -o again.onnx parts.onnx
ok "not after other annotations" gives 78 "annotated without segments of 'w1'" \
  "$annotate" -q -s parts.yaml -f -o again.onnx a.onnx
"$partition" -q -o - parts.onnx > parts.program
ok "what the parts compute" gives 0 - \
  "$run" -q --random 1 --check mlp.onnx parts.program
"$partition" --report -n parts.onnx > report 2>&1
ok "and send" grep -q 'collectives: 1 AllReduce$' report
tr '\n' '@' < parts.onnx | sed "s/1 $((width / 2)),/9 $((width / 2)),/" |
  tr '@' '\n' > edited.onnx
ok "segments that somebody has edited" gives 65 'does not fit the weights' \
  "$partition" -q -n edited.onnx

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
