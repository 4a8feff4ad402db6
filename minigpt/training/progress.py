"""A training run in the terminal and in TensorBoard."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from minigpt.checkpoint.run_log import StepMetrics
from minigpt.utils.errors import UserError


def progress_bar(records: Iterable[StepMetrics], total: int, start: int = 0) -> Iterator[StepMetrics]:
    """Show a progress bar with the loss and the speed; `total` and `start` count steps. For terminals."""
    validation = ""
    with tqdm(total=total, initial=start, unit="step", dynamic_ncols=True) as bar:
        for record in records:
            if record.validation_loss is not None:
                mark = " (best)" if record.best else ""
                validation = f", validation {record.validation_loss:.3f}{mark}"
            speed = f"{record.tokens_per_second:,.0f} tok/s"
            bar.set_postfix_str(f"loss {record.loss:.3f}{validation}, {speed}", refresh=False)
            bar.update()
            if record.sample is not None:
                bar.write(f"--- step {record.step}\n{record.sample}\n---")
            yield record


def tensorboard(records: Iterable[StepMetrics], folder: Path | str) -> Iterator[StepMetrics]:
    """Write every number of the records for TensorBoard, and yield them on.

    What TensorBoard holds beyond the first record's step, from a run that was killed and resumed, is taken back.

    Raises:
        UserError: the package `tensorboard` is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("TensorBoard is not installed; run pip install tensorboard, or leave it out.") from None
    return _write_metrics(records, SummaryWriter, Path(folder))


def _write_metrics(records: Iterable[StepMetrics], make_writer: type, folder: Path) -> Iterator[StepMetrics]:
    """Pass records on, writing each one; the writer is made when the first record is there."""
    writer = None
    try:
        for record in records:
            writer = writer or make_writer(str(folder), purge_step=record.step)
            for name, value in asdict(record).items():
                if isinstance(value, (int, float)) and name not in ("step", "best"):
                    writer.add_scalar(name, value, record.step)
            if record.sample is not None:
                writer.add_text("sample", record.sample, record.step)
            yield record
    finally:
        if writer is not None:
            writer.close()
