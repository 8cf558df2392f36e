#!/bin/sh
# Language models of Hugging Face as PyTorch's two exporters wrote them
# (gen/hf.py), in the folder GSHARD_HF: whole, and over 2 and 4 devices as
# --auto splits them, steps give what ONNX Runtime gave, which decoded them.
# Caches of a fixed size, and those that grow up to a size, are state: the same
# tokens, from step to step and in place, on 1, 2 and 4 devices, and of the
# first by Hugging Face's own plan on 2, unless it names experts.
# The links and devices are slow, so that models as small as these are worth
# splitting.  A line for each model says what held, and which collectives a step
# has: of two layers, with two sums each where attention and MLP follow each
# other, with one where they stand side by side.
set -u
[ -n "${GSHARD_HF-}" ] || exit 77
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
tolerance="--rtol 1e-3 --atol 1e-4"
cat > "$work/slow.yaml" << 'END_SPEC'
machine: {flops: 50000000, memory_gbs: 0.01, alpha_us: 200, link_gbs: 5}
END_SPEC
printf 'bind: {sequence: 1}\n' > "$work/fixed.yaml"
printf 'bind: {sequence: 1, total: 16}\nstate: [{size: 16}]\n' \
  > "$work/grows.yaml"

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
split() { # split MODEL DEVICES: the prompt, the first step and the last
  for step in "$1"/step-0 "$1"/step-1 "$1"/step-7; do
    tools/gshard-annotate -q -s "$work/slow.yaml" --mesh "tp=$2" --auto \
      $(bindings "$step") -o - "$1/model.onnx" > "$work/annotated" &&
      tools/gshard-partition -q -o - "$work/annotated" > "$work/program" &&
      tools/gshard-run $tolerance --test-data "$step" "$work/program" ||
      return
  done
}

RECORD=136 PROMPT=5 # bytes of a token; tokens
# decode FORM MODEL DEVICES OPTION...: a token in each step, caches as state;
# those that grow have a size
decode() {
  form=$1 model=$2 n=$3
  shift 3
  given="--count position_ids"
  [ "$form" = fixed ] || given="--mask attention_mask"
  rm -rf "$work/plan" "$work/got"
  head -c $((RECORD * PROMPT)) "$model/tokens" > "$work/prompt"
  tools/gshard-annotate -q "$@" -s "$work/$form.yaml" --mesh "tp=$n" -o - \
    "$model/model.onnx" > "$work/annotated" &&
    tools/gshard-partition -q -o "$work/plan" "$work/annotated" || return
  tools/gshard-partition --report -n "$work/annotated" 2>&1 |
    sed -n 's/^collectives: //p' > "$work/collectives"
  # shellcheck disable=SC2086
  tools/gshard-run --steps=12 -i input_ids="$work/prompt" $given \
    --argmax logits=input_ids --tokens "$work/got" "$work/plan" \
    > "$work/said" || return
  case $model in *gpt-j-*-script) ;; *) # which converts its keys to their type
    grep -q '^fed back: \([0-9]*\) values, \1 in place' "$work/said" ||
      { cat "$work/said"; return 1; }
    ;;
  esac
  tail -c $((RECORD * 8)) "$model/tokens" > "$work/want"
  tail -c $((RECORD * 8)) "$work/got" | cmp - "$work/want"
}

# case_of WORDS COMMAND...: one case, and words of the model's line
case_of() {
  what=$1 before=$failed
  shift
  : > "$work/collectives"
  ok "$name, $what" "$@"
  [ "$failed" -gt "$before" ] && return
  line="$line, $what"
  [ ! -s "$work/collectives" ] || line="$line ($(cat "$work/collectives"))"
}

# Whether the caches of a model that grow can have a size.  Not of gpt-oss,
# which puts sinks behind the scores, of opt, which cuts its positions out of a
# sum over the mask, and where the tracer leaves a Cast or indices of the mask.
sized() {
  case $1 in
  gpt-oss-* | opt-* | gpt-j-*-script | bloom-*-script | *-none-*) return 1 ;;
  esac
}

for model in "$GSHARD_HF"/*-script "$GSHARD_HF"/*-dynamo; do
  name=${model##*/} line=
  [ -f "$model/model.onnx" ] || continue
  case_of whole whole "$model"
  case $name in
  *-fixed-*)
    for n in 1 2 4; do
      case_of "decodes on $n" decode fixed "$model" $n \
        -s "$work/slow.yaml" --auto
    done
    if [ -f "$model/plan.yaml" ] && ! grep -q experts "$model/plan.yaml"; then
      case_of "by its plan" decode fixed "$model" 2 -s "$model/plan.yaml"
    fi
    ;;
  *)
    for n in 2 4; do case_of "over $n" split "$model" $n; done
    for n in 1 2 4; do
      sized "$name" || break
      case_of "a size, on $n" decode grows "$model" $n -s "$work/slow.yaml" \
        --auto
    done
    ;;
  esac
  echo "$name: ${line#, }"
done

done_all
