#!/bin/sh
# gshard-run: plain models, programs, plans of both kinds; threads and MPI
# give the same bytes; what it refuses.
set -u
build=$(pwd)
data=${srcdir-.}/tests/data
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
run="$build/tools/gshard-run"
# shellcheck source=tests/mpirun.sh
. "$(dirname "$0")/mpirun.sh"

result() { # result STATUS TEXT
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    echo "ok: $2"
  else
    failed=$((failed + 1))
    echo "not ok: $2"
    sed 's/^/  /' "$work/err" | head -5
  fi
}

# expect CODE TEXT COMMAND...
expect() {
  code=$1 text=$2
  shift 2
  "$@" > "$work/out" 2> "$work/err"
  got=$?
  [ "$got" = "$code" ] || echo "  exit $got, expected $code" >> "$work/err"
  [ "$got" = "$code" ]
  result $? "$text"
}

model=$data/mlp.onnx
program=$work/program.onnx
"$build/tools/gshard-annotate" -q --verify -s "$data/mlp.yaml" \
  -o "$work/a.onnx" "$model" &&
  "$build/tools/gshard-partition" -q --verify -o - "$work/a.onnx" \
  > "$program" && "$build/tools/gshard-partition" -q -o "$work/plan" \
  "$work/a.onnx" && "$build/tools/gshard-partition" -q --verify --emit device \
  -o "$work/devices" "$work/a.onnx" || { echo "cannot partition"; exit 1; }

made="--random 1 --range i=-5:5 --bind batch=5"
# shellcheck disable=SC2086
{
  expect 0 "plain model" "$run" $made -o "$work/whole" "$model"
  "$run" $made "$program" > "$work/digest"
  for what in program.onnx plan devices; do
    expect 0 "$what equals the model" "$run" $made --check "$model" \
      "$work/$what"
    "$run" $made "$work/$what" > "$work/out" 2> "$work/err"
    cmp -s "$work/out" "$work/digest"
    result $? "$what gives the same bytes"
  done
  for threads in 1 2 7; do
    "$run" $made -j "$threads" "$program" > "$work/out" 2> "$work/err"
    cmp -s "$work/out" "$work/digest"
    result $? "the same bytes with -j $threads"
  done
  expect 0 "bench and JSON" "$run" $made --bench 3 --json "$program"
  expect 0 "files in and out" "$run" --random 1 --range i=-5:5 \
    -o "$work/again" --bind batch=5 "$program"
  expect 73 "an output that exists" "$run" $made -o "$work/again" "$program"
  expect 0 "-f replaces it" "$run" -f $made -o "$work/again" "$program"
  expect 1 "tolerances of 0 fail" "$run" $made --rtol 0 --atol 0 \
    --check "$data/mlp.onnx" "$program"
}
# Weights at odd offsets: the sanitizer build sees every unaligned read.
odd=$data/odd-inline.onnx
"$run" --random 1 "$odd" > "$work/odd-digest" 2> /dev/null
"$run" --random 1 "$data/odd.onnx" > "$work/out" 2> "$work/err" &&
  cmp -s "$work/out" "$work/odd-digest"
result $? "weights at odd offsets"
"$build/tools/gshard-annotate" -q -s "$data/odd.yaml" -o "$work/odda.onnx" \
  "$data/odd.onnx" && cp "$data/odd.data" "$work" &&
  "$build/tools/gshard-partition" -q -o - "$work/odda.onnx" \
  > "$work/odd.onnx"
expect 0 "the same, sharded" "$run" --random 1 --check "$odd" \
  "$work/odd.onnx"
# shellcheck disable=SC2086
expect 0 "--timeout" "$run" --timeout 1200 $made "$program"
expect 64 "a negative --timeout" "$run" --timeout -1 "$program"
expect 66 "an input is missing" "$run" "$program"
grep -q "input 'x' is not given" "$work/err"
result $? "which one is said"
expect 64 "no such input" "$run" -i "q=$work/whole/y.npy" "$program"
expect 65 "an input of another shape" "$run" -i "x=$work/whole/y.npy" \
  --random 1 "$program"
expect 64 "no such range" "$run" --random 1 --range q=0:2 "$program"
expect 65 "an index out of range" "$run" --random 1 --range i=90:91 "$program"
grep -q "device [0-3]: step [0-9]*: node '.*take.*" "$work/err"
result $? "device, step and node are said"
[ "$(grep -c error: "$work/err")" = 1 ]
result $? "in one message"

# Devices that were stopped for longer than --timeout have not waited.
stopped() {
  "$run" --timeout 1 --random 1 --bench 1000000 "$program" > "$work/out" \
    2> "$work/err" &
  job=$!
  for round in 1 2 3; do
    sleep 1
    kill -STOP $job || return 1
    sleep 2
    kill -CONT $job || return 1
  done
  sleep 1
  kill -TERM $job || return 1
  wait $job
  [ $? = 143 ] && [ ! -s "$work/err" ]
}
stopped
result $? "a stopped job goes on"

mpirun=${MPIRUN-mpirun}
if [ "${HAVE_MPI-0}" = 1 ] && command -v "$mpirun" > /dev/null 2>&1; then
  ASAN_OPTIONS="${ASAN_OPTIONS-}${ASAN_OPTIONS:+:}detect_leaks=0"
  export ASAN_OPTIONS
  # shellcheck disable=SC2086
  for ranks in 1 2 4; do
    for what in program.onnx devices; do
      timeout -k 5 1200 "$mpirun" -n "$ranks" "$run" $made "$work/$what" \
        > "$work/out" 2> "$work/err"
      cmp -s "$work/out" "$work/digest"
      result $? "$what on $ranks ranks: the same bytes"
    done
  done
  # shellcheck disable=SC2086
  expect 0 "standard input and --check on 2 ranks" sh -c "timeout -k 5 1200 \
    $mpirun -n 2 $run $made --check $model - < $program"
  expect 76 "4 devices on 3 ranks" timeout -k 5 1200 "$mpirun" -n 3 "$run" \
    --random 1 "$program"
  expect 65 "a rank that fails ends the job" timeout -k 5 1200 "$mpirun" \
    -n 4 "$run" --random 1 --range i=90:91 "$program"
  grep -q "rank [0-3] (.*): device [0-3]: step" "$work/err"
  result $? "rank, host, device and step are said"
  [ "$(grep -c 'error:' "$work/err")" = 1 ]
  result $? "by one rank"
else
  echo "skipped: mpi"
fi
done_all
