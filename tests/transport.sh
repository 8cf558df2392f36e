#!/bin/sh
# gshard-run on threads and on MPI ranks: the same bytes of every form of a
# model; jobs that cannot work end soon and say why.
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
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END
sed 's/\[~, tp\]/[tp, ~]/' mlp.yaml > other.yaml
# Tensors of three device orders.
cat > order.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
orders: {zigzag: [0, 3, 1, 2]}
rules:
  - match: {tensor: x}
    shard: [zigzag, ~]
  - match: {tensor: w1}
    shard: [~, ~]
  - match: {tensor: w2}
    shard: [tp, ~]
  - match: {tensor: y}
    assign: {shape: [4, 1], devices: [2, 0, 1, 3]}
END
for name in mlp other order; do
  "$build/tools/gshard-annotate" -q -s $name.yaml -o $name.a.onnx mlp.onnx &&
    "$build/tools/gshard-partition" -q -o - $name.a.onnx > $name.onnx.new &&
    mv $name.onnx.new $name.program &&
    "$build/tools/gshard-partition" -q -o $name.spmd $name.a.onnx &&
    "$build/tools/gshard-partition" -q --emit device -o $name.device \
      $name.a.onnx || exit 1
done

# ---- the same bytes ---------------------------------------------------------
for name in mlp order; do
  "$run" --transport threads --random 1 $name.program > $name.out || exit 1
done
on_threads() { "$run" --random 1 "$1" > out && cmp "${1%.*}.out" out; }
on_ranks() {
  job -n "$1" "$run" --random 1 "$2" > out && cmp "${2%.*}.out" out
}
from_stdin() {
  job -n "$1" "$run" --random 1 - < mlp.program > out && cmp mlp.out out
}
for form in mlp.program mlp.spmd mlp.device; do
  ok "$form on threads" on_threads $form
  for ranks in 1 2 4; do
    ok "$form on $ranks ranks" on_ranks $ranks $form
  done
done
ok "device orders equal to the whole on 4 ranks" \
  job -n 4 "$run" --random 1 --check mlp.onnx order.spmd
for form in order.program order.spmd order.device; do
  ok "$form on threads" on_threads $form
  for ranks in 2 4; do
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
ok "the program of another plan on one rank" gives 76 'a different plan' \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" --random 1 other.spmd
ok "device graphs of another plan on one rank" gives 76 'a different plan' \
  -n 1 "$run" --random 1 mlp.device : -n 1 "$run" --random 1 other.device
ok "another form of the plan on one rank" gives 76 'a different plan' \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" --random 1 mlp.device
ok "a rank without the plan" gives 66 'none' \
  -n 1 "$run" --random 1 mlp.spmd : -n 1 "$run" --random 1 none
ok "an input is missing" gives 66 "input 'x'" -n 2 "$run" mlp.spmd
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
  job -n 4 sh -c "$told" sh \
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
  all_gone
}
ok "a killed rank ends the job" killed

done_all
