#!/bin/sh
# Verification of weights when calls of the system fail: without a thread it is
# done by who waits; what cannot be read is no reason to go on.
set -u
build=$(pwd)
examples=$(cd "${srcdir-.}/examples" && pwd)
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
# shellcheck source=tests/preload.sh
. "${srcdir-.}/tests/preload.sh"
cd "$work" || exit 1
run=$build/tools/gshard-run

"$build/examples/dense-transformer" -q --layers 1 --model-dim 256 --vocab 2048 \
  -o m.onnx &&
  "$build/tools/gshard-annotate" -q -s "$examples/megatron.yaml" -o a.onnx \
    m.onnx &&
  "$build/tools/gshard-partition" -q --mesh dp=1,tp=1 -o plan a.onnx &&
  "$run" -j 1 --random 1 plan > good && cp -r plan bad || exit 1
printf x | dd of=bad/weights.data bs=1 seek=1500000 conv=notrunc 2> log

# One device on one thread: the only other thread is that of verification.
threads() { calls thread "$run" -j 1 --random 1 plan > out && [ "$calls" = 1 ]; }
ok "one thread beside the device" threads
right() { failing thread:1 "$run" -j 1 --random 1 plan > out && cmp out good; }
ok "without it a good plan runs" right
wrong() {
  failing thread:1 "$run" -j 1 --random 1 bad > out 2> err
  [ $? = 76 ] && grep -q 'weights.data: error: block 1,' err && [ ! -s out ]
}
ok "without it a bad plan does not" wrong

# read_fails N PLAN: the right numbers, or none.
read_fails() {
  failing "read:$1" "$run" -j 1 --random 1 "$2" > out 2> err
  status=$?
  cat err
  if [ $status = 0 ]; then cmp out good; else [ ! -s out ] && [ -s err ]; fi
}
calls read "$run" -j 1 --random 1 plan > out
ok "reads are counted" [ "$calls" -gt 2 ]
n=1
while [ "$n" -le "$calls" ]; do
  ok "read $n of $calls fails" read_fails $n plan
  ok "read $n of a bad plan" read_fails $n bad
  n=$((n + 1))
done
last() {
  failing "read:$calls" "$run" -j 1 --random 1 plan > out 2> err
  [ $? = 74 ] && grep -q 'weights.data: error: block 6, .* cannot be read' err
}
ok "a block that cannot be read" last

done_all
