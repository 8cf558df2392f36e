#!/usr/bin/env python3
"""Compares the rows of src/op/ops.def with the schemas of the onnx package.

usage: check_rows.py [ops.def]     (needs the Python package onnx)

For every row of the ONNX domain: `since` must be the newest version up to
opset 25, and the numbers of operands and results those of its schema.
Prints one line per difference; the exit code is 1 when there is one.
"""
import pathlib
import re
import sys

import onnx.defs

OPSET = 25
MANY = 2147483647


def rows(path):
    text = pathlib.Path(path).read_text()
    pattern = (r'^OP\(\s*\w+\s*,\s*"(\w+)"\s*,\s*ONN\s*,\s*(\d+)\s*,\s*(\d+)'
               r'\s*,\s*(\w+)\s*,\s*(\d+)\s*,\s*(\w+)\s*,')
    for m in re.finditer(pattern, text, re.M):
        name, *numbers = m.groups()
        yield name, tuple(MANY if n == "MANY" else int(n) for n in numbers)


def main():
    here = pathlib.Path(__file__).resolve().parent
    path = sys.argv[1] if len(sys.argv) > 1 else here / "../../src/op/ops.def"
    count = bad = 0
    for name, got in rows(path):
        s = onnx.defs.get_schema(name, OPSET, "")
        want = (s.since_version, s.min_input, s.max_input, s.min_output,
                s.max_output)
        count += 1
        if got != want:
            bad += 1
            print(f"{name}: since, in, out {got}, but the schema has {want}")
    print(f"{count} rows, {bad} differ")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
