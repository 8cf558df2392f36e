#!/usr/bin/env python3
"""Time of one step of language models on one thread: gshard-run against ONNX
Runtime.

    llm.py GSHARD-RUN [-r ROUNDS] [-l LAYERS] [NAME...]

Method.  Each case is a decoder that this script makes (random weights; d 1024,
16 heads of which 4 have keys and values, 2816 hidden, 32000 tokens, a cache of
32) in one of the forms that language models come in.  A step has 1 to 32 rows,
or 128 (a prompt).  Both sides run in fresh processes that alternate ROUNDS
times, on one thread; what counts is CPU time (user and system) of a step, which
other load on the machine changes least: for gshard-run the difference between
two processes that make different numbers of steps.  A ratio is ONNX Runtime's
time by gshard's of one round, above 1 where gshard is faster; median, least and
most are printed, with the bytes of weights that a step of one row reads each
second and how fast memory is read here.  `off` is the largest difference
between the logits, relative to the largest logit.

Needs onnx, onnxruntime and numpy.  Names select cases: int4 (accuracy_level
4), int4-f32 (accuracy_level 0), f32, f16, moe, qdq; NAME:ROWS one row of it."""
import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto as T, helper, numpy_helper

D, HEADS, KV, HIDDEN, TOKENS, PAST = 1024, 16, 4, 2816, 32000, 32
HD, EXPERTS = D // HEADS, 8
MS = "com.microsoft"
ROWS = (1, 2, 4, 8, 16, 32, 128)
CASES = ("int4", "int4-f32", "f32", "f16", "moe", "qdq")
rng = np.random.default_rng(0)


class Decoder:
    """Nodes and weights of one form; `read` counts the bytes of weights that a
    step of one row reads."""

    def __init__(self, form, layers):
        self.form, self.nodes, self.weights, self.read = form, [], [], 0
        self.type = T.FLOAT16 if form == "f16" else T.FLOAT
        self.real = np.float16 if form == "f16" else np.float32
        kv = ["batch", KV, "past", HD], ["batch", KV, "total", HD]
        self.inputs = [("ids", T.INT64, ["batch", "rows"]),
                       ("mask", T.INT64, ["batch", "total"])]
        self.outputs = [("logits", self.type, ["batch", "rows", TOKENS])]
        for i in range(layers):
            for name in "kv":
                self.inputs.append((f"past.{i}.{name}", self.type, kv[0]))
                self.outputs.append((f"present.{i}.{name}", self.type, kv[1]))
        self.build(layers)

    def const(self, name, a):
        self.weights.append(numpy_helper.from_array(a, name))
        return name

    def weight(self, name, a):
        self.read += a.nbytes
        return self.const(name, a)

    def node(self, op, inputs, *outputs, domain="", **attrs):
        self.nodes.append(helper.make_node(op, inputs, list(outputs),
                                           domain=domain, **attrs))
        return outputs[0]

    def matrix(self, *shape):
        a = rng.standard_normal(shape, dtype=np.float32)
        return (a / np.sqrt(shape[-2])).astype(self.real)

    def scales(self, *shape):
        k = shape[-1] * 32
        return (rng.random(shape, dtype=np.float32) * .1 + .1) / np.float32(
            np.sqrt(k))

    def codes(self, *shape):
        return rng.integers(0, 256, shape, dtype=np.uint8)

    def linear(self, x, k, n, name):
        if self.form in ("int4", "int4-f32", "moe"):
            level = 0 if self.form == "int4-f32" else 4
            q = self.weight(name + ".q", self.codes(n, k // 32, 16))
            s = self.weight(name + ".s", self.scales(n, k // 32))
            return self.node("MatMulNBits", [x, q, s], name, domain=MS, K=k,
                             N=n, bits=4, block_size=32, accuracy_level=level)
        if self.form == "qdq":
            q = self.weight(name + ".q", self.codes(k, n).astype(np.int8))
            s = self.const(name + ".s", np.full(n, .01 / np.sqrt(k), "f"))
            w = self.node("DequantizeLinear", [q, s], name + ".w", axis=1)
            return self.node("MatMul", [x, w], name)
        return self.node("MatMul", [x, self.weight(name + ".w",
                                                   self.matrix(k, n))], name)

    def norm(self, x, name):
        one = self.const(name + ".w", np.ones(D, self.real))
        return self.node("SimplifiedLayerNormalization", [x, one], name,
                         axis=-1, epsilon=1e-5, stash_type=1)

    def attention(self, x, i):
        p = f"{i}.attn"
        q = self.linear(x, D, D, p + ".q")
        k = self.linear(x, D, KV * HD, p + ".k")
        v = self.linear(x, D, KV * HD, p + ".v")
        y = self.node("GroupQueryAttention",
                      [q, k, v, f"past.{i}.k", f"past.{i}.v", "last", "all",
                       "cos", "sin"], p, f"present.{i}.k", f"present.{i}.v",
                      domain=MS, num_heads=HEADS, kv_num_heads=KV, do_rotary=1)
        return self.linear(y, D, D, p + ".o")

    def dense(self, x, i):
        p = f"{i}.mlp"
        gate = self.linear(x, D, HIDDEN, p + ".gate")
        up = self.linear(x, D, HIDDEN, p + ".up")
        half = self.node("Sigmoid", [gate], p + ".sigmoid")
        y = self.node("Mul", [self.node("Mul", [gate, half], p + ".silu"), up],
                      p + ".product")
        return self.linear(y, HIDDEN, D, p + ".down")

    def experts(self, x, i):
        p = f"{i}.moe"
        gate = self.node("MatMul", [x, self.weight(p + ".gate",
                                                   self.matrix(D, EXPERTS))],
                         p + ".scores")
        flat = self.const(p + ".flat", np.array([-1, EXPERTS]))
        before = self.read
        w = [self.weight(p + ".fc1", self.codes(EXPERTS, 2 * HIDDEN, D // 2)),
             self.weight(p + ".s1", self.scales(EXPERTS, 2 * HIDDEN, D // 32)),
             "", self.weight(p + ".fc2", self.codes(EXPERTS, D, HIDDEN // 2)),
             self.weight(p + ".s2", self.scales(EXPERTS, D, HIDDEN // 32))]
        self.read = before + (self.read - before) * 2 // EXPERTS
        return self.node("QMoE", [x, self.node("Reshape", [gate, flat],
                                               p + ".router")] + w, p,
                         domain=MS, k=2, expert_weight_bits=4, block_size=32,
                         activation_type="swiglu", swiglu_fusion=1,
                         activation_alpha=1.702, activation_beta=1.0,
                         swiglu_limit=7.0, normalize_routing_weights=1)

    def build(self, layers):
        angle = np.outer(np.arange(256), 1e4 ** (-np.arange(0, HD, 2) / HD))
        self.const("cos", np.cos(angle).astype(self.real))
        self.const("sin", np.sin(angle).astype(self.real))
        one = self.const("one", np.array([1]))
        many = self.node("ReduceSum", ["mask", one], "many", keepdims=0)
        self.node("Cast", [self.node("Sub", [many, one], "many_1")], "last",
                  to=T.INT32)
        shape = self.node("Shape", ["mask"], "shape")
        total = self.node("Gather", [shape, self.const("second",
                                                       np.array(1))], "total")
        self.node("Cast", [total], "all", to=T.INT32)
        table = self.const("embed", self.matrix(TOKENS, D))
        x = self.node("Gather", [table, "ids"], "x")
        for i in range(layers):
            y = self.attention(self.norm(x, f"{i}.norm1"), i)
            x = self.node("Add", [x, y], f"{i}.x")
            part = self.experts if self.form == "moe" else self.dense
            y = part(self.norm(x, f"{i}.norm2"), i)
            x = self.node("Add", [x, y], f"{i}.y")
        self.linear(self.norm(x, "norm"), D, TOKENS, "logits")

    def save(self, path):
        def values(of):
            return [helper.make_tensor_value_info(*v) for v in of]
        graph = helper.make_graph(self.nodes, self.form, values(self.inputs),
                                  values(self.outputs), self.weights)
        onnx.save(helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 21),
                                  helper.make_opsetid(MS, 1)], ir_version=10),
            path)


def sizes(rows):
    return {"batch": 1, "rows": rows, "past": PAST, "total": PAST + rows}


def session(path):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options,
                                providers=["CPUExecutionProvider"])


def make_inputs(path, rows, folder):
    """One .npy for each input, and ONNX Runtime's logits."""
    run, feed = session(path), {}
    for v in run.get_inputs():
        shape = [sizes(rows).get(d, d) for d in v.shape]
        if v.name == "ids":
            a = rng.integers(0, TOKENS, shape)
        elif v.name == "mask":
            a = np.ones(shape, np.int64)
        else:
            a = rng.standard_normal(shape).astype(
                np.float16 if "16" in v.type else np.float32)
        feed[v.name] = a
        np.save(f"{folder}/{v.name}.npy", a)
    np.save(f"{folder}/logits", run.run(["logits"], feed)[0])


def ort_child(path, folder, runs):
    """Prints the CPU seconds of a step; run as a process of its own."""
    run = session(path)
    feed = {v.name: np.load(f"{folder}/{v.name}.npy")
            for v in run.get_inputs()}
    run.run(["logits"], feed)
    begin = time.process_time()
    for _ in range(runs):
        run.run(["logits"], feed)
    print((time.process_time() - begin) / runs)


def cpu_of(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime -
            before.ru_stime)


class Sides:
    def __init__(self, tool, path, rows, folder):
        self.path, self.folder, self.runs = path, folder, max(8, 240 // rows)
        make_inputs(path, rows, folder)
        self.gshard = [tool, "-q", "-j", "1", path]
        self.gshard += [f"--bind={k}={v}" for k, v in sizes(rows).items()]
        for name in os.listdir(folder):
            if name != "logits.npy":
                self.gshard += ["-i", f"{name[:-4]}={folder}/{name}"]

    def off(self):
        out = f"{self.folder}/../gshard.npy"
        if os.path.exists(out):
            os.remove(out)
        cpu_of(self.gshard + ["-o", "logits=" + out])
        a, b = np.load(out), np.load(f"{self.folder}/logits.npy")
        a, b = a.astype("f"), b.astype("f")
        return np.abs(a - b).max() / np.abs(b).max()

    def round(self):
        one = cpu_of(self.gshard + ["--bench", "1"])
        many = cpu_of(self.gshard + ["--bench", str(self.runs + 1)])
        theirs = subprocess.run(
            [sys.executable, __file__, "--ort", self.path, self.folder,
             str(self.runs)], check=True, capture_output=True, text=True)
        return (many - one) / self.runs, float(theirs.stdout)


def read_speed():
    """GB/s at which one thread reads memory, the best of five."""
    a, best = np.ones(1 << 27, np.float32), 0
    for _ in range(5):
        begin = time.process_time()
        a.max()
        best = max(best, a.nbytes / (time.process_time() - begin) / 1e9)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-r", "--rounds", type=int, default=3)
    parser.add_argument("-l", "--layers", type=int, default=8)
    args = parser.parse_intermixed_args()
    wanted = [n.split(":") for n in args.names or CASES]
    print(f"memory is read at {read_speed():.1f} GB/s")
    print("case       rows  gshard ms   ORT ms  ratio  [least..most]  GB/s"
          "  off")
    with tempfile.TemporaryDirectory() as top:
        for name, *rows in wanted:
            path = f"{top}/{name}.onnx"
            model = Decoder(name, args.layers)
            model.save(path)
            for m in map(int, rows or ROWS):
                folder = tempfile.mkdtemp(dir=top)
                sides = Sides(args.tool, path, m, folder)
                off = sides.off()
                times = [sides.round() for _ in range(args.rounds)]
                mine, theirs = (sorted(t)[len(t) // 2] for t in zip(*times))
                ratio = sorted(t / g for g, t in times)
                speed = f"{model.read / mine / 1e9:5.1f}" if m == 1 else "     "
                print(f"{name:10} {m:4}  {mine * 1e3:9.2f}"
                      f"  {theirs * 1e3:7.2f}  {ratio[len(ratio) // 2]:5.2f}"
                      f"  [{ratio[0]:.2f}..{ratio[-1]:.2f}]  {speed}"
                      f"  {off:.1e}", flush=True)
            os.remove(path)


if sys.argv[1:2] == ["--ort"]:
    ort_child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    main()
