"""Models that the benchmarks run.

    models.py NAME FILE

writes to FILE the one that MODELS has by that name, or light-NAME, one of the
ONNX package's: real layers, with weights that a node fills; and to FILE.inputs
values for its inputs: names.json, 0.npy and so on.  Other weights are random,
from a fixed seed.  Image models are those of image_models.py, some single
operators those of run_ort.py.  Needs onnx and numpy."""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F, I = TensorProto.FLOAT, TensorProto.INT64


class Graph:
    """A graph that grows at its end; tensors are known by their names."""

    def __init__(self, opset=20):
        self.rng = np.random.default_rng(1)
        self.nodes, self.weights, self.opset = [], [], opset

    def op(self, kind, *operands, out=None, outputs=1, **attributes):
        """Adds a node; the name of its result, or a list of several."""
        base = out or f"{kind}_{len(self.nodes)}"
        names = [base] + [f"{base}_{i}" for i in range(1, outputs)]
        self.nodes.append(
            helper.make_node(kind, operands, names, name=base, **attributes))
        return names[0] if outputs == 1 else names

    def const(self, array):
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(
            np.ascontiguousarray(array), name))
        return name

    def ints(self, *values):
        return self.const(np.array(values, dtype="q"))

    def normal(self, *shape, scale=None):
        scale = shape[-2] ** -0.5 if scale is None else scale
        return self.const(
            (scale * self.rng.standard_normal(shape)).astype("f"))

    def model(self, inputs, outputs):
        def infos(of):
            return [helper.make_tensor_value_info(*v) for v in of]
        graph = helper.make_graph(self.nodes, "bench", infos(inputs),
                                  infos(outputs), self.weights)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=9)


# ---- layers that jax_layers.py has too: same sizes, same sums ---------------

MOE = {"G": 8, "S": 128, "E": 8, "C": 32, "M": 1024, "H": 2048}
DENSE = {"T": 512, "M": 1024, "H": 4096}


def moe_layer():
    """A layer of E experts with two choices for each token and a capacity, as
    the GShard paper's algorithm 1 has it, with one-hot dispatch and combine."""
    g, (G, S, E, C, M, H) = Graph(), MOE.values()
    gates = g.op("Softmax", g.op("MatMul", "x", g.normal(M, E)))
    score, best = g.op("TopK", gates, g.ints(2), outputs=2, axis=-1)
    total = g.op("ReduceSum", score, g.ints(-1), keepdims=1)
    score = g.op("Div", score, total)
    depth, ends = g.ints(E), g.const(np.array([0, 1], dtype="f"))
    combine, before = None, None
    for k in range(2):
        at = g.op("Gather", best, g.ints(k), axis=2)
        mask = g.op("Squeeze", g.op("OneHot", at, depth, ends), g.ints(2))
        place = g.op("CumSum", mask, g.ints(1), exclusive=1)
        if before:
            place = g.op("Add", place, before)
        taken = g.op("ReduceSum", mask, g.ints(1), keepdims=1)
        before = g.op("Add", before, taken) if before else taken
        place = g.op("ReduceSum", g.op("Mul", place, mask), g.ints(2),
                     keepdims=0)
        room = g.op("Cast", g.op("Less", place, g.const(np.float32(C))), to=F)
        weight = g.op("Mul", room, g.op(
            "Squeeze", g.op("Gather", score, g.ints(k), axis=2), g.ints(2)))
        slot = g.op("OneHot", g.op("Cast", place, to=I), g.ints(C), ends)
        both = g.op("Einsum", g.op("Mul", mask, g.op(
            "Unsqueeze", weight, g.ints(2))), slot, equation="gse,gsc->gsec")
        combine = g.op("Add", combine, both) if combine else both
    dispatch = g.op("Cast", g.op("Greater", combine,
                                 g.const(np.float32(0))), to=F)
    h = g.op("Einsum", dispatch, "x", equation="gsec,gsm->egcm",
             out="dispatched")
    wi, wo = g.normal(E, M, H), g.normal(E, H, M)
    h = g.op("Relu", g.op("Einsum", h, wi, equation="egcm,emh->egch"))
    h = g.op("Einsum", h, wo, equation="egch,ehm->egcm")
    g.op("Einsum", combine, h, equation="gsec,egcm->gsm", out="y")
    for w, name in ((wi, "wi"), (wo, "wo")):
        rename(g, w, name)
    return g.model([("x", F, [G, S, M])], [("y", F, [G, S, M])])


def rename(g, old, new):
    for w in g.weights:
        w.name = new if w.name == old else w.name
    for n in g.nodes:
        for i, name in enumerate(n.input):
            if name == old:
                n.input[i] = new


def dense_layer():
    """Two products with a Relu between, over [T, M]."""
    g, (T, M, H) = Graph(), DENSE.values()
    wi, wo = g.normal(M, H), g.normal(H, M)
    h = g.op("Relu", g.op("MatMul", "x", wi))
    g.op("MatMul", h, wo, out="y")
    rename(g, wi, "wi")
    rename(g, wo, "wo")
    return g.model([("x", F, [T, M])], [("y", F, [T, M])])


# ---- whole models -----------------------------------------------------------

def bert_decomposed(layers=6, batch=4, d=768, heads=12, seq=128):
    """Encoder layers with LayerNormalization and Gelu in single operators, as
    older exporters write them."""
    g = Graph(opset=13)
    join, split = g.ints(batch, seq, d), g.ints(batch, seq, heads, d // heads)

    def scalar(v):
        return g.const(np.float32(v))

    def linear(x, n, m):
        return g.op("Add", g.op("MatMul", x, g.normal(n, m)),
                    g.normal(m, scale=.1))

    def norm(x):
        mean = g.op("ReduceMean", x, axes=[-1], keepdims=1)
        off = g.op("Sub", x, mean)
        var = g.op("ReduceMean", g.op("Pow", off, scalar(2)), axes=[-1],
                   keepdims=1)
        y = g.op("Div", off, g.op("Sqrt", g.op("Add", var, scalar(1e-5))))
        return g.op("Add", g.op("Mul", y, g.normal(d, scale=.1)),
                    g.normal(d, scale=.1))

    def gelu(x):
        y = g.op("Erf", g.op("Div", x, scalar(2 ** .5)))
        y = g.op("Mul", x, g.op("Add", y, scalar(1)))
        return g.op("Mul", y, scalar(.5))

    x = "x"
    for _ in range(layers):
        parts = [g.op("Transpose", g.op("Reshape", linear(x, d, d), split),
                      perm=p) for p in ([0, 2, 1, 3], [0, 2, 3, 1],
                                        [0, 2, 1, 3])]
        s = g.op("Div", g.op("MatMul", parts[0], parts[1]),
                 scalar((d // heads) ** .5))
        s = g.op("MatMul", g.op("Softmax", s, axis=-1), parts[2])
        s = g.op("Reshape", g.op("Transpose", s, perm=[0, 2, 1, 3]), join)
        x = norm(g.op("Add", linear(s, d, d), x))
        h = linear(gelu(linear(x, d, 4 * d)), 4 * d, d)
        x = norm(g.op("Add", h, x))
    return g.model([("x", F, [batch, seq, d])], [(x, F, [batch, seq, d])])


def product(m=1024, kind=TensorProto.FLOAT, constant=True):
    """C = A B of one type, B a constant or an input."""
    g = Graph()
    real = helper.tensor_dtype_to_np_dtype(kind)
    inputs = [("a", kind, [m, m])]
    if constant:
        w = (g.rng.standard_normal((m, m)) * m ** -.5).astype(real)
        g.weights.append(helper.make_tensor("b", kind, [m, m], w.tobytes(),
                                            raw=True))
    else:
        inputs.append(("b", kind, [m, m]))
    g.op("MatMul", "a", "b", out="c")
    return g.model(inputs, [("c", kind, [m, m])])


def unary(op, shape=(4096, 1024), *constants, **attributes):
    def make():
        g = Graph()
        g.op(op, "x", *[g.const(np.array(c)) for c in constants], out="y",
             **attributes)
        return g.model([("x", F, shape)], [("y", F, shape)])
    return make


def image(kind, batch=1):
    def make():
        import image_models
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, kind)
            getattr(image_models, kind)(path, batch=batch)
            return onnx.load(path)
    return make


def light(name):
    folder = os.path.join(os.path.dirname(onnx.__file__),
                          "backend", "test", "data", "light")
    return lambda: onnx.load(os.path.join(folder, f"light_{name}.onnx"))


def operator(name):
    def make():
        import run_ort
        return run_ort.CASES[name]()
    return make


MODELS = {
    "moe-layer": moe_layer,
    "dense-layer": dense_layer,
    "bert6": operator("bert"),
    "bert6-decomposed": bert_decomposed,
    "resnet50": image("resnet50"),
    "resnet50-b8": image("resnet50", 8),
    "mobilenet-v2": image("mobilenetv2"),
    "mobilenet-v3": image("mobilenetv3"),
    "unet": image("unet"),
    "qdq-matmul": operator("qdq-matmul"),
    "dynamic-int8-matmul": operator("dynamic-int8"),
    "qdq-conv": operator("qdq-conv-3x3"),
    "attention-2048": operator("attention-2048"),
    "chain-mixed": operator("small-nodes"),
    "matmul-1024": product,
    "matmul-1024-f16": lambda: product(kind=TensorProto.FLOAT16),
    "matmul-1024-bf16": lambda: product(kind=TensorProto.BFLOAT16),
    "softmax-short": unary("Softmax", (16, 12, 128, 128), axis=-1),
    "clip": unary("Clip", (4096, 1024), np.float32(0), np.float32(6)),
    "pow-3": unary("Pow", (4096, 1024), np.float32(3)),
    "grid-sample": operator("grid-linear"),
    "cumsum": operator("cumsum"),
}
MODELS.update({op.lower(): unary(op)
               for op in ("Tanh", "Sqrt", "Sin", "Atan", "Erf", "Exp")})


def inputs_of(path):
    """Values for the inputs of a model: normally distributed floats, integers
    0 or 1; a dict from name to array."""
    rng = np.random.default_rng(0)
    graph = onnx.load(path, load_external_data=False).graph
    weights = {t.name for t in graph.initializer}
    feed = {}
    for v in graph.input:
        if v.name in weights:
            continue
        t = v.type.tensor_type
        shape = [d.dim_value or 1 for d in t.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(t.elem_type)
        a = rng.standard_normal(shape) if t.elem_type in (
            F, TensorProto.FLOAT16, TensorProto.DOUBLE,
            TensorProto.BFLOAT16) else rng.integers(0, 2, shape)
        feed[v.name] = a.astype(kind)
    return feed


def main():
    name, path = sys.argv[1:]
    make = light(name[6:]) if name.startswith("light-") else MODELS[name]
    onnx.save(make(), path)
    os.makedirs(path + ".inputs")
    feed = inputs_of(path)
    for i, array in enumerate(feed.values()):
        np.save(f"{path}.inputs/{i}.npy", array)
    with open(path + ".inputs/names.json", "w", encoding="utf-8") as f:
        json.dump(list(feed), f)


if __name__ == "__main__":
    main()
