"""Reading on past the training context: position schemes, and rotary positions stretched; the record goes to results/.

One small model per scheme learns Tiny Shakespeare by the character in windows of 64. Then each reads windows of 256,
and its loss is kept place by place. The rotary models are read in four ways: as they are, with a look back of 64 only,
with all places divided by 4, and with a larger base; each also after a short further training on the long windows.
A call with other seeds adds to the record.

python -m experiments.positions
python -m experiments.positions --seeds 4
"""

import math
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import about_corpus, read_characters, train
from minigpt import GPT, GPTConfig, TrainConfig, Trainer, count_parameters
from minigpt.model.position import RotaryEmbedding

CORPUS = "tinyshakespeare"
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


def run(settings: Settings, folder: Path) -> Result:
    """Train one scheme with one seed, and return what the record keeps of it."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    name, seed, tiny = settings["model"], settings["seed"], settings["tiny"]
    training, config = training_of(SETTINGS, tiny, seed), CONFIG.replace(position=name.removesuffix(", trained long"))
    if name not in SCHEMES:  # long windows from the start, with as many characters in a step
        config = config.replace(block_size=LONG)
        training = training.replace(batch_size=max(1, training.batch_size // STRETCH))
    model, _ = train(folder / "short", config, training, data, tokenizer)
    if name == "learned":
        return {"by_place": rounded(loss_per_position(model, data.validation, SHORT))}
    found = {"by_place": rounded(loss_per_position(longer(model), data.validation, LONG))}
    return found | ({"ways": read_on(model, settings)} if name == "rope" else {})


def read_on(model: GPT, settings: Settings) -> dict:
    """Return the losses by place of a rotary model read in each way, before and after a short further training."""
    _, data = read_characters(CORPUS, settings["tiny"])
    kept = {}
    for name, position in WAYS.items():
        grown = longer(model, position=position)
        before = rounded(loss_per_position(grown, data.validation, LONG))
        for _ in Trainer(grown, data, training_of(FURTHER, settings["tiny"], settings["seed"]), device="cpu").run():
            pass
        kept[name] = {"before": before, "after": rounded(loss_per_position(grown, data.validation, LONG))}
    return kept


def training_of(usual: TrainConfig, tiny: bool, seed: int) -> TrainConfig:
    """Return how a model is trained."""
    return usual.replace(seed=seed, eval_sequences=1, **{"max_steps": 5, "warmup_steps": 1} if tiny else {})


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    _, data = read_characters(CORPUS, settings["tiny"])
    return {
        "note": "runs by scheme and by seed; losses in nats per character on the whole validation part, by place of "
        "the predicting character in its window",
        "config": CONFIG.to_dict(),
        "settings": SETTINGS.to_dict() | {"seed": "see each run"},
        "further": FURTHER.to_dict() | {"seed": "see each run"},
        "short": SHORT,
        "long": LONG,
        "larger_base": round(WIDER_BASE, 1),
        "parameters": {name: count_parameters(GPT(CONFIG.replace(position=name))) for name in SCHEMES},
        "corpus": about_corpus(CORPUS, settings["tiny"]) | {"training_tokens": len(data.train)},
    }


def last_of(n: int, where: int) -> Callable[[Result], float | None]:
    """Return a metric: the mean loss of the `n` places before `where`, None where a model has no such places."""
    return lambda run: statistics.mean(run["by_place"][where - n : where]) if len(run["by_place"]) >= where else None


EXPERIMENT = Experiment(
    record="positions.json",
    varied=grid(model=MODELS),
    seeds=(1, 2, 3),
    run=run,
    about=about,
    place=("runs", "{model}", "{seed}"),
    metrics={"loss at the end of 64": last_of(32, SHORT), "loss at the end of 256": last_of(32, LONG)},
    baseline={"model": "rope"},
)

if __name__ == "__main__":
    main(EXPERIMENT)
