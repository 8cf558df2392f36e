#!/usr/bin/env python3
"""Writes cases of quantised operators of com.microsoft for test_conformance,
with the outputs that ONNX Runtime gives:

    python3 ms_quant.py tests/data/cases/microsoft
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

TYPE = {np.dtype("float32"): TensorProto.FLOAT,
        np.dtype("float16"): TensorProto.FLOAT16,
        np.dtype("uint8"): TensorProto.UINT8,
        np.dtype("int8"): TensorProto.INT8,
        np.dtype("uint16"): TensorProto.UINT16,
        np.dtype("int16"): TensorProto.INT16,
        np.dtype("int32"): TensorProto.INT32}


def info(name, x):
    return helper.make_tensor_value_info(name, TYPE[x.dtype], x.shape)


def write(root, case, op, operands, out, **attributes):
    """operands: (name, array) or None for one that is left out."""
    given = [x for x in operands if x]
    names = [x[0] if x else "" for x in operands]
    node = helper.make_node(op, names, ["y"], domain="com.microsoft",
                            **attributes)
    like = np.zeros(out[1], out[0])
    graph = helper.make_graph([node], case, [info(*x) for x in given],
                              [info("y", like)])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21),
                              helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 10
    session = ort.InferenceSession(model.SerializeToString())
    y, = session.run(None, dict(given))
    folder = os.path.join(root, case, "test_data_set_0")
    os.makedirs(folder, exist_ok=True)
    onnx.save(model, os.path.join(root, case, "model.onnx"))
    tensors = [("input_%d" % i, x) for i, x in enumerate(given)]
    for name, (label, x) in tensors + [("output_0", ("y", y))]:
        with open(os.path.join(folder, name + ".pb"), "wb") as f:
            f.write(numpy_helper.from_array(x, label).SerializeToString())


def pack(codes, bits):
    """The last dim of codes, several to a byte, padded with zeros."""
    per = 8 // bits
    short = -codes.shape[-1] % per
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, short)])
    codes = codes.reshape(codes.shape[:-1] + (-1, per)).astype(np.uint32)
    shifts = bits * np.arange(per, dtype=np.uint32)
    return (codes << shifts).sum(-1).astype(np.uint8)


def nbits(root, case, lead, k, n, bits, block, zeros=None, bias=False,
          dtype=np.float32, group=False):
    r = np.random.default_rng(k + n + bits + block)
    blocks = -(-k // block)
    a = r.standard_normal(lead + (k,)).astype(dtype)
    codes = r.integers(0, 1 << bits, (n, blocks, block))
    scales = (r.random((n, blocks)) * 0.1 + 0.01).astype(dtype)
    operands = [("a", a), ("b", pack(codes, bits)), ("scales", scales), None,
                None, None]
    if zeros == "packed":
        operands[3] = ("zeros", pack(r.integers(0, 1 << bits, (n, blocks)),
                                     bits))
    elif zeros == "float":
        operands[3] = ("zeros", (r.random((n, blocks)) * 8).astype(dtype))
    if group:
        operands[4] = ("g_idx", r.integers(0, blocks, k).astype(np.int32))
    if bias:
        operands[5] = ("bias", r.standard_normal(n).astype(dtype))
    while operands[-1] is None:
        operands.pop()
    write(root, case, "MatMulNBits", operands, (dtype, lead + (n,)), K=k, N=n,
          bits=bits, block_size=block)


def linear(root):
    r = np.random.default_rng(5)
    x = (r.standard_normal((3, 5)) * 60).astype(np.float32)
    for t, low, high in ((np.int16, -3000, 3000), (np.uint16, 0, 60000),
                         (np.int8, -100, 100)):
        scale = (r.random(5) + 0.5).astype(np.float32)
        zero = r.integers(low, high, 5).astype(t)
        name = np.dtype(t).name
        write(root, "test_ms_quantizelinear_" + name, "QuantizeLinear",
              [("x", x), ("scale", scale), ("zero", zero)], (t, (3, 5)),
              axis=1)
        q = r.integers(low, high, (3, 5)).astype(t)
        write(root, "test_ms_dequantizelinear_" + name, "DequantizeLinear",
              [("q", q), ("scale", scale), ("zero", zero)],
              (np.float32, (3, 5)), axis=1)
    write(root, "test_ms_quantizelinear_scalar", "QuantizeLinear",
          [("x", x), ("scale", np.array(0.3, np.float32)),
           ("zero", np.array(17, np.uint8))],
          (np.uint8, (3, 5)))


def products(root):
    """Weights are unsigned: with i8 ONNX Runtime's sums saturate on
    processors without VNNI."""
    r = np.random.default_rng(9)
    a = r.integers(0, 256, (2, 3, 16)).astype(np.uint8)
    b = r.integers(0, 256, (16, 5)).astype(np.uint8)
    x = r.standard_normal((4, 16)).astype(np.float32)
    scale = (r.random(5) * 0.1 + 0.01).astype(np.float32)
    zero = r.integers(0, 256, 5).astype(np.uint8)
    bias = r.standard_normal(5).astype(np.float32)
    one = np.array([0.03], np.float32)
    write(root, "test_ms_matmulintegertofloat", "MatMulIntegerToFloat",
          [("a", a), ("b", b), ("sa", one), ("sb", scale),
           ("za", np.array([7], np.uint8)), ("zb", zero), ("bias", bias)],
          (np.float32, (2, 3, 5)))
    write(root, "test_ms_matmulintegertofloat_few", "MatMulIntegerToFloat",
          [("a", a), ("b", b), ("sa", one), ("sb", one)],
          (np.float32, (2, 3, 5)))
    write(root, "test_ms_dynamicquantizematmul", "DynamicQuantizeMatMul",
          [("x", x), ("b", b), ("sb", scale), ("zb", zero), ("bias", bias)],
          (np.float32, (4, 5)))
    for op in ("QLinearAdd", "QLinearMul"):
        write(root, "test_ms_" + op.lower(), op,
              [("a", a), ("sa", np.array(0.03, np.float32)),
               ("za", np.array(120, np.uint8)), ("b", a[0, :1] ^ 21),
               ("sb", np.array(0.05, np.float32)),
               ("zb", np.array(90, np.uint8)),
               ("sc", np.array(0.0713, np.float32)),
               ("zc", np.array(101, np.uint8))], (np.uint8, (2, 3, 16)))


def qmoe(root, case, tokens, hidden, inner, experts, bits=4, block=0, k=2,
         act="silu", fusion=0, zeros=False, bias=False, dtype=np.float32,
         **more):
    """bits: one number, or one of fc1 and one of fc2."""
    r = np.random.default_rng(len(case) + hidden)
    up = inner * (2 if fusion else 1)
    b1, b2 = bits if isinstance(bits, tuple) else (bits, bits)

    def weights(rows, cols, bits):
        codes = r.integers(0, 1 << bits, (experts, rows, cols))
        blocks = cols // block if block else 1
        scale = (r.random((experts, rows, blocks)) * 0.1 + 0.01).astype(dtype)
        zero = r.integers(0, 1 << bits, (experts, rows, blocks))
        if not block:
            scale, zero = scale[:, :, 0], zero[:, :, 0]
        return [pack(codes, bits), scale,
                r.standard_normal((experts, rows)).astype(dtype),
                pack(zero, bits)]

    fc1, fc2 = weights(up, hidden, b1), weights(hidden, inner, b2)
    operands = [("x", r.standard_normal(tokens + (hidden,)).astype(dtype)),
                ("router", r.standard_normal(
                    (int(np.prod(tokens)), experts)).astype(dtype))]
    for i, fc in enumerate((fc1, fc2)):
        n = str(i + 1)
        operands += [("w" + n, fc[0]), ("s" + n, fc[1]),
                     ("b" + n, fc[2]) if bias else None]
    operands += [None, None, None]
    if zeros:
        operands += [("z1", fc1[3]), ("z2", fc2[3])]
    while operands[-1] is None:
        operands.pop()
    if isinstance(bits, tuple):
        more.update(fc1_expert_weight_bits=b1, fc2_expert_weight_bits=b2)
    else:
        more.update(expert_weight_bits=bits)
    if block:
        more.update(block_size=block)
    if act == "swiglu":
        more.update(swiglu_fusion=fusion, activation_alpha=1.702,
                    activation_beta=1.0)
    write(root, case, "QMoE", operands, (dtype, tokens + (hidden,)), k=k,
          activation_type=act, **more)


def main(root):
    nbits(root, "test_matmulnbits_4", (3,), 64, 8, 4, 32)
    nbits(root, "test_matmulnbits_4_one_row", (1,), 64, 8, 4, 16)
    nbits(root, "test_matmulnbits_4_zeros", (2, 3), 96, 8, 4, 32, "packed")
    nbits(root, "test_matmulnbits_4_even_zeros", (5,), 64, 6, 4, 16, "packed")
    nbits(root, "test_matmulnbits_4_float_zeros", (2,), 64, 8, 4, 32, "float")
    nbits(root, "test_matmulnbits_4_rest", (2,), 40, 5, 4, 16, "packed")
    nbits(root, "test_matmulnbits_4_bias", (2,), 64, 8, 4, 32, "packed", True)
    nbits(root, "test_matmulnbits_4_many", (16,), 64, 70, 4, 32, "packed")
    nbits(root, "test_matmulnbits_8", (3,), 64, 8, 8, 32)
    nbits(root, "test_matmulnbits_8_zeros", (3,), 64, 8, 8, 32, "packed")
    nbits(root, "test_matmulnbits_4_float16", (3,), 64, 8, 4, 32, "packed",
          dtype=np.float16)
    nbits(root, "test_matmulnbits_2", (3,), 64, 8, 2, 16, "packed")
    nbits(root, "test_matmulnbits_4_groups", (3,), 64, 8, 4, 16, "float",
          group=True)
    linear(root)
    products(root)
    qmoe(root, "test_qmoe_4", (5,), 32, 16, 4)
    qmoe(root, "test_qmoe_4_normalized", (5,), 32, 16, 4, act="relu",
         normalize_routing_weights=1)
    qmoe(root, "test_qmoe_4_blocks", (2, 3), 32, 32, 4, block=16, act="gelu",
         normalize_routing_weights=1, bias=True)
    qmoe(root, "test_qmoe_4_zeros", (5,), 32, 32, 4, block=16, zeros=True,
         normalize_routing_weights=1)
    qmoe(root, "test_qmoe_4_row_zeros", (5,), 32, 16, 4, zeros=True,
         normalize_routing_weights=1)
    qmoe(root, "test_qmoe_4_swiglu", (5,), 32, 64, 3, block=32, act="swiglu",
         fusion=1, bias=True, normalize_routing_weights=1)
    qmoe(root, "test_qmoe_8", (5,), 32, 16, 4, bits=8,
         normalize_routing_weights=1)
    qmoe(root, "test_qmoe_4_float16", (5,), 32, 16, 4, dtype=np.float16,
         normalize_routing_weights=1)


if __name__ == "__main__":
    main(sys.argv[1])
