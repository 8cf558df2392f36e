#!/bin/sh
# Several bindings in one plan (tests/data/cache, made by tests/gen/cache.py):
# what a plan has of them, which program a run picks, records that a few programs
# take up one after another, with one state and one copy of the weights.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/cache" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"

spec() { # spec NAME SHARD: two places at once, or one
  cat > "$1.yaml" << END
mesh: {axes: {tp: 2}}
bind: {batch: 1}
bindings: {prefill: {new: 2}, decode: {new: 1}}
state: [{size: 8}]
rules:
  - match: {tensor: "past_key_values.*"}
    shard: $2
END
}
plan() { # plan NAME SHARD
  spec "$@"
  "$annotate" -q -s "$1.yaml" -o "$1.onnx" "$data/grown.onnx" &&
    "$partition" -q --verify -o "$1" "$1.onnx" &&
    "$partition" -q --emit device -o "$1.dev" "$1.onnx" || exit 1
}
plan heads "[~, tp, ~, ~]"
plan length "[~, ~, tp, ~]"

# ---- the spec, the model and the plan ----

has() { grep -q -e "$2" "$1" || { cat "$1"; return 1; }; }
lists() {
  ls "$1" | tr '\n' ' ' > names
  echo "$2" > want
  tr -d '\n' < want | cmp names - || { cat names; return 1; }
}
ok "a program for each" lists heads "plan.yaml program-1.onnx program-2.onnx "
ok "graphs for each" lists heads.dev \
  "device0-1.onnx device0-2.onnx device1-1.onnx device1-2.onnx plan.yaml "
ok "which it is" has heads/plan.yaml \
  'bind: \[{name: "batch", size: 1}, {name: "new", size: 1}\]'
same_spec() {
  "$annotate" -s heads.yaml --dump-spec "$data/grown.onnx" > dumped.yaml &&
    has dumped.yaml '^  "decode": {"new": 1}$' &&
    "$annotate" -q -f -s dumped.yaml -o again.onnx "$data/grown.onnx" &&
    "$partition" -q -f -o again again.onnx && same_files again heads
}
same_files() {
  for f in "$1"/*; do cmp "$f" "$2/${f##*/}" || return; done
}
ok "--dump-spec" same_spec
by_option() { # the same with --bind, of which the names follow
  sed '/^bindings/d' heads.yaml > none.yaml
  "$annotate" -q -f -s none.yaml --bind new=2,1 -o again.onnx \
    "$data/grown.onnx" && "$partition" -q -f -o again again.onnx &&
    has again/plan.yaml '^binding: "new=2"$' &&
    cmp again/program-2.onnx heads/program-2.onnx
}
ok "--bind new=2,1" by_option
only_one() { # of the model's, one takes the place of all
  "$partition" -q -f --bind new=3 -o again heads.onnx &&
    has again/plan.yaml 'name: "k", dtype: f32, dims: \[1, 4, 3, 2\]'
}
ok "--bind of one size holds for each" only_one
replaced() {
  "$partition" -q -f --bind new=2,1 -o again heads.onnx &&
    "$partition" -q -f -o again heads.onnx && same_files again heads
}
ok "a plan of several is replaced" replaced

refuses() { # refuses CODE FRAGMENT COMMAND...
  want=$1 fragment=$2
  shift 2
  "$@" > out 2> err
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  has err "$fragment"
}
ok "as many sizes of each" refuses 64 "a binding takes one of each" \
  "$annotate" -s none.yaml --bind new=2,1 --bind batch=1,2,3 "$data/grown.onnx"
ok "as many as the spec has" refuses 64 "the spec has 2 bindings" \
  "$annotate" -s heads.yaml --bind new=2,1,3 "$data/grown.onnx"
ok "no number" refuses 64 "new=x' is not of the form NAME=N" \
  "$annotate" -s none.yaml --bind new=2,x "$data/grown.onnx"
ok "a dim that one leaves open" refuses 78 "'batch' (of input 'k')" \
  "$annotate" --mesh tp=2 --bind new=2,1 --bind past=3 "$data/grown.onnx"
ok "one program cannot have both" refuses 64 "a plan has one for each" \
  "$partition" -q -o - heads.onnx
other_state() { # a state of another size with each
  sed 's/^bind:.*/bind: {}/; s/new: 2/new: 1, batch: 2/; s/{new: 1}/{new: 1, batch: 1}/' \
    heads.yaml > other.yaml
  refuses 78 "is f32\[2,4,8,2\] with the binding 'prefill', but" \
    "$annotate" -s other.yaml -o no.onnx "$data/grown.onnx"
}
ok "a state of another size with each" other_state

# ---- which a run picks ----

for x in k v; do # records of 5, 1 and 2
  head -c 288 "$data/${x}c.npys" > ${x}5.npy
  tail -c 192 "$data/${x}c.npys" > ${x}2.npy
  head -c 160 "$data/${x}1.npys" > ${x}1.npy
done
picks() { # picks SHAPE ARGUMENTS...
  shape=$1
  shift
  "$run" --random 1 "$@" > out && has out "^y : f32\[$shape\]"
}
ok "by its inputs" picks 1,4,1,6 -i k=k1.npy heads
ok "by its inputs, devices" picks 1,4,1,6 -i k=k1.npy heads.dev
ok "the first one else" picks 1,4,2,6 heads
ok "none fits" refuses 65 \
  "k: error: the input is f32\[1,4,5,2\], which fits no binding: f32\[1,4,2,2\] of 'prefill', f32\[1,4,1,2\] of 'decode'" \
  "$run" --random 1 -i k=k5.npy heads

# ---- steps ----

kept() { # kept FOLDER
  for c in key value; do
    cmp "$1/past_key_values.0.$c.npy" "$data/past_key_values.0.${c}c.npy" ||
      return
  done
}
loop() { # loop PLAN: records of 5, 1 and 2 places
  rm -rf state y
  "$run" --verify --steps -i k="$data/kc.npys" -i v="$data/vc.npys" \
    --count place --save-state state -o y=y "$1" > said &&
    cmp y "$data/yc.npys" && kept state &&
    has said "^fed back: 2 values, 2 in place, 0 in turn, 0 copied, 0 joined" &&
    has said "^bindings: prefill 3 runs, decode 2 runs$"
}
everywhere() {
  for what in heads length; do
    ok "$1, $what" loop $what
    ok "$1, $what, devices" loop $what.dev
  done
}
everywhere threads

json() {
  "$run" --json --steps -i k="$data/kc.npys" -i v="$data/vc.npys" \
    --count place heads > out &&
    has out '"bindings": \[{"name": "prefill", "runs": 3}, {"name": "decode"'
}
ok "--json" json
resume() { # resume PLAN PLAN: a step, then two on another mesh
  rm -rf a b y1 y2
  for x in k v; do
    head -c 288 "$data/${x}c.npys" > ${x}a
    tail -c +289 "$data/${x}c.npys" > ${x}b
  done
  "$run" --steps -i k=ka -i v=va --count place -o y=y1 --save-state a "$1" &&
    "$run" --steps -i k=kb -i v=vb --count place=5 -o y=y2 --load-state a \
      --save-state b "$2" && cat y1 y2 | cmp - "$data/yc.npys" && kept b
}
ok "taken up again" resume heads heads
ok "on another mesh" resume length heads

grows() { # records of 1, 5 and 2 places are those of 1, 1, 4 and 2
  for x in k v; do
    head -c 448 "$data/${x}c.npys" | tail -c 160 > ${x}1.npy
    cat ${x}1.npy ${x}5.npy ${x}2.npy > ${x}g
  done
  "$run" --steps -i k=kg -i v=vg --count place -f -o y=y "$1" > said &&
    has said "^bindings: prefill 3 runs, decode 2 runs$" &&
    [ "$(wc -c < y)" = 1152 ]
}
ok "records that grow" grows heads
steps() { # steps CODE FRAGMENT K V
  refuses "$1" "$2" "$run" --steps -i k="$3" -i v="$4" --count place heads
}
ok "records of different lengths" steps 65 \
  "step 1: error: 'v' has 2 elements .* but 'k' has 5" k5.npy v2.npy
cat "$data/kc.npys" k1.npy > kfull
cat "$data/vc.npys" v1.npy > vfull
ok "a state that is full" steps 65 \
  "step 4: error: the state is full: 8 of its 8 places" kfull vfull
sed 's/(1, 4, 5, 2)/(1, 4, 9000000000, 2)/' k5.npy | cat k1.npy - > khuge
ok "a header that promises too much" steps 65 "step 2: input 'k': .*cut short" \
  khuge vg
without() {
  refuses 65 "step 1: k: error: .* fits no binding" "$run" --steps --no-state \
    --random 1 -i k="$data/kc.npys" -i v="$data/vc.npys" heads
}
ok "without state nothing is cut" without
sed -i 's/new: 1/new: 3/' heads.yaml
"$annotate" -q -f -s heads.yaml -o odd.onnx "$data/grown.onnx" &&
  "$partition" -q -o odd odd.onnx || exit 1
uncut() { # what came before is there
  for x in k v; do head -c 288 "$data/${x}c.npys" > ${x}first; done
  "$run" --steps -q -f -i k=kfirst -i v=vfirst --count place -o y=first odd &&
    refuses 65 "step 2: k: error: the input is f32\[1,4,1,2\], which fits no" \
      "$run" --steps -f -i k="$data/kc.npys" -i v="$data/vc.npys" \
      --count place -o y=y odd && cmp first y && [ -s y ]
}
ok "5 is 3 + 2, and 1 is nothing" uncut

# ---- weights ----

weights() { # weights NAME BIND: w split along its columns
  cat > w.yaml << END
mesh: {axes: {tp: 2}}
rules: [{match: {tensor: w}, shard: [~, tp]}]
END
  "$annotate" -q -f -s w.yaml --bind "$2" -o w.onnx "$data/weights.onnx" &&
    "$partition" -q --verify -o "$1" w.onnx &&
    "$partition" -q --verify --emit device -o "$1.dev" w.onnx
}
stored() { # those of three programs are those of one
  weights one new=64 && weights three new=64,3,1 &&
    cmp one/weights.data three/weights.data &&
    cmp one.dev/weights.data three.dev/weights.data &&
    [ "$(wc -c < three.dev/weights.data)" -lt 40000 ]
}
ok "weights are stored once" stored
# A file of weights for each device, which the graphs of all bindings read.
for_each() {
  "$partition" -q --emit device --shards-per-file 1 -o each w.onnx &&
    [ "$(find each -name 'weights?.data' | wc -l)" = 2 ] &&
    for rows in 3 1; do
      "$run" -i "$data/x$rows.npy" three.dev > want &&
        "$run" -i "$data/x$rows.npy" each > got && cmp want got || return
    done
}
ok "with --shards-per-file once for each file" for_each
checks() {
  for rows in 3 1; do
    for plan in three three.dev; do
      "$run" -i "$data/x$rows.npy" --check "$data/weights.onnx" $plan > out &&
        has out "^y : f32\[$rows,256\]" || return
    done
  done
}
ok "each is the whole" checks

# ---- ranks ----

go_on_ranks
everywhere "2 ranks"
ok "2 ranks: by its inputs" picks 1,4,1,6 -i k=k1.npy heads
ok "2 ranks: none fits" refuses 65 "fits no binding" \
  "$run" --random 1 -i k=k5.npy heads
ok "2 ranks: records that grow" grows heads
ok "2 ranks: taken up again" resume heads heads
ok "2 ranks: a state that is full" steps 65 "the state is full" kfull vfull
done_all
