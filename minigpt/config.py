"""What a model is and how it is trained, as names and numbers only, so that both can be written as JSON."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigpt.errors import UserError, require
from minigpt.json_config import JsonConfig

GATED = ("swiglu",)  # MLPs with three matrices
OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
LARGEST = 2**31 - 1  # of any size of a model, and of a batch


@dataclass(frozen=True, kw_only=True)
class GPTConfig(JsonConfig):
    """The architecture of a GPT: sizes, and the names of its components.

    Sizes are counted in tokens (`vocab_size`, `block_size`), blocks (`n_layer`), heads and channels.
    `mlp_hidden=None` means four times `n_embd`, as in GPT-2, and 8/3 for an MLP with a gate, whose third matrix makes
    up for it. `n_kv_head=None` gives each head keys and values of its own. `checkpointing` names the part of a block
    that is computed again in the backward pass, rather than kept.

    Raises:
        UserError: a size is not positive, heads do not divide evenly, or `dropout` is not in [0, 1).
    """

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    n_kv_head: int | None = None
    mlp_hidden: int | None = None
    bias: bool = True
    head_bias: bool = False
    tie_weights: bool = False
    dropout: float = 0.0
    position: str = "learned"
    norm: str = "layernorm"
    mlp: str = "gelu"
    attend: str = "sdpa"
    qk_norm: bool = False
    checkpointing: str = "none"

    def __post_init__(self) -> None:
        self.check_types()
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_kv_head", "mlp_hidden"):
            size = getattr(self, name)
            require(size is None or size > 0, f"{name} = {size} must be at least 1.")
            require(size is None or size <= LARGEST, f"{name} = {size} must be at most {LARGEST:,}.")
        require(
            self.n_embd % self.n_head == 0,
            f"n_embd = {self.n_embd} is not divisible by n_head = {self.n_head}; "
            f"try n_embd = {self.n_head * max(1, round(self.n_embd / self.n_head))} or another number of heads.",
        )
        require(
            self.n_head % self.kv_heads == 0,
            f"n_head = {self.n_head} is not divisible by n_kv_head = {self.n_kv_head}; each head of keys and values "
            "serves a group of equal size.",
        )
        require(0.0 <= self.dropout < 1.0, f"dropout = {self.dropout} must be at least 0 and below 1.")
        require(
            not (self.tie_weights and self.head_bias),
            "tie_weights shares the head's matrix with the token embedding, which has no bias; set head_bias to false.",
        )

    @property
    def hidden(self) -> int:
        """The width of the MLP's hidden layer."""
        usual = 8 * self.n_embd // 3 if self.mlp in GATED else 4 * self.n_embd
        return usual if self.mlp_hidden is None else self.mlp_hidden

    @property
    def head_size(self) -> int:
        """The width of one attention head."""
        return self.n_embd // self.n_head

    @property
    def kv_heads(self) -> int:
        """The number of heads of keys and values."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head


@dataclass(frozen=True, kw_only=True)
class TrainConfig(JsonConfig):
    """How a model is trained; every step sees `batch_size` windows of `block_size` tokens.

    `accumulate` cuts the batch into so many pieces, which takes less memory and gives the same gradient. A run ends
    after `max_steps` steps, or earlier: when the validation loss reaches `target_loss` (in nats per token), or when
    `patience` evaluations in a row brought no new lowest one.

    `precision` is float32, bfloat16, float16, or auto: what the device does best. `compile` lets PyTorch translate the
    model into one program before the first step.

    Raises:
        UserError: a count or a rate is out of range.
    """

    max_steps: int = 2000
    batch_size: int = 16
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-4
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    clip_norm: float = 1.0
    eval_every: int = 250
    eval_windows: int = 64
    save_every: int = 250
    sample_every: int = 0
    sample_prompt: str = "\n"
    sample_tokens: int = 200
    target_loss: float | None = None
    patience: int | None = None
    seed: int = 1337
    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        self.check_types()
        for name in ("max_steps", "batch_size", "eval_every", "eval_windows", "save_every", "sample_tokens"):
            count = getattr(self, name)
            require(count > 0, f"{name} = {count} must be at least 1.")
        require(self.batch_size <= LARGEST, f"batch_size = {self.batch_size} must be at most {LARGEST:,}.")
        require(
            self.optimizer in OPTIMIZERS,
            f"There is no optimizer = {self.optimizer!r}; choose one of {', '.join(OPTIMIZERS)}.",
        )
        for name in ("warmup_steps", "weight_decay", "min_learning_rate", "sample_every"):
            value = getattr(self, name)
            require(value >= 0, f"{name} = {value} must not be negative.")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value > 0, f"{name} = {value} must be above 0.")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            require(math.isfinite(value), f"{name} = {value} must be a finite number.")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} = {value} must be at least 0 and below 1.")
        require(
            self.min_learning_rate <= self.learning_rate,
            f"min_learning_rate = {self.min_learning_rate} is above learning_rate = {self.learning_rate}; lower it "
            "too (on the command line: --min-learning-rate).",
        )
        require(
            1 <= self.accumulate <= self.batch_size,
            f"accumulate = {self.accumulate} must be from 1 up to batch_size = {self.batch_size}, since each piece "
            "holds at least one window.",
        )
        require(
            self.target_loss is None or self.target_loss > 0,
            f"target_loss = {self.target_loss} must be above 0; leave it out to train without a target.",
        )
        require(
            self.patience is None or self.patience > 0,
            f"patience = {self.patience} must be at least 1; leave it out to train without patience.",
        )
        require(
            self.precision in PRECISIONS,
            f"precision = {self.precision!r} must be one of {', '.join(PRECISIONS)}.",
        )
        require(0 <= self.seed < 2**63, f"seed = {self.seed} must be a whole number from 0 up to 2**63 - 1.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        UserError: the file is missing, is not valid JSON (the line is named), or does not hold an object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check that it is a file of your own.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text, so it cannot be JSON; save it again as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}; mend the JSON and try again.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON that can be read ({error}); is it damaged?") from None
    require(isinstance(values, dict), f"{path} must hold a JSON object, not a {type(values).__name__}.")
    return values
