"""Watching a run: every record is passed on as it comes, and what is shown is what it says."""

from dataclasses import replace

import IPython.display
import pytest
from matplotlib.figure import Figure

from minigpt import StepMetrics
from minigpt.notebook.plots import _describe_use, live_plot
from minigpt.training.progress import progress_bar


def records(n: int = 4):
    for step in range(1, n + 1):
        yield StepMetrics(
            step=step,
            loss=5 - step,
            learning_rate=0.1,
            gradient_norm=1.0,
            seconds=float(step),
            tokens_per_second=12_345.0,
            peak_memory_mb=1.0,
            memory_mb=1234.4,
            cpu_percent=98.2,
            validation_loss=3.25 if step == 2 else None,
            best=step == 2,
            sample="To be" if step == 3 else None,
        )


@pytest.fixture
def shown(monkeypatch) -> list[Figure]:
    """The figures that a notebook would show, one after another, in one place."""
    figures = []

    class Handle:
        def update(self, figure: Figure) -> None:
            figures.append(figure)

    monkeypatch.setattr(IPython.display, "display", lambda *arguments, display_id: Handle())
    return figures


def test_the_bar_passes_records_on_and_says_what_they_say(capsys):
    assert list(progress_bar(records(), total=10, start=6)) == list(records())
    out, err = capsys.readouterr()
    last = err.split("\r")[-1]
    assert "10/10" in last and "loss 1.000, validation 3.250 (best), 12,345 tok/s" in last
    assert "--- step 3\nTo be\n---" in out + err


def test_the_bar_waits_for_each_record(capsys):
    source = records()
    watched = progress_bar(source, total=4)
    next(watched)
    assert next(source).step == 2
    watched.close()


def test_the_plot_passes_records_on_and_ends_with_all_of_them(shown):
    assert list(live_plot(records(), total=4, baseline={"uniform guess": 4.0}, every_seconds=1e9)) == list(records())
    assert len(shown) == 2, "one at the first record, one at the end"
    (axes,) = shown[-1].axes
    curves = {line.get_label(): line for line in axes.get_lines()}
    assert list(curves) == ["this run: training", "this run: validation", "uniform guess"]
    assert list(curves["this run: training"].get_xdata()) == [1, 2, 3, 4]
    expected = "step 4 of 4, 12,345 tokens per second, 4 s\nprocessor 98 %, memory 1,234 MB"
    assert axes.get_title(loc="left") == expected


def test_the_plot_is_redrawn_as_often_as_asked_for(shown):
    list(live_plot(records(), total=4, every_seconds=0))
    assert len(shown) == 5


def test_an_interrupted_plot_keeps_its_last_state(shown):
    watched = live_plot(records(), total=4, every_seconds=1e9)
    next(watched), next(watched)
    watched.close()
    (axes,) = shown[-1].axes
    assert list(axes.get_lines()[0].get_xdata()) == [1, 2]


def test_a_run_of_no_steps_draws_nothing(shown):
    assert list(live_plot(records(0), total=0)) == []
    assert not shown


def test_only_what_was_measured_is_shown():
    (record,) = records(1)
    assert _describe_use(record) == "processor 98 %, memory 1,234 MB"
    assert _describe_use(replace(record, memory_mb=None, cpu_percent=None)) == ""
    on_a_gpu = replace(record, gpu_percent=87.0, gpu_memory_mb=2048.0)
    assert _describe_use(on_a_gpu).endswith("GPU 87 %, GPU memory 2,048 MB")
