#!/usr/bin/env python3
"""Writes tests/data/torch: two models exported by PyTorch's two exporters,
inputs, and the outputs that ONNX Runtime computes.

    pip install torch onnx onnxscript onnxruntime
    python3 tests/gen/export_torch.py tests/data/torch

encoder   TorchScript exporter: torch.nn.TransformerEncoder with a padding
          mask, dynamic batch (this exporter makes the sequence length of
          multi_head_attention_forward a constant).
decoder   dynamo exporter: a GPT-style decoder with past and present keys and
          values, dynamic batch, sequence and past.

Each folder gets model.onnx and for every set of sizes SET-N a folder with
input_K.pb and output_K.pb.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn

DIM, HEADS, HIDDEN, LAYERS, VOCAB = 48, 4, 96, 2, 50
SEQ = 6  # of the encoder


class Encoder(nn.Module):
    """A stack of torch's own encoder layers over token embeddings."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, DIM)
        layer = nn.TransformerEncoderLayer(
            DIM, HEADS, HIDDEN, batch_first=True, activation="gelu")
        self.stack = nn.TransformerEncoder(
            layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(DIM)

    def forward(self, tokens, padding):
        x = self.embed(tokens)
        x = self.stack(x, src_key_padding_mask=padding)
        return self.norm(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.out = nn.Linear(DIM, DIM)

    def forward(self, x, past_key, past_value):
        b, s, _ = x.shape
        q, k, v = self.qkv(x).split(DIM, dim=2)

        def heads(t):
            return t.view(b, s, HEADS, DIM // HEADS).transpose(1, 2)

        key = torch.cat([past_key, heads(k)], dim=2)
        value = torch.cat([past_value, heads(v)], dim=2)
        past = past_key.shape[2]
        at = torch.arange(s, device=x.device).unsqueeze(1) + past
        seen = torch.arange(past + s, device=x.device).unsqueeze(0) <= at
        scores = heads(q) @ key.transpose(2, 3) / (DIM // HEADS) ** 0.5
        scores = scores.masked_fill(~seen, float("-inf"))
        y = torch.softmax(scores, dim=-1) @ value
        y = y.transpose(1, 2).reshape(b, s, DIM)
        return self.out(y), key, value


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.attention = Attention()
        self.up, self.down = nn.Linear(DIM, HIDDEN), nn.Linear(HIDDEN, DIM)
        self.act = nn.GELU(approximate="tanh")

    def forward(self, x, past_key, past_value):
        y, key, value = self.attention(self.norm1(x), past_key, past_value)
        x = x + y
        return x + self.down(self.act(self.up(self.norm2(x)))), key, value


class Decoder(nn.Module):
    """GPT-2's shape: learned positions, pre-norm blocks, tied unembedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, DIM)
        self.position = nn.Embedding(64, DIM)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(DIM)

    def forward(self, tokens, *past):
        start = past[0].shape[2]
        at = torch.arange(start, start + tokens.shape[1],
                          device=tokens.device)
        x = self.embed(tokens) + self.position(at)
        present = []
        for i, block in enumerate(self.blocks):
            x, key, value = block(x, past[2 * i], past[2 * i + 1])
            present += [key, value]
        logits = self.norm(x) @ self.embed.weight.T
        return (logits, *present)


def randomize(model):
    """No zero biases, no two layers alike: their mistakes would not show."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                p.normal_(1, 0.1)
            else:
                p.normal_(0, 0.2)
    return model.eval()


def names(kind):
    return [f"{kind}.{i}.{what}" for i in range(LAYERS)
            for what in ("key", "value")]


def encoder_inputs(batch, seq, seed):
    rng = np.random.default_rng(seed)
    length = rng.integers(1, seq + 1, batch)
    length[0] = seq
    return [rng.integers(0, VOCAB, (batch, seq)),
            np.arange(seq)[None, :] >= length[:, None]]


def decoder_inputs(batch, seq, past, seed):
    rng = np.random.default_rng(seed)
    shape = (batch, HEADS, past, DIM // HEADS)
    cache = [rng.standard_normal(shape).astype(np.float32)
             for _ in range(2 * LAYERS)]
    return [rng.integers(0, VOCAB, (batch, seq)), *cache]


def save(path, inputs):
    session = onnxruntime.InferenceSession(
        os.path.join(path, "model.onnx"), providers=["CPUExecutionProvider"])
    given = {i.name: x for i, x in zip(session.get_inputs(), inputs[1])}
    folder = os.path.join(path, inputs[0])
    os.makedirs(folder, exist_ok=True)
    outputs = session.run(None, given)
    for kind, arrays, infos in (
            ("input", inputs[1], session.get_inputs()),
            ("output", outputs, session.get_outputs())):
        for k, (array, info) in enumerate(zip(arrays, infos)):
            tensor = numpy_helper.from_array(np.asarray(array), info.name)
            with open(os.path.join(folder, f"{kind}_{k}.pb"), "wb") as f:
                f.write(tensor.SerializeToString())


def export_encoder(path):
    model = randomize(Encoder())
    sample = [torch.from_numpy(x) for x in encoder_inputs(2, SEQ, 0)]
    torch.onnx.export(
        model, tuple(sample), os.path.join(path, "model.onnx"), dynamo=False,
        opset_version=17, input_names=["tokens", "padding"],
        output_names=["hidden"],
        dynamic_axes={"tokens": {0: "batch"}, "padding": {0: "batch"},
                      "hidden": {0: "batch"}})
    save(path, ("even", encoder_inputs(4, SEQ, 1)))
    save(path, ("uneven", encoder_inputs(5, SEQ, 2)))


def export_decoder(path):
    model = randomize(Decoder())
    sample = [torch.from_numpy(x) for x in decoder_inputs(2, 3, 4, 0)]
    batch, seq, past = (torch.export.Dim(n) for n in ("batch", "seq", "past"))
    program = torch.onnx.export(
        model, tuple(sample), dynamo=True, opset_version=20,
        input_names=["tokens", *names("past")],
        output_names=["logits", *names("present")],
        dynamic_shapes=({0: batch, 1: seq},
                        tuple({0: batch, 2: past} for _ in sample[1:])))
    program.save(os.path.join(path, "model.onnx"), external_data=False)
    # Where each line of Python came from is no part of the model.
    graph = onnx.load(os.path.join(path, "model.onnx"))
    for node in graph.graph.node:
        del node.metadata_props[:]
    del graph.graph.metadata_props[:]
    onnx.save(graph, os.path.join(path, "model.onnx"))
    save(path, ("even", decoder_inputs(4, 3, 5, 1)))
    save(path, ("uneven", decoder_inputs(5, 1, 6, 2)))


def main():
    torch.manual_seed(1)
    for name, export in (("encoder", export_encoder),
                         ("decoder", export_decoder)):
        path = os.path.join(sys.argv[1], name)
        os.makedirs(path, exist_ok=True)
        export(path)


if __name__ == "__main__":
    main()
