#!/bin/sh
# Bad input and bad output through the tools: the exit code of the contract, a
# message that names the place, less than a second, nothing written.
set -u
build=$(pwd)
data=$build/tests
[ -d "$data/spec" ] || data=$(cd "${srcdir-.}/tests" && pwd)
if [ ! -x tests/test_onnx ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# Seconds of computing that a refusal may take; sanitizers are slow.
limit=1
if grep -q '^GS_CFLAGS.*-fsanitize' Makefile 2> /dev/null; then limit=8; fi

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

# What must hold of every run: $1 is its name.  Removes what it left.
clean_after() {
  if [ "$got" -ge 124 ]; then
    fail "$1" "exit $got: a signal, the time limit or a sanitizer"
  elif grep -q -e 'AddressSanitizer' -e 'runtime error:' \
      -e 'LeakSanitizer' "$work/err"; then
    fail "$1" "a report of a sanitizer"
  elif [ -n "$(ls -A .)" ]; then
    fail "$1" "left $(ls -A . | tr '\n' ' ')"
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
    ulimit -t "$limit"
    exec timeout -k 2 30 "$@"
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
  elif ! grep -qF -e "$fragment" "$work/err"; then
    fail "$name" "no '$fragment' in the message"
  elif [ -s "$work/std" ]; then
    fail "$name" "something on standard output"
  else
    pass
  fi
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

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
