#!/bin/sh
# Caches of a fixed size (state: size in a spec) against caches that grow, as
# NumPy has them (tests/data/cache, made by tests/gen/cache.py): whole and
# sharded, by heads and along the sequence, on threads and ranks; what cannot be
# of a fixed size.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/cache" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"

# spec NAME NEW SHARD: of NEW sequences with NEW places in a step
spec() {
  cat > "$1.yaml" << END
mesh: {axes: {tp: 2}}
bind: {batch: $2, new: $2}
state: [{size: 8}]
rules:
  - match: {tensor: "past_key_values.*"}
    shard: $3
END
}
plan() { # plan NAME NEW SHARD [MODEL]
  spec "$1" "$2" "$3"
  "$annotate" -q -s "$1.yaml" -o "$1.onnx" "$data/${4-grown}.onnx" &&
    "$partition" -q --verify -o "$1" "$1.onnx" &&
    "$partition" -q --emit device -o "$1.dev" "$1.onnx" || exit 1
}
plan heads1 1 "[~, tp, ~, ~]"
plan heads2 2 "[~, tp, ~, ~]"
plan length1 1 "[~, ~, tp, ~]"
plan length2 2 "[~, ~, tp, ~]"
plan batch2 2 "[tp, ~, ~, ~]"
plan counted1 1 "[~, tp, ~, ~]" length
plan counted2 2 "[~, ~, tp, ~]" length
plan causal1 1 "[~, ~, tp, ~]" attention
plan causal2 2 "[~, tp, ~, ~]" attention
plan flat1 1 "[~, tp, ~, ~]" flat
plan flat2 2 "[~, ~, tp, ~]" flat

kept() { # kept FOLDER NEW
  for c in key value; do
    cmp "$1/past_key_values.0.$c.npy" "$data/past_key_values.0.$c$2.npy" ||
      return
  done
  cmp "$1/gshard.filled.npy" "$data/filled$2.npy"
}
loop() { # loop PLAN NEW [OPTION...]
  plan=$1 new=$2
  shift 2
  rm -rf state y
  "$run" --verify --steps -i k="$data/k$new.npys" -i v="$data/v$new.npys" \
    --save-state state -o y=y "$@" "$plan" > said &&
    cmp y "$data/y$new.npys" && kept state "$new" &&
    grep -q "^fed back: 2 values, 2 in place" said && return
  cat said
  return 1
}
everywhere() {
  for new in 1 2; do
    for what in heads length; do
      ok "$1, $what, $new at a time" loop $what$new $new --count place
      ok "$1, $what, $new at a time, devices" loop $what$new.dev $new \
        --count place
    done
    ok "$1, counted by the model, $new at a time" loop counted$new $new
    ok "$1, causal attention, $new at a time" loop causal$new $new
    ok "$1, attention of a mask, $new at a time" loop flat$new $new \
      --count place
  done
  ok "$1, sequences" loop batch2 2 --count place
}
everywhere threads
for new in 1 2; do
  ok "whole, $new at a time" loop heads$new.onnx $new --count place
  ok "whole, counted by the model, $new at a time" loop counted$new.onnx $new
done

# ---- where it was ----

part() { # part FROM COUNT NAME BYTES: records of k and v
  for x in k v; do
    tail -c +$(($1 * $4 + 1)) "$data/$x$3.npys" | head -c $(($2 * $4)) > $x
  done
}
resume() { # resume PLAN PLAN: three steps, then two on another mesh
  rm -rf a b y1 y2
  part 0 3 1 160
  "$run" --steps -i k=k -i v=v --count place -o y=y1 --save-state a "$1" &&
    part 3 2 1 160 &&
    "$run" --steps -i k=k -i v=v --count place=3 -o y=y2 --load-state a \
      --save-state b "$2" && cat y1 y2 | cmp - "$data/y1.npys" && kept b 1
}
ok "taken up again" resume heads1 heads1
ok "on another mesh" resume length1 heads1
ok "whole" resume heads1 length1.onnx

# ---- its end ----

gives() { # gives CODE FRAGMENT ARGUMENTS...
  want=$1 fragment=$2
  shift 2
  "$run" --steps "$@" > out 2> err
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
}
for x in k v; do
  cat "$data/${x}2.npys" "$data/${x}2.npys" > many$x
done
full() {
  rm -f y
  gives 65 "step 5: error: the state is full: 8 of its 8 places are filled" \
    -i k=manyk -i v=manyv --count place -o y=y "$1" || return
}
ok "a state that is full" full heads2
ok "a state that is full, whole" full heads2.onnx
bad() { # bad FRAGMENT
  gives 65 "$1" -i k="$data/k2.npys" -i v="$data/v2.npys" --count place \
    --load-state filled heads2
}
loop heads2 2 --count place > /dev/null
rm -rf filled
cp -r state filled
cp "$data/past_key_values.0.key1.npy" filled/gshard.filled.npy
ok "a state that does not say how much is filled" bad "does not say how many"
cp "$data/filled1.npy" filled/gshard.filled.npy
cp "$data/past_key_values.0.key1.npy" filled/past_key_values.0.key.npy
ok "the state of another batch" bad "this state is f32\[1,4,8,2\]"
given() {
  gives 64 "this input counts what is filled" -i k="$data/k2.npys" \
    -i v="$data/v2.npys" -i gshard.filled="$data/filled2.npy" --count place \
    heads2
}
ok "what is filled is not given" given
random() { "$run" --random 1 --bench 2 heads2 > /dev/null; }
ok "--random" random

# ---- what cannot be of a fixed size ----

refuses() { # refuses CODE FRAGMENT MODEL
  "$annotate" -q -f -s heads1.yaml -o no.onnx "$data/$3.onnx" 2> err
  got=$?
  [ $got = "$1" ] || { echo "exit $got, not $1"; cat err; return 1; }
  grep -q "$2" err || { cat err; return 1; }
}
ok "what was there before" refuses 69 \
  "'past_key_values.0.value.*' is f32\[1,4,7,2\], of which a dim" before
ok "its last places" refuses 69 \
  "node 'tail' (Slice): error: what is not filled" window
ok "the largest of all" refuses 69 \
  "node 'y' (ReduceMax): error: what is not filled" largest
ok "the past behind what is new" refuses 78 \
  "'present.0.key' is .*, but 'past_key_values.0.key'" turned
spec heads1 1 "[~, tp, ~, ~]"
sed -i 's/new: 1/new: 1, past: 9/' heads1.yaml
ok "another size in bind" refuses 78 \
  "heads1.yaml:3:9: error: 'past' is bound to 9, but" grown
sed -i 's/, past: 9//; s/size: 8/size: 0/' heads1.yaml
ok "no places" refuses 65 "0 is not between" grown

# ---- ranks ----

go_on_ranks
everywhere "2 ranks"
ok "2 ranks: a state that is full" full heads2
ok "2 ranks: taken up again" resume heads1 heads1
done_all
