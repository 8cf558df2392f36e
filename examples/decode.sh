#!/bin/sh
# Decodes with a language model on 1, 2 and 4 devices, as threads and as MPI
# processes, and goes on after a run was interrupted: the same tokens each time.
#   examples/decode.sh BUILD-DIRECTORY [TOKENS [FOLDER]]
# Each command is printed before it runs.  Files go to FOLDER, by default
# BUILD-DIRECTORY/decode.
set -eu
build=$(cd "${1-build}" && pwd)
tokens=${2-64}
folder=${3-$build/decode}

# Open MPI: allow root, as in containers, and more ranks than processors.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy

PATH=$build/tools:$build/examples:$PATH
mkdir -p "$folder"
cd "$folder"
rm -rf decoder.onnx sharded.onnx plan.2 plan.4 state prompt ./*.npys

title() { printf '\n# %s\n' "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}

# token N: a record of i64[1,1], as NumPy writes it; N is below 256.
token() {
  printf '\223NUMPY\001\000v\000%-117s\n' \
    "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }"
  # shellcheck disable=SC2059
  printf "\\$(printf %03o "$1")\\000\\000\\000\\000\\000\\000\\000"
}
RECORD=136 # bytes

title 'A language model with packed queries, keys and values, as ONNX'
run decoder -o decoder.onnx

title 'A prompt of eight tokens, and what the whole model says after it'
for i in 7 130 42 9 201 77 3 64; do token $i; done > prompt.npys
steps=$((tokens + 7))
decode="--argmax logits=input_ids -f -q"
# shellcheck disable=SC2086
run gshard-run --steps=$steps $decode --count filled \
  -i input_ids=prompt.npys --tokens whole.npys decoder.onnx

same() {
  run cmp whole.npys "$1"
  echo 'the same tokens'
}
for n in 2 4; do
  title "Split over $n devices: nobody says how"
  run gshard-annotate -q -f --mesh tp=$n --auto -o sharded.onnx decoder.onnx
  run gshard-partition -q -f -o plan.$n sharded.onnx
  # shellcheck disable=SC2086
  run gshard-run --steps=$steps $decode --count filled \
    -i input_ids=prompt.npys --tokens threads.$n.npys plan.$n
  same threads.$n.npys
  if command -v mpirun > /dev/null && gshard-run --version | grep -q '+mpi'
  then
    # shellcheck disable=SC2086
    run mpirun -n $n gshard-run --steps=$steps $decode \
      --count filled -i input_ids=prompt.npys --tokens mpi.$n.npys plan.$n
    same mpi.$n.npys
  fi
done

title 'Interrupted on 2 devices, and taken up where it was on 4'
# The prompt comes through a pipe that stays open after five records: the run
# waits for the next one until it is told to end, which it does after the step.
count=$((5 * RECORD))
mkfifo prompt
: > first.npys
exec 3<> prompt
head -c $count prompt.npys >&3
# shellcheck disable=SC2086
gshard-run --steps=$steps $decode --count filled -i input_ids=prompt \
  --tokens - --save-state state plan.2 > first.npys &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
  [ "$(wc -c < first.npys)" -lt $count ] || break
  sleep 0.2
done
run kill -TERM $!
wait $!
exec 3>&-
tail -c +$((count + 1)) prompt.npys > rest.npys
# shellcheck disable=SC2086
run gshard-run --steps=$((steps - 5)) $decode -i input_ids=rest.npys \
  --count filled=5 --load-state state --tokens second.npys plan.4
cat first.npys second.npys > both.npys
same both.npys
