#!/bin/sh
# Two models that PyTorch's two exporters wrote (gen/export_torch.py): run
# whole they give what ONNX Runtime gives, and annotated, partitioned and run
# on 2, 3, 4 and 6 devices they give it too.
set -u
data=$srcdir/tests/data/torch
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
tolerance="--rtol 1e-3 --atol 1e-5"

# shellcheck disable=SC2086
whole() { # whole MODEL SIZES
  tools/gshard-run $tolerance --test-data "$data/$1/$2" "$data/$1/model.onnx"
}

# The sizes of the symbolic dims of a set of inputs.
bind() {
  case $1 in
    encoder/even) echo "--bind batch=4" ;;
    encoder/uneven) echo "--bind batch=5" ;;
    decoder/even) echo "--bind batch=4 --bind seq=3 --bind past=5" ;;
    decoder/uneven) echo "--bind batch=5 --bind seq=1 --bind past=6" ;;
  esac
}

# split MODEL SIZES SPEC MESH
# shellcheck disable=SC2046,SC2086
split() {
  tools/gshard-annotate -q -s "$data/$1/spec-$3.yaml" --mesh "$4" \
    $(bind "$1/$2") -o - "$data/$1/model.onnx" > "$work/annotated" &&
    tools/gshard-partition -q -o - "$work/annotated" > "$work/program" &&
    tools/gshard-run $tolerance --test-data "$data/$1/$2" \
      --check "$data/$1/model.onnx" "$work/program"
}

for model in encoder decoder; do
  for sizes in even uneven; do
    ok "$model, $sizes sizes, whole" whole $model $sizes
    for kind in dp tp sp; do
      for n in 2 3 4; do
        ok "$model, $sizes sizes, $kind=$n" split $model $sizes $kind $kind=$n
      done
    done
    for mesh in dp=2,tp=2 dp=3,tp=2 dp=2,tp=3; do
      ok "$model, $sizes sizes, $mesh" split $model $sizes 2d $mesh
    done
  done
done

# All of it as one pipeline, through standard input and output.
# shellcheck disable=SC2046
pipeline() {
  tools/gshard-annotate -q -s "$data/decoder/spec-2d.yaml" \
    $(bind decoder/even) -o - "$data/decoder/model.onnx" |
    tools/gshard-partition -q -o - - |
    tools/gshard-run --rtol 1e-3 --atol 1e-5 --random 1 --range tokens=0:50 \
      --check "$data/decoder/model.onnx" -
}
ok "decoder, as one pipeline" pipeline

done_all
