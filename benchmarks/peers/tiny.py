"""The shipped Tiny model writing one text, with its cache and without."""

from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch import Tensor

from benchmarks.peers.record import Row
from benchmarks.peers.sameness import equal, near
from benchmarks.peers.turns import interleaved
from minigpt import GPT, Sampler, asset_path, checkpoint, quantize_dynamic_int8, to_decode_layout
from minigpt.generation.generate import generate_ids

NAME = "tiny"
MODEL, PROMPT, NEW_TOKENS, ROUNDS = "checkpoints/tiny", "ROMEO:\n", 240, 5
AIM = 800  # tokens a second
COARSE = 1.0  # how far logits may be off with weights of one byte


@torch.inference_mode()
def write_uncached(model: GPT, ids: list[int], n: int) -> list[int]:
    """Return n further tokens, greedily; every one of them reads the whole text anew."""
    for _ in range(n):
        logits: Tensor = model(torch.tensor([ids]))[0, -1]
        ids = [*ids, int(logits.argmax())]
    return ids[-n:]


def writer(model: GPT, ids: list[int], n: int) -> Callable[[], list[int]]:
    """Return a call that writes n tokens with the cache, greedily."""
    return lambda: [step.item() for step in generate_ids(model, torch.tensor([ids]), Sampler(temperature=0), n)]


def by_one_thread(work: Callable[[], list[int]]) -> Callable[[], list[int]]:
    """Return a call that does the work with a single thread, which has nobody to wait for."""

    def call() -> list[int]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return work()
        finally:
            torch.set_num_threads(threads)

    return call


def rows(quick: bool) -> Iterator[Row]:
    """Yield the row of the model as it is, then what its layout and the threads do, then weights of one byte."""
    model, tokenizer = checkpoint.load(asset_path(MODEL))
    model.eval()
    ids, n, rounds = tokenizer.encode(PROMPT), NEW_TOKENS // (4 if quick else 1), 2 if quick else ROUNDS
    cached = writer(model, ids, n)
    same = equal("greedy tokens", cached(), write_uncached(model, ids, n))
    work, speed = f"Tiny writes {n} characters", {"unit": "tokens/s", "aim": AIM}
    times = interleaved(cached, lambda: write_uncached(model, ids, n), rounds)
    value = n / median(times.ours)
    yield Row(work=work, ours="with a cache", peer="without a cache", same=same, times=times, value=value, **speed)
    arranged = by_one_thread(writer(to_decode_layout(model), ids, n))
    same = equal("greedy tokens", arranged(), cached())
    times = interleaved(arranged, cached, rounds)
    sides = {"work": f"{work}, arranged for it", "ours": "to_decode_layout, one thread", "peer": "as it is loaded"}
    yield Row(**sides, same=same, times=times, value=n / median(times.ours), **speed)
    rounded = quantize_dynamic_int8(model)
    with torch.inference_mode():
        same = near("logits of the prompt", rounded(torch.tensor([ids])), model(torch.tensor([ids])), COARSE)
    small = writer(rounded, ids, n)
    times = interleaved(small, cached, rounds)
    one_byte = {"work": f"{work}, weights of one byte", "ours": "one byte", "peer": "four bytes"}
    yield Row(**one_byte, same=same, times=times, value=n / median(times.ours), **speed)
