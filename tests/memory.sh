#!/bin/sh
# Memory and threads that run out, at every call in turn: the tools end with 0
# or 71 and a message, never with a signal, another code or not at all.
set -u
build=$(pwd)
data=$build/tests
[ -d "$data/spec" ] || data=$(cd "${srcdir-.}/tests" && pwd)
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
# shellcheck source=tests/preload.sh
. "${srcdir-.}/tests/preload.sh"
cd "$work" || exit 1

annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run
if [ ! -x "$build/tests/test_onnx" ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi

# Which calls are made to fail: one of three of the first 400, all of them when
# they are few or GSHARD_SWEEP=full, and of the others one of each 997, for a
# library may make thousands that are all alike.
step=3
[ "${GSHARD_SWEEP-}" != full ] || step=1
turns() {
  awk -v n="$1" -v step="$step" -v first="${GSHARD_SWEEP-1}" 'BEGIN {
    if (n < 60) step = 1
    for (i = 1 + first % step; i <= n; i += i < 400 ? step : 997) print i
  }'
}

# sweep TEXT KIND COMMAND...: one case.
sweep() {
  text=$1 kind=$2
  shift 2
  wrong=0
  if ! calls "$kind" "$@" > out 2> err < /dev/null; then
    printf 'not ok: %s: without a failure\n' "$text"
    sed 's/^/  /' err | head -5
    failed=$((failed + 1))
    return
  fi
  for n in $(turns "$calls"); do
    failing "$kind:$n" timeout -k 5 100 "$@" > out 2> err < /dev/null
    got=$?
    if [ $got = 0 ] || { [ $got = 71 ] && [ -s err ]; }; then continue; fi
    [ $wrong != 0 ] || printf 'not ok: %s\n' "$text"
    [ $wrong -gt 5 ] || printf '  %s:%s: exit %s: %s\n' "$kind" "$n" $got \
      "$(head -c 100 err)"
    wrong=$((wrong + 1))
  done
  if [ $wrong = 0 ]; then passed=$((passed + 1)); else
    printf '  %s of %s\n' $wrong "$(turns "$calls" | wc -l)"
    failed=$((failed + 1))
  fi
}

"$build/tests/test_onnx" --samples . || exit 1
cat > mlp.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: "w[12]"}
    shard: [~, tp]
END
"$annotate" -q -s mlp.yaml -o mlp.a.onnx mlp.onnx &&
  "$partition" -q -o four mlp.a.onnx || exit 1
for kind in malloc mmap; do
  sweep "annotate: $kind" $kind "$annotate" -q -s mlp.yaml -o - mlp.onnx
  sweep "partition: $kind" $kind "$partition" -q -f -o plan mlp.a.onnx
done
for kind in malloc mmap thread; do
  sweep "run, 4 devices: $kind" $kind "$run" -q -j4 --random 1 four
  sweep "run, 2 threads: $kind" $kind "$run" -q -j2 --random 1 conv.onnx
  sweep "run, boxes: $kind" $kind "$run" -q -j1 \
    --test-data "$data/data/dynamic" "$data/data/dynamic/model.onnx"
done

# The message says what wanted how much.
says_for() { # TEXT SPEC COMMAND...
  want=$1 spec=$2
  shift 2
  failing "$spec" "$@" > out 2> err
  got=$?
  cat err
  [ $got = 71 ] && grep -q "$want" err
}
ok "threads of devices are named" says_for "ran out for the threads of" \
  thread:2 "$run" -q --random 1 four
ok "a mapped file is named" says_for 'conv.onnx: .* its [0-9]* bytes' mmap:1+ \
  "$run" -q --random 1 conv.onnx

# An address space of KiB that is too small at some point; below the least one
# the loader cannot bring up the libraries.
bounded() { (ulimit -v "$1" && shift && exec "$@"); }
least=0
room() {
  wrong=
  while [ $least -lt 1000000 ] &&
    ! bounded $least "$run" --version > /dev/null 2>&1; do
    least=$((least + 8192))
  done
  for more in 0 1 2 3 4 6 8 12 16 24 32 48 64 96 128 192 256; do
    bounded $((least + more * 1024)) timeout -k 5 100 "$@" > out 2> err
    got=$?
    if [ $got = 0 ] || { [ $got = 71 ] && [ -s err ]; }; then continue; fi
    echo "$more MiB: exit $got: $(head -c 200 err)"
    wrong=1
  done
  [ -z "$wrong" ]
}
ok "little room: 4 devices" room "$run" -q -j4 --random 1 four
ok "little room: a convolution" room "$run" -q -j2 --random 1 conv.onnx
# Weights are in memory once: 64 MiB of them and less than that for the rest,
# where they are packed as they lie and where every device has a part of them.
# Each is small, since what is read and packed at a time counts too, and how
# many devices do that at once is the scheduler's choice.
once() {
  "$run" -vv --random 1 "$@" > out 2> err || { cat err; return 1; }
  most=$(sed -n 's/.* \([0-9]*\) KiB resident at most/\1/p' err | tail -1)
  echo "$most KiB"
  [ "$most" -gt 65536 ] && [ "$most" -lt 118784 ]
}
truncate -s 67108864 heavy.bin
cat > heavy.yaml << 'END'
version: 1
mesh: {axes: {tp: 4}}
rules:
  - match: {tensor: "w*"}
    shard: [~, tp]
END
"$annotate" -q -s heavy.yaml -o heavy.a.onnx heavy.onnx || exit 1
ok "weights once: a model" once heavy.onnx
for form in spmd device; do
  "$partition" -q --emit $form -o heavy.$form heavy.a.onnx || exit 1
  ok "weights once: a plan ($form)" once heavy.$form
done

truncate -s 1073741824 big.bin
refused() {
  bounded 600000 "$run" -q --random 1 big.onnx > out 2> err
  got=$?
  cat err
  [ $got = 71 ] && grep -q '1073741824 bytes wanted for w' err
}
ok "no room for a file of weights" refused

done_all
