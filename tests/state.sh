#!/bin/sh
# gshard-run --steps with what goes from one step to the next: state, --feed,
# --argmax, --sample, --stop, --count (tests/data/steps, made by
# tests/gen/steps.py): the numbers of NumPy's loop, whole and sharded, on threads
# and ranks, also when a run is taken up again on another mesh; what cannot be.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/steps" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"

# plan NAME MODEL MESH RULES
plan() {
  {
    echo "mesh: {axes: {$3}}"
    echo rules:
    cat
  } > "$1.yaml"
  "$annotate" -q -s "$1.yaml" -o "$1.onnx" "$data/$2.onnx" &&
    "$partition" -q -o "$1" "$1.onnx" &&
    "$partition" -q --emit device -o "$1.dev" "$1.onnx" || exit 1
}
plan heads state "tp: 2" << 'END'
  - match: {tensor: "past_key_values.*"}
    shard: [~, tp, ~, ~]
  - match: {tensor: "present.*"}
    shard: [~, tp, ~, ~]
END
# Four heads over three devices: blocks of two, the last one is empty.
plan uneven state "tp: 3" << 'END'
  - match: {tensor: "past_key_values.*"}
    shard: [~, tp, ~, ~]
  - match: {tensor: "present.*"}
    shard: [~, tp, ~, ~]
END
# What is split when it is read, and whole when it is made.
plan apart state "tp: 2" << 'END'
  - match: {tensor: "past_key_values.*"}
    shard: [~, tp, ~, ~]
  - match: {tensor: "present.*"}
    shard: [~, ~, ~, ~]
END
plan words tokens "tp: 2" << 'END'
  - match: {tensor: table}
    shard: [~, tp]
  - match: {tensor: logits}
    shard: [~, ~, tp]
END

# ---- state ----

# loop PLAN ARGUMENTS...: the sums of all steps, and the state after the last.
loop() {
  what=$1
  shift
  rm -rf state &&
    "$run" --verify --steps -f -i k=- --count place=3 --save-state state \
      -o y=y "$@" "$what" < "$data/k.npys" > said && cmp y "$data/sums.npys" &&
    kept state
}
kept() {
  for c in 0.key 0.value 1.key 1.value; do
    cmp "$1/past_key_values.$c.npy" "$data/past_key_values.$c.npy" || return
  done
}
for what in "$data/state.onnx" heads heads.dev uneven uneven.dev apart; do
  ok "state, $(basename "$what")" loop "$what"
done
# How it goes.  A cache that another one becomes is read to the end of the run,
# and so is one whose past is read late.
goes() { # goes PLAN TEXT
  loop "$1" && grep -q "^fed back: 4 values, $2" said && return
  cat said
  return 1
}
ok "in place where it can be" goes "$data/state.onnx" \
  "1 in place, 2 in turn, 1 copied, 0 joined"
ok "on its devices" goes heads "1 in place, 2 in turn, 1 copied, 0 joined"
ok "padding is put right" goes uneven "0 in place, 0 in turn, 4 copied, 0 joined"
ok "no tie of forms that differ" goes apart \
  "0 in place, 0 in turn, 0 copied, 4 joined"
# Two steps, then three on another mesh.
resume() { # resume PLAN PLAN
  rm -rf a b y1 y2
  head -c $((2 * 160)) "$data/k.npys" |
    "$run" --steps -i k=- --count place=3 --save-state a -o y=y1 "$1" &&
    tail -c +321 "$data/k.npys" |
    "$run" --steps -i k=- --count place=5 --load-state a --save-state b \
      -o y=y2 "$2" && cat y1 y2 | cmp - "$data/sums.npys" && kept b
}
ok "a run that is taken up again" resume heads heads
ok "on another mesh" resume uneven heads
ok "and whole" resume heads "$data/state.onnx"
# Without state the caches are inputs like others.
plain() {
  rm -rf all one
  "$run" --steps=1 --no-state --random 1 -o all heads &&
    [ "$(ls all | wc -l)" = 5 ] &&
    "$run" --steps=2 -i k="$data/k.npys" --count place -o one heads &&
    [ "$(ls one)" = y.npy ]
}
ok "-o DIR has state only with --no-state" plain
first() { # a first value from a file
  rm -f y
  "$run" --steps=1 -f -i k="$data/k.npys" --count place=3 \
    -i past_key_values.0.value="$data/past_key_values.0.value.npy" -o y=y heads
}
ok "a first value" first

# ---- state by other names ----

# Names that say nothing: what the spec pairs is recorded, split alike, and
# found by the run.
cat > spec.yaml << 'END'
mesh: {axes: {tp: 2}}
rules:
  - match: {tensor: "past_key_values.*.{key,value}"}
    shard: [~, tp, ~, ~]
state:
  - match: {tensor: "present.*.{key,value}"}
    with: "past_key_values.*.{key,value}"
END
renamed() { # the same model with names of the same length
  sed 's/past_key_values/memories_before/g; s/present/remains/g' \
    "$data/state.onnx" > other.onnx &&
    sed 's/past_key_values/memories_before/g; s/present/remains/g' spec.yaml \
      > other.yaml &&
    "$annotate" -q -s other.yaml -o other.a.onnx other.onnx &&
    "$partition" -q -f -o other other.a.onnx &&
    "$partition" -q -f --emit device -o other.dev other.a.onnx &&
    "$partition" -q -o - other.a.onnx > other.p.onnx
}
ok "other names" renamed
also() { # also PLAN: as loop, by these names
  rm -rf state &&
    "$run" --verify --steps -f -i k=- --count place=3 --save-state state \
      -o y=y "$1" < "$data/k.npys" > said && cmp y "$data/sums.npys" &&
    for c in 0.key 0.value 1.key 1.value; do
      cmp "state/memories_before.$c.npy" "$data/past_key_values.$c.npy" ||
        return
    done && grep -q "^fed back: 4 values, $2" said && return
  cat said
  return 1
}
for what in other other.dev other.p.onnx; do
  ok "recorded in $what" also $what "1 in place, 2 in turn, 1 copied, 0 joined"
done
ok "and in the model" also other.a.onnx \
  "1 in place, 2 in turn, 1 copied, 0 joined"
ok "in plan.yaml" grep -q 'before.1.key".*state: "remains.1.key"' \
  other/plan.yaml
ok "split alike" grep -q '"remains.1.key".*sharding: "{~,tp,~,~}"' \
  other/plan.yaml
warned() {
  sed '/^state/i\  - match: {tensor: "present.0.key"}\n    replicate: true' \
    spec.yaml > pinned.yaml &&
    "$annotate" -s pinned.yaml -o pinned.onnx "$data/state.onnx" 2> err
  grep -q "present.0.key: warning: is .* it is joined and split again between \
runs (1 such state)" err || { cat err; return 1; }
}
ok "a warning where rules say otherwise" warned
refused() { # refused FRAGMENT ENTRY
  sed '/^state/,$d' spec.yaml > bad.yaml
  printf 'state:\n  - %s\n' "$2" >> bad.yaml
  "$annotate" -q -s bad.yaml -o bad.onnx "$data/state.onnx" 2> err
  [ $? = "${3-78}" ] || { cat err; return 1; }
  grep -q -e "$1" err && grep -q "bad.yaml:[0-9]*:[0-9]*: error" err && return
  cat err
  return 1
}
ok "no such output" refused "matches no output" \
  '{match: {tensor: "q.*"}, with: "p.*"}'
ok "no such input" refused "no input belongs to the output 'present.0.key'" \
  '{match: {tensor: "present.*.key"}, with: "p.*"}'
ok "an input that two outputs become" refused "and of another output" \
  '{match: {tensor: "present.0.{key,value}"}, with: "past_key_values.0.{key,value}"}
  - {match: {tensor: "present.1.key"}, with: "past_key_values.0.key"}'
ok "another rank" refused "not of one type and rank" \
  '{match: {tensor: "present.0.key"}, with: place}'
ok "no with" refused "need each other" '{match: {tensor: "present.*"}}' 65
ok "an unknown key" refused "unknown key" '{sizes: 3}' 65

# ---- state by training information ----

printf 'mesh: {axes: {dp: 2}}\nrules:\n  - {match: {tensor: w}, shard: [dp]}\n' \
  > training.yaml
trains() { # trains PLAN: y is 0, x, 2 x
  "$run" --steps=3 -f --random 3 -o y=y "$1" > said &&
    grep -q "^fed back: 1 value" said && "$run" --steps=1 -f --random 3 -o y=x \
    --no-state -i w=zeros.npy "$1" && head -c 144 y | cmp - zeros.npy &&
    ! cmp -s y zeros.npy && [ "$(wc -c < y)" = $((3 * 144)) ]
}
{
  printf '\223NUMPY\001\000v\000%-117s\n' \
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"
  head -c 16 /dev/zero
} > zeros.npy
"$annotate" -q -s training.yaml -o training.onnx "$data/training.onnx" &&
  "$partition" -q -o training training.onnx || exit 1
for what in "$data/training.onnx" training.onnx training; do
  ok "training information, $(basename "$what")" trains "$what"
done
ok "recorded" grep -q 'state: "better"' training/plan.yaml

# ---- tokens ----

tokens() { # tokens PLAN ARGUMENTS...
  what=$1
  shift
  "$run" --steps=9 -f -i input_ids=- "$@" --count position_ids -o next=n -q \
    "$what" < "$data/prompt.npys" && cmp n "$data/next.npys"
}
for what in "$data/tokens.onnx" words words.dev; do
  ok "--feed, $(basename "$what")" tokens "$what" --feed next=input_ids
  ok "--argmax, $(basename "$what")" tokens "$what" --argmax logits=input_ids
done

# ---- tokens that are drawn, and what ends a run ----

draw() { # draw PLAN FILE ARGUMENTS...
  what=$1 drawn=$2
  shift 2
  "$run" --steps=9 -f -i input_ids=- --count position_ids -q "$@" \
    --tokens "$drawn" "$what" < "$data/prompt.npys"
}
alike() { # alike PLAN ARGUMENTS...: on the plan as on one device
  what=$1
  shift
  draw "$what" t.a --sample logits=input_ids "$@" && run=$real &&
    draw "$data/tokens.onnx" t.b --sample logits=input_ids "$@" && cmp t.a t.b
  code=$?
  run=$here_run
  return $code
}
real=$run here_run=$run
drawn() {
  for kind in words words.dev; do
    for how in "--temperature 40" "--temperature 40 --top-k 4" \
      "--temperature 40 --top-p 0.7 --seed 9"; do
      # shellcheck disable=SC2086
      ok "$1--sample $how, $kind" alike $kind $how
    done
  done
}
drawn ""
same_as_argmax() {
  draw words t.a --argmax logits=input_ids &&
    draw words t.b --sample logits=input_ids "$@" && cmp t.a t.b
}
ok "--top-k 1 is --argmax" same_as_argmax --top-k 1 --temperature 40
ok "--temperature 0 is --argmax" same_as_argmax --temperature 0
ok "a small --top-p is --argmax" same_as_argmax --top-p 1e-9
seeds() {
  draw words t.a --sample logits=input_ids --temperature 40 --seed 1 &&
    draw words t.b --sample logits=input_ids --temperature 40 --seed 2 &&
    ! cmp -s t.a t.b
}
ok "another --seed draws others" seeds
# The tokens are 2 4 2 4 2 5 7 7 0, of which the first two are not used: the
# prompt has three.
ends() { # ends COUNT STOP...
  draw words t.a --argmax logits=input_ids &&
    draw words t.b --argmax logits=input_ids "$@" &&
    [ "$(wc -c < t.b)" = $((136 * want)) ] &&
    head -c $((136 * want)) t.a | cmp - t.b
}
want=6
ok "--stop" ends --stop 5
want=3
ok "the first --stop of several" ends --stop 5 --stop 2
want=4
ok "--stop does not look at prompts" ends --stop 4
want=9
ok "a --stop that does not come" ends --stop 8

# ---- what cannot be ----

gives() { # gives CODE FRAGMENT ARGUMENTS...
  want=$1 fragment=$2
  shift 2
  "$run" --steps=2 "$@" > out 2> err
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
}
t=$data/tokens.onnx
endless() {
  head -c 136 "$data/prompt.npys" > start
  ! "$run" --steps -i input_ids=start --count position_ids \
    --feed next=input_ids "$t" 2> err && grep -q "nothing would end" err
}
ok "nothing would end it" endless
with_records() {
  "$run" --steps -i input_ids="$data/prompt.npys" --count position_ids \
    --feed next=input_ids "$t" | grep "^steps: 3,"
}
ok "the records end it" with_records
ok "no such output" gives 64 "no output 'q'" --feed q=input_ids "$t"
ok "no such input" gives 64 "no input 'q'" --feed next=q "$t"
ok "made in two ways" gives 64 "'input_ids' is made in two ways" \
  --feed next=input_ids --argmax logits=input_ids "$t"
ok "no first value" gives 66 "input 'input_ids' is not given" \
  --feed next=input_ids --count position_ids=1 "$t"
ok "no tokens to stop at" gives 64 "no tokens are chosen" --stop 3 \
  --feed next=input_ids "$t"
ok "no token" gives 64 "'x' is not a whole number" --stop x \
  --argmax logits=input_ids "$t"
ok "--seed without --sample" gives 64 "seed is for --sample" --seed 3 \
  --argmax logits=input_ids "$t"
ok "a probability above 1" gives 64 "top-p 2 must be" --top-p 2 \
  --sample logits=input_ids --random 1 --count position_ids "$t"
ok "another type" gives 65 "output 'logits' is f32\[1,1,11\], but the input" \
  --random 1 --feed logits=input_ids "$t"
ok "no index" gives 65 "output 'next' is i64\[1,1\], of which the last" \
  --random 1 --argmax next=input_ids "$t"
ok "no number to begin with" gives 64 "'x' is not a whole number" \
  --count position_ids=x "$t"
# What counts may have records: it goes on from them, and a number below 0
# is what it would be without one.
ids() { # ids NUMBER...
  for n; do
    printf '\223NUMPY\001\000v\000%-117s\n' \
      "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }"
    if [ "$n" = -1 ]; then
      printf '\377\377\377\377\377\377\377\377'
    else
      # shellcheck disable=SC2059
      printf "\\$(printf %03o "$n")\\000\\000\\000\\000\\000\\000\\000"
    fi
  done
}
restarts() {
  ids -1 -1 -1 0 -1 -1 > places
  ids 7 2 9 7 2 9 -1 > again
  "$run" --steps=9 -f -q -i input_ids=again -i position_ids=places \
    --count position_ids --argmax logits=input_ids -o next=n \
    "${1-$t}" || return
  tail -c +$((3 * 136 + 1)) n > late
  cmp -n $((3 * 136)) n late &&
    head -c $((6 * 136)) "$data/next.npys" | cmp - late
}
ok "what counts begins anew" restarts
ok "what does not count" gives 64 "f32 does not count" --random 1 --count k \
  heads
ok "no state" gives 64 "the model has no state" --save-state s "$t"
other() {
  mkdir -p wrong &&
    cp state/*.npy wrong && cp "$data/k.npys" wrong/past_key_values.1.key.npy
  gives 65 "past_key_values.1.key.npy" --load-state wrong -i k="$data/k.npys" \
    --count place heads
}
loop heads > /dev/null
ok "a state that is malformed" other
foreign() {
  head -c 160 "$data/k.npys" > wrong/past_key_values.1.key.npy
  gives 65 "this state is f32\[1,4,1,2\], but that of the model is" \
    --load-state wrong -i k="$data/k.npys" --count place heads
}
ok "the state of another model" foreign
lacks() {
  rm -f wrong/past_key_values.1.key.npy
  gives 66 "past_key_values.1.key.npy" --load-state wrong \
    -i k="$data/k.npys" --count place heads
}
ok "a state that lacks a file" lacks
ok "a state that exists" gives 73 "already exists" --save-state state \
  -i k="$data/k.npys" --count place heads
alone() { ! "$run" --feed next=input_ids "$t" 2> err && grep -q "is for --steps" err; }
ok "--feed without --steps" alone

# ---- a step allocates nothing ----

for k in 1 2 3 4 5 6 7 8 9 10; do cat "$data/k.npys"; done > k50
counts() { # counts KIND: its calls in 2 steps and in 12
  for n in 2 12; do
    calls "$1" "$run" -j 2 --steps=$n -i k="$work/k50" --count place \
      -o y=/dev/null "$work/heads" || return
    echo "$calls" >&3
  done 3> "$work/counts" > /dev/null
}
if (
  trap - EXIT
  cd "$build" || exit
  # shellcheck source=tests/preload.sh
  . "$here/preload.sh"
  counts malloc
) > shim.log 2>&1 && [ -s counts ]; then
  # shellcheck disable=SC2016
  ok "as many calls of malloc in 2 steps as in 12: $(echo $(cat counts))" \
    sh -c '[ "$(sort -u counts | wc -l)" = 1 ]'
else
  skip "counting calls of malloc"
fi

# ---- ranks ----

go_on_ranks
for what in heads heads.dev apart; do ok "2 ranks, $what" loop $what; done
ok "2 ranks: taken up again" resume heads heads
for what in words words.dev; do
  ok "2 ranks: --feed, $what" tokens $what --feed next=input_ids
  ok "2 ranks: --argmax, $what" tokens $what --argmax logits=input_ids
done
here_run=$run
drawn "2 ranks: "
want=6
ok "2 ranks: --stop" ends --stop 5
ok "2 ranks: a state of another model" foreign
done_all
