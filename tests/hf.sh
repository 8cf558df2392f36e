#!/bin/sh
# Language models of Hugging Face as PyTorch's two exporters wrote them
# (gen/hf.py), in the folder GSHARD_HF: whole, and over 2 and 4 devices as
# --auto splits them, each of eight steps gives what ONNX Runtime gave, which
# decoded them.  The links and devices are slow, so that models as small as these
# are worth splitting.
set -u
[ -n "${GSHARD_HF-}" ] || exit 77
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
tolerance="--rtol 1e-3 --atol 1e-4"
cat > "$work/slow.yaml" << 'END'
machine: {flops: 50000000, memory_gbs: 0.01, alpha_us: 10, link_gbs: 5}
END

bindings() { # bindings STEP
  sed 's/^/--bind /' "$1/bind"
}

# shellcheck disable=SC2046,SC2086
whole() { # whole MODEL
  for step in "$1"/step-*; do
    tools/gshard-run $tolerance --test-data "$step" "$1/model.onnx" || return
  done
}

# shellcheck disable=SC2046,SC2086
split() { # split MODEL DEVICES
  for step in "$1"/step-*; do
    tools/gshard-annotate -q -s "$work/slow.yaml" --mesh "tp=$2" --auto \
      $(bindings "$step") -o - "$1/model.onnx" > "$work/annotated" &&
      tools/gshard-partition -q -o - "$work/annotated" > "$work/program" &&
      tools/gshard-run $tolerance --test-data "$step" "$work/program" ||
      return
  done
}

for model in "$GSHARD_HF"/*-script "$GSHARD_HF"/*-dynamo; do
  name=${model##*/}
  [ -f "$model/model.onnx" ] || continue
  ok "$name, whole" whole "$model"
  for n in 2 4; do
    ok "$name over $n" split "$model" $n
  done
done

done_all
