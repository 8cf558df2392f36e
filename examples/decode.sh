#!/bin/sh
# Decodes with a language model on 1, 2 and 4 devices, as threads and as MPI
# processes, and goes on after a run was interrupted: the same tokens each time.
#   examples/decode.sh BUILD-DIRECTORY [TOKENS [FOLDER [MODEL [PROMPT [CHUNK]]]]]
# MODEL is an exported decoder (input_ids, attention_mask, caches that grow): its
# plan has a program for CHUNK (128) tokens of a prompt and one for each token
# that follows.  A small random one, which takes one token at a time, is made
# where none is given.  TOKENS (64) follow a prompt of PROMPT (300, or 8) of
# them.  Where Python has onnxruntime, its loop has to say the same of MODEL.
# Each command is printed before it runs.  Files go to FOLDER, by default
# BUILD-DIRECTORY/decode.
set -eu
build=$(cd "${1-build}" && pwd)
tokens=${2-64}
folder=${3-$build/decode}
model=${4-}
prompt=${5-300}
chunk=${6-128}
here=$(cd "$(dirname "$0")" && pwd)
[ -z "$model" ] || model=$(cd "$(dirname "$model")" && pwd)/$(basename "$model")

# Open MPI: allow root, as in containers, and more ranks than processors.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy

PATH=$build/tools:$build/examples:$PATH
mkdir -p "$folder"
cd "$folder"
rm -rf decoder.onnx sharded.onnx size.yaml plan.1 plan.2 plan.4
rm -rf state prompt ./*.npys

title() { printf '\n# %s\n' "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}

# head_of N: that of a record of i64[1,N], as NumPy writes it.
head_of() {
  printf '\223NUMPY\001\000v\000%-117s\n' \
    "{'descr': '<i8', 'fortran_order': False, 'shape': (1, $1), }"
}
# ids FROM TO: the tokens of the prompt at these places, all below 256.
ids() {
  i=$1
  while [ "$i" -lt "$2" ]; do
    # shellcheck disable=SC2059
    printf "\\$(printf %03o $(((i * i * 7 + 11 * i + 7) % 251)))"
    printf '\000\000\000\000\000\000\000'
    i=$((i + 1))
  done
}
# records FROM TO: the same, in one record for MODEL, else one for each.
records() {
  if [ -n "$bind" ]; then
    head_of $(($2 - $1))
    ids "$1" "$2"
    return
  fi
  k=$1
  while [ "$k" -lt "$2" ]; do
    head_of 1
    ids "$k" $((k + 1))
    k=$((k + 1))
  done
}
RECORD=136 # bytes, of one token

bind=
if [ -z "$model" ]; then
  prompt=${5-8}
  steps=$((tokens + prompt - 1))
  title 'A language model with packed queries, keys and values, as ONNX'
  run decoder --cache $((steps + 1)) -o decoder.onnx
  model=$folder/decoder.onnx counts="--count filled"
else
  # Caches have a place for each token; what is filled is told by the mask.
  steps=$tokens
  cat > size.yaml << END
bind: {batch_size: 1}
bindings:
  prefill: {sequence_length: $chunk}
  decode: {sequence_length: 1}
state: [{size: $((tokens + prompt))}]
END
  run cat size.yaml
  bind="-s size.yaml" counts="--mask attention_mask"
fi

title "A prompt of $prompt tokens"
records 0 "$prompt" > prompt.npys
decode="--argmax logits=input_ids -f -q"

same() {
  run cmp whole.npys "$1"
  echo 'the same tokens'
}
for n in 1 2 4; do
  title "On $n devices: nobody says how"
  # shellcheck disable=SC2086
  run gshard-annotate -q -f --mesh tp=$n --auto $bind -o sharded.onnx "$model"
  run gshard-partition -q -f -o plan.$n sharded.onnx
  # shellcheck disable=SC2086
  run gshard-run --steps=$steps $decode $counts \
    -i input_ids=prompt.npys --tokens threads.$n.npys plan.$n
  [ $n -gt 1 ] || cp threads.1.npys whole.npys
  [ $n = 1 ] || same threads.$n.npys
  if [ $n -gt 1 ] && command -v mpirun > /dev/null &&
    gshard-run --version | grep -q '+mpi'
  then
    # shellcheck disable=SC2086
    run mpirun -n $n gshard-run --steps=$steps $decode $counts \
      -i input_ids=prompt.npys --tokens mpi.$n.npys plan.$n
    same mpi.$n.npys
  fi
done

if [ -n "$bind" ] && python3 -c 'import onnxruntime' 2> /dev/null; then
  title "onnxruntime's loop, with caches that grow"
  run python3 "$here/decode.py" "$model" prompt.npys "$tokens" ort.npys
  tail -c $((tokens * RECORD)) whole.npys > last.npys
  run cmp last.npys ort.npys
  echo 'the same tokens'
fi

title 'Interrupted on 2 devices, and taken up where it was on 4'
# The prompt comes through a pipe that stays open after a part of it: the run
# waits for the rest until it is told to end, which it does after the step.
first=$((prompt * 2 / 3))
count=$RECORD
[ -n "$bind" ] || count=$((first * RECORD))
mkfifo prompt
: > first.npys
exec 3<> prompt
records 0 $first >&3
# shellcheck disable=SC2086
gshard-run --steps=$steps $decode $counts -i input_ids=prompt \
  --tokens - --save-state state plan.2 > first.npys &
i=0
while [ "$(wc -c < first.npys)" -lt $count ] && [ $i -lt 3000 ]; do
  sleep 0.2
  i=$((i + 1))
done
run kill -TERM $!
wait $!
exec 3>&-
records $first "$prompt" > rest.npys
[ -n "$bind" ] || steps=$((steps - first))
# shellcheck disable=SC2086
run gshard-run --steps=$steps $decode -i input_ids=rest.npys \
  $counts=$first --load-state state --tokens second.npys plan.4
# Tokens that are said while a prompt goes on follow from what there was of it:
# with a record for each token all say some, else only the first part does.
[ -n "$bind" ] || cat first.npys second.npys > both.npys
[ -z "$bind" ] || cp second.npys both.npys
same both.npys
