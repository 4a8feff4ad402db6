"""Reading on past the training context: position schemes, and rotary positions stretched; the record goes to results/.

One small model per scheme learns Tiny Shakespeare by the character in windows of 64. Then each reads windows of 256,
and its loss is kept place by place. The rotary models are read in four ways: as they are, with a look back of 64 only,
with all places divided by 4, and with a larger base; each also after a short further training on the long windows.
The record is written after each model, and a call with other seeds adds to it.

python -m experiments.positions
python -m experiments.positions --seeds 4
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt import GPT, CharTokenizer, GPTConfig, TrainConfig, Trainer, count_parameters, load_corpus, split_text
from minigpt.data.batches import Split
from minigpt.model.position import RotaryEmbedding
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "positions.json"
SHORT, LONG = 64, 256
STRETCH = LONG // SHORT
SCHEMES = ("rope", "learned", "alibi", "none", "sinusoidal")
MODELS = (*SCHEMES, "rope, trained long")
CONFIG = GPTConfig(vocab_size=65, block_size=SHORT, n_layer=2, n_head=2, n_embd=64)
BASE = 10_000.0
WIDER_BASE = BASE * STRETCH ** (CONFIG.head_dim / (CONFIG.head_dim - 2))
SETTINGS = TrainConfig(
    max_steps=1000, batch_size=12, learning_rate=3e-3, min_learning_rate=3e-4, warmup_steps=50, eval_every=10**6
)
FURTHER = TrainConfig(
    max_steps=100, batch_size=3, learning_rate=1e-3, min_learning_rate=1e-4, warmup_steps=10, eval_every=10**6
)


class ShortSighted(RotaryEmbedding):
    """Rotary positions of which every query sees only the last 64 keys."""

    def attn_bias(self, n_query: int, n_key: int) -> Tensor:
        far = torch.ones(n_query, n_key).tril(n_key - n_query - SHORT)
        return torch.zeros(n_query, n_key).masked_fill(far.bool(), -math.inf)


WAYS = {
    "as it is": lambda config: RotaryEmbedding(config.block_size, config.head_dim),
    "last 64 only": lambda config: ShortSighted(config.block_size, config.head_dim),
    "places divided": lambda config: RotaryEmbedding(config.block_size, config.head_dim, scaling_factor=STRETCH),
    "larger base": lambda config: RotaryEmbedding(config.block_size, config.head_dim, base=WIDER_BASE),
}


def train(model: GPT, data: Split, config: TrainConfig, seed: int) -> None:
    """Train a model to the end."""
    for _ in Trainer(model, data, config.replace(seed=seed, eval_sequences=1), device="cpu").run():
        pass


@torch.inference_mode()
def loss_per_position(model: GPT, ids: Tensor, length: int) -> Tensor:
    """Return the mean loss at each place of windows of `length` characters, (T,), in nats."""
    model.eval()
    starts = range(0, len(ids) - length, length)
    total = torch.zeros(length, dtype=torch.float64)
    for i in range(0, len(starts), 16):
        windows = torch.stack([ids[start : start + length + 1] for start in starts[i : i + 16]])  # (B, T + 1)
        logits = model(windows[:, :-1])  # (B, T, V)
        total += F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none").sum(dim=0)
    return total / len(starts)


def rounded(losses: Tensor) -> list[float]:
    """Return losses as they stand in the record."""
    return [round(loss, 4) for loss in losses.tolist()]


def longer(model: GPT, **factories: Callable) -> GPT:
    """Return the same model for windows of 256: no position scheme but the learned one has a table of weights."""
    grown = GPT(model.config.replace(block_size=LONG), **factories)
    grown.load_state_dict(model.state_dict())
    return grown


def one_run(position: str, data: Split, seed: int) -> dict:
    """Train one scheme with one seed, and return what the record keeps of it."""
    torch.manual_seed(seed)
    model = GPT(CONFIG.replace(position=position))
    train(model, data, SETTINGS, seed)
    if position == "learned":
        return {"by_place": rounded(loss_per_position(model, data.validation, SHORT))}
    run = {"by_place": rounded(loss_per_position(longer(model), data.validation, LONG))}
    return run | ({"ways": read_on(model, data, seed)} if position == "rope" else {})


def read_on(model: GPT, data: Split, seed: int) -> dict:
    """Return the losses by place of a rotary model read in each way, before and after a short further training."""
    kept = {}
    for name, position in WAYS.items():
        grown = longer(model, position=position)
        before = rounded(loss_per_position(grown, data.validation, LONG))
        train(grown, data, FURTHER, seed)
        kept[name] = {"before": before, "after": rounded(loss_per_position(grown, data.validation, LONG))}
    return kept


def trained_long(data: Split, seed: int) -> dict:
    """Train a rotary model on long windows from the start, with as many characters in a step."""
    torch.manual_seed(seed)
    model = GPT(CONFIG.replace(position="rope", block_size=LONG))
    train(model, data, SETTINGS.replace(batch_size=SETTINGS.batch_size // STRETCH), seed)
    return {"by_place": rounded(loss_per_position(model, data.validation, LONG))}


def new_record() -> dict:
    """Return a record without any runs."""
    parameters = {name: count_parameters(GPT(CONFIG.replace(position=name))) for name in SCHEMES}
    return {
        "note": "runs by scheme and by seed; losses in nats per character on the whole validation part, by place of "
        "the predicting character in its window",
        "config": CONFIG.to_dict(),
        "settings": SETTINGS.to_dict() | {"seed": "see each run"},
        "further": FURTHER.to_dict() | {"seed": "see each run"},
        "short": SHORT,
        "long": LONG,
        "larger_base": round(WIDER_BASE, 1),
        "parameters": parameters,
        "runs": {},
    }


def main() -> None:
    """Train every scheme with one seed, then with the next, and add the losses to the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--models", choices=MODELS, nargs="+", default=MODELS)
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    corpus = load_corpus("tinyshakespeare")
    data = split_text(corpus.text, CharTokenizer.from_text(corpus.text))
    record = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else new_record()
    record["corpus"] = {"name": corpus.name, "sha256": corpus.sha256, "training_tokens": len(data.train)}
    record["machine"] = environment_info()
    for seed in arguments.seeds:
        for name in arguments.models:
            runs = record["runs"].setdefault(name, {})
            if str(seed) in runs:
                continue
            runs[str(seed)] = run = trained_long(data, seed) if name not in SCHEMES else one_run(name, data, seed)
            arguments.out.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"seed {seed}, {name}: {run['by_place'][SHORT - 1]:.4f}, {run['by_place'][-1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
