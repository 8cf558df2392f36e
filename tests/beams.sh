#!/bin/sh
# gshard-run --beams and --mask: a model whose tokens depend on all that a
# hypothesis has seen (tests/data/steps, made by tests/gen/steps.py) against
# NumPy's search with lists; examples/moe-decoder on one and four devices.
set -u
build=$(pwd)
top=$(cd "${srcdir-.}" && pwd)
data=$top/tests/data/steps
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"
PATH=$build/examples:$PATH

# plan NAME MESH RULE
plan() {
  printf 'mesh: {axes: {%s}}\nrules:\n%s\n' "$2" "$3" > "$1.yaml"
  "$annotate" -q -s "$1.yaml" -o "$1.onnx" "$data/beams.onnx" &&
    "$partition" -q -o "$1" "$1.onnx" &&
    "$partition" -q --emit device -o "$1.dev" "$1.onnx" || exit 1
}
plan words "tp: 2" "  - {match: {tensor: logits}, shard: [~, ~, tp]}"
plan uneven "tp: 4" "  - {match: {tensor: logits}, shard: [~, ~, tp]}"
plan apart "dp: 2" "  - {match: {tensor: logits}, shard: [dp, ~, ~]}"
plan both "dp: 2, tp: 2" "  - {match: {tensor: logits}, shard: [dp, ~, tp]}"

# search PLAN ARGUMENTS...
search() {
  what=$1
  shift
  "$run" --steps=8 -f -i input_ids=- --argmax logits=input_ids --beams 3 \
    --stop 9 --feed present=past -i past=past.npy --count position_ids \
    --count place --mask mask "$@" --tokens found "$what" \
    < "$data/beam_prompt.npys" > said 2>&1
}
# past.npy: f32[2,30] of zeros.
{
  printf '\223NUMPY\001\000v\000%-117s\n' \
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 30), }"
  head -c 240 /dev/zero
} > past.npy
finds() { # finds PLAN
  search "$1" && cmp found "$data/beams.npys" && return
  cat said
  return 1
}
for what in "$data/beams.onnx" words words.dev uneven apart both both.dev; do
  ok "NumPy's hypotheses, $(basename "$what")" finds "$what"
done
scores() { [ "$(grep -c '^beam [01].[012]: score -.* tokens$' said)" = 6 ]; }
ok "scores are told" scores
json() {
  search words --json && grep -q '"beams": \[\[{"score": -[0-9.]*, "tokens": \[9\]}' said
}
ok "and in JSON" json
gives() { # gives CODE FRAGMENT ARGUMENTS...
  want=$1 fragment=$2
  shift 2
  "$run" --steps=12 --random 1 "$@" > out 2> err
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
}
m=$data/beams.onnx
ok "no mask" gives 64 "one --mask" --beams 3 --argmax logits=input_ids "$m"
ok "no choice" gives 64 "one --argmax" --beams 3 --mask mask "$m"
ok "a state" gives 64 "not part of a state" --beams 3 --mask mask \
  --argmax logits=input_ids --save-state s "$m"
ok "rows that are not of so many" gives 65 "each of 4 hypotheses in 6 rows" \
  --beams 4 --mask mask --argmax logits=input_ids "$m"
ok "a penalty alone" gives 64 "is for --beams" --length-penalty 1 \
  --argmax logits=input_ids "$m"
ok "no room" gives 65 "step 11: input 'mask': error: all of its 30 places" --beams 3 \
  --mask mask --argmax logits=input_ids --count place --count position_ids \
  --feed present=past "$m"
ok "what is no mask" gives 64 "f32 does not count" --mask past "$m"

ok "a mask without hypotheses" gives 65 \
  "step 3: input 'mask': error: all of its 30 places" --mask mask=24 \
  --argmax logits=input_ids "$m"
ok "a mask that is full" gives 65 "no room for the places of a step after 28" \
  --mask mask=28 --argmax logits=input_ids "$m"

# ---- an MoE decoder ----

# prompt: three records of i64[4,4], each hypothesis the same token.
for t in 11 200 5; do
  printf '\223NUMPY\001\000v\000%-117s\n' \
    "{'descr': '<i8', 'fortran_order': False, 'shape': (4, 4), }"
  for row in 0 1 2 3; do
    for j in 0 1 2 3; do
      # shellcheck disable=SC2059
      printf "\\$(printf %03o $((t + row)))\\000\\000\\000\\000\\000\\000\\000"
    done
  done
done > prompt
moe-decoder -q -o moe.onnx &&
  "$annotate" -q -s "$top/examples/moe-decoder.yaml" -o moe.a.onnx moe.onnx &&
  "$partition" -q --verify --report -o moe moe.a.onnx 2> report || exit 1
decode() { # decode PLAN FILE
  "$run" --steps=20 -f -q -i input_ids=prompt --argmax logits=input_ids \
    --beams 4 --stop 7 --count position_ids --count first_place --mask mask \
    --tokens "$2" "$1"
}
same() { decode moe.onnx whole && decode moe "$1" && cmp whole "$1"; }
ok "the same sequences on {1} and {ep:4}" same split
moves() { # two for each of the layers with experts, of which there is one
  grep -q '^collectives: 2 AllToAll$' report || { cat report; return 1; }
}
ok "two all-to-alls of a layer, nothing else" moves

# ---- ranks ----

go_on_ranks
for what in words both both.dev; do ok "2 ranks, $what" finds $what; done
experts() { decode moe ranks.found && cmp whole ranks.found; }
ok "2 ranks: experts" experts
done_all
