#!/bin/sh
# A plan on many hosts: files of weights for some devices each, parts of a plan,
# files that are missing, threads that keep to processors, what -v says.
set -u
build=$(pwd)
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpirun.sh
. "$here/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$here/cases.sh"
"$build/tests/test_onnx" --samples . || exit 1
cat > mlp.yaml << 'END_SPEC'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END_SPEC
cat > uneven.yaml << 'END_SPEC'
version: 1
mesh: {axes: {dp: 4, tp: 3}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END_SPEC

# gives CODE FRAGMENT COMMAND...
gives() {
  want=$1 fragment=$2
  shift 2
  "$@" > out 2> err < /dev/null
  got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
}
size() { wc -c < "$1"; }
listed() { (cd "$1" && echo *); }

for name in mlp uneven; do
  "$annotate" -q -s $name.yaml -o $name.onnx.a mlp.onnx &&
    mv $name.onnx.a $name.a &&
    "$partition" -q --emit device -o $name $name.a &&
    "$run" --random 1 $name > $name.want || exit 1
done

# ---- files of weights -------------------------------------------------------
cut() { # cut NAME N
  "$partition" -q --verify --emit device --shards-per-file "$2" -o "$1.$2" \
    "$1.a" && "$run" --random 1 "$1.$2" > got && cmp got "$1.want"
}
for n in 1 2 3 4 9; do
  ok "a file for every $n devices" cut mlp $n
done
for n in 1 5; do
  ok "a file for every $n of 12 devices" cut uneven $n
done
ok "their names" [ "$(listed mlp.2)" = "device0.onnx device1.onnx \
device2.onnx device3.onnx plan.yaml weights0.data weights0.xxh3 weights1.data \
weights1.xxh3" ]
ok "as many as are wanted" [ "$(find uneven.5 -name 'weights?.data' | wc -l)" \
  = 3 ]
ok "with so many digits" test -e uneven.1/weights00.data -a \
  -e uneven.1/weights11.data
# Of w1, [10,16], a device has 8 columns; the rest is in every file.
ok "each is smaller" [ "$(size mlp.1/weights0.data)" -lt \
  "$(size mlp/weights.data)" ]
ok "-f replaces all of them" "$partition" -q -f --emit device -o mlp.9 mlp.a
ok "and leaves none" [ ! -e mlp.9/weights0.data ]
ok "the values are those of the whole" "$run" -q --random 1 --check mlp.onnx \
  uneven.5
for arguments in "" "--emit spmd"; do
  # shellcheck disable=SC2086
  ok "only in device form ($arguments)" gives 64 'is for --emit=device' \
    "$partition" --shards-per-file 1 $arguments -o no mlp.a
done
ok "not 0" gives 64 'not a whole number' "$partition" --emit device \
  --shards-per-file 0 -o no mlp.a

# ---- what is not there ------------------------------------------------------
# lacking FILE FRAGMENT [OPTION]
lacking() {
  rm -rf less && cp -r mlp.2 less && rm "less/$1" || return 1
  shift
  gives 66 "less/$1" "$run" $2 --random 1 less
}
ok "weights" lacking weights1.data \
  'weights1.data: error: cannot be opened: No such .*; devices 2 to 3 want it' ''
ok "weights, not verified" lacking weights1.data \
  'weights1.data: error: .*devices 2 to 3 want it' --no-verify
ok "hashes" lacking weights0.xxh3 'weights0.xxh3: error: .*devices 0 to 1' ''
ok "a graph" lacking device3.onnx 'device3.onnx: error: .*; device 3 wants it' ''
damaged() {
  rm -rf less && cp -r mlp.2 less && printf x >> less/weights1.data &&
    gives 76 'less/weights1.data: error: has .* bytes, the plan says' \
      "$run" --random 1 less
}
ok "weights that are longer" damaged
swapped() {
  rm -rf less && cp -r mlp.1 less && cp mlp.1/weights0.data less/weights1.data &&
    gives 76 'less/weights1.data: error: block 0' "$run" --random 1 less
}
ok "weights of another device" swapped

# ---- processors -------------------------------------------------------------
same_bytes() { "$run" --random 1 "$@" > got && cmp got mlp.want; }
choices="none core"
"$run" --version | grep -q +hwloc && choices="$choices socket numa"
for what in $choices; do
  ok "--bind-to $what" same_bytes --bind-to $what mlp
  ok "--bind-to $what, one thread" same_bytes --bind-to $what -j1 mlp
done
if [ "$choices" = "none core" ]; then
  ok "what is not known" gives 69 'configured without hwloc' "$run" \
    --bind-to socket --random 1 mlp
fi
ok "--bind-to nothing" gives 64 'not one of' "$run" --bind-to tree mlp
ok "--no-huge-pages" same_bytes --no-huge-pages mlp
ok "--no-prefault" same_bytes --no-prefault mlp
ok "--no-fusion" same_bytes --no-fusion mlp
# The model's sums are of integers: alike on all vector extensions.
for isa in base avx2 avx512; do
  ok "GSHARD_ISA=$isa" env GSHARD_ISA=$isa "$run" -q --random 1 --check \
    mlp.onnx mlp
done
ok "GSHARD_ISA=base is said" sh -c "GSHARD_ISA=base '$run' --version |
  grep -q 'SSE2\|baseline'"
ok "what is none" gives 64 "GSHARD_ISA is 'mmx', not one of base" \
  env GSHARD_ISA=mmx "$run" --random 1 mlp
# The last processor that this process may use, alone.
mask() {
  last=$(taskset -cp $$ | sed 's/.*[ ,-]//')
  for what in $choices; do
    taskset -c "$last" "$run" -v --bind-to "$what" --random 1 mlp 2> err > got &&
      cmp got mlp.want &&
      grep -q "devices 0 to 3, cores $last, transport threads" err ||
      { cat err; return 1; }
  done
}
if command -v taskset > log; then ok "taskset is kept to" mask
else skip "taskset is not installed"; fi

# ---- what -v says -----------------------------------------------------------
says() { grep -q -e "$1" err || { cat err; return 1; }; }
"$run" -v --random 1 mlp > out 2> err
number='[0-9.e+-]*'
ok "-v: runs" says "1 runs in $number s: $number runs/s; $number GB of weights,"
ok "-v: collectives" says "$number s ($number %) in collectives"
ok "-v: steps" sh -c "'$run' -v --steps=3 --random 1 mlp 2> err"
ok "and how many" says "3 steps in $number s: $number steps/s; "

# ---- ranks ------------------------------------------------------------------
if [ "${HAVE_MPI-1}" = 0 ] || ! command -v "${MPIRUN-mpirun}" > log; then
  skip "MPI: not in this build"
  done_all
  exit
fi
job() { timeout -k 5 600 "${MPIRUN-mpirun}" "$@"; }
# Two hosts, each with its part of the plan.
mkdir host0 host1
for h in 0 1; do
  cp mlp.2/plan.yaml mlp.2/weights$h.* mlp.2/device$((2 * h)).onnx \
    mlp.2/device$((2 * h + 1)).onnx host$h
done
parts() {
  job -n 1 "$run" --random 1 "$@" host0 : -n 1 "$run" --random 1 "$@" host1 \
    > got && cmp got mlp.want
}
ok "parts of a plan" parts
ok "parts of a plan, not verified" parts --no-verify
ok "bound ranks" parts --bind-to core
other() {
  gives 66 "rank 1 .*host0/weights1.data: error: .*; devices 2 to 3 want it" job \
    -n 1 "$run" --random 1 host0 : -n 1 "$run" --random 1 host0 &&
    [ "$(grep -c 'gshard-run.*error:' err)" = 1 ]
}
ok "the part of another rank" other
mv host1/weights1.data kept
ok "weights that are not there" gives 66 \
  "rank 1 .*host1/weights1.data: error: .*; devices 2 to 3 want it" job \
  -n 1 "$run" --random 1 host0 : -n 1 "$run" --random 1 host1
mv kept host1/weights1.data
told() { # each line of each rank says whose it is
  job -n 4 "$run" -v --random 1 mlp 2> err > got && cmp got mlp.want &&
    for rank in 0 1 2 3; do
      grep -q "device $rank on rank $rank (.*), cores [0-9,-]*, transport mpi$" \
        err || { cat err; return 1; }
    done
  ! grep -v '^gshard-run: rank [0-3] (.*): ' err
}
ok "-v: devices, ranks and lines" told
done_all
