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

# ---- ranks that do not come -------------------------------------------------
# absent COMMAND...: what one process does instead.
absent() {
  job -n 2 "$run" --timeout 3 --random 1 plan : -n 1 "$@" > out 2> err \
    < /dev/null
  got=$?
  echo "exit $got"
  cat err
  [ $got != 0 ] && [ $got != 124 ] && [ $got != 137 ]
}
ok "a rank that ends before MPI starts" absent true
ok "a rank that prints its help" absent "$run" --help
ok "a rank that never starts MPI" absent sleep 3000
grep -q 'rank 0: not all ranks of the job have started' err ||
  grep -q -i 'error\|abort\|term' err
ok "which is said" [ $? = 0 ]

# ---- ranks that are lost ----------------------------------------------------
# lost RANK RANKS: stopped while the job runs.
lost() {
  rm -f pid.* err
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
  ok "rank $rank is stopped" lost $rank 4
done
ok "a rank with two devices is stopped" lost 1 2

# A rank that is at work is not lost: rank 0 gets its input late.
late() {
  "$run" --random 1 program > want || return 1
  (sleep 5 && cat program) |
    job -n 2 "$run" --timeout 2 --random 1 - > out 2> err
  got=$?
  cat err
  [ $got = 0 ] && cmp want out
}
ok "a rank that works for longer than --timeout" late

# A rank that was stopped for less than --timeout goes on.  On a quick machine
# it needs more runs to be still at work when it is stopped.
paused() {
  runs=20000
  while :; do
    rm -f pid.*
    job -n 4 sh -c "$told" sh "$run" --timeout 1000 --random 1 \
      --bench "$runs" plan > out 2> err < /dev/null &
    launcher=$!
    appears pid.2 || return 1
    sleep 2
    ! kill -STOP "$(cat pid.2)" || break
    wait $launcher
    runs=$((runs * 4))
    [ $runs -lt 100000000 ] || { echo "it ends at once"; return 1; }
  done
  sleep 2
  kill -CONT "$(cat pid.2)"
  wait $launcher
  got=$?
  cat err
  [ $got = 0 ] && [ ! -s err ]
}
ok "a rank that was stopped goes on" paused
done_all
