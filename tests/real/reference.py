#!/usr/bin/env python3
"""Writes inputs of a model and the outputs that ONNX Runtime gives for them.

usage: reference.py MODEL DIR NAME=DIMS[:LOW:HIGH]...

DIR gets model.onnx (a link), test_data_set_0 with input_N.pb and output_N.pb,
as ONNX's backend tests have them, and bind.yaml, the sizes of symbolic dims
as a spec's `bind` has them.  Random numbers are seeded by
the name of the model.  Needs the Python packages onnx, onnxruntime and numpy.
"""
import json
import os
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


def draw(rng, dtype, spec):
    dims, *bounds = spec.split(":")
    shape = [int(d) for d in dims.split(",") if d]
    if np.issubdtype(dtype, np.integer):
        low, high = (int(b) for b in bounds) if bounds else (0, 2)
        return rng.integers(low, high, shape).astype(dtype)
    if bounds:
        low, high = (float(b) for b in bounds)
        if high - low > 1:  # codes that are stored as floats
            return np.floor(rng.uniform(low, high, shape)).astype(dtype)
        return rng.uniform(low, high, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def main():
    path, out, *given = sys.argv[1:]
    spec = dict(g.split("=", 1) for g in given)
    model = onnx.load(path)
    weights = {t.name for t in model.graph.initializer}
    rng = np.random.default_rng(zlib.crc32(os.path.basename(path).encode()))
    folder = os.path.join(out, "test_data_set_0")
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(out, "model.onnx")
    if not os.path.lexists(link):
        os.symlink(os.path.abspath(path), link)
    feed = {}
    bind = {}
    for i, x in enumerate(v for v in model.graph.input
                          if v.name not in weights):
        kind = x.type.tensor_type.elem_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        feed[x.name] = np.asarray(draw(rng, dtype, spec[x.name]))
        save(numpy_helper.from_array(feed[x.name], x.name),
             os.path.join(folder, f"input_{i}.pb"))
        for d, dim in enumerate(x.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") or dim.dim_value < 0:
                name = dim.dim_param if dim.dim_param != "?" else ""
                bind[name or f"{x.name}:{d}"] = feed[x.name].shape[d]
    with open(os.path.join(out, "bind.yaml"), "w") as f:
        f.write("bind: " + json.dumps(bind) + "\n")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    for i, (name, y) in enumerate(zip(names, session.run(names, feed))):
        save(numpy_helper.from_array(np.asarray(y), name),
             os.path.join(folder, f"output_{i}.pb"))


def save(tensor, path):
    with open(path, "wb") as f:
        f.write(tensor.SerializeToString())


if __name__ == "__main__":
    main()
