"""The recipes of the speedrun, as names and numbers: the baseline, the steps of the ladder, and one for each track."""

from dataclasses import dataclass, field
from typing import Any

from minigpt.config import OPTIMIZERS, BaseConfig
from minigpt.utils.errors import UserError

SCHEDULES = ("cosine", "linear")
TARGET = 1.88  # nats per character over the whole validation part


@dataclass(frozen=True, kw_only=True)
class Recipe(BaseConfig):
    """One way to train one model on Tiny Shakespeare.

    `model` holds the fields of a `GPTConfig` but for the vocabulary. Without norms' weights (`plain_norms`) or with
    layers whose outputs begin at 0 (`zero_outputs`), the model is still the package's; `ngrams` are the lengths of the
    n-grams that get a vector of their own, each length in a table of at most `ngram_rows`.

    A run takes `steps` steps, or, if that is 0, as many as fit into the seconds that it is given. `warmup` is the share
    of the run in which the learning rate rises; then it falls to `last_rate` of its height, as `schedule` says. Muon
    moves the matrices of the blocks at `learning_rate`, AdamW the rest at `other_rate`; the n-grams have `ngram_rate`.

    Raises:
        UserError: a field is of another type, or there is no optimizer or schedule of that name.
    """

    model: dict = field(default_factory=dict)
    plain_norms: bool = False
    zero_outputs: bool = False
    ngrams: list = field(default_factory=list)
    ngram_rows: int = 65_536
    steps: int = 0
    batch_size: int = 12
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    other_rate: float = 1e-2
    ngram_rate: float = 3e-2
    schedule: str = "cosine"
    warmup: float = 0.05
    last_rate: float = 0.1
    beta2: float = 0.99
    weight_decay: float = 0.1
    grad_clip: float = 1.0
    compile: bool = False

    def __post_init__(self) -> None:
        self.check_types()
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            if value not in choices:
                raise UserError(f"There is no {name} = {value!r}; choose one of {', '.join(choices)}.")

    def changed(self, changes: dict[str, Any]) -> "Recipe":
        """Return a copy with some fields changed; of the model, those fields that `changes` names."""
        return self.replace(**changes | {"model": self.model | changes.get("model", {})})


BASELINE = Recipe(model={"block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128, "bias": False}, steps=2000)
PLAIN = {"grad_clip": 0.0, "weight_decay": 0.0}
IDEAS = {  # each is added to all those above it
    "the baseline's recipe, hurried": {"steps": 0},
    "higher rates on a straight line to 0": {
        **PLAIN,
        "schedule": "linear",
        "warmup": 0.0,
        "last_rate": 0.0,
        "learning_rate": 4e-3,
    },
    "rotary positions, QK-norm, ReLU²": {"model": {"position": "rope", "qk_norm": True, "mlp": "relu2"}},
    "norms without weights": {"plain_norms": True},
    "outputs of blocks and head begin at 0": {"zero_outputs": True},
    "Muon": {"optimizer": "muon", "learning_rate": 5e-3, "other_rate": 1.5e-2},
    "16 windows a step, not 12": {"batch_size": 16},
    "n-grams of 2 to 5 characters": {"ngrams": [2, 3, 4, 5]},
    "one layer, not four": {"model": {"n_layer": 1}, "learning_rate": 6e-3},
}


def climb(ideas: dict[str, dict[str, Any]]) -> dict[str, Recipe]:
    """Return a recipe for each idea, with all ideas up to it."""
    ladder, recipe = {}, BASELINE
    for idea, changes in ideas.items():
        ladder[idea] = recipe = recipe.changed(changes)
    return ladder


TINY = {  # of any recipe, a miniature
    "model": {"block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8},
    "ngram_rows": 50,
    "steps": 2,
    "batch_size": 2,
}
LADDER = climb(IDEAS)
NO_NGRAMS = LADDER["16 windows a step, not 12"].changed({"steps": 260})
RECORD = LADDER["one layer, not four"].changed({"steps": 110})
LOWEST = RECORD.changed(
    {
        "model": {"n_layer": 2, "n_embd": 192, "block_size": 128},
        "ngrams": [2, 3, 4, 5, 6],
        "ngram_rows": 262_144,
        "ngram_rate": 7e-3,
        "batch_size": 12,
        "learning_rate": 5e-3,
        "steps": 0,
    }
)
