# What scripts that start MPI jobs share: skips without MPI, a folder to work
# in, cases.  Read by them in the build directory.
build=$(pwd)
mpirun=${MPIRUN-mpirun}
run=$build/tools/gshard-run
if ! command -v "$mpirun" > /dev/null 2>&1 || [ "${HAVE_MPI-1}" = 0 ]; then
  echo "skipped: no MPI"
  exit 77
fi
# shellcheck source=tests/mpirun.sh
. "$(dirname "$0")/mpirun.sh"
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

# A job; what hangs is ended.
job() { timeout -k 5 1200 "$mpirun" "$@"; }

# gives CODE FRAGMENT ARGUMENTS...: a job that fails, and says so once.
gives() {
  want=$1 fragment=$2
  shift 2
  job "$@" > out 2> err < /dev/null
  got=$?
  [ $got = "$want" ] || { echo "exit $got, not $want"; cat err; return 1; }
  grep -q -e "$fragment" err || { cat err; return 1; }
  [ ! -s out ] || { cat out; return 1; }
  [ "$(grep -c '^gshard-run.*error:' err)" = 1 ] || { cat err; return 1; }
}

# Every rank leaves its process in pid.RANK, then becomes COMMAND.
# shellcheck disable=SC2016
told='echo $$ > pid.${OMPI_COMM_WORLD_RANK-$PMI_RANK}; exec "$@"'

# Waits for a file with something in it.
appears() {
  tries=0
  while [ ! -s "$1" ]; do
    [ $tries -lt 6000 ] || { echo "no $1"; return 1; }
    sleep 0.1
    tries=$((tries + 1))
  done
}

# No rank is left; launchers do not wait for the end of all.
all_gone() {
  for file in pid.*; do
    tries=0
    while kill -0 "$(cat "$file")" 2> /dev/null; do
      [ $tries -lt 600 ] || { echo "$file lives"; return 1; }
      sleep 0.1
      tries=$((tries + 1))
    done
  done
}
