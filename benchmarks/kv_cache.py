"""What a cache of keys and values saves in writing, and what weights of 8 bits add to it; the record goes to results/.

python -m benchmarks.kv_cache

All times are seconds of the processor on one thread, the shortest of some rounds in which the things compared take
turns, and `cached` beside `uncached` is the time of one further token when so many have been read. The larger models
are not trained: their time does not depend on what they have learnt.
"""

import json
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic

from minigpt import GPT, GPTConfig, asset_path, count_parameters, evaluate, load_corpus, model_preset, split_text
from minigpt import checkpoint as checkpoints
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "kv-cache.json"
LARGE = GPTConfig(vocab_size=2048, block_size=1024, n_layer=8, n_head=8, n_embd=512, position="rope")
LENGTHS = (16, 32, 64, 128, 256, 512, 1024)
CHUNKS, CHUNKED = (1, 4, 16, 64, 256), 256
BATCHES, BATCH_LENGTH = (1, 2, 4, 8, 16), 128
KV_HEADS = (8, 2, 1)
ROUNDS, STEPS = 3, 5
WINDOWS = 64  # of the validation part, for the loss with weights of 8 bits


class Int8Linear(nn.Module):
    """A linear layer that keeps its weights in 8 bits, with a scale for each row, and unpacks them at every call."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        scale = layer.weight.detach().abs().amax(dim=1) / 127  # (out,)
        self.register_buffer("weight", (layer.weight.detach() / scale.unsqueeze(1)).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        y = x @ self.weight.to(x.dtype).mT * self.scale
        return y if self.bias is None else y + self.bias


def seconds(call: Callable[[], object]) -> float:
    """Return the processor's seconds for one call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def shortest(calls: dict, rounds: int = ROUNDS) -> dict:
    """Return the shortest time of each call, in seconds; they take turns, and the first round warms up."""
    times: dict = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: round(min(found[1:]), 6) for name, found in times.items()}


def random_ids(model: GPT, length: int, batch_size: int = 1) -> Tensor:
    """Return any ids, (B, T)."""
    return torch.randint(model.config.vocab_size, (batch_size, length))


def one_more(model: GPT, length: int, batch_size: int = 1, like: GPT | None = None) -> Callable[[], object]:
    """Return a call that reads one token after `length - 1` others, which stand in a cache like that of `like`."""
    ids, cache = random_ids(model, length, batch_size), (like or model).make_kv_cache(batch_size)
    model(ids[:, :-1], cache)

    def step() -> None:
        for layer in cache:
            layer.length = length - 1
        model(ids[:, -1:], cache)

    return step


def by_length(model: GPT) -> list[dict]:
    """Return the time of one further token by length, with and without a cache."""
    rows = []
    for length in (length for length in LENGTHS if length <= model.config.block_size):
        ids, step = random_ids(model, length), one_more(model, length)
        calls = {"uncached": lambda ids=ids: model(ids), "cached": lambda step=step: [step() for _ in range(STEPS)]}
        found = shortest(calls)
        rows.append({"length": length, **found, "cached": round(found["cached"] / STEPS, 6)})
        print(rows[-1], flush=True)
    return rows


def by_chunk(model: GPT) -> dict[int, float]:
    """Return the time of reading a text into a cache, by the number of tokens that are read at once."""
    ids = random_ids(model, CHUNKED)

    def read(chunk: int) -> None:
        cache = model.make_kv_cache()
        for piece in ids.split(chunk, dim=1):
            model(piece, cache)

    return shortest({chunk: lambda chunk=chunk: read(chunk) for chunk in CHUNKS}, rounds=1)


def by_heads() -> list[dict]:
    """Return cache, parameters and time of a further token for fewer heads of keys and values."""
    models = {heads: GPT(LARGE.replace(n_kv_head=heads)).eval() for heads in KV_HEADS}
    times = shortest({heads: one_more(model, LARGE.block_size) for heads, model in models.items()}, rounds=2 * ROUNDS)
    return [
        {
            "n_kv_head": heads,
            "cache_bytes": sum(layer.n_bytes for layer in model.make_kv_cache()),
            "parameters": count_parameters(model),
            "cached": times[heads],
        }
        for heads, model in models.items()
    ]


def with_int8(model: GPT) -> dict[str, nn.Module]:
    """Return the model with weights of four bytes, and of one byte in two ways."""
    ours = deepcopy(model)
    linear = [name for name, module in ours.named_modules() if isinstance(module, nn.Linear)]
    for name in linear:
        ours.set_submodule(name, Int8Linear(ours.get_submodule(name)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is on its way to another package, with the same kernels
        theirs = quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    return {"float32": model, "int8, unpacked": ours, "int8, kernel": theirs}


def with_weights_of_8_bits(model: GPT, ids: Tensor | None = None) -> dict[str, dict]:
    """Return the time of a further token, the bytes of the linear layers' weights, and the loss where ids are given."""
    weights = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    rows = sum(module.out_features for module in model.modules() if isinstance(module, nn.Linear))
    models = with_int8(model)
    calls = {name: one_more(one, 64, like=model) for name, one in models.items()}
    calls = {name: lambda step=step: [step() for _ in range(STEPS)] for name, step in calls.items()}
    found = {}
    for name, taken in shortest(calls).items():
        n_bytes = 4 * weights if name == "float32" else weights + 4 * rows
        found[name] = {"cached": round(taken / STEPS, 6), "weight_bytes": n_bytes}
        if ids is not None:
            loss = evaluate(models[name], ids, model.config.block_size, max_windows=WINDOWS, batch_size=8).loss
            found[name]["loss"] = round(loss, 5)
        print(name, found[name], flush=True)
    return found


@torch.inference_mode()
def main() -> None:
    """Measure everything and write the record."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tiny, characters = checkpoints.load(asset_path("checkpoints/tiny"))
    medium, _ = checkpoints.load(asset_path("checkpoints/medium"))
    models = {"Tiny": tiny.eval(), "Medium": medium.eval(), "8 blocks of 512": GPT(LARGE).eval()}
    record: dict = {
        "note": "processor's seconds on one thread, the shortest of some rounds in which the variants take turns",
        "machine": environment_info(),
        "models": {
            name: {"config": model.config.to_dict(), "parameters": count_parameters(model)}
            for name, model in models.items()
        },
    }
    record["by_length"] = {name: by_length(model) for name, model in models.items()}
    large = models["8 blocks of 512"]
    record["by_chunk"] = {"length": CHUNKED, "seconds": by_chunk(large)}
    calls = {size: one_more(large, BATCH_LENGTH, size) for size in BATCHES}
    record["by_batch"] = {"length": BATCH_LENGTH, "seconds": shortest(calls, rounds=2 * ROUNDS)}
    record["by_heads"] = by_heads()
    print(record["by_chunk"], record["by_batch"], record["by_heads"], flush=True)
    corpus = load_corpus("tinyshakespeare")
    validation = split_text(corpus.text, characters).validation
    record["int8"] = {"windows": WINDOWS, "corpus": {"name": corpus.name, "sha256": corpus.sha256}, "models": {}}
    record["int8"]["models"]["Tiny"] = with_weights_of_8_bits(tiny, validation)
    for name in ("Medium", "8 blocks of 512"):
        record["int8"]["models"][name] = with_weights_of_8_bits(models.pop(name))
    small = model_preset("gpt2-small-32k")
    record["models"]["GPT-2 Small"] = {"config": small.to_dict()}
    model = GPT(small).eval()
    record["models"]["GPT-2 Small"]["parameters"] = count_parameters(model)
    record["int8"]["models"]["GPT-2 Small"] = with_weights_of_8_bits(model)
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
