#!/bin/sh
# Memory and threads that run out, at every call in turn: the tools end with 0
# or 71 and a message, never with a signal, another code or not at all.
set -u
build=$(pwd)
data=$build/tests
[ -d "$data/spec" ] || data=$(cd "${srcdir-.}/tests" && pwd)
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/preload.sh
. "${srcdir-.}/tests/preload.sh"
cd "$work" || exit 1

annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition

# Which calls are made to fail: the first 400 one by one, then one of each 211,
# for a library may make thousands that are all alike.
turns() {
  awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i += i < 400 ? 1 : 211) print i }'
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

"$annotate" -q -s "$data/data/mlp.yaml" -o mlp.onnx "$data/data/mlp.onnx" ||
  exit 1
for kind in malloc mmap; do
  sweep "annotate: $kind" $kind "$annotate" -q -s "$data/data/mlp.yaml" -o - \
    "$data/data/mlp.onnx"
  sweep "partition: $kind" $kind "$partition" -q -f -o plan mlp.onnx
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
