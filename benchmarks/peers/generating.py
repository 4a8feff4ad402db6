"""Writing with a cache of keys and values, in the shape of GPT-2's smallest model, beside transformers' `generate`."""

from collections.abc import Iterator
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.peers.record import Row
from benchmarks.peers.sameness import equal_ids
from benchmarks.peers.turns import interleaved
from benchmarks.peers.twins import random_ids, seconds_to_read, twins
from minigpt import (
    GPT,
    Sampler,
    asset_path,
    checkpoint,
    count_parameters,
    evaluate,
    load_corpus,
    model_preset,
    split_text,
    to_decode_layout,
)
from minigpt import quantize_dynamic_int8 as quantize_int8
from minigpt.generation.generate import generate_ids
from minigpt.utils.errors import UserError

NAME = "generating"
BATCHES, PROMPTS, NEW_TOKENS = (1, 8), (16, 512), 256
ROUNDS, FIRST_ROUNDS = {1: 5, 8: 2}, {1: 15, 8: 3}  # by batch
CHECKED = 64  # tokens that are compared, at most
AIM, INT8_AIM, FIRST_AIM = 1.4, 3.0, 1.0
TRAINED, CORPUS, WINDOWS = "checkpoints/plays-bpe", "shakespeare-plays", 32
DEAREST = 0.05  # nats that weights of one byte may cost
NAMES = {"ours": "minigpt, in to_decode_layout", "peer": "transformers"}


def write(model: GPT, ids: Tensor, n: int) -> Tensor:
    """Return n further tokens of each text by ours, greedily: (B, T) -> (B, n)."""
    return torch.stack(list(generate_ids(model, ids, Sampler(temperature=0), n)), dim=1)


def their_write(model: nn.Module, ids: Tensor, n: int) -> Tensor:
    """Return the same by the peer."""
    settings = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}
    found = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, min_new_tokens=n, **settings)
    return found[:, ids.size(1) :]


def float32_rows(ours: GPT, peer: nn.Module, ids: Tensor, n: int, rounds: int, floor: float) -> Iterator[Row]:
    """Yield the time to the first token, and the time of n tokens, after tokens of both were found equal."""
    batch_size, prompt = ids.shape
    checked = min(n, CHECKED)
    same = equal_ids("greedy tokens", write(ours, ids, checked), their_write(peer, ids, checked))
    details = {"batch_size": batch_size, "prompt": prompt}
    first_rounds = FIRST_ROUNDS.get(batch_size, rounds)
    first = interleaved(lambda: write(ours, ids, 1), lambda: their_write(peer, ids, 1), first_rounds, warm_up=0)
    what = f"a prompt of {prompt}, {batch_size} text{'s' * (batch_size > 1)}"
    yield Row(work=f"the first token after {what}", **NAMES, same=same, times=first, aim=FIRST_AIM, details=details)
    times = interleaved(lambda: write(ours, ids, n), lambda: their_write(peer, ids, n), rounds, warm_up=0)
    details |= {"new_tokens": n, "floor_ms": 1000 * floor}
    for side, taken in times._asdict().items():
        details[f"{side}_ms_per_token"] = 1000 * (median(taken) - median(getattr(first, side))) / (n - 1)
    aim = AIM if batch_size == 1 else None
    yield Row(work=f"{n} tokens after {what}", **NAMES, same=same, times=times, aim=aim, details=details)


def cost_of_int8(windows: int) -> dict[str, float]:
    """Return the loss of a trained model with weights of four bytes, and with the kernel for one.

    Raises:
        UserError: the second is higher by more than a little.
    """
    model, tokenizer = checkpoint.load(asset_path(TRAINED))
    ids = split_text(load_corpus(CORPUS).text, tokenizer).validation
    sizes = {"batch_size": 4, "max_windows": windows}
    losses = [evaluate(each, ids, model.config.block_size, **sizes).loss for each in (model, quantize_int8(model))]
    if not losses[1] - losses[0] < DEAREST:
        raise UserError(f"Weights of one byte cost {losses[1] - losses[0]:.2g} nats; too many.")
    return {"float32_loss": losses[0], "int8_loss": losses[1], "windows": windows}


def int8_row(ours: GPT, peer: nn.Module, ids: Tensor, n: int, rounds: int, cost: dict[str, float]) -> Row:
    """Return the row of weights of one byte beside the peer's of four."""
    model, prompt = quantize_int8(ours), ids.size(1)
    write(model, ids, 2)
    times = interleaved(lambda: write(model, ids, n), lambda: their_write(peer, ids, n), rounds, warm_up=0)
    first = interleaved(lambda: write(model, ids, 1), lambda: their_write(peer, ids, 1), rounds, warm_up=0)
    taken = median(times.ours) - median(first.ours)
    details = {"batch_size": len(ids), "prompt": prompt, "new_tokens": n, **cost, "model": TRAINED}
    details |= {"ours_ms_per_token": 1000 * taken / (n - 1), "floor_ms": 1000 * seconds_to_read(count_parameters(ours))}
    same = f"loss of {TRAINED.rpartition('/')[2]} {cost['int8_loss'] - cost['float32_loss']:+.4f} nats"
    work = f"{n} tokens after a prompt of {prompt}, 1 text, weights of one byte"
    names = NAMES | {"ours": "minigpt, in quantize_dynamic_int8"}
    return Row(work=work, **names, same=same, times=times, aim=INT8_AIM, details=details)


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows of all batches and prompts, then those of weights of one byte."""
    config = model_preset("gpt2")
    plain, peer = (model.eval() for model in twins(config))
    ours = to_decode_layout(plain)
    n = NEW_TOKENS // 16 if quick else NEW_TOKENS
    floor = seconds_to_read(4 * count_parameters(ours))
    for batch_size in BATCHES:
        for prompt in PROMPTS[:1] if quick and batch_size > 1 else PROMPTS:
            ids = random_ids(config, batch_size, prompt)
            yield from float32_rows(ours, peer, ids, n, 2 if quick else ROUNDS[batch_size], floor)
    cost = cost_of_int8(4 if quick else WINDOWS)
    for prompt in PROMPTS[:1] if quick else PROMPTS:
        yield int8_row(plain, peer, random_ids(config, 1, prompt), n, 2, cost)
