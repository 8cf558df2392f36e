#!/usr/bin/env python3
"""Writes language models of Hugging Face, tiny and with random weights, as
PyTorch's two exporters write them, with what ONNX Runtime decodes.

    pip install torch transformers onnx onnxscript onnxruntime
    [SCALE=N] python3 tests/gen/hf.py FOLDER [NAME...]

SCALE: sizes of weights times N in each dim, 1 by default.

Each model goes to FOLDER/NAME-FORM-EXPORTER: model.onnx, and for each of STEPS
steps a folder step-K with input_N.pb, output_N.pb and `bind`, the sizes of its
symbolic dims.  Step 0 reads a prompt, each other one the token before; `tokens`
has them all.  The form says what is kept:
  grows  caches past_* are inputs of the tokens so far, and present_* outputs
  fixed  they have SIZE places; position_ids say which are written
  none   an encoder and a decoder, which reads all tokens in each step
Where Hugging Face has a plan of how to split the model, it is plan.yaml.

An exporter that fails is reported,
and its folder left out.
"""
import inspect
import json
import os
import shutil
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import transformers as hf
from onnx import numpy_helper

STEPS, PROMPT = 8, 5
SIZE = 16 # places of a cache of a fixed size
LAYERS, HEADS, KV_HEADS = 2, 4, 2
SCALE = int(os.environ.get("SCALE", 1))
DIM, HIDDEN, VOCAB = 64 * SCALE, 96 * SCALE, 96 * SCALE

PLAIN = dict(vocab_size=VOCAB, hidden_size=DIM, intermediate_size=HIDDEN,
             num_hidden_layers=LAYERS, num_attention_heads=HEADS,
             max_position_embeddings=64, pad_token_id=0, bos_token_id=1,
             eos_token_id=2)
GROUPED = dict(PLAIN, num_key_value_heads=KV_HEADS)
HEAD = dict(GROUPED, head_dim=DIM // HEADS)
EXPERTS = dict(num_experts_per_tok=2)
GPT2 = dict(vocab_size=VOCAB, n_embd=DIM, n_layer=LAYERS, n_head=HEADS,
            n_positions=64, bos_token_id=1, eos_token_id=2)

# name: class of the configuration, what it is given
DECODERS = {
    "llama": ("LlamaConfig", GROUPED),
    "mistral": ("MistralConfig", GROUPED),
    "qwen2": ("Qwen2Config", GROUPED),
    "qwen3": ("Qwen3Config", HEAD),
    "qwen2-moe": ("Qwen2MoeConfig", dict(
        GROUPED, moe_intermediate_size=HIDDEN, num_experts=4,
        shared_expert_intermediate_size=HIDDEN, **EXPERTS)),
    "qwen3-moe": ("Qwen3MoeConfig", dict(
        HEAD, moe_intermediate_size=HIDDEN, num_experts=4, **EXPERTS)),
    "mixtral": ("MixtralConfig", dict(
        GROUPED, num_local_experts=4, **EXPERTS)),
    "phi": ("PhiConfig", PLAIN),
    "phi3": ("Phi3Config", GROUPED),
    "gemma": ("GemmaConfig", HEAD),
    "gemma2": ("Gemma2Config", HEAD),
    "gemma3": ("Gemma3TextConfig", HEAD),
    "gpt2": ("GPT2Config", GPT2),
    "gpt-neox": ("GPTNeoXConfig", PLAIN),
    "gpt-j": ("GPTJConfig", dict(GPT2, rotary_dim=8)),
    "falcon": ("FalconConfig", dict(PLAIN, new_decoder_architecture=True,
                                    num_kv_heads=KV_HEADS)),
    "falcon-7b": ("FalconConfig", dict(PLAIN, multi_query=True)),
    "bloom": ("BloomConfig", dict(vocab_size=VOCAB, hidden_size=DIM,
                                  n_layer=LAYERS, n_head=HEADS)),
    "opt": ("OPTConfig", dict(
        {k: v for k, v in PLAIN.items() if k != "intermediate_size"},
        ffn_dim=HIDDEN, word_embed_proj_dim=DIM)),
    "gpt-oss": ("GptOssConfig", dict(HEAD, num_local_experts=4, **EXPERTS)),
    "stablelm": ("StableLmConfig", GROUPED),
    "starcoder2": ("Starcoder2Config", GROUPED),
    "olmo2": ("Olmo2Config", GROUPED),
    "cohere": ("CohereConfig", GROUPED),
    "glm": ("GlmConfig", HEAD),
    "granite": ("GraniteConfig", GROUPED),
    "olmo": ("OlmoConfig", GROUPED),
    "deepseek-v3": ("DeepseekV3Config", dict(
        PLAIN, num_key_value_heads=HEADS, moe_intermediate_size=HIDDEN,
        n_routed_experts=4, n_shared_experts=1, n_group=2, topk_group=1,
        first_k_dense_replace=1, kv_lora_rank=16, q_lora_rank=32,
        qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16, **EXPERTS)),
}
PAIRS = {
    "t5": ("T5Config", dict(
        vocab_size=VOCAB, d_model=DIM, d_kv=DIM // HEADS, d_ff=HIDDEN,
        num_layers=LAYERS, num_heads=HEADS, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0)),
    "bart": ("BartConfig", dict(
        vocab_size=VOCAB, d_model=DIM, encoder_layers=LAYERS,
        decoder_layers=LAYERS, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=HIDDEN,
        decoder_ffn_dim=HIDDEN, max_position_embeddings=64)),
    "whisper": ("WhisperConfig", dict(
        vocab_size=VOCAB, d_model=DIM, encoder_layers=LAYERS,
        decoder_layers=LAYERS, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=HIDDEN,
        decoder_ffn_dim=HIDDEN, num_mel_bins=16, max_source_positions=20,
        max_target_positions=64, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=3)),
}


class Decoder(torch.nn.Module):
    """logits and caches of tokens and caches, as flat lists."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, *past):
        cache = hf.DynamicCache(
            [(past[i], past[i + 1]) for i in range(0, len(past), 2)])
        out = self.model(input_ids=input_ids, attention_mask=attention_mask,
                         past_key_values=cache, use_cache=True)
        present = [t for layer in out.past_key_values.layers
                   for t in (layer.keys, layer.values)]
        return (out.logits, *present)


class Fixed(torch.nn.Module):
    """The same over caches of a fixed size; the first position says how much of
    them is filled."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, position_ids, *past):
        cache = hf.StaticCache(self.model.config, max_cache_len=SIZE)
        cache.layers = [hf.cache_utils.StaticLayer(SIZE)
                        for _ in range(len(past) // 2)]
        for i, layer in enumerate(cache.layers):
            layer.keys = past[2 * i].clone()
            layer.values = past[2 * i + 1].clone()
            layer.device = input_ids.device
            layer.cumulative_length = position_ids[0, 0].clone()
            layer.is_initialized = True
        takes = inspect.signature(self.model.forward).parameters
        more = {"position_ids": position_ids} if "position_ids" in takes else {}
        out = self.model(input_ids=input_ids, past_key_values=cache,
                         use_cache=True, **more)
        present = [t for layer in cache.layers
                   for t in (layer.keys, layer.values)]
        return (out.logits, *present)


class Pair(torch.nn.Module):
    """An encoder and a decoder in one; the decoder reads all tokens so far."""

    def __init__(self, model, key):
        super().__init__()
        self.model, self.key = model, key

    def forward(self, source, decoder_input_ids):
        return self.model(**{self.key: source}, use_cache=False,
                          decoder_input_ids=decoder_input_ids).logits


def make(name):
    torch.manual_seed(1)
    kind, options = {**DECODERS, **PAIRS}[name]
    config = getattr(hf, kind)(**options)
    config._attn_implementation = "eager" if name in EAGER else "sdpa"
    config._experts_implementation = "batched_mm"
    auto = (hf.AutoModelForCausalLM if name in DECODERS else
            hf.WhisperForConditionalGeneration if name == "whisper" else
            hf.AutoModelForSeq2SeqLM)
    model = (auto(config) if name == "whisper" else
             auto.from_config(config)).eval()
    with torch.no_grad():
        for p in model.parameters():  # of equal ones exporters make one
            p.add_(torch.randn_like(p) * 0.02)
    return model


EAGER = {"gpt-oss", "bloom", "gpt-j", "t5", "gemma2"}


def cache_shapes(model):
    """[kv heads, head dim] of each key and value, from a run."""
    ids = torch.ones(1, 2, dtype=torch.int64)
    cache = model(input_ids=ids, use_cache=True).past_key_values
    return [(t.shape[1], t.shape[3]) for layer in cache.layers
            for t in (layer.keys, layer.values)]


def decoder_export(name, model):
    shapes = cache_shapes(model)
    names = [f"{k}.{i // 2}" + (".key" if i % 2 == 0 else ".value")
             for i in range(len(shapes)) for k in ["past"]]
    past = [torch.randn(1, h, 3, d) for h, d in shapes]
    ids = torch.randint(3, VOCAB, (1, 2))
    mask = torch.ones(1, 5, dtype=torch.int64)
    axes = {"input_ids": {1: "sequence"}, "attention_mask": {1: "total"}}
    axes.update({n: {2: "past_sequence"} for n in names})
    return dict(
        module=Decoder(model), args=(ids, mask, *past), axes=axes,
        inputs=["input_ids", "attention_mask", *names],
        outputs=["logits", *[n.replace("past", "present") for n in names]],
        shapes=({1: "sequence"}, {1: "total"},
                tuple({2: "past_sequence"} for _ in past)))


def fixed_export(name, model):
    what = decoder_export(name, model)
    past = [torch.zeros(1, t.shape[1], SIZE, t.shape[3])
            for t in what["args"][2:]]
    ids = what["args"][0]
    names = ["input_ids", "position_ids", *what["inputs"][2:]]
    return dict(
        what, module=Fixed(model), args=(ids, torch.tensor([[3, 4]]), *past),
        axes={n: {1: "sequence"} for n in names[:2]}, inputs=names,
        shapes=({1: "sequence"}, {1: "sequence"}, tuple({} for _ in past)))


def pair_export(name, model):
    if name == "whisper":
        source, dims, key = torch.randn(1, 16, 40), {}, "input_features"
    else:
        source = torch.randint(3, VOCAB, (1, 7))
        dims, key = {1: "source_sequence"}, "input_ids"
    return dict(
        module=Pair(model, key), args=(source, torch.randint(3, VOCAB, (1, 4))),
        axes={"source": dims, "decoder_input_ids": {1: "sequence"}},
        inputs=["source", "decoder_input_ids"], outputs=["logits"],
        shapes=(dims or None, {1: "sequence"}))


def export(what, path, dynamo):
    how = dict(dynamo=True, dynamic_shapes=what["shapes"], opset_version=20,
               external_data=False) if dynamo else dict(
                   dynamo=False, dynamic_axes=what["axes"], opset_version=18)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(what["module"].eval(), what["args"], path,
                          input_names=what["inputs"],
                          output_names=what["outputs"], **how)


def feeds(what, tokens, past):
    """What a step reads: the prompt or the last token, and the caches."""
    names = what["inputs"]
    if names[0] == "source":
        return {"source": what["args"][0].numpy(),
                names[1]: np.array([tokens], np.int64)}
    if names[1] == "position_ids":
        done = 0 if past is None else len(tokens) - 1
        if past is None:
            past = [t.numpy() for t in what["args"][2:]]
        new = np.array([tokens[done:]], np.int64)
        at = np.arange(done, len(tokens), dtype=np.int64)[None]
        return dict(zip(names, [new, at, *past]))
    if past is None:
        past = [np.zeros((1, t.shape[1], 0, t.shape[3]), np.float32)
                for t in what["args"][2:]]
    new = tokens[past[0].shape[2]:]
    return dict(zip(names, [np.array([new], np.int64),
                            np.ones((1, len(tokens)), np.int64), *past]))


def save(folder, inputs, outputs, model):
    """The tensors of a step, and what its symbolic dims are."""
    os.makedirs(folder, exist_ok=True)
    bind = {}
    kinds = ("input", model.graph.input, inputs), (
        "output", model.graph.output, outputs)
    for kind, infos, values in kinds:
        for i, info in enumerate(infos):
            value = np.ascontiguousarray(values[info.name])
            dims = info.type.tensor_type.shape.dim
            if kind == "input":
                bind.update({d.dim_param: n for d, n in zip(dims, value.shape)
                             if d.dim_param})
            with open(f"{folder}/{kind}_{i}.pb", "wb") as f:
                f.write(numpy_helper.from_array(
                    value, info.name).SerializeToString())
    with open(folder + "/bind", "w") as f:
        f.write("".join(f"{k}={n}\n" for k, n in bind.items()))


def decode(folder, what):
    path = folder + "/model.onnx"
    model = onnx.load(path)
    session = onnxruntime.InferenceSession(path)
    tokens, past = list(range(7, 7 + PROMPT)), None
    for step in range(STEPS):
        inputs = feeds(what, tokens, past)
        outputs = session.run(None, inputs)
        names = [o.name for o in session.get_outputs()]
        save(f"{folder}/step-{step}", inputs, dict(zip(names, outputs)), model)
        tokens.append(int(outputs[0][0, -1].argmax()))
        past = outputs[1:]
    with open(folder + "/tokens", "wb") as f: # a record for each
        for t in tokens:
            np.save(f, np.array([[t]], np.int64))


def save_plan(path, model):
    plan = getattr(model.config, "base_model_tp_plan", None)
    if plan:
        with open(path, "w") as f:
            f.write("tp_plan: " + json.dumps(plan) + "\n")


FORMS = {"grows": decoder_export, "fixed": fixed_export, "none": pair_export}


def write(folder, name, form, dynamo):
    model = make(name)
    os.makedirs(folder, exist_ok=True)
    what = FORMS[form](name, model)
    export(what, folder + "/model.onnx", dynamo)
    save_plan(folder + "/plan.yaml", model)
    decode(folder, what)


def main():
    failed = 0
    jobs = [(name, form, kind)
            for name in sys.argv[2:] or [*DECODERS, *PAIRS]
            for form in (["none"] if name in PAIRS else ["grows", "fixed"])
            for kind in ["script", "dynamo"]]
    for name, form, kind in jobs:
        folder = f"{sys.argv[1]}/{name}-{form}-{kind}"
        try:
            write(folder, name, form, kind == "dynamo")
            print(f"{name}-{form}-{kind}: ok", flush=True)
        except Exception as e:  # an exporter may fail in any way
            shutil.rmtree(folder, ignore_errors=True)
            failed += 1
            said = str(e).strip().splitlines() or [""]
            print(f"{name}-{form}-{kind}: {type(e).__name__}: "
                  f"{said[0][:150]}", flush=True)
    return failed and 1


sys.exit(main())
