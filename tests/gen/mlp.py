#!/usr/bin/env python3
"""Writes tests/data/mlp.onnx: a two-layer perceptron with uneven sizes and a
symbolic batch, for tests/run.sh.  Needs onnx and numpy."""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def weight(name, *shape):
    return numpy_helper.from_array(rng.standard_normal(shape).astype("f"), name)


graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["x", "w1"], ["h"], "mm1"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w2"], ["p"], "mm2"),
        helper.make_node("Add", ["p", "b"], ["a"], "add"),
        helper.make_node("Softmax", ["a"], ["y"], "sm", axis=-1),
        helper.make_node("Gather", ["a", "i"], ["z"], "take", axis=0),
    ],
    "mlp",
    [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8]),
        helper.make_tensor_value_info("i", TensorProto.INT64, [3]),
    ],
    [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 7]),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 7]),
    ],
    [weight("w1", 8, 18), weight("w2", 18, 7), weight("b", 7)],
)
onnx.save(
    helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ),
    sys.argv[1],
)
