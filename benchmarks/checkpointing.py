"""Memory and time of a training step that forgets more or less of twelve blocks; the record goes to results/.

python -m benchmarks.checkpointing

What is kept is what lives when the forward pass is done. The variants take turns, the time is that of the processor,
on one thread, and the shortest of the rounds. `block, to its end` is a checkpoint whose second run does not stop early;
`products kept` computes everything again but the results of matrix products and attention. `batch in two` forgets
nothing: it takes the batch in two pieces and adds up their gradients.
"""

import json
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts, set_checkpoint_early_stop

from minigpt import GPT, MLP, GPTConfig, cross_entropy
from minigpt.utils.machine import environment_info
from minigpt.utils.memory import MemoryTracker

RECORD = Path(__file__).parent.parent / "results" / "checkpointing.json"
CONFIG = GPTConfig(vocab_size=256, block_size=256, n_layer=12, n_head=6, n_embd=384)
BATCH_SIZE, ROUNDS = 2, 3
PRODUCTS = ("addmm", "mm", "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention")
ATTN_IMPLS = {
    "sdpa": ("none", "GELU", "attention", "mlp", "block", "block, to its end", "products kept", "batch in two"),
    "naive": ("none", "attention", "block"),
}


class FrugalMLP(MLP):
    """The MLP that keeps what comes before GELU, and not what comes after it."""

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return self.dropout(checkpoint(self.bend, self.up(x), use_reentrant=False))

    def bend(self, hidden: Tensor) -> Tensor:  # (B, T, F) -> (B, T, C)
        return self.down(F.gelu(hidden, approximate="tanh"))


def built(config: GPTConfig, name: str) -> GPT:
    """Build the model of one variant."""
    torch.manual_seed(0)
    if name == "GELU":
        return GPT(config, mlp=lambda config: FrugalMLP(config.n_embd, config.hidden_dim, config.bias, config.dropout))
    if name == "products kept":
        kept = [getattr(torch.ops.aten, product).default for product in PRODUCTS]
        model = GPT(config)
        for block in model.blocks:
            contexts = partial(create_selective_checkpoint_contexts, kept)
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=contexts)
        return model
    return GPT(config if name == "batch in two" else config.replace(activation_checkpointing=name.split(",")[0]))


def step(model: GPT, ids: Tensor, name: str, memory: MemoryTracker | None = None) -> tuple[float, int]:
    """Take the gradients of a batch; return the processor's seconds, and what the first forward pass kept if asked."""
    started, kept = time.process_time(), 0
    pieces = ids.chunk(2 if name == "batch in two" else 1)
    with set_checkpoint_early_stop(name != "block, to its end"):
        for piece in pieces:
            loss = cross_entropy(model(piece[:, :-1]), piece[:, 1:]) / len(pieces)
            kept = kept or (memory.current if memory else 0)
            loss.backward()
    return time.process_time() - started, kept


def measure(attend: str, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Measure all variants of one kind of attention, taking turns, and compare their gradients with the first one's."""
    ids = torch.randint(CONFIG.vocab_size, (BATCH_SIZE, CONFIG.block_size + 1))
    models = {name: built(CONFIG.replace(attn_impl=attend), name) for name in names}
    rows, expected = {}, None
    for name, model in models.items():  # also the first round, which warms up
        with MemoryTracker() as memory:
            _, kept = step(model, ids, name, memory)
        gradient = model.token_embedding.weight.grad.clone()
        expected = gradient if expected is None else expected
        rows[name] = {
            "kept_mb": round(kept / 1e6, 2),
            "peak_mb": round(memory.peak / 1e6, 2),  # with all gradients
            "equal_to_the_bit": torch.equal(gradient, expected),
        }
        print(attend, name, rows[name], flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, model in models.items():
            model.zero_grad()
            seconds[name].append(step(model, ids, name)[0])
    for name, row in rows.items():
        row["seconds"] = round(min(seconds[name]), 4)
        print(attend, name, row["seconds"], flush=True)
    return rows


def main() -> None:
    """Measure both kinds of attention and write the record."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    record = {"machine": environment_info(), "config": CONFIG.to_dict(), "batch_size": BATCH_SIZE, "variants": {}}
    for attend, names in ATTN_IMPLS.items():
        record["variants"][attend] = measure(attend, names)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
