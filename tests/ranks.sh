#!/bin/sh
# Ranks of an MPI job that differ, that do not come, or that are lost: the job
# ends, and one message names the rank.
set -u
# shellcheck source=tests/launch.sh
. "$(dirname "$0")/launch.sh"
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
cd "$work" || exit 1
"$build/tests/test_onnx" --samples . || exit 1
cat > mlp.yaml << 'END'
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END
sed -i '1i version: 1' mlp.yaml
"$build/tools/gshard-annotate" -q -s mlp.yaml -o a.onnx mlp.onnx &&
  "$build/tools/gshard-partition" -q -o - a.onnx > program &&
  "$build/tools/gshard-partition" -q -o plan a.onnx || exit 1
host=$(hostname)

# x.npy NUMBER: 6 x 10 floats, the first byte of which is NUMBER.
input() {
  printf '\223NUMPY\001\000\106\000'
  printf '%-69s\n' \
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 10), }"
  printf '%b' "\\0$1"
  head -c 239 /dev/zero
}
input 1 > one.npy
input 2 > two.npy

# ---- ranks that differ ------------------------------------------------------
# odd FRAGMENT ARGUMENTS-OF-RANK-2 ARGUMENTS-OF-THE-REST
odd() {
  # shellcheck disable=SC2086
  gives 76 "rank 2 ($host) has a different $1 as on rank 0 ($host) and 2 more" \
    -n 2 "$run" $3 plan : -n 1 "$run" $2 plan : -n 1 "$run" $3 plan
}
ok "another seed" odd '--random: 7, not 1' '--random 7' '--random 1'
ok "no seed" odd '--random: none, not 1' '-i x=one.npy' \
  '-i x=one.npy --random 1'
ok "--check on one rank" odd '--check: given, not none' \
  '--random 1 --check mlp.onnx' '--random 1'
ok "--check on all but one" odd '--check: none, not given' \
  '--random 1' '--random 1 --check mlp.onnx'
ok "--bench on one rank" odd '--bench: 3, not none' \
  '--random 1 --bench 3' '--random 1'
ok "another range" odd '--range: x=0:3, not x=0:2' \
  '--random 1 --range x=0:3' '--random 1 --range x=0:2'
ok "an input on one rank" odd 'number of --input: 1, not 0' \
  '--random 1 -i x=one.npy' '--random 1'
ok "other contents of an input" odd "input 'x': [0-9a-f]*, not [0-9a-f]*" \
  '-i x=two.npy' '-i x=one.npy'
ok "two against two: as rank 0" \
  gives 76 "rank 1 ($host) has a different --random: 2, not 1 as on rank 0" \
  -n 1 "$run" --random 1 plan : -n 1 "$run" --random 2 plan
ok "standard input on one rank" gives 76 'a different source' \
  -n 1 "$run" --random 1 plan : -n 1 "$run" --random 1 -
ok "an input from standard input" gives 69 'name a file' \
  -n 2 "$run" -i x=- plan
places() {
  job -n 2 "$run" -v --random 1 plan 2> err && cat err &&
    grep -q "devices 2 to 3 on rank 1 ($host)" err
}
ok "-v says where the devices are" places
ok "threads on all ranks" gives 64 'the launcher started 4 processes' \
  -n 4 "$run" --transport threads --random 1 plan
ok "threads on one rank" gives 64 "rank 1 ($host).*--transport threads" \
  -n 1 "$run" --random 1 plan : -n 1 "$run" --transport threads plan
ok "no such option on one rank" gives 64 "rank 1 ($host).*unknown option" \
  -n 1 "$run" --random 1 plan : -n 1 "$run" --bogus plan
ok "no such option on all ranks" gives 64 "rank 0 ($host).*unknown option" \
  -n 4 "$run" --bogus plan

# ---- ranks that do not come, or are lost ------------------------------------
# These mostly wait, so they do it together.
asides=0
# aside NAME COMMAND...: starts a case in a folder of its own.
aside() {
  asides=$((asides + 1))
  dir=aside.$asides
  mkdir "$dir" && ln -s ../plan ../program ../mlp.onnx ../one.npy "$dir" ||
    exit 1
  printf '%s\n' "$1" > "$dir/name"
  shift
  (cd "$dir" && "$@" > log 2>&1; echo $? > status) &
}
# What came of one, in its folder.
was() {
  cat log
  return "$(cat status)"
}

# absent COMMAND...: what one process does instead.
absent() {
  job -n 2 "$run" --timeout 3 --random 1 plan : -n 1 "$@" > out 2> err \
    < /dev/null
  got=$?
  echo "exit $got"
  cat err
  [ $got != 0 ] && [ $got != 124 ] && [ $got != 137 ]
}
# Which is said.
never() {
  absent sleep 3000 &&
    { grep -q 'rank 0: not all ranks of the job have started' err ||
      grep -q -i 'error\|abort\|term' err; }
}
aside "a rank that ends before MPI starts" absent true
aside "a rank that prints its help" absent "$run" --help
aside "a rank that never starts MPI" never

# lost RANK RANKS: stopped while the job runs.
lost() {
  job -n "$2" sh -c "$told" sh "$run" -v --timeout 3 --random 1 \
    --bench 1000000 plan > out 2> err < /dev/null &
  launcher=$!
  # -v tells where the devices are when all ranks have met.
  appears "pid.$1" && appears err || return 1
  sleep 1
  kill -STOP "$(cat "pid.$1")" || return 1
  wait $launcher
  got=$?
  echo "exit $got"
  grep 'error:' err
  [ $got = 75 ] && [ "$(grep -c '^gshard-run.*error:' err)" = 1 ] &&
    grep -q "error: rank $1 ($host) does not answer" err && all_gone
}
for rank in 0 1 3; do
  aside "rank $rank is stopped" lost $rank 4
done
aside "a rank with two devices is stopped" lost 1 2

# A rank that is at work is not lost: rank 0 gets its input late.
late() {
  "$run" --random 1 program > want || return 1
  (sleep 5 && cat program) |
    job -n 2 "$run" --timeout 2 --random 1 - > out 2> err
  got=$?
  cat err
  [ $got = 0 ] && cmp want out
}
aside "a rank that works for longer than --timeout" late

# A rank that was stopped for less than --timeout goes on: here between two
# steps, of which the second has no result meanwhile.
paused() {
  mkfifo in made
  job -n 4 sh -c "$told" sh "$run" --timeout 1000 --steps -i x=- -o y=made \
    plan < in > log.0 2> err &
  launcher=$!
  timeout 600 cat made > out &
  exec 3> in
  cat one.npy >&3
  appears pid.2 && appears out && kill -STOP "$(cat pid.2)" || return 1
  cp out first
  cat one.npy >&3
  sleep 2
  cmp first out && kill -CONT "$(cat pid.2)" || return 1
  exec 3>&-
  wait $launcher
  got=$?
  cat log.0 err
  wait
  cat first first > both
  [ $got = 0 ] && [ ! -s err ] && cmp both out
}
aside "a rank that was stopped goes on" paused

wait
for dir in aside.*; do
  cd "$dir" && ok "$(cat name)" was && cd .. || exit 1
done
done_all
