#!/usr/bin/env python3
"""Writes tests/data/stale: models that declare shapes which do not come out,
and attention as older exporters write it, with what ONNX Runtime makes of
them; each in a folder, as ONNX's backend tests lie.

  python3 -P tests/gen/stale.py tests/data/stale
"""
import os
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

base = sys.argv[1]
random = np.random.default_rng(7)
N = h.make_node


def info(name, shape, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


def const(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def weight(name, *shape):
    a = random.integers(-4, 5, shape) / 8
    return const(name, a.astype(np.float32))


def write(name, graph, inputs, opset, domains=(), functions=()):
    ids = [h.make_opsetid("", opset)]
    ids += [h.make_opsetid(d, 1) for d in domains]
    model = h.make_model(graph, opset_imports=ids, ir_version=10,
                         functions=functions)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    folder = os.path.join(base, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    onnx.save(model, f"{folder}/model.onnx")
    out = session.run(None, inputs)
    for kind, values in (("input", inputs.values()), ("output", out)):
        for i, v in enumerate(values):
            with open(f"{folder}/{kind}_{i}.pb", "wb") as f:
                f.write(numpy_helper.from_array(v).SerializeToString())


def shapes():
    """Rank and dims of results, of an inner graph's and of a function's: from
    an example, from before an edit, and for another batch."""
    inner = h.make_graph(
        [N("Mul", ["h", "h"], ["squares"]),
         N("ReduceSum", ["squares"], ["sum"], keepdims=0),
         N("Add", ["h", "sum"], ["back"])],
        "then", [], [info("back", ["k", 6])],
        value_info=[info("squares", [9, 6])])
    other = h.make_graph([N("Abs", ["h"], ["there"])], "else", [],
                         [info("there", [8])])
    twice = h.make_function("own", "Twice", ["a"], ["b"],
                            [N("Add", ["a", "a"], ["s"]),
                             N("Neg", ["s"], ["b"])],
                            [h.make_opsetid("", 18)])
    nodes = [N("MatMul", ["x", "w"], ["h"]),
             N("If", ["flag"], ["c"], then_branch=inner, else_branch=other),
             N("Twice", ["c"], ["d"], domain="own"),
             N("Reshape", ["d", "s"], ["y"]),
             N("NonZero", ["x"], ["places"]),
             N("Transpose", ["places"], ["pairs"], perm=[1, 0])]
    graph = h.make_graph(
        nodes, "shapes", [info("x", ["n", 6]), info("flag", [], T.BOOL)],
        [info("y", [1, "len"]), info("pairs", [5, 2], T.INT64)],
        [weight("w", 6, 6), const("s", np.array([0, 2, 3]))],
        value_info=[info("h", [3, 7]), info("c", [2]), info("d", ["m", 6]),
                    info("places", [2, 5], T.INT64)])
    x = np.arange(24, dtype=np.float32).reshape(4, 6) % 5 - 2
    write("shapes", graph, {"x": x, "flag": np.array(True)}, 18, ["own"],
          [twice])


def facts():
    """Inputs, initializers and constants say themselves what they are."""
    nodes = [N("Constant", [], ["c"], value=const("c", np.ones(6, "float32"))),
             N("Add", ["x", "w"], ["s"]), N("Mul", ["s", "c"], ["y"])]
    graph = h.make_graph(
        nodes, "facts", [info("x", [4, 6])], [info("y", [4, 6])],
        [weight("w", 6)],
        value_info=[info("x", [5]), info("w", [9], T.INT64), info("c", [7])])
    x = random.normal(size=(4, 6)).astype(np.float32)
    write("facts", graph, {"x": x}, 18)


def needed():
    """The shape of a result that depends on data, and that others need."""
    nodes = [N("NonZero", ["x"], ["places"]),
             N("Transpose", ["places"], ["pairs"], name="turn", perm=[1, 0]),
             N("Neg", ["pairs"], ["y"])]
    graph = h.make_graph(
        nodes, "needed", [info("x", [4, 6])], [info("y", None, T.INT64)], [],
        value_info=[info("pairs", [9, 2], T.INT64)])
    x = np.arange(24, dtype=np.float32).reshape(4, 6) % 5 - 2
    write("needed", graph, {"x": x}, 18)


def softmax():
    """An old Softmax takes all dims from its axis on as one: how many that are
    must not be read off a shape from before an edit."""
    graph = h.make_graph(
        [N("Reshape", ["x", "s"], ["h"]), N("Softmax", ["h"], ["y"], axis=1),
         N("Relu", ["x"], ["r"]), N("Softmax", ["r"], ["z"], axis=1)],
        "softmax", [info("x", [4, 6])], [info("y", None), info("z", None)],
        [const("s", np.array([2, 3, 4]))],
        value_info=[info("h", [4, 6]), info("r", [4, 2, 3])])
    x = random.normal(size=(4, 6)).astype(np.float32)
    write("softmax", graph, {"x": x}, 11)


def attention(name, past, total, fixed, outputs, lengths, column=False):
    """Keys and values in caches of `past` rows, `total` of them valid."""
    b, s, heads, kv, size = len(lengths), 1, 4, 2, 8
    d = heads * size
    nodes = [N("MatMul", ["x", w], [w[1]]) for w in ("wq", "wk", "wv")]
    nodes += [N("GroupQueryAttention",
                ["q", "k", "v", "past_key", "past_value", "lengths", "total"],
                ["o", "key", "value"], domain="com.microsoft",
                num_heads=heads, kv_num_heads=kv),
              N("MatMul", ["o", "wo"], ["y"])]
    inputs = {"x": random.normal(size=(b, s, 16)).astype(np.float32)}
    for what in ("past_key", "past_value"):
        cache = random.normal(size=(b, kv, past, size))
        inputs[what] = cache.astype(np.float32)
    valid = np.array(lengths, np.int32)
    inputs["lengths"] = valid.reshape(b, 1) if column else valid
    all_ = np.array(total, np.int32)
    init = [weight("wq", 16, d), weight("wk", 16, kv * size),
            weight("wv", 16, kv * size), weight("wo", d, 16)]
    if fixed:
        init.append(const("total", all_))
    else:
        inputs["total"] = all_
    given = [info(n, v.shape, h.np_dtype_to_tensor_dtype(v.dtype))
             for n, v in inputs.items()]
    rows = {"declared": total, "nothing": None}[outputs]
    cache = None if rows is None else [b, kv, rows, size]
    graph = h.make_graph(
        nodes, name, given,
        [info("y", None if rows is None else [b, s, 16]), info("key", cache),
         info("value", cache)], init)
    write(name, graph, inputs, 18, ["com.microsoft"])


shapes()
needed()
facts()
softmax()
attention("lengths-column", 7, 8, True, "declared", [7, 4], column=True)
attention("buffer", 12, 5, True, "declared", [4, 2])
attention("buffer-total", 12, 5, False, "declared", [4, 2])
attention("total", 7, 8, False, "nothing", [7, 7, 5, 3])
