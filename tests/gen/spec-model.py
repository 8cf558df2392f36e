#!/usr/bin/env python3
"""Writes tests/spec/model.onnx: tests/spec/model.txt as ONNX.

Usage: spec-model.py OUT.onnx      (needs the packages onnx and numpy)
"""
import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

F, I = TensorProto.FLOAT, TensorProto.INT64


def value(name, dims, dtype=F):
    return helper.make_tensor_value_info(name, dtype, dims)


def weight(name, *dims):
    data = (np.arange(np.prod(dims)) % 7 - 3).astype(np.float32)
    return numpy_helper.from_array(data.reshape(dims), name)


nodes = [helper.make_node("Gather", ["model.embed_tokens.weight", "tokens"],
                          ["h"], name="/embed/Gather")]
before = "h"
for i in range(2):
    at, w = f"/model/layers.{i}/mlp", f"layers.{i}/mlp"
    nodes += [
        helper.make_node("MatMul", [before, f"{w}/up/w"], [f"u{i}"],
                         name=f"{at}/up/MatMul"),
        helper.make_node("Add", [f"u{i}", f"{w}/up/b"], [f"v{i}"],
                         name=f"{at}/up/Add"),
        helper.make_node("Relu", [f"v{i}"], [f"r{i}"], name=f"{at}/Relu"),
        helper.make_node("MatMul", [f"r{i}", f"{w}/down/w"], [f"d{i}"],
                         name=f"{at}/down/MatMul"),
    ]
    before = f"d{i}"
nodes += [
    helper.make_node("Einsum", ["d1", "encoder/l2/moe/wi"], ["m0"],
                     name="/encoder/l2/moe/up", equation="bsm,emh->bseh"),
    helper.make_node("Relu", ["m0"], ["m1"], name="/encoder/l2/moe/Relu"),
    helper.make_node("Einsum", ["m1", "encoder/l2/moe/wo"], ["y"],
                     name="/encoder/l2/moe/down", equation="bseh,ehm->bsm"),
    helper.make_node("Fused", ["y", "layers.0/mlp/up/w"], ["f"],
                     name="/fused", domain="my.domain"),
    helper.make_node("Identity", ["past_key_values.0.key"], ["present.0.key"],
                     name="/key"),
    helper.make_node("Identity", ["past_key_values.0.value"],
                     ["present.0.value"], name="/value"),
]
weights = [weight("model.embed_tokens.weight", 30, 16)]
for i in range(2):
    weights += [weight(f"layers.{i}/mlp/up/w", 16, 32),
                weight(f"layers.{i}/mlp/up/b", 32),
                weight(f"layers.{i}/mlp/down/w", 32, 16)]
weights += [weight("encoder/l2/moe/wi", 4, 16, 32),
            weight("encoder/l2/moe/wo", 4, 32, 16)]
cache = [8, 2, 6, 16]
graph = helper.make_graph(
    nodes, "mlp",
    [value("tokens", [8, 6], I), value("past_key_values.0.key", cache),
     value("past_key_values.0.value", cache)],
    [value("y", [8, 6, 16]), value("f", [8, 6, 32]),
     value("present.0.key", cache), value("present.0.value", cache)],
    weights)
model = helper.make_model(
    graph, ir_version=10, producer_name="spec-model",
    opset_imports=[helper.make_opsetid("", 21),
                   helper.make_opsetid("my.domain", 1)])
checker.check_model(model)
save(model, sys.argv[1])
