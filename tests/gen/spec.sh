#!/bin/sh
# Rewrites what the tables of keys and the passes make: tests/spec/good/*.dump,
# schemas/gshard-{spec,plan}.schema.json and the key lists of the manuals.
# Run in the build directory after `make check`; look at the difference.
set -eu
tests/test_spec --update
tests/test_plan --update
