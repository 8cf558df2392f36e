#!/usr/bin/env python3
"""Writes tests/data/experts: MoE layers of Hugging Face models, small and with
random weights, as PyTorch's two exporters write them, inputs, and the outputs
that ONNX Runtime computes.

    pip install torch transformers==4.46.3 onnx onnxscript onnxruntime
    python3 tests/gen/experts.py tests/data/experts

mixtral-script, mixtral-dynamo   4 experts, 2 for each token: NonZero of a mask,
                                 Gather, products, index_add
qwen-script, qwen-dynamo         the same, and a shared expert

Each folder gets model.onnx, and set-0 with input_0.pb and output_0.pb.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from transformers.models.mixtral import modeling_mixtral as mixtral
from transformers.models.qwen2_moe import modeling_qwen2_moe as qwen

DIM, HIDDEN, EXPERTS, CHOSEN = 8, 12, 4, 2
SHAPE = (2, 6, DIM)


class Layer(torch.nn.Module):
    """The tokens alone, without the logits of the router."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return self.block(x)[0]


def layers():
    torch.manual_seed(1)
    yield "mixtral", mixtral.MixtralSparseMoeBlock(mixtral.MixtralConfig(
        hidden_size=DIM, intermediate_size=HIDDEN, num_local_experts=EXPERTS,
        num_experts_per_tok=CHOSEN))
    yield "qwen", qwen.Qwen2MoeSparseMoeBlock(qwen.Qwen2MoeConfig(
        hidden_size=DIM, moe_intermediate_size=HIDDEN, num_experts=EXPERTS,
        shared_expert_intermediate_size=HIDDEN, num_experts_per_tok=CHOSEN))


def forget_origin(model):
    """Drops what exporters say of the source: it is larger than the model."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output,
                  *model.graph.initializer]:
        del value.metadata_props[:]


def write(folder, layer, dynamo):
    os.makedirs(folder + "/set-0", exist_ok=True)
    path = folder + "/model.onnx"
    how = {"opset_version": 20, "external_data": False} if dynamo else {
        "opset_version": 18}
    x = torch.randn(SHAPE)
    with torch.no_grad():
        torch.onnx.export(layer, (x,), path, dynamo=dynamo, input_names=["x"],
                          output_names=["y"], **how)
    model = onnx.load(path)
    forget_origin(model)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path)
    y, = session.run(None, {"x": x.numpy()})
    for name, value in ("input", x.numpy()), ("output", y):
        with open(f"{folder}/set-0/{name}_0.pb", "wb") as f:
            f.write(numpy_helper.from_array(
                np.ascontiguousarray(value),
                "x" if name == "input" else "y").SerializeToString())


def main():
    for name, block in layers():
        layer = Layer(block.eval()).eval()
        for dynamo in False, True:
            kind = "dynamo" if dynamo else "script"
            write(f"{sys.argv[1]}/{name}-{kind}", layer, dynamo)


main()
