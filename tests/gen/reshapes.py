#!/usr/bin/env python3
"""Random reshapes as cases of test_bytes, with the bytes that are enough.

    python3 tests/gen/reshapes.py SEED COUNT KIND > FILE
    tests/test_bytes --update FILE; grep -c 'more than' FILE

KIND is
  flat    both sides split along their first dim: blocks are ranges of the
          elements in their order; none may send more than it says
  back    a reshape, Neg and the reshape back, nothing said of what is between
  heads   columns of a product become heads, more than devices
  any     any dims split on both sides: of these some send more, for they take
          more than one move

What is enough: each device lacks what it needs and does not have, and gets it
from the one that agrees with it on all axes that do not split the operand; the
most that any one sends.  Every case is run; a line of the output that says
"differs" or "predicted" is an error.
"""
import itertools
import random
import sys

import numpy as np

MESHES = [{"p": 2}, {"p": 3}, {"p": 4}, {"a": 2, "b": 2}, {"a": 2, "b": 3}]
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16]
draw = random.Random(int(sys.argv[1]))


def block(mesh, axes, n, device):
    parts, index = 1, 0
    for axis in axes:
        parts *= mesh[axis]
        index = index * mesh[axis] + device[axis]
    size = -(-n // parts)
    return slice(min(n, index * size), min(n, (index + 1) * size))


def owned(mesh, shape, split, device):
    """The elements of a device, in their order."""
    held = np.zeros(shape, bool)
    held[tuple(block(mesh, split[d], n, device)
               for d, n in enumerate(shape))] = True
    return held.reshape(-1)


def enough(mesh, x, of_x, y, of_y):
    devices = [dict(zip(mesh, c)) for c in
               itertools.product(*[range(n) for n in mesh.values()])]
    have = [owned(mesh, x, of_x, d) for d in devices]
    need = [owned(mesh, y, of_y, d) for d in devices]
    free = [a for a in mesh if a not in sum(of_x, [])]
    sent = [0] * len(devices)
    for q, p in itertools.permutations(range(len(devices)), 2):
        if all(devices[p][a] == devices[q][a] for a in free):
            sent[p] += int((need[q] & ~have[q] & have[p]).sum())
    return 4 * max(sent)


def divisor(n):
    return draw.choice([d for d in range(1, n + 1) if n % d == 0])


def shape():
    while True:
        dims = [draw.choice(SIZES) for _ in range(draw.randint(1, 4))]
        if 4 <= np.prod(dims) <= 4000:
            return dims


def another(x):
    """A shape of as many elements: neighbours merged, a dim divided, two dims
    with rows of another length, or anything."""
    y, i = list(x), draw.randrange(len(x))
    how = draw.randrange(4)
    if how == 0 and i + 1 < len(x):
        y[i:i + 2] = [x[i] * x[i + 1]]
    elif how <= 2:
        n = int(np.prod(x[i:i + how]))
        d = divisor(n)
        y[i:i + how] = [d, n // d]
    else:
        n = int(np.prod(x))
        y = []
        for _ in range(draw.randint(0, 3)):
            y.append(divisor(n))
            n //= y[-1]
        y.append(n)
    return y


def any_split(mesh, dims):
    while True:
        split = [[] for _ in dims]
        for axis in draw.sample(list(mesh), len(mesh)):
            if draw.random() < 0.8:
                draw.choice(split).append(axis)
        if all(np.prod([mesh[a] for a in s]) <= max(n, 1)
               for s, n in zip(split, dims)):
            return split


def first_split(mesh, dims, axes):
    split = [[] for _ in dims]
    split[next((d for d, n in enumerate(dims) if n > 1), 0)] = list(axes)
    return split


def text(split):
    dims = [f"[{','.join(s)}]" if len(s) > 1 else s[0] if s else "~"
            for s in split]
    return "{" + ",".join(dims) + "}"


def case(number, kind):
    mesh = draw.choice(MESHES[:3] if kind == "heads" else MESHES)
    x = shape()
    y = another(x)
    axes = draw.sample(list(mesh), draw.randint(1, len(mesh)))
    of_x, of_y = first_split(mesh, x, axes), first_split(mesh, y, axes)
    if kind == "any":
        of_x, of_y = any_split(mesh, x), any_split(mesh, y)
    most = enough(mesh, x, of_x, y, of_y)
    lines = [f"input x {text(of_x)} : f32{x}",
             f"constant to : i64[{len(y)}] = {y}"]
    if kind in ("any", "flat"):
        lines += [f"y = Reshape(x, to) {text(of_y)} : f32{y}"]
    elif kind == "back":
        most = 0
        lines += [f"constant back : i64[{len(x)}] = {x}", "a = Reshape(x, to)",
                  "b = Neg(a)", f"y = Reshape(b, back) {text(of_x)} : f32{x}"]
    else:
        parts = mesh["p"]
        n, s, h, d = (draw.randint(1, 3), draw.randint(2, 5),
                      draw.randint(parts, 9), draw.randint(1, 4))
        x, y = [n, s, h * d], [n, s, h, d]
        most = enough(mesh, x, [[], [], ["p"]], y, [[], [], ["p"], []])
        lines = [f"input x {{~,~,~}} : f32[{n},{s},5]",
                 f"input w {{~,p}} : f32[5,{h * d}]",
                 f"constant to : i64[4] = [0, 0, {h}, -1]", "a = MatMul(x, w)",
                 "b = Reshape(a, to)", "c = Transpose(b) perm=[0,2,1,3]",
                 "y = Neg(c)"]
    sizes = ", ".join(f"{a}={n}" for a, n in mesh.items())
    print(f"== {number}: {x} {text(of_x)} to {y}", f"# at most {most} bytes",
          f"mesh {{{sizes}}}", *lines, "output y", "--", sep="\n")


for i in range(int(sys.argv[2])):
    case(i, sys.argv[3])
