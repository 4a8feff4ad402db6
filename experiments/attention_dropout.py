"""Training speed with dropout on the attention weights, on the outputs only, and nowhere; the record goes to results/.

python -m experiments.attention_dropout
"""

import json
import statistics
import time
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from experiments.common import output_of, parser_of, write_record
from minigpt import GPT, TrainConfig, cross_entropy, model_preset
from minigpt.model.attention import AttentionFn, sdpa_attention
from minigpt.model.gpt import build_attention
from minigpt.training.optim import make_adamw
from minigpt.utils.machine import environment_info

ROUNDS, STEPS, BATCH_SIZE = 5, 4, 8


def attend_with_dropout(q: Tensor, k: Tensor, v: Tensor, attn_bias: None = None) -> tuple[Tensor, None]:
    """The fused call with dropout on the attention weights, as in GPT-2."""
    return F.scaled_dot_product_attention(q, k, v, dropout_p=0.1, is_causal=True), None


def attention_with(attn_impl: AttentionFn, config) -> torch.nn.Module:
    """Build the package's attention layer with another formula."""
    layer = build_attention(config)
    layer.attn_impl = attn_impl
    return layer


def tokens_per_second(model: GPT, optimizer: torch.optim.Optimizer) -> float:
    """Time a few training steps on random tokens."""
    size = (BATCH_SIZE, model.config.block_size + 1)
    started = time.perf_counter()
    for _ in range(STEPS):
        ids = torch.randint(model.config.vocab_size, size)
        cross_entropy(model(ids[:, :-1]), ids[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return STEPS * BATCH_SIZE * model.config.block_size / (time.perf_counter() - started)


def main() -> None:
    """Run the three in turn, several times, and write the medians."""
    asked = parser_of(__doc__).parse_args()
    smaller = {"n_layer": 1, "block_size": 16} if asked.tiny else {}
    cases = {
        "none": (0.0, sdpa_attention),
        "outputs": (0.1, sdpa_attention),
        "weights and outputs": (0.1, attend_with_dropout),
    }
    models = {
        name: GPT(
            model_preset("tiny-shakespeare", dropout=dropout, **smaller), attention=partial(attention_with, attn_impl)
        )
        for name, (dropout, attn_impl) in cases.items()
    }
    optimizers = {name: make_adamw(model, TrainConfig()) for name, model in models.items()}
    speeds: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(ROUNDS + 1):
        for name, model in models.items():
            speed = tokens_per_second(model, optimizers[name])
            if round_number > 0:  # the first round warms up
                speeds[name].append(speed)
    medians = {name: round(statistics.median(values)) for name, values in speeds.items()}
    ratios = {name: round(medians[name] / medians["none"], 3) for name in cases}
    record = {"machine": environment_info(), "tokens_per_second": medians, "ratio_to_none": ratios}
    write_record(output_of(asked, "attention-dropout.json"), record)
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
