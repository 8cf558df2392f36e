#!/bin/sh
# gshard-run on threads and on MPI ranks: the same bytes of every form of a
# model; jobs that cannot work end soon and say why.
set -u
build=$(pwd)
mpirun=${MPIRUN-mpirun}
if ! command -v "$mpirun" > /dev/null 2>&1 || [ "${HAVE_MPI-1}" = 0 ]; then
  echo "skipped: no MPI"
  exit 77
fi
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy
# MPI's own libraries keep memory at exit.
ASAN_OPTIONS="${ASAN_OPTIONS-}${ASAN_OPTIONS:+:}detect_leaks=0"
export ASAN_OPTIONS
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
run=$build/tools/gshard-run

ok() { # ok TEXT COMMAND...
  text=$1
  shift
  if "$@" > log 2>&1; then
    passed=$((passed + 1))
    echo "ok: $text"
  else
    printf 'not ok: %s\n' "$text"
    sed 's/^/  /' log | head -10
    failed=$((failed + 1))
  fi
}
job() { timeout -k 5 1200 "$mpirun" "$@"; }

# gives CODE FRAGMENT ARGUMENTS...: a job that fails.
gives() {
  want=$1 fragment=$2
  shift 2
  job "$@" > out 2> err < /dev/null
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
  [ ! -s out ] || { cat out; return 1; }
}

"$build/tests/test_onnx" --samples . || exit 1
cat > mlp.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END
sed 's/\[~, tp\]/[tp, ~]/' mlp.yaml > other.yaml
for name in mlp other; do
  "$build/tools/gshard-annotate" -q -s $name.yaml -o $name.a.onnx mlp.onnx &&
    "$build/tools/gshard-partition" -q -o - $name.a.onnx > $name.onnx.new &&
    mv $name.onnx.new $name.program &&
    "$build/tools/gshard-partition" -q -o $name.spmd $name.a.onnx &&
    "$build/tools/gshard-partition" -q --emit device -o $name.device \
      $name.a.onnx || exit 1
done

# ---- the same bytes ---------------------------------------------------------
"$run" --transport threads --random 1 mlp.program > threads || exit 1
on_threads() { "$run" --random 1 "$1" > out && cmp threads out; }
on_ranks() {
  job -n "$1" "$run" --random 1 "$2" > out && cmp threads out
}
from_stdin() {
  job -n "$1" "$run" --random 1 - < mlp.program > out && cmp threads out
}
for form in mlp.program mlp.spmd mlp.device; do
  ok "$form on threads" on_threads $form
  for ranks in 1 2 4; do
    ok "$form on $ranks ranks" on_ranks $ranks $form
  done
done
ok "a program from standard input on 4 ranks" from_stdin 4
ok "the whole model on threads, under mpirun" \
  job -n 1 "$run" --transport threads --random 1 --check mlp.onnx mlp.spmd
ok "equal to the whole on 2 ranks" \
  job -n 2 "$run" --random 1 --check mlp.onnx mlp.device
files() {
  "$run" -q --random 1 -o "$1.t" mlp.spmd &&
    job -n 2 "$run" -q --random 1 -o "$1.m" "$1" && diff -r "$1.t" "$1.m"
}
ok "the same files" files mlp.device

# ---- jobs that cannot work --------------------------------------------------
for form in mlp.program mlp.spmd mlp.device; do
  ok "$form on 3 ranks" gives 76 '4 devices cannot be spread' \
    -n 3 "$run" --random 1 $form
done
ok "the program of another plan on one rank" gives 76 'different plans' \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" --random 1 other.spmd
ok "device graphs of another plan on one rank" gives 76 'different plans' \
  -n 1 "$run" --random 1 mlp.device : -n 1 "$run" --random 1 other.device
ok "another form of the plan on one rank" gives 76 'different plans' \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" --random 1 mlp.device
ok "a rank without the plan" gives 66 'none' \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" --random 1 none
ok "a rank without the input" gives 66 "input 'x'" \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" mlp.spmd
truncate -s -1 mlp.device/weights.data
ok "short weights" gives 76 'weights.data' -n 2 "$run" --random 1 mlp.device

# Hundredths of a second that a process has computed.
ticks() {
  sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | awk '{ print $12 + $13 }'
}
# A rank that is killed while it computes ends the job.
# (One that is killed inside MPI_Init may make Open MPI's launcher wait.)
killed() {
  rm -f pid.*
  job -n 4 sh -c 'echo $$ > pid.$OMPI_COMM_WORLD_RANK; exec "$@"' sh \
    "$run" --random 1 --bench 1000000 mlp.spmd > out 2> err < /dev/null &
  launcher=$!
  tries=0
  while [ ! -s pid.3 ] || [ "$(ticks "$(cat pid.3)")" -lt 100 ]; do
    [ $tries -lt 12000 ] || { echo 'it does not start'; return 1; }
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL "$(cat pid.3)" || return 1
  wait $launcher
  got=$?
  cat err
  echo "exit $got"
  [ $got != 0 ] && [ $got != 124 ] || return 1
  for file in pid.*; do
    tries=0 # the launcher does not wait for the others' end
    while kill -0 "$(cat "$file")" 2> /dev/null; do
      [ $tries -lt 1200 ] || { echo "$file lives"; return 1; }
      sleep 0.1
      tries=$((tries + 1))
    done
  done
}
ok "a killed rank ends the job" killed

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
