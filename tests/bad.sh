#!/bin/sh
# Bad input and bad output through the tools: the exit code of the contract, a
# message that names the place, nothing written.
set -u
build=$(pwd)
data=$build/tests
[ -d "$data/spec" ] || data=$(cd "${srcdir-.}/tests" && pwd)
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE

passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/in" "$work/out"
cd "$work/out" || exit 1

annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run

pass() { passed=$((passed + 1)); }
fail() { # fail NAME WHY
  printf 'not ok: %s: %s\n' "$1" "$2"
  sed 's/^/  /' "$work/err" | head -5
  failed=$((failed + 1))
}

# Whether the current directory is empty; $left lists what it holds.  This and
# what follows start no process: a thousand runs are looked at.
nothing_left() {
  left=
  for entry in * .[!.]*; do
    if [ -e "$entry" ] || [ -h "$entry" ]; then left="$left $entry"; fi
  done
  [ -z "$left" ]
}

# What must hold of every run: $1 is its name.  Removes what it left.
clean_after() {
  message=$(cat "$work/err")
  case $message in
  *AddressSanitizer* | *LeakSanitizer* | *"runtime error:"*)
    fail "$1" "a report of a sanitizer"
    return 1
    ;;
  esac
  if [ "$got" -ge 124 ]; then
    fail "$1" "exit $got: a signal, the time limit or a sanitizer"
  elif ! nothing_left; then
    fail "$1" "left$left"
    rm -rf -- * .[!.]*
  else
    return 0
  fi
  return 1
}

# execute COMMAND...: runs it, with what it prints in $work/std and $work/err.
execute() {
  (
    ulimit -c 0
    exec timeout -k 10 1200 "$@"
  ) > "$work/std" 2> "$work/err" < /dev/null
  got=$?
}

# refused NAME CODE FRAGMENT COMMAND...
refused() {
  name=$1 code=$2 fragment=$3
  shift 3
  execute "$@"
  clean_after "$name" || return
  if [ "$got" != "$code" ]; then
    fail "$name" "exit $got, not $code"
    return
  fi
  case $message in
  *"$fragment"*)
    if [ -s "$work/std" ]; then fail "$name" "something on standard output"
    else pass
    fi
    ;;
  *) fail "$name" "no '$fragment' in the message" ;;
  esac
}

# survives NAME COMMAND...: valid for the reader; what follows is not judged
# beyond being a clean end.
survives() {
  name=$1
  shift
  execute "$@"
  rm -rf out
  clean_after "$name" || return
  case $got in
  0 | 66 | 69 | 78) pass ;;
  *) fail "$name" "exit $got" ;;
  esac
}

# ---- models -----------------------------------------------------------------
"$build/tests/test_onnx" --malformed "$work/in" > "$work/list" || exit 1
grep -E '\.onnx [0-9]' "$work/list" > "$work/models"
while read -r file code fragment; do
  case $file in
  dev-*) mesh= ;; # these bring their own
  *) mesh=--mesh=a=2 ;;
  esac
  if [ "$code" = 0 ]; then
    survives "annotate $file" "$annotate" -q $mesh -o out "$work/in/$file"
    survives "partition $file" "$partition" -q $mesh -o out "$work/in/$file"
    survives "run $file" "$run" -q --random 1 -o out "$work/in/$file"
    continue
  fi
  refused "annotate $file" "$code" "$fragment" \
    "$annotate" $mesh -o out "$work/in/$file"
  refused "partition $file" "$code" "$fragment" \
    "$partition" $mesh -o out "$work/in/$file"
  # A whole model is run without a look at how it could be split.
  case $file in
  dev-bind*) ;;
  dev-*) survives "run $file" "$run" -q --random 1 -o out "$work/in/$file" ;;
  *)
    refused "run $file" "$code" "$fragment" \
      "$run" --random 1 -o out "$work/in/$file"
    ;;
  esac
done < "$work/models"

# ---- specs ------------------------------------------------------------------
for spec in "$data"/spec/bad/*.yaml; do
  read -r line < "$spec"
  line=${line#\# }
  refused "$(basename "$spec")" "${line%%:*}" "${line#*: }" \
    "$annotate" -s "$spec" -o out "$data/spec/model.onnx"
done

# ---- inputs -----------------------------------------------------------------
"$build/tests/test_onnx" --samples "$work/in" || exit 1
grep -E '\.(npy|pb) [0-9]' "$work/list" > "$work/tensors"
while read -r file code fragment; do
  if [ "$code" = 0 ]; then
    # A sound file that does not fit the input x of the model.
    refused "$file" 65 "x: error: the" \
      "$run" -i "x=$work/in/$file" -o out "$work/in/mlp.onnx"
  else
    refused "$file" "$code" "$fragment" \
      "$run" -i "x=$work/in/$file" -o out "$work/in/mlp.onnx"
  fi
done < "$work/tensors"

in=$work/in
refused "an input that is not there" 66 "none.npy" \
  "$run" -i "x=$in/none.npy" -o out "$in/mlp.onnx"
refused "an unknown input" 64 "no input 'xx'" \
  "$run" -i "xx=$in/good.npy" -o out "$in/mlp.onnx"
refused "no input at all" 66 "input 'x' is not given" \
  "$run" -o out "$in/mlp.onnx"
refused "a FIFO as input" 65 "FIFO" \
  "$run" -i "x=$in/fifo" -o out "$in/mlp.onnx"
refused "a directory as input" 65 "directory" \
  "$run" -i "x=$in/sub" -o out "$in/mlp.onnx"
refused "an input of another extension" 65 "not a .npy file" \
  "$run" -i "x=$in/link" -o out "$in/mlp.onnx"
for tool in annotate partition run; do
  case $tool in
  run) options='--random 1' ;;
  *) options=--mesh=a=2 ;;
  esac
  # shellcheck disable=SC2086
  refused "$tool without a model" 66 "none.onnx" \
    "$build/tools/gshard-$tool" $options -o out "$in/none.onnx"
  # shellcheck disable=SC2086
  refused "$tool of a FIFO" 65 "FIFO" \
    "$build/tools/gshard-$tool" $options -o out "$in/fifo"
  # shellcheck disable=SC2086
  refused "$tool of an empty pipe" 65 "empty" \
    "$build/tools/gshard-$tool" $options -o out -
done
refused "annotate of a directory" 65 "is a directory" \
  "$annotate" --mesh a=2 -o out "$in/sub"
refused "a spec that is not there" 66 "none.yaml" \
  "$annotate" -s none.yaml -o out "$in/mlp.onnx"
refused "a mesh of nothing" 64 "mesh" \
  "$annotate" --mesh a=0 -o out "$in/mlp.onnx"
refused "a mesh of too much" 78 "--mesh" \
  "$annotate" --mesh a=99999,b=99999 -o out "$in/mlp.onnx"
refused "a binding of nothing" 64 "--bind" \
  "$annotate" --mesh a=2 --bind n -o out "$in/mlp.onnx"
refused "a model without annotations" 65 "no shardings" \
  "$partition" -o out "$in/mlp.onnx"
refused "a model without annotations and no spec" 78 "no annotations" \
  "$annotate" -o out "$in/mlp.onnx"
refused "a tensor to explain that is not there" 64 "'nothing'" \
  "$annotate" --mesh a=2 --explain nothing -o out "$in/mlp.onnx"
refused "a symbolic dim without a size" 78 "'n'" \
  "$annotate" --mesh a=2 -o out "$in/any.onnx"

# ---- weights ----------------------------------------------------------------
refused "weights that are missing" 66 "no file 'big.bin'" \
  "$run" --random 1 -o out "$in/big.onnx"
refused "weights that are missing, to partition" 66 "no file 'big.bin'" \
  "$partition" --mesh a=2 -o out "$in/big.onnx"
truncate -s 1073741823 "$in/big.bin"
for tool in annotate partition run; do
  case $tool in
  run) options='--random 1' ;;
  *) options=--mesh=a=2 ;;
  esac
  # shellcheck disable=SC2086
  refused "$tool of weights a byte short" 74 \
    "big.bin has 1073741823 bytes; 1073741824 at offset 0 are needed" \
    "$build/tools/gshard-$tool" $options -o out "$in/big.onnx"
done

# ---- plans ------------------------------------------------------------------
cat > "$in/mlp.yaml" << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: x}
    shard: [dp, ~]
  - match: {tensor: w1}
    shard: [~, tp]
END
"$annotate" -q -s "$in/mlp.yaml" -o "$in/ready.onnx" "$in/mlp.onnx" || exit 1
"$partition" -q -o "$in/spmd" "$in/ready.onnx" || exit 1
"$partition" -q --emit device -o "$in/device" "$in/ready.onnx" || exit 1

# broken NAME CODE FRAGMENT COMMAND...: both kinds of plan after the command
# ran in a copy of them.
broken() {
  plan_name=$1 plan_code=$2 plan_text=$3
  shift 3
  for kind in spmd device; do
    rm -rf "$in/plan"
    cp -r "$in/$kind" "$in/plan"
    (cd "$in/plan" && "$@") || echo "$plan_name: cannot be prepared"
    refused "$kind plan: $plan_name" "$plan_code" "$plan_text" \
      "$run" --random 1 -o out "$in/plan"
  done
}
edit() { sed -i "$1" plan.yaml; }
append() { printf '%s\n' "$1" >> plan.yaml; }
no_graph() { rm -f program.onnx device0.onnx; }
other_graph() {
  for graph in *.onnx; do cp ../any.onnx "$graph"; done
}
bad_graph() {
  for graph in *.onnx; do printf junk > "$graph"; done
}
graph_outside() {
  for graph in *.onnx; do ln -sf ../no-such-model.onnx "$graph"; done
}
weights_outside() { mv weights.data .. && ln -s ../weights.data weights.data; }
short() { truncate -s -1 weights.data; }
long() { truncate -s +1 weights.data; }
hole() { : > weights.data; }
fifo() { rm weights.data && mkfifo weights.data; }
plan_fifo() { rm plan.yaml && mkfifo plan.yaml; }
large() { truncate -s 64M plan.yaml; }
nested() { head -c 20000 /dev/zero | tr '\0' '[' > plan.yaml; }
binary() { head -c 400 weights.data > plan.yaml; }

broken "no plan.yaml" 66 "plan.yaml" rm plan.yaml
broken "an empty plan.yaml" 65 "plan.yaml" truncate -s 0 plan.yaml
broken "a FIFO for plan.yaml" 65 "plan.yaml" plan_fifo
broken "64 MiB of zeros" 65 "plan.yaml" large
broken "nested brackets" 65 "plan.yaml:1:" nested
broken "a binary file" 65 "plan.yaml" binary
broken "not YAML" 65 "plan.yaml:" append '}'
broken "version 1" 69 "version 1" edit '1s/2/1/'
broken "version 3" 69 "version 3" edit '1s/2/3/'
broken "no version" 65 "version" edit 1d
broken "an unknown key" 65 "'mood'" append 'mood: good'
broken "a key twice" 65 "kind" append 'kind: spmd'
broken "another kind" 65 "plan.yaml:3:" edit 's/^kind: .*/kind: other/'
broken "another hash" 76 "hash" edit 's/^hash: "./hash: "x/; s/"x/"0/'
broken "a hash of letters" 65 "hexadecimal" edit 's/^hash: .*/hash: "none"/'
broken "changed bytes" 76 "hash" edit 's/bytes_per_device: /&1/'
broken "a changed producer" 76 "hash" edit 's/^producer: ./&x/'
broken "a mesh of other size" 65 "plan.yaml" edit 's/"tp", size: 2/"tp", size: 0/'
broken "a huge mesh" 65 "plan.yaml" edit 's/"tp", size: 2/"tp", size: 999999999/'
broken "an axis twice" 65 "plan.yaml" edit 's/"tp", size/"dp", size/'
broken "an unknown axis" 65 "plan.yaml:" edit 's/{dp,~}/{ep,~}/'
broken "a sharding of other rank" 65 "plan.yaml:" edit 's/{dp,~}/{dp}/'
broken "an unknown type" 65 "'f33'" edit 's/dtype: f32/dtype: f33/'
broken "a negative dim" 65 "plan.yaml:" edit 's/\[6, 10\]/[-6, 10]/'
broken "a graph elsewhere" 65 "not the name of a file" \
  edit 's,"\(program\|device0\).onnx","../x.onnx",'
broken "an extra device" 65 "files" \
  edit 's,^inputs:,  - {name: "device9.onnx"\, size: 1\, hash: "0123456789abcdef"}\n&,'
broken "weights elsewhere" 65 "not the name of a file" \
  edit 's,weights.data,/etc/passwd,'
broken "no graph" 66 ".onnx" no_graph
broken "another graph" 76 ".onnx" other_graph
broken "a graph of junk" 76 ".onnx" bad_graph
broken "a link to nothing" 66 ".onnx" graph_outside
broken "no weights" 66 "weights.data" rm weights.data
broken "short weights" 76 "weights.data" short
broken "empty weights" 76 "weights.data" hole
broken "long weights" 76 "weights.data" long
broken "a FIFO for weights" 65 "FIFO" fifo
broken "weights outside" 65 "out of the model's directory" weights_outside
rm -f "$in/weights.data"
swap() { mv device0.onnx x && mv device1.onnx device0.onnx; mv x device1.onnx; }
cp -r "$in/device" "$in/swapped"
(cd "$in/swapped" && swap)
refused "swapped device graphs" 76 "device0.onnx" \
  "$run" --random 1 -o out "$in/swapped"
refused "swapped device graphs, on purpose" 76 "not the graph of device" \
  "$run" --no-verify --random 1 -o out "$in/swapped"
# One device that communicates otherwise than the rest would make them wait.
sed 's/\[~, tp\]/[tp, ~]/' "$in/mlp.yaml" > "$in/other.yaml"
"$annotate" -q -s "$in/other.yaml" -o "$in/other.onnx" "$in/mlp.onnx" &&
  "$partition" -q --emit device -o "$in/other" "$in/other.onnx" || exit 1
cp -r "$in/device" "$in/mixed"
cp "$in/other/device1.onnx" "$in/mixed"
refused "a device graph of another plan" 76 "device1.onnx" \
  "$run" --random 1 -o out "$in/mixed"
refused "a device graph of another plan, on purpose" 76 "device1.onnx" \
  "$run" --no-verify --random 1 -o out "$in/mixed"
mkdir "$in/nothing"
refused "an empty directory as plan" 66 "plan.yaml" \
  "$run" --random 1 -o out "$in/nothing"
refused "a plan to partition" 65 "directory" "$partition" -o out "$in/spmd"
refused "a program to annotate" 65 "program" \
  "$annotate" --mesh a=2 -o out "$in/spmd/program.onnx"

# ---- outputs ----------------------------------------------------------------
annotate_to() {
  text=$1 code=$2
  shift 2
  refused "annotate to $text" "$code" "$2" "$annotate" -q --mesh a=2 -o "$1" \
    "$in/mlp.onnx"
}
partition_to() {
  text=$1 code=$2
  shift 2
  refused "partition to $text" "$code" "$2" "$partition" -q -o "$1" \
    "$in/ready.onnx"
}
run_to() {
  text=$1 code=$2
  shift 2
  refused "run to $text" "$code" "$2" "$run" -q --random 1 -o "$1" \
    "$in/mlp.onnx"
}
for tool in annotate partition run; do
  file=new
  [ "$tool" != run ] || file=y=new
  ${tool}_to "a directory that is not there" 73 "${file%new}none/new" none/new
  ${tool}_to "a file as directory" 73 "${file%new}$in/mlp.onnx/new" \
    "mlp.onnx/new"
  ${tool}_to "/proc" 73 "${file%new}/proc/new" "/proc/new"
done
mkdir "$in/full"
touch "$in/full/precious"
annotate_to "a directory" 73 "$in/sub" "is a directory"
run_to "a file" 73 "$in/w.bin" "w.bin"
run_to "a file that exists" 73 "y=$in/w.bin" "already exists"
partition_to "a plan that exists" 73 "$in/spmd" "already exists"
annotate_to "a file that exists" 73 "$in/w.bin" "already exists"
annotate_to "its own input" 73 "$in/mlp.onnx" "already exists"
refused "partition -f to something else" 73 "not replaced" \
  "$partition" -q -f -o "$in/full" "$in/ready.onnx"
refused "partition -f to a file" 73 "not replaced" \
  "$partition" -q -f -o "$in/w.bin" "$in/ready.onnx"
refused "partition without -o" 64 "-o" "$partition" -q "$in/ready.onnx"

# to_full NAME COMMAND...: standard output is a device that is always full.
to_full() {
  name=$1
  shift
  for how in full closed; do
    if [ "$how" = full ]; then
      (exec "$@") > /dev/full 2> "$work/err" < /dev/null
    else
      (exec "$@") >&- 2> "$work/err" < /dev/null
    fi
    got=$?
    clean_after "$name" || continue
    if [ "$got" != 74 ] && [ "$got" != 73 ]; then
      fail "$name, stdout $how" "exit $got"
    elif [ ! -s "$work/err" ]; then
      fail "$name, stdout $how" "no message"
    else
      pass
    fi
  done
}
to_full "annotate -o -" "$annotate" -q --mesh a=2 -o - "$in/mlp.onnx"
to_full "annotate | report" "$annotate" -q --mesh a=2 --report=json -n \
  "$in/mlp.onnx"
to_full "partition -o -" "$partition" -q -o - "$in/ready.onnx"
to_full "run -o -" "$run" -q --random 1 -o - "$in/mlp.onnx"
to_full "run" "$run" -q --random 1 "$in/mlp.onnx"
to_full "annotate --list-tensors" "$annotate" --list-tensors "$in/mlp.onnx"
to_full "annotate --print-schema" "$annotate" --print-schema
to_full "run --list-ops" "$run" --list-ops

# A file system that fills up, where one can be mounted.
mkdir "$work/tiny"
if mount -t tmpfs -o size=64k none "$work/tiny" 2> /dev/null; then
  head -c 60000 /dev/zero > "$work/tiny/most"
  for kind in spmd device; do
    refused "partition to a full disk" 74 "No space left" \
      "$partition" -q --emit "$kind" -o "$work/tiny/plan" "$in/ready.onnx"
    [ "$(ls "$work/tiny")" = most ] && pass ||
      fail "a full disk" "left $(ls "$work/tiny")"
  done
  head -c 65000 /dev/zero > "$work/tiny/most" 2> /dev/null
  refused "annotate to a full disk" 74 "No space left" \
    "$annotate" -q --mesh a=2 -o "$work/tiny/new" "$in/mlp.onnx"
  [ "$(ls "$work/tiny")" = most ] && pass ||
    fail "a full disk" "left $(ls "$work/tiny")"
  umount "$work/tiny"
fi

# An older output stays as it is when the new one fails.
cp "$in/mlp.onnx" "$in/older.onnx"
refused "annotate over an older model" 65 "raw-short" \
  "$annotate" -f --mesh a=2 -o "$in/older.onnx" "$in/raw-short.onnx"
cmp -s "$in/mlp.onnx" "$in/older.onnx" && pass || fail "older model" "changed"

# Limits of the process.
(
  ulimit -f 1
  exec "$partition" -q -o out "$in/ready.onnx"
) > "$work/std" 2> "$work/err"
got=$?
[ "$got" = 74 ] && nothing_left && pass ||
  fail "a limit of file size" "exit $got, left$left"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
