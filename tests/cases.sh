# What scripts that run the tools share: a folder to work in, the tools, cases.
# Read by them in the build directory, which is $build.
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run

# ok TEXT COMMAND...: one case, which holds when the command succeeds.
ok() {
  text=$1
  shift
  if "$@" > log 2>&1 < /dev/null; then
    passed=$((passed + 1))
  else
    printf 'not ok: %s\n' "$text"
    sed 's/^/  /' log | head -10
    failed=$((failed + 1))
  fi
}
