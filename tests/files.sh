#!/bin/sh
# What the tools write: all of it or nothing, nothing of others replaced, and
# nothing left behind, whichever call of the C library fails and whenever the
# process is killed.
set -u
build=$(pwd)
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
# shellcheck source=tests/preload.sh
. "${srcdir-.}/tests/preload.sh"
mkdir "$work/d"
cd "$work/d" || exit 1

annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run

# gives CODE COMMAND...: runs it, with what it prints in $work/out and err.
gives() {
  want=$1
  shift
  "$@" > "$work/out" 2> "$work/err" < /dev/null
  got=$?
  [ "$got" = "$want" ] ||
    { echo "exit $got, not $want"; cat "$work/err"; false; }
}
says() { grep -q -e "$1" "$work/err"; }
no_temps() {
  set -- *.gshard-tmp*
  [ ! -e "$1" ] || { echo "left: $*"; false; }
}

"$build/tests/test_onnx" --samples . || exit 1
head -c 400 /dev/zero > small.bin
"$annotate" -q --mesh a=2 -o ready.onnx mlp.onnx || exit 1

# ---- nothing is replaced without -f -----------------------------------------
echo mine > x.onnx
ok "annotate does not replace a file" gives 73 \
  "$annotate" -q --mesh a=2 -o x.onnx mlp.onnx
ok "and says how it would" says 'hint: -f replaces it'
ok "which is as it was" grep -q mine x.onnx
ok "not even where it could not be read" gives 73 \
  "$annotate" -q --mesh a=2 -o x.onnx none.onnx
ok "with -f it does" gives 0 "$annotate" -f -q --mesh a=2 -o x.onnx mlp.onnx
ok "giving the same as elsewhere" cmp x.onnx ready.onnx
cp mlp.onnx place.onnx
ok "nor its own input" gives 73 "$annotate" -q --mesh a=2 -o place.onnx \
  place.onnx
ok "with -f in place" gives 0 "$annotate" -f -q --mesh a=2 -o place.onnx \
  place.onnx
ok "giving the same" cmp place.onnx ready.onnx
ln -s nothing link.onnx
ok "nor a link to nothing" gives 73 "$annotate" -q --mesh a=2 -o link.onnx \
  mlp.onnx
ok "a device is no file to replace" gives 0 "$annotate" -q --mesh a=2 \
  -o /dev/null mlp.onnx

cp small.bin before.bin
ok "in place with external data" gives 0 "$annotate" -f -q --mesh a=2 \
  -o external.onnx external.onnx
ok "which stays" cmp small.bin before.bin
ok "and is found again" gives 0 "$run" -q --random 1 external.onnx
ok "a model does not replace its own weights" gives 73 \
  "$annotate" -f -q --mesh a=2 -o small.bin external.onnx
ok "which is said" says 'holds the external data'
ok "and they stay" cmp small.bin before.bin

# ---- partition -f replaces a plan and nothing else --------------------------
ok "a plan" gives 0 "$partition" -q -o plan ready.onnx
ok "is not replaced" gives 73 "$partition" -q -o plan ready.onnx
ok "but with -f" gives 0 "$partition" -q -f -o plan ready.onnx
ok "by a plan of other files" gives 0 "$partition" -q -f --emit device \
  -o plan/ ready.onnx
ok "of which none is left" test ! -e plan/program.onnx -a -e plan/device1.onnx
listing() { ls -lR --time-style=full-iso plan; }
# precious COMMAND...: what it makes in the plan is not ours.
precious() {
  (cd plan && "$@") || return 1
  listing > "$work/before"
  gives 73 "$partition" -q -f -o plan ready.onnx || return 1
  listing > "$work/after"
  cmp "$work/before" "$work/after" && no_temps
}
ok "a file of another keeps the plan as it is" precious touch precious
ok "which is said" says "holds 'precious', which gshard did not write"
rm plan/precious
ok "and a folder" precious mkdir sub
rmdir plan/sub
ok "and a folder that is named as a file of ours" precious sh -c \
  'mv weights.data ../kept 2> /dev/null; mkdir weights.data'
rmdir plan/weights.data
ok "and a hidden file" precious touch .notes
rm plan/.notes
ok "and a graph that the plan does not name" precious touch program.onnx
rm plan/program.onnx
ok "and a plan that cannot be read" precious sh -c 'echo "}" >> plan.yaml'
rm -r plan
mkdir plan
touch plan/plan.yaml
echo 1 > plan/precious
ok "plan.yaml alone makes no plan of a folder" gives 73 \
  "$partition" -f -q -o plan ready.onnx
ok "nothing of it is lost" test -s plan/precious
rm -r plan
"$partition" -q -o plan ready.onnx
sed -i 's/^version: .*/version: 99/' plan/plan.yaml
ok "a plan of another version is replaced" gives 0 "$partition" -q -f -o plan \
  ready.onnx
mkdir empty
ok "so is an empty folder" gives 0 "$partition" -q -f -o empty ready.onnx
ok "no file is replaced by a folder" gives 73 "$partition" -q -f -o x.onnx \
  ready.onnx

# ---- outputs of a run -------------------------------------------------------
ok "outputs with like names" gives 0 "$run" -q --random 1 -o out outputs.onnx
ok "are a file each" [ "$(find out -type f | wc -l)" = 5 ]
ok "with escapes" test -e out/a%2Fb.npy -a -e out/a_b.npy -a \
  -e out/a%252Fb.npy -a -e out/%2E..npy -a -e "out/%1B[2J.npy"
mkdir some
echo mine > some/z.npy
cp some/z.npy z.npy
ok "an output that exists keeps the others from being written" gives 73 \
  "$run" -q --random 1 -o some ports.onnx
ok "in a folder" test ! -e some/y.npy
ok "one by one" gives 73 "$run" -q --random 1 -o y=y.npy -o z=z.npy ports.onnx
ok "too" test ! -e y.npy
ok "with -f they are replaced" gives 0 "$run" -f -q --random 1 -o some \
  ports.onnx
ok "all" test -e some/y.npy
ok "what is not an output stays" gives 0 "$run" -q --random 1 -o some mlp.onnx \
  -f
ok "as it was" test -e some/z.npy
ok "two outputs in one file" gives 64 "$run" -q --random 1 -o y=t.npy \
  -o z=t.npy ports.onnx
ok "a folder that cannot be made" gives 73 "$run" -q --random 1 -o no/such \
  ports.onnx
# The first output can be written, the second cannot.
ok "a failure leaves no folder" gives 73 "$run" -q --random 1 -o fresh \
  -o y=/proc/y ports.onnx
ok "at all" test ! -e fresh
ok "of these, nothing is left" no_temps

# ---- before the work --------------------------------------------------------
# The model is not there: an output is looked at first.
ok "annotate -o is looked at first" gives 73 "$annotate" --mesh a=2 \
  -o no/such.onnx none.onnx
ok "partition -o too" gives 73 "$partition" -o no/such none.onnx

# ---- killed -----------------------------------------------------------------
truncate -s 1073741824 big.bin
# killed COMMAND...: by SIGKILL while it writes something.
killed() {
  "$@" > /dev/null 2>&1 &
  job=$!
  tries=0
  while kill -0 $job 2> /dev/null && [ $tries -lt 3000 ]; do
    for name in late.gshard-tmp late.gshard-tmp/*; do
      [ ! -s "$name" ] || [ -d "$name" ] || break 2
    done
    sleep 0.01
    tries=$((tries + 1))
  done
  kill -s KILL $job
  wait $job 2> /dev/null
  [ -e late.gshard-tmp ] || { echo "nothing was being written"; false; }
}
ok "partition is killed" killed "$partition" -q --mesh a=2 -o late big.onnx
ok "the next one removes what it left" gives 0 "$partition" -q -o late ready.onnx
ok "all of it" no_temps
rm -r late
mkdir "$work/other" # weights elsewhere are copied
cp big.onnx "$work/other"
truncate -s 1073741824 "$work/other/big.bin"
ok "annotate is killed" killed "$annotate" -q --mesh a=2 -o late \
  "$work/other/big.onnx"
ok "the next one removes what it left" gives 0 "$annotate" -q --mesh a=2 \
  -o late mlp.onnx
ok "all of it" no_temps
rm late

# While one writes, another does not.  It is stopped when it has begun to write
# weights, for then it has locked what it writes to; one that has ended before
# that is started again.
writing() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf late late.gshard-tmp
    "$partition" -q --mesh a=2 -o late big.onnx &
    job=$!
    until [ -e late.gshard-tmp/weights.data ] || ! kill -0 $job 2> /dev/null
    do :; done
    kill -s STOP $job 2> /dev/null
    if [ -e late.gshard-tmp/weights.data ] && [ ! -e late ]; then return 0; fi
    kill -s KILL $job 2> /dev/null
    wait $job 2> /dev/null
  done
  echo "it ended too soon, $try times"
  return 1
}
writing > log || { cat log; exit 1; }
ok "two at once" gives 73 "$partition" -q -o late ready.onnx
ok "which is said" says 'another process is writing it'
kill -s KILL $job
wait $job 2> /dev/null
ok "the second one, later" gives 0 "$partition" -q -o late ready.onnx
ok "leaves nothing" no_temps

# ---- calls that fail --------------------------------------------------------
# An exit code that says so, the old output or the new one, nothing besides.
fresh_state() { # the outputs of before
  rm -rf t
  mkdir t
  case $1 in
  annotate) echo old > t/out.onnx ;;
  partition) cp -r plan t/out ;;
  run) mkdir t/out && echo old > t/out/y.npy && echo old > t/out/z.npy ;;
  esac
}
attempt() { # TOOL [WRAPPER...]
  tool=$1
  shift
  case $tool in
  annotate) "$@" "$annotate" -f -q --mesh a=2 -o t/out.onnx mlp.onnx ;;
  annotate-new) "$@" "$annotate" -q --mesh a=2 -o t/out.onnx mlp.onnx ;;
  partition) "$@" "$partition" -f -q -o t/out ready.onnx ;;
  partition-new) "$@" "$partition" -q --emit device -o t/out ready.onnx ;;
  run) "$@" "$run" -f -q -j1 --random 1 -o t/out ports.onnx ;;
  run-new) "$@" "$run" -q -j1 --random 1 -o t/out ports.onnx ;;
  esac
}
state() { (cd t && find . -type f -exec cksum {} + | sort); }
# every TOOL KIND: each of the calls of that kind in turn.
every() {
  fresh_state "$1"
  state > "$work/old"
  attempt "$1" calls "$2" || return 1
  state > "$work/new"
  n=$calls
  [ "$n" -gt 0 ] || { echo "no call of $2"; return 1; }
  i=0
  while [ $i -lt "$n" ]; do
    i=$((i + 1))
    fresh_state "$1"
    attempt "$1" failing "$2:$i" > "$work/out" 2> "$work/err"
    got=$?
    state > "$work/is"
    case $got in
    0) cmp -s "$work/is" "$work/new" ;;
    66 | 71 | 73 | 74) cmp -s "$work/is" "$work/old" && [ -s "$work/err" ] ;;
    *) false ;;
    esac || {
      echo "$1, $2:$i: exit $got"
      cat "$work/err" "$work/is"
      return 1
    }
  done
}
for tool in annotate annotate-new partition partition-new run run-new; do
  for kind in write full short fsync close rename; do
    ok "$tool: any $kind may fail" every $tool $kind
  done
done
# Where the file system cannot exchange two files, it is done with rename.
for tool in annotate-new partition partition-new run run-new; do
  fresh_state $tool
  ok "$tool without an exchange of files" gives 0 \
    attempt $tool failing exchange:1+
  mv t slow
  fresh_state $tool
  ok "$tool" gives 0 attempt $tool
  ok "gives the same" diff -r slow t
  rm -r slow
done

done_all
