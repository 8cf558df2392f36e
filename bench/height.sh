#!/bin/sh
# Image models split in height over 2 and 4 devices: equal to the whole,
# activations in parts, the bytes of the halos; and the time of two devices
# with one thread each against one device with two.
#
#   bench/height.sh [BUILD] [RUNS] [CASE]...
#
#   PYTHON    an interpreter with onnx and numpy (default: python3)
#   AUTO      fill: what the height does not split is split by the cost model
#   SHORT     keep: axes of short dims stay where they are
#
# Method: bench/image_models.py writes the models; gshard-run --check compares
# with the whole model, and its --bench says what a device keeps and sends.
# Cases are folders that `make real-models` leaves in ~/.cache/gshard-models,
# of models whose first input is [N, C, H, W]; they are compared with ONNX
# Runtime's outputs. A part of what one device keeps is that by the number of
# devices; more than 15 % above it is said.  Fails only where results differ.
# Times are medians of RUNS processes each (default 9; 0: none), in turns; a
# process is its best of five runs, so that it is not the reading of weights
# that is measured.
set -eu
build=$(cd "${1-build}" && pwd) runs=${2-9}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
source=$(cd "$(dirname "$0")" && pwd)
PATH=$build/tools:$PATH
export OMP_WAIT_POLICY=passive
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

# program MODEL DEVICES
program() {
  cat > "$tmp/spec.yaml" << END
version: 1
mesh: {axes: {h: $2}}
rules: [{match: {tensor: "$(cat "$tmp/$1.input")"}, shard: [~, ~, h, ~]}]
END
  echo "options: {auto: ${AUTO-off}, short: ${SHORT-move}}" >> "$tmp/spec.yaml"
  [ ! -f "$tmp/$1.bind" ] || cat "$tmp/$1.bind" >> "$tmp/spec.yaml"
  gshard-annotate -qf -s "$tmp/spec.yaml" -o "$tmp/a.onnx" "$tmp/$1.onnx"
  gshard-partition -q -o "$tmp/$1.$2" "$tmp/a.onnx"
}

# bench MODEL DEVICES THREADS: best of five runs in ms, bytes sent, bytes kept.
bench() {
  gshard-run --json -j "$3" --random 1 --bench=5 "$tmp/$1.$2" |
    sed -n 's/.*"min_ms": \([0-9.]*\).*"bytes_sent": \([0-9]*\).*"activation_bytes": \([0-9]*\).*/\1 \2 \3/p'
}

# compare MODEL DEVICES
compare() {
  if [ -d "$tmp/$1.data" ]; then
    gshard-run -q --test-data "$tmp/$1.data" --rtol 1e-3 --atol 5e-4 \
      "$tmp/$1.$2"
  else
    gshard-run -q --random 1 --check "$tmp/$1.onnx" "$tmp/$1.$2"
  fi
}

memory() { # MODEL
  for d in 1 2 4; do
    program "$1" "$d"
    bench "$1" "$d" 2 > "$tmp/at.$d"
    [ "$d" -gt 1 ] || continue
    compare "$1" "$d" || {
      echo "$1 on $d devices: other results than the whole"
      failed=1
    }
    awk -v d="$d" -v model="$1" 'NR == FNR { whole = $3; next } {
      part = $3 / (whole / d)
      printf "%-8s %d devices: %.2f MB of activations, %.2f of a part of %.2f MB; ",
        model, d, $3 / 1e6, part, whole / d / 1e6
      printf "%d bytes sent%s\n", $2,
        (part > 1.15) ? "; more than 1.15 of a part" : "" }' \
      "$tmp/at.1" "$tmp/at.$d"
  done
}

for model in resnet50 unet; do
  "${PYTHON-python3}" "$source/image_models.py" "$model" "$tmp/$model.onnx"
  echo image > "$tmp/$model.input"
  memory "$model"
done
for case; do
  model=$(basename "$case")
  ln -s "$(cd "$case" && pwd)/model.onnx" "$tmp/$model.onnx"
  ln -s "$(cd "$case" && pwd)/test_data_set_0" "$tmp/$model.data"
  cp "$case/bind.yaml" "$tmp/$model.bind"
  "${PYTHON-python3}" -c 'import onnx, sys
print(onnx.load(sys.argv[1]).graph.input[0].name)' "$case/model.onnx" \
    > "$tmp/$model.input"
  memory "$model"
done

[ "$runs" -gt 0 ] || exit "$failed"
i=0
while [ "$i" -lt "$runs" ]; do
  for d in 1 2; do bench resnet50 "$d" 2 >> "$tmp/times.$d"; done
  i=$((i + 1))
done
for d in 1 2; do
  sort -n "$tmp/times.$d" |
    awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }' > "$tmp/median.$d"
done
awk 'NR == FNR { a = $1; next } {
  printf "resnet50 time: 1 device %.1f ms, 2 devices %.1f ms, ratio %.2f\n",
    a, $1, $1 / a }' "$tmp/median.1" "$tmp/median.2"
exit "$failed"
