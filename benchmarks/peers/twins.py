"""A model of ours and the same in transformers, with the same weights; and how fast this machine reads memory."""

import logging

import torch
from torch import nn

from benchmarks.peers.turns import seconds
from minigpt import GPT, GPTConfig
from minigpt.checkpoint.gpt2 import config_to_hf, to_hf

SEED = 0


def twins(config: GPTConfig) -> tuple[GPT, nn.Module]:
    """Return a GPT of random weights, and GPT2LMHeadModel with the same ones, both for use as they are."""
    from transformers import GPT2Config, GPT2LMHeadModel

    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(SEED)
    ours = GPT(config)
    peer = GPT2LMHeadModel(GPT2Config(**config_to_hf(config, end_of_text=None), attn_implementation="sdpa"))
    peer.load_state_dict(to_hf(ours), strict=not config.tie_weights)
    peer.tie_weights()
    return ours, peer


def random_ids(config: GPTConfig, batch_size: int, length: int) -> torch.Tensor:
    """Return any ids, (B, T), the same at every call."""
    return torch.randint(config.vocab_size, (batch_size, length), generator=torch.Generator().manual_seed(SEED))


def seconds_to_read(n_bytes: int, rounds: int = 9) -> float:
    """Return how long one pass through so many bytes of memory takes at best: the sum of their numbers."""
    numbers = torch.ones(n_bytes // 4)
    return min(seconds(numbers.sum) for _ in range(rounds))
