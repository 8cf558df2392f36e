"""The layers of models.py in JAX, over D devices that share this process.

    jax_layers.py moe|dense DEVICES RUNS

Sharded as the specs in results.py say.  Prints one JSON object: the shortest
and the median time of a run in milliseconds.  XLA's SPMD partitioner places
collectives; the devices are those of --xla_force_host_platform_device_count."""
import json
import os
import statistics
import sys
import time

kind, devices, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={devices} "
    + os.environ.get("XLA_FLAGS", ""))
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from models import DENSE, MOE

mesh = Mesh(np.array(jax.devices()[:devices]), ("d",))
rng = np.random.default_rng(1)


def put(spec, *shape):
    a = (rng.standard_normal(shape) * shape[-2] ** -.5).astype("f")
    return jax.device_put(a, NamedSharding(mesh, spec))


def keep(x, spec):
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


def moe(x, gate, wi, wo):
    E, C = MOE["E"], MOE["C"]
    score, best = jax.lax.top_k(jax.nn.softmax(x @ gate), 2)
    score = score / score.sum(-1, keepdims=True)
    combine, before = 0.0, 0.0
    for k in range(2):
        mask = jax.nn.one_hot(best[:, :, k], E)
        place = jnp.cumsum(mask, 1) - mask + before
        before = before + mask.sum(1, keepdims=True)
        place = (place * mask).sum(-1)
        weight = score[:, :, k] * (place < C)
        slot = jax.nn.one_hot(place.astype(jnp.int32), C)
        combine += jnp.einsum("gse,gsc->gsec", mask * weight[..., None], slot)
    dispatch = (combine > 0).astype(x.dtype)
    h = keep(jnp.einsum("gsec,gsm->egcm", dispatch, x), P("d"))
    h = keep(jax.nn.relu(jnp.einsum("egcm,emh->egch", h, wi)), P("d"))
    h = keep(jnp.einsum("egch,ehm->egcm", h, wo), P("d"))
    return keep(jnp.einsum("gsec,egcm->gsm", combine, h), P("d"))


def dense(x, wi, wo):
    h = keep(jax.nn.relu(x @ wi), P(None, "d"))
    return keep(h @ wo, P())


if kind == "moe":
    G, S, E, C, M, H = MOE.values()
    call, data = moe, (put(P("d"), G, S, M), put(P(), M, E),
                       put(P("d"), E, M, H), put(P("d"), E, H, M))
else:
    T, M, H = DENSE.values()
    call, data = dense, (put(P(), T, M), put(P(None, "d"), M, H),
                         put(P("d"), H, M))

step, times = jax.jit(call), []
step(*data).block_until_ready()
for _ in range(runs):
    begin = time.perf_counter()
    step(*data).block_until_ready()
    times.append(time.perf_counter() - begin)
print(json.dumps({"min_ms": 1e3 * min(times),
                  "median_ms": 1e3 * statistics.median(times)}))
