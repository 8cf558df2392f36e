#!/bin/sh
# The SPMD program does not grow with the number of devices: the same model on
# 8 and on 2048 devices gives programs whose sizes differ by less than 10 %.
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
tell() { # tell STATUS TEXT
  if [ "$1" -eq 0 ]; then
    echo "ok: $2"
    passed=$((passed + 1))
  else
    echo "not ok: $2"
    failed=$((failed + 1))
  fi
}

PATH=$(pwd)/tools:$(pwd)/examples:$PATH
spec=${srcdir-.}/examples/moe-transformer.yaml
moe-transformer --weights none --layers 4 --experts 2048 --groups 2048 \
  --group-size 16 -o "$tmp/moe.onnx"
tell $? 'a model of 2048 experts without its weights'

for devices in 8 2048; do
  sed "s/ep: *[0-9]*/ep: $devices/" "$spec" > "$tmp/$devices.yaml"
  gshard-annotate -q -s "$tmp/$devices.yaml" "$tmp/moe.onnx" |
    gshard-partition -q -o - > "$tmp/$devices.onnx"
  tell $? "partitioned for $devices devices"
done

small=$(wc -c < "$tmp/8.onnx") large=$(wc -c < "$tmp/2048.onnx")
[ "$small" -gt 1000 ] && [ $((large * 10)) -lt $((small * 11)) ] &&
  [ $((small * 10)) -lt $((large * 11)) ]
tell $? "program of $small bytes on 8 devices, $large on 2048"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
