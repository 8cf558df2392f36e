#!/usr/bin/env python3
"""Writes tests/data/cases/microsoft: small models of operators of
com.microsoft with the outputs of ONNX Runtime, as ONNX's backend tests lie.

  ms_attention.py [FOLDER]

Needs onnx, onnxruntime and numpy.  Cases are the same whenever they are
written, but for what ONNX Runtime computes.
"""
import os
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16,
         "int32": TensorProto.INT32, "int64": TensorProto.INT64,
         "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


class Case:
    def __init__(self, name, op, seed):
        self.name, self.op = name, op
        self.random = np.random.default_rng(seed)
        self.names, self.values, self.fixed = [], {}, set()
        self.types = {}  # of results that are of another type than the rest

    def add(self, name, value=None, fixed=False):
        """The next operand; None: left out."""
        self.names.append(name if value is not None else "")
        if value is not None:
            self.values[name] = value
        if fixed:
            self.fixed.add(name)

    def floats(self, name, *shape, type="float32"):
        self.add(name, self.random.normal(size=shape).astype(type))

    def model(self, outputs, type, attributes):
        inputs = [n for n in self.values if n not in self.fixed]
        while self.names and not self.names[-1]:
            self.names.pop()
        node = helper.make_node(self.op, self.names, outputs, self.name,
                                domain="com.microsoft", **attributes)
        info = [helper.make_tensor_value_info(
            n, TYPES[self.values[n].dtype.name], self.values[n].shape)
            for n in inputs]
        results = [helper.make_tensor_value_info(
            n, TYPES[self.types.get(n, type)], None) for n in outputs]
        graph = helper.make_graph(
            [node], self.name, info, results,
            [numpy_helper.from_array(self.values[n], n) for n in self.fixed])
        model = helper.make_model(
            graph, producer_name="", ir_version=8,
            opset_imports=[helper.make_opsetid("", 17),
                           helper.make_opsetid("com.microsoft", 1)])
        return model, results, inputs

    def compute(self, outputs, type, attributes):
        """What ONNX Runtime makes of it."""
        model, _, inputs = self.model(outputs, type, attributes)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options,
            providers=["CPUExecutionProvider"])
        return session.run(None, {n: self.values[n] for n in inputs})

    def write(self, folder, outputs, type="float32", like=None, **attributes):
        """like: a case that has the same results."""
        model, results, inputs = self.model(outputs, type, attributes)
        got = (like or self).compute(outputs, type, attributes)
        where = os.path.join(folder, "microsoft", self.name)
        data = os.path.join(where, "test_data_set_0")
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(data)
        for r, y in zip(results, got):  # results have shapes
            r.CopyFrom(helper.make_tensor_value_info(
                r.name, TYPES[y.dtype.name], y.shape))
        model.graph.ClearField("output")
        model.graph.output.extend(results)
        onnx.save(model, os.path.join(where, "model.onnx"))
        for kind, all in ("input", [self.values[n] for n in inputs]), \
                ("output", got):
            for i, x in enumerate(all):
                with open(f"{data}/{kind}_{i}.pb", "wb") as f:
                    f.write(numpy_helper.from_array(x).SerializeToString())


def angles(case, rows, n, type="float32"):
    a = np.outer(np.arange(rows), 0.7 ** np.arange(n))
    case.add("cos", np.cos(a).astype(type))
    case.add("sin", np.sin(a).astype(type))


def rotary(folder):
    for name, shape, ids, attributes in (
            ("flat", (2, 3, 32), "each", {}),
            ("heads", (2, 4, 3, 8), "each", {}),
            ("base", (2, 3, 32), "base", {"scale": 1.0}),
            ("interleaved", (2, 3, 32), "each", {"interleaved": 1}),
            ("partial", (2, 3, 48), "each",
             {"num_heads": 4, "rotary_embedding_dim": 8})):
        c = Case("rotary_" + name, "RotaryEmbedding", 1)
        c.floats("x", *shape)
        c.add("ids", np.array([4], np.int64) if ids == "base" else
              c.random.integers(0, 10, (2, 3)))
        angles(c, 10, 4)
        c.write(folder, ["y"], **attributes)


def multi_head(folder):
    def case(name, outputs=("y",), q=4, k=5, h=3, d=4, dv=4, bias=False,
             pad=None, scores=None, past=0, form="flat", **attributes):
        c = Case("mha_" + name, "MultiHeadAttention", 2)
        b, like = 2, None
        if form in ("packed", "pair"):
            k = q if form == "packed" else k
            like = Case("", "MultiHeadAttention", 2)
            like.floats("q", b, q, h * d)
            like.floats("k", b, k, h * d)
            like.floats("v", b, k, h * d)
            each = [x.reshape(b, -1, h, d) for x in like.values.values()]
            if form == "packed":
                c.add("q", np.stack(each, 3))
                c.add("k")
            else:
                c.add("q", like.values["q"])
                c.add("k", np.stack(each[1:], 3))
            c.add("v")
        elif form == "cache":
            c.floats("q", b, q, h * d)
            c.floats("k", b, h, k, d)
            c.floats("v", b, h, k, dv)
        else:
            c.floats("q", b, q, h * d)
            c.floats("k", b, k, h * d)
            c.floats("v", b, k, h * dv)
        if bias:
            c.floats("bias", h * (2 * d + dv))
        else:
            c.add("bias")
        all = past + k
        if pad == "lengths":
            c.add("pad", np.array([2, k], np.int32))
        elif pad == "keys":
            c.add("pad", c.random.integers(0, 2, (b, all)).astype(np.int32))
        elif pad == "all":
            c.add("pad", c.random.integers(0, 2, (b, q, all)).astype(np.int32))
        else:
            c.add("pad")
        if scores:
            c.floats("scores", *scores, q, all)
        else:
            c.add("scores")
        if past:
            c.floats("pk", b, h, past, d)
            c.floats("pv", b, h, past, dv)
        c.write(folder, list(outputs), like=like, num_heads=h, **attributes)

    case("plain")
    case("values", dv=6)
    case("scaled", scale=0.3)
    case("bias", bias=True)
    case("causal", q=5, unidirectional=1)
    case("lengths", pad="lengths")
    case("keys", pad="keys")
    case("all_padding", pad="all", mask_filter_value=-7.0)
    case("scores", scores=(1, 3))
    case("scores_one", scores=(2, 1), pad="keys")
    case("past", ("y", "ck", "cv"), k=2, q=2, past=3)
    case("past_bias", ("y", "ck", "cv"), k=2, q=2, past=3, bias=True,
         unidirectional=1)
    case("packed", form="packed")
    case("pair", form="pair")
    case("cache", form="cache")


def grouped(folder):
    def case(name, b=2, s=1, h=4, kv=2, d=8, past=0, lengths=None, total=None,
             packed=False, rotary=0, ids=False, scores=None, sink=False,
             bits=0, each=False, qk=0, type="float32", **attributes):
        d = max(d, 2 * rotary)
        c = Case("gqa_" + name, "GroupQueryAttention", 3)
        codes = {4: "uint8", 8: "int8"}.get(bits)
        width = d // 2 if bits == 4 else d
        if packed:
            c.floats("q", b, s, (h + 2 * kv) * d, type=type)
            c.add("k")
            c.add("v")
        else:
            c.floats("q", b, s, h * d, type=type)
            c.floats("k", b, s, kv * d, type=type)
            c.floats("v", b, s, kv * d, type=type)
        for n in ("pk", "pv") if past else ():
            if bits:
                c.add(n, c.random.integers(
                    0, 256, (b, kv, past, width)).astype("uint8").view(codes))
            else:
                c.floats(n, b, kv, past, d, type=type)
        if not past:
            c.add("pk")
            c.add("pv")
        total = total or past + s
        lengths = lengths or [total] * b
        c.add("lengths", np.array(lengths, np.int32) - 1)
        c.add("total", np.array([total], np.int32), True)
        if rotary:
            angles(c, 16, rotary, type)
        else:
            c.add("cos")
            c.add("sin")
        place = np.array(lengths)[:, None] - s + np.arange(s)
        c.add("ids", place.astype(np.int64) if ids else None)
        if scores:
            c.floats("scores", *scores, s, total)
        else:
            c.add("scores")
        if sink:
            c.floats("sink", h, type=type)
        else:
            c.add("sink")
        if bits:
            kind = "PER_CHANNEL" if each else "PER_TENSOR"
            attributes.update(k_quant_type=kind, v_quant_type=kind,
                              kv_cache_bit_width=bits)
            c.types = {"ck": codes, "cv": codes}
            for n in ("k_scale", "v_scale"):
                scale = c.random.uniform(1, 2, (1, kv, 1, d) if each else (1,))
                c.add(n, (scale / (4 if bits == 4 else 64)).astype("float32"))
        if qk:
            attributes.update(qk_output=qk)
        c.write(folder, ["y", "ck", "cv"] + ["qk"] * bool(qk), type, None,
                num_heads=h, kv_num_heads=kv, do_rotary=int(bool(rotary)),
                **attributes)

    case("prompt", s=5)
    case("prompt_rotary", s=5, rotary=8)
    case("prompt_window", s=6, local_window_size=2)
    case("prompt_half", s=4, rotary=8, type="float16")
    case("step", past=4)
    case("step_ragged", past=4, total=4, lengths=[2, 4], rotary=8)
    case("step_packed", past=4, packed=True, rotary=8, rotary_interleaved=1)
    case("step_partial", past=4, d=32, rotary=8)
    case("step_ids", past=4, rotary=8, ids=True)
    case("step_window", past=7, local_window_size=4)
    case("step_cap", past=4, softcap=1.5, scale=0.7)
    case("step_smooth", past=4, smooth_softmax=1)
    case("step_sink", past=4, sink=True)
    case("step_scores", past=4, scores=(1, 4))
    case("one_head", past=4, kv=1)
    case("chunk", b=1, s=3, past=4)
    case("both", s=5, causal=0)
    case("codes", past=4, bits=8)
    case("codes_each", past=4, bits=8, each=True, rotary=8)
    case("codes_ragged", past=6, total=6, lengths=[3, 5], bits=8)
    case("codes_prompt", b=1, s=5, past=8, total=8, lengths=[5], bits=8,
         each=True)
    case("codes_half", past=4, bits=8, type="float16")
    case("nibbles", past=4, bits=4)
    case("nibbles_each", b=1, s=2, past=4, bits=4, each=True, packed=True)
    case("qk_before", b=1, s=3, past=4, qk=1)
    case("qk_capped", b=1, s=3, past=4, qk=1, softcap=1.5, local_window_size=3)
    case("qk_scores", b=1, s=2, past=4, qk=1, scores=(1, 4))
    case("qk_after", b=1, s=3, past=4, qk=2)
    case("qk_sink", b=1, s=2, past=4, qk=2, sink=True)
    case("qk_smooth", past=4, qk=2, smooth_softmax=1)
    case("qk_room", past=6, total=5, lengths=[3, 5], qk=2)
    case("qk_codes", past=4, bits=8, qk=2)


def experts(folder):
    def case(name, act="relu", n=5, e=4, h=6, inner=5, k=2, bias=True,
             third=False, fold=1, type="float32", **attributes):
        c = Case("moe_" + name, "MoE", 4)
        c.floats("x", *(n if isinstance(n, tuple) else (n,)), h, type=type)
        c.floats("router", np.prod(n), e, type=type)
        for i, (rows, cols) in enumerate(((fold * inner, h), (h, inner),
                                          (inner, h)), 1):
            if i == 3 and not third:
                break
            c.floats(f"w{i}", e, rows, cols, type=type)
            if bias:
                c.floats(f"b{i}", e, rows, type=type)
            else:
                c.add(f"b{i}")
        c.write(folder, ["y"], type, k=k, activation_type=act, **attributes)

    case("relu")
    case("one", k=1, bias=False, act="identity")
    case("normalized", act="silu", normalize_routing_weights=1, n=(2, 3))
    case("gelu", act="gelu", inner=8)
    case("swiglu", act="swiglu", fold=2, swiglu_fusion=1, h=8, inner=8,
         activation_alpha=1.702, activation_beta=1.0, swiglu_limit=0.7,
         normalize_routing_weights=1)
    case("half", act="silu", type="float16")


def main():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                       "data", "cases")
    folder = sys.argv[1] if len(sys.argv) > 1 else top
    rotary(folder)
    multi_head(folder)
    grouped(folder)
    experts(folder)


if __name__ == "__main__":
    main()
