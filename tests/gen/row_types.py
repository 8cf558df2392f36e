#!/usr/bin/env python3
"""Writes into src/op/ops.def the types that test_sweep finds for each row.

usage: row_types.py OPS_DEF < LINES      (run in the build directory as
       CK_RUN_CASE=types tests/test_sweep 2>&1 | .../row_types.py .../ops.def)
"""
import re
import sys

DOMAINS = {"ONN": "", "GSH": "ai.gshard", "MSF": "com.microsoft",
           "TRN": "ai.onnx.preview.training", "PRV": "ai.onnx.preview"}

path = sys.argv[1]
found = {}
for line in sys.stdin:
    if line.startswith("types: "):
        domain, name, types = line[len("types: "):].rstrip("\n").split("|")
        found[domain, name] = types
rows = []
for line in open(path):
    m = re.match(r'OP\(\w+, *"(\w+)", *(\w+),', line)
    types = found.get((DOMAINS.get(m[2]), m[1])) if m else None
    if types:
        line = re.sub(r' T\("[^"]*"\)\)$', ")", line.rstrip("\n"))
        line = f'{line[:-1]} T("{types}"))\n'
    rows.append(line)
open(path, "w").write("".join(rows))
