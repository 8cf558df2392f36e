#!/bin/sh
# Rewrites what the tables of keys and the passes make: tests/spec/good/*.dump,
# schemas/gshard-{spec,plan}.schema.json and the key lists of the manuals.
# Run in the build directory after `make check`; look at the difference.
set -eu
GS_UPDATE=1 tests/test_spec
GS_UPDATE=1 tests/test_plan
