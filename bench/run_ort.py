#!/usr/bin/env python3
"""Time of one run on one thread: gshard-run against ONNX Runtime.

    run_ort.py GSHARD-RUN [-m MODEL.onnx] [NAME...]

Method.  Each case is a model that this script makes (or MODEL).  Both sides
run it on one thread on normally distributed inputs; what counts is CPU time
(user and system), which other load on the machine changes least.  gshard-run
is started with --bench 1 and with --bench N: the difference of the CPU times
of the two processes, divided by N - 1, is one run without loading.  ONNX
Runtime (all graph optimizations, its defaults otherwise) runs N times in this
process after a warm-up.  N is chosen so that a side runs for about SECONDS.
The two alternate three times, the smallest time of each counts.  A ratio
above 1 means that gshard is slower.

Needs onnx, onnxruntime and numpy.  Names select cases."""
import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SECONDS = 0.5
F, I = TensorProto.FLOAT, TensorProto.INT64
rng = np.random.default_rng(0)


def const(name, array):
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def normal(name, *shape):
    scale = 0.05 if len(shape) > 1 else 0.1
    return const(name, (scale * rng.standard_normal(shape)).astype("f"))


def model(nodes, inputs, outputs, weights=(), opset=20):
    graph = helper.make_graph(
        nodes, "bench",
        [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
        [helper.make_tensor_value_info(n, t, s) for n, t, s in outputs],
        list(weights))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def single(op, shape, out, weights=(), out_type=F, more=(), **attrs):
    """One operator on x and constants."""
    names = ["x"] + [w.name for w in weights]
    outputs = [("y", out_type, out)] + list(more)
    return lambda: model(
        [helper.make_node(op, names, [o[0] for o in outputs], **attrs)],
        [("x", F, shape)], outputs, weights)


def einsum():
    return model(
        [helper.make_node("Einsum", ["d", "x"], ["y"],
                          equation="GSEC,GSM->EGCM")],
        [("d", F, [4, 256, 8, 64]), ("x", F, [4, 256, 512])],
        [("y", F, [8, 4, 64, 512])])


def quantised(op, shape, weight, bias, relu, layers=3, **attrs):
    """Products of u8 by i8 between DequantizeLinear and QuantizeLinear."""
    lines = weight[0] if op == "Conv" else weight[1]
    weights = [const("s", np.float32(0.02)), const("z", np.uint8(128))]
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    x = "q"
    for k in range(layers):
        w, y = f"w{k}", f"m{k}"
        scale = (rng.random(lines) * 5e-4 + 2e-4).astype("f")
        weights += [
            const(w, rng.integers(-127, 128, weight).astype("i1")),
            const(f"{w}_s", scale), const(f"{w}_z", np.zeros(lines, "i1"))]
        nodes += [
            helper.make_node("DequantizeLinear", [x, "s", "z"], [f"x{k}"]),
            helper.make_node("DequantizeLinear", [w, f"{w}_s", f"{w}_z"],
                             [f"{w}_f"], axis=0 if op == "Conv" else 1)]
        operands = [f"x{k}", f"{w}_f"]
        if bias:
            weights += [
                const(f"b{k}", rng.integers(-999, 999, lines).astype("i4")),
                const(f"b{k}_s", np.float32(0.02) * scale)]
            nodes.append(helper.make_node(
                "DequantizeLinear", [f"b{k}", f"b{k}_s"], [f"b{k}_f"], axis=0))
            operands.append(f"b{k}_f")
        nodes.append(helper.make_node(op, operands, [y], **attrs))
        if relu:
            nodes.append(helper.make_node("Relu", [y], [f"r{k}"]))
            y = f"r{k}"
        x = f"q{k}"
        nodes.append(helper.make_node("QuantizeLinear", [y, "s", "z"], [x]))
    nodes.append(helper.make_node("DequantizeLinear", [x, "s", "z"], ["y"]))
    return lambda: model(nodes, [("x", F, shape)], [("y", F, shape)], weights)


def dynamic():
    """A product of f32 rows that are quantised when they are there."""
    return model(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
         helper.make_node("MatMulInteger", ["q", "w", "z"], ["i"]),
         helper.make_node("Cast", ["i"], ["f"], to=F),
         helper.make_node("Mul", ["s", "ws"], ["sw"]),
         helper.make_node("Mul", ["f", "sw"], ["y"])],
        [("x", F, [256, 1024])], [("y", F, [256, 4096])],
        [const("w", rng.integers(-127, 128, (1024, 4096)).astype("i1")),
         const("ws", np.float32(0.001))])


def gather():
    return model(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [("i", I, [8, 128])], [("y", F, [8, 128, 768])],
        [normal("table", 30000, 768)])


def add_bias():
    return model([helper.make_node("Add", ["x", "b"], ["y"])],
                 [("x", F, [1024, 3072]), ("b", F, [3072])],
                 [("y", F, [1024, 3072])])


def fused(op, shapes, out, **attrs):
    """An operator of com.microsoft; operands past the first are constants
    where they have one dim."""
    def make():
        named = list(zip("xyzuv", shapes))
        m = model(
            [helper.make_node(op, [n for n, _ in named], ["out"],
                              domain="com.microsoft", **attrs)],
            [(n, F, s) for n, s in named if len(s) > 1], [("out", F, out)],
            [normal(n, *s) for n, s in named if len(s) == 1])
        m.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        return m
    return make


def resize(shape, out, **attrs):
    """To the sizes of out."""
    return lambda: model(
        [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attrs)],
        [("x", F, shape)], [("y", F, out)],
        [const("sizes", np.array(out, dtype="q"))])


def grid_sample(shape, places, **attrs):
    """At places of which some lie outside: half, as they are drawn."""
    return lambda: model(
        [helper.make_node("GridSample", ["x", "grid"], ["y"], **attrs)],
        [("x", F, shape), ("grid", F, [shape[0]] + places + [2])],
        [("y", F, shape[:2] + places)])


def scalar(name, value):
    return numpy_helper.from_array(np.array(value, dtype="q"), name)


def dft(shape, out, axis, **attrs):
    return lambda: model(
        [helper.make_node("DFT", ["x", "", "axis"], ["y"], **attrs)],
        [("x", F, shape)], [("y", F, out)], [scalar("axis", axis)])


def stft(samples, length, step):
    frames = (samples - length) // step + 1
    return lambda: model(
        [helper.make_node("STFT", ["x", "step", "w"], ["y"])],
        [("x", F, [1, samples, 1])],
        [("y", F, [1, frames, length // 2 + 1, 2])],
        [scalar("step", step), normal("w", length)])


def bert(layers=6, d=768, heads=12, seq=128, hidden=3072, vocab=8000):
    """Encoder layers as exporters write them, after an embedding."""
    nodes, weights = [], []

    def op(name, inputs, out, **attrs):
        nodes.append(helper.make_node(name, inputs, [out], out, **attrs))
        return out

    def linear(x, name, n, m):
        weights.extend([normal(name + "_w", n, m), normal(name + "_b", m)])
        y = op("MatMul", [x, name + "_w"], name + "_mm")
        return op("Add", [y, name + "_b"], name)

    def norm(x, name):
        weights.extend([normal(name + "_g", d), normal(name + "_h", d)])
        return op("LayerNormalization", [x, name + "_g", name + "_h"], name)

    weights.extend([
        normal("table", vocab, d),
        const("split", np.array([1, seq, heads, d // heads], dtype="q")),
        const("join", np.array([1, seq, d], dtype="q")),
        const("scale", np.array((d // heads) ** -0.5, dtype="f"))])
    x = op("Gather", ["table", "i"], "embedding")
    for k in range(layers):
        p = f"l{k}_"
        part = {}
        for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]),
                           ("v", [0, 2, 1, 3])):
            y = linear(x, p + name, d, d)
            y = op("Reshape", [y, "split"], p + name + "_r")
            part[name] = op("Transpose", [y], p + name + "_t", perm=perm)
        s = op("MatMul", [part["q"], part["k"]], p + "scores")
        s = op("Mul", [s, "scale"], p + "scaled")
        s = op("Softmax", [s], p + "probs", axis=-1)
        s = op("MatMul", [s, part["v"]], p + "context")
        s = op("Transpose", [s], p + "context_t", perm=[0, 2, 1, 3])
        s = op("Reshape", [s, "join"], p + "context_r")
        s = linear(s, p + "out", d, d)
        x = norm(op("Add", [s, x], p + "sum1"), p + "norm1")
        h = op("Gelu", [linear(x, p + "up", d, hidden)], p + "gelu")
        h = linear(h, p + "down", hidden, d)
        x = norm(op("Add", [h, x], p + "sum2"), p + "norm2")
    return model(nodes, [("i", I, [1, seq])], [(x, F, [1, seq, d])], weights)


def resnet(stages=(2, 2, 2, 2), width=64):
    """Residual blocks of two convolutions, each with a BatchNormalization."""
    nodes, weights = [], []

    def op(name, inputs, **attrs):
        out = f"{name}{len(nodes)}"
        nodes.append(helper.make_node(name, inputs, [out], **attrs))
        return out

    def conv(x, n, m, k, stride=1):
        w = f"w{len(weights)}"
        weights.append(normal(w, m, n, k, k))
        named = [f"{w}_{i}" for i in range(4)]
        for i, v in enumerate(named):
            shift = 0.5 if i in (0, 3) else -0.5  # scale, variance
            weights.append(const(v, (rng.random(m) + shift).astype("f")))
        x = op("Conv", [x, w], pads=[k // 2] * 4, strides=[stride] * 2)
        return op("BatchNormalization", [x] + named)

    x = op("Relu", [conv("x", 3, width, 7, 2)])
    x = op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    n = width
    for i, blocks in enumerate(stages):
        m = width << i
        for j in range(blocks):
            stride = 2 if i and not j else 1
            y = op("Relu", [conv(x, n, m, 3, stride)])
            y = conv(y, m, m, 3)
            if n != m:
                x = conv(x, n, m, 1, stride)
            x = op("Relu", [op("Add", [y, x])])
            n = m
    x = op("Flatten", [op("GlobalAveragePool", [x])])
    weights += [normal("fc", 1000, n), normal("fc_b", 1000)]
    x = op("Gemm", [x, "fc", "fc_b"], transB=1)
    return model(nodes, [("x", F, [1, 3, 224, 224])], [(x, F, [1, 1000])],
                 weights)


def plain_attention(seq, heads=8, d=64):
    """Scores, scale, Softmax and values as exporters write them."""
    shape = [1, heads, seq, d]
    return model(
        [helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
         helper.make_node("MatMul", ["q", "kt"], ["s"]),
         helper.make_node("Mul", ["s", "scale"], ["t"]),
         helper.make_node("Softmax", ["t"], ["p"], axis=-1),
         helper.make_node("MatMul", ["p", "v"], ["y"])],
        [(n, F, shape) for n in "qkv"], [("y", F, shape)],
        [const("scale", np.array(d ** -0.5, dtype="f"))])


def small_nodes(count=1000, n=16):
    """A chain of small nodes of four kinds."""
    nodes, x = [], "x"
    for i in range(count):
        op = ("MatMul", "Softmax", "Transpose", "Tanh")[i % 4]
        more = ["w"] if op == "MatMul" else []
        attrs = {"perm": [1, 0]} if op == "Transpose" else {}
        nodes.append(helper.make_node(op, [x] + more, [f"t{i}"], **attrs))
        x = f"t{i}"
    return model(nodes, [("x", F, [n, n])], [(x, F, [n, n])],
                 [normal("w", n, n)])


def recurrent(op, gates, seq=64, n=256, hidden=256):
    return model(
        [helper.make_node(op, ["x", "w", "r"], ["y"], hidden_size=hidden)],
        [("x", F, [seq, 1, n])], [("y", F, [seq, 1, 1, hidden])],
        [normal("w", 1, gates * hidden, n),
         normal("r", 1, gates * hidden, hidden)])


def unary(op, **attrs):
    return single(op, [1024, 3072], [1024, 3072], **attrs)


CASES = {
    "matmul": single("MatMul", [512, 768], [512, 3072],
                     [normal("w", 768, 3072)]),
    "softmax": single("Softmax", [4096, 1024], [4096, 1024], axis=-1),
    "softmax-short": single("Softmax", [16, 12, 128, 128],
                            [16, 12, 128, 128], axis=-1),
    "log-softmax": single("LogSoftmax", [4096, 1024], [4096, 1024], axis=-1),
    "softmax-strided": single("Softmax", [64, 256, 64], [64, 256, 64],
                              axis=1),
    "layernorm": single("LayerNormalization", [4096, 768], [4096, 768],
                        [normal("g", 768), normal("b", 768)]),
    "gelu": single("Gelu", [1024, 3072], [1024, 3072]),
    **{op.lower(): unary(op) for op in (
        "Sqrt", "Sin", "Cos", "Tan", "Atan", "Asin", "Acos", "Sinh", "Cosh",
        "Asinh", "Acosh", "Atanh", "Tanh", "Erf", "Exp", "Log", "Sigmoid")},
    "gelu-tanh": unary("Gelu", approximate="tanh"),
    "clip": single("Clip", [1024, 3072], [1024, 3072],
                   [const("l", np.array(0, "f")), const("h", np.array(6, "f"))]),
    "pow-3": single("Pow", [1024, 3072], [1024, 3072],
                    [const("e", np.array(3, "f"))]),
    "pow-1.7": single("Pow", [1024, 3072], [1024, 3072],
                      [const("e", np.array(1.7, "f"))]),
    "mod": single("Mod", [1024, 3072], [1024, 3072],
                  [const("e", np.array(0.3, "f"))], fmod=1),
    "add-bias": add_bias,
    "transpose": single("Transpose", [8, 128, 12, 64], [8, 12, 128, 64],
                        perm=[0, 2, 1, 3]),
    "transpose-2d": single("Transpose", [1024, 3072], [3072, 1024],
                           perm=[1, 0]),
    "einsum": einsum,
    "gather": gather,
    "topk": single("TopK", [4096, 64], [4096, 2],
                   [const("k", np.array([2], dtype="q"))],
                   more=[("z", I, [4096, 2])], axis=-1),
    "topk-50": single("TopK", [64, 32000], [64, 50],
                      [const("k", np.array([50], dtype="q"))],
                      more=[("z", I, [64, 50])], axis=-1),
    "argmax": single("ArgMax", [4096, 1024], [4096, 1], out_type=I, axis=-1),
    "argmax-columns": single("ArgMax", [64, 256, 256], [64, 1, 256],
                             out_type=I, axis=1),
    "lstm": lambda: recurrent("LSTM", 4),
    "gru": lambda: recurrent("GRU", 3),
    "attention-128": lambda: plain_attention(128),
    "attention-2048": lambda: plain_attention(2048),
    "small-nodes": small_nodes,
    "cumsum-rows": single("CumSum", [4096, 1024], [4096, 1024],
                          [const("a", np.array(1, dtype="q"))]),
    "cumsum": single("CumSum", [64, 256, 64], [64, 256, 64],
                     [const("a", np.array(1, dtype="q"))]),
    "reduce-rows": single("ReduceSum", [4096, 1024], [4096, 1],
                          [const("a", np.array([1], dtype="q"))]),
    "reduce-columns": single("ReduceSum", [4096, 1024], [1, 1024],
                             [const("a", np.array([0], dtype="q"))]),
    "bert": bert,
    "qdq-matmul": quantised("MatMul", [256, 1024], (1024, 1024), False, False),
    "qdq-conv-3x3": quantised("Conv", [1, 64, 56, 56], (64, 64, 3, 3), True,
                              True, pads=[1] * 4),
    "qdq-conv-1x1": quantised("Conv", [1, 256, 28, 28], (256, 256, 1, 1), True,
                              True),
    "dynamic-int8": dynamic,
    "conv-3x3": single("Conv", [1, 64, 56, 56], [1, 64, 56, 56],
                       [normal("w", 64, 64, 3, 3)], pads=[1] * 4),
    "conv-1x1": single("Conv", [1, 256, 14, 14], [1, 1024, 14, 14],
                       [normal("w", 1024, 256, 1, 1)]),
    "conv-depthwise": single("Conv", [1, 144, 56, 56], [1, 144, 56, 56],
                             [normal("w", 144, 1, 3, 3)], pads=[1] * 4,
                             group=144),
    "conv-batch": single("Conv", [8, 128, 28, 28], [8, 128, 28, 28],
                         [normal("w", 128, 128, 3, 3)], pads=[1] * 4),
    "conv-transpose": single("ConvTranspose", [1, 64, 56, 56],
                             [1, 32, 112, 112], [normal("w", 64, 32, 2, 2)],
                             strides=[2, 2]),
    "maxpool": single("MaxPool", [8, 64, 112, 112], [8, 64, 56, 56],
                      kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
    "averagepool": single("AveragePool", [8, 64, 56, 56], [8, 64, 56, 56],
                          kernel_shape=[3, 3], pads=[1] * 4),
    "batchnorm": single("BatchNormalization", [8, 64, 56, 56],
                        [8, 64, 56, 56],
                        [const(n, np.ones(64, "f")) for n in "sbmv"]),
    "resnet": resnet,
    "bias-gelu": fused("BiasGelu", [[1024, 3072], [3072]], [1024, 3072]),
    "fast-gelu": fused("FastGelu", [[1024, 3072], [3072]], [1024, 3072]),
    "fast-gelu-small": fused("FastGelu", [[128, 3072], [3072]], [128, 3072]),
    "quick-gelu": fused("QuickGelu", [[1024, 3072]], [1024, 3072]),
    "skip-layernorm": fused(
        "SkipLayerNormalization", [[4096, 768]] * 2 + [[768]] * 3,
        [4096, 768]),
    "skip-layernorm-small": fused(
        "SkipLayerNormalization", [[128, 768]] * 2 + [[768]] * 3, [128, 768]),
    "skip-rmsnorm": fused(
        "SkipSimplifiedLayerNormalization", [[4096, 768]] * 2 + [[768]],
        [4096, 768]),
    "skip-rmsnorm-small": fused(
        "SkipSimplifiedLayerNormalization", [[128, 768]] * 2 + [[768]],
        [128, 768]),
    "scores": fused(
        "FusedMatMul", [[1, 12, 128, 64]] * 2, [1, 12, 128, 128], transB=1,
        alpha=0.125),
    "resize-nearest": resize([1, 64, 128, 128], [1, 64, 256, 256],
                             mode="nearest",
                             coordinate_transformation_mode="asymmetric",
                             nearest_mode="floor"),
    "resize-linear": resize([1, 64, 128, 128], [1, 64, 256, 256],
                            mode="linear"),
    "resize-down": resize([1, 3, 1080, 1920], [1, 3, 224, 224],
                          mode="linear"),
    "resize-antialias": resize([1, 3, 1080, 1920], [1, 3, 224, 224],
                               mode="linear", antialias=1),
    "resize-cubic": resize([1, 3, 224, 224], [1, 3, 448, 448], mode="cubic"),
    "resize-3d": resize([1, 8, 32, 64, 64], [1, 8, 64, 128, 128],
                        mode="linear"),
    "resize-nhwc": resize([1, 128, 128, 64], [1, 256, 256, 64],
                          mode="linear"),
    "grid-linear": grid_sample([1, 64, 128, 128], [128, 128]),
    "grid-linear-3": grid_sample([1, 3, 512, 512], [512, 512]),
    "grid-border": grid_sample([1, 64, 128, 128], [128, 128],
                               padding_mode="border"),
    "grid-cubic": grid_sample([1, 16, 128, 128], [128, 128], mode="cubic"),
    "grid-nearest": grid_sample([1, 64, 128, 128], [128, 128],
                                mode="nearest"),
    "dft": dft([64, 1024, 1], [64, 1024, 2], 1),
    "dft-1000": dft([64, 1000, 1], [64, 1000, 2], 1),
    "dft-columns": dft([512, 64, 1], [512, 64, 2], 0),
    "dft-long": dft([1, 1 << 17, 2], [1, 1 << 17, 2], 1),
    "stft": stft(160000, 512, 160),
    "stft-400": stft(160000, 400, 160),
}


def inputs_of(path):
    dims = onnx.load(path, load_external_data=False).graph
    known = {t.name for t in dims.initializer}
    feed = {}
    for v in dims.input:
        t = v.type.tensor_type
        shape = [d.dim_value for d in t.shape.dim]
        if v.name in known:
            continue
        if t.elem_type == F:
            feed[v.name] = rng.standard_normal(shape).astype("f")
        else:
            kind = helper.tensor_dtype_to_np_dtype(t.elem_type)
            feed[v.name] = rng.integers(0, 2, shape).astype(kind)
    return feed


def cpu(of):
    r = resource.getrusage(of)
    return r.ru_utime + r.ru_stime


def one_gshard(run, path, files, n):
    start = cpu(resource.RUSAGE_CHILDREN)
    command = [run, "-j", "1", "--bench", str(n)]
    for name, file in files.items():
        command += ["-i", f"{name}={file}"]
    subprocess.run(command + [path], check=True, stdout=subprocess.DEVNULL)
    return cpu(resource.RUSAGE_CHILDREN) - start


def measure(run, path):
    feed = inputs_of(path)
    files = {}
    for i, (name, array) in enumerate(feed.items()):
        files[name] = f"{path}.{i}.npy"
        np.save(files[name], array)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options,
                                   providers=["CPUExecutionProvider"])
    session.run(None, feed)
    start = time.process_time()
    session.run(None, feed)
    n = int(min(2000, max(4, SECONDS / (time.process_time() - start))))
    ours, theirs = [], []
    for _ in range(3):
        few, many = (one_gshard(run, path, files, k) for k in (1, n))
        ours.append((many - few) / (n - 1))
        start = time.process_time()
        for _ in range(n):
            session.run(None, feed)
        theirs.append((time.process_time() - start) / n)
    return min(ours), min(theirs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("-m", "--model", action="append", default=[])
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    run = os.path.abspath(args.run)
    print(f"{'case':20} {'gshard ms':>10} {'ORT ms':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as temp:
        cases = []
        for name, make in CASES.items():
            if name in args.names or not args.names and not args.model:
                path = os.path.join(temp, name + ".onnx")
                onnx.save(make(), path)
                cases.append((name, path))
        for path in args.model:
            cases.append((os.path.basename(path), os.path.abspath(path)))
        for name, path in cases:
            ours, theirs = measure(run, path)
            print(f"{name:20} {ours * 1e3:10.3f} {theirs * 1e3:10.3f} "
                  f"{ours / theirs:7.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
