"""The record of a training run: a JSON Lines file with a header line and one line for each logged step."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minigpt.config import require
from minigpt.errors import UserError
from minigpt.files import replace_text


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known after a training step.

    `loss` is the mean cross-entropy of the step's batch in nats per token, before the update. `seconds` counts
    training time since the first step, evaluations included. `validation_loss` and `sample` are there only on the
    steps that made them; `best` marks the lowest validation loss so far. What the step took from the machine is
    None where it was not measured.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    tokens_per_second: float
    peak_memory_mb: float
    memory_mb: float | None = None
    cpu_percent: float | None = None
    gpu_memory_mb: float | None = None
    gpu_percent: float | None = None
    validation_loss: float | None = None
    best: bool = False
    sample: str | None = None

    def to_line(self) -> str:
        """Return the record as one JSON line without the fields that are empty."""
        values = {name: value for name, value in asdict(self).items() if value is not None and value is not False}
        return json.dumps({name: rounded(value) for name, value in values.items()})


def rounded(value: Any) -> Any:
    """Round a float to six significant digits, which is all that a plot can show."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


@dataclass
class Run:
    """A training run as it was recorded: what was set, and what happened."""

    header: dict[str, Any]
    records: list[Record] = field(default_factory=list)

    @property
    def evaluations(self) -> list[Record]:
        """The records that carry a validation loss."""
        return [record for record in self.records if record.validation_loss is not None]

    @property
    def best(self) -> Record:
        """The record with the lowest validation loss.

        Raises:
            UserError: the run was never evaluated.
        """
        require(len(self.evaluations) > 0, "This run has no validation loss yet; train it past its first evaluation.")
        losses = [loss for _, loss in validation_curve(self.records)]
        return self.evaluations[losses.index(min(losses))]


def validation_curve(records: Iterable[Record]) -> list[tuple[int, float]]:
    """Return the step and the validation loss, in nats per token, of each record that carries one."""
    return [(record.step, record.validation_loss) for record in records if record.validation_loss is not None]


def read_run(path: Path | str) -> Run:
    """Read a run's record; a last line that was cut off by a crash is left out.

    Raises:
        UserError: the file is missing, or a line in it is not a record.
    """
    path = Path(path)
    require(path.is_file(), f"{path} is not a file; check the path of the record.")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    complete = lines[:-1]  # a whole line ends in a newline, so what follows the last one is cut off or empty
    require(len(complete) > 0, f"{path} is empty; it should begin with a header line.")
    header, *values = (parse_line(path, number, line) for number, line in enumerate(complete, start=1))
    try:
        return Run(header, [Record(**value) for value in values])
    except TypeError as error:
        told = " ".join(str(error).split())
        raise UserError(f"{path} holds a line that is not a training record ({told}).") from None


def parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return one line of a record, or raise `UserError` with its number."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}, line {number} is not valid JSON; the record is damaged there.") from None
    require(isinstance(values, dict), f"{path}, line {number} is not a JSON object; the record is damaged there.")
    return values


def write_run(path: Path, header: dict[str, Any], records: Iterable[Record] = ()) -> None:
    """Write a record afresh, in one step.

    Raises:
        UserError: the place cannot be written, or the disk is full; an earlier record is intact.
    """
    lines = [json.dumps(header), *(record.to_line() for record in records)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room or choose another place.") from None


def append_record(path: Path, record: Record) -> None:
    """Add a record to a run's file.

    Raises:
        UserError: the file cannot be written, or the disk is full.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(record.to_line() + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room, then resume the run.") from None
