# What scripts that run the tools share: a folder to work in, the tools, cases.
# Read by them in the build directory, which is $build.
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1

annotate=$build/tools/gshard-annotate
partition=$build/tools/gshard-partition
run=$build/tools/gshard-run
