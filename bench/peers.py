"""One measurement of a peer in a process of its own.

    peers.py ort|openvino MODEL RUNS THREADS

Loads the model, runs it RUNS times on the inputs that models.py wrote and prints
one JSON object: milliseconds from after the import of the peer to the first
result, and of the runs after it the shortest and the median, and the CPU time
(user and system) of one."""
import json
import statistics
import sys
import time

import numpy as np


def inputs_of(path):
    with open(path + ".inputs/names.json", encoding="utf-8") as f:
        return {name: np.load(f"{path}.inputs/{i}.npy")
                for i, name in enumerate(json.load(f))}


def ort(path, threads):
    import onnxruntime
    begin = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"])
    return begin, lambda feed: session.run(None, feed)


def openvino(path, threads):
    import openvino
    core = openvino.Core()
    begin = time.perf_counter()
    compiled = core.compile_model(path, "CPU", {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return begin, lambda feed: request.infer(feed)


def main():
    peer, path, runs, threads = sys.argv[1:5]
    feed = inputs_of(path)
    begin, run = {"ort": ort, "openvino": openvino}[peer](
        path, int(threads))
    run(feed)
    first, times = time.perf_counter() - begin, []
    cpu = time.process_time()
    for _ in range(int(runs)):
        begin = time.perf_counter()
        run(feed)
        times.append(time.perf_counter() - begin)
    cpu = time.process_time() - cpu
    print(json.dumps({"first_ms": 1e3 * first, "min_ms": 1e3 * min(times),
                      "median_ms": 1e3 * statistics.median(times),
                      "cpu_ms": 1e3 * cpu / len(times)}))


main()
