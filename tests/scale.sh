#!/bin/sh
# Neither the SPMD program nor, without the standard fields, the annotated model
# grows with the number of devices: their sizes differ by less than 10 %.
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

alike() { # alike SIZE SIZE
  [ "$1" -gt 1000 ] && [ $(($2 * 10)) -lt $(($1 * 11)) ] &&
    [ $(($1 * 10)) -lt $(($2 * 11)) ]
}
small=$(wc -c < "$tmp/8.onnx") large=$(wc -c < "$tmp/2048.onnx")
alike "$small" "$large"
tell $? "program of $small bytes on 8 devices, $large on 2048"

# through PRESET DEVICES: the two sizes, annotated and partitioned.
through() {
  moe-transformer -q --preset "$1" --weights none -o "$tmp/moe.onnx" &&
    gshard-annotate -q --standard-fields=no --mesh "ep=$2" -s "$spec" \
      -f -o "$tmp/annotated.onnx" "$tmp/moe.onnx" &&
    gshard-partition -q -o - "$tmp/annotated.onnx" > "$tmp/program.onnx" &&
    wc -c < "$tmp/annotated.onnx" && wc -c < "$tmp/program.onnx"
}
for preset in 2048E-36L 1T; do
  # Word splitting wanted: two numbers each.
  # shellcheck disable=SC2046
  set -- $(through $preset 8) $(through $preset 65536)
  [ $# -eq 4 ]
  tell $? "$preset through both tools on 8 and on 65536 devices"
  alike "${1-0}" "${3-0}"
  tell $? "$preset: annotated, ${1-no} bytes on 8 devices, ${3-no} on 65536"
  alike "${2-0}" "${4-0}"
  tell $? "$preset: program of ${2-no} bytes on 8 devices, ${4-no} on 65536"
done
gshard-annotate -q --mesh ep=65536 -s "$spec" "$tmp/moe.onnx" |
  cmp - "$tmp/annotated.onnx"
tell $? "65536 devices: no lists of devices unless asked for"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
