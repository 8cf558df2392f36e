#!/usr/bin/env python3
"""Times and memory of gshard against its peers: writes RESULTS.md.

    results.py BUILD [-o FILE] [--quick] [--cpu] [--rounds N] [--threads N]...
               [--peer PEER]... [NAME...]

Method.  A row is a piece of work and a peer.  Each side runs in fresh processes
that alternate for ROUNDS rounds (5; 3 with --quick); a process loads, runs for
about SECONDS and says the median of its runs.  The ratio of a round is the
peer's time by gshard's, above 1 where gshard is faster; the median, least and
most of the rounds are given, so that load that comes and goes shows as spread.
`memory` is likewise the peer's peak of resident memory by gshard's (the peer's
with the Python that it runs in, some 60 MB), `first` the time from the start to
the first result: of the whole process for gshard, of the peer without Python's
start and imports.  Targets are those that the project has set itself.  With
--cpu times are CPU time, which other load changes least: of gshard the
difference of processes with and without --bench N, by N; rows of JAX and of
gshard against itself are left out.

NAMEs select rows by their work; `make bench` runs all, `make bench-quick` those
marked as quick.  Needs onnx, numpy and the peers: onnxruntime, openvino,
jax; rows of a peer that is missing are left out and named."""
import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 1.0
LIGHT = ("bvlc_alexnet densenet121 inception_v1 inception_v2 resnet50 "
         "shufflenet squeezenet vgg19 zfnet512").split()
# How the layers that JAX runs too are sharded; jax_layers.py says it its way.
SPECS = {"moe-layer": """\
version: 1
mesh: {{axes: {{ep: {devices}}}}}
rules:
  - match: {{tensor: "{{x,y}}"}}
    shard: [ep, ~, ~]
  - match: {{tensor: dispatched}}
    shard: [ep, ~, ~, ~]
""",
         "dense-layer": """\
version: 1
mesh: {{axes: {{tp: {devices}}}}}
rules:
  - match: {{tensor: wi}}
    style: colwise
  - match: {{tensor: wo}}
    style: rowwise
"""}


class Row:
    """work: a model of models.py; peer: ort, openvino, jax, or gshard itself on
    one device; target: a ratio."""

    def __init__(self, work, peer, target, quick=False, devices=1):
        self.work, self.peer, self.target = work, peer, target
        self.quick, self.devices = quick, devices

    def label(self):
        on = [f"{self.devices} devices"] if self.devices > 1 else []
        return ", ".join([self.work] + on)


def rows():
    yield Row("moe-layer", "ort", 1.5, True)
    yield Row("bert6", "ort", 1.3, True)
    yield Row("bert6-decomposed", "ort", 1.3)
    yield Row("dense-layer", "ort", 1.2)
    yield Row("resnet50", "ort", 1.05, True)
    yield Row("resnet50-b8", "ort", 1.05)
    yield Row("mobilenet-v2", "ort", 1.05, True)
    yield Row("mobilenet-v3", "ort", 1.05)
    yield Row("unet", "ort", 1.05)
    for name in LIGHT:
        yield Row(f"light-{name}", "ort", 1.0, name == "squeezenet")
    for name in "qdq-matmul", "dynamic-int8-matmul", "qdq-conv":
        yield Row(name, "ort", 1.1, True)
        yield Row(name, "openvino", 0.9)
    for name in ("resnet50", "mobilenet-v2", "bert6", "moe-layer",
                 "dense-layer"):
        yield Row(name, "openvino", 1.0)
    yield Row("matmul-1024", "ort", 1.0)
    yield Row("matmul-1024-f16", "ort", 1.0)
    for name in ("softmax-short", "grid-sample", "cumsum", "tanh", "clip",
                 "sqrt", "sin", "atan", "erf", "exp", "pow-3"):
        yield Row(name, "ort", 1.0, name in ("softmax-short", "tanh"))
    yield Row("attention-2048", "ort", 1.5, True)
    yield Row("chain-mixed", "ort", 2.0, True)
    for devices, moe, dense in (2, 1.5, 1.4), (4, 2.0, 1.4), (8, 1.5, 1.6):
        yield Row("moe-layer", "jax", moe, devices == 2, devices=devices)
        yield Row("dense-layer", "jax", dense, devices=devices)
    for name in "moe-layer", "dense-layer":
        yield Row(name, "gshard", .97, devices=2)


class Sample:
    """What one process said, and what the system says of it."""

    def __init__(self, command):
        begin = time.perf_counter()
        log = tempfile.TemporaryFile("w+", encoding="utf-8")
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log,
                                 text=True)
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.wall_ms = 1e3 * (time.perf_counter() - begin)
        if child.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command[:3])}: {log.read()[-300:]}")
        said = json.loads(out.strip().splitlines()[-1])
        self.ms = said.get("bench", said).get("median_ms")
        self.first_ms = said.get("first_ms", self.wall_ms)
        # The kernel counts what this process had when it forked, so it stays
        # small: models are made and inputs drawn in other processes.
        self.memory = usage.ru_maxrss * 1024
        self.all_cpu_ms = 1e3 * (usage.ru_utime + usage.ru_stime)
        self.cpu_ms = said.get("cpu_ms")


class Bench:
    def __init__(self, build, folder, cpu):
        self.build, self.folder = os.path.abspath(build), folder
        self.cpu = cpu

    def tool(self, name):
        return os.path.join(self.build, "tools", f"gshard-{name}")

    def model(self, work):
        path = os.path.join(self.folder, work + ".onnx")
        if not os.path.exists(path):
            subprocess.run([sys.executable, os.path.join(HERE, "models.py"),
                            work, path], check=True, stderr=subprocess.DEVNULL)
        return path

    def plan(self, work, devices):
        """A model of models.py sharded by its spec."""
        path = os.path.join(self.folder, f"{work}-{devices}.program.onnx")
        if os.path.exists(path):
            return path
        spec = path + ".yaml"
        with open(spec, "w", encoding="utf-8") as f:
            f.write(SPECS[work].format(devices=devices))
        marked = subprocess.run(
            [self.tool("annotate"), "-q", "-s", spec, "-o", "-",
             self.model(work)], check=True, stdout=subprocess.PIPE).stdout
        subprocess.run([self.tool("partition"), "-q", "-o", path, "-"],
                       input=marked, check=True)
        return path

    def ours(self, row, runs, threads):
        path = (self.plan(row.work, row.devices) if row.devices > 1
                else self.model(row.work))
        return self.gshard(row.work, path, runs, threads)

    def gshard(self, work, path, runs, threads):
        model = self.model(work)
        with open(model + ".inputs/names.json", encoding="utf-8") as f:
            feed = [f"--input={name}={model}.inputs/{i}.npy"
                    for i, name in enumerate(json.load(f))]
        return [self.tool("run"), "--json", "-j", str(threads), "--bench",
                str(runs), *feed, path]

    def theirs(self, row, runs, threads):
        if row.peer == "gshard":
            return self.gshard(row.work, self.model(row.work), runs, threads)
        if row.peer == "jax":
            return [sys.executable, os.path.join(HERE, "jax_layers.py"),
                    row.work.split("-")[0], str(row.devices), str(runs)]
        return [sys.executable, os.path.join(HERE, "peers.py"), row.peer,
                self.model(row.work), str(runs), str(threads)]

    def first_only(self, row, threads):
        command = self.ours(row, 1, threads)
        at = command.index("--bench")
        return command[:at] + command[at + 2:]

    def measure(self, row, rounds, threads):
        """Samples of both sides, a pair for each round."""
        guess = Sample(self.ours(row, 2, threads)).ms
        runs = max(3, min(2000, int(1e3 * SECONDS / max(guess, 1e-3))))
        pairs = []
        for _ in range(rounds):
            mine = Sample(self.ours(row, runs, threads))
            once = Sample(self.first_only(row, threads))
            other = Sample(self.theirs(row, runs, threads))
            mine.first_ms = once.wall_ms
            if self.cpu:
                mine.ms = (mine.all_cpu_ms - once.all_cpu_ms) / runs
                other.ms = other.cpu_ms
            pairs.append((mine, other))
        return pairs


class Ratio:
    """Of a quantity of two sides, by rounds."""

    def __init__(self, pairs, what):
        of = sorted(getattr(b, what) / getattr(a, what) for a, b in pairs)
        self.median, self.least, self.most = (statistics.median(of), of[0],
                                              of[-1])

    def __str__(self):
        return f"{self.median:.2f} [{self.least:.2f}..{self.most:.2f}]"


def medians(pairs):
    return [statistics.median(side.ms for side in of) for of in zip(*pairs)]


def geometric(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def versions():
    for name in "onnxruntime", "openvino", "jax", "numpy":
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} missing"


def peak(build):
    path = os.path.join(build, "bench", "peak")
    if not os.path.exists(path):
        return {}
    return json.loads(subprocess.run([path], check=True, text=True,
                                     stdout=subprocess.PIPE).stdout)


def head(bench, limits, rounds, threads):
    version = subprocess.run([bench.tool("run"), "--version"], text=True,
                             check=True, stdout=subprocess.PIPE).stdout
    lines = ["# Results", "",
             "Written by `bench/results.py`, whose head says how it measures.",
             "Ratios are the peer's by gshard's: above 1, gshard is faster or "
             "smaller.", "",
             f"- Processor: {cpu_model()}, {os.cpu_count()} processors; load "
             f"{os.getloadavg()[0]:.1f} before",
             f"- Vector extensions: {limits.get('isa', 'unknown')}"
             + "".join(f"; {k}={os.environ[k]}" for k in
                       ("GSHARD_ISA", "ONEDNN_MAX_CPU_ISA")
                       if k in os.environ),
             f"- {'; '.join(version.split(chr(10))[:1])}; "
             + ", ".join(versions()),
             f"- {rounds} rounds of fresh processes, "
             f"{'CPU' if bench.cpu else 'elapsed'} time, threads: "
             f"{', '.join(map(str, threads))}"]
    if limits:
        lines.append(
            f"- One thread at best: {limits['fma']:.0f} Gflop/s (f32), reads "
            f"{limits['read']:.1f} GB/s, copies "
            + ", ".join(f"{v:.0f} GB/s in {int(k[5:]) >> 10} KiB"
                        for k, v in limits.items() if k.startswith("copy_")))
    return lines + [""]


COLUMNS = ("| work | peer | threads | gshard ms | peer ms | ratio | target | "
           "memory | first |\n|---|---|---|---|---|---|---|---|---|")


def line(row, threads, pairs):
    mine, theirs = medians(pairs)
    speed = Ratio(pairs, "ms")
    met = "" if speed.median >= row.target else " missed"
    memory, first = ("-", "-") if row.peer in ("jax", "gshard") else (
        f"{Ratio(pairs, 'memory').median:.2f}",
        f"{Ratio(pairs, 'first_ms').median:.2f}")
    return (f"| {row.label()} | {row.peer} | {threads} | {mine:.3f} | "
            f"{theirs:.3f} | {speed} | {row.target}{met} | {memory} | "
            f"{first} |")


def summary(done, limits):
    """Means over rows, of those that ran."""
    ort = [(r, p) for r, t, p in done if r.peer == "ort" and t == 1]
    light = [Ratio(p, "ms").median for r, p in ort
             if r.work.startswith("light-")]
    out = ["", "| over rows | value | target |", "|---|---|---|"]
    if light:
        out.append(f"| light models: geometric mean; worst | "
                   f"{geometric(light):.2f}; {min(light):.2f} | 1.1; 1.0 |")
    if ort:
        first = [Ratio(p, "first_ms").median for _, p in ort]
        memory = [Ratio(p, "memory").median for _, p in ort]
        out.append(f"| start to first result: geometric mean; worst | "
                   f"{geometric(first):.2f}; {min(first):.2f} | 1.5; 1.0 |")
        out.append(f"| peak memory: worst | {min(memory):.2f} | 1.0 |")
    for r, p in ort:
        if r.work == "matmul-1024" and limits:
            rate = 2 * 1024 ** 3 / medians(p)[0] / 1e6
            out.append(f"| part of the f32 peak, n = 1024, constant B | "
                       f"{rate / limits['fma']:.2f} | 0.80 |")
    return out if len(out) > 3 else []


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-o", "--output")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--peer", action="append")
    return parser.parse_intermixed_args()


def main():
    args = arguments()
    rounds = args.rounds or (3 if args.quick else 5)
    threads = args.threads or ([1] if args.quick else [1, 2])
    wanted = [r for r in rows()
              if (not args.names or r.work in args.names)
              and (not args.peer or r.peer in args.peer)
              and (r.quick or not args.quick)
              and not (args.cpu and r.peer in ("jax", "gshard"))]
    done, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        bench, limits = Bench(args.build, folder, args.cpu), peak(args.build)
        lines = head(bench, limits, rounds, threads) + [COLUMNS]
        print("\n".join(lines), flush=True)
        for row in wanted:
            # Devices of one thread each, on both sides, are one row.
            for t in threads if row.devices == 1 else [os.cpu_count()]:
                try:
                    pairs = bench.measure(row, rounds, t)
                except Exception as e:  # the other rows are still wanted
                    failed.append(f"- {row.label()}, {row.peer}: "
                                  + " ".join(str(e).split())[:200])
                    print(failed[-1], file=sys.stderr, flush=True)
                    break
                done.append((row, t, pairs))
                lines.append(line(row, t, pairs))
                print(lines[-1], flush=True)
        tail = summary(done, limits)
        if failed:
            tail += ["", "Not measured:", ""] + failed
        print("\n".join(tail))
    if args.output:
        with open(args.output, "w", encoding="utf-8") as f:
            f.write("\n".join(lines + tail) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
