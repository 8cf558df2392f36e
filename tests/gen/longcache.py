#!/usr/bin/env python3
"""Writes tests/data/longcache: decoders of two layers whose caches have 32,768
places, in the forms that exporters give them.  All have one file of weights.

  python3 -P tests/gen/longcache.py tests/data/longcache

  gqa        com.microsoft.GroupQueryAttention, which writes its cache
  attention  TensorScatter, and Attention told how many places count
  mha        ScatterND, and com.microsoft.MultiHeadAttention with a padding mask
  scattered  ScatterND, then MatMul, Where, Softmax, MatMul
  written    TensorScatter, then the same
  grown      Concat, then MatMul, Softmax, MatMul
  layer      attention of 32 heads of 128 over 8 heads of keys, and no weights
  layer_mha  the same of 32 heads of keys, by com.microsoft.MultiHeadAttention
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh
from onnx.external_data_helper import set_external_data

base = sys.argv[1]
LAYERS, VOCAB, MODEL, HEADS, KV, HEAD, PLACES = 2, 48, 32, 4, 2, 8, 32768
WIDTHS = {"q": MODEL, "k": KV * HEAD, "v": KV * HEAD, "o": MODEL, "f": MODEL}

random = np.random.default_rng(10)
weights = {"table": random.normal(size=(VOCAB, MODEL))}
for layer in range(LAYERS):
    for name, width in WIDTHS.items():
        weights[f"{layer}.{name}"] = random.normal(size=(MODEL, width)) / 3
weights = {n: np.round(w * 64).astype(np.float32) / 64
           for n, w in weights.items()}
places = {}
with open(f"{base}/weights.data", "wb") as f:
    for n, w in weights.items():
        places[n] = f.tell(), w.nbytes
        f.write(w.tobytes())


def stored(name):
    t = nh.from_array(weights[name], name)
    offset, length = places[name]
    set_external_data(t, "weights.data", offset, length)
    t.ClearField("raw_data")
    t.data_location = T.EXTERNAL
    return t


class Model:
    def __init__(self, kv=KV, rows=PLACES):
        self.kv, self.rows = kv, rows
        self.nodes, self.inputs, self.outputs, self.constants = [], [], [], {}

    def add(self, op, inputs, output=None, domain="", **attributes):
        output = output or f"n{len(self.nodes)}"
        outputs = output.split()
        self.nodes.append(h.make_node(op, inputs.split(" "), outputs,
                                      name=outputs[0], domain=domain,
                                      **attributes))
        return outputs[0]

    def constant(self, name, value, kind=np.int64):
        self.constants[name] = np.array(value, kind)
        return name

    def save(self, name):
        graph = h.make_graph(
            self.nodes, name, self.inputs, self.outputs,
            [stored(n) for n in weights] +
            [nh.from_array(a, n) for n, a in self.constants.items()])
        write(graph, name)

    def cache(self, layer):
        """Inputs and outputs of a layer: [1, kv, places, head]."""
        at = f"{layer}."
        for kind in ("key", "value"):
            for list_, what, rows in (
                    (self.inputs, "past_key_values", self.rows),
                    (self.outputs, "present",
                     "total" if self.rows == "past" else self.rows)):
                list_.append(h.make_tensor_value_info(
                    f"{what}.{at}{kind}", T.FLOAT, [1, self.kv, rows, HEAD]))
        return f"past_key_values.{at}", f"present.{at}"

    def heads(self, x, count):
        """[1, 1, count * head] as [1, count, 1, head]."""
        shape = self.constant(f"by{count}", [1, 1, count, HEAD])
        return self.add("Transpose", self.add("Reshape", f"{x} {shape}"),
                        perm=[0, 2, 1, 3])

    def flat(self, y):
        turned = self.add("Transpose", y, perm=[0, 2, 1, 3])
        return self.add("Reshape",
                        f"{turned} {self.constant('flat', [1, 1, MODEL])}")


def gqa(m, past, present, q, k, v):
    last = m.add("Cast", "position", to=T.INT32)
    m.constant("total", PLACES, np.int32)
    return m.add("GroupQueryAttention",
                 f"{q} {k} {v} {past}key {past}value {last} total",
                 f"{present}output {present}key {present}value",
                 "com.microsoft", num_heads=HEADS, kv_num_heads=KV)


def written(m, past, present, k, v):
    for kind, x in (("key", k), ("value", v)):
        m.add("TensorScatter", f"{past}{kind} {m.heads(x, KV)} position",
              f"{present}{kind}", axis=2)


def scattered(m, past, present, k, v, count=KV):
    """As [places, 1, heads, head], of which a row is written."""
    row = m.add("Unsqueeze", f"position {m.constant('end', [1])}")
    for kind, x in (("key", k), ("value", v)):
        rows = m.add("Transpose", past + kind, perm=[2, 0, 1, 3])
        new = m.add("Transpose", m.heads(x, count), perm=[2, 0, 1, 3])
        put = m.add("ScatterND", f"{rows} {row} {new}")
        m.add("Transpose", put, present + kind, perm=[1, 2, 0, 3])


def attention(m, past, present, q, k, v):
    written(m, past, present, k, v)
    count = m.add("Add", f"position {m.constant('end', [1])}")
    return m.flat(m.add(
        "Attention",
        f"{m.heads(q, HEADS)} {present}key {present}value    {count}"))


def mha(m, past, present, q, k, v):
    """Of as many heads of keys, the halves of the queries' own."""
    scattered(m, past, present, k, v, HEADS)
    count = m.add("Add", f"position {m.constant('end', [1])}")
    return m.add("MultiHeadAttention",
                 f"{q} {present}key {present}value  "
                 f"{m.add('Cast', count, to=T.INT32)}",
                 domain="com.microsoft", num_heads=HEADS)


def products(m, present, q, seen):
    """Softmax of products, for groups of heads that share keys."""
    by = m.constant("groups", [1, KV, HEADS // KV, HEAD])
    rows = m.add("Reshape", f"{q} {by}")
    keys = m.add("Transpose", f"{present}key", perm=[0, 1, 3, 2])
    scores = m.add("MatMul", f"{rows} {keys}")
    if seen:
        scores = m.add("Where", f"{seen} {scores} "
                       + m.constant("never", -np.inf, np.float32))
    y = m.add("MatMul", f"{m.add('Softmax', scores)} {present}value")
    return m.add("Reshape", f"{y} {m.constant('flat', [1, 1, MODEL])}")


def seen(m):
    m.constant("none", 0)
    m.constant("all", PLACES)
    m.constant("one", 1)
    places = m.add("Range", "none all one")
    return m.add("LessOrEqual", f"{places} position")


def plain(write):
    def form(m, past, present, q, k, v):
        write(m, past, present, k, v)
        return products(m, present, q, seen(m))
    return form


def grown(m, past, present, q, k, v):
    for kind, x in (("key", k), ("value", v)):
        m.add("Concat", f"{past}{kind} {m.heads(x, KV)}",
              f"{present}{kind}", axis=2)
    return products(m, present, q, None)


def write(graph, name):
    model = h.make_model(graph, opset_imports=[
        h.make_opsetid("", 24), h.make_opsetid("com.microsoft", 1)])
    model.ir_version = 10
    onnx.save(model, f"{base}/{name}.onnx")


def decoder(name, form):
    m = Model(HEADS if form is mha else KV,
              "past" if form is grown else PLACES)
    m.inputs.append(h.make_tensor_value_info("ids", T.INT64, [1, 1]))
    if form is not grown:
        m.inputs.append(h.make_tensor_value_info("position", T.INT64, [1]))
    m.outputs.append(
        h.make_tensor_value_info("logits", T.FLOAT, [1, 1, VOCAB]))
    x = m.add("Gather", "table ids")
    for layer in range(LAYERS):
        past, present = m.cache(layer)
        q, k, v = (m.add("MatMul", f"{x} {layer}.{n}") for n in "qkv")
        if form is mha:
            k, v = (m.add("Concat", f"{n} {n}", axis=-1) for n in (k, v))
        o = m.add("MatMul", f"{form(m, past, present, q, k, v)} {layer}.o")
        x = m.add("Add", f"{x} {o}")
        f = m.add("Tanh", m.add("MatMul", f"{x} {layer}.f"))
        x = m.add("Add", f"{x} {f}")
    m.add("MatMul", f"{x} {m.add('Transpose', 'table', perm=[1, 0])}",
          "logits")
    m.save(name)


def layer(name, op, kv, rows, behind):
    """One node over 32 heads of 128; there are no weights.  `behind`: operands
    after the caches, whose places are rows[0], then rows[1]."""
    cache = {"past_key_values": rows[0], "present": rows[1]}
    sizes = {"q": [1, 1, 4096], "k": [1, 1, kv * 128], "v": [1, 1, kv * 128],
             "y": [1, 1, 4096]}
    for what, n in cache.items():
        for kind in ("key", "value"):
            sizes[f"{what}.0.{kind}"] = [1, kv, n, 128]
    values = {n: h.make_tensor_value_info(n, T.FLOAT, d)
              for n, d in sizes.items()}
    attributes = {"num_heads": 32}
    constants = []
    if kv < 32:
        attributes["kv_num_heads"] = kv
        constants = [nh.from_array(np.array([rows[1] - 1], np.int32), "last"),
                     nh.from_array(np.array(rows[1], np.int32), "total")]
    past, present = ([n for n in sizes if n.startswith(w)] for w in cache)
    node = h.make_node(op, ["q", "k", "v"] + behind[0] + past + behind[1],
                       ["y"] + present, name="layer", domain="com.microsoft",
                       **attributes)
    write(h.make_graph([node], name,
                       [values[n] for n in ["q", "k", "v"] + past],
                       [values[n] for n in ["y"] + present], constants), name)


for name, form in (("gqa", gqa), ("attention", attention), ("mha", mha),
                   ("scattered", plain(scattered)),
                   ("written", plain(written)), ("grown", grown)):
    decoder(name, form)
layer("layer", "GroupQueryAttention", 8, (PLACES, PLACES),
      ([], ["last", "total"]))
layer("layer_mha", "MultiHeadAttention", 32, (PLACES - 1, PLACES),
      (["", "", ""], []))
