# shellcheck shell=sh
# Compiles tests/preload/shim.c to $shim, for tests that make calls of the C
# library fail; ends the test with 77 where that cannot be done.  Read by them
# in the build directory, when $work is the folder that they write to.

if grep -q '^GS_CFLAGS.*-fsanitize' Makefile 2> /dev/null; then
  echo "skipped: sanitizers have an allocator of their own"
  exit 77
fi
shim=$work/shim.so
shim_cc=$(sed -n 's/^CC = //p' Makefile 2> /dev/null)
# shellcheck disable=SC2086
if ! ${shim_cc:-cc} -std=c11 -O1 -fPIC -shared -o "$shim" \
  "${srcdir-.}/tests/preload/shim.c" -ldl -lpthread > "$work/shim.log" 2>&1
then
  cat "$work/shim.log"
  echo "skipped: there is no compiler for the shim"
  exit 77
fi

# failing KIND:N COMMAND...: runs it while the N-th call of KIND fails.
failing() {
  shim_spec=$1
  shift
  env SHIM="$shim_spec" LD_PRELOAD="$shim" "$@"
}

# calls KIND COMMAND...: runs it; $calls is how many calls of KIND it made.
calls() {
  shim_kind=$1
  shift
  env SHIM="$shim_kind:0" SHIM_COUNT="$work/shim.count" LD_PRELOAD="$shim" \
    "$@" || return
  calls=$(cat "$work/shim.count")
}
