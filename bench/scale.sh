#!/bin/sh
# Time to partition one model for 8 and for 2048 devices (GShard section 1.1:
# the cost of compiling must not grow with the devices).
#
#   bench/scale.sh [BUILD] [RUNS]
#
# Method: the MoE Transformer with 2048 experts, without weights; annotated
# once for each mesh; after one warm-up each, partitioned RUNS times (default
# 7) in turns, 8 then 2048 devices, ten times each because the clock of
# processor time is coarse; medians of the user and system time of one whole
# process, and the ratio of the medians.
set -eu
build=$(cd "${1-build}" && pwd) runs=${2-7}
source=$(cd "$(dirname "$0")/.." && pwd)
PATH=$build/tools:$build/examples:$PATH
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
moe-transformer --weights none --layers 12 --experts 2048 --groups 2048 \
  --group-size 16 -o "$tmp/moe.onnx"
for d in 8 2048; do
  sed "s/ep: *[0-9]*/ep: $d/" "$source/examples/moe-transformer.yaml" \
    > "$tmp/$d.yaml"
  gshard-annotate -q -s "$tmp/$d.yaml" -o "$tmp/$d.onnx" "$tmp/moe.onnx"
done

# sample DEVICES: seconds of processor time of one partitioning, out of ten.
sample() {
  (
    for k in 1 2 3 4 5 6 7 8 9 10; do
      gshard-partition -q -o - "$tmp/$1.onnx" > "$tmp/$1.program"
    done
    times
  ) | awk 'NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/)
    print (u[1] * 60 + u[2] + s[1] * 60 + s[2]) / 10 }'
}

sample 8 > /dev/null
sample 2048 > /dev/null
i=0
while [ "$i" -lt "$runs" ]; do
  for d in 8 2048; do sample "$d" >> "$tmp/$d.times"; done
  i=$((i + 1))
done
for d in 8 2048; do
  sort -n "$tmp/$d.times" | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }' \
    > "$tmp/$d.median"
  printf '%5d devices: median %s s, program of %d bytes\n' "$d" \
    "$(cat "$tmp/$d.median")" "$(wc -c < "$tmp/$d.program")"
done
awk 'NR == FNR { a = $1; next } { printf "ratio %.2f\n", $1 / a }' \
  "$tmp/8.median" "$tmp/2048.median"
