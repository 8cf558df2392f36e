#!/usr/bin/env python3
"""A Mixture-of-Experts layer and a dense layer on thread devices against JAX's
SPMD, with the same shardings.

Needs numpy, onnx and jax. Each round runs a process of ours (gshard-run
--bench) and one of JAX, in turns; printed are the medians of the processes'
medians, their ratio (above 1: ours is faster) and its spread.
usage: spmd.py BUILD [-r ROUNDS] [-n RUNS] [-d DEVICES,..]
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

GROUPS, TOKENS, EXPERTS, CAPACITY, MODEL, HIDDEN = 8, 128, 8, 32, 512, 2048
ROWS, WIDE = 512, 4096
SPECS = {
    "moe": """version: 1
mesh: {axes: {d: %d}}
rules:
  - {match: {tensor: "{x,w1,w2,y}"}, shard: [d, ~, ~]}
  - {match: {tensor: "{dispatch,combine,sent,outputs}"}, shard: [d, ~, ~, ~]}
""",
    "dense": """version: 1
mesh: {axes: {d: %d}}
rules:
  - {match: {tensor: w1}, shard: [~, d]}
  - {match: {tensor: w2}, shard: [d, ~]}
  - {match: {tensor: "{x,y}"}, replicate: true}
""",
}


def tensors(case):
    """Inputs, then weights, by name."""
    import numpy as np
    random = np.random.default_rng(1)

    def some(*dims):
        return (random.random(dims, np.float32) - 0.5) / 16

    if case == "dense":
        return ({"x": some(ROWS, MODEL)},
                {"w1": some(MODEL, WIDE), "w2": some(WIDE, MODEL)})
    mask = np.zeros((GROUPS, TOKENS, EXPERTS, CAPACITY), np.float32)
    for g in range(GROUPS):
        places = random.permutation(EXPERTS * CAPACITY)
        for s in range(TOKENS):
            for p in places[2 * s:2 * s + 2]:
                mask[g, s, p // CAPACITY, p % CAPACITY] = 1
    return ({"x": some(GROUPS, TOKENS, MODEL), "dispatch": mask,
             "combine": mask / 2},
            {"w1": some(EXPERTS, MODEL, HIDDEN),
             "w2": some(EXPERTS, HIDDEN, MODEL)})


def write_model(case, path):
    from onnx import TensorProto, helper, numpy_helper, save
    inputs, weights = tensors(case)

    def einsum(text, a, b, out):
        return helper.make_node("Einsum", [a, b], [out], equation=text)

    if case == "dense":
        nodes = [helper.make_node("MatMul", ["x", "w1"], ["a"]),
                 helper.make_node("Relu", ["a"], ["h"]),
                 helper.make_node("MatMul", ["h", "w2"], ["y"])]
    else:
        nodes = [einsum("GSEC,GSM->EGCM", "dispatch", "x", "sent"),
                 einsum("EGCM,EMH->EGCH", "sent", "w1", "a"),
                 helper.make_node("Relu", ["a"], ["h"]),
                 einsum("EGCH,EHM->EGCM", "h", "w2", "outputs"),
                 einsum("GSEC,EGCM->GSM", "combine", "outputs", "y")]

    def value(name, x):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)

    graph = helper.make_graph(
        nodes, case, [value(k, x) for k, x in inputs.items()],
        [value("y", inputs["x"])],
        [numpy_helper.from_array(x, k) for k, x in weights.items()])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]),
         path)


def jax_layer(case, n, runs):
    """Milliseconds, median of the runs."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    mesh = Mesh(jax.devices()[:n], ("d",))
    inputs, weights = tensors(case)

    def on(x, spec):
        return jax.device_put(x, NamedSharding(mesh, spec))

    def keep(x, spec):
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

    first = P("d")
    if case == "dense":
        args = [on(inputs["x"], P()), on(weights["w1"], P(None, "d")),
                on(weights["w2"], first)]

        def layer(x, w1, w2):
            return keep(jax.nn.relu(x @ w1) @ w2, P())
    else:
        args = [on(x, first) for x in [*inputs.values(), *weights.values()]]

        def layer(x, dispatch, combine, w1, w2):
            sent = keep(jnp.einsum("GSEC,GSM->EGCM", dispatch, x), first)
            h = jax.nn.relu(jnp.einsum("EGCM,EMH->EGCH", sent, w1))
            outputs = keep(jnp.einsum("EGCH,EHM->EGCM", h, w2), first)
            return keep(jnp.einsum("GSEC,EGCM->GSM", combine, outputs), first)

    layer = jax.jit(layer)
    times = []
    for i in range(runs + 3):
        begin = time.perf_counter()
        layer(*args).block_until_ready()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[3:]) * 1e3


def ours(tools, plan, runs):
    out = subprocess.run(
        [f"{tools}/gshard-run", "-q", "--random", "1", "--bench", str(runs),
         plan], capture_output=True, text=True, check=True)
    return float(re.search(r"median ([0-9.]+) ms",
                           out.stdout + out.stderr).group(1))


def theirs(case, n, runs):
    env = dict(os.environ, JAX_PLATFORMS="cpu", XLA_FLAGS=
               f"--xla_force_host_platform_device_count={n}")
    out = subprocess.run([sys.executable, __file__, "--jax", case, str(n),
                          str(runs)], env=env, capture_output=True, text=True,
                         check=True)
    return float(out.stdout)


def main():
    if sys.argv[1:2] == ["--jax"]:
        print(jax_layer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
        return
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("-r", type=int, default=5)
    p.add_argument("-n", type=int, default=20)
    p.add_argument("-d", default="2,4,8")
    o = p.parse_args()
    tools = os.path.abspath(o.build) + "/tools"
    with tempfile.TemporaryDirectory() as d:
        for case, spec in SPECS.items():
            write_model(case, f"{d}/{case}.onnx")
            for n in map(int, o.d.split(",")):
                with open(f"{d}/spec.yaml", "w", encoding="utf-8") as f:
                    f.write(spec % n)
                subprocess.run([f"{tools}/gshard-annotate", "-q", "-f", "-s",
                                f"{d}/spec.yaml", "-o", f"{d}/a.onnx",
                                f"{d}/{case}.onnx"], check=True)
                plan = f"{d}/{case}.{n}"
                subprocess.run([f"{tools}/gshard-partition", "-q", "-o", plan,
                                f"{d}/a.onnx"], check=True)
                pairs = [(ours(tools, plan, o.n), theirs(case, n, o.n))
                         for _ in range(o.r)]
                ratios = sorted(b / a for a, b in pairs)
                print(f"{case} on {n}: ours "
                      f"{statistics.median(a for a, _ in pairs):.2f} ms, JAX "
                      f"{statistics.median(b for _, b in pairs):.2f} ms, ratio "
                      f"{statistics.median(ratios):.2f} "
                      f"[{ratios[0]:.2f} .. {ratios[-1]:.2f}]", flush=True)


main()
