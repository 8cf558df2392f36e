# What Open MPI is told: it runs as root too, and with more ranks than cores.
# Read by scripts that start jobs; the others are started by make with it.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy
# MPI's own libraries keep memory at exit.
ASAN_OPTIONS="${ASAN_OPTIONS-}${ASAN_OPTIONS:+:}detect_leaks=0"
export ASAN_OPTIONS

# two_ranks TOOL SCRIPT: makes a script that runs the tool so.
two_ranks() {
  cat > "$2" << END
#!/bin/sh
exec timeout -k 5 600 "${MPIRUN-mpirun}" -n 2 "$1" "\$@"
END
  chmod +x "$2"
}

# From here on $run is two ranks; without MPI the script ends, with a skip.  For
# those that read tests/cases.sh.
go_on_ranks() {
  if [ "${HAVE_MPI-1}" = 0 ] || ! command -v "${MPIRUN-mpirun}" > /dev/null
  then
    skip "MPI: not in this build"
    done_all
    exit
  fi
  real=$run
  run=$work/ranks
  two_ranks "$real" "$run"
}
