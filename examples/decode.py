#!/usr/bin/env python3
"""What onnxruntime's loop says after a prompt: greedy, with caches that grow.

  python3 examples/decode.py MODEL PROMPT.npys N OUT.npys

PROMPT.npys has records of i64[1,N]; N records of what is chosen go to OUT.npys.
"""
import sys

import numpy as np
import onnxruntime

model, prompt, count, out = sys.argv[1:]
tokens = []
with open(prompt, "rb") as f:
    while f.peek(1):
        tokens += np.load(f).ravel().tolist()
session = onnxruntime.InferenceSession(model,
                                       providers=["CPUExecutionProvider"])
types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
inputs = {x.name: x for x in session.get_inputs()}
names = [x.name for x in session.get_outputs()]
past = {}
for name, x in inputs.items():
    if name.startswith("past_key_values."):
        shape = [1, x.shape[1], 0, x.shape[3]]
        past[name] = np.zeros(shape, types[x.type])
ids, total = np.array([tokens], np.int64), 0
with open(out, "wb") as f:
    for _ in range(int(count)):
        feeds = {"input_ids": ids, **past}
        if "position_ids" in inputs:
            feeds["position_ids"] = total + np.arange(ids.shape[1])[None]
        total += ids.shape[1]
        feeds["attention_mask"] = np.ones((1, total), np.int64)
        results = dict(zip(names, session.run(None, feeds)))
        past = {k: results[k.replace("past_key_values", "present")]
                for k in past}
        ids = np.array([[results["logits"][0, -1].argmax()]], np.int64)
        np.save(f, ids)
