#!/usr/bin/env python3
"""Writes tests/data/steps: models of whole numbers, records of their inputs
for a few steps, and of their outputs as NumPy computes them.

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


# ---- state: three caches, one written at a place, one whole, one read late ---

T_CACHE, H, D = 16, 4, 2
caches = [f"{i}.{what}" for i in (0, 1) for what in ("key", "value")]
shape = [1, H, T_CACHE, D]
nodes = [
    h.make_node("TensorScatter",
                ["past_key_values.0.key", "k", "place"], ["present.0.key"],
                name="write", axis=2),
    h.make_node("Add", ["past_key_values.0.value", "k"], ["present.0.value"],
                name="add"),
    # Its past is read after its present is made.
    h.make_node("Mul", ["past_key_values.1.key", "two"], ["twice"]),
    h.make_node("Sub", ["twice", "k"], ["present.1.key"], name="sub"),
    h.make_node("Add", ["present.1.key", "past_key_values.1.key"], ["late"]),
    # One cache becomes the other.
    h.make_node("Identity", ["past_key_values.0.value"], ["present.1.value"]),
    h.make_node("ReduceSum", ["present.0.key", "axes"], ["a"]),
    h.make_node("ReduceSum", ["late", "axes"], ["b"]),
    h.make_node("ReduceSum", ["past_key_values.1.value", "axes"], ["c"]),
    h.make_node("Sum", ["a", "b", "c"], ["y"]),
]
graph = h.make_graph(
    nodes, "state",
    [info("k", [1, H, 1, D]), info("place", [1], T.INT64)] +
    [info(f"past_key_values.{c}", shape) for c in caches],
    [info("y", [1, H, 1, 1])] + [info(f"present.{c}", shape) for c in caches],
    [numpy_helper.from_array(np.float32(2), "two"),
     numpy_helper.from_array(np.array([2, 3]), "axes")])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 24)])
model.ir_version = 11
onnx.save(model, f"{base}/state.onnx")

past = {c: np.zeros(shape, np.float32) for c in caches}
with open(f"{base}/k.npys", "wb") as fk, open(f"{base}/sums.npys", "wb") as fy:
    for k in range(STEPS):
        new = random.integers(-3, 4, (1, H, 1, D)).astype(np.float32)
        now = {
            "0.key": past["0.key"].copy(),
            "0.value": past["0.value"] + new,
            "1.key": 2 * past["1.key"] - new,
            "1.value": past["0.value"],
        }
        now["0.key"][:, :, k + 3:k + 4] = new
        y = now["0.key"] + now["1.key"] + past["1.key"] + past["1.value"]
        np.save(fk, new)
        np.save(fy, y.sum((2, 3), keepdims=True, dtype=np.float32))
        past = now
for c in caches:
    np.save(f"{base}/past_key_values.{c}.npy", past[c])

# ---- tokens: what comes next depends on the last one and its place ----------

V, N = 11, 9
table = random.integers(-50, 50, (V, V)).astype(np.float32)
places = random.integers(-50, 50, (N, V)).astype(np.float32)
nodes = [
    h.make_node("Gather", ["table", "input_ids"], ["t"]),
    h.make_node("Gather", ["places", "position_ids"], ["p"]),
    h.make_node("Add", ["t", "p"], ["logits"]),
    h.make_node("ArgMax", ["logits"], ["next"], axis=-1, keepdims=0),
]
graph = h.make_graph(
    nodes, "tokens",
    [info("input_ids", [1, 1], T.INT64), info("position_ids", [1, 1], T.INT64)],
    [info("logits", [1, 1, V]), info("next", [1, 1], T.INT64)],
    [numpy_helper.from_array(table, "table"),
     numpy_helper.from_array(places, "places")])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)])
model.ir_version = 10
onnx.checker.check_model(model)
onnx.save(model, f"{base}/tokens.onnx")
token = prompt = [7, 2, 9]
with open(f"{base}/prompt.npys", "wb") as fp, \
        open(f"{base}/next.npys", "wb") as fn:
    for k in range(N):
        token = prompt[k] if k < len(prompt) else token
        if k < len(prompt):
            np.save(fp, np.array([[token]]))
        token = int(np.argmax(table[token] + places[k]))
        np.save(fn, np.array([[token]]))

# ---- beams: what comes next depends on all that a hypothesis has seen --------

B, K, C = 2, 3, 30  # sequences, hypotheses, places
STOP, PENALTY, STEPS = 9, 0.6, 8
table = random.integers(-12, 13, (V, V)).astype(np.float32) / 8
places = random.integers(-12, 13, (C // K, V)).astype(np.float32) / 8
slope = random.integers(-3, 4, V).astype(np.float32) / 32
nodes = [
    h.make_node("Gather", ["table", "input_ids"], ["t"]),
    h.make_node("Gather", ["places", "position_ids"], ["p"]),
    h.make_node("Cast", ["input_ids"], ["new"], to=T.FLOAT),
    h.make_node("Expand", ["place", "two"], ["write"]),
    h.make_node("TensorScatter", ["past", "new", "write"], ["present"],
                axis=1),
    h.make_node("Cast", ["mask"], ["seen"], to=T.FLOAT),
    h.make_node("Unsqueeze", ["present", "last"], ["column"]),
    h.make_node("MatMul", ["seen", "column"], ["sum"]),
    h.make_node("Mul", ["sum", "slope"], ["s"]),
    h.make_node("Sum", ["t", "p", "s"], ["logits"]),
]
graph = h.make_graph(
    nodes, "beams",
    [info("input_ids", [B, K], T.INT64), info("position_ids", [B, K], T.INT64),
     info("place", [1], T.INT64), info("mask", [B, K, C], T.BOOL),
     info("past", [B, C])],
    [info("logits", [B, K, V]), info("present", [B, C])],
    [numpy_helper.from_array(table, "table"),
     numpy_helper.from_array(places, "places"),
     numpy_helper.from_array(slope, "slope"),
     numpy_helper.from_array(np.array([B]), "two"),
     numpy_helper.from_array(np.array([-1]), "last")])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 24)])
model.ir_version = 11
onnx.save(model, f"{base}/beams.onnx")


def log_softmax(x):
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


def search(prompt):
    """The K best continuations of a prompt, as lists of tokens."""
    norm = lambda score, n: score / ((5 + n) / 6) ** PENALTY
    alive, ended = [(0.0, [])], []
    for _ in range(STEPS - len(prompt) + 1):
        if len(ended) == K:
            break
        follow = []
        for score, tokens in alive:
            seen = prompt + tokens
            logits = (table[seen[-1]] + places[len(seen) - 1] +
                      slope * np.float32(sum(seen)))
            follow += [(score + p, tokens + [t])
                       for t, p in enumerate(log_softmax(logits.astype(float)))]
        follow.sort(key=lambda x: -x[0])
        alive = []
        for score, tokens in follow:
            if len(alive) == K:
                break
            if tokens[-1] == STOP:
                ended.append((norm(score, len(tokens)), tokens))
                ended = sorted(ended, key=lambda x: -x[0])[:K]
            else:
                alive.append((score, tokens))
    if len(ended) < K:
        ended += [(norm(s, len(t)), t) for s, t in alive]
    return [t for _, t in sorted(ended, key=lambda x: -x[0])[:K]]


prompt = [[7, 1, 9], [2, 5, 3]]
with open(f"{base}/beam_prompt.npys", "wb") as f:
    for tokens in zip(*prompt):
        np.save(f, np.repeat(np.array(tokens)[:, None], K, 1))
with open(f"{base}/beams.npys", "wb") as f:
    for p in prompt:
        found = search(p)
        for tokens in found:
            np.save(f, np.array(tokens))

# ---- training information: y = w, which becomes w + x ------------------------

nodes = [h.make_node("Add", ["w", "x"], ["better"]),
         h.make_node("Identity", ["w"], ["y"])]
graph = h.make_graph(nodes, "training", [info("w", [4]), info("x", [4])],
                     [info("y", [4]), info("better", [4])])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)])
model.ir_version = 10
binding = model.training_info.add().update_binding.add()
binding.key, binding.value = "w", "better"
onnx.save(model, f"{base}/training.onnx")
