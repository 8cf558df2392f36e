#!/bin/sh
# gshard-run --steps: records in and out (tests/data/steps, made by
# tests/gen/steps.py), whole and sharded, on threads and MPI; what ends a run,
# and what is wrong with a record.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/steps" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"

model=$data/model.onnx x=$data/x.npys i=$data/i.npys
cat > spec.yaml << 'END'
version: 1
mesh: {axes: {tp: 2}}
bind: {b: 4}
rules:
  - match: {tensor: w}
    shard: [~, tp]
  - match: {tensor: x}
    shard: [tp, ~]
END
"$annotate" -q -s spec.yaml -o a.onnx "$model" &&
  "$partition" -q --verify -o plan a.onnx &&
  "$partition" -q --emit device -o devices a.onnx || exit 1

# first N FILE: its first N records; x and y have 256 bytes each, i 136.
first() { head -c "$(($1 * $2))" "$3"; }
same() { cmp "$1" "$data/$1.npys"; }

# gives CODE FRAGMENT ARGUMENTS...
gives() {
  want=$1 fragment=$2
  shift 2
  "$run" --steps "$@" > out 2> err
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
}

# ---- every way of giving and taking records ----

piped() { "$run" --steps -i x=- -i i="$i" -o y=- -q "$1" < "$x" | cmp - "$data/y.npys"; }
files() {
  rm -rf all y &&
    "$run" --steps -i x="$x" -i i="$i" -o all -o y=y "$1" && same y &&
    cmp all/y.npy "$data/y.npys" && cmp all/z.npy "$data/z.npys"
}
fifos() {
  rm -f px pi py
  mkfifo px pi py
  cat "$x" > px &
  cat "$i" > pi &
  cat py > y &
  "$run" --steps -i x=px -i i=pi -o y=py -o z=z -f plan && wait && same y &&
    same z
}
# Standard input and output with one record of each in turn.
braid() { # braid SIZE FILE SIZE FILE
  for k in 1 2 3 4 5; do
    head -c $((k * $1)) "$2" | tail -c "$1"
    head -c $((k * $3)) "$4" | tail -c "$3"
  done
}
shared() {
  braid 256 "$x" 136 "$i" |
    "$run" --steps -i x=- -i i=- -o z=- -o y=- -q plan > got
  braid 160 "$data/z.npys" 256 "$data/y.npys" | cmp - got
}
directory() {
  mkdir -p many
  for k in 1 2 3 4 5; do
    head -c $((k * 256)) "$x" | tail -c 256 > many/$((k + 7)).npy
  done
  : > many/README
  "$run" --steps -f -i x=many -i i="$i" -o y=y plan && same y
}
once() { # a file with one record is the value in all steps
  first 1 136 "$i" > i0
  "$run" --steps -f -i x="$x" -i i=i0 -o y=y -o z=z plan && same y &&
    [ "$(wc -c < z)" = 800 ] && first 1 160 z > z0 &&
    first 1 160 "$data/z.npys" | cmp - z0
}
# The answer is there before the next question.
asked() {
  rm -f px py
  mkfifo px py
  "$run" --steps -i x=px -i i="$i" -o y=py plan &
  exec 7> px 8< py
  for k in 1 2 3 4 5; do
    head -c $((k * 256)) "$x" | tail -c 256 >&7
    dd bs=256 count=1 iflag=fullblock <&8 2> /dev/null |
      cmp - one$k || return 1
  done
  exec 7>&- 8<&-
  wait $!
}
for k in 1 2 3 4 5; do
  head -c $((k * 256)) "$data/y.npys" | tail -c 256 > one$k
done
for what in "$model" plan devices; do
  ok "pipes, $(basename "$what")" piped "$what"
  ok "files, $(basename "$what")" files "$what"
done
ok "named pipes" fifos
ok "several in one stream" shared
ok "a directory" directory
ok "a file with one record" once
ok "question and answer" asked

digests() {
  "$run" --steps -i x="$x" -i i="$i" "$1" > "$2" && [ "$(wc -l < "$2")" = 3 ] &&
    sed -i '$d' "$2"
}
ok "digests" digests "$model" whole
ok "digests of a plan" digests plan split
ok "are equal" cmp whole split
# The digest of the only record is that of a run.
"$run" --steps=1 -i x="$x" -i i="$i" plan 2>&1 | sed '$d' > one
first 1 256 "$x" > x0
"$run" -i x=x0 -i i=i0 plan > run
ok "one step is a run" cmp one run
ok "JSON" sh -c "'$run' --json --steps -i x=$x -i i=$i plan |
  grep -q '\"steps\": {\"steps\": 5, \"min_ms\"'"

# ---- ends ----

counted() { # counted N ARGUMENTS...
  n=$1
  shift
  "$run" --steps"$@" -f -i i="$i" -o y=y plan && first "$n" 256 "$data/y.npys" |
    cmp - y
}
ok "N steps" counted 2 =2 -i x="$x"
ok "N is more than there are" counted 5 =9 -i x="$x"
ok "only constants: one step" sh -c "'$run' --steps -i x=x0 -i i=i0 plan |
  grep -q 'steps: 1,'"
ok "only constants: N steps" sh -c "'$run' --steps=3 -i x=x0 -i i=i0 plan |
  grep -q 'steps: 3,'"
ok "--random" sh -c "'$run' --steps=3 --random 1 --bind b=2 $model |
  grep -q 'steps: 3,'"
none() { "$run" --steps -f -i x=- -i i=i0 -o y=y "$1" < /dev/null && [ ! -s y ]; }
ok "no record: no step" none plan
ok "no record and symbolic dims" none "$model"
dry() { "$run" -n --steps -i x="$x" -i i="$i" -o nothing plan && [ ! -e nothing ]; }
ok "-n writes nothing" dry

# interrupted SIGNAL: while it waits for a record.
interrupted() {
  rm -f px y
  mkfifo px
  "$run" --steps -i x=px -i i="$i" -o y=- plan > got 2> err &
  job=$!
  exec 7> px
  first 2 256 "$x" >&7
  tries=0
  while [ "$(wc -c < got)" -lt 512 ] && [ $tries -lt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -"$1" $job
  wait $job || { echo "exit $?"; cat err; return 1; }
  exec 7>&-
  grep -q "ended by SIG$1 after step 2" err &&
    first 2 256 "$data/y.npys" | cmp - got
}
ok "SIGTERM" interrupted TERM
# A shell without job control starts jobs that ignore SIGINT.
ok "SIGINT that the parent ignores stays ignored" sh -c "
  (trap '' INT; head -c 256 $x | '$run' --steps -i x=- -i i=i0 plan -q)"

# ---- what is wrong ----

kept() { first "$1" 256 "$data/y.npys" | cmp - y; } # kept N: steps before

cut() { # cut BYTES FRAGMENT: after two records
  head -c $((512 + $1)) "$x" > bad
  gives 65 "$2" -f -i x=bad -i i="$i" -o y=y plan && kept 2 &&
    grep -q "step 3: input 'x': bad: error:" err
}
ok "a record cut in its magic" cut 3 "header is not complete"
ok "a record cut in its length" cut 9 "header is not complete"
ok "a record cut in its header" cut 100 "header is not complete"
ok "a record without elements" cut 128 "128 bytes of its elements are missing"
ok "a record cut in its elements" cut 255 "1 bytes of its elements are missing"
noise() {
  { first 1 256 "$x" && echo this is not a record; } > bad
  gives 65 "step 2: input 'x': bad: error: the record does not begin like" \
    -f -i x=bad -i i="$i" -o y=y plan && kept 1
}
ok "what is no record" noise
other() { # other FRAGMENT FILE
  { first 3 256 "$x" && cat "$2"; } > bad
  gives 65 "$1" -f -i x=bad -i i="$i" -o y=y plan && kept 3
}
first 1 136 "$i" > integers
first 1 160 "$data/z.npys" > small
ok "another type" other "step 4: input 'x': bad: error: the record is i64\[1\]" \
  integers
ok "another shape" other "f32\[1,8\], but that of step 1 was f32\[4,8\]" small
ok "another type in step 1" gives 65 \
  "step 1: input 'x': integers: error: the record is i64\[1\]" -i x=integers \
  -i i="$i" plan
ok "another shape in step 1" gives 65 "the model expects f32\[4,8\]" \
  -i x=small -i i="$i" plan
shorter() {
  first 2 136 "$i" > bad
  gives 65 "'i' ends after 2 records, but 'x' has one for step 3" -f \
    -i x="$x" -i i=bad -o y=y plan && kept 2
}
ok "an input that ends early" shorter
longer() {
  first 2 256 "$x" > bad
  gives 65 "'x' ends after 2 records, but 'i' has one for step 3" -f -i x=bad \
    -i i="$i" -o y=y plan && kept 2
}
ok "an input that goes on" longer
range() { # an index out of range in step 2: the model's own error
  { first 1 136 "$i" && sed 's/\x03\x00\x00/\x63\x00\x00/' "$i" |
    head -c 272 | tail -c 136; } > bad
  gives 65 "in step 2 of the run: .*index" -f -i x="$x" -i i=bad -o y=y plan &&
    kept 1
}
ok "an error of the model in step 2" range
ok "nothing to read" gives 66 "no-such" -i x=no-such -i i="$i" plan
ok "an empty directory" sh -c "mkdir empty; ! '$run' --steps -i x=empty \
  -i i=$i plan 2> err && grep -q 'has no .npy files' err"
ok "no such input" gives 64 "no input 'q'" -i q="$x" plan
ok "an input that is missing" gives 66 "input 'i' is not given" -i x="$x" plan
ok "an input twice" gives 64 "'x' is given twice" -i x="$x" -i x="$x" plan
ok "no such output" gives 64 "no output 'q'" -i x="$x" -i i="$i" -o q=- plan
ok "an output that exists" gives 73 "already exists" -i x="$x" -i i="$i" \
  -o y=y plan
ok "records as .pb" gives 64 "written as .npy" -i x="$x" -i i="$i" -o y=y.pb \
  plan
ok "--bench" gives 64 "is for one run" --bench 3 -i x="$x" -i i="$i" plan
ok "--check" gives 64 "is for one run" --check "$model" -i x="$x" plan
ok "no steps" sh -c "! '$run' --steps=0 plan 2> err && grep -q steps err"
full() {
  [ -c /dev/full ] || return 0
  gives 74 "in step 1 of the run.*cannot be written" -i x="$x" -i i="$i" \
    -o y=/dev/full plan
}
ok "a full disk" full

# ---- ranks ----

if [ "${HAVE_MPI-1}" = 0 ] || ! command -v "${MPIRUN-mpirun}" > /dev/null; then
  skip "MPI: not in this build"
  done_all
  exit
fi
job() { timeout -k 5 600 "${MPIRUN-mpirun}" -n 2 "$run" --steps "$@"; }
ranks() {
  job -f -i x=- -i i="$i" -o y=y -o z=z "$1" < "$x" && same y && same z
}
ok "2 ranks, plan" ranks plan
ok "2 ranks, devices" ranks devices
tells() { # tells CODE FRAGMENT N ARGUMENTS...: once, N records are there
  want=$1 fragment=$2 n=$3
  shift 3
  job "$@" -i i="$i" -o y=y -f plan > out 2> err
  got=$?
  [ $got = "$want" ] && [ "$(grep -c "gshard-run.*error" err)" = 1 ] &&
    grep -q -e "$fragment" err && { [ "$n" = 0 ] || kept "$n"; } && return
  echo "exit $got"
  cat err
  return 1
}
head -c 700 "$x" > bad
ok "a truncated record" tells 65 "step 3: input 'x'" 2 -i x=bad
ok "another shape" tells 65 "the model expects" 0 -i x=small
{ first 3 256 "$x" && cat small; } > bad
ok "another shape in step 4" tells 65 \
  "step 4: input 'x': bad: error: the record is f32\[1,8\]" 3 -i x=bad
{ first 3 256 "$x" && cat integers; } > bad
ok "another type in step 4" tells 65 \
  "step 4: input 'x': bad: error: the record is i64\[1\]" 3 -i x=bad
# gone SIGNAL: rank 1 gets it after two steps.  The exit code is in $code.
# shellcheck disable=SC2016
told='echo $$ > pid.${OMPI_COMM_WORLD_RANK-$PMI_RANK}; exec "$@"'
gone() {
  rm -f px py y pid.*
  mkfifo px py
  cat py > got &
  timeout -k 5 600 "${MPIRUN-mpirun}" -n 2 sh -c "$told" sh "$run" --timeout 3 \
    --steps -f -i x=px -i i="$i" -o y=y -o y=py -q plan > out 2> err &
  job=$!
  exec 7<> px
  first 2 256 "$x" >&7
  tries=0
  while [ "$(wc -c < got)" -lt 512 ] && [ $tries -lt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -"$1" "$(cat pid.1)"
  first 3 256 "$x" | tail -c 256 >&7
  wait $job
  code=$?
  exec 7>&-
  first 2 256 "$data/y.npys" | cmp - got
}
lost() {
  gone STOP && [ $code = 75 ] && kept 2 &&
    grep -q "in step 3 of the run: .*rank 1 .*not answer" err && return
  echo "exit $code"
  cat err
  return 1
}
# The launcher has its own code for this, and ends the others.
dead() {
  gone KILL && [ $code != 0 ] && [ $code != 124 ] && return
  echo "exit $code"
  cat err
  return 1
}
ok "a rank that is killed in step 3" dead
ok "a rank that is lost in step 3" lost
ok "nothing to read" tells 66 "no-such" 0 -i x=no-such
none_of_them() { job -i x=- -i i=i0 plan < /dev/null > out && grep -q "steps: 0" out; }
ok "no record" none_of_them
first 0 0 "$x" > y
ok "ranks that differ in --steps" sh -c "
  ! ${MPIRUN-mpirun} -n 1 '$run' --steps -i x=$x -i i=$i plan : \
    -n 1 '$run' -i x=x0 -i i=i0 plan 2> err && grep -q -e '--steps' err"
done_all
