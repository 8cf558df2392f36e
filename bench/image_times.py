#!/usr/bin/env python3
"""Time of image models on one thread: gshard-run against peers.

    image_times.py [-n ROUNDS] [-p ort,openvino] GSHARD-RUN [NAME...]

Method.  The models are those of image_models.py, and the light ones that the
package onnx brings (their weights are equal numbers; onnx/backend/test/data).
Each side is a new process in each round, the sides taking turns; what counts is
CPU time (user and system), which other load on the machine changes least.  Of
gshard-run it is the difference of runs with --bench N + 1 and with --bench 1,
divided by N; the peers time N runs after the first.  ONNX Runtime has its
defaults, OpenVINO the precision f32 and one stream.  Printed are the medians in
milliseconds, and for each peer the median, the smallest and the largest ratio of
its time by gshard's in the same round: above 1, gshard is faster.

GSHARD-RUN inherits the environment: with ONEDNN_MAX_CPU_ISA=AVX2 convolutions
have no AVX-512 (OpenVINO's, which are oneDNN's too, may follow; ONNX Runtime's
do not).  Needs onnx, numpy, and the peers."""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

import image_models
import onnx

LIGHT = os.path.join(os.path.dirname(onnx.__file__),
                     "backend/test/data/light/light_%s.onnx")
MADE = {"resnet50": ("resnet50",), "resnet50-b8": ("resnet50", 224, 8),
        "mobilenetv2": ("mobilenetv2",), "mobilenetv3": ("mobilenetv3",),
        "unet": ("unet",)}
NAMES = [*MADE, *(f"light-{name}" for name in (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50",
    "shufflenet", "squeezenet", "vgg19", "zfnet512"))]
SECONDS = 1.0

PEER = """
import sys, time
import numpy as np
path, n = sys.argv[1], int(sys.argv[2])
def draw(shape):
    return np.random.default_rng(0).standard_normal(shape).astype("f")
%s
run()
start = time.process_time()
for _ in range(n):
    run()
print((time.process_time() - start) / n)
"""
PEERS = {"ort": PEER % """
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(path, options,
                               providers=["CPUExecutionProvider"])
feed = {v.name: draw(v.shape) for v in session.get_inputs()}
run = lambda: session.run(None, feed)""", "openvino": PEER % """
import openvino
model = openvino.Core().compile_model(path, "CPU", {
    "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32",
    "NUM_STREAMS": 1})
request = model.create_infer_request()
feed = [draw(tuple(v.shape)) for v in model.inputs]
run = lambda: request.infer(feed)"""}


def peer(code, path, n):
    out = subprocess.run([sys.executable, "-c", code, path, str(n)],
                         check=True, capture_output=True, text=True).stdout
    return float(out.split()[-1])


def cpu():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def gshard(run, path, n):
    spent = []
    for runs in (1, n + 1):
        start = cpu()
        subprocess.run([run, "--random", "1", "-j", "1", "--bench", str(runs),
                        path], check=True, stdout=subprocess.DEVNULL)
        spent.append(cpu() - start)
    return (spent[1] - spent[0]) / n


def measure(run, path, peers, rounds):
    n = int(max(4, min(100, SECONDS / max(gshard(run, path, 3), 1e-3))))
    ours, theirs = [], {p: [] for p in peers}
    for _ in range(rounds):
        ours.append(gshard(run, path, n))
        for p in peers:
            theirs[p].append(peer(PEERS[p], path, n))
    line = f"{statistics.median(ours) * 1e3:8.2f}"
    for p, times in theirs.items():
        ratio = sorted(t / o for t, o in zip(times, ours))
        line += (f"  {p} {statistics.median(times) * 1e3:8.2f}"
                 f" {statistics.median(ratio):5.2f}"
                 f" [{ratio[0]:.2f}..{ratio[-1]:.2f}]")
    return line


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("run", metavar="GSHARD-RUN")
    p.add_argument("names", nargs="*", metavar="NAME", help=" ".join(NAMES))
    p.add_argument("-n", type=int, default=5, metavar="ROUNDS")
    p.add_argument("-p", default="ort,openvino", metavar="PEERS")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names or NAMES:
            path = LIGHT % name[len("light-"):]
            if name in MADE:
                path = f"{folder}/{name}.onnx"
                kind, *size = MADE[name]
                getattr(image_models, kind)(path, *size)
            print(f"{name:20}", measure(args.run, path, args.p.split(","),
                                        args.n), flush=True)


if __name__ == "__main__":
    main()
