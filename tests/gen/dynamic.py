#!/usr/bin/env python3
"""Writes tests/data/dynamic: a loop with a branch inside that both read
outer weights, results whose size depends on data, a sequence, strings.

  python3 tests/gen/dynamic.py tests/data/dynamic/model.onnx tests/data/dynamic
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper


def weight(name, *shape):
    a = (np.arange(np.prod(shape)) % 5 - 2).reshape(shape)
    return numpy_helper.from_array(a.astype(np.float32), name)


def info(name, dtype, shape=None):
    return h.make_tensor_value_info(name, dtype, shape)


def branches():
    yes = h.make_graph([h.make_node("Add", ["state", "bias"], ["plus"])],
                       "even", [], [info("plus", T.FLOAT)])
    no = h.make_graph([h.make_node("Sub", ["state", "bias"], ["minus"])],
                      "odd", [], [info("minus", T.FLOAT)])
    return {"then_branch": yes, "else_branch": no}


def body():
    nodes = [
        h.make_node("Mod", ["i", "two"], ["rest"]),
        h.make_node("Equal", ["rest", "zero"], ["even"]),
        h.make_node("If", ["even"], ["moved"], name="branch", **branches()),
        h.make_node("MatMul", ["moved", "w2"], ["mixed"]),
        h.make_node("Clip", ["mixed", "low", "high"], ["next"]),
        h.make_node("ReduceSum", ["next", "one"], ["sums"], keepdims=0),
        h.make_node("Identity", ["on"], ["still"]),
    ]
    return h.make_graph(
        nodes, "body",
        [info("i", T.INT64, []), info("on", T.BOOL, []),
         info("state", T.FLOAT, [8, 4])],
        [info("still", T.BOOL, []), info("next", T.FLOAT, [8, 4]),
         info("sums", T.FLOAT, [8])])


def graph():
    short = h.make_graph(
        [h.make_node("Slice", ["y", "one", "two1"], ["part"])], "short", [],
        [info("part", T.FLOAT)])
    whole = h.make_graph([h.make_node("Identity", ["y"], ["all"])], "whole",
                         [], [info("all", T.FLOAT)])
    nodes = [
        h.make_node("MatMul", ["x", "w1"], ["mm"], name="mm"),
        h.make_node("Loop", ["trips", "", "mm"], ["end", "history"],
                    name="loop", body=body()),
        h.make_node("MatMul", ["end", "w1"], ["y"], name="after"),
        h.make_node("Greater", ["y", "low"], ["above"]),
        h.make_node("NonZero", ["above"], ["places"], name="places"),
        h.make_node("ReduceSum", ["y"], ["total"], keepdims=0),
        h.make_node("Less", ["total", "high"], ["small"]),
        h.make_node("If", ["small"], ["picked"], name="pick",
                    then_branch=short, else_branch=whole),
        h.make_node("SplitToSequence", ["history"], ["steps"], axis=0),
        h.make_node("Add", ["total", "quarter"], ["sum"]),
        h.make_node("Cast", ["sum"], ["text"], to=T.STRING),
    ]
    sequence = h.make_tensor_sequence_value_info("steps", T.FLOAT, ["s", 8])
    return h.make_graph(
        nodes, "dynamic",
        [info("x", T.FLOAT, [8, 4]), info("trips", T.INT64, [])],
        [info("y", T.FLOAT, [8, 4]), info("places", T.INT64, [2, "n"]),
         info("picked", T.FLOAT, ["k", 4]), info("history", T.FLOAT, ["t", 8]),
         sequence, info("text", T.STRING, [])],
        [weight("w1", 4, 4), weight("w2", 4, 4), weight("bias", 4),
         numpy_helper.from_array(np.float32(-3), "low"),
         numpy_helper.from_array(np.float32(3), "high"),
         numpy_helper.from_array(np.float32(0.25), "quarter"),
         numpy_helper.from_array(np.int64(0), "zero"),
         numpy_helper.from_array(np.int64(2), "two"),
         numpy_helper.from_array(np.array([1], np.int64), "one"),
         numpy_helper.from_array(np.array([2], np.int64), "two1")])


model = h.make_model(graph(), opset_imports=[h.make_opsetid("", 20)],
                     ir_version=10)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, sys.argv[1])

# What ONNX Runtime makes of it, as a test data set beside the model.
import onnxruntime  # noqa: E402

base = sys.argv[2]
inputs = {"x": (np.arange(32) % 7 - 3).reshape(8, 4).astype(np.float32),
          "trips": np.array(3, np.int64)}
session = onnxruntime.InferenceSession(model.SerializeToString())


def store(kind, i, value):
    if isinstance(value, list):
        proto = numpy_helper.from_list(value)
    else:
        proto = numpy_helper.from_array(np.asarray(value))
    with open(f"{base}/{kind}_{i}.pb", "wb") as f:
        f.write(proto.SerializeToString())


for i, v in enumerate(inputs.values()):
    store("input", i, v)
for i, v in enumerate(session.run(None, inputs)):
    store("output", i, v)
