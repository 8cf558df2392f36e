#!/bin/sh
# results.py with an environment for its peers:
#   results.sh BUILD [ARGUMENT OF results.py]...
# BENCH_PYTHON names a Python that has them (onnx, onnxruntime, openvino, jax).
# Without it a virtual environment in BUILD/bench/venv is
# made once, of what pip finds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
shift
python=${BENCH_PYTHON:-$build/bench/venv/bin/python}
if [ -z "${BENCH_PYTHON:-}" ] && [ ! -f "$build/bench/venv/ready" ]; then
  python3 -m venv "$build/bench/venv"
  "$python" -m pip install -q numpy onnx onnxruntime openvino jax
  : > "$build/bench/venv/ready"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/results.py" "$build" "$@"
