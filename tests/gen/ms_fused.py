#!/usr/bin/env python3
"""Cases of the fused operators of com.microsoft, with ONNX Runtime's outputs.

usage: ms_fused.py [FOLDER]     (needs onnx, onnxruntime and numpy)

Writes FOLDER/CASE/model.onnx, test_data_set_0/input_N.pb and output_N.pb, the
form of ONNX's backend tests; FOLDER is tests/data/cases/microsoft unless
given.  The data is the same in every run.
"""
import pathlib
import sys
import zlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

TYPES = {np.dtype("f4"): TensorProto.FLOAT, np.dtype("f2"): TensorProto.FLOAT16,
         np.dtype("f8"): TensorProto.DOUBLE, np.dtype("i8"): TensorProto.INT64}


def value(name, array):
    return helper.make_tensor_value_info(name, TYPES[array.dtype], array.shape)


def case(folder, name, op, inputs, outputs, domain="com.microsoft", **attrs):
    """inputs: arrays, or None for one that is left out.  outputs: a type for
    each, or None for one that is left out."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    results = [f"y{i}" if t else "" for i, t in enumerate(outputs)]
    node = helper.make_node(op, names, results, domain=domain, **attrs)
    given = {n: x for n, x in zip(names, inputs) if n}
    wanted = [n for n in results if n]
    types = [t for t in outputs if t]

    def model(shapes):
        graph = helper.make_graph(
            [node], name, [value(n, x) for n, x in given.items()],
            [helper.make_tensor_value_info(n, TYPES[np.dtype(t)], s)
             for n, t, s in zip(wanted, types, shapes)])
        return helper.make_model(
            graph, ir_version=8,
            opset_imports=[helper.make_opsetid("", 17),
                           helper.make_opsetid("com.microsoft", 1)])

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model([None] * len(wanted)).SerializeToString(), options,
        providers=["CPUExecutionProvider"])
    made = session.run(wanted, given)
    data = folder / name / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    (folder / name / "model.onnx").write_bytes(
        model([y.shape for y in made]).SerializeToString())
    for what, arrays in (("input", given), ("output", dict(zip(wanted, made)))):
        for i, (n, x) in enumerate(arrays.items()):
            (data / f"{what}_{i}.pb").write_bytes(
                numpy_helper.from_array(np.asarray(x), n).SerializeToString())


class Cases:
    def __init__(self, folder):
        self.folder = folder

    def add(self, name, op, inputs, outputs=("f",), **attrs):
        seed = zlib.crc32(name.encode())
        rng = np.random.default_rng(seed)
        arrays = []
        for spec in inputs:
            if spec is None:
                arrays.append(None)
                continue
            shape, dtype = spec if isinstance(spec, tuple) else (spec, "f")
            arrays.append(rng.standard_normal(shape).astype(dtype))
        case(self.folder, "test_ms_" + name, op, arrays, outputs, **attrs)


def gelus(c):
    c.add("gelu", "Gelu", [[2, 3, 5]])
    c.add("bias_gelu", "BiasGelu", [[2, 3, 6], [6]])
    c.add("fast_gelu", "FastGelu", [[2, 3, 6]])
    c.add("fast_gelu_bias", "FastGelu", [[2, 3, 6], [6]])
    c.add("quick_gelu", "QuickGelu", [[3, 7]])
    c.add("quick_gelu_alpha", "QuickGelu", [[3, 7]], alpha=-0.5)


def matmuls(c):
    op = "FusedMatMul"
    c.add("matmul", op, [[3, 4], [4, 5]])
    c.add("matmul_alpha", op, [[2, 3, 4], [2, 4, 5]], alpha=0.125)
    c.add("matmul_trans_a", op, [[4, 3], [4, 5]], transA=1)
    c.add("matmul_trans_b", op, [[2, 3, 4], [2, 5, 4]], transB=1, alpha=0.5)
    c.add("matmul_trans_ab", op, [[2, 2, 4, 3], [2, 2, 5, 4]], transA=1,
          transB=1)
    c.add("matmul_broadcast", op, [[2, 2, 3, 4], [2, 5, 4]], transB=1)
    c.add("matmul_broadcast_2d", op, [[2, 3, 4], [5, 4]], transB=1)
    c.add("matmul_vector_a", op, [[4], [2, 5, 4]], transA=1, transB=1)
    c.add("matmul_vector_b", op, [[2, 3, 4], [4]], transB=1)
    c.add("matmul_batch_a", op, [[3, 2, 4], [2, 4, 5]], transBatchA=1)
    c.add("matmul_batch_b", op, [[2, 3, 4], [4, 2, 5]], transBatchB=1)
    c.add("matmul_batch_ab_trans", op, [[4, 2, 2, 3], [5, 2, 2, 4]],
          transA=1, transB=1, transBatchA=1, transBatchB=1, alpha=2.0)
    c.add("matmul_f64", op, [([3, 4], "d"), ([5, 4], "d")], ("d",), transB=1,
          alpha=0.1)


def convs(c):
    op = "FusedConv"
    x, w, b = [1, 2, 5, 5], [3, 2, 3, 3], [3]
    c.add("conv", op, [x, w])
    c.add("conv_relu", op, [x, w, b], activation="Relu", pads=[1, 1, 1, 1],
          kernel_shape=[3, 3])
    c.add("conv_sum_relu", op, [x, w, b, [1, 3, 3, 3]], activation="Relu")
    c.add("conv_leaky", op, [x, w, b], activation="LeakyRelu",
          activation_params=[0.25], strides=[2, 2])
    c.add("conv_clip", op, [x, w, b], activation="Clip",
          activation_params=[-0.5, 1.5], dilations=[2, 2])
    c.add("conv_hard_sigmoid", op, [x, [2, 1, 3, 3]], group=2,
          activation="HardSigmoid", activation_params=[0.1, 0.4])
    c.add("conv_tanh", op, [x, w], activation="Tanh", auto_pad="SAME_UPPER")
    c.add("conv_sigmoid", op, [x, w], activation="Sigmoid")
    op = "FusedGemm"
    a, b, v = [3, 4], [4, 5], [5]
    c.add("gemm_relu", op, [a, b, v], activation="Relu")
    c.add("gemm_leaky", op, [a, b, v], activation="LeakyRelu",
          activation_alpha=0.3, alpha=0.5, beta=2.0)
    c.add("gemm_tanh", op, [[4, 3], [5, 4]], transA=1, transB=1,
          activation="Tanh")
    c.add("gemm_elu", op, [a, b, v], activation="Elu", activation_alpha=0.7)
    c.add("gemm_hard_sigmoid", op, [a, b, v], activation="HardSigmoid",
          activation_alpha=0.2, activation_beta=0.3)


def norms(c):
    h = 6
    skip, simple = "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"
    x, v = [2, 3, h], [h]
    c.add("skip_ln", skip, [x, x, v])
    c.add("skip_ln_beta", skip, [x, x, v, v], epsilon=1e-5)
    c.add("skip_ln_bias", skip, [x, x, v, v, v])
    c.add("skip_ln_bias_only", skip, [x, x, v, None, v])
    c.add("skip_ln_sum", skip, [x, x, v, v, v], ("f", None, None, "f"))
    c.add("skip_ln_sum_no_bias", skip, [x, x, v, v], ("f", None, None, "f"))
    c.add("skip_ln_broadcast", skip, [x, [3, h], v, v])
    c.add("skip_ln_broadcast_1", skip, [x, [1, 3, h], v, v])
    c.add("skip_ln_2d", skip, [[3, h], [3, h], v, v])
    c.add("skip_ln_f16", skip, [(x, "f2"), (x, "f2"), (v, "f2"), (v, "f2")],
          ("f2",), epsilon=1e-5)
    c.add("skip_ln_saved", skip, [x, x, v], ("f", "f", "f", "f"))
    c.add("skip_rms_saved", simple, [x, x, v], ("f", "f", "f"))
    c.add("skip_rms", simple, [x, x, v])
    c.add("skip_rms_bias", simple, [x, x, v, v], epsilon=1e-6)
    c.add("skip_rms_sum", simple, [x, x, v], ("f", None, None, "f"))
    c.add("skip_rms_bias_sum", simple, [x, x, v, v], ("f", None, None, "f"))
    c.add("skip_rms_broadcast", simple, [x, [1, 3, h], v])
    c.add("rms", "SimplifiedLayerNormalization", [x, v], domain="",
          epsilon=1e-6, axis=-1, stash_type=1)
    c.add("rms_default", "SimplifiedLayerNormalization", [x, v], domain="")
    c.add("rms_axis", "SimplifiedLayerNormalization", [x, [3, h]], domain="",
          axis=1)
    c.add("rms_inv", "SimplifiedLayerNormalization", [x, v], ("f", "f"),
          domain="", epsilon=0.1)


def trilus(c):
    x = np.arange(24, dtype="f").reshape(2, 3, 4)
    case(c.folder, "test_ms_trilu", "Trilu", [x], ["f"])
    case(c.folder, "test_ms_trilu_lower", "Trilu", [x, np.array(-1)], ["f"],
         upper=0)


def main():
    here = pathlib.Path(__file__).resolve().parent
    c = Cases(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1
              else here / "../data/cases/microsoft")
    gelus(c)
    matmuls(c)
    convs(c)
    norms(c)
    trilus(c)


if __name__ == "__main__":
    main()
