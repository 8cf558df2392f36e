#!/usr/bin/env python3
"""Writes tests/data/odd.onnx, whose weights lie at odd offsets of
tests/data/odd.data, and tests/data/odd-inline.onnx, the same model with its
weights inside, for tests/run.sh.  Needs onnx and numpy.

    odd.py DIRECTORY"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
weights = {
    "w1": rng.standard_normal((8, 18)).astype("f"),
    "w2": rng.standard_normal((7, 18)).astype("f"),
    "half": rng.standard_normal((18,)).astype("e"),
    "double": rng.standard_normal((5, 1)).astype("d"),
    "rows": np.array([4, 0, -1], dtype="q"),
    "where": np.array([1, 3], dtype="i"),
    "shape": np.array([1, 3, 7], dtype="q"),
    "axes": np.array([0], dtype="q"),
    "small": np.array([0.5, -2.0, 3.0], dtype="f"),
    "big": rng.standard_normal((512, 7)).astype("f"),
}
nodes = [
    ("MatMul", ["x", "w1"], "h", {}),
    ("Cast", ["half"], "b", {"to": TensorProto.FLOAT}),
    ("Add", ["h", "b"], "hb", {}),
    ("Gemm", ["hb", "w2"], "p", {"transB": 1}),
    ("Cast", ["double"], "scale", {"to": TensorProto.FLOAT}),
    ("Mul", ["p", "scale"], "s", {}),
    ("Gather", ["s", "rows"], "t", {"axis": 0}),
    ("Gather", ["big", "where"], "g", {"axis": 0}),
    ("ReduceSum", ["big", "axes"], "r", {"keepdims": 1}),
    ("Reshape", ["t", "shape"], "u", {}),
    ("Exp", ["small"], "e", {}),
    ("Unsqueeze", ["e", "one"], "f", {}),
    ("Mul", ["u", "f"], "v", {}),
    ("Add", ["v", "r"], "y", {}),
    ("ReduceMax", ["g", "axes"], "z0", {"keepdims": 0}),
    ("Add", ["z0", "s"], "z", {}),
]
weights["one"] = np.array([1], dtype="q")


def model(external):
    at = 1
    data = b"\x55"
    tensors = []
    for name, array in weights.items():
        t = numpy_helper.from_array(array, name)
        if external:
            raw = t.raw_data
            t.ClearField("raw_data")
            t.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "odd.data"), ("offset", at),
                               ("length", len(raw))):
                t.external_data.add(key=key, value=str(value))
            data += raw + b"\x55" * (2 - len(raw) % 2)
            at = len(data)
            assert at % 2
        tensors.append(t)
    graph = helper.make_graph(
        [helper.make_node(op, i, [o], o, **a) for op, i, o, a in nodes],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 7]),
         helper.make_tensor_value_info("z", TensorProto.FLOAT, [5, 7])],
        tensors,
    )
    return data, helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )


where = sys.argv[1]
blob, m = model(True)
onnx.save(m, os.path.join(where, "odd.onnx"))
with open(os.path.join(where, "odd.data"), "wb") as f:
    f.write(blob)
onnx.save(model(False)[1], os.path.join(where, "odd-inline.onnx"))
