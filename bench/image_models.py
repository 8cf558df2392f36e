#!/usr/bin/env python3
"""Writes image models with random weights: ResNet-50 and a U-Net.

usage: image_models.py resnet50|unet FILE [SIZE]

SIZE is the height and width of the image (default 224 and 256; the U-Net
halves it four times).  Needs the Python packages onnx and numpy.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A graph that grows at its end; tensors are known by their names."""

    def __init__(self):
        self.rng = np.random.default_rng(1)
        self.nodes, self.weights = [], []

    def weight(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(
            numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def kernel(self, *dims):
        fan_in = np.prod(dims[1:])
        return self.weight(self.rng.standard_normal(dims) * (2 / fan_in) ** .5)

    def op(self, kind, *operands, **attributes):
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], name=name,
                                           **attributes))
        return name

    def conv(self, x, channels, out, size, step=1):
        return self.op("Conv", x, self.kernel(out, channels, size, size),
                       kernel_shape=[size] * 2, strides=[step] * 2,
                       pads=[size // 2] * 4)

    def norm(self, x, channels):
        scale, var = (self.rng.uniform(.5, 1, channels) for _ in range(2))
        bias, mean = (self.rng.normal(0, .1, channels) for _ in range(2))
        return self.op("BatchNormalization", x, *map(
            self.weight, (scale, bias, mean, var)))

    def layer(self, x, channels, out, size, step=1):
        return self.op("Relu", self.norm(
            self.conv(x, channels, out, size, step), out))

    def save(self, path, size, out, dims):
        def info(name, d):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, d)
        graph = helper.make_graph(
            self.nodes, "image", [info("image", [1, 3, size, size])],
            [info(out, dims)], self.weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def resnet50(path, size=224):
    net = Net()
    x = net.layer("image", 3, 64, 7, 2)
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner, out = 64 << stage, 256 << stage
        for block in range(blocks):
            step = 2 if stage and not block else 1
            y = net.layer(x, channels, inner, 1)
            y = net.layer(y, inner, inner, 3, step)
            y = net.norm(net.conv(y, inner, out, 1), out)
            if not block:
                x = net.norm(net.conv(x, channels, out, 1, step), out)
            x = net.op("Relu", net.op("Add", x, y))
            channels = out
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    x = net.op("Gemm", x, net.kernel(1000, channels),
               net.weight(np.zeros(1000)), transB=1)
    net.save(path, size, x, [1, 1000])


def unet(path, size=256, width=16, depth=4):
    def twice(x, channels, out):
        return net.layer(net.layer(x, channels, out, 3), out, out, 3)
    net = Net()
    x, channels, skips = "image", 3, []
    for level in range(depth):
        x = twice(x, channels, width << level)
        channels = width << level
        skips.append(x)
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = twice(x, channels, 2 * channels)
    for skip in reversed(skips):
        x = net.op("ConvTranspose", x, net.kernel(2 * channels, channels, 2, 2),
                   kernel_shape=[2, 2], strides=[2, 2])
        x = twice(net.op("Concat", x, skip, axis=1), 2 * channels, channels)
        channels //= 2
    net.save(path, size, net.conv(x, width, 2, 1), [1, 2, size, size])


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("resnet50", "unet"):
        sys.exit(__doc__)
    globals()[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
