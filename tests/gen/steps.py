#!/usr/bin/env python3
"""Writes tests/data/steps: a model of whole numbers, records of its inputs for
five steps, and of its outputs as NumPy computes them.

  python3 -P tests/gen/steps.py tests/data/steps
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

base = sys.argv[1]
STEPS = 5
w = (np.arange(64 * 8, dtype=np.float32).reshape(8, 64) % 7) - 3
v = np.ascontiguousarray(w.T)


def info(name, shape, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


nodes = [
    h.make_node("MatMul", ["x", "w"], ["m"], name="up"),
    h.make_node("Relu", ["m"], ["r"]),
    h.make_node("MatMul", ["r", "v"], ["y"], name="down"),
    h.make_node("Gather", ["v", "i"], ["z"], name="take"),
]
graph = h.make_graph(
    nodes, "steps", [info("x", ["b", 8]), info("i", [1], T.INT64)],
    [info("y", ["b", 8]), info("z", [1, 8])],
    [numpy_helper.from_array(w, "w"), numpy_helper.from_array(v, "v")])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)])
model.ir_version = 10
onnx.checker.check_model(model)
onnx.save(model, f"{base}/model.onnx")

random = np.random.default_rng(1)
files = {name: open(f"{base}/{name}.npys", "wb") for name in "xiyz"}
for k in range(STEPS):
    x = random.integers(-3, 4, (4, 8)).astype(np.float32)
    i = np.array([3 * k], np.int64)
    np.save(files["x"], x)
    np.save(files["i"], i)
    np.save(files["y"], np.maximum(x @ w, 0) @ v)
    np.save(files["z"], v[i])
