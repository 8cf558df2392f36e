#!/bin/sh
# What verifying the weights of a plan adds to loading it.
#
#   bench/verify.sh [BUILD] [GIB] [RUNS]
#
# Method: a decoder with about GIB (default 1) GiB of weights, partitioned for
# one device, where weights are packed, and for two, where they are also cut
# and copied; each plan is run RUNS (default 7) times with and without
# --no-verify in turns, every run a process of its own with the files in the
# page cache, after one of each that does not count.  Medians of the time from
# the start to the end of the process, that is of loading and one small run,
# and of its processor time; and the ratios of the medians.
set -eu
build=$(cd "${1-build}" && pwd) gib=${2-1} runs=${3-7}
PATH=$build/tools:$build/examples:$PATH
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# A layer has 192 MiB.
dense-transformer -q --weights none --layers $((gib * 16 / 3)) --batch 1 \
  --seq 8 --model-dim 2048 --hidden-dim 8192 --heads 16 --vocab 1024 \
  -o "$tmp/m.onnx"
truncate -s $((gib * 1100))M "$tmp/m.onnx.data"
for devices in 1 2; do
  printf 'version: 1\nmesh: {axes: {tp: %d}}\nrules:\n%s\n' $devices \
    '  - {match: {tensor: "**/w"}, shard: [~, tp]}' > "$tmp/s.yaml"
  gshard-annotate -q -s "$tmp/s.yaml" -o "$tmp/$devices.onnx" "$tmp/m.onnx"
  gshard-partition -q -o "$tmp/$devices" "$tmp/$devices.onnx"
done
rm "$tmp/m.onnx.data"

# sample DEVICES OPTION: elapsed and processor time of one run, in seconds.
sample() {
  start=$(date +%s%N)
  # shellcheck disable=SC2086
  (gshard-run -q --random 1 $2 "$tmp/$1" > /dev/null
   times) > "$tmp/times"
  end=$(date +%s%N)
  awk -v wall=$((end - start)) 'NR == 2 {
    split($1, u, /[ms]/); split($2, s, /[ms]/)
    print wall / 1e9, u[1] * 60 + u[2] + s[1] * 60 + s[2] }' "$tmp/times"
}
median() { # median FILE COLUMN
  sort -n -k "$2" "$1" |
    awk -v c="$2" '{ t[NR] = $c } END { print t[int((NR + 1) / 2)] }'
}

for devices in 1 2; do
  i=0
  while [ "$i" -le "$runs" ]; do
    for how in --no-verify ''; do
      sample $devices "$how" > "$tmp/sample"
      [ "$i" -eq 0 ] || cat "$tmp/sample" >> "$tmp/$devices.times$how"
    done
    i=$((i + 1))
  done
  awk -v d=$devices -v a="$(median "$tmp/$devices.times--no-verify" 1)" \
    -v b="$(median "$tmp/$devices.times" 1)" \
    -v x="$(median "$tmp/$devices.times--no-verify" 2)" \
    -v y="$(median "$tmp/$devices.times" 2)" 'BEGIN {
    printf "%d devices: %.2f s without, %.2f s with, ratio %.3f; ", d, a, b,
      b / a
    printf "processor time %.2f s and %.2f s, ratio %.3f\n", x, y, y / x }'
done
