#!/bin/sh
# The mpi transport gives the bytes of the threads transport: collectives and
# programs on 1, 2 and 4 ranks, also with tiny messages.
set -u
build=$(pwd)
mpirun=${MPIRUN-mpirun}
# Set by make check; by hand: HAVE_MPI=1 tests/mpi.sh
if ! command -v "$mpirun" > /dev/null 2>&1; then
  echo "skipped: no mpirun"
  exit 77
fi
if [ "${HAVE_MPI-0}" != 1 ]; then
  echo "skipped: built without MPI"
  exit 77
fi
# As root, and with more ranks than cores.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy
# MPI's own libraries keep memory at exit.
ASAN_OPTIONS="${ASAN_OPTIONS-}${ASAN_OPTIONS:+:}detect_leaks=0"
export ASAN_OPTIONS
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
passed=0 failed=0

result() { # result ok|not TEXT
  if [ "$1" = ok ]; then
    passed=$((passed + 1))
    echo "ok: $2"
  else
    failed=$((failed + 1))
    echo "not ok: $2"
  fi
}

# compare RANKS PROGRAM: every line that the ranks print is one of threads'.
compare() {
  if timeout -k 5 1200 "$mpirun" -n "$1" "$build/tests/$2" digest \
      > "$temp/mpi" 2> "$temp/err" && [ -s "$temp/mpi" ] &&
      ! grep -vxFf "$temp/$2" "$temp/mpi"; then
    result ok "$2, $1 ranks${3-}"
  else
    result not "$2, $1 ranks${3-}"
    sed 's/^/  /' "$temp/err" | tail -5
  fi
}

for program in test_comm test_exec; do
  "$build/tests/$program" digest > "$temp/$program" || exit 1
  for ranks in 1 2 4; do
    compare "$ranks" "$program"
  done
done
# Every operator, split over two devices: the sweep.
"$build/tests/test_sweep" digest > "$temp/test_sweep" || exit 1
compare 2 test_sweep
GS_TEST_CHUNK=7001
export GS_TEST_CHUNK
compare 2 test_comm ", messages of 7001 bytes"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
