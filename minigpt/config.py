"""What a model is and how it is trained, as names and numbers only, and the presets that name both."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as brief
from typing import Any, Self

from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.files import read_json
from minigpt.utils.json_lines import field_lines
from minigpt.utils.numbers import check_seed, to_python


@dataclass(frozen=True)
class BaseConfig:
    """What all configurations share: to a dictionary, from a dictionary, and a changed copy."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any, source: str = "The configuration") -> Self:
        """Build a configuration from JSON values; `source` names the file in error messages.

        Raises:
            UserError: a field is unknown, missing, of another type, or out of range.
        """
        if not isinstance(values, dict):
            raise UserError(f"{source} holds {brief(values)} where a JSON object should be; save it again.")
        known = [each.name for each in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            close = get_close_matches(unknown[0], known, n=1)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            raise UserError(f"{source} has no field {unknown[0]!r}{meant}; the fields are {', '.join(known)}.")
        missing = [each.name for each in fields(cls) if each.default is MISSING and each.name not in values]
        if missing:
            raise UserError(f"{source} lacks the field {', '.join(missing)}; add it and try again.")
        with error_prefix(source):
            return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like any other configuration."""
        return self.from_dict(self.to_dict() | changes)

    def check_types(self) -> None:
        """Raise `UserError` unless every field is of its type; a number of NumPy's becomes Python's own."""
        for each in fields(self):
            value = to_python(getattr(self, each.name))
            _check_type(each.name, each.type, value)
            object.__setattr__(self, each.name, value)  # the way around `frozen`


def _check_type(name: str, expected: Any, value: Any) -> None:
    """Raise `UserError` unless `value` is of the field's type; an int may stand for a float."""
    if expected in (int | None, float | None) and value is None:
        fits = True
    elif expected in (float, float | None):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif expected in (int, int | None):
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, expected)
    readable = getattr(expected, "__name__", str(expected))
    if not fits:
        raise UserError(f"{name} = {brief(value)} must be of type {readable}.")
    small = not isinstance(value, int) or abs(value) <= 2**64
    if not small:
        raise UserError(f"{name} = {brief(value)} is out of range; choose a smaller number.")


GATED_MLPS = ("swiglu",)  # MLPs with three matrices
ACTIVATION_CHECKPOINTING = ("none", "block", "attention", "mlp")  # the part of a block that is computed again


OPTIMIZERS = ("adamw", "muon")


LR_SCHEDULES = ("cosine", "linear")


PRECISIONS = ("auto", "float32", "bfloat16", "float16")


INT32_MAX = 2**31 - 1  # of any size of a model, and of a batch


COMPONENTS = {  # by the field of `GPTConfig`: the names that it may take
    "norm": ("layernorm", "rmsnorm"),
    "attn_impl": ("naive", "sdpa", "tiled"),
    "mlp": ("gelu", "swiglu", "relu2"),
    "position": ("none", "learned", "sinusoidal", "rope", "alibi"),
    "activation_checkpointing": ACTIVATION_CHECKPOINTING,
}


def _model(help: str) -> dict[str, str]:
    """Return the metadata of a field of a model: what the command line says of its option, and under which heading."""
    return {"help": help, "panel": "Model"}


def _training(help: str) -> dict[str, str]:
    """Return the metadata of a field of a training."""
    return {"help": help, "panel": "Training"}


def _names(component: str) -> str:
    """Return the names that a component may take, as part of a sentence."""
    return ", ".join(COMPONENTS[component])


@dataclass(frozen=True, kw_only=True)
class GPTConfig(BaseConfig):
    """The architecture of a GPT: sizes, and the names of its components.

    Sizes are counted in tokens (`vocab_size`, `block_size`), blocks (`n_layer`), heads and channels.
    `mlp_dim=None` means four times `n_embd`, as in GPT-2, and 8/3 for an MLP with a gate, whose third matrix makes
    up for it. `n_kv_head=None` gives each head keys and values of its own. With `zero_init`, the outputs of attention
    and MLP begin at 0, so that a new block changes nothing. `activation_checkpointing` names the part of a block that
    is computed again in the backward pass, rather than kept.

    Raises:
        UserError: a size is not positive, heads do not divide evenly, or `dropout` is not in [0, 1).
    """

    vocab_size: int = field(metadata=_model("Distinct tokens."))
    block_size: int = field(metadata=_model("The most tokens the model sees at once."))
    n_layer: int = field(metadata=_model("Blocks, one after the other."))
    n_head: int = field(metadata=_model("Attention heads in each block."))
    n_embd: int = field(metadata=_model("Channels of the residual stream."))
    n_kv_head: int | None = field(
        default=None, metadata=_model("Heads of keys and values; as many as n_head if unset.")
    )
    mlp_dim: int | None = field(default=None, metadata=_model("Width inside the MLP; four times n_embd if unset."))
    bias: bool = field(default=True, metadata=_model("Whether the layers have biases."))
    lm_head_bias: bool = field(default=False, metadata=_model("Whether the head has a bias."))
    tie_weights: bool = field(default=False, metadata=_model("Whether the head is the token embedding."))
    dropout: float = field(default=0.0, metadata=_model("The share of activations that training sets to zero."))
    position: str = field(default="learned", metadata=_model(f"Positions: {_names('position')}."))
    norm: str = field(default="layernorm", metadata=_model(f"Norm: {_names('norm')}."))
    mlp: str = field(default="gelu", metadata=_model(f"MLP: {_names('mlp')}."))
    attn_impl: str = field(default="sdpa", metadata=_model(f"Attention as computed: {_names('attn_impl')}."))
    qk_norm: bool = field(default=False, metadata=_model("Whether queries and keys are normalised."))
    zero_init: bool = field(default=False, metadata=_model("Whether the outputs of attention and MLP begin at zero."))
    activation_checkpointing: str = field(
        default="none",
        metadata=_model(f"What of a block is computed again, to save memory: {_names('activation_checkpointing')}."),
    )

    def __post_init__(self) -> None:
        self.check_types()
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_kv_head", "mlp_dim"):
            size = getattr(self, name)
            if size is not None and size <= 0:
                raise UserError(f"{name} = {size} must be at least 1.")
            if size is not None and size > INT32_MAX:
                raise UserError(f"{name} = {size} must be at most {INT32_MAX:,}.")
        if self.n_embd % self.n_head != 0:
            raise UserError(
                f"n_embd = {self.n_embd} is not divisible by n_head = {self.n_head}; "
                f"try n_embd = {self.n_head * max(1, round(self.n_embd / self.n_head))} or another number of heads."
            )
        if self.n_head % self.num_kv_heads != 0:
            raise UserError(
                f"n_head = {self.n_head} is not divisible by n_kv_head = {self.n_kv_head}; each head of keys "
                "and values "
                "serves a group of equal size."
            )
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1.")
        if self.tie_weights and self.lm_head_bias:
            raise UserError(
                "tie_weights shares the head's matrix with the token embedding, which has no bias; set "
                "lm_head_bias to false."
            )

    @property
    def hidden_dim(self) -> int:
        """The width of the MLP's hidden layer."""
        usual = 8 * self.n_embd // 3 if self.mlp in GATED_MLPS else 4 * self.n_embd
        return usual if self.mlp_dim is None else self.mlp_dim

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return self.n_embd // self.n_head

    @property
    def num_kv_heads(self) -> int:
        """The number of heads of keys and values."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head


@dataclass(frozen=True, kw_only=True)
class TrainConfig(BaseConfig):
    """How a model is trained; every step sees `batch_size` windows of `block_size` tokens.

    `grad_accum_steps` cuts the batch into so many pieces, which takes less memory and gives the same gradient. A run
    ends after `max_steps` steps, or earlier: when the validation loss reaches `target_loss` (in nats per token), or
    when `patience` evaluations in a row brought no new lowest one.

    After `warmup_steps` the learning rate falls to `min_learning_rate`, along a cosine or a straight line
    (`lr_schedule`). With `decay_steps`, it first stays at its height until that many steps are left.

    `precision` is float32, bfloat16, float16, or auto: what the device does best. `compile` lets PyTorch translate the
    model into one program before the first step.

    Raises:
        UserError: a count or a rate is out of range.
    """

    max_steps: int = field(default=2000, metadata=_training("How many steps to train, in all."))
    batch_size: int = field(default=16, metadata=_training("Windows of text in each step."))
    grad_accum_steps: int = field(default=1, metadata=_training("Pieces to cut each batch into, to save memory."))
    optimizer: str = field(default="adamw", metadata=_training(f"{' or '.join(OPTIMIZERS)}."))
    learning_rate: float = field(default=1e-3, metadata=_training("The highest learning rate, after the warmup."))
    min_learning_rate: float = field(default=1e-4, metadata=_training("The learning rate at the end of the run."))
    warmup_steps: int = field(default=100, metadata=_training("Steps in which the learning rate rises."))
    lr_schedule: str = field(
        default="cosine", metadata=_training(f"How the learning rate falls: {' or '.join(LR_SCHEDULES)}.")
    )
    decay_steps: int | None = field(
        default=None, metadata=_training("Steps at the end in which it falls; all after the warmup if unset.")
    )
    weight_decay: float = field(default=0.1, metadata=_training("How strongly AdamW and Muon pull matrices to zero."))
    beta1: float = field(default=0.9, metadata=_training("How long AdamW remembers gradients."))
    beta2: float = field(default=0.99, metadata=_training("How long AdamW remembers their squares."))
    grad_clip: float = field(default=1.0, metadata=_training("The longest gradient; a longer one is shortened to it."))
    eval_every: int = field(default=250, metadata=_training("Steps between two validations."))
    eval_sequences: int = field(
        default=64, metadata=_training("Windows of the validation part that each validation reads.")
    )
    save_every: int = field(default=250, metadata=_training("Steps between two checkpoints."))
    sample_every: int = field(default=0, metadata=_training("Steps between two samples; 0 for none."))
    sample_prompt: str = field(default="\n", metadata=_training("What a sample goes on from."))
    sample_tokens: int = field(default=200, metadata=_training("How many tokens a sample has."))
    target_loss: float | None = field(
        default=None,
        metadata=_training("Stop when the validation loss is as low as this."),
    )
    patience: int | None = field(default=None, metadata=_training("Stop after so many validations without a new best."))
    seed: int = field(default=1337, metadata=_training("The seed of the weights, the batches and dropout."))
    precision: str = field(
        default="auto", metadata=_training(f"{', '.join(PRECISIONS)}; auto is what the device does best.")
    )
    compile: bool = field(default=False, metadata=_training("Let PyTorch compile the model first."))

    def __post_init__(self) -> None:
        self.check_types()
        for name in ("max_steps", "batch_size", "eval_every", "eval_sequences", "save_every", "sample_tokens"):
            count = getattr(self, name)
            if count <= 0:
                raise UserError(f"{name} = {count} must be at least 1.")
        if self.batch_size > INT32_MAX:
            raise UserError(f"batch_size = {self.batch_size} must be at most {INT32_MAX:,}.")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"There is no optimizer = {self.optimizer!r}; choose one of {', '.join(OPTIMIZERS)}.")
        if self.lr_schedule not in LR_SCHEDULES:
            raise UserError(f"There is no lr_schedule = {self.lr_schedule!r}; choose one of {', '.join(LR_SCHEDULES)}.")
        if self.decay_steps is not None and self.decay_steps <= 0:
            raise UserError(f"decay_steps = {self.decay_steps} must be at least 1; leave it out to decay all the way.")
        for name in ("warmup_steps", "weight_decay", "min_learning_rate", "sample_every"):
            value = getattr(self, name)
            if not value >= 0:
                raise UserError(f"{name} = {value} must not be negative.")
        for name in ("learning_rate", "grad_clip"):
            value = getattr(self, name)
            if not value > 0:
                raise UserError(f"{name} = {value} must be above 0.")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise UserError(f"{name} = {value} must be a finite number.")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise UserError(f"{name} = {value} must be at least 0 and below 1.")
        if not self.min_learning_rate <= self.learning_rate:
            raise UserError(
                f"min_learning_rate = {self.min_learning_rate} is above learning_rate = {self.learning_rate}; lower it "
                "too (on the command line: --min-learning-rate)."
            )
        if not 1 <= self.grad_accum_steps <= self.batch_size:
            raise UserError(
                f"grad_accum_steps = {self.grad_accum_steps} must be from 1 up to batch_size = "
                f"{self.batch_size}, since each piece "
                "holds at least one window."
            )
        if self.target_loss is not None and not self.target_loss > 0:
            raise UserError(
                f"target_loss = {self.target_loss} must be above 0; leave it out to train without a target."
            )
        if self.patience is not None and self.patience <= 0:
            raise UserError(f"patience = {self.patience} must be at least 1; leave it out to train without patience.")
        if self.precision not in PRECISIONS:
            raise UserError(f"precision = {self.precision!r} must be one of {', '.join(PRECISIONS)}.")
        check_seed(self.seed)


_SECTIONS: dict[str, type[GPTConfig] | type[TrainConfig]] = {"model": GPTConfig, "training": TrainConfig}


_EXAMPLE = "`minigpt presets tiny_char --json` shows a whole one"


def validate_components(config: GPTConfig) -> None:
    """Raise `UserError` unless every component that the configuration names exists."""
    for name, known in COMPONENTS.items():
        value = getattr(config, name)
        if value not in known:
            raise UserError(f"The configuration asks for {name} = {value!r}; choose one of {', '.join(known)}.")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset holds: the architecture, the recommended training, and a sentence about both."""

    model: GPTConfig
    training: TrainConfig = field(default_factory=TrainConfig)
    description: str = ""

    def to_json(self) -> str:
        """Return the text of a preset file in which every field is written out."""
        values = {
            "description": self.description,
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
        }
        return json.dumps(values, indent=2, ensure_ascii=False)


def read_preset(path: Path) -> Preset:
    """Read a preset file; only "model" must be there.

    Raises:
        UserError: the file is not JSON, or a field is unknown, missing, of another type or out of range;
            the sentence names the file, the line, the value and the remedy.
    """
    values = read_json(path)
    lines = field_lines(path.read_text(encoding="utf-8-sig"), path)
    for name in values:
        if name not in ("description", *_SECTIONS):
            raise UserError(f"{path}, line {lines[name,]}: {_misplaced(name)}")
    if "model" not in values:
        raise UserError(f'{path} has no "model", the object that holds the sizes; {_EXAMPLE}.')
    description = values.get("description", "")
    if not isinstance(description, str):
        raise UserError(
            f"{path}, line {lines.get(('description',), 1)}: description = {description!r} must be a text in quotes."
        )
    given = [name for name in _SECTIONS if name in values]
    sections: dict[str, Any] = {name: _read_section(name, values[name], lines, path) for name in given}
    with _at_line(path, lines, "model"):
        validate_components(sections["model"])
    return Preset(description=description, **sections)


def _read_section(name: str, values: Any, lines: dict[tuple[str, ...], int], path: Path) -> BaseConfig:
    """Return the configuration that one section of a preset file describes."""
    with _at_line(path, lines, name):
        return _SECTIONS[name].from_dict(values, f'"{name}"')


def _misplaced(name: str) -> str:
    """Say what to do with a field that stands outside the sections but should not."""
    for section, kind in _SECTIONS.items():
        if name in [each.name for each in fields(kind)]:
            return f'{name!r} must be inside a section; move it into "{section}".'
    close = get_close_matches(name, ["description", *_SECTIONS], n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"a preset has no {name!r}{meant}; it has description, model and training."


@contextmanager
def _at_line(path: Path, lines: dict[tuple[str, ...], int], section: str) -> Iterator[None]:
    """Put the file before a `UserError`, and the line of the first field of the section that it names."""
    try:
        yield
    except UserError as error:
        words = re.findall(r"\w+", str(error))
        places = [lines[section, word] for word in words if (section, word) in lines]
        raise UserError(f"{path}, line {places[0] if places else lines[section,]}: {error}") from None


def _preset(
    description: str,
    sizes: tuple[int, int, int, int, int],
    recipe: tuple[int, int, float, float, int],
    model: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> Preset:
    """Build a row of the table below: sizes and recipe in the order of `_SIZES` and `_RECIPE`, and the rest."""
    architecture: dict[str, Any] = dict(zip(_SIZES, sizes, strict=True)) | (model or {})
    settings: dict[str, Any] = dict(zip(_RECIPE, recipe, strict=True)) | (training or {})
    return Preset(description=description, model=GPTConfig(**architecture), training=TrainConfig(**settings))


_SIZES = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
_RECIPE = ("batch_size", "max_steps", "learning_rate", "min_learning_rate", "warmup_steps")
_SUBWORD = {"bias": False, "tie_weights": True, "dropout": 0.2}
_GPU_RUN = {"beta2": 0.95, "eval_every": 500, "save_every": 500}
PRESETS = {
    "150M": _preset(
        "A model for serious training on one GPU: 16 layers at the width of GPT-2.",
        (50_304, 256, 16, 12, 768),
        (32, 20_000, 0.0006, 6e-05, 1000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "150M_1024": _preset(
        "The model 150M with four times the context, for a GPU with 12 GB or more.",
        (50_304, 1024, 16, 12, 768),
        (24, 20_000, 0.0006, 6e-05, 1000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "200M": _preset(
        "The model 150M made wider, to 896 channels in 14 heads.",
        (50_304, 256, 16, 14, 896),
        (32, 20_000, 0.0005, 5e-05, 1000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "200M_1024": _preset(
        "The model 200M with four times the context, for a GPU with 16 GB or more.",
        (50_304, 1024, 16, 14, 896),
        (20, 20_000, 0.0005, 5e-05, 1000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "250M": _preset(
        "The model 150M made wider still, to 1,024 channels in 16 heads.",
        (50_304, 256, 16, 16, 1024),
        (32, 20_000, 0.0004, 4e-05, 1000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "250M_1024": _preset(
        "The model 250M with four times the context, for a GPU with 16 GB or more.",
        (50_304, 1024, 16, 16, 1024),
        (16, 20_000, 0.0004, 4e-05, 1000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "350M_1024": _preset(
        "24 layers at a width of 1,024, as in GPT-2 Medium, for a GPU with 20 GB or more.",
        (50_304, 1024, 24, 16, 1024),
        (12, 20_000, 0.0003, 3e-05, 2000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "500M_1024": _preset(
        "24 layers at a width of 1,280, for a GPU with 24 GB or more.",
        (50_304, 1024, 24, 16, 1280),
        (8, 20_000, 0.00025, 2.5e-05, 2000),
        _SUBWORD,
        _GPU_RUN,
    ),
    "gpt2-small-32k": _preset(
        "The size of GPT-2 with a vocabulary of 32,000 subwords, half the context, and a head of its own.",
        (32_000, 512, 12, 12, 768),
        (16, 100_000, 0.0006, 6e-05, 2000),
        {"mlp_dim": 3072, "dropout": 0.1},
        {"beta2": 0.95, "eval_every": 1000, "save_every": 1000},
    ),
    "gpt2": _preset(
        "The smallest GPT-2 that OpenAI released, with the recipe of a run on Shakespeare.",
        (50_257, 1024, 12, 12, 768),
        (16, 10_000, 0.0003, 0.0003, 0),
        {"tie_weights": True},
        {"weight_decay": 0.01, "beta2": 0.999, "eval_every": 500, "save_every": 500},
    ),
    "medium-char": _preset(
        "The model of chapter 9: character-level, three voices (verse, code, prose) in 190 characters.",
        (190, 256, 4, 4, 256),
        (12, 4000, 0.002, 2e-05, 200),
        {"mlp_dim": 1024},
        {"eval_every": 250, "eval_sequences": 64, "save_every": 100, "sample_every": 500, "sample_prompt": "\n"},
    ),
    "modern-12x384": _preset(
        "A modernised GPT, 12 layers at a width of 384, with rotary positions, RMSNorm and SwiGLU.",
        (50_257, 512, 12, 12, 384),
        (16, 10_000, 0.0006, 6e-05, 500),
        {"bias": False, "tie_weights": True, "position": "rope", "norm": "rmsnorm", "mlp": "swiglu"},
        {"beta2": 0.95},
    ),
    "plays-bpe": _preset(
        "Subwords of the plays in a shallow GPT: about an hour on one core.",
        (2048, 256, 4, 4, 256),
        (16, 2000, 0.001, 0.0001, 100),
        {"bias": False, "tie_weights": True, "dropout": 0.1},
        {"eval_every": 100, "save_every": 100, "sample_every": 200, "sample_prompt": "ROMEO:\n"},
    ),
    "small": _preset(
        "Most experiments with subwords, on a small GPU.",
        (50_304, 256, 6, 6, 384),
        (32, 5000, 0.001, 0.0001, 200),
        _SUBWORD,
    ),
    "small_char": _preset(
        "Characters with a longer context: for testing on a laptop or a small GPU.",
        (256, 256, 6, 6, 384),
        (32, 5000, 0.001, 0.0001, 200),
        _SUBWORD,
    ),
    "tiny-384": _preset(
        "The shape that is often quoted for Tiny Shakespeare: 384 wide, six layers.",
        (65, 256, 6, 6, 384),
        (64, 5000, 0.001, 0.0001, 100),
        {"mlp_dim": 1536, "dropout": 0.2},
    ),
    "tiny-shakespeare": _preset(
        "The model of Part I: character-level, trained on Tiny Shakespeare.",
        (65, 256, 4, 6, 288),
        (8, 6000, 0.0015, 1.5e-05, 200),
        {"mlp_dim": 768, "lm_head_bias": True, "dropout": 0.1},
        {"eval_every": 250, "eval_sequences": 64, "save_every": 100, "sample_every": 500, "sample_prompt": "ROMEO:"},
    ),
    "tiny-modern": _preset(
        "No larger than tiny-shakespeare, with every part of Part IV, and Muon for its matrices.",
        (65, 256, 6, 4, 208),
        (16, 2700, 0.005, 0.0, 50),
        {
            "mlp_dim": 560,
            "bias": False,
            "dropout": 0.2,
            "position": "rope",
            "norm": "rmsnorm",
            "mlp": "swiglu",
            "qk_norm": True,
            "zero_init": True,
        },
        {
            "optimizer": "muon",
            "lr_schedule": "linear",
            "decay_steps": 1620,
            "eval_every": 100,
            "eval_sequences": 64,
            "save_every": 50,
            "sample_prompt": "ROMEO:",
        },
    ),
    "tiny": _preset(
        "Quick experiments with subwords: nearly all of its parameters are the vocabulary.",
        (50_304, 128, 4, 4, 192),
        (16, 2000, 0.001, 0.0001, 100),
        _SUBWORD,
    ),
    "tiny_char": _preset(
        "Quick experiments with characters: small enough for any laptop.",
        (256, 128, 4, 4, 192),
        (16, 2000, 0.001, 0.0001, 100),
        _SUBWORD,
    ),
    "tinystories-33M": _preset(
        "The recipe of a model of short stories: 6 layers at a width of 384, and subwords tied to the head.",
        (50_257, 512, 6, 6, 384),
        (1024, 20_000, 0.0001, 1e-05, 1000),
        {"tie_weights": True, "dropout": 0.1},
        {"grad_accum_steps": 32, "weight_decay": 0.1, "grad_clip": 0.5, "eval_every": 500, "save_every": 500},
    ),
}


def preset_names() -> list[str]:
    """Return the names of all presets that ship with the book, sorted."""
    return sorted(PRESETS)


def model_preset(name: str | Path, **changes: Any) -> GPTConfig:
    """Return the architecture of a preset, with any fields changed by keyword.

    A name that ends in `.json` is the path of a file of your own.

    Raises:
        UserError: there is no such preset (the valid names are listed), the file has a mistake (its line is named),
            or a change is invalid.
    """
    return load_preset(name).model.replace(**changes)


def training_preset(name: str | Path, **changes: Any) -> TrainConfig:
    """Return the training settings that a preset recommends, with any fields changed by keyword."""
    return load_preset(name).training.replace(**changes)


def load_preset(name: str | Path) -> Preset:
    """Return everything that a preset holds; see `model_preset`."""
    if is_preset_file(name):
        return read_preset(Path(name))
    names = preset_names()
    if str(name) not in names:
        close = [f"{name}.json"] if Path(f"{name}.json").is_file() else get_close_matches(str(name), names, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"There is no preset {str(name)!r}{meant}; the presets are {', '.join(names)}.")
    return PRESETS[str(name)]


def is_preset_file(name: str | Path) -> bool:
    """Return whether this is the path of a reader's own preset, and no name."""
    return str(name).lower().endswith(".json")
