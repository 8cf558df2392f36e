#!/bin/sh
# Decoders whose caches of 32,768 places are split along the sequence over four
# devices (tests/data/longcache, made by tests/gen/longcache.py): what a token
# sends for each layer, and that it is the token of the whole, in every form in
# which exporters write a cache; on threads and ranks.
set -u
build=$(pwd)
data=$(cd "${srcdir-.}/tests/data/longcache" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"

spec() { # spec NAME LINE
  cat > "$1.yaml" << END
mesh: {axes: {sp: 4}}
$2
rules:
  - match: {tensor: "past_key_values.*"}
    shard: [~, ~, sp, ~]
END
}
spec split ""
spec grown "state: [{size: 32768}]"

# ---- bytes ----

sends() { # sends MODEL SPEC BYTES: of one token, as the report puts it
  "$annotate" -q -f -s "$2.yaml" --report -o "$1.onnx" "$data/$1.onnx" \
    2> report && grep -q "^per device: .*, sent $3\$" report && return
  cat report
  return 1
}
# For each of two layers the maximum and the sum of four heads' scores, and of
# the values so weighted: 4 + 4 + 32 numbers of four bytes, which an all-reduce
# of four devices sends one and a half times.
forms="gqa attention mha scattered written"
for form in $forms; do
  ok "$form: bytes" sends $form split "480 B"
done
ok "grown: bytes" sends grown grown "480 B"
# Of 32 heads of 128: 64 KiB at most.  What MultiHeadAttention writes itself goes
# to the last device.
ok "32 heads, 8 of keys: bytes" sends layer split "24.4 KiB"
ok "32 heads of keys: bytes" sends layer_mha split "56.4 KiB"

# ---- tokens ----

decode() { # decode PROGRAM NAME: from near the end of the caches
  set -- "$1" "$2" --count position=32760
  [ "$2" = grown ] && set -- "$1" "$2"
  what=$1 name=$2
  shift 2
  rm -f "$name.logits" "$name.tokens"
  "$run" --steps=6 -i ids=start.npy --argmax logits=ids "$@" \
    -o logits="$name.logits" --tokens "$name.tokens" "$what"
}
# [[7]], i64
{
  printf '\223NUMPY\001\000v\000'
  printf '%-117s\n' "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }"
  printf '\007\000\000\000\000\000\000\000'
} > start.npy

same() { # same NAME: sharded, the tokens of the whole
  "$partition" -q -f --verify -o "$1" "$1.onnx" || return
  run=$whole decode "$1.onnx" "$1" > said && mv "$1.tokens" want &&
    decode "$1" "$1" > said && cmp "$1.tokens" want
}
full() { # full NAME: all places filled, by random numbers
  "$run" --verify --random 3 --range position=32760:32768 \
    --check "$data/$1.onnx" "$1" > said && grep -q "within tolerance" said &&
    return
  cat said
  return 1
}
whole=$run
for form in $forms grown; do
  ok "$form: tokens" same $form
done
for form in $forms; do
  ok "$form: all places" full $form
done

# ---- ranks ----

go_on_ranks
ranks() { # ranks NAME: the bytes of threads
  mv "$1.logits" want && decode "$1" "$1" > said && cmp "$1.logits" want
}
for form in $forms grown; do
  ok "2 ranks, $form" ranks $form
done
done_all
