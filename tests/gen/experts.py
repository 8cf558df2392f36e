#!/usr/bin/env python3
"""Writes tests/data/experts: MoE layers of Hugging Face models, small and with
random weights, as PyTorch's two exporters write them, inputs, and the outputs
that ONNX Runtime computes.

    pip install torch transformers==4.46.3 onnx onnxscript onnxruntime
    python3 tests/gen/experts.py tests/data/experts
    pip install transformers==5.24.0
    python3 tests/gen/experts.py tests/data/experts

Of transformers 4:
mixtral-script, mixtral-dynamo   4 experts, 2 for each token: NonZero of a mask,
                                 Gather, products, index_add
qwen-script, qwen-dynamo         the same, and a shared expert
switch-script                    one for each token, which replaces it: NonZero
                                 of a mask of all elements, ScatterND

Of transformers 5, weights of all experts in one tensor:
switch5-script                   a tensor for each; which experts have tokens
                                 is a NonZero that a Split takes apart
NAME-eager                       qwen3, gptoss, deepseek (a shared expert),
                                 granite: the same, weights looked up
NAME-batched                     qwen3, gptoss: weights of each token's experts

Each folder gets model.onnx, and set-0 with input_0.pb and output_0.pb.
"""
import importlib
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from onnx import numpy_helper

DIM, HIDDEN, EXPERTS, CHOSEN = 8, 12, 4, 2
SHAPE = (2, 6, DIM)


class Layer(torch.nn.Module):
    """The tokens alone, without the logits of the router."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        y = self.block(x)
        return y[0] if isinstance(y, tuple) else y


def block(module, layer, config, how=None, seed=1, **sizes):
    models = "transformers.models." + module
    modeling = importlib.import_module(f"{models}.modeling_{module}")
    configs = importlib.import_module(f"{models}.configuration_{module}")
    made = getattr(configs, config)(**sizes)
    if how:
        made._experts_implementation = how
    torch.manual_seed(seed)
    layer = getattr(modeling, layer)(made)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0, 0.5)
    return layer


def layers_4():
    sizes = {"hidden_size": DIM, "num_experts_per_tok": CHOSEN}
    for kind in "script", "dynamo":
        yield "mixtral-" + kind, block(
            "mixtral", "MixtralSparseMoeBlock", "MixtralConfig",
            intermediate_size=HIDDEN, num_local_experts=EXPERTS, **sizes)
        yield "qwen-" + kind, block(
            "qwen2_moe", "Qwen2MoeSparseMoeBlock", "Qwen2MoeConfig",
            moe_intermediate_size=HIDDEN, num_experts=EXPERTS,
            shared_expert_intermediate_size=HIDDEN, **sizes)
    yield "switch-script", switch()


def switch():
    """Each expert has two tokens: exporters take the size of one for fixed."""
    return block("switch_transformers", "SwitchTransformersSparseMLP",
                 "SwitchTransformersConfig", seed=3, d_model=DIM, d_ff=HIDDEN,
                 num_experts=EXPERTS, expert_capacity=2, dropout_rate=0.0)


def layers_5():
    sizes = {"hidden_size": DIM, "num_experts_per_tok": CHOSEN}
    yield "switch5-script", switch()
    for kind, how in ("eager", "eager"), ("batched", "batched_mm"):
        yield "qwen3-" + kind, block(
            "qwen3_moe", "Qwen3MoeSparseMoeBlock", "Qwen3MoeConfig", how,
            moe_intermediate_size=HIDDEN, num_experts=EXPERTS, **sizes)
        yield "gptoss-" + kind, block(
            "gpt_oss", "GptOssMLP", "GptOssConfig", how,
            intermediate_size=HIDDEN, num_local_experts=EXPERTS, **sizes)
    yield "deepseek-eager", block(
        "deepseek_v3", "DeepseekV3MoE", "DeepseekV3Config", "eager",
        moe_intermediate_size=HIDDEN, n_routed_experts=EXPERTS,
        n_shared_experts=1, n_group=2, topk_group=1, **sizes)
    yield "granite-eager", block(
        "granitemoe", "GraniteMoeMoE", "GraniteMoeConfig", "eager",
        intermediate_size=HIDDEN, num_local_experts=EXPERTS, **sizes)


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
    old = transformers.__version__.startswith("4.")
    for name, layer in layers_4() if old else layers_5():
        write(f"{sys.argv[1]}/{name}", Layer(layer.eval()).eval(),
              name.endswith(("dynamo", "batched")))


main()
