#!/bin/sh
# The mpi transport gives the bytes of the threads transport: collectives and
# programs on 1, 2 and 4 ranks, also where these share no memory.
set -u
# shellcheck source=tests/launch.sh
. "$(dirname "$0")/launch.sh"

# compare RANKS PROGRAM: every line that the ranks print is one of threads'.
compare() {
  job -n "$1" "$build/tests/$2" digest > "$work/mpi" && [ -s "$work/mpi" ] &&
    ! grep -vxFf "$work/$2" "$work/mpi"
}

for program in test_comm test_exec test_exchange_run; do
  "$build/tests/$program" digest > "$work/$program" || exit 1
  for ranks in 1 2 4; do
    ok "$program, $ranks ranks" compare "$ranks" "$program"
  done
done
# Every operator, split over two devices: the sweep.
"$build/tests/test_sweep" digest > "$work/test_sweep" || exit 1
ok "test_sweep, 2 ranks" compare 2 test_sweep
# As on several hosts: of one rank, and of two.
GS_TEST_SHARE=1
GS_TEST_CHUNK=7001
export GS_TEST_SHARE GS_TEST_CHUNK
ok "test_comm, 2 ranks, messages of 7001 bytes" compare 2 test_comm
unset GS_TEST_CHUNK
ok "test_comm, 4 ranks on as many hosts" compare 4 test_comm
GS_TEST_SHARE=2
ok "test_comm, 4 ranks on two hosts" compare 4 test_comm
done_all
