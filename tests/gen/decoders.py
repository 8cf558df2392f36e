#!/usr/bin/env python3
"""Writes tests/data/decoders: language models of two layers, as exporters write
them, and what onnxruntime says after a prompt.

  python3 -P tests/gen/decoders.py tests/data/decoders

small.onnx has random weights of 4 bits; prompt.npys is what it is asked, and
tokens.npys what onnxruntime's loop answers (examples/decode.py).  The weights of
the others are external data that is nowhere: they are looked at, and not run.

  float     products of floats, GroupQueryAttention
  int4      MatMulNBits, GroupQueryAttention
  shared    likewise, of 2 heads of keys and values
  packed    likewise, queries, keys and values in one product
  half      f16, attention of plain operators, caches that grow by Concat
  moe       experts of floats (MoE); moe4: of 4 bits (QMoE)
"""
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

base = sys.argv[1]
MS = "com.microsoft"
B, S, P, A = "batch_size", "sequence_length", "past_sequence_length", \
    "total_sequence_length"
LAYERS, EXPERTS = 2, 8


class Model:
    def __init__(self, name, d, heads, kv, hidden, vocab, places, kind="",
                 real=False):
        self.name, self.d, self.heads, self.kv = name, d, heads, kv
        self.hidden, self.vocab, self.places = hidden, vocab, places
        self.bits = name in ("int4", "shared", "packed", "moe4", "small")
        self.half = name == "half"
        self.real, self.kind = real, kind
        self.head = d // heads
        self.type = T.FLOAT16 if self.half else T.FLOAT
        self.np = np.float16 if self.half else np.float32
        self.rng = np.random.default_rng(5)
        self.nodes, self.tensors = [], {}

    def const(self, name, x):
        self.tensors.setdefault(name, nh.from_array(np.asarray(x), name))
        return name

    def weight(self, name, shape, kind, make):
        if self.real:
            return self.const(name, make())
        t = T()
        t.name, t.data_type = name, kind
        t.dims.extend(shape)
        t.data_location = T.EXTERNAL
        for k, v in (("location", "nowhere.data"), ("offset", "0"),
                     ("length", str(np.prod(shape) * (
                         1 if kind == T.UINT8 else 2 if self.half else 4)))):
            e = t.external_data.add()
            e.key, e.value = k, v
        self.tensors[name] = t
        return name

    def node(self, op, inputs, outputs, domain="", **attributes):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(h.make_node(op, inputs, outputs, domain=domain,
                                      name=outputs[0], **attributes))
        return outputs[0]

    def floats(self, name, shape, size=1.0):
        return self.weight(name, shape, self.type, lambda: (
            self.rng.standard_normal(shape) * size).astype(self.np))

    def codes(self, name, shape):
        return self.weight(name, shape, T.UINT8, lambda: self.rng.integers(
            0, 256, shape, dtype=np.uint8))

    def scales(self, name, shape, k):
        return self.weight(name, shape, T.FLOAT, lambda: (
            (self.rng.random(shape) + 1) / 6 / k ** .5).astype(np.float32))

    def linear(self, x, k, n, name):
        if not self.bits:
            return self.node("MatMul", [x, self.floats(name + ".weight", [
                k, n], k ** -.5)], name + "/out")
        return self.node("MatMulNBits", [
            x, self.codes(name + ".weight", [n, k // 32, 16]),
            self.scales(name + ".scales", [n, k // 32], k)],
            name + "/out", MS, K=k, N=n, bits=4, block_size=32)

    # ---- attention of onnxruntime ----

    def begin_fused(self):
        one = self.const("one", np.array([1]))
        n = self.node("ReduceSum", ["attention_mask", one], "counted",
                      keepdims=0)
        n = self.node("Sub", [n, one], "last")
        self.node("Cast", [n], "seqlens", to=T.INT32)
        n = self.node("Shape", ["attention_mask"], "mask_shape")
        n = self.node("Gather", [n, self.const("i1", 1)], "all")
        self.node("Cast", [n], "total", to=T.INT32)
        angle = np.outer(np.arange(self.places), 1e4 ** (
            -np.arange(0, self.head, 2) / self.head))
        shape = list(angle.shape)
        for name, of in (("cosine", np.cos), ("sine", np.sin)):
            self.weight(name, shape, T.FLOAT,
                        lambda of=of: of(angle).astype(np.float32))

    def norm(self, x, res, name):
        w = self.weight(name + ".weight", [self.d], self.type,
                        lambda: np.ones(self.d, self.np))
        if res is None:
            return self.node("SimplifiedLayerNormalization", [x, w],
                             name + "/out", axis=-1, epsilon=1e-5), x
        out = [name + "/out", "", "", name + "/sum"]
        self.node("SkipSimplifiedLayerNormalization", [res, x, w], out, MS,
                  epsilon=1e-5)
        return out[0], out[3]

    def fused(self, x, p, i):
        qd, kd = self.heads * self.head, self.kv * self.head
        if self.kind == "packed":
            qkv = [self.linear(x, self.d, qd + 2 * kd, p + ".qkv_proj"), "", ""]
        else:
            qkv = [self.linear(x, self.d, n, f"{p}.{a}_proj")
                   for a, n in (("q", qd), ("k", kd), ("v", kd))]
        past = [f"past_key_values.{i}.{a}" for a in ("key", "value")]
        present = [f"present.{i}.{a}" for a in ("key", "value")]
        self.node("GroupQueryAttention", qkv + past + [
            "seqlens", "total", "cosine", "sine"], [p + "/out"] + present, MS,
            num_heads=self.heads, kv_num_heads=self.kv, do_rotary=1)
        return self.linear(p + "/out", qd, self.d, p + ".o_proj")

    # ---- attention of plain operators ----

    def begin_plain(self):
        one = self.const("one", np.array([1]))
        self.const("inv", 1e4 ** (-np.arange(0, self.head, 2, np.float32) /
                                  np.float32(self.head)).reshape(1, -1, 1))
        x = self.node("Unsqueeze", ["position_ids", one], "pos_row")
        x = self.node("Cast", [x], "pos", to=T.FLOAT)
        x = self.node("MatMul", ["inv", x], "turned")
        x = self.node("Transpose", [x], "angle", perm=[0, 2, 1])
        x = self.node("Concat", [x, x], "angles", axis=-1)
        for op in ("Cos", "Sin"):
            y = self.node(op, [x], op + "/f")
            y = self.node("Cast", [y], op + "/h", to=self.type)
            self.node("Unsqueeze", [y, one], op)
        n = self.node("Shape", ["attention_mask"], "mask_shape")
        n = self.node("Gather", [n, self.const("i1", 1)], "all")
        n = self.node("Range", [self.const("i0", 0), n, self.const("i1", 1)],
                      "places")
        q = self.node("Unsqueeze", ["position_ids", self.const(
            "two", np.array([2]))], "pos_column")
        n = self.node("LessOrEqual", [n, q], "before")
        m = self.node("Cast", ["attention_mask"], "there", to=T.BOOL)
        m = self.node("Unsqueeze", [m, one], "there_row")
        n = self.node("And", [n, m], "seen")
        n = self.node("Unsqueeze", [n, one], "seen4")
        self.node("Where", [n, self.const("zero", self.np(0)), self.const(
            "least", self.np(-65504))], "mask")

    def plain_norm(self, x, name):
        y = self.node("Cast", [x], name + "/f", to=T.FLOAT)
        z = self.node("Pow", [y, self.const("square", np.float32(2))],
                      name + "/square")
        z = self.node("ReduceMean", [z, self.const("m1", np.array([-1]))],
                      name + "/mean")
        z = self.node("Add", [z, self.const("eps", np.float32(1e-5))],
                      name + "/more")
        z = self.node("Sqrt", [z], name + "/root")
        z = self.node("Div", [y, z], name + "/scaled")
        z = self.node("Cast", [z], name + "/h", to=T.FLOAT16)
        w = self.weight(name + ".weight", [self.d], self.type,
                        lambda: np.ones(self.d, self.np))
        return self.node("Mul", [w, z], name + "/out")

    def turn(self, x):
        half = self.const("half", np.array([self.head // 2]))
        a = self.node("Slice", [x, self.const("from", np.array([0])), half,
                                self.const("ax3", np.array([3]))], x + "/a")
        b = self.node("Slice", [x, half, self.const(
            "end", np.array([2 ** 62])), "ax3"], x + "/b")
        b = self.node("Neg", [b], x + "/neg")
        y = self.node("Concat", [b, a], x + "/swapped", axis=-1)
        return self.node("Add", [self.node("Mul", [x, "Cos"], x + "/c"),
                                 self.node("Mul", [y, "Sin"], x + "/s")],
                         x + "/turned")

    def repeat(self, x, name):
        y = self.node("Unsqueeze", [x, self.const("two", np.array([2]))],
                      name + "/u")
        s = self.node("Shape", [x], name + "/shape")
        s = [self.node("Slice", [s, self.const(f"s{k}", np.array([k])),
                                 self.const(f"s{k + 1}", np.array([k + 1]))],
                       f"{name}/{k}") for k in range(4)]
        n = self.const("per", np.array([self.heads // self.kv]))
        all_heads = self.const("heads", np.array([self.heads]))
        to = self.node("Concat", [s[0], s[1], n, s[2], s[3]], name + "/to",
                       axis=0)
        y = self.node("Expand", [y, to], name + "/wide")
        to = self.node("Concat", [s[0], all_heads, s[2], s[3]], name + "/flat",
                       axis=0)
        return self.node("Reshape", [y, to], name)

    def plain(self, x, p, i):
        r = {}
        for a, n in (("q", self.heads), ("k", self.kv), ("v", self.kv)):
            y = self.linear(x, self.d, n * self.head, f"{p}.{a}_proj")
            y = self.node("Reshape", [y, self.const(
                f"to{n}", np.array([0, 0, n, self.head]))], f"{p}/{a}4")
            r[a] = self.node("Transpose", [y], f"{p}/{a}", perm=[0, 2, 1, 3])
        r["q"], r["k"] = self.turn(r["q"]), self.turn(r["k"])
        for a, b in (("k", "key"), ("v", "value")):
            y = self.node("Concat", [f"past_key_values.{i}.{b}", r[a]],
                          f"present.{i}.{b}", axis=2)
            r[a] = self.repeat(y, f"{p}/{b}s")
        k = self.node("Transpose", [r["k"]], p + "/kt", perm=[0, 1, 3, 2])
        y = self.node("MatMul", [r["q"], k], p + "/qk")
        y = self.node("Mul", [y, self.const("scale", self.np(
            self.head ** -.5))], p + "/scaled")
        y = self.node("Add", [y, "mask"], p + "/masked")
        y = self.node("Cast", [y], p + "/f", to=T.FLOAT)
        y = self.node("Softmax", [y], p + "/soft", axis=-1)
        y = self.node("Cast", [y], p + "/h", to=self.type)
        y = self.node("MatMul", [y, r["v"]], p + "/read")
        y = self.node("Transpose", [y], p + "/rows", perm=[0, 2, 1, 3])
        y = self.node("Reshape", [y, self.const("flat", np.array(
            [0, 0, self.d]))], p + "/out")
        return self.linear(y, self.d, self.d, p + ".o_proj")

    # ---- layers ----

    def experts(self, x, p):
        d, f, e = self.d, self.hidden, EXPERTS
        r = self.node("MatMul", [x, self.floats(p + ".gate.weight", [d, e])],
                      p + "/gates")
        r = self.node("Reshape", [r, self.const("by_expert", np.array(
            [-1, e]))], p + "/router")
        same = dict(k=2, normalize_routing_weights=1)
        if not self.bits:
            w = [self.floats(f"{p}.fc{k}", s) for k, s in
                 ((1, [e, f, d]), (2, [e, d, f]), (3, [e, f, d]))]
            return self.node("MoE", [x, r, w[0], "", w[1], "", w[2]],
                             p + "/out", MS, activation_type="silu", **same)
        w = []
        for k, rows, depth in ((1, 2 * f, d), (2, d, f)):
            w += [self.codes(f"{p}.fc{k}", [e, rows, depth // 2]),
                  self.scales(f"{p}.fc{k}.scales", [e, rows, depth // 32],
                              depth)]
        return self.node("QMoE", [x, r, w[0], w[1], "", w[2], w[3]],
                         p + "/out", MS, activation_type="swiglu",
                         expert_weight_bits=4, block_size=32, swiglu_fusion=1,
                         **same)

    def feed(self, x, p):
        if self.kind == "moe":
            return self.experts(x, p + ".moe")
        gate = self.linear(x, self.d, self.hidden, p + ".mlp.gate_proj")
        up = self.linear(x, self.d, self.hidden, p + ".mlp.up_proj")
        y = self.node("Sigmoid", [gate], p + "/sigmoid")
        y = self.node("Mul", [gate, y], p + "/silu")
        y = self.node("Mul", [y, up], p + "/gated")
        return self.linear(y, self.hidden, self.d, p + ".mlp.down_proj")

    def build(self):
        x = self.node("Gather", [self.floats(
            "embed_tokens.weight", [self.vocab, self.d]), "input_ids"], "embed")
        (self.begin_plain if self.half else self.begin_fused)()
        res = None
        for i in range(LAYERS):
            p = f"layers.{i}"
            if self.half:
                y = self.plain(self.plain_norm(x, p + ".norm1"),
                               p + ".self_attn", i)
                x = self.node("Add", [x, y], p + "/attended")
                y = self.feed(self.plain_norm(x, p + ".norm2"), p)
                x = self.node("Add", [x, y], p + "/out")
                continue
            y, res = self.norm(x, res, p + ".norm1")
            x = self.fused(y, p + ".self_attn", i)
            y, res = self.norm(x, res, p + ".norm2")
            x = self.feed(y, p)
        y = self.plain_norm(x, "norm") if self.half else \
            self.norm(x, res, "norm")[0]
        y = self.linear(y, self.d, self.vocab, "lm_head")
        self.node("Identity", [y], "logits")
        return self

    def save(self):
        def info(name, shape, kind=T.INT64):
            return h.make_tensor_value_info(name, kind, shape)
        inputs = [info("input_ids", [B, S]), info("attention_mask", [B, A])]
        inputs += [info("position_ids", [B, S])] if self.half else []
        outputs = [info("logits", [B, S, self.vocab], self.type)]
        for i in range(LAYERS):
            for a in ("key", "value"):
                shape = [B, self.kv, P, self.head]
                inputs.append(info(f"past_key_values.{i}.{a}", shape,
                                   self.type))
                shape = [B, self.kv, A, self.head]
                outputs.append(info(f"present.{i}.{a}", shape, self.type))
        graph = h.make_graph(self.nodes, self.name, inputs, outputs,
                             list(self.tensors.values()))
        model = h.make_model(graph, ir_version=10, opset_imports=[
            h.make_opsetid("", 18), h.make_opsetid(MS, 1)])
        onnx.save(model, f"{base}/{self.name}.onnx")


def large(name, kv=4, kind=""):
    Model(name, 1024, 16, kv, 2816, 32000, 4096, kind).build().save()


large("float")
large("int4")
large("shared", kv=2)
large("packed", kind="packed")
large("half")
large("moe", kind="moe")
large("moe4", kind="moe")
Model("small", 64, 4, 4, 64, 256, 64, real=True).build().save()
ids = np.array([[(i * i * 7 + 11 * i + 7) % 251 for i in range(20)]])
np.save(open(f"{base}/prompt.npys", "wb"), ids)
subprocess.run([sys.executable, "examples/decode.py", f"{base}/small.onnx",
                f"{base}/prompt.npys", "8", f"{base}/tokens.npys"], check=True)
