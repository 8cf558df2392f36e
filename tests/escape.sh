#!/bin/sh
# Names that a terminal would obey, everywhere in a model and in the names of
# files: no tool prints them raw, in any of its modes, to either stream.
set -u
build=$(pwd)
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1
annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run
"$build/tests/test_onnx" --samples . || exit 1

# $bad matches what must not be seen: controls but line ends, DEL, C1, marks of
# direction, bytes that no UTF-8 has, and the line that the names forge.
bad=$(printf '[\001-\011\013-\037\177\377]|\302[\200-\237]|\342\200[\252-\256]|^forged')

# printed TEXT FRAGMENT COMMAND...: nothing raw, FRAGMENT and something escaped
# in either stream, whatever the exit code.
printed() {
  text=$1 fragment=$2
  shift 2
  "$@" > out 2> err < /dev/null
  got=$?
  if [ $got -ge 124 ]; then
    echo "not ok: $text: exit $got"
  elif LC_ALL=C grep -nE "$bad" out err > seen; then
    printf 'not ok: %s: printed raw\n' "$text"
    head -3 seen | cat -v | sed 's/^/  /'
  elif ! cat out err | grep -q -e "$fragment"; then
    printf 'not ok: %s: no %s\n' "$text" "$fragment"
    head -3 out err | sed 's/^/  /'
  elif ! grep -qE '\\x1b|\\u001b' out err; then
    printf 'not ok: %s: nothing is escaped\n' "$text"
  else
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
}

x=$(printf '\033]0;t\a\nforged \302\23331m\342\200\256\177x')
h=${x%x}
file=$(printf 'hostile \377')
cp hostile.onnx "$h.onnx"
mkdir plans
cat > "$h.yaml" << 'END'
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: "*x"}
    shard: [dp, ~]
  - match: {tensor: "*w1"}
    shard: [~, tp]
END
sed 's/"[*]x"/none/' "$h.yaml" > "${h}none.yaml"
"$annotate" -q -s "$h.yaml" -o ready.onnx hostile.onnx || exit 1
"$partition" -q -o plans/spmd ready.onnx
"$partition" -q --emit device -o plans/device ready.onnx

for json in '' --json; do
  # shellcheck disable=SC2086
  {
    printed "list-tensors $json" w1 "$annotate" $json --list-tensors ready.onnx
    printed "dump-spec $json" w1 "$annotate" $json -s "$h.yaml" --dump-spec \
      hostile.onnx
    printed "explain $json" stated "$annotate" $json -n -s "$h.yaml" \
      --explain "$x" --explain "${h}y" hostile.onnx
    printed "report $json" forged "$annotate" $json -n -s "$h.yaml" --report \
      hostile.onnx
    printed "partition $json" w1 "$partition" $json -n --report --mesh a=2 \
      hostile.onnx
    printed "check of annotate $json" annotation "$annotate" $json -s "$h.yaml" \
      --check "$h.onnx"
    printed "auto $json" w1 "$annotate" $json -n --mesh tp=2 --auto=1MiB \
      --report "$h.onnx"
    printed "an unknown tensor $json" "no tensor" "$annotate" $json -n \
      --mesh a=2 --explain "$h" mlp.onnx
    printed "a misspelt name $json" "did you mean" "$run" $json -i "${x}z=a.npy" \
      hostile.onnx
    printed "a rule without a match $json" forged "$annotate" $json -n \
      -s "${h}none.yaml" mlp.onnx
    printed "an operator that is not known $json" Op "$run" $json --random 1 \
      --bind "${h}dim=6" hostile-op.onnx
    printed "a symbolic dim $json" dim "$annotate" $json -n --mesh a=2 \
      hostile-op.onnx
    printed "a missing file $json" forged "$run" $json --random 1 "${h}none"
    printed "a wrong range $json" forged "$run" $json --random 1 \
      --range "$x=$h" "$h.onnx"
    printed "a wrong option $json" forged "$run" $json "--$h" x
    printed "a wrong choice $json" forged "$run" $json "--color=$h" x
    printed "a surplus operand $json" forged "$run" $json a "$h"
    printed "a wrong mesh $json" forged "$annotate" $json -n --mesh "$h=2" \
      mlp.onnx
    for source in hostile.onnx ready.onnx plans/spmd plans/device; do
      printed "run $source $json" forged "$run" $json --random 1 $source
    done
    printed "check $json" forged "$run" $json --random 1 --check mlp.onnx \
      plans/spmd
    printed "a file name that is no text $json" hostile "$annotate" $json \
      -n "$h$file"
  }
done
printed "dump" MatMul "$partition" -n --dump=all ready.onnx
printed "dump of an unknown operator" attribute "$partition" -n --dump=all \
  --mesh a=2 --bind "${h}dim=6" hostile-op.onnx
printed "an existing output" forged "$annotate" --mesh a=2 -o "$h.onnx" \
  mlp.onnx
printf '{"\\e[31mforged": 1}\n' > bad.yaml
printed "a key of a spec" forged "$annotate" -n -s bad.yaml mlp.onnx
printf 'mesh: {axes: {"\\e[31m": 2}}\n' > bad.yaml
printed "an axis" 31m "$annotate" -n -s bad.yaml mlp.onnx
printf 'mesh: {axes: {a: 2}, "\\e\342\200\256": 1}' > bad.yaml
printed "the line of a spec" xe2 "$annotate" -n -s bad.yaml mlp.onnx
mv plans/spmd "plans/$h"
rm "plans/$h/weights.data"
printed "a plan without weights" forged "$run" --random 1 "plans/$h"

done_all
