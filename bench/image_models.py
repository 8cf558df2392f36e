#!/usr/bin/env python3
"""Writes image models with random weights: ResNet-50, MobileNetV2 and V3
(large), and a U-Net.

usage: image_models.py resnet50|mobilenetv2|mobilenetv3|unet FILE [SIZE [BATCH]]

SIZE is the height and width of the images (default 224, of the U-Net, which
halves it four times, 256), BATCH how many there are (1).  Needs the Python
packages onnx and numpy.
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

    def conv(self, x, channels, out, size, step=1, group=1):
        return self.op("Conv", x,
                       self.kernel(out, channels // group, size, size),
                       kernel_shape=[size] * 2, strides=[step] * 2,
                       pads=[size // 2] * 4, group=group)

    def norm(self, x, channels):
        scale, var = (self.rng.uniform(.5, 1, channels) for _ in range(2))
        bias, mean = (self.rng.normal(0, .1, channels) for _ in range(2))
        return self.op("BatchNormalization", x, *map(
            self.weight, (scale, bias, mean, var)))

    def layer(self, x, channels, out, size, step=1):
        return self.op("Relu", self.norm(
            self.conv(x, channels, out, size, step), out))

    def classify(self, x, channels, classes=1000):
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", x, self.kernel(classes, channels),
                       self.weight(np.zeros(classes)), transB=1)

    def save(self, path, size, out, dims):
        def info(name, d):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, d)
        graph = helper.make_graph(
            self.nodes, "image", [info("image", [dims[0], 3, size, size])],
            [info(out, dims)], self.weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def resnet50(path, size=224, batch=1):
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
    net.save(path, size, net.classify(x, channels), [batch, 1000])


# Both of these have inverted residual blocks: more channels by a convolution of
# one tap, one per channel, fewer by one tap; what is expanded is not linear.
def mobilenetv2(path, size=224, batch=1):
    net = Net()
    low, high = (net.weight(np.array(v)) for v in (0, 6))

    def layer(x, *shape):
        return net.op("Clip", net.norm(net.conv(x, *shape), shape[1]),
                      low, high)
    x, channels = layer("image", 3, 32, 3, 2), 32
    for grow, out, blocks, first in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
            (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(blocks):
            inner, step = grow * channels, 1 if block else first
            y = layer(x, channels, inner, 1) if grow > 1 else x
            y = layer(y, inner, inner, 3, step, inner)
            y = net.norm(net.conv(y, inner, out, 1), out)
            x = net.op("Add", x, y) if block else y
            channels = out
    x = layer(x, channels, 1280, 1)
    net.save(path, size, net.classify(x, 1280), [batch, 1000])


def mobilenetv3(path, size=224, batch=1):
    net = Net()

    def layer(kind, x, *shape):
        return net.op(kind, net.norm(net.conv(x, *shape), shape[1]))

    def squeeze(x, channels):
        few = (channels // 4 + 4) // 8 * 8
        y = net.op("GlobalAveragePool", x)
        y = net.op("Relu", net.conv(y, channels, few, 1))
        y = net.op("HardSigmoid", net.conv(y, few, channels, 1), alpha=1 / 6)
        return net.op("Mul", y, x)
    x, channels = layer("HardSwish", "image", 3, 16, 3, 2), 16
    for size_, inner, out, se, kind, step in (
            (3, 16, 16, 0, "Relu", 1), (3, 64, 24, 0, "Relu", 2),
            (3, 72, 24, 0, "Relu", 1), (5, 72, 40, 1, "Relu", 2),
            (5, 120, 40, 1, "Relu", 1), (5, 120, 40, 1, "Relu", 1),
            (3, 240, 80, 0, "HardSwish", 2), (3, 200, 80, 0, "HardSwish", 1),
            (3, 184, 80, 0, "HardSwish", 1), (3, 184, 80, 0, "HardSwish", 1),
            (3, 480, 112, 1, "HardSwish", 1), (3, 672, 112, 1, "HardSwish", 1),
            (5, 672, 160, 1, "HardSwish", 2), (5, 960, 160, 1, "HardSwish", 1),
            (5, 960, 160, 1, "HardSwish", 1)):
        y = layer(kind, x, channels, inner, 1) if inner != channels else x
        y = layer(kind, y, inner, inner, size_, step, inner)
        if se:
            y = squeeze(y, inner)
        y = net.norm(net.conv(y, inner, out, 1), out)
        x = net.op("Add", x, y) if step == 1 and out == channels else y
        channels = out
    x = layer("HardSwish", x, channels, 960, 1)
    net.save(path, size, net.classify(x, 960), [batch, 1000])


def unet(path, size=256, batch=1, width=16, depth=4):
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
    net.save(path, size, net.conv(x, width, 2, 1), [batch, 2, size, size])


if __name__ == "__main__":
    made = {"resnet50": resnet50, "mobilenetv2": mobilenetv2,
            "mobilenetv3": mobilenetv3, "unet": unet}
    if not 3 <= len(sys.argv) <= 5 or sys.argv[1] not in made:
        sys.exit(__doc__)
    made[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
