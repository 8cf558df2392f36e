#!/bin/sh
# A plan whose files are not those that were written never gives numbers with
# exit code 0: flipped bytes, cut and swapped files, other weights on some
# ranks, graphs edited by hand; and what --no-verify lets through.
set -u
build=$(pwd)
examples=$(cd "${srcdir-.}/examples" && pwd)
mpirun=${MPIRUN-mpirun}
# shellcheck source=tests/mpirun.sh
. "$(dirname "$0")/mpirun.sh"
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1
annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run

# gives CODE FRAGMENT COMMAND...: fails with this code, says this, prints no
# number.
gives() {
  want=$1 fragment=$2
  shift 2
  timeout -k 5 1200 "$@" > out 2> err
  got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
  [ ! -s out ] || { cat out; return 1; }
}
runs() { timeout -k 5 1200 "$run" --random 1 "$@" > out; }

# flip FILE OFFSET: changes one bit of one byte.
flip() {
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  # shellcheck disable=SC2059
  printf "\\$(printf '%03o' $((byte ^ 16)))" |
    dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}
size() { wc -c < "$1" | tr -d ' '; }
fresh() { # fresh PLAN: a copy that may be spoiled
  rm -rf bad
  cp -r "$1" bad
}

# Some 6 MiB of weights; two seeds give two models of the same form.
for seed in 1 2; do
  "$build/examples/dense-transformer" -q --layers 1 --model-dim 256 \
    --hidden-dim 1024 --vocab 2048 --batch 2 --seq 4 --seed $seed \
    -o m$seed.onnx &&
    "$annotate" -q -s "$examples/megatron.yaml" -o a$seed.onnx m$seed.onnx &&
    "$partition" -q -o spmd$seed a$seed.onnx &&
    "$partition" -q --emit device -o device$seed a$seed.onnx &&
    "$partition" -q -o - a$seed.onnx > p$seed.onnx || exit 1
done

# ---- good plans -------------------------------------------------------------
same() { runs "$@" && cmp out good; }
runs spmd1 && mv out good
ok "the plan as it was written" same spmd1
ok "device graphs as they were written" same device1
ok "the plan without a look at its hashes" same --no-verify spmd1
ok "hashes of 8 bytes for each MiB" [ "$(size spmd1/weights.xxh3)" = \
  $((($(size spmd1/weights.data) + 1048575) / 1048576 * 8)) ]

# ---- flipped bytes ----------------------------------------------------------
n=$(size spmd1/weights.data)
places="0 1 $((n / 2)) $((n - 2)) $((n - 1))"
for i in 1 2 3 4 5 6 7 8 9 10 11; do places="$places $((n / 12 * i + i))"; done
for kind in spmd device; do
  fresh ${kind}1
  for at in $places; do
    [ "$at" -lt "$(size bad/weights.data)" ] || continue
    flip bad/weights.data "$at"
    ok "$kind: byte $at of the weights" gives 76 \
      "bad/weights.data: error: block $((at / 1048576)), bytes" \
      "$run" --random 1 bad
    flip bad/weights.data "$at"
  done
  ok "$kind: flipped back" same bad
done
for file in spmd1/program.onnx device1/device0.onnx device1/device3.onnx \
  spmd1/weights.xxh3 device1/weights.xxh3; do
  fresh ${file%/*}
  last=$(($(size $file) - 1))
  for at in 0 7 $((last / 3)) $((last / 2)) $last; do
    flip bad/${file#*/} $at
    ok "byte $at of $file" gives 76 "bad/${file#*/}: error" \
      "$run" --random 1 bad
    flip bad/${file#*/} $at
  done
done
# plan.yaml: a byte of it may be without a meaning, as a space is.
plan_byte() {
  flip bad/plan.yaml "$1"
  if runs bad; then cmp out good; else [ ! -s out ]; fi
  status=$?
  flip bad/plan.yaml "$1"
  return $status
}
fresh spmd1
at=0
while [ $at -lt "$(size bad/plan.yaml)" ]; do
  ok "byte $at of plan.yaml" plan_byte $at
  at=$((at + 17))
done

# ---- files cut, longer, swapped, edited -------------------------------------
# spoiled TEXT CODE FRAGMENT COMMAND...: the command spoils the folder.
spoiled() {
  what=$1 code=$2 says=$3
  shift 3
  for kind in spmd device; do
    fresh ${kind}1
    (cd bad && "$@") || exit 1
    ok "$kind: $what" gives "$code" "$says" "$run" --random 1 bad
  done
}
swapped_weights() { cp "../${kind}2/weights.data" .; }
swapped_hashes() { cp "../${kind}2/weights.xxh3" .; }
swapped_both() { swapped_weights && swapped_hashes; }
relu_to_tanh() {
  for file in *.onnx; do sed -i 's/Relu/Tanh/' "$file"; done
}
other_plan() { sed -i 's/bytes_per_device: /&1/' plan.yaml; }
spoiled "weights cut by a byte" 76 weights.data truncate -s -1 weights.data
spoiled "half of the weights" 76 weights.data truncate -s 1000000 weights.data
spoiled "longer weights" 76 weights.data truncate -s +4096 weights.data
spoiled "weights of another model" 76 'weights.data: error: block 0' \
  swapped_weights
spoiled "hashes of another model" 76 weights.xxh3 swapped_hashes
spoiled "weights and hashes of another" 76 weights.xxh3 swapped_both
spoiled "hashes cut" 76 weights.xxh3 truncate -s -8 weights.xxh3
spoiled "no hashes" 66 weights.xxh3 rm weights.xxh3
spoiled "a graph edited by hand" 76 'onnx: error' relu_to_tanh
ok "the hint says how to run it" grep -q -e --no-verify err
spoiled "a plan edited by hand" 76 plan.yaml other_plan
ok "the hint says how to run that" grep -q -e --no-verify err
spoiled "an old plan" 69 'version 1' sed -i '1s/2/1/' plan.yaml

# ---- on purpose -------------------------------------------------------------
# lets TEXT COMMAND...: with --no-verify it runs, and gives other numbers
# where `differs` says so.
lets() {
  what=$1 differs=$2
  shift 2
  for kind in spmd device; do
    fresh ${kind}1
    (cd bad && "$@") || exit 1
    ok "$kind: $what runs with --no-verify" runs --no-verify bad
    if [ $differs = yes ]; then
      ok "$kind: $what gives other numbers" differ
    else
      ok "$kind: $what gives the same numbers" cmp out good
    fi
  done
}
differ() { ! cmp -s out good; }
lets "a graph edited by hand" yes relu_to_tanh
lets "weights of another model" yes swapped_weights
lets "hashes of another model" no swapped_hashes
lets "a plan without hashes" no rm weights.xxh3
lets "a plan edited by hand" no other_plan

# ---- programs that refer to files -------------------------------------------
# All weights external: 0x3c3c3c3c is 0.011 as a float.
"$build/examples/dense-transformer" -q --layers 1 --model-dim 256 \
  --hidden-dim 1024 --vocab 2048 --batch 2 --seq 4 --weights none -o x.onnx &&
  head -c 7368704 /dev/zero | tr '\0' '<' > x.onnx.data &&
  "$annotate" -q -s "$examples/megatron.yaml" -o xa.onnx x.onnx &&
  "$partition" -q -o - xa.onnx > ends.onnx &&
  "$partition" -q --hash-weights -o - xa.onnx > all.onnx || exit 1
ok "a program with external files" runs ends.onnx
mv out external
cp x.onnx.data kept
touched() { # touched CODE TEXT COMMAND...: for both programs
  code=$1 what=$2
  shift 2
  "$@" || exit 1
  for program in ends all; do
    ok "$program: $what" gives "$code" x.onnx.data "$run" --random 1 \
      $program.onnx
    ok "$program: $what, --no-verify" runs --no-verify $program.onnx
  done
  cp kept x.onnx.data
}
last=7368703
touched 76 "the first byte of an external file" flip x.onnx.data 0
touched 76 "the end of its first block" flip x.onnx.data 1048575
touched 76 "its last byte" flip x.onnx.data $last
touched 76 "a longer external file" truncate -s +1 x.onnx.data
flip x.onnx.data 6000003
ok "all: a byte in the middle" gives 76 'x.onnx.data: error: block 5,' \
  "$run" --random 1 all.onnx
ok "ends: a byte in the middle is not looked at" runs ends.onnx
ok "and gives other numbers" eval '! cmp out external'
cp kept x.onnx.data
ok "all: as it was" runs all.onnx
ok "the same numbers" cmp out external
cut() {
  truncate -s 4000000 x.onnx.data
  gives 74 x.onnx.data "$run" --random 1 all.onnx
}
ok "a short external file" cut
cp kept x.onnx.data

# ---- ranks ------------------------------------------------------------------
if command -v "$mpirun" > /dev/null 2>&1 && [ "${HAVE_MPI-1}" != 0 ]; then
  job() { # job A B: half of the ranks run A, the others B
    timeout -k 5 1200 "$mpirun" -n 2 "$run" --random 1 "$1" : \
      -n 2 "$run" --random 1 "$2" > out
  }
  ok "four ranks" job spmd1 spmd1
  ok "the numbers of threads" cmp out good
  fresh spmd1
  (cd bad && cp ../spmd2/weights.data .)
  ok "other weights on half of the ranks" gives 76 \
    'rank [23] (.*): .*bad/weights.data: error: block' \
    "$mpirun" -n 2 "$run" --random 1 spmd1 : -n 2 "$run" --random 1 bad
  for kind in spmd device; do
    ok "$kind: the plan of other weights on half of the ranks" gives 76 '' \
      "$mpirun" -n 2 "$run" --random 1 ${kind}1 : \
      -n 2 "$run" --random 1 ${kind}2
  done
  # Graphs of the same form: only their bytes tell them apart.
  ok "a program with other weights on half of the ranks" gives 76 '' \
    "$mpirun" -n 2 "$run" --random 1 p1.onnx : -n 2 "$run" --random 1 p2.onnx
  mkdir other && cp ends.onnx other && cp kept other/x.onnx.data &&
    flip other/x.onnx.data 5 || exit 1
  ok "an external file that differs on one rank" gives 76 'x.onnx.data' \
    "$mpirun" -n 2 "$run" --random 1 ends.onnx : \
    -n 2 "$run" --random 1 other/ends.onnx
  # A block that one rank alone reads: the others have nothing to say.
  fresh device1
  flip bad/weights.data $(($(size bad/weights.data) - 1))
  ok "a block of one rank" gives 76 'rank [0-3] (.*): .*weights.data' \
    "$mpirun" -n 4 "$run" --random 1 bad
  fresh spmd1
  (cd bad && relu_to_tanh)
  ok "a graph edited on half of the ranks, --no-verify" gives 76 '' \
    "$mpirun" -n 2 "$run" --no-verify --random 1 spmd1 : \
    -n 2 "$run" --no-verify --random 1 bad
fi

done_all
