"""A training run in TensorBoard, beside the log: an optional extra."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from minigpt.errors import UserError
from minigpt.training.records import Record


def tensorboard(records: Iterable[Record], folder: Path | str) -> Iterator[Record]:
    """Write every number of the records for TensorBoard, and yield them on.

    What TensorBoard holds beyond the first record's step, from a run that was killed and resumed, is taken back.

    Raises:
        UserError: the package `tensorboard` is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("TensorBoard is not installed; run pip install tensorboard, or leave it out.") from None
    return write_on(records, SummaryWriter, Path(folder))


def write_on(records: Iterable[Record], make_writer: type, folder: Path) -> Iterator[Record]:
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
