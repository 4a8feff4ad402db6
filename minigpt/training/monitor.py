"""Ways to watch a training run: each takes the records of `Trainer.run()`, shows them, and yields them on."""

import math
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from minigpt.training.records import Record


def progress_bar(records: Iterable[Record], total: int, start: int = 0) -> Iterator[Record]:
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


def live_plot(
    records: Iterable[Record], total: int, baseline: dict[str, float] | None = None, every_seconds: float = 2.0
) -> Iterator[Record]:
    """Redraw the loss curve in a notebook as the run goes on; the last state stays on the page."""
    from IPython.display import display

    from minigpt import plots

    seen: list[Record] = []
    handle = display(display_id=True)
    drawn_at = -math.inf

    def draw() -> None:
        last = seen[-1]
        speed = f"{last.tokens_per_second:,.0f} tokens per second"
        title = f"step {last.step:,} of {total:,}, {speed}, {last.seconds:.0f} s\n{describe_use(last)}".strip()
        handle.update(plots.loss_curves({"this run": seen}, baseline, title))

    try:
        for record in records:
            seen.append(record)
            if time.monotonic() - drawn_at >= every_seconds:
                draw()
                drawn_at = time.monotonic()
            yield record
    finally:
        if seen:
            draw()


def describe_use(record: Record) -> str:
    """Say what a step took from the machine, as far as it was measured."""
    measured = {
        "processor {:.0f} %": record.cpu_percent,
        "memory {:,.0f} MB": record.memory_mb,
        "GPU {:.0f} %": record.gpu_percent,
        "GPU memory {:,.0f} MB": record.gpu_memory_mb,
    }
    return ", ".join(text.format(value) for text, value in measured.items() if value is not None)
