#!/usr/bin/env python3
"""Writes tests/data/cache: models whose caches grow by Concat, records of their
inputs, and of their outputs as NumPy computes them with caches that grow.

  python3 -P tests/gen/cache.py tests/data/cache

Scores are so far apart that softmax is 1 at one place, or 1/2 at two, and 0 at
all others; those of keys that are there are negative, so that a place that is
not filled, of which the score is 0, would win.  All sums are exact.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

base = sys.argv[1]
H, D, SIZE = 4, 2, 8
q = np.full((1, H, 1, D), -128, np.float32)


def info(name, shape, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


def past(n):
    return info(f"past_key_values.{n}", ["batch", H, "past", D])


def present(n):
    return info(f"present.{n}", ["batch", H, "total", D])


def save(name, nodes, inputs, outputs, constants, opset=17):
    graph = h.make_graph(
        nodes, name, inputs, outputs,
        [nh.from_array(a, n) for n, a in constants.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    onnx.save(model, f"{base}/{name}.onnx")


def node(op, inputs, output, **attributes):
    return h.make_node(op, inputs.split(), [output], name=output, **attributes)


cache = [
    node("Concat", "past_key_values.0.key k", "present.0.key", axis=2),
    node("Concat", "past_key_values.0.value v", "present.0.value", axis=-2),
    node("Transpose", "present.0.key", "kt", perm=[0, 1, 3, 2]),
    node("MatMul", "q kt", "scores"),
]
inputs = [info("k", ["batch", H, "new", D]), info("v", ["batch", H, "new", D]),
          past("0.key"), past("0.value")]
outputs = [info("y", ["i", "j", "k", "l"]), present("0.key"),
           present("0.value")]
whole = cache + [
    # what is seen of all places; what is seen up to the own one, by a mask of
    # indices; a sum of products
    node("Softmax", "scores", "all", axis=-1),
    node("Shape", "present.0.key", "shape"),
    node("Gather", "shape two", "total"),
    node("Range", "zero total one", "places"),
    node("Unsqueeze", "place last", "row"),
    node("LessOrEqual", "places row", "visible"),
    node("Where", "visible scores low", "masked"),
    node("Softmax", "masked", "some", axis=-1),
    node("MatMul", "all present.0.value", "y0"),
    node("MatMul", "some present.0.value", "y1"),
    node("MatMul", "scores present.0.value", "y2"),
    node("Shape", "y1", "shape1"),
    node("Expand", "y0 shape1", "z0"),
    node("Expand", "y2 shape1", "z2"),
    node("Concat", "z0 y1 z2", "y", axis=-1),
]
constants = {"q": q, "two": np.array(2), "zero": np.array(0),
             "one": np.array(1), "last": np.array([1]),
             "low": np.array(-3e38, np.float32)}
# Rows of y1 are those of `place`: q has one row, which is repeated.
save("grown", whole, inputs + [info("place", ["new"], T.INT64)], outputs,
     constants)
# Weights: one that kernels pack, one that is read as it lies.
random = np.random.default_rng(4)
save("weights", [
    node("MatMul", "x w", "h"), node("Add", "h u", "y"),
], [info("x", ["new", 32])], [info("y", ["new", 256])], {
    "w": random.integers(-3, 4, (32, 256)).astype(np.float32),
    "u": random.integers(-3, 4, (256,)).astype(np.float32)})
# The same, but that places are those behind the past, whose length the tracer
# asks of a Concat of it alone.
lengths = [n for n in whole if n.name not in ("shape", "total", "places")]
save("length", [
    node("Concat", "past_key_values.0.key", "alone", axis=-2),
    node("Shape", "alone", "shape"),
    node("Gather", "shape two", "length"),
    node("Shape", "k", "shape0"),
    node("Gather", "shape0 two", "count"),
    node("Range", "zero count one", "first"),
    node("Add", "first length", "place"),
    node("Add", "length count", "total"),
    node("Range", "zero total one", "places"),
] + lengths, inputs, outputs, constants)
# The same by operators that lay the past and what is new end to end themselves:
# a causal one over rows of heads, and one over heads side by side, with a mask.
wide = node("Expand", "q shape0", "rows")
own = [n for n in whole[2:] if n.name not in (
    "masked", "some", "y1", "row", "visible")]
causal = h.make_node(
    "Attention", ["rows", "k", "v", "", "past_key_values.0.key",
                  "past_key_values.0.value"],
    ["y1", "present.0.key", "present.0.value"], is_causal=1, scale=1.0)
own = [n for n in own if n.name not in ("total", "places", "shape")]
save("attention", [node("Shape", "k", "shape0"), wide, causal] + own,
     inputs, outputs, constants, 23)
flat = h.make_node(
    "Attention", ["rows3", "k3", "v3", "visible", "past_key_values.0.key",
                  "past_key_values.0.value"],
    ["y3", "present.0.key", "present.0.value"], q_num_heads=H, kv_num_heads=H,
    scale=1.0)
save("flat", [
    node("Shape", "k", "shape0"), wide,
    *[n for x in ("rows", "k", "v") for n in (
        node("Transpose", x, x + "_t", perm=[0, 2, 1, 3]),
        node("Reshape", f"{x}_t side", x + "3"))],
    node("Shape", "past_key_values.0.key", "shape"),
    node("Gather", "shape two", "length"),
    node("Gather", "shape0 two", "count"),
    node("Add", "length count", "total"),
    node("Range", "zero total one", "places"),
    node("Unsqueeze", "place last", "row"),
    node("LessOrEqual", "places row", "visible"),
    flat,
    node("Reshape", "y3 heads", "y4"),
    node("Transpose", "y4", "y1", perm=[0, 2, 1, 3]),
] + own, inputs + [info("place", ["new"], T.INT64)], outputs, dict(
    constants, side=np.array([0, 0, H * D]), heads=np.array([0, 0, H, D])), 23)
# What is there before the step.
save("before", cache + [node("ReduceSum", "past_key_values.0.value", "y")],
     inputs, outputs, constants)
# The last places of the cache.
save("window", cache + [
    node("Slice", "present.0.value from to axis", "tail"),
    node("ReduceSum", "tail axis", "y"),
], inputs, outputs, dict(constants, **{
    "from": np.array([-2]), "to": np.array([99]), "axis": np.array([2])}))
# What is largest of all places.
save("largest", cache + [node("ReduceMax", "present.0.value", "y", axes=[2])],
     inputs, outputs, constants)
# The past after what is new.
save("turned", [node("Concat", "k past_key_values.0.key", "present.0.key",
                     axis=2),
                node("Neg", "present.0.key", "y")],
     [inputs[0], inputs[2]], outputs[:2], {})


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    y = e / e.sum(-1, keepdims=True)
    assert np.isin(y, [0, 0.5, 1]).all()
    return y


def output(c, new):
    """y where the last `new` places of the caches are new."""
    scores = q @ c["k"].transpose(0, 1, 3, 2)
    filled = c["k"].shape[2]
    place = np.arange(filled - new, filled)
    seen = np.arange(filled) <= place[:, None]
    some = np.where(seen, scores, np.float32(-3e38))
    y0, y2 = softmax(scores) @ c["v"], scores @ c["v"]
    y1 = softmax(some) @ c["v"]
    y0, y2 = (np.broadcast_to(y, y1.shape) for y in (y0, y2))
    return np.concatenate([y0, y1, y2], -1)


def run(batch, new, steps, seed):
    random = np.random.default_rng(seed)
    files = {n: open(f"{base}/{n}{new}.npys", "wb") for n in "kvy"}
    c = {n: np.zeros((batch, H, 0, D), np.float32) for n in "kv"}
    for step in range(steps):
        for n in "kv":
            x = random.permutation(batch * H * new * D) + 1 + 100 * step
            x = x.reshape(batch, H, new, D).astype(np.float32)
            np.save(files[n], x)
            c[n] = np.concatenate([c[n], x], 2)
        np.save(files["y"], output(c, new))
    for n, name in (("k", "key"), ("v", "value")):
        full = np.zeros((batch, H, SIZE, D), np.float32)
        full[:, :, :c[n].shape[2]] = c[n]
        np.save(f"{base}/past_key_values.0.{name}{new}.npy", full)
    np.save(f"{base}/filled{new}.npy", np.array([new * steps]))


def several(records, sizes):
    """One sequence in records of these lengths, each taken up by programs of
    `sizes` places, the largest first: files *c.npys."""
    random = np.random.default_rng(3)
    files = {n: open(f"{base}/{n}c.npys", "wb") for n in "kvy"}
    c = {n: np.zeros((1, H, 0, D), np.float32) for n in "kv"}
    for at, length in enumerate(records):
        x = {}
        for n in "kv":
            x[n] = random.permutation(H * length * D) + 1 + 100 * at
            x[n] = x[n].reshape(1, H, length, D).astype(np.float32)
            np.save(files[n], x[n])
        parts = []
        while length:
            new = max(n for n in sizes if n <= length)
            for n in "kv":
                c[n] = np.concatenate([c[n], x[n][:, :, :new]], 2)
                x[n] = x[n][:, :, new:]
            parts.append(output(c, new))
            length -= new
        np.save(files["y"], np.concatenate(parts, 2))
    for n, name in (("k", "key"), ("v", "value")):
        full = np.zeros((1, H, SIZE, D), np.float32)
        full[:, :, :c[n].shape[2]] = c[n]
        np.save(f"{base}/past_key_values.0.{name}c.npy", full)


run(1, 1, 5, 1)
run(2, 2, 3, 2)
several([5, 1, 2], [2, 1])
for rows in 1, 3:
    np.save(f"{base}/x{rows}.npy",
            random.integers(-3, 4, (rows, 32)).astype(np.float32))
